import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from workbench import evaluate, models
from workbench.errors import UserError
from workbench.evaluation import calibration


def drawn(n, seed=0, sharpness=1.0, classes="ab"):
    """Predictions whose labels are drawn by the probabilities; `sharpness` above 1 overstates."""
    random = np.random.default_rng(seed)
    logits = 1.5 * random.normal(size=(n, len(classes)))
    names = np.array(list(classes))
    truth = (softmax(logits, axis=1).cumsum(axis=1) < random.random((n, 1))).sum(axis=1)
    p = softmax(sharpness * logits, axis=1)
    table = {
        "id": np.arange(n).astype(str),
        "text": "t",
        "label": names[truth.clip(max=len(names) - 1)],
    }
    columns = {f"p_{c}": column for c, column in zip(names, p.T, strict=True)}
    return pd.DataFrame(table | {"predicted": names[p.argmax(axis=1)]} | columns)


def argmax(predictions):
    return predictions.filter(regex="^p_").to_numpy().argmax(axis=1)


@pytest.fixture(scope="module")
def sst2(real_data):
    """The predictions of two models on validation and test."""
    train, dev, test = (
        pd.read_csv(real_data / "sst2" / f"{split}.csv", dtype=str).dropna()
        for split in ("train", "dev", "test")
    )
    found = {}
    for name in ("logistic", "naive-bayes"):
        model = models.build(name).fit(list(train["text"]), list(train["label"]))
        found[name] = [evaluate.evaluate(model, table).predictions for table in (dev, test)]
    return found


# --- reliability and calibration error ------------------------------------------------------------


def test_bins_hold_every_row_and_their_accuracy_with_wilsons_interval():
    table = pd.DataFrame({"label": list("aaab"), "predicted": "a", "p_a": [1.0, 0.99, 0.6, 0.65]})
    bins = evaluate.reliability(table)
    assert bins["n"].to_dict() == {6: 2, 9: 2}
    assert bins["confidence"].tolist() == pytest.approx([0.625, 0.995])
    assert bins["accuracy"].tolist() == [0.5, 1.0]
    assert tuple(bins.loc[6, ["accuracy_low", "accuracy_high"]]) == evaluate.wilson(1, 2)


def test_the_expected_calibration_error_is_the_mean_gap_of_the_bins():
    predictions = drawn(500, sharpness=2)
    bins = evaluate.reliability(predictions)
    gap = np.average((bins["accuracy"] - bins["confidence"]).abs(), weights=bins["n"])
    assert evaluate.calibration_error(predictions, draws=9)["ece"] == pytest.approx(gap)


@pytest.mark.parametrize("classes", ["ab", "abcde"])
def test_the_debiased_error_of_calibrated_predictions_is_0_on_the_mean(classes):
    found = pd.DataFrame(
        evaluate.calibration_error(drawn(300, seed, classes=classes), draws=19)
        for seed in range(200)
    )
    square = np.copysign(found["debiased"] ** 2, found["debiased"])
    assert abs(square.mean()) < 3 * square.sem()
    assert abs(found["debiased"].mean()) < 0.01 < 0.03 < found["ece"].mean()
    assert found["ece"].mean() == pytest.approx(found["by_chance"].mean(), abs=0.003)
    assert 0.01 <= (found["p"] <= 0.05).mean() <= 0.09


def test_the_debiased_error_of_a_model_that_is_too_sure_is_that_of_many_rows():
    truth = evaluate.calibration_error(drawn(100_000, sharpness=2), draws=9)
    found = pd.DataFrame(
        evaluate.calibration_error(drawn(300, seed, sharpness=2), draws=9) for seed in range(200)
    )
    square = np.copysign(found["debiased"] ** 2, found["debiased"])
    assert square.mean() == pytest.approx(truth["debiased"] ** 2, abs=3 * square.sem())
    assert evaluate.calibration_error(drawn(1000, sharpness=2))["p"] == 0.001


def test_predictions_without_probabilities_are_refused():
    with pytest.raises(UserError, match="Probabilities are needed"):
        evaluate.reliability(drawn(5)[["id", "text", "label", "predicted"]])


# --- temperature ----------------------------------------------------------------------------------


def test_temperature_undoes_what_overstates():
    assert evaluate.temperature(drawn(20_000, sharpness=3)) == pytest.approx(3, rel=0.05)
    assert evaluate.temperature(drawn(20_000, sharpness=0.5)) == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("temperature", [0.05, 0.7, 1, 3, 150])
