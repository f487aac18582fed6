"""The six notebooks as a person runs them: opened in JupyterLab, Run All Cells."""

import nbformat
import pytest

from tests.browser.lab import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_run_all_ends_without_an_error(lab, path):
    notebook = lab.open(path, {"PROFILE": "smoke"})
    notebook.run_all(timeout=300)
    assert notebook.errors() == []
    saved = nbformat.read(notebook.path, as_version=4)
    code = [c for c in saved.cells if c.cell_type == "code" and c.source.strip()]
    assert [c.source for c in code if c.execution_count is None] == []
