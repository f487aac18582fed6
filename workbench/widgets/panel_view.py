"""What a person sees of a `TrainingPanel`."""

import threading
from dataclasses import replace

from traitlets import link

from workbench import runs
from workbench.evaluation import curves
from workbench.widgets import base, keys

LIVE_POINTS = 500  # of a curve that is half as many pixels wide
EMPTY = {"text/html": "", "text/plain": ""}


class Controls:
    """The buttons and lines above the chart, the chart that grows while it trains, and two folds.

    The folds hold what is seldom turned: how the curve is drawn, and name and notes of the run.
    """

    def __init__(self, panel) -> None:
        widgets = base.toolkit()
        self._panel, self._lock = panel, threading.RLock()
        self._output = self._drawn = self._run = None
        self._busy = []  # name and notes are being set: nobody has typed them
        self._train = widgets.Button(description="Train again", icon="play", tooltip="Train again")
        self._stop = widgets.Button(
            description="Stop", icon="stop", tooltip="Stop; what was learned is kept"
        )
        self._metric = widgets.Dropdown(
            options=type(panel).metric.values, value=panel.metric, description="Metric",
            layout={"width": "190px"}, style={"description_width": "auto"},
        )  # fmt: skip
        self._bar = widgets.IntProgress(
            description="Progress", max=1, layout={"width": "320px"},
            style={"description_width": "auto"},
        )  # fmt: skip
        self._status, self._news, self._curve, self._saved = (widgets.HTML() for _ in range(4))
        self._train.on_click(lambda _: panel.start())
        self._stop.on_click(lambda _: panel.stop())
        link((panel, "metric"), (self._metric, "value"))
        folds = widgets.Accordion(
            [self._of_curve(widgets), self._of_run(widgets)], titles=("Curve", "Run")
        )
        self.draw = base.guarded(self._draw, self._status)
        panel.observe(self.draw, ["attempts", "metric", "curve"])
        self.draw()
        box = widgets.VBox(
            [widgets.HBox([self._train, self._stop, self._metric, self._bar]),
             self._status, self._news, self._curve, folds]
        )  # fmt: skip
        self.box = keys.capture(box)

    def _of_curve(self, widgets):
        """How the curve is drawn: one control for each field of a `curves.View` but the metric."""
        start, panel = self._panel.curve, self._panel
        controls = {
            "left": widgets.Dropdown(options=list(curves.LEFT), description="Left chart"),
            "x": widgets.Dropdown(options=list(curves.X_AXES), description="X axis"),
            "smoothing": widgets.FloatSlider(max=0.95, step=0.05, description="Smoothing"),
            "log": widgets.Checkbox(description="Logarithmic"),
        }
        for name, control in controls.items():
            control.value = getattr(start, name)
            control.observe(
                lambda change, name=name: panel.set_trait(
                    "curve", replace(panel.curve, **{name: change["new"]})
                ), "value",
            )  # fmt: skip
        return widgets.HBox([*controls.values()], layout={"flex_flow": "row wrap"})

    def _of_run(self, widgets):
        """Name and notes of the last run, and a button that saves the model into it."""
        self._name = widgets.Text(description="Name", continuous_update=False)
        self._notes = widgets.Textarea(description="Notes", continuous_update=False)
        self._save = widgets.Button(
            description="Save the model", icon="save", tooltip="Into the folder of this run"
        )
        edit, save = (base.guarded(work, self._saved) for work in (self._edit, self._save_model))
        self._name.observe(edit, "value")
        self._notes.observe(edit, "value")
        self._save.on_click(save)
        return widgets.VBox([self._name, self._notes, self._save, self._saved])

    def _edit(self, _) -> None:
        if not self._busy:
            runs.annotate(self._run, name=self._name.value, notes=self._notes.value)
            self._saved.value = base.status_line("Name and notes are saved.", "good")

    def _save_model(self, _) -> None:
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

    def _draw(self, change: dict | None = None) -> None:
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
            now = (running, panel.metric, panel.curve, last)
            self._curve.value = curves.svg(panel.chart(LIVE_POINTS)) if running else ""
            if now != self._drawn and self._output is not None:
                # Plotly draws an output once; another kind in between makes it draw anew.
                self._output.update(EMPTY, raw=True)
                if not running:
                    self._output.update(panel.still(), raw=True)
            self._drawn = now

    def _draw_run(self, run) -> None:
        """The controls of a run that has just been written; none of them works without one."""
        for control in (self._name, self._notes, self._save):
            control.disabled = run is None
        if run != self._run:
            with base.marked(self._busy):
                self._name.value = "" if run is None else run.name
                self._notes.value = self._saved.value = ""
            self._run = run
