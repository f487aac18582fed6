"""Training on two domains at once: the classifier's loss on the source, and a penalty on both.

Torch is imported with this module, which is imported only where a classifier is trained.
"""

import math
from collections.abc import Callable

import torch
import transformers
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from workbench.training import strategies
from workbench.training.batches import IGNORED

_LARGEST = 4096  # inputs of a discriminator that sees features times classes (Long et al. 2018)


class Aligned(nn.Module):
    """A classifier whose output has a ``penalty`` beside its ``logits`` where a batch has a target.

    Parameters
    ----------
    model : a sequence classifier of `transformers`, or one with adapters.
    penalty : called with the size of what the head reads and the number of classes; gives what goes
        from features, float32, shape (texts, size), with a standard deviation of 1 over all,
        logits, which texts are of the target, and the share of the training that is done, to a
        number.

    Raises
    ------
    UserError : the head ends in no linear layer.
    """

    accepts_loss_kwargs = False  # else `Trainer` hands the number of labels on to the encoder

    def __init__(self, model, penalty: Callable[[int, int], Callable]) -> None:
        super().__init__()
        self.model, self.progress, classes = model, 0.0, model.config.num_labels
        last = strategies.last_linear(model, classes, "to align before")
        self._last = [last]  # in a list, because it is a part of the model already
        self.penalty = penalty(last.in_features, classes)

    def forward(self, target=None, **inputs):
        """Output of the classifier for a batch and, of a batch of both domains, which is target."""
        if target is None:
            return self.model(**inputs)
        output, features = self._run(inputs)
        features = features.float()
        if features.ndim > 2:  # a decoder scores all positions, and its last token counts
            last = inputs["attention_mask"].cumsum(1).argmax(1)
            features = features[torch.arange(len(last), device=last.device), last]
        # Otherwise a weight would mean another thing for each encoder (MiniLM's deviate by 0.04),
        # and features would shrink to lower the penalty.
        features = features / features.std().clamp(min=1e-6)
        # A piece of a batch may be one text: nothing can be compared.
        output["penalty"] = features.sum() * 0
        if 1 < target.sum() < len(target) - 1:
            with torch.autocast(features.device.type, enabled=False):
                logits = output.logits.float()
                output["penalty"] = self.penalty(features, logits, target, self.progress)
        return output

    def _run(self, inputs: dict) -> tuple:
        """Output of the classifier, and what its last layer reads, before the dropout.

        The head's dropout makes more of a difference to a text than another text does.
        """
        latest, read = [None, None], []
        hooks = [
            module.register_forward_hook(lambda _, x, y: latest.__setitem__(slice(2), (y, x[0])))
            for module in self.model.modules() if type(module).__name__.endswith("Dropout")
        ]  # fmt: skip
        hooks.append(self._last[0].register_forward_pre_hook(
            lambda _, x: read.append(latest[1] if x[0] is latest[0] else x[0])
        ))  # fmt: skip
        try:
            return self.model(**inputs), read[0]
        finally:
            for hook in hooks:
                hook.remove()


class Progress(transformers.TrainerCallback):
    """Tells an `Aligned` model which share of the steps is done, whatever their size."""

    def __init__(self, aligned: Aligned) -> None:
        self._aligned = aligned

    def on_step_begin(self, args, state, control, **_):
        self._aligned.progress = state.global_step / state.max_steps


def with_penalty(loss: Callable, weight: float = 1.0) -> Callable:
    """`weight` times `loss`, and the output's penalty: each piece of a batch has its share."""

    def both(outputs, labels, num_items_in_batch=None):
        share = (labels != IGNORED).sum() / torch.as_tensor(num_items_in_batch).clamp(min=1)
        return weight * loss(outputs, labels, num_items_in_batch) + outputs["penalty"] * share

    return both


