"""P-values of several tests at once, corrected for their number."""

from string import ascii_letters

import numpy as np
import pandas as pd


def max_t(right: pd.DataFrame, pairs: list[tuple], draws: int = 9_999, seed: int = 0) -> np.ndarray:
    """P-values of the differences between `pairs` of models, adjusted for all of them.

    Each draw turns the sign of a row's differences, in all pairs at once, by chance, and keeps the
    largest statistic (difference by its standard error): so the correlation between pairs counts.
    Step-down, two-sided (Westfall and Young 1993; Romano and Wolf 2005); an equal statistic counts
    half, so that a single pair alone would give McNemar's mid-p.

    Parameters
    ----------
    right : a row a text, a column a model: 1 where it is right, 0 where not, NaN where not tested.
    pairs : two columns of `right` each.
    """
    if not pairs:
        return np.array([])
    # Rows on which the same models are right turn together: a binomial number of signs.
    patterns, counts = np.unique(right.fillna(-1).to_numpy(np.int8), axis=0, return_counts=True)
    columns = {column: patterns[:, i] for i, column in enumerate(right)}
    pattern_differences = np.stack(
        [(columns[a] - columns[b]) * ((columns[a] >= 0) & (columns[b] >= 0)) for a, b in pairs], 1
    ).astype(np.float32)
    scale = np.sqrt(np.maximum(counts @ np.abs(pattern_differences), 1)).astype(np.float32)
    observed = np.abs(counts @ pattern_differences) / scale
    order, random = np.argsort(-observed), np.random.default_rng(seed)
    as_large = np.zeros(len(pairs))
    for start in range(0, draws, 1000):
        size = (min(1000, draws - start), len(counts))
        signs = (2 * random.binomial(counts, 0.5, size) - counts).astype(np.float32)
        drawn = np.abs(signs @ pattern_differences) / scale
        # The largest of a pair and of all whose observed statistic is smaller.
        largest = np.maximum.accumulate(drawn[:, order[::-1]], axis=1)[:, ::-1]
        for end in (observed - 1e-4, np.where(observed > 0, observed + 1e-4, -1)):
            as_large += (largest > end[order]).sum(axis=0) / 2
    adjusted = np.empty(len(pairs))
    adjusted[order] = np.maximum.accumulate((1 + as_large) / (1 + draws))
    return adjusted


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down correction for several tests (Holm 1979), in the order given."""
    p, order = np.asarray(p_values), np.argsort(p_values)
    adjusted = np.empty(len(p))
    steps = (p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    adjusted[order] = np.maximum.accumulate(steps)
    return adjusted.tolist()


def letters(tests: pd.DataFrame, level: float = 0.05) -> pd.Series:
    """Letters such as ``"ab"`` by model: no test tells two that share one apart (Piepho 2004).

    Parameters
    ----------
    tests : a row a pair with the columns a, b and p_adjusted, such as `compare` gives. A pair that
        was not tested shares no letter.
    """
    import networkx

    models = list(dict.fromkeys([*tests["a"], *tests["b"]]))
    alike = networkx.from_pandas_edgelist(tests[tests["p_adjusted"] >= level], "a", "b")
    alike.add_nodes_from(models)
    groups = sorted(sorted(map(models.index, group)) for group in networkx.find_cliques(alike))
    marks = ["".join(ascii_letters[k] for k, g in enumerate(groups) if i in g)
             for i in range(len(models))]  # fmt: skip
    return pd.Series(marks, models, name="letters")
