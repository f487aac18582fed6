from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workbench import evaluate, runs
from workbench.errors import UserError
from workbench.evaluation import comparison


def saved(root, name, predicted, label="abab", ids="0123", **more):
    """A run that predicted a row for each letter of `predicted`."""
    frame = pd.DataFrame({"id": list(ids), "text": [f"text {i}" for i in ids],
                          "label": list(label), "predicted": list(predicted), "p_a": 0.6,
                          "p_b": 0.4, **more})  # fmt: skip
    accuracy = float((frame["label"] == frame["predicted"]).mean())
    return runs.load(runs.save(name, metrics={"accuracy": accuracy}, predictions=frame, root=root))


def test_mcnemar_counts_only_the_rows_where_they_differ():
    rows = {"id": range(20), "label": ["a"] * 20}
    a = pd.DataFrame({**rows, "predicted": ["a"] * 15 + ["b"] * 5})
    b = pd.DataFrame({**rows, "predicted": ["a"] * 5 + ["b"] * 10 + ["a"] + ["b"] * 4})
    result = evaluate.mcnemar(a, b)
    assert (result["only_a"], result["only_b"], result["n"]) == (10, 1, 20)
    # Two-sided: 0 or 1 of 11 coins, of which 1 counts half for the mid-p.
    assert result["p"] == pytest.approx((2 * (1 + 11) - 11) / 2**11)
    exact = evaluate.mcnemar(a, b, exact=True)["p"]
    assert exact == pytest.approx(stats.binomtest(10, 11).pvalue, abs=1e-12)
    assert evaluate.mcnemar(a, a)["p"] == evaluate.mcnemar(a, a, exact=True)["p"] == 1


def test_repeated_ids_are_paired_by_their_texts():
    label = list("abab") * 5
    rows = pd.DataFrame({"id": ["u1", "u2"] * 10, "text": map(str, range(20)), "label": label})
    a, b = rows.assign(predicted=label), rows.assign(predicted="a")
    expected = {"only_a": 10, "only_b": 0, "n": 20, "p": pytest.approx(1 / 2**10)}
    assert evaluate.mcnemar(a, b) == expected
    assert evaluate.mcnemar(a, b.sort_values("id")) == evaluate.mcnemar(a, b)


def test_a_text_that_one_model_read_cleaned_is_the_same_row():
    a = pd.DataFrame({"id": list("123"), "text": list("ABC"), "label": list("xyx")})
    b = a.assign(text=a["text"].str.lower(), predicted=list("yyx"))
    assert evaluate.mcnemar(a.assign(predicted=list("xyx")), b)["only_a"] == 1


@pytest.mark.parametrize("kind", ["int", "float", "Int64", "string", "category"])
def test_ids_and_labels_are_paired_in_whatever_type(kind):
    a = pd.DataFrame({"id": ["1", "2"], "label": ["0", "1"], "predicted": ["0", "1"]})
    b = a.iloc[::-1].astype("int").astype(kind)
    assert evaluate.mcnemar(a, b) == {"only_a": 0, "only_b": 0, "n": 2, "p": 1.0}


def test_rows_of_different_data_are_refused():
    a = pd.DataFrame({"id": ["1", "2"], "label": ["x", "y"], "predicted": ["x", "x"]})
    for other in (a.assign(label=["y", "y"]), a.assign(id=["3", "4"])):
        with pytest.raises(UserError, match="different data"):
            evaluate.mcnemar(a, other)


def test_holm_correction():
    assert evaluate.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert evaluate.holm([0.9, 0.8]) == [1.0, 1.0]


