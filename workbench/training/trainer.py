"""Training on `transformers.Trainer` with the settings that suit a CPU, for every torch model."""

import os
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
import transformers
from sklearn.metrics import f1_score
from torch.nn.functional import cross_entropy
from transformers.trainer_utils import EvalLoopOutput

from workbench.errors import UserError, unknown
from workbench.training import checkpoints, devices, inference, speed, stopping
from workbench.training.batches import Encoded, ShuffledByLength, default_batch_size
from workbench.training.history import History

OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
}
SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
PRECISIONS = ("auto", "bf16", "fp32")
POSITIONS_AT_ONCE = 2048  # larger pieces are no faster and hold more activations


def fit(
    model, train: Encoded, history: History, settings, *, validation: Encoded | None = None,
    class_weights: np.ndarray | None = None, rates: Callable[[str], float] = lambda name: 1.0,
    callbacks: Sequence = (), collate: Callable[[dict], dict] = lambda batch: batch,
    inner=None, prefix: str = "",
) -> dict:  # fmt: skip
    """Train `model` in place with `transformers.Trainer`.

    Parameters
    ----------
    model : a module from the keys of a batch, without its labels, to an output with ``logits``.
    history : receives the rows; ``prefix`` names them: ``"mlm_"`` makes ``mlm_loss``.
    settings : an estimator with the settings of `estimator.TorchClassifier`.
    rates : from the name of a parameter to its share of the learning rate.
    collate : what becomes of a batch before the model sees it.
    inner : the model of `transformers` inside of `model`, where that is a wrapper.

    Returns
    -------
    dict : what went into the training, what it did about memory and where it ended, for
        ``training_info_``. Who is stopped from outside (see `stopping`) keeps the weights of the
        lowest validation loss so far, or the last ones where nothing was validated yet.

    Raises
    ------
    UserError : a setting is unknown, the loss is no longer finite, or memory is too small for one
        text.
    stopping.Stopped : before the first step was done.
    """
    for name, known in (
        ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("precision", PRECISIONS),
    ):  # fmt: skip
        if getattr(settings, name) not in known:
            raise unknown(name, getattr(settings, name), known)
    _check_trackers(settings.report_to)
    best = _Best(settings.patience)
    kept = checkpoints.Checkpoints(settings, train, history, best)
    rows = [train] if validation is None else [train, validation]
    with (
        tempfile.TemporaryDirectory() as folder,
        speed.cpu_speedups(inner or model, rows, settings.seed) as dropout,
    ):
        trainer = _Trainer(
            model=model, train_dataset=train, eval_dataset=validation, data_collator=collate,
            args=_arguments(model, train, settings, kept.folder or _place(settings) or folder,
                            validation),
            compute_loss_func=_loss(class_weights, settings.label_smoothing),
            callbacks=[_Reporter(history, prefix), best, *callbacks],
        )  # fmt: skip
        trainer.prepare(settings, rates, dropout, kept)
        trainer.remove_callback(transformers.PrinterCallback)
        stopped = trainer.run(kept.restore())
        best.restore(model, stopped)
        trainer.release()
    kept.remove()
    model.eval()
    return {
        **train.report(), **parameter_counts(model),
        "precision": inference.precision(settings.precision),
        "batch_size": trainer.args.train_batch_size, "batch_pieces": trainer.pieces,
        "stopped": stopped,
        "steps": trainer.state.global_step, "kept_step": best.kept or trainer.state.global_step,
    }  # fmt: skip


