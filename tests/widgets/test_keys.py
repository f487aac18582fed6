import sys

import ipywidgets
import pytest

from workbench.widgets import keys


@pytest.fixture(autouse=True)
def afresh():
    keys._kind.cache_clear()
    yield
    keys._kind.cache_clear()


def test_a_box_keeps_its_controls_and_gets_a_hidden_helper():
    button = ipywidgets.Button()
    box = ipywidgets.VBox([button])
    assert keys.capture(box) is box
    first, helper = box.children
    assert first is button
    assert helper.layout.display == "none"
    assert keys.NAME in box._dom_classes
    assert f".{keys.NAME}" in helper._esm


def test_without_anywidget_the_box_stays_as_it_is(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    box = ipywidgets.VBox([ipywidgets.Button()])
    assert len(keys.capture(box).children) == 1
