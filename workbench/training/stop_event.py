"""Training is stopped from outside, and does not know by whom: it looks at an event.

Whoever runs `fit` in a thread of its own enters `stoppable` there with an event, which a Stop
button sets. Training calls `raise_if_stopped` between two pieces of work.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_event: ContextVar[threading.Event | None] = ContextVar("stop_event", default=None)


class Stopped(Exception):
    """Somebody has asked the work to stop."""


@contextmanager
def stoppable(event: threading.Event) -> Iterator[None]:
    """What is done inside, in this thread, ends when `event` is set."""
    token = _event.set(event)
    try:
        yield
    finally:
        _event.reset(token)


def can_be_stopped() -> bool:
    """Whether there is an event that may be set."""
    return _event.get() is not None


def is_set() -> bool:
    """Whether the work has been asked to stop."""
    event = _event.get()
    return event is not None and event.is_set()


def raise_if_stopped() -> None:
    """Raise `Stopped` if the event has been set."""
    if is_set():
        raise Stopped
