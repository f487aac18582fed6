"""A History or a table becomes a picture: pure functions that return `plotly` figures."""

import json

import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
from plotly.io.base_renderers import MimetypeRenderer

from workbench.evaluation.scores import METRICS
from workbench.training.history import History

# Okabe and Ito's colours, which can be distinguished with every common kind of colour blindness;
# without yellow and black, with a darker orange and sky blue: at least 3:1 on white and on dark.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#3E95C8"]
DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"]
MARKERS = ["circle", "square", "diamond", "cross", "triangle-up", "x"]
# "Send to cloud" uploads the data of the chart: a report must not offer that by accident.
CONFIG = {"displaylogo": False, "showSendToCloud": False, "responsive": True}


# No grey has 4.5:1 on light and on dark: JupyterLab and the report set the page's colour.
_AXIS = {"gridcolor": "rgba(128,128,128,.25)", "zerolinecolor": "rgba(128,128,128,.4)",
         "automargin": True}  # fmt: skip
TEMPLATE = {
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
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#767676", "activecolor": COLOURS[3]},
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

    pio.templates["workbench"] = go.layout.Template(TEMPLATE)
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
        xaxis={"title": f"{metric} (line: 95% interval)", "range": [0, METRICS.get(metric, 1)]},
        title=f"{metric} by model",
        height=140 + 34 * len(table),
    )


def learning_curve(
    table: pd.DataFrame, metric: str = "accuracy", fitted: pd.DataFrame | None = None
) -> go.Figure:
    """Score over the number of labels, one line a model; columns model, labels and `metric`.

    Several rows for one model and size (draws) become their mean, with its 95% interval (t).
    `fitted` is what `extrapolate` gives: a thin line with its interval at the end.
    """
    from scipy.stats import t

    figure = go.Figure()
    for i, (model, rows) in enumerate(table.groupby("model", sort=False)):
        points = rows.groupby("labels")[metric].agg(["mean", "sem", "count"])
        figure.add_scatter(
            x=points.index, y=points["mean"], name=str(model), mode="lines+markers",
            marker={"symbol": MARKERS[i % 6], "size": 9}, line={"dash": DASHES[i % 6]},
            error_y={"array": points["sem"] * t.ppf(0.975, points["count"] - 1), "thickness": 1},
        )  # fmt: skip
        if fitted is not None:
            line = fitted[fitted["model"] == model]
            ends = line.where(line["labels"] == fitted["labels"].max())
            figure.add_scatter(
                x=line["labels"], y=line[metric], name=f"{model}, fitted", mode="lines",
                line={"dash": "dot", "width": 1, "color": COLOURS[i % 6]},
                error_y={"array": ends[f"{metric}_high"] - ends[metric],
                         "arrayminus": ends[metric] - ends[f"{metric}_low"]},
            )  # fmt: skip
    known = table["labels"] if fitted is None else [*table["labels"], round(fitted["labels"].max())]
    sizes = sorted(set(known))
    return figure.update_layout(
        xaxis={"title": "labelled examples", "type": "log", "tickvals": sizes, "ticktext": sizes},
        yaxis_title=metric,
        title=f"{metric} over the number of labels (line: 95% interval of the mean)",
    )


def cost_and_quality(table: pd.DataFrame) -> go.Figure:
    """Seconds of training and accuracy of the rows of `seeds.over_seeds`, a colour a model."""
    figure = go.Figure()
    for i, (model, rows) in enumerate(table.groupby("model", sort=False)):
        up, down = rows["accuracy_high"] - rows["accuracy"], rows["accuracy"] - rows["accuracy_low"]
        figure.add_scatter(
            x=rows["seconds"], y=rows["accuracy"], text=rows["data"], name=model, mode="markers",
            error_y={"type": "data", "array": up, "arrayminus": down, "thickness": 1},
            marker={"size": 10, "symbol": MARKERS[i % len(MARKERS)]},
            hovertemplate="%{text}: %{y:.3f} in %{x:.3g} s",
        )  # fmt: skip
    return figure.update_layout(
        xaxis={"title": "seconds of one training", "type": "log"}, yaxis={"title": "accuracy"}
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
