"""What is no text or no label is refused in a sentence, by every model of the catalogue alike."""

import inspect
import os
import random
import warnings
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

from workbench import models
from workbench.errors import UserError
from workbench.models import checks

TEXTS = [f"{word} film {i}" for i in range(6) for word in ("good", "bad")]
LABELS = ["positive", "negative"] * 6
NETWORK = {"epochs": 1, "size": 4, "hidden": 4}
CHEAP = {
    "random-forest": {"trees": 5}, "mlp": {"epochs": 2}, "minilm": {"strategy": "frozen"},
    "static": {"strategy": "frozen"},
    **dict.fromkeys(["cnn", "rnn", "lstm", "gru"], NETWORK),
}  # fmt: skip
ADAPTED = {name: {} for name in models.names("adaptation")} | {
    "source-only": {"epochs": 1}, "dapt": {"epochs": 1, "pretraining_epochs": 1},
    **{name: {"epochs": 1} for name in ("dann", "cdan", "deep-coral", "mmd", "mcc")},
    **{name: {"epochs": 1, "pretraining_epochs": 1} for name in ("simcse", "udalm")},
    "self-training": {"epochs": 1, "stages": 1},
}  # fmt: skip
ON_VECTORS = [name for name in ADAPTED if "vectors" in models.settings_of(name)]


@pytest.fixture(scope="module")
def folder(checkpoint):
    return str(checkpoint("bert"))


# `multilingual` is built by the class of `minilm`, and takes a second to load each time; what fits
# `dann` and `dapt` fits these.
ALIKE = {"multilingual", "cdan", "deep-coral", "mmd", "simcse", "udalm"}


@pytest.fixture(params=[name for name in models.names() if name not in ALIKE])
def model(request, folder):
    """Every model of the catalogue with cheap settings, unfitted."""
    if (name := request.param) in ADAPTED:
        return models.build(name, encoder=folder, **ADAPTED[name])
    return models.build(name, **CHEAP.get(name, {}))


def fit(model, texts=TEXTS, labels=LABELS, **more):
    if "unlabeled" in inspect.signature(model.fit).parameters:
        more.setdefault("unlabeled", TEXTS)
    return model.fit(texts, labels, **more)


BAD_TEXTS = {
    "one string": "good",
    "bytes": b"good",
    "nothing": None,
    "a number": 5,
    "a set": {"good"},
    "two columns": pd.DataFrame({"text": TEXTS, "title": TEXTS}),
    "two dimensions": np.array([TEXTS, TEXTS]).T,
    "None": ["good", None, *TEXTS[2:]],
    "NaN": ["good", float("nan"), *TEXTS[2:]],
    "pd.NA": pd.Series(["good", pd.NA, *TEXTS[2:]]),
    "a number among them": ["good", 5, *TEXTS[2:]],
    "bytes among them": ["good", b"bad", *TEXTS[2:]],
    "lists of words": [t.split() for t in TEXTS],
    "half a surrogate pair": ["good", "cut \ud83d", *TEXTS[2:]],
}
BAD_LABELS = {
    "one string": "positive",
    "nothing": None,
    "one less": LABELS[1:],
    "none": [],
    "two columns": pd.DataFrame({"label": LABELS, "other": LABELS}),
    "None": [None, *LABELS[1:]],
    "NaN": [float("nan")] * 3 + [1.0] * 4 + [0.0] * 5,
    "NaN beside strings": [float("nan"), *LABELS[1:]],
    "pd.NA": pd.Series([pd.NA, 1, 0] * 4, dtype="Int64"),
    "continuous": np.linspace(0, 1, 12),
    "numbers beside strings": [1, *LABELS[1:]],
    "bytes": [b"positive", b"negative"] * 6,
    "lists": [["a"], ["a", "b"]] * 6,
    "one class": ["positive"] * 12,
}


