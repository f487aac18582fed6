"""Predictions of a model: in batches of like length, in the precision that suits the machine.

It stands apart from training because `transformers.Trainer` takes seconds to import.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch

from workbench.errors import UserError, first_line
from workbench.training import devices, speed, stop_event
from workbench.training.batches import Encoded, by_length


def precision(wanted: str = "auto") -> str:
    """``"bf16"`` where the CPU or GPU has units for it; emulated bf16 is slower than fp32."""
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    units = torch.cpu.get_capabilities()
    return "bf16" if units.get("avx512_bf16") or units.get("amx_bf16") else "fp32"


def usable_precision(model, batch: dict, wanted: str = "auto") -> str:
    """`precision`, or fp32 where a model fails in bf16 and nothing else was wanted.

    One step on a small batch tells, before any work is done.

    Raises
    ------
    UserError : the model fails at all, as those do that want pictures beside the text.
    """
    found = precision(wanted)
    # Of a model that is trained in several stages parts may be on a GPU already.
    device = next(model.parameters()).device
    batch = {name: values.to(device) for name, values in batch.items()}
    model.to(device)
    for candidate in dict.fromkeys([found, "fp32"] if wanted == "auto" else [found]):
        model.train()
        try:
            with torch.autocast(device.type, torch.bfloat16, candidate == "bf16"):
                model(**batch).logits.sum().backward()
            return candidate
        except Exception as error:  # whatever an architecture raises
            failure = error
        finally:
            model.zero_grad(set_to_none=True)
    if devices.is_out_of_memory(failure):
        return found  # the training has an answer to it
    name = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    raise UserError(
        f"A model of the kind '{name}' cannot be trained in this way, choose another: "
        f"{type(failure).__name__}: {first_line(failure)}."
    ) from failure


def forward_batches(
    model, rows: Encoded, wanted: str = "auto", forward: Callable | None = None
) -> Iterator[tuple[np.ndarray, object]]:
    """Batch by batch, the indices of its texts and the output of `model`, or of `forward`.

    Raises
    ------
    stop_event.Stopped : between two batches, when the stop event has been set.
    """
    device = next(model.parameters()).device
    bf16 = precision(wanted) == "bf16"
    was_training = model.training
    model.eval()
    try:
        for batch in by_length(rows.length):
            stop_event.raise_if_stopped()
            inputs = {k: v.to(device) for k, v in rows.__getitems__(batch).items() if k != "labels"}
            try:
                output = _forward(forward or model, inputs, bf16)
            except RuntimeError:
                if wanted != "auto" or not bf16:
                    raise
                bf16 = False  # see `usable_precision`
                output = _forward(forward or model, inputs, bf16)
            yield batch, output
    finally:
        model.train(was_training)


def _forward(function: Callable, inputs: dict, bf16: bool):
    device = inputs["input_ids"].device.type
    with (
        torch.inference_mode(),
        torch.autocast(device, torch.bfloat16, bf16),
        speed.without_cudnn_attention(),
    ):
        return function(**inputs)


def logit_batches(
    model, rows: Encoded, wanted: str = "auto"
) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """Batch by batch, the indices of its texts and the scores of the classes before softmax.

    Float32, on the CPU, shape (texts, classes) or, for a model of tokens, (texts, positions,
    classes), where what stands at padding is of no use.
    """
    with speed.first_token_only(model), speed.bf16_hidden_states(model):
        for batch, output in forward_batches(model, rows, wanted):
            yield batch, output.logits.float().cpu()


def flat(outputs: Iterable[tuple[np.ndarray, torch.Tensor]], rows: Encoded) -> torch.Tensor:
    """Values of each position, batch by batch, as one row a token, in the order of the ids."""
    found = None
    for batch, values in outputs:
        tokens = values[torch.from_numpy(rows.is_token(batch))]
        if found is None:
            found = torch.empty(len(rows.ids), *tokens.shape[1:], dtype=tokens.dtype)
        found[rows.flat_indices(batch)] = tokens
    return found


def logits(model, rows: Encoded, wanted: str = "auto") -> np.ndarray:
    """Scores of the classes of each text before softmax, shape (n, classes), float64."""
    found = None
    for batch, scores in logit_batches(model, rows, wanted):
        # Apple's GPUs have no float64: it is made of what has left the device.
        found = np.empty((len(rows), scores.shape[1])) if found is None else found
        found[batch] = scores.numpy()
    return found
