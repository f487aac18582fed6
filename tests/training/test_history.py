import json

import numpy as np
import pytest

from workbench.training.history import History


def test_rows_survive_the_file(tmp_path):
    history = History()
    history.log(step=1, epoch=0.5, loss=np.float32(0.5))
    history.log(step=2, epoch=1.0, validation_loss=0.4)
    history.save(tmp_path / "h.jsonl")
    assert History.load(tmp_path / "h.jsonl") == history == [
        {"step": 1, "epoch": 0.5, "loss": 0.5}, {"step": 2, "epoch": 1.0, "validation_loss": 0.4},
    ]  # fmt: skip


def test_a_column_holds_only_the_rows_that_have_it():
    history = History(
        [{"step": 1, "loss": 3}, {"step": 1, "validation_loss": 4}, {"step": 2, "loss": 2}]
    )
    assert history.column("loss") == ([1, 2], [3, 2])
    assert history.column("nothing") == ([], [])


def test_a_killed_run_leaves_its_whole_lines(tmp_path):
    (tmp_path / "h.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert len(History.load(tmp_path / "h.jsonl")) == 2


def test_not_a_number_becomes_null(tmp_path):
    history = History()
    history.log(step=1, loss=float("nan"))
    history.save(tmp_path / "h.jsonl")
    assert json.loads((tmp_path / "h.jsonl").read_text())["loss"] is None


def curves(training, validation=()):
    """Ten reports an epoch and an evaluation at its end."""
    history = History(
        {"step": i + 1, "epoch": (i + 1) / 10, "loss": v} for i, v in enumerate(training)
    )
    for epoch, value in enumerate(validation, 1):
        history.log(step=10 * epoch, epoch=epoch, validation_loss=value)
    return history


FALLING = [0.7 - 0.02 * i for i in range(30)]


@pytest.mark.parametrize(
    ("history", "says"),
    [
        (curves([]), "Too early"),
        (curves([0.7]), "Too early"),
        (curves([0.7, 0.6, None]), "Diverging: the loss is NaN"),
        (curves([0.7, 0.5, 0.4, *[0.3] * 3, *[0.9] * 4]), "Diverging: the training loss was"),
        (curves([0.7, 0.9, 1.5, 2.5, 4.0]), "Diverging"),
        (curves(FALLING, [0.6, 0.5, 0.4]), "Still improving: the validation"),
        (curves(FALLING, [0.5, 0.4, 0.45]), "Overfitting since epoch 2: the validation loss was"),
        (curves([0.5] * 30, [0.4, 0.5, 0.6]), "Getting worse since epoch 1"),
        (curves(FALLING, [0.5, 0.4, 0.401]), "Level: the validation"),
        (curves(FALLING), "Still improving: the training"),
        (curves([0.5] * 30), "Level: the training"),
    ],
)  # fmt: skip
def test_the_reading_follows_its_rules(history, says):
    assert history.reading().startswith(says)


def test_rows_are_logged_by_the_name_of_before_too():
    history = History()
    history.report(step=1, loss=0.5)
    assert history == [{"step": 1, "loss": 0.5}]
