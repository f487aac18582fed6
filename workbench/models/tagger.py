"""A tag for each token of a sentence: named entities and other spans, in the BIO scheme."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from workbench.data import tagged
from workbench.errors import UserError, warn
from workbench.models import checks, encoder_classifier, encoders
from workbench.training.batches import IGNORED, Encoded


class _TaggerMixin(checks.SavedMixin):
    """`predict` and `score`, over `_predicted`."""

    def predict(self, sentences: Sequence[list[str]]) -> list[list[str]]:
        """A tag for each token, in BIO: an I- that continues nothing is read as B-, as by seqeval.

        Tokens that the model does not read, beyond ``max_length``, are tagged O, with a warning.
        """
        check_is_fitted(self)
        sentences, _ = _checked(sentences)
        ends = np.cumsum([0, *map(len, sentences)])
        tags = np.full(ends[-1], "O", dtype=object)
        read, codes = self._predicted(sentences) if sentences else ([], [])
        tags[read] = self.classes_[codes]
        return [tagged.bio(tags[a:b]) for a, b in itertools.pairwise(ends)]

    def score(self, sentences: Sequence[list[str]], tags: Sequence[list[str]]) -> float:
        """F1 of the entities by seqeval, micro-averaged."""
        from seqeval.metrics import f1_score

        _, tags = _checked(sentences, tags)
        return float(f1_score(tags, self.predict(sentences), zero_division=0))


@dataclass(eq=False, repr=False)
class Tagger(_TaggerMixin, encoder_classifier.PretrainedEstimator):
    """An encoder that gives each token a tag, or a recurrent network that learns it from nothing.

    The first piece of a token carries its label, the others have none (Devlin et al. 2019).

    Parameters
    ----------
    encoder : ``"minilm"``, ``"multilingual"``, a folder or a hub name; or ``"bilstm"``, an LSTM
        in both directions (Huang, Xu & Yu 2015, without their CRF), for which words that occur
        once are their shapes, such as ``Xx``: no strategy, and 10 epochs at 2e-3 by default.
    strategy : as of a classifier of texts, but for ``"contrastive"``; ``"frozen"`` is logistic
        regression on the hidden states two thirds up the layers, where entities are told apart
        best (Tenney, Das & Pavlick 2019), of the first pieces.

    The other parameters are those of `PretrainedEstimator`.

    Attributes
    ----------
    classes_ : the tags, sorted.
    """

    _strategies = ("full", "frozen", "upper", "gradual", "lora")
    _head_class = "TokenClassification"

    def fit(self, sentences: Sequence[list[str]], tags: Sequence[list[str]], validation=None):
        """Train; ``validation=(sentences, tags)`` is scored after every epoch, token by token.

        Raises
        ------
        UserError : sentences, tags or a setting cannot be used, or the encoder is not here.
        """
        with self._fitting(validation):
            sentences, tags = _checked(sentences, tags)
            self.classes_, codes = checks.check_classes(np.concatenate(tags))
            held_out = None if validation is None else self._held_out(*validation)
            self.training_info_ = self._fit(sentences, codes, held_out)
        return self

    def with_defaults(self, texts: int) -> "Tagger":
        filled = super().with_defaults(texts)
        if self.encoder == "bilstm":
            filled.epochs = self.epochs or 10
        return filled

    def _fit(self, sentences: list, codes: np.ndarray, held_out: tuple | None) -> dict:
        if self.warm_start and (self.encoder == "bilstm" or self.strategy == "frozen"):
            raise UserError("A tagger's warm_start needs an encoder that is fine-tuned.")
        if self.encoder == "bilstm":
            return self._fit_network(sentences, codes, held_out)
        if self.strategy == "frozen":
            return self._fit_head(sentences, codes)
        self._load(self.encoder)
        train, held_out = self._rows(sentences, codes)[0], held_out and self._rows(*held_out)[0]
        self._model, report = self._train(train, held_out, None)
        return report

    def _fit_network(self, sentences: list, codes: np.ndarray, held_out: tuple | None) -> dict:
        import transformers

        from workbench import training
        from workbench.models import networks

        transformers.set_seed(self.seed)
        shapes = [[shape(word) for word in sentence] for sentence in sentences]
        self._words = networks.Vocabulary([*sentences, *shapes])
        self._model = self._network(networks.starting_vectors(self._words, 100))
        return training.fit(
            self._model, self._rows(sentences, codes)[0], self.history_, self,
            learning_rate=self.learning_rate or 2e-3,
            validation=held_out and self._rows(*held_out)[0],
        )  # fmt: skip

    def _network(self, start):
        from workbench.models import networks

        return networks.Network("lstm", start, len(self.classes_), 100, 0.3, pooled=False)

    def _fit_head(self, sentences: list, codes: np.ndarray) -> dict:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self._model = self._tokenizer = None
        rows, token = self._rows(sentences)
        rule = LogisticRegression(C=0.01, max_iter=300, random_state=self.seed)
        self._head = make_pipeline(StandardScaler(), rule)
        self._head.fit(self._vectors(rows)[token >= 0], codes[token[token >= 0]])
        trainable = rule.coef_.size + rule.intercept_.size
        return {"trainable_parameters": trainable, **rows.counts()}

    def _predicted(self, sentences: list) -> tuple[np.ndarray, np.ndarray]:
        """Which of all tokens in a row the model reads, and the code of each one's tag."""
        from workbench.training import inference

        rows, token = self._rows(sentences)
        if rows.truncated:
            warn(
                f"{rows.truncated} of {len(rows)} sentences are longer than the model reads "
                f"(max_length={self.max_length}): the tokens beyond are tagged O."
            )
        begins = token >= 0
        if not begins.any():  # characters that the tokenizer has no piece for
            return token[begins], token[begins]
        if hasattr(self, "_head"):
            return token[begins], self._head.predict(self._vectors(rows)[begins])
        found = inference.logit_batches(self._model, rows, self.precision)
        codes = inference.flat(((i, logits.argmax(-1)) for i, logits in found), rows)
        return token[begins], codes.numpy()[begins]

    def _vectors(self, rows: Encoded) -> np.ndarray:
        """Hidden states of all pieces, float32, shape (pieces, dimensions)."""
        from workbench.training import inference

        _, model = self._parts()
        encoder = model.get_encoder() if model.config.is_encoder_decoder else model

        def states(**inputs):
            found = encoder(**inputs, output_hidden_states=True).hidden_states
            return found[2 * len(found) // 3].float().cpu()

        return inference.flat(
            inference.forward_batches(encoder, rows, "fp32", states), rows
        ).numpy()

    def _parts(self) -> tuple:
        if self._model is None:  # frozen
            return encoders.ready(self.encoder)
        return self._tokenizer, self._model

    def _rows(self, sentences: list, codes=None) -> tuple[Encoded, np.ndarray]:
        """Sentences as numbers, and which of all tokens in a row each piece begins, or -1."""
        if self.encoder == "bilstm":
            known = [[w if w in self._words else shape(w) for w in each] for each in sentences]
            rows, truncated = self._words.rows(known, self.max_length)
            begun = [np.arange(len(row)) for row in rows]
            encoded = Encoded(rows, self._words.pad_token_id, None, truncated)
        else:
            tokenizer, model = self._parts()
            length = encoders.longest(model, self.max_length)
            rows, begun, truncated = _pieces(tokenizer, sentences, length)
            encoded = encoders.batched(model, tokenizer, rows, length, None, truncated)
        before = np.cumsum([0, *map(len, sentences)])
        pairs = zip(begun, before, strict=False)
        token = np.concatenate([np.where(own < 0, -1, own + n) for own, n in pairs])
        if codes is not None:
            encoded.labels, encoded.per_token = np.where(token < 0, IGNORED, codes[token]), True
        return encoded, token

    def _held_out(self, sentences, tags) -> tuple:
        """Sentences and the codes of their tags, where training has the tag."""
        sentences, tags = _checked(sentences, tags, "validation")
        tags = np.concatenate(tags)
        known = np.isin(tags, self.classes_)
        if not known.all():
            never = ", ".join(np.unique(tags[~known]))
            warn(f"Tags of validation that training has not are left out: {never}.")
        return sentences, np.where(known, np.searchsorted(self.classes_, tags), IGNORED)


class BaselineTagger(_TaggerMixin, BaseEstimator):
    """Logistic regression on how a token and its neighbours are written, each token by itself.

    Parameters
    ----------
    C : the larger, the less regularisation.
    """

    def __init__(self, C: float = 1.0, seed: int = 0) -> None:
        self.C = C
        self.seed = seed

    def fit(self, sentences: Sequence[list[str]], tags: Sequence[list[str]]):
        """Train on sentences of tokens with a tag each."""
        from sklearn.feature_extraction import DictVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        checks.check_numbers(self.get_params())
        sentences, tags = _checked(sentences, tags)
        self.classes_, codes = checks.check_classes(np.concatenate(tags))
        rule = LogisticRegression(C=self.C, max_iter=300, random_state=self.seed)
        self._rule = make_pipeline(DictVectorizer(), rule).fit([*_features(sentences)], codes)
        return self

    def _predicted(self, sentences: list) -> tuple[slice, np.ndarray]:
        return slice(None), self._rule.predict([*_features(sentences)])


def shape(word: str) -> str:
    """How a word is written: capitals as X, letters as x, digits as 9, runs once: ``X-9``."""
    kinds = (
        "X" if c.isupper() else "x" if c.isalpha() else "9" if c.isdigit() else c for c in word
    )
    return "".join(kind for kind, _ in itertools.groupby(kinds))


def _features(sentences: list) -> Iterator[dict[str, str]]:
    for sentence in sentences:
        words = ["<<", "<", *map(str.lower, sentence), ">", ">>"]
        shapes = ["<<", "<", *map(shape, sentence), ">", ">>"]
        for i, word in enumerate(words[2:-2], 2):
            around = {f"word {k:+}": words[i + k] for k in (-2, -1, 0, 1, 2)}
            forms = {f"shape {k:+}": shapes[i + k] for k in (-1, 0, 1)}
            ends = {f"{n} letters": (word[:n], word[-n:]) for n in (2, 3)}
            parts = {f"{name} {at}": p for name, pair in ends.items() for at, p in enumerate(pair)}
            yield {**around, **forms, **parts, "shapes": " ".join(shapes[i - 2 : i + 3])}


def _checked(sentences, tags=None, name: str = "the input") -> tuple[list, list]:
    """Sentences as lists of tokens, and their tags in BIO; without tags, what stands for them."""
    rows = checks.one_dimensional(sentences, "sentences")
    if tags is None:
        given = [["O"] * len(row) if isinstance(row, (list, np.ndarray)) else row for row in rows]
    elif len(given := checks.one_dimensional(tags, "tags")) != len(rows):
        raise UserError(f"There are {len(rows)} sentences and {len(given)} lists of tags.")
    tagged.check(rows, given, name)
    return [list(row) for row in rows], given if tags is None else tagged.in_bio(given, name)


def _pieces(tokenizer, sentences: list, length: int) -> tuple[list, list, int]:
    """The pieces of each sentence, the token that each begins or -1, and how many were cut off."""
    if not tokenizer.is_fast:
        raise UserError("The tokenizer of this encoder cannot read words one by one: take another.")
    options = {"is_split_into_words": True, "truncation": True, "split_special_tokens": True}
    found = tokenizer(sentences, max_length=length, **options).encodings
    begun = []
    for each in found:
        # Some tokenizers make the space before a word a piece of its own: it says nothing.
        named = zip(each.word_ids, each.tokens, strict=True)
        own = np.array([-1 if n is None or piece == "▁" else n for n, piece in named])
        begun.append(np.where(own != np.concatenate([[-1], own[:-1]]), own, -1))
    rows = [np.array(each.ids, np.int32) for each in found]
    return rows, begun, sum(bool(each.overflowing) for each in found)
