"""Static vectors: made without text, kept, and what a classifier makes of them."""

import shutil

import numpy as np
import pytest
import torch
import transformers

from tests.models.test_encoder_classifier import LABELS, TEXTS
from workbench import models
from workbench.errors import DataWarning, UserError
from workbench.models import encoders, static

GOOD = "a superb film, an excellent book, a great actor, good music, a fine plot".split(", ")
BAD = "a terrible film, an awful book, a poor actor, bad music, a weak plot".split(", ")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    static.folder.cache_clear()
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    static.folder.cache_clear()


def folder(encoder) -> str:
    return encoders.locate(f"static:{encoder}")


def table(folder) -> torch.Tensor:
    return encoders.load(folder).get_input_embeddings().weight


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2"])
def test_every_token_has_a_vector_and_special_ones_say_nothing(family, checkpoint, cache):
    encoder = checkpoint(family)
    vectors = table(folder(encoder))
    tokenizer = encoders.tokenizer(encoder)
    special = torch.isin(torch.arange(len(tokenizer)), torch.tensor(tokenizer.all_special_ids))
    assert len(vectors) == len(tokenizer)
    assert (vectors[special] == 0).all()
    assert (vectors[~special] != 0).any(dim=1).all()


def test_vectors_are_made_once_for_the_same_weights(checkpoint, cache, tmp_path, monkeypatch):
    first, other = checkpoint("bert"), checkpoint("bert")
    weights = encoders.load(other)
    torch.nn.init.normal_(weights.get_input_embeddings().weight)
    weights.save_pretrained(other)
    made = folder(first)
    assert folder(other) != made
    assert len(list(cache.iterdir())) == 2
    monkeypatch.setattr(static, "_write", lambda *_: pytest.fail("made again"))
    assert folder(shutil.copytree(first, tmp_path / "copy")) == made
    static.folder.cache_clear()
    assert folder(first) == made


def test_a_cache_that_cannot_be_written_costs_a_warning(checkpoint, cache):
    model = models.build("static", encoder=str(checkpoint("bert")), strategy="frozen", seed=1)
    cache.write_text("a file in the way")
    with pytest.warns(DataWarning, match="temporary folder") as caught:
        expected = model.fit(TEXTS, LABELS).predict_proba(TEXTS)
    assert len(caught) == 1
    cache.unlink()
    static.folder.cache_clear()
    assert np.allclose(model.fit(TEXTS, LABELS).predict_proba(TEXTS), expected, atol=1e-3)


def test_a_plain_checkpoint_that_transformers_reads():
    loaded = transformers.AutoModel.from_pretrained(folder("minilm"))
    assert loaded.config.num_hidden_layers == 0
    assert loaded.num_parameters() == 30_522 * 512 + 512
    assert loaded.dtype == torch.float16


@pytest.mark.parametrize("strategy", ["frozen", "full"])
def test_words_that_training_never_saw_are_known_by_their_likeness(strategy):
    model = models.build("static", strategy=strategy).fit(
        GOOD + BAD, ["good"] * len(GOOD) + ["bad"] * len(BAD)
    )
    unseen = ["wonderful", "brilliant", "delightful", "dreadful", "horrible", "lousy"]
    assert list(model.predict(unseen)) == ["good"] * 3 + ["bad"] * 3
    counted = models.build("naive-bayes").fit(GOOD + BAD, [1] * len(GOOD) + [0] * len(BAD))
    assert np.allclose(counted.predict_proba(unseen), 0.5), "counting words knows none of them"


@pytest.mark.parametrize("strategy", ["frozen", "full"])
def test_a_text_is_a_bag_of_tokens_whatever_stands_in_its_batch(strategy, checkpoint, cache):
    model = models.build("static", encoder=str(checkpoint("bert")), strategy=strategy, epochs=1)
    model.fit(TEXTS, LABELS)
    one, turned = model.predict_proba(["never a good book", "book good a never"])
    assert np.allclose(one, turned, atol=1e-5)
    together = model.predict_proba(["never a good book", "bad " * 30])[0]
    assert np.allclose(together, one, atol=0.01)


def test_full_trains_the_vectors_of_the_texts_alone(checkpoint, cache):
    encoder = str(checkpoint("bert"))
    model = models.build("static", encoder=encoder, strategy="full", epochs=1).fit(TEXTS, LABELS)
    before, after = table(folder(encoder)), model._model.get_input_embeddings().weight
    changed = (before != after).any(dim=1).nonzero().flatten().tolist()
    assert changed
    assert set(changed) <= {*model.tokenized(TEXTS).ids.tolist()}


@pytest.mark.parametrize("strategy", ["upper", "gradual", "lora"])
def test_strategies_that_choose_among_layers_are_refused(strategy, checkpoint, cache):
    model = models.build("static", encoder=str(checkpoint("bert")), strategy=strategy)
    with pytest.raises(UserError, match=r"no stack of layers|no linear layers"):
        model.fit(TEXTS, LABELS)


@pytest.mark.parametrize("strategy", ["frozen", "full"])
def test_what_is_saved_needs_neither_encoder_nor_cache(strategy, checkpoint, cache, tmp_path):
    encoder = checkpoint("bert")
    model = models.build("static", encoder=str(encoder), strategy=strategy, epochs=1)
    expected = model.fit(TEXTS, LABELS).predict_proba(TEXTS)
    model.save(tmp_path / "saved")
    shutil.rmtree(encoder)
    shutil.rmtree(cache)
    static.folder.cache_clear()
    opened = models.open(tmp_path / "saved")
    assert np.allclose(opened.predict_proba(TEXTS), expected, atol=1e-5)
    assert not cache.exists()


def test_what_is_built_can_be_built_again_from_its_description():
    model = models.build("static", encoder="minilm", seed=3)
    described = models.describe(model)
    assert (described["model"], described["strategy"]) == ("static:minilm", "frozen")
    assert models.build(described.pop("model"), **described).get_params() == model.get_params()
    assert models.settings_of("static")["strategy"].default == "frozen"
    assert models.settings_of("static")["encoder"].default == "minilm"


def test_few_labels_go_further_than_with_word_counts(real_data):
    import pandas as pd

    train, test = (pd.read_csv(real_data / "sst2" / f"{part}.csv") for part in ("train", "test"))
    gains = []
    for seed in range(5):
        few = train.sample(64, random_state=seed)
        right = [
            models.build(name, **settings)
            .fit(list(few["text"]), list(few["label"]))
            .score(list(test["text"]), list(test["label"]))
            for name, settings in (("static", {"strategy": "frozen"}), ("naive-bayes", {}))
        ]
        gains.append(right[0] - right[1])
    assert np.mean(gains) > 0.03, gains