def test_a_pair_has_a_row_for_each_text_that_both_predicted(tmp_path):
    a = saved(tmp_path, "a", "abbb")
    b = saved(tmp_path, "b", "bax", label="bax", ids="13x", p_b=0.3)
    with pytest.raises(UserError, match="cannot be compared: the same ids carry other"):
        comparison.paired(a, saved(tmp_path, "c", "bb", label="ba", ids="13"))
    b = saved(tmp_path, "b", "bax", label="bbx", ids="13x", p_b=0.3)
    both = comparison.paired(a, b)
    assert list(both["id"]) == ["1", "3"]
    assert list(both["text"]) == ["text 1", "text 3"]
    assert both["right_a"].tolist() == [True, True]
    assert both["right_b"].tolist() == [True, False]
    assert both["p_label_a"].tolist() == [0.4, 0.4]
    assert both["p_label_b"].tolist() == [0.3, 0.3]


def test_a_class_that_a_run_never_saw_has_no_probability(tmp_path):
    a, b = saved(tmp_path, "a", "ab", "ac", "01"), saved(tmp_path, "b", "aa", "ac", "01")
    assert np.isnan(comparison.paired(a, b)["p_label_a"].iloc[1])


def test_disagreements_of_each_kind(tmp_path):
    a, b = saved(tmp_path, "a", "abbc"), saved(tmp_path, "b", "aaac")
    c = saved(tmp_path, "c", "bacb")
    assert list(comparison.disagreements(comparison.paired(a, b))["id"]) == ["1", "2"]
    assert list(comparison.disagreements(comparison.paired(a, b), "A")["id"]) == ["1"]
    assert list(comparison.disagreements(comparison.paired(a, b), "B")["id"]) == ["2"]
    assert list(comparison.disagreements(comparison.paired(a, c), "neither")["id"]) == ["2"]


def test_mcnemar_in_words(tmp_path):
    label, ids = "a" * 20, "abcdefghijklmnopqrst"
    a = saved(tmp_path, "a", "a" * 15 + "b" * 5, label, ids)
    b = saved(tmp_path, "b", "a" * 5 + "b" * 10 + "a" + "b" * 4, label, ids)
    text = comparison.describe(comparison.paired(a, b))
    assert text == (
        "Of 20 texts A is right on 10 where B is wrong, B on 1 where A is wrong; "
        "p = 0.006 (mid-p McNemar test): significant at 5%."
    )
    c = saved(tmp_path, "c", "a" * 14 + "b" * 6, label, ids)
    assert "p = 0.500 (mid-p McNemar test): these rows cannot tell which" in comparison.describe(
        comparison.paired(a, c)
    )
    assert "nothing tells them apart" in comparison.describe(comparison.paired(a, a))
    adjusted = comparison.describe(comparison.paired(a, b), p_adjusted=0.08)
    assert "p = 0.080 adjusted for all pairs of runs: these rows cannot tell" in adjusted


