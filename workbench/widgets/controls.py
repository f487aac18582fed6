"""Boxes of controls: tied to a state, with their own keys, and a word while the kernel is busy."""

from collections.abc import Callable
from functools import partial

from workbench.widgets import base

NAME = "workbench-keys"


def box(*children, **layout):
    """The children below each other; their controls get every key pressed in them.

    What is turned while a cell runs reaches the kernel when that has ended, and the box says so.
    (JupyterLab sends it to a subshell, which could take it at once; ipykernel 7.4 hands it back to
    the shell in which the widget was made.)
    """
    from workbench.widgets.anywidgets import Keys

    helper = Keys(layout={"order": "-1"})  # shown first
    helper.on_msg(lambda *_: helper.send({}))
    whole = base.toolkit().VBox([*children, helper], layout=layout)
    whole.add_class(NAME)
    return whole


def row(*children):
    """The children beside each other, in several lines where one is too narrow."""
    return base.toolkit().HBox(children, layout={"flex_flow": "row wrap"})


def button(name: str, tooltip: str, work: Callable, line, **traits):
    """A button that calls `work`; an error of it is shown in `line`, an HTML widget."""
    made = base.toolkit().Button(description=name, tooltip=tooltip, **traits)
    made.on_click(base.guarded(lambda _: work(), line))
    return made


def bind(fields: dict, state: Callable, change: Callable, line) -> Callable:
    """Tie controls to a state; returns a function that sets them to it.

    Parameters
    ----------
    fields : the controls by name.
    state : returns the values of the controls by name, and the options of those that have others.
    change : called with name and value when a person has changed a control. What it raises is
        shown in `line`, an HTML widget, and the controls go back to the state.
    """
    setting = []  # not empty while they are set, as setting options chooses the first for a moment

    def show(_=None) -> None:
        values, options = state()
        setting.append(True)
        try:
            for name, offered in options.items():
                if fields[name].options != tuple(offered):
                    fields[name].options = offered
            for name, value in values.items():
                fields[name].value = value
        finally:
            setting.pop()

    def turned(name: str, event) -> None:
        if setting:
            return
        try:
            change(name, event["new"])
        except Exception as error:
            line.value = base.status_line(base.error_message(error), "bad")
            show()

    for name, field in fields.items():
        field.observe(partial(turned, name), "value")
    return show
