"""What a person sees of a `TrainingPanel`."""

import threading
from dataclasses import asdict, replace

from workbench import runs
from workbench.evaluation import curves
from workbench.widgets import base, controls

METRICS = ("accuracy", "macro_f1")
LIVE_POINTS = 500  # of a curve that is half as many pixels wide
EMPTY = {"text/html": "", "text/plain": ""}
NARROW = {"style": {"description_width": "auto"}}


class Controls:
    """The buttons and lines above the chart, the chart that grows while it trains, and two folds.

    The folds hold what is seldom turned: how the curve is drawn, and name and notes of the run.
    """

    def __init__(self, panel) -> None:
        kit = base.toolkit()
        self._panel, self._lock = panel, threading.RLock()
        self._output = self._drawn = self._run = None
        self._status, self._news, self._curve, self._saved = (kit.HTML() for _ in range(4))
        again, stop = "Train again", "Stop; what was learned is kept"
        self._train = controls.button(again, again, panel.again, self._status, icon="play")
        self._stop = controls.button("Stop", stop, panel.stop, self._status, icon="stop")
        self._bar = kit.IntProgress(description="Progress", layout={"width": "320px"}, **NARROW)
        metric, fold = self._of_curve(kit)
        folds = kit.Accordion([fold, self._of_run(kit)], titles=("Curve", "Run"))
        self.draw = base.guarded(self._draw, self._status)
        panel.observe(self.draw, ["attempts", "curve", "revision"])
        self.draw()
        top = kit.HBox([self._train, self._stop, metric, self._bar])
        self.box = controls.box(top, self._status, self._news, self._curve, folds)

    def _of_curve(self, kit) -> tuple:
        """One control for each field of a `curves.View`: that of the metric, and the others."""
        panel = self._panel
        fields = {
            "metric": kit.Dropdown(options=METRICS, description="Metric",
                                   layout={"width": "190px"}, **NARROW),
            "left": kit.Dropdown(options=list(curves.LEFT), description="Left chart"),
            "x": kit.Dropdown(options=list(curves.X_AXES), description="X axis"),
            "smoothing": kit.FloatSlider(max=0.95, step=0.05, description="Smoothing"),
            "log": kit.Checkbox(description="Logarithmic"),
        }  # fmt: skip

        def turn(name: str, value) -> None:
            panel.curve = replace(panel.curve, **{name: value})

        show = controls.bind(fields, lambda: (asdict(panel.curve), {}), turn, self._status)
        panel.observe(show, "curve")
        show()
        metric, *others = fields.values()
        return metric, controls.row(*others)

    def _of_run(self, kit):
        """Name and notes of the last run, and a button that saves the model into it."""
        off = {"continuous_update": False, "disabled": True}
        fields = {"name": kit.Text(description="Name", **off),
                  "notes": kit.Textarea(description="Notes", **off)}  # fmt: skip
        save = controls.button("Save the model", "Into the folder of this run", self._save_model,
                               self._saved, icon="save", disabled=True)  # fmt: skip

        def state() -> tuple:
            return {name: self._run.info[name] if self._run else "" for name in fields}, {}

        self._show_run = controls.bind(fields, state, self._edit, self._saved)
        self._of_a_run = (*fields.values(), save)
        return kit.VBox([*self._of_a_run, self._saved])

    def _edit(self, name: str, value: str) -> None:
        self._run = runs.annotate(self._run, **{name: value})
        self._panel.attempts[-1].run = self._run
        self._saved.value = base.status_line("Name and notes are saved.", "good")

    def _save_model(self) -> None:
        self._panel.save_model()
        words = f"models.open('{self._run.path}') gives the model back."
        self._saved.value = base.status_line(words, "good")

    def display_still(self) -> None:
        """Make an output of the cell that stays in the notebook when the kernel is gone."""
        from IPython.display import display

        with self._lock:
            drawn = self._panel.attempts and not self._panel.running()
            bundle = self._panel.still() if drawn else EMPTY
            self._output = display(bundle, raw=True, display_id=True)

    def _draw(self, _=None) -> None:
        """Set what has changed; ipywidgets sends nothing for a value that stays."""
        with self._lock:
            panel, running = self._panel, self._panel.running()
            self._train.disabled, self._stop.disabled = running, not running
            self._status.value, last = base.status_line(*panel.status()), None
            for last in panel.attempts[-1:]:
                self._bar.max, self._bar.value = max(last.steps, 1), last.step
                self._status.value += f"<br><small>{base.escape(last.about)}</small>"
            self._news.value = "<br>".join(map(base.status_line, panel.news()))
            self._draw_run(None if last is None or running else last.run)
            now = (running, panel.curve, last)
            self._curve.value = curves.svg(panel.chart(LIVE_POINTS)) if running else ""
            if now != self._drawn and self._output is not None:
                # Plotly draws an output once; another kind in between makes it draw anew.
                self._output.update(EMPTY, raw=True)
                if not running:
                    self._output.update(panel.still(), raw=True)
            self._drawn = now

    def _draw_run(self, run) -> None:
        """The controls of a run that has just been written; none of them works without one."""
        if run is not self._run:
            for control in self._of_a_run:
                control.disabled = run is None
            self._run, self._saved.value = run, ""
            self._show_run()
