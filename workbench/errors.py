"""What a person is told when something they asked for cannot be done."""

import difflib
import warnings
from collections.abc import Iterable


class UserError(ValueError):
    """A person's mistake, in one sentence: what is wrong, where, and what to do."""


class DataWarning(UserWarning):
    """What was mended or left out of somebody's data, counted, in one sentence."""


def warn(message: str) -> None:
    """Give a `DataWarning`, beginning with a capital letter."""
    warnings.warn(message[:1].upper() + message[1:], DataWarning, stacklevel=3)


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
