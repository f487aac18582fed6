"""One job of a sweep: trained, evaluated, and saved as a run."""

import time
from pathlib import Path

from workbench import data, evaluation, models
from workbench.errors import UserError
from workbench.runs import folders, plan, provenance
from workbench.runs.plan import Job


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
    started = time.perf_counter()
    model.fit(list(training["text"]), list(training["label"]), **more)
    return model, round(time.perf_counter() - started, 3), training


def save(job: Job, model, seconds: float, training, rows: tuple, out: Path, **more) -> Path:
    """Evaluate a fitted model and write its run folder; a draw of a search sees no test row."""
    _, validation, test, _ = rows
    found = held_out = evaluation.evaluate(model, validation, "validation")
    if job.trial is None:
        found = evaluation.evaluate(model, test)
    held_out = {f"validation_{k}": held_out.metrics[k] for k in ("accuracy", "loss", "n")}
    pair = dict(zip(("SOURCE", "TARGET"), job.pair, strict=False))
    return folders.save(
        job.name, metrics=found.metrics | held_out, predictions=found.predictions, seconds=seconds,
        history=getattr(model, "history_", None), settings=models.describe(model),
        parameters={"SEED": job.seed, "LIMIT": job.limit, "WHERE": job.where} | pair | more,
        data=provenance.describe_data(training, validation, test),
        root=job.folder(out).parent, folder=job.key,
    )  # fmt: skip


def is_neural(job: Job) -> bool:
    """Whether a run trains, or reads with, a network that several cores speed up."""
    return not job.model or bool({"epochs", "encoder"} & set(models.settings_of(job.model)))