class Adversary(nn.Module):
    """A discriminator of the domains, whose gradient is turned round where it enters the encoder.

    Parameters
    ----------
    size, classes : of the features and of the logits.
    weight : of the reversed gradient, at the end of the training.
    conditional : whether it sees the outer product of features and probabilities, through random
        maps where that is large, and texts count the more the surer they are (Long et al. 2018).
    """

    def __init__(self, size: int, classes: int, weight: float, conditional: bool) -> None:
        super().__init__()
        self._weight, self._conditional = weight, conditional
        inputs = size * classes if conditional else size
        if inputs > _LARGEST and conditional:
            inputs = _LARGEST
            self.register_buffer("of_features", torch.randn(size, inputs))
            self.register_buffer("of_classes", torch.randn(classes, inputs))
        self.discriminator = nn.Sequential(nn.Linear(inputs, size), nn.ReLU(), nn.Linear(size, 1))

    def forward(self, features, logits, target, progress):
        """The discriminator's loss, its mean over the source plus that over the target."""
        weights = torch.ones_like(logits[:, 0])
        if self._conditional:
            probabilities = logits.softmax(1).detach()
            weights = 1 + torch.exp(-_entropy(probabilities))
            features = self._product(features, probabilities)
        reversed_ = Reversal.apply(features, self._weight * schedule(progress))
        lost = weights * binary_cross_entropy_with_logits(
            self.discriminator(reversed_).squeeze(1), target.float(), reduction="none"
        )
        return sum(lost[rows].sum() / weights[rows].sum() for rows in (~target, target))

    def _product(self, features, probabilities):
        if hasattr(self, "of_features"):
            size = self.of_features.shape[1]
            return features @ self.of_features * (probabilities @ self.of_classes) / size**0.5
        return (probabilities.unsqueeze(2) * features.unsqueeze(1)).flatten(1)


class Reversal(torch.autograd.Function):
    """The identity, whose gradient is multiplied by minus `factor` (Ganin et al. 2016)."""

    @staticmethod
    def forward(context, x, factor):
        context.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(context, gradient):
        return -context.factor * gradient, None


def schedule(progress: float) -> float:
    """The weight of the reversed gradient, from 0 to 1, by the share of the training done."""
    return 2 / (1 + math.exp(-10 * progress)) - 1


def coral(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Squared distance of two covariances over four times the squared size (Sun & Saenko 2016)."""
    difference = torch.cov(source.T) - torch.cov(target.T)
    return difference.square().sum() / (4 * source.shape[1] ** 2)


def mmd(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Squared maximum mean discrepancy under a mean of Gaussian kernels (Long et al. 2015).

    exp(-d²/γ), with γ the median squared distance of two texts times 2^-8, 2^-7.5, … 2^8. The
    estimate is the unbiased one, without the pairs of a text with itself: under the other, a batch
    would be best where all its texts are alike.
    """
    both, n = torch.cat([source, target]), len(source)
    distances = (both[:, None] - both).square().sum(2)
    pairs = torch.triu_indices(len(both), len(both), 1)
    median = distances.detach()[*pairs].median().clamp(min=1e-12)
    kernel = sum(torch.exp(-distances / (median * 2 ** (k / 2))) for k in range(-16, 17)) / 33
    within = sum(
        (part.sum() - len(part)) / (len(part) * (len(part) - 1))
        for part in (kernel[:n, :n], kernel[n:, n:])
    )
    return within - 2 * kernel[:n, n:].mean()


def class_confusion(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Mean share of a class that goes to the others, by pairs of probabilities (Jin et al. 2020).

    Texts count the more the surer they are; no gradient flows through these weights.
    """
    probabilities = (logits / temperature).softmax(1)
    weights = 1 + torch.exp(-_entropy(probabilities.detach()))
    together = (weights[:, None] * probabilities).T @ probabilities
    shares = together / together.sum(1, keepdim=True)
    return (shares.sum() - shares.trace()) / len(shares)


def _entropy(probabilities: torch.Tensor) -> torch.Tensor:
    return torch.special.entr(probabilities).sum(1)
