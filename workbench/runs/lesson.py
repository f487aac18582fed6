"""What every notebook needs: a start, a size for its profile, recorded scores, checked answers."""

import os
import random
import sys
import warnings
from contextlib import suppress
from functools import cache

import numpy as np

from workbench import models
from workbench.errors import DataWarning, UserError, unknown
from workbench.evaluation import plots
from workbench.evaluation.scores import METRICS
from workbench.runs import folders, notebooks, provenance
from workbench.runs.notebooks import PROFILES

BESIDE = {"accuracy": ["macro_f1", "loss"], "entity_f1": ["entity_precision", "entity_recall"]}


class Lesson:
    """One notebook being worked through; `start` makes it."""

    def __init__(self, notebook: str, profile: str, seed: int) -> None:
        self.notebook, self.profile, self.seed = notebook, profile, seed
        self._rows: dict[str, dict] = {}  # by model: a cell may run again

    def pick(self, *, smoke, quick, full):
        """The value for this profile."""
        return {"smoke": smoke, "quick": quick, "full": full}[self.profile]

    def record(
        self, name: str, evaluation, model=None, seconds: float | None = None, *,
        save_model: bool = False, **parameters,
    ):  # fmt: skip
        """Save a model's scores as a run, for the report and `workbench compare`.

        The notebook's parameters are kept with the values that they have now, others as given; the
        weights of `model` are kept only with `save_model`.
        """
        given = {"PROFILE": self.profile, "SEED": self.seed, **parameters}
        path = folders.save(
            name,
            notebook=self.notebook,
            parameters=_parameters(self.notebook) | given,
            metrics=evaluation.metrics,
            predictions=evaluation.predictions,
            history=getattr(model, "history_", None),
            model=model if save_model else None,
            settings=models.describe(model),
            data=provenance.describe_data(test=evaluation.predictions),
            stopped=getattr(model, "training_info_", {}).get("stopped", False),
            seconds=seconds,
        )
        self._rows[name] = {"run": path, "seconds": seconds, **evaluation.metrics}
        return path

    def runs(self) -> list[folders.Run]:
        """What was recorded, the last run of each name."""
        return [folders.load(row["run"]) for row in self._rows.values()]

    def scores(self, metric: str = "accuracy"):
        """The recorded scores by `metric`, best first, with its interval and what goes with it.

        Raises
        ------
        UserError : nothing was recorded with that metric.
        """
        import pandas as pd

        table = pd.DataFrame(self._rows.values(), pd.Index(self._rows, name="model"))
        if metric not in table:
            raise unknown("recorded metric", metric, [name for name in METRICS if name in table])
        columns = [metric, f"{metric}_low", f"{metric}_high", *BESIDE.get(metric, []), "n"]
        table = table.dropna(subset=metric).sort_values(metric, ascending=False)
        return table[[*columns, "seconds"]]


def start(notebook: str, profile: str = "quick", seed: int = 0) -> Lesson:
    """Fix the seeds, quieten the libraries, choose how charts are shown.

    Raises
    ------
    UserError : the profile is unknown.
    """
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - gensim and scikit-learn draw from the global state
    plots.use()
    _quieten()
    return Lesson(notebook, profile, seed)


def verdict(right: bool | None, hint: str = "") -> bool:
    """Print whether an exercise's answer is right; None is an answer not given yet."""
    if right is None:
        print("Not answered yet.")
    else:
        print("Right." if right else f"Not quite: {hint}")
    return bool(right)


def _parameters(notebook: str) -> dict:
    """What the notebook's cell of parameters assigns, with the values of now; {} outside of one."""
    from IPython import get_ipython

    values = getattr(get_ipython(), "user_ns", {})
    with suppress(UserError):  # a notebook of somebody's own
        names = notebooks.literals(notebooks.read(notebooks.resolve([notebook])[0]))
        return {name: values[name] for name in names if name in values}
    return {}


def _quieten() -> None:
    """Notes in one line, once a cell; no progress bars that a saved notebook would keep."""
    from IPython import get_ipython

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if "datasets" in sys.modules:  # imported by a picker, it has read the variables already
        sys.modules["datasets"].disable_progress_bars()
    if "transformers" in sys.modules:  # likewise
        sys.modules["transformers"].logging.set_verbosity_error()
        sys.modules["transformers"].logging.disable_progress_bar()
    # scikit-learn takes many classes of few texts each for numbers to predict, or for a mistake.
    for message in ("The number of unique classes", "The least populated class"):
        warnings.filterwarnings("ignore", message, UserWarning)

    shown = warnings.showwarning
    note = cache(lambda cell, message: print(f"Note: {message}"))

    def show(message, category, *rest, **options):
        if issubclass(category, DataWarning):
            note(getattr(get_ipython(), "execution_count", 0), str(message))
        else:
            shown(message, category, *rest, **options)

    warnings.showwarning = show
    warnings.simplefilter("always", DataWarning)
