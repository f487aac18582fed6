"""Which column is what; what a label means; an id for each row."""

import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import data
from workbench.data.columns import row_ids
from workbench.errors import DataWarning, UserError

TEXTS = [f"a story about number {i}" for i in range(60)]
YES_NO = ["yes", "no"] * 30


@pytest.fixture
def load(tmp_path):
    """Write a table as a file of the given kind and load it; lists become a folder of splits."""

    def loader(table, kind="csv", **options):
        path = tmp_path / f"own.{kind}"
        table = pd.DataFrame(table)
        if kind == "csv":
            table.to_csv(path, index=False)
        elif kind == "jsonl":
            path.write_text("\n".join(json.dumps(row) for row in table.to_dict("records")))
        else:
            table.to_parquet(path)
        return data.load(path, **options)

    return loader


def names(corpus):
    return corpus["train"].features["label"].names


def rows(corpus):
    return pd.concat([part.to_pandas() for part in corpus.values()])


def size(corpus):
    return sum(map(len, corpus.values()))


# --- columns -------------------------------------------------------------------------------------


def test_a_column_asked_for_goes_before_one_called_text(load):
    table = {"Id": range(60), "Text": "long", "text": "longer", "Summary": TEXTS, "label": YES_NO}
    assert set(rows(load(table, text_column="Summary"))["text"]) == set(TEXTS)
    table = {"text": TEXTS, "label": "nothing", "Mood": YES_NO}
    assert names(load(table, label_column="Mood")) == ["no", "yes"]


def test_a_name_in_its_own_spelling_goes_before_one_in_capitals(load):
    table = {"Text": "long", "text": TEXTS, "LABEL": "x", "label": YES_NO, "ID": 1, "id": range(60)}
    corpus = load(table)
    assert set(rows(corpus)["text"]) == set(TEXTS)
    assert names(corpus) == ["no", "yes"]
    assert set(rows(corpus)["id"]) == {str(i) for i in range(60)}


@pytest.mark.parametrize("columns", [("TEXT", "Text", "label"), ("text", "Label", "LABEL")])
def test_two_columns_that_differ_in_capitals_alone(load, columns):
    with pytest.raises(UserError, match=f"has the columns .*{columns[1]}.*: rename all but one"):
        load(dict(zip(columns, (TEXTS, YES_NO, YES_NO), strict=True)))


def test_one_column_cannot_be_text_and_label(load):
    for options in ({"text_column": "label"}, {"text_column": "text", "label_column": "text"}):
        with pytest.raises(UserError, match="cannot be both text and label"):
            load({"text": TEXTS, "label": YES_NO}, **options)


def test_files_of_one_folder_may_spell_their_columns_in_different_ways(tmp_path):
    new = [f"new {text}" for text in TEXTS]
    pd.DataFrame({"Review": TEXTS, "Stars": YES_NO}).to_csv(tmp_path / "train.csv", index=False)
    pd.DataFrame({"text": new, "label": YES_NO, "Split": "?"}).to_csv(tmp_path / "test.csv")
    corpus = data.load(tmp_path)
    assert set(corpus["test"]["text"]) == set(new)
    assert len(corpus["train"]) + len(corpus["validation"]) == 60


def test_an_index_from_outside_says_nothing_about_rows(load):
    table = pd.DataFrame({"text": TEXTS, "label": YES_NO}, index=[3] * 60)
    corpus = load(table, "parquet")
    assert {name: len(part) for name, part in corpus.items()} == {
        "train": 42, "validation": 6, "test": 12,
    }  # fmt: skip


# --- labels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [None, pd.NA, float("nan"), pd.NaT, "", "  "])
def test_a_missing_label_is_missing(load, missing):
    labels = [missing] * 12 + YES_NO[12:]
    table = pd.DataFrame({"text": TEXTS, "label": pd.Series(labels, dtype=object)})
    with pytest.warns(DataWarning, match="12 of 60 rows .* have no label"):
        corpus = load(table, "parquet")
    assert names(corpus) == ["no", "yes"]
    assert size(corpus) == 48


