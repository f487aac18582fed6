"""A training is watched and stopped from outside, and knows neither who watches nor who stops it.

Whoever runs `fit` in a thread of its own enters `supervised` there. Training calls `check` between
two pieces of work, and a `History` tells `heard` of each row; without a supervisor both do nothing.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_supervisor: ContextVar[tuple[threading.Event, Callable] | None] = ContextVar(
    "supervisor", default=None
)


class Stopped(Exception):
    """Somebody has asked the work to stop."""


@contextmanager
def supervised(stop: threading.Event, hear: Callable[[dict], None]) -> Iterator[None]:
    """What is done inside, in this thread, ends when `stop` is set; `hear` gets its reports."""
    token = _supervisor.set((stop, hear))
    try:
        yield
    finally:
        _supervisor.reset(token)


def watched() -> bool:
    """Whether somebody may ask to stop."""
    return _supervisor.get() is not None


def check() -> None:
    """Raise `Stopped` if somebody has asked for it."""
    supervisor = _supervisor.get()
    if supervisor and supervisor[0].is_set():
        raise Stopped


def heard(row: dict) -> None:
    """Pass a row of a history on to whoever watches."""
    supervisor = _supervisor.get()
    if supervisor:
        supervisor[1](row)
