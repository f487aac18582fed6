"""Classical networks that report each epoch to a History and can be stopped after one."""

import numpy as np
from sklearn import linear_model, model_selection, neural_network, pipeline

from workbench.errors import UserError
from workbench.training import stopping
from workbench.training.history import History


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
        wanted = np.where(y[:, None] == classes, 1, -1)
        for epoch in range(1, self.max_iter + 1):
            order = draw.permutation(len(y))
            self.partial_fit(X[order], y[order], classes)
            sums = X @ self.coef_.T + self.intercept_
            best = sums.argmax(axis=1) if len(classes) > 2 else (sums[:, 0] > 0).astype(int)
            self.history_.log(
                step=epoch, epoch=epoch, steps=self.max_iter, accuracy=(classes[best] == y).mean(),
                loss=np.maximum(0, -wanted[:, -sums.shape[1] :] * sums).mean(),
            )  # fmt: skip
            if _stopped():
                break
        self.n_iter_ = epoch
        return self


class Network(neural_network.MLPClassifier):
    """scikit-learn's network with early stopping; `history_` holds loss and held-out accuracy.

    The loss is the mean cross-entropy with the L2 penalty, as scikit-learn gives it.
    """

    def fit(self, X, y):
        self.history_ = History()
        return super().fit(X, y)

    def _update_no_improvement_count(self, *arguments) -> None:
        # Called once an epoch; scikit-learn has no public hook.
        super()._update_no_improvement_count(*arguments)
        self.history_.log(
            step=self.n_iter_, epoch=self.n_iter_, steps=self.max_iter,
            loss=self.loss_curve_[-1], validation_accuracy=self.validation_scores_[-1],
        )  # fmt: skip
        if _stopped():
            self._no_improvement_count = np.inf  # ends as early stopping does, with the best


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


class Pipeline(pipeline.Pipeline):
    """A pipeline whose `history_` is that of its last step, also of one inside a calibration."""

    @property
    def history_(self) -> History:
        last = self[-1]
        if hasattr(last, "calibrated_classifiers_"):
            last = last.calibrated_classifiers_[0].estimator
        return last.history_


def _stopped() -> bool:
    try:
        stopping.raise_if_stopped()
    except stopping.Stopped:
        return True
    return False
