"""Which notebooks there are, and what their cells of parameters assign."""

import ast
from collections.abc import Iterable
from pathlib import Path

from workbench import data
from workbench.errors import UserError, unknown

GENERAL = ("DATA", "MODEL", "PROFILE", "SEED")
PROFILES = ("smoke", "quick", "full")


def folder() -> Path:
    """Where the sequence lies, in a clone or in an installed wheel."""
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
    """What the cells with `tag` assign: names and plain values; computed values are left out.

    `papermill.inspect_notebook` refuses a notebook that names no kernel, and gives source text.
    """
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
            except (ValueError, TypeError):
                continue
            found.update({t.id: value for t in targets if isinstance(t, ast.Name)})
    return found
