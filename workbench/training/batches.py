"""Tokenised texts in flat arrays, and the batches that training and prediction take from them."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

IGNORED = -100  # the label of a position that is not scored, as in torch and transformers


class Encoded:
    """Tokenised texts as one flat array with offsets: a data set that hands out padded batches.

    Lists of Python integers would take nine times the memory, and padding them token by token
    costs more than a small network's step.

    Parameters
    ----------
    rows : token ids of each text, int32.
    padding : the id that fills a batch.
    labels : number of the class of each text; or for each text an array, with the number of the
        class of each token and `IGNORED` where there is none.
    truncated : how many texts were cut to fit.
    left : padding comes before the text, for models that read the last position.
    multiple : a batch is padded to a multiple of so many positions.
    mask : batches have an ``attention_mask``; a few architectures take none.
    """

    def __init__(
        self, rows: Sequence[np.ndarray], padding: int, labels=None, truncated: int = 0, *,
        left: bool = False, multiple: int = 1, mask: bool = True,
    ) -> None:  # fmt: skip
        self.length = np.array([len(row) for row in rows])
        self.ids = np.concatenate(rows) if len(rows) else np.empty(0, np.int32)
        self.per_token = labels is not None and len(labels) > 0 and np.ndim(labels[0]) == 1
        if labels is not None:
            labels = np.concatenate(labels) if self.per_token else np.asarray(labels)
        self.labels = labels
        self.hidden_states = None  # of frozen layers, one row a token; see `upper_layers`
        self.padding, self.truncated = padding, truncated
        self.left, self.multiple, self.mask = left, multiple, mask
        self._starts = np.cumsum(self.length) - self.length

    def __len__(self) -> int:
        return len(self.length)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.ids[self._starts[index] : self._starts[index] + self.length[index]]

    def drawn(self, random: np.random.Generator) -> np.ndarray:
        """Indices of the texts of an epoch, of which there are ``len(self)``: each once."""
        return np.arange(len(self))

    def flat_indices(self, indices: Sequence[int]) -> np.ndarray:
        """Where the tokens of these texts stand in the flat array, text after text."""
        starts, lengths = self._starts[indices], self.length[indices]
        return np.concatenate([np.arange(s, s + n) for s, n in zip(starts, lengths, strict=True)])

    def is_token(self, indices: Sequence[int]) -> np.ndarray:
        """The attention mask of a batch of these texts, boolean."""
        lengths = self.length[indices][:, None]
        width = -(-lengths.max() // self.multiple) * self.multiple
        positions = np.arange(width)
        return positions >= width - lengths if self.left else positions < lengths

    def __getitems__(self, indices: Sequence[int]) -> dict:
        """One padded batch in torch: ``input_ids``, ``attention_mask``, and what else there is."""
        import torch

        indices = np.asarray(indices)
        mask = self.is_token(indices)
        ids = np.full(mask.shape, self.padding, np.int64)
        flat = self.flat_indices(indices)
        ids[mask] = self.ids[flat]
        batch = {"input_ids": torch.from_numpy(ids)}
        if self.mask:
            batch["attention_mask"] = torch.from_numpy(mask.astype(np.int64))
        if self.hidden_states is not None:
            size, dtype = self.hidden_states.shape[1], self.hidden_states.dtype
            hidden_states = torch.zeros(*mask.shape, size, dtype=dtype)
            hidden_states[torch.from_numpy(mask)] = self.hidden_states[flat]
            batch["hidden_states"] = hidden_states
        if self.labels is not None:
            batch["labels"] = torch.from_numpy(self.labels_of(indices))
        return batch

    def labels_of(self, indices: Sequence[int]) -> np.ndarray:
        """Labels of a batch of these texts, shape (texts,) or, padded, (texts, positions)."""
        if not self.per_token:
            return self.labels[indices]
        mask = self.is_token(indices)
        labels = np.full(mask.shape, IGNORED, np.int64)
        labels[mask] = self.labels[self.flat_indices(indices)]
        return labels

    @property
    def trimmable(self) -> bool:
        """Whether a part of a batch may lose the positions that none of its texts has."""
        return self.multiple == 1

    def counts(self) -> dict:
        """Texts, tokens and how many texts were cut."""
        return {"texts": len(self), "tokens": len(self.ids), "truncated": self.truncated}


class Pairs(Encoded):
    """Sources and what is to be written for each: batches for teacher forcing.

    Parameters
    ----------
    targets : their labels are their own tokens.
    shift : from the labels of a batch to ``decoder_input_ids``, the tokens before each of them.
    """

    def __init__(self, sources: Encoded, targets: Encoded, shift: Callable) -> None:
        self.sources, self.targets, self.shift = sources, targets, shift
        self.length = sources.length + targets.length
        self.ids = np.concatenate([sources.ids, targets.ids])
        self.labels, self.labels_of = targets.labels, targets.labels_of
        self.truncated = sources.truncated + targets.truncated

    trimmable = False  # the two sides are padded on their own

    def __getitems__(self, indices: Sequence[int]) -> dict:
        batch = self.sources.__getitems__(indices)
        batch["labels"] = self.targets.__getitems__(indices)["labels"]
        return batch | {"decoder_input_ids": self.shift(batch["labels"])}


class BothDomains(Encoded):
    """Labelled texts of a source, with as many unlabelled ones of a target in each batch.

    A batch alternates between the two, now one first and now the other (as Thue and Morse did), so
    that pieces and every n-th text have as many of both; ``target`` tells which is which, and the
    label of a target text is `IGNORED`. Those of a batch stand about where the source's do in the
    order of lengths: little is padding, and each length has its share. The draws depend on the seed
    and the source texts of the batch: a resumed run sees the same.
    """

    def __init__(self, source: Encoded, target: Encoded, seed: int) -> None:
        vars(self).update(vars(source))
        self._source, self._seed = len(source), seed
        self.length = np.concatenate([source.length, target.length])
        self.ids = np.concatenate([source.ids, target.ids])
        self.labels = np.concatenate([source.labels, np.full(len(target), IGNORED)])
        self.truncated = source.truncated + target.truncated
        self._starts = np.cumsum(self.length) - self.length

    def __len__(self) -> int:
        return self._source

    def __getitems__(self, indices: Sequence[int]) -> dict:
        pairs = np.stack([indices, self._beside(indices)], 1)
        turned = np.bitwise_count(np.arange(len(pairs))) % 2 == 1
        pairs[turned] = pairs[turned, ::-1]
        batch = super().__getitems__(pairs.ravel())
        return batch | {"target": batch["labels"] == IGNORED}

    def _beside(self, indices: Sequence[int]) -> np.ndarray:
        random, size = np.random.default_rng([self._seed, *indices]), len(indices)
        mean = self.length[indices].mean()
        rank = random.uniform(*np.searchsorted(np.sort(self.length[: len(self)]), [mean, mean + 1]))
        lengths = self.length[len(self) :]
        order = len(self) + np.argsort(lengths * random.uniform(0.95, 1.05, len(lengths)))
        start = size * int(rank / len(self) * -(-len(order) // size))
        start = max(0, min(start, len(order) - size))
        return np.resize(order[start : start + size], size)

    def counts(self) -> dict:
        return super().counts() | {"unlabeled": len(self.length) - len(self)}


class SeveralTasks(Encoded):
    """Texts of several tasks, from each of which an epoch draws a share; batches have ``task``.

    Parameters
    ----------
    rows : with labels that count the classes of all tasks.
    task : the number of each text's task.
    alpha : the share of a task is as its number of texts to this power.
    """

    def __init__(self, rows: Encoded, task: np.ndarray, alpha: float = 1.0) -> None:
        vars(self).update(vars(rows))
        self.task, shares = task, np.cumsum([0, *np.bincount(task) ** alpha])
        self.draws = np.diff(np.rint(shares / shares[-1] * len(task)).astype(int))  # an epoch

    def drawn(self, random: np.random.Generator) -> np.ndarray:
        own = (random.permutation(np.flatnonzero(self.task == t)) for t in range(len(self.draws)))
        return np.concatenate([np.resize(o, n) for o, n in zip(own, self.draws, strict=True)])

    def __getitems__(self, indices: Sequence[int]) -> dict:
        import torch

        return super().__getitems__(indices) | {"task": torch.from_numpy(self.task[indices])}


def token_ids(
    tokenizer, texts: Sequence[str], max_length: int, target: bool = False
) -> tuple[list[np.ndarray], int]:
    """Token ids of each text, int32, and how many texts were cut to `max_length` tokens.

    A `target` is what a model is to write: some have other pieces for it. A text that holds
    ``</s>`` or ``[SEP]`` is a text: it is not read as the end of one.
    """
    rows, truncated = [], 0
    options = {"split_special_tokens": True, "return_attention_mask": False, "verbose": False}
    cut = {**options, "truncation": True, "max_length": max_length}
    side = "text_target" if target else "text"
    # An empty text has no tokens with some tokenizers, and no model takes none.
    blank = [tokenizer.pad_token_id]
    for start in range(0, len(texts), 1000):
        some = list(texts[start : start + 1000])
        if tokenizer.is_fast:
            found = tokenizer(**{side: some}, return_overflowing_tokens=True, **cut)
            # What does not fit comes back as further rows of the same text.
            owners = found["overflow_to_sample_mapping"]
            _, firsts, pieces = np.unique(owners, return_index=True, return_counts=True)
            truncated += int((pieces > 1).sum())
            ids = [found["input_ids"][i] for i in firsts]
        else:
            whole = tokenizer(**{side: some}, **options)["input_ids"]
            truncated += sum(len(each) > max_length for each in whole)
            ids = tokenizer(**{side: some}, **cut)["input_ids"]
        rows += [np.asarray(each or blank, np.int32) for each in ids]
    return rows, truncated


def by_length(lengths: Sequence[int], tokens: int = 4096) -> Iterator[np.ndarray]:
    """Index arrays of texts of like length, each at most `tokens` positions with its padding."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    start = 0
    while start < len(order):
        size = max(1, tokens // max(1, lengths[order[start]]))
        yield order[start : start + size]
        start += size


def default_batch_size(texts: int) -> int:
    """Texts a step: 32, halved to no less than 8 while an epoch would have under sixty steps.

    Large batches are quicker, and few texts teach more in more steps: on 300 sentences of SST-2
    (three epochs, 1e-4, three seeds) batches of 8, 16 and 32 reached 0.81, 0.79 and 0.67 on the
    development sentences; on 1,000 sentences 0.846, 0.846 and 0.842.
    """
    return next((size for size in (32, 16) if texts >= 60 * size), 8)


def default_epochs(texts: int, batch_size: int) -> int:
    """Passes over the texts: as many as 320 steps take, and no less than 3 or more than 20.

    Where texts are few, fine-tuning takes about twenty (Mosbach et al. 2021).
    """
    return min(20, max(3, round(320 * batch_size / texts)))


class ShuffledByLength:
    """Batches of texts of like length in a random order, another one each epoch.

    Lengths are blurred by up to a twentieth before sorting, so that a text meets other texts in
    each epoch; half of a random batch is padding, here about a twentieth. The order, and what
    `drawn` makes an epoch of, depend on the seed and the epoch alone: a resumed run sees the same
    batches.
    """

    def __init__(
        self, lengths: Sequence[int], size: int, seed: int, drawn: Callable | None = None
    ) -> None:
        self.lengths, self.size, self.seed, self.epoch = np.asarray(lengths), size, seed, 0
        self._drawn = drawn or (lambda random: np.arange(len(lengths)))

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.size)

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng([self.seed, self.epoch])
        texts = self._drawn(random)
        order = texts[np.argsort(self.lengths[texts] * random.uniform(0.95, 1.05, len(texts)))]
        batches = [order[i : i + self.size] for i in range(0, len(order), self.size)]
        for i in random.permutation(len(batches)):
            yield batches[i].tolist()
