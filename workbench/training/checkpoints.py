"""Checkpoints of a training run: a killed run goes on to the same numbers as one left alone."""

import hashlib
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from workbench.errors import UserError
from workbench.training.batches import Encoded
from workbench.training.history import History

SECONDS = 30
_COMPLETE = "complete"


class Checkpoints:
    """The folder that ``checkpoints=`` of an estimator names; without one, nothing is written.

    Every half minute, and only right after a report, `Trainer` writes weights, optimiser, schedule
    and random states; the history and the best weights so far join them. A checkpoint counts once
    its last file is there, so a kill while it is written costs half a minute and nothing else.

    Raises
    ------
    UserError : the folder cannot be written, or holds the checkpoints of another run.
    """

    def __init__(self, settings, train: Encoded, history: History, best) -> None:
        self._history, self._best = history, best
        self.folder = Path(settings.checkpoints).expanduser() if settings.checkpoints else None
        self._saved = time.monotonic()
        if self.folder is None:
            return
        identity = hashlib.sha256(repr(sorted(settings.get_params().items())).encode())
        for array in (train.ids, train.length, train.codes):
            identity.update(b"" if array is None else array.tobytes())
        self._mark = self.folder / "run.sha256"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            known = self._mark.read_text() if self._mark.exists() else None
            self._mark.write_text(known or identity.hexdigest())
        except OSError as error:
            raise UserError(
                f"The folder '{self.folder}' for checkpoints cannot be written: {error.strerror}."
            ) from error
        if known not in (None, identity.hexdigest()):
            raise UserError(
                f"The folder '{self.folder}' holds the checkpoints of another run (other settings "
                "or other texts): name another folder, or remove it."
            )

    def due(self) -> bool:
        """Whether it is time for the next one."""
        return self.folder is not None and time.monotonic() - self._saved >= SECONDS

    def write(self, save: Callable, step: int) -> None:
        """Let `Trainer` save, add what it does not know of; a full disk never ends a training."""
        import torch

        place = self.folder / f"checkpoint-{step}"
        try:
            save()
            self._history.save(place / "history.jsonl")
            best = {
                name: getattr(self._best, name) for name in ("loss", "waited", "step", "weights")
            }
            torch.save(best, place / "best.pt")
            (place / _COMPLETE).touch()
        except (OSError, RuntimeError) as error:
            shutil.rmtree(place, ignore_errors=True)
            warnings.warn(f"No checkpoint could be written: {error}", stacklevel=2)
        self._saved = time.monotonic()

    def restore(self) -> str | None:
        """The last complete checkpoint, its history and best weights read; None without one."""
        import torch

        found = {}
        for place in self.folder.glob("checkpoint-*") if self.folder else ():
            if (place / _COMPLETE).exists():
                found[int(place.name.split("-")[1])] = place
            else:
                shutil.rmtree(place, ignore_errors=True)
        if not found:
            return None
        place = found[max(found)]
        self._history[:] = History.load(place / "history.jsonl")
        vars(self._best).update(torch.load(place / "best.pt", weights_only=True))
        return str(place)

    def remove(self) -> None:
        """Nothing is left of the checkpoints of a run that has ended."""
        if self.folder is not None:
            for place in self.folder.glob("checkpoint-*"):
                shutil.rmtree(place, ignore_errors=True)
            self._mark.unlink(missing_ok=True)
