import time

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


@st.composite
def tables(draw):
    """Classes absent from labels, predictions or columns; ties; probabilities of 0 and 1; one row.

    The predicted class need not be the likeliest.
    """
    names, rows = draw(st.sampled_from(["ab", "abc", "abcde"])), draw(st.integers(1, 30))
    seed, columns = draw(st.integers(0, 2**32 - 1)), draw(st.integers(2, len(names)))
    known, random = draw(st.permutations(names))[:columns], np.random.default_rng(seed)
    weights = random.integers(0, draw(st.integers(1, 40)), (rows, columns), endpoint=True)
    weights[weights.sum(axis=1) == 0] = 1
    p = weights / weights.sum(axis=1, keepdims=True)
    return pd.DataFrame(
        {"label": random.choice([*names[: draw(st.integers(1, len(names)))]], rows),
         "predicted": random.choice([*names[-draw(st.integers(1, len(names))) :]], rows),
         **{f"p_{name}": column for name, column in zip(known, p.T, strict=True)}}
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(tables())
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
def test_scores_are_those_of_scikit_learn(table):
    label, predicted, found = table["label"], table["predicted"], evaluate.metrics(table)
    classes = sorted({*label, *(name[2:] for name in table if name.startswith("p_"))})
    p = table.reindex(columns=[f"p_{c}" for c in classes], fill_value=0.0)
    rest = [(label == c, p[f"p_{c}"]) for c in sorted({*label})]
    averaged = {
        f"macro_{name}": score(label, predicted, average="macro", zero_division=0)
        for name, score in (("f1", reference.f1_score), ("precision", reference.precision_score),
                            ("recall", reference.recall_score))
    }  # fmt: skip
    expected = averaged | {
        "accuracy": reference.accuracy_score(label, predicted),
        "micro_f1": reference.f1_score(label, predicted, average="micro"),
        "balanced_accuracy": reference.balanced_accuracy_score(label, predicted),
        "matthews": reference.matthews_corrcoef(label, predicted),
        "loss": reference.log_loss(label, p.clip(lower=1e-12).to_numpy(), labels=classes),
        "brier": reference.brier_score_loss(label, p, labels=classes, scale_by_half=False)
        if len(classes) > 2
        else 2 * reference.brier_score_loss(label == classes[1], p.iloc[:, 1]),
        "average_precision": np.mean([reference.average_precision_score(*c) for c in rest]),
    }
    if len(rest) > 1:
        expected["roc_auc"] = np.mean([reference.roc_auc_score(*each) for each in rest])
    assert {*found} - {*expected} == {"accuracy_low", "accuracy_high", "n"}
    assert {k: found[k] for k in expected} == pytest.approx(expected, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(tables())
def test_classes_are_scored_as_by_scikit_learn(table):
    found = evaluate.by_class(table)
    columns = reference.precision_recall_fscore_support(
        table["label"], table["predicted"], zero_division=np.nan
    )
    for name, expected in zip(("precision", "recall", "f1", "support"), columns, strict=True):
        assert found[name].to_numpy() == pytest.approx(expected, abs=1e-12, nan_ok=True), name
    assert list(found.index) == sorted({*table["label"], *table["predicted"]})
    for name, first in found[found["support"] > 0].iterrows():
        right = ((table["label"] == name) & (table["predicted"] == name)).sum()
        ends = evaluate.wilson(int(right), int(first["support"]))
        assert (first["recall_low"], first["recall_high"]) == ends


def test_what_needs_probabilities_is_left_out_without_them():
    found = evaluate.metrics(pd.DataFrame({"label": list("ab"), "predicted": list("aa")}))
    assert not {"brier", "roc_auc", "average_precision"} & {*found}
    assert all(np.isfinite(value) for value in found.values())


def test_a_run_of_two_thousand_rows_is_scored_at_once():
    random, names = np.random.default_rng(0), np.array(list("abcde"))
    p = random.dirichlet(np.ones(5), 2000)
    columns = {f"p_{c}": column for c, column in zip(names, p.T, strict=True)}
    predicted = names[p.argmax(axis=1)]
    table = pd.DataFrame({"label": random.choice(names, 2000), "predicted": predicted, **columns})
    evaluate.metrics(table)
    started = time.process_time()
    for _ in range(10):
        evaluate.metrics(table)
    assert (time.process_time() - started) / 10 < 0.1


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