@pytest.mark.parametrize("dtype", ["Int64", "float", "boolean", "category", "string"])
def test_columns_with_gaps(load, dtype):
    values = [None] * 12 + [int(y == "yes") for y in YES_NO[12:]]
    table = pd.DataFrame({"text": TEXTS, "label": pd.Series(values, dtype="Int64").astype(dtype)})
    with pytest.warns(DataWarning, match="12 of 60 rows"):
        corpus = load(table, "parquet")
    assert names(corpus) == (["False", "True"] if dtype == "boolean" else ["0", "1"])


def test_equal_labels_are_one_class(load):
    labels = ["1", "1.0", " 1", "1.00", "0", "0.0"] * 10
    assert names(load({"text": TEXTS, "label": labels})) == ["0", "1"]
    assert names(load({"text": TEXTS, "label": [1, 1.0, "1", 0, 0.0, " 0 "] * 10}, "jsonl")) == [
        "0", "1",
    ]  # fmt: skip
    decimals = [Decimal("1.0"), Decimal("2.5"), Decimal("2.0")] * 20
    assert names(load({"text": TEXTS, "label": decimals}, "parquet")) == ["1", "2", "2.5"]


def test_labels_that_only_look_alike_stay_apart(load):
    labels = ["01", "1", "Yes", "yes", "nan and none", "1.5"] * 10
    assert set(names(load({"text": TEXTS, "label": labels}))) == set(labels)


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "csv"])
def test_several_labels_a_text_are_refused(load, kind):
    with pytest.raises(UserError, match="holds lists: a text needs one label"):
        load({"text": TEXTS, "label": [["joy", "love"], ["anger"]] * 30}, kind)


def write_splits(folder, **labels):
    for split, values in labels.items():
        texts = [f"{split} {text}" for text in TEXTS[: len(values)]]
        pd.DataFrame({"text": texts, "label": values}).to_csv(folder / f"{split}.csv", index=False)


def test_minus_one_marks_a_test_split_without_labels(tmp_path):
    write_splits(tmp_path, train=[0, 1] * 30, test=[-1] * 20)
    with pytest.warns(DataWarning, match="20 of 80 rows .* have no label"):
        corpus = data.load(tmp_path)
    assert names(corpus) == ["0", "1"]
    assert size(corpus) == 60


def test_minus_one_beside_numbered_classes_is_no_class(load):
    with pytest.warns(DataWarning, match="15 of 60 rows .* have no label"):
        assert names(load({"text": TEXTS, "label": [0, 1, 2, -1] * 15})) == ["0", "1", "2"]


def test_minus_one_of_a_polarity_is_a_class(load):
    assert names(load({"text": TEXTS, "label": [-1, 1] * 30})) == ["-1", "1"]
    with pytest.warns(DataWarning, match="-1 .* is read as a class beside 0 and 1"):
        assert names(load({"text": TEXTS, "label": [-1, 0, 1] * 20})) == ["-1", "0", "1"]


# --- ids -----------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["a", "a-2", "a-2-2", "a-3", "b"])))
def test_each_row_has_an_id_of_its_own_and_the_first_keeps_its(ids):
    unique = row_ids(pd.DataFrame({"id": ids}, dtype=object))
    assert len(set(unique)) == len(ids)
    for value in set(ids):
        assert unique[ids.index(value)] == value


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_ids_with_gaps_and_repeats(load, kind):
    ids = pd.array([2**60 + 1, 2**60 + 2, None, *range(3, 59), 3], dtype="Int64")
    if kind == "jsonl":
        ids = [None if value is pd.NA else int(value) for value in ids]
    table = pd.DataFrame({"ID": pd.Series(ids, dtype=object), "text": TEXTS, "label": YES_NO})
    table = table if kind == "jsonl" else table.astype({"ID": "Int64"})
    found = rows(load(table, kind)).set_index("text")["id"]
    assert found.is_unique
    assert found[TEXTS[0]] == str(2**60 + 1)
    assert found[TEXTS[1]] == str(2**60 + 2)
    assert {found[TEXTS[3]], found[TEXTS[59]]} == {"3", "3-2"}


def test_many_copies_of_an_id_take_no_longer_than_many_ids():
    ids = pd.DataFrame({"id": ["a"] * 200_000}, dtype=object)
    assert len(set(row_ids(ids))) == 200_000  # minutes if each copy counted from the start


def test_values_of_numpy_are_no_lists(load):
    labels = np.array([0.0, 1.0] * 30, dtype="float32")
    assert names(load({"text": TEXTS, "label": labels}, "parquet")) == ["0", "1"]
