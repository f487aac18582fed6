"""What takes a while to make and is made once: folders in the user's cache."""

import os
from collections.abc import Callable
from pathlib import Path

from workbench import files


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
    with files.partial(root) as partial:
        whole = Path(partial, name)
        whole.mkdir()
        try:
            write(whole)
        except SafetensorError as error:  # which is none of the system's errors on a full disk
            raise OSError(str(error)) from error
        return files.publish(whole, target)
