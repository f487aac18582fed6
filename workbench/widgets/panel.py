"""Training that is watched: a live curve, a Stop button, earlier attempts as ghosts."""

import asyncio
import copy
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import plotly.graph_objects as go
from traitlets import Any, Enum, Tuple, link

from workbench.errors import UserError, unknown
from workbench.evaluation import curves, plots
from workbench.training.history import History
from workbench.widgets import base, keys, tables
from workbench.widgets.attempt import Attempt

SECONDS = 0.25  # between two redraws, or longer: a redraw may cost a hundredth of the time
MAX_ATTEMPTS = 8  # histories that are kept and drawn
LIVE_POINTS = 500  # of a curve that is half as many pixels wide
METRICS = ("accuracy", "macro_f1")
EMPTY = {"text/html": "", "text/plain": ""}


class TrainingPanel(base.Shown):
    """Trains when awaited and again at its button; the curve grows meanwhile, and Stop stops.

    ``model = await panel`` gives the fitted model, in JupyterLab and headlessly alike. The cell
    waits for the training, so the cells below find the model; the page stays awake. A second
    training asks a first one that still runs, anywhere in this process, to stop, keeps what that
    had learned, and begins when it has ended.

    Parameters
    ----------
    make : an unfitted classifier, or a function that returns one, such as ``picker.build``. Without
        `train`, any function; what it returns is the model, and every `History` that it writes to
        is drawn.
    train, validation : data frames with the columns text and label.
    unlabeled : texts of the target domain, for models that adapt.
    metric : of the second chart: ``"accuracy"`` or ``"macro_f1"``.

    Attributes
    ----------
    model : what the last training left; a training that failed or was stopped before its first step
        leaves the one before.
    value : History of the last training.
    attempts : the last eight, each an `Attempt`, oldest first.

    Raises
    ------
    Whatever the training raises, where the panel is awaited or `run`.
    """

    model = Any()
    metric = Enum(METRICS)
    attempts = Tuple()

    def __init__(
        self, make, train: pd.DataFrame | None = None, validation: pd.DataFrame | None = None, *,
        unlabeled=None, metric: str = "accuracy",
    ) -> None:  # fmt: skip
        if metric not in METRICS:
            raise unknown("metric", metric, METRICS)
        super().__init__(metric=metric)
        self._make, self._train, self._validation = make, train, validation
        self._unlabeled = unlabeled
        self._numbers, self._starting = itertools.count(1), threading.Lock()
        self._controls: _Controls | None = None

    @property
    def value(self) -> History:
        return self.attempts[-1].history if self.attempts else History()

    # --- training ---------------------------------------------------------------------------------

    def __await__(self):
        return self._train_and_wait().__await__()

    def run(self):
        """Train and wait, where nothing can be awaited; returns the model."""
        attempt = self.start()
        with _ended_on_interrupt(attempt):
            attempt.join()
        return self._result(attempt)

    def start(self) -> Attempt:
        """Begin a training, unless this panel has one running; at once, without waiting for it."""
        with self._starting:
            if self.running() and not self.attempts[-1].stop_requested.is_set():
                return self.attempts[-1]
            for earlier in self.attempts:
                earlier.error = None  # its traceback holds the model that failed
            attempt = Attempt(next(self._numbers), self._fit)
            attempt.start()
            self.attempts = (*self.attempts[1 - MAX_ATTEMPTS :], attempt)
        threading.Thread(target=self._follow, args=(attempt,), daemon=True).start()
        return attempt

    def stop(self) -> None:
        """Ask a running training to end; nothing happens where none runs."""
        if self.running():
            self.attempts[-1].stop_requested.set()
            self._redraw()

    def running(self) -> bool:
        """Whether a training of this panel is under way, or waits until another has stopped."""
        return bool(self.attempts) and self.attempts[-1].is_alive()

    async def _train_and_wait(self):
        if base.live():
            self._ipython_display_()
        attempt = self.start()
        with _ended_on_interrupt(attempt):
            while attempt.is_alive():
                await asyncio.sleep(0.05)
        model = self._result(attempt)
        if not base.live():
            self._ipython_display_()
        return model

    def _result(self, attempt: Attempt):
        if attempt.error is not None:
            raise attempt.error
        if not attempt.learned and self.model is None:
            raise UserError("The training was stopped before anything was learned: run it again.")
        return self.model

    def _fit(self):
        if self._train is None:
            model = self._make()
        else:
            model = self._make() if callable(self._make) else copy.deepcopy(self._make)
            more = {} if self._unlabeled is None else {"unlabeled": list(self._unlabeled)}
            if self._validation is not None and hasattr(model, "max_grad_norm"):
                more["validation"] = list(self._validation["text"]), list(self._validation["label"])
            model = model.fit(list(self._train["text"]), list(self._train["label"]), **more)
        self.model = model
        return model

    def _follow(self, attempt: Attempt) -> None:
        """Redraw while `attempt` runs, and when it has ended."""
        cost = 0.0
        while attempt.is_alive():
            attempt.join(max(SECONDS, 100 * cost))
            started = time.thread_time()
            self._redraw()
            cost = time.thread_time() - started
        self._redraw()

    def _redraw(self) -> None:
        if self._controls is not None:
            self._controls.draw()

    # --- what is shown ----------------------------------------------------------------------------

    def view(self):
        if self._controls is None or self._controls.box.comm is None:  # closed
            self.unobserve_all()
            self._controls = _Controls(self)
        return self._controls.box

    def still(self) -> dict:
        """The curve, the sentence that reads it, and the numbers behind it."""
        bundle = plots.Renderer().to_mimebundle(go.Figure(self.chart()).to_dict())
        words = f"{self.status()[0]} {self.value.reading()}".strip()
        rows = self.value.frame()
        table = tables.table(rows.iloc[:: max(1, len(rows) // 100)])
        bundle["text/html"] = (
            f"<p>{base.escape(words)}</p>{bundle['text/html']}"
            f"<details><summary>Data</summary>{table}</details>"
        )
        bundle["text/plain"] = f"Chart: loss over the steps. {words}"
        return bundle

    def kept(self) -> dict:
        return {"text/html": ""}  # the chart is an output of its own

    def chart(self, points: int = 2000) -> dict:
        """The curves of all attempts, of at most so many points, as plotly takes them."""
        named = [(f"attempt {each.number}", each.history) for each in self.attempts]
        return curves.chart(named, self.metric, points)

    def status(self) -> tuple[str, str]:
        """Where the training is or how it ended, and whether that is good or bad news."""
        if not self.attempts:
            return "Not trained yet.", "plain"
        return self.attempts[-1].status(0 if self._train is None else len(self._train))

    def _ipython_display_(self) -> None:
        super()._ipython_display_()
        if base.live():
            self._controls.display_still()


class _Controls:
    """The buttons and lines above the chart, and the chart that grows while a training runs."""

    def __init__(self, panel: TrainingPanel) -> None:
        widgets = base.toolkit()
        self._panel, self._lock = panel, threading.RLock()
        self._output = self._drawn = None
        self._train = widgets.Button(description="Train again", icon="play", tooltip="Train again")
        self._stop = widgets.Button(
            description="Stop", icon="stop", tooltip="Stop; what was learned is kept"
        )
        self._metric = widgets.Dropdown(
            options=METRICS, value=panel.metric, description="Metric",
            layout={"width": "190px"}, style={"description_width": "auto"},
        )  # fmt: skip
        self._bar = widgets.IntProgress(
            description="Progress", max=1, layout={"width": "320px"},
            style={"description_width": "auto"},
        )  # fmt: skip
        self._status, self._reading, self._curve = (widgets.HTML() for _ in range(3))
        self._train.on_click(lambda _: panel.start())
        self._stop.on_click(lambda _: panel.stop())
        link((panel, "metric"), (self._metric, "value"))
        self.draw = base.guarded(self._draw, self._status)
        panel.observe(self.draw, ["attempts", "metric"])
        self.draw()
        box = widgets.VBox(
            [widgets.HBox([self._train, self._stop, self._metric, self._bar]),
             self._status, self._reading, self._curve]
        )  # fmt: skip
        self.box = keys.capture(box)

    def display_still(self) -> None:
        """Make an output of the cell that stays in the notebook when the kernel is gone."""
        from IPython.display import display

        with self._lock:
            drawn = self._panel.attempts and not self._panel.running()
            bundle = self._panel.still() if drawn else EMPTY
            self._output = display(bundle, raw=True, display_id=True)

    def _draw(self, change: dict | None = None) -> None:
        """Set what has changed; ipywidgets sends nothing for a value that stays."""
        with self._lock:
            panel, running = self._panel, self._panel.running()
            self._train.disabled, self._stop.disabled = running, not running
            if panel.attempts:
                last = panel.attempts[-1]
                self._bar.max, self._bar.value = max(last.steps, 1), last.step
            self._status.value = base.status_line(*panel.status())
            self._reading.value = base.status_line(panel.value.reading() if panel.value else "")
            now = (running, panel.metric, panel.attempts[-1:])
            self._curve.value = curves.svg(panel.chart(LIVE_POINTS)) if running else ""
            if now != self._drawn and self._output is not None:
                # Plotly draws an output once; another kind in between makes it draw anew.
                self._output.update(EMPTY, raw=True)
                if not running:
                    self._output.update(panel.still(), raw=True)
            self._drawn = now


@contextmanager
def _ended_on_interrupt(attempt: Attempt) -> Iterator[None]:
    """An interrupted cell ends, but not by itself the thread that it waits for."""
    try:
        yield
    except BaseException:
        attempt.stop_requested.set()
        attempt.join(timeout=10)
        raise
