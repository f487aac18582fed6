import re
import time

import numpy as np
import pandas as pd
import plotly.io as pio
import pytest

from workbench import runs
from workbench.errors import UserError
from workbench.training.history import History
from workbench.widgets import browser

CHART = "application/vnd.plotly.v1+json"
NASTY = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def look():
    before = pio.templates.default, pio.renderers.default
    yield
    pio.templates.default, pio.renderers.default = before


def keep(root, name, right, notebook="06_evaluation", losses=(), **info):
    """A run that is right on those of twelve texts, with a curve if it has losses."""
    label = np.array(["good", "bad"] * 6)
    predicted = np.where(right, label, "other")
    frame = pd.DataFrame({"id": [f"r{i}" for i in range(12)], "label": label,
                          "text": [f"text {i} {NASTY}" for i in range(12)],
                          "predicted": predicted, "p_good": 0.25, "p_bad": 0.75})  # fmt: skip
    accuracy = float(np.mean(right))
    metrics = {"accuracy": accuracy, "accuracy_low": accuracy - 0.1, "loss": 1 - accuracy,
               "accuracy_high": accuracy + 0.1, "macro_f1": accuracy, "n": 12}  # fmt: skip
    history = History([{"step": i, "loss": loss} for i, loss in enumerate(losses)])
    return runs.save(name, notebook=notebook, metrics=metrics, predictions=frame,
                     history=history, root=root, **info).name  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Three comparable runs, two of them with a curve, and one without predictions."""
    keep(tmp_path, "best", [True] * 11 + [False], losses=[0.9, 0.4], seconds=3.0)
    keep(tmp_path, NASTY, [True] * 8 + [False] * 4, losses=[0.8, 0.6])
    keep(tmp_path, "poor", [False] * 6 + [True] * 6, notebook="04_bert_finetuning", seconds=20.0)
    runs.save("bare", notebook="02_word2vec", metrics={}, root=tmp_path)
    return tmp_path


@pytest.fixture
def names(folder):
    """Folder names by what they are called here."""
    return {run.name.replace(NASTY, "nasty"): run.path.name for run in runs.list_runs(folder)}


@pytest.fixture
def shown(folder):
    """A browser and one view onto it."""
    it = browser.RunBrowser(folder)
    it.view()
    return it, it._views[0]


def plain(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)).strip()


def chart(view):
    (output,) = view.chart.outputs
    return output["data"][CHART]["data"]


# --- the table ------------------------------------------------------------------------------------


def test_runs_are_sorted_and_what_is_not_known_stands_last(folder):
    found = runs.list_runs(folder)
    assert list(browser.listed(found, "accuracy")["name"]) == ["best", NASTY, "poor", "bare"]
    assert list(browser.listed(found, "accuracy", False)["name"]) == ["poor", NASTY, "best", "bare"]
    assert list(browser.listed(found, "seconds")["name"])[:2] == ["poor", "best"]
    assert browser.listed(found, "notebook", False)["name"][0] == "bare"


def test_runs_are_found_by_the_words_of_their_names(folder):
    found = runs.list_runs(folder)
    assert list(browser.listed(found, words="POOR 04_")["name"]) == ["poor"]
    assert len(browser.listed(found, words="06")) == 2
    assert browser.listed(found, words="( .* nothing").empty


def test_no_runs_are_no_error(tmp_path):
    it = browser.RunBrowser(tmp_path / "nowhere")
    it.view()
    assert "There is no such run." in it.still()["text/html"]


def test_the_table_shows_intervals_letters_and_no_markup_of_a_person(shown, names):
    it, view = shown
    it.value = [names["poor"], names["nasty"]]
    text = plain(view.table.value)
    assert "0.917 (0.817 to 1.017)" in text
    assert "A poor 04_bert_finetuning" in text
    assert f"{time.strftime('%Y')}\u2011" in text
    assert "B &lt;script&gt;" in text
    assert "<script" not in view.table.value + view.compared.value + view.example.value


def test_sorting_and_filtering_keep_what_is_selected(shown, names):
    it, view = shown
    view.select.value = [names["poor"]]
    view.by.value, view.order.value = "accuracy", True
    assert view.select.options[0][1] == names["best"]
    view.words.value = "best"
    assert [value for _, value in view.select.options] == [names["best"], names["poor"]]
    assert "poor" not in plain(view.table.value)
    assert it.value == [names["poor"]]
    view.select.value = [names["best"], names["poor"]]
    assert it.value == [names["best"], names["poor"]]


def test_a_run_that_is_not_there_cannot_be_selected(shown, names):
    with pytest.raises(UserError, match=f"no run 'x{names['best']}'; did you mean"):
        shown[0].value = ["x" + names["best"]]


def test_refreshing_finds_new_runs_and_says_what_is_broken(shown, folder, names):
    it, view = shown
    it.value = [names["best"], names["bare"]]
    keep(folder, "new", [True] * 12)
    (folder / names["bare"] / "metrics.json").write_text("{")
    view.again.click()
    assert "new" in plain(view.table.value)
    assert it.value == [names["best"]]
    assert f"{names['bare']}' is no run folder" in plain(view.note.value).replace("&#x27;", "'")


# --- curves ---------------------------------------------------------------------------------------


def test_curves_are_overlaid_and_replaced(shown, names):
    it, view = shown
    assert view.chart.outputs == ()
    it.value = [names["best"], names["nasty"], names["poor"]]
    assert [trace["name"] for trace in chart(view)] == [
        "A best training", "B &lt;script&gt;alert(1)&lt;/script&gt; training",
    ]  # fmt: skip
    it.value = [names["best"]]
    assert len(chart(view)) == 1
    assert "0.400" in view.numbers.value
    it.value = [names["poor"]]
    assert view.chart.outputs == ()
    assert "None of the selected runs has a curve." in view.numbers.value


def test_the_data_behind_the_curves(folder, names):
    it = browser.RunBrowser(folder)
    it.value = [names["best"], names["nasty"]]
    _, numbers = browser.curves(it.selected())
    assert numbers["A best training"].tolist() == [0.9, 0.4]
    assert numbers[f"B {NASTY} training"].tolist() == [0.8, 0.6]


# --- two and more runs ----------------------------------------------------------------------------


def test_two_runs_are_compared_in_numbers_and_words(shown, names):
    it, view = shown
    it.value = [names["best"], names["poor"]]
    text = plain(view.compared.value)
    assert "On the 12 texts that both predicted: accuracy macro_f1 loss A: best 0.917" in text
    assert re.search(r"B: poor 0\.500 [\d.]+ [\d.]+ A − B \+0\.417", text)
    assert "Of 12 texts A is right on 6 where B is wrong, B on 1 where A is wrong" in text


def test_disagreements_are_read_one_by_one(shown, names):
    it, view = shown
    it.value = [names["best"], names["poor"]]
    assert view.reading.layout.display is None
    assert view.place.value == "1 of 7"
    assert "text 0 &lt;script&gt;" in view.example.value
    assert "True class: good" in plain(view.example.value)
    assert "A: best good ✓ right 0.750 0.250 B: poor other ✗ wrong" in plain(view.example.value)
    assert (view.back.disabled, view.next.disabled) == (True, False)
    for _ in range(8):
        view.next.click()
    assert view.place.value == "7 of 7"
    assert (view.back.disabled, view.next.disabled) == (False, True)
    view.back.click()
    assert "text 5 " in view.example.value
    view.kind.value = "B"
    assert view.place.value == "1 of 1"
    assert "text 11 " in view.example.value
    view.kind.value = "neither"
    assert (view.place.value, view.example.value) == ("There is none.", "")


def test_two_runs_that_cannot_be_compared_say_why(shown, names):
    it, view = shown
    it.value = [names["best"], names["bare"]]
    assert "There are no predictions of" in view.compared.value
    assert view.reading.layout.display == "none"
    assert view.example.value == ""


def test_several_runs_are_compared_in_all_pairs(shown, names):
    it, view = shown
    it.value = [names["poor"], names["best"], names["nasty"]]
    text = plain(view.compared.value)
    assert re.search(r"B: best C: &lt;script&gt;\S+ 12 0\.917 0\.667 \+0\.250 3 0 0\.250 ", text)
    assert re.search(r"B: best A: poor 12 0\.917 0\.500 \+0\.417 6 1 0\.125 0\.\d+ C:", text)


def test_a_callback_that_fails_says_so(shown, names, monkeypatch):
    it, view = shown
    it.value = [names["best"], names["poor"]]
    monkeypatch.setattr(browser, "example_html", lambda *_: 1 / 0)
    view.next.click()
    assert "ZeroDivisionError: division by zero" in view.note.value


def test_selecting_leaves_the_list_as_it_is(shown, names):
    """Or the browser would lose its place in it, from which Shift and an arrow go on."""
    _, view = shown
    changes = []
    view.select.observe(changes.append, ["index", "_options_labels"])
    view.select.value = [names["best"]]
    assert [change["name"] for change in changes] == ["index"]


def test_views_show_one_state(shown, names):
    it, view = shown
    it.view()
    view.select.value = [names["best"]]
    assert it._views[1].select.value == (names["best"],)


# --- still ----------------------------------------------------------------------------------------


def test_the_still_picture_compares_the_two_best(folder):
    bundle = browser.RunBrowser(folder).still()
    assert set(bundle) == {"text/html", "text/plain"}
    text = plain(bundle["text/html"])
    assert "A best 06_evaluation" in text
    assert "Of 12 texts A is right on 3 where B is wrong" in text
    assert "The first 3 of 3 texts on which A and B disagree" in text
    assert "<script" not in bundle["text/html"]
    assert "0.917" in bundle["text/plain"]


def test_the_still_picture_shows_what_was_chosen(folder, names):
    it = browser.RunBrowser(folder)
    it.value = [names["poor"], names["best"]]
    assert "A: poor" in it.still()["text/html"]


def test_runs_can_be_given(folder):
    found = runs.list_runs(folder)[:1]
    assert browser.RunBrowser(runs=found).found == found
    assert found[0].name in browser.RunBrowser(runs=found).still()["text/plain"]
