"""What is called frozen does not move, and what is kept is what would be computed."""

import re

import numpy as np
import pytest
import torch

from tests.models import families
from tests.models.test_encoder_classifier import LABELS, QUICK, TEXTS
from workbench import models
from workbench.models import encoders
from workbench.models.encoder_classifier import TextClassifier
from workbench.training import inference, strategies, trainer, upper_layers

FAMILIES = ["bert", "roberta", "gpt2"]


def moved(folder, model) -> set[str]:
    """Names of the encoder's parameters that training has changed."""
    before = encoders.load(folder).state_dict()
    after = model._model.base_model.state_dict()
    return {k for k in before if k in after and not torch.equal(before[k], after[k])}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("strategy", ["upper", "gradual", "lora"])
def test_every_strategy_learns_with_every_family(checkpoint, family, strategy):
    settings = {**QUICK, "epochs": 20}
    model = TextClassifier(str(checkpoint(family)), strategy=strategy, **settings)
    model.fit(TEXTS, LABELS, validation=(TEXTS, LABELS))
    assert (model.predict(TEXTS) == np.array(LABELS)).mean() > 0.95
    # Validation sees the model through the strategy, prediction sees it whole.
    assert model.history_.column("validation_accuracy")[1][-1] == pytest.approx(
        (model.predict(TEXTS) == np.array(LABELS)).mean(), abs=0.03
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_contrastive_training_draws_the_texts_of_a_class_together(checkpoint, family):
    folder = str(checkpoint(family))
    frozen = TextClassifier(folder, strategy="frozen", **QUICK).fit(TEXTS, LABELS)
    model = TextClassifier(folder, strategy="contrastive", **{**QUICK, "epochs": 40})
    model.fit(TEXTS, LABELS, validation=(TEXTS, LABELS))
    same = np.equal.outer(LABELS, LABELS)
    apart = []
    for each in (frozen, model):
        vectors = each._vectors(TEXTS)
        cosines = vectors @ vectors.T
        apart.append(cosines[same].mean() - cosines[~same].mean())
    assert apart[1] > 0.5 > apart[0]
    assert (model.predict(TEXTS) == np.array(LABELS)).mean() > 0.95
    assert model.training_info_["trainable_parameters"] == model.training_info_["parameters"]
    losses = model.history_.column("loss")[1]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    ("texts", "size", "epochs"),
    [(1, 8, 20), (64, 8, 20), (256, 8, 10), (1000, 16, 5), (9999, 32, 3)],
)
def test_few_texts_are_passed_over_more_often(texts, size, epochs):
    model = TextClassifier().with_defaults(texts)
    assert (model.batch_size, model.epochs) == (size, epochs)
    assert TextClassifier(epochs=2, batch_size=4).with_defaults(texts).epochs == 2
    pairs = TextClassifier(strategy="contrastive").with_defaults(texts)
    assert (pairs.batch_size, pairs.epochs) == (32, max(3, epochs // 2))
    assert TextClassifier().epochs is None


@pytest.mark.parametrize("family", FAMILIES)
def test_frozen_layers_and_embeddings_stand_still(checkpoint, family):
    folder = str(checkpoint(family))
    model = TextClassifier(folder, strategy="upper", frozen_layers=1, **QUICK).fit(TEXTS, LABELS)
    depth = strategies.depths(model._model)
    names = {n.removeprefix(f"{model._model.base_model_prefix}."): d for n, d in depth.items()}
    changed = moved(folder, model)
    assert changed
    assert {names[name] for name in changed} <= {2, 3}
    assert any(names[name] == 2 for name in changed)
    whole = sum(p.numel() for p in model._model.parameters())
    assert (
        model.training_info_["trainable_parameters"] < whole == model.training_info_["parameters"]
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_stored_hidden_states_give_the_logits_of_the_whole_model(checkpoint, family):
    model = TextClassifier(str(checkpoint(family)), precision="fp32", **QUICK).fit(TEXTS, LABELS)
    rows = model._encoded(TEXTS, np.zeros(len(TEXTS), int))
    whole = inference.logits(model._model, rows, "fp32")
    upper = upper_layers.UpperLayers(model._model, 1)
    upper.precompute(rows, "fp32")
    spread = np.ptp(whole, axis=0).min()
    assert np.allclose(inference.logits(upper, rows, "fp32"), whole, atol=0.05 * spread)


def test_adapters_leave_a_plain_checkpoint_with_its_head(checkpoint, tmp_path):
    folder = str(checkpoint("bert"))
    model = TextClassifier(folder, strategy="lora", **{**QUICK, "learning_rate": 1e-2})
    model.fit(TEXTS, LABELS)
    assert model.training_info_["trainable_parameters"] < 0.5 * model.training_info_["parameters"]
    assert not any("lora" in name for name in model._model.state_dict())
    expected = model.predict_proba(TEXTS)
    model.save(tmp_path)
    assert np.allclose(models.open(tmp_path).predict_proba(TEXTS), expected, atol=1e-4)
    assert (model.predict(TEXTS) == np.array(LABELS)).mean() > 0.9
    kept = {"embeddings.word_embeddings.weight", "embeddings.LayerNorm.weight"}
    assert not kept & moved(folder, model)


def lowest_trainable(checkpoint, monkeypatch, **settings) -> list[int]:
    """The lowest trainable depth in each step of a gradual training: 3 the head, 0 embeddings."""
    seen = []

    class Spy(strategies.Gradual):
        def on_step_begin(self, *args, **options):
            super().on_step_begin(*args, **options)
            found = strategies.depths(self.model)
            trainable = {d for n, d in found.items() if self.model.get_parameter(n).requires_grad}
            assert trainable == set(range(min(trainable), 4)), "nothing above is frozen"
            seen.append(min(trainable))

    monkeypatch.setattr(strategies, "Gradual", Spy)
    settings = {**QUICK, "strategy": "gradual", **settings}
    TextClassifier(str(checkpoint("bert")), **settings).fit(TEXTS, LABELS)
    return seen


@pytest.mark.parametrize("epochs", [1, 3, 4])
def test_gradual_unfreezing_goes_layer_after_layer(checkpoint, monkeypatch, epochs):
    """Also within one epoch: three epochs of six layers must not go in three jumps."""
    seen = lowest_trainable(checkpoint, monkeypatch, epochs=epochs, batch_size=4)
    steps = len(seen)
    assert steps == epochs * -(-len(TEXTS) // 4)
    assert seen == sorted(seen, reverse=True)
    assert set(seen) == {3, 2, 1, 0}, "each layer has a time of its own"
    assert seen.index(0) == -(-steps // 2), "the second half trains everything"
    lengths = [seen.count(depth) for depth in (3, 2, 1)]
    assert max(lengths) - min(lengths) <= 1


def test_gradual_unfreezing_moves_the_embeddings_least(checkpoint):
    folder = str(checkpoint("bert"))
    model = TextClassifier(folder, strategy="gradual", **{**QUICK, "epochs": 1, "batch_size": 4})
    names = moved(folder, model.fit(TEXTS, LABELS))
    assert any("embeddings" in name for name in names)
    assert any(".1." in name for name in names)


def test_lower_layers_learn_more_slowly(checkpoint):
    model = TextClassifier(str(checkpoint("bert")), **QUICK)
    model.classes_ = np.array(["bad", "good"])
    model._load(model.encoder)
    rates = strategies.layer_rates(model._model, 0.5)
    assert rates("classifier.weight") == 1
    assert rates("bert.encoder.layer.1.output.dense.weight") == 0.5
    assert rates("bert.encoder.layer.0.output.dense.weight") == 0.25
    assert rates("bert.embeddings.word_embeddings.weight") == 0.125
    folder = model.encoder
    slow = TextClassifier(folder, layer_decay=0.01, **QUICK).fit(TEXTS, LABELS)
    assert "encoder.layer.0.output.dense.weight" in moved(folder, slow)
    before = encoders.load(folder).state_dict()["encoder.layer.0.output.dense.weight"]
    after = slow._model.state_dict()["bert.encoder.layer.0.output.dense.weight"]
    assert torch.allclose(before, after, atol=0.01 * 0.01)


@pytest.mark.parametrize("family", FAMILIES)
def test_reinitialised_layers_forget_and_the_others_do_not(checkpoint, family):
    folder = str(checkpoint(family))
    settings = {**QUICK, "epochs": 1, "learning_rate": 1e-9}
    model = TextClassifier(folder, reinit_layers=1, **settings).fit(TEXTS, LABELS)
    before = encoders.load(folder).state_dict()
    after = model._model.base_model.state_dict()
    far = {k for k in before if k in after and not torch.allclose(before[k], after[k], atol=1e-3)}
    assert far
    assert all(".1." in name or name.startswith("pooler") for name in far)


def test_an_encoder_without_a_head_has_depths_too(checkpoint):
    encoder = encoders.load(checkpoint("bert"))
    found = strategies.depths(encoder)
    assert found["embeddings.word_embeddings.weight"] == 0
    assert found["encoder.layer.1.output.dense.weight"] == 2
    assert {name for name, depth in found.items() if depth == 3} == {
        "pooler.dense.weight", "pooler.dense.bias",
    }  # fmt: skip


@pytest.mark.parametrize("strategy", ["full", "upper", "lora"])
@pytest.mark.parametrize("family", ["bert", "bart", "modernbert", "xlnet", "xlm"])
def test_layer_decay_reaches_the_optimizer_under_every_strategy(
    tmp_path, monkeypatch, strategy, family
):
    if strategy == "upper" and family not in ("bert", "modernbert"):
        pytest.skip("refused, see test_families")
    rates = {}
    make = trainer.Trainer.create_optimizer

    def spy(self, *args):
        optimizer = make(self, *args)
        names = {id(p): n for n, p in self.model.named_parameters() if p.requires_grad}
        for group in optimizer.param_groups:
            rates.update({names[id(p)]: group["lr"] for p in group["params"] if id(p) in names})
        return optimizer

    monkeypatch.setattr(trainer.Trainer, "create_optimizer", spy)
    settings = {**QUICK, "epochs": 1, "learning_rate": 1e-3}
    folder = families.make(family, tmp_path)
    TextClassifier(folder, strategy=strategy, layer_decay=0.5, **settings).fit(TEXTS, LABELS)
    model = families.classifier(family)
    base = next(n for n, module in model.named_children() if module is model.base_model)
    outside = {n for n, _ in model.named_parameters() if n.split(".")[0] != base}
    head = {n for n in rates if any(f".{n}".endswith(f".{name}") for name in outside)}
    assert len(head) == len(outside)
    assert {rates[name] for name in head} == {1e-3}
    lower = [rate for n, rate in rates.items() if n not in head and re.search(r"\.[01]\.", n)]
    assert max(lower) <= 0.5e-3
