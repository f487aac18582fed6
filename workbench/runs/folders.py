"""A run: one training or evaluation, and the folder that keeps it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from workbench import __version__, files
from workbench.errors import UserError, unknown
from workbench.training.devices import device, peak_memory
from workbench.training.history import History

PACKAGES = "torch", "transformers", "datasets", "scikit-learn", "gensim", "pandas", "plotly"
TRASH = ".deleted"
INFO = {"notes": "", "notebook": "", "parameters": {}, "settings": {}, "data": {},
        "stopped": False, "seconds": None}  # fmt: skip
OTHERS = {"seed": None, "time": "", "test_set": None, "versions": {}, "git": None}


@dataclass(frozen=True)
class Run:
    """What one folder holds: `run.json` is `info`, `metrics.json` is `metrics`."""

    path: Path
    name: str
    info: dict
    metrics: dict

    def predictions(self):
        """The test rows: id, label, predicted, one probability a class, split, domain."""
        import pandas as pd

        return pd.read_parquet(self.path / "predictions.parquet")

    def history(self) -> History:
        """The rows that training logged; empty for a model that does not train in steps."""
        path = self.path / "history.jsonl"
        return History.load(path) if path.exists() else History()


def root_folder(root: str | Path | None = None) -> Path:
    """Where runs are kept: `root`, else ``$WORKBENCH_RUNS``, else ``runs`` in this folder."""
    return Path(root or os.environ.get("WORKBENCH_RUNS") or "runs")


def save(
    name: str,
    *,
    metrics: dict | None = None,
    predictions=None,
    history: History | None = None,
    model=None,
    tables: dict | None = None,
    root: str | Path | None = None,
    folder: str = "",
    **info,
) -> Path:
    """Write a run folder and return its path; it appears whole or not at all.

    Parameters
    ----------
    name : what the run is called, also the end of the folder's name.
    predictions : a `pandas.DataFrame`, as in `evaluation.Evaluation`.
    model : a fitted model whose weights are to be saved with the run.
    tables : other `pandas.DataFrame`, by name, each for a Parquet file.
    folder : what the folder is called, in place of time and name; one that is there stays.
    info : of `INFO`, such as ``settings``, the arguments of `models.build` with the model's name
        under ``"model"``, and ``data``, what it was trained on, as `describe_data` gives it.

    Raises
    ------
    UserError : the folder cannot be written.
    """
    for entry in info:
        if entry not in INFO:
            raise unknown("entry of a run called", entry, INFO)
    given = INFO | {entry: value for entry, value in info.items() if value is not None}
    info = {
        "name": name, **given, "versions": versions(), "git": git_revision(), "device": device(),
        "seed": given["parameters"].get("SEED", given["settings"].get("seed")),
        "peak_memory": round(peak_memory()), "time": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "test_set": _test_set(predictions),
    }  # fmt: skip
    place = root_folder(root)
    with _writing(place), files.partial(place) as partial:
        parquet = {"predictions": predictions, **(tables or {})}
        whole = _write(Path(partial, "run"), info, metrics or {}, parquet, history, model)
        return files.publish(whole, place / folder) if folder else _publish(whole, place, name)


def load(path: str | Path) -> Run:
    """Read a run folder.

    Raises
    ------
    UserError : `path` is no run folder.
    """
    path = Path(path)
    try:
        info = json.loads((path / "run.json").read_text(encoding="utf-8"))
        metrics = json.loads((path / "metrics.json").read_text(encoding="utf-8"))
        missing = {k: v for k, v in (INFO | OTHERS).items() if info.get(k) is None}
        return Run(path, str(info["name"]), info | missing, {**metrics})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"'{path}' is no run folder: run.json or metrics.json is missing or cannot be read."
        ) from error


def annotate(run: Run, *, name: str | None = None, notes: str | None = None) -> Run:
    """Give a run another name or other notes; what is None stays. The folder keeps its name.

    Raises
    ------
    UserError : the name is empty, or the run is gone or cannot be written.
    """
    if name is not None and not name.strip():
        raise UserError("A run needs a name of at least one letter.")
    changes = {"name": name and name.strip(), "notes": notes}
    info = load(run.path).info | {k: v for k, v in changes.items() if v is not None}
    with _writing(run.path):
        files.write(run.path / "run.json", files.to_json(info))
    return load(run.path)


def discard(run: Run) -> Path:
    """Move a run into the hidden folder `TRASH` beside it, and return its new path."""
    target = run.path.parent / TRASH / run.path.name
    with _writing(target.parent):
        target.parent.mkdir(exist_ok=True)
        return run.path.rename(target)


def restore(path: Path) -> Path:
    """Move a run back that `discard` has moved to `path`."""
    with _writing(path.parent.parent):
        return path.rename(path.parent.parent / path.name)


def save_model(run: Run, model) -> None:
    """Save a fitted model with its run, in place of the one that is there; `models.open` reads it.

    Raises
    ------
    UserError : the model has no ``save(folder)``, or the run is gone or cannot be written.
    """
    if not hasattr(model, "save"):
        raise UserError(f"A {type(model).__name__} cannot be saved: it has no save(folder).")
    folder = load(run.path).path
    target = folder / "model"
    with _writing(folder), files.partial(folder) as partial:
        model.save(Path(partial, "model"))
        if target.exists():
            shutil.rmtree(target)
        Path(partial, "model").rename(target)


def list_runs(root: str | Path | None = None) -> list[Run]:
    """Every finished run below `root` that can be read, oldest first."""
    return scan_runs(root)[0]


def scan_runs(root: str | Path | None = None) -> tuple[list[Run], list[str]]:
    """The runs of `list_runs`, and a sentence for each folder that cannot be read.

    `root` may also be a report or a sweep, whose runs lie in its folder ``runs``.
    """
    found, broken = [], []
    place = root_folder(root)
    place = place / "runs" if (place / "runs").is_dir() else place
    for path in sorted(place.glob("[!.]*/run.json")):
        try:
            found.append(load(path.parent))
        except UserError as error:
            broken.append(str(error))
    return found, broken


@cache
def versions() -> dict[str, str]:
    """The versions that decide about numbers, Python's included."""
    found = {"python": sys.version.split()[0], "workbench": __version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say in a sentence why a run cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"The run cannot be written into '{folder}' ({error.strerror or error}); "
            "free some space there or set WORKBENCH_RUNS to another folder."
        ) from error


