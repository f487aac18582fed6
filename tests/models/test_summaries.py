"""Summaries are sentences of the text, chosen as the papers say, and the same each time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workbench import models, text
from workbench.errors import UserError
from workbench.models import summaries
from workbench.models.summaries import Extractive

WRITTEN = (
    "The kettle is quiet. The lid leaks a little. My dog ate the manual. It boils water in a "
    "minute. The kettle makes no noise. Delivery took a week. The handle stays cool."
)
CHINESE = "这把刀很快。刀柄有点松。切菜很轻松！送货慢？刀切得快。我妈也喜欢。"
methods = st.sampled_from(summaries.METHODS)
shares = st.floats(0, 1)


def positions(summary: str, written: str) -> list[int]:
    found = text.sentences(written)
    return [found.index(sentence) for sentence in text.sentences(summary)]


@given(methods, st.integers(1, 9), shares, st.sampled_from([WRITTEN, CHINESE]))
@settings(deadline=None, max_examples=40)
def test_a_summary_is_as_many_sentences_as_asked_for_in_their_order(method, n, redundancy, written):
    model = Extractive(method=method, sentences=n, redundancy=redundancy)
    summary, again = (
        model.predict([written, "Another one. And one more. Here a third. Fourth."])[0],
        model.predict([written])[0],
    )
    chosen = positions(summary, written)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(n, len(text.sentences(written)))
    assert summary == again


def test_lead_is_the_first_sentences_and_random_goes_by_its_seed():
    lead = Extractive(method="lead", sentences=2).predict([WRITTEN])
    assert lead == ["The kettle is quiet. The lid leaks a little."]
    drawn = {Extractive(method="random", seed=seed).predict([WRITTEN])[0]
             for seed in range(20)}  # fmt: skip
    assert len(drawn) > 10


@given(arrays(float, 6, elements=shares, unique=True), st.integers(1, 6))
def test_without_redundancy_control_the_most_important_are_chosen(important, wanted):
    chosen = summaries._diverse(important, np.ones((6, 6)), wanted, 0.0)
    assert chosen == list(np.argsort(-important)[:wanted])


def test_redundancy_control_leaves_out_what_was_said():
    """Two sentences that say the same, and a third that is less important."""
    alike = np.array([[1, 0.99, 0], [0.99, 1, 0], [0, 0, 1]])
    important = np.array([1, 0.9, 0.3])
    assert summaries._diverse(important, alike, 2, 0.0) == [0, 1]
    assert summaries._diverse(important, alike, 2, 0.5) == [0, 2]


@pytest.mark.parametrize("method", ["centroid", "textrank"])
def test_what_most_sentences_are_about_is_important(method):
    topic = [
        "The kettle boils water fast.",
        "This kettle boils quickly.",
        "Water boils in no time.",
    ]
    written = " ".join([*topic[:2], "My uncle plays the trombone in Ghent.", topic[2]])
    found = Extractive(method=method, sentences=1).predict([written])
    assert found[0] in topic


def test_texts_without_a_sentence_and_texts_of_one():
    model = Extractive()
    assert model.predict(["", " \n", "!!!", "Only this."]) == ["", "", "", "Only this."]
    assert model.predict([]) == []
    assert model.fit() is model


@pytest.mark.parametrize(
    ("given_settings", "match"),
    [
        ({"method": "centriod"}, "did you mean 'centroid'"),
        ({"sentences": 0}, "sentences must be a whole number of at least 1"),
        ({"redundancy": 1.5}, "redundancy must be a number .* at most 1"),
    ],
)
def test_settings_that_make_no_sense(given_settings, match):
    with pytest.raises(UserError, match=match):
        Extractive(**given_settings).predict([WRITTEN])


def test_a_single_string_is_refused():
    with pytest.raises(UserError, match="texts"):
        Extractive(method="lead").predict(WRITTEN)


def test_it_is_described_by_the_arguments_that_build_it():
    model = models.build("extractive", method="textrank", sentences=2)
    description = models.describe(model)
    assert description.pop("model") == "extractive"
    assert models.build("extractive", **description).get_params() == model.get_params()
