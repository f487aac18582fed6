"""The bundled summaries: of bundled reviews, in a writer's words, and without luck for lead."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import corpus as numbers
from workbench import data, evaluate, text
from workbench.models.summaries import Extractive


@pytest.fixture(scope="module")
def corpus() -> pd.DataFrame:
    return numbers.bundles()


def summaries(corpus: pd.DataFrame, language: str, **settings):
    """The ROUGE scores of extractive summaries of the texts in a language."""
    rows = corpus[corpus["language"] == language]
    found = Extractive(**settings).predict(rows["text"])
    return evaluate.evaluate_texts(found, rows["summary"], ["rouge1", "rouge2"])


def test_texts_are_bundled_reviews_of_one_domain_each_in_one_place(corpus):
    reviews = numbers.reviews().set_index("text")[["domain", "language"]]
    parts = corpus.assign(text=corpus["text"].str.split("\n")).explode("text")
    assert (reviews.loc[parts["text"]].to_numpy() == parts[["domain", "language"]].to_numpy()).all()
    assert not parts["text"].duplicated().any()


def test_columns_and_sizes(corpus):
    assert [*corpus] == ["id", "text", "summary", "domain", "language", "split"]
    assert corpus["id"].is_unique
    assert corpus["language"].value_counts().to_dict() == {"en": 40, "zh": 16}
    assert corpus.groupby("domain").size().min() >= 10
    counts = corpus["text"].map(lambda written: len(text.sentences(written)))
    assert counts.between(9, 25).all()


def test_summaries_are_short_and_in_their_own_words(corpus):
    assert corpus["summary"].map(lambda s: len(text.sentences(s))).between(1, 3).all()
    assert (corpus["summary"].str.len() < 0.5 * corpus["text"].str.len()).all()
    for row in corpus.itertuples():
        assert not {*text.sentences(row.text)} & {*text.sentences(row.summary)}, row.id


def test_they_are_read_as_pairs_with_their_splits(corpus):
    parts = data.load_pairs(data.bundled("data") / "summaries.csv", "text", "summary")
    assert [*map(len, parts)] == [sum(corpus["split"] == name) for name in numbers.SPLITS]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_first_sentences_are_not_the_best_by_construction(corpus, language):
    lead = summaries(corpus, language, method="lead")
    random = np.mean([
        summaries(corpus, language, method="random", seed=seed).metrics["rouge1"]
        for seed in range(10)
    ])  # fmt: skip
    assert lead.metrics["rouge1_low"] < random < lead.metrics["rouge1_high"]


def test_sentences_chosen_by_their_vectors_beat_the_first_and_random_ones(corpus):
    for method in ("centroid", "textrank"):
        chosen = summaries(corpus, "en", method=method)
        for baseline in ("lead", "random"):
            test = evaluate.paired("rouge1", chosen, summaries(corpus, "en", method=baseline))
            assert test["low"] > 0, (method, baseline, test)


def test_the_data_card_tells_the_numbers_of_the_corpus(corpus):
    card = (data.bundled("data") / "README.md").read_text(encoding="utf-8")
    missing = [line for line in numbers.summary_card(corpus) if line not in card]
    assert not missing, "python -m benchmarks.corpus prints:\n" + "\n".join(missing)
