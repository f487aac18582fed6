import numpy as np
import pandas as pd
import plotly.io as pio
import pytest
from scipy import stats

from workbench.evaluation import plots
from workbench.training.history import History

HISTORY = History(
    [{"step": 1, "loss": 0.9}, {"step": 2, "loss": 0.5}, {"step": 2, "validation_loss": 0.6}]
)


@pytest.fixture(autouse=True)
def look():
    before = pio.templates.default, pio.renderers.default
    plots.use()
    yield
    pio.templates.default, pio.renderers.default = before


def test_loss_curve_draws_the_rows_of_the_history():
    training, validation = plots.loss_curve(HISTORY).data
    assert (list(training.x), list(training.y)) == ([1, 2], [0.9, 0.5])
    assert (list(validation.x), list(validation.y)) == ([2], [0.6])


def test_curves_of_several_histories_can_be_told_apart():
    traces = plots.loss_curve({"one": HISTORY, "two": HISTORY}).data
    assert len({(t.line.color, t.line.dash) for t in traces}) == 4
    assert {t.name for t in traces} == {
        "one training",
        "one validation",
        "two training",
        "two validation",
    }


def test_score_bars_carry_the_interval():
    table = pd.DataFrame({"accuracy": [0.8, 0.5], "accuracy_low": [0.7, 0.4],
                          "accuracy_high": [0.85, 0.6]},
                         index=["m", "n"])  # fmt: skip
    bar = plots.score_bars(table).data[0]
    assert list(bar.y) == ["n", "m"]
    assert list(bar.error_x.array) == pytest.approx([0.1, 0.05])


def test_score_bars_of_bleu_fit_into_the_chart():
    table = pd.DataFrame({"bleu": [31.0]}, index=["m"])
    assert plots.score_bars(table, "bleu").layout.xaxis.range == (0, 100)


def test_learning_curve_averages_the_draws():
    table = pd.DataFrame({"model": "m", "labels": [16, 16, 64], "accuracy": [0.5, 0.7, 0.8]})
    line = plots.learning_curve(table).data[0]
    assert list(line.y) == pytest.approx([0.6, 0.8])
    interval = stats.ttest_1samp([0.5, 0.7], 0).confidence_interval(0.95)
    assert line.error_y.array[0] == pytest.approx(interval.high - 0.6)
    assert np.isnan(line.error_y.array[1]), "one draw has no interval"


def test_a_shown_figure_needs_no_network_and_offers_no_upload():
    bundle = plots.Renderer().to_mimebundle(plots.loss_curve(HISTORY).to_dict())
    assert set(bundle) == {"application/vnd.plotly.v1+json", "text/html", "text/plain"}
    assert "http" not in bundle["text/html"].replace("http://www.w3.org", "")
    assert bundle["application/vnd.plotly.v1+json"]["config"]["showSendToCloud"] is False
    assert "training" in bundle["text/plain"]


def test_colours_differ_for_every_kind_of_sight():
    assert len(set(plots.COLOURS)) == 6
