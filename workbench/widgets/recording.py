"""What a training trains with, and what becomes of it: its score in words, and a run."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from workbench import models, runs
from workbench.evaluation import comparison, scores
from workbench.models import costs
from workbench.training import stop_event
from workbench.widgets import base

_FORMATS: dict[str, Callable] = {
    "strategy": str, "epochs": "{:g} epochs".format,
    "learning_rate": partial(np.format_float_scientific, trim="-", exp_digits=1),
}  # fmt: skip


def describe(attempt, model, train: pd.DataFrame, validation: pd.DataFrame | None) -> None:
    """Give an `Attempt` what it trains with: settings of the unfitted `model`, and all in words."""
    attempt.settings = models.describe(model) or {"model": type(model).__name__}
    in_steps = attempt.settings.get("strategy") != "frozen"
    if in_steps and attempt.settings.get("epochs", 0) is None:
        attempt.settings["epochs"] = model.with_defaults(len(train)).epochs
    attempt.label = _label(attempt.settings)
    attempt.title = ": ".join(filter(None, [attempt.settings["model"], attempt.label]))
    held_out = "" if validation is None else f" and {len(validation):,} validation"
    source = Path(train.attrs["source"]).name + ", " if "source" in train.attrs else ""
    attempt.about = f"{attempt.title} · {source}{len(train):,} training{held_out} texts."


def _label(settings: dict) -> str:
    """The settings that distinguish attempts, such as ``"full, 3 epochs, 1e-4"``.

    Strategy, epochs and learning rate, and whatever else is not as the model has it by default.
    """
    defaults = models.settings_of(settings["model"])
    changed = {
        key: value for key, value in settings.items()
        if isinstance(value, (str, int, float)) and key in defaults
        and value != defaults[key].default and key not in _FORMATS
    }  # fmt: skip
    words = [
        in_words(settings[key])
        for key, in_words in _FORMATS.items()
        if settings.get(key) is not None
    ]
    return ", ".join([*words, *(f"{k.replace('_', ' ')} {v}" for k, v in changed.items())])


def record(earlier: Sequence, train, validation, attempt, model) -> None:
    """Score `model` on the validation texts, and write the run; the attempt gets both.

    Whatever fails is noted in the attempt: the model stays.

    Parameters
    ----------
    earlier, attempt : an `Attempt` that has ended well, and those before it, oldest first.
    """
    try:
        if validation is not None and len(validation) and hasattr(model, "predict_proba"):
            evaluation = scores.evaluate(model, validation, "validation")
            attempt.metrics, attempt.predictions = evaluation.metrics, evaluation.predictions
            attempt.outcome = _outcome(attempt, earlier, train)
    except stop_event.Stopped:
        attempt.outcome = "Not scored, because it was stopped."
    except Exception as error:  # whatever a model raises that is not one of ours
        attempt.outcome = f"It could not be scored: {base.error_message(error)}"
    if attempt.settings and not attempt.stopped:
        name, texts = attempt.settings["model"], len(train)
        costs.observe(name, attempt.settings, texts, attempt.seconds)
    try:
        folder = runs.save(
            attempt.title if attempt.settings else type(model).__name__,
            settings=attempt.settings, stopped=attempt.stopped, seconds=attempt.seconds,
            data=None if train is None else runs.describe_data(train, validation),
            history=getattr(model, "history_", attempt.history),
            metrics=attempt.metrics, predictions=attempt.predictions,
        )  # fmt: skip
        attempt.run = runs.load(folder)
    except Exception as error:
        attempt.unsaved = f"The model is here, but no run was written: {base.error_message(error)}"


def _outcome(attempt, earlier: Sequence, train: pd.DataFrame) -> str:
    """The accuracy with its interval, against the majority class and against the attempt before."""
    found, rows = attempt.metrics, attempt.predictions
    majority = pd.Series(scores.class_names(train["label"])).mode()[0]
    words = (
        f"Accuracy {found['accuracy']:.3f} on {found['n']} validation texts (95% interval "
        f"{found['accuracy_low']:.3f} to {found['accuracy_high']:.3f})."
    )
    words += _against("the most frequent class", rows.assign(predicted=majority), rows)
    before = next((a for a in reversed(earlier) if a.predictions is not None), None)
    if before is not None:
        words += _against(f"the attempt before ({before.title})", before.predictions, rows)
        before.predictions = None  # only its metrics are still needed
    return words


def _against(name: str, other: pd.DataFrame, rows: pd.DataFrame) -> str:
    test = comparison.mcnemar(other, rows)
    accuracy = (scores.class_names(other["label"]) == scores.class_names(other["predicted"])).mean()
    verdict = "Not significantly different from"
    if test["p"] < 0.05:
        verdict = f"Significantly {'worse' if test['only_a'] > test['only_b'] else 'better'} than"
    p = comparison.p_text(test["p"])
    return f" {verdict} {name}, {accuracy:.3f} ({p}, mid-p McNemar test)."
