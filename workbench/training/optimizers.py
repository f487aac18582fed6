"""Optimisers, schedules, and how fast each parameter learns; no value here depends on the texts."""

from collections.abc import Callable, Iterable

import torch

OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
}
SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
LARGE = 50e6  # parameters from which on larger steps forget what was learned before


def parameter_counts(model: torch.nn.Module) -> dict[str, int]:
    """Number of parameters, and of those that are trainable."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return {
        "parameters": sum(n for n, _ in sizes),
        "trainable_parameters": sum(n for n, trainable in sizes if trainable),
    }


def freeze_large_table(model: torch.nn.Module) -> None:
    """Freeze token embeddings that are over 50 million and more than half of the parameters.

    They are those of many languages (XLM-RoBERTa): a step would change the tokens of its own texts
    alone, and gradients and moments of all of them would take three times their memory.
    """
    try:
        table = model.get_input_embeddings().weight
    except (NotImplementedError, AttributeError):  # CANINE hashes letters
        return
    if table.numel() > max(LARGE, parameter_counts(model)["parameters"] / 2):
        table.requires_grad_(False)


def default_learning_rate(model: torch.nn.Module) -> float:
    """1e-4 below 50 million trainable parameters, 2e-5 above (Devlin et al. 2019 for BERT)."""
    return 1e-4 if parameter_counts(model)["trainable_parameters"] < LARGE else 2e-5


def make(
    settings, parameters: Iterable[tuple[str, torch.nn.Parameter]], learning_rate: float,
    rates: Callable[[str], float],
) -> torch.optim.Optimizer:  # fmt: skip
    """The optimiser that `settings` name, with groups of parameters that learn alike.

    Parameters
    ----------
    settings : an estimator with ``optimizer`` and ``weight_decay``; biases and norms are spared
        the weight decay.
    parameters : names and parameters.
    rates : from the name of a parameter to its share of `learning_rate`.
    """
    default = 0.01 if settings.optimizer == "adamw" else 0.0
    weight_decay = default if settings.weight_decay is None else settings.weight_decay
    groups: dict[tuple[float, float], list] = {}
    for name, parameter in parameters:
        decay = weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rates(name), decay), []).append(parameter)
    optimizer, options = OPTIMIZERS[settings.optimizer]
    return optimizer(
        [
            {"params": group, "weight_decay": decay, "lr": share * learning_rate}
            for (share, decay), group in groups.items()
        ],
        lr=learning_rate, fused=True, **options,
    )  # fmt: skip
