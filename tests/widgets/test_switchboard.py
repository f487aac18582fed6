import ast
import json
import time
from pathlib import Path

import nbformat
import pytest
import torch
from torch import nn

from workbench.errors import UserError
from workbench.models import toy
from workbench.training.history import History
from workbench.widgets import switchboard
from workbench.widgets.switchboard import Switchboard

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03_perceptron.ipynb"
CHART = "application/vnd.plotly.v1+json"
DEEP = {"depth": 8, "activation": "sigmoid", "optimiser": "sgd"}
TAUGHT = (
    "build_network", "train_epoch", "measure", "prepare", "train_network", "STARTS", "OPTIMISERS",
    "ROW", "SHAPE",
)  # fmt: skip


@pytest.fixture(scope="module")
def taught():
    """The function that notebook 03 teaches, and that its switches drive."""
    code = [c.source for c in nbformat.read(NOTEBOOK, 4).cells if c.cell_type == "code"]
    nodes = [node for source in code for node in ast.parse(source).body]
    body = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in nodes:
        names = {getattr(target, "id", "") for target in getattr(node, "targets", [])}
        if names & set(TAUGHT) or getattr(node, "name", "") in TAUGHT:
            body.append(node)
    space = {"SEED": 0, "EPOCHS": 1}
    exec(compile(ast.Module(body, []), str(NOTEBOOK), "exec"), space)
    return space["train_network"]


def tell(function, **settings) -> tuple[str, str]:
    return toy.diagnose(Switchboard(function, **settings).train()[0])


def quick(sets, epochs, activation, learning_rate, **_):
    """Trains nothing: a network at once, and curves that depend on the learning rate."""
    history = History()
    for epoch in (1, 2):
        history.log(step=epoch, loss=learning_rate / epoch, accuracy=1.0,
                       validation_loss=learning_rate / epoch, validation_accuracy=1.0)  # fmt: skip
    return nn.Linear(2, 2), history


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


# --- what is computed ----------------------------------------------------------------------------


def test_training_depends_on_settings_and_seed_alone(taught):
    board = Switchboard(taught)
    state = torch.get_rng_state()
    history, boundary = board.train()
    again, same = board.train()
    assert history == again
    assert boundary.equals(same)
    assert torch.equal(state, torch.get_rng_state()), "other cells draw the numbers they would"
    assert not toy.train(taught, board.value, seed=1)[1].equals(boundary)
    assert {*switchboard.MEASURES, "step"} == set(history[-1])


def test_the_boundary_follows_the_points(taught):
    _, boundary = Switchboard(taught, data="XOR").train()
    assert boundary.shape == (41, 41)
    at = boundary.iloc[[10, 30], [10, 30]].round()  # y and x at −1.5 and 1.5
    assert at.to_numpy().tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("settings", "start", "kind"),
    [
        ({}, "Learned: 9", "good"),
        ({"optimiser": "sgd", "learning_rate": 10.0}, "Diverged", "bad"),
        ({**DEEP, "learning_rate": 0.1}, "Vanishing gradients", "bad"),
        ({"data": "noisy blobs", "depth": 4, "hidden": 64}, "Overfits since epoch", "bad"),
        ({"learning_rate": 1.0, "hidden": 64}, "Worse than guessing", "bad"),
        ({"optimiser": "sgd", "learning_rate": 0.0001, "data": "circles"}, "Not learned", "plain"),
    ],
)
def test_illnesses_and_health_are_told_apart(taught, settings, start, kind):
    text, how = tell(taught, **settings)
    assert text.startswith(start), text
    assert how == kind


@pytest.mark.parametrize(
    ("ill", "cure"),
    [
        ({"optimiser": "sgd", "learning_rate": 10.0}, {"clip": 0.1}),
        (
            {**DEEP, "learning_rate": 0.1},
            {"batch_norm": True},
        ),
        ({"data": "noisy blobs", "depth": 4, "hidden": 64}, {"l2": 0.01}),
    ],
)
def test_each_illness_has_a_switch_that_cures_it(taught, ill, cure):
    assert tell(taught, **ill)[1] == "bad"
    assert tell(taught, **ill, **cure)[1] == "good"


@pytest.mark.parametrize(
    "switch",
    [
        {"optimiser": "sgd"}, {"optimiser": "momentum"}, {"optimiser": "adamw"}, {"l1": 0.01},
        {"l2": 0.01}, {"dropout": 0.5}, {"activation": "tanh"}, {"clip": 0.1}, {"depth": 3},
        {"hidden": 4}, {"batch_norm": True}, {"learning_rate": 0.03},
    ],
)  # fmt: skip
def test_every_switch_changes_the_curve(taught, switch):
    plain, turned = Switchboard(taught).train()[0], Switchboard(taught, **switch).train()[0]
    assert abs(plain[-1]["loss"] - turned[-1]["loss"]) > 1e-3


def test_a_training_is_quick_enough_to_play_with(taught):
    board = Switchboard(taught, depth=8, hidden=64, batch_norm=True, l2=0.01)
    board.train()
    begun = time.thread_time()
    board.train()
    assert time.thread_time() - begun < 3, "a second on a free machine"


# --- what is asked of the settings and of the function -------------------------------------------


def test_wrong_switches_and_positions_are_refused():
    for settings, message in (
        ({"droput": 0.5}, "did you mean 'dropout'"),
        ({"optimiser": "adamm"}, "did you mean 'adam'"),
        ({"learning_rate": -1}, "no position of the switch learning_rate"),
    ):
        with pytest.raises(UserError, match=message):
            Switchboard(quick, **settings)
        with pytest.raises(UserError, match=message):
            Switchboard(quick).change(**settings)


