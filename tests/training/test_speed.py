"""What makes a step faster leaves what is learned as it was."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
import transformers

from tests.models.test_encoder_classifier import LABELS, QUICK, TEXTS
from workbench.models import encoders
from workbench.models.encoder_classifier import TextClassifier
from workbench.training import speed, trainer


def untouched(*_):
    return nullcontext()


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_first_token_is_what_the_whole_last_layer_says(checkpoint, family, attention):
    folder, texts = checkpoint(family), ["a great book", "the pan , the film . it was dull"]
    model = encoders.load(folder, "SequenceClassification", attn_implementation=attention)
    batch = encoders.tokenizer(folder)(texts, padding=True, return_tensors="pt")
    head = next(
        m for n, m in model.named_modules() if n.startswith("classifier") and not list(m.children())
    )
    with torch.no_grad():
        head.weight.mul_(100)
        whole = model(**batch).logits
        with speed.first_token_only(model):
            states = model.base_model(**batch).last_hidden_state
            first = model(**batch).logits
        assert states.shape[1] == 1
        assert torch.allclose(first, whole, atol=1e-5)
        assert model.base_model(**batch).last_hidden_state.shape[1] > 1, "it ends with the block"
    model.train()
    with speed.first_token_only(model):
        model(**batch, labels=torch.tensor([0, 1])).loss.backward()
    assert model.base_model.encoder.layer[-1].attention.self.key.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2"])
def test_a_small_vocabulary_learns_the_same(checkpoint, family, monkeypatch):
    settings = {**QUICK, "epochs": 2, "weight_decay": 0.0, "precision": "fp32"}
    folder, sizes = str(checkpoint(family)), []
    fit = trainer.Trainer.train

    def spy(self, **options):
        sizes.append(self.model.get_input_embeddings().num_embeddings)
        return fit(self, **options)

    monkeypatch.setattr(trainer.Trainer, "train", spy)
    small = TextClassifier(folder, **settings).fit(TEXTS, LABELS)
    monkeypatch.setattr(speed, "pruned_vocabulary", untouched)
    large = TextClassifier(folder, **settings).fit(TEXTS, LABELS)
    assert sizes[0] <= sizes[1]
    if family == "bert":
        assert sizes[0] < sizes[1]
    for (name, one), other in zip(
        small._model.state_dict().items(), large._model.state_dict().values(), strict=True
    ):
        assert torch.allclose(one, other, atol=1e-5), name
    assert small._model.get_input_embeddings().num_embeddings == sizes[1]


def test_words_that_training_never_saw_keep_their_vectors(checkpoint):
    folder = str(checkpoint("bert"))
    model = TextClassifier(folder, **QUICK).fit(TEXTS, LABELS)
    tokens = encoders.tokenizer(folder)
    seen = np.unique(np.concatenate(tokens(TEXTS)["input_ids"]))
    before = encoders.load(folder).get_input_embeddings().weight
    after = model._model.get_input_embeddings().weight
    still = (before == after).all(dim=1).numpy()
    assert not still[seen].any()
    assert still[[i for i in range(len(still)) if i not in set(seen)]].all()


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_narrow_hidden_states_run_through_all_layers_and_teach_the_same(checkpoint, family):
    folder, texts = checkpoint(family), ["a great book", "the pan , the film . it was dull"]
    model = encoders.load(folder, "SequenceClassification")
    batch = encoders.tokenizer(folder)(texts, padding=True, return_tensors="pt")
    types = []
    model.base_model.encoder.layer[-1].register_forward_pre_hook(
        lambda _, given: types.append(given[0].dtype)
    )

    def gradients(context, bf16):
        model.zero_grad()
        with context, torch.autocast("cpu", torch.bfloat16, bf16):
            model(**batch, labels=torch.tensor([0, 1])).loss.backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    exact = gradients(nullcontext(), False)
    wide = gradients(nullcontext(), True)
    narrow = gradients(speed.bf16_hidden_states(model), True)
    assert types == [torch.float32, torch.float32, torch.bfloat16]
    assert torch.equal(gradients(speed.bf16_hidden_states(model), False), exact), (
        "fp32 is left alone"
    )
    gradients(nullcontext(), True)
    assert types[-1] is torch.float32, "it ends with the block"
    off = [float((found - exact).norm() / exact.norm()) for found in (wide, narrow)]
    assert off[1] < max(2 * off[0], 0.05)


def test_dropout_keeps_the_mean_drops_its_share_and_repeats_a_step():
    layer = torch.nn.Sequential(torch.nn.Dropout(0.3))
    x = torch.ones(200, 500, requires_grad=True)
    with speed.pooled_dropout(layer, seed=0) as pool:
        pool.restart(5)
        first, second = layer(x), layer(x)
        pool.restart(5)
        again = layer(x)
        assert torch.equal(first, again)
        assert not torch.equal(first, second)
        assert float((first == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
        assert float(first.mean()) == pytest.approx(1, abs=0.01)
        first.sum().backward()
        assert torch.equal(x.grad, first.detach())
        assert torch.equal(layer.eval()(x), x)
    assert type(layer[0]) is torch.nn.Dropout


def test_cudnns_attention_is_off_while_an_encoder_computes_and_given_back(checkpoint, monkeypatch):
    seen, flag = set(), torch.backends.cuda.cudnn_sdp_enabled
    given = flag()
    attention = transformers.models.bert.modeling_bert.BertSelfAttention

    def watched(self, *args, _forward=attention.forward, **more):
        seen.add((self.training, flag()))
        return _forward(self, *args, **more)

    monkeypatch.setattr(attention, "forward", watched)
    for wanted in (True, False):
        torch.backends.cuda.enable_cudnn_sdp(wanted)
        try:
            TextClassifier(checkpoint("bert"), **QUICK).fit(TEXTS, LABELS).predict(TEXTS[:2])
            assert flag() is wanted
        finally:
            torch.backends.cuda.enable_cudnn_sdp(given)
    assert seen == {(True, False), (False, False)}
