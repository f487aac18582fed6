"""How good a model is, and how sure we are of it."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from workbench.data.columns import plain_names
from workbench.errors import UserError

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

    Metrics: accuracy with its 95% Wilson interval, macro-averaged precision, recall and F1, the
    log loss (nats), the number of rows `n` and the split's name.

    Raises
    ------
    UserError : there is no row, or a row without a label.
    """
    label = class_names(table["label"])
    probabilities = np.asarray(model.predict_proba(list(table["text"])))
    classes = class_names(model.classes_)
    predicted = classes[probabilities.argmax(axis=1)]
    columns = {f"p_{c}": column for c, column in zip(classes, probabilities.T, strict=True)}
    rows = {"text": table["text"].to_numpy(), "label": label, "predicted": predicted}
    predictions = predictions_of(table, split, rows, **columns)
    return Evaluation(metrics(predictions) | {"split": split}, predictions)


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
    """The scores of a table with the columns label, predicted and ``p_<class>``."""
    from sklearn.metrics import precision_recall_fscore_support

    label, predicted = class_names(predictions["label"]), class_names(predictions["predicted"])
    precision, recall, f1, _ = precision_recall_fscore_support(
        label, predicted, average="macro", zero_division=0
    )
    hits = int((label == predicted).sum())
    low, high = wilson(hits, len(label))
    return {
        "accuracy": hits / len(label), "accuracy_low": low, "accuracy_high": high,
        "macro_f1": float(f1), "macro_precision": float(precision), "macro_recall": float(recall),
        "loss": log_loss(predictions), "n": len(label),
    }  # fmt: skip


def log_loss(predictions: pd.DataFrame) -> float:
    """Mean negative log probability of the true class; a class never seen counts as 1e-12."""
    p = label_probabilities(predictions).fillna(0)
    return float(-np.log(p.clip(1e-12, 1)).mean())


def label_probabilities(predictions: pd.DataFrame) -> pd.Series:
    """The probability that each row gives to its true class; NaN for a class never seen."""
    table = predictions.filter(regex="^p_")
    names = pd.Index(plain_names(pd.Series([c[2:] for c in table], dtype=object)))
    column = names.get_indexer(class_names(predictions["label"]))
    padded = np.column_stack([table.to_numpy(dtype=float), np.full(len(table), np.nan)])
    return pd.Series(padded[np.arange(len(table)), column], index=predictions.index)


@lru_cache(maxsize=4096)
def wilson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927), which stays inside 0 to 1."""
    from scipy.stats import binomtest

    interval = binomtest(hits, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


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
