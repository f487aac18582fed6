import numpy as np
import pandas as pd
import pytest

from workbench import models
from workbench.data.sources import bundled
from workbench.errors import UserError
from workbench.evaluation import behaviour, wilson

LANGUAGES = ["en", "zh"]


class Words:
    """The probability of the class "positive": one half, moved by the words of a text."""

    classes_ = np.array(["negative", "positive"])

    def __init__(self, **weights):
        self.weights = weights

    def predict_proba(self, texts):
        p = [0.5 + sum(w for word, w in self.weights.items() if word in t) for t in texts]
        return np.column_stack([1 - np.array(p), p])


def table_of(*rows):
    return pd.DataFrame(rows, columns=["kind", "capability", "text", "changed", "expected"])


def probe_table(words, harmless, templates):
    rows = [("group", t, w, w in harmless) for t in templates for w in [*words, *harmless]]
    return pd.DataFrame(rows, columns=["swapped", "template", "word", "harmless"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_bundled_tests_are_complete(language):
    table = behaviour.table(language)
    assert list(table.columns) == ["kind", "capability", "text", "changed", "expected"]
    assert len(table) >= 60
    assert table.groupby("capability").size().min() >= 4
    assert not table.duplicated(["text", "changed"]).any()
    assert ((table["changed"] == "") == (table["kind"] == "functionality")).all()
    assert (table["changed"] != table["text"]).all()
    balance = table.query("kind == 'functionality'").groupby("capability")["expected"]
    assert balance.apply(lambda e: (e == "positive").mean()).between(0.4, 0.6).all()


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_capability_stands_in_both_languages_and_each_text_in_its_own(language):
    capabilities = {other: set(behaviour.table(other)["capability"]) for other in LANGUAGES}
    assert capabilities["en"] == capabilities["zh"]
    texts = pd.concat(
        [behaviour.table(language)["text"], behaviour.templates(language)["template"]]
    )
    assert (texts.str.contains("[\u4e00-\u9fff]") == (language == "zh")).all()


def test_no_sentence_of_the_tests_is_a_bundled_review():
    """A model that is trained on these reviews has seen none of them."""
    reviews = set(pd.read_csv(bundled("data") / "reviews.csv")["text"])
    for language in LANGUAGES:
        table = behaviour.table(language)
        assert reviews.isdisjoint({*table["text"], *table["changed"]})


def test_the_data_card_counts_them():
    card = (bundled("data") / "README.md").read_text(encoding="utf-8")
    (rows,) = {len(behaviour.table(language)) for language in LANGUAGES}
    (frames,) = {behaviour.templates(language)["template"].nunique() for language in LANGUAGES}
    assert f"{rows} tests and {frames} templates a language" in " ".join(card.split())


def test_a_language_without_sentences_is_refused():
    with pytest.raises(UserError, match="no language of these sentences 'de'"):
        behaviour.table("de")


def test_each_kind_passes_and_fails():
    table = table_of(
        ("functionality", "plain", "a good pan", "", "positive"),
        ("functionality", "plain", "a not good pan", "", "negative"),
        ("invariance", "names", "bad, says Ann", "bad, says Bo", "same"),
        ("invariance", "names", "bad, says Ann", "good, says Ann", "same"),
        ("direction", "praise", "a pan", "a good pan", "higher"),
        ("direction", "complaint", "a pan", "a good pan", "lower"),
        ("direction", "complaint", "a pan", "the pan", "lower"),
    )
    found = behaviour.run(Words(good=0.3, bad=-0.3), table)
    assert found["passed"].tolist() == [True, False, True, False, True, False, True]
    assert found["p"].tolist() == pytest.approx([0.8, 0.8, 0.2, 0.2, 0.5, 0.5, 0.5])
    assert found["p_changed"].tolist()[4] == pytest.approx(0.8)
    assert found["predicted"].tolist()[:3] == ["positive", "positive", "negative"]


def test_a_direction_may_be_missed_by_the_margin():
    table = table_of(("direction", "complaint", "a pan", "a good pan", "lower"))
    model = Words(good=0.02)
    assert not behaviour.run(model, table)["passed"].all()
    assert behaviour.run(model, table, margin=0.05)["passed"].all()


def test_failures_are_counted_with_wilsons_interval():
    rows = [("a", "good", i) for i in range(3)] + [("b", "bad", i) for i in range(4)]
    table = table_of(*[("functionality", c, f"{w} {i}", "", "positive") for c, w, i in rows])
    found = behaviour.failures(behaviour.run(Words(good=0.3, bad=-0.3), table))
    assert found["failed"].to_dict() == {"a": 0, "b": 4}
    assert found["rate"].to_dict() == {"a": 0, "b": 1}
    assert tuple(found.loc["b", ["low", "high"]]) == pytest.approx(wilson(4, 4))


def test_a_majority_rule_passes_whatever_changes_nothing():
    model = models.build("majority").fit(["a", "b", "c"], ["negative", "negative", "positive"])
    found = behaviour.failures(behaviour.run(model, behaviour.table()), "kind")["rate"]
    assert found["invariance"] == found["direction"] == 0
    assert found["functionality"] == pytest.approx(0.5, abs=0.1)


def test_other_names_of_classes_and_rows_of_ones_own():
    train = ["good pan", "fine pan", "bad pan", "poor pan", "kick a ball", "throw a ball"] * 3
    model = models.build("naive-bayes").fit(train, ["1", "1", "0", "0", "sport", "sport"] * 3)
    mine = table_of(("functionality", "topic", "a ball", "", "sport"))
    both = pd.concat([behaviour.table(), mine], ignore_index=True)
    found = behaviour.run(model, both, positive="1")
    assert found["passed"].iloc[-1]
    first = found.iloc[0]
    assert (first["text"], first["predicted"], first["passed"]) == ("The story is good.", "1", True)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("invarance", "a", "x", "y", "same"), "did you mean 'invariance: same'"),
        (("functionality", "a", "x", "", "neutral"), "no test 'functionality: neutral'"),
        (("direction", "a", "x", "y", "same"), "no test 'direction: same'"),
    ],
)
def test_what_cannot_be_tested_is_named(row, message):
    with pytest.raises(UserError, match=message):
        behaviour.run(Words(), table_of(row))


