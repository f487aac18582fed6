"""Intervals, differences and numbers of rows: by hand, by scipy, and by simulation."""

import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as reference

from workbench import evaluation
from workbench.errors import UserError
from workbench.evaluation import comparison

NAMES = np.array(list("abcde"))


def shares_of(classes: int, kind: str) -> np.ndarray:
    """Alike; nine times as many of the first as of each other; or 90% of the first."""
    weights = np.ones(classes)
    if kind != "balanced":
        weights[0] = 9 if kind == "9:1" else 9 * (classes - 1)
    return weights / weights.sum()


def models(classes: int, kind: str, *recalls: float) -> np.ndarray:
    """The probability of each label and prediction of one model, or of two that err alike."""
    shares, label = shares_of(classes, kind), np.arange(classes)
    if kind != "balanced":
        recalls = [np.where(label == 0, min(r + 0.1, 0.97), r - 0.1) for r in recalls]
    each = []
    for recall in recalls:
        found = np.tile(((1 - recall) / (classes - 1) * np.ones(classes))[:, None], classes)
        found[label, label] = recall
        each.append(found)
    if len(each) == 1:
        return shares[:, None] * each[0]
    alone = each[0][:, :, None] * each[1][:, None, :]
    # In half of the cases both follow the same draw, as far as their recalls allow.
    same = np.zeros_like(alone)
    for k in range(classes):
        both = np.minimum(each[0][k], each[1][k])
        left = [each[i][k] - both for i in (0, 1)]
        same[k] = np.diag(both) + np.outer(*left) / max(left[0].sum(), 1e-12)
    return shares[:, None, None] * (alone + same) / 2


def sample(random, probability: np.ndarray, n: int) -> pd.DataFrame:
    """Rows with a label and the predictions of one or two models."""
    drawn = random.choice(probability.size, n, p=probability.ravel())
    codes = np.unravel_index(drawn, probability.shape)
    names = ["label", "predicted"] if len(codes) == 2 else ["label", "a", "b"]
    return pd.DataFrame(dict(zip(names, (NAMES[c] for c in codes), strict=True)))


def pair(rows: pd.DataFrame) -> list[pd.DataFrame]:
    ids = rows.assign(id=np.arange(len(rows)))
    return [ids[["id", "label"]].assign(predicted=rows[name]) for name in ("a", "b")]


def macro_f1(probability: np.ndarray) -> float:
    counts = np.stack([np.diag(probability), probability.sum(1), probability.sum(0)])
    return float((2 * counts[0] / (counts[1] + counts[2])).mean())


@pytest.fixture
def two():
    return pair(sample(np.random.default_rng(0), models(3, "balanced", 0.85, 0.75), 400))


def test_an_interval_holds_the_score_and_that_of_accuracy_is_wilson_s(two):
    table = two[0]
    found = evaluation.metrics(table)
    assert evaluation.interval(table, "accuracy") == (found["accuracy_low"], found["accuracy_high"])
    for score in ("macro_f1", "balanced_accuracy", "matthews"):
        low, high = evaluation.interval(table, score)
        assert low < found[score] < high
        assert 0.05 < high - low < 0.15
    with pytest.raises(UserError, match="macro_f1"):
        evaluation.interval(table, "makro_f1")


def test_no_mistake_is_no_proof_of_perfection():
    table = pd.DataFrame({"label": list("abab"), "predicted": list("abab")})
    assert evaluation.interval(table) == evaluation.wilson(4, 4)
    wrong = table.assign(predicted=list("baba"))
    assert evaluation.interval(wrong) == evaluation.wilson(0, 4)
    assert evaluation.interval(table.assign(predicted="a"), "matthews") == (0, 0)


def test_the_bootstrap_of_cells_is_that_of_rows(two):
    random, (table, _) = np.random.default_rng(1), two
    label, predicted = table["label"].to_numpy(), table["predicted"].to_numpy()
    drawn = [
        reference.f1_score(label[rows], predicted[rows], average="macro")
        for rows in random.integers(len(table), size=(400, len(table)))
    ]
    ends = np.quantile(drawn, [0.025, 0.975])
    assert evaluation.interval(table) == pytest.approx(ends, abs=0.01)


