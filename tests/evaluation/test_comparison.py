import numpy as np
import pandas as pd
import pytest

from workbench import runs
from workbench.errors import UserError
from workbench.evaluation import comparison


def kept(root, name, predicted, label="abab", ids="0123", **more):
    """A run that predicted a row for each letter of `predicted`."""
    frame = pd.DataFrame({"id": list(ids), "text": [f"text {i}" for i in ids],
                          "label": list(label), "predicted": list(predicted), "p_a": 0.6,
                          "p_b": 0.4, **more})  # fmt: skip
    accuracy = float((frame["label"] == frame["predicted"]).mean())
    return runs.load(runs.save(name, metrics={"accuracy": accuracy}, predictions=frame, root=root))


def test_a_pair_has_a_row_for_each_text_that_both_predicted(tmp_path):
    a = kept(tmp_path, "a", "abbb")
    b = kept(tmp_path, "b", "bax", label="bax", ids="13x", p_b=0.3)
    with pytest.raises(UserError, match="cannot be compared: the same ids carry other labels"):
        comparison.paired(a, kept(tmp_path, "c", "bb", label="ba", ids="13"))
    b = kept(tmp_path, "b", "bax", label="bbx", ids="13x", p_b=0.3)
    both = comparison.paired(a, b)
    assert list(both["id"]) == ["1", "3"]
    assert list(both["text"]) == ["text 1", "text 3"]
    assert both["right_a"].tolist() == [True, True]
    assert both["right_b"].tolist() == [True, False]
    assert both["p_label_a"].tolist() == [0.4, 0.4]
    assert both["p_label_b"].tolist() == [0.3, 0.3]


def test_a_class_that_a_run_never_saw_has_no_probability(tmp_path):
    a, b = kept(tmp_path, "a", "ab", "ac", "01"), kept(tmp_path, "b", "aa", "ac", "01")
    assert np.isnan(comparison.paired(a, b)["p_label_a"].iloc[1])


def test_disagreements_are_told_apart(tmp_path):
    a, b = kept(tmp_path, "a", "abbc"), kept(tmp_path, "b", "aaac")
    c = kept(tmp_path, "c", "bacb")
    assert list(comparison.disagreements(comparison.paired(a, b))["id"]) == ["1", "2"]
    assert list(comparison.disagreements(comparison.paired(a, b), "A")["id"]) == ["1"]
    assert list(comparison.disagreements(comparison.paired(a, b), "B")["id"]) == ["2"]
    assert list(comparison.disagreements(comparison.paired(a, c), "neither")["id"]) == ["2"]


def test_the_verdict_is_that_of_mcnemar(tmp_path):
    label, ids = "a" * 20, "abcdefghijklmnopqrst"
    a = kept(tmp_path, "a", "a" * 15 + "b" * 5, label, ids)
    b = kept(tmp_path, "b", "a" * 5 + "b" * 10 + "a" + "b" * 4, label, ids)
    text = comparison.describe(comparison.paired(a, b))
    assert text == (
        "Of 20 texts A is right on 10 where B is wrong, B on 1 where A is wrong; "
        "p = 0.012 (exact McNemar test): unlikely to be luck."
    )
    c = kept(tmp_path, "c", "a" * 14 + "b" * 6, label, ids)
    assert "p = 1.000 (exact McNemar test): luck explains" in comparison.describe(
        comparison.paired(a, c)
    )
    assert "nothing to tell them apart" in comparison.describe(comparison.paired(a, a))


def test_why_two_runs_cannot_be_compared_is_said(tmp_path):
    a = kept(tmp_path, "a", "abab")
    with pytest.raises(UserError, match="have no text in common"):
        comparison.paired(a, kept(tmp_path, "b", "abab", ids="wxyz"))
    with pytest.raises(UserError, match=r"b \(.*\) kept no predictions"):
        comparison.paired(a, runs.load(runs.save("b", root=tmp_path)))
    with pytest.raises(UserError, match="every id once"):
        comparison.paired(a, kept(tmp_path, "b", "abab", ids="0012"))
    broken = kept(tmp_path, "b", "abab")
    (broken.path / "predictions.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"predictions of b \(.*\) are broken"):
        comparison.paired(a, broken)


def test_predictions_without_texts_and_probabilities_are_paired_too(tmp_path):
    frame = pd.DataFrame({"id": ["r0"], "label": ["a"], "predicted": ["a"]})
    run = runs.load(runs.save("a", predictions=frame, root=tmp_path))
    both = comparison.paired(run, run)
    assert both["text"].tolist() == ["(text of id r0)"]
    assert both["p_a"].isna().all()
    assert both["p_label_b"].isna().all()


def test_the_two_best_that_differ_are_found(tmp_path):
    best, twin = kept(tmp_path, "best", "abab"), kept(tmp_path, "twin", "abab")
    kept(tmp_path, "elsewhere", "abab", ids="wxyz")
    near, _ = kept(tmp_path, "near", "abaa"), kept(tmp_path, "worst", "baba")
    runs.save("odd", metrics={"accuracy": "high"}, root=tmp_path)
    assert comparison.best_pair(runs.list_runs(tmp_path)) == [best, near]
    assert comparison.best_pair([best, twin]) == []
