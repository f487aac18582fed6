"""Adaptation on vectors: they are moved, chosen or weighted; what makes them stays as it is."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.metaestimators import available_if

from workbench.data import text
from workbench.errors import UserError, unknown
from workbench.models import checks, classical, encoders
from workbench.models.adaptation import base
from workbench.training.batches import Encoded

VECTORS = ("tfidf", "static", "frozen")


@dataclass(eq=False, repr=False)
class VectorAdaptation(checks.RawTextClassifierMixin, BaseEstimator):
    """Logistic regression on vectors of the source that were fitted to the target's.

    Parameters
    ----------
    encoder, max_length : as in `encoder_classifier.TextClassifier`.
    vectors : ``"frozen"``, the encoder's, mean-pooled; ``"static"``, the mean of its token vectors;
        ``"tfidf"``, which reads no encoder and of which methods that move vectors take the 300 main
        directions: over the twelve pairs of Amazon reviews it led by three points, 0.78 to 0.75.
    """

    encoder: str = encoders.BUNDLED
    _: KW_ONLY
    vectors: str = "frozen"
    max_length: int = 128
    seed: int = 0
    _moves = True  # both domains are centred, each at its own mean, which takes a dense matrix

    def fit(self, texts: Sequence[str], labels: Sequence, unlabeled: Sequence[str] = ()):
        """Fit to labelled texts of the source and at least two of the target, without labels."""
        checks.check_numbers(self.get_params(deep=False))
        if self.vectors not in VECTORS:
            raise unknown("kind of vectors called", self.vectors, VECTORS)
        texts, labels = checks.check_texts_and_labels(texts, labels)
        unlabeled = base.require(unlabeled, type(self).__name__, 2)
        with checks.unchanged_on_error(self):
            self.classes_, codes = checks.check_classes(labels)
            self._align(texts, codes, unlabeled)
        return self

    @available_if(lambda self: self.vectors != "tfidf")
    def tokenized(self, texts: Sequence[str]) -> Encoded:
        """The token ids that the encoder reads, and how many texts were cut to `max_length`."""
        tokenizer, model = encoders.ready(self._encoder())
        return encoders.encoded(model, tokenizer, checks.check_texts(texts), self.max_length)

    def _align(self, texts: list[str], codes: np.ndarray, unlabeled: list[str]) -> None:
        both, steps = self._read([*texts, *unlabeled]), []
        for step in self._counting(both) if self.vectors == "tfidf" else ():
            both = step.fit_transform(both)
            steps.append(step)
        source, target = both[: len(texts)], both[len(texts) :]
        if self._moves:
            steps.append(StandardScaler(with_std=False).fit(target))
            source, target = source - source.mean(axis=0), steps[-1].transform(target)
        source, last = self._adapted(source, codes, target)
        self._head = make_pipeline(*steps, last, self._fitted(source, codes, target))

    def _adapted(self, source, codes: np.ndarray, target) -> tuple:
        """The source as the classifier is to see it, and the step that makes the target such."""
        return source, "passthrough"

    def _fitted(self, source, codes: np.ndarray, target, weights=None):
        rule = LogisticRegression(C=10, max_iter=1000, random_state=self.seed)
        return rule.fit(source, codes, weights)

    def _counting(self, texts: list[str]):
        if not any(map(text.tokenize, texts)):
            raise UserError("No text has a word, and TF-IDF counts words: look at the texts.")
        yield (words := classical.tfidf(ngrams=1 if self._moves else 2))
        if self._moves:
            yield TruncatedSVD(min(300, len(texts), len(words.vocabulary_)), random_state=self.seed)

    def _probabilities(self, texts: list[str]) -> np.ndarray:
        """Texts are read as target text."""
        return self._head.predict_proba(self._read(texts))

    def _read(self, texts: list[str]):
        if self.vectors == "tfidf":
            return texts
        return encoders.encode(texts, self._encoder(), self.max_length).astype(float)

    def _encoder(self) -> str:
        return f"{encoders.STATIC}{self.encoder}" if self.vectors == "static" else self.encoder


@dataclass(eq=False, repr=False)
class FeatureSelection(VectorAdaptation):
    """Without features that are distributed otherwise in the target (Satpal & Sarawagi 2007).

    Left out is what has more than `limit` of its variance between source and target, a share of 0
    to 1; of the rest the share `keep` stays with most of it between classes (eta squared).
    """

    _: KW_ONLY
    limit: float = 0.2
    keep: float = 1.0
    _moves = False

    def _adapted(self, source, codes, target):
        domains, classes = _between(*_stacked(source, target)), _between(source, codes)
        stays = domains <= max(self.limit, domains.min())
        stays &= classes >= np.quantile(classes[stays], 1 - self.keep)
        # A feature that is zero throughout the source gets no weight, whatever it is in the target.
        return source @ sparse.diags(stays.astype(float)), "passthrough"


@dataclass(eq=False, repr=False)
class PrincipalComponents(VectorAdaptation):
    """The directions in which both domains vary most: PCA, as Pan et al. (2011) compare with."""

    _: KW_ONLY
    components: int = 100

    def _adapted(self, source, codes, target):
        both = np.vstack([source, target])
        pca = PCA(min(self.components, *both.shape), random_state=self.seed).fit(both)
        return pca.transform(source), pca


class LinearDiscriminant(VectorAdaptation):
    """Fisher's discriminant (1936), shrunk (Ledoit & Wolf 2004), around the target's mean."""

    def _fitted(self, source, codes, target):
        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(source, codes)


@dataclass(eq=False, repr=False)
class Coral(VectorAdaptation):
    """The source, re-coloured with the covariance of the target (Sun, Feng & Saenko 2016).

    `regularization` shrinks the two covariances, from 0 to 1; a few hundred texts cannot fill a
    matrix of hundreds of dimensions, so it is not zero.
    """

    _: KW_ONLY
    regularization: float = 0.1

    def _adapted(self, source, codes, target):
        from skada import CORALAdapter

        return _by_skada(CORALAdapter(reg=self.regularization), source, target), "passthrough"


@dataclass(eq=False, repr=False)
class SubspaceAlignment(VectorAdaptation):
    """The source's principal directions, turned onto the target's (Fernando et al. 2013)."""

    _: KW_ONLY
    components: int = 200

    def _adapted(self, source, codes, target):
        from skada import SubspaceAlignmentAdapter

        size = min(self.components, *source.shape, *target.shape)
        adapter = SubspaceAlignmentAdapter(size, random_state=self.seed)
        return _by_skada(adapter, source, target), adapter.pca_target_


@dataclass(eq=False, repr=False)
class OptimalTransport(VectorAdaptation):
    """The source, carried to the target at the least squared distance (Courty et al. 2017).

    The `plan` leads from one normal distribution to the other, ``"linear"`` (Flamary et al. 2019),
    or from text to text, ``"exact"``, at the cost of time and memory for each pair.
    """

    _: KW_ONLY
    plan: str = "linear"

    def _adapted(self, source, codes, target):
        from skada import LinearOTMappingAdapter, OTMappingAdapter

        plans = {"linear": LinearOTMappingAdapter(reg=1e-3), "exact": OTMappingAdapter()}
        if self.plan not in plans:
            raise unknown("plan called", self.plan, plans)
        return _by_skada(plans[self.plan], source, target), "passthrough"


@dataclass(eq=False, repr=False)
class ImportanceWeighting(VectorAdaptation):
    """Texts of the source count by the ratio of the domains' densities (Shimodaira 2000).

    It is the odds of a classifier of domains (Bickel, Brückner & Scheffer 2009), to a `power` from
    0, where all count the same, to 1, where a few may outweigh all others.
    """

    _: KW_ONLY
    power: float = 0.5
    _moves = False

    def _fitted(self, source, codes, target):
        return super()._fitted(source, codes, target, self._weights(source, target))

    def _weights(self, source, target) -> np.ndarray:
        domains = LogisticRegression(max_iter=1000).fit(*_stacked(source, target))
        # skada 0.6 has the ratio upside down: its weights fall where the target is denser.
        ratio = np.exp(-self.power * domains.decision_function(source))
        return ratio / ratio.mean()


def _stacked(source, target) -> tuple:
    """Both domains as one matrix, and 1 for the source and -1 for the target, as in skada."""
    stack = sparse.vstack if sparse.issparse(source) else np.vstack
    return stack([source, target]), np.repeat([1, -1], [source.shape[0], target.shape[0]])


def _by_skada(adapter, source, target) -> np.ndarray:
    both, domain = _stacked(source, target)
    return adapter.fit_transform(both, sample_domain=domain)[: len(source)]


def _between(vectors, groups: np.ndarray) -> np.ndarray:
    """Eta squared of each feature: of its variance, the share that lies between groups of rows."""
    names, sizes = np.unique(groups, return_counts=True)
    means = (groups == names[:, None]) / sizes[:, None] @ vectors
    between = sizes @ (means - sizes @ means / len(groups)) ** 2 / len(groups)
    whole = StandardScaler(with_mean=False).fit(vectors).var_
    return np.divide(between, whole, out=np.zeros_like(whole), where=whole > 0)
