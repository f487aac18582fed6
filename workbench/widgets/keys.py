"""What a box of controls needs from JupyterLab: its keys, and a word while the kernel is busy."""

NAME = "workbench-keys"


def capture(box):
    """The same box, whose controls get every key that is pressed in them, and say that they wait.

    What is turned while a cell runs reaches the kernel when that has ended. (JupyterLab sends it to
    a subshell, which could take it at once; ipykernel 7.4 hands it back to the shell in which the
    widget was made.)
    """
    from workbench.widgets.anywidgets import Keys

    helper = Keys(layout={"order": "-1"})  # shown first
    helper.on_msg(lambda *_: helper.send({}))
    box.add_class(NAME)
    box.children = (*box.children, helper)
    return box
