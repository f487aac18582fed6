"""What a model says of texts: in batches of like length, in the processor's precision.

It stands apart from training because `transformers.Trainer` takes seconds to import.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from workbench.training import speed, stopping
from workbench.training.batches import Encoded, by_length


def precision(wanted: str = "auto") -> str:
    """``"bf16"`` where the processor has units for it; emulated bf16 is slower than fp32."""
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    units = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    found = (getattr(torch.cpu, name, lambda: False)() for name in units)
    return "bf16" if any(found) else "fp32"


def forward_batches(
    model, rows: Encoded, wanted: str = "auto", ask: Callable | None = None
) -> Iterator[tuple[np.ndarray, object]]:
    """Batch by batch, the numbers of its texts and what `model`, or `ask`, says of them.

    Raises
    ------
    stopping.Stopped : between two batches, when somebody asked for it.
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
                answer = (ask or model)(**inputs)
            yield batch, answer
    finally:
        model.train(was_training)


def logits(model, rows: Encoded, wanted: str = "auto") -> np.ndarray:
    """Scores of the classes, shape (n, classes), in double precision."""
    found = None
    with speed.first_token_only(model), speed.bf16_hidden_states(model):
        for batch, answer in forward_batches(model, rows, wanted):
            scores = answer.logits.double().cpu().numpy()
            found = np.empty((len(rows), scores.shape[1])) if found is None else found
            found[batch] = scores
    return found
