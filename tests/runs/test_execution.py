"""What becomes of good, bad and ugly notebooks, and of those that are stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.runs.test_notebooks import RECORD, write
from workbench.errors import UserError
from workbench.runs import execution, notebooks, parameters


def alive(path: Path) -> list[psutil.Process]:
    """Every process that knows of `path` by its command, folder or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            known = [*process.cmdline(), process.cwd(), *process.environ().values()]
        except psutil.Error:
            continue
        running = process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid()
        if running and any(str(path) in word for word in known):
            found.append(process)
    return found


def wait_for(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


# --- the folder ---------------------------------------------------------------------------------


def test_a_report_never_goes_where_something_is_or_nothing_can_be(tmp_path):
    assert execution.prepare(tmp_path / "new" / "report").is_dir()
    (tmp_path / "file").write_text("kept")
    with pytest.raises(UserError, match="--out"):
        execution.prepare(tmp_path)
    with pytest.raises(UserError, match="cannot be written"):
        execution.prepare(tmp_path / "file")
    with pytest.raises(UserError, match="cannot be written"):
        execution.prepare(tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "kept"


# --- execution ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Five notebooks, most of them bad, two at a time: what came of each, and where."""
    place = tmp_path_factory.mktemp("books")
    out = execution.prepare(place / "out {SEED}")
    colour = "\\x1b[31mred\\x1b[0m"
    books = [
        write(place / "01_failing.ipynb", "1", f"raise ValueError('{colour}\\nsecond line')", "2"),
        write(place / "02_dying.ipynb", "import os; os._exit(3)", "2"),
        write(place / "03_slow.ipynb", "import time; time.sleep(60)"),
        write(place / "04_good.ipynb", "NAME = '04_good'", RECORD, "import os; os.getcwd()"),
        write(place / "05_good.ipynb", "NAME = '05_good'", RECORD),
    ]
    seen, cells = [], {}

    def progress(running: list[execution.Child]) -> None:
        assert len(running) <= 2
        cells.update({child.path.stem: (child.cell, child.cells) for child in running})

    results = execution.run(
        parameters.check(books, {"SEED": "11"}), out, jobs=2, timeout=8, progress=progress,
        ended=lambda name, results: seen.append((name, results["notebooks"][name]["status"])),
    )  # fmt: skip
    assert cells["03_slow"] == (3, 3), "progress says which cell of how many"
    return results, out, seen


def test_a_failing_cell_is_named_with_its_error_on_one_plain_line(outcome):
    entry = outcome[0]["notebooks"]["01_failing"]
    assert entry["status"] == "failed"
    # The injected parameters are a cell too: In [4] of the executed notebook.
    assert entry["error"] == "cell 4: ValueError: red second line"


def test_a_dead_kernel_is_a_failure(outcome):
    entry = outcome[0]["notebooks"]["02_dying"]
    assert entry["status"] == "failed"
    assert entry["error"].startswith("cell 3: the kernel died")


def test_a_kernel_that_does_not_start_is_started_again(tmp_path, monkeypatch):
    marker, starter = tmp_path / "tried", tmp_path / "starter.py"
    starter.write_text(
        f"import pathlib, runpy, sys; mark = pathlib.Path({str(marker)!r})\n"
        "if not mark.exists(): mark.touch(); sys.exit(1)\n"
        "runpy.run_module('ipykernel_launcher', run_name='__main__')"
    )
    described = execution._write_kernel

    def stumbling(scratch: Path) -> None:
        described(scratch)
        path = next(scratch.glob("jupyter/kernels/*/kernel.json"))
        spec = json.loads(path.read_text())
        spec["argv"][1:3] = [str(starter)]
        path.write_text(json.dumps(spec))

    monkeypatch.setattr(execution, "_write_kernel", stumbling)
    book = write(tmp_path / "01_good.ipynb", "1")
    out = execution.prepare(tmp_path / "out")
    results = execution.run(parameters.check([book], {}), out)
    assert marker.exists()
    assert results["notebooks"]["01_good"]["status"] == "passed"


def test_a_cell_that_takes_too_long_is_a_timeout(outcome):
    entry = outcome[0]["notebooks"]["03_slow"]
    assert entry["status"] == "timeout"
    assert entry["error"] == "cell 3: took longer than 8 seconds"
    assert 8 <= entry["seconds"] < 60


def test_the_others_go_on_and_each_end_is_told(outcome):
    results, _, seen = outcome
    assert dict(seen) == {name: e["status"] for name, e in results["notebooks"].items()}
    assert results["notebooks"]["05_good"]["status"] == "passed"
    assert results["notebooks"]["05_good"]["error"] is None


def test_every_executed_notebook_is_kept(outcome):
    _, out, seen = outcome
    for name, _ in seen:
        tags = [tag for c in notebooks.read(out / f"{name}.ipynb").cells
                for tag in c.metadata.get("tags", [])]  # fmt: skip
        assert "injected-parameters" in tags, name
    last = notebooks.read(out / "04_good.ipynb").cells[-1]
    assert str(out) in last.outputs[0].data["text/plain"], "kernels work in the report's folder"


def test_results_hold_parameters_versions_and_scores_as_json(outcome):
    results, out, _ = outcome
    text = (out / "results.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == results, "NaN is no JSON"
    assert set(results) == {"parameters", "versions", "seconds", "notebooks"}
    assert results["parameters"]["SEED"] == 11
    assert results["parameters"]["PROFILE"] == "quick"
    assert results["versions"]["python"] == sys.version.split()[0]
    scores = results["notebooks"]["04_good"]["metrics"]["majority"]
    assert scores["n"] == 8
    assert scores["loss"] is None
    assert (out / scores["run"] / "run.json").exists()


def test_a_seed_gives_the_same_numbers_in_every_process_and_however_many(outcome, tmp_path):
    both = [outcome[0]["notebooks"][f"0{i}_good"]["metrics"]["majority"] for i in (4, 5)]
    books = [write(tmp_path / "04_good.ipynb", "NAME = '04_good'", RECORD)]
    out = execution.prepare(tmp_path / "out")
    alone = execution.run(parameters.check(books, {"SEED": "11"}), out, jobs=1)
    both.append(alone["notebooks"]["04_good"]["metrics"]["majority"])
    for name in ("accuracy", "hash"):
        assert len({scores[name] for scores in both}) == 1, name
    assert both[0]["cores"] == str(max(1, int(os.environ.get("OMP_NUM_THREADS")
                                              or os.cpu_count()) // 2))  # fmt: skip


def test_two_runs_of_one_name_are_both_kept(tmp_path):
    from workbench import runs

    for accuracy in (0.5, 0.6, 0.7):
        metrics = {"accuracy": accuracy}
        runs.save("bert", notebook="04_good", metrics=metrics, root=tmp_path / "runs")
    found = execution._metrics(tmp_path, "04_good")
    assert {name: m["accuracy"] for name, m in found.items()} == {
        "bert": 0.5, "bert #2": 0.6, "bert #3": 0.7
    }  # fmt: skip


def test_a_polite_kill_is_a_ctrl_c_while_notebooks_run():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), execution.terminable():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopping_leaves_no_kernel_and_loses_nothing(tmp_path, number):
    spawn = "import subprocess, pathlib, time; p = subprocess.Popen(['sleep', '300'])"
    slow = [spawn, "pathlib.Path('begun').touch(); time.sleep(300)"]
    books = [write(tmp_path / "02_slow.ipynb", *slow), write(tmp_path / "03_never.ipynb", "1")]
    if number == signal.SIGINT:
        books.insert(0, write(tmp_path / "01_first.ipynb", "1"))
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", "run", *books, "--out", out],
        cwd=Path(execution.__file__).parents[1], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # A shell in the background hands on that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        wait_for((out / "begun").exists, 60)
        assert len(alive(out)) >= 4, "the parent, the child, its kernel and what that started"
        process.send_signal(number)
        process.communicate(timeout=20)
        deadline = time.monotonic() + 10
        while alive(out) and time.monotonic() < deadline:
            time.sleep(0.2)
    finally:
        left = alive(out)
        for each in left:
            each.kill()
        process.kill()
    assert not left, "what a notebook started ends with it"
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    statuses = {name: entry["status"] for name, entry in results["notebooks"].items()}
    assert statuses.pop("01_first", "passed") == "passed"
    assert statuses == dict.fromkeys(["02_slow", "03_never"], "interrupted")
    if number == signal.SIGKILL:
        return
    assert process.returncode == 130
    assert results["notebooks"]["02_slow"]["error"] == "stopped in cell 3"
    pages = {f"{book.stem}.html" for book in books if "never" not in book.stem}
    assert {path.name for path in out.glob("*.html")} == {*pages, "index.html"}
