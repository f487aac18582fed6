import base64
import io
import re
import time
from html import unescape

import numpy as np
import pandas as pd
import plotly.io as pio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import runs
from workbench.errors import UserError
from workbench.training.history import History
from workbench.widgets import browser, browser_view

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


class Seen:
    """One view onto a browser, its parts by name."""

    def __init__(self, it):
        (bar, self.runs, edit, self.status, self.chart, self.numbers, self.compared,
         self.differences) = it.view().children[:8]  # fmt: skip
        self.again, *filters, self.save = bar.children
        self.filters = {each.description: each for each in filters}
        self.name, self.notes, self.delete, self.undo = edit.children

    @property
    def grid(self):
        return self.runs.children[0]

    @property
    def disagreements(self):
        return self.differences.children[0].df

    def click(self, *names):
        """Select these rows and no others; the page names them from top to bottom."""
        rows = self.grid.df.index.get_indexer(names)
        self.grid.selected_rows = sorted(int(row) for row in rows)


@pytest.fixture
def shown(folder):
    """A browser and one view onto it."""
    it = browser.RunBrowser(folder)
    return it, Seen(it)


def plain(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)).strip()


def chart(view):
    (output,) = view.chart.outputs
    return output["data"][CHART]["data"]


# --- the table ------------------------------------------------------------------------------------


def test_a_run_is_listed_with_what_it_knows(folder, names):
    table = browser_view.listed(runs.list_runs(folder))
    assert list(table.index) == list(names.values())
    row = table.loc[names["poor"]]
    assert (row["name"], row["notebook"], row["n"], row["seconds"]) == (
        "poor", "04_bert_finetuning", 12, 20,
    )  # fmt: skip
    assert (row["accuracy"], row["95% interval"]) == (0.5, "0.400 to 0.600")
    assert row["time"].startswith(time.strftime("%Y-"))
    assert table.loc[names["bare"], list(browser_view.SCORES)].isna().all()


def test_the_newest_run_stands_first(shown, names):
    assert list(shown[1].grid.df.index) == sorted(names.values(), reverse=True)


@given(st.lists(st.none() | st.floats(0, 9), min_size=1), st.sampled_from(["first", "last"]))
def test_the_grid_sorts_numbers_by_size_and_the_unknown_to_one_end(values, unknown):
    column = pd.to_numeric(pd.Series(values), errors="coerce")
    ranked = pd.Series(browser_view._ranked(column, unknown)).sort_values(kind="stable")
    sorted_ = column.loc[ranked.index]
    known = sorted_.dropna()
    assert (known.diff().dropna() >= -1e-3).all()
    end = sorted_.head if unknown == "first" else sorted_.tail
    assert end(len(sorted_) - len(known)).isna().all()


def test_no_runs_are_no_error(tmp_path):
    it = browser.RunBrowser(tmp_path / "nowhere")
    assert len(Seen(it).grid.df) == 0
    assert "No runs yet." in it.still()["text/html"]


def test_a_click_selects_and_the_first_clicked_is_a(shown, names):
    it, view = shown
    view.click(names["best"])
    view.click(names["poor"], names["best"])
    assert it.value == [names["best"], names["poor"]]
    view.click(names["poor"])
    assert it.value == [names["poor"]]


def test_what_is_selected_is_selected_in_every_view(shown, names):
    it, view = shown
    it.value = [names["best"], names["poor"]]
    other = Seen(it)
    for seen in (view, other):
        rows = seen.grid.df.iloc[list(seen.grid.selected_rows)]
        assert set(rows.index) == {names["best"], names["poor"]}
    other.click(names["bare"])
    assert view.grid.df.index[view.grid.selected_rows[0]] == names["bare"]


def test_a_run_that_is_not_there_cannot_be_selected(shown, names):
    with pytest.raises(UserError, match=f"no run 'x{names['best']}'; did you mean"):
        shown[0].value = ["x" + names["best"]]
    assert shown[0].value == []


def test_refreshing_finds_new_runs_and_says_what_is_broken(shown, folder, names):
    it, view = shown
    it.value = [names["best"], names["bare"]]
    keep(folder, "new", [True] * 12)
    (folder / names["bare"] / "metrics.json").write_text("{")
    view.again.click()
    assert set(view.grid.df["name"]) == {"new", "poor", NASTY, "best"}
    assert it.value == [names["best"]]
    assert view.grid.selected_rows == [view.grid.df.index.get_loc(names["best"])]
    assert f"{names['bare']}' is no run folder" in plain(view.status.value).replace("&#x27;", "'")


# --- filter, edit, delete -------------------------------------------------------------------------


@pytest.fixture
def described(folder):
    """Two more runs that know their model and their data."""
    data = {"source": "own.csv", "rows": {"train": 9}}
    for model in ("svm", "minilm"):
        settings = {"model": model, "seed": 1, "a list": [1, model]}
        keep(folder, f"{model}, tried", [True] * 12, settings=settings, data=data)
    return browser.RunBrowser(folder)


