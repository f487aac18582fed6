"""What a prediction rests on, for any classifier: its words, and the texts it was trained on."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from workbench import models
from workbench.data import text as _text
from workbench.errors import UserError
from workbench.models import encoders

MAX_WORDS = 200  # words left out, one after the other: each is one more text to predict


@dataclass(frozen=True)
class Occlusion:
    """A text, the class a model gives it, and how much each word contributes to that.

    ``spans`` are the (start, end) of the words in ``text``; ``attributions`` are differences of the
    probability of ``label``, above 0 where the word speaks for it. The model reads the first
    ``read`` characters and cuts off the rest; ``n`` counts their words, of which only the first
    `MAX_WORDS` have been left out.
    """

    text: str
    label: str
    probability: float
    spans: list[tuple[int, int]]
    attributions: np.ndarray
    n: int
    read: int

    @property
    def words(self) -> list[str]:
        return [self.text[start:end] for start, end in self.spans]


def occlusion(
    model, text: str, *, tokens: Sequence[str] | None = None, probabilities=None
) -> Occlusion:
    """What each word contributes: the predicted class's probability with it, less that without it.

    Zeiler & Fergus (2014) cover parts of a picture; Li, Monroe & Jurafsky (2016, arXiv 1612.08220)
    erase words. All variants are predicted in one batch. Two words that say the same hide each
    other: without one of them little changes.

    Parameters
    ----------
    model : a fitted classifier with ``predict_proba(texts)`` and ``classes_``.
    tokens : the words in the order of the text; by default what stands between spaces, with its
        punctuation, and in languages without spaces the words of `text.tokenize`.
    probabilities : what ``predict_proba([text])[0]`` has said, where that is shown beside this: in
        bf16 the same text in another batch has slightly other probabilities.

    Raises
    ------
    UserError : one of `tokens` does not stand in the text, or not in this order.
    """
    # A word that is left out must let no other one in at the end.
    read = characters_read(model, text)
    spans = [span for span in _spans(text, tokens) if span[0] < read]
    left_out = [_without(text[:read], *span) for span in spans[:MAX_WORDS]]
    p = np.asarray(model.predict_proba([text, *left_out]))
    shown = p[0] if probabilities is None else np.asarray(probabilities)
    column = int(shown.argmax())
    label, probability = str(model.classes_[column]), float(shown[column])
    attributions = p[0, column] - p[1:, column]
    return Occlusion(text, label, probability, spans[:MAX_WORDS], attributions, len(spans), read)


def characters_read(model, text: str) -> int:
    """After how many characters a model cuts the text off; all of them where it reads the whole.

    What it reads is the shortest beginning with the same tokens.
    """
    if not hasattr(model, "tokenized") or not (whole := model.tokenized([text])).truncated:
        return len(text)
    ids = whole[0].tolist()
    return bisect_left(
        range(len(text)), True, key=lambda n: model.tokenized([text[:n]])[0].tolist() == ids
    )


class TrainingTexts:
    """The training texts that are most similar to a text, by the cosine of their vectors.

    Parameters
    ----------
    train : data frame with the columns text and label.
    encoder : of the vectors, as in `encoders.encode`; by default they are TF-IDF.
    """

    def __init__(self, train: pd.DataFrame, encoder: str = "") -> None:
        texts = list(train["text"])
        if encoder:
            self._vectors_of = partial(encoders.encode, encoder=encoder)
        else:
            self._vectors_of = models.build("logistic")[0].fit(texts).transform  # its TF-IDF
        self.train, self._vectors = train, self._vectors_of(texts)

    def nearest(self, text: str, n: int = 3) -> pd.DataFrame:
        """The `n` most similar ones, the first the nearest: text, label and similarity."""
        from sklearn.utils.extmath import safe_sparse_dot

        similarity = safe_sparse_dot(self._vectors, self._vectors_of([text]).T, dense_output=True)
        found = self.train[["text", "label"]].assign(similarity=similarity.ravel())
        return found.nlargest(n, "similarity").reset_index(drop=True)


def _spans(text: str, tokens: Sequence[str] | None) -> list[tuple[int, int]]:
    if tokens is None and _text.language_of(text) not in _text.UNSPACED:
        return [match.span() for match in re.finditer(r"\S+", text)]
    spans, end = [], 0
    for token in _text.tokenize(text, lowercase=False) if tokens is None else tokens:
        match = re.compile(re.escape(token), re.IGNORECASE).search(text, end)
        if match is None:
            raise UserError(f"The word '{token}' does not stand in the text after the one before.")
        spans.append(match.span())
        end = match.end()
    return spans


def _without(text: str, start: int, end: int) -> str:
    # The space goes with the word: a double space would show a tokenizer where it stood.
    return (text[:start] + text[end:].lstrip()).strip()
