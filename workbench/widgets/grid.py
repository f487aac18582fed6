"""Several trainings, one after the other, and a table of what came of them."""

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pandas as pd
from traitlets import Tuple

from workbench import models
from workbench.errors import UserError
from workbench.widgets import base, tables
from workbench.widgets.panel import TrainingPanel

SCORES = {"accuracy": "accuracy", "accuracy_low": "95% from", "accuracy_high": "95% to"}


class TrainingGrid(base.Shown):
    """Trains with each of several settings in turn; Stop ends the one that runs and all to come.

    ``table = await grid`` waits for them all, in JupyterLab and headlessly alike. Each is a
    training of ``panel``, with its curve and its run. One that fails has its error in the table,
    and the next one begins.

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
        self._stop = threading.Event()
        self.panel = TrainingPanel(self._build, train, validation, **more)

    def __await__(self):
        return self._run_and_show().__await__()

    def run(self) -> pd.DataFrame:
        """Train with all settings and wait, where nothing can be awaited; returns the table."""
        self._settings = list(self._make() if callable(self._make) else self._make)
        if not self._settings:
            raise UserError("There is nothing to train: give a grid of at least one dict.")
        self._stop.clear()
        self.set_trait("value", ())
        for settings in self._settings:
            self._now = settings
            attempt = self.panel.start()
            with self._stopped_on_interrupt():
                attempt.join()
            self.set_trait("value", (*self.value, attempt))
            if attempt.stop_requested.is_set() or self._stop.is_set():
                break
        return self.table()

    def stop(self) -> None:
        """Ask the training that runs to end, and begin none after it."""
        self._stop.set()
        self.panel.stop()

    def table(self) -> pd.DataFrame:
        """A row a training: the settings that differ, scores, seconds, how it ended, run folder."""
        names = dict.fromkeys(itertools.chain(*self._settings))
        differ = [n for n in names if len({repr(each.get(n)) for each in self._settings}) > 1]
        rows = [
            {name: settings.get(name) for name in differ}
            | {said: attempt.metrics.get(score) for score, said in SCORES.items()}
            | {"seconds": attempt.seconds, "ended": attempt.status()[0]}
            | {"run": attempt.run and attempt.run.path}
            for settings, attempt in zip(self._settings, self.value, strict=False)
        ]
        return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="training"))

    def view(self):
        kit = base.toolkit()
        line = kit.HTML()
        refresh = base.guarded(lambda _=None: setattr(line, "value", self._html()), line)
        self.observe(refresh, "value")
        refresh()
        return line

    def still(self) -> dict:
        return {"text/html": self._html(), "text/plain": self.table().to_string()}

    def _build(self):
        settings = dict(self._now)
        return models.build(settings.pop("model"), **settings)

    def _html(self) -> str:
        caption = f"{len(self.value)} of {len(self._settings)} trainings have ended"
        return tables.table(self.table(), caption, wrap="ended") if self._settings else ""

    async def _run_and_show(self) -> pd.DataFrame:
        if base.live():
            self._ipython_display_()
        with self._stopped_on_interrupt():
            await asyncio.to_thread(self.run)
        if not base.live():
            self._ipython_display_()
        return self.table()

    @contextmanager
    def _stopped_on_interrupt(self) -> Iterator[None]:
        """Where the cell that waits is interrupted, what it waits for ends as well."""
        try:
            yield
        except BaseException:
            self.stop()
            raise

    def _ipython_display_(self) -> None:
        self.panel._ipython_display_()
        super()._ipython_display_()
