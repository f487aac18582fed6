import numpy as np
import pandas as pd
import pytest

from workbench import evaluate, models, plots
from workbench.errors import UserError

SIZES = (50, 100, 200, 400, 800)


def accuracy(n, a=0.1, b=2.0, c=0.5):
    return 1 - a - b * n**-c


def curve(seed=0, sizes=SIZES, draws=5, sd=0.01, law=accuracy):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {"model": "m", "labels": n, "draw": d, "accuracy": law(n) + sd * random.normal()}
        for n in sizes for d in range(draws)
    )  # fmt: skip


def test_a_power_law_is_carried_on():
    found = evaluate.extrapolate(curve(sd=1e-5), 3200)
    assert found["labels"].iloc[[0, -1]].tolist() == pytest.approx([50, 3200])
    assert found["accuracy"].to_numpy() == pytest.approx(accuracy(found["labels"]), abs=1e-3)
    bleu = curve(sd=1e-5).assign(bleu=lambda t: 100 * t["accuracy"])
    assert evaluate.extrapolate(bleu, 3200, "bleu")["bleu"].iloc[-1] == pytest.approx(
        100 * accuracy(3200), abs=0.1
    )


def test_the_interval_holds_the_truth():
    ends = pd.DataFrame(
        evaluate.extrapolate(curve(seed), 1600, draws=60).iloc[-1] for seed in range(40)
    )
    inside = ends["accuracy_low"].le(accuracy(1600)) & ends["accuracy_high"].ge(accuracy(1600))
    assert inside.mean() >= 0.85
    assert (ends["accuracy_high"] - ends["accuracy_low"]).mean() < 0.1


def test_the_interval_is_wider_where_the_power_law_misses():
    bent = curve(sd=1e-3, law=lambda n: accuracy(n) + 0.02 * (n == 200))
    end = evaluate.extrapolate(bent, 1600).iloc[-1]
    assert end["accuracy_high"] - end["accuracy_low"] > 0.02


def test_sizes_that_do_not_tell_are_refused():
    with pytest.raises(UserError, match="2 draws each of 4 sizes"):
        evaluate.extrapolate(curve(sizes=SIZES[:3]), 1600)
    with pytest.raises(UserError, match="2 draws each of 4 sizes"):
        evaluate.extrapolate(curve(draws=1), 1600)
    with pytest.raises(UserError, match="m: these sizes leave open what 100000 labels"):
        evaluate.extrapolate(curve(sd=0.1, law=lambda n: 0.7), 100_000)


def test_on_sst2_twice_the_labels_are_foreseen_better_than_by_the_last_size(real_data):
    train, test = (
        pd.read_csv(real_data / "sst2" / f"{split}.csv", dtype=str).dropna()
        for split in ("train", "test")
    )
    rows = []
    for draw in range(3):
        drawn = train.sample(frac=1, random_state=draw)
        for n in (100, 200, 400, 800, 1600):
            model = models.build("logistic").fit(list(drawn["text"][:n]), list(drawn["label"][:n]))
            right = model.predict(list(test["text"])) == test["label"].to_numpy()
            rows.append({"model": "logistic", "labels": n, "accuracy": right.mean()})
    measured = pd.DataFrame(rows)
    means = measured.groupby("labels")["accuracy"].mean()
    end = evaluate.extrapolate(measured.query("labels < 1600"), 1600).iloc[-1]
    assert abs(end["accuracy"] - means[1600]) < 0.6 * (means[1600] - means[800])
    assert end["accuracy_low"] < means[1600] < end["accuracy_high"]


def test_the_chart_shows_the_fit_with_its_interval_at_the_end():
    table = curve()
    figure = plots.learning_curve(table, fitted=evaluate.extrapolate(table, 3200))
    _, line = figure.data
    assert figure.layout.xaxis.tickvals == (*SIZES, 3200)
    assert line.name == "m, fitted"
    assert line.x[-1] == pytest.approx(3200)
    ends = np.asarray(line.error_y.array, float)
    assert np.isnan(ends[:-1]).all() and ends[-1] > 0
