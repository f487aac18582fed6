"""Which of several fitted classifiers to use in a target domain of which no label is known."""

import inspect
from types import SimpleNamespace

import numpy as np
import pandas as pd

from workbench.errors import unknown, warn
from workbench.evaluation import calibration, gap
from workbench.evaluation.scores import class_names, predict, wilson
from workbench.models import checks

BASELINE, MOST = "source-only", 2000  # texts of which all similarities are in memory at once


def scores(
    fitted: dict, source: tuple, target: list[str], vectors=None, *, circular: bool = False,
    oracle=None, baseline: str = BASELINE,
) -> pd.DataFrame:  # fmt: skip
    """A row a model of `fitted` (its name, the classifier); in each column more is better.

    ``source_dev``: accuracy on `source`, texts and labels that no model has learned from;
    ``importance_weighted``: a text weighs the more the likelier it is in `target` (Sugiyama et al.
    2007), as `gap.telling_apart` judges, by `vectors`; ``entropy`` of the target's probabilities
    (Morerio et al. 2018), negative, and ``information``: that of their mean less theirs (Shi & Sha
    2012), both in nats and calibrated on `source`, or the most confident would win; ``density``:
    soft neighbourhood density (Saito et al. 2021); ``circular``: balanced accuracy on `source` of a
    clone that learns the target as the model labels it (Bruzzone & Marconcini 2010); ``oracle``:
    accuracy by the target's labels, the only use of them. For `allowed`: ``source_low``, where the
    95% interval of ``source_dev`` begins; ``balance``, entropy of the classes predicted by that of
    the source's (0: one class); ``agreement`` of the predictions with those of `baseline`.
    """
    from scipy.stats import entropy

    if baseline not in fitted:
        raise unknown("model", baseline, fitted)
    texts, labels = checks.check_texts_and_labels(*source, "source")
    checks.check_classes(labels := class_names(labels))
    likely = np.full(len(texts), 0.5)
    if gap.fewest(texts, target) < gap.LEAST:
        warn(f"A domain has fewer than {gap.LEAST} texts: importance_weighted is source_dev.")
    else:
        likely = gap.telling_apart(texts, target, vectors)[0].clip(1e-9, 1 - 1e-9)
    said, rows = predict(fitted[baseline], target)[2], {}
    for name, model in fitted.items():
        (classes, home, at_home), (_, p, predicted) = predict(model, texts), predict(model, target)
        truth = labels[:, None] == classes
        q = calibration.tempered(p, calibration.fit_temperature(home, truth))
        right = at_home == labels
        counts, wanted = (pd.Series(each).value_counts() for each in (predicted, labels))
        rows[name] = row = {
            "source_dev": right.mean(), "source_low": wilson(int(right.sum()), len(right))[0],
            "importance_weighted": np.average(right, weights=likely / (1 - likely)),
            "entropy": -entropy(q, axis=1).mean(),
            "information": entropy(q.mean(axis=0)) - entropy(q, axis=1).mean(),
            "density": _density(p[:: -(-len(p) // MOST)]),
            "balance": entropy(counts) / entropy(wanted), "agreement": np.mean(predicted == said),
        }  # fmt: skip
        if circular:
            row["circular"] = _circular(model, texts, labels, target, predicted)
        if oracle is not None:
            truth = checks.check_texts_and_labels(target, oracle, "target")[1]
            row["oracle"] = np.mean(predicted == class_names(truth))
    return pd.DataFrame.from_dict(rows, orient="index")


def allowed(table: pd.DataFrame, baseline: str = BASELINE) -> pd.Series:
    """Which rows of `scores` may replace the baseline, whatever a scorer says of them.

    On the source it is not below the baseline's interval, its ``balance`` is a half or more, and it
    differs from the baseline on no more of the target than twice the share that the interval lets
    the baseline err on: two models differ only where one errs, so a better one cannot differ more.
    It loses at most that. Where the baseline errs more in the target, a good one may be refused.
    """
    low = table.loc[baseline, "source_low"]
    near = 1 - table["agreement"] <= 2 * (1 - low)
    return (table["source_dev"] >= low) & (table["balance"] >= 0.5) & near


def choose(table: pd.DataFrame, scorer: str, baseline: str = BASELINE, margin: float = 0.0) -> str:
    """The allowed model of the highest score if that is above the baseline's by more than `margin`.

    Otherwise the baseline. ``oracle`` chooses freely.
    """
    if scorer not in table:
        raise unknown("scorer", scorer, table)
    ahead = table[scorer] - table.loc[baseline, scorer]
    ahead = ahead if scorer == "oracle" else ahead[allowed(table, baseline)]
    return ahead.idxmax() if ahead.max() > margin else baseline


def _density(p: np.ndarray) -> float:
    from skada.metrics import SoftNeighborhoodDensity

    # It asks an estimator about the X whose domain is below 0; here X is what it would answer.
    known, y = SimpleNamespace(predict_proba=lambda X, **_: X), np.full(len(p), -1)
    return SoftNeighborhoodDensity()(known, p, y, sample_domain=y)


def _circular(model, texts, labels, target, predicted) -> float:
    from sklearn.base import clone
    from sklearn.metrics import balanced_accuracy_score

    if len(set(predicted)) == 1:
        return 1 / len(set(labels))
    adapts = "unlabeled" in inspect.signature(model.fit).parameters
    again = clone(model).fit(target, predicted, **{"unlabeled": texts} if adapts else {})
    return balanced_accuracy_score(labels, class_names(again.predict(texts)))
