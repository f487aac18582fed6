"""Adaptation by labels that the model gives to the target itself."""

import shutil
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import numpy as np

from workbench.models.adaptation import base


@dataclass(eq=False, repr=False)
class SelfTraining(base.Adapted):
    """A teacher is trained on the source, a student on the source and what the teacher is sure of.

    Pseudo-labels (Lee 2013) by classes in balance (Zou et al. 2018), in stages, each student being
    fresh and the teacher of the next, as in the distillation of Feng et al. (2023). Before each,
    the target is labelled, and of every class the same number of texts is taken, the surest first;
    the share that is taken grows to `share` with the stages.

    The rows ``stage1_loss``, … of ``history_`` are those of the teachers, ``loss`` of the last one.

    Parameters
    ----------
    stages : students, each after the other.
    teachers : of each stage, of different seeds, whose mean probabilities label the target; above 1
        their rows are ``stage1_1_loss``, ``stage1_2_loss``, …
    share : of the target's texts, in the last stage; a class of which too few are found gives all.

    The other parameters are those of `encoder_classifier.TextClassifier`.
    """

    _: KW_ONLY
    stages: int = 2
    teachers: int = 1
    share: float = 0.6

    _method = "self-training"

    def _fit(self, texts: list[str], codes: np.ndarray, validation) -> dict:
        chosen, labels = np.empty(0, int), np.empty(0, int)
        for stage in range(1, self.stages + 1):
            both = [*texts, *(self._unlabeled[i] for i in chosen)]
            probabilities = self._taught(stage, both, np.r_[codes, labels], validation)
            chosen, labels = surest(probabilities, self.share * stage / self.stages)
        self._first_stage = ""
        both = [*texts, *(self._unlabeled[i] for i in chosen)]
        report = super()._fit(both, np.r_[codes, labels], validation)
        for stage in range(1, self.stages + 1 if self.checkpoints else 1):
            for name in self._stages(stage):
                folder = Path(self.checkpoints, name.strip("_")).expanduser()
                shutil.rmtree(folder, ignore_errors=True)
        return report | {"pseudo_labels": len(labels)}

    def _stages(self, stage: int) -> list[str]:
        """What the teachers of a stage are called in the history, and their checkpoints."""
        numbers = [f"{i + 1}_" for i in range(self.teachers)] if self.teachers > 1 else [""]
        return [f"stage{stage}_{number}" for number in numbers]

    def _taught(self, stage: int, texts: list[str], codes: np.ndarray, validation) -> np.ndarray:
        """The mean of what fresh teachers say of the target."""
        own, said = self.seed, []
        try:
            for number, name in enumerate(self._stages(stage)):
                self.seed, self._first_stage = own + 1000 * number, name
                super()._fit(texts, codes, validation)
                said.append(self._probabilities(self._unlabeled))
        finally:
            self.seed = own
        return np.mean(said, axis=0)


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
