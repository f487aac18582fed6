"""Pairs of texts are read whole and in their splits; what is swapped or empty is told."""

import warnings

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench import data
from workbench.errors import DataWarning, UserError

COLOURS = {"red": "rot", "green": "grün", "blue": "blau", "white": "weiß", "black": "schwarz"}
THINGS = {"boat": "Boot", "house": "Haus", "tree": "Baum", "dog": "Hund", "cloud": "Wolke"}
PAIRS = [
    (f"we saw the {c} and the {t} {n} times", f"{n} mal haben wir {d} und {e} gesehen")
    for n in range(4) for c, d in COLOURS.items() for t, e in THINGS.items()
]  # fmt: skip
CHINESE = [(en, f"我们看见了{de}色的东西{i}次") for i, (en, de) in enumerate(PAIRS)]
SUMMARIES = [(f"the pot number {i} is heavy and it lasts long", f"heavy {i}") for i in range(40)]


@pytest.fixture
def load(tmp_path):
    def loader(rows, columns=("en", "de"), **more):
        pd.DataFrame(rows, columns=list(columns)).assign(**more).to_csv(
            tmp_path / "own.csv", index=False
        )
        return data.load_pairs(tmp_path / "own.csv", *columns[:2])

    return loader


def pairs(parts) -> set:
    return {tuple(row) for part in parts for row in part.iloc[:, 1:3].itertuples(index=False)}


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(PAIRS, ("en", "de")), (CHINESE, ("en", "zh")), (SUMMARIES, ("text", "summary"))],
)
def test_every_pair_is_in_one_split(load, rows, columns):
    parts = load(rows, columns)
    assert pairs(parts) == set(rows)
    assert sum(map(len, parts)) == len(rows)
    assert all(list(part.columns) == ["id", *columns] for part in parts)
    assert all(len(part) for part in parts)


def test_a_folder_keeps_its_splits_and_a_source_stands_in_one_of_them(tmp_path):
    for name, rows in (("train", PAIRS[:90]), ("dev", PAIRS[80:])):
        pd.DataFrame(rows, columns=["en", "de"]).to_csv(tmp_path / f"{name}.csv", index=False)
    with pytest.warns(DataWarning, match="10 training or validation texts"):
        train, validation, test = data.load_pairs(tmp_path, "en", "de")
    assert pairs([test]) == set(PAIRS[80:])
    assert pairs([train, validation]) == set(PAIRS[:80])


def test_domain_and_language_stay(load):
    parts = load(PAIRS, domain="travel", language="en", other="gone")
    assert all(list(part.columns) == ["id", "en", "de", "domain", "language"] for part in parts)


@given(st.sets(st.integers(0, len(PAIRS) - 1), max_size=20))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20
)
@pytest.mark.parametrize("rows", [PAIRS, CHINESE])
def test_exactly_the_swapped_pairs_are_counted_and_left_out(load, rows, swapped):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kept = load([row[::-1] if i in swapped else row for i, row in enumerate(rows)])
    assert pairs(kept) == {row for i, row in enumerate(rows) if i not in swapped}
    said = [f"{len(swapped)} of {len(rows)} pairs of"] if swapped else []
    assert [" ".join(str(w.message).split()[:5]) for w in caught] == said


def test_pairs_with_an_empty_side_are_counted_and_left_out(load):
    with pytest.warns(DataWarning, match="3 of 103 pairs of .* have an empty side"):
        assert pairs(load([*PAIRS, ("alone", ""), ("", "allein"), (" ", " ")])) == set(PAIRS)


@pytest.mark.parametrize(
    ("rows", "columns", "match"),
    [
        ([(text, "") for text, _ in SUMMARIES], ("text", "summary"), "'summary' of .* is empty"),
        ([row[::-1] for row in SUMMARIES], ("text", "summary"), "In 100% .* longer than 'text'"),
        (SUMMARIES[:2], ("text", "summary"), "too few different texts"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_in_one_sentence(load, rows, columns, match):
    with pytest.raises(UserError, match=match) as caught:
        load(rows, columns)
    assert "\n" not in str(caught.value)


def test_a_column_that_is_not_there_offers_the_nearest():
    with pytest.raises(
        UserError, match="no column in 'reviews' called 'labels'; did you mean 'label'"
    ):
        data.load_pairs("reviews", "text", "labels")


def test_multi30k(real_data):
    with pytest.warns(DataWarning, match="1 training or validation texts"):
        parts = data.load_pairs(real_data / "multi30k", "en", "de")
    assert [len(part) for part in parts] == [10798, 1200, 1014]
