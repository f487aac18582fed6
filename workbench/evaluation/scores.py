"""How good a model is, how sure we are of it, and whether another is really better."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Evaluation:
    """The scores of one model on one split, with the predictions they were counted from."""

    metrics: dict
    predictions: pd.DataFrame

    @property
    def classes(self) -> list[str]:
        return [column[2:] for column in self.predictions if column.startswith("p_")]

    def mistakes(self, n: int = 3) -> pd.DataFrame:
        """The `n` wrong predictions that the model was surest of."""
        table = self.predictions
        wrong = table[table["label"] != table["predicted"]]
        sureness = wrong[[f"p_{c}" for c in self.classes]].max(axis=1)
        chosen = wrong.assign(probability=sureness).nlargest(n, "probability")
        return chosen[["text", "label", "predicted", "probability"]].reset_index(drop=True)


def evaluate(model, table: pd.DataFrame, split: str = "test") -> Evaluation:
    """Predict every row of `table` (columns text and label) and score the predictions.

    Metrics: accuracy with its 95% Wilson interval, macro-averaged precision, recall and F1, the
    log loss (nats), the number of rows `n` and the split's name.
    """
    probabilities = model.predict_proba(list(table["text"]))
    classes = [str(c) for c in model.classes_]
    predictions = pd.DataFrame(
        {
            "id": table["id"].to_numpy() if "id" in table else np.arange(len(table)).astype(str),
            "text": table["text"].to_numpy(),
            "label": table["label"].astype(str).to_numpy(),
            "predicted": np.asarray(classes)[probabilities.argmax(axis=1)],
            "split": split,
        }
    )
    if "domain" in table:
        predictions["domain"] = table["domain"].to_numpy()
    columns = pd.DataFrame(probabilities, columns=[f"p_{c}" for c in classes])
    predictions = pd.concat([predictions, columns], axis=1)
    return Evaluation(metrics(predictions) | {"split": split}, predictions)


def metrics(predictions: pd.DataFrame) -> dict[str, float]:
    """The scores of a table with the columns label, predicted and ``p_<class>``."""
    from sklearn.metrics import precision_recall_fscore_support

    label, predicted = predictions["label"], predictions["predicted"]
    precision, recall, f1, _ = precision_recall_fscore_support(
        label, predicted, average="macro", zero_division=0
    )
    accuracy = float((label == predicted).mean())
    low, high = wilson(int((label == predicted).sum()), len(label))
    return {
        "accuracy": accuracy, "accuracy_low": low, "accuracy_high": high,
        "macro_f1": float(f1), "macro_precision": float(precision), "macro_recall": float(recall),
        "loss": log_loss(predictions), "n": len(label),
    }  # fmt: skip


def log_loss(predictions: pd.DataFrame) -> float:
    """Mean negative log probability of the true class; a class never seen counts as 1e-12."""
    columns = {c: i for i, c in enumerate(predictions.filter(regex="^p_").columns)}
    matrix = predictions[list(columns)].to_numpy(dtype=float)
    own = [columns.get(f"p_{label}", -1) for label in predictions["label"]]
    p = np.array([matrix[row, c] if c >= 0 else 0.0 for row, c in enumerate(own)])
    return float(-np.log(p.clip(1e-12, 1)).mean())


def wilson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927), which stays inside 0 to 1."""
    from scipy.stats import binomtest

    interval = binomtest(hits, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar(a: "Evaluation | pd.DataFrame", b: "Evaluation | pd.DataFrame") -> dict[str, float]:
    """Exact McNemar test on the rows that both have predicted (McNemar 1947).

    Returns ``only_a`` and ``only_b`` (rows that only one got right), ``n`` and the two-sided ``p``.
    """
    from scipy.stats import binomtest

    a, b = (x.predictions if isinstance(x, Evaluation) else x for x in (a, b))
    both = a.merge(b, on="id", suffixes=("_a", "_b"))
    right_a, right_b = (both[f"label_{s}"] == both[f"predicted_{s}"] for s in "ab")
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    differ = only_a + only_b
    p = float(binomtest(only_a, differ).pvalue) if differ else 1.0
    return {"only_a": only_a, "only_b": only_b, "n": len(both), "p": p}


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down correction for several tests (Holm 1979), in the order given."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = highest
    return [float(p) for p in adjusted]


def confusion(evaluation: Evaluation) -> pd.DataFrame:
    """Counts with the true class in the rows and the predicted class in the columns."""
    table = evaluation.predictions
    classes = sorted({*table["label"], *evaluation.classes})
    counts = pd.crosstab(table["label"], table["predicted"])
    counts = counts.reindex(index=classes, columns=classes, fill_value=0)
    return counts.rename_axis(index="true", columns="predicted")


def compare(found: list) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Set runs side by side, and test each against the best one that predicted the same rows.

    Parameters
    ----------
    found : `runs.Run` objects.

    Returns
    -------
    Two `pandas.DataFrame`: the scores, best first, and the exact McNemar tests, Holm corrected.
    """
    found = sorted(found, key=lambda run: -(run.metrics.get("accuracy") or 0))
    names = ["accuracy", "accuracy_low", "accuracy_high", "macro_f1", "n", "split"]
    scores = [
        {"model": run.name, "notebook": run.info.get("notebook") or ""}
        | {name: run.metrics.get(name) for name in names}
        | {"run": run.path.name}
        for run in found
    ]
    tables = {run.path: run.predictions() for run in found if _has_predictions(run)}
    tests = []
    for i, worse in enumerate(found):
        for better in found[:i]:
            if better.path in tables and worse.path in tables:
                pair = tables[better.path], tables[worse.path]
                if _same_rows(*pair):
                    names = {"better": better.path.name, "worse": worse.path.name}
                    tests.append(names | mcnemar(*pair))
                    break
    for test, corrected in zip(tests, holm([t["p"] for t in tests]), strict=True):
        test["p_holm"] = corrected
    columns = ["better", "worse", "only_a", "only_b", "n", "p", "p_holm"]
    renamed = {"only_a": "only_better", "only_b": "only_worse"}
    return pd.DataFrame(scores), pd.DataFrame(tests, columns=columns).rename(columns=renamed)


def _has_predictions(run) -> bool:
    return (run.path / "predictions.parquet").exists()


def _same_rows(a, b) -> bool:
    """Rows in common, and the same truth in them: equal ids of two corpora are no pair."""
    both = a[["id", "label"]].merge(b[["id", "label"]], on="id")
    return len(both) > 0 and bool((both["label_x"] == both["label_y"]).all())
