"""Training leaves the process as it was: random generators, environment, warnings, verbosity."""

import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from workbench.training import devices


@contextmanager
def isolated() -> Iterator[None]:
    """Give back what libraries change while they train, and memory that they have freed.

    Random generators of Python, numpy and torch (`Trainer` seeds them all), environment variables,
    the filters of `warnings`, and what transformers logs.
    """
    import numpy as np
    import torch
    import transformers

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    environment = dict(os.environ)
    try:
        with warnings.catch_warnings(), quiet(transformers.logging.get_verbosity()):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
        if gpus is not None:
            torch.cuda.set_rng_state_all(gpus)
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update(environment)
        devices.release_memory()


@contextmanager
def quiet(verbosity: int | None = None) -> Iterator[None]:
    """transformers shows no progress bar and logs from `verbosity` on, by default errors only."""
    from transformers import logging

    before, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.ERROR if verbosity is None else verbosity)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bar:
            logging.enable_progress_bar()
