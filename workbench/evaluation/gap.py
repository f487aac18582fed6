"""How far one domain is from another, counted from their texts alone: no label is read."""

from collections import Counter

import numpy as np
import pandas as pd

from workbench import models
from workbench.data import text
from workbench.errors import UserError
from workbench.models import checks

LEAST = 10  # different texts of a domain: any of five folds leaves some of both sides


def measure(source: list[str], target: list[str], vectors=None, seed: int = 0) -> pd.Series:
    """The gap by words and, where there are `vectors` (see `telling_apart`), by them.

    ``known``: share of the target's running words that the source has, 0 to 1; ``jaccard``: words
    of both by words of either, 0 to 1; both grow with the number of texts. ``a_distance_words`` and
    ``a_distance_vectors``: proxy A-distance 2(1 − 2ε) (Ben-David et al. 2007), ε being the error of
    `telling_apart`, mean of both sides: about 0 for one domain, at most 2. ``mmd``: of `mmd`.
    """
    p = {"words": telling_apart(source, target, None, seed)}
    if vectors is not None:
        p["vectors"] = telling_apart(source, target, vectors, seed)
    here, there = (Counter(w for t in side for w in text.tokenize(t)) for side in (source, target))
    known, both = sum(there[w] for w in here), len(here.keys() & there)
    found = {"known": known / max(1, there.total()), "jaccard": both / len(here.keys() | there)}
    for name, (own, other) in p.items():
        found[f"a_distance_{name}"] = 2 * (1 - np.mean(own > 0.5) - np.mean(other <= 0.5))
    return pd.Series(found if vectors is None else found | {"mmd": mmd(*vectors)})


def telling_apart(source, target, vectors=None, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The probability of being target that each text gets from a classifier of the other texts.

    Logistic regression in five folds, equal texts in one, over TF-IDF or `vectors`: an array
    (n, dimensions) of either side. Both sides weigh the same, whatever their numbers.
    """
    from sklearn.model_selection import GroupKFold, cross_val_predict

    both = [checks.check_texts(source, "source"), checks.check_texts(target, "target")]
    if (least := fewest(*both)) < LEAST:
        raise UserError(f"{LEAST} different texts of each domain are needed: one has {least}.")
    if vectors is not None and [*map(len, vectors)] != [*map(len, both)]:
        raise UserError("vectors must be two arrays, with a row for each source and target text.")
    texts, domain = [*both[0], *both[1]], np.repeat([0, 1], [*map(len, both)])
    model = models.build("logistic", seed=seed)
    model[-1].set_params(class_weight="balanced")
    rows, model = (texts, model) if vectors is None else (np.vstack(vectors), model[-1])
    # Split before: once skada is imported, scikit-learn takes groups in another way.
    groups = pd.factorize(pd.Series(texts))[0]
    folds = GroupKFold(5, shuffle=True, random_state=seed).split(rows, groups=groups)
    p = cross_val_predict(model, rows, domain, cv=folds, method="predict_proba")[:, 1]
    return p[domain == 0], p[domain == 1]


def fewest(*sides) -> int:
    """The different texts of the domain that has the fewest; see `LEAST`."""
    return min(len(set(side)) for side in sides)


def mmd(source: np.ndarray, target: np.ndarray) -> float:
    """Squared maximum mean discrepancy, unbiased: about 0 for one domain, also below, at most 2.

    Gretton et al. (2012, eq. 3), with a Gaussian kernel as wide as the median distance of two rows.
    """
    from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel

    n, rows = len(source), np.vstack([source, target], dtype=float)
    squared = euclidean_distances(rows, squared=True)[np.triu_indices(len(rows), 1)]
    kernel = rbf_kernel(rows, gamma=1 / max(2 * np.median(squared), 1e-12))
    np.fill_diagonal(kernel, 0)
    own, other = (k.sum() / (len(k) * (len(k) - 1)) for k in (kernel[:n, :n], kernel[n:, n:]))
    return float(own + other - 2 * kernel[:n, n:].mean())
