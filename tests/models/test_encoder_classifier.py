import pickle

import numpy as np
import pytest
from sklearn.base import clone

from workbench import models
from workbench.errors import UserError
from workbench.models import encoders
from workbench.models.encoder_classifier import TextClassifier
from workbench.training import inference, optimizers, trainer
from workbench.training.batches import Encoded, token_ids

TEXTS = [f"{a} {b} it was {c}" for a in ("the book", "the film", "the pan", "my screen")
         for b in (".", ",", "!")
         for c in ("great", "superb", "love", "bad", "dull", "awful")]  # fmt: skip
LABELS = ["good" if t.split()[-1] in ("great", "superb", "love") else "bad" for t in TEXTS]
QUICK = {"epochs": 15, "learning_rate": 3e-3, "batch_size": 16, "max_length": 16}


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2"])
def test_every_family_learns_from_a_folder(checkpoint, family):
    model = TextClassifier(str(checkpoint(family)), **QUICK)
    model.fit(TEXTS, LABELS, validation=(TEXTS[:12], LABELS[:12]))
    assert (model.predict(TEXTS) == np.array(LABELS)).mean() > 0.95
    steps, loss = model.history_.column("loss")
    assert loss[-1] < 0.5 * loss[0]
    assert steps[-1] == 15 * 5
    assert len(model.history_.column("validation_accuracy")[0]) == 15


@pytest.fixture(scope="module")
def fitted(checkpoint):
    return TextClassifier(str(checkpoint("bert")), **QUICK).fit(TEXTS, LABELS)


def test_probabilities_do_not_depend_on_the_company_of_a_text(fitted):
    texts = ["a great book", "the pan , the film . it was dull and bad !", "awful"]
    together = fitted.predict_proba(texts)
    alone = np.vstack([fitted.predict_proba([text]) for text in texts])
    assert together.sum(axis=1) == pytest.approx(1)
    assert np.allclose(together, alone, atol=1e-5)