def test_every_model_refuses_the_same(model):
    with pytest.raises(NotFittedError):
        model.predict(TEXTS)
    fit(model)
    before = model.predict_proba(TEXTS)
    for what, texts in BAD_TEXTS.items():
        for method in (model.predict, model.predict_proba):
            with pytest.raises(UserError):
                pytest.fail(f"{what}: {method(texts)}")
        with pytest.raises(UserError):
            pytest.fail(f"{what}: {fit(model, texts)}")
        with pytest.raises(UserError):
            pytest.fail(f"{what}: {model.score(texts, LABELS)}")
    for what, labels in BAD_LABELS.items():
        with pytest.raises(UserError):
            pytest.fail(f"{what}: {fit(model, labels=labels)}")
    with pytest.raises(UserError, match="inconsistent numbers of samples"):
        model.score(TEXTS, LABELS[1:])
    with pytest.raises(UserError, match="minimum of 1"):
        fit(model, [], [])
    assert model.predict([]).shape == (0,)
    assert model.predict_proba([]).shape == (0, 2)
    assert np.array_equal(model.predict_proba(TEXTS), before), "a refusal changes nothing"


def test_every_model_takes_columns_of_any_kind(model):
    fit(model)
    expected = model.predict_proba(TEXTS)
    for kind in (
        np.array, tuple, iter, pd.Series, lambda rows: np.array(rows, object),
        lambda rows: pd.DataFrame({"text": rows}), lambda rows: pd.Series(rows, dtype="string"),
    ):  # fmt: skip
        fit(model, kind(TEXTS), kind(LABELS))
        assert np.allclose(model.predict_proba(kind(TEXTS)), expected, atol=1e-6)


@pytest.mark.parametrize("values", [(0, 1), (0.0, 1.0), (False, True), ("a", "b")])
def test_classes_keep_their_type(model, values):
    labels = np.array(values)[[1, 0] * 6]
    fit(model, labels=labels)
    assert model.classes_.dtype == model.predict(TEXTS).dtype == labels.dtype
    assert 0 <= model.score(TEXTS, labels) <= 1
    fit(model, labels=list(labels))
    assert list(model.classes_) == sorted(values)


@pytest.mark.parametrize("name", [*models.names("classical"), "perceptron", "mlp", *ON_VECTORS])
def test_a_fit_leaves_the_process_as_it_was(name, folder):
    settings = {"encoder": folder} if name in ADAPTED else CHEAP.get(name, {})
    model = models.build(name, **settings)
    fit(model)  # imports add filters of their own
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = (random.getstate(), np.random.get_state()[1].tolist(), warnings.filters[:],  # noqa: NPY002
              dict(os.environ))  # fmt: skip
    fit(model)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert warnings.filters == before[2]
    assert dict(os.environ) == before[3]


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError, RuntimeError])
def test_a_fit_that_fails_leaves_the_model_as_it_was(model, error, monkeypatch):
    fit(model)
    before, names = model.predict_proba(TEXTS), set(vars(model))

    def fail(self, *_, **__):
        vars(self).update(_model=None, _head=None)
        raise error("half way")

    last, name = (model[-1], "fit") if hasattr(model, "steps") else (model, "_fit")
    monkeypatch.setattr(type(last), "_align" if hasattr(model, "_align") else name, fail)
    with pytest.raises(error):
        fit(model, labels=LABELS[::-1])
    monkeypatch.undo()
    assert set(vars(model)) == names
    assert np.array_equal(model.predict_proba(TEXTS), before)


@pytest.mark.parametrize("name", ["cnn", "minilm", "dapt"])
def test_validation_texts_are_checked_as_well(name, folder):
    settings = ADAPTED[name] | {"encoder": folder} if name in ADAPTED else CHEAP[name]
    model = models.build(name, **settings)
    for wrong in (
        (TEXTS,), ("good", ["positive"]), (TEXTS, LABELS[1:]), (["good", None], LABELS[:2]),
        (TEXTS, [None, *LABELS[1:]]), ([], []), (TEXTS, ["unheard of"] * 12),
    ):  # fmt: skip
        with pytest.raises(UserError, match="validation"):
            fit(model, validation=wrong)
    assert not hasattr(model, "classes_")


