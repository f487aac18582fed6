"""Pretraining that goes on with text of the target: masked-LM, beside labels too, and SimCSE."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from sklearn.base import clone

from tests.models import families
from tests.models.test_adaptation import TARGET
from tests.models.test_encoder_classifier import LABELS, TEXTS, untimed
from tests.training.test_resume import interrupt, interrupted_and_resumed  # noqa: F401
from workbench import models
from workbench.errors import UserError
from workbench.models import encoders, networks
from workbench.training import losses, trainer

SHORT = {"epochs": 3, "learning_rate": 3e-3, "batch_size": 16, "max_length": 16,
         "pretraining_epochs": 1}  # fmt: skip


@pytest.fixture(scope="module")
def folder(checkpoint):
    return str(checkpoint("bert"))


@pytest.fixture
def steps(monkeypatch):
    """Of each step: which weights of the model may move, and the model."""
    seen, step = [], trainer.Trainer.training_step

    def training_step(self, model, *args):
        names = {name for name, p in model.named_parameters() if p.requires_grad}
        seen.append((names, model))
        return step(self, model, *args)

    monkeypatch.setattr(trainer.Trainer, "training_step", training_step)
    return seen


def test_a_new_head_begins_near_the_words_frequencies(folder):
    torch.manual_seed(0)
    model, tokenizer = encoders.load(folder, "MaskedLM"), encoders.tokenizer(folder)
    rows = encoders.encoded(model, tokenizer, TARGET, 16)
    batch = networks.HideTokens(tokenizer, 0.15, 0)(rows.__getitems__(range(32)), 0)
    labels = batch.pop("labels")

    def lost():
        with torch.no_grad():
            logits = networks.MaskedOnly(model)(**batch).logits
        return float(torch.nn.functional.cross_entropy(logits, labels[labels != -100]))

    before = lost()
    model = encoders.load(folder, "MaskedLM")
    networks.start_head(model, rows.ids)
    shares = np.bincount(rows.ids, minlength=len(tokenizer)) / len(rows.ids)
    assert lost() < before
    head = model.cls.predictions
    hidden = torch.randn(4, 32)
    expected = torch.nn.functional.layer_norm(hidden, (32,))
    assert torch.allclose(head.transform(hidden), expected, atol=0.1), "about the identity"
    found = head.decoder.bias.detach().exp().numpy()
    assert np.allclose(found, shares, atol=0.01)
    assert head.decoder.weight is model.get_input_embeddings().weight


def test_the_new_head_learns_alone_then_all(folder, steps, tmp_path):
    model = models.build("dapt", encoder=folder, **SHORT).fit(TEXTS, LABELS, unlabeled=TARGET)
    new, rest = steps[0][0], steps[7][0]
    assert new
    assert all(name.startswith("model.cls.predictions.") for name in new)
    assert not any("embeddings" in name for name in new)
    assert new < rest
    assert len(model.history_.column("head_loss")[1]) == 7
    whole = transformers.AutoModelForMaskedLM.from_pretrained(folder)
    whole.save_pretrained(tmp_path)
    encoders.tokenizer(folder).save_pretrained(tmp_path)
    known = models.build("dapt", encoder=str(tmp_path), **SHORT)
    known.fit(TEXTS, LABELS, unlabeled=TARGET)
    assert not known.history_.column("head_loss")[1], "a head of the checkpoint is not new"


def test_both_losses_go_through_one_encoder(folder, steps):
    settings = {"encoder": folder, **SHORT, "epochs": 12, "share": 0.9}
    model = models.build("udalm", **settings).fit(TEXTS, LABELS, unlabeled=TARGET)
    assert model.score(TEXTS, LABELS) > 0.9
    mixed = steps[-1][1]
    assert mixed.masked.model.base_model is mixed.model.base_model is model._model.base_model
    table = model._model.get_input_embeddings().weight
    assert mixed.masked.model.get_output_embeddings().weight is table
    assert {name.split(".")[0] for name in steps[-1][0]} == {"model", "masked"}
    assert not any(name.startswith("cls") for name in model._model.state_dict())
    again = clone(model).fit(TEXTS, LABELS, unlabeled=TARGET)
    assert untimed(again.history_) == untimed(model.history_)
    assert np.array_equal(again.predict_proba(TARGET), model.predict_proba(TARGET))


def test_the_shortest_texts_may_be_of_the_target(folder):
    model = models.build("udalm", encoder=folder, **SHORT)
    model.fit(TEXTS, LABELS, unlabeled=["so", "no", *TARGET])
    assert np.isfinite(model.predict_proba(TARGET)).all()


@pytest.mark.parametrize("family", ["roberta", "distilbert", "deberta-v2", "albert"])
def test_other_families(family, tmp_path):
    model = models.build("udalm", encoder=families.make(family, tmp_path), **SHORT)
    model.fit(TEXTS, LABELS, unlabeled=TARGET)
    assert all(model.history_.column(f"{stage}loss")[1] for stage in ("head_", "mlm_", ""))
    assert np.isfinite(model.predict_proba(TARGET)).all()


def test_the_mixed_loss_is_the_sum_of_its_parts(folder):
    torch.manual_seed(0)
    classifier = encoders.load(folder, "SequenceClassification")
    masked = networks.MaskedOnly(encoders.load(folder, "MaskedLM"))
    masked.model.bert = classifier.bert
    tokenizer = encoders.tokenizer(folder)
    texts = [text for pair in zip(TEXTS[:8], TARGET[:8], strict=True) for text in pair]
    batch = encoders.encoded(classifier, tokenizer, texts, 16).__getitems__(range(16))
    batch["target"] = torch.arange(16) % 2 == 1
    hide = networks.HideTokens(tokenizer, 0.3, 0)
    prepared = networks.hide_target(hide, batch | {"labels": torch.zeros(16).long()}, 5)
    prepared.pop("labels")
    source, target = prepared["input_ids"][::2], prepared["input_ids"][1::2]
    assert torch.equal(source, batch["input_ids"][::2]), "nothing of the source is hidden"
    assert not torch.equal(target, batch["input_ids"][1::2])
    with torch.no_grad():
        output = networks.AlsoMasked(classifier, masked, 0.4)(**prepared)
        whole = classifier(batch["input_ids"], batch["attention_mask"]).logits
        hidden = prepared["hidden"][1::2]
        logits = masked(hidden, input_ids=target, attention_mask=batch["attention_mask"][1::2])
        expected = torch.nn.functional.cross_entropy(
            logits.logits, batch["input_ids"][1::2][hidden]
        )
    assert torch.allclose(output.logits, whole[::2], atol=1e-5)
    assert float(output["penalty"]) == pytest.approx(0.4 * float(expected), rel=1e-5)


def test_the_mixed_loss_stops(folder):
    held_out = (TEXTS[::3], LABELS[::3])
    one, half = (
        models.build("udalm", encoder=folder, share=share, patience=2, **SHORT).fit(
            TEXTS, LABELS, unlabeled=TARGET, validation=held_out
        )
        for share in (1.0, 0.5)
    )
    (_, plain), (_, mixed) = (m.history_.column("validation_loss") for m in (one, half))
    assert len(plain) == len(mixed) == 3
    assert max(plain) < 0.8, "cross-entropy of two classes alone"
    assert min(mixed) > 1.0, "half of it, and half of the masked-LM loss"
    assert half.training_info_["unlabeled"] == len(TARGET) - len(TARGET) // 10


@pytest.mark.parametrize("steps", [3, 9, 21])
def test_an_interrupted_fit_goes_on_to_the_same(folder, interrupt, tmp_path, steps):  # noqa: F811
    def make(**settings):
        return models.build("udalm", encoder=folder, **SHORT, **settings)

    interrupted_and_resumed(make, interrupt, tmp_path / "run", steps, unlabeled=TARGET)


def test_udalm_needs_text_of_the_target_and_a_mask_token(folder, checkpoint):
    with pytest.raises(UserError, match="unlabeled=texts of the target"):
        models.build("udalm", encoder=folder).fit(TEXTS, LABELS)
    with pytest.raises(UserError, match="no mask token"):
        models.build("udalm", encoder=str(checkpoint("gpt2"))).fit(TEXTS, LABELS, unlabeled=TARGET)


# --- SimCSE ---------------------------------------------------------------------------------------


class TwoPasses(torch.nn.Module):
    """An "encoder" with given hidden states: another text in each row, and twice as many rows."""

    config = SimpleNamespace(is_encoder_decoder=False)

    def __init__(self, states):
        super().__init__()
        self.states = torch.from_numpy(states)

    def forward(self, input_ids, attention_mask):
        assert torch.equal(*input_ids.chunk(2)), "the same texts twice, in the same order"
        return SimpleNamespace(last_hidden_state=self.states[: len(input_ids)])


@pytest.mark.parametrize("texts", [1, 2, 7])
def test_simcse_s_loss_is_the_formula(texts):
    random = np.random.default_rng(texts)
    states = random.normal(size=(2 * texts, 3, 5))
    mask = np.array([[1, 1, i % 2] for i in range(texts)])
    mean = (states * np.tile(mask, (2, 1))[..., None]).sum(1) / np.tile(mask.sum(1), 2)[:, None]
    unit = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    # Gao et al. 2021, equation 1; MultipleNegativesRankingLoss of sentence_transformers.
    scores = np.exp(unit[:texts] @ unit[texts:].T / 0.05)
    expected = -np.log(np.diag(scores) / scores.sum(1)).mean()
    twice = networks.TwiceEncoded(TwoPasses(states), 0, 0.05)
    ids = torch.from_numpy(random.integers(1, 9, (texts, 3)))
    output = twice(ids, attention_mask=torch.from_numpy(mask))
    loss = losses.cross_entropy_loss(None, 0.0)(output, torch.zeros(texts).long(), texts)
    assert float(loss) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_two_vectors_of_a_text_differ_by_dropout_whatever_the_configuration(folder, dropout):
    given = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), dropout)
    tokenizer, model = encoders.tokenizer(folder), encoders.load(folder, **given)
    twice = networks.TwiceEncoded(model, tokenizer.pad_token_id, 1.0)
    assert {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} == {dropout or 0.1}
    batch = encoders.encoded(model, tokenizer, TARGET[:4], 16).__getitems__(range(4))
    own = [twice.train(training)(**batch).logits[:, 0] for training in (True, False)]
    assert (own[0] < 0.999).all()
    assert torch.allclose(own[1], torch.ones(4), atol=1e-5), "without dropout they are the same"


def test_simcse_moves_the_encoder_and_learns_the_source(folder, tmp_path):
    settings = {**SHORT, "epochs": 12, "checkpoints": str(tmp_path / "stages")}
    model = models.build("simcse", encoder=folder, pretraining_rate=3e-3, **settings)
    model.fit(TEXTS, LABELS, unlabeled=TARGET)
    assert model.score(TEXTS, LABELS) > 0.9
    _, lost = model.history_.column("simcse_loss")
    assert np.mean(lost[-3:]) < np.mean(lost[:3])
    frozen = clone(model).set_params(strategy="frozen", checkpoints=None)
    frozen.fit(TEXTS, LABELS, unlabeled=TARGET)
    vectors = encoders.embed(frozen._tokenizer, frozen._model, TARGET, 16)
    assert not np.allclose(vectors, encoders.encode(TARGET, folder, 16), atol=1e-2)
    assert not list((tmp_path / "stages").glob("*")), "no checkpoint of a stage is left"


def test_simcse_reads_texts_alone_and_each_once(folder, monkeypatch):
    read, stage = [], models.adaptation.SimCSE._stage

    def spied(self, learner, rows, *args):
        read.append((len(rows), set(rows.labels)))
        stage(self, learner, rows, *args)

    monkeypatch.setattr(models.adaptation.SimCSE, "_stage", spied)
    found = [
        models.build("simcse", encoder=folder, **SHORT).fit(TEXTS, labels, unlabeled=TARGET)
        for labels in (LABELS, LABELS[::-1])
    ]
    assert read == [(len({*TARGET, *TEXTS}), {0})] * 2
    first, second = (m.history_.column("simcse_loss")[1] for m in found)
    assert first == second, "no label is read"
    with pytest.raises(UserError, match="'simcse' adapts to a target"):
        models.build("simcse", encoder=folder).fit(TEXTS, LABELS)


@pytest.mark.parametrize("steps", [1, 9])
def test_interrupted_simcse_goes_on_to_the_same(folder, interrupt, tmp_path, steps):  # noqa: F811
    def make(**settings):
        return models.build("simcse", encoder=folder, **SHORT, **settings)

    interrupted_and_resumed(make, interrupt, tmp_path / "run", steps, unlabeled=TARGET)


@pytest.mark.parametrize("family", ["roberta", "gpt2", "t5"])
def test_simcse_with_other_families(family, tmp_path):
    model = models.build("simcse", encoder=families.make(family, tmp_path), **SHORT)
    model.fit(TEXTS, LABELS, unlabeled=TARGET)
    assert np.isfinite(model.predict_proba(TARGET)).all()
