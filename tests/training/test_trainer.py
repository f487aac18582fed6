"""What training does with its settings, with trouble, and with being killed."""

import inspect
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.models.test_encoder_classifier import LABELS, TEXTS
from workbench import models
from workbench.errors import UserError
from workbench.models.adaptation import ContinuedPretraining, SourceOnly
from workbench.models.encoder_classifier import NetworkClassifier, TextClassifier
from workbench.training import checkpoints, inference, loop, trainer
from workbench.training.batches import Encoded, ShuffledByLength, default_batch_size

NETWORK = {"kind": "cnn", "size": 16, "hidden": 8, "min_count": 1, "batch_size": 16}


def network(**settings) -> NetworkClassifier:
    return NetworkClassifier(**{**NETWORK, "epochs": 10, "learning_rate": 1e-2, **settings})


def weights(model) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel() for p in model._model.parameters()])


# --- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cnn", "rnn", "lstm", "gru"])
def test_every_network_learns_what_word_order_does_not_tell(kind):
    model = network(kind=kind, epochs=30).fit(TEXTS, LABELS)
    assert (model.predict(TEXTS) == np.array(LABELS)).mean() > 0.95
    together = model.predict_proba([*TEXTS[:3], "a " * 30])[:3]
    assert np.allclose(together, model.predict_proba(TEXTS[:3]), atol=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "rate"), [("sgd", 0.5), ("momentum", 0.1), ("adam", 1e-2), ("adamw", 1e-2)]
)
def test_every_optimizer_learns(optimizer, rate):
    model = network(optimizer=optimizer, learning_rate=rate, epochs=30).fit(TEXTS, LABELS)
    _, loss = model.history_.column("loss")
    assert loss[-1] < 0.5 * loss[0]


@pytest.mark.parametrize(("schedule", "shape"), [("linear", -1), ("cosine", -1), ("constant", 0)])
def test_the_rate_warms_up_and_follows_its_schedule(schedule, shape):
    model = network(schedule=schedule, warmup=0.2, epochs=20).fit(TEXTS, LABELS)
    _, rates = model.history_.column("learning_rate")
    peak = int(np.argmax(rates))
    assert rates[0] < 0.5 * max(rates)
    assert 0.1 < peak / len(rates) < 0.3
    assert np.sign(round(rates[-1] - rates[peak], 4)) == shape


def test_smoothing_and_class_weights_are_those_of_the_textbook(checkpoint):
    labels = ["good" if i % 4 == 0 else "bad" for i in range(len(TEXTS))]
    model = network(label_smoothing=0.2, class_weight="balanced", dropout=0.0, epochs=1,
                    learning_rate=1e-12, batch_size=len(TEXTS)).fit(TEXTS, labels)  # fmt: skip
    codes = np.searchsorted(model.classes_, labels)
    logits = torch.tensor(inference.logits(model._model, model._encoded(TEXTS)))
    weight = torch.tensor(len(codes) / (2 * np.bincount(codes)))
    expected = cross_entropy(
        logits, torch.tensor(codes), weight, label_smoothing=0.2, reduction="sum"
    ) / len(codes)
    assert model.history_.column("loss")[1][0] == pytest.approx(float(expected), rel=1e-4)


def test_l1_makes_weights_vanish():
    plain, sparse = (
        network(l1=l1, epochs=40, weight_decay=0).fit(TEXTS, LABELS) for l1 in (0, 1e-2)
    )
    small = [np.mean(np.abs(weights(model)) < 1e-2) for model in (plain, sparse)]
    assert small[1] > 2 * small[0]


def test_early_stopping_keeps_the_weights_of_the_lowest_loss():
    labels = [
        random.Random(0).choice(["bad", "good"]) if i % 2 else y for i, y in enumerate(LABELS)
    ]
    model = network(patience=2, epochs=60, learning_rate=3e-2)
    model.fit(TEXTS[::2], labels[::2], validation=(TEXTS[1::2], labels[1::2]))
    _, losses = model.history_.column("validation_loss")
    assert 3 <= len(losses) < 60
    assert int(np.argmin(losses)) == len(losses) - 3
    codes = np.searchsorted(model.classes_, labels[1::2])
    kept = -np.log(model.predict_proba(TEXTS[1::2])[np.arange(len(codes)), codes]).mean()
    assert kept == pytest.approx(min(losses), rel=1e-4)
    with pytest.raises(UserError, match="needs validation"):
        network(patience=1).fit(TEXTS, LABELS)


@pytest.mark.parametrize("setting", ["optimizer", "schedule", "precision"])
def test_unknown_settings_are_refused(setting):
    with pytest.raises(UserError, match="Valid: "):
        network(**{setting: "adamx"}).fit(TEXTS, LABELS)


