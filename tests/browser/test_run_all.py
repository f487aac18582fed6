"""The notebooks as a person runs them: opened in JupyterLab, Run All Cells."""

import re

import nbformat
import pytest

from tests.browser.lab import ROOT

# Notebook 04 takes longest; test_panel.py runs all of it and goes on from there.
NOTEBOOKS = [p for p in sorted((ROOT / "notebooks").glob("*.ipynb")) if p.stem[:2] != "04"]


def sources(path):
    """The number and the text of each cell."""
    return enumerate(cell.source for cell in nbformat.read(path, as_version=4).cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_run_all_ends_without_an_error(lab, path):
    notebook = lab.open(path, {"PROFILE": "smoke"})
    notebook.run_all(timeout=300)
    assert notebook.errors() == []
    for panel in (i for i, source in sources(path) if re.search(r"= await \w*panel$", source)):
        notebook.wait_for(lambda cell=panel: notebook.points(cell) > 0)
        assert notebook.button(panel, "Train again").is_enabled()
    saved = nbformat.read(notebook.path, as_version=4)
    code = [c for c in saved.cells if c.cell_type == "code" and c.source.strip()]
    assert [c.source for c in code if c.execution_count is None] == []
