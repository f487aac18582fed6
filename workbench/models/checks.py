"""What every model of the catalogue checks of its input, and what a failed fit leaves behind.

The rules and most of the messages are scikit-learn's; they are given as a `UserError`.
"""

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import check_consistent_length
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from workbench.errors import UserError
from workbench.models import saving


@dataclass(frozen=True)
class Range:
    """The numbers that make sense for a setting."""

    low: float = 0
    high: float = math.inf
    whole: bool = False
    above: bool = False  # whether `low` itself is excluded

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, Real) or isinstance(value, bool):
            return False
        inside = self.low < value < math.inf if self.above else self.low <= value < math.inf
        return inside and value <= self.high and not (self.whole and value % 1)

    def __str__(self) -> str:
        least = f"above {self.low:g}" if self.above else f"of at least {self.low:g}"
        most = f" and at most {self.high:.10g}" if self.high < math.inf else ""
        return f"a {'whole ' if self.whole else ''}number {least}{most}"


_POSITIVE, _NATURAL, _COUNT = Range(above=True), Range(0, whole=True), Range(1, whole=True)
_SHARE = Range(0, 1)
RANGES = {
    "epochs": Range(0, 10_000, above=True), "pretraining_epochs": Range(0, 10_000, above=True),
    "learning_rate": _POSITIVE, "pretraining_rate": _POSITIVE,
    "batch_size": _COUNT, "max_length": Range(1, 2**15, whole=True), "patience": _COUNT,
    "seed": Range(0, 2**32 - 1, whole=True), "warmup": _SHARE, "mask": Range(0, 1, above=True),
    "dropout": Range(0, 0.99), "label_smoothing": Range(0, 0.99), "weight_decay": Range(),
    "l1": Range(), "max_grad_norm": _POSITIVE, "layer_decay": Range(0, 1, above=True),
    "reinit_layers": _NATURAL, "frozen_layers": _NATURAL, "lora_rank": _COUNT, "size": _COUNT,
    "hidden": _COUNT, "min_count": _COUNT, "trees": _COUNT, "C": _POSITIVE, "alpha": Range(),
    "regularization": _SHARE, "sentences": _COUNT, "redundancy": _SHARE, "layers": _COUNT,
    "vocabulary": _COUNT, "beams": _COUNT, "length_penalty": Range(),
    "max_new_tokens": Range(1, 1024, whole=True), "components": _COUNT, "power": _SHARE,
    "keep": Range(0, 1, above=True), "limit": _SHARE,
    "weight": Range(), "temperature": _POSITIVE,
    "head_epochs": Range(0, 10_000, above=True), "share": _SHARE, "stages": _COUNT,
    "teachers": _COUNT,
}  # fmt: skip


def check_numbers(settings: Mapping[str, object]) -> None:
    """Refuse settings that are no number of their `Range`; None leaves one to the model.

    Raises
    ------
    UserError : with the first of them, and what it may be.
    """
    for name, value in settings.items():
        if name in RANGES and value is not None and value not in RANGES[name]:
            raise UserError(f"{name} must be {RANGES[name]}, not {value!r:.40}.")


class SavedMixin:
    """`save`, for what `saving` can write."""

    def save(self, folder: str | Path) -> None:
        """Write the fitted model to a folder, from which `models.open` reads it."""
        check_is_fitted(self)
        saving.save(self, folder)


class RawTextClassifierMixin(SavedMixin, ClassifierMixin):
    """`predict`, `predict_proba` and `score` that check their texts, over `_probabilities`."""

    def predict_proba(self, texts: Iterable[str]) -> np.ndarray:
        """Class probabilities, shape (n, classes), in the order of ``classes_``."""
        check_is_fitted(self)
        rows = check_texts(texts)
        return self._probabilities(rows) if rows else np.empty((0, len(self.classes_)))

    def predict(self, texts: Iterable[str]) -> np.ndarray:
        """The most probable class of each text."""
        probabilities = self.predict_proba(texts)
        return self.classes_[probabilities.argmax(axis=1)]

    def score(self, texts: Iterable[str], labels: Iterable, sample_weight=None) -> float:
        """The accuracy."""
        return super().score(*check_texts_and_labels(texts, labels), sample_weight)

    @abstractmethod
    def _probabilities(self, texts: list[str]) -> np.ndarray:
        """Class probabilities of at least one text."""