def test_a_model_without_the_positive_class_is_refused():
    with pytest.raises(UserError, match="no class 'yes'"):
        behaviour.run(Words(), table_of(("invariance", "a", "x", "y", "same")), positive="yes")
    with pytest.raises(UserError, match="no class 'yes'"):
        behaviour.probes(Words(), behaviour.templates(), positive="yes")


@pytest.mark.parametrize("language", LANGUAGES)
def test_probes_have_harmless_words_in_the_same_templates(language):
    table = behaviour.templates(language)
    counts = table.groupby(["swapped", "template"])["harmless"].agg(["sum", "size"])
    assert set(table["swapped"]) == {"name", "pronoun", "group"}
    assert (counts["sum"] >= 3).all()
    assert (counts["size"] - counts["sum"] >= 3).all()
    assert (counts.groupby("swapped").size() >= 12).all()
    assert table["template"].str.count(r"\{\}").eq(1).all()


def test_a_spread_is_the_mean_difference_of_two_words():
    table = probe_table(["a1", "a2", "a3"], ["h1", "h2"], ["x {}", "y {}", "z {}"])
    rows = behaviour.probes(Words(a1=0.3, h1=0.1), table)
    found = behaviour.spreads(rows).loc["group"]
    # Of three pairs of words two are 0.3 apart, and the one pair of harmless words is 0.1.
    assert found["spread"] == pytest.approx(0.2)
    assert found["harmless"] == pytest.approx(0.1)
    assert found["difference"] == found["low"] == found["high"] == pytest.approx(0.1)


def test_a_shift_is_from_the_other_harmless_words():
    table = probe_table(["a"], ["h1", "h2", "h3"], ["x {}", "y {}"])
    found = behaviour.shifts(behaviour.probes(Words(a=-0.2, h1=0.3), table))
    assert found.set_index("word")["shift"].to_dict() == pytest.approx(
        {"a": -0.3, "h1": 0.3, "h2": -0.15, "h3": -0.15}
    )


def test_a_group_that_a_model_treats_as_harmless_words_is_not_found():
    """Words drawn alike: the interval of the difference holds 0 in about 95 of 100 cases."""
    random, inside = np.random.default_rng(0), 0
    table = probe_table("abcdef", "ghijkl", [f"{i} {{}}" for i in range(12)])
    for _ in range(200):
        rows = table.assign(p=random.beta(20, 5, len(table)))
        found = behaviour.spreads(rows).loc["group"]
        inside += found["low"] <= 0 <= found["high"]
    assert 180 <= inside <= 198
