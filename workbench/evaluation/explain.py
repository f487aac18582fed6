"""What a prediction rests on, for any classifier: leave a word out and predict again."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.data import text as _text
from workbench.errors import UserError

MAX_WORDS = 200  # words left out, one after the other: each is one more text to predict


@dataclass(frozen=True)
class Occlusion:
    """A text, the class a model gives it, and how much each word contributes to that.

    ``spans`` are the (start, end) of the words in ``text``; ``attributions`` are differences of the
    probability of ``label``, above 0 where the word speaks for it. ``n`` counts all words of the
    text; only the first `MAX_WORDS` have been left out.
    """

    text: str
    label: str
    probability: float
    spans: list[tuple[int, int]]
    attributions: np.ndarray
    n: int

    @property
    def words(self) -> list[str]:
        return [self.text[start:end] for start, end in self.spans]


def occlusion(model, text: str, *, tokens: Sequence[str] | None = None) -> Occlusion:
    """What each word contributes: the predicted class's probability with it, less that without it.

    Zeiler & Fergus (2014) cover parts of a picture; Li, Monroe & Jurafsky (2016, arXiv 1612.08220)
    erase words. All variants are predicted in one batch. Two words that say the same hide each
    other: without one of them little changes.

    Parameters
    ----------
    model : a fitted classifier with ``predict_proba(texts)`` and ``classes_``.
    tokens : the words in the order of the text; by default what stands between spaces, with its
        punctuation, and in languages without spaces the words of `text.tokenize`.

    Raises
    ------
    UserError : one of `tokens` does not stand in the text, or not in this order.
    """
    spans = _spans(text, tokens)
    left_out = [_without(text, *span) for span in spans[:MAX_WORDS]]
    p = np.asarray(model.predict_proba([text, *left_out]))
    column = int(p[0].argmax())
    label, probability = str(model.classes_[column]), float(p[0, column])
    attributions = probability - p[1:, column]
    return Occlusion(text, label, probability, spans[:MAX_WORDS], attributions, len(spans))


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
