"""What every widget has in common: alive in a notebook, a still picture everywhere else."""

import asyncio
import html
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from traitlets import HasTraits, Int

from workbench.errors import UserError

# As the colour of a text they would be too pale.
EDGES = {"good": "#009E73", "warning": "#B8860B", "bad": "#D55E00"}
KEEP_SECONDS = 0.5  # after a change, until what the notebook keeps of it is drawn
# Hides a picture under a live view, and what JupyterLab says of a view without its kernel; gives
# charts on a clear ground the colour of the theme's text; lets no word break.
STYLE = """<style>
.jp-OutputArea-child:has(.workbench-keys) + .jp-OutputArea-child:has(.workbench-still),
.jp-OutputArea-child:not(:has(.workbench-keys)):has(+ .jp-OutputArea-child .workbench-still)
{ display: none }
.js-plotly-plot:has(.main-svg[style*="rgba(0, 0, 0, 0)"])
:is(.infolayer, .menulayer, [class$="tick"]) text
{ fill: var(--jp-content-font-color1) !important }
.workbench-keys svg, .workbench-still svg { fill: var(--jp-content-font-color1) }
:is(.workbench-keys, .workbench-still) :is(td, th) { overflow-wrap: normal; word-break: normal }
.workbench-keys .widget-readout { min-width: 4em }
</style>"""
_revisions = itertools.count(1)
_shown: dict[str, tuple] = {}  # by the id of a cell: the message that ran it, and its views


def live() -> bool:
    """Whether a person sits in front of this notebook.

    JupyterLab, Notebook 7 and VS Code send the id of the cell; papermill and nbconvert do not.
    ``WORKBENCH_WIDGETS=on`` or ``off`` decides for a front end that this does not know.
    """
    given = os.environ.get("WORKBENCH_WIDGETS", "").lower()
    if given in ("on", "off"):
        return given == "on"
    return bool(running_cell()[0])


def running_cell() -> tuple[str, str]:
    """The id of the cell that runs, and of the message that runs it; empty where there is none."""
    try:
        from IPython import get_ipython
    except ImportError:
        return "", ""
    kernel = getattr(get_ipython(), "kernel", None)
    message = (kernel and kernel.get_parent()) or {}
    cell = message.get("metadata", {}).get("cellId", "")
    return cell, message.get("header", {}).get("msg_id", "")


def display_view(view) -> None:
    """Display a tree of widgets, and close those that the same cell showed when it ran before.

    Otherwise ipywidgets keeps them until the kernel ends, and all that their callbacks know: a
    model for each time that a cell was run.
    """
    from IPython.display import display

    cell, message = running_cell()
    before, *views = _shown.get(cell, (message,))
    if before != message:
        for other in views:
            if other is not view:
                close(other)
        views = []
    if cell:
        _shown[cell] = (message, *views, view)
    display(view)


def close(view) -> None:
    """Close a widget and all that it contains."""
    for child in getattr(view, "children", ()):
        close(child)
    view.close()


def toolkit():
    """The module `ipywidgets`.

    Raises
    ------
    UserError : it or anywidget is missing; the sentence says where to install them.
    """
    try:
        import anywidget  # noqa: F401
        import ipywidgets
    except ImportError as error:
        raise UserError(
            "The widgets need ipywidgets and anywidget, in the environment of this kernel and in "
            "that of JupyterLab: pip install ipywidgets anywidget, then reload the page."
        ) from error
    return ipywidgets


def escape(text: object) -> str:
    """What a person wrote is shown as written: never as markup."""
    return html.escape(str(text))


def error_message(error: BaseException) -> str:
    """An error in words: a person's mistake by its sentence, anything else with its type."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def status_line(text: str, kind: str = "plain") -> str:
    """One sentence of status; good or bad news has a sign, and an edge in colour."""
    edge = f' style="border-left:4px solid {EDGES[kind]};padding-left:6px"' if kind in EDGES else ""
    sign = {"good": "✓ ", "warning": "⚠ ", "bad": "✗ ", "plain": ""}[kind]
    return f'<span role="status"{edge}>{sign}{escape(text)}</span>'


def fold(summary: str, content: str) -> str:
    """HTML behind a line that unfolds it."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def chart_outputs(figure: dict) -> tuple:
    """A figure for the trait ``outputs`` of an Output widget, where it replaces the last one."""
    from workbench.evaluation import plots

    data = plots.Renderer().to_mimebundle(figure)
    return ({"output_type": "display_data", "data": data, "metadata": {}},)


