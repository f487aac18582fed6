"""A run: one training or evaluation, and the folder that keeps it."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from workbench.errors import UserError
from workbench.training.devices import device
from workbench.training.history import History

PACKAGES = (
    "workbench", "torch", "transformers", "datasets", "scikit-learn", "gensim", "pandas", "plotly",
)  # fmt: skip


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
        """What training reported; empty for a model that does not train in steps."""
        path = self.path / "history.jsonl"
        return History.load(path) if path.exists() else History()


def root_folder(root: str | Path | None = None) -> Path:
    """Where runs are kept: `root`, else ``$WORKBENCH_RUNS``, else ``runs`` in this folder."""
    return Path(root or os.environ.get("WORKBENCH_RUNS") or "runs")


def save(
    name: str,
    *,
    notebook: str = "",
    parameters: dict | None = None,
    metrics: dict | None = None,
    predictions=None,
    history: History | None = None,
    model=None,
    seconds: float | None = None,
    root: str | Path | None = None,
) -> Path:
    """Write a run folder and return its path; it appears whole or not at all.

    Parameters
    ----------
    name : the model's name, also the end of the folder's name.
    predictions : a `pandas.DataFrame` as `evaluate.evaluate` gives it.
    model : anything with ``save(folder)``; others are not kept.

    Raises
    ------
    UserError : the folder cannot be written.
    """
    parameters = parameters or {}
    info = {
        "name": name, "notebook": notebook, "parameters": parameters, "versions": versions(),
        "seed": parameters.get("SEED", parameters.get("seed")), "device": device(),
        "git": _git_revision(), "seconds": seconds, "time": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "test_set": _test_set(predictions),
    }  # fmt: skip
    folder = root_folder(root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{time.time_ns()}-{os.getpid()}"
        partial.mkdir()
        try:
            _write(partial, info, metrics or {}, predictions, history, model)
            return _publish(partial, folder, name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"The run cannot be written into '{folder}' ({error.strerror or error}); "
            "free some space there or set WORKBENCH_RUNS to another folder."
        ) from error


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
        return Run(path, str(info["name"]), {**info}, {**metrics})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"'{path}' is no run folder: run.json or metrics.json is missing or cannot be read."
        ) from error


def list_runs(root: str | Path | None = None) -> list[Run]:
    """Every finished run below `root` that can be read, oldest first."""
    return survey(root)[0]


def survey(root: str | Path | None = None) -> tuple[list[Run], list[str]]:
    """What `list_runs` finds, and a sentence for each folder that cannot be read."""
    found, broken = [], []
    for path in sorted(root_folder(root).glob("[!.]*/run.json")):
        try:
            found.append(load(path.parent))
        except UserError as error:
            broken.append(str(error))
    return found, broken


@cache
def versions() -> dict[str, str]:
    """The versions that decide about numbers, Python's included."""
    found = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _write(folder: Path, info: dict, metrics: dict, predictions, history, model) -> None:
    _dump(folder / "run.json", info)
    _dump(folder / "metrics.json", metrics)
    if history is not None:
        history.save(folder / "history.jsonl")
    if predictions is not None:
        predictions.to_parquet(folder / "predictions.parquet", index=False)
    if model is not None:
        model.save(folder / "model")


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
        # The counter stands before the name so that names sort by time of writing.
        path = folder / f"{stamp}-{attempt:02d}-{safe[:60]}"
        if path.exists():
            continue
        try:
            return partial.rename(path)
        except OSError:
            # Another process took the name between the look and the rename.
            if not path.exists():
                raise
    raise UserError(f"No free name for the run '{name}' in '{folder}'.")


def _dump(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, default=str), encoding="utf-8")


@cache
def _git_revision() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
