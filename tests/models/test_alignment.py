"""Alignment while fine-tuning: the source is learned, the domains are drawn together."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone

from tests.models.test_adaptation import TARGET
from tests.models.test_encoder_classifier import LABELS, TEXTS, untimed
from tests.training.test_resume import interrupt, interrupted_and_resumed  # noqa: F401
from workbench import models
from workbench.errors import DataWarning, UserError
from workbench.training import alignment, trainer

METHODS = ["dann", "cdan", "deep-coral", "mmd", "mcc"]
SHORT = {"epochs": 3, "learning_rate": 3e-3, "batch_size": 16, "max_length": 16}
LONG = SHORT | {"epochs": 8}


@pytest.fixture(scope="module")
def folder(checkpoint):
    return str(checkpoint("bert"))


@pytest.fixture
def watched(monkeypatch):
    """The wrappers that are trained, and for each step the share that was done."""
    seen, step = [], trainer.Trainer.training_step

    def training_step(self, model, *args):
        seen.append((model, getattr(model, "progress", None)))
        return step(self, model, *args)

    monkeypatch.setattr(trainer.Trainer, "training_step", training_step)
    return seen


def gap(model, distance) -> float:
    """How far apart the domains are in what the head reads."""
    network, rows, read = model._model.eval(), model._encoded([*TEXTS, *TARGET]), []
    hook = network.classifier.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    with torch.no_grad():
        network(**rows.__getitems__(range(len(rows))))
    hook.remove()
    features = read[0] / read[0].std()
    return float(distance(features[: len(TEXTS)], features[len(TEXTS) :]))


@pytest.mark.parametrize("method", METHODS)
def test_the_source_is_learned_and_the_same_seed_gives_the_same(folder, method):
    settings = LONG | {"weight": 0.1}
    model = models.build(method, encoder=folder, **settings).fit(TEXTS, LABELS, unlabeled=TARGET)
    assert model.score(TEXTS, LABELS) > 0.9
    again = clone(model).fit(TEXTS, LABELS, unlabeled=TARGET)
    assert untimed(again.history_) == untimed(model.history_)
    assert np.array_equal(again.predict_proba(TARGET), model.predict_proba(TARGET))
    other = clone(model).fit(TEXTS, LABELS, unlabeled=TARGET[::-1])
    assert untimed(other.history_) != untimed(model.history_), "the target's texts are read"
    assert model.training_info_["unlabeled"] == len(TARGET)
    assert model.training_info_["texts"] == len(TEXTS)


@pytest.mark.parametrize(("method", "heavy"), [("deep-coral", 3.0), ("mmd", 0.1)])
def test_the_penalty_draws_the_domains_together(folder, method, heavy):
    far, near = (
        gap(
            models.build(method, encoder=folder, weight=weight, **LONG).fit(
                TEXTS, LABELS, unlabeled=TARGET
            ),
            {"deep-coral": alignment.coral, "mmd": alignment.mmd}[method],
        )
        for weight in (0.0, heavy)
    )
    assert near < 0.8 * far


def test_confusion_makes_the_target_s_predictions_sure(folder):
    sure = [
        models.build("mcc", encoder=folder, weight=weight, **LONG)
        .fit(TEXTS, LABELS, unlabeled=TARGET).predict_proba(TARGET).max(1).mean()
        for weight in (0.0, 5.0)
    ]  # fmt: skip
    assert sure[1] > sure[0]


@pytest.mark.parametrize("size", [4, 16])
def test_progress_is_the_share_of_the_steps_whatever_their_size(folder, watched, size):
    settings = SHORT | {"batch_size": size}
    models.build("dann", encoder=folder, **settings).fit(TEXTS, LABELS, unlabeled=TARGET)
    steps = 3 * -(-len(TEXTS) // size)
    assert [progress for _, progress in watched] == pytest.approx(np.arange(steps) / steps)


@pytest.mark.parametrize("method", ["dann", "cdan"])
def test_the_discriminator_learns_and_is_not_part_of_the_model(folder, watched, method, tmp_path):
    model = models.build(method, encoder=folder, **SHORT).fit(TEXTS, LABELS, unlabeled=TARGET)
    wrapper = watched[0][0]
    assert isinstance(wrapper.penalty, alignment.Adversary)
    assert wrapper.penalty.discriminator[0].weight.grad is None, "what is trained is released"
    names = {*model._model.state_dict()}
    plain = models.build("source-only", encoder=folder, **SHORT).fit(TEXTS, LABELS)
    assert names == {*plain._model.state_dict()}
    assert not any(module._forward_pre_hooks for module in model._model.modules())


def test_what_is_frozen_stays(folder, watched):
    settings = {"strategy": "lora", "encoder": folder, **SHORT}
    model = models.build("dann", **settings).fit(TEXTS, LABELS, unlabeled=TARGET)
    start = models.build("dann", **settings | {"learning_rate": 1e-12})
    start.fit(TEXTS, LABELS, unlabeled=TARGET)
    moved = {
        name for name, value in model._model.state_dict().items()
        if not torch.allclose(value, start._model.state_dict()[name], atol=1e-6)
    }  # fmt: skip
    assert "classifier.weight" in moved
    assert not any("embeddings" in name or "LayerNorm" in name for name in moved)


def test_what_is_compared_is_read_before_the_dropout_of_the_head(folder):
    model = models.build("source-only", encoder=folder, **SHORT).fit(TEXTS, LABELS)
    network, seen = model._model.train(), []

    class Seen(torch.nn.Module):
        def forward(self, features, logits, target, progress):
            seen.append(features)
            return features.sum() * 0

    aligned = alignment.Aligned(network, lambda size, classes: Seen())
    rows = model._encoded(TEXTS[:8]).__getitems__(range(8))
    for module in network.bert.modules():
        if type(module) is torch.nn.Dropout:
            module.p = 0.0
    for _ in range(2):
        aligned(torch.arange(8) % 2 == 1, **rows)
    assert torch.equal(*seen)
    assert seen[0].std().item() == pytest.approx(1)


@pytest.mark.parametrize("family", ["roberta", "gpt2"])
def test_other_families(checkpoint, family):
    model = models.build("cdan", encoder=str(checkpoint(family)), **SHORT)
    model.fit(TEXTS, LABELS, unlabeled=TARGET, validation=(TEXTS[::3], LABELS[::3]))
    assert len(model.history_.column("validation_loss")[1]) == 3
    assert model.predict_proba(TARGET).shape == (len(TARGET), 2)


@pytest.mark.parametrize("method", ["cdan", "mcc"])
def test_an_adapted_model_survives(folder, method, tmp_path):
    model = models.build(method, encoder=folder, **SHORT | {"epochs": 1})
    model.fit(TEXTS, LABELS, unlabeled=TARGET)
    expected = model.predict_proba(TARGET)
    model.save(tmp_path)
    opened = models.open(tmp_path)
    assert type(opened) is type(model)
    assert models.describe(opened)["model"] == method
    assert np.allclose(opened.predict_proba(TARGET), expected, atol=1e-6)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict_proba(TARGET), expected)


def test_an_interrupted_fit_goes_on_to_the_same(folder, interrupt, tmp_path):  # noqa: F811
    def make(**settings):
        return models.build("cdan", encoder=folder, **SHORT, **settings)

    interrupted_and_resumed(make, interrupt, tmp_path / "run", 7, unlabeled=TARGET)


class Betrayed(Exception):
    pass


class Text(str):
    """A text with the label that nobody may ask for."""

    @property
    def label(self):
        raise Betrayed


@pytest.mark.parametrize("method", METHODS)
def test_no_label_of_the_target_can_be_reached(folder, method):
    texts = [Text(text) for text in TARGET]
    model = models.build(method, encoder=folder, **SHORT | {"epochs": 1})
    model.fit(TEXTS, LABELS, unlabeled=texts)
    with pytest.raises(TypeError):
        model.fit(TEXTS, LABELS, unlabeled=texts, unlabeled_labels=["good"] * len(texts))
    with pytest.raises(UserError, match="unlabeled"):
        model.fit(TEXTS, LABELS, unlabeled=list(zip(texts, LABELS, strict=False)))
    assert not any("unlabeled" in name for name in vars(model))


@pytest.mark.parametrize("method", METHODS)
def test_a_target_that_cannot_be_compared_is_told(folder, method):
    model = models.build(method, encoder=folder, **SHORT | {"epochs": 1})
    for nothing in ([], None):
        with pytest.raises(UserError, match="unlabeled=texts of the target"):
            model.fit(TEXTS, LABELS, unlabeled=nothing)
    for few in (["one"], ["one", " ", ""], ["", "\n"]):
        with pytest.raises(UserError, match="not blank, and it needs 2"):
            model.fit(TEXTS, LABELS, unlabeled=few)
    with pytest.warns(DataWarning, match="2 of 4 texts of the target are blank and are left out"):
        model.fit(TEXTS, LABELS, unlabeled=["a pan", "", "the pan", " "])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clone(model).fit(TEXTS, LABELS, unlabeled=["a pan", "the pan"])


def test_strategies_without_a_trained_encoder_are_refused(folder):
    with pytest.raises(UserError, match="strategy"):
        models.build("dann", encoder=folder, strategy="frozen").fit(TEXTS, LABELS, unlabeled=TARGET)
