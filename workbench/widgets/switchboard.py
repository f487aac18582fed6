"""Switchboard: the switches of a training loop, and at once what they do to curve and boundary."""

import threading
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pandas as pd
from traitlets import Any, Dict

from workbench.errors import unknown
from workbench.evaluation import curves, plots
from workbench.models import toy
from workbench.training.history import History
from workbench.widgets import base, controls, tables


class Switch(NamedTuple):
    """A setting of the training loop: its name on the board, its default and its choices."""

    label: str
    default: object
    choices: tuple


_PENALTIES = (0.0, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
_RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
GROUPS = {
    "Points and network": {
        "data": Switch("points", "two moons", toy.POINTS),
        "activation": Switch("activation", "ReLU", ("ReLU", "tanh", "sigmoid")),
        "depth": Switch("layers", 2, (1, 2, 3, 4, 6, 8)),
        "hidden": Switch("neurons", 32, (2, 4, 8, 16, 32, 64)),
    },
    "Steps": {
        "optimiser": Switch("optimiser", "adam", ("sgd", "momentum", "adam", "adamw")),
        "learning_rate": Switch("learning rate", 0.003, _RATES),
        "clip": Switch("clip at", 0.0, (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)),
        "batch_norm": Switch("batch norm", False, (False, True)),
    },
    "Regularisation": {
        "l1": Switch("L1", 0.0, _PENALTIES),
        "l2": Switch("L2", 0.0, _PENALTIES),
        "dropout": Switch("dropout", 0.0, (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)),
    },
}
SWITCHES = {name: switch for group in GROUPS.values() for name, switch in group.items()}
HEIGHT = 340  # of the chart and of the switches beside it, as much as a projector shows
MEASURES = {
    "loss": "loss, training", "validation_loss": "loss, validation",
    "accuracy": "accuracy, training", "validation_accuracy": "accuracy, validation",
    "gradient_first": "gradient, first layer", "gradient_last": "gradient, last layer",
}  # fmt: skip


class Result(NamedTuple):
    """One training with its switches: what `toy.train` returned, and the result before it."""

    settings: dict
    history: History = History()
    boundary: pd.DataFrame | None = None
    before: "Result | None" = None
    error: str = ""  # of a training that failed; the rest is then that of the one before


class Switchboard(base.Shown):
    """Switches of a training loop on points of a plane: loss curves, decision boundary, a reading.

    Parameters
    ----------
    train : ``train(sets, epochs=…, start=…, **switches)`` → (torch network, `History`); sets is (x,
        y, validation x, validation y), the switches are those of `SWITCHES` without ``data``, 0 is
        off, and ``activation`` arrives as a class of `torch.nn`. The History has one row an epoch
        with step, loss, accuracy, validation_loss and validation_accuracy.
    settings : where the switches stand at the start; `value` has all of them.

    Attributes
    ----------
    value : the positions of all switches, a dict; `change` turns them.
    result : `Result` of the last training.

    Raises
    ------
    UserError : there is no such switch, or it has no such position.
    """

    value = Dict()
    result = Any()

    def __init__(self, train: Callable, *, seed: int = 0, **settings) -> None:
        defaults = {name: switch.default for name, switch in SWITCHES.items()}
        super().__init__(value=defaults | _checked(settings))
        self.seed, self._function = seed, train
        self._lock, self._busy = threading.Lock(), False

    def train(self) -> tuple[History, pd.DataFrame]:
        """As `toy.train`, with the switches as they stand."""
        return toy.train(self._function, self.value, self.seed)

    def change(self, **settings) -> None:
        """Turn switches; a thread trains, and of what is turned meanwhile only the last counts."""
        self.value = self.value | _checked(settings)
        last = self.result
        with self._lock:
            if self._busy or (last and last.settings == self.value and not last.error):
                return
            self._busy = True
        threading.Thread(target=self._follow, daemon=True).start()

    def still(self) -> dict:
        """Curves and boundary as one chart, the reading, the numbers behind both."""
        result = self.result = Result(self.value, *self.train())
        text, _ = toy.diagnose(result.history)
        bundle = plots.Renderer().to_mimebundle(_figure(result, self.seed))
        rest = base.fold("Data", _numbers(result) + _data(result))
        bundle["text/html"] = f"<p>{base.escape(text)}</p>{bundle['text/html']}{rest}"
        bundle["text/plain"] += f"\n{text}"
        return bundle

    def snapshot(self) -> dict:
        """The reading, the loss curves as SVG and the numbers: without the script of a chart."""
        result = self.result
        text, _ = toy.diagnose(result.history)
        curve = curves.svg(curves.chart([("", result.history)]))
        return {"text/html": f"<p>{base.escape(text)}</p>{curve}{_numbers(result)}"}

    def view(self):
        kit = base.toolkit()
        if self.result is None:
            self._show(self.value)
        status, chart, table = kit.HTML(), kit.Output(), kit.HTML()
        switches = {name: _control(kit, name, self.value[name]) for name in SWITCHES}

        def draw(_=None) -> None:
            result = self.result
            if result.error:
                status.value = base.status_line(result.error, "bad")
                return
            chart.outputs = base.chart_outputs(_figure(result, self.seed))
            table.value = _data(result)
            status.value = base.status_line(*toy.diagnose(result.history)) + _numbers(result)

        def change(name, setting) -> None:
            self.change(**{name: setting})

        show = controls.bind(switches, lambda: (self.value, {}), change, status)
        draw = base.guarded(draw, status)
        self.observe(show, "value")
        self.observe(draw, "result")
        draw()
        groups = [
            kit.VBox([kit.HTML(f"<b>{title}</b>"), *(switches[name] for name in group)],
                     layout={"flex": "0 0 auto"})
            for title, group in GROUPS.items()
        ]  # fmt: skip
        # Side by side, so that switch and curve are seen at once on a projector.
        room = kit.VBox(groups, layout={"flex": "1 1 220px", "height": f"{HEIGHT}px"})
        room.layout.overflow, chart.layout.flex = "hidden auto", "3 1 380px"
        chart.layout.min_width = "0"  # that of a chart which has been drawn would be its width
        data = kit.Accordion([table], titles=["Data"], selected_index=None)
        return controls.box(controls.row(room, chart), status, data)

    def _follow(self) -> None:
        """Train until what is shown is what the switches say."""
        while True:
            wanted = self.value
            self._show(wanted)
            with self._lock:
                if self.value == wanted:
                    self._busy = False
                    return

    def _show(self, settings: dict) -> None:
        """Train; the error of a function under construction is shown, and the last curve stays."""
        last = self.result or Result({})
        try:
            trained = toy.train(self._function, settings, self.seed)
            before = last._replace(before=None) if last.history else None
            self.result = Result(settings, *trained, before)
        except Exception as error:
            self.result = last._replace(error=base.error_message(error))


def _checked(settings: dict) -> dict:
    for name, setting in settings.items():
        if name not in SWITCHES:
            raise unknown("switch", name, SWITCHES)
        if setting not in (choices := SWITCHES[name].choices):
            raise unknown(f"position of the switch {name},", setting, map(str, choices))
    return settings


def _label(setting) -> str:
    if isinstance(setting, str):
        return {"sgd": "gradient descent", "adam": "Adam", "adamw": "AdamW"}.get(setting, setting)
    return "on" if setting is True else "off" if setting == 0 else f"{setting:g}"


def _control(widgets, name: str, setting):
    few = isinstance(setting, str | bool)
    kind = widgets.Dropdown if few else partial(widgets.SelectionSlider, continuous_update=False)
    return kind(
        options=[(_label(choice), choice) for choice in SWITCHES[name].choices], value=setting,
        description=SWITCHES[name].label, style={"description_width": "85px"},
        layout={"width": "auto"},
    )  # fmt: skip


def _figure(result: Result, seed: int) -> dict:
    """Loss curves on the left; the plane in the network's eyes and the points on the right."""
    named = [("before", result.before.history)] if result.before else []
    chart = curves.chart([*named, ("now", result.history)])
    right, axis = {"xaxis": "x2", "yaxis": "y2"}, {"range": [-toy.RANGE, toy.RANGE]}
    plane, (points, labels) = result.boundary, toy.make_points(result.settings["data"], 120, seed)
    traces = [right | {
        "type": "heatmap", "x": plane.columns, "y": plane.index, "z": plane.round(3).to_numpy(),
        "zmin": 0, "zmax": 1, "opacity": 0.6, "zsmooth": "best", "showscale": False,
        "colorscale": [[0, plots.COLOURS[0]], [0.5, "#f2f2f2"], [1, plots.COLOURS[1]]],
    }]  # fmt: skip
    for label in (0, 1):
        x, y = points[labels == label].T
        marker = {"symbol": plots.MARKERS[label], "color": plots.COLOURS[label], "size": 7,
                  "line": {"color": "white", "width": 1}}  # fmt: skip
        named = {"type": "scatter", "mode": "markers", "name": f"class {label}"}
        traces.append(right | named | {"x": x, "y": y, "marker": marker})
    for each in chart["data"]:
        if each["yaxis"] == "y":  # each epoch is a point: markers would hide the curve
            dash = {"dash": "dot"} if each["name"].endswith("training") else {}
            traces.append(each | {"mode": "lines", "line": each["line"] | dash})
    losses = [loss for loss in result.history.column("validation_loss")[1] if loss is not None]
    top = min(max(1.0, 1.2 * losses[-1]), 5.0) if losses else 1.0
    layout = chart["layout"] | {
        "title": {"text": "Loss; the network says 1 (orange)", "font": {"size": 14}},
        "xaxis": {"title": {"text": "epoch", "standoff": 5}, "domain": [0, 0.5]},
        "yaxis": {"title": {"text": "loss (nats)"}, "range": [0, top]},
        "xaxis2": axis | {"domain": [0.6, 1], "anchor": "y2"}, "yaxis2": axis | {"anchor": "x2"},
        "legend": {"orientation": "h", "y": -0.25}, "height": HEIGHT,
        "margin": {"t": 40, "b": 90, "l": 45},
    }  # fmt: skip
    return {"data": traces, "layout": layout}


def _numbers(result: Result) -> str:
    """The last measurements, and those of before with what has been turned since."""
    rows, before = {"now": result.history[-1], "before": {}}, result.before
    if before:
        turned = [f"{SWITCHES[name].label} {_label(setting)}"
                  for name, setting in before.settings.items()
                  if setting != result.settings[name]]  # fmt: skip
        rows = {"now": rows["now"], f"before: {', '.join(turned)}": before.history[-1]}
    frame = pd.DataFrame(rows).T.reindex(columns=list(MEASURES)).rename(columns=MEASURES)
    return _table(frame.map(lambda v: "–" if v is None or v != v else f"{v:.3g}"))


def _data(result: Result) -> str:
    return _table(result.history.frame().set_index("step")[list(toy.COLUMNS)].round(4))


def _table(frame: pd.DataFrame) -> str:
    # The class has the look that JupyterLab gives to tables outside of widgets.
    return f'<div class="jp-RenderedHTMLCommon">{tables.table(frame)}</div>'
