"""Keys that reach a widget: JupyterLab takes arrows, Enter and letters for commands of its own."""

NAME = "workbench-keys"


def capture(box):
    """The same box, whose controls get every key that is pressed in them."""
    from workbench.widgets.anywidgets import Keys

    box.add_class(NAME)
    box.children = (*box.children, Keys(layout={"display": "none"}))
    return box
