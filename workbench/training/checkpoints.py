"""Checkpoints of a training run: a killed run goes on to the same numbers as one left alone."""

import hashlib
import shutil
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

from workbench.errors import UserError
from workbench.training import devices
from workbench.training.batches import Encoded
from workbench.training.history import History

SECONDS = 30  # between two checkpoints
_COMPLETE = "complete"


class Checkpoints:
    """The folder that ``checkpoints=`` of an estimator names; without one, nothing is written.

    Every half minute `Trainer` writes weights, optimiser, schedule and random states; the history
    and the best weights so far join them. A checkpoint counts once its last file is there, so a
    kill while it is written costs half a minute and nothing else. Of several ranks the first one
    writes, and all read: their machines share the folder.

    Parameters
    ----------
    folder : where they stand, or None.
    run : what tells this run from others (see `digest`); only read where there is a folder.
    keep : they outlast the training, whose end is saved too: a first stage is not done again when
        the second one was killed.

    Raises
    ------
    UserError : the folder cannot be written, or holds the checkpoints of another run.
    """

    def __init__(self, folder: str | None, run: Callable[[], str], keep: bool = False) -> None:
        self.folder = Path(folder).expanduser() if folder else None
        self._keep, self._saved = keep, time.monotonic()
        if self.folder is None or devices.ranks()[0]:
            return
        self._run_file, wanted = self.folder / "run.sha256", run()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            found = self._run_file.read_text() if self._run_file.exists() else wanted
            self._run_file.write_text(found)
        except OSError as error:
            raise UserError(
                f"The folder '{self.folder}' for checkpoints cannot be written: {error.strerror}."
            ) from error
        if found != wanted:
            raise UserError(
                f"The folder '{self.folder}' holds the checkpoints of another run (other settings, "
                "texts or starting weights): name another folder, or remove it."
            )

    def due(self, at_the_end: bool = False) -> bool:
        """Whether it is time for the next one."""
        if self.folder is None:
            return False
        waited = time.monotonic() - self._saved >= SECONDS
        return devices.agreed(waited) or (at_the_end and self._keep)

    def write(self, save: Callable[[], None], step: int, history: History, best) -> None:
        """Let `Trainer` save, add what it does not know of; a full disk never ends a training."""
        import torch

        checkpoint = self.folder / f"checkpoint-{step}"
        try:
            save()
            history.save(checkpoint / "history.jsonl")
            torch.save(best.state_dict(), checkpoint / "best.pt")
            (checkpoint / _COMPLETE).touch()
        except (OSError, RuntimeError) as error:
            shutil.rmtree(checkpoint, ignore_errors=True)
            warnings.warn(f"No checkpoint could be written: {error}", stacklevel=2)
        self._saved = time.monotonic()

    def restore(self, history: History, best) -> str | None:
        """The last complete checkpoint, its history and best weights read; None without one."""
        import torch

        found = {}
        rank, _ = devices.ranks()
        for checkpoint in self.folder.glob("checkpoint-*") if self.folder and not rank else ():
            if (checkpoint / _COMPLETE).exists():
                found[int(checkpoint.name.split("-")[1])] = checkpoint
            else:
                shutil.rmtree(checkpoint, ignore_errors=True)
        last = devices.agreed(found[max(found)] if found else None)
        if last is None:
            return None
        history[:] = History.load(last / "history.jsonl")
        best.load_state_dict(torch.load(last / "best.pt", weights_only=True))
        return str(last)

    def remove(self) -> None:
        """Nothing is left of the checkpoints of a run that has ended."""
        if self.folder is not None and not self._keep and not devices.ranks()[0]:
            for checkpoint in self.folder.glob("checkpoint-*"):
                shutil.rmtree(checkpoint, ignore_errors=True)
            self._run_file.unlink(missing_ok=True)


def digest(settings, data: Iterable[Encoded], model) -> str:
    """Tells a run from others: settings, texts and labels of all `data`, and starting weights.

    The weights stand for settings that are objects, such as word vectors, and for an encoder
    whose folder was written anew.
    """
    import torch

    plain = (str, int, float, list, tuple, dict, Path, type(None))
    params = [(k, v) for k, v in sorted(settings.get_params().items()) if isinstance(v, plain)]
    sha = hashlib.sha256(repr((params, devices.ranks()[1])).encode())
    for each in data:
        for array in (each.length, each.ids, each.labels):
            sha.update(b"none" if array is None else array.tobytes())
    for name, weights in model.state_dict().items():
        sha.update(name.encode())
        sha.update(weights.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return sha.hexdigest()