def test_runs_are_filtered_by_data_model_and_notebook(described, names):
    view = Seen(described)
    data, model, notebook = (view.filters[n] for n in ("Data", "Model", "Notebook"))
    assert data.options == (("all", ""), ("own.csv", "own.csv"))
    assert [value for _, value in notebook.options] == [
        "", "02_word2vec", "04_bert_finetuning", "06_evaluation",
    ]  # fmt: skip
    described.value = [names["poor"]]
    data.value = "own.csv"
    assert set(view.grid.df["name"]) == {"minilm, tried", "svm, tried"}
    assert described.value == []
    model.value = "svm"
    view.click(view.grid.df.index[0])
    assert [run.name for run in described.selected()] == ["svm, tried"]
    other = Seen(described)
    assert other.filters["Model"].value == "svm"
    notebook.value = "04_bert_finetuning"
    assert len(other.grid.df) == 0
    for choice in (data, model):
        choice.value = ""
    assert list(other.grid.df["name"]) == ["poor"]
    other.grid.selected_rows = [0]
    assert described.value == [names["poor"]]
    with pytest.raises(UserError, match="did you mean 'model'"):
        described.filter(modle="svm")


def test_what_is_selected_by_code_need_not_be_listed(described, names):
    view = Seen(described)
    described.filter(model="svm")
    described.value = [names["poor"], view.grid.df.index[0]]
    assert view.grid.selected_rows == [0]
    assert "A: poor" in view.compared.value
    assert "✗" not in view.status.value


def test_the_list_is_saved_as_csv(described):
    view = Seen(described)
    described.filter(data="own.csv")
    content = re.search(r'download="runs.csv" href="data:text/csv;base64,([^"]+)"', view.save.value)
    saved = pd.read_csv(io.BytesIO(base64.b64decode(content[1])))
    assert set(saved["name"]) == {"svm, tried", "minilm, tried"}
    assert list(saved["run"]) == list(view.grid.df.index[::-1])
    assert saved["accuracy"].tolist() == [1.0, 1.0]


def test_what_two_runs_were_made_with_is_compared(described, names):
    view = Seen(described)
    by_name = {run.name: run.path.name for run in described.found}
    described.value = [by_name["svm, tried"], by_name["minilm, tried"]]
    assert "settings.model svm minilm" in plain(view.compared.value)
    assert "settings.a list [1, 'svm'] [1, 'minilm']" in unescape(plain(view.compared.value))
    assert "settings.seed" not in view.compared.value
    assert "settings.model" not in described.still()["text/plain"]
    assert "settings.model" in described.still()["text/html"]
    described.value = [names["best"], names["nasty"]]
    assert "the same settings, data and versions" in view.compared.value


def test_a_run_is_deleted_and_comes_back(shown, folder, names):
    it, view = shown
    assert (view.delete.disabled, view.undo.disabled) == (True, True)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    for gone in (["poor", "best"], ["nasty"]):
        it.value = [names[name] for name in gone]
        assert view.delete.description == f"Delete {len(gone)}"
        view.delete.click()
        assert it.value == []
    assert list(view.grid.df["name"]) == ["bare"]
    assert [run.name for run in runs.list_runs(folder)] == ["bare"]
    view.undo.click()
    assert set(view.grid.df["name"]) == {"bare", NASTY}
    view.undo.click()
    assert view.undo.disabled
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


def test_a_run_that_cannot_be_deleted_is_said(shown, folder, names):
    it, view = shown
    it.value = [names["poor"]]
    (folder / ".deleted").write_text("in the way")
    view.delete.click()
    assert "✗" in view.status.value
    assert names["poor"] in view.grid.df.index


def test_given_runs_are_deleted_and_come_back(folder, names):
    it = browser.RunBrowser(runs=runs.list_runs(folder))
    it.value = [names["poor"]]
    it.delete()
    assert len(it.found) == 3
    it.undo()
    assert len(it.found) == 4


def test_name_and_notes_are_edited(shown, folder, names):
    it, view = shown
    assert view.name.disabled
    it.value = [names["poor"], names["best"]]
    assert (view.name.value, view.notes.value) == ("poor", "")
    view.name.value = f"better {NASTY}"
    view.notes.value = "with a larger vocabulary"
    run = runs.load(folder / names["poor"])
    assert (run.name, run.info["notes"]) == (f"better {NASTY}", "with a larger vocabulary")
    assert it.value == [names["poor"], names["best"]]
    assert f"better {NASTY}" in set(view.grid.df["name"])
    view.name.value = " "
    assert "needs a name" in view.status.value
    assert runs.load(run.path) == run


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
    _, numbers = browser_view.curves(it.selected())
    assert numbers["A best training"].tolist() == [0.9, 0.4]
    assert numbers[f"B {NASTY} training"].tolist() == [0.8, 0.6]


