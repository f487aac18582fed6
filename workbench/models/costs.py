"""What a training costs on this machine, measured on the texts at hand, and what is to be fetched.

The model is fitted on a few small samples in a process of its own, at low priority: the random
generators, the caches and the memory of whoever asks stay as they are.
"""

import inspect
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from workbench import models
from workbench.errors import UserError
from workbench.models import catalogue, checks, encoders

MIB = 2**20
SAMPLES = (16, 64, 256, 1024, 4096)  # texts; what is beyond is extrapolated
ENOUGH = 1.0  # seconds that a fit takes: larger samples are not tried
LONGEST_STAGE = 2  # epochs of an encoder that are measured; more are extrapolated
NO_COST = ("learning_rate", "seed")  # settings
_trained: dict[tuple, float] = {}  # what `observe` was given: seconds a text and epoch


@dataclass(frozen=True)
class Cost:
    """Seconds and MiB of one `fit`; `remark` says what a person should know of the numbers."""

    seconds: float
    memory: float
    remark: str = ""


def estimate(name: str, texts: Sequence[str], labels: Sequence | None = None, **settings) -> Cost:
    """Seconds and MiB of ``models.build(name, **settings).fit(texts, labels)`` on this machine.

    The model is fitted on samples of 16, 64, 256 … of the texts until a fit takes a second; both
    are then extrapolated along a straight line, and the epochs of an encoder beyond two as well.
    Seconds are those of an idle machine, because CPU time is measured; `observe` corrects them.
    Memory is the growth of the process.

    An encoder that has to be fetched first is scaled from the bundled one: seconds by the
    parameters that a token passes, memory by all of them. Methods that adapt are given as many
    unlabelled texts as labelled ones.

    Left out: Python and its libraries, evaluation on validation texts, the copy of the weights for
    early stopping, and the memory of a GPU.

    Parameters
    ----------
    labels : two made-up classes by default, which makes trees deeper than true ones.

    Raises
    ------
    UserError : the name, a setting or the texts cannot be used, or the measurement failed.
    """
    encoder = getattr(models.build(name, **settings), "encoder", None)
    if encoder is not None and not is_here(str(encoder)):
        return _scaled(name, str(encoder), texts, labels, settings)
    rows = checks.check_texts(texts)
    if len(rows) < 2:
        raise UserError("An estimate needs two texts at least.")
    labels = [i % 2 for i in range(len(rows))] if labels is None else labels
    codes = checks.check_classes(checks.check_texts_and_labels(rows, labels)[1])[1].tolist()
    step = -(-len(rows) // max(SAMPLES))
    cost = _in_own_process(
        name, settings=settings, total=len(rows), texts=rows[::step], codes=codes[::step]
    )
    return corrected(cost, name, settings, len(rows))


def observe(name: str, settings: dict, texts: int, seconds: float) -> None:
    """Remember until the process ends how long ``models.build(name, **settings)`` trained here."""
    alike, amount = _amount(name, settings, texts)
    _trained[alike] = seconds / amount


def corrected(cost: Cost, name: str, settings: dict, texts: int) -> Cost:
    """The cost by a training that was observed, in proportion to texts and epochs, or as it is.

    Learning rate and seed may have been others.
    """
    alike, amount = _amount(name, settings, texts)
    if alike not in _trained:
        return cost
    return replace(cost, seconds=_trained[alike] * amount, remark="by a training here")


def _amount(name: str, settings: dict, texts: int) -> tuple[tuple, float]:
    """What trainings of one speed have in common, and the texts times the epochs of this one."""
    alike = {k: settings.get(k, p.default) for k, p in models.settings_of(name).items()}
    model, epochs = catalogue.maker(name)(**alike), 1
    # Of other models they are the most there may be, and stay in the name.
    if hasattr(model, "with_defaults"):
        epochs = model.with_defaults(texts).epochs
        del alike["epochs"]
    same = repr([pair for pair in alike.items() if pair[0] not in NO_COST])
    return (name, same), texts * (1 if alike.get("strategy") == "frozen" else epochs)


def is_here(name: str) -> bool:
    """Whether a model is on this disk; its weights are not loaded."""
    name = name.removeprefix(encoders.STATIC)
    if name in models.CATALOGUE or Path(name).expanduser().is_dir():
        return True
    from huggingface_hub import try_to_load_from_cache

    weights = ("model.safetensors", "model.safetensors.index.json")
    return any(isinstance(try_to_load_from_cache(name, file), str) for file in weights)


def download_size(name: str) -> float | None:
    """The MiB of a model on the hub; None where that cannot be found out."""
    from huggingface_hub import HfApi

    from workbench.data import hub

    if hub.go_offline_if_unreachable():
        return None
    # The hub fails in many ways, and a size that is unknown hinders nobody.
    with suppress(Exception):
        files = HfApi().model_info(name, files_metadata=True, timeout=5).siblings
        return sum(f.size or 0 for f in files if f.rfilename.endswith(".safetensors")) / MIB or None
    return None


@lru_cache(maxsize=32)
def parameters(encoder: str) -> tuple[int, int]:
    """The number of parameters of an encoder, and through how many a token goes.

    The latter are those of the layers, of a shared one (ALBERT) as often as it is applied. Only
    the configuration is read.

    Raises
    ------
    UserError : its configuration cannot be had.
    """
    import torch
    import transformers

    config = encoders.configuration(encoder)
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(config, trust_remote_code=False)
    tables = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Embedding))
    total = sum(p.numel() for p in model.parameters())
    groups = getattr(config, "num_hidden_groups", None)
    return total, (total - tables) * (config.num_hidden_layers // groups if groups else 1)


def _scaled(name: str, encoder: str, texts, labels, settings: dict) -> Cost:
    """The cost of the same training of the bundled encoder, in proportion to the sizes."""
    if name in models.CATALOGUE:
        cost = estimate(name, texts, labels, **settings | {"encoder": encoders.BUNDLED})
    else:
        cost = estimate(encoders.BUNDLED, texts, labels, **settings)
    size, speed = np.divide(parameters(encoder), parameters(encoders.BUNDLED)).tolist()
    return Cost(cost.seconds * speed, cost.memory * size, f"scaled from {encoders.BUNDLED}")


# --- measuring -----------------------------------------------------------------------------------


def _in_own_process(name: str, **job) -> Cost:
    done = subprocess.run(
        [sys.executable, "-m", "workbench.models.costs"], stdout=subprocess.PIPE,
        input=json.dumps({"name": name, **job}, default=str), stderr=subprocess.DEVNULL,
        text=True, env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
    )  # fmt: skip
    try:
        found = json.loads(done.stdout)
    except ValueError:
        found = {"error": f"its process ended with code {done.returncode}"}
    if "error" in found:
        raise UserError(f"The cost of '{name}' could not be measured: {found['error']}.")
    return Cost(**found)


def _measure(name: str, settings: dict, total: int, texts: list[str], codes: list[int]) -> dict:
    """The fields of a `Cost`, by fits on growing samples."""
    import pandas as pd

    table = pd.DataFrame({"text": texts, "code": codes})
    shortened, times = _shortened(models.build(name, **settings), total)
    # Imports, and what is made once: none of it is the model's own memory.
    _fit(models.build("cnn" if hasattr(shortened, "encoder") else name), _sample(table, 16))
    points = []
    for n in SAMPLES:
        sample = _sample(table, n)
        with _peak() as growth:
            seconds = _fit(shortened, sample)
        points.append((len(sample), seconds, growth()))
        if len(sample) == len(table) or (len(points) > 1 and seconds > ENOUGH):
            break
    memory = max(point[2] for point in points)
    if not hasattr(shortened, "training_info_"):  # not batch by batch: memory grows with the texts
        memory *= max(1.0, total / points[-1][0])
    return {"seconds": _extrapolated(points, total * times), "memory": memory}


def _shortened(model, total: int):
    """A model that takes the steps of the whole in fewer epochs, and by how many times fewer."""
    if hasattr(model, "with_defaults"):
        model = model.with_defaults(total)
    settings = model.get_params(deep=False)
    if "encoder" not in settings or settings.get("strategy") == "frozen":
        return model, 1.0
    stages = {s: settings[s] for s in ("epochs", "pretraining_epochs") if s in settings}
    times = max([1.0, *(epochs / LONGEST_STAGE for epochs in stages.values())])
    return model.set_params(**{s: epochs / times for s, epochs in stages.items()}), times


def _sample(table, n: int):
    """`n` rows, balanced, of the most frequent classes: four rows and more of each."""
    counts = table["code"].value_counts()
    most = max(2, min(n // 4, int((counts > 1).sum())))
    table = table[table["code"].isin(counts.index[:most])]
    order = table.groupby("code").cumcount().argsort(kind="stable")
    return table.iloc[order[:n]]


def _fit(model, sample) -> float:
    """The seconds that a fit takes on an idle machine, from the CPU time.

    They are those of this thread, which does its share of all that is done in parallel; a random
    forest leaves everything to other threads.
    """
    # Another word in each text: a text whose vector was computed before would cost nothing.
    texts = [f"{text} {len(sample)}" for text in sample["text"]]
    takes = inspect.signature(model.fit).parameters
    more = {"unlabeled": texts} if "unlabeled" in takes else {}
    thread, process = time.thread_time(), time.process_time()
    model.fit(texts, list(sample["code"]), **more)
    parallel = (time.process_time() - process) / (os.cpu_count() or 1)
    return max(time.thread_time() - thread, parallel)


def _extrapolated(points: list[tuple], texts: float) -> float:
    """Seconds along the line through the last two points; it never falls."""
    n, seconds, *_ = points[-1]
    before, lower, *_ = points[-2] if len(points) > 1 else (0, 0.0)
    # What does not grow is at most half of the time: else the smaller fit was disturbed.
    slope = max((seconds - lower) / max(1, n - before), seconds / n / 2)
    return seconds + slope * (texts - n)


@contextmanager
def _peak() -> Iterator:
    """A function that tells, in MiB, by how much the process was larger than before the block."""
    import psutil

    process, done = psutil.Process(), threading.Event()
    before = largest = process.memory_info().rss

    def look():
        nonlocal largest
        while not done.wait(0.005):
            largest = max(largest, process.memory_info().rss)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield lambda: (largest - before) / MIB
    finally:
        done.set()
        thread.join()


def _main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes where nobody reads it
    if hasattr(os, "nice"):
        os.nice(10)  # whoever trains meanwhile goes first
    try:
        found = _measure(**json.load(sys.stdin))
    except UserError as error:
        found = {"error": str(error).rstrip(".")}
    except Exception as error:
        found = {"error": f"{type(error).__name__}: {error}"[:200]}
    print(json.dumps(found), file=out, flush=True)


if __name__ == "__main__":
    _main()
