"""Fine-tuning strategies: which weights of an encoder are trainable, when, and how fast."""

import math
import warnings
from collections.abc import Callable

import transformers
from torch import nn

from workbench.errors import UserError


def start(estimator, model):
    """`model`, with the weights of the last fit where `estimator` has a ``warm_start`` and had one.

    The head goes along where the classes are the same. The model of the last fit stays as it is.

    Raises
    ------
    UserError : the last fit trained no encoder that is at hand, or another one.
    """
    if not estimator.warm_start or not hasattr(estimator, "_model"):
        return model
    last = estimator._model
    if last is None:
        raise UserError(
            f"warm_start=True, but the last fit left '{estimator.encoder}' as it was: there are no "
            "weights to hand over."
        )
    same = type(last) is type(model) and last.config.id2label == model.config.id2label
    try:
        if same:
            model.load_state_dict(last.state_dict())
        else:
            model.base_model.load_state_dict(last.base_model.state_dict())
    except (RuntimeError, AttributeError) as error:
        raise UserError(
            f"warm_start=True, but the last fit had another encoder than '{estimator.encoder}'."
        ) from error
    return model


def layers(model) -> list[list[str]]:
    """Names of the modules of each layer, from the lowest layer to the top.

    A layer is one module in most architectures, several side by side in some (XLM); the layers of
    an encoder come before those of its decoder (BART).

    Raises
    ------
    UserError : there is no stack of at least two layers (ALBERT shares one), or no head apart
        from the encoder.
    """
    stacks: dict[str, list[list[str]]] = {}  # one for each parent of lists of layers
    lists: list[str] = []
    for name, module in model.base_model.named_modules(prefix=_base_name(model)):
        inside = name.startswith(tuple(f"{outer}." for outer in lists))
        if not isinstance(module, nn.ModuleList) or len(module) < 2 or inside:
            continue
        if isinstance(module[0], nn.Embedding):  # MarkupLM has one for each level of a page
            continue
        lists.append(name)
        stack = stacks.setdefault(name.rpartition(".")[0], [[] for _ in module])
        for layer, i in zip(stack, range(len(module)), strict=False):
            layer.append(f"{name}.{i}")
    if not stacks:
        raise UserError(f"{type(model).__name__} has no stack of layers to choose from.")
    return [layer for stack in stacks.values() for layer in stack]


def _base_name(model) -> str:
    """The attribute of a classifier that is its encoder; empty for an encoder without a head."""
    if model.base_model is model and not type(model).__name__.endswith("Classification"):
        return ""
    names = [name for name, module in model.named_children() if module is model.base_model]
    # Perceiver classifies inside of its base model.
    if not names or not any(n.split(".")[0] != names[0] for n, _ in model.named_parameters()):
        raise UserError(f"{type(model).__name__} has no head apart from its encoder.")
    return names[0]


def depths(model) -> dict[str, int]:
    """Depth of each parameter: 0 for embeddings, 1 for the lowest layer, the most for the head.

    The head is what is not in ``base_model``, and the pooler, which only the head reads.
    """
    stack, base = layers(model), _base_name(model)
    depth_of = {name: i for i, names in enumerate(stack, 1) for name in names}
    found, reached = {}, 0
    for name, _ in model.named_parameters():
        parts = name.split(".")
        owners = (".".join(parts[:i]) for i in range(1, len(parts)))
        layer = next((depth_of[owner] for owner in owners if owner in depth_of), None)
        if (base and parts[0] != base) or "pooler" in parts:
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
    """`rates` of `model` for the longer names that its parameters have inside of `wrapper`.

    A wrapper may have ``rates`` of parameters of its own.
    """
    prefix = next(name for name, module in wrapper.named_modules() if module is model)
    own, prefix = getattr(wrapper, "rates", {}), f"{prefix}." if prefix else ""
    return lambda name: own.get(name) or rates(name.removeprefix(prefix))


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
    """Gradual unfreezing (Howard & Ruder 2018): first the head, then one layer more at a time.

    The layers are spread over the first half of the steps; in the second half all are trainable.
    """

    def __init__(self, model) -> None:
        self.model, self.head, self.lowest = model, len(layers(model)) + 1, None
        # Embeddings that are frozen for their size stay so.
        self.bottom = int(not all(p.requires_grad for p in model.parameters()))

    def on_step_begin(self, args, state, control, **_):
        unfrozen = math.floor(min(1, 2 * state.global_step / state.max_steps) * self.head)
        lowest = max(self.bottom, self.head - unfrozen)
        if lowest != self.lowest:
            freeze_below(self.model, lowest)
        self.lowest = lowest


def with_adapters(model, rank: int):
    """Low-rank adapters on the encoder's linear layers (LoRA, Hu et al. 2022); the head is trained.

    After training, ``merge_and_unload`` adds them to the weights they belong to: what is saved is a
    plain checkpoint with its head, and prediction costs nothing extra.
    """
    import peft
    from transformers.pytorch_utils import Conv1D

    base = _base_name(model)
    linear = {
        name: type(module)
        for name, module in model.base_model.named_modules(prefix=base)
        if isinstance(module, (nn.Linear, Conv1D))
    }
    if not linear:
        raise UserError(f"{type(model).__name__} has no linear layers to put adapters on.")
    head = [p for name, p in model.named_parameters() if name.split(".")[0] != base]
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


def last_linear(model, classes: int, purpose: str) -> nn.Linear:
    """The last linear layer of a classifier, which gives its logits.

    Raises
    ------
    UserError : its head ends in no linear layer; `purpose` says what one was needed for.
    """
    linear = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == classes]
    if not linear:
        raise UserError(f"{type(model).__name__} has no linear layer last, {purpose}.")
    return linear[-1]
