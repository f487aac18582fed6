"""Switchboard: the switches of a training loop, and at once what they do to curve and boundary."""

import json
import math
import threading
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from workbench.errors import UserError, unknown
from workbench.evaluation import plots
from workbench.training.history import History
from workbench.widgets import base, keys

SHARES = (0.0, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
GROUPS = {
    "Points and network": {
        "data": ("XOR", "two moons", "circles", "noisy blobs"),
        "activation": ("ReLU", "tanh", "sigmoid"),
        "depth": (1, 2, 3, 4, 6, 8),
        "hidden": (2, 4, 8, 16, 32, 64),
    },
    "Steps": {
        "optimiser": ("sgd", "momentum", "adam", "adamw"),
        "learning_rate": (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
        "clip": (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
        "batch_norm": (False, True),
    },
    "Regularisation": {
        "l1": SHARES,
        "l2": SHARES,
        "dropout": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
    },
}
CHOICES = {name: choices for group in GROUPS.values() for name, choices in group.items()}
DEFAULTS = {
    "data": "two moons", "activation": "ReLU", "depth": 2, "hidden": 32,
    "optimiser": "adam", "learning_rate": 0.003, "clip": 0.0, "batch_norm": False,
    "l1": 0.0, "l2": 0.0, "dropout": 0.0,
}  # fmt: skip
WORDS = {
    "data": "points", "depth": "layers", "hidden": "neurons", "clip": "clip at",
    "learning_rate": "learning rate", "batch_norm": "batch norm", "l1": "L1", "l2": "L2",
    "sgd": "gradient descent", "adam": "Adam", "adamw": "AdamW",
}  # fmt: skip
MEASURES = {
    "loss": ("loss", "training"), "validation_loss": ("loss", "validation"),
    "accuracy": ("accuracy", "training"), "validation_accuracy": ("accuracy", "validation"),
    "gradient_first": ("gradient", "first layer"), "gradient_last": ("gradient", "last layer"),
}  # fmt: skip
EPOCHS = 60
GUESSING = math.log(2)
REACH, CELLS = 3.0, 41  # the plane is drawn from −3 to 3


class Switchboard(base.Shown):
    """Switches of a training loop on points of a plane: loss curves, decision boundary, a reading.

    Parameters
    ----------
    train : ``train(sets, epochs=…, start=…, **switches)`` → (torch network, `History`); sets is (x,
        y, validation x, validation y), the switches are those of `DEFAULTS` without ``data``, 0 is
        off, and ``activation`` arrives as a class of `torch.nn`. The History has one row an epoch
        with step, loss, accuracy, validation_loss and validation_accuracy.
    settings : where the switches stand at the start; `value` has all of them.

    Raises
    ------
    UserError : there is no such switch, or it has no such position.
    """

    def __init__(self, train: Callable, *, seed: int = 0, **settings) -> None:
        self.value = DEFAULTS | _checked(settings)
        self.seed, self._function = seed, train
        self._now: tuple[dict, History, pd.DataFrame] | None = None
        self._before, self._failure = None, ""
        self._views: list[tuple[dict, Callable]] = []
        self._lock, self._busy = threading.Lock(), False

    def train(self) -> tuple[History, pd.DataFrame]:
        """As `trained`, with the switches as they stand."""
        return trained(self._function, self.value, self.seed)

    def change(self, **settings) -> None:
        """Turn switches; a thread trains, and of what is turned meanwhile only the last counts."""
        with self._lock:
            self.value = self.value | _checked(settings)
            shown = self._now and self.value == self._now[0] and not self._failure
            idle = not self._busy and not shown
            self._busy = self._busy or idle
        for controls, _ in self._views:
            for name in settings:
                controls[name].value = self.value[name]
        if idle:
            threading.Thread(target=self._follow, daemon=True).start()

    def still(self) -> dict:
        """Curves and boundary as one chart, the reading, the numbers behind both."""
        self._now = (self.value, *self.train())
        text, _ = reading(self._now[1])
        bundle = plots.Renderer().to_mimebundle(self._figure().to_plotly_json())
        rest = f"<details><summary>Data</summary>{self._numbers()}{self._data()}</details>"
        bundle["text/html"] = f"<p>{base.escape(text)}</p>{bundle['text/html']}{rest}"
        bundle["text/plain"] += f"\n{text}"
        return bundle

    def view(self):
        widgets = base.toolkit()
        if self._now is None:
            self._show(self.value)
        controls = {name: _control(widgets, name, self.value[name]) for name in CHOICES}
        for name, control in controls.items():
            control.observe(lambda change, name=name: self.change(**{name: change.new}), "value")
        groups = [
            widgets.VBox(
                [widgets.HTML(f"<b>{title}</b>"), *(controls[name] for name in group)],
                layout={"flex": "1 1 240px"},
            )
            for title, group in GROUPS.items()
        ]
        status, chart, table = widgets.HTML(), widgets.Output(), widgets.HTML()
        data = widgets.Accordion([table], titles=["Data"], selected_index=None)

        def draw() -> None:
            if self._failure:
                status.value = base.status_line(self._failure, "bad")
            else:
                status.value = base.status_line(*reading(self._now[1])) + self._numbers()
                chart.outputs = (_output(self._figure()),)
                table.value = self._data()

        self._views.append((controls, draw))
        draw()
        row = widgets.HBox(groups, layout={"flex_flow": "row wrap"})
        return keys.capture(widgets.VBox([row, status, chart, data]))

    def _follow(self) -> None:
        """Train until what is on show is what the switches say."""
        while True:
            wanted = self.value
            self._show(wanted)
            for _, draw in self._views:
                draw()
            with self._lock:
                if self.value == wanted:
                    self._busy = False
                    return

    def _show(self, settings: dict) -> None:
        """Train; what a function under construction raises is told, and the last curve stays."""
        try:
            now = (settings, *trained(self._function, settings, self.seed))
            self._now, self._before, self._failure = now, self._now, ""
        except Exception as error:
            self._failure = base.error_message(error)

    def _figure(self):
        settings, history, boundary = self._now
        figure = _boundary(boundary, plane(settings["data"], 120, self.seed))
        figure.update_layout(title="Loss in each epoch, and where the network says 1 (orange)")
        if self._before:
            grey = {"color": "rgba(128,128,128,.7)", "width": 1.5}
            _add_curves(figure, self._before[1], "before: ", grey)
        losses = [loss for loss in history.column("validation_loss")[1] if loss is not None]
        top = min(max(1.0, 1.2 * losses[-1]), 5.0) if losses else 1.0
        figure.update_yaxes(range=[0, top], row=1, col=1)
        return _add_curves(figure, history)

    def _numbers(self) -> str:
        """The last measurements, and those of before with what has been turned since."""
        rows = {"now": self._now[1][-1], "before": {}}
        if self._before:
            earlier, now = self._before[0], self._now[0]
            turned = [f"{_say(n)} {_say(earlier[n])}" for n in now if earlier[n] != now[n]]
            rows = {"now": rows["now"], f"before: {', '.join(turned)}": self._before[1][-1]}
        frame = pd.DataFrame(rows).T.reindex(columns=list(MEASURES))
        frame.columns = pd.MultiIndex.from_tuples(MEASURES.values())
        return _table(frame.map(lambda v: "–" if v is None or v != v else f"{v:.3g}"))

    def _data(self) -> str:
        return _table(self._now[1].frame().set_index("step")[list(MEASURES)[:4]].round(4))


def trained(function: Callable, settings: dict, seed: int) -> tuple[History, pd.DataFrame]:
    """Train on 120 points of the plane, with 240 others to validate on.

    Returns
    -------
    The History, whose last row also holds the norms of the loss's gradient for the weights of the
    first and of the last layer; and the probability of class 1, a row for each y, a column for
    each x.

    Raises
    ------
    UserError : the function's History is empty or lacks a column.
    """
    import torch
    from torch import nn

    switches = {name: setting for name, setting in settings.items() if name != "data"}
    kinds = {"ReLU": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
    switches["start"] = "he" if settings["activation"] == "ReLU" else "xavier"
    switches["activation"] = kinds[settings["activation"]]
    sets = []
    for n, draw in ((120, seed), (240, seed + 1)):
        points, labels = plane(settings["data"], n, draw)
        sets += [torch.tensor(points, dtype=torch.float32), torch.tensor(labels)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on matrices this small a second one is only waited for
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network, history = function(tuple(sets), epochs=EPOCHS, **switches)
    finally:
        torch.set_num_threads(threads)
    lacking = [name for name in list(MEASURES)[:4] if not history or name not in history[-1]]
    if lacking:
        raise UserError(f"The rows of the History lack {', '.join(lacking)}.")
    network.eval().zero_grad()
    nn.functional.cross_entropy(network(sets[0]), sets[1]).backward()
    norms = [p.grad.norm().item() for p in network.parameters() if p.dim() > 1]
    measured = History(history[:-1])
    measured.log(**history[-1], gradient_first=norms[0], gradient_last=norms[-1])
    axis = np.linspace(-REACH, REACH, CELLS)
    grid = torch.tensor(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2), dtype=torch.float32)
    with torch.no_grad():
        ones = network(grid).softmax(1)[:, 1].reshape(CELLS, CELLS).numpy()
    return measured, pd.DataFrame(ones, axis, axis)


def reading(history: History) -> tuple[str, str]:
    """What became of a training, in a sentence, and whether it is good or bad news.

    The first that is true. Diverged: a loss is no number; diverging: by the rule of
    `History.reading`. Vanishing gradients: the first layer's is less than a thousandth of the last
    one's, and less than four fifths of the training points are right. Worse than guessing: the
    training loss at the end or the lowest validation loss is more than 5% above log 2. Overfits:
    the validation loss has risen by more than a tenth from its lowest, while the training loss
    fell. Learned: four fifths of the validation points are right.
    """
    end, curve = history[-1], history.reading()
    if any(None in (row["loss"], row["validation_loss"]) for row in history):
        return "Diverged: the loss is no number. Try a smaller learning rate or clipping.", "bad"
    if curve.startswith("Diverging"):
        return curve, "bad"
    if end["accuracy"] < 0.8 and end["gradient_first"] < end["gradient_last"] / 1000:
        return (
            "Vanishing gradients: the first layer gets less than a thousandth of what the last one "
            "gets. Try ReLU, batch norm or fewer layers."
        ), "bad"
    best = min(history, key=lambda row: row["validation_loss"])
    low, high = best["validation_loss"], end["validation_loss"]
    if max(end["loss"], low) > 1.05 * GUESSING:
        return (
            f"Worse than guessing, whose loss is {GUESSING:.3f}: training {end['loss']:.3f}, "
            f"validation {high:.3f}. Try a smaller learning rate or clipping."
        ), "bad"
    if high > 1.1 * low and end["loss"] < best["loss"]:
        return (
            f"Overfits since epoch {best['step']}: the validation loss was {low:.3f} and is "
            f"{high:.3f}, while the training loss falls. Try L1, L2 or dropout."
        ), "bad"
    score = f"{100 * end['validation_accuracy']:.0f}% of the validation points are right."
    if end["validation_accuracy"] >= 0.8:
        return f"Learned: {score}", "good"
    return f"Not learned yet: {score} Try a higher learning rate or more neurons.", "plain"


def plane(data: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points about the origin, shape (n, 2), and their labels, 0 or 1."""
    from sklearn import datasets

    if data == "XOR":
        rng = np.random.default_rng(seed)
        corners = rng.choice([-1.0, 1.0], (n, 2))
        return corners + rng.normal(0, 0.5, (n, 2)), (corners[:, 0] != corners[:, 1]).astype(int)
    if data == "two moons":
        points, labels = datasets.make_moons(n, noise=0.25, random_state=seed)
        return 1.3 * (points - [0.5, 0.25]), labels
    if data == "circles":
        points, labels = datasets.make_circles(n, noise=0.15, factor=0.4, random_state=seed)
        return 1.6 * points, labels
    centres = [(-0.7, -0.7), (0.7, 0.7)]
    return datasets.make_blobs(n, centers=centres, cluster_std=1.0, random_state=seed)


def _checked(settings: dict) -> dict:
    for name, setting in settings.items():
        if name not in CHOICES:
            raise unknown("switch", name, CHOICES)
        if setting not in CHOICES[name]:
            raise unknown(f"position of the switch {name},", setting, map(str, CHOICES[name]))
    return settings


def _say(x) -> str:
    if isinstance(x, str):
        return WORDS.get(x, x)
    return "on" if x is True else "off" if x == 0 else f"{x:g}"


def _control(widgets, name: str, setting):
    few = isinstance(setting, str | bool)
    kind = widgets.Dropdown if few else partial(widgets.SelectionSlider, continuous_update=False)
    return kind(
        options=[(_say(choice), choice) for choice in CHOICES[name]], value=setting,
        description=_say(name), style={"description_width": "85px"}, layout={"width": "auto"},
    )  # fmt: skip


def _boundary(boundary: pd.DataFrame, points: tuple[np.ndarray, np.ndarray]):
    """The right half of the picture: the plane in the network's eyes, and the training points."""
    from plotly.subplots import make_subplots

    figure = make_subplots(1, 2, column_widths=[0.55, 0.45])
    colours = [[0, plots.COLOURS[0]], [0.5, "#f2f2f2"], [1, plots.COLOURS[1]]]
    figure.add_heatmap(
        x=boundary.columns, y=boundary.index, z=boundary.round(3), zmin=0, zmax=1,
        colorscale=colours, opacity=0.6, zsmooth="best", colorbar={"title": "p(1)"}, row=1, col=2,
    )  # fmt: skip
    for label in (0, 1):
        x, y = points[0][points[1] == label].T
        marker = {"symbol": plots.MARKERS[label], "color": plots.COLOURS[label], "size": 7,
                  "line": {"color": "white", "width": 1}}  # fmt: skip
        figure.add_scatter(
            x=x, y=y, mode="markers", name=f"class {label}", marker=marker, row=1, col=2
        )
    figure.update_xaxes(title={"text": "epoch", "standoff": 5}, row=1, col=1)
    figure.update_yaxes(title="loss (nats)", row=1, col=1)
    figure.update_xaxes(range=[-REACH, REACH], row=1, col=2)
    figure.update_yaxes(range=[-REACH, REACH], row=1, col=2)
    return figure.update_layout(
        legend={"orientation": "h", "y": -0.2}, height=400, margin={"b": 90}, uirevision="kept"
    )


def _table(frame: pd.DataFrame) -> str:
    # The class has the look that JupyterLab gives to tables outside of widgets.
    return f'<div class="jp-RenderedHTMLCommon">{base.table_html(frame)}</div>'


def _add_curves(figure, history: History, prefix: str = "", look: dict | None = None):
    for i, key in enumerate(("loss", "validation_loss")):
        x, y = history.column(key)
        line = {"color": plots.COLOURS[i], "dash": plots.DASHES[2 - 2 * i]} | (look or {})
        name = prefix + MEASURES[key][1]
        figure.add_scatter(x=x, y=y, name=name, mode="lines", line=line, row=1, col=1)
    return figure


def _output(figure) -> dict:
    # By way of JSON: a network that has diverged says NaN, which a message must not hold.
    content = json.loads(figure.to_json()) | {"config": plots.CONFIG}
    data = {"application/vnd.plotly.v1+json": content, "text/plain": "loss and boundary"}
    return {"output_type": "display_data", "data": data, "metadata": {}}
