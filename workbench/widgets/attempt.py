"""One training in a thread of its own; of all in this process one runs at a time."""

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workbench.errors import UserError
from workbench.training import history, stop_event
from workbench.training.history import History
from workbench.widgets import base

PATIENCE = 120.0  # seconds that a training waits for the one before, which was asked to stop
_starting, _running = threading.Lock(), threading.Lock()  # the second is held by what trains
_newest: weakref.WeakSet["Attempt"] = weakref.WeakSet()  # at most one


def training_runs() -> bool:
    """Whether any training of this process is under way."""
    return _running.locked()


class Attempt(threading.Thread):
    """A training, its History, and how it ended.

    It does not keep the model, nor what the model was trained on: an `error` may, until the next
    training.

    Parameters
    ----------
    number : 1 for the first of a panel.
    work : does it, and returns the model.

    Attributes
    ----------
    step, steps : how many are done and how many there will be, as far as they were reported.
    learned : whether there is a model.
    seconds : how long it took, 0 until it has ended.
    waits : whether it waits until another training has stopped.
    """

    def __init__(self, number: int, work: Callable) -> None:
        super().__init__(daemon=True, name=f"training {number}")
        self.number, self.history = number, History()
        self.error: BaseException | None = None
        self.stop_requested, self.waits = threading.Event(), True
        self.step = self.steps = 0
        self.learned, self._result = False, ("Stopped before anything was learned.", "bad")
        self._work, self._begun, self.seconds = work, time.perf_counter(), 0.0

    def start(self) -> None:
        """Ask the training that was started last to stop, and begin when none runs."""
        with _starting:
            for earlier in _newest:
                earlier.stop_requested.set()
            super().start()
            _newest.clear()
            _newest.add(self)

    def run(self) -> None:
        work, self._work = self._work, None
        try:
            with self._turn(), stop_event.stoppable(self.stop_requested):
                with history.listening(self._log):
                    info = getattr(work(), "training_info_", {})
                self.learned, self._result = True, self._describe(info)
        except stop_event.Stopped:
            pass
        except BaseException as error:
            self.error, self._result = error, (base.error_message(error), "bad")
        self.seconds = self.elapsed()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait until no other training runs."""
        while not _running.acquire(timeout=0.05):
            if self.stop_requested.is_set():
                raise stop_event.Stopped
            if self.elapsed() > PATIENCE:
                raise UserError(
                    f"Another training was asked to stop {PATIENCE:.0f} s ago and still runs: "
                    "wait until it has ended and train again, or restart the kernel."
                )
        try:
            self.waits, self._begun = False, time.perf_counter()
            yield
        finally:
            _running.release()

    def _log(self, row: dict) -> None:
        # A model that trains several times, as for calibration, shows the last one.
        for key in ("loss", "mlm_loss"):
            earlier = next((r["step"] for r in reversed(self.history) if key in r), -1)
            if key in row and row["step"] <= earlier:
                self.history.clear()
        self.history.append(row)
        if "steps" in row:
            self.step, self.steps = row["step"], row["steps"]

    def elapsed(self) -> float:
        """Seconds that it has trained; before that, seconds that it has waited."""
        return self.seconds or time.perf_counter() - self._begun

    def status(self, texts: int = 0) -> tuple[str, str]:
        """Where it is or how it ended, and whether that is good or bad news.

        `texts` is the number of training texts, 0 if it is not known.
        """
        if not self.is_alive():
            return self._result
        if self.stop_requested.is_set():
            return "Stopping …", "plain"
        if self.waits:
            return f"Waiting until another training has stopped … {_clock(self.elapsed())}", "plain"
        if not self.step:
            return f"Preparing … {_clock(self.elapsed())}", "plain"
        return self._pace(texts), "plain"

    def _describe(self, info: dict) -> tuple[str, str]:
        if info.get("stopped"):
            best, done = info["kept_step"], info["steps"]
            which = "the last step" if best == done else f"step {best}, the best on validation"
            return f"Stopped after {done} steps; the weights of {which} are kept.", "good"
        if self.stop_requested.is_set():
            return "Stopped; what was learned so far is kept.", "good"
        return f"Trained in {_clock(self.elapsed())}.", "good"

    def _pace(self, texts: int) -> str:
        import psutil

        step, steps, elapsed, last = self.step, self.steps, self.elapsed(), self.history[-1]
        epochs = steps * last["epoch"] / last["step"] if last.get("epoch") and last["step"] else 0
        words = [f"epoch {last['epoch']:.1f} of {epochs:g}"] if epochs else []
        words += [f"step {step} of {steps}", f"{_clock((steps - step) * elapsed / step)} left"]
        if epochs and texts:
            words.append(f"{texts * last['epoch'] / elapsed:,.0f} texts a second")
        words.append(f"{psutil.Process().memory_info().rss / 2**30:.1f} GiB of memory")
        return " · ".join(words)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}" if seconds >= 60 else f"{seconds:.0f} s"
