"""What every notebook needs: a start, a size for its profile, recorded scores, checked answers."""

import os
import random
import sys
import warnings
from functools import cache

import numpy as np

from workbench.errors import DataWarning, unknown
from workbench.evaluation import plots
from workbench.runs import folders
from workbench.runs.notebooks import PROFILES


class Lesson:
    """One notebook being worked through; `start` makes it."""

    def __init__(self, notebook: str, profile: str, seed: int) -> None:
        self.notebook, self.profile, self.seed = notebook, profile, seed
        self._rows: dict[str, dict] = {}  # by model: a cell may run again

    def pick(self, *, smoke, quick, full):
        """The value for this profile."""
        return {"smoke": smoke, "quick": quick, "full": full}[self.profile]

    def record(self, name: str, evaluation, model=None, seconds: float | None = None, **parameters):
        """Save a model's scores as a run, for the report and `workbench compare`."""
        parameters = {"PROFILE": self.profile, "SEED": self.seed, **parameters}
        self._rows[name] = {"seconds": seconds, **evaluation.metrics}
        return folders.save(
            name,
            notebook=self.notebook,
            parameters=parameters,
            metrics=evaluation.metrics,
            predictions=evaluation.predictions,
            history=getattr(model, "history_", None),
            seconds=seconds,
        )

    def scores(self):
        """The recorded scores, best first: accuracy with its interval, F1, loss, seconds."""
        import pandas as pd

        columns = ["accuracy", "accuracy_low", "accuracy_high", "macro_f1", "loss", "n", "seconds"]
        table = pd.DataFrame(self._rows.values(), pd.Index(self._rows, name="model"))
        return table[columns].sort_values("accuracy", ascending=False)


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
