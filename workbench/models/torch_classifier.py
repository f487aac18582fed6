"""What every model that is trained in steps has in common: settings, `fit`, `predict`."""

import copy
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass

import numpy as np
from sklearn.base import BaseEstimator

from workbench.errors import UserError
from workbench.models import checks
from workbench.training import batches, isolation
from workbench.training.batches import Encoded
from workbench.training.history import History


@dataclass(eq=False, repr=False)
class TorchEstimator(checks.SavedMixin, BaseEstimator):
    """What every model trained in steps has in common, whatever it makes of a text.

    Settings are fields of a dataclass: a subclass adds its own, and its ``__init__`` lists them all
    with their defaults, as scikit-learn expects.

    Parameters
    ----------
    epochs : passes over the training texts; None takes 3, and up to 20 where texts are few.
    learning_rate : peak of the rate; None leaves it to the model.
    batch_size : texts a step, of each rank; None takes 32, and down to 8 where texts are few.
    max_length : tokens a text; what is beyond is cut off and counted in ``training_info_``.
    optimizer : ``"adamw"`` (Loshchilov & Hutter 2019), ``"adam"`` (Kingma & Ba 2015), ``"sgd"``
        or ``"momentum"``.
    schedule : of the rate after warm-up: ``"linear"``, ``"cosine"`` or ``"constant"``.
    warmup : share of the steps in which the rate rises (Mosbach et al. 2021).
    weight_decay : of weights only; biases and norms are spared. By default 0.01 for ``"adamw"``
        and none for the others, where it acts through the gradient, as L2 regularisation.
    l1 : weight of the sum of absolute weights in the loss.
    max_grad_norm : gradients are clipped to this norm; None leaves them.
    label_smoothing : share of the label that is spread over all classes.
    patience : evaluations without a lower validation loss (cross-entropy) after which training
        stops; the weights of the lowest loss are kept. None trains to the end and keeps the last.
    precision : ``"bf16"``, ``"fp32"``, or ``"auto"``: bf16 where there are units for it.
    checkpoints : a folder; `fit` with the same settings and texts goes on where a killed one was.
    report_to : ``"none"``, ``"tensorboard"``, ``"mlflow"``, ``"wandb"``, ``"trackio"`` or several.
    seed : of new weights, the order of the texts and dropout.

    Attributes
    ----------
    history_ : what training reported.
    training_info_ : parameters, trainable parameters, texts, tokens, truncated texts, batch size,
        the pieces a batch was cut into, processes, epochs, steps, precision, whether it was
        stopped, the step that the weights are from (``kept_step``), seconds. Frozen: trainable
        parameters, texts, seconds.
    """

    _: KW_ONLY
    epochs: float | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    max_length: int = 128
    optimizer: str = "adamw"
    schedule: str = "linear"
    warmup: float = 0.1
    weight_decay: float | None = None
    l1: float = 0.0
    max_grad_norm: float | None = 1.0
    label_smoothing: float = 0.0
    patience: int | None = None
    precision: str = "auto"
    checkpoints: str | None = None
    report_to: str | list[str] = "none"
    seed: int = 0

    def with_defaults(self, texts: int) -> "TorchEstimator":
        """A copy with the batch size and the epochs that so many texts get, where they are None."""
        filled = copy.copy(self)
        if self.batch_size is None:
            filled.batch_size = batches.default_batch_size(texts)
        if self.epochs is None:
            filled.epochs = batches.default_epochs(texts, filled.batch_size)
        return filled

    def _check(self) -> None:
        """Refuse settings that make no sense, before anything is loaded."""

    @contextmanager
    def _fitting(self, validation) -> Iterator[None]:
        """The frame of a `fit`, whose block sets ``training_info_``; an error leaves no trace.

        Raises
        ------
        UserError : a setting cannot be used, or early stopping has nothing to go by.
        """
        checks.check_numbers(self.get_params(deep=False))
        self._check()
        if self.patience is not None and validation is None:
            raise UserError(
                "Early stopping (patience) needs validation=, a pair of what fit takes."
            )
        with checks.unchanged_on_error(self), isolation.isolated():
            started = time.perf_counter()
            self.history_ = History()
            vars(self).pop("_head", None)  # of a fit with another strategy
            yield
            self.training_info_["seconds"] = round(time.perf_counter() - started, 2)


@dataclass(eq=False, repr=False)
class TorchClassifier(checks.RawTextClassifierMixin, TorchEstimator):
    """What every classifier of texts trained in steps has in common.

    Parameters
    ----------
    class_weight : None, ``"balanced"``, or a dict from class to weight.

    The other parameters are those of `TorchEstimator`.

    Attributes
    ----------
    classes_ : the classes, sorted.
    """

    _: KW_ONLY
    class_weight: str | dict | None = None

    def fit(self, texts: Sequence[str], labels: Sequence, validation: tuple | None = None):
        """Train on `texts`; ``validation=(texts, labels)`` is scored after every epoch.

        A fit that fails leaves the classifier as it was before.

        Raises
        ------
        UserError : texts, labels or a setting cannot be used, there is one class only, the encoder
            is not here, or the loss is no longer finite.
        """
        with self._fitting(validation):
            texts, labels = checks.check_texts_and_labels(texts, labels)
            self.classes_, codes = checks.check_classes(labels)
            self.training_info_ = self._fit(texts, codes, self._held_out(validation))
        return self

    @abstractmethod
    def _fit(self, texts: list[str], codes: np.ndarray, validation) -> dict:
        """Train, and return what is to be reported."""

    def tokenized(self, texts: Sequence[str]) -> Encoded:
        """The token ids that the model reads, and how many texts were cut to `max_length`."""
        return self._encoded(checks.check_texts(texts))

    def _probabilities(self, texts: list[str]) -> np.ndarray:
        from scipy.special import softmax

        from workbench.training import inference

        return softmax(inference.logits(self._model, self._encoded(texts), self.precision), axis=1)

    @abstractmethod
    def _encoded(self, texts: list[str], codes=None) -> Encoded:
        """Texts as numbers."""

    def _held_out(self, validation: tuple | None) -> tuple | None:
        """Validation texts and the positions of their classes; unseen classes are left out."""
        if validation is None:
            return None
        if len(validation) != 2:
            raise UserError("validation must be a pair, (texts, labels).")
        positions = {c: i for i, c in enumerate(self.classes_)}
        pairs = zip(*checks.check_texts_and_labels(*validation, "validation"), strict=True)
        known = [(text, positions[label]) for text, label in pairs if label in positions]
        if not known:
            raise UserError("No label of validation=(texts, labels) is among the training labels.")
        return tuple(zip(*known, strict=True))

    def _weights(self, codes: np.ndarray) -> np.ndarray | None:
        from sklearn.utils.class_weight import compute_class_weight

        if self.class_weight is None:
            return None
        return compute_class_weight(
            self.class_weight, classes=self.classes_, y=self.classes_[codes]
        )
