import threading

import pandas as pd
import pytest

from workbench import runs
from workbench.errors import UserError
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
    found, sentences = runs.survey(tmp_path)
    assert [run.name for run in found] == ["m"]
    assert len(sentences) == 1
    assert "broken' is no run folder" in sentences[0]
    assert runs.list_runs(tmp_path) == found
