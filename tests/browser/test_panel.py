"""The training panel as a person meets it: a curve that grows, buttons, interrupts, restarts."""

import re
import time

import nbformat
import pytest

from tests.browser.test_run_all import run_all

CHART = "application/vnd.plotly.v1+json"
# A training of twenty seconds that needs no model: a report every twentieth of a second.
SLOW = """
import time
from workbench import widgets
from workbench.training import stop_event
from workbench.training.history import History

def learn(steps=400):
    history = History()
    for step in range(1, steps + 1):
        stop_event.raise_if_stopped()
        time.sleep(0.05)
        history.log(step=step, steps=steps, epoch=step / 40, loss=1 / step)
    return "learned"

panel = widgets.TrainingPanel(learn)
"""
ALIVE = "print('alive' if panel.running() else 'ended', len(panel.attempts))"


@pytest.fixture
def slow(lab):
    notebook = lab.open([SLOW, "model = await panel\nprint('after', model)", ALIVE, "print(1 + 1)"])
    notebook.run(0)
    return notebook


def drawn(notebook, cell: int | str) -> int:
    """Points of the longest line of the live curve that is no ghost."""
    lines = notebook.output(cell).locator("svg polyline:not([stroke-dasharray])").all()
    return max((len(line.get_attribute("points").split()) for line in lines), default=0)


def legend(notebook, cell: int | str) -> list[str]:
    return notebook.output(cell).locator(".legendtext").all_text_contents()


def wait_for_growth(notebook, cell: int | str, times: int = 3) -> None:
    """Until the curve has been seen longer than before so many times."""
    seen = [drawn(notebook, cell)]
    deadline = time.monotonic() + 60
    while len(seen) <= times:
        assert time.monotonic() < deadline, f"the curve had {seen} points"
        notebook.page.wait_for_timeout(100)
        if (now := drawn(notebook, cell)) > seen[-1]:
            seen.append(now)


def seconds_to_stop(notebook, cell: int | str) -> float:
    notebook.button(cell, "Stop").click()
    begun = time.monotonic()
    notebook.wait_for(lambda: "Stopped" in notebook.text(cell))
    return time.monotonic() - begun


def test_an_awaiting_cell_stops_at_its_button(slow):
    slow.run(1, wait=False)
    wait_for_growth(slow, 1)
    assert seconds_to_stop(slow, 1) < 5
    slow.idle()
    (error,) = slow.errors()
    assert "stopped before anything was learned" in error
    slow.run(2)
    assert slow.text(2).strip() == "ended 1"


def test_the_button_trains_while_other_cells_run(slow):
    slow.run(1, wait=False)
    wait_for_growth(slow, 1, 1)
    slow.button(1, "Stop").click()
    slow.idle()
    slow.button(1, "Train again").click()
    wait_for_growth(slow, 1)
    slow.run(3)
    assert slow.text(3).strip() == "2"
    slow.run(2)
    assert slow.text(2).strip() == "alive 2"
    assert seconds_to_stop(slow, 1) < 5
    # The chart is an output of the cell again, with the attempt before as a ghost.
    slow.wait_for(lambda: slow.points(1, trace=1) > 3)
    slow.wait_for(lambda: legend(slow, 1) == ["attempt 1", "attempt 2: training"])
    slow.run(2)
    assert slow.text(2).strip() == "ended 2"


def test_an_interrupted_cell_ends_its_training(slow):
    slow.run(1, wait=False)
    wait_for_growth(slow, 1, 1)
    slow.interrupt()
    slow.idle()
    assert any("Interrupt" in e or "Cancelled" in e for e in slow.errors())
    slow.run(2)
    assert slow.text(2).strip() == "ended 1"


def test_after_a_restart_the_notebook_trains_as_before(slow):
    slow.run(1, wait=False)
    wait_for_growth(slow, 1, 1)
    slow.restart()
    slow.run(0)
    slow.run(1, wait=False)
    wait_for_growth(slow, 1)
    assert seconds_to_stop(slow, 1) < 5


