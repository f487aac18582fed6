"""A place where a file is chosen or dropped, and the folder where it is kept.

ipywidgets' own upload button takes no dropped file, and sends a file as one message: JupyterLab's
server closes the connection on more than 10 MiB (tornado's ``websocket_max_message_size``). Here a
file comes in pieces, the next one when the last has arrived.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from workbench.data import sources
from workbench.errors import UserError
from workbench.widgets import base

LARGEST = 200 * 2**20  # bytes of a file that is handed over
_SCRIPT = """
const PIECE = 1 << 20;
function render({ model, el }) {
  const zone = document.createElement("div"), said = document.createElement("span");
  const button = document.createElement("button"), input = document.createElement("input");
  Object.assign(input, { type: "file", accept: model.get("accept"), hidden: true });
  Object.assign(button, { textContent: model.get("label"), className: "jupyter-button" });
  button.style.cssText = "padding:0 10px;width:auto";
  zone.style.cssText = "border:1px dashed var(--jp-border-color1,gray);padding:4px;"
    + "display:inline-flex;gap:8px;align-items:center";
  said.setAttribute("role", "status");
  async function send(file) {
    if (!file) return;
    const { name, size } = file, large = size > model.get("largest");
    for (let at = 0; at === 0 || (at < size && !large); at += PIECE) {
      const piece = await file.slice(at, large ? 0 : at + PIECE).arrayBuffer();
      const arrived = new Promise((go) => {
        const hear = () => { model.off("msg:custom", hear); go(); };
        model.on("msg:custom", hear);
      });
      said.textContent = `${name}: ${Math.floor((100 * at) / Math.max(1, size))}%`;
      model.send({ name, size, at, last: large || at + PIECE >= size }, undefined, [piece]);
      await arrived;
    }
    said.textContent = "";
  }
  button.addEventListener("click", () => { input.value = ""; input.click(); });
  input.addEventListener("change", () => send(input.files[0]));
  const ours = (event) => { event.preventDefault(); event.stopPropagation(); };
  zone.addEventListener("dragover", ours);
  zone.addEventListener("drop", (event) => { ours(event); send(event.dataTransfer.files[0]); });
  zone.append(button, input, said);
  el.append(zone);
}
export default { render };
"""


def drop_zone(label: str, receive: Callable[[str, int, bytes], None]):
    """A widget that hands a file over: its name, its size in bytes, and its bytes.

    Of a file larger than `LARGEST` bytes only the name and the size come.

    Raises
    ------
    UserError : anywidget is missing.
    """
    zone, pieces = _kind()(label=label), bytearray()

    def hear(_, message, buffers):
        if message["at"] == 0:
            pieces.clear()
        pieces.extend(buffers[0])
        zone.send({"arrived": len(pieces)})
        if message["last"]:
            content = bytes(pieces)
            pieces.clear()
            receive(message["name"], message["size"], content)

    zone.on_msg(hear)
    return zone


def keep_file(name: str, size: int, content: bytes, folder: str | Path = "uploads") -> Path:
    """Write a file that was handed over, whole or not at all, under a name made safe.

    `size` is what it has on its way, in bytes: of one that is too large no `content` comes.

    Raises
    ------
    UserError : it is too large, of no kind that can be read, or cannot be written.
    """
    safe = re.sub(r"[^\w.-]+", "-", re.split(r"[/\\]", name)[-1]).strip("-.")
    path = Path(folder) / f"{Path(safe).stem[:80]}{Path(safe).suffix}"
    if path.suffix.lower() not in sources.READERS:
        raise UserError(f"'{name}' cannot be read: give a file in {', '.join(sources.READERS)}.")
    if size > LARGEST:
        raise UserError(
            f"'{name}' has {size / 2**20:.0f} MB; {LARGEST // 2**20} MB can be handed over "
            "here: put it beside the notebook and type its name."
        )
    if len(content) != size:
        raise UserError(f"'{name}' did not arrive whole: hand it over again.")
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


@lru_cache(maxsize=1)
def _kind():
    base.toolkit()
    try:
        import anywidget
    except ImportError as error:
        raise UserError(
            "Handing over a file needs anywidget in the environment of this kernel and in that of "
            "JupyterLab: pip install anywidget, then reload the page."
        ) from error
    import traitlets

    class DropZone(anywidget.AnyWidget):
        _esm = _SCRIPT
        label = traitlets.Unicode().tag(sync=True)
        accept = traitlets.Unicode(",".join(sources.READERS)).tag(sync=True)
        largest = traitlets.Int(LARGEST).tag(sync=True)

    return DropZone
