"""Classifiers of scikit-learn over raw text, each made by a function of its settings.

Perceptron and network report each epoch to a History, and can be stopped after one.
"""

import warnings

import numpy as np
from sklearn import linear_model, model_selection, pipeline
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from workbench.data import text
from workbench.errors import UserError
from workbench.models import checks
from workbench.models.vectors import MeanVectors
from workbench.training import stop_event
from workbench.training.history import History


class TextPipeline(checks.RawTextClassifierMixin, pipeline.Pipeline):
    """A pipeline over raw text that checks its input; a fit that fails leaves it as it was.

    Attributes
    ----------
    built_with : the arguments of `models.build` that made it; a clone has none.
    """

    built_with: dict = {}  # noqa: RUF012 - replaced, never changed

    def fit(self, texts, labels, **parameters):
        """Fit new copies of all steps."""
        checks.check_numbers(self.built_with)
        texts, labels = checks.check_texts_and_labels(texts, labels)
        checks.check_classes(labels)
        if len(self.steps) > 1 and not any(map(text.tokenize, texts)):
            raise UserError("No text has a word, and this model counts words: look at the texts.")
        # The threads of a random forest set and restore the filters of warnings at the same time.
        with checks.unchanged_on_error(self), warnings.catch_warnings():
            self.steps = clone(self).steps
            return super().fit(texts, labels, **parameters)

    @property
    def history_(self) -> History:
        """That of the last step, also of one inside a calibration."""
        last = self[-1]
        if hasattr(last, "calibrated_classifiers_"):
            last = last.calibrated_classifiers_[0].estimator
        return last.history_

    def _probabilities(self, texts: list[str]) -> np.ndarray:
        return pipeline.Pipeline.predict_proba(self, texts)


class Perceptron(linear_model.Perceptron):
    """scikit-learn's, epoch by epoch: `history_` holds loss and accuracy on the training texts.

    The loss is Rosenblatt's, max(0, −y·f), averaged over the texts and, with several classes, over
    the rules of one against the rest. The order of the texts is drawn anew each epoch, where `fit`
    of scikit-learn repeats one permutation: weights differ, accuracy does not (beyond chance).
    """

    def fit(self, X, y):
        for name in ("classes_", "coef_", "t_"):
            vars(self).pop(name, None)
        y, draw = np.asarray(y), np.random.default_rng(self.random_state)
        self.history_, classes = History(), np.unique(y)
        targets = np.where(y[:, None] == classes, 1, -1)
        for epoch in range(1, self.max_iter + 1):
            order = draw.permutation(len(y))
            self.partial_fit(X[order], y[order], classes)
            sums = X @ self.coef_.T + self.intercept_
            best = sums.argmax(axis=1) if len(classes) > 2 else (sums[:, 0] > 0).astype(int)
            self.history_.log(
                step=epoch, epoch=epoch, steps=self.max_iter, accuracy=(classes[best] == y).mean(),
                loss=np.maximum(0, -targets[:, -sums.shape[1] :] * sums).mean(),
            )  # fmt: skip
            if stop_event.is_set():
                break
        self.n_iter_ = epoch
        return self


class EarlyStoppingMLP(ClassifierMixin, BaseEstimator):
    """scikit-learn's `MLPClassifier` with one hidden layer, epoch by epoch, with early stopping.

    A tenth of the rows is held out. Training ends when their accuracy has not risen for more than
    ten epochs, and the weights of the highest accuracy are kept. The loss in ``history_`` is the
    mean cross-entropy with the L2 penalty.

    Parameters
    ----------
    hidden : units of the hidden layer.
    epochs : the most passes over the rows.
    learning_rate : of Adam.
    alpha : strength of the L2 penalty.
    seed : of the rows that are held out, the starting weights and the order of the rows.
    """

    def __init__(
        self, hidden: int = 64, *, epochs: int = 100, learning_rate: float = 1e-3,
        alpha: float = 1e-2, seed: int = 0,
    ) -> None:  # fmt: skip
        self.hidden = hidden
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.alpha = alpha
        self.seed = seed

    def fit(self, X, y):
        draw = np.random.RandomState(self.seed)
        self.classes_ = np.unique(y)
        X, held_out, y, targets = _hold_out(X, y, draw)
        network = MLPClassifier(
            (self.hidden,), learning_rate_init=self.learning_rate, alpha=self.alpha,
            random_state=draw,
        )  # fmt: skip
        self.history_, best, since = History(), -1.0, 0
        for epoch in range(1, self.epochs + 1):
            network.partial_fit(X, y, classes=self.classes_)
            accuracy = network.score(held_out, targets)
            self.history_.log(
                step=epoch, epoch=epoch, steps=self.epochs, loss=network.loss_,
                validation_accuracy=accuracy,
            )  # fmt: skip
            since = 0 if accuracy > best else since + 1
            if accuracy > best:
                best, weights = accuracy, [w.copy() for w in network.coefs_ + network.intercepts_]
            if since > network.n_iter_no_change or stop_event.is_set():
                break
        network.coefs_, network.intercepts_ = weights[:2], weights[2:]
        self.network_ = network
        return self

    def predict_proba(self, X) -> np.ndarray:
        return self.network_.predict_proba(X)

    def predict(self, X) -> np.ndarray:
        return self.network_.predict(X)


