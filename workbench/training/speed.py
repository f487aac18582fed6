"""What makes a step on a CPU faster, each for a while, at no loss that the benchmarks can see.

Attention loses its dropout, and words that do not occur are spared the weight decay; nothing else
changes what is learned.

The gains are those of MiniLM on two cores with bf16 units, SST-2, batches of 32, one change at a
time, in one process; `benchmarks/` compares the whole with plain `Trainer`.

`first_token_only` computes with the parts of a BERT layer, which transformers may rename: a test
names the version for which they are known.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import nn

from workbench.training import devices
from workbench.training.batches import Encoded

_HEADS = ("ForSequenceClassification", "ForTokenClassification", "ForMaskedLM")


@contextmanager
def speedups(model: nn.Module, data: Sequence[Encoded], seed: int) -> Iterator["Pool"]:
    """Everything below at once, and the pool of dropout; leaving it gives the model back."""
    heads = [m for m in model.modules() if type(m).__name__.endswith(_HEADS)]
    with ExitStack() as stack:
        stack.enter_context(without_cudnn_attention())
        # A masked-LM head reads all positions, and its training puts any word in place of others.
        if heads and not any(type(head).__name__.endswith(_HEADS[2]) for head in heads):
            stack.enter_context(pruned_vocabulary(heads[0], data))
            stack.enter_context(first_token_only(heads[0]))
        if heads:
            stack.enter_context(bf16_hidden_states(heads[0]))
        yield stack.enter_context(pooled_dropout(model, seed))


@contextmanager
def without_cudnn_attention() -> Iterator[None]:
    """On a GPU cuDNN's attention plans anew for each length of a batch, which doubles the time."""
    given = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(given)


def for_training(config) -> dict:
    """Configuration values under which a step on a CPU is fastest.

    Eager attention has the faster backward pass (bf16: 148 against 84 examples a second). Dropout
    inside attention draws a random number for every pair of tokens and is left out; hidden dropout
    stays.
    """
    if devices.has_gpu():
        return {}
    known = ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop")
    found = {name: 0.0 for name in known if hasattr(config.get_text_config(), name)}
    return {**found, "attn_implementation": "eager"}


class PooledDropout(nn.Module):
    """Dropout whose draws are cut out of a pool: 160 against 111 examples a second.

    Torch draws serially on a CPU, which costs more than the matrix products of a small
    layer. Here four million draws are made once, and each call takes a stretch of them that starts
    at random; the starts of a step depend on the seed and the step alone, so that a
    resumed run drops the same.
    """

    def __init__(self, p: float, pool: "Pool") -> None:
        super().__init__()
        self.p, self._pool = p, pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self._pool.draw(self.p, x) if self.training else x


class Pool:
    """Factors of dropout, zero or 1 / (1 - p), for each rate and type that a model uses."""

    _SIZE = 1 << 22

    def __init__(self, seed: int) -> None:
        self._seed, self._pools = seed, {}
        self.restart(0)

    def restart(self, step: int) -> None:
        """Begin the draws of a step, which each rank makes for itself."""
        rank, processes = devices.ranks()
        self._starts = np.random.default_rng([self._seed, step, rank])
        if processes > 1:  # torch's own dropout too
            torch.manual_seed(int(self._starts.integers(2**63)))

    def draw(self, p: float, like: torch.Tensor) -> torch.Tensor:
        """Factors of the shape and type of `like`."""
        pool = self._pools.get((p, like.dtype))
        if pool is None:
            draws = np.random.default_rng([self._seed]).random(self._SIZE, np.float32) >= p
            pool = self._pools[p, like.dtype] = torch.from_numpy(draws).to(like.dtype) / (1 - p)
        if like.numel() >= self._SIZE:
            return torch.nn.functional.dropout(torch.ones_like(like), p)
        start = int(self._starts.integers(self._SIZE - like.numel()))
        return pool[start : start + like.numel()].view(like.shape)


@contextmanager
def pooled_dropout(model: nn.Module, seed: int) -> Iterator[Pool]:
    """Every `nn.Dropout` is a `PooledDropout`; on a GPU torch's own is as fast and stays."""
    pool, swapped = Pool(seed), []
    if not devices.has_gpu():
        for parent in model.modules():
            for name, child in parent.named_children():
                if type(child) is nn.Dropout and 0 < child.p < 1:
                    swapped.append((parent, name, child))
    for parent, name, child in swapped:
        setattr(parent, name, PooledDropout(child.p, pool))
    try:
        yield pool
    finally:
        for parent, name, child in swapped:
            setattr(parent, name, child)


