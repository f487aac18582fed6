import sys

import ipywidgets
import pytest
from traitlets import Int

from workbench.errors import UserError
from workbench.widgets import base, controls


def test_a_box_keeps_its_controls_and_gets_a_helper():
    button = ipywidgets.Button()
    box = controls.box(button, max_width="9em")
    assert box.layout.max_width == "9em"
    first, helper = box.children
    assert first is button
    assert controls.NAME in box._dom_classes
    assert f".{controls.NAME}" in helper._esm


@pytest.mark.parametrize("package", ["anywidget", "ipywidgets"])
def test_a_missing_package_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match="pip install ipywidgets anywidget"):
        base.toolkit()


class Speed(base.Shown):
    most = Int(5)
    value = Int(1)


def test_controls_and_state_follow_each_other():
    speed, line, heard = Speed(), ipywidgets.HTML(), []
    fields = {"value": ipywidgets.Dropdown(options=[1]), "note": ipywidgets.Text()}

    def change(name, value):
        heard.append((name, value))
        if name == "note":
            raise UserError("No <notes>.")
        speed.value = value

    def state():
        return {"value": speed.value, "note": "of the state"}, {"value": range(1, speed.most + 1)}

    show = controls.bind(fields, state, change, line)
    speed.observe(show)
    show()
    assert fields["value"].options == (1, 2, 3, 4, 5)
    fields["value"].value = 4
    speed.value, speed.most = 5, 9
    assert (fields["value"].value, heard) == (5, [("value", 4)]), "what is shown is no change"
    fields["note"].value = "of a person"
    assert "✗ No &lt;notes&gt;." in line.value
    assert fields["note"].value == "of the state"
    fields["value"].value = 9
    assert (speed.value, heard[1:]) == (9, [("note", "of a person"), ("value", 9)])


def test_a_message_of_a_box_is_answered(monkeypatch):
    *_, helper = controls.box().children
    sent = []
    monkeypatch.setattr(helper, "send", sent.append)
    helper._handle_custom_msg({}, [])
    assert sent == [{}]
