import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from workbench import evaluate
from workbench.errors import UserError


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


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([1.0, 0.0, 1.0], [0, 1]),
        (["1", "0", "1"], [0, 1]),
        ([1, 0, 1], ["0", "1"]),
        (pd.array([1, 0, 1], "Int64"), [0.0, 1.0]),
        ([True, False, True], [False, True]),
        (pd.Categorical(["b", "a", "b"], ["a", "b", "c"]), ["a", "b"]),
        (pd.array(["b", "a", "b"], "string"), ["a", "b"]),
    ],
)
def test_a_label_is_its_class_in_whatever_type(labels, classes):
    table = pd.DataFrame({"text": list("xyz"), "label": labels}, index=[7, 7, 9])
    evaluation = evaluate.evaluate(Fixed([[0.1, 0.9], [0.8, 0.2], [0.2, 0.8]], classes), table)
    assert evaluation.metrics["accuracy"] == 1
    assert evaluation.metrics["loss"] == pytest.approx(-np.log([0.9, 0.8, 0.8]).mean())
    assert evaluate.confusion(evaluation).to_numpy().tolist() == [[1, 0], [0, 2]]


def test_predictions_of_odd_types_are_scored():
    categories = pd.Categorical(["a", "b"], ["a", "b"]), pd.Categorical(["b", "b"], ["b", "c"])
    odd = pd.DataFrame({"label": categories[0], "predicted": categories[1], "p_b": ["1", "1"]})
    assert evaluate.metrics(odd)["accuracy"] == 0.5
    mixed = pd.DataFrame({"label": [1.0, 2.0], "predicted": ["1", "2"], "p_1.0": [0.5, 0.5]})
    assert evaluate.metrics(mixed)["accuracy"] == 1
    assert evaluate.metrics(mixed)["loss"] == pytest.approx(-np.log([0.5, 1e-12]).mean())


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, ""])
def test_rows_that_cannot_be_scored_are_refused(missing):
    table = pd.DataFrame({"text": ["x", "y"], "label": pd.Series(["a", missing], dtype=object)})
    with pytest.raises(UserError, match="1 of 2 rows have no label"):
        evaluate.evaluate(Fixed([[1, 0, 0]] * 2), table)
    with pytest.raises(UserError, match="no rows"):
        evaluate.evaluate(Fixed(np.empty((0, 3))), table.head(0))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 20), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_many_classes_few_rows(classes, rows, seed):
    """Classes without a row, classes never predicted, and labels that no model has seen."""
    random = np.random.default_rng(seed)
    names = [f"class {i}" for i in range(classes)]
    probabilities = random.dirichlet(np.ones(classes - 1), rows)
    table = pd.DataFrame({"text": ["x"] * rows, "label": random.choice(names, rows)})
    evaluation = evaluate.evaluate(Fixed(probabilities, names[:-1]), table)
    predicted = np.array(names)[probabilities.argmax(axis=1)]
    m, counts = evaluation.metrics, evaluate.confusion(evaluation)
    assert m["accuracy"] == pytest.approx(reference.accuracy_score(table["label"], predicted))
    assert m["macro_f1"] == pytest.approx(
        reference.f1_score(table["label"], predicted, average="macro", zero_division=0)
    )
    assert np.isfinite(m["loss"])
    assert counts.to_numpy().sum() == rows
    assert np.trace(counts.to_numpy()) == (table["label"] == predicted).sum()
    assert list(counts) == list(counts.index)


def test_wilson_interval_of_a_textbook_value():
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
    assert evaluate.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert evaluate.wilson(5, 5)[1] == pytest.approx(1.0)


@given(st.lists(st.floats(-0.2, 0.2), min_size=5, max_size=30), st.integers(2, 10))
@settings(max_examples=50, deadline=None)
def test_folds_that_share_rows_widen_the_paired_t_test(differences, folds):
    """The statistic of the plain paired t-test, made smaller by a known factor."""
    n, scores = len(differences), 0.7 + np.array(differences)
    found = evaluate.corrected_t_test(scores, np.full(n, 0.7), folds)
    assert found["difference"] == pytest.approx(np.mean(differences), abs=1e-12)
    if np.std(differences) > 1e-6:
        plain = stats.ttest_1samp(differences, 0)
        smaller = plain.statistic * np.sqrt((1 / n) / (1 / n + 1 / (folds - 1)))
        assert found["p"] == pytest.approx(2 * stats.t.sf(abs(smaller), n - 1), rel=1e-4, abs=1e-9)
        outside = abs(found["difference"]) > found["half_width"]
        assert outside == (found["p"] < 0.05) or found["p"] == pytest.approx(0.05, abs=1e-6)


def test_the_corrected_test_errs_as_seldom_as_it_promises_where_the_plain_one_does_not():
    """Two models that guess, on repeated folds of the same rows: no difference is real."""
    rng, folds = np.random.default_rng(0), 5
    corrected = plain = 0
    for _ in range(300):
        right = rng.random((2, 200)) < 0.7  # of each model on each row, whatever it trained on
        scores = [
            right[:, part].mean(axis=1)
            for _ in range(10) for part in np.array_split(rng.permutation(200), folds)
        ]  # fmt: skip
        a, b = np.transpose(scores)
        corrected += evaluate.corrected_t_test(a, b, folds)["p"] < 0.05
        plain += stats.ttest_rel(a, b).pvalue < 0.05
    assert corrected / 300 < 0.07
    assert plain / 300 > 0.3


def test_equal_scores_are_no_difference():
    found = evaluate.corrected_t_test([0.7, 0.8, 0.9], [0.7, 0.8, 0.9], 3)
    assert found == {"difference": 0.0, "half_width": 0.0, "p": 1.0}


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


def test_domains_of_mixed_types_can_be_written(tmp_path):
    table = pd.DataFrame({"text": list("xyz"), "label": list("aab"), "domain": [1, "films", None]})
    evaluation = evaluate.evaluate(Fixed(np.eye(3)), table)
    evaluation.predictions.to_parquet(tmp_path / "predictions.parquet")
    read = pd.read_parquet(tmp_path / "predictions.parquet")["domain"]
    assert read[:2].tolist() == ["1", "films"]
    assert pd.isna(read[2])