@contextmanager
def pruned_vocabulary(model: nn.Module, data: Sequence[Encoded]) -> Iterator[None]:
    """The embedding table without the words that do not occur: 148 against 142 examples a second.

    Half of a small encoder is this table, and its gradient and the optimiser's two moments are
    dense. Words that do not occur get no gradient; here they are spared the weight decay as well.
    """
    try:
        table, used = model.get_input_embeddings(), _used_ids(model.config, data)
    except NotImplementedError:  # CANINE hashes letters
        table, used = None, []
    plain = type(table) is nn.Embedding
    if not plain or len(used) > 0.9 * table.num_embeddings or used[-1] >= table.num_embeddings:
        yield
        return
    small = nn.Embedding(len(used), table.embedding_dim, padding_idx=table.padding_idx)
    small.weight.data = table.weight.data[used].clone()
    small.weight.requires_grad_(table.weight.requires_grad)
    _renumber(model, small, data, lambda ids: np.searchsorted(used, ids))
    try:
        yield
    finally:
        table.weight.data[used] = small.weight.data.to(table.weight.device)
        _renumber(model, table.to(small.weight.device), data, lambda ids: used[ids])


def _used_ids(config, data: Sequence[Encoded]) -> np.ndarray:
    """Ids that occur, and all up to the special ones, which models know by their numbers."""
    special = [v for k, v in config.to_dict().items() if k.endswith("_token_id")]
    last = max(v for v in (*special, *(d.padding for d in data)) if isinstance(v, int))
    return np.union1d(np.arange(last + 1), np.concatenate([each.ids for each in data]))


def _renumber(model: nn.Module, table: nn.Embedding, data: Sequence[Encoded], to) -> None:
    model.set_input_embeddings(table)
    for each in data:
        each.ids = to(each.ids).astype(np.int32)


class _FirstTokenLayer(nn.Module):
    """A BERT layer, made of the parts of `layer`, that computes the first position alone.

    The other positions still offer keys and values.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.attention, self.intermediate = layer.attention, layer.intermediate
        self.output = layer.output

    def forward(self, hidden_states, attention_mask=None, *_, **__):
        attention = self.attention.self
        heads = (len(hidden_states), -1, attention.num_attention_heads,
                 attention.attention_head_size)  # fmt: skip
        query = attention.query(hidden_states[:, :1]).view(heads).transpose(1, 2)
        key = attention.key(hidden_states).view(heads).transpose(1, 2)
        value = attention.value(hidden_states).view(heads).transpose(1, 2)
        scores = query @ key.mT * attention.attention_head_size**-0.5
        if attention_mask is not None:
            allowed = attention_mask[..., :1, :]
            blocked = torch.finfo(scores.dtype).min
            scores = (
                scores.masked_fill(~allowed, blocked)
                if allowed.dtype is torch.bool
                else scores + allowed
            )
        context = attention.dropout(scores.softmax(-1)) @ value
        context = context.transpose(1, 2).flatten(2)
        mixed = self.attention.output(context, hidden_states[:, :1])
        return self.output(self.intermediate(mixed), mixed)


@contextmanager
def first_token_only(model: nn.Module) -> Iterator[None]:
    """The last layer computes the one position that the head reads: a seventh less to compute.

    For classifiers of texts of the BERT and RoBERTa families; others are left alone. The result is
    the same.
    """
    family = getattr(getattr(model, "config", None), "model_type", None)
    classifies = type(model).__name__.endswith("ForSequenceClassification")
    encoder = getattr(getattr(model, "base_model", None), "encoder", None)
    plain = family in ("bert", "roberta", "xlm-roberta") and classifies and encoder is not None
    if not plain or isinstance(encoder.layer[-1], _FirstTokenLayer):
        yield
        return
    layer = encoder.layer[-1]
    encoder.layer[-1] = _FirstTokenLayer(layer)
    try:
        yield
    finally:
        encoder.layer[-1] = layer


@contextmanager
def bf16_hidden_states(model: nn.Module) -> Iterator[None]:
    """Under autocast, hidden states stay in bf16 between layers: 134 against 121 examples a second.

    Autocast narrows what enters each matrix product and leaves the sum that runs past the layers
    in fp32, so that every product casts it anew, and both are stored for the backward pass. The
    norms still count in fp32 inside. For models whose embeddings are a module of their own; on a
    GPU, autocast widens before each norm, and nothing would be gained.
    """
    embeddings = getattr(getattr(model, "base_model", None), "embeddings", None)
    if embeddings is None or devices.has_gpu():
        yield
        return

    def narrow(_, given, hidden_states):
        if torch.is_autocast_enabled("cpu") and isinstance(hidden_states, torch.Tensor):
            return hidden_states.to(torch.get_autocast_dtype("cpu"))
        return hidden_states

    hook = embeddings.register_forward_hook(narrow)
    try:
        yield
    finally:
        hook.remove()
