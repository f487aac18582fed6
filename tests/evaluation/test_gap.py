from itertools import product

import numpy as np
import pytest
import sklearn
from scipy import stats

from workbench.errors import UserError
from workbench.evaluation import gap

WORDS = np.array(["".join(letters) for letters in product("bdgkmp", "aeiou", "lnrst", "ao")])


def texts(n, seed, words=WORDS):
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(words, 12)) for _ in range(n)]


def clouds(shift, n=300, dimensions=3, seed=0):
    draw = np.random.default_rng(seed)
    source, target = draw.normal(size=(2, n, dimensions))
    return source, target + shift * np.eye(dimensions)[0]


def test_one_domain_has_no_distance():
    found = gap.measure(texts(300, 0), texts(300, 1), clouds(0))
    assert abs(found["a_distance_words"]) < 0.2
    assert abs(found["a_distance_vectors"]) < 0.2
    assert abs(found["mmd"]) < 0.005
    assert found["known"] > 0.99


def test_the_very_same_texts_have_none_either():
    """Without equal texts in one fold, a classifier would learn to name the other side."""
    same = texts(100, 0)
    source, _ = clouds(0, 100)
    found = gap.measure(same, same[::-1], [source, source[::-1]])
    assert abs(found["a_distance_words"]) < 0.3
    assert abs(found["a_distance_vectors"]) < 0.3
    assert found[["known", "jaccard"]].tolist() == [1, 1]
    assert abs(found["mmd"]) < 0.02


def test_without_a_word_or_a_place_in_common_they_are_wide_apart():
    found = gap.measure(texts(60, 0, WORDS[:150]), texts(60, 1, WORDS[150:]), clouds(20, 60))
    assert found["known"] == found["jaccard"] == 0
    assert found["a_distance_words"] > 1.9
    assert found["a_distance_vectors"] == 2
    assert found["mmd"] > 0.8


def test_the_a_distance_of_two_normal_clouds_is_that_of_the_best_classifier():
    found = gap.measure(texts(2000, 0), texts(2000, 1), clouds(1.5, 2000))
    error = stats.norm.cdf(-1.5 / 2)
    assert found["a_distance_vectors"] == pytest.approx(2 * (1 - 2 * error), abs=0.08)


@pytest.mark.parametrize("n", [40, 300])
def test_the_sides_weigh_the_same_whatever_their_numbers(n):
    source, target = clouds(1, 1500)
    p, _ = gap.telling_apart(texts(1500, 0), texts(n, 1), [source, target[:n]])
    ratio = np.exp(source[:, 0] - 0.5)  # of two normal densities, one apart
    assert np.corrcoef(np.log(p / (1 - p)), np.log(ratio))[0, 1] > 0.9
    assert np.average(source[:, 0], weights=p / (1 - p)) == pytest.approx(1, abs=0.35)
    alike = gap.measure(texts(600, 0), texts(n, 1))
    assert abs(alike["a_distance_words"]) < 0.3


def test_what_is_known_of_the_target_has_a_direction():
    small, large = texts(20, 0, WORDS[:20]), texts(200, 1)
    there, back = gap.measure(small, large), gap.measure(large, small)
    assert there["known"] < 0.2
    assert back["known"] > 0.9
    assert there["jaccard"] == back["jaccard"]


def test_overlaps_are_counted_in_running_and_in_different_words():
    source = [f"good film number {i}" for i in range(10)]
    target = [f"good good pan {i}" for i in range(10)]
    found = gap.measure(source, target)
    assert found["known"] == pytest.approx(3 / 4)
    assert found["jaccard"] == pytest.approx(11 / 14)


def test_mmd_is_the_unbiased_estimate_of_its_definition():
    source, target = clouds(1, 12)
    rows = [*source, *target[:9]]
    median = np.median([np.linalg.norm(a - b) for i, a in enumerate(rows) for b in rows[:i]])

    def mean(one, other):
        return np.mean([np.exp(-np.sum((a - b) ** 2) / (2 * median**2))
                        for i, a in enumerate(one) for j, b in enumerate(other)
                        if one is not other or i != j])  # fmt: skip

    left, right = list(source), list(target[:9])
    expected = mean(left, left) + mean(right, right) - 2 * mean(left, right)
    assert gap.mmd(source, target[:9]) == pytest.approx(expected)
    assert gap.mmd(np.ones((4, 2), np.float32), np.ones((4, 2), np.float32)) == 0


def test_mmd_is_right_on_average_where_the_biased_estimate_is_not():
    draws = [gap.mmd(*clouds(0, 20, seed=seed)) for seed in range(200)]
    assert abs(np.mean(draws)) < 3 * stats.sem(draws)
    assert min(draws) < 0


def test_what_cannot_be_measured_is_refused():
    good = texts(20, 0)
    with pytest.raises(UserError, match="Expected source as a list or a column, got str"):
        gap.measure("a text", good)
    with pytest.raises(UserError, match="10 different texts of each domain are needed: one has 2"):
        gap.measure(good, ["one", "two"] * 10)
    with pytest.raises(UserError, match="a row for each source and target text"):
        gap.measure(good, good, [np.ones((20, 2)), np.ones((19, 2))])
    with pytest.raises(UserError, match="Row 0 of target is missing"):
        gap.measure(good, [None, *good])


def test_it_is_counted_when_skada_has_changed_how_scikit_learn_takes_groups():
    import skada  # noqa: F401 - it switches metadata routing on

    assert sklearn.get_config()["enable_metadata_routing"]
    assert gap.measure(texts(20, 0), texts(20, 1))["known"] > 0