# --- two and more runs ----------------------------------------------------------------------------


def test_two_runs_are_compared_in_numbers_and_words(shown, names):
    it, view = shown
    it.value = [names["best"], names["poor"]]
    text = plain(view.compared.value)
    assert "On the 12 texts that both predicted accuracy macro F1 loss A: best 0.917" in text
    assert re.search(r"B: poor 0\.500 [\d.]+ [\d.]+ A − B 0\.417", text)
    assert "Of 12 texts A is right on 6 where B is wrong, B on 1 where A is wrong" in text


def test_disagreements_are_read_in_a_grid(shown, names):
    it, view = shown
    it.value = [names["best"], names["poor"]]
    rows = view.disagreements
    assert len(rows) == 7
    first = rows.iloc[0]
    assert first["text"] == f"text 0 {NASTY}"
    assert (first["true class"], first["who is right"]) == ("good", "only A")
    assert (first["A predicts"], first["B predicts"]) == ("good", "other")
    assert (first["A: p"], first["A: p(true)"]) == ("0.750", "0.250")
    assert list(rows["who is right"]).count("only B") == 1
    it.value = [names["best"]]
    assert view.differences.children == ()


def test_two_runs_that_cannot_be_compared_say_why(shown, names):
    it, view = shown
    it.value = [names["best"], names["bare"]]
    assert "There are no predictions of" in view.compared.value
    assert view.differences.children == ()


def test_several_runs_are_compared_in_all_pairs(shown, names):
    it, view = shown
    it.value = [names["poor"], names["best"], names["nasty"]]
    text = plain(view.compared.value)
    assert re.search(r"B: best C: &lt;script&gt;\S+ 12 0\.917 0\.667 0\.250 3 0 0\.125 ", text)
    assert re.search(r"B: best A: poor 12 0\.917 0\.500 0\.417 6 1 0\.070 0\.\d+ C:", text)


@pytest.fixture
def kinds(tmp_path):
    """A browser of runs that are judged by three metrics, a view, and their folders by name."""
    from tests.evaluation.test_sequences import runs_of_each_kind

    names = {run.name: run.path.name for run in runs_of_each_kind(tmp_path)}
    it = browser.RunBrowser(tmp_path)
    return it, Seen(it), names


def test_a_run_without_accuracy_is_listed_with_its_own_metric(kinds):
    it = kinds[0]
    table = browser_view.listed(it.found).set_index("name")
    assert table.loc["empty", "other score"].startswith("bleu ")
    assert table.loc["good", "other score"].startswith("entity_f1 0.9")
    assert re.fullmatch(r"0\.\d{3} to [01]\.\d{3}", table.loc["good", "95% interval"])
    assert table.loc["classifier", "other score"] == ""
    assert "entity_f1" in it.still()["text/plain"]


def test_runs_without_accuracy_are_compared_by_a_bootstrap(kinds):
    it, view, names = kinds
    it.value = [names["good"], names["poor"]]
    text = plain(view.compared.value)
    assert re.search(r"entity_f1 A: good 0\.9\d+ B: poor 0\.\d+ A − B 0\.\d+", text)
    assert "p &lt; 0.001 (paired bootstrap): significant at 5%" in text
    assert len(view.disagreements)
    it.value = [names["good"], names["copy"]]
    assert "good is judged by entity_f1 and copy by bleu" in view.compared.value
    it.value = [names["good"], names["poor"], names["copy"], names["empty"]]
    text = plain(view.compared.value)
    assert text.count("(paired bootstrap, Holm for all)") == 2
    assert re.search(r"bleu of first of second difference low high p p, all pairs D: empty", text)


def test_a_view_that_fails_says_so_and_shows_the_next_choice(shown, names, monkeypatch):
    it, view = shown
    other = Seen(it)
    calls = iter([ZeroDivisionError("comparing")])

    def fail_once(*args, compare=browser_view.pair):
        if error := next(calls, None):
            raise error
        return compare(*args)

    monkeypatch.setattr(browser_view, "pair", fail_once)
    it.value = [names["best"], names["poor"]]
    assert "ZeroDivisionError: comparing" in view.status.value
    assert "A: best" in other.compared.value
    it.value = [names["best"], names["nasty"]]
    assert "A: best" in view.compared.value


# --- still ----------------------------------------------------------------------------------------


def test_the_still_picture_compares_the_two_best(folder):
    bundle = browser.RunBrowser(folder).still()
    assert set(bundle) == {"text/html", "text/plain"}
    text = plain(bundle["text/html"])
    assert "A best 06_evaluation 0.917 0.817 to 1.017" in text
    assert "Of 12 texts A is right on 3 where B is wrong" in text
    assert "adjusted for all pairs" in text
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
