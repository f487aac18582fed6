from xml.etree import ElementTree

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.evaluation import curves, wilson
from workbench.evaluation.curves import View
from workbench.training.history import History

SVG = "{http://www.w3.org/2000/svg}"


def _long(rows):
    return History({"step": i, "loss": 1 / (i + 1)} for i in range(rows))


def _trained(accuracies, rows=100, start=1.0):
    """Ten reports an epoch of ten steps each, and an evaluation on so many rows at its end."""
    history = History()
    for epoch, accuracy in enumerate(accuracies, 1):
        for part in range(1, 11):
            step = 10 * (epoch - 1) + part
            history.log(step=step, steps=10 * len(accuracies), epoch=step / 10, seconds=step / 2,
                        loss=start / step, learning_rate=1e-4, grad_norm=2.0)  # fmt: skip
        history.log(step=step, epoch=epoch, seconds=step / 2, validation_loss=0.5,
                    validation_accuracy=accuracy, validation_n=rows)  # fmt: skip
    return history


def by_name(figure):
    return {trace["name"]: trace for trace in figure["data"]}


def test_a_long_curve_thins_out_and_shows_earlier_attempts_as_ghosts():
    history = _long(5000)
    history.log(step=5000, validation_loss=0.5, validation_accuracy=0.8)
    figure = curves.chart([("first", _long(9)), ("second", history)], most=2000)
    first, loss, validation, accuracy = go.Figure(figure).data
    assert [len(trace.x) for trace in (first, loss)] == [9, 2000]
    assert list(loss.x[[0, -1]]) == [0, 4999]
    found = [trace.y[0] for trace in (validation, accuracy)]
    assert found == pytest.approx([0.5, 0.8])
    assert first.line.dash and not loss.line.dash
    assert (first.name, accuracy.yaxis) == ("first", "y2")


def test_a_ghost_has_one_place_in_the_legend():
    figure = curves.chart([("one", _trained([0.7, 0.8])), ("two", _trained([0.7, 0.8]))])
    listed = [trace["name"] for trace in figure["data"] if trace.get("showlegend", True)]
    assert listed == [
        "one", "two: training", "validation", "95% interval", "accuracy",
    ]  # fmt: skip
    drawn = [e.text for e in ElementTree.fromstring(curves.svg(figure)).findall(f"{SVG}text")]
    assert drawn[-5:] == listed


def test_the_svg_has_every_point_and_survives_gaps():
    history = _long(50)
    history.append({"step": 50, "loss": None})
    history.log(step=50, validation_loss=0.5, validation_accuracy=0.8)
    svg = ElementTree.fromstring(curves.svg(curves.chart([("<b>", history)])))
    lines = svg.findall(f".//{SVG}polyline")
    assert [len(line.get("points").split()) for line in lines] == [50, 1, 1]
    heights = [float(point.split(",")[1]) for point in lines[0].get("points").split()]
    assert heights == sorted(heights), "a falling loss goes down the page"


def test_without_a_curve_there_is_no_empty_chart():
    assert curves.svg(curves.chart([("naive bayes", History())])) == ""


def test_ghosts_are_dashed_and_their_names_are_escaped():
    markup = curves.svg(curves.chart([("<b>", _long(3)), ("two", _long(3))]))
    ghost, curve = ElementTree.fromstring(markup).findall(f".//{SVG}polyline")
    assert ghost.get("stroke-dasharray") and not curve.get("stroke-dasharray")


def test_a_long_legend_goes_on_in_a_second_line():
    attempts = [(f"gradual, 3 epochs, {i}e-4", _long(3)) for i in range(8)]
    svg = ElementTree.fromstring(curves.svg(curves.chart(attempts)))
    _, _, width, height = map(float, svg.get("viewBox").split())
    assert width == 860
    assert height > 300
    assert all(float(text.get("y")) < height for text in svg.findall(f"{SVG}text"))


# --- validation ----------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.sampled_from(["accuracy", "macro_f1"]))
def test_the_axis_of_a_score_spans_ten_points_or_all_of_them(values, metric):
    history = History(
        {"step": i, f"validation_{metric}": v, "validation_n": 9999} for i, v in enumerate(values)
    )
    figure = curves.chart([("", history)], View(metric=metric))
    low, high = figure["layout"]["yaxis2"]["range"]
    drawn = np.concatenate([trace["y"] for trace in figure["data"] if trace["yaxis"] == "y2"])
    assert -1e-6 <= low <= drawn.min() + 1e-6 and drawn.max() - 1e-6 <= high <= 1 + 1e-6
    assert high - low >= 0.1 - 1e-6


