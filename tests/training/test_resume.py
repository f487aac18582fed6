"""A training that was interrupted goes on to the numbers of one left alone, bit by bit."""

import numpy as np
import pytest
from gensim.models import KeyedVectors

from tests.models.test_adaptation import TARGET
from tests.models.test_encoder_classifier import LABELS, TEXTS, untimed
from workbench.errors import UserError
from workbench.models.adaptation import ContinuedPretraining
from workbench.models.encoder_classifier import STRATEGIES, NetworkClassifier, TextClassifier
from workbench.training import checkpoints, trainer

SHORT = {"epochs": 3, "learning_rate": 3e-3, "batch_size": 16, "max_length": 16}


class Interrupted(Exception):
    pass


@pytest.fixture
def interrupt(monkeypatch):
    """A function: let so many steps pass, then break off; None lets all pass."""
    monkeypatch.setattr(checkpoints, "SECONDS", 0)
    step, left = trainer.Trainer.training_step, [None]

    def training_step(self, *args):
        if left[0] is not None:
            left[0] -= 1
            if left[0] < 0:
                raise Interrupted
        return step(self, *args)

    monkeypatch.setattr(trainer.Trainer, "training_step", training_step)
    return lambda steps: left.__setitem__(0, steps)


def interrupted_and_resumed(make, interrupt, folder, steps, **options) -> None:
    """Compare a fit that is broken off after `steps` and done again with one left alone."""
    alone = make().fit(TEXTS, LABELS, **options)
    interrupt(steps)
    with pytest.raises(Interrupted):
        make(checkpoints=str(folder)).fit(TEXTS, LABELS, **options)
    assert list(folder.rglob("complete")), "there is a checkpoint to go on from"
    interrupt(None)
    resumed = make(checkpoints=str(folder)).fit(TEXTS, LABELS, **options)
    assert np.array_equal(resumed.predict_proba(TEXTS), alone.predict_proba(TEXTS))
    assert untimed(resumed.history_) == untimed(alone.history_)
    times = resumed.history_.column("seconds")[1]
    assert times == sorted(times), "they go on from the last row before"
    assert not list(folder.rglob("checkpoint-*")), "what has ended leaves no checkpoints"


@pytest.mark.parametrize("strategy", [s for s in STRATEGIES if s != "frozen"])
@pytest.mark.parametrize("steps", [5, 7, 13])  # an epoch has five
def test_every_strategy(checkpoint, interrupt, tmp_path, strategy, steps):
    encoder = str(checkpoint("bert"))

    def make(**settings):
        return TextClassifier(encoder, strategy=strategy, **SHORT, **settings)

    interrupted_and_resumed(make, interrupt, tmp_path / "run", steps)


def test_layer_decay_new_layers_and_early_stopping(checkpoint, interrupt, tmp_path):
    encoder = str(checkpoint("bert"))

    def make(**settings):
        given = {**SHORT, "layer_decay": 0.5, "reinit_layers": 1, "patience": 2, "l1": 1e-5}
        return TextClassifier(encoder, **given, **settings)

    validation = (TEXTS[::3], LABELS[::3])
    interrupted_and_resumed(make, interrupt, tmp_path / "run", 12, validation=validation)


@pytest.mark.parametrize("kind", ["cnn", "rnn", "lstm", "gru"])
def test_every_network_also_from_vectors_in_memory(interrupt, tmp_path, kind):
    def make(**settings):
        vectors = KeyedVectors(8)
        vectors.add_vectors(["great", "bad"], np.eye(2, 8, dtype=np.float32))
        return NetworkClassifier(
            kind, vectors=vectors, min_count=1, epochs=3, batch_size=16, **settings
        )

    interrupted_and_resumed(make, interrupt, tmp_path / "run", 8)


# Seven steps of the new head, seven of pretraining, fifteen of training.
@pytest.mark.parametrize("steps", [3, 9, 21])
def test_both_stages_of_continued_pretraining(checkpoint, interrupt, tmp_path, steps):
    encoder = str(checkpoint("bert"))

    def make(**settings):
        return ContinuedPretraining(encoder, **SHORT, pretraining_epochs=1, **settings)

    interrupted_and_resumed(make, interrupt, tmp_path / "run", steps, unlabeled=TARGET)


def test_a_first_stage_that_was_done_is_not_done_again(checkpoint, interrupt, tmp_path):
    model = ContinuedPretraining(
        str(checkpoint("bert")), **SHORT, pretraining_epochs=1, checkpoints=str(tmp_path)
    )
    interrupt(17)
    with pytest.raises(Interrupted):
        model.fit(TEXTS, LABELS, unlabeled=TARGET)
    interrupt(12)  # what is left of the last stage
    model.fit(TEXTS, LABELS, unlabeled=TARGET)


@pytest.mark.parametrize(
    "other",
    [
        {"validation": (TEXTS[1::3], LABELS[1::3])},
        {"validation": None},
        {"settings": {"vectors": 1.0}},
        {"settings": {"label_smoothing": 0.1}},
    ],
    ids=["validation texts", "no validation", "word vectors", "a setting"],
)
def test_another_run_is_refused(interrupt, tmp_path, other):
    def fit(vectors=None, validation=(TEXTS[::3], LABELS[::3]), **settings):
        start = KeyedVectors(8)
        start.add_vectors(["great"], np.full((1, 8), vectors or 0.5))
        model = NetworkClassifier(
            "cnn", vectors=start, min_count=1, epochs=3, checkpoints=str(tmp_path), **settings
        )
        return model.fit(TEXTS, LABELS, validation=validation)

    interrupt(4)
    with pytest.raises(Interrupted):
        fit()
    interrupt(None)
    with pytest.raises(UserError, match="another run"):
        fit(**other.get("settings", {}), **{k: v for k, v in other.items() if k != "settings"})
    fit()
