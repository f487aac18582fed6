"""Splits are read as they are meant, share no text, and keep every class that they name."""

import json
import re
import warnings
from collections import Counter

import datasets
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench import data
from workbench.errors import DataWarning, UserError

LABELLED = ("train", "validation", "test")
TEXTS = [f"a story about number {i}" for i in range(60)]
YES_NO = ["yes", "no"] * 30
GIVEN = ["train"] * 40 + ["dev"] * 10 + ["test"] * 10


@pytest.fixture
def load(tmp_path):
    """Write columns as a CSV and load it."""

    def loader(**columns):
        path = tmp_path / "own.csv"
        pd.DataFrame({"text": TEXTS, "label": YES_NO} | columns).to_csv(path, index=False)
        return data.load(path)

    return loader


def sizes(corpus):
    return {name: len(part) for name, part in corpus.items()}


def key(text):
    return " ".join(text.casefold().split())


# --- a split column ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "dev", "test"), ("Training", "VAL ", " Test"), ("TRAIN", "valid", "testing"),
     ("train", "validation", "test"), ("train", "Development", "TEST")],
)  # fmt: skip
@pytest.mark.parametrize("column", ["split", "Split", "set", "Subset", "partition"])
def test_a_split_column_is_read_by_the_words_of_file_names(load, column, train, validation, test):
    values = [train] * 40 + [validation] * 10 + [test] * 10
    corpus = load(**{column: values})
    assert sizes(corpus) == {"train": 40, "validation": 10, "test": 10}
    assert corpus["test"]["text"][:] == TEXTS[50:]


def test_the_unlabelled_rows_of_a_split_column_need_no_label(load):
    corpus = load(label=[*YES_NO[:50], *[""] * 10], split=["train"] * 50 + ["Unlabelled"] * 10)
    assert corpus["unlabeled"]["text"][:] == TEXTS[50:]
    assert sum(sizes(corpus).values()) == 60


@pytest.mark.parametrize(
    ("values", "sentence"),
    [(["train"] * 40 + ["heldout"] * 20, "20 of 60 rows .* split 'heldout', .* none of train, "),
     (["train"] * 40 + [""] * 20, "20 of 60 rows .* have the split ''"),
     (["train"] * 40 + ["train/test"] * 20, "split 'train/test'"),
     (list(range(60)), "60 of 60 rows .* rename the column"),
     (["dev"] * 40 + ["test"] * 20, "no train split: it has test and validation")],
)  # fmt: skip
def test_what_a_split_column_may_not_hold(load, values, sentence):
    with pytest.raises(UserError, match=sentence):
        load(split=values)


def test_columns_that_are_no_splits(load):
    assert sizes(load(split=[""] * 60)) == sizes(load(set=list("abcdef") * 10)) == sizes(load())


@pytest.mark.parametrize("domains", [[None] * 60, [None, None, "shop", "shop"] * 15])
def test_rows_without_a_domain_reach_every_split(tmp_path, domains):
    table = pd.DataFrame(
        {"text": TEXTS, "label": YES_NO, "domain": pd.Series(domains, dtype=object)}
    )
    table.to_parquet(tmp_path / "own.parquet")
    for part in data.load(tmp_path / "own.parquet").values():
        assert set(part["domain"]) == set(domains)


def test_a_split_column_of_lists_is_refused(tmp_path):
    lines = [
        {"text": text, "label": y, "split": ["a"]} for text, y in zip(TEXTS, YES_NO, strict=True)
    ]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(UserError, match=r"60 of 60 rows .* have the split"):
        data.load(tmp_path / "own.jsonl")


def test_the_name_of_a_file_goes_before_a_column(tmp_path):
    for split, texts in (("train", TEXTS[:40]), ("test", TEXTS[40:])):
        rows = {"text": texts, "label": YES_NO[: len(texts)], "Split": "all"}
        pd.DataFrame(rows).to_csv(tmp_path / f"{split}-0.csv", index=False)
    assert data.load(tmp_path)["test"]["text"][:] == TEXTS[40:]
    (tmp_path / "eval.csv").write_text("text,label\n")
    with pytest.warns(DataWarning, match=r"named after no split, which are not read: eval\.csv"):
        data.load(tmp_path)


