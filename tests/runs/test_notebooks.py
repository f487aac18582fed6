"""Which notebooks, and what their cells of parameters assign."""

from pathlib import Path

import nbformat
import pytest

from workbench.errors import UserError
from workbench.runs import notebooks

PARAMETERS = """\
DATA = "reviews"
TEXT_COLUMN = ""
MODEL = "naive-bayes"
PROFILE = "quick"
SEED = 3
RATE = 0.1
CLEAN = True
SIZES = [1, 2]  # a comment with a # in it
WORDS = [
    "a#b",
]
HALF = RATE / 2
"""
RECORD = """\
import os, random
from workbench import runs
random.seed(SEED)
metrics = {"accuracy": random.random(), "macro_f1": 0.5, "n": 8, "split": "test",
           "loss": float("nan"), "hash": hash("a"), "cores": os.environ.get("OMP_NUM_THREADS")}
runs.save("majority", notebook=NAME, metrics=metrics)
"""


def write(path: Path, *cells: str, parameters: str = PARAMETERS) -> Path:
    """A notebook with a title, a parameters cell and `cells`."""
    new = nbformat.v4
    tagged = new.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    rest = [new.new_code_cell(cell) for cell in cells]
    book = new.new_notebook(cells=[new.new_markdown_cell(f"# {path.stem}"), tagged, *rest])
    nbformat.write(book, path)
    return path


@pytest.fixture
def sequence(tmp_path, monkeypatch):
    for name in ("01_preprocessing", "04_bert_finetuning", "05_domain_adaptation"):
        write(tmp_path / f"{name}.ipynb")
    monkeypatch.setattr(notebooks, "folder", lambda: tmp_path)
    return tmp_path


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["04", "4", "bert_finetuning", "bert-finetuning",
                                  "04_bert_finetuning"])  # fmt: skip
def test_a_notebook_is_found_by_number_and_by_name(sequence, name):
    assert [path.stem for path in notebooks.resolve([name])] == ["04_bert_finetuning"]


def test_a_notebook_is_found_by_path(sequence):
    own = write(sequence / "mine.ipynb")
    assert notebooks.resolve([str(own)]) == [own]


def test_no_name_means_all_in_order_and_twice_means_once(sequence):
    everything = [path.stem[:2] for path in notebooks.resolve([])]
    assert everything == ["01", "04", "05"]
    assert len(notebooks.resolve(["4", "04", "bert_finetuning"])) == 1


def test_an_unknown_notebook_is_refused_with_the_nearest(sequence):
    with pytest.raises(UserError, match="did you mean '04_bert_finetuning'"):
        notebooks.resolve(["04_bert_finetunning"])
    with pytest.raises(UserError, match=r"no notebook at 'gone\.ipynb'"):
        notebooks.resolve(["gone.ipynb"])


def test_two_notebooks_that_would_write_the_same_file_are_refused(sequence):
    (sequence / "other").mkdir()
    other = write(sequence / "other" / "04_bert_finetuning.ipynb")
    with pytest.raises(UserError, match="04_bert_finetuning"):
        notebooks.resolve(["04", str(other)])


def test_a_file_that_is_no_notebook_is_refused(tmp_path):
    broken = tmp_path / "broken.ipynb"
    broken.write_text("{]")
    with pytest.raises(UserError, match=r"broken\.ipynb"):
        notebooks.read(broken)


# --- cells of parameters --------------------------------------------------------------------------


def test_literals_are_read_and_computed_values_are_not(tmp_path):
    found = notebooks.literals(notebooks.read(write(tmp_path / "a.ipynb")))
    assert found["SEED"] == 3
    assert found["WORDS"] == ["a#b"]
    assert "HALF" not in found