def _arguments(model, train: Encoded, settings, folder: str, validation):
    size = settings.batch_size or default_batch_size(len(train))
    steps = max(1, int(np.ceil(len(train) / size) * settings.epochs))
    return transformers.TrainingArguments(
        output_dir=str(folder), num_train_epochs=settings.epochs,
        per_device_train_batch_size=size, warmup_steps=int(settings.warmup * steps),
        learning_rate=settings.learning_rate or default_learning_rate(model),
        lr_scheduler_type=SCHEDULES[settings.schedule],
        max_grad_norm=settings.max_grad_norm or 0.0,
        bf16=inference.precision(settings.precision) == "bf16", use_cpu=not devices.has_gpu(),
        logging_steps=max(1, steps // 50), logging_nan_inf_filter=False,
        eval_strategy="epoch" if validation else "no", save_strategy="no", save_total_limit=2,
        report_to=settings.report_to, disable_tqdm=True, seed=settings.seed,
        # Trackers put runs of one name together.
        run_name=f"{type(settings).__name__}-{datetime.now():%Y%m%d-%H%M%S-%f}",
        remove_unused_columns=False, dataloader_pin_memory=False,
    )  # fmt: skip


def _check_trackers(wanted: str | list[str]) -> None:
    known = transformers.integrations.INTEGRATION_TO_CALLBACK
    for name in [wanted] if isinstance(wanted, str) else wanted or []:
        if name in ("none", "all"):
            continue
        if name not in known:
            raise unknown("tracker", name, ["none", "all", *known])
        if name not in transformers.integrations.get_available_reporting_integrations():
            raise UserError(f"The tracker '{name}' is not installed: pip install {name}.")


def _place(settings) -> Path | None:
    # TensorBoard writes below the output folder, which must not vanish with the training.
    return (
        None
        if settings.report_to == "none"
        else Path(os.environ.get("WORKBENCH_RUNS") or "runs") / "tensorboard"
    )


def _loss(class_weights: np.ndarray | None, smoothing: float) -> Callable:
    """Cross-entropy, summed and divided by the texts of the whole batch, however it is cut up."""
    weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)

    def loss(outputs, labels, num_items_in_batch=None):
        labels = labels[labels != -100]
        given = None if weights is None else weights.to(labels.device)
        summed = cross_entropy(
            outputs.logits.float(), labels, given, label_smoothing=smoothing, reduction="sum"
        )
        return summed / num_items_in_batch

    return loss


class _Loader(torch.utils.data.DataLoader):
    """`Trainer` tells the epoch to a loader, and a batch sampler that was skipped into."""

    def set_epoch(self, epoch: int) -> None:
        self.batch_sampler.set_epoch(epoch)