def guarded(work: Callable, line) -> Callable:
    """`work` as a callback that shows its error in `line`, an HTML widget, in place of raising it.

    An exception in an observer would end the change: the other observers would never hear of it.
    """

    def callback(*arguments) -> None:
        try:
            work(*arguments)
        except Exception as error:
            line.value = status_line(error_message(error), "bad")

    return callback


class Shown(HasTraits):
    """A state to look at: through widgets where a person sits, as a still picture elsewhere.

    The state is in traits; a view observes them, and refreshes itself when they change.

    Attributes
    ----------
    revision : goes up when something that is no trait has changed, such as an estimate that came.
    """

    revision = Int(read_only=True)

    def revise(self) -> None:
        """Tell the observers that something beside the traits has changed."""
        self.set_trait("revision", next(_revisions))

    def view(self):
        """A new tree of widgets onto the state; it may be thrown away at any time.

        By default the still picture, drawn again when the state has changed.
        """
        picture = toolkit().HTML()
        draw = guarded(lambda _: setattr(picture, "value", self.still()["text/html"]), picture)
        self.observe(draw)
        draw(None)
        return picture

    def still(self) -> dict:
        """The same as a MIME bundle that needs no kernel, at least in HTML and in plain text."""
        raise NotImplementedError

    def snapshot(self) -> dict:
        """What stands in place of the view where the notebook is opened without its kernel."""
        return self.still()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if not live():
            display(self.still(), raw=True)
            return
        display_view(self.view())
        if "VSCODE_PID" not in os.environ:  # it has no outputs by which a picture can be hidden
            self._keep(display(_hidden_while_live(""), raw=True, display_id=True))

    def _keep(self, handle) -> None:
        """Show the `snapshot` through `handle`, now and soon after the state has changed."""
        waiting = threading.Lock()

        def draw() -> None:
            waiting.release()
            try:
                markup = self.snapshot()["text/html"]
            except Exception as error:
                markup = status_line(error_message(error), "bad")
            handle.update(_hidden_while_live(markup), raw=True)

        def draw_soon(_=None) -> None:
            if waiting.acquire(blocking=False):
                timer = threading.Timer(KEEP_SECONDS, draw)
                timer.daemon = True
                timer.start()

        self.observe(draw_soon)
        draw_soon()


def _hidden_while_live(markup: str) -> dict:
    return {"text/html": f'{STYLE}<div class="workbench-still">{markup}</div>', "text/plain": ""}


class Awaited(Shown):
    """Work that begins where it is awaited or `run`; the page stays awake while the cell waits.

    It is shown meanwhile where a person sits, and elsewhere when it has ended. A subclass has
    ``start()``, which begins, unless it is under way, and returns what is waited for, such as an
    `Attempt` with ``ended``, ``stop(at_once)`` and ``join(timeout)``; and ``result(work)``, which
    returns what came of it, or raises what went wrong.
    """

    def __await__(self):
        return self._show_and_wait().__await__()

    def run(self):
        """Begin and wait, where nothing can be awaited; returns the same."""
        work = self.start()
        with _ended_on_interrupt(work):
            work.ended.wait()
        return self.result(work)

    async def _show_and_wait(self):
        if live():
            self._ipython_display_()
        work = self.start()
        with _ended_on_interrupt(work):
            while not work.ended.is_set():
                await asyncio.sleep(0.05)
        result = self.result(work)
        if not live():
            self._ipython_display_()
        return result


@contextmanager
def _ended_on_interrupt(work) -> Iterator[None]:
    """An interrupted cell ends, but not by itself the thread that it waits for."""
    try:
        yield
    except BaseException:
        work.stop(at_once=True)
        work.join(timeout=10)
        raise
