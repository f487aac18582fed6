"""What both pickers have in common: a choice as a trait, and work in the background."""

import copy
import itertools
import threading
from collections.abc import Callable

from traitlets import Dict

from workbench.widgets import base

# By the id of a cell, a class and a number, as a cell may make several pickers: the message that
# ran the cell, the value and the arguments that the picker began with, and its last choice.
_choices: dict[tuple, tuple] = {}


class CopiedDict(Dict):
    """A dict that is given out as a copy: a change of it would pass the observers by."""

    def get(self, obj, cls=None) -> dict:
        return copy.deepcopy(super().get(obj, cls))


class Picker(base.Shown):
    """A choice that several views may show: each observes its traits.

    Attributes
    ----------
    value : the choice, as a new dict; `keep_choice` keeps it where a cell is run again.
    """

    value = CopiedDict(read_only=True)

    def __init__(self, value: dict) -> None:
        super().__init__()
        self.set_trait("value", value)
        self._threads: list[threading.Thread] = []

    def keep_choice(self, *arguments) -> None:
        """Go on with what was chosen when this cell ran before, if it asked for the same then.

        Parameters
        ----------
        arguments : what else decides what can be chosen. An item of `value` that has become what
            was chosen counts as the same: a cell below may have written it into a variable.
        """
        cell, message = base.running_cell()
        if not cell:
            return
        keys = ((cell, type(self), number) for number in itertools.count())
        key = next(key for key in keys if key not in _choices or _choices[key][0] != message)
        start = self.value
        _, before, others, chosen = _choices.get(key, (message, start, arguments, start))
        if others == arguments and all(v in (before[k], chosen[k]) for k, v in start.items()):
            self.set_trait("value", chosen)

        def remember(*_) -> None:
            _choices[key] = (message, start, arguments, self.value)

        self.observe(remember, "value")
        remember()

    def begin(self, work: Callable[[], None]) -> None:
        """Do something in the background; `wait` waits for it."""
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def wait(self) -> None:
        """Return when what goes on in the background has ended."""
        while self._threads:
            self._threads.pop().join()
