"""What both pickers have in common: a choice as a trait, and work in the background."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable

from traitlets import Dict, Int

from workbench.widgets import base

# The last choice of each picker of a live notebook, with the arguments that it began with; by the
# id of its cell, and by its class and number in the cell.
_choices: dict[tuple, tuple] = {}
_made: dict[str, tuple[str, Counter]] = {}  # by the id of a cell: what its last run has made


class CopiedDict(Dict):
    """A dict that is given out as a copy: a change of it would pass the observers by."""

    def get(self, obj, cls=None) -> dict:
        return dict(super().get(obj, cls))


class Picker(base.Shown):
    """A choice that several views may show: each observes its traits.

    Attributes
    ----------
    value : the choice, as a new dict; `keep_choice` keeps it where a cell is run again.
    revision : goes up when something beside the choice has changed, such as an estimate that came.
    """

    value = CopiedDict(read_only=True)
    revision = Int(read_only=True)

    def __init__(self, value: dict) -> None:
        super().__init__()
        self.set_trait("value", value)
        self._revisions = itertools.count(1)
        self._threads: list[threading.Thread] = []

    def keep_choice(self, *arguments) -> None:
        """Go on with what was chosen when this cell ran before, if it asked for the same then.

        Parameters
        ----------
        arguments : what else decides what can be chosen. An item of `value` that has become what
            was chosen counts as the same: a cell below may have written it into a variable.
        """
        if not (key := _place(type(self))):
            return
        start, kept = self.value, self.value
        before, others, chosen = _choices.get(key, (start, arguments, start))
        if others == arguments and all(v in (before[k], chosen[k]) for k, v in start.items()):
            kept = chosen

        def remember(*_) -> None:
            _choices[key] = (start, arguments, self.value)

        self.set_trait("value", kept)
        self.observe(remember, "value")
        remember()

    def revise(self) -> None:
        """Tell the observers that something beside the choice has changed."""
        self.set_trait("revision", next(self._revisions))

    def begin(self, work: Callable[[], None]) -> None:
        """Do something in the background; `wait` waits for it."""
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def wait(self) -> None:
        """Return when what goes on in the background has ended."""
        while self._threads:
            self._threads.pop().join()


def _place(kind: type) -> tuple:
    """The cell that runs, and which of its pickers this is; empty outside of a notebook."""
    cell, message = base.running_cell()
    if not cell:
        return ()
    before, made = _made.get(cell, ("", Counter()))
    made = made if before == message else Counter()
    made[kind] += 1
    _made[cell] = (message, made)
    return cell, kind, made[kind]
