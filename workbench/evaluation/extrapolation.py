"""What more labels would bring: a power law through a measured learning curve."""

import numpy as np
import pandas as pd

from workbench.errors import UserError
from workbench.evaluation.scores import METRICS

EXPONENTS = np.linspace(0.05, 2, 40)


def extrapolate(
    table: pd.DataFrame, to: int, metric: str = "accuracy", draws: int = 300, seed: int = 0
) -> pd.DataFrame:
    """The curve of each model in `table` carried on `to` that many labels, for `plots`.

    What is missing to a perfect score is a + b · labels^−c (Cortes et al. 1994) with a and b of at
    least 0 and c from 0.05 to 2, by least squares in standard errors of the sizes' means.

    Parameters
    ----------
    table : that of `plots.learning_curve`, with two rows (draws) or more of each size.

    Returns
    -------
    Columns model, labels, `metric`, and the ends of its 95% interval for the mean of many trainings
    by a parametric bootstrap, widened where the power law misses the sizes measured. It holds if
    the law does beyond them.

    Raises
    ------
    UserError : fewer than 4 sizes, or an interval wider than all that was gained over the sizes.
    """
    from scipy.stats import t

    top, tables, random = METRICS.get(metric, 1), [], np.random.default_rng(seed)
    for model, rows in table.groupby("model", sort=False):
        points = rows.groupby("labels")[metric].agg(["mean", "sem", "count"])
        if len(points) < 4 or points["count"].min() < 2:
            raise UserError(
                f"{model}: to go on with a curve takes 2 draws each of 4 sizes or more."
            )
        n, at = points.index.to_numpy(float), np.geomspace(points.index[0], to, 30)
        missing, error = top - points["mean"].to_numpy(), points["sem"].to_numpy() + 1e-4 * top
        fitted, off = _power_law(n, missing, error, np.append(n, at))
        error *= max(1, off / (len(n) - 3) ** 0.5)
        noise = t.rvs(points["count"] - 1, size=(draws, len(n)), random_state=random) * error
        drawn = [_power_law(n, fitted[: len(n)] + each, error, at)[0] for each in noise]
        high, low = top - np.quantile(drawn, [0.025, 0.975], axis=0)
        if high[-1] - low[-1] > np.ptp(missing):
            raise UserError(
                f"{model}: these sizes leave open what {to} labels would give, from {low[-1]:.3f} "
                f"to {high[-1]:.3f}: measure larger sizes, or more draws."
            )
        ends = {metric: top - fitted[len(n) :], f"{metric}_low": low, f"{metric}_high": high}
        tables.append(pd.DataFrame({"model": model, "labels": at, **ends}))
    return pd.concat(tables, ignore_index=True)


def _power_law(n, missing, error, at) -> tuple[np.ndarray, float]:
    """The fitted values at the sizes `at`, and the norm of the residuals in standard errors."""
    from scipy.optimize import nnls

    terms = lambda n_, c: np.stack([np.ones(len(n_)), (n_ / n[0]) ** -c], axis=1)  # noqa: E731
    fits = [(*nnls(terms(n, c) / error[:, None], missing / error), c) for c in EXPONENTS]
    weights, off, c = min(fits, key=lambda fit: fit[1])
    return terms(at, c) @ weights, off