class Folds:
    """Three stratified folds, or two where a class has no more than two texts.

    Raises
    ------
    UserError : a class has one text only.
    """

    def get_n_splits(self, X, y, groups=None) -> int:
        least = int(np.unique(y, return_counts=True)[1].min())
        if least < 2:
            raise UserError("A class has one text only: this model needs two of each.")
        return min(3, least)

    def split(self, X, y, groups=None):
        return model_selection.StratifiedKFold(self.get_n_splits(X, y)).split(X, y)


def majority():
    return TextPipeline([("majority", DummyClassifier(strategy="prior"))])


def naive_bayes(alpha: float = 0.5):
    # Whether a word occurs says more of a short text than how often (Wang & Manning 2012).
    words = CountVectorizer(binary=True, ngram_range=(1, 2), **_TOKENS)
    return _pipeline(words, MultinomialNB(alpha=alpha))


def svm(C: float = 1.0, seed: int = 0):
    return _pipeline(tfidf(), _calibrated(LinearSVC(C=C, random_state=seed)))


def random_forest(trees: int = 200, seed: int = 0):
    forest = RandomForestClassifier(trees, random_state=seed, n_jobs=-1)
    return _pipeline(tfidf(ngrams=1), forest)


def logistic(C: float = 10.0, seed: int = 0):
    rule = linear_model.LogisticRegression(C=C, max_iter=1000, random_state=seed)
    return _pipeline(tfidf(), rule)


def perceptron(epochs: int = 20, seed: int = 0):
    rule = Perceptron(max_iter=epochs, tol=None, random_state=seed)
    return _pipeline(tfidf(), _calibrated(rule))


def mlp(hidden: int = 64, epochs: int = 100, learning_rate: float = 1e-3, seed: int = 0):
    network = EarlyStoppingMLP(hidden, epochs=epochs, learning_rate=learning_rate, seed=seed)
    return _pipeline(MeanVectors(), StandardScaler(), network)


_TOKENS = {"tokenizer": text.tokenize, "token_pattern": None, "lowercase": False}


def _pipeline(*steps) -> TextPipeline:
    return TextPipeline(pipeline.make_pipeline(*steps).steps)


def tfidf(ngrams: int = 2) -> TfidfVectorizer:
    return TfidfVectorizer(ngram_range=(1, ngrams), sublinear_tf=True, **_TOKENS)


def _calibrated(classifier):
    """Give a linear rule probabilities by temperature scaling (Guo et al. 2017).

    One positive factor never changes which class wins; Platt's sigmoid can turn it round when the
    folds are small.
    """
    return CalibratedClassifierCV(classifier, method="temperature", cv=Folds(), ensemble=False)


def _hold_out(X, y, draw: np.random.RandomState) -> list:
    """Nine tenths of the rows and one tenth, of each class its share where the classes allow it."""
    classes, counts = np.unique(y, return_counts=True)
    size = max(len(classes), round(len(y) / 10))
    stratify = y if counts.min() > 1 and size <= len(y) - len(classes) else None
    return model_selection.train_test_split(
        X, y, test_size=min(size, len(y) // 2), stratify=stratify, random_state=draw
    )
