"""Sequential transfer: a further fit starts from the weights of the last one, and says when not."""

import copy

import numpy as np
import pytest
import torch
from sklearn.base import clone

from tests.models.test_adaptation import TARGET
from tests.models.test_encoder_classifier import LABELS, QUICK, TEXTS
from workbench import models
from workbench.data import tagged
from workbench.errors import UserError
from workbench.models.encoder_classifier import TextClassifier
from workbench.models.tagger import Tagger
from workbench.training import trainer

# Rates so small that nothing moves show what a fit starts from.
STILL = {"learning_rate": 1e-12, "epochs": 1, "warm_start": True}
OTHERS = [str(i % 3) for i in range(len(TEXTS))]


@pytest.fixture(scope="module")
def folder(checkpoint):
    return str(checkpoint("bert"))


@pytest.fixture(scope="module")
def fitted(folder):
    return TextClassifier(folder, **QUICK).fit(TEXTS, LABELS)


@pytest.fixture
def source(fitted):
    return copy.deepcopy(fitted)


@pytest.fixture
def first_loss(monkeypatch):
    """The loss of the first step of each fit."""
    seen, step = [], trainer.Trainer.training_step

    def training_step(self, *args):
        loss = step(self, *args)
        if not self.state.global_step:
            seen.append(float(loss))
        return loss

    monkeypatch.setattr(trainer.Trainer, "training_step", training_step)
    return seen


def weights(model) -> dict:
    return {name: value.clone() for name, value in model._model.state_dict().items()}


def same(before: dict, after: dict, part: str) -> bool:
    names = [name for name in before if name.startswith(part)]
    assert names
    return all(torch.allclose(before[n], after[n].to(before[n]), atol=1e-6) for n in names)


def test_the_first_loss_is_the_source_s_and_without_a_warm_start_a_new_head_s(source, first_loss):
    probabilities = source.predict_proba(TEXTS)
    known = -np.log(probabilities[np.arange(len(TEXTS)), (np.array(LABELS) == "good") * 1]).mean()
    assert known < 0.1
    source.set_params(**STILL).fit(TEXTS, LABELS)
    assert first_loss.pop() < 0.2
    assert np.allclose(source.predict_proba(TEXTS), probabilities, atol=1e-5)
    source.set_params(warm_start=False).fit(TEXTS, LABELS)
    assert first_loss.pop() == pytest.approx(np.log(2), abs=0.15), "nothing was handed over"


def test_other_classes_have_a_new_head_on_the_same_encoder(source, first_loss):
    before = weights(source)
    renamed = ["x" + label for label in LABELS]  # as many classes, and not the same
    source.set_params(**STILL).fit(TEXTS, renamed)
    assert same(before, weights(source), "bert.")
    assert not same(before, weights(source), "classifier.")
    source.fit(TEXTS, OTHERS)
    assert same(before, weights(source), "bert.")
    assert source._model.classifier.weight.shape == (3, 32)
    assert first_loss.pop() == pytest.approx(np.log(3), abs=0.3)


def test_frozen_layers_stay_the_source_s_and_the_upper_ones_learn(source):
    before = weights(source)
    settings = {"warm_start": True, "strategy": "upper", "learning_rate": 1e-3, "epochs": 2}
    after = weights(source.set_params(**settings).fit(TARGET, ["a", "b"] * (len(TARGET) // 2)))
    assert same(before, after, "bert.encoder.layer.0.")
    assert same(before, after, "bert.embeddings.")
    assert not same(before, after, "bert.encoder.layer.1.")


@pytest.mark.parametrize("strategy", ["frozen", "contrastive"])
def test_a_head_apart_stands_on_the_source_s_encoder(source, tmp_path, strategy):
    before = {k.removeprefix("bert."): v for k, v in weights(source).items()}
    model = source.set_params(**STILL | {"strategy": strategy}).fit(TEXTS, OTHERS)
    atol = 1e-2  # it encodes in bf16 where there are units for it
    for name, value in model._model.state_dict().items():
        assert torch.allclose(value.float(), before[name], atol=atol), name
    model.save(tmp_path)
    expected = model.predict_proba(TEXTS)
    assert np.allclose(models.open(tmp_path).predict_proba(TEXTS), expected, atol=1e-2)


def test_back_from_a_head_apart_the_model_can_be_saved(source, tmp_path):
    source.set_params(**STILL | {"strategy": "frozen"}).fit(TEXTS, LABELS)
    source.set_params(strategy="full").fit(TEXTS, LABELS).save(tmp_path)
    expected = source.predict_proba(TEXTS)
    assert np.allclose(models.open(tmp_path).predict_proba(TEXTS), expected, atol=1e-6)


def test_a_tagger_goes_on_too(folder, first_loss):
    words, tags = (
        [text.split() for text in TEXTS],
        [["O"] * (len(t.split()) - 1) + ["B-x"] for t in TEXTS],
    )
    model = Tagger(folder, strategy="frozen", **QUICK).fit(words, tags)
    model.set_params(strategy="full").fit(words, tags)
    before, expected = weights(model), model.predict(words)
    model.set_params(**STILL).fit(words, tags)
    assert first_loss.pop() < 0.1
    assert same(before, weights(model), "")
    assert model.predict(words) == expected == [tagged.bio(row) for row in tags]


def test_an_opened_model_goes_on_and_a_clone_starts_afresh(source, tmp_path, first_loss):
    source.save(tmp_path)
    opened = models.open(tmp_path).set_params(**STILL).fit(TEXTS, LABELS)
    assert first_loss.pop() < 0.2
    fresh = clone(opened)
    assert fresh.warm_start
    fresh.fit(TEXTS, LABELS)
    assert first_loss.pop() == pytest.approx(np.log(2), abs=0.15)
    assert models.describe(fresh)["warm_start"]


def test_a_fit_that_fails_leaves_the_source_as_it_was(source, checkpoint):
    before, expected = weights(source), source.predict_proba(TEXTS)
    with pytest.raises(UserError, match="loss became"):
        source.set_params(warm_start=True, learning_rate=1e30).fit(TEXTS, LABELS)
    assert same(before, weights(source), "")
    assert np.array_equal(source.predict_proba(TEXTS), expected)
    with pytest.raises(UserError, match="another encoder"):
        source.set_params(**STILL | {"encoder": str(checkpoint("roberta"))}).fit(TEXTS, LABELS)


def test_weights_that_did_not_move_cannot_be_handed_over(folder):
    model = TextClassifier(folder, strategy="frozen", warm_start=True).fit(TEXTS, LABELS)
    with pytest.raises(UserError, match="as it was: there are no weights"):
        model.set_params(strategy="full").fit(TEXTS, LABELS)
    with pytest.raises(UserError, match="needs an encoder that is fine-tuned"):
        Tagger(folder, strategy="frozen", warm_start=True).fit([["a"], ["b"]], [["O"], ["B-x"]])
    adapted = models.build("dapt", encoder=folder, warm_start=True)
    with pytest.raises(UserError, match="start of its own"):
        adapted.fit(TEXTS, LABELS, unlabeled=TARGET)
