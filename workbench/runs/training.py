"""One training into one run folder, by one process or by several ranks that train together."""

import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench import data, evaluation, models
from workbench.errors import UserError, first_line
from workbench.models import checks
from workbench.runs import folders, plan, provenance
from workbench.training import devices

GRACE = 2.0  # seconds in which the launcher finds the rank that failed first


def prepare(name: str, source: str, *columns: str, limit: int | None = None, **settings) -> tuple:
    """Check all that can be wrong: the unfitted model, the three splits, what else `fit` takes.

    Parameters
    ----------
    name, settings : as for `models.build`; classifiers of texts only.
    source, columns : as for `data.load`.
    limit : rows of each split.

    Raises
    ------
    UserError : a name, a setting or the data cannot be used.
    """
    models.check(name)
    checks.check_numbers(settings)
    model = models.build(name, **settings)
    getattr(model, "_check", lambda: None)()
    dataset = data.load(source, *columns, requires=("label",))
    splits, more = data.frames(dataset, limit), {}
    takes = plan.fit_arguments(name)
    if "validation" in takes:
        more["validation"] = _texts_and_labels(splits[1])
    if "unlabeled" in takes and "unlabeled" in dataset:
        more["unlabeled"] = list(dataset["unlabeled"]["text"])[:limit]
    elif "unlabeled" in takes:
        raise UserError(f"'{name}' adapts to texts without labels, and '{source}' has none.")
    return model, splits, more


def _texts_and_labels(table) -> tuple[list, list]:
    return list(table["text"]), list(table["label"])


def shares(model) -> bool:
    """Whether ranks can train a model together: in steps whose texts do not need each other."""
    in_steps = hasattr(model, "with_defaults")
    return in_steps and getattr(model, "strategy", "") not in ("frozen", "contrastive")


def train(name: str, model, splits: tuple, more: dict, root: str | None = None) -> Path | None:
    """Fit what `prepare` gives, score it on the test split, and save a run with its weights.

    Every rank calls it; the first one scores and saves, and the others get None.
    """
    from torch import distributed

    rank, _ = devices.ranks()
    if rank and not shares(model):
        return None
    started = time.perf_counter()
    model.fit(*_texts_and_labels(splits[0]), **more)
    seconds = round(time.perf_counter() - started, 2)
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
    if rank:
        return None
    found = evaluation.evaluate(model, splits[2])
    return folders.save(
        name, metrics=found.metrics, predictions=found.predictions, model=model, seconds=seconds,
        history=getattr(model, "history_", None), settings=models.describe(model), root=root,
        data=provenance.describe_data(*splits),
    )  # fmt: skip


def launch(words: list[str], processes: int, debug: bool = False) -> None:
    """Run the command `words` as so many ranks on this machine; a failed one ends the others.

    Raises
    ------
    UserError : a rank failed; it says how.
    """
    import torch
    from torch.distributed.elastic import multiprocessing as ranks
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if 0 < (gpus := torch.cuda.device_count()) < processes:
        raise UserError(f"{processes} processes need as many GPUs, and there are {gpus} here.")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    if not debug:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        logging.disable()
    silent = {} if debug else dict.fromkeys(range(1, processes), ranks.Std.ALL)
    with tempfile.TemporaryDirectory() as folder:
        config = LaunchConfig(
            1, 1, processes, run_id="workbench", rdzv_backend="c10d", rdzv_endpoint="localhost:0",
            local_addr="localhost", max_restarts=0, shutdown_timeout=5,
            logs_specs=ranks.DefaultLogsSpecs(folder, redirects=silent),
        )  # fmt: skip
        try:
            elastic_launch(config, sys.executable)("-m", "workbench", *words)
        except ranks.errors.ChildFailedError as error:
            # Found first; those that were ended for it come after.
            rank, failure = next(iter(error.failures.items()))
            raise UserError(_sentence(rank, failure)) from error
        except ranks.SignalException as error:
            raise KeyboardInterrupt from error


def _sentence(rank: int, failure) -> str:
    """How a rank ended."""
    how = f"ended with exit code {failure.exitcode}"
    if failure.exitcode < 0:
        how = f"was killed by {failure.signal_name()}"
        how += ", as happens when memory is short" if "KILL" in how else ""
    elif isinstance(failure.message, dict):
        kind, _, said = failure.message["message"].partition(": ")
        if kind == UserError.__name__:
            return said
        how = f"failed with {kind}: {first_line(said)}"
    return f"Rank {rank} {how}; the other ranks were ended, and no run was saved."


@contextmanager
def as_rank(debug: bool = False) -> Iterator[None]:
    """Under a launcher, which reports it, a rank that fails leaves a note and prints nothing."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if debug or "TORCHELASTIC_ERROR_FILE" not in os.environ:
            raise
        from torch.distributed.elastic.multiprocessing import errors

        if not isinstance(error, UserError):
            # Who has lost a peer is not the cause: the launcher ends it while it waits.
            time.sleep(GRACE)
        errors.get_error_handler().record_exception(error)
        sys.exit(1)
