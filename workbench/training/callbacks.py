"""What `Trainer` calls while it trains: the history, the best weights, when to save."""

import time

import numpy as np
import transformers

from workbench.training import history as rows
from workbench.training import stop_event
from workbench.training.checkpoints import Checkpoints
from workbench.training.history import History


class LogHistory(transformers.TrainerCallback):
    """Writes what `Trainer` logs into the history, and notifies a listener by time as well.

    A listener gets the first step at once, then a row a second, later one after each fiftieth of
    the time. These rows depend on the machine and a resumed run could not repeat them: the history
    holds those by step alone. Each row has the ``seconds`` since training began; in a resumed run
    they go on from the last row.
    """

    def __init__(self, history: History, prefix: str) -> None:
        self.history, self.prefix = history, prefix
        self._losses: list[float] = []  # since the last row that a listener got
        self._began = self._due = 0.0

    def add_loss(self, loss: float) -> None:
        """The loss of one step."""
        self._losses.append(loss)

    def on_train_begin(self, args, state, control, **_):
        earlier = self.history.column("seconds")[1]
        self._began = time.perf_counter() - max(earlier, default=0.0)

    def on_step_end(self, args, state, control, lr_scheduler=None, **_):
        if not control.should_log and self._seconds() >= self._due:
            self._notify(self._row(state, lr_scheduler.get_last_lr()[0]))

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" in logs:
            row = self._row(state, logs["learning_rate"])
            row |= {"grad_norm": logs["grad_norm"]} if "grad_norm" in logs else {}
            self.history.add(**row, **{f"{self.prefix}loss": logs["loss"]})
            self._notify(row)

    def _row(self, state, learning_rate: float) -> dict:
        return {"step": state.global_step, "epoch": state.epoch, "steps": state.max_steps,
                "learning_rate": learning_rate, "seconds": round(self._seconds(), 2)}  # fmt: skip

    def _notify(self, row: dict) -> None:
        mean, self._losses = np.mean(self._losses), []
        rows.notify(**row, **{f"{self.prefix}loss": mean})
        self._due = 1.02 * self._seconds() + 1

    def _seconds(self) -> float:
        return time.perf_counter() - self._began

    def on_evaluate(self, args, state, control, metrics=None, **_):
        scores = {
            f"validation_{self.prefix}{key}": metrics[f"eval_{key}"]
            for key in ("loss", "accuracy", "macro_f1", "n")
        }
        seconds = round(self._seconds(), 2)
        self.history.log(step=state.global_step, epoch=state.epoch, seconds=seconds, **scores)


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
