import pickle

import numpy as np
import pytest

from tests.models.test_encoder_classifier import LABELS, QUICK, TEXTS
from workbench.errors import UserError
from workbench.models import adaptation, encoder_classifier, encoders

TARGET = [
    f"my pan , {w} and {v} ." for w in ("great", "dull", "love", "awful") for v in ("good", "bad")
] * 4


def test_continued_pretraining_lowers_the_masked_loss_and_moves_the_encoder(checkpoint):
    folder = str(checkpoint("bert"))
    settings = {**QUICK, "pretraining_epochs": 20, "pretraining_rate": 5e-3}
    model = adaptation.ContinuedPretraining(folder, **settings).fit(TEXTS, LABELS, unlabeled=TARGET)
    (_, masked), (_, head) = (model.history_.column(f"{name}_loss") for name in ("mlm", "head"))
    assert head, "the checkpoint has no masked-LM head"
    assert np.mean(masked[-5:]) < 0.7 * head[0]
    assert model.encoder == folder
    pooler = "bert.pooler.dense.weight"
    given = encoders.load(folder).state_dict()["pooler.dense.weight"]
    short = adaptation.ContinuedPretraining(folder, **{**settings, "learning_rate": 1e-9})
    kept = short.fit(TEXTS, LABELS, unlabeled=TARGET)._model.state_dict()[pooler]
    assert np.allclose(kept, given, atol=1e-5), "the pretrained pooler is not thrown away"
    assert (model.predict(TEXTS) == np.array(LABELS)).mean() > 0.95


def test_source_only_leaves_the_target_unread(checkpoint):
    model = adaptation.SourceOnly(str(checkpoint("bert")), **QUICK)
    plain = model.fit(TEXTS, LABELS).predict_proba(TARGET)
    assert np.array_equal(model.fit(TEXTS, LABELS, unlabeled=TARGET).predict_proba(TARGET), plain)


def test_adapting_needs_text_of_the_target(checkpoint):
    model = adaptation.ContinuedPretraining(str(checkpoint("bert")))
    with pytest.raises(UserError, match="unlabeled=texts of the target"):
        model.fit(TEXTS, LABELS)
    with pytest.raises(UserError, match="0 different ones that are not blank"):
        model.fit(TEXTS, LABELS, unlabeled=["", " "])


def test_a_decoder_cannot_fill_in_masks(checkpoint):
    with pytest.raises(UserError, match="no mask token"):
        adaptation.ContinuedPretraining(str(checkpoint("gpt2"))).fit(
            TEXTS, LABELS, unlabeled=TARGET
        )


def test_a_frozen_encoder_predicts_with_what_it_was_adapted_to(checkpoint):
    folder = str(checkpoint("bert"))
    settings = {**QUICK, "strategy": "frozen", "pretraining_epochs": 3}
    adapted = adaptation.ContinuedPretraining(folder, pretraining_rate=5e-3, **settings)
    adapted.fit(TEXTS, LABELS, unlabeled=TARGET)
    original = encoder_classifier.TextClassifier(folder, **QUICK | {"strategy": "frozen"})
    moved = adapted.predict_proba(TEXTS) - original.fit(TEXTS, LABELS).predict_proba(TEXTS)
    assert np.abs(moved).max() > 1e-2
    vectors = encoders.embed(adapted._tokenizer, adapted._model, TEXTS, 16)
    assert np.allclose(adapted.predict_proba(TEXTS), adapted._head.predict_proba(vectors))
    assert not np.allclose(vectors, encoders.encode(TEXTS, folder, 16), atol=1e-2)
    assert (adapted.predict(TEXTS) == np.array(LABELS)).mean() > 0.9
    again = pickle.loads(pickle.dumps(adapted))
    assert np.array_equal(again.predict_proba(TEXTS), adapted.predict_proba(TEXTS))


def test_a_batch_without_a_masked_token_has_no_loss_and_ends_nothing(checkpoint):
    settings = {**QUICK, "epochs": 1, "batch_size": 2, "pretraining_epochs": 1, "mask": 0.02}
    model = adaptation.ContinuedPretraining(str(checkpoint("bert")), **settings)
    model.fit(TEXTS[::6] + TEXTS[3::6], LABELS[::6] + LABELS[3::6], unlabeled=["the", "a"] * 8)
    _, losses = model.history_.column("mlm_loss")
    assert 0.0 in losses
    assert max(losses) > 0
