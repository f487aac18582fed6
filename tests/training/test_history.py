import json

import numpy as np
import pytest

from tests.models.test_encoder_classifier import LABELS, QUICK, TEXTS
from workbench.models.encoder_classifier import TextClassifier
from workbench.training import callbacks
from workbench.training.history import History, listening


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
    history.log(step=3, epoch=1, loss=1)
    assert history.column("loss", over="epoch") == ([1], [1])


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
        (curves([*[0.7] * 5, 0.7, 0.9, 1.5, 2.5, 4.0]), "Diverging"),
        (curves([0.7, 0.9, 1.5, 2.5, 4.0]), "Too early"),
        (curves([0.5] * 9), "Too early"),
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


@pytest.mark.parametrize(
    ("done", "rate", "says"),
    [(19, 1.0, "Too early"), (20, 1.0, "Level"), (99, "rises", "Too early"), (99, 1.0, "Level")],
)
def test_no_verdict_before_a_fifth_of_the_steps_nor_while_the_rate_warms_up(done, rate, says):
    history = History()
    for step in range(1, done + 1):
        history.log(step=step, steps=100, epoch=step / 1000, loss=0.5,
                    learning_rate=step / 100 if rate == "rises" else rate)  # fmt: skip
    assert history.reading().startswith(says)


def test_a_listener_hears_by_time_what_the_history_keeps_by_steps(checkpoint, monkeypatch):
    """The first step at once; each row holds the mean loss since the one before."""
    clock = iter(range(10**6))
    monkeypatch.setattr(callbacks.time, "perf_counter", lambda: float(next(clock)))
    settings = {**QUICK, "epochs": 100}  # 500 steps: the history holds every tenth
    heard, seen = [], []
    real = callbacks.LogHistory.add_loss
    monkeypatch.setattr(
        callbacks.LogHistory, "add_loss", lambda self, loss: (seen.append(loss), real(self, loss))
    )
    with listening(heard.append):
        model = TextClassifier(str(checkpoint("bert")), **settings).fit(TEXTS, LABELS)
    kept = model.history_.column("loss")[0]
    steps = [row["step"] for row in heard]
    assert steps[0] == 1
    assert kept[:3] == [10, 20, 30]
    assert set(kept) <= set(steps) and len(steps) > len(kept) + 10
    starts = [0, *steps]
    for row, start in zip(heard[:40], starts, strict=False):
        assert row["loss"] == pytest.approx(np.mean(seen[start : row["step"]]))
    seconds = model.history_.column("seconds")[1]
    assert seconds == sorted(seconds) and len(seconds) == len(model.history_)


def test_rows_are_logged_by_the_name_of_before_too():
    history = History()
    history.report(step=1, loss=0.5)
    assert history == [{"step": 1, "loss": 0.5}]
