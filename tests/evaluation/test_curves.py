from xml.etree import ElementTree

import plotly.graph_objects as go
import pytest

from workbench.evaluation import curves
from workbench.training.history import History


def _long(rows):
    return History({"step": i, "loss": 1 / (i + 1)} for i in range(rows))


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
    assert (first.name, accuracy.yaxis) == ("first: training", "y2")


def test_the_svg_has_every_point_and_survives_gaps():
    history = _long(50)
    history.append({"step": 50, "loss": None})
    history.log(step=50, validation_loss=0.5, validation_accuracy=0.8)
    svg = ElementTree.fromstring(curves.svg(curves.chart([("<b>", history)])))
    lines = svg.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert [len(line.get("points").split()) for line in lines] == [50, 1, 1]
    heights = [float(point.split(",")[1]) for point in lines[0].get("points").split()]
    assert heights == sorted(heights), "a falling loss goes down the page"
    assert curves.svg(curves.chart([])).startswith("<svg")


def test_ghosts_are_dashed_and_their_names_are_escaped():
    markup = curves.svg(curves.chart([("<b>", _long(3)), ("two", _long(3))]))
    ghost, curve = ElementTree.fromstring(markup).findall(".//{http://www.w3.org/2000/svg}polyline")
    assert ghost.get("stroke-dasharray") and not curve.get("stroke-dasharray")