def test_run_all_past_a_running_panel_waits_for_the_new_training(slow):
    slow.run(1, wait=False)
    wait_for_growth(slow, 1, 1)
    slow.button(1, "Stop").click()
    slow.idle()
    slow.button(1, "Train again").click()
    wait_for_growth(slow, 1, 1)
    slow.run_all(timeout=180)
    assert slow.errors() == []
    assert "after learned" in slow.text(1)
    assert slow.text(2).strip() == "ended 1", "the panel is new, and the old training was stopped"


def test_the_curve_is_still_there_after_closing_and_reopening(lab):
    cells = [SLOW.replace("steps=400", "steps=40"), "model = await panel"]
    notebook = lab.open(cells)
    notebook.run_all()
    notebook.wait_for(lambda: notebook.points(1) == 40)
    widget, _, chart = notebook.outputs(1)
    assert "application/vnd.jupyter.widget-view+json" in widget.data
    assert chart.data["application/vnd.plotly.v1+json"]["data"]
    assert notebook.path.stat().st_size < 1_000_000
    lab.messages.clear()
    again = notebook.reopened()
    again.wait_for(lambda: again.points(1) == 40)
    again.wait_for(lambda: "Trained in" in again.text(1))
    assert "Error displaying widget" not in again.text(1)
    # What JupyterLab says of a widget whose kernel is gone is not ours to change.
    lab.messages[:] = [m for m in lab.messages if "widget" not in m.lower()]


def without_pictures(notebook) -> int:
    """Bytes of the saved file, less the PNG that JupyterLab's plotly adds to every chart.

    These grow with the window and cannot be switched off; in notebook 04 they are 0.85 MB.
    """
    document = nbformat.read(notebook.save(), as_version=4)
    for cell in document.cells:
        for output in cell.get("outputs", []):
            if CHART in output.get("data", {}):
                output.data.pop("image/png", None)
    return len(nbformat.writes(document))


def test_notebook_04_is_trained_stopped_and_trained_again(lab, tmp_path):
    notebook = run_all(lab, "04_bert_finetuning")
    picker, panel = "picker = widgets.ModelPicker", "panel = widgets.TrainingPanel"
    notebook.choose(picker, "Strategy", "gradual")
    notebook.type(picker, "Epochs", "40")
    notebook.button(panel, "Train again").click()
    wait_for_growth(notebook, panel)
    assert seconds_to_stop(notebook, panel) < 5
    stopped = r"Stopped after \d+ steps; the weights of"
    notebook.wait_for(lambda: re.search(stopped, notebook.text(panel)))
    notebook.run("tuned, chosen =")
    assert re.search(r"minilm-gradual: 0\.\d+ of", notebook.text("tuned, chosen ="))
    notebook.wait_for(lambda: notebook.points(panel, trace=3) >= 3)
    notebook.wait_for(lambda: "gradual, 40 epochs: training" in legend(notebook, panel))
    first = legend(notebook, panel)[0]
    assert first.startswith("full, 4 epochs"), "the attempt before, by its settings"
    assert without_pictures(notebook) < 500_000

    # Another file, and the next cells again, as the text under the picker says.
    rows = [
        f"text {i} of {kind},{kind}" for i in range(30) for kind in ("praise", "blame", "shrug")
    ]
    (tmp_path / "own.csv").write_text("\n".join(["text,label", *rows]))
    notebook.upload("picker = widgets.DataPicker", "Choose a file", tmp_path / "own.csv")
    notebook.wait_for(lambda: "shrug" in notebook.text("picker = widgets.DataPicker"))
    for cell in ("corpus = picker.load()", "checkpoint = model_picker", "data.summary(**splits)",
                 "def count_tokens", "def within", "budgets ="):  # fmt: skip
        notebook.run(cell)
    assert notebook.errors() == []
    assert re.search(r"Used: \d+ training", notebook.text("budgets ="))
