"""How good a model is, and how sure we are of it."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from workbench.data.columns import plain_names
from workbench.errors import UserError, unknown

# What a run can be judged by, and the highest value.
METRICS = {
    "accuracy": 1, "entity_f1": 1, "bleu": 100, "chrf": 100, "rouge1": 1, "rouge2": 1, "rougeL": 1
}  # fmt: skip


@dataclass(frozen=True)
class Evaluation:
    """The scores of one model on one split, with the predictions they were counted from."""

    metrics: dict
    predictions: pd.DataFrame

    @property
    def classes(self) -> list[str]:
        return [column[2:] for column in self.predictions if column.startswith("p_")]

    def mistakes(self, n: int = 3) -> pd.DataFrame:
        """The `n` wrong predictions of the highest probability."""
        wrong = self.predictions.query("label != predicted")
        confidence = wrong[[f"p_{c}" for c in self.classes]].max(axis=1)
        chosen = wrong.assign(probability=confidence).nlargest(n, "probability")
        return chosen[["text", "label", "predicted", "probability"]].reset_index(drop=True)


def evaluate(model, table: pd.DataFrame, split: str = "test") -> Evaluation:
    """Predict every row of `table` (columns text and label) and score the predictions.

    Metrics: those of `metrics`, and the split's name.

    Raises
    ------
    UserError : there is no row, or a row without a label.
    """
    label = class_names(table["label"])
    classes, p, predicted = predict(model, table["text"])
    rows = {"text": table["text"].to_numpy(), "label": label, "predicted": predicted}
    columns = dict(zip("p_" + classes, p.T, strict=True))
    predictions = predictions_of(table, split, rows, **columns)
    return Evaluation(metrics(predictions) | {"split": split}, predictions)


def predict(model, texts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The names of the classes, their probabilities for each text, and the most probable class."""
    p, classes = np.asarray(model.predict_proba(list(texts)), float), class_names(model.classes_)
    return classes, p, classes[p.argmax(axis=1)]


def predictions_of(table: pd.DataFrame, split: str, rows: dict, **more) -> pd.DataFrame:
    """The columns `rows` and `more` beside the ids (else numbers) and domains of `table`."""
    known = {c: plain_names(pd.Series(table[c].to_numpy())) for c in ("id", "domain") if c in table}
    numbers, ids = range(len(table)), known.pop("id", {})
    known = {name: values.reindex(numbers) for name, values in known.items()}
    ids = [ids.get(row, str(row)) for row in numbers]
    predictions = pd.DataFrame({"id": ids, **rows, "split": split, **known, **more}, numbers)
    predictions.attrs.update(table.attrs)  # where the rows are from
    return predictions


def main_metric(metrics: dict) -> str:
    """The metric that a run is judged by: the first of `METRICS` that it has, or accuracy."""
    return next((name for name in metrics if name in METRICS), "accuracy")


def class_names(labels) -> np.ndarray:
    """Labels as strings, so that 1, 1.0 and "1" are one class.

    Raises
    ------
    UserError : there are no labels, or one is missing.
    """
    labels = pd.Series(np.asarray(labels, dtype=object))
    names = plain_names(labels)
    if labels.empty:
        raise UserError("There is nothing to score: the table has no rows.")
    if missing := len(labels) - len(names):
        raise UserError(
            f"{missing} of {len(labels)} rows have no label: leave them out before you score."
        )
    return names.to_numpy(dtype=object)


def metrics(predictions: pd.DataFrame) -> dict[str, float]:
    """The scores of a table with the columns label, predicted and ``p_<class>``.

    Those of `of_counts`, accuracy with its 95% Wilson interval; of the probabilities ``loss``
    (`log_loss`), ``brier`` (the squared error summed over classes, 0 to 2; Brier 1950), and of a
    class against the rest, averaged over the true classes, ``average_precision`` and, where there
    are two, ``roc_auc``. A class without a column has probability 0.
    """
    _, rows, (added,) = cells(predictions["label"], predictions["predicted"])
    found = {name: float(value) for name, value in of_counts(rows @ added).items()}
    accuracy, n = found.pop("accuracy"), len(predictions)
    low, high = wilson(round(accuracy * n), n)
    return {"accuracy": accuracy, "accuracy_low": low, "accuracy_high": high, **found,
            **_of_probabilities(predictions), "n": n}  # fmt: skip


def of_counts(counts: np.ndarray, score: str = ""):
    """All scores that follow from counts of rows, shape (3, ..., classes), or one of them.

    Counted are the rows of each class that are right, that are of it, that are predicted as it.
    ``macro_`` is the mean over classes that have a row or a prediction, 0 where undefined;
    ``micro_f1`` equals accuracy; ``balanced_accuracy`` is the mean recall of classes with rows.
    """
    right, true, predicted = counts = np.asarray(counts, float)
    hits, n, _ = counts.sum(-1)
    recall, present = right / np.maximum(true, 1), (true + predicted > 0).sum(-1)
    spread = (n**2 - (true**2).sum(-1)) * (n**2 - (predicted**2).sum(-1))
    found = {
        "accuracy": hits / n, "micro_f1": hits / n,
        "macro_f1": (2 * right / np.maximum(true + predicted, 1)).sum(-1) / present,
        "macro_precision": (right / np.maximum(predicted, 1)).sum(-1) / present,
        "macro_recall": recall.sum(-1) / present,
        "balanced_accuracy": recall.sum(-1) / (true > 0).sum(-1),
        "matthews": (n * hits - (true * predicted).sum(-1)) / np.sqrt(spread + (spread == 0)),
    }  # fmt: skip
    if score and score not in found:
        raise unknown("score of predictions", score, found)
    return found[score] if score else found


