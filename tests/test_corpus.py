"""The bundled reviews: complete, balanced, without a generated look, and with a gap to adapt to."""

import re
from collections import Counter

import pandas as pd
import pytest

from workbench import data, models

# Shares of repeated n-grams in 1,600 Amazon reviews cut to 45 words: people repeat that much.
REAL = {3: 0.141, 4: 0.033, 5: 0.012, 6: 0.007}
DOMAINS = ["books", "electronics", "films", "kitchen"]


@pytest.fixture(scope="module")
def corpus() -> pd.DataFrame:
    return pd.read_csv(data.bundled("data") / "reviews.csv", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def words(corpus) -> list[list[str]]:
    return [re.findall(r"[a-z']+", t.lower()) for t in corpus[corpus["language"] == "en"]["text"]]


def repeated(words: list[list[str]], n: int) -> float:
    """Share of the n-grams that occur in more than one text."""
    counts = Counter(
        gram for w in words for gram in set(zip(*(w[i:] for i in range(n)), strict=False))
    )
    return sum(c for c in counts.values() if c > 1) / sum(counts.values())


def generated_look(words: list[list[str]]) -> list[str]:
    """What gives templates away: openings that recur, and long word sequences that do."""
    openings = Counter(tuple(w[:3]) for w in words)
    firsts = Counter(w[0] for w in words if w)
    faults = []
    if len(openings) < 0.93 * len(words):
        faults.append(f"{len(words) - len(openings)} of {len(words)} openings of three words recur")
    if firsts.most_common(1)[0][1] > 0.1 * len(words):
        faults.append(f"too many begin with '{firsts.most_common(1)[0][0]}'")
    faults += [f"{n}-grams recur: {share:.1%}" for n, most in REAL.items()
               if (share := repeated(words, n)) > most]  # fmt: skip
    return faults


def test_columns_and_balance(corpus):
    assert list(corpus.columns) == ["id", "text", "label", "domain", "language", "split"]
    counts = corpus.groupby(["domain", "label", "language"]).size()
    assert len(counts) == 16
    assert counts.min() == counts.max() == 200
    assert sorted(corpus["domain"].unique()) == DOMAINS


def test_splits_are_balanced_too(corpus):
    counts = corpus.groupby(["split", "domain", "label", "language"]).size()
    assert len(counts) == 48
    assert all(group.nunique() == 1 for _, group in counts.groupby("split"))


def test_each_review_has_its_counterpart(corpus):
    pairs = corpus.groupby("id")
    assert set(pairs["language"].apply(lambda s: tuple(sorted(s)))) == {("en", "zh")}
    assert (pairs[["label", "domain", "split"]].nunique() == 1).all().all()


def test_no_text_twice(corpus):
    key = corpus["text"].str.lower().str.replace(r"\W+", " ", regex=True).str.strip()
    assert not key.duplicated().any()


def test_languages_are_what_they_say(corpus):
    chinese = corpus["text"].str.contains(r"[\u4e00-\u9fff]")
    assert (chinese == (corpus["language"] == "zh")).all()


def test_no_generated_look(words):
    assert generated_look(words) == []


def test_a_template_is_caught():
    names = ["book", "film", "pan", "phone", "knife", "lamp"]
    adjectives = ["great", "bad", "dull", "fine", "poor"]
    made = [f"i bought this {n} last week and it was {a} in every way".split()
            for n in names for a in adjectives]  # fmt: skip
    assert len(generated_look(made)) >= 3


def test_lengths_vary_and_say_nothing_of_the_label(corpus):
    english = corpus[corpus["language"] == "en"]
    lengths = english["text"].str.split().str.len()
    assert lengths.min() <= 8
    assert lengths.max() >= 80
    medians = lengths.groupby(english["label"]).median()
    assert abs(medians["positive"] - medians["negative"]) <= 4


def test_some_carry_the_dirt_of_real_text(corpus):
    english = corpus[corpus["language"] == "en"]["text"]
    kinds = {"markup": r"<br|&\w+;|</?b>", "address": r"https?://", "spaces": r"\S  +\S",
             "capitals": r"\b[A-Z]{4,}\b",
             "emoji": r"[\U0001F300-\U0001FAFF\u2600-\u27bf]"}  # fmt: skip
    shares = {kind: english.str.contains(pattern).mean() for kind, pattern in kinds.items()}
    assert all(0.002 < share < 0.15 for share in shares.values()), shares


def test_domain_words_turn_their_meaning(corpus):
    english = corpus[corpus["language"] == "en"]
    for word in ("long", "cold", "sharp", "light", "heavy", "unpredictable"):
        holding = english[english["text"].str.contains(rf"\b{word}\b", case=False)]
        assert holding["domain"].nunique() >= 3, word
        assert holding["label"].nunique() == 2, word


def test_a_model_of_one_domain_loses_on_another(corpus):
    """The gap of the data card: in-domain by halves, across domains on everything."""
    english = corpus[corpus["language"] == "en"]
    inside, across = [], []
    for source in DOMAINS:
        rows = english[english["domain"] == source]
        held_out = rows["split"] == "test"
        model = models.build("logistic").fit(
            list(rows[~held_out]["text"]), rows[~held_out]["label"]
        )
        for target in DOMAINS:
            test = english[(english["domain"] == target) & (english["split"] == "test")]
            right = (model.predict(list(test["text"])) == test["label"]).mean()
            (inside if source == target else across).append(right)
    assert pd.Series(inside).mean() > 0.75
    assert pd.Series(inside).mean() - pd.Series(across).mean() > 0.06
