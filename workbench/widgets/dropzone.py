"""A place where a file is chosen or dropped, and the folder where it is written."""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from workbench.data import sources
from workbench.errors import UserError

LARGEST = 200 * 2**20  # bytes of an uploaded file


def drop_zone(label: str, receive: Callable[[str, int, bytes], None]):
    """A widget that calls `receive` with the name of a file, its size in bytes, and its bytes.

    Of a file larger than `LARGEST` bytes only the name and the size come.
    """
    from workbench.widgets.anywidgets import DropZone

    zone = DropZone(label=label, accept=",".join(sources.SUFFIXES), largest=LARGEST)
    pieces = bytearray()

    def collect(_, message, buffers):
        if message["at"] == 0:
            pieces.clear()
        pieces.extend(buffers[0])
        zone.send({"arrived": len(pieces)})
        if message["last"]:
            content = bytes(pieces)
            pieces.clear()
            receive(message["name"], message["size"], content)

    zone.on_msg(collect)
    return zone


def write_upload(name: str, size: int, content: bytes, folder: str | Path = "uploads") -> Path:
    """Write an uploaded file, whole or not at all, under a name made safe.

    `size` is that of the file in bytes; of one that is too large no `content` was sent.

    Raises
    ------
    UserError : it is too large, of no kind that can be read, or cannot be written.
    """
    safe = re.sub(r"[^\w.-]+", "-", re.split(r"[/\\]", name)[-1]).strip("-.")
    path = Path(folder) / f"{Path(safe).stem[:80]}{Path(safe).suffix}"
    if path.suffix.lower() not in sources.SUFFIXES:
        raise UserError(f"'{name}' cannot be read: give a file in {', '.join(sources.SUFFIXES)}.")
    if size > LARGEST:
        raise UserError(
            f"'{name}' has {size / 2**20:.0f} MB; {LARGEST // 2**20} MB can be uploaded "
            "here: put it beside the notebook and type its name."
        )
    if len(content) != size:
        raise UserError(f"'{name}' did not arrive whole: upload it again.")
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise UserError(
            f"'{name}' cannot be written into '{folder}' ({error.strerror or error}): free some "
            "space there, or type the path of the file."
        ) from error
    return path
