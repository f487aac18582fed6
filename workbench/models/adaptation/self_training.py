"""Adaptation by labels that the model gives to the target itself."""

import shutil
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import numpy as np

from workbench.errors import unknown
from workbench.models.adaptation import base


@dataclass(eq=False, repr=False)
class SelfTraining(base.Adapted):
    """A teacher is trained on the source, a student on the source and what the teacher is sure of.

    Pseudo-labels (Lee 2013) by classes in balance (Zou et al. 2018), in stages, each student being
    fresh and the teacher of the next, as in the distillation of Feng et al. (2023). Before each,
    the target is labelled, and of every class the same number of texts is taken, the surest first;
    the share that is taken grows to `share` with the stages.

    Taught by three ``multilingual`` in one stage, with soft labels, all texts and an encoder that
    had read the reviews of all domains, it was 2.5 points above `SourceOnly` over twelve pairs
    (``benchmarks/results/domain_adaptation.md``).

    The rows ``stage1_loss``, … of ``history_`` are those of the teachers, ``loss`` of the last one.

    Parameters
    ----------
    stages : students, each after the other.
    teachers : of each stage, of different seeds, whose mean probabilities label the target; above 1
        their rows are ``stage1_1_loss``, ``stage1_2_loss``, …
    teacher : the encoder of all but the last student; None takes `encoder`. A larger one is
        distilled into `encoder` (Hinton et al. 2015).
    teacher_strategy : theirs; None takes `strategy`.
    soft : whether the target's labels are the teachers' probabilities, or the most probable class.
    share : of the target's texts, in the last stage; a class of which too few are found gives all.

    The other parameters are those of `encoder_classifier.TextClassifier`.
    """

    _: KW_ONLY
    stages: int = 2
    teachers: int = 1
    teacher: str | None = None
    teacher_strategy: str | None = None
    soft: bool = False
    share: float = 0.6

    _method = "self-training"

    def _check(self) -> None:
        super()._check()
        if (self.teacher_strategy or self.strategy) not in self._strategies:
            raise unknown("teacher_strategy", self.teacher_strategy, self._strategies)

    def _fit(self, texts: list[str], codes: np.ndarray, validation) -> dict:
        both, labels = texts, codes
        try:
            for stage in range(1, self.stages + 1):
                probabilities = self._taught(stage, both, labels, validation)
                chosen, pseudo = surest(probabilities, self.share * stage / self.stages)
                if self.soft:
                    # Below the classes' own rows, so that the source and the validation keep codes.
                    self._soft = np.vstack([np.eye(len(self.classes_)), probabilities[chosen]])
                    pseudo = len(self.classes_) + np.arange(len(chosen))
                both = [*texts, *(self._unlabeled[i] for i in chosen)]
                labels = np.r_[codes, pseudo]
            self._first_stage = ""
            report = super()._fit(both, labels, validation)
        finally:
            vars(self).pop("_soft", None)
        for stage in range(1, self.stages + 1 if self.checkpoints else 1):
            for name in self._stages(stage):
                folder = Path(self.checkpoints, name.strip("_")).expanduser()
                shutil.rmtree(folder, ignore_errors=True)
        return report | {"pseudo_labels": len(chosen)}

    def _stages(self, stage: int) -> list[str]:
        """What the teachers of a stage are called in the history, and their checkpoints."""
        numbers = [f"{i + 1}_" for i in range(self.teachers)] if self.teachers > 1 else [""]
        return [f"stage{stage}_{number}" for number in numbers]

    def _taught(self, stage: int, texts: list[str], codes: np.ndarray, validation) -> np.ndarray:
        """The mean of what fresh teachers say of the target."""
        own, said = (self.seed, self.encoder, self.strategy), []
        try:
            self.encoder = self.teacher or self.encoder
            self.strategy = self.teacher_strategy or self.strategy
            for number, name in enumerate(self._stages(stage)):
                self.seed, self._first_stage = own[0] + 1000 * number, name
                super()._fit(texts, codes, validation)
                said.append(self._probabilities(self._unlabeled))
        finally:
            self.seed, self.encoder, self.strategy = own
        return np.mean(said, axis=0)

    def _weights(self, codes: np.ndarray) -> np.ndarray | None:
        return super()._weights(self._classes(codes))

    def _fit_head(self, texts: list[str], codes: np.ndarray) -> dict:
        return super()._fit_head(texts, self._classes(codes))

    def _classes(self, codes: np.ndarray) -> np.ndarray:
        """The most probable class of each code, which may be a row of `_soft`."""
        return codes if self._soft is None else self._soft.argmax(1)[codes]


def surest(probabilities: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are sure of their class and their labels, as many of each class where there are.

    Parameters
    ----------
    probabilities : shape (texts, classes).
    share : of the rows that is taken, at most; at least one a class that is predicted at all.
    """
    labels, sure = probabilities.argmax(1), probabilities.max(1)
    each = max(1, int(share * len(labels) / probabilities.shape[1]))
    order = np.argsort(-sure, kind="stable")
    found = [order[labels[order] == c][:each] for c in range(probabilities.shape[1])]
    rows = np.sort(np.concatenate(found))
    return rows, labels[rows]
