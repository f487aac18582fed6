"""The other widgets as a person meets them: a file of one's own, two runs, a text to try."""

import pytest

from tests.browser.test_run_all import run_all
from tests.models.test_encoder_classifier import LABELS, TEXTS

CELLS = {
    "picker": """
import os
from workbench import data, evaluation, models, widgets
from workbench.runs import lesson
os.environ["WORKBENCH_RUNS"] = "two-runs"
work = lesson.start("06_evaluation", "smoke", 0)
picker = widgets.DataPicker("reviews")
picker""",
    "panel": """
train, validation, test = data.frames(picker.load(), limit=200)
panel = widgets.TrainingPanel(models.build("cnn", epochs=5, min_count=1), train, validation)
model = await panel""",
    "record": """
fitted = {"cnn": model, "majority": models.build("majority")}
fitted["majority"].fit(list(train["text"]), list(train["label"]))
for name, each in fitted.items():
    work.record(name, evaluation.evaluate(each, test), each)
print(sorted(set(train["label"])), len(train))""",
    "try": "widgets.TryIt(fitted, text='the film was great')",
    "runs": "widgets.RunBrowser()",
    "models": "choice = widgets.ModelPicker('minilm', texts=train['text'])\nchoice",
}
PLACE = {name: i for i, name in enumerate(CELLS)}


@pytest.fixture
def notebook(lab):
    return lab.open(list(CELLS.values()))


@pytest.fixture
def own(tmp_path):
    """A good file and one without labels."""
    good, bad = tmp_path / "own.csv", tmp_path / "bad.csv"
    rows = [
        f'"{t} <b>{i}</b>",{label}' for i, (t, label) in enumerate(zip(TEXTS, LABELS, strict=True))
    ]
    good.write_text("text,label\n" + "\n".join(rows * 2))
    bad.write_text("colour,size\nred,1\nblue,2\n")
    return good, bad


def test_a_file_of_ones_own_is_read_trained_tried_and_compared(notebook, own):
    good, bad = own
    picker, panel, tried, runs = (PLACE[name] for name in ("picker", "panel", "try", "runs"))
    notebook.run(picker)
    notebook.wait_for(lambda: "negative" in notebook.text(picker))
    notebook.upload(picker, "Choose a file", bad)
    notebook.wait_for(lambda: "No text column found" in notebook.text(picker))
    notebook.upload(picker, "Choose a file", good)
    notebook.wait_for(lambda: "<b>1</b>" in notebook.text(picker))
    notebook.shot(picker, "data-picker")
    for name in ("panel", "record", "try", "runs", "models"):
        notebook.run(PLACE[name])
    assert notebook.errors() == []
    assert "['bad', 'good']" in notebook.text(PLACE["record"])
    notebook.wait_for(lambda: notebook.points(panel) > 3)
    notebook.shot(panel, "panel")

    notebook.type(tried, "Text", "an awful <script>alert(1)</script> film")
    notebook.wait_for(lambda: "bad" in notebook.text(tried))
    notebook.button(tried, "What does it rest on?").click()
    notebook.wait_for(lambda: "<script>alert(1)</script>" in notebook.text(tried))
    notebook.wait_for(lambda: "speaks for the prediction" in notebook.text(tried))
    notebook.shot(tried, "try-it")

    rows = notebook.output(runs).locator("tbody tr").filter(visible=True)
    notebook.wait_for(lambda: rows.count() == 3)  # the panel's training is a run as well
    rows = rows.filter(has_text="06_evaluation")
    rows.filter(has_text="majority").click()
    rows.filter(has_text="cnn").press("Space")
    notebook.wait_for(lambda: "A: majority" in notebook.text(runs))
    notebook.wait_for(lambda: "mid-p McNemar test" in notebook.text(runs))
    notebook.wait_for(lambda: "who is right" in notebook.text(runs))
    notebook.shot(runs, "run-browser")
    notebook.output(runs).get_by_role("searchbox").first.fill("cnn")
    notebook.wait_for(lambda: "filtered from 3" in notebook.text(runs))
    notebook.output(runs).get_by_role("button", name="loss: Activate to sort").first.click()
    assert len(notebook.save().read_bytes()) < 2**20, "the grid's JavaScript is not saved"

    chosen = PLACE["models"]
    notebook.choose(chosen, "Model", "classical · naive-bayes")
    notebook.wait_for(lambda: "MiB" in notebook.text(chosen), 120)
    notebook.shot(chosen, "model-picker")


PICKED = """
from workbench import widgets
picker = widgets.DataPicker("reviews")
picker"""
BUSY = "import time\nprint('begun')\ntime.sleep(10)\nprint(picker.value['source'])"