def test_no_temperature_changes_the_predicted_class_at_ties_neither(temperature):
    random = np.random.default_rng(0)
    half = 0.5 + np.array([-2, -1, 0, 1, 2]) * 2.0**-53
    p = np.vstack([
        np.column_stack([half, 1 - half, 0 * half]), np.column_stack([0 * half, 1 - half, half]),
        np.eye(3), np.full((1, 3), 1 / 3), random.dirichlet([0.01] * 3, 500),
        random.integers(0, 3, (500, 3)) + 1e-13,
    ])  # fmt: skip
    p = p / p.sum(axis=1, keepdims=True)
    cooled = calibration.tempered(p, temperature)
    assert (cooled.argmax(axis=1) == p.argmax(axis=1)).all()
    assert cooled.sum(axis=1) == pytest.approx(1)
    assert cooled.min() >= 0 and cooled.max() <= 1


@pytest.mark.parametrize("name", ["logistic", "naive-bayes"])
def test_on_sst2_temperature_lowers_the_loss_and_leaves_accuracy(sst2, name):
    validation, test = sst2[name]
    cooled = evaluate.cooled(test, evaluate.temperature(validation))
    assert (argmax(cooled) == argmax(test)).all()
    before, after = evaluate.metrics(test), evaluate.metrics(cooled)
    assert after["accuracy"] == before["accuracy"]
    assert after["loss"] < before["loss"]
    errors = [evaluate.calibration_error(table)["debiased"] for table in (test, cooled)]
    assert errors[1] < errors[0]


# --- what is answered -----------------------------------------------------------------------------


def test_the_area_is_the_mean_risk_and_of_equal_confidences_the_error():
    table = pd.DataFrame(
        {"label": list("aaab"), "predicted": list("aaaa"), "p_a": [0.9, 0.8, 0.7, 0.6]}
    )
    curve = evaluate.risk_coverage(table)
    assert curve["coverage"].tolist() == [0.25, 0.5, 0.75, 1]
    assert curve["risk"].tolist() == [0, 0, 0, 0.25]
    assert curve.attrs["area"] == 1 / 16
    assert evaluate.risk_coverage(table.assign(p_a=0.5)).attrs["area"] == 0.25
    assert len(evaluate.risk_coverage(table.assign(p_a=0.5))) == 1


def test_the_surest_half_of_sst2_has_fewer_errors(sst2):
    curve = evaluate.risk_coverage(sst2["logistic"][1])
    half, all_rows = curve.iloc[(curve["coverage"] - 0.5).abs().argmin()], curve.iloc[-1]
    assert half["risk_high"] < all_rows["risk_low"]
    assert half["risk"] < 0.5 * all_rows["risk"]
    assert curve.attrs["area"] < 0.5 * all_rows["risk"]


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "coverage"), [("ab", 0.9), ("abcde", 0.8)])
def test_conformal_sets_cover_the_truth_as_often_as_they_say(classes, coverage):
    """Also where the probabilities are overstated; 2,000 draws of both tables."""
    assert simulated(classes, coverage, 2000) == pytest.approx(coverage, abs=0.01)


def test_a_few_conformal_sets_cover_the_truth_as_often_as_they_say():
    assert simulated("abc", 0.8, 150) == pytest.approx(0.8, abs=0.02)


def simulated(classes, coverage, draws):
    world, size = drawn(400 * draws, sharpness=3, classes=classes), 400
    tables = [world[i : i + size] for i in range(0, len(world), size)]
    found = [evaluate.conformal_sets(t[:200], t[200:], coverage) for t in tables]
    return np.mean([table["covered"].mean() for table in found])


def test_too_few_validation_rows_give_sets_of_all_classes():
    found = evaluate.conformal_sets(drawn(8), drawn(20, 1), coverage=0.9)
    assert set(found["set"]) == {"a | b"}
    assert found["covered"].all()


def test_probabilities_of_other_classes_are_refused():
    with pytest.raises(UserError, match="other classes"):
        evaluate.conformal_sets(drawn(20), drawn(20, classes="abc"))


def test_conformal_sets_on_sst2(sst2):
    found = evaluate.conformal_sets(*sst2["logistic"], coverage=0.9)
    assert 0.87 < found["covered"].mean() < 0.93
    assert 1 < found["size"].mean() < 1.4
    assert (found["size"] == found["set"].str.count(r"\|") + (found["set"] != "")).all()
