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
    share : of the target's texts, in the last stage; a class of which too few are found gives all.

    The other parameters are those of `encoder_classifier.TextClassifier`.
    """

    _: KW_ONLY
    stages: int = 2
    share: float = 0.6

    _method = "self-training"

    def _fit(self, texts: list[str], codes: np.ndarray, validation) -> dict:
        chosen, labels, reports = np.empty(0, int), np.empty(0, int), []
        for stage in range(self.stages + 1):
            self._first_stage = f"stage{stage + 1}_" if stage < self.stages else ""
            both = [*texts, *(self._unlabeled[i] for i in chosen)]
            reports.append(super()._fit(both, np.r_[codes, labels], validation))
            if stage < self.stages:
                share = self.share * (stage + 1) / self.stages
                chosen, labels = surest(self._probabilities(self._unlabeled), share)
        for stage in range(self.stages if self.checkpoints else 0):
            folder = Path(self.checkpoints, f"stage{stage + 1}").expanduser()
            shutil.rmtree(folder, ignore_errors=True)
        return reports[-1] | {"pseudo_labels": len(labels)}


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
