import sys

import ipywidgets
import pytest

from workbench.errors import UserError
from workbench.widgets import base, keys


def test_a_box_keeps_its_controls_and_gets_a_helper():
    button = ipywidgets.Button()
    box = ipywidgets.VBox([button])
    assert keys.capture(box) is box
    first, helper = box.children
    assert first is button
    assert keys.NAME in box._dom_classes
    assert f".{keys.NAME}" in helper._esm


@pytest.mark.parametrize("package", ["anywidget", "ipywidgets"])
def test_a_missing_package_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match="pip install ipywidgets anywidget"):
        base.toolkit()


def test_a_message_of_a_box_is_answered(monkeypatch):
    *_, helper = keys.capture(ipywidgets.VBox()).children
    sent = []
    monkeypatch.setattr(helper, "send", sent.append)
    helper._handle_custom_msg({}, [])
    assert sent == [{}]
