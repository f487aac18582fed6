"""The catalogue: from a name to an unfitted scikit-learn classifier over raw text."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from workbench.data import text
from workbench.errors import unknown
from workbench.models import adaptation, encoder_classifier, encoders


@dataclass(frozen=True)
class Entry:
    """What a person chooses by: a group, a sentence, a size, and the function that builds it."""

    group: str
    about: str
    make: Callable
    size: str = "grows with the vocabulary"
    languages: str = "any"


def build(name: str, **settings):
    """An unfitted classifier with ``fit(texts, labels)``, ``predict`` and ``predict_proba``.

    Parameters
    ----------
    name : a name of the catalogue, a folder with a checkpoint, or a name on the hub.
    settings : keyword arguments in the field's words, such as ``epochs`` or ``max_length``.

    Raises
    ------
    UserError : the name or a setting is unknown; the nearest valid one is offered.
    """
    check(name)
    make = CATALOGUE[name].make if name in CATALOGUE else _encoder(name)
    allowed = list(inspect.signature(make).parameters)
    for setting in settings:
        if setting not in allowed:
            raise unknown(f"setting of '{name}' called", setting, allowed)
    return make(**settings)


def check(name: str) -> None:
    """Refuse a name that `build` would not know.

    Whether a hub name exists is only known when it is fetched; it is told from a misspelt one by
    its form (``owner/model``) or its family (``bert-…``).

    Raises
    ------
    UserError : with the nearest valid name.
    """
    if name in CATALOGUE:
        return
    path = Path(str(name)).expanduser()
    if path.is_dir() or path.is_absolute() or str(name).startswith((".", "~")):
        encoders.locate(name)
    elif not _looks_like_a_hub_name(str(name)):
        raise unknown("model", name, [*CATALOGUE, "a folder", "a name on the hub"])
    else:
        encoders.require(name)


def names(group: str | None = None) -> list[str]:
    """Names of the catalogue, in the order in which they are taught."""
    return [name for name, entry in CATALOGUE.items() if group in (None, entry.group)]


def table():
    """The catalogue as a `pandas.DataFrame`: name, group, about, size, languages, settings."""
    import pandas as pd

    rows = [
        {"name": name, "group": entry.group, "about": entry.about, "size": entry.size,
         "languages": entry.languages, "here": True,
         "settings": ", ".join(inspect.signature(entry.make).parameters) or "–"}
        for name, entry in CATALOGUE.items()
    ]  # fmt: skip
    return pd.DataFrame(rows).set_index("name")


# --- how each is built; heavy imports stay inside, so that the catalogue is listed at once --------


def _tfidf(ngrams: int = 2):
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        tokenizer=text.tokenize, token_pattern=None, lowercase=False,
        ngram_range=(1, ngrams), sublinear_tf=True,
    )  # fmt: skip


def _over_tfidf(classifier, ngrams: int = 2):
    from sklearn.pipeline import make_pipeline

    return make_pipeline(_tfidf(ngrams), classifier)


def _calibrated(classifier):
    """Give a linear rule probabilities by temperature scaling (Guo et al. 2017).

    One positive factor never changes which class wins; Platt's sigmoid can turn it round when the
    folds are small.
    """
    from sklearn.calibration import CalibratedClassifierCV

    from workbench.models.classical import Folds

    return CalibratedClassifierCV(classifier, method="temperature", cv=Folds(), ensemble=False)


def _majority():
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="prior")


def _naive_bayes(alpha: float = 0.5):
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    # Whether a word occurs says more of a short text than how often (Wang & Manning 2012).
    words = CountVectorizer(
        tokenizer=text.tokenize, token_pattern=None, lowercase=False,
        ngram_range=(1, 2), binary=True,
    )  # fmt: skip
    return make_pipeline(words, MultinomialNB(alpha=alpha))


def _svm(C: float = 1.0, seed: int = 0):
    from sklearn.svm import LinearSVC

    return _over_tfidf(_calibrated(LinearSVC(C=C, random_state=seed)))


def _random_forest(trees: int = 200, seed: int = 0):
    from sklearn.ensemble import RandomForestClassifier

    return _over_tfidf(RandomForestClassifier(trees, random_state=seed, n_jobs=-1), ngrams=1)


def _logistic(C: float = 10.0, seed: int = 0):
    from sklearn.linear_model import LogisticRegression

    return _over_tfidf(LogisticRegression(C=C, max_iter=1000, random_state=seed))


def _perceptron(epochs: int = 20, seed: int = 0):
    from workbench.models.classical import Perceptron, Pipeline

    rule = Perceptron(max_iter=epochs, tol=None, random_state=seed)
    return Pipeline(_over_tfidf(_calibrated(rule)).steps)


def _mlp(hidden: int = 64, epochs: int = 100, learning_rate: float = 1e-3, seed: int = 0):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from workbench.models.classical import Network, Pipeline
    from workbench.models.vectors import MeanVectors

    network = Network(
        (hidden,), max_iter=epochs, learning_rate_init=learning_rate, alpha=1e-2,
        early_stopping=True, random_state=seed,
    )  # fmt: skip
    return Pipeline(make_pipeline(MeanVectors(), StandardScaler(), network).steps)


def _network(kind: str) -> Callable:
    return partial(encoder_classifier.NetworkClassifier, kind)


def _encoder(name: str) -> Callable:
    return partial(encoder_classifier.TextClassifier, name)


def _looks_like_a_hub_name(name: str) -> bool:
    families = (
        "bert",
        "roberta",
        "distil",
        "albert",
        "electra",
        "deberta",
        "gpt",
        "xlm",
        "t5",
        "xlnet",
    )
    return (
        "/" in name or (any(f in name.lower() for f in families) and "-" in name) or name == "gpt2"
    )


_MINILM = {"size": "22.7 M", "languages": "English"}
CATALOGUE: dict[str, Entry] = {
    "majority": Entry(
        "baseline", "always the most frequent class; who loses to it has learned nothing",
        _majority, size="one number a class",
    ),
    "naive-bayes": Entry(
        "classical", "word counts, each word on its own; hard to beat with few labels", _naive_bayes
    ),
    "svm": Entry("classical", "linear SVM over TF-IDF; strong on long texts", _svm),
    "random-forest": Entry(
        "classical", "200 decision trees over TF-IDF; slow, few settings", _random_forest
    ),
    "logistic": Entry(
        "classical", "logistic regression over TF-IDF; the baseline to report", _logistic
    ),
    "perceptron": Entry("neural", "the oldest network, one layer over TF-IDF", _perceptron),
    "mlp": Entry(
        "neural", "one hidden layer over averaged word vectors", _mlp, size="about 0.03 M",
        languages="English",
    ),
    "cnn": Entry(
        "neural", "filters over 3, 4 and 5 words, trained from nothing", _network("cnn"),
        size="0.2 M and the vocabulary",
    ),
    "rnn": Entry(
        "neural", "reads word by word in both directions; forgets soon", _network("rnn"),
        size="0.04 M and the vocabulary",
    ),
    "lstm": Entry(
        "neural", "a recurrent network with gates that keep what matters", _network("lstm"),
        size="0.2 M and the vocabulary",
    ),
    "gru": Entry(
        "neural", "a lighter LSTM with two gates", _network("gru"), size="0.1 M and the vocabulary"
    ),
    "minilm": Entry(
        "pretrained", "a six-layer BERT, bundled; fine-tuned, or strategy='frozen'",
        _encoder("minilm"), **_MINILM,
    ),
    "source-only": Entry(
        "adaptation", "fine-tuned on the source, not adapted", adaptation.SourceOnly, **_MINILM
    ),
    "coral": Entry(
        "adaptation", "frozen vectors, covariances aligned", adaptation.Coral,
        **_MINILM,
    ),
    "dapt": Entry(
        "adaptation", "masked-LM pretraining on target text, then fine-tuning",
        adaptation.ContinuedPretraining, **_MINILM,
    ),
}  # fmt: skip
