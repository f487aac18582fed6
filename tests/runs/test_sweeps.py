"""Sweeps: what is planned, what is run once and only once, and what a kill costs."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from benchmarks.sweeps import CLUSTER
from tests.runs.test_execution import alive, wait_for
from tests.runs.test_notebooks import write
from workbench import cli, runs
from workbench.errors import DataWarning, UserError
from workbench.runs import engine, folders, jobs, plan, sweeps, work
from workbench.widgets import RunBrowser

GRID = {"models": ["majority", "naive-bayes"], "data": ["a.csv", "b.csv"], "seed": [0, 1]}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two small files of two classes, and two domains in the second."""
    for name, positive in (("a", "great"), ("b", "lovely")):
        rows = [(f"a {word} {w} number {i}", label, "books" if i % 2 else "films")
                for i, w in enumerate(["film", "book", "pan", "plot", "screen"] * 8)
                for word, label in ((positive, "good"), ("awful", "bad"))]  # fmt: skip
        pd.DataFrame(rows, columns=["text", "label", "domain"]).to_csv(f"{tmp_path}/{name}.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Here:
    """An engine that does each group at once, in this process."""

    def __init__(self, out: Path) -> None:
        self.out, self.answers = out, []

    def has_room(self, memory: float) -> bool:
        return not self.answers

    def start(self, group: list, memory: float) -> None:
        frames = plan.load(group[0].data) if group[0].data else {}
        self.answers += work.perform(group, frames, self.out)

    def ended(self, seconds: float) -> list[dict]:
        answers, self.answers = self.answers, []
        return answers

    def close(self) -> None:
        pass


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(sweeps, "_engines", lambda out, *rest: lambda: Here(out))


@pytest.fixture
def trained(monkeypatch):
    """The names of the jobs that were trained."""
    names, train = [], jobs.train

    def counted(job, rows):
        names.append(job.key)
        return train(job, rows)

    monkeypatch.setattr(jobs, "train", counted)
    return names


def scores(out: Path) -> dict[str, tuple]:
    return {run.path.name: (run.name, run.metrics["accuracy"], run.metrics["loss"])
            for run in runs.list_runs(out / "runs")}  # fmt: skip


# --- what is planned ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"data": "a.csv"}, "A sweep names models"),
        ({"models": "majorty"}, "did you mean 'majority'"),
        ({"models": "majority", "sed": 1}, "did you mean 'seed'"),
        ({"models": "majority", "data": "c.csv"}, "There is no file or folder 'c.csv'"),
        ({"models": "majority", "data": "a.csv", "label_column": "clas"}, "clas"),
        ({"models": ["majority", "svm"], "settings": {"epochs": 1}}, "setting of these models"),
        ({"models": "minilm", "settings": {"strategy": ["full", "loar"]}}, "mean 'lora'"),
        ({"models": "minilm", "settings": {"epochs": [1, -1]}}, "epochs must be"),
        ({"models": "minilm", "settings": {"epochs": "many"}}, "epochs must be"),
        ({"models": "minilm", "settings": {"epochs": {"low": 1, "high": 2, "bass": 1}}}, "bass"),
        ({"models": "minilm", "settings": [1]}, "'settings' gives names and values"),
        ({"models": [{"majority": {"epochs": 3}}]}, "There is no setting of 'majority'"),
        ({"models": "majority", "seed": [0, -1]}, "whole numbers"),
        ({"models": "majority", "limit": "few"}, "whole numbers"),
        ({"models": "majority", "data": "b.csv", "pairs": [["books", "toys"]]}, "no domain 'toys'"),
        ({"models": "majority", "data": "b.csv", "pairs": ["books"]}, "a list such as"),
        ({"models": "majority", "data": "b.csv", "pairs": [[[], "books"]]}, "a list such as"),
        ({"models": "majority", "data": "b.csv", "pairs": "other"}, "'others', or a list"),
        ({"models": "majority", "data": "b.csv", "pairs": [[["books", "flims"], "films"]]},
         "There is no domain 'flims'; did you mean 'films'?"),
        ({"models": "majority", "data": "b.csv", "pairs": [[["films", "books"], "films"]]},
         "A pair has 'films' twice"),
        ({"models": "majority", "data": "b.csv", "pairs": [[["books", "books"], "films"]]},
         "A pair has 'books' twice"),
        ({"models": "majority", "data": "entities"}, "a label"),
        ({"notebook": "99"}, "no notebook '99'"),
        ({"notebook": "01", "parameters": {"SEDE": 1}}, "did you mean 'SEED'"),
        ({"notebook": "01", "seed": 1}, "no key of a sweep 'seed'"),
        ({"models": "minilm", "settings": {"epochs": {"low": 1, "high": 2}}}, "--search"),
        ([1], "A sweep names models"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_one_sentence_before_the_first_run(files, spec, sentence, capsys):
    Path("s.yaml").write_text(yaml.safe_dump(spec))
    assert cli.main(["sweep", "s.yaml", "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not Path("out").exists()


def test_a_file_that_is_none_is_one_sentence(tmp_path, capsys):
    (tmp_path / "s.yaml").write_text("models: [a\n")
    assert cli.main(["sweep", str(tmp_path / "s.yaml")]) == 2
    assert "is no YAML" in capsys.readouterr().err
    assert cli.main(["sweep", str(tmp_path / "t.yaml")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_setting_goes_to_the_models_that_have_it(files):
    some = ["logistic", "minilm", {"cnn": {"epochs": 2}}]
    spec = {"models": some, "data": "a.csv", "seed": [0, 1],
            "settings": {"strategy": ["full", "lora"], "epochs": 1}}  # fmt: skip
    named = [job.name for job in plan.jobs(plan.read(spec))]
    assert sorted(set(named)) == ["cnn, epochs=2", "logistic", "minilm, strategy=full, epochs=1",
                                  "minilm, strategy=lora, epochs=1"]  # fmt: skip
    assert len(named) == 8


def test_a_job_is_known_by_its_rows_and_settings_wherever_the_file_lies(files):
    def keys(**more):
        return {job.key for job in plan.jobs(plan.read(GRID | more))}

    before = keys()
    assert len(before) == 8
    (files / "elsewhere").mkdir()
    (files / "elsewhere" / "a.csv").write_bytes(Path("a.csv").read_bytes())
    assert keys(data=["elsewhere/a.csv", "b.csv"]) == before
    assert not keys(limit=10) & before
    Path("a.csv").write_text(Path("a.csv").read_text().replace("great", "good", 1))
    assert len(keys() & before) == 4


# --- what is run --------------------------------------------------------------------------------


def test_a_second_call_runs_what_is_missing_or_has_failed(files, here, trained, monkeypatch):
    found = runs.sweep(GRID, "out")
    assert len(found) == len(trained) == 8
    assert {run.info["seed"] for run in found} == {0, 1}
    whole = scores(files / "out")
    runs.sweep(GRID, "out")
    assert len(trained) == 8
    lost = found[3].path
    for file in lost.iterdir():
        file.unlink()
    lost.rmdir()
    train = jobs.train
    monkeypatch.setattr(jobs, "train", lambda *_: 1 / 0)
    with pytest.raises(UserError, match=r"1 of 8 runs failed.*ZeroDivisionError"):
        runs.sweep(GRID, "out")
    assert [path.stem for path in Path("out/failed").iterdir()] == [lost.name]
    monkeypatch.setattr(jobs, "train", train)
    assert len(runs.sweep(GRID, "out")) == 8
    assert trained[8:] == [lost.name]
    assert scores(files / "out") == whole
    assert not list(Path("out/failed").iterdir())


def test_runs_of_another_version_are_told_once(files, here, monkeypatch):
    spec = GRID | {"seed": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = runs.sweep(spec, "out")
    monkeypatch.setattr(folders, "git_revision", lambda: "abc1234")
    with pytest.warns(DataWarning, match="4 of 4 runs in .* by another version") as told:
        assert [run.path for run in runs.sweep(spec, "out")] == [run.path for run in found]
    assert len(told) == 1


def test_a_full_disk_costs_the_runs_that_meet_it(files, here, monkeypatch):
    save = pd.DataFrame.to_parquet
    full = iter([True, False] + [False] * 6)

    def to_parquet(self, path, **options):
        if next(full):
            raise OSError(28, "No space left on device", str(path))
        return save(self, path, **options)

    monkeypatch.setattr(pd.DataFrame, "to_parquet", to_parquet)
    with pytest.raises(UserError, match=r"1 of 8 runs failed.*No space left on device"):
        runs.sweep(GRID, "out")
    assert len(runs.list_runs("out/runs")) == 7
    assert not list(Path("out/runs").glob(".*"))


def test_a_file_that_changes_meanwhile_gives_no_wrong_run(files, here):
    planned = plan.jobs(plan.read(GRID | {"data": "a.csv"}))
    plan._load.cache_clear()  # as in another process
    text = Path("a.csv").read_text()
    Path("a.csv").write_text(text.replace("great", "good", 3))
    answers = work.perform(planned[:1], plan.load(planned[0].data), files / "out")
    assert "has changed since" in answers[0]["error"]


def test_two_calls_at_once_do_nothing_twice(files, here, trained):
    errors = []

    def call():
        try:
            runs.sweep(GRID, "out")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(trained) == sorted(scores(files / "out"))
    assert len(trained) == 8


def test_a_source_model_is_trained_once_for_several_targets(files, here, trained, tmp_path):
    for name in ("films", "pans"):
        table = pd.read_csv("b.csv").assign(domain=name)
        table["text"] += f" {name}"
        table.to_csv(f"{name}.csv")
    table = pd.concat(pd.read_csv(f"{name}.csv") for name in ("films", "pans"))
    pd.concat([table, pd.read_csv("b.csv").query("domain == 'books'")]).to_csv("c.csv")
    spec = {"models": ["naive-bayes", "coral"], "data": "c.csv", "pairs": "all"}
    found = runs.sweep(spec, "out")
    assert len(found) == 12
    assert sum(name.startswith("naive-bayes") for name in trained) == 3
    assert sum(name.startswith("coral") for name in trained) == 6
    first = next(run for run in found if run.info["parameters"]["WHERE"] == "books to films")
    assert set(first.predictions()["domain"]) == {"films"}
    unseen = pd.read_parquet(first.path / "unseen.parquet")
    assert {*unseen} == {"text", "label", "p_bad", "p_good"}
    assert unseen["label"].notna().sum() == first.metrics["validation_n"]
    assert unseen["text"][unseen["label"].isna()].str.endswith("films").all()


def test_several_sources_are_pooled(files, here, trained):
    table = pd.read_csv("b.csv")
    pans = table[table["domain"] == "films"].assign(domain="pans")
    pd.concat([table, pans.assign(text=pans["text"] + " pans")]).to_csv("c.csv", index=False)
    spec = {"models": ["naive-bayes", "coral"], "data": "c.csv"}
    found = runs.sweep(spec | {"pairs": [[["films", "books"], "pans"]]}, "out")
    for run in found:
        given = run.info["parameters"]
        assert (given["SOURCE"], given["TARGET"]) == ("books, films", "pans")
        assert given["WHERE"] == "books, films to pans"
    frames = plan.load({"source": "c.csv"})
    train, validation, test, unlabeled = plan.select(frames, ("books", "films", "pans"))
    assert found[0].info["data"]["rows"]["train"] == len(train)
    assert {*train["domain"]} == {*validation["domain"]} == {"books", "films"}
    assert all(text.endswith("pans") for text in [*unlabeled, *test["text"]])
    alone = [plan.select(frames, (source, "pans"))[0] for source in ("books", "films")]
    assert sorted(train["text"]) == sorted(pd.concat(alone)["text"]), "every text of each"
    others = runs.sweep(spec | {"pairs": "others"}, "out")
    assert {run.info["parameters"]["WHERE"] for run in others} == {
        "books, films to pans", "books, pans to films", "films, pans to books"
    }  # fmt: skip
    assert len(trained) == 6, "in another order they are the same sources"


def test_an_unlabelled_target_is_adapted_to_and_all_its_labelled_rows_are_tested(files):
    frames = plan.load({"source": str(files / "b.csv")})
    train, _, test, unlabeled = plan.select(frames, ("books", "films"))
    assert {*train["domain"]} == {"books"}
    assert {*test["domain"]} == {"films"}
    assert sorted(unlabeled) == sorted(plan.of(frames["train"], "films")["text"])
    assert not {*unlabeled} & {*test["text"]}
    more = pd.DataFrame({"text": ["new one", test["text"].iloc[0]], "domain": "films"})
    train, _, test, unlabeled = plan.select(frames | {"unlabeled": more}, ("books", "films"))
    assert unlabeled == list(more["text"])
    labelled = sum(len(plan.of(frames[name], "films")) for name in ("train", "validation", "test"))
    assert len(test) == labelled - 1  # the text that is adapted to is not tested


def test_a_limit_draws_training_rows_by_the_seed_and_tests_all(files, here):
    found = runs.sweep(GRID | {"models": "naive-bayes", "data": "a.csv", "limit": [8, 20]}, "out")
    rows = [run.info["data"]["rows"] for run in found]
    assert {(each["train"], each["test"]) for each in rows} == {(8, 16), (20, 16)}
    digests = {run.info["data"]["digest"] for run in found}
    assert len(digests) == 4  # two seeds of two sizes


def test_settings_are_searched_by_validation_and_the_test_is_scored_once(files, here):
    pytest.importorskip("optuna")
    spec = {"models": "cnn", "data": "a.csv", "seed": [0, 1],
            "settings": {"learning_rate": {"low": 1e-5, "high": 1e-1, "log": True}, "epochs": 2,
                         "size": {"low": 4, "high": 8}}}  # fmt: skip
    found = runs.sweep(spec, "out", search=4)
    trials = runs.list_runs("out/trials")
    assert len(trials) == 4
    assert {run.metrics["split"] for run in trials} == {"validation"}
    best = min(trials, key=lambda run: run.metrics["loss"])
    drawn = best.info["parameters"]["DRAWN"]
    assert [run.info["seed"] for run in found] == [0, 1]
    assert {run.name for run in found} == {"cnn, epochs=2, learning_rate searched, size searched"}
    assert all(run.metrics["split"] == "test" for run in found)
    for name, value in drawn.items():
        assert {run.info["settings"][name] for run in found} == {value}
    before = scores(files / "out")
    runs.sweep(spec, "out", search=4)
    assert scores(files / "out") == before
    assert len(runs.list_runs("out/trials")) == 4


def test_a_search_without_a_shared_disk_is_refused(files):
    job = plan.jobs(plan.read({"models": "cnn", "data": "a.csv",
                               "settings": {"epochs": {"low": 1, "high": 2}}}))[0]  # fmt: skip
    draw = plan.Job(**{**vars(job), "trial": 0})
    answers = work.perform([draw], plan.load(job.data), files / "out", files / "elsewhere")
    assert "on a disk that all machines share" in answers[0]["error"]


def test_a_notebook_is_swept_over_its_parameters(files, here):
    book = write(files / "09_own.ipynb", "from workbench import runs\nruns.save('m', metrics={})")
    bad = write(files / "10_bad.ipynb", "1 / 0")
    runs.sweep({"notebook": str(book), "parameters": {"SEED": [1, 2]}}, "out")
    places = sorted(Path("out/notebooks").iterdir())
    assert len(places) == 2
    seeds = [json.loads((p / "results.json").read_text())["parameters"]["SEED"] for p in places]
    assert sorted(seeds) == [1, 2]
    assert all((place / "index.html").exists() for place in places)
    with pytest.raises(UserError, match="ZeroDivisionError"):
        runs.sweep({"notebook": str(bad)}, "out")
    assert len(list(Path("out/notebooks").iterdir())) == 2


# --- the command, and kills ---------------------------------------------------------------------


def test_the_command_reports_and_a_plan_runs_nothing(files, capsys):
    Path("s.yaml").write_text(yaml.safe_dump(GRID | {"models": ["majority", "naive-bayes"]}))
    assert cli.main(["sweep", "s.yaml", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "8 runs, 0 of them done; about" in printed
    assert not Path("sweeps/s/runs").exists()
    assert cli.main(["sweep", "s.yaml", "--jobs", "2"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == str(files / "sweeps" / "s" / "index.html")
    page = Path(printed[-1]).read_text(encoding="utf-8")
    assert "8 runs on 2 data sets. naive-bayes has the highest mean accuracy, 1.000." in page
    assert "http" not in page.split("<script>")[0]
    assert len(RunBrowser("sweeps/s").found) == 8
    assert len(pd.read_csv("sweeps/s/scores.csv")) == 4
    assert cli.main(["compare", "sweeps/s"]) == 0
    assert "Holm" in capsys.readouterr().out
    assert alive(files) == []


def here_too() -> dict[str, str]:
    """The environment of a process that finds this very package."""
    paths = [str(Path(cli.__file__).parents[1]), os.environ["PYTHONPATH"]]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def test_a_kill_costs_the_runs_that_were_going_on(files, here):
    spec = {**GRID, "models": ["majority", "naive-bayes", "logistic"], "seed": list(range(8))}
    Path("s.yaml").write_text(yaml.safe_dump(spec))
    out, draw = files / "out", random.Random(0)
    command = [sys.executable, "-m", "workbench", "sweep", "s.yaml", "--out", "out", "--jobs", "2"]
    seen = {}
    for kind in (signal.SIGKILL, signal.SIGTERM):
        started = subprocess.Popen(command, env=here_too(), stderr=subprocess.DEVNULL)
        more = len(seen) + 2
        wait_for(lambda more=more: len(scores(out)) > more, 90)
        time.sleep(draw.random() / 5)
        started.send_signal(kind)
        assert started.wait(20) == (-signal.SIGKILL if kind == signal.SIGKILL else 130)
        wait_for(lambda: not alive(files))
        now = scores(out)
        assert {key: now[key] for key in seen} == seen
        seen = now
    assert len(seen) < 48
    assert subprocess.run(command, env=here_too(), stdout=subprocess.DEVNULL).returncode == 0
    runs.sweep(spec, "undisturbed")
    assert scores(out) == scores(files / "undisturbed")
    assert len(scores(out)) == 48


def test_a_process_that_dies_costs_its_run(files):
    deaths = iter([True])

    def mortal(state):
        if state.done >= 2 and next(deaths, False):
            next(p for p in psutil.Process().children() if "work" in p.cmdline()[-1]).kill()

    with pytest.raises(UserError, match=r"of 40 runs failed.*its process ended \(-9\)"):
        runs.sweep(GRID | {"seed": list(range(10))}, "out", progress=mortal)
    there = len(scores(files / "out"))
    assert there >= 38
    assert len(runs.sweep(GRID | {"seed": list(range(10))}, "out")) == 40


def test_runs_that_do_not_fit_into_memory_wait_for_each_other(tmp_path):
    workers = engine.Processes(tmp_path, 3)
    workers.memory = 1000.0
    assert workers.has_room(5000)  # one alone always runs
    workers._busy = {None: ([], 700.0)}
    assert workers.has_room(200)
    assert not workers.has_room(400)
    encoder = plan.Job("minilm", data={"source": "reviews"})
    assert sweeps.needed(encoder, {})[1] > 2 * sweeps.needed(plan.Job("majority"), {})[1]


# --- Ray ----------------------------------------------------------------------------------------


def test_a_cluster_that_loses_a_machine_gives_the_same_runs(files, here):
    pytest.importorskip("ray")
    spec = {**GRID, "models": ["majority", "naive-bayes", "logistic"], "seed": [0, 1, 2]}
    Path("s.yaml").write_text(yaml.safe_dump(spec))
    # The machines of a cluster call each other by this machine's own address.
    paths = {
        "PYTHONPATH": str(Path(cli.__file__).parents[1]),
        "RAY_raylet_start_wait_time_s": "120",
    }
    words = [sys.executable, "-c", CLUSTER, "s.yaml", "out", "3"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300,
                          env=os.environ | paths)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    killed = next(line for line in done.stdout.splitlines() if line.startswith("killed "))
    assert 3 <= int(killed.split()[1]) < 18
    assert "18" in done.stdout.splitlines()
    runs.sweep(spec, "undisturbed")
    assert scores(files / "out") == scores(files / "undisturbed")
    assert not list(Path("out/runs").glob(".*"))
    wait_for(lambda: not alive(files))
