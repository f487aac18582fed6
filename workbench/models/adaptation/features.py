"""Adaptation on vectors of texts, which stay as they are while source and target are aligned."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np
from sklearn.base import BaseEstimator

from workbench.models import checks, encoders
from workbench.models.adaptation import base
from workbench.training.batches import Encoded


@dataclass(eq=False, repr=False)
class Coral(checks.RawTextClassifierMixin, BaseEstimator):
    """Frozen vectors of the source, re-coloured with the covariance of the target.

    CORAL (Sun, Feng & Saenko 2016) by skada, on the encoder's mean-pooled vectors, each domain
    centred at its own mean: covariances say nothing of where a cloud lies.

    Parameters
    ----------
    encoder : as in `encoder_classifier.TextClassifier`.
    regularization : shrinkage of the two covariances from 0 to 1; a few hundred texts cannot
        fill a matrix of hundreds of dimensions, so it is not zero.
    """

    encoder: str = "minilm"
    _: KW_ONLY
    regularization: float = 0.1
    max_length: int = 128
    seed: int = 0

    def fit(self, texts: Sequence[str], labels: Sequence, unlabeled: Sequence[str] = ()):
        """Align the source's vectors with those of `unlabeled`, then fit logistic regression."""
        checks.check_numbers(self.get_params(deep=False))
        texts, labels = checks.check_texts_and_labels(texts, labels)
        unlabeled = base.require(unlabeled, "coral")
        with checks.unchanged_on_error(self):
            self.classes_, codes = checks.check_classes(labels)
            self._align(texts, codes, unlabeled)
        return self

    def tokenized(self, texts: Sequence[str]) -> Encoded:
        """The token ids that the model reads, and how many texts were cut to `max_length`."""
        tokenizer, model = encoders.ready(self.encoder)
        return encoders.encoded(model, tokenizer, checks.check_texts(texts), self.max_length)

    def _align(self, texts: list[str], codes: np.ndarray, unlabeled: list[str]) -> None:
        from skada import CORALAdapter
        from sklearn.linear_model import LogisticRegression

        source, target = self._vectors(texts), self._vectors(unlabeled)
        self._centre = target.mean(axis=0)
        source, target = source - source.mean(axis=0), target - self._centre
        # skada marks the source with positive and the target with negative domain numbers.
        domain = np.r_[np.ones(len(source)), -np.ones(len(target))].astype(int)
        adapter = CORALAdapter(reg=self.regularization)
        both = adapter.fit_transform(np.vstack([source, target]), sample_domain=domain)
        both = both["X"] if isinstance(both, dict) else both
        self._head = LogisticRegression(C=10, max_iter=1000, random_state=self.seed)
        self._head.fit(np.asarray(both)[: len(source)], codes)

    def _probabilities(self, texts: list[str]) -> np.ndarray:
        """Texts are read as target text."""
        return self._head.predict_proba(self._vectors(texts) - self._centre)

    def _vectors(self, texts: Sequence[str]) -> np.ndarray:
        return encoders.encode(list(texts), self.encoder, self.max_length)
