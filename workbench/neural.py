"""A pretrained encoder as a scikit-learn classifier over raw text, trained by `transformers`."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from workbench import encoders, training
from workbench.errors import UserError, unknown
from workbench.history import History

STRATEGIES = ("full", "frozen")


class TextClassifier(ClassifierMixin, BaseEstimator):
    """An encoder with a classification head.

    Parameters
    ----------
    encoder : ``"minilm"``, a folder, or a hub name.
    strategy : ``"full"`` moves every weight (Howard & Ruder 2018); ``"frozen"`` keeps the encoder
        as it is and fits logistic regression on its mean-pooled vectors (feature extraction).
    epochs : passes over the training texts.
    learning_rate : peak of AdamW's rate; by default 1e-4 for encoders below 50 million
        parameters and 2e-5 above, where larger steps forget what was learned before.
    batch_size : texts a step.
    max_length : tokens a text; what is beyond is cut off and counted in ``report_``.
    warmup : share of the steps in which the rate rises; it falls linearly afterwards
        (Mosbach et al. 2021).
    weight_decay : of weights only; biases and norms are spared.
    max_grad_norm : gradients are clipped to this norm.
    seed : of the head, the order of the texts and dropout.

    Attributes
    ----------
    classes_ : class names, sorted.
    history_ : what training reported; empty for ``frozen``.
    report_ : parameters, trainable parameters, truncated texts, tokens, seconds, precision.
    """

    def __init__(
        self, encoder: str = "minilm", *, strategy: str = "full", epochs: float = 3,
        learning_rate: float | None = None, batch_size: int = 32, max_length: int = 128,
        warmup: float = 0.1, weight_decay: float = 0.01, max_grad_norm: float = 1.0, seed: int = 0,
    ) -> None:  # fmt: skip
        self.encoder = encoder
        self.strategy = strategy
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_length = max_length
        self.warmup = warmup
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.seed = seed

    def fit(self, texts: Sequence[str], labels: Sequence, validation: tuple | None = None):
        """Train on `texts`; ``validation=(texts, labels)`` is scored after every epoch.

        Raises
        ------
        UserError : the strategy is unknown, there is one class only, or the encoder is not here.
        """
        if self.strategy not in STRATEGIES:
            raise unknown("strategy", self.strategy, STRATEGIES)
        self.classes_, codes = np.unique(np.asarray(labels), return_inverse=True)
        if len(self.classes_) < 2:
            raise UserError(
                f"All texts have the label '{self.classes_[0]}': two classes are needed."
            )
        started = time.perf_counter()
        self.history_ = History()
        fit = self._fit_frozen if self.strategy == "frozen" else self._fit_full
        self.report_ = fit(list(texts), codes, validation)
        self.report_["seconds"] = round(time.perf_counter() - started, 2)
        return self

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Class probabilities, shape (n, classes), in the order of ``classes_``."""
        check_is_fitted(self, "classes_")
        if self.strategy == "frozen":
            vectors = encoders.encode(list(texts), self.encoder, self.max_length)
            return self._head.predict_proba(vectors)
        return training.probabilities(self._model, self._tokenizer, list(texts), self.max_length)

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """The most probable class of each text."""
        return self.classes_[self.predict_proba(texts).argmax(axis=1)]

    def save(self, folder: str | Path) -> None:
        """Write weights, tokenizer and class names; `load` reads them.

        Raises
        ------
        UserError : the strategy is ``frozen``, whose head is fitted again in a second.
        """
        check_is_fitted(self, "classes_")
        if self.strategy == "frozen":
            raise UserError("A frozen encoder is not saved: fit it again, its vectors are quick.")
        self._model.save_pretrained(folder)
        self._tokenizer.save_pretrained(folder)
        settings = {"classes": [str(c) for c in self.classes_], "max_length": self.max_length}
        (Path(folder) / "workbench.json").write_text(json.dumps(settings), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "TextClassifier":
        """A fitted classifier out of what `save` wrote."""
        settings = json.loads((Path(folder) / "workbench.json").read_text(encoding="utf-8"))
        classifier = cls(encoder=str(folder), max_length=settings["max_length"])
        classifier._tokenizer = encoders.tokenizer(folder)
        classifier._model = encoders.load(folder, "SequenceClassification")
        classifier.classes_ = np.asarray(settings["classes"])
        classifier.history_, classifier.report_ = History(), {}
        return classifier

    def _fit_frozen(self, texts: list[str], codes: np.ndarray, validation) -> dict:
        from sklearn.linear_model import LogisticRegression

        vectors = encoders.encode(texts, self.encoder, self.max_length)
        # Unit vectors are short: C=10 regularises them about as C=1 does raw features.
        self._head = LogisticRegression(C=10, max_iter=1000, random_state=self.seed)
        self._head.fit(vectors, codes)
        moving = self._head.coef_.size + self._head.intercept_.size
        return {"trainable_parameters": moving, "precision": "fp32"}

    def _fit_full(self, texts: list[str], codes: np.ndarray, validation) -> dict:
        import transformers

        transformers.set_seed(self.seed)
        self._tokenizer = encoders.tokenizer(self.encoder)
        self._model = encoders.load(
            self.encoder, "SequenceClassification", num_labels=len(self.classes_),
            id2label={i: str(c) for i, c in enumerate(self.classes_)},
            label2id={str(c): i for i, c in enumerate(self.classes_)},
            pad_token_id=self._tokenizer.pad_token_id, ignore_mismatched_sizes=True,
            **training.fast_attention(self.encoder),
        )  # fmt: skip
        length = encoders.longest(self._model, self.max_length)
        train = training.Encoded(self._tokenizer, texts, length, codes)
        held_out = None
        if validation is not None:
            order = {c: i for i, c in enumerate(self.classes_)}
            known = [(t, order[y]) for t, y in zip(*validation, strict=True) if y in order]
            texts, codes = zip(*known, strict=True)
            held_out = training.Encoded(self._tokenizer, texts, length, codes)
        training.fit_with_trainer(
            self._model, train, self._tokenizer, self.history_, validation=held_out,
            metrics=training.accuracy, **self._training(),
        )  # fmt: skip
        return (
            train.report()
            | training.parameter_counts(self._model)
            | {"precision": training.precision()}
        )

    def _training(self) -> dict:
        return {
            "epochs": self.epochs, "batch_size": self.batch_size, "warmup": self.warmup,
            "learning_rate": self.learning_rate, "weight_decay": self.weight_decay,
            "max_grad_norm": self.max_grad_norm, "seed": self.seed,
        }  # fmt: skip
