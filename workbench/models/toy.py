"""A toy problem: points of a plane, and what a training loop makes of them."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from workbench.errors import UserError
from workbench.training.history import History

POINTS = ("XOR", "two moons", "circles", "noisy blobs")
COLUMNS = ("loss", "validation_loss", "accuracy", "validation_accuracy")
EPOCHS = 60
RANGE, CELLS = 3.0, 41  # the plane is drawn from −3 to 3
_CHANCE = math.log(2)  # the loss of a coin


def train(function: Callable, settings: dict, seed: int) -> tuple[History, pd.DataFrame]:
    """Call `function` on 120 points of the plane, with 240 others to validate on.

    Parameters
    ----------
    function : see `widgets.Switchboard`.
    settings : ``data``, one of `POINTS`, ``activation``, and what else the function takes.

    Returns
    -------
    The History, whose last row also holds the norms of the loss's gradient for the weights of the
    first and of the last layer; and the probability of class 1, a row for each y, a column for
    each x.

    Raises
    ------
    UserError : the function's History is empty or lacks a column.
    """
    import torch
    from torch import nn

    switches = {name: setting for name, setting in settings.items() if name != "data"}
    switches["start"] = "he" if settings["activation"] == "ReLU" else "xavier"
    switches["activation"] = {"ReLU": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}[
        settings["activation"]
    ]
    sets = []
    for n, state in ((120, seed), (240, seed + 1)):
        points, labels = make_points(settings["data"], n, state)
        sets += [torch.tensor(points, dtype=torch.float32), torch.tensor(labels)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on matrices this small a second one is only waited for
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network, history = function(tuple(sets), epochs=EPOCHS, **switches)
    finally:
        torch.set_num_threads(threads)
    lacking = [name for name in COLUMNS if not history or name not in history[-1]]
    if lacking:
        raise UserError(f"The rows of the History lack {', '.join(lacking)}.")
    network.eval().zero_grad()
    nn.functional.cross_entropy(network(sets[0]), sets[1]).backward()
    norms = [p.grad.norm().item() for p in network.parameters() if p.dim() > 1]
    measured = History(history[:-1])
    measured.log(**history[-1], gradient_first=norms[0], gradient_last=norms[-1])
    axis = np.linspace(-RANGE, RANGE, CELLS)
    grid = torch.tensor(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2), dtype=torch.float32)
    with torch.no_grad():
        probabilities = network(grid).softmax(1)[:, 1].reshape(CELLS, CELLS).numpy()
    return measured, pd.DataFrame(probabilities, axis, axis)


def diagnose(history: History) -> tuple[str, str]:
    """What became of a training, in a sentence, and whether it is good or bad news.

    The first that is true. Diverged: a loss is NaN; diverging: by the rule of `History.reading`.
    Vanishing gradients: the first layer's is less than a thousandth of the last one's, and less
    than four fifths of the training points are right. Worse than guessing: the training loss at
    the end or the lowest validation loss is more than 5% above log 2. Overfits: the validation
    loss has risen by more than a tenth from its lowest, while the training loss fell. Learned:
    four fifths of the validation points are right.
    """
    end, curve = history[-1], history.reading()
    if any(None in (row["loss"], row["validation_loss"]) for row in history):
        return "Diverged: the loss is NaN. Try a smaller learning rate or clipping.", "bad"
    if curve.startswith("Diverging"):
        return curve, "bad"
    if end["accuracy"] < 0.8 and end["gradient_first"] < end["gradient_last"] / 1000:
        return (
            "Vanishing gradients: the first layer gets less than a thousandth of what the last one "
            "gets. Try ReLU, batch norm or fewer layers."
        ), "bad"
    best = min(history, key=lambda row: row["validation_loss"])
    low, high = best["validation_loss"], end["validation_loss"]
    if max(end["loss"], low) > 1.05 * _CHANCE:
        return (
            f"Worse than guessing, whose loss is {_CHANCE:.3f}: training {end['loss']:.3f}, "
            f"validation {high:.3f}. Try a smaller learning rate or clipping."
        ), "bad"
    if high > 1.1 * low and end["loss"] < best["loss"]:
        return (
            f"Overfits since epoch {best['step']}: the validation loss was {low:.3f} and is "
            f"{high:.3f}, while the training loss falls. Try L1, L2 or dropout."
        ), "bad"
    score = f"{100 * end['validation_accuracy']:.0f}% of the validation points are right."
    if end["validation_accuracy"] >= 0.8:
        return f"Learned: {score}", "good"
    return f"Not learned yet: {score} Try a higher learning rate or more neurons.", "plain"


def make_points(data: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points about the origin, shape (n, 2), and their labels, 0 or 1."""
    from sklearn import datasets

    if data == "XOR":
        rng = np.random.default_rng(seed)
        corners = rng.choice([-1.0, 1.0], (n, 2))
        return corners + rng.normal(0, 0.5, (n, 2)), (corners[:, 0] != corners[:, 1]).astype(int)
    if data == "two moons":
        points, labels = datasets.make_moons(n, noise=0.25, random_state=seed)
        return 1.3 * (points - [0.5, 0.25]), labels
    if data == "circles":
        points, labels = datasets.make_circles(n, noise=0.15, factor=0.4, random_state=seed)
        return 1.6 * points, labels
    centres = [(-0.7, -0.7), (0.7, 0.7)]
    return datasets.make_blobs(n, centers=centres, cluster_std=1.0, random_state=seed)
