import numpy as np
import pytest

from workbench.models import toy
from workbench.training.history import History

LEARNED = {"loss": 0.2, "validation_loss": 0.3, "accuracy": 0.95, "validation_accuracy": 0.9,
           "gradient_first": 0.1, "gradient_last": 0.1}  # fmt: skip
FIRST = {**LEARNED, "loss": 1.0, "validation_loss": 0.6}


@pytest.mark.parametrize("data", toy.POINTS)
def test_both_classes_are_on_the_plane(data):
    points, labels = toy.make_points(data, 200, 0)
    assert points.shape == (200, 2)
    assert 80 <= labels.sum() <= 120
    assert np.abs(points.mean(axis=0)).max() < 0.3
    assert (np.abs(points) < toy.RANGE).mean() > 0.95


@pytest.mark.parametrize(
    ("last", "start", "kind"),
    [
        ({}, "Learned: 90%", "good"),
        ({"validation_accuracy": 0.79}, "Not learned yet: 79%", "plain"),
        ({"validation_loss": 0.67}, "Overfits since epoch 1", "bad"),
        ({"loss": 0.74}, "Worse than guessing, whose loss is 0.693", "bad"),
        ({"accuracy": 0.79, "gradient_first": 9e-5}, "Vanishing gradients", "bad"),
        ({"accuracy": 0.79, "gradient_first": 2e-4}, "Learned", "good"),
        ({"validation_loss": float("nan")}, "Diverged: the loss is NaN", "bad"),
    ],
)
def test_a_curve_is_diagnosed_by_the_first_rule_that_holds(last, start, kind):
    history = History()
    history.log(step=1, **FIRST)
    history.log(step=2, **LEARNED | last)
    text, how = toy.diagnose(history)
    assert (text.startswith(start), how) == (True, kind), text
