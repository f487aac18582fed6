"""Training that is watched: a live curve, a Stop button, earlier attempts as ghosts."""

import asyncio
import copy
import ctypes
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pandas as pd

from workbench.errors import UserError
from workbench.evaluation import plots
from workbench.training import history, stopping
from workbench.training.history import History
from workbench.widgets import base, keys

SECONDS = 0.25  # between two pictures, or longer: a picture may cost a hundredth of the time
METRICS = ("accuracy", "macro_f1")
_LATER = {"text/html": "", "text/plain": ""}
_one_at_a_time = threading.Lock()
_current: "Attempt | None" = None


class Attempt(threading.Thread):
    """One training in a thread of its own: what it reported, how it ended, what it left."""

    def __init__(self, work: Callable) -> None:
        super().__init__(daemon=True, name="training")
        self.history, self.model, self.error = History(), None, None
        self.asked_to_stop, self.seconds = threading.Event(), 0.0
        self._work, self._begun = work, time.perf_counter()

    def run(self) -> None:
        try:
            with stopping.stoppable(self.asked_to_stop), history.listening(self._hear):
                self.model = self._work()
        except stopping.Stopped:
            pass
        except BaseException as error:
            self.error = error
        self.seconds = time.perf_counter() - self._begun

    def _hear(self, row: dict) -> None:
        # A model that trains several times, as for calibration, shows the last one.
        for key in ("loss", "mlm_loss"):
            if (
                key in row
                and self.history
                and row["step"] <= max((r["step"] for r in self.history if key in r), default=0)
            ):
                self.history.clear()
        self.history.append(row)

    def progress(self) -> tuple[int, int]:
        """Steps done and steps in all, as far as they were reported."""
        known = [row for row in self.history if "steps" in row]
        return (known[-1]["step"], known[-1]["steps"]) if known else (0, 0)

    def elapsed(self) -> float:
        """Seconds so far, or in all."""
        return time.perf_counter() - self._begun if self.is_alive() else self.seconds

    def outcome(self) -> tuple[str, str]:
        """How it ended, in a sentence, and whether that is good or bad news."""
        if self.error is not None:
            return base.error_message(self.error), "bad"
        if self.model is None:
            return "Stopped before anything was learned.", "bad"
        report = getattr(self.model, "training_info_", {})
        if report.get("stopped"):
            kept, done = report["kept_step"], report["steps"]
            which = "the last step" if kept == done else f"step {kept}, the best on validation"
            return f"Stopped after {done} steps; the weights of {which} are kept.", "good"
        if self.asked_to_stop.is_set():
            return "Stopped; what was learned so far is kept.", "good"
        return f"Trained in {_clock(self.seconds)}.", "good"


