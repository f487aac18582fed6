"""Settings by search: optuna proposes, the validation loss decides, the test is scored once."""

import threading
from dataclasses import replace
from pathlib import Path

from workbench.errors import UserError
from workbench.runs import folders, jobs
from workbench.runs.plan import Job
from workbench.training import history, stop_event


def trials(ranged: list[Job], draws: int) -> list[Job]:
    """The draws of each search: a model on a data set, whose first seed it has."""
    first = {}
    for job in ranged:
        first.setdefault(_study(job), job)
    return [replace(job, trial=i) for job in first.values() for i in range(draws)]


def chosen(ranged: list[Job], out: Path) -> list[Job]:
    """The jobs with the settings of the draw of lowest validation loss, for every seed."""
    best = {}
    for run in folders.list_runs(out / "trials"):
        study, loss = run.info["parameters"]["STUDY"], run.metrics["loss"]
        if study not in best or loss < best[study][0]:
            best[study] = (loss, run.info["parameters"]["DRAWN"])
    return [
        replace(job, settings=job.settings | best[_study(job)][1])
        for job in ranged if _study(job) in best
    ]  # fmt: skip


def _study(job: Job) -> str:
    return f"{job.name} on {job.where}"


def draw(job: Job, rows: tuple, out: Path, home: Path) -> None:
    """One draw: ask, train with an eye on the validation loss, tell, and write a run folder.

    A draw whose validation loss lies above the median of those before, at the same evaluation, is
    stopped early (Golovin et al. 2017), and counts with the weights of its lowest loss. What was
    drawn before stands in the sweep's folder `home`.
    """
    if not home.is_dir():
        raise UserError(f"A search needs '{home}' on a disk that all machines share.")
    try:
        import optuna
        from optuna.storages.journal import JournalFileBackend, JournalStorage
    except ImportError as error:
        what = "pip install 'nlp-transfer-workbench[search]'"
        raise UserError(f"optuna is missing: {what}.") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name=_study(job), load_if_exists=True,
        storage=JournalStorage(JournalFileBackend(str(home / "search.log"))),
        sampler=optuna.samplers.TPESampler(seed=job.trial),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
    )  # fmt: skip
    trial = study.ask()
    drawn = {name: _suggest(trial, name, limits) for name, limits in job.ranges.items()}
    pruned = threading.Event()

    losses: list[float] = []

    def watch(row: dict) -> None:
        if (loss := row.get("validation_loss")) is not None:
            losses.append(loss)
            trial.report(loss, len(losses))
            if trial.should_prune():
                pruned.set()

    with stop_event.stoppable(pruned), history.listening(watch):
        fitted = jobs.train(replace(job, settings=job.settings | drawn), rows)
    path = jobs.save(job, *fitted, rows, out, STUDY=_study(job), DRAWN=drawn)
    state = optuna.trial.TrialState.PRUNED if pruned.is_set() else None
    study.tell(trial, None if state else folders.load(path).metrics["loss"], state)


def _suggest(trial, name: str, limits: dict) -> float:
    low, high, step = limits["low"], limits["high"], limits.get("step")
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, step=step or 1, log=bool(limits.get("log")))
    return trial.suggest_float(name, low, high, step=step, log=bool(limits.get("log")))
