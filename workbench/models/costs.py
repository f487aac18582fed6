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
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from workbench import models
from workbench.errors import UserError
from workbench.models import checks, encoders

MIB = 2**20
SAMPLES = (16, 64, 256, 1024, 4096)  # texts; what is beyond is extrapolated
ENOUGH = 1.0  # seconds that a fit takes: larger samples are not tried
LONGEST_STAGE = 2  # epochs of an encoder that are measured; more are extrapolated
BUSY = 0.2  # seconds of waiting for a core in a second of training: others disturb
_known: dict[str, "Cost"] = {}
_measuring = threading.Lock()


@dataclass(frozen=True)
class Cost:
    """Seconds and MiB of one `fit`; ``measured`` on this very model, or scaled from another.

    ``busy``: other programs were at work during the measurement, so it is likely less.
    """

    seconds: float
    memory: float
    measured: bool
    busy: bool = False


@dataclass(frozen=True)
class Place:
    """Whether a model is on this disk, and the MiB to be fetched otherwise (None: unknown)."""

    here: bool
    download: float | None = None


@dataclass(frozen=True)
class Shape:
    """Sizes of an encoder, from its configuration alone.

    ``per_token`` are the parameters that every token passes: those of the layers, and of a shared
    layer (ALBERT) as often as it is passed.
    """

    parameters: int
    per_token: int


def estimate(name: str, texts: Sequence[str], labels: Sequence | None = None, **settings) -> Cost:
    """Seconds and MiB of ``models.build(name, **settings).fit(texts, labels)`` on this machine.

    The model is fitted on samples of 16, 64, 256 … of the texts until a fit takes a second; both
    are then extrapolated along a straight line, and the epochs of an encoder beyond two as well.
    Memory is the growth of the process. What was measured is remembered until the process ends.

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
    if encoder is not None and not here(str(encoder)).here:
        return _scaled(name, str(encoder), texts, labels, settings)
    if labels is None:
        rows = checks.check_texts(texts)
        codes = [i % 2 for i in range(len(rows))]
    else:
        rows, labels = checks.check_texts_and_labels(texts, labels)
        codes = checks.check_classes(labels)[1].tolist()
    if len(rows) < 2:
        raise UserError("An estimate needs two texts at least.")
    step = -(-len(rows) // max(SAMPLES))
    job = json.dumps({
        "name": name, "settings": settings, "total": len(rows), "texts": rows[::step],
        "codes": codes[::step],
    }, default=str)  # fmt: skip
    with _measuring:
        if job not in _known:
            _known[job] = _in_own_process(name, job)
        return _known[job]


def here(name: str) -> Place:
    """Whether a model is on this disk or has to be fetched, without loading its weights."""
    if name in models.CATALOGUE or Path(name).expanduser().is_dir():
        return Place(True)
    from huggingface_hub import try_to_load_from_cache

    weights = ("model.safetensors", "model.safetensors.index.json")
    if any(isinstance(try_to_load_from_cache(name, file), str) for file in weights):
        return Place(True)
    return Place(False, _download(name))


@lru_cache(maxsize=32)
def shape(encoder: str) -> Shape:
    """The sizes of an encoder; no weights are read or made.

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
    parameters = sum(p.numel() for p in model.parameters())
    groups = getattr(config, "num_hidden_groups", None)
    repeats = config.num_hidden_layers // groups if groups else 1
    return Shape(parameters, (parameters - tables) * repeats)


def _scaled(name: str, encoder: str, texts, labels, settings: dict) -> Cost:
    """The cost of the same training of the bundled encoder, in proportion to the sizes."""
    own, bundled = shape(encoder), shape(encoders.BUNDLED)
    if name in models.CATALOGUE:
        settings = settings | {"encoder": encoders.BUNDLED}
    else:
        name = encoders.BUNDLED
    cost = estimate(name, texts, labels, **settings)
    return Cost(
        cost.seconds * own.per_token / bundled.per_token,
        cost.memory * own.parameters / bundled.parameters, False, cost.busy,
    )  # fmt: skip


def _download(name: str) -> float | None:
    from huggingface_hub import HfApi

    from workbench.data import hub

    if hub.go_offline_if_unreachable():
        return None
    # The hub fails in many ways, and a size that is unknown hinders nobody.
    with suppress(Exception):
        files = HfApi().model_info(name, files_metadata=True, timeout=5).siblings
        sizes = [f.size or 0 for f in files if f.rfilename.endswith(".safetensors")]
        return sum(sizes) / MIB if sizes else None
    return None


