"""Extractive summaries: a few sentences of a text, chosen without any training."""

from collections.abc import Iterable

import numpy as np
from sklearn.base import BaseEstimator

from workbench.data import text
from workbench.errors import unknown
from workbench.models import encoders
from workbench.models.checks import check_numbers, check_texts

METHODS = ("lead", "random", "centroid", "textrank")


class Extractive(BaseEstimator):
    """Summaries made of the sentences of a text, in their order in it.

    Nothing is learned: `fit` is there so that it can stand where an estimator is expected.

    Parameters
    ----------
    method : ``"lead"``, the first sentences; ``"random"`` ones; ``"centroid"``, those nearest to
        the mean of all (Radev et al. 2004, with the vectors of an encoder in place of TF-IDF);
        ``"textrank"``, those that a random walk between similar sentences visits most often
        (PageRank, as Mihalcea & Tarau 2004, with the same vectors in place of shared words, and no
        edge between sentences less alike than the mean, as in LexRank, Erkan & Radev 2004).
    sentences : how many, at most.
    redundancy : from 0, choose by importance alone, to 1, choose what is least like the sentences
        chosen already: maximal marginal relevance (Carbonell & Goldstein 1998), where this is
        1 - λ. For ``"centroid"`` and ``"textrank"``.
    encoder : a name, folder or hub name, as in `models.build`.
    seed : of ``"random"``; the same text gets the same summary.
    """

    def __init__(
        self, method: str = "centroid", *, sentences: int = 3, redundancy: float = 0.5,
        encoder: str = encoders.BUNDLED, seed: int = 0,
    ) -> None:  # fmt: skip
        self.method = method
        self.sentences = sentences
        self.redundancy = redundancy
        self.encoder = encoder
        self.seed = seed

    def fit(self, texts: Iterable[str] | None = None, summaries=None) -> "Extractive":
        """Do nothing, and return the estimator."""
        return self

    def predict(self, texts: Iterable[str]) -> list[str]:
        """A summary of each text.

        Raises
        ------
        UserError : a setting is unknown or makes no sense, or `texts` are no strings.
        """
        check_numbers(self.get_params())
        if self.method not in METHODS:
            raise unknown("method of summaries", self.method, METHODS)
        return [self._summary(each) for each in check_texts(texts)]

    def _summary(self, written: str) -> str:
        found = text.sentences(written)
        between = "" if text.language_of(written) in text.UNSPACED else " "
        return between.join(found[i] for i in sorted(self._chosen(found)))

    def _chosen(self, found: list[str]) -> Iterable[int]:
        if self.method == "lead" or len(found) <= self.sentences:
            return range(len(found))[: self.sentences]
        if self.method == "random":
            return np.random.default_rng(self.seed).permutation(len(found))[: self.sentences]
        vectors = encoders.encode(found, self.encoder)
        alike = _scaled(vectors @ vectors.T)
        important = alike.mean(axis=1)
        if self.method == "textrank":
            import networkx

            weights = np.where(alike > alike.mean(), alike, 0) * (1 - np.eye(len(alike)))
            walk = networkx.pagerank(networkx.from_numpy_array(weights), tol=1e-9, max_iter=1000)
            important = np.array([walk[i] for i in range(len(found))])
        return _diverse(_scaled(important), alike, self.sentences, self.redundancy)


def _diverse(important: np.ndarray, alike: np.ndarray, wanted: int, redundancy: float) -> list[int]:
    """By maximal marginal relevance, one sentence after the other."""
    chosen = [int(important.argmax())]
    while len(chosen) < wanted:
        gain = (1 - redundancy) * important - redundancy * alike[:, chosen].max(axis=1)
        gain[chosen] = -np.inf
        chosen.append(int(gain.argmax()))
    return chosen


def _scaled(values: np.ndarray) -> np.ndarray:
    """Moved and stretched to reach from 0 to 1: importance and likeness weigh the same."""
    spread = np.ptp(values)
    return (values - values.min()) / spread if spread > 0 else np.zeros_like(values)