def check_texts(texts: Iterable[str], name: str = "texts") -> list[str]:
    """The texts as a list of strings, which may be empty.

    Raises
    ------
    UserError : they are one string, a table of several columns, or one of them is no string.
    """
    rows = one_dimensional(texts, name)
    for i, row in enumerate(rows):
        if not isinstance(row, str):
            what = "missing" if _is_missing(row) else f"of type {type(row).__name__}"
            raise UserError(
                f"Row {i} of {name} is {what} ({row!r:.40}), not a string: drop such rows or "
                "convert them to strings first."
            )
        try:
            row.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"Row {i} of {name} is not valid Unicode at character {error.start}, half of a "
                "surrogate pair: replace it with text.encode('utf-8', 'replace').decode()."
            ) from error
    return rows


def check_texts_and_labels(
    texts: Iterable[str], labels: Iterable, name: str = ""
) -> tuple[list[str], np.ndarray]:
    """Texts and their labels, as many of one as of the other; integers and booleans stay such.

    Parameters
    ----------
    name : what they are, such as ``"validation"``, for the message.

    Raises
    ------
    UserError : there are none, the lengths differ, a label is missing, or labels are no classes.
    """
    prefix = f"{name} " if name else ""
    rows = check_texts(texts, f"{prefix}texts")
    targets = _check_labels(labels, f"{prefix}labels")
    with _as_user_error(f"{prefix}texts and labels"):
        check_consistent_length(rows, targets)
    if not rows:
        raise UserError(f"Found 0 {prefix}texts while a minimum of 1 is required.")
    return rows, targets


def check_classes(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sorted classes, and of each label the position of its class.

    Raises
    ------
    UserError : there is one class only.
    """
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise UserError(f"All texts have the label '{classes[0]}': two classes are needed.")
    return classes, codes


@contextmanager
def unchanged_on_error(estimator) -> Iterator[None]:
    """Give an estimator the attributes back that it had, when the block raises anything."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def _check_labels(labels: Iterable, name: str) -> np.ndarray:
    rows = one_dimensional(labels, name)
    missing = [i for i, row in enumerate(rows) if _is_missing(row)]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(rows)} {name} are missing, the first in row {missing[0]}: "
            "drop these rows or label them."
        )
    several = next((i for i, row in enumerate(rows) if np.ndim(row)), None)
    if several is not None:
        raise UserError(
            f"Row {several} of {name} is {rows[several]!r:.40}: a text has one label here; "
            "keep one, or make a row of each."
        )
    if len({isinstance(row, str) for row in rows}) > 1:  # numpy would make strings of the numbers
        raise UserError(f"The {name} are strings and numbers: convert them to one of the two.")
    with _as_user_error(name):
        array = np.asarray(rows)
        check_classification_targets(array)
    return array


def one_dimensional(given: Iterable, name: str) -> list:
    """A list of the rows; a table of one column is taken for that column."""
    unordered = isinstance(given, (Set, Mapping))
    shape = getattr(given, "shape", (0,))
    if isinstance(given, (str, bytes)) or unordered or not isinstance(given, Iterable) or not shape:
        raise UserError(
            f"Expected {name} as a list or a column, got {type(given).__name__}: "
            f"{'an order is needed' if unordered else 'put a single one in a list, [one]'}."
        )
    if len(shape) > 1 and shape[1:] != (1,):
        raise UserError(
            f"Expected {name} as one column, got an array of shape {shape}: choose a column, such "
            "as table['text']."
        )
    return list(given if len(shape) == 1 else np.ravel(given))


def _is_missing(value) -> bool:
    import pandas as pd

    return np.ndim(value) == 0 and bool(pd.isna(value))


@contextmanager
def _as_user_error(what: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError) as error:
        raise UserError(f"The {what} cannot be used: {error}") from error
