"""Training of the upper layers alone, on hidden states of the frozen ones that are stored."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from workbench.errors import UserError
from workbench.training import inference, strategies
from workbench.training.batches import Encoded


class UpperLayers(nn.Module):
    """The trainable upper layers of a classifier; what enters them is computed once, and stored.

    Parameters
    ----------
    model : a sequence classifier of `transformers`.
    frozen : how many layers below stay as they are, with the embeddings; half by default.

    Raises
    ------
    UserError : the model does not hand hidden states from layer to layer, or has fewer layers.
    """

    def __init__(self, model, frozen: int | None = None) -> None:
        super().__init__()
        stack = strategies.layers(model)
        parents = {name.rpartition(".")[0] for names in stack for name in names}
        frozen = len(stack) // 2 if frozen is None else frozen
        if not 0 <= frozen < len(stack):
            raise UserError(
                f"frozen_layers is {frozen}, but of {len(stack)} layers 0 to {len(stack) - 1} can "
                "be frozen."
            )
        if len(parents) > 1:
            raise self._refusal(model)
        strategies.freeze_below(model, frozen + 1)
        self.model, self._frozen = model, frozen
        # In a list, because it is registered as a part of the model already.
        self._stack = [model.get_submodule(parents.pop())]

    @staticmethod
    def _refusal(model) -> UserError:
        return UserError(
            f"strategy='upper' needs a plain stack of layers, which {type(model).__name__} has "
            "not: choose 'full', 'gradual' or 'lora'."
        )

    def forward(self, hidden_states: torch.Tensor, **inputs: torch.Tensor):
        """Output of the classifier for `hidden_states` that enter the lowest trainable layer."""

        def replace(_, args: tuple, kwargs: dict) -> tuple:
            if args:
                return (hidden_states.to(args[0].dtype), *args[1:]), kwargs
            given = hidden_states.to(kwargs["hidden_states"].dtype)
            return args, kwargs | {"hidden_states": given}

        stack = self._stack[0]
        hook = stack[self._frozen].register_forward_pre_hook(replace, with_kwargs=True)
        try:
            with _passing_through(stack, self._frozen):
                return self.model(**inputs)
        finally:
            hook.remove()

    def precompute(self, rows: Encoded, precision: str) -> None:
        """Store what the frozen layers make of every text: float16, flat like the ids.

        Raises
        ------
        UserError : the layers are fed with more than the hidden states of tokens.
        """
        self._try(rows)
        found = inference.forward_batches(self.model, rows, precision, self._lower)
        rows.hidden_states = inference.flat(((i, lower.half().cpu()) for i, lower in found), rows)

    @torch.no_grad()
    def _try(self, rows: Encoded) -> None:
        device = next(self.model.parameters()).device
        batch = {k: v.to(device) for k, v in rows.__getitems__(range(min(2, len(rows)))).items()}
        batch.pop("labels", None)
        self.model.eval()
        try:
            lower = self._lower(**batch)
            found, whole = self(lower, **batch).logits, self.model(**batch).logits
            same = (
                rows.mask
                and lower.shape[:2] == batch["input_ids"].shape
                and torch.allclose(found, whole, rtol=1e-3, atol=1e-5)
            )
        except (TypeError, ValueError, RuntimeError, KeyError, IndexError, AttributeError):
            same = False
        if not same:
            raise self._refusal(self.model)

    def _lower(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Hidden states that enter the lowest trainable layer."""
        caught = []

        def catch(_, args: tuple, kwargs: dict) -> None:
            caught.append(args[0] if args else kwargs["hidden_states"])
            raise _Caught

        hook = self._stack[0][self._frozen].register_forward_pre_hook(catch, with_kwargs=True)
        try:
            self.model.base_model(**inputs)
        except _Caught:
            return caught[0]
        finally:
            hook.remove()


class _Caught(Exception):
    """The hidden states that are wanted have been seen: the layers above need not run."""


class _PassThrough(nn.Module):
    """Stands where a layer was, hands on hidden states, and has that layer's attributes."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self._layer = [layer]  # in a list, so that it is not registered

    def __getattr__(self, name: str):
        return getattr(vars(self)["_layer"][0], name)

    def forward(self, hidden_states: torch.Tensor, *_, **__) -> torch.Tensor:
        return hidden_states


@contextmanager
def _passing_through(stack: nn.ModuleList, count: int) -> Iterator[None]:
    """The lowest `count` layers compute nothing; the others keep their numbers and names."""
    lower = list(stack)[:count]
    for i, layer in enumerate(lower):
        stack[i] = _PassThrough(layer)
    try:
        yield
    finally:
        for i, layer in enumerate(lower):
            stack[i] = layer
