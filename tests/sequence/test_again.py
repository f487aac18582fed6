"""Every notebook on a file of one's own, and again on another in the same kernel."""

import copy
import os
import re
import sys
from functools import cache
from pathlib import Path

import nbformat
import pytest
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient

from benchmarks import verdicts
from tests.sequence.helpers import STEMS, complaints, many_classes, printed, tagged
from workbench import runs
from workbench.runs import notebooks
from workbench.runs.report import write_html


def own_file(folder: Path) -> Path:
    """Other column names, three classes, a BOM, quoted line breaks, markup in the text."""
    words = {"praise": "superb bright loved", "blame": "awful broken hated", "shrug": "so so plain"}
    lines = ["Kommentar;Urteil"]
    for i in range(60):
        for label, vocabulary in words.items():
            chosen = vocabulary.split()[i % 3]
            lines.append(
                f'"item {i} was\n{chosen} <script>alert({i})</script> {label[0]}{i}";{label}'
            )
    (folder / "own.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    return folder / "own.csv"


class OwnKernel(AsyncKernelManager):
    """A kernel of this interpreter, whatever ``python3`` is on this machine."""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        )


def work_through(stem: str, folder: Path, others: list[str]) -> tuple[list, list]:
    """Run a notebook on one file; choose another, and run again what stands below the picker.

    `others` are the folders of checkpoints that notebook 04 looks at beside its own.

    Returns
    -------
    The cells as they were after the first time, and after the second.
    """
    folder.mkdir(exist_ok=True)
    notebook = nbformat.read(notebooks.resolve([stem])[0], as_version=4)
    (parameters,) = tagged(notebook, "parameters")
    parameters.source += (
        f"\nDATA, TEXT_COLUMN, LABEL_COLUMN = {str(own_file(folder))!r}, 'Kommentar', 'Urteil'"
        f"\nPROFILE, OTHERS = 'smoke', {others}"
    )
    # Notebook 05 needs domains, and enough of each class in them.
    many = many_classes(folder, *((20, 2) if stem[:2] == "05" else (150, 1)))
    choose = f"picker.choose(source={str(many)!r})"
    picker = next(i for i, c in enumerate(notebook.cells) if "widgets.DataPicker" in c.source)
    environment = os.environ | {"WORKBENCH_RUNS": str(folder / "runs"), "OMP_NUM_THREADS": "1"}
    client = NotebookClient(notebook, kernel_manager_class=OwnKernel, store_widget_state=False)
    with client.setup_kernel(env=environment, cwd=str(folder)):
        for i, cell in enumerate(notebook.cells):
            client.execute_cell(cell, i)
        first = copy.deepcopy(notebook.cells)
        notebook.cells[picker].source = choose
        for i, cell in enumerate(notebook.cells[picker:], picker):
            client.execute_cell(cell, i)
    return first, notebook.cells


@pytest.fixture(scope="module")
def worked_through(tmp_path_factory, checkpoint):
    """A function that works through a notebook, once: its folder, and its cells each time."""
    place = tmp_path_factory.mktemp("again")
    others = [str(checkpoint(family)) for family in ("roberta", "gpt2")]
    return cache(lambda stem: (place / stem, *work_through(stem, place / stem, others)))


@pytest.mark.parametrize("stem", STEMS)
def test_every_notebook_runs_on_a_file_and_again_on_another(worked_through, stem):
    """Three classes, then very many: nothing fails or warns, no class is lost, no markup shown."""
    folder, first, second = worked_through(stem)
    assert not complaints(first)
    assert not complaints(second)
    nbformat.write(nbformat.v4.new_notebook(cells=first), folder / "first.ipynb")
    write_html(folder / "first.ipynb", folder / "first.html")
    assert "<script>alert(" not in (folder / "first.html").read_text(encoding="utf-8")
    counts = [run.predictions().filter(regex="^p_").shape[1]
              for run in runs.list_runs(folder / "runs") if run.name == "majority"]  # fmt: skip
    # Notebook 05 needs domains, 07 tags: without them they go on with what is bundled, and say so.
    wanted = {"05": [2, 20], "07": []}.get(stem[:2], [3, 150])
    assert sorted(set(counts)) == wanted


def test_other_encoders_and_decoders_run_from_a_folder(worked_through):
    """A gap is filled by RoBERTa, a text continued by GPT-2."""
    _, first, _ = worked_through(verdicts.NOTEBOOK)
    found = "".join(map(printed, first))
    for family, text in (("roberta", "The film was <mask>."), ("gpt2", "The film was")):
        assert re.search(rf"/{family}\d+: {re.escape(text)} -> \[", found)
