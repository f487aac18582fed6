"""What both pickers have in common: a choice as a trait, and work in the background."""

import itertools
import threading
from collections.abc import Callable

from traitlets import Dict, Int

from workbench.widgets import base


class CopiedDict(Dict):
    """A dict that is given out as a copy: a change of it would pass the observers by."""

    def get(self, obj, cls=None) -> dict:
        return dict(super().get(obj, cls))


class Picker(base.Shown):
    """A choice that several views may show: each observes its traits.

    Attributes
    ----------
    value : the choice, as a new dict.
    revision : goes up when something beside the choice has changed, such as an estimate that came.
    """

    value = CopiedDict(read_only=True)
    revision = Int(read_only=True)

    def __init__(self, value: dict) -> None:
        super().__init__()
        self.set_trait("value", value)
        self._revisions = itertools.count(1)
        self._threads: list[threading.Thread] = []

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
