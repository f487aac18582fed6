"""What both pickers have in common: a choice, the views of it, and work in the background."""

import threading
from collections.abc import Callable

from workbench.widgets import base


class Picker(base.Shown):
    """A choice that several views may show; each is told when it has changed."""

    def __init__(self) -> None:
        self._value: dict = {}
        self._views: list[Callable[[], None]] = []
        self._threads: list[threading.Thread] = []

    @property
    def value(self) -> dict:
        """The choice, as a new dict."""
        return dict(self._value)

    def wait(self) -> None:
        """Return when what goes on in the background has ended."""
        while self._threads:
            self._threads.pop().join()

    def watch(self, refresh: Callable[[], None]) -> None:
        """Call `refresh` whenever there is something new to show."""
        self._views.append(refresh)

    def _tell(self) -> None:
        for refresh in self._views:
            refresh()

    def begin(self, work: Callable[[], None]) -> None:
        """Do something in the background; `wait` waits for it."""
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()
