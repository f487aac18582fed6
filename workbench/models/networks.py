"""Modules of torch: convolutional and recurrent classifiers, and masked-LM training's own parts.

Torch is imported with this module, which is imported only where a network is built: modules must
stand at the top of a file to be pickled.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
import transformers
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput

from workbench.data import text
from workbench.training import inference
from workbench.training.batches import Encoded

PADDING, UNKNOWN = 0, 1


class Vocabulary:
    """Words by number: 0 pads, 1 stands for every word that was not seen often enough.

    A text is a string, or a list of its words.
    """

    pad_token_id = PADDING

    def __init__(self, texts: Iterable[str | list[str]], min_count: int = 2) -> None:
        counts = Counter(word for each in texts for word in _words(each))
        frequent = [word for word, n in counts.most_common() if n >= min_count]
        self.words = frequent or list(counts)
        self._numbers = {word: i for i, word in enumerate(self.words, UNKNOWN + 1)}

    def __len__(self) -> int:
        return len(self.words) + 2

    def __contains__(self, word: str) -> bool:
        return word in self._numbers

    def rows(self, texts: Sequence[str | list[str]], max_length: int) -> tuple[list, int]:
        """Numbers of the words of each text, int32, and how many texts were cut off."""
        rows, truncated = [], 0
        for each in texts:
            numbers = [self._numbers.get(word, UNKNOWN) for word in _words(each)]
            truncated += len(numbers) > max_length
            rows.append(np.asarray(numbers[:max_length] or [UNKNOWN], np.int32))
        return rows, truncated


def _words(given: str | list[str]) -> list[str]:
    return text.tokenize(given) if isinstance(given, str) else given


class Network(nn.Module):
    """Embeddings, a convolutional or recurrent layer, a pooled vector, a linear layer.

    ``cnn`` has filters over 3, 4 and 5 words (Kim 2014); ``rnn`` (Elman 1990), ``lstm``
    (Hochreiter & Schmidhuber 1997) and ``gru`` (Cho et al. 2014) read in both directions. All
    pool by the maximum over the text.

    Parameters
    ----------
    kind : ``"cnn"``, ``"rnn"``, ``"lstm"`` or ``"gru"``.
    vectors : starting values of the embeddings, shape (words of the vocabulary, dimensions).
    classes : number of classes.
    hidden : filters of each width, or units in each direction.
    dropout : of the words and of the pooled vector.
    pooled : whether there is one vector a text, or, of a recurrent layer, one a word.
    """

    def __init__(
        self, kind: str, vectors: torch.Tensor, classes: int, hidden: int, dropout: float,
        pooled: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.pooled = pooled
        self.embeddings = nn.Embedding.from_pretrained(vectors, freeze=False, padding_idx=PADDING)
        self.dropout = nn.Dropout(dropout)
        size = vectors.shape[1]
        if kind == "cnn":
            self.layer = nn.ModuleList(
                nn.Conv1d(size, hidden, width, padding=width // 2) for width in (3, 4, 5)
            )
            self.classifier = nn.Linear(3 * hidden, classes)
        else:
            cell = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[kind]
            self.layer = cell(size, hidden, batch_first=True, bidirectional=True)
            self.classifier = nn.Linear(2 * hidden, classes)

    def forward(self, input_ids, attention_mask, labels=None):
        """Logits, shape (texts, classes) or, not pooled, (texts, words, classes).

        From word numbers, shape (texts, words).
        """
        words = self.dropout(self.embeddings(input_ids))
        mask = attention_mask.bool()[:, None, :]
        if isinstance(self.layer, nn.ModuleList):
            features = [conv(words.mT).relu() for conv in self.layer]
            # An even width gives one position more than there are words.
            pooled = [s[..., : mask.shape[-1]].masked_fill(~mask, 0).amax(-1) for s in features]
        else:
            lengths = attention_mask.sum(1).cpu()
            packed = nn.utils.rnn.pack_padded_sequence(
                words, lengths, batch_first=True, enforce_sorted=False
            )
            hidden, _ = nn.utils.rnn.pad_packed_sequence(self.layer(packed)[0], batch_first=True)
            if not self.pooled:
                return SequenceClassifierOutput(logits=self.classifier(self.dropout(hidden)))
            pooled = [hidden.mT.masked_fill(~mask[..., : hidden.shape[1]], -torch.inf).amax(-1)]
        logits = self.classifier(self.dropout(torch.cat(pooled, dim=1)))
        return SequenceClassifierOutput(logits=logits)


class SentenceVectors(nn.Module):
    """The mean-pooled vectors of an encoder, of length 1, in place of logits."""

    def __init__(self, model, pad_token_id: int) -> None:
        super().__init__()
        self.encoder = model.get_encoder() if model.config.is_encoder_decoder else model
        self.config, self._padding = model.config, pad_token_id

    def forward(self, input_ids, **mask):
        """Vectors, float32, shape (texts, dimensions), from token ids, shape (texts, tokens)."""
        hidden_states = self.encoder(input_ids=input_ids, **mask).last_hidden_state
        real = mask.get("attention_mask", input_ids != self._padding).unsqueeze(-1)
        mean = (hidden_states.float() * real).sum(1) / real.sum(1).clamp(min=1)
        return SequenceClassifierOutput(logits=nn.functional.normalize(mean))


class TwiceEncoded(SentenceVectors):
    """Each text's cosine to every text's vector under other dropout, its own first (SimCSE)."""

    def __init__(self, model, pad_token_id: int, temperature: float) -> None:
        super().__init__(model, pad_token_id)
        self._temperature = temperature
        layers = [module for module in self.modules() if isinstance(module, nn.Dropout)]
        for layer in () if any(layer.p for layer in layers) else layers:
            layer.p = 0.1

    def forward(self, input_ids, **mask):
        """Cosines over the temperature, shape (texts, texts), from ids, shape (texts, tokens)."""
        twice = {name: rows.repeat(2, 1) for name, rows in mask.items()}
        one, other = super().forward(input_ids.repeat(2, 1), **twice).logits.chunk(2)
        cosines = nn.functional.cosine_similarity(one[:, None], other, dim=-1)
        texts = torch.arange(len(one), device=one.device)
        own_first = cosines.gather(1, (texts[:, None] + texts) % len(one))
        return SequenceClassifierOutput(logits=own_first / self._temperature)


class HideTokens:
    """Hides tokens of a batch for masked-LM training (Devlin et al. 2019), by transformers.

    The draws depend on the seed and the step alone: a resumed run hides the same tokens.
    """

    def __init__(self, tokenizer, share: float, seed: int) -> None:
        self._collator = transformers.DataCollatorForLanguageModeling(
            tokenizer, mlm_probability=share
        )
        self._special, self._seed = torch.tensor(tokenizer.all_special_ids), seed

    def __call__(self, batch: dict, step: int) -> dict:
        # On the CPU, where the draws of every machine are the same.
        ids = batch["input_ids"].cpu()
        self._collator.seed = int(np.random.default_rng([self._seed, step]).integers(2**62))
        self._collator.create_rng()
        special = torch.isin(ids, self._special)
        ids, labels = self._collator.torch_mask_tokens(ids.clone(), special)
        hidden = {"input_ids": ids, "labels": labels, "hidden": labels != -100}
        return batch | {name: x.to(batch["input_ids"].device) for name, x in hidden.items()}


class MaskedOnly(nn.Module):
    """A masked-LM model that computes logits for the hidden tokens only.

    The layer over the whole vocabulary costs more than a small encoder, and 85% of its logits
    enter no loss: without them a step takes half the time.
    """

    def __init__(self, model) -> None:
        super().__init__()
        self.model = model
        self._hidden = None
        model.get_output_embeddings().register_forward_pre_hook(
            lambda _, given: (given[0][self._hidden],)
        )

    def forward(self, hidden, **inputs):
        """Logits, shape (hidden tokens, vocabulary), from a batch and where tokens are hidden."""
        self._hidden = hidden
        return self.model(**inputs)


class AlsoMasked(nn.Module):
    """A classifier of the source that also fills in hidden tokens of the target, by one encoder.

    Its output has the masked-LM loss as ``penalty``, where a batch says what is of the target.
    """

    accepts_loss_kwargs = False  # else `Trainer` hands the number of labels on to the encoder

    def __init__(self, model, masked: MaskedOnly, weight: float) -> None:
        super().__init__()
        self.model, self.masked, self._weight = model, masked, weight

    def forward(self, target=None, hidden=None, tokens=None, **inputs):
        """Logits of the source's texts, from a batch as `hide_target` prepares it, or of all."""
        if hidden is None:
            return self.model(**inputs)
        output = self.model(**{name: value[~target] for name, value in inputs.items()})
        of_target = {name: value[target] for name, value in inputs.items()}
        found = self.masked(hidden[target], **of_target).logits.float()
        lost = nn.functional.cross_entropy(found, tokens[hidden], reduction="sum")
        output["penalty"] = self._weight * lost / max(1, len(found))
        return output


