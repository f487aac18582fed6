"""Keys that reach a widget: JupyterLab's command mode takes arrows, Enter and letters for itself.

In a focused list or dropdown an arrow moves to the next cell, and "d d" deletes this one. What has
the attribute ``data-lm-suppress-shortcuts`` keeps its keys (lumino's CommandRegistry). ipywidgets
sets it on no list, so a script of five lines does it where the focus comes to.
"""

from functools import lru_cache

from workbench.widgets import base

NAME = "workbench-keys"
_SCRIPT = """
function keep(event) {
  if (event.target.closest?.(".workbench-keys"))
    event.target.setAttribute("data-lm-suppress-shortcuts", "true");
}
export default { render: () => document.addEventListener("focusin", keep) };
"""


def capture(box):
    """The same box, whose controls get every key that is pressed in them.

    Without anywidget it stays as it is, and the mouse works.
    """
    kind = _kind()
    if kind is not None:
        box.add_class(NAME)
        box.children = (*box.children, kind(layout={"display": "none"}))
    return box


@lru_cache(maxsize=1)
def _kind():
    base.toolkit()
    try:
        import anywidget
    except ImportError:
        return None

    class Keys(anywidget.AnyWidget):
        _esm = _SCRIPT

    return Keys