def test_a_difference_of_accuracy_is_mcnemar_s(two):
    found, test = evaluation.difference(*two, "accuracy"), evaluation.mcnemar(*two)
    assert found["p"] == test["p"] < 0.01
    assert found["difference"] == pytest.approx((test["only_a"] - test["only_b"]) / test["n"])
    assert found["low"] < found["difference"] < found["high"]
    # Bonett and Price 2012, by the figures of their method: 59 and 9 of 200 rows.
    rows = ["ab"] * 59 + ["ba"] * 9 + ["aa"] * 132
    small = pd.DataFrame([list(row) for row in rows], columns=["a", "b"]).assign(label="a")
    found, n = evaluation.difference(*pair(small), "accuracy"), 202
    half = 1.959964 * np.sqrt((70 / n - (50 / n) ** 2) / n)
    assert (found["low"], found["high"]) == pytest.approx((50 / n - half, 50 / n + half))


def test_a_difference_of_f1_has_an_interval_that_agrees_with_its_p(two):
    found = evaluation.difference(*two)
    scores = [evaluation.metrics(table)["macro_f1"] for table in two]
    assert (found["first"], found["second"]) == pytest.approx(tuple(scores))
    assert found["low"] < found["difference"] < found["high"]
    assert found["p"] < 0.05
    assert found["low"] > 0
    back = evaluation.difference(two[1], two[0])
    assert back["high"] < 0
    assert evaluation.difference(two[0], two[0])["p"] == 1


def test_equal_within_a_margin(two):
    twin = two[0].assign(predicted=two[0]["predicted"].where(two[0]["id"] % 50 > 0, "a"))
    assert evaluation.difference(two[0], twin, margin=0.05)["equivalent"] is True
    assert evaluation.difference(*two, margin=0.05)["equivalent"] is False
    five = [table.head(5) for table in (two[0], two[0])]
    assert not evaluation.difference(*five, margin=0.05)["equivalent"], "five rows show nothing"
    for margin in (0, -0.1, float("nan")):
        with pytest.raises(UserError, match="above 0"):
            evaluation.difference(*two, margin=margin)


def test_power_is_that_of_all_outcomes():
    """Of 12 rows, by every number of rows that each model alone gets right."""
    n, a, b, expected = 12, 0.5, 0.1, 0.0
    for only_a in range(n + 1):
        for only_b in range(n + 1 - only_a):
            rights = pd.DataFrame({"right_a": [True] * only_a + [False] * (n - only_a),
                                   "right_b": [False] * only_a + [True] * only_b
                                   + [False] * (n - only_a - only_b)})  # fmt: skip
            if comparison.mcnemar_of(rights)["p"] < 0.05:
                outcome = (only_a, only_b, n - only_a - only_b)
                expected += stats.multinomial.pmf(outcome, n, [a, b, 1 - a - b])
    assert evaluation.power(n, a - b, a + b) == pytest.approx(expected, abs=1e-7)


def test_the_rows_needed_are_the_fewest_with_that_power():
    n = evaluation.rows_needed(0.02, 0.1)
    assert evaluation.power(n, 0.02, 0.1) >= 0.8 > evaluation.power(n - 1, 0.02, 0.1)
    # Connor 1987: ((1.96 · √0.1 + 0.8416 · √(0.1 − 0.02²)) / 0.02)² = 1959.
    assert n == pytest.approx(1959, rel=0.02)
    assert evaluation.rows_needed(-0.02, 0.1) == n
    assert evaluation.rows_needed(0.02, 0.1, wanted=0.95) > n
    assert evaluation.rows_needed(0.1, 0.1) < 100


@pytest.mark.parametrize("wrong", [(0.1, 0.05), (0.1, 1.5), (0.0, 0.0)])
def test_impossible_disagreements_are_refused(wrong):
    with pytest.raises(UserError, match="disagreement"):
        evaluation.power(100, *wrong)
    with pytest.raises(UserError):
        evaluation.rows_needed(*wrong)


def test_no_number_of_rows_shows_no_difference():
    with pytest.raises(UserError, match="not be 0"):
        evaluation.rows_needed(0, 0.1)
    with pytest.raises(UserError, match="between 0 and 1"):
        evaluation.rows_needed(0.02, 0.1, wanted=1)


# --- simulations ----------------------------------------------------------------------------------

DRAWS = 2000
SETTINGS = [(2, "balanced"), (2, "9:1"), (5, "balanced"), (5, "9:1"), (5, "90%")]


@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize(("classes", "kind"), SETTINGS)
def test_intervals_cover_as_often_as_they_say(classes, kind, n):
    random, probability = np.random.default_rng(n), models(classes, kind, 0.85)
    truth = {"accuracy": np.trace(probability), "macro_f1": macro_f1(probability)}
    if kind == "90%":  # Wilson's own coverage goes up and down with the accuracy
        del truth["accuracy"]
    covered = dict.fromkeys(truth, 0)
    for _ in range(DRAWS):
        table = sample(random, probability, n)
        for score, value in truth.items():
            low, high = evaluation.interval(table, score)
            covered[score] += low <= value <= high
    for score, count in covered.items():
        print(f"{classes} {kind} {n} {score}: {count / DRAWS:.4f}")
        assert 0.935 <= count / DRAWS <= 0.965, score


