"""Predictions of a model: in batches of like length, in the precision that suits the CPU.

It stands apart from training because `transformers.Trainer` takes seconds to import.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from workbench.training import speed, stopping
from workbench.training.batches import Encoded, by_length


def precision(wanted: str = "auto") -> str:
    """``"bf16"`` where the CPU or GPU has units for it; emulated bf16 is slower than fp32."""
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    units = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    found = (getattr(torch.cpu, name, lambda: False)() for name in units)
    return "bf16" if any(found) else "fp32"


def forward_batches(
    model, rows: Encoded, wanted: str = "auto", forward: Callable | None = None
) -> Iterator[tuple[np.ndarray, object]]:
    """Batch by batch, the indices of its texts and the output of `model`, or of `forward`.

    Raises
    ------
    stopping.Stopped : between two batches, when the stop event has been set.
    """
    device = next(model.parameters()).device
    bf16 = precision(wanted) == "bf16"
    was_training = model.training
    model.eval()
    try:
        for batch in by_length(rows.length):
            stopping.raise_if_stopped()
            inputs = {k: v.to(device) for k, v in rows.__getitems__(batch).items() if k != "labels"}
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, bf16):
                output = (forward or model)(**inputs)
            yield batch, output
    finally:
        model.train(was_training)


def logits(model, rows: Encoded, wanted: str = "auto") -> np.ndarray:
    """Scores of the classes before softmax, shape (n, classes), float64."""
    found = None
    with speed.first_token_only(model), speed.bf16_hidden_states(model):
        for batch, output in forward_batches(model, rows, wanted):
            # Apple's GPUs have no float64: it is made of what has left the device.
            scores = output.logits.float().cpu().numpy()
            found = np.empty((len(rows), scores.shape[1])) if found is None else found
            found[batch] = scores
    return found
