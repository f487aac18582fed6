"""`fit`: one training, from the settings of an estimator to trained weights."""

import os
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import torch
import transformers

from workbench.errors import UserError, unknown, warn
from workbench.training import callbacks, devices, inference, losses, speed
from workbench.training.batches import Encoded
from workbench.training.checkpoints import Checkpoints, digest
from workbench.training.history import History
from workbench.training.optimizers import OPTIMIZERS, SCHEDULES, parameter_counts
from workbench.training.trainer import Arguments, Trainer

PRECISIONS = ("auto", "bf16", "fp32")


def fit(
    model, train: Encoded, history: History, settings, *, learning_rate: float,
    validation: Encoded | None = None, loss: Callable | None = None,
    rates: Callable[[str], float] = lambda name: 1.0, criterion: Callable[[float], float] = float,
    trainer_callbacks: Sequence[transformers.TrainerCallback] = (),
    prepare: Callable[[dict, int], dict] = lambda batch, step: batch, first_stage: str = "",
) -> dict:  # fmt: skip
    """Train `model` in place with `transformers.Trainer`.

    Under several ranks (torchrun, ``workbench train --processes``) every one calls it with the
    same texts; each step takes ``batch_size`` of them a rank, and all end with the same weights.

    Parameters
    ----------
    model : a module from the keys of a batch, without its labels, to an output with ``logits``.
    history : receives the rows.
    settings : an estimator with the settings of `models.torch_classifier.TorchEstimator`.
    learning_rate : its peak.
    rates : from the name of a parameter to its share of the learning rate.
    loss : as the functions of `losses` make it; by default cross-entropy.
    prepare : from a batch and the step to what the model is trained on.
    first_stage : where another training follows: a prefix for what the history calls the loss,
        such as ``"mlm_"``. Its checkpoints, in a folder of that name, stay until that one is done.
    criterion : from the cross-entropy of `validation` to its loss, by which early stopping goes.

    Returns
    -------
    dict : what went into the training, what it did about memory and where it ended, for
        ``training_info_``. A training that is stopped from outside (see `stop_event`) keeps the
        weights of the lowest validation loss so far, or the last ones where nothing was validated.

    Raises
    ------
    UserError : a setting is unknown, the loss is no longer finite, or memory is too small for one
        text.
    stop_event.Stopped : before the first step was done.
    """
    settings = _checked(settings, len(train))
    log = callbacks.LogHistory(history, first_stage)
    best = callbacks.EarlyStopping(settings.patience)
    data = [train] if validation is None else [train, validation]
    folder = settings.checkpoints and str(Path(settings.checkpoints, first_stage.strip("_")))
    checkpoints = Checkpoints(folder, partial(digest, settings, data, model), bool(first_stage))
    with (
        tempfile.TemporaryDirectory() as scratch,
        speed.speedups(model, data, settings.seed) as dropout,
    ):
        output = checkpoints.folder or _tracker_folder(settings) or scratch
        precision = _usable_precision(model, train, prepare, settings)
        trainer = Trainer(
            model=model, train_dataset=train, eval_dataset=validation, data_collator=_same,
            args=_arguments(settings, learning_rate, len(train), validation is not None, output,
                            precision == "bf16"),
            compute_loss_func=loss or losses.cross_entropy_loss(None, settings.label_smoothing),
            callbacks=[log, best, callbacks.SaveWhenDue(checkpoints), *trainer_callbacks],
        )  # fmt: skip
        trainer.configure(
            settings, rates=rates, prepare=prepare, criterion=criterion, dropout=dropout,
            save=partial(checkpoints.write, history=history, best=best), on_loss=log.add_loss,
        )  # fmt: skip
        trainer.remove_callback(transformers.PrinterCallback)
        stopped = trainer.run(checkpoints.restore(history, best))
        best_step = best.restore(model, stopped)
        trainer.release()
    checkpoints.remove()
    model.eval()
    return {
        **train.counts(), **parameter_counts(model), **trainer.facts(), "precision": precision,
        "stopped": stopped, "kept_step": best_step or trainer.state.global_step,
    }  # fmt: skip


def _usable_precision(model, train: Encoded, prepare: Callable, settings) -> str:
    batch = prepare(train.__getitems__(np.argsort(train.length[: len(train)])[:2]), 0)
    batch.pop("labels")
    return inference.usable_precision(model, batch, settings.precision)


def _same(batch: dict) -> dict:
    # `Encoded` hands out whole batches: nothing is left to collate.
    return batch


def _arguments(
    settings, learning_rate: float, texts: int, validated: bool, folder, bf16: bool
) -> Arguments:
    steps = int(np.ceil(texts / (settings.batch_size * devices.ranks()[1])) * settings.epochs)
    steps = max(1, steps)
    return Arguments(
        output_dir=str(folder), num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size, warmup_steps=int(settings.warmup * steps),
        learning_rate=learning_rate, lr_scheduler_type=SCHEDULES[settings.schedule],
        max_grad_norm=settings.max_grad_norm or 0.0,
        bf16=bf16, use_cpu=not devices.has_gpu(),
        logging_steps=max(1, steps // 50), logging_nan_inf_filter=False,
        eval_strategy="epoch" if validated else "no", save_strategy="no", save_total_limit=2,
        report_to=settings.report_to, disable_tqdm=True, seed=settings.seed,
        # Trackers put runs of one name together.
        run_name=f"{type(settings).__name__}-{datetime.now():%Y%m%d-%H%M%S-%f}",
        remove_unused_columns=False, dataloader_pin_memory=False,
    )  # fmt: skip


def _checked(settings, texts: int):
    """`settings` with the batch size and the epochs that so many texts get."""
    for name, known in (
        ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("precision", PRECISIONS),
    ):  # fmt: skip
        if getattr(settings, name) not in known:
            raise unknown(name, getattr(settings, name), known)
    trackers = settings.report_to
    known = transformers.integrations.INTEGRATION_TO_CALLBACK
    for name in [trackers] if isinstance(trackers, str) else trackers or []:
        if name in ("none", "all"):
            continue
        if name not in known:
            raise unknown("tracker", name, ["none", "all", *known])
        if name not in transformers.integrations.get_available_reporting_integrations():
            raise UserError(f"The tracker '{name}' is not installed: pip install {name}.")
    ranks = devices.ranks()[1]
    if ranks == 1 and (gpus := torch.cuda.device_count()) > 1:
        warn(f"One of {gpus} GPUs is used; 'workbench train --processes {gpus}' trains on all.")
    # Each rank gets what its share of the texts would get alone: all ranks as much as one process.
    return settings.with_defaults(-(-texts // ranks))


def _tracker_folder(settings) -> Path | None:
    # TensorBoard writes below the output folder, which must not vanish with the training.
    if settings.report_to == "none":
        return None
    return Path(os.environ.get("WORKBENCH_RUNS") or "runs") / "tensorboard"
