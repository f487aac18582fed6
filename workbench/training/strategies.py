"""Fine-tuning strategies: which weights of an encoder move, when, and how fast."""

import math
import re
import warnings
from collections.abc import Callable

import torch
import transformers
from torch import nn

from workbench.errors import UserError
from workbench.training import inference
from workbench.training.batches import Encoded

HEADS = ("classifier", "score", "classification_head", "pre_classifier", "pooler")


def stack(model) -> nn.ModuleList:
    """The layers of an encoder, from the lowest to the top.

    Raises
    ------
    UserError : there is no stack of at least two (ALBERT shares one layer).
    """
    lists = [m for m in model.base_model.modules() if isinstance(m, nn.ModuleList) and len(m) > 1]
    if not lists:
        raise UserError(f"{type(model).__name__} has no stack of layers to choose from.")
    return max(lists, key=len)


def depths(model) -> dict[str, int]:
    """Depth of each parameter: 0 for embeddings, 1 for the lowest layer, the most for heads."""
    layers = stack(model)
    prefix = next(name for name, module in model.named_modules() if module is layers)
    found = {}
    for name, _ in model.named_parameters():
        layer = re.match(rf"{re.escape(prefix)}\.(\d+)\.", name)
        if layer:
            found[name] = int(layer.group(1)) + 1
        elif any(part in HEADS for part in name.split(".")):
            found[name] = len(layers) + 1
        else:
            # A last norm above the layers (GPT-2) belongs to them, all else feeds the lowest.
            found[name] = len(layers) if re.search(r"(ln_f|final\w*norm)\.", name) else 0
    return found


def freeze_below(model, depth: int) -> None:
    """Parameters of a smaller depth stand still; the others move."""
    for name, found in depths(model).items():
        model.get_parameter(name).requires_grad_(found >= depth)


def layer_rates(model, decay: float) -> Callable[[str], float]:
    """Layer-wise learning-rate decay: each layer learns `decay` times as fast as the one above.

    Discriminative fine-tuning (Howard & Ruder 2018; Zhang et al. 2021 on small data).
    """
    if decay == 1:
        return lambda name: 1.0
    found = depths(model)
    top = max(found.values())
    return lambda name: decay ** (top - found.get(name.removeprefix("model."), top))


def reinitialise(model, layers: int) -> None:
    """Throw away what the top layers and the pooler know (Zhang et al. 2021)."""
    chosen = list(stack(model)[len(stack(model)) - layers :])
    chosen += [m for name, m in model.named_modules() if name.split(".")[-1] == "pooler"]
    for module in (each for top in chosen for each in top.modules()):
        for owner in (module, *module.parameters(recurse=False)):
            # transformers marks what came from a checkpoint and leaves that alone.
            owner._is_hf_initialized = False
        model._init_weights(module)


class Gradual(transformers.TrainerCallback):
    """Gradual unfreezing (Howard & Ruder 2018): first the head, at last everything.

    The layers are spread over the epochs, so that the last epoch moves all of them.
    """

    def __init__(self, model) -> None:
        self.model, self.layers = model, len(stack(model))

    def on_epoch_begin(self, args, state, control, **_):
        epochs = math.ceil(args.num_train_epochs)
        epoch = round(state.epoch or 0)
        share = epoch / (epochs - 1) if epochs > 1 else 1.0
        freeze_below(self.model, math.ceil((self.layers + 1) * (1 - share)))


class Upper(nn.Module):
    """The layers above `below` of a classifier, fed with the kept states of the frozen ones."""

    def __init__(self, model, below: int) -> None:
        super().__init__()
        freeze_below(model, below + 1)
        self.model, self._below = model, below
        self._stack = [stack(model)]  # in a list: it is registered as a part of the model already

    def forward(self, input_ids, attention_mask, states):
        layers = self._stack[0]
        whole, layers._modules = layers._modules, _renumbered(layers, self._below)
        replace = layers[0].register_forward_pre_hook(
            lambda _, given: (states.to(given[0].dtype), *given[1:])
        )
        try:
            return self.model(input_ids=input_ids, attention_mask=attention_mask)
        finally:
            replace.remove()
            layers._modules = whole

    def keep_states(self, rows: Encoded, precision: str) -> None:
        """Compute what the frozen layers say of every text, once: float16, flat like the ids."""
        states = torch.empty(len(rows.ids), self.model.config.hidden_size, dtype=torch.float16)
        for batch, found in inference.forward_batches(self.model, rows, precision, self._lower):
            states[rows.places(batch)] = found.half().cpu()
        rows.states = states

    def _lower(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """States of the real tokens, one after the other."""
        caught = []

        def catch(_, given):
            caught.append(given[0])
            raise _Enough

        hook = self._stack[0][self._below].register_forward_pre_hook(catch)
        try:
            self.model.base_model(input_ids=input_ids, attention_mask=attention_mask)
        except _Enough:
            return caught[0][attention_mask.bool()]
        finally:
            hook.remove()


class _Enough(Exception):
    """The states that are wanted have been seen."""


def _renumbered(layers: nn.ModuleList, below: int) -> dict:
    return {str(i): layer for i, layer in enumerate(list(layers)[below:])}


def with_adapters(model, rank: int):
    """Low-rank adapters on every linear layer (LoRA, Hu et al. 2022) by peft; the head is trained.

    After training, `merge` adds them to the weights they belong to: what is saved is a plain
    checkpoint with its head, and prediction costs nothing extra.
    """
    import peft

    heads = [name for name, _ in model.named_children() if name in HEADS]
    settings = peft.LoraConfig(
        task_type="SEQ_CLS", r=rank, lora_alpha=2 * rank, target_modules="all-linear",
        modules_to_save=heads,
    )  # fmt: skip
    with warnings.catch_warnings():
        # peft tells of GPT-2's transposed weights, which it then handles, and of names of old.
        warnings.simplefilter("ignore")
        return peft.get_peft_model(model, settings)


def merge(model):
    """The plain classifier that a model with adapters amounts to."""
    merged = model.merge_and_unload()
    return merged.requires_grad_(True)
