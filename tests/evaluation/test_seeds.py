"""Means and tests over seeds and data sets: by hand, and by simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workbench import evaluation, runs
from workbench.evaluation import seeds


def save(root, name: str, seed: int, right: np.ndarray, where: str = "a") -> None:
    label = pd.Series(["yes", "no"] * len(right))[: len(right)]
    wrong = label.map({"yes": "no", "no": "yes"})
    predicted = np.where(right, label, wrong)
    texts = [f"{where} {i}" for i in range(len(right))]
    table = pd.DataFrame({"id": range(len(right)), "text": texts, "label": label,
                          "predicted": predicted, "p_no": (predicted == "no") * 0.8 + 0.1,
                          "p_yes": (predicted == "yes") * 0.8 + 0.1})  # fmt: skip
    runs.save(name, predictions=table, metrics=evaluation.metrics(table), seconds=1.0 + seed,
              parameters={"SEED": seed, "WHERE": where}, root=root)  # fmt: skip


def test_one_seed_is_the_test_of_a_mean_over_rows():
    values = np.random.default_rng(0).integers(-1, 2, (50, 1)).astype(float)
    found = seeds.mean_of(values)
    expected = stats.ttest_1samp(values[:, 0], 0)
    assert found["mean"] == pytest.approx(values.mean())
    assert seeds._interval(**found)["p"] == pytest.approx(expected.pvalue)


def test_seeds_that_agree_add_nothing_to_the_rows():
    one = np.random.default_rng(1).integers(0, 2, (80, 1)).astype(float)
    alone, four = seeds.mean_of(one), seeds.mean_of(np.repeat(one, 4, axis=1))
    assert four["variance"] == pytest.approx(alone["variance"])
    assert four["freedom"] == pytest.approx(alone["freedom"])


@pytest.mark.parametrize(("sd_seed", "n", "count"), [(0.0, 200, 3), (0.4, 200, 5), (0.6, 400, 3)])
def test_intervals_cover_and_a_true_null_is_rejected_as_often_as_said(sd_seed, n, count):
    """Rows and seeds are both drawn anew; the truth is the mean over all of both."""
    random, covered, rejected, times = np.random.default_rng(2), 0, 0, 600
    grid = stats.norm.cdf(
        0.8 + np.sqrt(1 + sd_seed**2) * random.standard_normal((400_000,))
    ).mean()  # accuracy of a probit model with effects of row and seed
    for _ in range(times):
        row, seed = random.standard_normal((n, 1)), sd_seed * random.standard_normal((1, count))
        right = random.random((n, count)) < stats.norm.cdf(0.8 + row + seed)
        found = seeds.mean_of(right.astype(float))
        interval = seeds._interval(**found)
        covered += interval["low"] <= grid <= interval["high"]
        other = sd_seed * random.standard_normal((1, count))
        second = random.random((n, count)) < stats.norm.cdf(0.8 + row + other)
        test = seeds._interval(**seeds.mean_of(right * 1.0 - second))
        rejected += test["p"] < 0.05
    assert 0.925 <= covered / times <= 0.985
    assert 0.015 <= rejected / times <= 0.075


def test_pairs_are_compared_over_the_data_sets_that_both_have(tmp_path):
    random = np.random.default_rng(3)
    for where in ("a", "b"):
        easy = random.random(300) < 0.7
        for seed in (0, 1):
            save(tmp_path, "weak", seed, easy, where)
            save(tmp_path, "strong", seed, easy | (random.random(300) < 0.5), where)
    save(tmp_path, "alone", 0, random.random(300) < 0.9, "c")
    scores, tests = evaluation.over_seeds(runs.list_runs(tmp_path))
    by_model = scores.set_index(["model", "data"])
    assert by_model.loc[("weak", "a"), "sd_seeds"] == 0
    assert by_model.loc[("strong", "b"), "seeds"] == 2
    assert by_model.loc[("strong", "b"), "seconds"] == 1.5
    assert len(tests) == 1
    test = tests.iloc[0]
    assert (test["a"], test["b"], test["data"], test["better"]) == ("strong", "weak", 2, 2)
    means = by_model["accuracy"]
    by_hand = np.mean([means["strong", w] - means["weak", w] for w in ("a", "b")])
    assert test["difference"] == pytest.approx(by_hand)
    assert test["low"] < by_hand < test["high"]
    assert test["p_adjusted"] < 0.001


def test_rows_in_another_order_are_paired_by_what_they_are(tmp_path):
    random = np.random.default_rng(4)
    for seed in (0, 1):
        save(tmp_path, "one", seed, random.random(60) < 0.6)
        save(tmp_path, "two", seed, random.random(60) < 0.7)
    expected = evaluation.over_seeds(runs.list_runs(tmp_path))
    for run in runs.list_runs(tmp_path)[1:]:
        path = run.path / "predictions.parquet"
        pd.read_parquet(path).sample(frac=1, random_state=run.info["seed"]).to_parquet(path)
    found = evaluation.over_seeds(runs.list_runs(tmp_path))
    for one, other in zip(found, expected, strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_models_are_compared_over_data_sets_by_signed_ranks():
    random = np.random.default_rng(5)
    base = random.uniform(0.6, 0.9, 10)
    scores = pd.DataFrame(
        [base, base + random.uniform(0.01, 0.05, 10), base + random.normal(0, 0.02, 10)],
        index=["base", "better", "noise"],
    )
    tests = evaluation.over_data(scores).set_index(["a", "b"])
    test = tests.loc["better", "base"]
    assert (test["data"], test["better"]) == (10, 10)
    assert test["difference"] == pytest.approx((scores.loc["better"] - base).mean())
    assert test["p"] == pytest.approx(2 / 2**10)  # all ten of one sign
    for (a, b), row in tests.iterrows():
        exact = stats.wilcoxon(scores.loc[a], scores.loc[b], method="exact").pvalue
        assert row["p"] == pytest.approx(exact), f"{a}, {b}"
    assert list(tests["p_adjusted"]) == evaluation.holm(list(tests["p"]))
    assert list(evaluation.letters(tests.reset_index())) == ["a", "b", "b"]


def test_data_sets_that_one_model_lacks_do_not_count():
    scores = pd.DataFrame({"x": [0.9, 0.8], "y": [0.8, np.nan], "z": [0.7, 0.7]}, index=["a", "b"])
    test = evaluation.over_data(scores).iloc[0]
    assert (test["data"], test["better"]) == (2, 1)
    assert evaluation.over_data(scores.loc[["a", "a"]].set_axis(["a", "b"])).iloc[0]["p"] == 1


def test_ranks_that_tie_are_permuted_and_not_approximated():
    scores = pd.DataFrame([[0.1, 0.1, 0.1, 0.1], [0.0, 0.0, 0.0, 0.0]], index=["a", "b"])
    assert evaluation.over_data(scores).iloc[0]["p"] == pytest.approx(2 / 2**4)