def test_the_newest_accuracy_has_its_wilson_interval():
    figure = curves.chart([("one", _trained([0.5, 0.6])), ("two", _trained([0.8, 0.9], rows=50))])
    (band,) = [trace for trace in figure["data"] if trace.get("fill")]
    low, high = zip(wilson(40, 50), wilson(45, 50), strict=True)
    assert band["y"] == pytest.approx([*high, *low[::-1]])
    svg = ElementTree.fromstring(curves.svg(figure))
    assert len(svg.findall(f".//{SVG}polygon")) == 1


def test_validation_loss_and_score_share_neither_colour_nor_marker():
    found = by_name(curves.chart([("", _trained([0.8, 0.9]))]))
    one, other = found["validation"], found["accuracy"]
    assert one["line"]["color"] != other["line"]["color"]
    assert one["marker"]["symbol"] != other["marker"]["symbol"]


# --- views ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("x", "end"), [("steps", 20), ("epochs", 2), ("seconds", 10)])
def test_all_curves_of_a_chart_have_one_x_axis(x, end):
    figure = curves.chart([("", _trained([0.8, 0.9]))], View(x=x))
    assert {float(trace["x"].max()) for trace in figure["data"]} == {end}
    assert {figure["layout"][axis]["title"]["text"] for axis in ("xaxis", "xaxis2")} == {x}
    assert f"{x}: " in curves.svg(figure)


def test_steps_and_epochs_are_never_on_one_axis():
    by_epoch = History({"step": i, "epoch": i, "loss": 1 / i} for i in range(1, 6))
    assert curves.chart([("mlp", by_epoch)])["layout"]["xaxis"]["title"]["text"] == "epochs"
    both = curves.chart([("mlp", by_epoch), ("full", _trained([0.8, 0.9]))])
    assert both["layout"]["xaxis"]["title"]["text"] == "epochs"
    assert by_name(both)["full: training"]["x"].max() == 2


def test_smoothing_is_a_moving_average_of_the_training_curves():
    history = History({"step": i, "loss": v} for i, v in enumerate([1.0, 0.0, 1.0]))
    history.log(step=2, validation_loss=0.3)
    found = by_name(curves.chart([("", history)], View(smoothing=0.5)))
    # Weights 1/2 and 1/4 of the past, divided by their sum.
    assert found["training"]["y"] == pytest.approx([1, 0.5 / 1.5, (1 + 0.25) / 1.75])
    assert found["validation"]["y"] == pytest.approx([0.3])


@pytest.mark.parametrize(("left", "value"), [("learning rate", 1e-4), ("gradient norm", 2.0)])
def test_learning_rate_and_gradient_norm_in_place_of_the_loss(left, value):
    figure = curves.chart([("", _trained([0.8, 0.9]))], View(left=left))
    assert by_name(figure)[left]["y"] == pytest.approx([value] * 20)
    assert figure["layout"]["yaxis"]["title"]["text"] == left
    assert "training" not in by_name(figure)


def test_on_a_logarithmic_axis_equal_factors_are_equal_distances():
    history = History({"step": i, "loss": v} for i, v in enumerate([100, 10, 1, 0]))
    figure = curves.chart([("", history)], View(log=True))
    assert go.Figure(figure).layout.yaxis.type == "log"
    (line,) = ElementTree.fromstring(curves.svg(figure)).findall(f".//{SVG}polyline")
    tops = [float(point.split(",")[1]) for point in line.get("points").split()]
    assert len(tops) == 3, "zero has no logarithm"
    assert np.diff(tops) == pytest.approx([112, 112], abs=0.2)


def test_points_say_their_value_when_pointed_at():
    svg = ElementTree.fromstring(curves.svg(curves.chart([("", _trained([0.8, 0.9]))])))
    said = [title.text for title in svg.iter(f"{SVG}title")]
    assert "training: 0.1 at 10" in said
    assert "accuracy: 0.9 at 20" in said
    many = ElementTree.fromstring(curves.svg(curves.chart([("", _long(5000))])))
    assert len(list(many.iter(f"{SVG}title"))) == curves.TITLES
