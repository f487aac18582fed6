"""Training that is watched: a live curve, a Stop button, earlier attempts as ghosts."""

import copy
import itertools
import threading
import time
from collections.abc import Callable
from functools import partial

import pandas as pd
import plotly.graph_objects as go
from traitlets import Any, Instance, Tuple

from workbench import runs
from workbench.errors import UserError, unknown
from workbench.evaluation import curves, plots
from workbench.training.history import History
from workbench.widgets import base, panel_view, recording, tables
from workbench.widgets.attempt import Attempt

SECONDS = 0.25  # between two redraws, or longer: a redraw may cost a hundredth of the time
MAX_ATTEMPTS = 8  # histories that are kept and drawn


class TrainingPanel(base.Awaited):
    """Trains when awaited and again at its button; the curve grows meanwhile, and Stop stops.

    Each training is recorded as a run when it ends, scored on the validation texts.

    ``model = await panel`` gives the fitted model, in JupyterLab and headlessly alike, so the cells
    below find it. A second training asks a first one that still runs, anywhere in this process, to
    stop, keeps what that had learned, and begins when it has ended.

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
    attempts : the last eight, each an `Attempt`, oldest first; ``attempts[-1].run`` is the run of
        the last one.
    curve : how the curves are drawn, a `curves.View`.
    again : what "Train again" calls: `start`, or the `start` of the grid that it is part of.

    Raises
    ------
    Whatever the training raises, where the panel is awaited or `run`.
    """

    model = Any()
    attempts = Tuple()
    curve = Instance(curves.View, ())

    def __init__(
        self, make, train: pd.DataFrame | None = None, validation: pd.DataFrame | None = None, *,
        unlabeled=None, metric: str = "accuracy",
    ) -> None:  # fmt: skip
        if metric not in panel_view.METRICS:
            raise unknown("metric", metric, panel_view.METRICS)
        super().__init__(curve=curves.View(metric))
        self.again = self.start
        self._make, self._train, self._validation = make, train, validation
        self._unlabeled = unlabeled
        self._numbers, self._starting = itertools.count(1), threading.Lock()
        self._controls: panel_view.Controls | None = None

    @property
    def value(self) -> History:
        return self.attempts[-1].history if self.attempts else History()

    def start(self) -> Attempt:
        """Begin a training, unless this panel has one running; at once, without waiting for it."""
        with self._starting:
            last = self.attempts[-1] if self.attempts else None
            if self.running() and not (last.stop_requested.is_set() or last.ended.is_set()):
                return last
            for earlier in self.attempts:
                earlier.error = None  # its traceback holds the model that failed
            record = partial(recording.record, self.attempts, self._train, self._validation)
            attempt = Attempt(next(self._numbers), self._prepare, record)
            attempt.start()
            self.attempts = (*self.attempts[1 - MAX_ATTEMPTS :], attempt)
        threading.Thread(target=self._follow, args=(attempt,), daemon=True).start()
        return attempt

    def stop(self) -> None:
        """Ask a running training to end, or its score to be left out; else nothing happens."""
        if self.running():
            self.attempts[-1].stop()
            self._redraw()

    def save_model(self) -> None:
        """Save the last model with its run; ``models.open(panel.attempts[-1].run)`` reads it.

        Raises
        ------
        UserError : there is none, or it cannot be written.
        """
        last = self.attempts[-1] if self.attempts else None
        if last is None or not last.learned or last.run is None:
            raise UserError("There is no run to save a model into: train first.")
        runs.save_model(last.run, self.model)

    def running(self) -> bool:
        """Whether a training of this panel is under way, or waits until another has stopped."""
        return bool(self.attempts) and self.attempts[-1].is_alive()

    def result(self, work: Attempt):
        if work.error is not None:
            raise work.error
        if not work.learned and self.model is None:
            raise UserError("The training was stopped before anything was learned: run it again.")
        return self.model

    def _prepare(self, attempt: Attempt) -> Callable:
        """Fix the model and its settings: pickers may be turned while it waits or trains."""
        if self._train is None:
            return partial(self._fit, self._make)
        model = self._make() if callable(self._make) else copy.deepcopy(self._make)
        attempt.choice = self._choice()
        recording.describe(attempt, model, self._train, self._validation)
        more = {} if self._unlabeled is None else {"unlabeled": list(self._unlabeled)}
        if self._validation is not None and hasattr(model, "max_grad_norm"):
            more["validation"] = list(self._validation["text"]), list(self._validation["label"])
        texts, labels = list(self._train["text"]), list(self._train["label"])
        return partial(self._fit, partial(model.fit, texts, labels, **more))

    def _fit(self, train: Callable):
        self.model = train()
        return self.model

    def _choice(self) -> dict | None:
        """What the picker says whose `build` makes the model; None where there is no picker."""
        return getattr(getattr(self._make, "__self__", None), "value", None)

    def _follow(self, attempt: Attempt) -> None:
        """Redraw while `attempt` runs, and when it has ended."""
        cost = 0.0
        while attempt.is_alive():
            attempt.join(max(SECONDS, 100 * cost))
            started = time.thread_time()
            self._redraw()
            cost = time.thread_time() - started
        self.revise()

    def _redraw(self) -> None:
        if self._controls is not None:
            self._controls.draw()

    def view(self):
        if self._controls is None or self._controls.box.comm is None:  # closed
            self.unobserve_all()
            self._controls = panel_view.Controls(self)
        return self._controls.box

    def still(self) -> dict:
        """The curve, the sentences that read it, and the numbers behind it."""
        figure, bundle = self.chart(), {"text/html": ""}
        if figure["data"]:
            bundle = plots.Renderer().to_mimebundle(go.Figure(figure).to_dict())
        bundle["text/html"] = f"<p>{base.escape(self._words())}</p>{bundle['text/html']}"
        if len(rows := self.value.frame()):
            few = rows.iloc[:: max(1, len(rows) // 100)]
            bundle["text/html"] += base.fold("Data", tables.table(few))
        bundle["text/plain"] = f"Chart: loss over the steps. {self._words()}"
        return bundle

    def snapshot(self) -> dict:
        """The sentences alone: the chart is an output of its own."""
        return {"text/html": f"<p>{base.escape(self._words())}</p>"}

    def _words(self) -> str:
        about = [self.attempts[-1].about] if self.attempts else []
        return " ".join([*about, self.status()[0], *self.news()])

    def chart(self, points: int = 2000) -> dict:
        """The curves of all attempts, of at most so many points, as plotly takes them.

        After a training without steps, the scores of the attempts.
        """
        named = dict(zip(self.labels(), self.attempts, strict=True))
        scores = {name: each.metrics for name, each in named.items() if each.metrics}
        if self.attempts and not (self.value or self.running()) and scores:
            table = pd.DataFrame.from_dict(scores, orient="index")
            return plots.score_bars(table, self.curve.metric).to_dict()
        histories = [(name, each.history) for name, each in named.items()]
        return curves.chart(histories, self.curve, points)

    def labels(self) -> list[str]:
        """What distinguishes each attempt, such as ``"full, 3 epochs, 1e-4"``; no two agree."""
        several = len({each.settings.get("model") for each in self.attempts}) > 1
        names = [(not several and each.label) or each.title for each in self.attempts]
        return [
            name if names.count(name) == 1 else f"{name} (attempt {each.number})"
            for name, each in zip(names, self.attempts, strict=True)
        ]

    def status(self) -> tuple[str, str]:
        """Where the training is or how it ended, and whether that is good or bad news."""
        if not self.attempts:
            return "Not trained yet.", "plain"
        return self.attempts[-1].status(0 if self._train is None else len(self._train))

    def news(self) -> list[str]:
        """What there is to say of the last attempt beside its status, in sentences."""
        if not self.attempts:
            return []
        last = self.attempts[-1]
        changed = self.running() and last.choice != self._choice()
        sentences = [
            "The picker has been changed since: the next training takes that." * changed,
            last.outcome, last.unsaved, self.value.reading() if self.value else "",
        ]  # fmt: skip
        return [sentence for sentence in sentences if sentence]

    def _ipython_display_(self) -> None:
        super()._ipython_display_()
        if base.live():
            self._controls.display_still()
