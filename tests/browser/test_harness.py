"""What the browser tests rest on: errors, clicks, curves and requests are seen as what they are."""

import pytest

CURVE = """
import plotly.graph_objects as go
from workbench.evaluation import plots
plots.use()
go.Figure(go.Scatter(y=[1, 2, 3]))
"""
BUTTON = """
import ipywidgets as w
button, field = w.Button(description="Go"), w.Text(description="Name")
kind, answer = w.Dropdown(description="Kind", options=["good", "bad"]), w.HTML("nothing yet")
def go(_): answer.value = f"{field.value} is {kind.value}"
button.on_click(go)
w.VBox([field, kind, button, answer])
"""


def test_cells_print_fail_and_draw_and_the_file_holds_it(lab):
    notebook = lab.open(["print(6 * 7)", "1 / 0", CURVE])
    for cell in range(3):
        notebook.run(cell)
    assert notebook.text(0).strip() == "42"
    assert notebook.outputs(0)[0].text == "42\n"
    assert notebook.errors() == ["cell 1: ZeroDivisionError: division by zero"]
    notebook.wait_for(lambda: notebook.points(CURVE) == 3)
    assert notebook.shot(CURVE, "harness").stat().st_size > 2000

    again = notebook.reopened()
    again.wait_for(lambda: again.points(CURVE) == 3)
    assert again.text(0).strip() == "42"


def test_widgets_are_clicked_typed_in_and_chosen_from(lab):
    notebook = lab.open([BUTTON])
    notebook.run_all()
    notebook.type(0, "Name", "Ann <b>")
    notebook.choose(0, "Kind", "bad")
    notebook.button(0, "Go").click()
    notebook.wait_for(lambda: "is bad" in notebook.text(0))


def test_a_file_is_chosen(lab, tmp_path):
    source = "import ipywidgets as w; up = w.FileUpload(description='Your file'); up"
    notebook = lab.open([source, "print(up.value[0].name, bytes(up.value[0].content))"])
    notebook.run(0)
    (tmp_path / "own.csv").write_text("text,label\n")
    notebook.upload(0, "Your file", tmp_path / "own.csv")
    notebook.wait_for(lambda: "(1)" in notebook.text(0))
    notebook.run(1)
    assert notebook.text(1).strip() == "own.csv b'text,label\\n'"


def test_a_running_cell_is_interrupted_and_the_kernel_restarted(lab):
    notebook = lab.open(["x = 1\nimport time; print('on'); time.sleep(60)", "print(x)"])
    notebook.run(0, wait=False)
    notebook.wait_for(lambda: "on" in notebook.text(0))
    notebook.interrupt()
    notebook.idle(30)
    assert notebook.errors()[0].startswith("cell 0: KeyboardInterrupt")
    notebook.run(1)
    assert notebook.text(1).strip() == "1"
    notebook.restart()
    notebook.run(1)
    assert "cell 1: NameError: name 'x' is not defined" in notebook.errors()


def test_parameters_are_replaced(lab, tmp_path):
    import nbformat

    cell = nbformat.v4.new_code_cell("A = 1\nB = [\n    2,\n]  # many\nC = 3")
    cell.metadata["tags"] = ["parameters"]
    notebook = lab.open([cell, "print(A, B, C)"], {"B": "two", "C": 4})
    notebook.run_all()
    assert notebook.text(1).strip() == "1 two 4"
    with pytest.raises(AssertionError, match="no such"):
        lab.open([cell], {"D": 1})


def test_what_would_leave_the_machine_is_stopped_and_counted(lab):
    notebook = lab.open(["1"])
    notebook.js("fetch('https://example.org/a').catch(() => 0)")
    notebook.js("{ new WebSocket('wss://example.org/b') }")
    notebook.js("{ setTimeout(() => { throw Error('from a page') }) }")
    notebook.wait_for(lambda: len(lab.complaints()) == 4)
    assert lab.requests == ["https://example.org/a", "wss://example.org/b"]
    assert any("ERR_FAILED" in message for message in lab.messages)
    assert "exception: from a page" in lab.messages
    lab.requests.clear()
    lab.messages.clear()


def test_the_kernel_cannot_leave_it_either(lab):
    notebook = lab.open(["import urllib.request as u; u.urlopen('http://example.org')"])
    notebook.run_all()
    assert "blocked in tests" in notebook.errors()[0]


def test_both_themes(lab):
    def ground(notebook):
        return notebook.js("getComputedStyle(document.body).getPropertyValue('--jp-layout-color1')")

    grounds = [ground(lab.open(["1"], theme=theme)).strip() for theme in ("Dark", "Light")]
    assert grounds[0] != grounds[1]