def cells(*columns: pd.Series) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """The classes; the rows of each combination of a label and predictions; what a row counts.

    The last, for each column of predictions, has the shape (3, combinations, classes): what a row
    adds to the counts of `of_counts`.
    """
    found = pd.DataFrame(dict(enumerate(map(class_names, columns)))).value_counts()
    values = [found.index.get_level_values(i).to_numpy() for i in found.index.names]
    names = np.unique(np.concatenate(values))
    label, *predicted = (value[:, None] == names for value in values)
    return names, found.to_numpy(), [np.stack([label & p, label, p]) * 1.0 for p in predicted]


def by_class(predictions: pd.DataFrame) -> pd.DataFrame:
    """Precision and recall of each class with 95% Wilson intervals, F1, and ``support`` (rows).

    Precision is NaN where the class is never predicted, recall where it has no row.
    """
    names, rows, (added,) = cells(predictions["label"], predictions["predicted"])
    right, true, predicted = (rows @ added).astype(int)
    table = pd.DataFrame(index=pd.Index(names, name="class"))
    for name, of in (("precision", predicted), ("recall", true)):
        found = [
            (k / n, *wilson(k, n)) if n else 3 * [np.nan] for k, n in zip(right, of, strict=True)
        ]
        table[[name, f"{name}_low", f"{name}_high"]] = found
    return table.assign(f1=2 * right / (true + predicted), support=true)


def log_loss(predictions: pd.DataFrame) -> float:
    """Mean negative log probability (nats) of the true class, clipped at 1e-12."""
    return _of_probabilities(predictions)["loss"]


def _of_probabilities(predictions: pd.DataFrame) -> dict[str, float]:
    given = given_probabilities(predictions).fillna(0)
    classes, true = np.unique(class_names(predictions["label"]), return_inverse=True)
    p = given.reindex(columns=classes, fill_value=0).to_numpy().T
    right = p[true, range(len(true))]
    found = {"loss": float(-np.log(right.clip(1e-12, 1)).mean())}
    if given.columns.empty:
        return found
    error = (given.to_numpy() ** 2).sum(1) + 1 - 2 * right
    areas = np.mean([_areas(each, true == i) for i, each in enumerate(p)], axis=0).tolist()
    areas = dict(zip(("average_precision", "roc_auc")[: len(classes)], areas, strict=False))
    return {**found, "brier": float(error.mean()), **areas}


def _areas(p: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Average precision, and the area under the ROC curve; rows of equal `p` share a threshold."""
    order = np.argsort(-p)
    last = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)
    hits, rows = np.append(0, true[order].cumsum()[last]), np.append(0, last + 1)
    average = (np.diff(hits) * hits[1:] / rows[1:]).sum() / hits[-1]
    return average, np.trapezoid(hits, rows - hits) / max(hits[-1] * (rows - hits)[-1], 1)


def given_probabilities(predictions: pd.DataFrame) -> pd.DataFrame:
    """The columns ``p_<class>``, by the names of the classes."""
    table = predictions.filter(regex="^p_").astype(float)
    return table.set_axis(plain_names(pd.Series([c[2:] for c in table], dtype=object)), axis=1)


def label_probabilities(predictions: pd.DataFrame) -> pd.Series:
    """The probability that each row gives to its true class; NaN for a class never seen."""
    table = given_probabilities(predictions)
    column = table.columns.get_indexer(class_names(predictions["label"]))
    padded = np.column_stack([table, np.full(len(table), np.nan)])
    return pd.Series(padded[np.arange(len(table)), column], index=predictions.index)


@lru_cache(maxsize=4096)
def wilson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927), which stays inside 0 to 1."""
    from scipy.stats import binomtest

    interval = binomtest(hits, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def ends(metrics: dict, metric: str) -> str:
    """The interval of a metric in words; empty where it is not known."""
    low, high = metrics.get(f"{metric}_low"), metrics.get(f"{metric}_high")
    return "" if None in (low, high) else f"{low:.3f} to {high:.3f}"


def corrected_t_test(scores, reference, folds: int) -> dict[str, float]:
    """Mean ``difference`` of paired folds, ``half_width`` of its 95% interval, two-sided ``p``.

    Folds share training rows, which widens the interval (Nadeau & Bengio 2003). `scores` and
    `reference` hold one number a fold, of one or more repeats of `folds`.
    """
    from scipy import stats

    difference = np.asarray(scores) - np.asarray(reference)
    mean, n = float(difference.mean()), len(difference)
    error = difference.std(ddof=1) * np.sqrt(1 / n + 1 / (folds - 1))
    p = 2 * stats.t.sf(abs(mean) / max(error, 1e-12), n - 1)
    return {"difference": mean, "half_width": error * stats.t.ppf(0.975, n - 1), "p": float(p)}


def confusion(evaluation: Evaluation) -> pd.DataFrame:
    """Counts with the true class in the rows and the predicted class in the columns."""
    table = evaluation.predictions
    classes = sorted({*table["label"], *evaluation.classes})
    counts = pd.crosstab(table["label"], table["predicted"])
    counts = counts.reindex(index=classes, columns=classes, fill_value=0)
    return counts.rename_axis(index="true", columns="predicted")