def hide_target(hide: HideTokens, batch: dict, step: int) -> dict:
    """`batch` with tokens hidden in the texts of the target, and what they were."""
    target, found = batch["target"][:, None], hide(batch, step)
    ids = torch.where(target, found["input_ids"], batch["input_ids"])
    hidden = found["hidden"] & target
    return batch | {"input_ids": ids, "hidden": hidden, "tokens": batch["input_ids"]}


def masked_loss(model: MaskedOnly, rows: Encoded, hide: HideTokens, precision: str) -> float:
    """Mean masked-LM loss of texts, of which the same tokens are hidden each time."""
    steps, device = itertools.count(), next(model.parameters()).device

    def forward(**inputs):
        given = {k: v.to(device) for k, v in hide(inputs, next(steps)).items()}
        labels, hidden = given.pop("labels"), given["hidden"]
        logits = model(**given).logits.float()
        return nn.functional.cross_entropy(logits, labels[hidden], reduction="sum"), len(logits)

    found = [lost for _, lost in inference.forward_batches(model, rows, precision, forward)]
    return float(sum(lost for lost, _ in found)) / max(1, sum(tokens for _, tokens in found))


def start_head(model, ids: np.ndarray) -> None:
    """Begin the masked-LM head that a checkpoint lacks (`new_weights`), near a sensible one.

    Its square layer is the identity, shifted to where the activation is one as well; the norm that
    follows takes the shift away, and the output layer is tied to the embeddings of the tokens.
    Biases are the logarithms of how frequent tokens are among `ids`.
    """
    for name in model.new_weights:
        layer = model.get_submodule(name.rpartition(".")[0])
        if isinstance(layer, nn.Linear) and layer.in_features == layer.out_features:
            nn.init.eye_(layer.weight)
            nn.init.constant_(layer.bias, 3.0)
    output = model.get_output_embeddings()
    counts = torch.from_numpy(np.bincount(ids, minlength=output.out_features) + 0.1)
    output.bias.data.copy_((counts / counts.sum()).log())


def starting_vectors(vocabulary: Vocabulary, size: int, vectors=None) -> torch.Tensor:
    """Random embeddings, or those of `vectors` for every word that has one; padding is zero."""
    if vectors is not None:
        size = vectors.vector_size
    start = torch.randn(len(vocabulary), size) * 0.1
    if vectors is not None:
        known = [(i, w) for i, w in enumerate(vocabulary.words, UNKNOWN + 1) if w in vectors]
        for i, word in known:
            start[i] = torch.as_tensor(np.array(vectors[word]))
    start[PADDING] = 0
    return start
