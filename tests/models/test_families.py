"""Every architecture of `transformers` that classifies texts is trained, or refused in time."""

import copy

import numpy as np
import pytest
import torch

from tests.models import families
from workbench.errors import UserError
from workbench.models import encoders
from workbench.models.encoder_classifier import TextClassifier
from workbench.training import strategies, trainer, upper_layers

TEXTS = ["a great book", "it was bad", "my film , it was superb !", "dull"] * 3
LABELS = ["good", "bad", "good", "bad"] * 3
SETTINGS = {"epochs": 1, "batch_size": 6, "max_length": 32, "learning_rate": 1e-3}
REFUSED = {"reformer": "it trains only on texts of one length, which its configuration names"}
READS_PADDING = {"t5gemma": "its decoder does", "t5gemma2": "its decoder does"}


MADE = [family for family in families.FAMILIES if family not in families.CANNOT_BE_MADE]


@pytest.mark.parametrize("family", MADE)
def test_every_family_is_trained_or_refused(tmp_path, monkeypatch, family):
    model = TextClassifier(families.make(family, tmp_path), **SETTINGS)
    steps, step = [], trainer.Trainer.training_step
    monkeypatch.setattr(trainer.Trainer, "training_step", lambda *a: (steps.append(1), step(*a))[1])
    if family in REFUSED:
        with pytest.raises(UserError, match=r"kind '\w+' cannot be trained in this way"):
            model.fit(TEXTS, LABELS)
        assert not steps
        return
    model.fit(TEXTS, LABELS, validation=(TEXTS[:5], LABELS[:5]))
    assert len(steps) == 2
    assert all(np.isfinite(loss) for loss in model.history_.column("loss")[1])
    texts = [*TEXTS[:4], "", "a </s> great <pad> book <s>"]
    together = model.predict_proba(texts)
    alone = np.vstack([model.predict_proba([text]) for text in texts])
    atol = 0.05 if family in READS_PADDING else 1e-4
    assert np.allclose(together, alone, atol=atol), "padding changes what is predicted"


NO_LAYERS = {"albert": "its layers share their weights", "perceiver": "its head is in the base"}
NO_ADAPTERS = {"ibert": "layers of its own for whole numbers", "phimoe": "reads weights of layers",
               "perceiver": "its head is in the base"}  # fmt: skip
# Layers that are fed with more than hidden states or padding, are not one stack, or shorten texts.
NO_UPPER = set(
    "albert bart bigbird_pegasus canine flaubert fnet funnel gemma3 lilt longformer mbart "
    "modernvbert mt5 mvp perceiver plbart qwen3_5 squeezebert t5 t5gemma t5gemma2 "
    "ultravbert umt5 xlm xlnet".split()
)


def logits(model, batch) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(**batch).logits


@pytest.mark.parametrize("family", [family for family in MADE if family not in REFUSED])
def test_strategies_know_the_head_and_the_layers_of_every_family(family):
    model = families.classifier(family)
    rows = encoders.encoded(model, families.tokenizer(), TEXTS[:2], 32)
    batch = rows.__getitems__([0, 1])
    whole = logits(model, batch)
    if family in NO_LAYERS:
        for refused in (strategies.depths, upper_layers.UpperLayers, strategies.Gradual):
            with pytest.raises(UserError, match=r"no stack of layers|no head apart"):
                refused(model)
    else:
        depths = strategies.depths(model)
        head = {n for n, d in depths.items() if d == len(strategies.layers(model)) + 1}
        base = next(n for n, module in model.named_children() if module is model.base_model)
        outside = {n for n, _ in model.named_parameters() if n.split(".")[0] != base}
        assert outside
        assert {n for n in head if "pooler" not in n.split(".")} <= outside <= head
        assert sorted(set(depths.values())) == list(range(max(depths.values()) + 1))
        rates = strategies.layer_rates(model, 0.5)
        assert {rates(name) for name in outside} == {1}
        assert min(map(rates, depths)) == 0.5 ** max(depths.values())
        new = copy.deepcopy(model)
        strategies.reinitialise(new, 1)
        changed = {n for n, p in new.named_parameters() if not p.equal(model.get_parameter(n))}
        if family != "zamba":  # its layers share weights
            assert {depths[n] for n in changed} <= {max(depths.values()) - 1, max(depths.values())}
    if family in NO_UPPER:
        with pytest.raises(UserError):
            upper_layers.UpperLayers(copy.deepcopy(model)).precompute(rows, "fp32")
    else:
        upper = upper_layers.UpperLayers(copy.deepcopy(model))
        upper.precompute(rows, "fp32")
        assert torch.allclose(logits(upper, rows.__getitems__([0, 1])), whole, atol=1e-3)


@pytest.mark.parametrize("family", [f for f in MADE if f not in (*REFUSED, *NO_ADAPTERS)])
def test_adapters_start_from_the_model_and_train_the_whole_head(family):
    model = families.classifier(family)
    rows = encoders.encoded(model, families.tokenizer(), TEXTS[:2], 32)
    batch = rows.__getitems__([0, 1])
    whole = logits(model, batch)
    base = next(n for n, module in model.named_children() if module is model.base_model)
    head = {n for n, _ in model.named_parameters() if n.split(".")[0] != base}
    rates = strategies.layer_rates(model, 0.5) if family != "albert" else None
    adapted = strategies.with_adapters(model, 4)
    trainable = {n for n, p in adapted.named_parameters() if p.requires_grad}
    assert {n for n in trainable if "lora_" not in n} == {f"base_model.model.{n}" for n in head}
    assert any("lora_A" in n for n in trainable)
    assert torch.allclose(logits(adapted, batch), whole, atol=1e-4)
    if rates and family != "squeezebert":  # whose layers are convolutions
        found = {strategies.of_wrapped(rates, adapted, model)(n) for n in trainable}
        assert len(found) > 2, "adapters of lower layers learn more slowly"
    assert torch.allclose(logits(adapted.merge_and_unload(), batch), whole, atol=1e-4)
