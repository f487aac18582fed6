"""`workbench train`: one run folder, from one process or several, and what a failure says."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from workbench import cli, models, runs
from workbench.errors import UserError
from workbench.runs import training


@pytest.fixture(scope="module")
def encoder(checkpoint) -> Path:
    """Without dropout: two processes then do what one does."""
    from transformers import AutoConfig

    folder = checkpoint("bert")
    config = AutoConfig.from_pretrained(folder)
    config.hidden_dropout_prob = 0.0
    config.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "films.csv"
    rows = [f"the {i} film was {w},{y}" for i in range(30) for w, y in
            (("great", "good"), ("superb", "good"), ("dull", "bad"), ("awful", "bad"))]  # fmt: skip
    path.write_text("\n".join(["opinion,mood", *rows]), encoding="utf-8")
    return path


def command(encoder, table, out, size: int, epochs: int = 2) -> list[str]:
    columns = ["-p", "TEXT_COLUMN", "opinion", "-p", "LABEL_COLUMN", "mood"]
    settings = {"batch_size": size, "epochs": epochs, "precision": "fp32", "learning_rate": "1e-3"}
    more = [word for name, value in settings.items() for word in ("-p", name, str(value))]
    return ["train", str(encoder), "--data", str(table), *columns, *more, "--out", str(out)]


def start(words: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "workbench", *words, "--processes", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def killed(encoder, table, tmp_path_factory) -> tuple:
    """What a command says whose second rank was killed while it trained, and in what time."""
    out = tmp_path_factory.mktemp("killed")
    process = start(command(encoder, table, out, 8, epochs=5000))
    first = process.stderr.readline()
    of_rank = {p.environ().get("RANK"): p for p in psutil.Process(process.pid).children()}
    began = time.monotonic()
    os.kill(of_rank["1"].pid, signal.SIGKILL)
    said, error = process.communicate(timeout=60)
    left = [p for p in of_rank.values() if p.is_running() and p.status() != "zombie"]
    return first, said, error, process.returncode, time.monotonic() - began, left, out


def test_a_killed_rank_ends_the_others_with_one_sentence(killed):
    first, said, error, code, seconds, left, out = killed
    assert first.startswith("step 1 of ")
    lines = [line for line in error.splitlines() if not line.startswith("step ")]
    assert lines == [
        "workbench: Rank 1 was killed by SIGKILL, as happens when memory is short; the other ranks "
        "were ended, and no run was saved."
    ]
    assert (code, said, left) == (2, "", [])
    assert seconds < 20
    assert not list(out.iterdir()), "no run, and no part of one"


def test_two_processes_write_the_run_of_one(encoder, table, tmp_path, capsys):
    process = start(command(encoder, table, tmp_path / "two", 8))
    assert cli.main(command(encoder, table, tmp_path / "one", 16)) == 0
    one = capsys.readouterr()
    said, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert all(line.startswith("step ") for line in error.splitlines()), error
    (alone,), (both,) = (runs.list_runs(tmp_path / name) for name in ("one", "two"))
    assert one.out.splitlines() == [said.splitlines()[0], str(alone.path)]
    assert said.splitlines()[1] == str(both.path)
    assert both.metrics == pytest.approx(alone.metrics, abs=1e-4)
    assert both.info["data"] == alone.info["data"]
    assert both.info["settings"] == alone.info["settings"] | {"batch_size": 8}
    assert alone.info["data"]["text_column"] == "opinion"
    for row, expected in zip(both.history(), alone.history(), strict=True):
        assert row | {"seconds": 0} == pytest.approx(expected | {"seconds": 0}, abs=1e-4)
    texts = list(both.predictions()["text"])
    known = models.open(alone).predict_proba(texts)
    assert models.open(both).predict_proba(texts) == pytest.approx(known, abs=1e-4)


def test_models_that_take_no_steps_are_trained_by_one_process(table, tmp_path, capsys):
    words = ["train", "logistic", "--data", str(table), "--processes", "2", "--limit", "40"]
    columns = ["-p", "TEXT_COLUMN", "opinion", "-p", "LABEL_COLUMN", "mood"]
    assert cli.main([*words, *columns, "-p", "C", "3", "--seed", "5", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert "note: One process trains 'logistic': it does not learn in steps." in shown.err
    (run,) = runs.list_runs(tmp_path)
    assert shown.out.splitlines()[-1] == str(run.path)
    assert f"accuracy {run.metrics['accuracy']:.3f} (" in shown.out
    assert run.info["settings"] == {"model": "logistic", "C": 3.0, "seed": 5}
    assert run.info["data"]["rows"]["train"] == 40


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["minilmm"], "There is no model 'minilmm'; did you mean 'minilm'?"),
        (["tagger"], "There is no model 'tagger'"),
        (["minilm", "-p", "epoch", "3"], "no setting of 'minilm' called 'epoch'; did you mean"),
        (["lstm", "-p", "epochs", "many"], "epochs must be a number, not 'many'."),
        (["minilm", "-p", "batch_size", "0"], "batch_size must be a whole number of at least 1"),
        (["minilm", "-p", "strategy", "ful"], "no strategy 'ful'; did you mean 'full'?"),
        (["minilm", "--seed", "one"], "seed must be a whole number, not 'one'."),
        (["minilm", "--data", "none.csv"], "There is no file or folder 'none.csv'."),
        (["minilm", "-p", "TEXT_COLUMN", "txt"], "no text column in 'reviews' called 'txt'"),
        (["dapt"], "'dapt' adapts to texts without labels, and 'reviews' has none."),
    ],
)
def test_mistakes_are_one_sentence_before_anything_starts(
    monkeypatch, tmp_path, capsys, words, sentence
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "launch", lambda *_: pytest.fail("ranks were started"))
    assert cli.main(["train", *words, "--processes", "2"]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(UserError, match="3 processes need as many GPUs, and there are 2 here"):
        training.launch([], 3)


@pytest.mark.parametrize(
    ("error", "waits"), [(UserError("One sentence."), 0), (RuntimeError("lost a peer"), 1)]
)
def test_a_rank_leaves_its_failure_to_the_launcher(monkeypatch, tmp_path, capsys, error, waits):
    slept = []
    monkeypatch.setattr(training.time, "sleep", slept.append)
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    with pytest.raises(SystemExit), training.as_rank():
        raise error
    assert len(slept) == waits
    assert capsys.readouterr() == ("", "")
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

    failure = ProcessFailure(0, 1, 1, str(tmp_path / "error.json"))
    expected = ["Rank 3 failed with RuntimeError: lost a peer; the other ranks were ended, and no "
                "run was saved.", "One sentence."][not waits]  # fmt: skip
    assert training._sentence(3, failure) == expected
    with pytest.raises(type(error)), training.as_rank(debug=True):
        raise error