def test_mcnemar_rejects_a_true_null_as_often_as_said():
    for n, disagreement in [(200, 0.05), (200, 0.3), (1000, 0.05), (1000, 0.2), (2000, 0.3)]:
        assert 0.04 <= evaluation.power(n, 0, disagreement) <= 0.05


@pytest.fixture
def paired_already(monkeypatch):
    """Simulated rows need no pairing by id, which takes longer than the rest."""

    def on_same_rows(first, second):
        label, a, b = first["label"], first["predicted"], second["predicted"]
        return pd.DataFrame({"label": label, "predicted_a": a, "predicted_b": b,
                             "right_a": label == a, "right_b": label == b})  # fmt: skip

    monkeypatch.setattr(comparison, "on_same_rows", on_same_rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "kind", "n"), [*((*each, 200) for each in SETTINGS), (5, "9:1", 1000)]
)
def test_a_difference_of_f1_errs_as_often_as_said(classes, kind, n, paired_already):
    random, rejected, covered = np.random.default_rng(n + 1), 0, 0
    null, apart = models(classes, kind, 0.85, 0.85), models(classes, kind, 0.88, 0.82)
    truth = macro_f1(apart.sum(2)) - macro_f1(apart.sum(1))
    for _ in range(DRAWS):
        rejected += evaluation.difference(*pair(sample(random, null, n)))["p"] < 0.05
        found = evaluation.difference(*pair(sample(random, apart, n)))
        covered += found["low"] <= truth <= found["high"]
    print(f"{classes} {kind} {n}: rejected {rejected / DRAWS}, covered {covered / DRAWS}")
    assert 0.04 <= rejected / DRAWS <= 0.06
    assert 0.935 <= covered / DRAWS <= 0.965


@pytest.mark.slow
@pytest.mark.parametrize(("difference", "disagreement"), [(0.02, 0.06), (0.03, 0.1), (0.05, 0.3)])
def test_a_planted_difference_is_found_as_often_as_predicted(difference, disagreement):
    random, n = np.random.default_rng(3), evaluation.rows_needed(difference, disagreement)
    better = (1 + difference / disagreement) / 2 * disagreement
    drawn = random.multinomial(n, [better, disagreement - better, 1 - disagreement], DRAWS)
    found = 0
    for only_a, only_b, _ in drawn:
        right_a = np.arange(n) < only_a
        right_b = np.arange(n) >= n - only_b
        rights = pd.DataFrame({"right_a": right_a, "right_b": right_b})
        found += comparison.mcnemar_of(rights)["p"] < 0.05
    print(f"{difference} {disagreement}: n = {n}, found {found / DRAWS:.3f}")
    assert found / DRAWS == pytest.approx(0.8, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize("score", ["accuracy", "macro_f1"])
def test_models_that_differ_by_the_margin_are_seldom_called_equal(score, n, paired_already):
    random, apart = np.random.default_rng(n + 2), models(5, "balanced", 0.88, 0.82)
    margin = {"accuracy": 0.06, "macro_f1": macro_f1(apart.sum(2)) - macro_f1(apart.sum(1))}[score]
    tables = (pair(sample(random, apart, n)) for _ in range(DRAWS))
    called = sum(
        evaluation.difference(*each, score, margin=margin)["equivalent"] for each in tables
    )
    print(f"{score} {n}: {called / DRAWS:.4f}")
    assert 0.03 <= called / DRAWS <= 0.065


@pytest.mark.slow
def test_a_million_rows_are_scored_with_intervals_within_a_minute():
    random, n = np.random.default_rng(5), 1_000_000
    probability, started = models(5, "9:1", 0.88, 0.86), time.process_time()
    first, second = pair(sample(random, probability, n))
    p = random.dirichlet(np.ones(5), n)
    first = first.assign(**{f"p_{c}": column for c, column in zip(NAMES, p.T, strict=True)})
    started = time.process_time()
    evaluation.metrics(first)
    scored = time.process_time()
    low, high = evaluation.interval(first)
    bounded = time.process_time()
    found = evaluation.difference(first, second)
    ended = time.process_time()
    print(f"metrics {scored - started:.1f} s, interval {bounded - scored:.1f} s,", end=" ")
    print(f"difference {ended - bounded:.1f} s")
    assert high - low < 0.005
    assert found["n"] == n
    assert ended - started < 60
