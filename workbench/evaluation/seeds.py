"""Runs of several seeds and data sets: means and tests of pairs, as both seeds and rows vary."""

from collections import defaultdict
from itertools import combinations

import numpy as np
import pandas as pd

from workbench.errors import UserError
from workbench.evaluation import comparison, corrections

TESTS = ["a", "b", "data", "difference", "low", "high", "better", "p", "p_adjusted"]


def mean_of(values: np.ndarray) -> dict[str, float]:
    """Mean of a table of rows × seeds, the variance of that mean, and its degrees of freedom.

    Both are drawn from more of their kind: another seed and other rows would give another mean. The
    variance of the mean is (MS_rows + max(MS_seeds - MS_rest, 0)) / (rows · seeds) with the degrees
    of freedom of Satterthwaite (1946), as in the analysis of several readers of the same cases
    (Dorfman, Berbaum & Metz 1992; Hillis 2007). One seed leaves the variance over the rows.

    Parameters
    ----------
    values : shape (rows, seeds), such as 1 where a prediction is right, or differences of these.
    """
    rows, seeds = values.shape
    mean, of_rows, of_seeds = values.mean(), values.mean(1), values.mean(0)
    between_rows = seeds * of_rows.var(ddof=1)
    variance, freedom = between_rows, rows - 1.0
    if seeds > 1:
        rest = ((values - of_rows[:, None] - of_seeds + mean) ** 2).sum()
        rest /= (rows - 1) * (seeds - 1)
        between_seeds = rows * of_seeds.var(ddof=1)
        if between_seeds > rest:
            variance += between_seeds - rest
            freedom = variance**2 / max(
                between_rows**2 / (rows - 1) + between_seeds**2 / (seeds - 1)
                + rest**2 / ((rows - 1) * (seeds - 1)), 1e-300,
            )  # fmt: skip
    return {"mean": mean, "variance": variance / (rows * seeds), "freedom": freedom}


def _interval(mean: float, variance: float, freedom: float) -> dict[str, float]:
    from scipy import stats

    half = stats.t.ppf(0.975, freedom) * variance**0.5
    p = 2 * stats.t.sf(abs(mean) / max(variance**0.5, 1e-12), freedom)
    return {"low": mean - half, "high": mean + half, "p": float(p) if mean else 1.0}