def test_why_two_runs_cannot_be_compared_is_said(tmp_path):
    a = saved(tmp_path, "a", "abab")
    with pytest.raises(UserError, match="have no text in common"):
        comparison.paired(a, saved(tmp_path, "b", "abab", ids="wxyz"))
    with pytest.raises(UserError, match=r"no predictions of b \(.*\)"):
        comparison.paired(a, runs.load(runs.save("b", root=tmp_path)))
    with pytest.raises(UserError, match="other texts or labels"):
        comparison.paired(a, saved(tmp_path, "b", "abab", ids="0012"))
    broken = saved(tmp_path, "b", "abab")
    (broken.path / "predictions.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"predictions of b \(.*\) are broken"):
        comparison.paired(a, broken)


def test_predictions_without_texts_and_probabilities_are_paired_too(tmp_path):
    frame = pd.DataFrame({"id": ["r0"], "label": ["a"], "predicted": ["a"]})
    run = runs.load(runs.save("a", predictions=frame, root=tmp_path))
    both = comparison.paired(run, run)
    assert both["text"].tolist() == ["(text of id r0)"]
    assert both["p_a"].isna().all()
    assert both["p_label_b"].isna().all()


def test_the_two_best_that_differ_are_found(tmp_path):
    best, twin = saved(tmp_path, "best", "abab"), saved(tmp_path, "twin", "abab")
    saved(tmp_path, "elsewhere", "abab", ids="wxyz")
    near, _ = saved(tmp_path, "near", "abaa"), saved(tmp_path, "worst", "baba")
    runs.save("odd", metrics={"accuracy": "high"}, root=tmp_path)
    assert comparison.best_pair(runs.list_runs(tmp_path))[0] == [best, near]
    assert comparison.best_pair([best, twin]) == ([], 1.0)


# --- many models ----------------------------------------------------------------------------------


def scored(root, name: str, right, ids=None, prefix: str = "r", **info):
    """A run that is right on those rows."""
    ids = range(len(right)) if ids is None else ids
    label = ["good" if i % 2 else "bad" for i in ids]
    frame = pd.DataFrame({"id": [f"{prefix}{i}" for i in ids],
                          "text": [f"{prefix} text {i}" for i in ids], "label": label,
                          "predicted": np.where(right, label, "other")})  # fmt: skip
    metrics = {"accuracy": float(np.mean(right)), "n": len(right), "split": "test"}
    return runs.load(runs.save(name, metrics=metrics, predictions=frame, root=root, **info))


def test_runs_are_compared_in_pairs_on_common_rows(tmp_path):
    scored(tmp_path, "best", [True] * 20)
    scored(tmp_path, "worse", [True] * 10 + [False] * 10)
    scored(tmp_path, "near", [True] * 19 + [False])
    scored(tmp_path, "elsewhere", [True] * 15 + [False] * 5, prefix="other")
    table, tests = evaluate.compare(runs.list_runs(tmp_path))
    assert list(table["model"]) == ["best", "near", "elsewhere", "worse"]
    same = table.set_index("model")["test_set"]
    assert same["best"] == same["near"] == same["worse"] != same["elsewhere"]
    rows = {(row.a[19:], row.b[19:]): row for row in tests.itertuples()}
    assert set(rows) == {("best", "near"), ("best", "worse"), ("near", "worse")}
    # Ten rows that only the better one gets right.
    best_worse = rows["best", "worse"]
    assert best_worse.p == pytest.approx(1 / 2**10)
    assert best_worse.p <= best_worse.p_adjusted < 3 * best_worse.p
    assert (best_worse.only_a, best_worse.only_b, best_worse.n) == (10, 0, 20)
    assert (best_worse.accuracy_a, best_worse.accuracy_b, best_worse.difference) == (1, 0.5, 0.5)
    assert rows["best", "near"].p_adjusted == pytest.approx(0.5, abs=0.02)


def test_a_difference_is_counted_on_the_shared_rows_alone(tmp_path):
    """The first is ahead where it was tested, and behind on the rows that both were tested on."""
    few = scored(tmp_path, "few", [True] * 60 + [False] * 10 + [True] * 90, ids=range(160))
    many = scored(tmp_path, "many", [True] * 70 + [False] * 30 + [True] * 20, ids=range(40, 160))
    assert few.metrics["accuracy"] > many.metrics["accuracy"]
    right = (
        pd.Series([True] * 20 + [False] * 10 + [True] * 90),
        pd.Series([True] * 70 + [False] * 30 + [True] * 20),
    )
    _, tests = evaluate.compare([few, many])
    row = tests.iloc[0]
    assert row["n"] == 120
    assert row["accuracy_a"] == pytest.approx(right[0].mean())
    assert row["accuracy_b"] == pytest.approx(right[1].mean())
    shared = comparison.shared_scores(few, many)
    assert shared.loc["A − B", "accuracy"] == pytest.approx(row["difference"])
    assert shared.attrs["n"] == 120


def test_equal_ids_of_different_data_are_no_pair(tmp_path):
    a = scored(tmp_path, "a", [True] * 4)
    frame = a.predictions()
    for change in ({"label": ["x", "bad", "good", "bad"]}, {"text": ["x", *frame["text"][1:]]}):
        other = frame.assign(**change)
        b = runs.load(runs.save("b", metrics={"accuracy": 1}, predictions=other, root=tmp_path))
        with pytest.raises(UserError, match="other texts or labels"):
            comparison.paired(a, b)
        assert evaluate.compare([a, b])[1].empty
    bare = runs.load(runs.save("c", metrics={}, root=tmp_path))
    assert evaluate.compare([a, bare])[1].empty


def test_pairs_that_are_not_tested_are_named_with_the_reason(tmp_path):
    a, b = scored(tmp_path, "a", [True] * 4), scored(tmp_path, "b", [True, False, True, True])
    frame = a.predictions().assign(p_bad=0.5, p_good=0.5)

    def other(name, **columns):
        table = frame.assign(**columns)
        return runs.load(runs.save(name, metrics={"accuracy": 0}, predictions=table, root=tmp_path))

    cases = {
        "no text in common": other("rows", id=list("wxyz")),
        "other texts or labels": other("truth", label=["bad", "bad", "good", "good"]),
        "There are no predictions of bare": runs.load(runs.save("bare", root=tmp_path)),
    }
    for reason, run in cases.items():
        _, tests = evaluate.compare([a, b, run])
        assert list(zip(tests["a"], tests["b"], strict=True)) == [(a.path.name, b.path.name)]
        refused = tests.attrs["refused"]
        assert [(each["a"], each["b"]) for each in refused] == [
            (first.path.name, run.path.name) for first in (a, b)
        ]
        assert all(reason in each["reason"] for each in refused), reason
    (refused,) = evaluate.compare([other("two"), other("three", p_mixed=0.0)])[1].attrs["refused"]
    assert refused["reason"].endswith("different classes: only one of them knows mixed.")
    assert evaluate.compare([a, b])[1].attrs["refused"] == []


def test_runs_from_before_the_digest_are_paired_by_their_rows(tmp_path):
    a, b = scored(tmp_path, "a", [True] * 9 + [False]), scored(tmp_path, "b", [False] * 10)
    assert a.info["test_set"] == b.info["test_set"] == comparison.test_set(a.predictions())
    # Numbers were once kept as strings.
    old = runs.Run(b.path, b.name, b.info | {"test_set": None}, {"accuracy": "0.0"})
    table, tests = evaluate.compare([a, old])
    assert table["test_set"].nunique() == 1
    assert tests["n"].tolist() == [10]
    shuffled = a.predictions().sample(frac=1, random_state=0)
    assert comparison.test_set(shuffled) == a.info["test_set"]


def test_repeated_ids_of_one_test_set_are_paired_by_their_texts(tmp_path):
    rows = pd.DataFrame({"id": ["u"] * 4, "text": list("wxyz"), "label": list("abab")})
    a, b = (
        runs.load(runs.save(name, predictions=rows.assign(predicted=p).sample(frac=1),
                            metrics={"accuracy": 0.5}, root=tmp_path))
        for name, p in (("a", list("abab")), ("b", list("aaab")))
    )  # fmt: skip
    assert len(comparison.paired(a, b)) == 4
    row = evaluate.compare([a, b])[1].iloc[0]
    assert (row["only_a"], row["only_b"], row["n"]) == (1, 0, 4)


def answers(models: int, rows: int, correlation: float, random, accuracy=0.85) -> pd.DataFrame:
    """Which rows equally good models get right; their errors share the difficulty of a row."""
    from scipy.stats import norm

    own, shared = random.normal(size=(rows, models)), random.normal(size=(rows, 1))
    difficulty = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own
    return pd.DataFrame(difficulty < norm.ppf(accuracy)).astype(float)


# 2,000 draws each of 2, 3, 5, 10 and 15 models on 200 and 1,000 rows: 3.65 to 5.9%.
@pytest.mark.parametrize("correlation", [0.0, 0.6])
@pytest.mark.parametrize(("models", "rows"), [(3, 1000), (6, 600), (10, 200), (15, 200)])
def test_equal_models_are_told_apart_in_five_of_a_hundred_comparisons(models, rows, correlation):
    random, pairs = np.random.default_rng(models), list(combinations(range(models), 2))
    smallest = [
        evaluate.max_t(answers(models, rows, correlation, random), pairs, draws=199, seed=i).min()
        for i in range(1500)
    ]
    assert 0.035 <= np.mean(np.array(smallest) <= 0.05) <= 0.065


def test_a_real_difference_is_found_and_equal_models_beside_it_are_not(tmp_path):
    random = np.random.default_rng(0)
    right = answers(4, 400, 0.5, random)
    right[3] = right[3] * (random.random(400) < 0.8)
    pairs = list(combinations(range(4), 2))
    p = dict(zip(pairs, evaluate.max_t(right, pairs), strict=True))
    assert max(p[i, 3] for i in range(3)) < 0.001
    assert min(p[0, 1], p[0, 2], p[1, 2]) > 0.05


def test_one_pair_has_the_p_of_mcnemar():
    right = pd.DataFrame({"a": [1.0] * 20 + [0, 0, 0], "b": [1.0] * 9 + [0] * 11 + [1, 1, 1]})
    both = right.astype(bool).set_axis(["right_a", "right_b"], axis=1)
    p = comparison.mcnemar_of(both)["p"]
    assert evaluate.max_t(right, [("a", "b")], draws=99_999)[0] == pytest.approx(p, abs=0.003)
    assert evaluate.max_t(right, []).size == 0


def test_rows_that_one_of_a_pair_has_not_predicted_do_not_count():
    right = pd.DataFrame({"a": [1.0] * 12, "b": [0.0] * 6 + [np.nan] * 6, "c": [1.0] * 12})
    p = evaluate.max_t(right, [("a", "b"), ("a", "c")])
    assert p[0] == pytest.approx(1 / 2**6, abs=0.01)
    assert p[1] == 1


# --- groups of models -----------------------------------------------------------------------------


def told_apart(models: str, apart: list[str], untested: tuple = ()) -> pd.DataFrame:
    pairs = ["".join(pair) for pair in combinations(models, 2) if "".join(pair) not in untested]
    rows = [(a, b, 0.01 if a + b in apart else 0.5) for a, b in pairs]
    return pd.DataFrame(rows, columns=["a", "b", "p_adjusted"])


def test_models_that_share_a_letter_are_not_told_apart():
    # Overlapping groups: 1 and 2, 2 and 3; 4 is worse than all.
    tests = told_apart("1234", ["13", "14", "24", "34"])
    assert evaluate.letters(tests).to_dict() == {"1": "a", "2": "ab", "3": "b", "4": "c"}
    assert set(evaluate.letters(told_apart("123", []))) == {"a"}
    assert list(evaluate.letters(told_apart("123", ["12", "13", "23"]))) == ["a", "b", "c"]
    assert evaluate.letters(told_apart("123", [], ("13",))).to_dict() == {
        "1": "a", "2": "ab", "3": "b",
    }  # fmt: skip
    assert evaluate.letters(tests, level=0.001).nunique() == 1


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_letters_say_all_that_the_tests_say_and_no_more(models, seed):
    names = "".join(map(str, range(models)))
    pairs = ["".join(pair) for pair in combinations(names, 2)]
    random = np.random.default_rng(seed)
    apart = [pair for pair in pairs if random.random() < 0.5]
    found = evaluate.letters(told_apart(names, apart))
    for a, b in combinations(names, 2):
        assert bool({*found[a]} & {*found[b]}) == (a + b not in apart), f"{a} and {b}: {found}"


def test_letters_of_runs(tmp_path):
    random = np.random.default_rng(0)
    right = random.random(400) < 0.9
    scored(tmp_path, "good", right)
    scored(tmp_path, "twin", np.where(np.arange(400) % 100 == 0, ~right, right))
    scored(tmp_path, "bad", right & (random.random(400) < 0.7))
    found = evaluate.letters(evaluate.compare(runs.list_runs(tmp_path))[1])
    assert sorted(found) == ["a", "a", "b"]
    assert found[[name for name in found.index if name.endswith("bad")]].tolist() == ["b"]
