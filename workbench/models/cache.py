"""What takes a while to make and is made once: folders in the user's cache."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

STALE = 3600  # seconds after which a folder that was not finished is one of a killed process


def cached(name: str, write: Callable[[Path], None]) -> Path:
    """The folder `name` of the user's cache; the first time, `write` fills it.

    `write` is given an empty folder, which gets its name when all is written: a full disk or a
    killed process leaves nothing that counts. ``WORKBENCH_CACHE`` moves the cache.

    Raises
    ------
    OSError : the cache cannot be written.
    """
    import platformdirs
    from safetensors import SafetensorError

    given = os.environ.get("WORKBENCH_CACHE")
    root = Path(given or platformdirs.user_cache_dir("workbench", appauthor=False)).expanduser()
    target = root / name
    if target.is_dir():
        return target
    root.mkdir(parents=True, exist_ok=True)
    for partial in root.glob(f".{name}-*"):
        if time.time() - partial.stat().st_mtime > STALE:
            shutil.rmtree(partial, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=root) as partial:
        whole = Path(partial, name)
        whole.mkdir()
        try:
            write(whole)
        except SafetensorError as error:  # which is none of the system's errors on a full disk
            raise OSError(str(error)) from error
        try:
            return whole.rename(target)
        except OSError:
            if not target.is_dir():  # another process was first
                raise
    return target
