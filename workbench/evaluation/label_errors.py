"""Rows whose label is likely wrong, as models say that have not learned from it."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from workbench import models
from workbench.errors import UserError
from workbench.evaluation.calibration import probabilities
from workbench.evaluation.scores import class_names, evaluate


def out_of_fold(table: pd.DataFrame, model="logistic", folds: int = 5, seed: int = 0):
    """The predictions of all rows of `table`, each by a `model` (or its name) of the other folds.

    Equal texts are in one fold. Where a class has fewer rows than `folds`, there are as many folds.

    Raises
    ------
    UserError : a class has one row, which no model could have learned before.
    """
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    texts, labels = list(table["text"]), class_names(table["label"])
    counts = pd.Series(labels).value_counts()
    if counts.min() < 2:
        raise UserError(f"The class '{counts.index[-1]}' has one row: leave it out, or add others.")
    model = models.build(model, seed=seed) if isinstance(model, str) else model
    # Split before: once skada is imported, scikit-learn takes groups in another way.
    cut = StratifiedGroupKFold(min(folds, counts.min()), shuffle=True, random_state=seed)
    split = cut.split(texts, labels, pd.factorize(table["text"])[0])
    p = cross_val_predict(model, texts, labels, cv=split, method="predict_proba")
    fitted = SimpleNamespace(classes_=np.unique(labels), predict_proba=lambda _: p)
    return evaluate(fitted, table, "out of fold").predictions


def likely_label_errors(predictions: pd.DataFrame) -> pd.DataFrame:
    """Rows that seem to be of another class than their label, the least probable label first.

    By confident learning (Northcutt, Jiang & Chuang 2021): a row is of the likeliest of the classes
    that are at least as probable for it as for the mean row of that label.

    Parameters
    ----------
    predictions : of models that have not learned from these rows: those of `out_of_fold`.

    Returns
    -------
    Columns id, text, label, ``suggested``, and the probabilities ``p_label`` and ``p_suggested``.
    """
    p, classes = probabilities(predictions)
    given = class_names(predictions["label"])[:, None] == classes
    confident = p >= pd.DataFrame(p).where(given).mean().to_numpy()
    best = np.where(confident, p, -1).argmax(axis=1)
    found = predictions.filter(["id", "text", "label"]).assign(
        suggested=classes[best], p_label=(p * given).sum(axis=1),
        p_suggested=p[np.arange(len(p)), best],
    )  # fmt: skip
    suspect = confident.any(axis=1) & ~given[np.arange(len(p)), best]
    return found[suspect].sort_values("p_label", kind="stable")
