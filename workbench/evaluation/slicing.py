"""Kinds of rows on which a model is right less often, or more often, than on the others."""

from collections import Counter

import numpy as np
import pandas as pd

from workbench.data import text
from workbench.errors import UserError
from workbench.evaluation.calibration import with_intervals
from workbench.evaluation.scores import class_names

# Chinese words that begin as a negation does: not bad, but, different, not only, incessantly.
NO_NEGATION = frozenset("不错 不过 不同 不少 不仅 不但 不管 不论 不断 不得不 不得了 不然".split())


def slice_columns(predictions: pd.DataFrame, training=None) -> pd.DataFrame:
    """What rows are sliced by: length, rare words, negation, language, and domain where known.

    A word is rare if no text of `training` holds it; without these, if no other text does.
    """
    tokens = [text.tokenize(each) for each in predictions["text"]]
    others = tokens if training is None else map(text.tokenize, training)
    texts_with, own = Counter(w for words in others for w in set(words)), int(training is None)
    columns = pd.DataFrame({
        "words": [len(words) for words in tokens],
        "rare words": [sum(texts_with[w] <= own for w in words) for words in tokens],
        "negation": [any(map(_negates, words)) for words in tokens],
        "language": [text.language_of(each) for each in predictions["text"]],
    })  # fmt: skip
    return columns.assign(**predictions.filter(["domain"]).reset_index(drop=True))


def slices(
    predictions: pd.DataFrame, columns=None, least: int = 20, draws: int = 9_999, seed: int = 0
) -> pd.DataFrame:
    """The accuracy on each slice against all other rows, tested, corrected for their number.

    Parameters
    ----------
    columns : a table or dict with a value or a truth value for each row, by default that of
        `slice_columns`. Numbers of more than five values are cut into thirds.
    least : rows that a slice must have, and leave.

    Returns
    -------
    A row a slice: ``n``, ``accuracy`` with its 95% Wilson interval, ``difference`` to the others,
    ``p`` of Fisher's exact test, and ``p_adjusted`` for all slices by the largest difference (in
    standard errors) where right and wrong are permuted over the rows, so that what slices share
    counts (Westfall & Young 1993). ``attrs["lowest_by_chance"]``, a placebo: the 2.5%, 50% and
    97.5% quantiles of the lowest accuracy of random slices of the same sizes and overlaps.
    """
    from scipy.stats import fisher_exact

    columns = slice_columns(predictions) if columns is None else columns
    table = pd.DataFrame({str(c): _thirds(pd.Series(np.asarray(columns[c]))) for c in columns})
    if len(table) != len(predictions):
        raise UserError(f"The columns have {len(table)} rows, the predictions {len(predictions)}.")
    member = pd.get_dummies(table, columns=[*table], prefix_sep=": ", dtype=int)
    member = member.loc[:, member.sum().between(least, len(table) - least)]
    if member.empty:
        raise UserError(f"No slice has {least} rows and leaves as many: lower `least`.")
    right = class_names(predictions["label"]) == class_names(predictions["predicted"])
    rows, all_hits, inside = len(right), right.sum(), member.to_numpy()
    n, hits = inside.sum(axis=0), right @ inside
    # Rows that are in the same slices are drawn together: a hypergeometric number of hits.
    patterns, counts = np.unique(inside, axis=0, return_counts=True)
    random = np.random.default_rng(seed)
    drawn = random.multivariate_hypergeometric(counts, all_hits, draws) @ patterns
    off = [np.abs(h - all_hits * n / rows) / (n * (rows - n)) ** 0.5 for h in (hits, drawn)]
    as_large = (off[1].max(axis=1)[:, None] >= off[0] - 1e-9).sum(axis=0)
    found = with_intervals(pd.DataFrame({"n": n, "accuracy": hits / n}, member.columns), "accuracy")
    found["difference"] = hits / n - (all_hits - hits) / (rows - n)
    own, both = np.stack([hits, n - hits], 1), [all_hits, rows - all_hits]
    found["p"] = [fisher_exact([each, both - each]).pvalue for each in own]
    found["p_adjusted"] = np.maximum(found["p"], (1 + as_large) / (1 + draws))
    lowest = (drawn / n).min(axis=1)
    found.attrs["lowest_by_chance"] = np.quantile(lowest, [0.025, 0.5, 0.975]).tolist()
    return found


def _negates(word: str) -> bool:
    return word in text.NEGATIONS or (word[0] in "不没" and word not in NO_NEGATION)


def _thirds(values: pd.Series) -> pd.Series:
    if not pd.api.types.is_numeric_dtype(values) or values.nunique() <= 5:
        return values
    cut = pd.qcut(values, 3, duplicates="drop")
    ends = values.groupby(cut, observed=False).agg(["min", "max"]).to_numpy()
    return cut.cat.rename_categories([f"{low:g}–{high:g}" for low, high in ends])
