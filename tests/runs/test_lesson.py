import random
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from workbench import evaluation, models, runs
from workbench.errors import DataWarning, UserError
from workbench.runs import lesson


@pytest.fixture(autouse=True)
def own_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path))


def test_sizes_follow_the_profile():
    assert lesson.start("x", "smoke").pick(smoke=1, quick=2, full=3) == 1
    assert lesson.start("x", "full").pick(smoke=1, quick=2, full=3) == 3


def test_unknown_profile():
    with pytest.raises(UserError, match="did you mean 'quick'"):
        lesson.start("x", "quik")


def test_start_fixes_the_seeds():
    draws = []
    for _ in range(2):
        lesson.start("x", "smoke", 5)
        draws.append((random.random(), np.random.rand()))  # noqa: NPY002
    assert draws[0] == draws[1]


def test_a_note_is_printed_once_a_cell(monkeypatch, capsys):
    shell = type("Shell", (), {"execution_count": 1})
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    with warnings.catch_warnings():
        lesson.start("x", "smoke")
        for shell.execution_count in (1, 1, 2):
            warnings.warn("Two rows are left out.", DataWarning, stacklevel=1)
    assert capsys.readouterr().out == 2 * "Note: Two rows are left out.\n"


def test_many_classes_are_not_taken_for_numbers_to_predict():
    texts, labels = [f"text {i}" for i in range(60)], [f"class {i % 31}" for i in range(60)]
    with warnings.catch_warnings(record=True) as found:
        lesson.start("x", "smoke")
        models.build("logistic").fit(texts, labels)
    assert [str(each.message) for each in found] == []


def test_a_record_is_a_run_and_a_row_of_the_scores(reviews):
    train, _, test = reviews
    work = lesson.start("04_x", "smoke", 7)
    for name in ("majority", "naive-bayes", "majority"):  # a cell may run again
        model = models.build(name).fit(list(train["text"]), list(train["label"]))
        work.record(name, evaluation.evaluate(model, test), model=model, seconds=0.1)
    assert isinstance(work.scores(), pd.DataFrame)
    assert list(work.scores().index) == ["naive-bayes", "majority"]
    assert work.runs() == [runs.list_runs()[i] for i in (2, 1)], "the last run of each name"
    run = runs.list_runs()[1]
    assert (run.name, run.info["notebook"], run.info["seed"]) == ("naive-bayes", "04_x", 7)
    assert len(run.predictions()) == len(test)


def test_scores_are_listed_by_the_metric_asked_for():
    work = lesson.start("07_x", "smoke", 7)
    texts = ["the cat sat on the mat", "a dog ran off at night"]
    for name, predicted in (("copy", ["the cat", ""]), ("same", texts)):
        found = evaluation.evaluate_texts(predicted, texts, ["bleu", "chrf"], sources=list("xy"))
        work.record(name, found, seconds=0.1)
    table = pd.DataFrame({"tokens": [["Oslo"]], "tags": [["B-LOC"]]})
    tagger = type("Tagger", (), {"predict": lambda self, sentences: [["O"] for _ in sentences]})
    work.record("none", evaluation.evaluate_tags(tagger(), table))
    for metric in ("bleu", "chrf"):
        scores = work.scores(metric)
        assert list(scores) == [metric, f"{metric}_low", f"{metric}_high", "n", "seconds"]
        assert list(scores.index) == ["same", "copy"]
    assert work.scores("entity_f1").loc["none", ["entity_f1", "entity_recall"]].tolist() == [0, 0]
    with pytest.raises(UserError, match="no recorded metric 'accuracy'"):
        work.scores()
    assert len(runs.list_runs()) == 3


@pytest.mark.parametrize(
    ("right", "said"),
    [(None, "Not answered yet."), (True, "Right."), (False, "Not quite: look again")],
)
def test_verdict(right, said, capsys):
    assert lesson.verdict(right, "look again") is bool(right)
    assert capsys.readouterr().out.strip() == said


def test_transformers_that_was_imported_before_is_quiet_too():
    code = (
        "from transformers import logging; logging.set_verbosity_warning();"
        "from workbench import lesson; lesson.start('04', 'smoke');"
        "print(logging.get_verbosity() == logging.ERROR, logging.is_progress_bar_enabled())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True False"
