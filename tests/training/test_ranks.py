"""Two processes that train together do what one does with batches of twice the size."""

import os
import pickle
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import WORDS
from workbench.errors import UserError
from workbench.models.adaptation import ContinuedPretraining
from workbench.models.encoder_classifier import NetworkClassifier, TextClassifier
from workbench.training import checkpoints, devices, speed, trainer

BATCH = 8  # of all ranks; 49 texts leave one for the last batch, and none for the second rank
SETTINGS = {"learning_rate": 1e-3, "epochs": 3, "precision": "fp32"}
CASES = {
    "full": {"class_weight": "balanced", "l1": 1e-5},
    "patience": {"patience": 1},
    "gradual": {"strategy": "gradual", "epochs": 1},
    "upper": {"strategy": "upper", "epochs": 1},
    "lora": {"strategy": "lora", "epochs": 1},
}


def texts(n: int) -> tuple[list[str], list[str]]:
    """Texts of 2 to 30 words that end with their label."""
    random = np.random.default_rng(n)
    labels = ["bad" if i % 3 else "good" for i in range(n)]
    return [
        " ".join([*random.choice(WORDS[:20], random.integers(1, 30)), y]) for y in labels
    ], labels


def trained(encoder: str, folder: Path, ranks: int) -> dict:
    """History without times, weights, and report of several trainings, by name."""
    rows, held_out = texts(49), texts(17)
    # The other way round: the better a model is, the higher is its validation loss.
    held_out = held_out[0], [{"good": "bad", "bad": "good"}[y] for y in held_out[1]]
    size = BATCH // ranks
    models = {
        name: TextClassifier(encoder, **SETTINGS | case, batch_size=size)
        for name, case in CASES.items()
    }
    found = {name: m.fit(*rows, validation=held_out) for name, m in models.items()}
    found["lstm"] = NetworkClassifier("lstm", dropout=0.0, batch_size=size, epochs=1).fit(*rows)
    found["dapt"] = ContinuedPretraining(
        encoder, **SETTINGS | {"epochs": 1}, pretraining_epochs=1, batch_size=size
    ).fit(*rows, unlabeled=held_out[0])
    found["resumed"] = resumed(encoder, folder / f"checkpoints-{ranks}", size, rows, held_out)
    return {name: (untimed(model), weights(model), model.training_info_)
            for name, model in found.items()}  # fmt: skip


def resumed(encoder: str, folder: Path, size: int, rows: tuple, held_out: tuple):
    """Broken off in the tenth step, and fitted again."""
    model = TextClassifier(encoder, **SETTINGS | CASES["full"], batch_size=size,
                           checkpoints=str(folder))  # fmt: skip
    step = trainer.Trainer.training_step

    def broken_off(self, *args):
        if self.state.global_step == 9:
            raise InterruptedError
        return step(self, *args)

    trainer.Trainer.training_step = broken_off
    with suppress(InterruptedError):
        model.fit(*rows, validation=held_out)
    trainer.Trainer.training_step = step
    assert (folder / "checkpoint-9" / "complete").exists()
    return model.fit(*rows, validation=held_out)


def short_of_memory(encoder: str) -> str:
    """What the second rank says when its memory is too small for its share."""
    cut = trainer._cut

    def too_much(*args, **options):
        if devices.ranks()[0] == 1:
            raise MemoryError
        return cut(*args, **options)

    trainer._cut = too_much
    try:
        TextClassifier(encoder, **SETTINGS, batch_size=4).fit(*texts(49))
    except UserError as error:
        return str(error)
    except RuntimeError:
        return "has lost the other one"
    return "trained"


def untimed(model) -> list[dict]:
    return [{n: v for n, v in row.items() if n != "seconds"} for row in model.history_]


def weights(model) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel() for p in model._model.parameters()])


