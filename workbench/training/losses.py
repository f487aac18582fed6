"""The loss that training lowers: cross-entropy, and the L1 penalty beside it."""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import cross_entropy


def cross_entropy_loss(class_weights: np.ndarray | None, smoothing: float) -> Callable:
    """Cross-entropy as `Trainer` calls it, summed and divided by the labels of the whole batch.

    However a batch is cut into pieces, their losses add up to that of the whole. A batch without
    a label (masked-LM training may hide no token of a short text) has a loss of zero.
    """
    weights = None if class_weights is None else torch.from_numpy(np.float32(class_weights))

    def loss(outputs, labels, num_items_in_batch=None):
        labels = labels[labels != -100]
        summed = cross_entropy(
            outputs.logits.float(), labels, None if weights is None else weights.to(labels.device),
            label_smoothing=smoothing, reduction="sum",
        )  # fmt: skip
        return summed / torch.as_tensor(num_items_in_batch).clamp(min=1)

    return loss


def add_l1_gradient(model: torch.nn.Module, weight: float) -> None:
    """Add the subgradient of `weight` times the sum of absolute weights; biases are spared."""
    for parameter in model.parameters():
        if parameter.grad is not None and parameter.ndim > 1:
            parameter.grad.add_(parameter.sign(), alpha=weight)
