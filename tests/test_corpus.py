"""The bundled reviews: complete, balanced, without a generated look, and with a gap to adapt to."""

import re
from collections import Counter

import pandas as pd
import pytest

from benchmarks import corpus as numbers
from workbench import data

# Shares of repeated n-grams in 1,600 Amazon reviews cut to 45 words: people repeat that much.
REAL = {3: 0.141, 4: 0.033, 5: 0.012, 6: 0.007}
DOMAINS = sorted(numbers.DOMAINS)
EVEN = ["en", "zh"]  # languages whose surface tells nothing of the label


@pytest.fixture(scope="module")
def corpus() -> pd.DataFrame:
    return numbers.reviews()


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
    gap = numbers.gap(corpus)
    inside = pd.Series({domain: gap.loc[domain, domain] for domain in DOMAINS})
    across = [gap.loc[a, b] for a in DOMAINS for b in DOMAINS if a != b]
    assert inside.min() > 0.6, "400 texts of a domain teach something"
    assert inside.mean() - pd.Series(across).mean() > 0.06


@pytest.mark.parametrize("language", EVEN)
def test_no_trait_of_the_surface_gives_the_label_away(corpus, language):
    shares = numbers.give_aways(corpus, language)
    uneven = shares[~shares["positive"].between(0.4, 0.6)]
    assert uneven.empty, f"these need no reading:\n{uneven.to_string()}"


def test_a_trait_that_gives_the_label_away_is_caught():
    texts = [f"A plain text{'!' if i % 3 else '.'}" for i in range(60)]
    labels = ["positive" if i % 3 else "negative" for i in range(60)]
    made = pd.DataFrame({"text": texts, "language": "en", "label": labels})
    shares = numbers.give_aways(made, "en")["positive"]
    assert shares["contains !"] == 1
    assert shares["contains ."] == 0
    assert "emoji" not in shares.index


@pytest.mark.parametrize("language", EVEN)
def test_counting_words_is_not_enough_and_not_in_vain(corpus, language):
    for name, accuracy in numbers.word_counts(corpus, language).items():
        assert 0.7 < accuracy < 0.82, name


def test_the_data_card_tells_the_numbers_of_the_corpus(corpus):
    card = " ".join((data.bundled("data") / "README.md").read_text(encoding="utf-8").split())
    missing = [line for line in numbers.card(corpus) if line not in card]
    assert not missing, "python -m benchmarks.corpus prints:\n" + "\n".join(missing)
