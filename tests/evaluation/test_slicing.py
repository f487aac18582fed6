import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workbench import evaluate, models
from workbench.errors import UserError


def rows(accuracy, seed=0):
    """Predictions that are right with the probabilities `accuracy`."""
    right = np.random.default_rng(seed).random(len(accuracy)) < accuracy
    return pd.DataFrame({"text": "t", "label": "a", "predicted": np.where(right, "a", "b")})


def ways(n, seed=0):
    """Three ways to slice, the last two of which mostly agree."""
    random = np.random.default_rng(seed)
    long = random.random(n) < 0.3
    return pd.DataFrame({"domain": random.choice(list("xyz"), n), "long": long,
                         "negation": long ^ (random.random(n) < 0.1)})  # fmt: skip


@pytest.fixture(scope="module")
def sst2(real_data):
    train, test = (
        pd.read_csv(real_data / "sst2" / f"{split}.csv", dtype=str).dropna()
        for split in ("train", "test")
    )
    model = models.build("logistic").fit(list(train["text"]), list(train["label"]))
    predictions = evaluate.evaluate(model, test).predictions
    return predictions, evaluate.slice_columns(predictions, train["text"])


def test_texts_are_sliced_in_english_and_chinese():
    texts = ["It was not good.", "It was good, a gem of a film.", "质量不错。", "质量不好。"]
    predictions = pd.DataFrame({"text": texts, "domain": list("aabb")}, index=[7, 8, 9, 9])
    columns = evaluate.slice_columns(predictions)
    assert columns["words"].tolist()[:2] == [4, 8]
    assert columns["negation"].tolist() == [True, False, False, True]
    assert columns["language"].tolist() == ["en", "en", "zh", "zh"]
    assert columns["domain"].tolist() == list("aabb")


def test_a_word_is_rare_that_no_other_text_holds_or_none_of_training():
    predictions = pd.DataFrame({"text": ["good film", "good plot plot", "a plot"]})
    assert evaluate.slice_columns(predictions)["rare words"].tolist() == [1, 0, 1]
    assert evaluate.slice_columns(predictions, ["a film"])["rare words"].tolist() == [1, 3, 1]


def test_a_slice_is_set_against_all_other_rows():
    predictions, columns = rows(np.full(300, 0.8)), ways(300)
    found = evaluate.slices(predictions, columns)
    assert [*found.index] == [
        "domain: x", "domain: y", "domain: z", "long: False", "long: True",
        "negation: False", "negation: True",
    ]  # fmt: skip
    right, inside = predictions["predicted"] == "a", columns["long"]
    row = found.loc["long: True"]
    assert (row["n"], row["accuracy"]) == (inside.sum(), right[inside].mean())
    assert row["difference"] == pytest.approx(right[inside].mean() - right[~inside].mean())
    assert row["p"] == pytest.approx(stats.fisher_exact(pd.crosstab(right, inside)).pvalue)
    low, high = evaluate.wilson(int(right[inside].sum()), int(inside.sum()))
    assert (row["accuracy_low"], row["accuracy_high"]) == (low, high)
    assert (found["p_adjusted"] >= found["p"]).all()


def test_the_correction_is_that_of_permuted_rows():
    predictions, columns = rows(np.full(200, 0.7), 5), ways(200)
    found = evaluate.slices(predictions, columns)
    inside = pd.get_dummies(columns, columns=[*columns], dtype=float).to_numpy()
    right, random = (predictions["predicted"] == "a").to_numpy(), np.random.default_rng(1)
    drawn = np.stack([random.permutation(right) for _ in range(4000)])
    n = inside.sum(axis=0)

    def size(right):
        return np.abs(right @ inside - right.mean() * n) / np.sqrt(n * (200 - n))

    largest = np.stack([size(each) for each in drawn]).max(axis=1)
    expected = (largest[:, None] >= size(right) - 1e-9).mean(axis=0)
    assert found["p_adjusted"].to_numpy() == pytest.approx(expected, abs=0.03)
    lowest = np.quantile((drawn @ inside / n).min(axis=1), [0.025, 0.5, 0.975])
    assert found.attrs["lowest_by_chance"] == pytest.approx(lowest, abs=0.02)


def test_numbers_are_cut_into_thirds_and_small_slices_left_out():
    predictions = rows(np.full(90, 0.5))
    columns = {"words": range(90), "stars": [1, 2, 3] * 30, "rare": [True] * 5 + [False] * 85}
    found = evaluate.slices(predictions, columns)
    assert [*found.index] == [
        "words: 0–29", "words: 30–59", "words: 60–89", "stars: 1", "stars: 2", "stars: 3",
    ]  # fmt: skip
    assert "rare: True" in evaluate.slices(predictions, columns, least=5).index


def test_columns_that_cannot_be_used_are_refused():
    with pytest.raises(UserError, match="3 rows, the predictions 90"):
        evaluate.slices(rows(np.full(90, 0.5)), {"mine": [1, 2, 3]})
    with pytest.raises(UserError, match="lower `least`"):
        evaluate.slices(rows(np.full(90, 0.5)), {"mine": [True] * 90})


def test_on_shuffled_labels_slices_are_claimed_in_at_most_5_percent(sst2):
    predictions, columns = sst2
    assert claimed(predictions, columns, 200, draws=999) <= 0.05


@pytest.mark.slow
def test_on_shuffled_labels_slices_are_claimed_at_the_level(sst2):
    assert 0.025 <= claimed(*sst2, 2000, draws=1999) <= 0.055


def claimed(predictions, columns, runs, draws):
    """The share of shuffles of the labels in which a slice is claimed at 5%."""
    found = []
    for seed in range(runs):
        labels = np.random.default_rng(seed).permutation(predictions["label"])
        shuffled = predictions[["text", "predicted"]].assign(label=labels)
        table = evaluate.slices(shuffled, columns, draws=draws, seed=seed)
        found.append((table["p_adjusted"] < 0.05).any())
    return np.mean(found)


def test_a_planted_slice_is_found_and_no_other():
    columns = ways(1000).assign(domain=np.random.default_rng(3).choice(list("xyz"), 1000))
    accuracy = np.where(columns["domain"] == "z", 0.72, 0.85)
    tables = [evaluate.slices(rows(accuracy, s), columns, draws=999) for s in range(100)]
    p = pd.DataFrame([table["p_adjusted"] for table in tables])
    assert (p["domain: z"] < 0.05).mean() > 0.9
    assert (p[["long: True", "negation: True"]] < 0.05).any(axis=1).mean() < 0.1


def test_what_the_lowest_slice_means_on_sst2(sst2):
    found = evaluate.slices(*sst2)
    assert found["accuracy"].idxmin() == "rare words: 2–9"
    assert found["p_adjusted"].min() < 0.05
    assert (found["p"] < 0.05).sum() > (found["p_adjusted"] < 0.05).sum()
