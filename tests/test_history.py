import json

import numpy as np

from workbench.history import History


def test_rows_survive_the_file(tmp_path):
    history = History()
    history.report(step=1, epoch=0.5, loss=np.float32(0.5))
    history.report(step=2, epoch=1.0, validation_loss=0.4)
    history.save(tmp_path / "h.jsonl")
    assert History.load(tmp_path / "h.jsonl") == history == [
        {"step": 1, "epoch": 0.5, "loss": 0.5}, {"step": 2, "epoch": 1.0, "validation_loss": 0.4},
    ]  # fmt: skip


def test_a_column_holds_only_the_rows_that_have_it():
    history = History(
        [{"step": 1, "loss": 3}, {"step": 1, "validation_loss": 4}, {"step": 2, "loss": 2}]
    )
    assert history.column("loss") == ([1, 2], [3, 2])
    assert history.column("nothing") == ([], [])


def test_a_killed_run_leaves_its_whole_lines(tmp_path):
    (tmp_path / "h.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert len(History.load(tmp_path / "h.jsonl")) == 2


def test_not_a_number_becomes_null(tmp_path):
    history = History()
    history.report(step=1, loss=float("nan"))
    history.save(tmp_path / "h.jsonl")
    assert json.loads((tmp_path / "h.jsonl").read_text())["loss"] is None
