"""Word vectors: trained, loaded, distilled from an encoder, aligned, and averaged into features."""

import codecs
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from workbench.data import text
from workbench.errors import UserError, unknown
from workbench.training import stop_event
from workbench.training.history import History

GOLD = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}
_NUMBERS_AT_THE_END = re.compile(rb"(?:\s+[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)*\s*$")


def train(
    sentences: Iterable[Iterable[str]], *, size: int = 100, window: int = 5, skip_gram: bool = True,
    negative: int = 5, epochs: int = 10, min_count: int = 2, seed: int = 0,
    history: History | None = None,
):  # fmt: skip
    """Word2Vec by gensim (Mikolov et al. 2013): skip-gram or CBOW with negative sampling.

    One worker thread, because several make the result depend on their timing (gensim #2859).

    Parameters
    ----------
    sentences : lists of words, as `text.tokenize` gives them, of any length.
    size : dimensions of a vector.
    window : words to the left and to the right that count as context.
    negative : noise words drawn for each true pair.
    min_count : rarer words get no vector.
    history : receives the summed loss of each epoch; training can be stopped after each.

    Returns
    -------
    `gensim.models.KeyedVectors`

    Raises
    ------
    UserError : a sentence is no list of words, or no word occurs `min_count` times.
    """
    from gensim.models import Word2Vec

    sentences = list(_pieces(sentences))
    model = Word2Vec(
        vector_size=size, window=window, sg=int(skip_gram), negative=negative,
        min_count=min_count, seed=seed, workers=1, compute_loss=history is not None,
    )  # fmt: skip
    model.build_vocab(sentences)
    if not len(model.wv):
        raise UserError(f"No word occurs {min_count} times: give more text or a smaller min_count.")
    with suppress(stop_event.Stopped):  # the vectors of the epochs so far are returned
        model.train(
            sentences, total_examples=model.corpus_count, epochs=epochs,
            compute_loss=history is not None, callbacks=_loss_reporter(history),
        )  # fmt: skip
    return model.wv


def load(path: str | Path):
    """Vectors from a word2vec or GloVe file, text or binary (``.bin``); gzip is understood.

    A GloVe file is a word2vec text file without its first line of two counts. Words may hold
    spaces; of a word that is repeated the first vector counts.

    Raises
    ------
    UserError : there is no such file, or it holds no vectors, or not all that it announces.
    """
    from gensim.models import KeyedVectors

    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"There is no file '{path}'.")
    try:
        if ".bin" not in path.suffixes:
            return _read_text(path)
        return KeyedVectors.load_word2vec_format(str(path), binary=True, unicode_errors="replace")
    except (ValueError, EOFError, OSError, MemoryError, zlib.error) as error:
        reason = f"'{path}' holds no word vectors in word2vec or GloVe format"
        raise UserError(f"{reason}: {error}.") from error


def distil(words: Sequence[str], encoder: str = "minilm"):
    """One static vector a word: what the encoder says of the word alone.

    The first step of Bommasani et al. (2020) without contexts: quick, and no word is out of
    vocabulary because the encoder splits what it does not know.
    """
    from gensim.models import KeyedVectors

    from workbench.models import encoders

    matrix = encoders.encode(words, encoder, max_length=16)
    vectors = KeyedVectors(matrix.shape[1])
    vectors.add_vectors(list(words), matrix)
    return vectors


def align(source, target, pairs: Sequence[tuple[str, str]]):
    """`source` rotated into the space of `target`, so that words of two languages meet.

    Orthogonal Procrustes on the pairs of a seed dictionary (Smith et al. 2017).

    Raises
    ------
    UserError : fewer than two pairs are known to both.
    """
    from gensim.models import KeyedVectors
    from scipy.linalg import orthogonal_procrustes

    known = [(a, b) for a, b in pairs if a in source and b in target]
    if len(known) < 2:
        raise UserError("Aligning two languages needs at least two word pairs known to both.")
    a = np.stack([source.get_vector(word, norm=True) for word, _ in known])
    b = np.stack([target.get_vector(word, norm=True) for _, word in known])
    rotation, _ = orthogonal_procrustes(a, b)
    rotated = KeyedVectors(target.vector_size)
    rotated.add_vectors(source.index_to_key, source.get_normed_vectors() @ rotation)
    return rotated