@pytest.mark.parametrize("split", ["train", "all"])
def test_a_hub_set_with_one_split(monkeypatch, split):
    names = datasets.ClassLabel(names=["no", "yes"])
    part = datasets.Dataset.from_dict(
        {"text": [*TEXTS, *TEXTS[:5]], "label": [0, 1, None, *[-1] * 2, *[0, 1] * 30]},
        features=datasets.Features(text=datasets.Value("string"), label=names),
    )
    loaded = datasets.DatasetDict({split: part})
    monkeypatch.setattr(datasets, "load_dataset", lambda name, config: loaded)
    with pytest.warns(DataWarning) as caught:
        corpus = data.load("hub:mine")
    assert corpus["train"].features["label"].names == ["no", "yes"]
    assert "3 of 65 rows" in str(caught[0].message)
    assert "2 repeated texts" in str(caught[1].message)
    assert sum(sizes(corpus).values()) == 60


# --- no text in two splits -----------------------------------------------------------------------


variant = st.sampled_from(
    [str, str.upper, str.title, lambda t: f"  {t} ", lambda t: t.replace(" ", "  ")]
)
row = st.tuples(
    st.integers(0, 39).map(lambda i: f"the straße {i}"), variant, st.sampled_from("aab"),
    st.sampled_from(["train", "train", "dev", "test", "unlabeled"]),
)  # fmt: skip


