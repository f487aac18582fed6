"""Several tasks learned at once, by one encoder with a head for each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np
from sklearn.utils.validation import check_is_fitted

from workbench.errors import UserError, unknown
from workbench.models import checks, encoders
from workbench.models.encoder_classifier import PretrainedEstimator, TextClassifier
from workbench.training.batches import SeveralTasks

WEIGHTS = ("equal", "size", "uncertainty")


@dataclass(eq=False, repr=False)
class MultiTask(PretrainedEstimator):
    """One encoder that several tasks share, with a linear head for each (Caruana 1997).

    Tasks may have other labels and other texts. What training lowers is the sum over tasks of a
    weight times the mean cross-entropy of the task's texts.

    Parameters
    ----------
    task_weights : ``"equal"``: 1. ``"size"``: as the number of texts, 1 on average.
        ``"uncertainty"``: exp(-s), and s / 2 is added, with a log-variance s of each task that is
        learned (Kendall, Gal & Cipolla 2018). Or a dict from task to number.
    alpha : an epoch draws from each task as its number of texts to this power: at 1 every text
        once, at 0 as many of each task. A text that is drawn more often counts the less.

    The other parameters are those of `encoder_classifier.TextClassifier`.

    Attributes
    ----------
    classes_ : of each task, sorted.
    history_ : with the cross-entropy of each task as ``TASK_loss``.
    training_info_ : with the ``task_weights`` at the end.
    """

    _: KW_ONLY
    task_weights: str | dict = "equal"
    alpha: float = 0.5

    _strategies = ("full", "gradual", "lora")

    def fit(self, tasks: Mapping[str, tuple], validation: Mapping[str, tuple] | None = None):
        """Train on ``{task: (texts, labels), …}``; `validation`, alike, is scored as one.

        Raises
        ------
        UserError : tasks, texts, labels or a setting cannot be used; a task has one class only.
        """
        with self._fitting(validation):
            found = _each(tasks, self._codes)
            self.classes_ = {name: classes for name, (_, _, classes) in found.items()}
            self._load(self.encoder, [f"{n}: {c}" for n, own in self.classes_.items() for c in own])
            held_out = None if validation is None else self._rows(_each(validation, self._known))
            self._training = self._rows(found)
            self._model, self.training_info_ = self._train(self._training, held_out, None)
            weights = vars(self).pop("_shared").weights()
            self.training_info_["task_weights"] = dict(zip(self.classes_, weights, strict=True))
            del self._training
        return self

    def for_task(self, task: str) -> TextClassifier:
        """The fitted classifier of one task: its own head, on the encoder that stays shared."""
        from workbench.training import multi_task

        check_is_fitted(self)
        model, start = self._view(task), self._starts()[task]
        kept = slice(start, start + len(model.classes_))
        model._model = multi_task.with_classes(self._model, kept, model.classes_)
        for name in ("_tokenizer", "history_", "training_info_"):
            setattr(model, name, getattr(self, name))
        return model

    def predict_proba(self, texts: Sequence[str], task: str) -> np.ndarray:
        """Probabilities of the classes of `task`, shape (n, classes)."""
        return self.for_task(task).predict_proba(texts)

    def predict(self, texts: Sequence[str], task: str) -> np.ndarray:
        """The most probable class of `task` for each text."""
        return self.for_task(task).predict(texts)

    def _check(self) -> None:
        super()._check()
        given = self.task_weights
        if isinstance(given, Mapping):
            if not all(value in checks.Range() for value in given.values()):
                raise UserError(f"task_weights must be numbers of at least 0, not {given}.")
        elif given not in WEIGHTS:
            raise unknown("task_weights", given, WEIGHTS)
        if self.label_smoothing:
            raise UserError("Several tasks are trained without label_smoothing.")

    def _objective(self, model, loss) -> tuple:
        from workbench.training import multi_task

        train, tasks = self._training, [*self.classes_]
        sizes, weights = np.bincount(train.task), np.ones(len(tasks))
        if self.task_weights == "size":
            weights = sizes / sizes.mean()
        elif isinstance(self.task_weights, Mapping):
            if {*self.task_weights} != {*tasks}:
                raise UserError(f"task_weights must have a number for each of {', '.join(tasks)}.")
            weights = np.array([self.task_weights[name] for name in tasks], float)
        self._shared = multi_task.Shared(
            model, [*map(len, self.classes_.values())], weights,
            len(train) / np.maximum(1, train.draws), self.task_weights == "uncertainty",
        )  # fmt: skip
        log = multi_task.TaskLosses(self._shared, self.history_, tasks)
        return self._shared, self._shared.loss, {"trainer_callbacks": [log]}

    @staticmethod
    def _codes(task: str, texts: Sequence[str], labels: Sequence) -> tuple:
        texts, labels = checks.check_texts_and_labels(texts, labels)
        classes, codes = checks.check_classes(labels)
        return texts, codes, classes

    def _known(self, task: str, texts: Sequence[str], labels: Sequence) -> tuple:
        return self._view(task)._held_out((texts, labels))

    def _view(self, task: str) -> TextClassifier:
        """A classifier with the settings and the classes of one task, and no weights."""
        if task not in self.classes_:
            raise unknown("task", task, self.classes_)
        settings = self.get_params(deep=False)
        own = settings.keys() - {"task_weights", "alpha"}
        model = TextClassifier(**{name: settings[name] for name in own})
        model.classes_ = self.classes_[task]
        return model

    def _starts(self) -> dict[str, int]:
        """Where the classes of each task begin among those of all."""
        ends = np.cumsum([0, *map(len, self.classes_.values())]).tolist()
        return dict(zip(self.classes_, ends, strict=False))

    def _rows(self, parts: Mapping[str, tuple]) -> SeveralTasks:
        starts, names = self._starts(), [*self.classes_]
        texts = [text for own, *_ in parts.values() for text in own]
        labels = [starts[name] + c for name, (_, codes, *_) in parts.items() for c in codes]
        task = [names.index(name) for name, (own, *_) in parts.items() for _ in own]
        rows = encoders.encoded(self._model, self._tokenizer, texts, self.max_length, labels)
        return SeveralTasks(rows, np.array(task), self.alpha)


def _each(tasks: Mapping[str, tuple], read: Callable) -> dict:
    """What `read` makes of the name, the texts and the labels of each task."""
    if not isinstance(tasks, Mapping) or not tasks:
        raise UserError("Tasks are a dict from their names to (texts, labels).")
    found = {}
    for name, pair in tasks.items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise UserError(f"Task '{name}' must be a pair, (texts, labels).")
        try:
            found[name] = read(name, *pair)
        except UserError as error:
            raise UserError(f"Task '{name}': {error}") from error
    return found
