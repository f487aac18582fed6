"""A History or a table becomes a picture: pure functions that return `plotly` figures."""

import base64
import html
import json
import uuid
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
from plotly.io.base_renderers import MimetypeRenderer

from workbench.training.history import History

# Okabe and Ito's colours, told apart with every common kind of colour blindness; yellow is left
# out because it vanishes on white, and black because it vanishes on a dark theme.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"]
MARKERS = ["circle", "square", "diamond", "cross", "triangle-up", "x"]
# "Send to cloud" uploads the data of the chart: a report must not offer that by accident.
CONFIG = {"displaylogo": False, "showSendToCloud": False, "responsive": True}


# Grey text on a clear ground is readable on light and on dark pages alike.
_AXIS = {"gridcolor": "rgba(128,128,128,.25)", "zerolinecolor": "rgba(128,128,128,.4)",
         "automargin": True}  # fmt: skip
_TEMPLATE = {
    "layout": {
        "colorway": COLOURS,
        "font": {"color": "#767676", "size": 13},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "height": 380,
        "margin": {"l": 60, "r": 20, "t": 50, "b": 50},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "hoverlabel": {"align": "left"},
    }
}


class Renderer(MimetypeRenderer):
    """Shows a figure in JupyterLab and leaves HTML that needs only plotly.js on the page.

    plotly's own renderer saves nothing that nbconvert can show (plotly.py#5365).
    """

    def to_mimebundle(self, figure: dict) -> dict:
        content = json.loads(pio.to_json(figure, validate=False, remove_uids=False))
        content["config"] = CONFIG
        markup = pio.to_html(
            figure, include_plotlyjs=False, include_mathjax=False, full_html=False,
            config=CONFIG, validate=False, default_height=f"{_height(figure)}px",
        )  # fmt: skip
        return {
            "application/vnd.plotly.v1+json": content,
            "text/html": markup,
            "text/plain": _in_words(figure),
        }


def use() -> None:
    """Make the workbench's look and renderer the default for every figure."""
    import plotly.express as px

    pio.templates["workbench"] = go.layout.Template(_TEMPLATE)
    px.defaults.template = pio.templates.default = "workbench"
    px.defaults.color_discrete_sequence = COLOURS
    pio.renderers["workbench"] = Renderer()
    pio.renderers.default = "workbench"


def loss_curve(histories: History | dict[str, History], metric: str = "loss") -> go.Figure:
    """Training and validation values of `metric` over the steps, one colour a history.

    Parameters
    ----------
    histories : one History, or several by name.
    metric : a key of the rows, such as ``"loss"`` or ``"accuracy"``; the validation values are
        those of ``"validation_" + metric``.
    """
    named = {"": histories} if isinstance(histories, History) else histories
    figure = go.Figure()
    for i, (name, history) in enumerate(named.items()):
        for j, key in enumerate((metric, f"validation_{metric}")):
            steps, values = history.column(key)
            if steps:
                label = f"{name} {'validation' if j else 'training'}".strip()
                # The two curves of one model differ in colour when it is alone, else in dash.
                colour = COLOURS[(j if len(named) == 1 else i) % len(COLOURS)]
                figure.add_scatter(
                    x=steps, y=values, name=label, mode="lines+markers" if j else "lines",
                    line={"color": colour, "dash": "solid" if j or len(named) == 1 else "dot"},
                )  # fmt: skip
    return figure.update_layout(
        xaxis_title="step", yaxis_title=metric, title=f"{metric} over steps"
    )


