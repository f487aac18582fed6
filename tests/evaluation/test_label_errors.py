import numpy as np
import pandas as pd
import pytest

from workbench import evaluate, models
from workbench.errors import UserError


def planted(folder, share, seed=0):
    """A training table with a share of other labels, and which rows got one."""
    table = pd.read_csv(folder / "train.csv", dtype=str).dropna().reset_index(drop=True)
    random = np.random.default_rng(seed)
    classes, other = np.unique(table["label"], return_inverse=True)
    wrong = random.random(len(table)) < share
    other = (other + random.integers(1, len(classes), len(table))) % len(classes)
    return table.assign(label=np.where(wrong, classes[other], table["label"])), wrong


def precision(found, wrong, first=100):
    return wrong[found.index[:first]].mean()


def test_by_hand():
    table = pd.DataFrame({
        "id": list("stuvwx"), "text": "t", "label": list("aabbab"), "predicted": list("aabaaa"),
        "p_a": [0.9, 0.8, 0.1, 0.85, 0.55, 0.6], "p_b": [0.1, 0.2, 0.9, 0.15, 0.45, 0.4],
    })  # fmt: skip
    found = evaluate.likely_label_errors(table)
    assert found.to_dict("list") == {
        "id": ["v"], "text": ["t"], "label": ["b"], "suggested": ["a"],
        "p_label": [0.15], "p_suggested": [0.85],
    }  # fmt: skip


def test_a_class_without_rows_is_not_suggested_and_an_unknown_label_may_be_wrong():
    table = pd.DataFrame({"label": ["a", "a", "z"], "predicted": "a", "p_a": [0.6, 0.2, 0.7],
                          "p_b": [0.4, 0.8, 0.3]})  # fmt: skip
    found = evaluate.likely_label_errors(table)
    assert found[["label", "suggested"]].to_numpy().tolist() == [["z", "a"]]


def test_no_row_is_predicted_by_a_model_that_knows_its_text():
    """A text that stands there twice, once with a wrong label, would give itself away."""
    table = pd.DataFrame({"text": [f"{w} {i % 40}" for i, w in enumerate(["good", "bad"] * 40)]})
    table["label"] = np.where(table["text"].str.startswith("good"), "1", "0")
    twice = pd.concat([table, pd.DataFrame({"text": ["alone here"] * 2, "label": "0"})])
    twice = twice.sample(frac=1, random_state=0)
    predictions = evaluate.out_of_fold(twice, models.build("naive-bayes"))
    assert predictions["text"].tolist() == twice["text"].tolist()
    assert predictions.query("text != 'alone here'").eval("predicted == label").all()
    lone = predictions.query("text == 'alone here'")
    assert lone["p_0"].between(0.4, 0.6).all()


@pytest.mark.parametrize(("name", "least"), [("sst2", 0.5), ("trec", 0.75)])
def test_planted_errors_are_half_of_the_first_hundred_or_more(real_data, name, least):
    table, wrong = planted(real_data / name, 0.05)
    found = evaluate.likely_label_errors(evaluate.out_of_fold(table))
    assert precision(found, wrong) >= least
    suggested = found["suggested"][wrong[found.index]][:50]
    truth = pd.read_csv(real_data / name / "train.csv", dtype=str).dropna().reset_index(drop=True)
    assert (suggested == truth["label"][suggested.index]).mean() > 0.9


def test_rare_classes_have_fewer_folds_and_one_row_is_refused():
    table = pd.DataFrame({"text": [f"word{i} again{i % 3}" for i in range(30)], "label": "a"})
    table.loc[[3, 7, 11], "label"] = "b"
    found = evaluate.out_of_fold(table, "logistic")
    assert len(found) == 30
    assert np.allclose(found.filter(regex="^p_").sum(axis=1), 1)
    with pytest.raises(UserError, match="The class 'b' has one row"):
        evaluate.out_of_fold(table.drop([3, 7]), "logistic")
