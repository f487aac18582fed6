"""Which notebooks there are, and strict parameters for them, before anything is executed."""

import ast
import math
from collections.abc import Iterable
from pathlib import Path

from workbench.errors import UserError, unknown

GENERAL = ("DATA", "MODEL", "PROFILE", "SEED")
PROFILES = ("smoke", "quick", "full")
BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
KINDS = {bool: "true or false", int: "a whole number", float: "a number"}


def folder() -> Path:
    """Where the sequence lies, in a clone or in an installed wheel."""
    from workbench import data

    return data.bundled("notebooks")


def find() -> list[Path]:
    """Every notebook of the sequence, in its order."""
    return sorted(folder().glob("*.ipynb"))


def resolve(names: Iterable[str]) -> list[Path]:
    """Turn numbers, names and paths into notebooks; none means all.

    Parameters
    ----------
    names : such as ``"4"``, ``"bert_finetuning"``, ``"04_bert_finetuning"`` or ``"my/own.ipynb"``.

    Raises
    ------
    UserError : a name fits no notebook, or two notebooks would write the same files.
    """
    names = list(names)
    known = find() if not names or any(not name.endswith(".ipynb") for name in names) else []
    chosen = list(dict.fromkeys(_resolve(name, known) for name in names)) or known
    if not chosen:
        raise UserError(f"There are no notebooks in '{folder()}'; name one by its path.")
    stems = [path.stem for path in chosen]
    for stem in stems:
        if stems.count(stem) > 1:
            raise UserError(f"Two of the notebooks are called '{stem}'; run them one at a time.")
    return chosen


def _resolve(name: str, known: list[Path]) -> Path:
    if name.endswith(".ipynb"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UserError(f"There is no notebook at '{name}'; check the path.")
        return path.resolve()
    wanted = name.lower().replace("-", "_")
    for path in known:
        number, _, title = path.stem.partition("_")
        same_number = wanted.isdecimal() and number.isdecimal() and int(number) == int(wanted)
        if same_number or wanted in (path.stem, title):
            return path
    raise unknown("notebook", name, [path.stem for path in known])


def read(path: Path):
    """Read a notebook.

    Raises
    ------
    UserError : the file is missing or is no notebook.
    """
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises its own, json's and the system's errors
        raise UserError(f"'{path}' cannot be read as a notebook; restore the file.") from error


def literals(notebook, tag: str = "parameters") -> dict[str, object]:
    """What the cells with `tag` assign: names and plain values; computed values are left out."""
    cells = (c for c in notebook.cells if c.cell_type == "code")
    source = "\n".join(c.source for c in cells if tag in c.metadata.get("tags", []))
    try:
        body = ast.parse(source).body
    except SyntaxError as error:
        raise UserError(f"The '{tag}' cell is not plain Python (line {error.lineno}).") from error
    found = {}
    for node in body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                continue
            found.update({t.id: value for t in targets if isinstance(t, ast.Name)})
    return found


def check(notebooks: list[Path], parameters: dict[str, str]) -> dict[Path, dict[str, object]]:
    """Give each notebook the parameters that it has, in the types of its defaults.

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
            name: _typed(name, text, own[name]) for name, text in parameters.items() if name in own
        }
        for path, own in defaults.items()
    }
    given = {name: value for values in chosen.values() for name, value in values.items()}
    settled = _settle(given, {name: v for own in defaults.values() for name, v in own.items()})
    return {path: {n: settled.get(n, v) for n, v in own.items()} for path, own in chosen.items()}


def _typed(name: str, text: str, default: object) -> object:
    if isinstance(default, (list, tuple)):
        return [_typed(name, item, default[0] if default else "") for item in _items(text)]
    kind = type(default)
    try:
        if kind is bool:
            return BOOLEANS[text.strip().lower()]
        value = kind(text) if kind in (int, float) else text
    except (ValueError, KeyError):
        raise UserError(f"{name} must be {KINDS[kind]}, not '{text}'.") from None
    if kind is float and not math.isfinite(value):
        raise UserError(f"{name} must be a finite number, not '{text}'.")
    return value


def _items(text: str) -> list[str]:
    """``"[1, 2]"`` and ``"1,2"`` are the same list."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = None
    if isinstance(value, (list, tuple)):
        return [str(item) for item in value]
    return [item.strip() for item in text.split(",") if item.strip()]


def _settle(given: dict[str, object], defaults: dict[str, object]) -> dict[str, object]:
    """Refuse now what would fail minutes later in a kernel; local paths become absolute."""
    settled = dict(given)
    if given.get("PROFILE", "quick") not in PROFILES:
        raise unknown("profile", given["PROFILE"], PROFILES)
    if isinstance(given.get("SEED"), int) and not 0 <= given["SEED"] < 2**32:
        # PYTHONHASHSEED takes no others, and NumPy neither.
        raise UserError(f"SEED must lie between 0 and {2**32 - 1}, not {given['SEED']}.")
    if "MODEL" in given:
        from workbench import models

        models.check(given["MODEL"])
        settled["MODEL"] = _absolute(given["MODEL"], models.names())
    if {"DATA", "TEXT_COLUMN", "LABEL_COLUMN"} & set(given):
        from workbench import data

        known = defaults | given
        columns = (str(known.get(name, "")) for name in ("TEXT_COLUMN", "LABEL_COLUMN"))
        data.load(known.get("DATA", "reviews"), *columns)
        if "DATA" in given:
            settled["DATA"] = _absolute(given["DATA"], data.DATASETS)
    return settled


def _absolute(name: str, known: Iterable[str]) -> str:
    path = Path(name).expanduser()
    return str(path.resolve()) if name not in known and path.exists() else name
