"""One job of a sweep: trained, evaluated, and saved as a run."""

import time
from pathlib import Path

import pandas as pd

from workbench import data, evaluation, models
from workbench.errors import UserError
from workbench.evaluation import scores
from workbench.runs import folders, plan, provenance
from workbench.runs.plan import Job
from workbench.training import devices

MOST = 1000  # texts of a target


def train(job: Job, rows: tuple) -> tuple:
    """The fitted model of a job, the seconds that its training took, and the rows it was given."""
    training, validation, _, unlabeled = rows
    if job.digest != plan.rows_digest(rows):
        raise UserError(f"'{job.data['source']}' has changed since the sweep was planned.")
    if job.limit:
        training = data.sample(training, job.limit, job.seed)
    settings = dict(job.settings)
    if "seed" in models.settings_of(job.model):
        settings["seed"] = job.seed
    model, takes = models.build(job.model, **settings), plan.fit_arguments(job.model)
    more = {"unlabeled": unlabeled} if "unlabeled" in takes else {}
    if "validation" in takes and (settings.get("patience") or job.trial is not None):
        more["validation"] = (list(validation["text"]), list(validation["label"]))
    devices.peak_memory(anew=True)
    started = time.perf_counter()
    model.fit(list(training["text"]), list(training["label"]), **more)
    return model, round(time.perf_counter() - started, 3), training


def save(job: Job, model, seconds: float, training, rows: tuple, out: Path, **more) -> Path:
    """Evaluate a fitted model and write its run folder; a draw of a search sees no test row.

    Of a pair of domains ``unseen.parquet`` holds what the model says of validation rows and of
    texts of the target: what a choice without labels of the target goes by.
    """
    _, validation, test, unlabeled = rows
    is_draw, held_out = job.trial is not None, {}
    if len(validation):
        scored = evaluation.evaluate(model, validation, "validation")
        held_out = {f"validation_{k}": scored.metrics[k] for k in ("accuracy", "loss", "n")}
    found = scored if is_draw else evaluation.evaluate(model, test)
    pair = {"SOURCE": ", ".join(job.pair[:-1]), "TARGET": job.pair[-1]} if job.pair else {}
    return folders.save(
        job.name, metrics=found.metrics | held_out, predictions=found.predictions, seconds=seconds,
        history=getattr(model, "history_", None), settings=models.describe(model),
        parameters={"SEED": job.seed, "LIMIT": job.limit, "WHERE": job.where} | pair | more,
        data=provenance.describe_data(training, validation, test),
        tables={"unseen": _unseen(model, validation, unlabeled[:MOST])} if job.pair else None,
        root=job.folder(out).parent, folder=job.key,
    )  # fmt: skip


def _unseen(model, validation: pd.DataFrame, unlabeled: list[str]) -> pd.DataFrame:
    table = pd.DataFrame({"text": [*validation["text"], *unlabeled]})
    classes, p, _ = scores.predict(model, table["text"])
    labels = pd.Series(validation["label"].to_numpy(), dtype=object).reindex(table.index)
    return table.assign(label=labels, **dict(zip("p_" + classes, p.T, strict=True)))


def is_neural(job: Job) -> bool:
    """Whether a run trains, or reads with, a network that several cores speed up."""
    return not job.model or bool({"epochs", "encoder"} & set(models.settings_of(job.model)))
