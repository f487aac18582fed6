"""Several trainings in turn: what is trained, how they are stopped, and the table at the end."""

import asyncio
import threading
import time

import pandas as pd
import pytest

from tests.models.test_encoder_classifier import LABELS, TEXTS
from tests.widgets.helpers import controls
from workbench import runs
from workbench.errors import UserError
from workbench.widgets import ModelPicker, TrainingGrid, base

TABLE = pd.DataFrame({"text": TEXTS, "label": LABELS})
RATES = [{"model": "cnn", "epochs": 1, "min_count": 1, "learning_rate": r} for r in (1e-3, 1e-5)]
LONG = [{**settings, "epochs": 10_000} for settings in RATES]


@pytest.fixture(autouse=True)
def own_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path))


def wait(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_grid_ends_in_a_table_of_runs():
    grid = TrainingGrid(RATES, TABLE, TABLE)
    table = grid.run()
    assert table["learning_rate"].tolist() == [1e-3, 1e-5]
    assert "model" not in table, "what is the same everywhere is left out"
    assert ((table["95% from"] <= table["accuracy"]) & (table["accuracy"] <= table["95% to"])).all()
    for _, row in table.iterrows():
        run = runs.load(row["run"])
        assert run.info["settings"]["learning_rate"] == row["learning_rate"]
        assert run.metrics["accuracy"] == row["accuracy"]
    assert (table["seconds"] > 0).all()
    assert len(grid.panel.attempts) == 2
    html = grid.still()["text/html"]
    assert "2 of 2 trainings have ended" in html
    assert "Trained in" in html


def test_awaiting_shows_curves_and_table(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))

    async def cell():
        return await TrainingGrid(RATES, TABLE)

    assert len(asyncio.run(cell())) == 2
    curves, table = shown
    assert "application/vnd.plotly.v1+json" in curves
    assert "2 of 2 trainings" in table["text/html"]


def test_stop_ends_the_one_that_runs_and_those_to_come():
    grid = TrainingGrid(LONG, TABLE)
    thread = threading.Thread(target=grid.run)
    thread.start()
    wait(lambda: len(grid.panel.value) > 3)
    grid.panel.stop()  # as the button does
    thread.join(20)
    assert len(grid.value) == 1
    assert "Stopped" in grid.table().loc[1, "ended"]
    assert len(grid.panel.attempts) == 1


def test_train_again_trains_with_all_settings_again(monkeypatch):
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    grid = TrainingGrid(RATES, TABLE)
    grid.run()
    first = grid.value
    controls(grid.panel.view())["Train again"].click()
    assert grid.start() is grid, "what is under way is not begun again"
    grid.join(20)
    assert [each.settings["learning_rate"] for each in grid.value] == [1e-3, 1e-5]
    assert not set(grid.value) & set(first)
    assert len(grid.panel.attempts) == 4


def test_an_interrupted_cell_stops_the_grid(monkeypatch):
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    grid = TrainingGrid(LONG, TABLE)

    async def cell():
        task = asyncio.ensure_future(_awaited(grid))
        await asyncio.to_thread(wait, lambda: len(grid.panel.value) > 0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cell())
    wait(lambda: len(grid.value) == 1 and not grid.panel.running())


async def _awaited(each):
    return await each


def test_one_that_fails_is_told_and_the_next_begins():
    grid = TrainingGrid([{"model": "cnnn"}, {"model": "naive-bayes"}], TABLE, TABLE)
    table = grid.run()
    assert table["model"].tolist() == ["cnnn", "naive-bayes"]
    assert pd.isna(table.loc[1, "accuracy"])
    assert "did you mean 'cnn'" in table.loc[1, "ended"]
    assert table.loc[2, "accuracy"] > 0.5
    with pytest.raises(UserError, match="nothing to train"):
        TrainingGrid([], TABLE).run()


def test_a_picker_gives_the_settings_when_the_grid_begins():
    picker = ModelPicker("naive-bayes")
    grid = TrainingGrid(picker.grid, TABLE, TABLE)
    view = grid.view()
    assert view.value == ""
    picker.choose(model="logistic")
    grid.run()
    assert "1 of 1 trainings" in view.value
    assert grid.panel.model[-1].__class__.__name__ == "LogisticRegression"
    assert base.escape(str(grid.value[0].run.path)) in view.value
