import time

import pytest
from traitlets import Int

from workbench.errors import UserError
from workbench.widgets import base


class Counter(base.Shown):
    value = Int()

    def view(self):
        import ipywidgets

        return ipywidgets.VBox()

    def still(self):
        if self.value == 3:
            raise UserError("Three <b>cannot</b> be shown.")
        return {"text/html": f"value {self.value}", "text/plain": ""}


class Handle:
    def __init__(self):
        self.drawn = []

    def update(self, bundle, raw):
        self.drawn.append(bundle["text/html"].split("still")[-1].removesuffix("</div>")[2:])


@pytest.fixture
def handle(monkeypatch):
    """Where a live notebook keeps the picture of what is displayed."""
    handle, shown = Handle(), []
    monkeypatch.setattr(base, "live", lambda: True)
    monkeypatch.setattr(base, "display_view", shown.append)
    monkeypatch.setattr(base, "KEEP_SECONDS", 0.01)
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: handle)
    return handle


def wait_for(handle, last: str) -> None:
    deadline = time.monotonic() + 20
    while not handle.drawn or handle.drawn[-1] != last:
        assert time.monotonic() < deadline, handle.drawn
        time.sleep(0.01)


def test_a_live_notebook_keeps_a_picture_of_the_last_state(handle):
    counter = Counter()
    counter._ipython_display_()
    wait_for(handle, "value 0")
    for counter.value in range(10, 200):
        pass
    wait_for(handle, "value 199")
    assert len(handle.drawn) < 100, "changes that come together are drawn once"


def test_a_picture_that_fails_says_why_and_the_next_is_drawn(handle):
    counter = Counter(value=3)
    counter._ipython_display_()
    wait_for(handle, base.status_line("Three <b>cannot</b> be shown.", "bad"))
    counter.value = 4
    wait_for(handle, "value 4")


def test_an_editor_that_cannot_hide_a_picture_gets_none(handle, monkeypatch):
    monkeypatch.setenv("VSCODE_PID", "1")
    Counter()._ipython_display_()
    time.sleep(0.2)
    assert handle.drawn == []
