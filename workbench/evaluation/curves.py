"""The curves of a training while it runs: a chart for plotly, and the same drawn as SVG."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.evaluation import plots, scores
from workbench.training.history import History

X_AXES = {"steps": "step", "epochs": "epoch", "seconds": "seconds"}
LEFT = {"loss": ("loss", "mlm_loss", "validation_loss"), "learning rate": ("learning_rate",),
        "gradient norm": ("grad_norm",)}  # fmt: skip
# By the key of the rows: label, colour and marker; validation loss and score share neither.
_STYLES = {
    "loss": ("training", 0, "circle"), "mlm_loss": ("masked LM", 3, "circle"),
    "learning_rate": ("learning rate", 0, "circle"), "grad_norm": ("gradient norm", 0, "circle"),
    "validation_loss": ("validation", 1, "square"),
    "validation_accuracy": ("accuracy", 2, "diamond"),
    "validation_macro_f1": ("macro_f1", 2, "diamond"),
}  # fmt: skip
_SHAPES = {"square": "M{:.1f} {:.1f}m-3-3h6v6h-6z", "diamond": "M{:.1f} {:.1f}m0-5l5 5-5 5-5-5z"}
HEIGHT = 0.1  # that the axis of a score spans at least: less would show noise as if it were news
TITLES = 60  # points of a curve that say their value when pointed at


@dataclass(frozen=True)
class View:
    """How curves are drawn.

    Parameters
    ----------
    metric : of the right chart: ``"accuracy"`` or ``"macro_f1"``.
    left : of the left chart: ``"loss"``, ``"learning rate"`` or ``"gradient norm"``.
    x : ``"steps"``, ``"epochs"`` or ``"seconds"`` since training began.
    smoothing : weight of the past, from 0 to 1, in the moving average of what is no validation.
    log : whether the left chart has a logarithmic axis.
    """

    metric: str = "accuracy"
    left: str = "loss"
    x: str = "steps"
    smoothing: float = 0.0
    log: bool = False


def chart(
    attempts: Sequence[tuple[str, History]], view: View | None = None, most: int = 2000
) -> dict:
    """Loss on the left and a validation metric on the right, as a plotly figure in plain dicts.

    A `plotly.graph_objects.Figure` of it takes four milliseconds more, four times a second.

    Parameters
    ----------
    attempts : name and history of each training, the newest last; the others stand behind it as
        grey ghosts. The accuracy of the newest has its 95% Wilson interval around it.
    most : points of a curve; a longer one is thinned out evenly, its last point stays.
    """
    view, traces = view or View(), []
    x = _x_axis([history for _, history in attempts], view.x)
    for i, (name, history) in enumerate(attempts):
        ghost = plots.DASHES[1 + i % 5] if i < len(attempts) - 1 else ""
        own = [
            trace for key in (*LEFT[view.left], f"validation_{view.metric}")
            for trace in _traces(history, key, X_AXES[x], view.smoothing, most, not ghost)
        ]  # fmt: skip
        for trace in own if ghost else ():
            line = {"color": "rgba(128,128,128,.6)", "width": 1, "dash": ghost}
            shown = {"name": name, "legendgroup": name, "showlegend": trace is own[0]}
            trace |= {"line": line, **shown}
        if own and len(attempts) > 1 and not ghost:
            own[0]["name"] = f"{name}: {own[0]['name']}"
        traces += own
    layout = {
        "template": plots.TEMPLATE, "uirevision": "kept", "height": 380, "margin": {"t": 20},
        "xaxis": {"title": {"text": x}}, "legend": {"orientation": "h", "y": -0.3},
        "yaxis": {"title": {"text": view.left}, "type": "log" if view.log else "linear"},
        "showlegend": True,
    }  # fmt: skip
    heights = [trace["y"] for trace in traces if trace["yaxis"] == "y2"]
    if heights:
        layout["xaxis"]["domain"], second = [0, 0.6], {"domain": [0.7, 1], "anchor": "y2"}
        layout["xaxis2"] = {"title": {"text": x}, "matches": "x"} | second
        layout["yaxis2"] = {"title": {"text": f"validation {view.metric}"}, "anchor": "x2",
                            "range": _range(np.concatenate(heights))}  # fmt: skip
    return {"data": traces, "layout": layout}


def _x_axis(histories: Sequence[History], wanted: str) -> str:
    """Epochs in place of steps where a history counts its steps in epochs."""
    by_epoch = (h and all(row.get("epoch") == row["step"] for row in h) for h in histories)
    return "epochs" if wanted == "steps" and any(by_epoch) else wanted


def _traces(
    history: History, key: str, over: str, smoothing: float, most: int, interval: bool
) -> list[dict]:
    """The curve of one key, behind it the interval of an accuracy; nothing where no row has it."""
    x, y = (np.array(part, np.float32) for part in history.column(key, over))
    if not len(x):
        return []
    label, colour, marker = _STYLES[key]
    validates = key.startswith("validation")
    if smoothing and not validates:
        y = pd.Series(y).ewm(alpha=1 - smoothing).mean().to_numpy(np.float32)
    chosen = np.unique(np.linspace(0, len(x) - 1, min(most, len(x))).round().astype(int))
    axis = "2" if label in ("accuracy", "macro_f1") else ""
    found = {
        "type": "scatter", "x": x[chosen], "y": y[chosen], "name": label,
        "mode": "lines+markers" if validates else "lines",
        "line": {"color": plots.COLOURS[colour], "width": 2},
        "marker": {"symbol": marker, "size": 7}, "cliponaxis": False,
        "xaxis": f"x{axis}", "yaxis": f"y{axis}",
    }  # fmt: skip
    counts = history.column("validation_n", over)[1]
    if label != "accuracy" or not interval or len(counts) < len(x):
        return [found]
    bounds = [scores.wilson(round(float(y[i]) * counts[i]), counts[i]) for i in chosen]
    low, high = np.array(bounds, np.float32).T
    band = found | {
        "x": np.r_[found["x"], found["x"][::-1]], "y": np.r_[high, low[::-1]], "mode": "lines",
        "name": "95% interval", "fill": "toself", "fillcolor": "rgba(0,158,115,.15)",
        "line": {"color": "rgba(0,158,115,.4)", "width": 1}, "hoverinfo": "skip",
    }  # fmt: skip
    return [band, found]


def _range(heights: np.ndarray) -> list[float]:
    """From the lowest to the highest score, `HEIGHT` at least, and within 0 and 1."""
    low, high = float(np.nanmin(heights)), float(np.nanmax(heights))
    missing = max(0.0, HEIGHT - (high - low)) / 2
    low = min(max(0.0, low - missing), 1 - HEIGHT)
    return [low, min(1.0, max(high + missing, low + HEIGHT))]


def svg(chart: dict, width: int = 860, height: int = 300) -> str:
    """A `chart` as SVG: drawn at once, by every page, without a script; empty without curves.

    It is the live view because it leaves the cores to the training: see the numbers in
    benchmarks/README.md.
    """
    if not chart["data"]:
        return ""
    second = any(trace["yaxis"] == "y2" for trace in chart["data"])
    shapes = [_pane(chart, "y", 60, width * (0.54 if second else 0.9), height - 60)]
    if second:
        shapes.append(_pane(chart, "y2", width * 0.72, width * 0.25, height - 60))
    left = 60
    for trace in chart["data"]:
        if not trace.get("showlegend", True):
            continue
        wide = 44 + 7 * len(trace["name"])
        if left > 60 and left + wide > width:
            left, height = 60, height + 18
        shapes.append(
            f'<path d="M{left} {height - 8}h22" {_stroke(trace)}/>'
            f'<text x="{left + 28}" y="{height - 4}">{html.escape(trace["name"])}</text>'
        )
        left += wide
    label = html.escape(f"{chart['layout']['yaxis']['title']['text']} over the training")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {max(width, left)} {height}" '
        f'style="max-width:100%;width:{width}px" role="img" aria-label="{label}" '
        f'font-family="sans-serif" font-size="12" fill="#767676">{"".join(shapes)}</svg>'
    )


def _pane(chart: dict, axis: str, left: float, width: float, bottom: float) -> str:
    """The curves of one pair of axes, with a grid and its numbers."""
    layout = chart["layout"]
    x_axis, y_axis = (layout[f"{name}axis{axis[1:]}"] for name in "xy")
    log = y_axis.get("type") == "log"
    traces = [trace for trace in chart["data"] if trace["yaxis"] == axis]
    points = [np.column_stack([trace["x"], trace["y"]]).astype(float) for trace in traces]
    for each in points if log else ():
        each[:, 1] = np.log10(each[:, 1], where=each[:, 1] > 0, out=np.full(len(each), np.nan))
    points = [each[np.isfinite(each).all(axis=1)] for each in points]
    known = np.vstack([np.empty((0, 2)), *points])
    if not len(known):
        return ""
    low, high = known.min(axis=0), known.max(axis=0)
    low[1], high[1] = y_axis.get("range", (low[1], high[1]))
    scale = np.array([width, 16 - bottom]) / np.maximum(high - low, 1e-9)
    shapes = [
        f'<text x="{left}" y="11">{html.escape(y_axis["title"]["text"])}</text>'
        f'<text x="{left + width}" y="{bottom + 20}" text-anchor="end">'
        f"{x_axis['title']['text']}: {low[0]:.5g} to {high[0]:.5g}</text>"
    ]
    for value in np.unique(np.linspace(low[1], high[1], 5)):
        y, number = bottom + (value - low[1]) * scale[1], 10**value if log else value
        shapes.append(
            f'<path d="M{left} {y:.1f}h{width:.1f}" stroke="#767676" stroke-opacity=".25"/>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{number:.3g}</text>'
        )
    for trace, each in zip(traces, points, strict=True):
        places = ((each - low) * scale + [left, bottom]).round(1)
        shapes.append(_curve(trace, places, 10 ** each[:, 1] if log else each[:, 1], each[:, 0]))
    return "".join(shapes)


def _curve(trace: dict, places: np.ndarray, values: np.ndarray, x: np.ndarray) -> str:
    """A line or an area, its markers, and points that say their value when pointed at."""
    line = " ".join(f"{left},{top}" for left, top in places.tolist())
    if "fill" in trace:
        return f'<polygon points="{line}" fill="{trace["fillcolor"]}"/>'
    shapes = [f'<polyline points="{line}" fill="none" {_stroke(trace)}/>']
    if "markers" in trace["mode"]:
        shape = _SHAPES[trace["marker"]["symbol"]]
        marks = "".join(shape.format(*place) for place in places)
        shapes.append(f'<path d="{marks}" fill="{trace["line"]["color"]}"/>')
    for i in np.unique(np.linspace(0, len(x) - 1, min(TITLES, len(x))).astype(int)):
        shapes.append(
            f'<circle cx="{places[i, 0]}" cy="{places[i, 1]}" r="6" fill-opacity="0"><title>'
            f"{html.escape(trace['name'])}: {values[i]:.4g} at {x[i]:.5g}</title></circle>"
        )
    return "".join(shapes)


def _stroke(trace: dict) -> str:
    line = trace["line"]
    dash = ' stroke-dasharray="5 4"' if "dash" in line else ""
    return f'stroke="{line["color"]}" stroke-width="{line["width"]}"{dash}'