def training_chart(
    attempts: Sequence[tuple[str, History]], metric: str = "accuracy", most: int = 2000
) -> dict:
    """Loss on the left and a validation metric on the right, as a plotly figure in plain dicts.

    Parameters
    ----------
    attempts : name and history of each training, the newest last; the others stand behind it as
        grey ghosts.
    metric : ``"accuracy"`` or ``"macro_f1"``.
    most : points of a curve; a longer one is thinned out evenly, its last point stays.

    Plain dicts with binary numbers, because a `go.Figure` of 2,000 points costs ten times as much
    and this one is drawn four times a second.
    """
    traces = []
    for i, (name, history) in enumerate(attempts):
        ghost = i < len(attempts) - 1
        for key, colour, axis, label in (
            ("loss", 0, "", "training"), ("mlm_loss", 2, "", "masked LM"),
            ("validation_loss", 1, "", "validation"), (f"validation_{metric}", 1, "2", metric),
        ):  # fmt: skip
            steps, values = _thin(history.column(key), most)
            if len(steps):
                validates = key.startswith("validation")
                line = {"color": COLOURS[colour], "width": 2}
                if ghost:
                    line = {"color": "rgba(128,128,128,.6)", "dash": DASHES[1 + i % 5], "width": 1}
                traces.append(
                    {"type": "scatter", "x": _binary(steps), "y": _binary(values), "line": line,
                     "mode": "lines+markers" if validates else "lines",
                     "marker": {"symbol": "square" if validates else "circle", "size": 6},
                     "name": f"{name}: {label}" if ghost or len(attempts) > 1 else label,
                     "xaxis": f"x{axis}", "yaxis": f"y{axis}"}
                )  # fmt: skip
    layout = {
        "template": _TEMPLATE, "uirevision": "kept", "height": 380, "margin": {"t": 20},
        "xaxis": {"title": {"text": "step"}}, "yaxis": {"title": {"text": "loss"}},
        "legend": {"orientation": "h", "y": -0.3}, "showlegend": True,
    }  # fmt: skip
    if any(trace["yaxis"] == "y2" for trace in traces):
        layout["xaxis"]["domain"], second = [0, 0.6], {"domain": [0.7, 1], "anchor": "y2"}
        layout["xaxis2"] = {"title": {"text": "step"}, "matches": "x"} | second
        layout["yaxis2"] = {"title": {"text": f"validation {metric}"}, "anchor": "x2"}
    return {"data": traces, "layout": layout}


def _thin(column: tuple[list, list], most: int) -> tuple[np.ndarray, np.ndarray]:
    steps, values = (np.array(part, np.float32) for part in column)
    if len(steps) > most:
        chosen = np.linspace(0, len(steps) - 1, most).round().astype(int)
        steps, values = steps[chosen], values[chosen]
    return steps, values


def _binary(numbers: np.ndarray) -> dict:
    """The form in which plotly.js takes numbers without parsing them."""
    return {"dtype": "f4", "bdata": base64.b64encode(numbers.tobytes()).decode()}


def sketch(figure: dict, width: int = 860, height: int = 300) -> str:
    """A `training_chart` as SVG: drawn at once, by every page, without a script.

    It is the live view, because plotly's part of JupyterLab draws an output once and then leaves it
    as it is, and what is shown where scripts do not run.
    """
    right = any(trace["yaxis"] == "y2" for trace in figure["data"])
    panes = [("y", 60, width * (0.54 if right else 0.9), figure["layout"]["yaxis"])]
    if right:
        panes.append(("y2", width * 0.72, width * 0.25, figure["layout"]["yaxis2"]))
    shapes = [_pane(figure, *pane, height - 60) for pane in panes]
    place = 60
    for trace in figure["data"]:
        name, line = html.escape(trace["name"]), trace["line"]
        shapes.append(
            f'<path d="M{place} {height - 8}h22" {_stroke(line)}/>'
            f'<text x="{place + 28}" y="{height - 4}">{name}</text>'
        )
        place += 44 + 7 * len(name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {max(width, place)} {height}" '
        f'style="max-width:100%;width:{width}px" role="img" aria-label="Loss over the steps" '
        f'font-family="sans-serif" font-size="12" fill="#767676">{"".join(shapes)}</svg>'
    )


