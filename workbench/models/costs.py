"""What a training costs on this machine, and what there is to be fetched for it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from workbench import models
from workbench.data import text
from workbench.errors import UserError
from workbench.models import adaptation, calibration, encoders
from workbench.models.calibration import MIB, calibrate, default, kinds_of, token_counts, units
from workbench.training.batches import default_batch_size


@dataclass(frozen=True)
class Cost:
    """Seconds and MiB of one `fit`; ``measured`` on this very model, or scaled from another.

    ``busy``: other programs were at work during the calibration, so it is likely less.
    """

    seconds: float
    memory: float
    measured: bool
    busy: bool = False


@dataclass(frozen=True)
class Place:
    """Whether a model is on this disk, and the MiB to be fetched otherwise (None: unknown)."""

    here: bool
    download: float | None = None


@dataclass(frozen=True)
class Shape:
    """Sizes of an encoder, from its configuration alone; ``embeddings`` are among ``parameters``.

    ``layered`` counts what every token passes: a shared layer (ALBERT) as often as it is passed.
    """

    parameters: int
    embeddings: int
    layered: int
    matrices: int  # sum of the sides of the layers' matrices: an adapter has rank times as many
    layers: int
    hidden: int
    heads: int
    vocabulary: int
    longest: int


def estimate(name: str, texts: Sequence[str], **settings) -> Cost:
    """Seconds and MiB of ``models.build(name, **settings).fit(texts, labels)`` on this machine.

    Seconds are a fixed part, a part for each word or token, and one for each of them and epoch,
    all three measured on the bundled reviews. An encoder other than the bundled one scales by the
    parameters of its layers, embeddings excepted. Methods that adapt are reckoned with as many
    unlabelled texts as labelled ones.

    Memory is 4 bytes a parameter, 12 more for each that moves (its gradient and two moments), and
    activations after Korthikanti et al. (2022); for models that are no encoders it is the measured
    growth of the process.

    Left out: Python and its libraries, the texts themselves, imports, evaluation on validation
    texts and the copy of the weights for early stopping, other programs, and the growth of
    attention with the square of the length. A GPU that a small encoder does not fill is faster on
    larger ones than this says.

    Raises
    ------
    UserError : the name or a setting is unknown, or the calibration failed.
    """
    model = models.build(name, **settings)
    for _ in calibrate([name], **settings):
        pass
    found = calibration.rates(kinds_of(name, model))
    for rates in found:
        if "error" in rates:
            raise UserError(f"The cost of '{name}' could not be measured: {rates['error']}.")
    if hasattr(model, "encoder"):
        return _of_encoder(model, texts, *found)
    (rates,) = found
    longest = getattr(model, "max_length", None)
    words = units(texts, lambda each: [len(text.tokenize(t)) for t in each], longest)
    epochs = settings.get("epochs", default(name, "epochs"))
    seconds = rates["fixed"] + words * (rates["once"] + rates["each"] * (epochs or 0))
    return Cost(seconds, rates["memory"] + words * rates["memory_each"], True, rates["busy"])


def here(name: str) -> Place:
    """Whether a model is on this disk or has to be fetched, without loading its weights."""
    if name in models.CATALOGUE or Path(name).expanduser().is_dir():
        return Place(True)
    from huggingface_hub import try_to_load_from_cache

    weights = ("model.safetensors", "model.safetensors.index.json")
    if any(isinstance(try_to_load_from_cache(name, file), str) for file in weights):
        return Place(True)
    return Place(False, _download(name))


@lru_cache(maxsize=32)
def shape(encoder: str) -> Shape:
    """The sizes of an encoder; no weights are read or made.

    Raises
    ------
    UserError : its configuration cannot be had.
    """
    import torch
    import transformers

    config = encoders.configuration(encoder)
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(config, trust_remote_code=False)
    tables = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Embedding))
    everything = sum(p.numel() for p in model.parameters())
    flat = [p.shape for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    shared = config.num_hidden_layers // (getattr(config, "num_hidden_groups", 0) or 10**9) or 1
    return Shape(
        everything, tables, (everything - tables) * shared, sum(sum(size) for size in flat),
        config.num_hidden_layers, config.hidden_size, config.num_attention_heads,
        config.vocab_size, encoders.longest(model, 10**9),
    )  # fmt: skip


# --- what an encoder costs -----------------------------------------------------------------------


def _of_encoder(model, texts: Sequence[str], rates: dict, full: dict | None = None) -> Cost:
    own, bundled = shape(str(model.encoder)), shape(encoders.BUNDLED)
    longest = min(model.max_length, own.longest)
    tokens = units(texts, token_counts, longest)
    work = rates["once"] + rates["each"] * getattr(model, "epochs", 0)
    if isinstance(model, adaptation.Coral):
        work *= 2
    if full:
        # Twice the texts; the layer over the vocabulary is computed for the masked tokens alone.
        head = 1 + model.mask * own.vocabulary * own.hidden / own.layered
        work += 2 * full["each"] * model.pretraining_epochs * head
    seconds = rates["fixed"] + tokens * work * own.layered / bundled.layered
    memory = _encoder_bytes(model, own, tokens, len(texts)) / MIB
    busy = rates["busy"] or bool(full and full["busy"])
    return Cost(seconds, memory, str(model.encoder) == encoders.BUNDLED, busy)


def _encoder_bytes(model, own: Shape, tokens: float, texts: int) -> float:
    from workbench.training import devices, inference, trainer

    strategy = getattr(model, "strategy", "frozen")
    wide = 1 if inference.precision(getattr(model, "precision", "auto")) == "bf16" else 2
    length = tokens / max(1, texts)
    if strategy == "frozen":
        # No step back: a dozen states of one layer at a time, and a vector of each text.
        states = min(tokens, 4096) * 12 * own.hidden * 2 * wide
        return 4 * own.parameters + states + 4 * own.hidden * texts
    share, kept = 1.0, 0.0
    moving = own.parameters
    if strategy == "upper":
        below = own.layers // 2 if model.frozen_layers is None else model.frozen_layers
        share = 1 - below / own.layers
        moving = (own.parameters - own.embeddings) * share
        kept = 2 * own.hidden * tokens
    elif strategy == "lora":
        moving = model.lora_rank * own.matrices
    positions = (model.batch_size or default_batch_size(texts)) * length
    if not devices.has_gpu():
        positions = min(positions, trainer.POSITIONS_AT_ONCE)
    layer = positions * (34 * own.hidden + 5 * own.heads * length) * wide
    return 4 * own.parameters + 12 * moving + kept + layer * own.layers * share


def _download(name: str) -> float | None:
    from huggingface_hub import HfApi

    from workbench.data import hub

    if hub.offline():
        return None
    # The hub fails in many ways, and a size that is unknown hinders nobody.
    with suppress(Exception):
        files = HfApi().model_info(name, files_metadata=True, timeout=5).siblings
        sizes = [f.size or 0 for f in files if f.rfilename.endswith(".safetensors")]
        return sum(sizes) / MIB if sizes else None
    return None
