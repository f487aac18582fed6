"""Several trainings, one after the other, and a table of what came of them."""

import itertools
from collections.abc import Callable
from threading import Event, Lock, Thread

import pandas as pd
from traitlets import Tuple

from workbench import models
from workbench.errors import UserError
from workbench.training import devices
from workbench.widgets import base, tables
from workbench.widgets.panel import TrainingPanel

SCORES = {"accuracy": "accuracy", "accuracy_low": "95% from", "accuracy_high": "95% to"}


class TrainingGrid(base.Awaited):
    """Trains with each of several settings in turn; Stop ends the one that runs and all to come.

    ``table = await grid`` waits for them all, in JupyterLab and headlessly alike. Each is a
    training of ``panel``, with its curve and its run; "Train again" there trains all of them
    again. One that fails has its error in the table, and the next one begins.

    Parameters
    ----------
    settings : arguments of `models.build` for each, its name under ``"model"``; or a function that
        returns them when the first one begins, such as ``picker.grid``.
    train, validation, more : as of `TrainingPanel`.

    Attributes
    ----------
    panel : the `TrainingPanel`.
    value : the attempts that have ended, in the order of the settings.

    Raises
    ------
    UserError : there are no settings, where the grid is awaited or `run`.
    """

    value = Tuple(read_only=True)

    def __init__(
        self, settings: list[dict] | Callable[[], list[dict]], train: pd.DataFrame,
        validation: pd.DataFrame | None = None, **more,
    ) -> None:  # fmt: skip
        super().__init__()
        self._make, self._settings, self._now = settings, [], {}
        self._starting, self._stop, self.ended = Lock(), Event(), Event()
        self.ended.set()
        self.panel = TrainingPanel(self._build, train, validation, **more)
        self.panel.again = self.start

    def start(self) -> "TrainingGrid":
        """Begin with the first of the settings, unless it is under way; without waiting."""
        with self._starting:
            if self.ended.is_set():
                self._settings = list(self._make() if callable(self._make) else self._make)
                if not self._settings:
                    raise UserError("There is nothing to train: give a grid of at least one dict.")
                self._stop.clear()
                self.ended.clear()
                self.set_trait("value", ())
                devices.release_threads()
                Thread(target=self._train_all, daemon=True).start()
        return self

    def stop(self, at_once: bool = False) -> None:
        """Ask the training that runs to end, or `at_once` without its score; begin none after."""
        self._stop.set()
        for attempt in self.panel.attempts[-1:]:
            attempt.stop(at_once)

    def join(self, timeout: float | None = None) -> None:
        """Wait until none is under way."""
        self.ended.wait(timeout)

    def result(self, work: "TrainingGrid") -> pd.DataFrame:
        return work.table()

    def _train_all(self) -> None:
        try:
            for settings in self._settings:
                self._now = settings
                attempt = self.panel.start()
                attempt.join()
                self.set_trait("value", (*self.value, attempt))
                if attempt.stop_requested.is_set() or self._stop.is_set():
                    break
        finally:
            self.ended.set()

    def table(self) -> pd.DataFrame:
        """A row a training: the settings that differ, scores, seconds, how it ended, run folder."""
        names = dict.fromkeys(itertools.chain(*self._settings))
        differ = [n for n in names if len({repr(each.get(n)) for each in self._settings}) > 1]
        rows = [
            {name: settings.get(name) for name in differ}
            | {column: attempt.metrics.get(score) for score, column in SCORES.items()}
            | {"seconds": attempt.seconds, "ended": attempt.status()[0]}
            | {"run": attempt.run and attempt.run.path}
            for settings, attempt in zip(self._settings, self.value, strict=False)
        ]
        return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="training"))

    def still(self) -> dict:
        caption = f"{len(self.value)} of {len(self._settings)} trainings have ended"
        html = tables.table(self.table(), caption, wrap="ended") if self._settings else ""
        return {"text/html": html, "text/plain": self.table().to_string()}

    def _build(self):
        settings = dict(self._now)
        return models.build(settings.pop("model"), **settings)

    def _ipython_display_(self) -> None:
        self.panel._ipython_display_()
        super()._ipython_display_()