@settings(
    suppress_health_check=list(HealthCheck), deadline=None, max_examples=120, derandomize=True
)
@given(
    rows=st.lists(row, min_size=20, max_size=120),
    present=st.sets(st.sampled_from(["train", "dev", "test", "unlabeled"])),
)
def test_no_text_stands_in_two_splits_and_what_is_lost_is_counted(tmp_path, rows, present):
    """Repeats, variants in case and spacing, and any of the splits, from one file."""
    rows = [(change(text), label, split) for text, change, label, split in rows]
    rows = [row for row in rows if row[2] in present] if present else rows
    table = pd.DataFrame(rows, columns=["text", "label", "split"])
    table.drop(columns=[] if present else "split").to_csv(tmp_path / "own.csv", index=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            corpus = data.load(tmp_path / "own.csv")
        except UserError as error:
            assert re.search("fewer than two|distinct values|no train|Every|too few|no rows|empty",
                             str(error))  # fmt: skip
            return
    keys = {name: {key(text) for text in corpus[name]["text"]} for name in LABELLED}
    assert all(keys.values())
    assert (
        not keys["train"] & keys["validation"] | (keys["train"] | keys["validation"]) & keys["test"]
    )
    messages = [str(w.message) for w in caught if w.category is DataWarning]
    lost = sum(_lost(message) for message in messages)
    assert sum(sizes(corpus).values()) + lost == len(rows)
    if (
        "test" in present
        and len(corpus["train"].features["label"].names) == table["label"].nunique()
    ):
        assert len(corpus["test"]) == (table["split"] == "test").sum()
    in_training = Counter(corpus["train"]["label"])
    for code in {label for name in LABELLED for label in corpus[name]["label"]}:
        assert in_training[code] >= 2
    known = sum(key(text) in keys["test"] for text in corpus.get("unlabeled", {"text": []})["text"])
    noted = [m for m in messages if m.startswith(f"{known} of") and "stand in the test split" in m]
    assert len(noted) == bool(known)


def _lost(message: str) -> int:
    if "left out" not in message:
        return 0
    return int((re.search(r"with (\d+) rows", message) or re.match(r"(\d+)", message)).group(1))


def test_a_text_that_repeats_in_training_does_not_reach_the_cut_validation(load):
    texts = [*TEXTS[:20], *TEXTS[:20], *TEXTS[40:]]
    with pytest.warns(DataWarning, match="2 training or validation texts"):
        corpus = load(text=texts, split=["train"] * 40 + ["test"] * 20)
    assert sizes(corpus) == {"train": 36, "validation": 2, "test": 20}


def test_training_texts_that_are_all_test_texts(load):
    texts = [*TEXTS[:30], *(text.upper() for text in TEXTS[:30])]
    with (
        pytest.warns(DataWarning, match="30 training or validation texts"),
        pytest.raises(UserError, match=r"Every training text of .* stands in another split"),
    ):
        load(text=texts, split=["train"] * 30 + ["test"] * 30)


def test_a_validation_split_that_is_the_test_split_is_cut_anew(load):
    texts = [*TEXTS[:50], *TEXTS[40:50]]
    with pytest.warns(DataWarning, match="10 training or validation texts"):
        corpus = load(text=texts, split=GIVEN)
    assert sizes(corpus) == {"train": 36, "validation": 4, "test": 10}


# --- classes are counted last --------------------------------------------------------------------


def test_a_class_of_repeats_is_rare(load):
    with pytest.warns(DataWarning) as caught:
        corpus = load(text=["hi"] * 5 + TEXTS[5:], label=["greeting"] * 5 + YES_NO[5:])
    assert "4 repeated texts" in str(caught[0].message)
    assert "1 of 3 classes" in str(caught[1].message)
    assert str(caught[1].message).endswith("with 1 rows: greeting.")
    assert corpus["train"].features["label"].names == ["no", "yes"]


def test_two_labels_of_each_text_leave_one_class(load):
    texts = [text for text in TEXTS[:30] for _ in range(2)]
    with (
        pytest.warns(DataWarning, match="30 repeated texts"),
        pytest.raises(UserError, match=r"fewer than two classes .* \(yes \(30\)\)"),
    ):
        load(text=texts)


def test_a_class_without_training_rows_is_left_out(load):
    with pytest.warns(DataWarning, match="1 of 3 classes .* left out with 6 rows: new"):
        corpus = load(label=[*YES_NO[:54], *["new"] * 6], split=GIVEN)
    assert sizes(corpus) == {"train": 40, "validation": 10, "test": 4}


@pytest.mark.filterwarnings("ignore::workbench.errors.DataWarning")
@pytest.mark.parametrize("seed", range(8))
def test_classes_are_counted_once_more_after_the_cut(tmp_path, seed):
    """A copy of a text that went to validation leaves training, and may be half of a class."""
    train = [*((text, "a") for text in TEXTS[:3]), *((text, "b") for text in TEXTS[3:6])]
    train += [(text, "c") for text in (TEXTS[0], TEXTS[3])]
    train += [(text, "d") for text in TEXTS[6:20]]
    test = [(text, label) for text, label in zip(TEXTS[40:], "abcd" * 5, strict=True)]
    for name, rows in (("train", train), ("test", test)):
        path = tmp_path / f"{name}.csv"
        pd.DataFrame(rows, columns=["text", "label"]).to_csv(path, index=False)
    corpus = data.load(tmp_path, seed=seed)
    in_training = Counter(corpus["train"]["label"])
    assert all(in_training[label] >= 2 for label in corpus["test"]["label"])


@pytest.mark.parametrize("classes", [2, 20, 150])
def test_many_classes_with_a_long_tail(load, classes):
    counts = [max(5, 200 // (i + 1)) for i in range(classes)]
    labels = [f"class {i}" for i, count in enumerate(counts) for _ in range(count)]
    corpus = load(text=[f"text {i}" for i in range(len(labels))], label=labels)
    for name in LABELLED:
        assert len(set(corpus[name]["label"])) == classes
    assert min(Counter(corpus["train"]["label"]).values()) >= 2
    for part in data.frames(corpus, limit=2 * classes):
        assert len(part) <= 2 * classes
        assert part["label"].nunique() == classes


# --- samples -------------------------------------------------------------------------------------


@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=12),
    limit=st.integers(1, 80), seed=st.integers(0, 9), index=st.booleans(), domains=st.booleans(),
)  # fmt: skip
@settings(deadline=None, max_examples=100)
def test_a_sample_holds_every_class_that_it_can(counts, limit, seed, index, domains):
    labels = [f"class {i}" for i, count in enumerate(counts) for _ in range(count)]
    table = pd.DataFrame({"text": [f"text {i}" for i in range(len(labels))], "label": labels})
    if domains:
        table["domain"] = [("here", "there", None)[i % 7 % 3] for i in range(len(labels))]
    table.index = [0] * len(table) if index else table.index
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found, again = (data.sample(table, limit, seed) for _ in range(2))
    assert len(found) == min(limit, len(table))
    assert found["text"].is_unique
    in_sample = Counter(found["label"])
    assert len(in_sample) == min(len(counts), limit)
    if limit >= 2 * len(counts):
        assert all(in_sample[f"class {i}"] >= min(2, count) for i, count in enumerate(counts))
    assert len(caught) == 2 * (limit < len(counts))
    assert found.equals(again)


def test_shares_of_a_sample_are_those_of_the_table():
    table = pd.DataFrame({"text": TEXTS * 20, "label": (["a"] * 9 + ["b"]) * 120})
    assert Counter(data.sample(table, 100)["label"]) == {"a": 90, "b": 10}