def similarity_score(vectors, gold: str = "wordsim353") -> dict[str, float]:
    """Spearman's rank correlation with people's judgements of similarity, and the pairs covered.

    ``wordsim353`` (Finkelstein et al. 2002) mixes similarity with relatedness; ``simlex999``
    (Hill et al. 2015) is strict about similarity.

    Raises
    ------
    UserError : no such test, or fewer than two of its pairs have vectors.
    """
    from gensim.test.utils import datapath

    if gold not in GOLD:
        raise unknown("similarity test", gold, GOLD)
    try:
        _, spearman, missing = vectors.evaluate_word_pairs(datapath(GOLD[gold]))
    except ValueError as error:
        raise UserError(
            f"Fewer than two pairs of '{gold}' have a vector for both words."
        ) from error
    return {"spearman": float(spearman.statistic), "covered": 1 - missing / 100}


class MeanVectors(TransformerMixin, BaseEstimator):
    """The average of a text's word vectors, shape (n, dimensions).

    Parameters
    ----------
    vectors : `KeyedVectors`; by default each word that the training texts hold twice is distilled.
    """

    def __init__(self, vectors=None) -> None:
        self.vectors = vectors

    def fit(self, texts: Sequence[str], labels=None):
        self.vectors_ = self.vectors
        if self.vectors is None:
            counts = Counter(chain.from_iterable(_tokenized(texts)))
            frequent = [word for word, n in counts.items() if n > 1]
            self.vectors_ = distil(frequent or list(counts))
        return self

    def transform(self, texts: Sequence[str]) -> np.ndarray:
        """Rows of zeros for texts without a known word."""
        mean = partial(self.vectors_.get_mean_vector, pre_normalize=False)
        rows = [mean(words or [""]) for words in _tokenized(texts)]
        return np.array(rows, np.float32).reshape(-1, self.vectors_.vector_size)


def _tokenized(texts: Iterable[str]) -> list[list[str]]:
    if texts is None or isinstance(texts, str):
        raise UserError("Texts come as a list of strings, one string a text.")
    return [text.tokenize(each) for each in texts]


def _pieces(sentences: Iterable[Iterable[str]]) -> Iterator[list[str]]:
    # What stands beyond 10,000 words in a sentence is not trained on (gensim #2880).
    from gensim.models.word2vec import MAX_WORDS_IN_BATCH as longest

    for number, sentence in enumerate(sentences, 1):
        words = [None] if isinstance(sentence, str) else list(sentence)
        if not all(isinstance(word, str) for word in words):
            raise UserError(f"Sentence {number} is no list of words, as text.tokenize makes it.")
        yield from (words[i : i + longest] for i in range(0, len(words), longest))


def _read_text(path: Path):
    # gensim's own reader cuts at each space, refuses a blank line, and reads no more rows than the
    # first line announces.
    from gensim.models import KeyedVectors
    from smart_open import open as open_any

    rows, count = {}, 0
    with open_any(str(path), "rb") as file:
        start = [file.readline().removeprefix(codecs.BOM_UTF8), *islice(file, 99)]
        announced, size = _sizes(start)
        for number, line in enumerate(chain(start, file), 1):
            if not line.strip():
                continue
            word, *numbers = line.rsplit(None, size)
            try:
                row = np.array(list(map(float, numbers)), np.float32)
            except ValueError:
                row = None
            if row is None or len(row) < size or not np.isfinite(row).all():
                raise ValueError(f"line {number} is not a word and {size} numbers")
            rows.setdefault(word.decode("utf-8", "replace"), row)
            count += 1
    if count < announced:
        raise ValueError(f"its first line announces {announced}, and there are {count}")
    vectors = KeyedVectors(size)
    vectors.add_vectors(list(rows), np.stack(list(rows.values())))
    return vectors


def _sizes(lines: list[bytes]) -> tuple[int, int]:
    """How many words are announced, and the dimensions, by a first line of counts or by the rows.

    A first line of counts is made blank.
    """
    announced, size = 0, 0
    if counts := re.fullmatch(rb"(\d+)\s+(\d+)\s*", lines[0]):
        announced, size = map(int, counts.groups())
        lines[0] = b""
    widths = Counter(len(_NUMBERS_AT_THE_END.search(line)[0].split()) for line in lines)
    del widths[0]
    if not widths:
        raise ValueError("no line ends with numbers")
    if 0 < size < min(widths):
        raise ValueError(f"its first line announces {size} dimensions, its rows {min(widths)}")
    return announced, size or widths.most_common(1)[0][0]


def _loss_reporter(history: History | None) -> list:
    if history is None:
        return []
    from gensim.models.callbacks import CallbackAny2Vec

    class Reporter(CallbackAny2Vec):
        def on_epoch_end(self, model):
            epoch = len(history) + 1
            history.log(
                step=epoch, epoch=epoch, steps=model.epochs, loss=model.get_latest_training_loss()
            )
            # gensim adds up over the epochs, in single precision: later epochs would be lost in
            # the rounding of the sum (gensim #2617).
            model.running_training_loss = 0.0
            stop_event.raise_if_stopped()

    return [Reporter()]