def over_seeds(found: list) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Set the models of a sweep side by side, and test each pair over its seeds and data sets.

    Parameters
    ----------
    found : `runs.Run` objects, as `runs.sweep` returns them.

    Returns
    -------
    Two `pandas.DataFrame`. The scores, a row a model and data set: mean accuracy with its interval
    (see `mean_of`; of one seed Wilson's), the standard deviation over the seeds, macro F1, and
    seconds of training. And the tests, a row a pair: the mean difference over the data sets that
    both were run on, each counting the same, its interval and p for these data sets, the number of
    them on which `a` is better, and p adjusted for all pairs (Holm).
    """
    groups = defaultdict(dict)
    for run in found:
        given = run.info["parameters"]
        where = given.get("WHERE") or run.info["data"].get("source", "")
        groups[where, run.info["test_set"]].setdefault(run.name, {})[run.info["seed"]] = run
    rows, right = [], {}
    for (where, _), by_name in groups.items():
        known: dict = {}
        for name, by_seed in by_name.items():
            right[where, name] = _right(by_seed, known)
            rows.append(_scores(name, where, list(by_seed.values()), right[where, name]))
    scores = pd.DataFrame(rows).sort_values(["data", "accuracy"], ascending=[True, False])
    means = scores.groupby("model")["accuracy"].mean().sort_values(ascending=False)
    tests = [_test(a, b, right) for a, b in combinations(means.index, 2)]
    tests = [test for test in tests if test]
    for test, p in zip(tests, corrections.holm([t["p"] for t in tests]), strict=True):
        test["p_adjusted"] = p
    return scores.reset_index(drop=True), pd.DataFrame(tests, columns=TESTS)


def _right(by_seed: dict, known: dict) -> pd.DataFrame:
    """1 where a prediction is right, a row a text and a column a seed.

    `known` holds the rows of the first run of a test set: those of others are mostly the same in
    the same order, and need no checks of their own.
    """
    columns = {}
    for seed, run in by_seed.items():
        table = run.predictions()
        rows = table.reindex(columns=["id", "text", "label"])
        if not known:
            checked = comparison.run_rows(run)
            known |= {"rows": rows, "index": checked.set_index(comparison.ROW).index}
        if rows.equals(known["rows"]):
            columns[seed] = (table["label"] == table["predicted"]).to_numpy(float)
        else:
            checked = comparison.run_rows(run).set_index(comparison.ROW)["right"]
            columns[seed] = checked.reindex(known["index"]).to_numpy(float)
    return pd.DataFrame(columns, known["index"])


def _scores(name: str, where: str, runs: list, right: pd.DataFrame) -> dict:
    first, metrics = runs[0].metrics, pd.DataFrame([run.metrics for run in runs])
    own = mean_of(right.to_numpy())
    found = _interval(**own)
    low, high = max(found["low"], 0.0), min(found["high"], 1.0)
    if len(runs) == 1:
        low, high = first["accuracy_low"], first["accuracy_high"]
    seconds = [run.info["seconds"] for run in runs if run.info["seconds"] is not None]
    return {
        "model": name, "data": where, "accuracy": own["mean"], "accuracy_low": low,
        "accuracy_high": high, "sd_seeds": right.mean().std(ddof=1), "seeds": len(runs),
        "macro_f1": metrics["macro_f1"].mean(), "n": len(right),
        "seconds": float(np.mean(seconds)) if seconds else np.nan,
    }  # fmt: skip


def _test(a: str, b: str, right: dict) -> dict:
    """The pair on every data set that both were run on; empty where there is none."""
    found = []
    for where in dict.fromkeys(where for where, name in right if name == a):
        if (where, b) not in right:
            continue
        one, other = right[where, a], right[where, b]
        seeds = one.columns.intersection(other.columns)
        if not len(seeds) or not one.index.equals(other.index):
            raise UserError(f"{a} and {b} have no seed in common on {where}, or other rows.")
        found.append(mean_of((one[seeds] - other[seeds]).to_numpy()))
    if not found:
        return {}
    variances = np.array([each["variance"] for each in found]) / len(found) ** 2
    freedom = variances.sum() ** 2 / max(
        sum(v**2 / each["freedom"] for v, each in zip(variances, found, strict=True)), 1e-300
    )
    mean = float(np.mean([each["mean"] for each in found]))
    return {
        "a": a, "b": b, "data": len(found), "difference": mean,
        "better": sum(each["mean"] > 0 for each in found),
        **_interval(mean, variances.sum(), max(freedom, 1.0)),
    }  # fmt: skip


def over_data(scores: pd.DataFrame) -> pd.DataFrame:
    """Test each pair of models over many data sets, each of which counts the same (Demšar 2006).

    `scores` has a row a model and a column a data set. Of each pair: the mean difference over the
    data sets that both have, on how many `a` is better, p of Wilcoxon's signed-rank test by
    permutation (0.06 or more with five data sets), and p adjusted for all pairs (Holm).
    """
    from scipy import stats

    order, tests = scores.mean(axis=1).sort_values(ascending=False).index, []
    drawn = stats.PermutationMethod(n_resamples=9_999, rng=np.random.default_rng(0))
    for a, b in combinations(order, 2):
        apart = (scores.loc[a] - scores.loc[b]).dropna()
        found = {"data": len(apart), "difference": apart.mean(), "better": (apart > 0).sum()}
        p = stats.wilcoxon(apart, method=drawn).pvalue if apart.any() else 1.0
        tests.append({"a": a, "b": b, **found, "p": p})
    return pd.DataFrame(tests).assign(p_adjusted=corrections.holm([t["p"] for t in tests]))