def test_a_history_that_lacks_a_column_is_told():
    def forgetful(*_, **__):
        return nn.Linear(2, 2), History([{"step": 1, "loss": 1.0, "accuracy": 0.5}])

    with pytest.raises(UserError, match="lack validation_loss, validation_accuracy"):
        Switchboard(forgetful).still()


# --- what is shown -------------------------------------------------------------------------------


def test_still_has_curves_boundary_reading_and_table(taught):
    bundle = Switchboard(taught, data="circles", l2=0.01).still()
    traces = bundle[CHART]["data"]
    assert [t["type"] for t in traces] == ["heatmap", "scatter", "scatter", "scatter", "scatter"]
    assert {"training", "validation"} <= {t.get("name") for t in traces}
    assert {t["xaxis"] for t in traces} == {"x", "x2"}
    lines = [t["line"].get("dash") for t in traces if t.get("mode") == "lines"]
    assert lines == ["dot", None], "distinguished without colour"
    for piece in ("Learned: ", "<details>", "gradient", "first layer"):
        assert piece in bundle["text/html"]
    assert "Learned: " in bundle["text/plain"]


def test_an_exception_fails_the_headless_cell():
    with pytest.raises(ZeroDivisionError):
        Switchboard(lambda *_, **__: 1 / 0).still()


def parts(view):
    """The controls by description, and the lines of text, the chart and the data of a view."""
    top, status, data, _keys = view.children
    groups, chart = top.children
    controls = [c for group in groups.children for c in group.children[1:]]
    return {c.description: c for c in controls}, status, chart, data.children[0]


def test_turning_a_switch_draws_the_new_curve_over_a_ghost():
    board = Switchboard(quick, learning_rate=0.1)
    controls, status, chart, data = parts(board.view())
    assert len(controls) == len(board.value)
    assert "✓ Learned" in status.value
    first = chart.outputs
    controls["learning rate"].value = 0.3
    wait_for(lambda: chart.outputs != first and not board._busy)
    assert board.value["learning_rate"] == 0.3
    (output,) = chart.outputs
    lines = {t["name"]: list(t["y"]) for t in output["data"][CHART]["data"] if "name" in t}
    assert lines["now: training"] == pytest.approx([0.3, 0.15])
    assert lines["before"] == pytest.approx([0.1, 0.05])
    assert "before: learning rate 0.1" in status.value
    assert "0.15" in data.value


def test_of_quick_changes_the_newest_wins():
    seen = []

    def slow(sets, learning_rate, **rest):
        seen.append(learning_rate)
        time.sleep(0.2)
        return quick(sets, learning_rate=learning_rate, **rest)

    board = Switchboard(slow)
    controls, *_ = parts(board.view())
    for rate in (0.1, 0.3, 1.0, 3.0):
        controls["learning rate"].value = rate
    wait_for(lambda: not board._busy)
    assert board.result.settings["learning_rate"] == 3.0
    assert seen == [0.003, 0.1, 3.0], "those between were skipped"


def test_views_and_state_agree():
    board = Switchboard(quick)
    one, other = parts(board.view()), parts(board.view())
    one[0]["dropout"].value = 0.5
    assert other[0]["dropout"].value == board.value["dropout"] == 0.5
    board.change(dropout=0.1, activation="tanh")
    assert one[0]["dropout"].value == other[0]["dropout"].value == 0.1
    assert one[0]["activation"].value == "tanh"
    wait_for(lambda: not board._busy)
    assert "before: " in one[1].value
    assert one[1].value == other[1].value


def test_a_network_that_says_nan_is_drawn(taught):
    board = Switchboard(taught, optimiser="sgd", learning_rate=10.0)
    _, status, chart, _ = parts(board.view())
    assert "✗ Diverged" in status.value
    assert "–" in status.value
    json.dumps(chart.outputs, allow_nan=False)


def test_what_the_function_raises_is_told_and_the_curve_stays():
    def picky(*arguments, learning_rate, **rest):
        if learning_rate > 1:
            raise ValueError("too fast for <me>")
        return quick(*arguments, learning_rate=learning_rate, **rest)

    board = Switchboard(picky)
    controls, status, chart, _ = parts(board.view())
    before = chart.outputs
    controls["learning rate"].value = 3.0
    wait_for(lambda: "✗ ValueError: too fast for &lt;me&gt;" in status.value)
    assert chart.outputs == before
    controls["learning rate"].value = 0.003
    wait_for(lambda: "✓ Learned" in status.value)


def test_an_error_while_it_redraws_does_not_leave_the_board_dead(monkeypatch):
    board = Switchboard(quick)
    controls, status, chart, _ = parts(board.view())
    _, _, other_chart, _ = parts(board.view())
    real, errors = switchboard._figure, [OSError("no chart")]

    def failing(*arguments):
        if errors:
            raise errors.pop()
        return real(*arguments)

    monkeypatch.setattr(switchboard, "_figure", failing)
    before, others = chart.outputs, other_chart.outputs
    controls["dropout"].value = 0.5
    wait_for(lambda: not board._busy)
    assert "✗ OSError: no chart" in status.value
    assert chart.outputs == before
    assert other_chart.outputs != others, "the other view is drawn all the same"
    controls["dropout"].value = 0.1
    wait_for(lambda: not board._busy and "✓ Learned" in status.value)
    assert chart.outputs != before


def test_of_many_results_two_are_kept():
    board = Switchboard(quick)
    for rate in (0.1, 0.3, 1.0):
        board.change(learning_rate=rate)
        wait_for(lambda: not board._busy)
    assert board.result.before.settings["learning_rate"] == 0.3
    assert board.result.before.before is None