@pytest.mark.parametrize("name", [*ON_VECTORS, "dapt"])
@pytest.mark.parametrize("wrong", ["text", None, [], ["good", None], pd.DataFrame({"a": [1]})])
def test_unlabelled_texts_are_checked_as_well(name, wrong, folder):
    model = models.build(name, encoder=folder, **ADAPTED[name])
    with pytest.raises(UserError, match="unlabeled"):
        model.fit(TEXTS, LABELS, unlabeled=wrong)
    assert not hasattr(model, "classes_")


@pytest.mark.parametrize("name", [n for n in models.names() if n != "majority"][:6])
def test_texts_without_a_word_are_refused_by_models_that_count_words(name):
    with pytest.raises(UserError, match="No text has a word"):
        models.build(name).fit(["…", "—"] * 6, LABELS)


def test_the_sentence_names_the_row():
    with pytest.raises(UserError, match=r"Row 1 of texts is missing \(None\)"):
        checks.check_texts(["a", None])
    with pytest.raises(UserError, match="3 of 5 labels are missing, the first in row 1"):
        checks.check_texts_and_labels(list("abcde"), [1, None, None, np.nan, 0])
    with pytest.raises(UserError, match="got str: put a single one in a list"):
        checks.check_texts("good")


# --- numbers among the settings -------------------------------------------------------------------


NUMBERS = st.one_of(
    st.integers(-(2**40), 2**40), st.floats(), st.booleans(), st.just("3"), st.just([1]),
    st.sampled_from(np.array([-1, 0, 1, 3])), st.floats(-2, 2),
)  # fmt: skip


@given(st.sampled_from(sorted(checks.RANGES)), NUMBERS)
def test_a_number_makes_sense_or_is_refused_in_a_sentence(name, value):
    known = checks.RANGES[name]
    try:
        checks.check_numbers({"strategy": -1, "size": None, name: value})
    except UserError as error:
        assert str(error) == f"{name} must be {known}, not {value!r:.40}."
        return
    assert not isinstance(value, bool | str | list)
    assert known.low <= value <= known.high
    assert np.isfinite(value)
    assert not (known.above and value == known.low)
    assert not (known.whole and value != round(value))


def test_every_number_of_every_model_has_its_range():
    for name in [*models.names(), *models.names("sequence")]:
        for setting, parameter in models.settings_of(name).items():
            kinds = get_args(parameter.annotation) or (parameter.annotation,)
            if {int, float} & set(kinds):
                assert setting in checks.RANGES, f"{setting} of {name}"
                checks.check_numbers({setting: parameter.default})


def test_every_model_refuses_numbers_that_make_no_sense(model):
    numbers = [n for n in models.describe(model) if n in checks.RANGES]
    for setting in numbers:
        built_with = models.describe(model) | {setting: -1}
        with pytest.raises(UserError, match=f"^{setting} must be a .*number .*, not -1"):
            fit(models.build(built_with.pop("model"), **built_with))


VALUES = st.one_of(
    st.text(), st.integers(), st.floats(), st.none(), st.binary(), st.booleans(),
    st.lists(st.text(), max_size=2),
)  # fmt: skip


@given(st.lists(VALUES, max_size=6), st.lists(VALUES, max_size=6))
def test_anything_is_a_list_of_strings_with_labels_or_a_sentence(texts, labels):
    try:
        rows, targets = checks.check_texts_and_labels(texts, labels)
    except UserError as error:
        assert "\n\n" not in str(error)
        return
    assert rows == texts
    assert len(targets) == len(rows) > 0
    assert list(targets) == labels
