"""The bundled sentences with entities: enough of each kind, and no name in training and in test."""

import pandas as pd
import pytest

from benchmarks import corpus as numbers
from workbench import data
from workbench.data import tagged


@pytest.fixture(scope="module")
def corpus() -> pd.DataFrame:
    return numbers.sentences()


@pytest.fixture(scope="module")
def entities(corpus) -> pd.DataFrame:
    """One entity a row, with its name and its type."""
    rows = corpus.explode("names").dropna(subset="names")
    return rows.assign(name=rows["names"].str[0], type=rows["names"].str[1])


def test_columns_and_sizes(corpus):
    assert [*corpus.columns[:6]] == ["id", "tokens", "tags", "domain", "language", "split"]
    assert corpus["id"].is_unique
    assert corpus["language"].value_counts().loc[["en", "zh"]].min() >= 600
    shares = corpus.groupby("language")["split"].value_counts(normalize=True)
    for language in ("en", "zh"):
        for split, share in (("train", 0.6), ("validation", 0.15), ("test", 0.25)):
            assert shares[language, split] == pytest.approx(share, abs=0.02)


def test_every_type_stands_in_every_split_of_every_domain(entities):
    counts = entities.groupby(["language", "domain", "split", "type"]).size()
    assert len(counts) == 2 * 3 * 3 * 4
    assert counts.min() >= 4


def test_tags_are_as_the_reader_would_write_them(corpus):
    assert tagged.in_bio(corpus["tags"], "'entities'") == list(corpus["tags"])
    assert all(len(row.tokens) == len(row.tags) for row in corpus.itertuples())


@pytest.mark.parametrize("later", ["validation", "test"])
def test_no_name_of_a_later_split_stands_in_training(entities, later):
    split = {name: set(rows["name"]) for name, rows in entities.groupby("split")}
    assert not split["train"] & split[later]
    persons = entities[(entities["type"] == "PER") & (entities["language"] == "en")]
    surnames = persons["name"].str.split().str[-1]
    assert not set(surnames[persons["split"] == later]) & split["train"]
    assert not set(surnames[persons["split"] == "train"]) & split[later]
    assert not {*surnames[persons["split"] == "train"]} & {*surnames[persons["split"] == later]}


def test_no_sentence_twice_and_about_one_in_eight_without_a_name(corpus):
    assert not corpus["tokens"].map(lambda tokens: "".join(tokens).casefold()).duplicated().any()
    without = (corpus["names"].str.len() == 0).groupby(corpus["language"]).mean()
    assert without.between(0.1, 0.16).all()


def test_capital_letters_do_not_give_names_away(corpus):
    """In English, tokens with a capital that are no name, and names without one."""
    english = corpus[corpus["language"] == "en"].explode(["tokens", "tags"])
    capital, named = english["tokens"].str[0].str.isupper(), english["tags"] != "O"
    assert (capital & ~named).sum() > 0.15 * capital.sum()
    assert (~capital & (english["tags"].str[0] == "B")).sum() >= 10


def test_names_change_their_type_with_the_sentence(entities):
    types = entities.groupby(["language", "name"])["type"].nunique()
    assert (types > 1).groupby("language").sum().min() >= 15


def test_languages_are_what_they_say(corpus):
    chinese = corpus["tokens"].map("".join).str.contains(r"[\u4e00-\u9fff]")
    assert (chinese == (corpus["language"] == "zh")).all()


def test_chinese_tokens_are_characters(corpus):
    tokens = corpus.loc[corpus["language"] == "zh", "tokens"].explode()
    assert (tokens.str.len()[tokens.str.contains(r"[\u4e00-\u9fff]")] == 1).all()


def test_the_data_card_tells_the_numbers_of_the_corpus(corpus):
    card = (data.bundled("data") / "README.md").read_text(encoding="utf-8")
    missing = [line for line in numbers.entity_card(corpus) if line not in card]
    assert not missing, "python -m benchmarks.corpus prints:\n" + "\n".join(missing)


def test_it_is_loaded_with_its_splits(corpus):
    loaded = data.load("entities")
    assert {name: len(part) for name, part in loaded.items()} == dict(
        corpus["split"].value_counts()
    )
    assert data.table().loc["entities", ["texts", "classes"]].tolist() == [len(corpus), 4]
