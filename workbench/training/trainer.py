"""The subclass of `transformers.Trainer` that every torch model is trained by.

Its `_save_checkpoint` is the one private method of `Trainer` that is overridden; a test names the
version of transformers for which that is known to work.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import torch
import transformers
from sklearn.metrics import f1_score
from torch.nn.functional import cross_entropy
from transformers.trainer_utils import EvalLoopOutput

from workbench.errors import UserError
from workbench.training import devices, inference, losses, optimizers, speed, stop_event
from workbench.training.batches import IGNORED, ShuffledByLength

POSITIONS_AT_ONCE = 2048  # larger pieces are no faster on a CPU and hold more activations


class Arguments(transformers.TrainingArguments):
    """`TrainingArguments` of a process on one device, alone or as a rank among several.

    In one process with several GPUs `Trainer` would wrap the model in `DataParallel`, which cuts
    batches in its own way and multiplies their size.
    """

    @property
    def n_gpu(self) -> int:
        return min(1, super().n_gpu)


class _Loader(torch.utils.data.DataLoader):
    """Hands the epoch, which `Trainer` sets on a loader, on to the batch sampler."""

    def set_epoch(self, epoch: int) -> None:
        self.batch_sampler.set_epoch(epoch)


class Trainer(transformers.Trainer):
    """`transformers.Trainer` with batches of like lengths, an eye on loss and memory, and Stop."""

    def configure(
        self, settings, *, rates: Callable[[str], float], prepare: Callable[[dict, int], dict],
        criterion: Callable[[float], float], dropout: speed.Pool, save: Callable,
        on_loss: Callable[[float], None],
    ) -> None:  # fmt: skip
        """Set what `Trainer` has no argument for.

        Parameters
        ----------
        settings : the estimator that is fitted.
        rates : from the name of a parameter to its share of the learning rate.
        prepare : from a batch and the step to what the model is trained on.
        criterion : from the cross-entropy of the validation texts to what is called their loss.
        dropout : the pool that is restarted before each step.
        save : called with a function that saves, and the step, for each checkpoint.
        on_loss : called with the loss of each step.
        """
        self._settings, self._rates, self._prepare_batch = settings, rates, prepare
        self._criterion = criterion
        self._dropout, self._write_checkpoint, self._on_loss = dropout, save, on_loss
        self.pieces = 1  # into which a batch is cut, where memory is short

    def facts(self) -> dict:
        """What became of the batches, and how far the training went."""
        return {
            "batch_size": self.args.train_batch_size, "batch_pieces": self.pieces,
            "processes": self.args.world_size, "epochs": self.args.num_train_epochs,
            "steps": self.state.global_step,
        }  # fmt: skip

    def run(self, checkpoint: str | None) -> bool:
        """Train; whether it was stopped from outside before the end."""
        try:
            self.train(resume_from_checkpoint=checkpoint)
        except stop_event.Stopped:
            if not self.state.global_step:
                raise
            self.callback_handler.on_train_end(self.args, self.state, self.control)
            return True
        return False

    def release(self) -> None:
        """Give back gradients and moments: three times the weights, of no use when fitted."""
        self.model.zero_grad(set_to_none=True)
        self.optimizer.state.clear()

    def get_train_dataloader(self) -> torch.utils.data.DataLoader:
        """Batches of all ranks, of texts of like length, in an order that seed and epoch decide."""
        size, lengths = self.args.train_batch_size * self.args.world_size, self.train_dataset.length
        sampler = ShuffledByLength(
            lengths[: len(self.train_dataset)], size, self.args.seed, self.train_dataset.drawn
        )
        return _Loader(self.train_dataset, batch_sampler=sampler, collate_fn=self.data_collator)

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        """The next batches, prepared for the step they are for (one may be loaded ahead)."""
        prepared = (self._prepare_batch(batch, self.state.global_step) for batch in epoch_iterator)
        if self.args.world_size > 1:
            prepared = map(self._share, prepared)
        return super().get_batch_samples(prepared, num_batches, device)

    def _share(self, batch: dict) -> dict:
        """What this rank trains on of a batch, whose texts are sorted by length: every n-th."""
        rank, ranks = self.args.process_index, self.args.world_size
        own = {name: value[rank::ranks] for name, value in batch.items()}
        if not len(own["labels"]):
            # A last batch of fewer texts than ranks; every rank has to take part in the step.
            own = {name: value[:1] for name, value in batch.items()}
            own["labels"] = torch.full_like(own["labels"], IGNORED)
            own |= {"hidden": torch.zeros_like(own["hidden"])} if "hidden" in own else {}
        return _trimmed(own) if self.train_dataset.trimmable else own

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        """The optimiser of the settings; biases and norms are spared the weight decay."""
        self.optimizer = optimizers.make(
            self._settings, self.model.named_parameters(), self.args.learning_rate, self._rates
        )
        return self.optimizer

    def training_step(self, model, inputs, num_items_in_batch=None) -> torch.Tensor:
        """Forward and backward; a loss that is NaN or infinite ends the training."""
        self._dropout.restart(self.state.global_step)
        loss = self._in_pieces(model, inputs, num_items_in_batch)
        loss = self.accelerator.reduce(loss, "mean")
        if not torch.isfinite(loss):
            raise self._diverged(float(loss))
        self._on_loss(float(loss))
        if self._settings.l1:
            losses.add_l1_gradient(model, self._settings.l1)
        return loss

    def _in_pieces(self, model, inputs: dict, num_items_in_batch) -> torch.Tensor:
        """The batch in as many pieces as memory asks for, their gradients added up."""
        positions = inputs["input_ids"].numel()
        at_once = positions if devices.has_gpu() else POSITIONS_AT_ONCE
        pieces = max(self.pieces, -(-positions // at_once))
        try:
            found, parts = [], _cut(inputs, pieces, trim=self.train_dataset.trimmable)
            for part in parts:
                stop_event.raise_if_stopped()
                # Ranks, which may have other numbers of pieces, add gradients up with the last.
                last = part is parts[-1]
                with nullcontext() if last else self.accelerator.no_sync(model):
                    found.append(super().training_step(model, part, num_items_in_batch))
        except (MemoryError, RuntimeError) as error:
            if not devices.is_out_of_memory(error):
                raise
            if self.args.world_size > 1:  # the others may be adding gradients up already
                raise UserError(
                    f"Rank {self.args.process_index} has not enough memory for a batch of "
                    f"{len(inputs['labels'])} texts: choose a smaller batch_size or max_length."
                ) from error
            if pieces >= len(inputs["labels"]):
                raise UserError(
                    "There is not enough memory to train on one text at a time: choose a smaller "
                    "model or a smaller max_length."
                ) from error
            self.pieces = 2 * pieces
        else:
            return torch.stack(found).sum()
        model.zero_grad()
        return self._in_pieces(model, inputs, num_items_in_batch)

    def _diverged(self, loss: float) -> UserError:
        rate = self.lr_scheduler.get_last_lr()[0]
        step = self.state.global_step + 1
        return UserError(
            f"The loss became {loss} in step {step} at a learning rate of {rate:.1e}: try a tenth "
            "of the learning rate, clipping (max_grad_norm=1) or more warm-up; "
            "precision='fp32' rules out rounding."
        )

    def evaluation_loop(self, dataloader, description, *args, metric_key_prefix="eval", **options):
        """Cross-entropy, accuracy and macro F1 by the code that predicts, each label counted once.

        Class weights and label smoothing belong to the training loss alone. No more than a
        batch of logits is held: there may be thousands of classes for each of many tokens.
        """
        rows, found = self.eval_dataset, []
        for batch, logits in inference.logit_batches(self.model, rows, self._settings.precision):
            labels = torch.from_numpy(rows.labels_of(batch))
            logits, labels = logits[labels != IGNORED], labels[labels != IGNORED]
            lost = cross_entropy(logits, labels, reduction="none")
            found.append((labels.numpy(), logits.argmax(1).numpy(), lost.numpy()))
        labels, predicted, lost = (np.concatenate(each) for each in zip(*found, strict=True))
        metrics = {
            "loss": self._criterion(float(lost.mean(dtype=np.float64))),
            "accuracy": float((predicted == labels).mean()),
            "macro_f1": float(f1_score(labels, predicted, average="macro", zero_division=0)),
            "n": len(labels),
        }
        named = {f"{metric_key_prefix}_{name}": v for name, v in devices.agreed(metrics).items()}
        return EvalLoopOutput(None, None, named, len(rows))

    def save_model(self, output_dir=None, _internal_call=False) -> None:
        """Write every weight to a checkpoint: of adapters, `Trainer` would leave out the head."""
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(self.model.state_dict(), folder / transformers.utils.WEIGHTS_NAME)

    def _save_checkpoint(self, model, trial) -> None:
        if self.is_world_process_zero():
            self._write_checkpoint(
                partial(super()._save_checkpoint, model, trial), self.state.global_step
            )
        else:
            self.store_flos()  # in which all ranks take part


def _cut(inputs: dict, pieces: int, trim: bool) -> list[dict]:
    """A batch in pieces of equal size; `trim` takes away the padding that a piece does not need."""
    if pieces == 1:
        return [inputs]
    parts = [dict(zip(inputs, p, strict=True))
             for p in zip(*(v.chunk(pieces) for v in inputs.values()), strict=True)]  # fmt: skip
    return [_trimmed(part) for part in parts] if trim else parts


def _trimmed(part: dict) -> dict:
    """Without the positions that are padding in every text."""
    needed = part["attention_mask"].any(0)
    return {n: value[:, needed] if value.ndim > 1 else value for n, value in part.items()}
