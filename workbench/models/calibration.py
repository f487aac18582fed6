"""How fast models are trained on this machine: measured once in seconds, and kept.

The calibration trains on small samples of the bundled reviews in a process of its own: the random
numbers, the kept vectors and the memory of whoever asks stay as they are. ``WORKBENCH_CACHE`` names
the folder that keeps it.
"""

import inspect
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import numpy as np

import workbench
from workbench import models
from workbench.data import sources, text
from workbench.models import adaptation, encoder_classifier, encoders
from workbench.models.torch_classifier import TorchClassifier

MIB = 2**20
SAMPLED = 1024  # texts whose length is looked at: all of a calibration, some of more
SIZES = {"encoder": (16, 96), "other": (128, 1024)}  # texts of the two samples
BUSY = 0.2  # seconds of waiting for a core in a second of training: others disturb
_known: dict[str, dict] = {}
_measuring = threading.RLock()


def rates(kinds: Iterable[str]) -> list[dict]:
    """What was measured of each kind.

    Seconds ``fixed``, ``once`` a unit (a word or a token), and for ``each`` unit and epoch; MiB
    ``memory`` and ``memory_each``; whether the machine was ``busy`` with something else meanwhile;
    or else an ``error``.
    """
    return [_kept()[_key(kind)] for kind in kinds]


def calibrate(names: Iterable[str], **settings) -> Iterator[str]:
    """Measure what is not known yet, in one process; each name comes when it can be estimated."""
    kinds = {name: kinds_of(name, models.build(name, **settings)) for name in names}
    waiting = {name for name in kinds if _missing(kinds[name])}
    yield from (name for name in kinds if name not in waiting)
    if not waiting:
        return
    with _measuring:
        wanted = dict.fromkeys(kind for name in kinds for kind in kinds[name])
        for kind, rates in _measured(_missing(wanted)):
            _keep(_key(kind), rates)
            ready = [name for name in kinds if name in waiting and not _missing(kinds[name])]
            waiting.difference_update(ready)
            yield from ready
    yield from waiting  # another thread has measured them in the meantime


def known(name: str, **settings) -> bool:
    """Whether a model can be estimated without measuring anything."""
    return not _missing(kinds_of(name, models.build(name, **settings)))


def kinds_of(name: str, model) -> list[str]:
    """What has to be measured: the model itself, or how an encoder is trained."""
    if isinstance(model, adaptation.Coral):
        return ["encoder frozen"]
    if isinstance(model, adaptation.ContinuedPretraining):
        return [f"encoder {model.strategy}", "encoder full"]
    return [
        f"encoder {model.strategy}"
        if isinstance(model, encoder_classifier.TextClassifier)
        else name
    ]


def takes(name: str) -> dict[str, inspect.Parameter]:
    """The settings of a model, with their defaults and types."""
    make = (
        models.CATALOGUE[name].make
        if name in models.CATALOGUE
        else encoder_classifier.TextClassifier
    )
    return dict(inspect.signature(make).parameters)


def default(name: str, setting: str):
    return takes(name)[setting].default if setting in takes(name) else None


def units(texts: Sequence[str], count, longest: int | None) -> float:
    """Words or tokens of all texts, told from some of them."""
    if not len(texts):
        return 0.0
    step = -(-len(texts) // SAMPLED)
    lengths = np.array(count([str(t) for t in texts[::step]]))
    return float(lengths.clip(max=longest).mean() * len(texts))


def token_counts(texts: list[str]) -> list[int]:
    return [len(ids) for ids in _tokenizer()(texts)["input_ids"]]


@lru_cache(maxsize=1)
def _tokenizer():
    return encoders.tokenizer(encoders.BUNDLED)


def _missing(kinds: Iterable[str]) -> list[str]:
    kept = _kept()
    return [kind for kind in kinds if _key(kind) not in kept]


# --- measuring -----------------------------------------------------------------------------


def _measured(kinds: list[str]) -> Iterator[tuple[str, dict]]:
    """The rates of each kind, from a process that measures one after the other."""
    if not kinds:
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench.models.calibration", *kinds], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
    )  # fmt: skip
    found = set()
    try:
        for line in process.stdout:
            with suppress(ValueError, TypeError):
                kind, rates = json.loads(line)
                found.add(kind)
                yield kind, rates
        code = process.wait()
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    for kind in kinds:
        if kind not in found:
            yield kind, {"error": f"its process ended with code {code}"}


