"""Files that appear whole or not at all, and values as JSON."""

import json
import math
import os
import platform
import shutil
import tempfile
import threading
from datetime import date
from pathlib import Path


def to_json(value: object) -> str:
    """Any value as JSON that every reader takes: `plain`, and no NaN."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def plain(value: object) -> object:
    """`value` in the types of JSON: NumPy and torch numbers and arrays, paths, dates, sets too.

    NaN and infinity become None; whatever else is not known becomes its string.
    """
    if hasattr(value, "tolist") and not isinstance(value, type):  # NumPy, torch, pandas
        value = value.tolist()
    if isinstance(value, dict):
        return {plain(str(key)): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)):
        return value
    text = value.isoformat() if isinstance(value, date) else str(value)
    return text.encode(errors="replace").decode()  # a name of a file may hold what is no UTF-8


def write(path: Path, content: str | bytes) -> None:
    """Write a whole file, or leave the one that is there."""
    partial = path.with_name(f".{path.name}-{os.getpid()}-{threading.get_ident()}")
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def partial(folder: Path) -> tempfile.TemporaryDirectory:
    """A hidden folder in `folder` for what is not whole yet.

    Those of processes of this machine that were killed are removed.
    """
    import psutil

    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f".{platform.node()}-*-*"):
        process = left.name.split("-")[-2]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            shutil.rmtree(left, ignore_errors=True)
    name = f".{platform.node()}-{os.getpid()}-"
    return tempfile.TemporaryDirectory(prefix=name, dir=folder, ignore_cleanup_errors=True)


def publish(partial: Path, target: Path) -> Path:
    """Give a whole folder its name, unless another process was first."""
    try:
        return partial.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        return target
