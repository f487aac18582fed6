"""The two widgets of our own, with their JavaScript: imported only where one is shown."""

from collections.abc import Callable

import anywidget
from traitlets import Int, Unicode


class Keys(anywidget.AnyWidget):
    """Lets a focused list or field in a box of the class "workbench-keys" get every key.

    In JupyterLab's command mode an arrow moves to the next cell, and "d d" deletes this one. What
    has the attribute ``data-lm-suppress-shortcuts`` keeps its keys (lumino's CommandRegistry);
    ipywidgets sets it on no list, so it is set where the focus comes to.

    It gives sliders their names and says their values in words. After each change in its box it
    sends a message, and says that the box waits until it is answered: messages arrive in their
    order.
    """

    _esm = """
const WAITS = "The kernel is busy: this is taken up when the running cell has ended.";
const EVENTS = ["change", "click", "pointerup", "keyup"];
function keepKeys(event) {
  if (event.target.closest?.(".workbench-keys"))
    event.target.setAttribute("data-lm-suppress-shortcuts", "true");
}
// noUiSlider says a number, such as the place of a choice in its list, and no name.
function nameSliders() {
  for (const slider of document.querySelectorAll(".workbench-keys .noUi-handle")) {
    const row = slider.closest(".widget-inline-hbox");
    slider.setAttribute("aria-label", row?.querySelector(".widget-label")?.textContent ?? "");
    slider.setAttribute("aria-valuetext", row?.querySelector(".widget-readout")?.textContent ?? "");
  }
}
function render({ model, el }) {
  document.addEventListener("focusin", keepKeys);
  const sliders = setInterval(nameSliders, 500);
  el.setAttribute("role", "status");
  let timer = 0;
  const ask = (event) => {
    if (timer || !event.target.closest?.(".workbench-keys")?.contains(el)) return;
    timer = setTimeout(() => { el.textContent = WAITS; }, 1000);
    model.send({});
  };
  const answered = () => { clearTimeout(timer); timer = 0; el.textContent = ""; };
  EVENTS.forEach((name) => document.addEventListener(name, ask, true));
  model.on("msg:custom", answered);
  return () => {
    clearInterval(sliders);
    EVENTS.forEach((name) => document.removeEventListener(name, ask, true));
    model.off("msg:custom", answered);
  };
}
export default { render };
"""


class DropZone(anywidget.AnyWidget):
    """A button that chooses a file and a place to drop one; the file comes in pieces.

    `receive` is called with its name, its size in bytes and its bytes. Of a file of more bytes than
    `largest` only the name and the size come.

    ipywidgets' own upload button takes no dropped file, and sends a file as one message:
    JupyterLab's server closes the connection on more than 10 MiB (tornado's
    ``websocket_max_message_size``). Here the next piece is sent when the last has arrived.
    """

    _esm = """
const PIECE = 1 << 20;
function render({ model, el }) {
  const zone = document.createElement("div"), status = document.createElement("span");
  const button = document.createElement("button"), input = document.createElement("input");
  Object.assign(input, { type: "file", accept: model.get("accept"), hidden: true });
  Object.assign(button, { textContent: model.get("label"), className: "jupyter-button" });
  button.style.cssText = "padding:0 10px;width:auto";
  zone.style.cssText = "border:1px dashed var(--jp-border-color1,gray);padding:4px;"
    + "display:inline-flex;gap:8px;align-items:center";
  status.setAttribute("role", "status");
  async function send(file) {
    if (!file) return;
    const { name, size } = file, large = size > model.get("largest");
    for (let at = 0; at === 0 || (at < size && !large); at += PIECE) {
      const piece = await file.slice(at, large ? 0 : at + PIECE).arrayBuffer();
      const arrived = new Promise((go) => {
        const receipt = () => { model.off("msg:custom", receipt); go(); };
        model.on("msg:custom", receipt);
      });
      status.textContent = `${name}: ${Math.floor((100 * at) / Math.max(1, size))}%`;
      model.send({ name, size, at, last: large || at + PIECE >= size }, undefined, [piece]);
      await arrived;
    }
    status.textContent = "";
  }
  button.addEventListener("click", () => { input.value = ""; input.click(); });
  input.addEventListener("change", () => send(input.files[0]));
  const claim = (event) => { event.preventDefault(); event.stopPropagation(); };
  zone.addEventListener("dragover", claim);
  zone.addEventListener("drop", (event) => { claim(event); send(event.dataTransfer.files[0]); });
  zone.append(button, input, status);
  el.append(zone);
}
export default { render };
"""
    label = Unicode().tag(sync=True)
    accept = Unicode().tag(sync=True)
    largest = Int().tag(sync=True)

    def __init__(self, receive: Callable[[str, int, bytes], None], **traits) -> None:
        super().__init__(**traits)
        self._receive, self._pieces = receive, bytearray()
        self.on_msg(self._collect)

    def _collect(self, _, message: dict, buffers: list) -> None:
        if message["at"] == 0:
            self._pieces.clear()
        self._pieces.extend(buffers[0])
        self.send({"arrived": len(self._pieces)})
        if message["last"]:
            content = bytes(self._pieces)
            self._pieces.clear()
            self._receive(message["name"], message["size"], content)
