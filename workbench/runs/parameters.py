"""Strict parameters: in the types of a notebook's defaults, and checked before a kernel starts."""

import ast
import json
from collections.abc import Container
from pathlib import Path
from typing import get_args

from workbench import data, models
from workbench.data import sources
from workbench.errors import UserError, unknown
from workbench.runs.notebooks import PROFILES, literals, read

BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
TYPES = {bool: "true or false", int: "a whole number", float: "a number", dict: "a dictionary"}


def check(notebooks: list[Path], parameters: dict[str, str]) -> dict[Path, dict[str, object]]:
    """Give each notebook the parameters that it has, in the types of its defaults.

    A default of None takes any number, list, dictionary, ``true``, ``false`` or ``none``; other
    values are strings. Paths become absolute, as kernels run elsewhere.

    Raises
    ------
    UserError : no notebook has such a parameter, or a value has the wrong type or is not valid.
    """
    defaults = {path: literals(read(path)) for path in notebooks}
    names = sorted({name for values in defaults.values() for name in values})
    for name in parameters:
        if name not in names:
            raise unknown("parameter", name, names)
    chosen = {
        path: {
            name: _converted(name, text, own[name])
            for name, text in parameters.items() if name in own
        }
        for path, own in defaults.items()
    }  # fmt: skip
    given = {name: value for values in chosen.values() for name, value in values.items()}
    # Of a name that several have, the first one's default: those before 07 read labelled texts.
    merged = {n: v for own in reversed(defaults.values()) for n, v in own.items()}
    absolute = _check_values(given, merged)
    return {path: {n: absolute.get(n, v) for n, v in own.items()} for path, own in chosen.items()}


def settings(name: str, given: dict[str, str]) -> dict[str, object]:
    """Settings of a model in the types of `models.build`.

    Raises
    ------
    UserError : the model or a setting is unknown, or a value has the wrong type.
    """
    models.check(name)
    examples, known = {}, models.settings_of(name)
    for setting in given:
        if setting not in known:
            raise unknown(f"setting of '{name}' called", setting, known)
        kind, default = known[setting].annotation, known[setting].default
        examples[setting] = None if type(None) in get_args(kind) else default
        examples[setting] = 0.0 if kind is float else examples[setting]  # 10 is one, too
    return {n: _converted(n, text, examples[n]) for n, text in given.items()}


def _converted(name: str, text: str, default: object) -> object:
    if isinstance(default, (list, tuple, set)):
        first = next(iter(default), None)
        return [_converted(name, item, first) for item in _items(text)]
    kind = type(default)
    try:
        if kind is bool:
            value = BOOLEANS[text.strip().lower()]
        elif kind in (int, float):
            value = kind(text)
        else:
            value = text if kind is str else _literal(text)
            if kind is dict and not isinstance(value, dict):
                raise ValueError
    except (ValueError, KeyError):
        raise UserError(f"{name} must be {TYPES[kind]}, not '{text}'.") from None
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise UserError(f"{name} must be a finite number or a plain value, not '{text}'.") from None
    return value


def _literal(text: str) -> object:
    """The number, list, dictionary or other literal that `text` writes, else `text` itself."""
    words = {"true": "True", "false": "False", "none": "None", "": "None"}
    try:
        return ast.literal_eval(words.get(text.strip().lower(), text))
    except (ValueError, TypeError, SyntaxError):
        return text


def _items(text: str) -> list[str]:
    """``"[1, 2]"`` and ``"1,2"`` are the same list."""
    value = _literal(text)
    if isinstance(value, (list, tuple, set)):
        return [str(item) for item in value]
    return [item.strip() for item in text.split(",") if item.strip()]


def _check_values(given: dict[str, object], defaults: dict[str, object]) -> dict[str, str]:
    """Refuse now what would fail minutes later in a kernel; return the paths made absolute."""
    if given.get("PROFILE", "quick") not in PROFILES:
        raise unknown("profile", given["PROFILE"], PROFILES)
    seed = given.get("SEED")
    # PYTHONHASHSEED takes no others, and NumPy neither.
    if seed is not None and not (isinstance(seed, int) and 0 <= seed < 2**32):
        raise UserError(f"SEED must lie between 0 and {2**32 - 1}, not {seed}.")
    files = ("LARGE_TEXT", "PAIRS", "SUMMARIES", "CHECKPOINT")
    absolute = {n: _absolute(given[n], ()) for n in files if given.get(n)}
    if given.get("PAIRS"):
        sources.read(given["PAIRS"])
    if given.get("SUMMARIES"):
        data.load_pairs(given["SUMMARIES"])
    if given.get("CHECKPOINT"):
        models.check(given["CHECKPOINT"], ())
    if given.get("MODEL") is not None:
        models.check(given["MODEL"])
        absolute["MODEL"] = _absolute(given["MODEL"], models.names())
    if {"DATA", "TEXT_COLUMN", "LABEL_COLUMN", "LABEL_NAMES"} & set(given):
        known = defaults | given
        source = known.get("DATA") or "reviews"
        columns = (known.get(name) or "" for name in ("TEXT_COLUMN", "LABEL_COLUMN"))
        requires = ("tags" if defaults.get("DATA") == sources.TAGGED else "label",)
        data.load(source, *columns, label_names=known.get("LABEL_NAMES"), requires=requires)
        if given.get("DATA"):
            absolute["DATA"] = _absolute(source, data.DATASETS)
    return absolute


def _absolute(name: str, known: Container[str]) -> str:
    path = Path(name).expanduser()
    return str(path.resolve()) if name not in known and path.exists() else name