class TrainingPanel(base.Shown):
    """Trains when awaited and again at its button; the curve grows meanwhile, and Stop stops.

    ``model = await panel`` gives the fitted model, in JupyterLab and headlessly alike. The cell
    waits for the training, so the cells below find the model; the page stays awake. A second
    training stops a first one that still runs, anywhere in this process, and keeps what it had
    learned.

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
    attempts : every `Attempt`, oldest first.

    Raises
    ------
    Whatever the training raises, where the panel is awaited or `run`.
    """

    def __init__(
        self, make, train: pd.DataFrame | None = None, validation: pd.DataFrame | None = None, *,
        unlabeled=None, metric: str = "accuracy",
    ) -> None:  # fmt: skip
        self._make, self._train, self._validation = make, train, validation
        self._unlabeled, self.metric = unlabeled, metric
        self.attempts: list[Attempt] = []
        self.model = None
        self._controls = self._chart = None

    @property
    def value(self) -> History:
        return self.attempts[-1].history if self.attempts else History()

    # --- training ---------------------------------------------------------------------------------

    def __await__(self):
        return self._attend().__await__()

    def run(self):
        """Train and wait, where nothing can be awaited; returns the model."""
        attempt = self.start()
        try:
            attempt.join()
        except BaseException:
            self._end(attempt)
            raise
        return self._result(attempt)

    def start(self) -> Attempt:
        """Begin a training, unless this panel has one running; at once, without waiting for it."""
        global _current
        with _one_at_a_time:
            if self.running():
                return self.attempts[-1]
            if _current is not None and _current.is_alive():
                self._end(_current)
            _rest()
            attempt = _current = Attempt(self._work)
            self.attempts.append(attempt)
            attempt.start()
        threading.Thread(target=self._follow, args=(attempt,), daemon=True).start()
        return attempt

    def stop(self) -> None:
        """Ask a running training to end; nothing happens where none runs."""
        if self.running():
            self.attempts[-1].asked_to_stop.set()

    def running(self) -> bool:
        """Whether a training of this panel is under way."""
        return bool(self.attempts) and self.attempts[-1].is_alive()

    async def _attend(self):
        if base.live():
            self._ipython_display_()
        attempt = self.start()
        try:
            while attempt.is_alive():
                await asyncio.sleep(0.05)
        except BaseException:
            # An interrupted cell ends, but not by itself the thread that it waits for.
            self._end(attempt)
            raise
        model = self._result(attempt)
        if not base.live():
            self._ipython_display_()
        return model

    def _result(self, attempt: Attempt):
        self._keep(attempt)
        if attempt.error is not None:
            raise attempt.error
        if self.model is None:
            raise UserError("The training was stopped before anything was learned: run it again.")
        return self.model

    def _keep(self, attempt: Attempt) -> None:
        self.model = attempt.model if attempt.model is not None else self.model

    @staticmethod
    def _end(attempt: Attempt) -> None:
        attempt.asked_to_stop.set()
        attempt.join(timeout=10)

    def _work(self):
        if self._train is None:
            return self._make()
        model = self._make() if callable(self._make) else copy.deepcopy(self._make)
        more = {} if self._unlabeled is None else {"unlabeled": list(self._unlabeled)}
        if self._validation is not None and hasattr(model, "max_grad_norm"):
            more["validation"] = list(self._validation["text"]), list(self._validation["label"])
        return model.fit(list(self._train["text"]), list(self._train["label"]), **more)

    # --- what is shown ----------------------------------------------------------------------------

    def view(self):
        if self._controls is None:
            self._controls = _Controls(self)
        self._controls.refresh()
        return self._controls.box

    def still(self) -> dict:
        """The curve, the sentence that reads it, and the numbers behind it."""
        figure = self._figure()
        bundle = plots.Renderer().to_mimebundle(figure)
        words = f"{self.status()[0]} {self.value.reading()}".strip()
        rows = self.value.frame()
        table = base.table_html(rows.iloc[:: max(1, len(rows) // 100)])
        bundle["text/html"] = (
            f"<p>{base.escape(words)}</p>{plots.picture(figure)}{bundle['text/html']}"
            f"<details><summary>Data</summary>{table}</details>"
        )
        bundle["text/plain"] = f"Chart: loss over the steps. {words}"
        return bundle

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if base.live():
            display(self.view())
            # The chart is an output of its own: it stays in the file when the kernel is gone.
            bundle = self.still() if self.model is not None else _LATER
            self._chart = display(bundle, raw=True, display_id=True)
        else:
            display(self.still(), raw=True)

    def status(self) -> tuple[str, str]:
        """Where the training is or how it ended, and whether that is good or bad news."""
        if not self.attempts:
            return "Not trained yet.", "plain"
        attempt = self.attempts[-1]
        if not attempt.is_alive():
            return attempt.outcome()
        done, steps = attempt.progress()
        if attempt.asked_to_stop.is_set():
            return "Stopping …", "plain"
        if not done:
            return f"Preparing … {_clock(attempt.elapsed())}", "plain"
        return _pace(attempt, done, steps, 0 if self._train is None else len(self._train)), "plain"

    def _figure(self) -> dict:
        named = [(f"attempt {i}", a.history) for i, a in enumerate(self.attempts, 1)]
        return plots.training_chart(named, self.metric)

    def _follow(self, attempt: Attempt) -> None:
        """Redraw while `attempt` runs, and once when it has ended."""
        cost = 0.0
        if self._chart is not None:
            self._chart.update(_LATER, raw=True)
        while attempt.is_alive():
            attempt.join(max(SECONDS, 100 * cost))
            started = time.thread_time()
            self.redraw()
            cost = time.thread_time() - started
        self._keep(attempt)
        self.redraw(last=True)

    def redraw(self, last: bool = False) -> None:
        """Bring the view up to date; `last` leaves the picture that needs no kernel."""
        if self._controls is not None:
            self._controls.refresh("" if last else plots.sketch(self._figure()))
        if self._chart is not None and last:
            # Plotly draws an output once; another kind in between makes it draw anew.
            self._chart.update(_LATER, raw=True)
            self._chart.update(self.still(), raw=True)


class _Controls:
    """The buttons and lines above the chart."""

    def __init__(self, panel: TrainingPanel) -> None:
        widgets = base.toolkit()
        self._panel = panel
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
        self._train.on_click(lambda _: self._start())
        self._stop.on_click(lambda _: (panel.stop(), self.refresh()))
        self._metric.observe(self._choose, "value")
        box = widgets.VBox(
            [widgets.HBox([self._train, self._stop, self._metric, self._bar]),
             self._status, self._reading, self._curve]
        )  # fmt: skip
        self.box = keys.capture(box)

    def _start(self) -> None:
        self._panel.start()
        self.refresh()

    def _choose(self, change) -> None:
        self._panel.metric = change.new
        self._panel.redraw(last=not self._panel.running())

    def refresh(self, curve: str | None = None) -> None:
        """Set what has changed; ipywidgets sends nothing for a value that stays."""
        panel, running = self._panel, self._panel.running()
        self._train.disabled, self._stop.disabled = running, not running
        if panel.attempts:
            done, steps = panel.attempts[-1].progress()
            self._bar.max, self._bar.value = max(steps, 1), done
        text, kind = panel.status()
        self._status.value = base.status_line(text, kind)
        self._reading.value = base.status_line(panel.value.reading() if panel.value else "")
        if curve is not None:
            self._curve.value = curve


def _rest() -> None:
    """Let the OpenMP workers of this thread go, before another thread trains.

    Where more workers are known than there are cores, libgomp lets them sleep at every pause: the
    same training took a sixth longer in a thread (13.0 against 11.2 s on two cores).
    """
    from threadpoolctl import threadpool_info

    for library in threadpool_info():
        if library["user_api"] == "openmp":
            with suppress(OSError, AttributeError):
                ctypes.CDLL(library["filepath"]).omp_pause_resource_all(1)


def _pace(attempt: Attempt, done: int, steps: int, texts: int) -> str:
    import psutil

    elapsed, last = attempt.elapsed(), attempt.history[-1]
    epochs = steps * last["epoch"] / last["step"] if last.get("epoch") and last["step"] else 0
    words = [f"epoch {last['epoch']:.1f} of {epochs:g}"] if epochs else []
    words += [f"step {done} of {steps}", f"{_clock((steps - done) * elapsed / done)} left"]
    if epochs and texts:
        words.append(f"{texts * last['epoch'] / elapsed:,.0f} texts a second")
    words.append(f"{psutil.Process().memory_info().rss / 2**30:.1f} GiB of memory")
    return " · ".join(words)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}" if seconds >= 60 else f"{seconds:.0f} s"