def test_controls_say_that_they_wait_for_a_running_cell(lab):
    notebook = lab.open([PICKED, BUSY])
    notebook.run(0)
    notebook.run(1, wait=False)
    notebook.wait_for(lambda: "begun" in notebook.text(1))
    notebook.choose(0, "Data set", "reviews-zh · 1600 texts, 2 classes")
    notebook.wait_for(lambda: "The kernel is busy" in notebook.text(0), 9)
    notebook.idle()
    assert notebook.text(1).split() == ["begun", "reviews"], "what a cell reads stays"
    notebook.wait_for(lambda: "reviews-zh: rows" in notebook.text(0))
    notebook.wait_for(lambda: "The kernel is busy" not in notebook.text(0))


def test_a_picture_stands_for_a_widget_whose_kernel_is_gone(lab):
    notebook = lab.open([PICKED])
    notebook.run(0)
    notebook.choose(0, "Data set", "reviews-zh · 1600 texts, 2 classes")
    notebook.wait_for(lambda: "reviews-zh: rows" in str(notebook.outputs(0)))
    assert notebook.text(0).count("reviews-zh: rows") == 1, "hidden while the widget is there"
    lab.messages.clear()
    again = notebook.reopened()
    again.wait_for(lambda: again.output(0).get_by_text("reviews-zh: rows").is_visible())
    assert "Error displaying widget" not in again.text(0)
    again.shot(0, "without-a-kernel")
    # What JupyterLab says of it in the console is not ours to change.
    lab.messages[:] = [m for m in lab.messages if "widget" not in m.lower()]


def test_a_file_without_a_header_is_read_whole_and_kept_when_the_cell_runs_again(lab, tmp_path):
    path = tmp_path / "own.csv"
    texts = [text.replace(",", "") for text in TEXTS]
    rows = [
        f"{label},{text} {i}" for i, (text, label) in enumerate(zip(texts, LABELS, strict=True))
    ]
    path.write_text("\n".join([*rows, *(f",{text}" for text in texts * 2)]))
    notebook = lab.open([PICKED])
    notebook.run(0)
    notebook.upload(0, "Choose a file", path)
    notebook.wait_for(lambda: "looks like a row and not like names" in notebook.text(0))
    notebook.wait_for(lambda: "The cells below go on with reviews." in notebook.text(0))
    notebook.shot(0, "data-picker-without-a-header")
    notebook.output(0).get_by_label("The first line is a row, not names").check()
    taken = f"⚠ Read: {len(rows)} of {3 * len(rows)} rows."
    notebook.wait_for(lambda: taken in notebook.text(0))
    notebook.wait_for(lambda: "67% of the rows are left out" in notebook.text(0))
    notebook.output(0).get_by_text("Rename classes").click()
    notebook.type(0, "bad", "negative")
    notebook.wait_for(lambda: "negative" in notebook.text(0))
    notebook.shot(0, "data-picker-warns")
    notebook.run(0)
    notebook.wait_for(lambda: taken in notebook.text(0) and "negative" in notebook.text(0))
    assert notebook.errors() == []


def test_the_switchboard_of_notebook_03_answers_a_switch_in_both_themes(lab):
    notebook, board = run_all(lab, "03_perceptron"), "widgets.Switchboard"
    for theme, optimiser in (("Light", "momentum"), ("Dark", "Adam")):
        notebook.show_in(theme)
        before = notebook.text(board)
        notebook.choose(board, "optimiser", optimiser)
        notebook.wait_for(lambda before=before: notebook.text(board) != before)
        notebook.wait_for(lambda: max(notebook.points(board, trace) for trace in range(6)) > 10)
        assert notebook.errors() == []
        notebook.shot(board, f"switchboard-{theme}")


KEPT = """
from workbench import runs, widgets
for model in ("svm", "cnn"):
    for seed in range(2):
        runs.save(f"{model} {seed}", settings={"model": model, "seed": seed},
                  metrics={"accuracy": 0.5}, root="kept")
widgets.RunBrowser("kept")"""


def test_runs_are_filtered_deleted_and_brought_back(lab):
    notebook = lab.open([KEPT])
    notebook.run(0)
    # A grid that was replaced leaves rows behind that nobody sees.
    rows = notebook.output(0).locator("tbody tr:visible")
    notebook.wait_for(lambda: rows.count() == 4)
    notebook.choose(0, "Model", "svm")
    notebook.wait_for(lambda: rows.count() == 2 and rows.filter(has_text="svm").count() == 2)
    rows.filter(has_text="svm 0").click()
    notebook.wait_for(lambda: notebook.button(0, "Delete 1").is_enabled())
    field = notebook.output(0).get_by_role("textbox", name="Name")
    field.fill("the first")
    field.press("Tab")
    notebook.wait_for(lambda: rows.filter(has_text="the first").count() == 1)
    notebook.shot(0, "run-browser-filtered")
    notebook.button(0, "Delete 1").click()
    notebook.wait_for(lambda: rows.count() == 1)
    notebook.button(0, "Undo delete").click()
    notebook.wait_for(lambda: rows.filter(has_text="the first").count() == 1)
    notebook.choose(0, "Model", "all")
    notebook.wait_for(lambda: rows.count() == 4)
    assert notebook.output(0).get_by_role("link", name="Save the list as CSV").count() == 1
    assert notebook.errors() == []
