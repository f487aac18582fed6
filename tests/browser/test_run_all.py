"""The notebooks as a person runs them: opened in JupyterLab, Run All Cells."""

import nbformat
import pytest

from tests.browser.lab import ROOT

# Notebook 04 takes longest; test_panel.py runs all of it and goes on from there.
NOTEBOOKS = [p for p in sorted((ROOT / "notebooks").glob("*.ipynb")) if p.stem[:2] != "04"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_run_all_ends_without_an_error(lab, path):
    notebook = lab.open(path, {"PROFILE": "smoke"})
    notebook.run_all(timeout=300)
    assert notebook.errors() == []
    saved = nbformat.read(notebook.path, as_version=4)
    code = [c for c in saved.cells if c.cell_type == "code" and c.source.strip()]
    assert [c.source for c in code if c.execution_count is None] == []
