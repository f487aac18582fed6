"""The command line as a person meets it: exit codes, one sentence for a mistake, a report."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs.test_notebooks import write
from workbench import cli, runs, terminal
from workbench.arguments import parse
from workbench.runs import execution, notebooks

ROOT = Path(cli.__file__).parents[1]


def said(capsys) -> str:
    """What went to the standard error: one line, and no traceback."""
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert error.startswith("workbench: ")
    return error


def test_a_report_is_written_and_one_failure_decides_the_exit(tmp_path, capsys):
    good = write(tmp_path / "01_good.ipynb", "PROFILE")
    bad = write(tmp_path / "02_bad.ipynb", "1 / 0")
    out = tmp_path / "out"
    command = ["run", str(bad), str(good), "--profile", "smoke", "-p", "RATE", "0.5"]
    assert cli.main([*command, "--out", str(out), "--jobs", "2"]) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1] == str(out / "index.html")
    table = {line.split()[0]: line.split()[1] for line in shown.out.splitlines()[:-1]}
    assert table == {"02_bad": "failed", "01_good": "passed"}
    assert "02_bad: failed" in shown.err
    assert "cell 3: ZeroDivisionError: division by zero" in shown.err
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert results["parameters"]["PROFILE"] == "smoke"
    assert results["parameters"]["RATE"] == 0.5
    assert "division by zero" in (out / "index.html").read_text(encoding="utf-8")
    for name in ("01_good.html", "02_bad.html", "01_good.ipynb", "02_bad.ipynb"):
        assert (out / name).exists(), name
    assert 'href="index.html"' in (out / "01_good.html").read_text(encoding="utf-8")
    # The plain number of the injected profile is what the cell showed.
    assert "'smoke'" in (out / "01_good.ipynb").read_text(encoding="utf-8")


def test_single_files_do_not_lead_to_others(tmp_path):
    path, out = write(tmp_path / "01_good.ipynb", "1"), tmp_path / "out"
    assert cli.main(["run", str(path), "--single-file", "--out", str(out)]) == 0
    assert "index.html" not in (out / "01_good.html").read_text(encoding="utf-8")


def test_cards_are_written_for_a_run_beside_its_neighbours(tmp_path, capsys):
    from tests.evaluation.test_comparison import scored as saved

    for name, hits in (("majority", 5), ("minilm", 19)):
        saved(tmp_path / "runs", name, [True] * hits + [False] * (20 - hits))
    runs.save("vectors", root=tmp_path / "runs")
    one, other, bare = runs.list_runs(tmp_path / "runs")
    assert cli.main(["card", str(one.path)]) == 0
    assert capsys.readouterr().out == f"{one.path / 'card.html'}\n"
    assert "minilm" in (one.path / "card.md").read_text("utf-8"), "the comparison"
    assert not (other.path / "card.md").exists()
    assert cli.main(["card", str(tmp_path)]) == 0
    assert (other.path / "card.html").exists()
    capsys.readouterr()
    assert cli.main(["card", str(bare.path)]) == 2
    assert "has a score" in said(capsys)


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (["passed"], 0),
        (["passed", "failed"], 1),
        (["timeout"], 1),
        (["failed", "interrupted"], 130),
    ],
)
def test_the_exit_code_says_how_it_went(tmp_path, monkeypatch, statuses, code):
    entries = {
        str(i): {"status": s, "seconds": 1.0, "error": None, "metrics": {}}
        for i, s in enumerate(statuses)
    }
    results = {"parameters": {}, "versions": {}, "seconds": 1.0, "notebooks": entries}
    monkeypatch.setattr(execution, "run", lambda *a, **k: results)
    path = write(tmp_path / "01_good.ipynb", "1")
    assert cli.main(["run", str(path), "--out", str(tmp_path / "out")]) == code


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--seed", "abc"], "SEED must be a whole number, not 'abc'."),
        (["--profile", "fast"], "There is no profile 'fast'"),
        (["-p", "RATES", "1"], "did you mean 'RATE'"),
        (["-p", "RATE", "x"], "RATE must be a number"),
        (["--data", "gone.csv"], "gone.csv"),
        (["--model", "majorty"], "majority"),
        (["no_such_notebook"], "There is no notebook 'no_such_notebook'"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_run(
    tmp_path, monkeypatch, capsys, arguments, sentence
):
    path = write(tmp_path / "01_good.ipynb", "1")
    monkeypatch.setattr(notebooks, "folder", lambda: tmp_path)
    monkeypatch.setattr(execution, "run", lambda *a, **k: pytest.fail("it was run"))
    out = tmp_path / "out"
    assert cli.main(["run", str(path), *arguments, "--out", str(out)]) == 2
    assert sentence in said(capsys)
    assert not out.exists()


ROWS = "".join(f"a text about thing {i},{('good', 'bad')[i % 2]}\n" for i in range(40))
BAD_FILES = {
    "empty": (b"", "is empty"),
    "header only": (b"text,label\n", "has no rows"),
    "no text column": (f"words,label\n{ROWS}".encode(), "columns words, label: name one with -p"),
    "no label column": (f"text,mood\n{ROWS}".encode(), "columns text, mood: name one with -p"),
    "one class": (("text,label\n" + ROWS.replace(",bad", ",good")).encode(), "two classes"),
    "no texts": (b"text,label\n" + b" ,good\n ,bad\n" * 20, "holds no text"),
    "numbers": (b"text,label\n" + b"1.5,good\n2,bad\n" * 20, "holds no text"),
    "binary": (b"\x89PNG\r\n\0\0text,label", "is a binary file"),
    "not UTF-8": (b"text,label\nsch\x81,gut\n", "is not UTF-8"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_one_sentence_and_nothing_is_run(tmp_path, monkeypatch, capsys, kind):
    content, sentence = BAD_FILES[kind]
    (tmp_path / "own.csv").write_bytes(content)
    path = write(tmp_path / "01_good.ipynb", "1")
    monkeypatch.setattr(execution, "run", lambda *a, **k: pytest.fail("it was run"))
    out = tmp_path / "out"
    command = ["run", str(path), "--data", str(tmp_path / "own.csv"), "--out", str(out)]
    assert cli.main(command) == 2
    assert sentence in said(capsys)
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "hub:imdb"], "could not be fetched"),
        (["--model", "bert-base-uncased"], "without a network use 'minilm'"),
        (["--data", "."], "holds no data"),
        (["--seed", "abc"], "SEED must be a whole number"),
    ],
)
def test_a_mistake_in_a_terminal(tmp_path, arguments, sentence):
    """The command itself: its exit status, and nothing else on the screen."""
    path = write(tmp_path / "01_good.ipynb", "1")
    command = [sys.executable, "-m", "workbench", "run", str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert [p.name for p in tmp_path.iterdir()] == ["01_good.ipynb"]


@pytest.mark.parametrize(
    "arguments",
    [["run", "--jobs", "0"], ["run", "--timeout", "soon"], ["run", "--sed", "1"],
     ["run", "-p", "A"], ["rnu"], [], ["models", "extra"]],
)  # fmt: skip
def test_wrong_usage_is_one_line_that_names_the_help(capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "--help" in said(capsys)


def test_names_may_stand_on_both_sides_of_an_option(tmp_path):
    args = parse(["run", "01", "--seed", "1", "02"], cli.COMMANDS)
    assert args.names == ["01", "02"]
    assert parse(["run", "--seed", "1", "02"], cli.COMMANDS).names == ["02"]


def test_a_folder_that_cannot_be_written_is_a_mistake(tmp_path, capsys):
    path = write(tmp_path / "01_good.ipynb", "1")
    (tmp_path / "file").write_text("")
    assert cli.main(["run", str(path), "--out", str(tmp_path / "file")]) == 2
    assert "cannot be written" in said(capsys)


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch, capsys):
    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device", "results.json")

    monkeypatch.setattr(execution, "run", full)
    path = write(tmp_path / "01_good.ipynb", "1")
    assert cli.main(["run", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "No space left on device ('results.json')" in said(capsys)


def test_debug_shows_the_traceback(tmp_path):
    from workbench.errors import UserError

    with pytest.raises(UserError):
        cli.main(["run", str(tmp_path / "gone.ipynb"), "--debug"])


def test_what_the_data_lost_is_noted_once(tmp_path, capsys, monkeypatch):
    rows = [f"this text has the number {i},{('good', 'bad')[i % 2]}" for i in range(60)]
    (tmp_path / "mine.csv").write_text("\n".join(["text,label", *rows, ",good"]))
    empty = {"parameters": {}, "versions": {}, "seconds": 1.0, "notebooks": {}}
    monkeypatch.setattr(execution, "run", lambda *a, **k: empty)
    path = write(tmp_path / "01_good.ipynb", "1")
    command = ["run", str(path), "--data", str(tmp_path / "mine.csv")]
    assert cli.main([*command, "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err.count("note: ") == 1


def test_compare_prints_runs_and_tests(tmp_path, capsys, monkeypatch):
    from tests.evaluation.test_comparison import scored as saved

    monkeypatch.delenv("WORKBENCH_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["compare"]) == 2
    assert "name a folder" in said(capsys)
    saved(tmp_path / "reports" / "today" / "runs", "majority", [True] * 5 + [False] * 15)
    saved(tmp_path / "reports" / "today" / "runs", "minilm", [True] * 19 + [False])
    assert cli.main(["compare"]) == 0
    newest = capsys.readouterr().out
    assert "minilm" in newest
    assert "0.950" in newest
    assert "p_adjusted" in newest
    assert "not tested" not in newest
    saved(tmp_path / "reports" / "today" / "runs", "other", [True] * 9, prefix="other")
    assert cli.main(["compare"]) == 0
    refused = capsys.readouterr().out.partition("not tested")[2]
    assert "have no text in common" in refused
    assert refused.index("-other") < refused.index("p_adjusted")
    one = runs.list_runs("reports/today/runs")[0].path
    assert cli.main(["compare", str(one), "reports/today"]) == 0
    assert cli.main(["compare", "elsewhere"]) == 2


def test_compare_prints_a_table_for_each_metric(tmp_path, capsys):
    from tests.evaluation.test_sequences import runs_of_each_kind

    runs_of_each_kind(tmp_path)
    assert cli.main(["compare", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    heads = [line.split()[2] for line in printed.splitlines() if line.startswith("model ")]
    assert heads == ["accuracy", "entity_f1", "bleu"]
    assert printed.count("(paired bootstrap)") == 2
    assert "McNemar" not in printed


@pytest.mark.parametrize(("command", "known"), [("models", "majority"), ("data", "reviews-zh")])
def test_the_catalogues_are_printed(capsys, command, known):
    assert cli.main([command]) == 0
    assert known in capsys.readouterr().out


def test_progress_is_told_in_plain_lines_now_and_then(tmp_path, capsys):
    child = execution.Child(tmp_path / "04_bert.ipynb", None, tmp_path, 0.0, cell=3, cells=9)
    show = terminal.Progress(1)
    for _ in range(3):
        show.running([child])
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("04_bert: cell 3 of 9, ")
    assert "left" in error


def test_a_reader_that_leaves_early_is_no_error():
    script = "import sys; from workbench import cli; sys.exit(cli.main(['data']))"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, cwd=ROOT)  # fmt: skip
    process.stdout.close()
    assert process.stderr.read() == b""
    process.wait(timeout=30)


def test_help_loads_nothing_heavy():
    code = "import sys, workbench.cli, workbench.runs.notebooks; print(set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    for heavy in ("pandas", "papermill", "nbconvert", "torch", "plotly"):
        assert f"'{heavy}'" not in loaded.stdout, heavy
    assert "'workbench.cli'" in loaded.stdout


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "gbk"])
def test_a_terminal_that_lacks_characters_gets_what_it_can_show(tmp_path, encoding):
    """The command itself, on data that no such terminal can show."""
    path = write(tmp_path / "01_书–é.ipynb", "1 / 0")
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for arguments in (["models"], ["data"], ["run", path.name, "--out", "报告"], ["run", "书"]):
        done = subprocess.run([sys.executable, "-m", "workbench", *arguments],
                              capture_output=True, cwd=tmp_path, env=environment)  # fmt: skip
        said = done.stdout + done.stderr
        assert b"Traceback" not in said, said
        assert done.returncode == {"models": 0, "data": 0}.get(
            arguments[0], 1 + (len(arguments) == 2)
        )
        said.decode(encoding)


@pytest.mark.parametrize("redirection", [">&-", "> /dev/full", "2>&-", "| head -0"])
def test_output_that_cannot_be_written_gives_no_traceback(redirection):
    command = f"{sys.executable} -m workbench data {redirection}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.stderr.count("\n") <= 1
    assert done.returncode == (2 if "full" in redirection else 0)


def test_markup_in_a_name_is_text(capsys):
    import pandas as pd

    frame = pd.DataFrame({"name": ["[bold]x[/bold] :smile:", "y" * 300], "score": [0.5, None]})
    terminal.print_table(frame, ".3f")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["[bold]x[/bold]", ":smile:", "0.500"]
    assert lines[2] == "y" * 300


def test_progress_on_a_terminal_is_redrawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    child = execution.Child(tmp_path / "04_bert.ipynb", None, tmp_path, 0.0, cell=3, cells=9)
    with terminal.Progress(1) as show:
        show.running([child])
        child.cell = 4
        show.running([child])
        show.ended("04_bert", {"status": "failed", "seconds": 5.0, "error": "cell 4: [x] é"})
    error = capsys.readouterr().err
    assert "cell 3 of 9" in error
    assert "cell 4 of 9" in error
    assert "\x1b[" in error, "lines are drawn over"
    assert "04_bert: failed after 5 s: cell 4: [x] é  (1 of 1)" in error