def test_trackers_get_what_the_history_gets(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    network(report_to="tensorboard", epochs=2).fit(TEXTS, LABELS)
    assert list((tmp_path / "runs").rglob("events.out.tfevents.*"))
    folder = tmp_path / "kept"
    monkeypatch.setattr(checkpoints, "SECONDS", 0)
    monkeypatch.setattr(checkpoints.Checkpoints, "remove", lambda self: None)
    network(report_to="tensorboard", epochs=2, checkpoints=str(folder)).fit(TEXTS, LABELS)
    assert list(folder.rglob("events.out.tfevents.*"))
    assert list(folder.glob("checkpoint-*/complete"))


def test_a_tracker_that_is_not_here_is_named_before_anything_is_trained(monkeypatch):
    with pytest.raises(UserError, match="no tracker 'tensorbord'; did you mean 'tensorboard'"):
        network(report_to=["tensorbord"]).fit(TEXTS, LABELS)
    monkeypatch.setattr(
        loop.transformers.integrations, "get_available_reporting_integrations", list
    )
    with pytest.raises(UserError, match="'mlflow' is not installed: pip install mlflow"):
        network(report_to="mlflow").fit(TEXTS, LABELS)


@pytest.mark.parametrize(
    ("texts", "size"), [(2, 8), (959, 8), (960, 16), (1919, 16), (1920, 32), (10**6, 32)]
)
def test_few_texts_go_in_small_batches(texts, size):
    assert default_batch_size(texts) == size


def test_the_batch_size_is_reported():
    assert network(epochs=1, batch_size=None).fit(TEXTS, LABELS).training_info_["batch_size"] == 8
    assert network(epochs=1, batch_size=5).fit(TEXTS, LABELS).training_info_["batch_size"] == 5


def test_settings_are_seen_by_every_tool(checkpoint):
    for name in ("minilm", "lstm", "dapt", "source-only"):
        parameters = models.build(name, weight_decay=0.5, patience=3).get_params()
        assert parameters["weight_decay"] == 0.5
        assert parameters["patience"] == 3
    assert models.build("lstm").get_params()["kind"] == "lstm"
    for estimator in (TextClassifier, NetworkClassifier, ContinuedPretraining, SourceOnly):
        written = inspect.signature(estimator.__init__).parameters
        assert "label_smoothing" in written
        assert not any(p.kind is p.VAR_KEYWORD for p in written.values())
        assert repr(estimator(seed=3)) == f"{estimator.__name__}(seed=3)"


# --- trouble ------------------------------------------------------------------------------------


def test_a_loss_that_is_nan_stops_with_advice():
    with pytest.raises(UserError, match=r"in step \d+ at a learning rate of .*try a tenth"):
        network(learning_rate=1e30, max_grad_norm=None, warmup=0.0, optimizer="sgd").fit(
            TEXTS, LABELS
        )


def test_short_memory_cuts_the_batch_and_changes_nothing_else(monkeypatch):
    settings = {"dropout": 0.0, "epochs": 3}
    whole = network(**settings).fit(TEXTS, LABELS)
    step = trainer.transformers.Trainer.training_step

    def short(self, model, inputs, *rest):
        if len(inputs["labels"]) > 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to")
        return step(self, model, inputs, *rest)

    monkeypatch.setattr(trainer.transformers.Trainer, "training_step", short)
    cut = network(**settings).fit(TEXTS, LABELS)
    assert cut.training_info_["batch_pieces"] == 4
    assert np.allclose(weights(cut), weights(whole), atol=1e-5)
    assert np.allclose(cut.history_.column("loss")[1], whole.history_.column("loss")[1], atol=1e-5)


def test_memory_that_is_too_short_for_one_text_is_said(monkeypatch):
    def none(*_):
        raise MemoryError

    monkeypatch.setattr(trainer.transformers.Trainer, "training_step", none)
    with pytest.raises(UserError, match="smaller model or a smaller max_length"):
        network().fit(TEXTS, LABELS)


# --- batches ------------------------------------------------------------------------------------


def test_batches_hold_each_text_once_and_like_lengths_and_change_with_the_epoch():
    lengths = np.random.default_rng(0).integers(3, 200, 1000)
    sampler = ShuffledByLength(lengths, 32, seed=0)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert len(sampler) == len(first) == len(second) == 32
    assert sorted(i for batch in first for i in batch) == list(range(1000))
    assert {frozenset(b) for b in first} != {frozenset(b) for b in second}
    padded = sum(lengths[b].max() * len(b) for b in first)
    assert padded < 1.12 * lengths.sum()
    sampler.set_epoch(0)
    assert list(sampler) == first


def test_training_sees_each_text_once_an_epoch_in_another_order(monkeypatch):
    seen = []
    hand_out = Encoded.__getitems__
    monkeypatch.setattr(
        Encoded, "__getitems__", lambda self, i: (seen.append(tuple(i)), hand_out(self, i))[1]
    )
    network(epochs=2).fit(TEXTS, LABELS)
    first, second = seen[1:6], seen[6:]  # before, one step on two texts tries the model
    assert sorted(sum(first, ())) == sorted(sum(second, ())) == list(range(len(TEXTS)))
    assert set(first) != set(second)


def test_a_batch_is_padded_and_its_ids_are_no_python_lists():
    rows = Encoded([np.array(r, np.int32) for r in ([5, 6, 7], [8], [9, 4])], 0, labels=[1, 0, 1])
    batch = rows.__getitems__([2, 0])
    assert batch["input_ids"].tolist() == [[9, 4, 0], [5, 6, 7]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch["labels"].tolist() == [1, 1]
    assert all(isinstance(v, (np.ndarray, int, type(None))) for v in vars(rows).values())


# --- checkpoints --------------------------------------------------------------------------------

KILLED = """
import os, sys, numpy as np, torch, transformers, accelerate
sys.path.insert(0, {root!r})
from tests.models.test_encoder_classifier import LABELS, QUICK, TEXTS
from workbench.training import checkpoints
from workbench.models.encoder_classifier import TextClassifier
checkpoints.SECONDS = 0
def fit(folder):
    torch.set_num_threads(1)
    settings = {{**QUICK, "epochs": 12, "patience": 12, "checkpoints": folder}}
    model = TextClassifier({encoder!r}, **settings)
    model.fit(TEXTS, LABELS, validation=(TEXTS[::3], LABELS[::3]))
    return np.r_[model.predict_proba(TEXTS).ravel(), model.history_.column("loss")[1]]
for line in sys.stdin:  # a folder a line: fit in a child, say its number, then how it went
    folder, out = line.split()
    child = os.fork()
    if not child:
        np.save(out, fit(folder if folder != "-" else None))
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def test_ten_kills_and_ten_resumes_give_the_numbers_of_a_run_left_alone(checkpoint, tmp_path):
    script = KILLED.format(root=str(Path(__file__).parents[2]), encoder=str(checkpoint("bert")))
    server = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def run(folder, kill_after: float | None = None) -> bool:
        """Whether the training came to its end."""
        server.stdin.write(f"{folder} {tmp_path / 'out.npy'}\n")
        server.stdin.flush()
        child = int(server.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        return int(server.stdout.readline()) == 0

    assert run("-")
    alone = np.load(tmp_path / "out.npy")
    started = time.monotonic()
    assert run(tmp_path / "undisturbed")
    seconds = time.monotonic() - started
    assert np.array_equal(np.load(tmp_path / "out.npy"), alone)
    draws, kills, resumed = random.Random(0), 0, 0
    while kills < 10:
        folder = tmp_path / f"run-{kills}"
        (tmp_path / "out.npy").unlink(missing_ok=True)
        if run(folder, kill_after=draws.uniform(0.3, 1.0) * seconds):
            continue  # it was faster than the kill
        kills += 1
        resumed += any(folder.glob("checkpoint-*/complete"))
        assert run(folder)
        assert np.array_equal(np.load(tmp_path / "out.npy"), alone)
        assert not any(folder.glob("checkpoint-*")), "what has ended leaves no checkpoints"
    server.communicate("")
    assert resumed >= 5


def test_a_folder_of_another_run_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS", 0)
    monkeypatch.setattr(checkpoints.Checkpoints, "remove", lambda self: None)
    network(checkpoints=str(tmp_path), epochs=2).fit(TEXTS, LABELS)
    with pytest.raises(UserError, match="another run"):
        network(checkpoints=str(tmp_path), epochs=2, seed=5).fit(TEXTS, LABELS)
    with pytest.raises(UserError, match="another run"):
        network(checkpoints=str(tmp_path), epochs=2).fit(TEXTS[::-1], LABELS[::-1])
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        network(checkpoints=str(tmp_path / "file")).fit(TEXTS, LABELS)


def test_a_checkpoint_cut_short_is_not_trusted_and_a_full_disk_ends_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS", 0)
    expected = network(epochs=2).fit(TEXTS, LABELS).predict_proba(TEXTS)
    (tmp_path / "checkpoint-3").mkdir()
    (tmp_path / "checkpoint-3" / "model.safetensors").write_bytes(b"half")
    model = network(epochs=2, checkpoints=str(tmp_path)).fit(TEXTS, LABELS)
    assert np.array_equal(model.predict_proba(TEXTS), expected)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.History, "save", full)
    with pytest.warns(UserWarning, match="No space left"):
        model = network(epochs=2, checkpoints=str(tmp_path)).fit(TEXTS, LABELS)
    assert np.array_equal(model.predict_proba(TEXTS), expected)
