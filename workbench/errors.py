"""What a person is told when something they asked for cannot be done."""

import difflib
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_notes: ContextVar[list[str] | None] = ContextVar("notes", default=None)


class UserError(ValueError):
    """A person's mistake, in one sentence: what is wrong, where, and what to do."""


class DataWarning(UserWarning):
    """What was mended or left out of somebody's data, counted, in one sentence."""


def warn(message: str) -> None:
    """Give a `DataWarning`, beginning with a capital letter, or note it where notes are taken."""
    message = message[:1].upper() + message[1:]
    if (notes := _notes.get()) is not None:
        notes.append(message)
    else:
        warnings.warn(message, DataWarning, stacklevel=3)


@contextmanager
def taking_notes() -> Iterator[list[str]]:
    """What `warn` says inside of the block, as a list; no warning is given.

    `warnings.catch_warnings` would take the warnings of all other threads as well.
    """
    token = _notes.set([])
    try:
        yield _notes.get()
    finally:
        _notes.reset(token)


def unknown(kind: str, name: object, valid: Iterable[str]) -> UserError:
    """Refuse `name`, offering the nearest valid name first.

    Parameters
    ----------
    kind : what is named, such as ``"model"``.
    name : what was asked for.
    valid : every name that would have been right.
    """
    valid = list(valid)
    near = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.5)
    others = [v for v in valid if v not in near]
    hint = f" did you mean '{near[0]}'?" if near else ""
    listed = ", ".join(near + others) or "none"
    return UserError(f"There is no {kind} '{name}';{hint} Valid: {listed}.")


def first_line(error: Exception) -> str:
    """The first line of a library's message, short enough to stand in a sentence of ours."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160].rstrip(".")