class _Trainer(transformers.Trainer):
    """`Trainer` with our batches, our groups of parameters, and an eye on loss and memory."""

    def prepare(self, settings, rates, dropout, kept) -> None:
        self._settings, self._rates, self._dropout, self._kept = settings, rates, dropout, kept
        self.pieces = 1

    def run(self, checkpoint: str | None) -> bool:
        """Train; whether it was stopped from outside before the end."""
        try:
            self.train(resume_from_checkpoint=checkpoint)
        except stopping.Stopped:
            if not self.state.global_step:
                raise
            self.callback_handler.on_train_end(self.args, self.state, self.control)
            return True
        return False

    def release(self) -> None:
        """Give back gradients and moments: three times the weights, of no use when fitted."""
        self.model.zero_grad(set_to_none=True)
        self.optimizer.state.clear()

    def get_train_dataloader(self):
        sampler = ShuffledByLength(
            self.train_dataset.length, self.args.train_batch_size, self.args.seed
        )
        return _Loader(self.train_dataset, batch_sampler=sampler, collate_fn=self.data_collator)

    def create_optimizer(self, model=None):
        """Biases and norms are spared the weight decay; `rates` scales the learning rate."""
        given = self._settings.weight_decay
        wanted = 0.01 * (self._settings.optimizer == "adamw") if given is None else given
        groups = {}
        for name, parameter in self.model.named_parameters():
            decay = wanted if parameter.ndim > 1 else 0.0
            groups.setdefault((self._rates(name), decay), []).append(parameter)
        kind, options = OPTIMIZERS[self._settings.optimizer]
        self.optimizer = kind(
            [
                {"params": group, "weight_decay": decay, "lr": scale * self.args.learning_rate}
                for (scale, decay), group in groups.items()
            ],
            lr=self.args.learning_rate, fused=True, **options,
        )  # fmt: skip
        return self.optimizer

    def training_step(self, model, inputs, num_items_in_batch=None):
        """Forward and backward; a loss that is no number ends the training."""
        self._dropout.restart(self.state.global_step)
        loss = self._in_pieces(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise self._diverged(float(loss))
        if self._settings.l1:
            self._add_l1(model)
        return loss

    def _in_pieces(self, model, inputs: dict, num_items_in_batch) -> torch.Tensor:
        """The batch in as many pieces as memory asks for, their gradients added up."""
        positions = inputs["attention_mask"].numel()
        at_once = positions if devices.has_gpu() else POSITIONS_AT_ONCE
        pieces = max(self.pieces, -(-positions // at_once))
        try:
            losses = []
            for piece in _cut(inputs, pieces):
                stopping.raise_if_stopped()
                losses.append(super().training_step(model, piece, num_items_in_batch))
        except (MemoryError, RuntimeError) as error:
            if not _is_about_memory(error):
                raise
            if pieces >= len(inputs["labels"]):
                raise UserError(
                    "There is not enough memory to train on one text at a time: choose a smaller "
                    "model or a smaller max_length."
                ) from error
            self.pieces = 2 * pieces
        else:
            return torch.stack(losses).sum()
        model.zero_grad()
        return self._in_pieces(model, inputs, num_items_in_batch)

    def _add_l1(self, model) -> None:
        # The subgradient of the sum of absolute weights; biases and norms are spared as by L2.
        for parameter in model.parameters():
            if parameter.grad is not None and parameter.ndim > 1:
                parameter.grad.add_(parameter.sign(), alpha=self._settings.l1)

    def _diverged(self, loss: float) -> UserError:
        rate = self.lr_scheduler.get_last_lr()[0]
        step = self.state.global_step + 1
        return UserError(
            f"The loss became {loss} in step {step} at a learning rate of {rate:.1e}: try a tenth "
            "of the learning rate, clipping (max_grad_norm=1) or more warm-up; "
            "precision='fp32' rules out rounding."
        )

    def evaluation_loop(self, dataloader, description, *args, metric_key_prefix="eval", **options):
        """Loss, accuracy and macro F1 by the code that predicts, each text counted once."""
        rows = self.eval_dataset
        found = inference.logits(self.model, rows, self._settings.precision).astype(np.float32)
        labels, predicted = torch.from_numpy(rows.codes), found.argmax(1)
        metrics = {
            "loss": float(cross_entropy(torch.from_numpy(found), labels)),
            "accuracy": float((predicted == rows.codes).mean()),
            "macro_f1": float(f1_score(rows.codes, predicted, average="macro", zero_division=0)),
        }
        named = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        return EvalLoopOutput(None, None, named, len(rows))

    def _save_checkpoint(self, model, trial) -> None:
        self._kept.write(
            lambda: super(_Trainer, self)._save_checkpoint(model, trial),
            self.state.global_step,
        )

    def _maybe_log_save_evaluate(self, *args, **options):
        # A checkpoint right after a report: nothing that was summed up since then is lost. At the
        # end of an epoch it waits for the evaluation, which a resumed run would leave out.
        step = self.state.global_step
        reported = self.control.should_log or self._globalstep_last_logged == step
        ends = step % -(-len(self.train_dataset) // self.args.train_batch_size) == 0
        judged = not ends or self.eval_dataset is None or self.control.should_evaluate
        self.control.should_save = reported and judged and self._kept.due()
        return super()._maybe_log_save_evaluate(*args, **options)


def _cut(inputs: dict, pieces: int) -> list[dict]:
    """A batch in pieces of equal size, each without the padding that it does not need."""
    if pieces == 1:
        return [inputs]
    parts = [dict(zip(inputs, p, strict=True))
             for p in zip(*(v.chunk(pieces) for v in inputs.values()), strict=True)]  # fmt: skip
    for part in parts:
        width = int(part["attention_mask"].sum(1).max())
        for name, value in part.items():
            part[name] = value[:, :width] if value.ndim > 1 else value
    return parts


def _is_about_memory(error: Exception) -> bool:
    words = ("out of memory", "not enough memory", "can't allocate memory", "alloc_cpu")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(
        word in str(error).lower() for word in words
    )


class _Reporter(transformers.TrainerCallback):
    """Writes what `Trainer` tells into the history."""

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


class _Best(transformers.TrainerCallback):
    """Early stopping on the validation loss; the best weights are kept in memory.

    They are also kept for whoever may stop the training by hand.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience, self.loss, self.waited, self.weights = patience, np.inf, 0, None
        self.step = self.kept = 0
        self._needed = patience is not None or stopping.can_be_stopped()

    def on_evaluate(self, args, state, control, metrics=None, model=None, **_):
        if not self._needed:
            return
        if metrics["eval_loss"] < self.loss:
            self.loss, self.waited, self.step = metrics["eval_loss"], 0, state.global_step
            self.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
        else:
            self.waited += 1
            if self.patience is not None:
                control.should_training_stop |= self.waited >= self.patience

    def restore(self, model, stopped: bool) -> None:
        """Give `model` its best weights, where early stopping or a stop by hand asks for them."""
        if self.weights is not None and (stopped or self.patience is not None):
            model.load_state_dict(self.weights)
            self.kept = self.step


def parameter_counts(model) -> dict[str, int]:
    """All parameters and those that training moves."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return {
        "parameters": sum(n for n, _ in sizes),
        "trainable_parameters": sum(n for n, moves in sizes if moves),
    }


def default_learning_rate(model) -> float:
    """1e-4 below 50 million parameters, 2e-5 above (Devlin et al. 2019 for BERT)."""
    return 1e-4 if parameter_counts(model)["parameters"] < 50e6 else 2e-5