def _pane(figure: dict, axis: str, left: float, wide: float, layout: dict, tall: float) -> str:
    traces = [trace for trace in figure["data"] if trace["yaxis"] == axis]
    points = [np.column_stack([numbers(t["x"]), numbers(t["y"])]) for t in traces]
    known = np.vstack([np.empty((0, 2)), *points])
    known = known[np.isfinite(known).all(axis=1)]
    if not len(known):
        return ""
    low, high = known.min(axis=0), known.max(axis=0)
    scale = np.array([wide, -tall + 16]) / np.maximum(high - low, 1e-9)
    shapes = []
    for value in np.unique(np.linspace(low[1], high[1], 5)):
        y = tall + (value - low[1]) * scale[1]
        shapes.append(
            f'<path d="M{left} {y:.1f}h{wide:.1f}" stroke="#767676" stroke-opacity=".25"/>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    for trace, each in zip(traces, points, strict=True):
        each = each[np.isfinite(each).all(axis=1)]
        x, y = ((each - low) * scale + np.array([left, tall])).T
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        shapes.append(f'<polyline points="{line}" fill="none" {_stroke(trace["line"])}/>')
        if "markers" in trace["mode"]:
            dots = "".join(f"M{a - 3:.1f} {b - 3:.1f}h6v6h-6z" for a, b in zip(x, y, strict=True))
            shapes.append(f'<path d="{dots}" fill="{trace["line"]["color"]}"/>')
    shapes.append(
        f'<text x="{left + wide}" y="{tall + 20}" text-anchor="end">step {high[0]:.0f}</text>'
        f'<text x="{left}" y="{tall + 20}">{html.escape(layout["title"]["text"])}</text>'
    )
    return "".join(shapes)


def _stroke(line: dict) -> str:
    dash = "" if line.get("dash", "solid") == "solid" else ' stroke-dasharray="5 4"'
    return f'stroke="{line["color"]}" stroke-width="{line["width"]}"{dash}'


def picture(figure: dict) -> str:
    """`sketch` as an image that hides itself where plotly draws the chart."""
    code = base64.b64encode(sketch(figure).encode()).decode()
    name = f"still-{uuid.uuid4().hex[:12]}"
    return (
        f'<img id="{name}" alt="Loss over the steps" width="860" '
        f'src="data:image/svg+xml;base64,{code}">'
        f'<script>if (window.Plotly) document.getElementById("{name}").hidden = true;</script>'
    )


def numbers(packed: dict) -> np.ndarray:
    """The numbers of a trace of `training_chart`."""
    return np.frombuffer(base64.b64decode(packed["bdata"]), np.float32)


def score_bars(table: pd.DataFrame, metric: str = "accuracy") -> go.Figure:
    """One horizontal bar a model with its interval; the table is that of `Lesson.scores`."""
    table = table.sort_values(metric)
    error = None
    if f"{metric}_low" in table:
        error = {
            "array": table[f"{metric}_high"] - table[metric],
            "arrayminus": table[metric] - table[f"{metric}_low"],
            "color": "#767676",
        }
    figure = go.Figure(
        go.Bar(x=table[metric], y=[str(name) for name in table.index], orientation="h",
               error_x=error, text=[f"{v:.3f}" for v in table[metric]], textposition="inside",
               insidetextanchor="start")
    )  # fmt: skip
    return figure.update_layout(
        xaxis={"title": f"{metric} (line: 95% interval)", "range": [0, 1]},
        title=f"{metric} by model",
        height=140 + 34 * len(table),
    )


def learning_curve(table: pd.DataFrame, metric: str = "accuracy") -> go.Figure:
    """Score over the number of labels, one line a model; columns model, labels and `metric`.

    Several rows for one model and size (draws) become their mean with the spread as a line.
    """
    figure = go.Figure()
    for i, (model, rows) in enumerate(table.groupby("model", sort=False)):
        points = rows.groupby("labels")[metric].agg(["mean", "min", "max"])
        figure.add_scatter(
            x=points.index, y=points["mean"], name=str(model), mode="lines+markers",
            marker={"symbol": MARKERS[i % 6], "size": 9}, line={"dash": DASHES[i % 6]},
            error_y={"array": points["max"] - points["mean"],
                     "arrayminus": points["mean"] - points["min"], "thickness": 1},
        )  # fmt: skip
    sizes = sorted(table["labels"].unique())
    return figure.update_layout(
        xaxis={"title": "labelled examples", "type": "log", "tickvals": sizes, "ticktext": sizes},
        yaxis_title=metric,
        title=f"{metric} over the number of labels (line: lowest to highest draw)",
    )


def heatmap(table: pd.DataFrame, title: str, digits: int = 0) -> go.Figure:
    """A matrix with its numbers written in, such as a confusion matrix."""
    figure = go.Figure(
        go.Heatmap(z=table.to_numpy(), x=[str(c) for c in table.columns],
                   y=[str(i) for i in table.index], colorscale="Blues", showscale=False,
                   texttemplate=f"%{{z:.{digits}f}}", xgap=2, ygap=2)
    )  # fmt: skip
    return figure.update_layout(
        title=title,
        xaxis={"title": table.columns.name, "type": "category"},
        yaxis={"title": table.index.name, "type": "category", "autorange": "reversed"},
        height=180 + 46 * len(table),
    )


def word_map(points: pd.DataFrame, title: str = "Word map") -> go.Figure:
    """Words on a plane; columns x, y, word and, optionally, group (a colour each)."""
    figure = go.Figure()
    groups = points.groupby("group", sort=False) if "group" in points else [("words", points)]
    for name, rows in groups:
        figure.add_scatter(
            x=rows["x"], y=rows["y"], text=rows["word"], name=str(name),
            mode="markers+text", textposition="top center", marker={"size": 6},
        )  # fmt: skip
    axis = {"showticklabels": False, "title": ""}
    return figure.update_layout(title=title, xaxis=axis, yaxis=axis, height=560)


def _height(figure: dict) -> int:
    return int(figure.get("layout", {}).get("height") or 380)


def _in_words(figure: dict) -> str:
    title = (figure.get("layout", {}).get("title") or {}).get("text", "")
    names = [str(trace.get("name") or trace.get("type", "")) for trace in figure.get("data", [])]
    return f"Chart: {title or 'untitled'} ({', '.join(names[:8])})"
