"""The loss that training lowers: cross-entropy or a contrastive one, and the L1 penalty."""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from workbench.training.batches import IGNORED


def cross_entropy_loss(
    class_weights: np.ndarray | None, smoothing: float, soft: np.ndarray | None = None
) -> Callable:
    """Cross-entropy as `Trainer` calls it, summed and divided by the labels of the whole batch.

    Labels are one a text or one a position, where `IGNORED` ones enter neither sum nor count; a
    model may give the logits of the other positions alone. However a batch is cut into pieces,
    their losses add up to that of the whole. A batch without a label (masked-LM training may hide
    no token of a short text) has a loss of zero.

    Parameters
    ----------
    class_weights : shape (classes,).
    smoothing : share of the label that is spread over all classes.
    soft : probabilities, shape (rows, classes), of which a label of a text is then the row.
    """
    weights, table = (
        None if given is None else torch.from_numpy(np.float32(given))
        for given in (class_weights, soft)
    )

    def loss(outputs, labels, num_items_in_batch=None):
        logits = outputs.logits
        if table is not None:
            kept = labels != IGNORED
            logits, labels = logits[kept], table.to(labels.device)[labels[kept]]
        elif labels.shape == logits.shape[:-1]:
            logits, labels = logits.flatten(0, -2), labels.flatten()
        else:
            labels = labels[labels != IGNORED]
        summed = cross_entropy(
            logits.float(), labels, None if weights is None else weights.to(labels.device),
            label_smoothing=smoothing, reduction="sum", ignore_index=IGNORED,
        )  # fmt: skip
        return summed / torch.as_tensor(num_items_in_batch).clamp(min=1)

    return loss


def contrastive_loss(temperature: float = 0.1) -> Callable:
    """Supervised contrastive loss over the pairs of a batch (Khosla et al. 2020, their L_out).

    The ``logits`` of the model are vectors of length 1, shape (texts, dimensions); each is to be
    nearer to the vectors of its class than to the others. A text that is alone of its class in a
    batch has no pair, and a loss of zero.
    """

    def loss(outputs, labels, num_items_in_batch=None):
        vectors = outputs.logits.float()
        itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
        same = (labels[:, None] == labels) & ~itself
        scores = (vectors @ vectors.T / temperature).masked_fill(itself, -torch.inf)
        mean = scores.log_softmax(1).masked_fill(~same, 0.0).sum(1) / same.sum(1).clamp(min=1)
        return -mean.sum() / torch.as_tensor(num_items_in_batch).clamp(min=1)

    return loss


def add_l1_gradient(model: torch.nn.Module, weight: float) -> None:
    """Add the subgradient of `weight` times the sum of absolute weights; biases are spared."""
    for parameter in model.parameters():
        if parameter.grad is not None and parameter.ndim > 1:
            parameter.grad.add_(parameter.sign(), alpha=weight)
