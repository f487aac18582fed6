"""The curves of a training while it runs: a chart for plotly, and the same drawn as SVG."""

import html
from collections.abc import Sequence

import numpy as np

from workbench.evaluation import plots
from workbench.training.history import History


def chart(
    attempts: Sequence[tuple[str, History]], metric: str = "accuracy", most: int = 2000
) -> dict:
    """Loss on the left and a validation metric on the right, as a plotly figure in plain dicts.

    A `plotly.graph_objects.Figure` of it takes four milliseconds more, four times a second.

    Parameters
    ----------
    attempts : name and history of each training, the newest last; the others stand behind it as
        grey ghosts.
    metric : ``"accuracy"`` or ``"macro_f1"``.
    most : points of a curve; a longer one is thinned out evenly, its last point stays.
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
                line = {"color": plots.COLOURS[colour], "width": 2}
                if ghost:
                    dash = plots.DASHES[1 + i % 5]
                    line = {"color": "rgba(128,128,128,.6)", "width": 1, "dash": dash}
                traces.append(
                    {"type": "scatter", "x": steps, "y": values, "line": line,
                     "mode": "lines+markers" if validates else "lines",
                     "marker": {"symbol": "square" if validates else "circle", "size": 6},
                     "name": f"{name}: {label}" if ghost or len(attempts) > 1 else label,
                     "xaxis": f"x{axis}", "yaxis": f"y{axis}"}
                )  # fmt: skip
    layout = {
        "template": plots.TEMPLATE, "uirevision": "kept", "height": 380, "margin": {"t": 20},
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


def svg(chart: dict, width: int = 860, height: int = 300) -> str:
    """A `chart` as SVG: drawn at once, by every page, without a script.

    It is the live view because it leaves the cores to the training: see the numbers in
    benchmarks/README.md.
    """
    second = any(trace["yaxis"] == "y2" for trace in chart["data"])
    shapes = [_pane(chart, "y", 60, width * (0.54 if second else 0.9), height - 60)]
    if second:
        shapes.append(_pane(chart, "y2", width * 0.72, width * 0.25, height - 60))
    left = 60
    for trace in chart["data"]:
        shapes.append(
            f'<path d="M{left} {height - 8}h22" {_stroke(trace)}/>'
            f'<text x="{left + 28}" y="{height - 4}">{html.escape(trace["name"])}</text>'
        )
        left += 44 + 7 * len(trace["name"])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {max(width, left)} {height}" '
        f'style="max-width:100%;width:{width}px" role="img" aria-label="Loss over the steps" '
        f'font-family="sans-serif" font-size="12" fill="#767676">{"".join(shapes)}</svg>'
    )


def _pane(chart: dict, axis: str, left: float, width: float, bottom: float) -> str:
    """The curves of one pair of axes, with a grid and its numbers."""
    traces = [trace for trace in chart["data"] if trace["yaxis"] == axis]
    points = [np.column_stack([trace["x"], trace["y"]]) for trace in traces]
    points = [each[np.isfinite(each).all(axis=1)] for each in points]
    known = np.vstack([np.empty((0, 2)), *points])
    if not len(known):
        return ""
    low, high = known.min(axis=0), known.max(axis=0)
    scale = np.array([width, 16 - bottom]) / np.maximum(high - low, 1e-9)
    title = chart["layout"][f"{axis[0]}axis{axis[1:]}"]["title"]["text"]
    shapes = [
        f'<text x="{left}" y="{bottom + 20}">{html.escape(title)}</text>'
        f'<text x="{left + width}" y="{bottom + 20}" text-anchor="end">step {high[0]:.0f}</text>'
    ]
    for value in np.unique(np.linspace(low[1], high[1], 5)):
        y = bottom + (value - low[1]) * scale[1]
        shapes.append(
            f'<path d="M{left} {y:.1f}h{width:.1f}" stroke="#767676" stroke-opacity=".25"/>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    for trace, each in zip(traces, points, strict=True):
        places = ((each - low) * scale + [left, bottom]).round(1).tolist()
        line = " ".join(f"{x},{y}" for x, y in places)
        shapes.append(f'<polyline points="{line}" fill="none" {_stroke(trace)}/>')
        if "markers" in trace["mode"]:
            dots = "".join(f"M{x - 3:.1f} {y - 3:.1f}h6v6h-6z" for x, y in places)
            shapes.append(f'<path d="{dots}" fill="{trace["line"]["color"]}"/>')
    return "".join(shapes)


def _stroke(trace: dict) -> str:
    line = trace["line"]
    dash = ' stroke-dasharray="5 4"' if "dash" in line else ""
    return f'stroke="{line["color"]}" stroke-width="{line["width"]}"{dash}'
