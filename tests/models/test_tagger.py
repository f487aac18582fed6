"""A tag for each token: what is learned, what is read, and what is refused."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from workbench import models
from workbench.errors import DataWarning, UserError
from workbench.models import encoders, tagger
from workbench.models.tagger import BaselineTagger, Tagger
from workbench.training import losses
from workbench.training.batches import IGNORED

NAMES = [("anna", "PER"), ("bob stone", "PER"), ("leeds", "LOC"), ("new york", "LOC")]
FRAMES = [
    "the film of {} was great",
    "{} is bad",
    "i love {} and {}",
    "a book by {}",
    "it was dull",
]
SENTENCES, TAGS = [], []
for i, frame in enumerate(FRAMES * 20):
    words, tags = [], []
    for word in frame.split():
        name, kind = NAMES[(i + len(words)) % 4] if word == "{}" else (word, "")
        words += name.split()
        inside = [f"B-{kind}", *[f"I-{kind}"] * name.count(" ")]
        tags += inside if kind else ["O"]
    SENTENCES.append(words)
    TAGS.append(tags)

QUICK = {"epochs": 20, "learning_rate": 5e-3, "batch_size": 16, "max_length": 40}
KINDS = {
    "baseline": lambda folder: BaselineTagger(),
    "bilstm": lambda folder: Tagger("bilstm", batch_size=8, epochs=15),
    **{
        name: lambda folder, name=name: Tagger(folder, strategy=name, **QUICK)
        for name in ("full", "frozen", "upper", "gradual", "lora")
    },
}


@pytest.fixture(scope="module")
def folder(checkpoint):
    return str(checkpoint("bert"))


@pytest.fixture(scope="module")
def fitted(folder):
    return {name: make(folder).fit(SENTENCES, TAGS) for name, make in KINDS.items()}


@pytest.fixture(scope="module")
def nothing():
    """A model that has learned nothing."""
    return Tagger("bilstm", epochs=1, learning_rate=1e-9).fit(SENTENCES, TAGS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_names(kind, fitted, nothing):
    model = fitted[kind]
    least = 0.9 if kind in ("baseline", "bilstm", "full") else 0.5  # the encoder is a random one
    assert model.score(SENTENCES, TAGS) > nothing.score(SENTENCES, TAGS) + least
    assert model.score(SENTENCES, TAGS) == f1_score(TAGS, model.predict(SENTENCES))
    assert list(model.classes_) == ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]


@pytest.mark.parametrize("family", ["roberta", "gpt2"])
def test_every_family_learns_from_a_folder(checkpoint, family):
    model = Tagger(str(checkpoint(family)), **QUICK).fit(SENTENCES, TAGS)
    assert model.score(SENTENCES, TAGS) > 0.9


words = st.text("abz-Z9é中 \u200b", min_size=1, max_size=6).filter(str.strip)


@pytest.mark.parametrize("kind", ["baseline", "bilstm", "full", "frozen"])
@settings(max_examples=20, deadline=None)
@example([["\u200b"]])
@given(st.lists(st.lists(words, min_size=1, max_size=70), max_size=4))
def test_each_token_has_a_tag_and_the_tags_are_BIO(kind, fitted, sentences):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        found = fitted[kind].predict(sentences)
    assert [len(tags) for tags in found] == [len(sentence) for sentence in sentences]
    if found:  # what is valid is the same to the strict reading and to the lenient one
        reference = [["B-PER", *tags[1:]] for tags in found]
        strict = f1_score(reference, found, mode="strict", scheme=IOB2, zero_division=0)
        assert strict == f1_score(reference, found, zero_division=0)


@settings(max_examples=30, deadline=None)
@given(
    sentences=st.lists(st.lists(st.text("abcz", min_size=1, max_size=5), min_size=1, max_size=12),
                       min_size=1, max_size=5),
    length=st.integers(3, 40),
)  # fmt: skip
def test_the_first_piece_of_a_token_has_its_label_and_no_other(folder, sentences, length):
    model = Tagger(folder, max_length=length, strategy="frozen")
    model._model = None
    codes = np.arange(sum(map(len, sentences)))
    rows, token = model._rows(sentences, codes)
    assert np.array_equal(rows.labels, np.where(token < 0, IGNORED, token))
    tokenizer, _ = encoders.ready(folder)
    n, cut = 0, 0
    for i, sentence in enumerate(sentences):
        pieces = [tokenizer.tokenize(word) for word in sentence]
        labels = [c for j, p in enumerate(pieces, n) for c in (j, *[IGNORED] * (len(p) - 1))]
        n += len(sentence)
        cut += len(labels) > length - 2
        batch = rows.__getitems__([i])
        assert batch["labels"][0].tolist() == [IGNORED, *labels[: length - 2], IGNORED]
        expected = ["[CLS]", *[p for each in pieces for p in each][: length - 2], "[SEP]"]
        assert tokenizer.convert_ids_to_tokens(batch["input_ids"][0].tolist()) == expected
    assert rows.truncated == cut


def test_the_loss_is_that_of_transformers(fitted):
    model = fitted["full"]
    codes = np.searchsorted(model.classes_, np.concatenate(TAGS))
    batch = model._rows(SENTENCES, codes)[0].__getitems__(range(20))
    with torch.no_grad():
        output = model._model(**batch)
    ours = losses.cross_entropy_loss(None, 0.0)(
        output, batch["labels"], (batch["labels"] != IGNORED).sum()
    )
    assert float(ours) == pytest.approx(float(output.loss), rel=1e-5)


def test_tokens_beyond_the_model_are_O_and_said_to_be(fitted):
    sentence = ["anna"] * 60
    with pytest.warns(DataWarning, match="1 of 2 sentences are longer than the model reads"):
        long, short = fitted["full"].predict([sentence, ["anna"]])
    read = QUICK["max_length"] - 2
    assert set(long[:read]) >= {"B-PER"}
    assert long[read:] == ["O"] * (60 - read)
    assert short == ["B-PER"]


def test_tags_do_not_depend_on_the_company_of_a_sentence(fitted):
    for kind in ("bilstm", "full", "frozen"):
        together = fitted[kind].predict(SENTENCES)
        assert [fitted[kind].predict([sentence])[0] for sentence in SENTENCES] == together


def test_the_same_seed_gives_the_same_tags_and_history(fitted):
    for kind in ("bilstm", "full"):
        model, others = fitted[kind], [[*"abcdef"], [*"great"]]
        again = clone(model).fit(SENTENCES, TAGS)
        assert again.predict(others) == model.predict(others)
        assert again.history_.column("loss") == model.history_.column("loss")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_pickled_or_described_is_the_same_model(kind, fitted, tmp_path):
    model = fitted[kind]
    model.save(tmp_path)
    for again in (models.open(tmp_path), pickle.loads(pickle.dumps(model))):
        assert type(again) is type(model)
        assert again.predict(SENTENCES) == model.predict(SENTENCES)
    described = models.describe(model)
    rebuilt = models.build(described.pop("model"), **described)
    assert rebuilt.get_params() == model.get_params()


def test_validation_is_scored_after_every_epoch(folder):
    model = Tagger(folder, **QUICK | {"epochs": 3, "patience": 3})
    model.fit(SENTENCES, TAGS, validation=(SENTENCES[:10], TAGS[:10]))
    assert len(model.history_.column("validation_loss")[1]) == 3
    counted = {row["validation_n"] for row in model.history_ if "validation_n" in row}
    assert counted == {sum(map(len, SENTENCES[:10]))}


def test_scikit_learn_cross_validates_them():
    assert cross_val_score(BaselineTagger(), SENTENCES, TAGS, cv=3, error_score="raise").min() > 0.9


# --- bad input ------------------------------------------------------------------------------------

GOOD = [["Anna", "slept"], ["In", "Rome"]]
BAD = {
    "one tag too few": (GOOD, [["B-PER", "O"], ["O"]], "Sentence 2 .*2 tokens and 1 tags"),
    "no tags for one": (GOOD, [["B-PER", "O"]], "2 sentences and 1 lists of tags"),
    "an empty sentence": ([["Anna"], []], [["B-PER"], []], "Sentence 2 .*has no tokens"),
    "a string": (["Anna slept"], [["B-PER", "O"]], "Sentence 1 .*no list of tokens"),
    "one string": ("Anna slept", [["B-PER", "O"]], "Expected sentences as a list"),
    "an unknown scheme": (GOOD, [["B-PER", "O"], ["O", "Rome"]], "the tag 'Rome'"),
    "a number": ([["Anna", 3]], [["B-PER", "O"]], "a token that is empty or no string"),
    "an empty token": ([["Anna", ""]], [["B-PER", "O"]], "a token that is empty or no string"),
    "no entity": (GOOD, [["O", "O"], ["O", "O"]], "no entities"),
    "nothing": ([], [], "no entities"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("model", [BaselineTagger(), Tagger("bilstm")], ids=["baseline", "bilstm"])
def test_bad_input_is_refused_in_a_sentence(model, what):
    sentences, tags, message = BAD[what]
    with pytest.raises(UserError, match=message) as caught:
        clone(model).fit(sentences, tags)
    assert "\n" not in str(caught.value)


def test_predict_refuses_what_is_no_sentence(fitted):
    for model in fitted.values():
        with pytest.raises(UserError, match="has no tokens"):
            model.predict([["a"], []])
        with pytest.raises(UserError, match="no list of tokens"):
            model.predict(["anna slept"])
        assert model.predict([]) == []
    with pytest.raises(NotFittedError):
        BaselineTagger().predict(GOOD)


def test_an_entity_that_begins_with_I_is_mended_and_said_to_be():
    tags = [["I-PER", "O"], ["O", "I-LOC"]]
    with pytest.warns(DataWarning, match="2 of 2 entities of the input begin with I-"):
        model = BaselineTagger().fit(GOOD, tags)
    assert list(model.classes_) == ["B-LOC", "B-PER", "O"]


def test_validation_tags_that_training_has_not_are_left_out_and_said_to_be(folder):
    model, held_out = (
        Tagger(folder, **QUICK | {"epochs": 1}),
        (GOOD, [["B-PER", "O"], ["O", "B-X"]]),
    )
    with pytest.warns(DataWarning, match="training has not are left out: B-X"):
        model.fit(SENTENCES, TAGS, validation=held_out)
    assert model.history_.column("validation_n")[1] == [3]


def test_a_piece_that_is_only_the_space_before_a_word_has_no_label():
    if not models.CATALOGUE["multilingual"].here:
        pytest.skip("the multilingual encoder is not installed")
    sentences = [list("北京的苹果，"), ["Leeds", ",", "(", "nobody", ")"]]
    rows, begun, _ = tagger._pieces(encoders.tokenizer("multilingual"), sentences, 64)
    pieces = encoders.tokenizer("multilingual").convert_ids_to_tokens
    for sentence, ids, own in zip(sentences, rows, begun, strict=True):
        assert sorted(own[own >= 0]) == list(range(len(sentence)))
        assert "▁" not in pieces(ids[own >= 0].tolist())


def test_settings_and_encoders_that_cannot_be_are_refused(folder):
    for wrong in ({"strategy": "contrastive"}, {"epochs": -1}, {"patience": 2}):
        model = Tagger(folder, **wrong)
        with pytest.raises(UserError, match=next(iter(wrong))):
            model.fit(SENTENCES, TAGS)
        assert not hasattr(model, "classes_")
    with pytest.raises(UserError, match="There is no folder"):
        Tagger("./nowhere").fit(SENTENCES, TAGS)


def test_shapes_keep_what_capitals_and_digits_tell():
    assert [tagger.shape(w) for w in ("McDonald", "iPhone15", "X-9", "中国", "…")] == [
        "XxXx", "xXx9", "X-9", "x", "…",
    ]  # fmt: skip
