"""Fine-tuning strategies: which weights of an encoder are trainable, when, and how fast."""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import transformers
from torch import nn

from workbench.errors import UserError
from workbench.training import inference
from workbench.training.batches import Encoded


def layers(model) -> list[list[str]]:
    """Names of the modules of each layer, from the lowest layer to the top.

    A layer is one module in most families, several side by side in some (XLM); the layers of an
    encoder come before those of its decoder (BART).

    Raises
    ------
    UserError : there is no stack of at least two layers (ALBERT shares one), or no head apart
        from the encoder.
    """
    found, last = [], None
    prefix = _base_prefix(model)
    for name, module in model.base_model.named_modules(prefix=prefix):
        parent, _, _ = name.rpartition(".")
        nested = last is not None and name.startswith(tuple(f"{n}." for n in last[1]))
        if not isinstance(module, nn.ModuleList) or len(module) < 2 or nested:
            continue
        if last is not None and last[0] == parent:
            if len(module) == len(found) - last[2]:
                last[1].append(name)
                for i, names in enumerate(found[last[2] :]):
                    names.append(f"{name}.{i}")
            continue
        last = (parent, [name], len(found))
        found += [[f"{name}.{i}"] for i in range(len(module))]
    if not found:
        raise UserError(f"{type(model).__name__} has no stack of layers to choose from.")
    return found


def _base_prefix(model) -> str:
    base = next((n for n, module in model.named_children() if module is model.base_model), None)
    if base is None:
        raise UserError(f"{type(model).__name__} has no head apart from its encoder.")
    return base


def depths(model) -> dict[str, int]:
    """Depth of each parameter: 0 for embeddings, 1 for the lowest layer, the most for the head.

    The head is what is not in ``base_model``, and the pooler, which only the head reads.
    """
    stack, prefix = layers(model), _base_prefix(model)
    depth_of = {name: i for i, names in enumerate(stack, 1) for name in names}
    found, reached = {}, 0
    for name, _ in model.named_parameters():
        parts = name.split(".")
        owners = (".".join(parts[:i]) for i in range(1, len(parts)))
        layer = next((depth_of[owner] for owner in owners if owner in depth_of), None)
        if parts[0] != prefix or "pooler" in parts:
            found[name] = len(stack) + 1
        elif layer is not None:
            found[name] = reached = layer
        else:
            # A last norm above the layers (GPT-2) belongs to them, embeddings feed the lowest.
            found[name] = 0 if "embed" in name else reached
    return found


def freeze_below(model, depth: int) -> None:
    """Parameters of a smaller depth are frozen; the others are trainable."""
    for name, found in depths(model).items():
        model.get_parameter(name).requires_grad_(found >= depth)


def layer_rates(model, decay: float) -> Callable[[str], float]:
    """Layer-wise learning-rate decay: each layer learns `decay` times as fast as the one above.

    Discriminative fine-tuning (Howard & Ruder 2018; Zhang et al. 2021 on small data).

    Returns
    -------
    function : from the name of a parameter of `model`, or of an adapter inside, to its rate.
    """
    if decay == 1:
        return lambda name: 1.0
    found = depths(model)
    top = max(found.values())
    found = {name.rpartition(".")[0]: depth for name, depth in found.items()} | found

    def rate(name: str) -> float:
        while name and name not in found:
            name = name.rpartition(".")[0]
        return decay ** (top - found.get(name, top))

    return rate


def of_wrapped(rates: Callable[[str], float], wrapper, model) -> Callable[[str], float]:
    """`rates` of `model` for the longer names that its parameters have inside of `wrapper`."""
    prefix = next(name for name, module in wrapper.named_modules() if module is model)
    return lambda name: rates(name.removeprefix(f"{prefix}." if prefix else ""))


def reinitialise(model, count: int) -> None:
    """Give the top layers and the pooler new random weights (Zhang et al. 2021).

    Raises
    ------
    UserError : the model has fewer layers.
    """
    stack = layers(model)
    if not 0 < count <= len(stack):
        raise UserError(f"reinit_layers is {count}, but the encoder has {len(stack)} layers.")
    chosen = [name for names in stack[len(stack) - count :] for name in names]
    chosen += [name for name, _ in model.named_modules() if name.split(".")[-1] == "pooler"]
    new = type(model)(model.config)
    for name in chosen:
        model.get_submodule(name).load_state_dict(new.get_submodule(name).state_dict())


