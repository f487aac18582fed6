"""The notebooks as a person runs them: opened in JupyterLab, Run All Cells."""

import re

import nbformat
import pytest

from tests.browser.lab import ROOT
from tests.conftest import REAL_DATA

# These are run by test_widgets.py and test_panel.py, which go on from there.
ELSEWHERE = ("03_perceptron", "04_bert_finetuning")
STEMS = sorted(p.stem for p in (ROOT / "notebooks").glob("*.ipynb"))


# The public corpus of each, where there are any; `tests/sequence` takes the bundled texts.
CORPORA = {
    "01_preprocessing": {"DATA": "trec"},
    "03_perceptron": {"DATA": "sst2"},
    "04_bert_finetuning": {"DATA": "sst2"},
    "05_domain_adaptation": {"DATA": "amazon"},
    "06_evaluation": {"DATA": "trec"},
    "07_beyond_classification": {"DATA": "wikiann_en", "PAIRS": "multi30k"},
}


def run_all(lab, stem: str):
    """Run All Cells in a notebook: every cell runs, none fails, every panel has trained."""
    path = ROOT / "notebooks" / f"{stem}.ipynb"
    corpora = CORPORA.get(stem, {}) if REAL_DATA.is_dir() else {}
    corpora = {name: str(REAL_DATA / folder) for name, folder in corpora.items()}
    notebook = lab.open(path, {"PROFILE": "smoke"} | corpora)
    notebook.run_all(timeout=600)
    assert notebook.errors() == []
    sources = enumerate(cell.source for cell in nbformat.read(path, as_version=4).cells)
    for panel in (i for i, source in sources if re.search(r"= await \w*panel$", source)):
        notebook.wait_for(lambda cell=panel: notebook.points(cell) > 0)
        again = notebook.button(panel, "Train again")
        notebook.wait_for(again.is_enabled)
    saved = nbformat.read(notebook.path, as_version=4)
    code = [c for c in saved.cells if c.cell_type == "code" and c.source.strip()]
    assert [c.source for c in code if c.execution_count is None] == []
    return notebook


@pytest.mark.parametrize("stem", [stem for stem in STEMS if stem not in ELSEWHERE])
def test_run_all_ends_without_an_error(lab, stem):
    run_all(lab, stem)