def _measure(kind: str) -> dict:
    """Fixed seconds, seconds a unit, seconds a unit and epoch, and the same of memory in MiB."""
    _, _, strategy = kind.partition(" ")
    name, given = ("minilm", {"strategy": strategy}) if strategy else (kind, {})
    small, large = (_reviews(n) for n in SIZES["encoder" if strategy else "other"])
    count = token_counts if strategy else lambda each: [len(text.tokenize(t)) for t in each]
    n = [units(part[0], count, default(name, "max_length")) for part in (small, large)]
    # Gradual unfreezing moves everything in a single epoch, and half on average in several.
    epochs = 2 if strategy == "gradual" else 1
    if not default(name, "epochs") or strategy == "frozen":
        epochs = 0
    settings = [given | ({"epochs": n} if epochs else {}) for n in (epochs, 2 * epochs)]
    _fit(name, settings[0], _reviews(16))  # imports, and kernels that are made once
    started, waited = time.perf_counter(), _waited()
    t_small, m_small = _fit(name, settings[0], small)
    t_large, m_large = _fit(name, settings[0], large)
    slope, each = max(0.0, (t_large - t_small) / (n[1] - n[0])), 0.0
    if epochs:
        t_longer, _ = _fit(name, settings[1], large)
        each = max(0.0, (t_longer - t_large) / (epochs * n[1]))
        if isinstance(models.build(name), TorchClassifier) and each * epochs < slope / 3:
            # Preparing never costs that much: another program has disturbed the measurement.
            each = slope / epochs
    busy = _waited() - waited > BUSY * (time.perf_counter() - started)
    grows = max(0.0, (m_large - m_small) / (n[1] - n[0]))
    return {
        "fixed": max(0.0, t_small - slope * n[0]), "once": max(0.0, slope - each * epochs),
        "each": each, "memory": max(0.0, m_small - grows * n[0]), "memory_each": grows,
        "busy": busy,
    }  # fmt: skip


def _fit(name: str, settings: dict, sample: tuple[list, list]) -> tuple[float, float]:
    """Seconds and the MiB by which the process grew; of short fits the less disturbed of two."""
    seconds, memory = [], []
    while not seconds or (len(seconds) < 2 and seconds[0] < 1):
        model = models.build(name, **settings)
        encoders._vectors.clear()  # what was encoded before would cost nothing
        with _peak() as grown:
            started = time.perf_counter()
            model.fit(*sample)
            seconds.append(time.perf_counter() - started)
        memory.append(grown())
    return min(seconds), max(memory)


def _waited() -> float:
    """Seconds for which threads of this process waited for a core; 0 where Linux does not say."""
    with suppress(OSError):
        found = Path("/proc/self/task").glob("*/schedstat")
        return sum(int(path.read_text().split()[1]) for path in found) / 1e9
    return 0.0


@contextmanager
def _peak() -> Iterator:
    import psutil

    process, done, seen = psutil.Process(), threading.Event(), []
    before = process.memory_info().rss

    def look():
        while not done.wait(0.005):
            seen.append(process.memory_info().rss)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield lambda: max(0, max(seen, default=before) - before) / MIB
    finally:
        done.set()
        thread.join()


@lru_cache(maxsize=8)
def _reviews(n: int) -> tuple[list[str], list[str]]:
    table = sources.read("reviews")
    table = table[table["label"] != ""].sample(n, random_state=0)
    return list(table["text"]), list(table["label"])


# --- what is kept --------------------------------------------------------------------------------


def _key(kind: str) -> str:
    import torch  # noqa: F401 - `device` asks torch only where it is loaded

    from workbench.training.devices import device

    threads = os.environ.get("OMP_NUM_THREADS") or os.cpu_count()
    versions = f"workbench {workbench.__version__}, torch {metadata.version('torch')}"
    return f"{kind}; {versions}; {device()}; {threads} threads"


def _file() -> Path:
    import platformdirs

    given = os.environ.get("WORKBENCH_CACHE")
    folder = Path(given) if given else Path(platformdirs.user_cache_dir("workbench"))
    return folder / "costs.json"


def _kept() -> dict[str, dict]:
    with suppress(OSError, ValueError, AttributeError):
        stored = json.loads(_file().read_text(encoding="utf-8"))
        new = {k: v | {"busy": False} for k, v in stored.items() if k not in _known and _whole(v)}
        _known.update(new)
    return _known


def _whole(rates) -> bool:
    names = ("fixed", "once", "each", "memory", "memory_each")
    return isinstance(rates, dict) and all(isinstance(rates.get(n), float) for n in names)


def _keep(key: str, rates: dict) -> None:
    _known[key] = rates
    # What was measured while other programs were at work serves for this session only.
    kept = {k: v for k, v in _kept().items() if not v.get("error") and not v.get("busy")}
    path = _file()
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        partial.replace(path)


def _main(kinds: list[str]) -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes where nobody reads it
    if hasattr(os, "nice"):
        os.nice(10)  # whoever trains meanwhile goes first
    for kind in kinds:
        try:
            rates = _measure(kind)
        except Exception as error:
            rates = {"error": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps([kind, rates]), file=out, flush=True)


if __name__ == "__main__":
    _main(sys.argv[1:])
