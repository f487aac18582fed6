"""One training in a thread of its own; of all in this process one runs at a time."""

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workbench.errors import UserError
from workbench.training import devices, history, stop_event
from workbench.training.history import History
from workbench.widgets import base

PATIENCE = 120.0  # seconds that a training waits for the one before, which was asked to stop
_starting, _running = threading.Lock(), threading.Lock()  # the second is held by what trains
_newest: weakref.WeakSet["Attempt"] = weakref.WeakSet()  # at most one


def training_runs() -> bool:
    """Whether any training of this process is under way."""
    return _running.locked()


class Attempt:
    """A training, what it trains with, its History, and how it ended.

    It does not keep the model, nor what the model was trained on: an `error` may, until the next
    training.

    Parameters
    ----------
    number : 1 for the first of a panel.
    prepare : called with the attempt when it begins, before it waits for another training: fixes
        what is trained, and returns a function that trains it and returns the model.
    record : called with the attempt and the model when it has ended well.

    Attributes
    ----------
    settings, choice : those of the model, and that of the picker that it is from.
    label, title, about : in words, the settings that matter; model and settings; these and data.
    step, steps : how many are done and how many there will be, as far as they were reported.
    learned, stopped : whether there is a model, and whether its training was ended by Stop.
    seconds : how long the training took, 0 until it has ended.
    waits : whether it waits until another training has stopped.
    ended : set when nobody has to wait for it; a stopped one may still be scored then.
    metrics, predictions, outcome : those of the validation texts, and a sentence on them.
    run, unsaved : its `runs.Run`, or why there is none.
    """

    def __init__(
        self, number: int, prepare: Callable, record: Callable = lambda attempt, model: None
    ) -> None:
        self.number, self.history = number, History()
        self.settings, self.choice = {}, None
        self.label, self.title, self.about = "", f"attempt {number}", ""
        self.step = self.steps = 0
        self.learned = self.stopped = False
        self.error: BaseException | None = None
        self.stop_requested, self.ended, self.waits = threading.Event(), threading.Event(), True
        self.metrics, self.predictions, self.outcome = {}, None, ""
        self.run, self.unsaved = None, ""
        self._prepare, self._record, self._skip_scoring = prepare, record, threading.Event()
        self._done = threading.Event()
        self._result = ("Stopped before anything was learned.", "bad")
        self._begun, self.seconds = time.perf_counter(), 0.0
        self._first = self._last = (0, 0.0)  # steps and time of the first report and of the last
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"training {number}")

    def start(self) -> None:
        """Ask the training that was started last to stop, and begin when none runs."""
        with _starting:
            for earlier in _newest:
                earlier.stop(at_once=True)
            devices.release_threads()
            self._thread.start()
            _newest.clear()
            _newest.add(self)

    def stop(self, at_once: bool = False) -> None:
        """Ask the training to end, or where it has ended, or `at_once`, to leave out the score."""
        if self.learned or at_once:
            self._skip_scoring.set()
        self.stop_requested.set()

    def is_alive(self) -> bool:
        """Whether it waits, trains or is being scored."""
        return self._thread.ident is not None and not self._done.is_set()

    def join(self, timeout: float | None = None) -> None:
        """Wait until it is not alive."""
        self._done.wait(timeout)

    def _work(self) -> None:
        prepare, record, self._prepare, self._record = self._prepare, self._record, None, None
        try:
            train = prepare(self)
            with self._turn():
                with stop_event.stoppable(self.stop_requested), history.listening(self._log):
                    model = train()
                self._finish(getattr(model, "training_info_", {}))
                with stop_event.stoppable(self._skip_scoring):
                    record(self, model)
        except stop_event.Stopped:
            pass
        except BaseException as error:
            self.error, self._result = error, (base.error_message(error), "bad")
        self.seconds = self.elapsed()
        train = model = None
        gc.collect()
        devices.release_memory()
        self._done.set()
        self.ended.set()

    def _finish(self, info: dict) -> None:
        self.seconds = self.elapsed()
        self.stopped = info.get("stopped", self.stop_requested.is_set())
        words = f"Trained in {_clock(self.seconds)}."
        if info.get("stopped"):
            best, done = info["kept_step"], info["steps"]
            which = "the last step" if best == done else f"step {best}, the best on validation"
            words = f"Stopped after {done} steps; the weights of {which} are kept."
        elif self.stopped:
            words = "Stopped; what was learned so far is kept."
        self.learned, self._result = True, (words, "good")
        if self.stopped:
            self.ended.set()

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
        self.history.append({"seconds": round(self.elapsed(), 2)} | row)
        if "steps" in row:
            self._last = (row["step"], time.perf_counter())
            if row["step"] <= self.step or row["steps"] != self.steps:  # the first of a stage
                self._first = self._last
            self.step, self.steps = row["step"], row["steps"]

    def elapsed(self) -> float:
        """Seconds that it has trained; before that, seconds that it has waited."""
        return self.seconds or time.perf_counter() - self._begun

    def status(self, texts: int = 0) -> tuple[str, str]:
        """Where it is or how it ended, and whether that is good or bad news.

        `texts` is the number of training texts, 0 if it is not known.
        """
        if self.learned or not self.is_alive():
            words, kind = self._result
            scored = self.is_alive() and not self.outcome
            return f"{words} Scoring on the validation texts …" if scored else words, kind
        if self.stop_requested.is_set():
            return "Stopping …", "plain"
        if self.waits:
            return f"Waiting until another training has stopped … {_clock(self.elapsed())}", "plain"
        if not self.step:
            return f"Preparing … {_clock(self.elapsed())}", "plain"
        return self._pace(texts), "plain"

    def _pace(self, texts: int) -> str:
        """Step, time left and speed; what came before the first report counts for none of them."""
        import psutil

        (first, begun), (step, now), last = self._first, self._last, self.history[-1]
        epochs = self.steps * last["epoch"] / step if last.get("epoch") else 0
        words = [f"epoch {last['epoch']:.1f} of {epochs:g}"] if epochs else []
        words.append(f"step {step} of {self.steps}")
        if step > first:
            seconds = (now - begun) / (step - first)
            left = (self.steps - step) * seconds - (time.perf_counter() - now)
            words.append(f"{_clock(max(left, 0))} left")
            if epochs and texts:
                words.append(f"{texts * epochs / self.steps / seconds:,.0f} texts a second")
        words.append(f"{psutil.Process().memory_info().rss / 2**30:.1f} GiB of memory")
        return " · ".join(words)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}" if seconds >= 60 else f"{seconds:.0f} s"
