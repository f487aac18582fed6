"""What `Trainer` calls while it trains: the history, the best weights, when to save."""

import numpy as np
import transformers

from workbench.training import stop_event
from workbench.training.checkpoints import Checkpoints
from workbench.training.history import History


class LogHistory(transformers.TrainerCallback):
    """Writes what `Trainer` logs into the history."""

    def __init__(self, history: History, prefix: str) -> None:
        self.history, self.prefix = history, prefix

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" in logs:
            self.history.log(
                step=state.global_step, epoch=logs["epoch"], steps=state.max_steps,
                learning_rate=logs["learning_rate"], **{f"{self.prefix}loss": logs["loss"]},
            )  # fmt: skip

    def on_evaluate(self, args, state, control, metrics=None, **_):
        scores = {
            f"validation_{self.prefix}{key}": metrics[f"eval_{key}"]
            for key in ("loss", "accuracy", "macro_f1")
        }
        self.history.log(step=state.global_step, epoch=state.epoch, **scores)


class EarlyStopping(transformers.TrainerCallback):
    """Early stopping on the validation loss; a copy of the best weights stays in memory.

    The copy is also made where somebody may stop the training from outside.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self.loss, self.evaluations_since, self.step, self.weights = np.inf, 0, 0, None
        self._needed = patience is not None or stop_event.can_be_stopped()

    def on_evaluate(self, args, state, control, metrics=None, model=None, **_):
        if not self._needed:
            return
        if metrics["eval_loss"] < self.loss:
            self.loss, self.evaluations_since = metrics["eval_loss"], 0
            self.step = state.global_step
            self.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
        else:
            self.evaluations_since += 1
            if self.patience is not None:
                control.should_training_stop |= self.evaluations_since >= self.patience

    def state_dict(self) -> dict:
        """What a checkpoint has to hold."""
        names = ("loss", "evaluations_since", "step", "weights")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict) -> None:
        vars(self).update(state)

    def restore(self, model, stopped: bool) -> int | None:
        """Give `model` its best weights, where early stopping or a stop asks for them.

        Returns
        -------
        int or None : the step that they are from; None where the last weights stay.
        """
        if self.weights is None or not (stopped or self.patience is not None):
            return None
        model.load_state_dict(self.weights)
        return self.step


class SaveWhenDue(transformers.TrainerCallback):
    """Asks for a checkpoint right after a log: nothing that was summed up since then is lost.

    At the end of an epoch it waits for the evaluation, which a resumed run would leave out.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints

    def on_step_end(self, args, state, control, **_):
        evaluation_follows = args.eval_strategy != "no" and state.epoch % 1 == 0
        at_the_end = state.global_step >= state.max_steps
        control.should_save = (
            control.should_log and not evaluation_follows and self._checkpoints.due(at_the_end)
        )

    def on_evaluate(self, args, state, control, **_):
        logged = any("loss" in r and r["step"] == state.global_step for r in state.log_history[-2:])
        control.should_save = logged and self._checkpoints.due()