def untimed(history):
    """The rows without their times, which no two trainings share."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def test_same_seed_same_numbers(fitted):
    again = clone(fitted).fit(TEXTS, LABELS)
    assert untimed(again.history_) == untimed(fitted.history_)
    assert np.array_equal(again.predict_proba(TEXTS), fitted.predict_proba(TEXTS))
    other = clone(fitted).set_params(seed=1).fit(TEXTS, LABELS)
    assert untimed(other.history_) != untimed(fitted.history_)


def test_saved_pickled_and_loaded_models_predict_the_same(fitted, tmp_path):
    fitted.save(tmp_path)
    expected = fitted.predict_proba(TEXTS)
    assert np.allclose(models.open(tmp_path).predict_proba(TEXTS), expected, atol=1e-6)
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(TEXTS), expected)


def test_a_saved_model_is_an_encoder_too(fitted, tmp_path):
    """Source, then target: what was fine-tuned on three classes goes on with two."""
    fitted.save(tmp_path)
    labels = [str(i % 3) for i in range(len(TEXTS))]
    model = TextClassifier(str(tmp_path), **{**QUICK, "epochs": 1}).fit(TEXTS, labels)
    assert model.predict_proba(TEXTS[:2]).shape == (2, 3)


def test_frozen_moves_the_head_alone(checkpoint):
    folder = str(checkpoint("bert"))
    before = encoders.load(folder).state_dict()
    model = TextClassifier(folder, strategy="frozen").fit(TEXTS, LABELS)
    after = encoders.load(folder).state_dict()
    assert all(np.array_equal(before[key], after[key]) for key in before)
    assert model.training_info_["trainable_parameters"] == 33
    assert model.predict_proba(TEXTS[:3]).shape == (3, 2)


def test_full_moves_every_layer(fitted):
    before = encoders.load(fitted.encoder).state_dict()
    moved = [
        k for k, v in fitted._model.bert.state_dict().items() if not np.array_equal(v, before[k])
    ]
    layers = {key.split(".")[2] for key in moved if key.startswith("encoder.layer")}
    assert layers == {"0", "1"}
    assert fitted.training_info_["trainable_parameters"] == fitted.training_info_["parameters"]


def test_biases_and_norms_are_spared_the_weight_decay(checkpoint, monkeypatch):
    groups = []
    make = trainer.Trainer.create_optimizer

    def spy(self, *args, **options):
        optimizer = make(self, *args, **options)
        groups.extend((g["weight_decay"], len(g["params"])) for g in self.optimizer.param_groups)
        return optimizer

    monkeypatch.setattr(trainer.Trainer, "create_optimizer", spy)
    model = TextClassifier(str(checkpoint("bert")), **{**QUICK, "epochs": 1}).fit(TEXTS, LABELS)
    spared = [n for n, p in model._model.named_parameters() if p.ndim == 1]
    assert dict(groups)[0.0] == len(spared)
    assert 0.01 in dict(groups)


def test_truncation_is_counted(checkpoint):
    tokens = encoders.tokenizer(checkpoint("bert"))
    ids, truncated = token_ids(tokens, ["the book", "the book " * 50, ""], 8)
    rows = Encoded(ids, tokens.pad_token_id, truncated=truncated)
    assert rows.truncated == 1
    assert list(rows.length) == [4, 8, 2]
    assert list(rows[0]) == tokens("the book")["input_ids"]


def test_texts_longer_than_the_model_has_positions_for(checkpoint):
    for family in ("bert", "roberta"):
        model = TextClassifier(str(checkpoint(family)), **{**QUICK, "epochs": 1, "max_length": 512})
        model.fit([text * 20 for text in TEXTS], LABELS)
        assert model.training_info_["truncated"] == len(TEXTS)


def test_odd_texts_are_predicted(fitted):
    assert fitted.predict_proba(["", "\ufffd\x00", "这本书", "x" * 10_000]).shape == (4, 2)
    assert fitted.predict_proba([]).shape == (0, 2)


def test_one_class_and_unknown_strategies_are_refused(checkpoint):
    with pytest.raises(UserError, match="two classes"):
        TextClassifier(str(checkpoint("bert"))).fit(["a", "b"], ["x", "x"])
    with pytest.raises(UserError, match="did you mean 'frozen'"):
        TextClassifier(strategy="froze").fit(TEXTS, LABELS)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_either_precision_trains_on_any_cpu(checkpoint, monkeypatch, precision):
    monkeypatch.setattr(inference, "precision", lambda wanted="auto": precision)
    model = TextClassifier(str(checkpoint("bert")), **QUICK).fit(TEXTS, LABELS)
    assert model.training_info_["precision"] == precision
    assert (model.predict(TEXTS) == np.array(LABELS)).mean() > 0.95


@pytest.mark.parametrize(
    "labels",
    [
        [int(label == "good") for label in LABELS],
        [label == "good" for label in LABELS],
        [1.0 + (label == "good") for label in LABELS],
        LABELS,
    ],
    ids=["integers", "booleans", "floats", "strings"],
)
def test_classes_are_of_their_type_again_after_loading(checkpoint, tmp_path, labels):
    model = TextClassifier(str(checkpoint("bert")), **QUICK).fit(TEXTS, labels)
    model.save(tmp_path)
    loaded = models.open(tmp_path)
    assert loaded.classes_.dtype == model.classes_.dtype
    assert loaded.classes_.tolist() == sorted(set(labels))
    assert loaded.score(TEXTS, labels) == model.score(TEXTS, labels) > 0.9


@pytest.mark.parametrize(("strategy", "factor"), [("full", 1), ("lora", 10)])
def test_the_default_learning_rate_does_not_depend_on_the_texts(
    checkpoint, monkeypatch, strategy, factor
):
    """The line between the two defaults lies between the whole table and the words that occur."""
    folder = str(checkpoint("bert"))
    whole = optimizers.parameter_counts(encoders.load(folder, "SequenceClassification"))
    monkeypatch.setattr(optimizers, "LARGE", whole["parameters"] - 1)
    for texts in (TEXTS, [*TEXTS, " ".join(encoders.tokenizer(folder).vocab)]):
        model = TextClassifier(folder, strategy=strategy, epochs=1, batch_size=16, warmup=0.0)
        model.fit(texts, [*LABELS, "bad"][: len(texts)])
        peak = max(model.history_.column("learning_rate")[1])
        assert peak == pytest.approx(factor * 2e-5)
