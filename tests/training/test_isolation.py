"""A fit leaves the process as it was, and keeps nothing alive but what the estimator holds."""

import gc
import os
import random
import threading
import warnings
import weakref

import numpy as np
import psutil
import pytest
import torch
import transformers
from torch.utils._python_dispatch import TorchDispatchMode

from tests.models.test_adaptation import TARGET
from tests.models.test_encoder_classifier import LABELS, QUICK, TEXTS, untimed
from workbench.models import encoders
from workbench.models.adaptation import ContinuedPretraining
from workbench.models.encoder_classifier import STRATEGIES, NetworkClassifier, TextClassifier
from workbench.training import isolation, trainer

SHORT = {**QUICK, "epochs": 1}


def globals_of_the_process() -> list:
    log = transformers.logging
    return [
        random.getstate(), [str(s) for s in np.random.get_state()],  # noqa: NPY002
        torch.get_rng_state().tolist(), dict(os.environ), list(warnings.filters),
        log.get_verbosity(), log.is_progress_bar_enabled(),
    ]  # fmt: skip


@pytest.mark.parametrize("name", [*STRATEGIES, "network", "dapt"])
def test_generators_environment_warnings_and_verbosity_are_given_back(checkpoint, name):
    folder = str(checkpoint("bert"))
    fit = {
        "network": lambda: NetworkClassifier(epochs=1).fit(TEXTS, LABELS),
        "dapt": lambda: ContinuedPretraining(folder, pretraining_epochs=1, **SHORT).fit(
            TEXTS, LABELS, unlabeled=TARGET
        ),
    }.get(name, lambda: TextClassifier(folder, strategy=name, **SHORT).fit(TEXTS, LABELS))
    fit()  # imports add filters of their own
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity(transformers.logging.INFO)
    transformers.logging.enable_progress_bar()
    random.seed(1), np.random.seed(2), torch.manual_seed(3)  # noqa: NPY002
    try:
        before = globals_of_the_process()
        fit().predict_proba(TEXTS)
        encoders.encode(["a great book"], folder)
        for was, now in zip(before, globals_of_the_process(), strict=True):
            assert now == was
    finally:
        transformers.logging.set_verbosity(verbosity)


@pytest.mark.parametrize("name", ["full", "gradual", "upper", "lora", "network"])
def test_nothing_keeps_a_model_alive(checkpoint, name):
    model = (
        NetworkClassifier(epochs=2, patience=1) if name == "network"
        else TextClassifier(str(checkpoint("bert")), strategy=name, patience=1, **SHORT)
    )  # fmt: skip
    model.fit(TEXTS, LABELS, validation=(TEXTS[:9], LABELS[:9]))
    fitted, history = weakref.ref(model._model), model.history_
    del model
    gc.collect()
    assert fitted() is None
    assert history


def test_memory_that_a_fit_has_freed_goes_back_to_the_system():
    """From the arena of another thread, although small pieces of it are still in use."""
    held, used = [], [psutil.Process().memory_info().rss]

    def work():
        with isolation.isolated():
            pieces = [bytearray(10_000) for _ in range(20_000)]
            used.append(psutil.Process().memory_info().rss)
            held.extend(pieces[::200])
            del pieces

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    grown = psutil.Process().memory_info().rss - used[0]
    assert used[1] - used[0] > 150 * 2**20
    assert grown < 60 * 2**20


class NoFloat64(TorchDispatchMode):
    """An Apple GPU, as far as numbers go."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for each in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(each, torch.Tensor) and each.dtype is torch.float64:
                raise TypeError("MPS has no float64")
        return result


@pytest.mark.parametrize("strategy", ["full", "upper", "lora"])
def test_nothing_is_computed_in_float64(checkpoint, strategy):
    settings = {**SHORT, "patience": 1, "class_weight": "balanced", "l1": 1e-6}
    model = TextClassifier(str(checkpoint("bert")), strategy=strategy, **settings)
    with NoFloat64():
        model.fit(TEXTS, LABELS, validation=(TEXTS[:9], LABELS[:9]))
        found = model.predict_proba(TEXTS)
    assert found.dtype == np.float64


def test_two_gpus_leave_the_batches_as_they_are(monkeypatch):
    """A machine that reports two GPUs: no `DataParallel`, no batches of twice the size."""
    one = NetworkClassifier(epochs=2, batch_size=16).fit(TEXTS, LABELS)
    monkeypatch.setattr(transformers.TrainingArguments, "n_gpu", property(lambda self: 2))
    seen = []
    step = trainer.Trainer.training_step
    monkeypatch.setattr(
        trainer.Trainer, "training_step",
        lambda self, model, *args: (seen.append(type(model).__name__), step(self, model, *args))[1],
    )  # fmt: skip
    two = NetworkClassifier(epochs=2, batch_size=16).fit(TEXTS, LABELS)
    assert set(seen) == {"Network"}
    assert two.training_info_["batch_size"] == 16
    assert untimed(two.history_) == untimed(one.history_)
