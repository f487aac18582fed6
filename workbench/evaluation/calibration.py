"""How far a model's probabilities can be trusted, and what can be decided by them."""

import numpy as np
import pandas as pd

from workbench.errors import UserError
from workbench.evaluation.scores import class_names, given_probabilities, wilson


def reliability(predictions: pd.DataFrame, bins: int = 10) -> pd.DataFrame:
    """A row a bin of equal width that is not empty: mean ``confidence``, ``accuracy`` and ``n``.

    Confidence is the highest probability of a row. The accuracy has its 95% Wilson interval.
    """
    rows = _confident(predictions)
    found = rows.rename(columns={"right": "accuracy"}).groupby(_bin(rows, bins))
    return with_intervals(found.mean().assign(n=found.size()), "accuracy")


def calibration_error(
    predictions: pd.DataFrame, bins: int = 10, draws: int = 999, seed: int = 0
) -> pd.Series:
    """How far confidence and accuracy are apart over the bins of `reliability`.

    ``ece``: the expected calibration error (Guo et al. 2017), above 0 of a calibrated model too;
    ``by_chance``: its mean where rows are right as often as they are confident, and ``p``, the
    share of such draws with an error as large (Bröcker & Smith 2007); ``debiased``: the root mean
    square of the gaps without its bias (Kumar et al. 2019), below 0 where that square is.
    """
    rows, random = _confident(predictions), np.random.default_rng(seed)
    confidence, bin_ = rows["confidence"].to_numpy(), _bin(rows, bins).to_numpy()

    def ece(right) -> float:
        return np.abs(np.bincount(bin_, right - confidence)).sum() / len(rows)

    drawn = np.array([ece(random.random(len(rows)) < confidence) for _ in range(draws)])
    gaps = (rows["right"] - confidence).groupby(bin_).agg(["size", "mean", "sem"]).dropna()
    squared = ((gaps["mean"] ** 2 - gaps["sem"] ** 2) * gaps["size"]).sum() / len(rows)
    p = (1 + (drawn >= ece(rows["right"]) - 1e-12).sum()) / (1 + draws)
    return pd.Series({"ece": ece(rows["right"]), "by_chance": drawn.mean(), "p": p,
                      "debiased": np.copysign(abs(squared) ** 0.5, squared)})  # fmt: skip


def temperature(validation: pd.DataFrame) -> float:
    """The temperature, 0.05 to 150, of the lowest log loss (Guo et al. 2017); above 1: too sure."""
    p, classes = probabilities(validation)
    return fit_temperature(p, class_names(validation["label"])[:, None] == classes)


def fit_temperature(p: np.ndarray, truth: np.ndarray) -> float:
    """As `temperature`, of probabilities (rows, classes) and a mask of the true ones."""
    from scipy.optimize import minimize_scalar

    loss = lambda log_t: -np.log(tempered(p, np.exp(log_t))[truth].clip(1e-12)).mean()  # noqa: E731
    return float(np.exp(minimize_scalar(loss, bounds=(-3, 5)).x))


def cooled(predictions: pd.DataFrame, temperature: float) -> pd.DataFrame:
    """The predictions with their probabilities at a `temperature`; no predicted class changes."""
    q = tempered(probabilities(predictions)[0], temperature)
    return predictions.assign(**dict(zip(predictions.filter(regex="^p_"), q.T, strict=True)))


def tempered(p: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (rows, classes) whose logarithms are divided by `temperature`."""
    from scipy.special import softmax

    q, top = softmax(np.log(p.clip(1e-12)) / temperature, axis=1), p.argmax(axis=1)
    rows = np.flatnonzero(q.argmax(axis=1) != top)  # rounding made a tie, or broke one
    q[rows, top[rows]] = np.nextafter(q[rows].max(axis=1), 1)
    return q


def risk_coverage(predictions: pd.DataFrame) -> pd.DataFrame:
    """The ``risk`` (share wrong) of answering only from a ``threshold`` of confidence on.

    A row a twentieth of ``coverage``, the share of rows answered (El-Yaniv & Wiener 2010); the risk
    has its Wilson interval. ``attrs["area"]``: its mean over all coverages (Geifman & El-Yaniv
    2017). Lower is better; a confidence that knows nothing has the risk of the last row.
    """
    rows = _confident(predictions).sort_values("confidence", ascending=False, ignore_index=True)
    wrong, confidence = 1 - rows["right"], rows["confidence"]
    starts = confidence[np.unique(-(-np.arange(1, 21) * len(rows) // 20)) - 1].unique()
    n = np.searchsorted(-confidence, -starts, side="right")
    table = pd.DataFrame({"threshold": starts, "coverage": n / len(rows), "n": n})
    table["risk"] = [wrong[:k].mean() for k in n]
    in_any_order = wrong.groupby(confidence).transform("mean")
    table.attrs["area"] = float(in_any_order.expanding().mean().mean())
    return with_intervals(table, "risk")


def conformal_sets(
    validation: pd.DataFrame, predictions: pd.DataFrame, coverage: float = 0.9
) -> pd.DataFrame:
    """The predictions with a ``set`` of classes, its ``size``, and if the truth is ``covered``.

    A set holds the true class with a probability of at least `coverage` where the validation and
    the predicted rows are drawn alike, whatever the model: on the mean over rows, not within each
    class or domain. Split conformal prediction with the smallest sets, some of which may be empty
    (Vovk et al. 2005; Sadinle et al. 2019).
    """
    (p, classes), (q, own) = map(probabilities, (validation, predictions))
    if [*classes] != [*own]:
        raise UserError("The validation rows have probabilities of other classes: use one model's.")
    truth, its = (class_names(t["label"])[:, None] == classes for t in (validation, predictions))
    strange = np.sort(1 - (p * truth).sum(axis=1))
    rank = int(np.ceil((len(p) + 1) * coverage))
    inside = 1 - q <= (strange[rank - 1] if rank <= len(p) else 1)
    return predictions.assign(
        set=[" | ".join(classes[row]) for row in inside], size=inside.sum(axis=1),
        covered=(inside & its).any(axis=1),
    )  # fmt: skip


def probabilities(predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Those of shape (rows, classes), and the names of the classes."""
    p = given_probabilities(predictions)
    if p.empty:
        raise UserError("Probabilities are needed: columns p_<class>, and at least one row.")
    return p.to_numpy(), p.columns.to_numpy(object)


def _confident(predictions: pd.DataFrame) -> pd.DataFrame:
    right = class_names(predictions["label"]) == class_names(predictions["predicted"])
    confidence = probabilities(predictions)[0].max(axis=1)
    return pd.DataFrame({"confidence": confidence, "right": right.astype(float)})


def _bin(rows: pd.DataFrame, bins: int) -> pd.Series:
    return np.minimum((rows["confidence"] * bins).astype(int), bins - 1).rename("bin")


def with_intervals(table: pd.DataFrame, share: str) -> pd.DataFrame:
    """The table with the 95% Wilson interval of its column `share`, of ``n`` rows each."""
    ends = [wilson(round(n * s), int(n)) for n, s in zip(table["n"], table[share], strict=True)]
    return table.assign(**pd.DataFrame(ends, table.index, [f"{share}_low", f"{share}_high"]))
