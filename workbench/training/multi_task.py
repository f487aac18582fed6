"""Training on several tasks at once: one encoder, and a loss of which each task has its share.

Torch is imported with this module, which is imported only where a model is trained.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
import transformers
from torch import nn
from torch.nn.functional import cross_entropy

from workbench.training import strategies
from workbench.training.batches import IGNORED
from workbench.training.history import History


class Shared(nn.Module):
    """A classifier whose classes are those of all tasks, one task after the other.

    The rows of its last layer that belong to a task are the linear head of that task: a text has
    logits, and gives gradients, for the classes of its own task alone.

    Parameters
    ----------
    model : a sequence classifier of `transformers`, or one with adapters.
    classes : how many each task has.
    weights : of the mean loss of each task.
    factors : by which a text of a task that is drawn seldom counts more.
    uncertainty : whether each task also has a log-variance s, and its loss L becomes
        exp(-s) L + s / 2, by which s is learned (Kendall, Gal & Cipolla 2018, s being log σ²).
    """

    accepts_loss_kwargs = False  # else `Trainer` hands the number of labels on to the encoder

    def __init__(
        self, model, classes: Sequence[int], weights: np.ndarray, factors: np.ndarray,
        uncertainty: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.model = model
        self.rates = {"log_variances": 100.0}  # at an encoder's rate they would hardly move
        of_class = torch.arange(len(classes)).repeat_interleave(torch.tensor(classes))
        self.register_buffer("of_class", of_class, persistent=False)
        self.register_buffer(
            "factors", torch.as_tensor(weights * factors, dtype=torch.float32), persistent=False
        )
        self._weights = weights
        self.log_variances = nn.Parameter(torch.zeros(len(classes)), requires_grad=uncertainty)
        self.lost: list[list] = [[] for _ in classes]  # since the last row of the history

    def forward(self, task, **inputs):
        """Output of the classifier for a batch of texts, and of which task each is."""
        output = self.model(**inputs)
        of_others = self.of_class != task[:, None]
        lowest = torch.finfo(output.logits.dtype).min
        output["logits"] = output.logits.masked_fill(of_others, lowest)
        output["log_variances"], output["task"] = self.log_variances[task], task
        return output

    def weights(self) -> list[float]:
        """Of the tasks, those that were learned among them."""
        return (self._weights * self.log_variances.detach().neg().exp().cpu().numpy()).tolist()

    def loss(self, outputs, labels, num_items_in_batch=None):
        """As `Trainer` calls it: the weighted sum, divided by the labels of the whole batch."""
        real = labels != IGNORED
        logits, task, s = (outputs[name][real] for name in ("logits", "task", "log_variances"))
        lost = cross_entropy(logits.float(), labels[real], reduction="none")
        for number, kept in enumerate(self.lost):
            kept.append(lost.detach()[task == number])
        weighted = self.factors[task] * (torch.exp(-s) * lost + s / 2)
        return weighted.sum() / torch.as_tensor(num_items_in_batch).clamp(min=1)


class TaskLosses(transformers.TrainerCallback):
    """Adds the mean cross-entropy of each task, since the last row, to the rows of a history."""

    def __init__(self, shared: Shared, history: History, tasks: Sequence[str]) -> None:
        self._shared, self._history, self._tasks = shared, history, tasks

    def on_log(self, args, state, control, logs=None, **_):
        for task, kept in zip(self._tasks, self._shared.lost, strict=True):
            if "loss" in logs and len(found := torch.cat(kept)):
                self._history[-1][f"{task}_loss"] = float(found.mean())
            kept.clear()


def with_classes(model, kept: slice, classes: Sequence):
    """A classifier of some of the `classes` of `model`, which has its encoder in common with it.

    Raises
    ------
    UserError : the head ends in no linear layer.
    """
    part = copy.deepcopy(model, {id(model.base_model): model.base_model})
    last = strategies.last_linear(part, model.config.num_labels, "to share out to tasks")
    for name, values in last.named_parameters():
        setattr(last, name, nn.Parameter(values.data[kept]))
    last.out_features = part.num_labels = len(classes)
    part.config.id2label = {i: str(c) for i, c in enumerate(classes)}
    part.config.label2id = {str(c): i for i, c in enumerate(classes)}
    return part