# --- measuring -----------------------------------------------------------------------------------


def _in_own_process(name: str, job: str) -> Cost:
    done = subprocess.run(
        [sys.executable, "-m", "workbench.models.costs"], input=job, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
    )  # fmt: skip
    try:
        found = json.loads(done.stdout)
    except ValueError:
        found = {"error": f"its process ended with code {done.returncode}"}
    if "error" in found:
        raise UserError(f"The cost of '{name}' could not be measured: {found['error']}.")
    return Cost(**found, measured=True)


def _measure(name: str, settings: dict, total: int, texts: list[str], codes: list[int]) -> dict:
    """The fields of a `Cost`, by fits on growing samples."""
    import pandas as pd

    table = pd.DataFrame({"text": texts, "code": codes})
    shortened, times = _shortened(models.build(name, **settings), total)
    # Imports, and what is made once: none of it is the model's own memory.
    _fit(models.build("cnn" if hasattr(shortened, "encoder") else name), _sample(table, 16))
    started, waited, points = time.perf_counter(), _waited(), []
    for i, n in enumerate(SAMPLES):
        sample = _sample(table, n)
        with _peak() as growth:
            fits = [_fit(shortened, sample, number=2 * i)]
            if fits[0] < ENOUGH:
                fits.append(_fit(shortened, sample, number=2 * i + 1))
        points.append((len(sample), min(fits), growth()))
        if len(sample) == len(table) or (i and min(fits) > ENOUGH):
            break
    busy = _waited() - waited > BUSY * (time.perf_counter() - started)
    trained_in_steps = hasattr(shortened, "training_info_")
    memory = max(p[2] for p in points) if trained_in_steps else _line(points, 2)(total)
    return {"seconds": _line(points, 1)(total * times), "memory": memory, "busy": busy}


def _shortened(model, total: int):
    """A model that takes the steps of the whole in fewer epochs, and by how many times fewer."""
    from workbench.training.batches import default_batch_size

    settings = model.get_params(deep=False)
    if settings.get("batch_size", 0) is None:
        model.set_params(batch_size=default_batch_size(total))
    stages = [s for s in ("epochs", "pretraining_epochs") if s in settings]
    if "encoder" not in settings or settings.get("strategy") == "frozen" or not stages:
        return model, 1.0
    times = max(1.0, max(settings[s] for s in stages) / LONGEST_STAGE)
    return model.set_params(**{s: settings[s] / times for s in stages}), times


def _sample(table, n: int):
    """`n` rows, balanced, of the most frequent classes: four rows and more of each."""
    counts = table["code"].value_counts()
    most = max(2, min(n // 4, int((counts > 1).sum())))
    table = table[table["code"].isin(counts.index[:most])]
    order = table.groupby("code").cumcount().argsort(kind="stable")
    return table.iloc[order[:n]]


def _fit(model, sample, number: int = 0) -> float:
    # Another word in each text: a text whose vector was computed before would cost nothing.
    texts = [f"{text} {number}" for text in sample["text"]]
    takes = inspect.signature(model.fit).parameters
    more = {"unlabeled": texts} if "unlabeled" in takes else {}
    started = time.perf_counter()
    model.fit(texts, list(sample["code"]), **more)
    return time.perf_counter() - started


def _line(points: list[tuple], column: int):
    """The line through the last two points; it never falls."""
    n, value = points[-1][0], points[-1][column]
    before, lower = (points[-2][0], points[-2][column]) if len(points) > 1 else (0, 0.0)
    slope = max(0.0, (value - lower) / max(1, n - before))
    if column == 1:
        # What does not grow is at most half of the time: else the smaller fit was disturbed.
        slope = max(slope, value / n / 2)
    return lambda at: value + slope * (at - n)


def _waited() -> float:
    """Seconds for which threads of this process waited for a core; 0 where Linux does not say."""
    with suppress(OSError):
        found = Path("/proc/self/task").glob("*/schedstat")
        return sum(int(path.read_text().split()[1]) for path in found) / 1e9
    return 0.0


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
    except Exception as error:
        found = {"error": f"{type(error).__name__}: {error}"[:200]}
    print(json.dumps(found), file=out, flush=True)


if __name__ == "__main__":
    _main()