class Gradual(transformers.TrainerCallback):
    """Gradual unfreezing (Howard & Ruder 2018): first the head, at last everything.

    The layers are spread over the epochs, so that all of them are trainable in the last epoch.
    """

    def __init__(self, model) -> None:
        self.model, self.layers = model, len(layers(model))

    def on_epoch_begin(self, args, state, control, **_):
        epochs = math.ceil(args.num_train_epochs)
        epoch = math.floor(state.epoch or 0)  # not whole where a killed run goes on
        share = epoch / (epochs - 1) if epochs > 1 else 1.0
        freeze_below(self.model, math.ceil((self.layers + 1) * (1 - share)))


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
        stack = layers(model)
        parents = {name.rpartition(".")[0] for names in stack for name in names}
        frozen = len(stack) // 2 if frozen is None else frozen
        if not 0 <= frozen < len(stack):
            raise UserError(
                f"frozen_layers is {frozen}, but of {len(stack)} layers 0 to {len(stack) - 1} can "
                "be frozen."
            )
        if len(parents) > 1:
            raise self._refusal(model)
        freeze_below(model, frozen + 1)
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
        """Store what the frozen layers make of every text: float16, flat like the ids."""
        self._try(rows)
        stored = None
        for batch, found in inference.forward_batches(self.model, rows, precision, self._lower):
            tokens = found.half().cpu()[torch.from_numpy(rows.is_token(batch))]
            if stored is None:
                stored = torch.empty(len(rows.ids), tokens.shape[1], dtype=torch.float16)
            stored[rows.flat_indices(batch)] = tokens
        rows.hidden_states = stored

    @torch.no_grad()
    def _try(self, rows: Encoded) -> None:
        """Refuse an architecture whose layers are fed with more than hidden states."""
        device = next(self.model.parameters()).device
        batch = {k: v.to(device) for k, v in rows.__getitems__(range(min(2, len(rows)))).items()}
        batch.pop("labels", None)
        self.model.eval()
        try:
            found = self(self._lower(**batch), **batch).logits
            same = torch.allclose(found, self.model(**batch).logits, rtol=1e-3, atol=1e-5)
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
    """Stands where a layer was and hands on its input, in the form in which layers answer."""

    def forward(self, hidden_states: torch.Tensor, *_, **__) -> torch.Tensor:
        return hidden_states


@contextmanager
def _passing_through(stack: nn.ModuleList, count: int) -> Iterator[None]:
    """The lowest `count` layers compute nothing; the others keep their numbers and names."""
    lower = list(stack)[:count]
    for i in range(count):
        stack[i] = _PassThrough()
    try:
        yield
    finally:
        for i, layer in enumerate(lower):
            stack[i] = layer


def with_adapters(model, rank: int):
    """Low-rank adapters on the encoder's linear layers (LoRA, Hu et al. 2022); the head is trained.

    After training, `merge` adds them to the weights they belong to: what is saved is a plain
    checkpoint with its head, and prediction costs nothing extra.
    """
    import peft
    from transformers.pytorch_utils import Conv1D

    prefix = _base_prefix(model)
    linear = {
        name: type(module)
        for name, module in model.base_model.named_modules(prefix=prefix)
        if isinstance(module, (nn.Linear, Conv1D))
    }
    head = [p for name, p in model.named_parameters() if name.split(".")[0] != prefix]
    settings = peft.LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules=list(linear),
        fan_in_fan_out=Conv1D in linear.values(),
    )  # fmt: skip
    with warnings.catch_warnings():
        # peft asks transformers for a name of old.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        adapted = peft.get_peft_model(model, settings)
    for parameter in head:
        parameter.requires_grad_(True)
    return adapted


def merge(adapted):
    """The plain classifier that a model with adapters amounts to."""
    return adapted.merge_and_unload()