def _write(folder: Path, info: dict, metrics: dict, parquet: dict, history, model) -> Path:
    folder.mkdir()
    files.write(folder / "run.json", files.to_json(info))
    files.write(folder / "metrics.json", files.to_json(metrics))
    if history is not None:
        history.save(folder / "history.jsonl")
    for name, table in parquet.items():
        if table is not None:
            table.to_parquet(folder / f"{name}.parquet", index=False)
    if model is not None:
        model.save(folder / "model")
    return folder


def _test_set(predictions) -> str | None:
    """A digest of the rows, by which runs on the same ones are known; None without ids."""
    from workbench.evaluation import comparison

    try:
        return None if predictions is None else comparison.test_set(predictions)
    except UserError:
        return None


def _publish(partial: Path, folder: Path, name: str) -> Path:
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip(".-") or "run"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for attempt in range(1000):
        # The counter stands before the name, and counts the runs of a second whatever they are
        # called, so that names sort by time of writing.
        path = folder / f"{stamp}-{attempt:02d}-{safe[:60]}"
        if any(folder.glob(f"{stamp}-{attempt:02d}-*")):
            continue
        try:
            return partial.rename(path)
        except OSError:
            # Another process took the name between the look and the rename.
            if not path.exists():
                raise
    raise UserError(f"No free name for the run '{name}' in '{folder}'.")


@cache
def git_revision() -> str | None:
    """The commit of the workbench's own clone; None where it is installed otherwise.

    The processes of a sweep are told by ``WORKBENCH_COMMIT``: another may come while they run.
    """
    if (told := os.environ.get("WORKBENCH_COMMIT")) is not None:
        return told or None
    # Of a clone of the workbench, not of the project in which it is installed.
    own = Path(__file__).parents[2] / ".git"
    command = ["git", f"--git-dir={own}", "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
