"""From one text to another: translation and summaries, from nothing or from a checkpoint."""

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.utils.validation import check_is_fitted

from workbench.errors import UserError, unknown
from workbench.models import checks, encoders
from workbench.models.torch_classifier import TorchEstimator
from workbench.training import isolation
from workbench.training.batches import Encoded, Pairs, token_ids

FROM_NOTHING = ("transformer", "gru")


@dataclass(eq=False, repr=False)
class Seq2Seq(TorchEstimator):
    """An encoder reads the source, and a decoder writes the target token by token.

    It is trained by teacher forcing: at each position the decoder is given the true tokens before.

    Parameters
    ----------
    checkpoint : ``"transformer"`` (Vaswani et al. 2017) or ``"gru"`` (a recurrent network with
        attention, Bahdanau et al. 2015, Luong et al. 2015), both from nothing; or the folder or hub
        name of a pretrained one (Marian, mBART, BART, T5, mT5), or of one that was saved here,
        whose training is continued.
    size, layers, dropout : of a network from nothing: of its vectors, and of each half of the
        transformer.
    vocabulary : pieces that a network from nothing learns, at most, from both sides of the pairs.
    embeddings_from : an encoder whose vectors of these pieces, reduced to `size` dimensions by
        their principal components, are the embeddings that a network from nothing starts from.
    prefix : goes before each source; T5 wants ``"summarize: "``.
    languages : codes of source and target for checkpoints of many languages, such as
        ``("en_XX", "de_DE")`` for mBART.
    beams : translations that are followed at once (beam search); 1 takes the likeliest token.
    length_penalty : above 1 prefers longer targets where there are several beams, below it
        shorter ones.
    max_new_tokens : no target that is written is longer.
    learning_rate : by default 3e-3 from nothing; for a checkpoint that of `TextClassifier`.

    The other parameters are those of `TorchEstimator`; ``max_length`` holds for source and target.
    """

    checkpoint: str = "transformer"
    _: KW_ONLY
    size: int = 128
    layers: int = 4
    dropout: float = 0.3
    vocabulary: int = 6000
    embeddings_from: str | None = None
    prefix: str = ""
    languages: tuple[str, str] | None = None
    beams: int = 4
    length_penalty: float = 1.0
    max_new_tokens: int = 64
    label_smoothing: float = 0.1

    @property
    def _head_class(self) -> str:
        """The kind of model that `saving` loads."""
        from workbench.models import seq2seq_networks  # noqa: F401, transformers learns of the GRU

        return "Seq2SeqLM"

    def fit(self, sources: Iterable[str], targets: Iterable[str], validation: tuple | None = None):
        """Train on pairs; ``validation=(sources, targets)`` is scored after every epoch.

        Raises
        ------
        UserError : the pairs or a setting cannot be used, the checkpoint is not here or is no
            sequence-to-sequence model, or the loss is no longer finite.
        """
        from workbench import training

        with self._fitting(validation):
            pairs = _check_pairs(sources, targets)
            held_out = None if validation is None else _check_pairs(*validation, "validation ")
            self._load(pairs)
            rate = self.learning_rate or (3e-3 if self.checkpoint in FROM_NOTHING else None)
            self.training_info_ = training.fit(
                self._model, self._pairs(*pairs), self.history_, self,
                learning_rate=rate or training.default_learning_rate(self._model),
                validation=held_out and self._pairs(*held_out),
            )  # fmt: skip
        return self

    def _check(self) -> None:
        networks = {"network or checkpoint": (self.checkpoint, FROM_NOTHING),
                    "encoder": (self.embeddings_from, encoders.NAMES)}  # fmt: skip
        for kind, (name, known) in networks.items():
            plain = name is not None and name.isalpha() and not Path(name).is_dir()
            if plain and name not in known:
                raise unknown(kind, name, [*known, "a folder", "a name on the hub"])
        if self.size % 2:
            raise UserError(
                f"size must be even, not {self.size}: half of it reads in each direction."
            )

    def with_defaults(self, texts: int) -> "Seq2Seq":
        filled = super().with_defaults(texts)
        if self.checkpoint in FROM_NOTHING:  # the whole language has to be learned
            filled.batch_size = self.batch_size or (64 if texts >= 4000 else 32)
            filled.epochs = self.epochs or min(40, max(5, round(4000 * filled.batch_size / texts)))
        return filled

    def predict(self, sources: Iterable[str], beams: int | None = None) -> list[str]:
        """What is written for each source; `beams` in place of those of the settings.

        A checkpoint writes before it is fitted, with what it has learned elsewhere.
        """
        written = self._write(
            checks.check_texts(sources, "sources"), self.beams if beams is None else beams
        )
        return self._tokenizer.batch_decode(written, skip_special_tokens=True)

    def attention(self, source: str) -> tuple[list[str], list[str], np.ndarray]:
        """Where the decoder looked: tokens of the source, tokens written, and the attention.

        Shape (tokens written, tokens of the source), the mean over layers and heads; a row sums to
        1. It hints at which words answer to each other, and is no proof of it.
        """
        import torch

        (written,) = self._write(checks.check_texts([source], "sources"), self.beams)
        batch = self._encoded([source]).__getitems__([0])
        ids, device = written[None], self._model.device
        self._model.set_attn_implementation("eager")  # others do not say where they looked
        with torch.inference_mode():
            output = self._model(
                **{name: each.to(device) for name, each in batch.items()},
                decoder_input_ids=ids[:, :-1].to(device), output_attentions=True,
            )  # fmt: skip
        matrix = torch.stack(output.cross_attentions)[:, 0].float().mean((0, 1))
        tokens = [[self._tokenizer.decode([i]).strip() for i in row.tolist()]
                  for row in (batch["input_ids"][0], written[1:])]  # fmt: skip
        return *tokens, matrix.cpu().numpy()

    def _load(self, pairs: tuple[list[str], list[str]]) -> None:
        import transformers

        from workbench.models import seq2seq_networks as networks  # a saved GRU is read by it
        from workbench.training import speed

        transformers.set_seed(self.seed)
        if self.checkpoint in FROM_NOTHING:
            self._tokenizer = networks.tokenizer([*pairs[0], *pairs[1]], self.vocabulary)
            self._model = networks.build(
                self.checkpoint, len(self._tokenizer), self.size, self.layers, self.dropout
            )
            if self.embeddings_from:
                self._take_embeddings(self._model.get_input_embeddings().weight.data)
            return
        self._tokenizer = encoders.tokenizer(self.checkpoint)
        if self.languages:
            self._tokenizer.src_lang, self._tokenizer.tgt_lang = self.languages
        settings = speed.for_training(encoders.configuration(self.checkpoint))
        self._model = encoders.load(self.checkpoint, "Seq2SeqLM", **settings)

    def _take_embeddings(self, table) -> None:
        """Write the encoder's vectors of the pieces into `table`, as large as what stands there."""
        import torch
        from sklearn.decomposition import PCA

        pieces = [self._tokenizer.decode([i]).strip() for i in range(len(table))]
        vectors = encoders.encode(pieces, self.embeddings_from)
        size = min(table.shape[1], *vectors.shape)
        reduced = PCA(size, random_state=self.seed).fit_transform(vectors)
        table[:, :size] = torch.from_numpy(reduced * (table.std().item() / reduced.std()))

    def _encoded(self, sources: list[str]) -> Encoded:
        texts = [self.prefix + source for source in sources]
        return encoders.encoded(self._model, self._tokenizer, texts, self.max_length)

    def _pairs(self, sources: list[str], targets: list[str]) -> Pairs:
        length = encoders.longest(self._model, self.max_length)
        rows, truncated = token_ids(self._tokenizer, targets, length, target=True)
        written = Encoded(rows, self._tokenizer.pad_token_id, rows, truncated)
        shift = self._model.prepare_decoder_input_ids_from_labels
        return Pairs(self._encoded(sources), written, shift)

    def _write(self, sources: list[str], beams: int) -> list:
        """The tokens written for each source, with what the decoder starts from."""
        from workbench.training import inference

        if not hasattr(self, "_model"):
            if self.checkpoint in FROM_NOTHING:
                check_is_fitted(self)
            self._check()
            with isolation.isolated():
                self._load(([], []))
        checks.check_numbers(self.get_params(deep=False) | {"beams": beams})
        options = {"num_beams": beams, "max_new_tokens": self.max_new_tokens, "do_sample": False}
        if beams > 1:
            options["length_penalty"] = self.length_penalty
        if self.languages:
            code = self._tokenizer.convert_tokens_to_ids(self.languages[1])
            options["forced_bos_token_id"] = code
        write = partial(self._model.generate, **options)
        rows, written = self._encoded(sources), [None] * len(sources)
        for batch, ids in inference.forward_batches(self._model, rows, self.precision, write):
            for i, row in zip(batch, ids.cpu(), strict=True):
                written[i] = row
        return written


def _check_pairs(sources, targets, name: str = "") -> tuple[list[str], list[str]]:
    """As many sources as targets, all of which say something.

    Raises
    ------
    UserError : they are no pairs, or one side is empty.
    """
    names = f"{name}sources", f"{name}targets"
    pairs = tuple(checks.check_texts(*each) for each in zip((sources, targets), names, strict=True))
    if len(pairs[0]) != len(pairs[1]) or not pairs[0]:
        raise UserError(
            f"There are {len(pairs[0])} {names[0]} and {len(pairs[1])} {names[1]}: each text needs "
            "its counterpart in the same row."
        )
    for texts, side in zip(pairs, names, strict=True):
        empty = [i for i, text in enumerate(texts) if not text.strip()]
        if empty:
            raise UserError(
                f"{len(empty)} of {len(texts)} {side} are empty, the first in row {empty[0]}: drop "
                "these pairs or complete them."
            )
    return pairs
