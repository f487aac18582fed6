from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from workbench import evaluate, runs


class Fixed:
    """A classifier that gives the probabilities it was made with."""

    def __init__(self, probabilities, classes=("a", "b", "c")):
        self.probabilities, self.classes_ = np.asarray(probabilities, float), np.array(classes)

    def predict_proba(self, texts):
        return self.probabilities


@pytest.fixture
def scored():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"text": [f"t{i}" for i in range(200)], "label": rng.choice(list("abc"), 200)}
    )
    return table, evaluate.evaluate(Fixed(rng.dirichlet([1, 1, 1], 200)), table)


def test_metrics_are_those_of_scikit_learn(scored):
    table, evaluation = scored
    predicted, m = evaluation.predictions["predicted"], evaluation.metrics
    probabilities = evaluation.predictions[["p_a", "p_b", "p_c"]].to_numpy()
    assert m["accuracy"] == pytest.approx(reference.accuracy_score(table["label"], predicted))
    assert m["macro_f1"] == pytest.approx(
        reference.f1_score(table["label"], predicted, average="macro")
    )
    assert m["loss"] == pytest.approx(reference.log_loss(table["label"], probabilities))
    assert m["n"] == 200
    assert m["accuracy_low"] < m["accuracy"] < m["accuracy_high"]


def test_a_class_the_model_never_saw_counts_as_wrong():
    table = pd.DataFrame({"text": ["x", "y"], "label": ["a", "unseen"]})
    evaluation = evaluate.evaluate(Fixed([[1, 0, 0], [1, 0, 0]]), table)
    assert evaluation.metrics["accuracy"] == 0.5
    assert evaluation.metrics["loss"] == pytest.approx(-np.log(1e-12) / 2)


def test_wilson_interval_of_a_textbook_value():
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
    assert evaluate.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert evaluate.wilson(5, 5)[1] == pytest.approx(1.0)


def test_mcnemar_counts_only_the_rows_where_they_differ():
    rows = {"id": range(20), "label": ["a"] * 20}
    a = pd.DataFrame({**rows, "predicted": ["a"] * 15 + ["b"] * 5})
    b = pd.DataFrame({**rows, "predicted": ["a"] * 5 + ["b"] * 10 + ["a"] + ["b"] * 4})
    result = evaluate.mcnemar(a, b)
    assert (result["only_a"], result["only_b"], result["n"]) == (10, 1, 20)
    assert result["p"] == pytest.approx(2 * (1 + 11) / 2**11)
    assert evaluate.mcnemar(a, a)["p"] == 1


def test_holm_correction():
    assert evaluate.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert evaluate.holm([0.9, 0.8]) == [1.0, 1.0]


def test_confusion_keeps_classes_that_were_never_predicted():
    table = pd.DataFrame({"text": ["x", "y"], "label": ["b", "c"]})
    counts = evaluate.confusion(evaluate.evaluate(Fixed([[1, 0, 0], [0, 0, 1]]), table))
    assert counts.shape == (3, 3)
    assert counts.loc["b", "a"] == 1
    assert counts.to_numpy().sum() == 2


def test_mistakes_are_the_surest_wrong_ones():
    table = pd.DataFrame({"text": ["x", "y", "z"], "label": ["b", "b", "a"]})
    evaluation = evaluate.evaluate(Fixed([[0.6, 0.4, 0], [0.9, 0.1, 0], [1, 0, 0]]), table)
    assert list(evaluation.mistakes()["text"]) == ["y", "x"]


def saved(root: Path, name: str, right: list[bool], prefix: str = "r") -> None:
    label = np.where(np.arange(len(right)) % 2, "good", "bad")
    predicted = np.where(right, label, "other")
    frame = pd.DataFrame({"id": [f"{prefix}{i}" for i in range(len(right))], "label": label,
                          "predicted": predicted})  # fmt: skip
    metrics = {"accuracy": float(np.mean(right)), "n": len(right), "split": "test"}
    runs.save(name, metrics=metrics, predictions=frame, root=root)


def test_runs_are_compared_in_pairs_on_common_rows(tmp_path):
    saved(tmp_path, "best", [True] * 20)
    saved(tmp_path, "worse", [True] * 10 + [False] * 10)
    saved(tmp_path, "near", [True] * 19 + [False])
    saved(tmp_path, "elsewhere", [True] * 15 + [False] * 5, prefix="other")
    scores, tests = evaluate.compare(runs.list_runs(tmp_path))
    assert list(scores["model"]) == ["best", "near", "elsewhere", "worse"]
    rows = {row.worse.split("-")[-1]: row for row in tests.itertuples()}
    assert set(rows) == {"near", "worse"}
    # Ten rows that only the better one gets right: 2 / 2**10, and twice that after Holm.
    assert rows["worse"].p == pytest.approx(2 / 2**10)
    assert rows["worse"].p_holm == pytest.approx(4 / 2**10)
    assert (rows["worse"].only_better, rows["worse"].only_worse) == (10, 0)
    assert rows["near"].p_holm == 1


def test_equal_ids_of_different_data_are_no_pair(tmp_path):
    saved(tmp_path, "a", [True] * 4)
    frame = pd.DataFrame({"id": ["r0", "r1"], "label": ["x", "y"], "predicted": ["x", "x"]})
    runs.save("b", metrics={"accuracy": 0.5}, predictions=frame, root=tmp_path)
    runs.save("c", metrics={}, root=tmp_path)
    _, tests = evaluate.compare(runs.list_runs(tmp_path))
    assert len(tests) == 0
