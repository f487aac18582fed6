import json
import os
import platform
import subprocess
import sys
import threading
from datetime import datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import files, runs
from workbench.errors import UserError
from workbench.runs import folders
from workbench.training.history import History

PREDICTIONS = pd.DataFrame({"id": ["1"], "label": ["a"], "predicted": ["a"], "p_a": [1.0]})


def test_what_is_saved_is_loaded(tmp_path):
    history = History([{"step": 1, "loss": 0.5}])
    path = runs.save("a/b model", notebook="04_x", parameters={"SEED": 3},
                     metrics={"accuracy": 0.5},
                     predictions=PREDICTIONS, history=history, root=tmp_path)  # fmt: skip
    run = runs.load(path)
    assert path.name.endswith("-a-b-model")
    assert (run.name, run.info["notebook"], run.info["seed"]) == ("a/b model", "04_x", 3)
    assert run.metrics == {"accuracy": 0.5}
    assert run.history() == history
    assert run.predictions().equals(PREDICTIONS)
    assert "torch" in run.info["versions"]


def test_runs_of_one_second_never_share_a_folder(tmp_path):
    threads = [
        threading.Thread(target=runs.save, args=("m",), kwargs={"root": tmp_path})
        for _ in range(20)
    ]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(runs.list_runs(tmp_path)) == 20
    assert not list(tmp_path.glob(".*"))


def test_a_run_that_fails_half_way_leaves_nothing(tmp_path):
    class Broken:
        def save(self, folder):
            raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left on device"):
        runs.save("m", model=Broken(), root=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_variable_names_the_root(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "here"))
    assert runs.save("m").parent == tmp_path / "here"


def test_a_folder_in_the_way_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        runs.save("m", root=tmp_path / "file")


def test_no_run_folder(tmp_path):
    with pytest.raises(UserError, match="is no run folder"):
        runs.load(tmp_path)


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"name": "cut o', "\xff"])
def test_an_unreadable_run_does_not_hide_the_others(tmp_path, content):
    (tmp_path / "20200101-000000-00-broken").mkdir()
    broken = tmp_path / "20200101-000000-00-broken" / "run.json"
    broken.write_text(content, encoding="latin-1")
    (broken.parent / "metrics.json").write_text("{}")
    runs.save("m", root=tmp_path)
    found, sentences = runs.scan_runs(tmp_path)
    assert [run.name for run in found] == ["m"]
    assert len(sentences) == 1
    assert "broken' is no run folder" in sentences[0]
    assert runs.list_runs(tmp_path) == found


def test_numbers_of_every_library_are_json(tmp_path):
    import numpy as np
    import torch

    metrics = {"accuracy": np.float32(0.5), "n": np.int64(3), "significant": np.bool_(True),
               "loss": torch.tensor(0.25), "per_class": np.array([1.0, np.nan]), 1: float("inf"),
               "series": pd.Series([1, 2])}  # fmt: skip
    parameters = {"folder": tmp_path, "day": datetime(2026, 1, 2), "sizes": (1, {2}),
                  "name": "caf\udce9", "type": np.float32, "missing": None}  # fmt: skip
    path = runs.save("m", metrics=metrics, parameters=parameters, root=tmp_path)

    def strict(name):
        text = (path / name).read_text(encoding="utf-8")
        return json.loads(text, parse_constant=lambda c: pytest.fail(f"{c} is no JSON"))

    assert strict("metrics.json") == {
        "accuracy": 0.5, "n": 3, "significant": True, "loss": 0.25, "per_class": [1.0, None],
        "1": None, "series": [1, 2],
    }  # fmt: skip
    kept = strict("run.json")["parameters"]
    assert kept["folder"] == str(tmp_path)
    assert kept["day"] == "2026-01-02T00:00:00"
    assert (kept["sizes"], kept["missing"], kept["name"]) == ([1, [2]], None, "caf?")


def test_a_run_gets_another_name_and_notes(tmp_path):
    run = runs.load(runs.save("m", notebook="04_x", settings={"model": "svm"}, root=tmp_path))
    renamed = runs.annotate(run, name=" the <best> ")
    assert (renamed.name, renamed.path) == ("the <best>", run.path)
    noted = runs.annotate(run, notes="line one\nline two")
    assert (noted.name, noted.info["notes"]) == ("the <best>", "line one\nline two")
    assert noted.info == run.info | {"name": "the <best>", "notes": "line one\nline two"}
    assert runs.annotate(run, notes="").info["notes"] == ""
    with pytest.raises(UserError, match="needs a name"):
        runs.annotate(run, name=" ")


def test_a_run_that_is_gone_is_not_named(tmp_path):
    run = runs.load(runs.save("m", root=tmp_path))
    run.path.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is no run folder"):
        runs.annotate(run, name="n")
    with pytest.raises(UserError, match="is no run folder"):
        runs.save_model(run, Model(""))
    with pytest.raises(UserError, match="A dict cannot be saved"):
        runs.save_model(run, {})


def test_a_name_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    run = runs.load(runs.save("m", root=tmp_path))

    def full(path, text):
        path.with_name(f".{path.name}").write_text(text[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write", full)
    with pytest.raises(UserError, match="No space left"):
        runs.annotate(run, name="n")
    assert runs.load(run.path) == run


class Model:
    def __init__(self, content):
        self.content = content

    def save(self, folder):
        folder.mkdir()
        if self.content is None:
            raise OSError(28, "No space left on device")
        (folder / "weights").write_text(self.content)


def test_a_model_is_saved_with_its_run_afterwards_and_again(tmp_path):
    run = runs.load(runs.save("m", root=tmp_path))
    for content in ("first", "second"):
        runs.save_model(run, Model(content))
        assert (run.path / "model" / "weights").read_text() == content
    with pytest.raises(UserError, match="No space left"):
        runs.save_model(run, Model(None))
    assert (run.path / "model" / "weights").read_text() == "second"
    assert not list(run.path.glob(".*"))


def test_a_run_of_before_the_settings_were_kept_is_read(tmp_path):
    path = runs.save("m", notebook="04_x", predictions=PREDICTIONS, root=tmp_path)
    info = json.loads((path / "run.json").read_text())
    for name in ("settings", "data", "stopped", "notes"):
        del info[name]
    (path / "run.json").write_text(json.dumps(info))
    old = runs.load(path)
    assert old.info == info | {"settings": {}, "data": {}, "stopped": False, "notes": ""}
    assert runs.annotate(old, notes="old").info == old.info | {"notes": "old"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES))
def test_whatever_is_measured_becomes_json_once(value):
    once = json.loads(files.to_json(value), parse_constant=pytest.fail)
    assert json.loads(files.to_json(once)) == once


def test_runs_of_one_second_are_listed_in_the_order_of_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(folders.time, "strftime", lambda _: "20260101-000000")
    names = ["b", "a", "c", "b", "a"]
    for name in names:
        runs.save(name, root=tmp_path)
    assert [run.name for run in runs.list_runs(tmp_path)] == names


def test_what_a_killed_process_has_left_is_cleared(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, others = (tmp_path / f".{platform.node()}-{pid}-x" for pid in (ended.pid, os.getpid()))
    away = tmp_path / f".{platform.node()}2-{ended.pid}-x"  # of another machine
    for folder in (left, others, away):
        (folder / "run").mkdir(parents=True)
    runs.save("m", root=tmp_path)
    assert {*tmp_path.glob(".*")} == {others, away}


def test_an_entry_that_no_run_has_is_refused(tmp_path):
    with pytest.raises(UserError, match="did you mean 'settings'"):
        runs.save("m", setting={}, root=tmp_path)