def main(encoder: str, folder: Path) -> None:
    """What each rank does."""
    rank, ranks = devices.ranks()
    trainer.POSITIONS_AT_ONCE, checkpoints.SECONDS = 60, 0
    found = trained(encoder, folder, ranks)
    dropped = speed.Pool(0)
    dropped.restart(1)
    found["dropout"] = dropped.draw(0.5, dropped_like()).numpy()
    found["memory"] = short_of_memory(encoder)
    (folder / f"rank-{rank}.pickle").write_bytes(pickle.dumps(found))


def dropped_like():
    import torch

    return torch.ones(1000)


@pytest.fixture(scope="module")
def found(checkpoint, tmp_path_factory) -> list[dict]:
    """What one process has, then each of two ranks."""
    from transformers import AutoConfig

    folder, encoder = tmp_path_factory.mktemp("ranks"), checkpoint("bert")
    config = AutoConfig.from_pretrained(encoder)
    config.hidden_dropout_prob = 0.0
    config.save_pretrained(encoder)
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    command = [sys.executable, "-m", "tests.training.test_ranks", str(encoder), str(folder)]
    shared = {**os.environ, "MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": "2",
              "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}  # fmt: skip
    ranks = [
        subprocess.Popen(command, env={**shared, "RANK": rank, "LOCAL_RANK": rank}) for rank in "01"
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "POSITIONS_AT_ONCE", 60)
        patch.setattr(checkpoints, "SECONDS", 0)
        alone = trained(str(encoder), folder, 1)
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    return [alone, *(pickle.loads((folder / f"rank-{r}.pickle").read_bytes()) for r in "01")]


@pytest.mark.parametrize("case", [*CASES, "lstm", "dapt", "resumed"])
def test_two_ranks_are_one_process_with_twice_the_batch(found, case):
    history, vector, report = found[0][case]
    for ranks in found[1:]:
        other, other_vector, other_report = ranks[case]
        assert [[*row] for row in other] == [[*row] for row in history]
        for row, expected in zip(other, history, strict=True):
            assert row == pytest.approx(expected, abs=1e-4)
        assert np.abs(other_vector - vector).max() < 1e-4
        assert other_report["steps"] == report["steps"]
        assert other_report["kept_step"] == report["kept_step"]
        assert (other_report["batch_size"], other_report["processes"]) == (4, 2)
    assert np.array_equal(found[1][case][1], found[2][case][1]), "ranks end with the same weights"


def test_the_comparison_is_over_more_than_twenty_steps_that_change_the_weights(found):
    for name in ("full", "resumed"):
        history, _, report = found[1][name]
        norms = [row["grad_norm"] for row in history if "loss" in row]
        assert report["steps"] == len(norms) == 21
        assert min(norms) > 0.01
    _, early, report = found[1]["patience"]
    assert (report["steps"], report["kept_step"]) == (14, 7), "all ranks stop, and keep the best"
    assert np.abs(found[1]["full"][1] - early).max() > 5e-3


def test_ranks_drop_other_units(found):
    assert 0.4 < (found[1]["dropout"] == found[2]["dropout"]).mean() < 0.6


def test_a_rank_without_memory_says_so(found):
    assert found[2]["memory"] == (
        "Rank 1 has not enough memory for a batch of 4 texts: choose a smaller batch_size or "
        "max_length."
    )
    assert found[1]["memory"] == "has lost the other one"


def test_pairs_of_a_batch_are_not_torn_apart(monkeypatch):
    monkeypatch.setattr(devices, "ranks", lambda: (0, 2))
    with pytest.raises(UserError, match="which several ranks would divide: train it in one"):
        TextClassifier(strategy="contrastive").fit(*texts(9))


def test_a_number_of_processes_alone_makes_no_ranks(monkeypatch):
    """A cluster sets it for every job; torchrun and accelerate say the local rank as well."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert devices.ranks() == (0, 1)
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("RANK", "1")
    assert devices.ranks() == (1, 2)


def test_idle_gpus_are_named_once(monkeypatch):
    from workbench.errors import taking_notes

    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    with taking_notes() as notes:
        NetworkClassifier(epochs=1).fit(*texts(9))
    assert notes == ["One of 4 GPUs is used; 'workbench train --processes 4' trains on all."]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
