"""How everything looks: no word breaks, all text can be read, on paper, telephone and projector."""

import os
import shutil
from pathlib import Path

import nbformat
import pytest

from tests.runs.test_report import code, scored, shown
from workbench.evaluation import plots
from workbench.runs.report import write_html, write_index

# Words of which a part stands in another line, of what is visible below `root`.
BROKEN = """root => {
  const found = [], walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    if (node.parentElement.closest("script, style, option, pre, code, .js-plotly-plot")) continue;
    for (const { 0: word, index } of node.data.matchAll(/[\\w.,%]{2,24}/g)) {
      const range = document.createRange();
      range.setStart(node, index); range.setEnd(node, index + word.length);
      const lines = new Set([...range.getClientRects()].map(r => Math.round(r.top)));
      if (lines.size > 1) found.push(word);
    }
  }
  return found;
}"""
# Texts with less contrast than 4.5 to 1 to what lies behind them, of what is visible below `root`.
PALE = """root => {
  const SKIPPED = "script, style, option, :disabled, .widget-label:has(+ :disabled), .bartext, "
    + ".heatmaplayer, .hoverlayer";
  const rgba = text => text.match(/[\\d.]+/g)?.map(Number) ?? [0, 0, 0, 0];
  const light = rgb => rgb.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if ((colour[3] ?? 1) > 0.9) return colour;
    }
    return [255, 255, 255];
  };
  const found = [], walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility() || element.closest(SKIPPED)) continue;
    const style = getComputedStyle(element);
    const ink = light(rgba(element.closest("svg text") ? style.fill : style.color));
    const pair = [ink, light(ground(element))].sort((a, b) => a - b);
    const ratio = (pair[1] + 0.05) / (pair[0] + 0.05);
    if (ratio < 4.5) found.push(`${node.data.trim().slice(0, 30)}: ${ratio.toFixed(1)}`);
  }
  return [...new Set(found)];
}"""
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
MODELS = ("majority", "naive-bayes", "minilm-gradual", "cnn with word vectors of the encoder")


def opened(lab, path: Path):
    page = lab.context.new_page()
    page.route("file://**", lambda route: route.continue_())
    page.goto(f"file://{path}")
    return page


def picture(page, name: str) -> None:
    if folder := os.environ.get("WORKBENCH_SHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    """A report with scores, a failure, a wide table, a chart and long words."""
    place = tmp_path_factory.mktemp("pages")
    columns = "".join(f"<th>column {i}</th>" for i in range(12))
    cells = "".join(f"<td>{i / 7:.3f}</td>" for i in range(12))
    wide = f"<table><tr><th></th>{columns}</tr><tr><th>unputdownable</th>{cells}</tr></table>"
    figure = {"data": [{"type": "scatter", "x": [1, 2], "y": [3, 1]}]}
    chart = plots.Renderer().to_mimebundle(figure | {"layout": {"template": plots.TEMPLATE}})
    cells = [
        nbformat.v4.new_markdown_cell("# Fine-tuning\n\nA text of the lesson, of some length."),
        nbformat.v4.new_markdown_cell(
            f"## A part\n\n$${'x + ' * 60}y$$\n\n{'|column' * 20}|\n"
            f"{'|-' * 20}|\n{'|unputdownable' * 20}|"
        ),
        code("DATA = 'reviews'\nTEXT_COLUMN = ''", tags=["parameters"]),
        code("table", shown({"text/html": wide, "text/plain": "table"})),
        code("a_long_name = another_long_name.of_a_method(with_an_argument=1)", shown(chart)),
        code(
            "1 / 0", nbformat.v4.new_output("error", ename="E", evalue="no", traceback=["no " * 50])
        ),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), place / "04_bert_finetuning.ipynb")
    entry = {"status": "failed", "seconds": 61.2, "error": "cell 7: ValueError: no such class"}
    write_html(
        place / "04_bert_finetuning.ipynb", place / "04_bert_finetuning.html", entry,
        single_file=False,
    )  # fmt: skip
    for i, name in enumerate((*MODELS, MODELS[0], "upper bound")):
        scored(place / "runs", name, 100 + 17 * i, notebook="04_bert_finetuning")
    write_index(place, {
        "parameters": {"PROFILE": "quick", "DATA": "../data/reviews.csv"}, "seconds": 612.0,
        "versions": dict.fromkeys(("torch", "transformers", "scikit-learn"), "5.23.0"),
        "notebooks": {"04_bert_finetuning": entry | {"metrics": {}}},
    })  # fmt: skip
    shutil.copy(next(place.glob("runs/*gradual/card.html")), place / "card.html")
    return place


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("name", ["index", "04_bert_finetuning", "card"])
def test_a_page_of_the_report_can_be_read(lab, pages, name, width, theme):
    page = opened(lab, pages / f"{name}.html")
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": width, "height": 800})
    page.reload()
    picture(page, f"report-{name}-{width}-{theme}")
    assert page.evaluate(WIDE) <= 0, "the page itself does not scroll to the side"
    assert page.locator("body").evaluate(BROKEN) == []
    assert page.locator("body").evaluate(PALE) == []
    if name == "04_bert_finetuning":
        page.get_by_text("Data", exact=True).click()
        page.locator("details td").nth(2).wait_for()
        assert page.locator("details td").all_inner_texts()[1:3] == ["1", "3"]


@pytest.mark.parametrize("name", ["index", "04_bert_finetuning", "card"])
def test_the_report_on_paper(lab, pages, name):
    page = opened(lab, pages / f"{name}.html")
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 less its margins
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    picture(page, f"report-print-{name}")
    assert page.evaluate(WIDE) <= 0
    assert page.locator("body").evaluate(BROKEN) == []
    assert page.locator("body").evaluate(PALE) == []
    assert page.pdf(format="A4", path=pages / f"{name}.pdf").startswith(b"%PDF")


SHOWN = {
    "data": """
from workbench import data, models, plots, widgets
plots.use()
picker = widgets.DataPicker("reviews")
picker""",
    "model": """
train, validation, test = data.frames(picker.load(), limit=200)
widgets.ModelPicker("minilm", texts=train["text"], labels=train["label"])""",
    "panel": """
panel = widgets.TrainingPanel(models.build("cnn", epochs=3, min_count=1), train, validation)
cnn = await panel""",
    "tried": "widgets.TryIt({'cnn': cnn}, text='an awful film')",
    "board": "from tests.widgets.test_switchboard import quick\nwidgets.Switchboard(quick)",
    "runs": "widgets.RunBrowser()",
}
CELLS = {name: i for i, name in enumerate(SHOWN)}


@pytest.fixture(scope="module")
def scaled(jupyter):
    """All widgets in one notebook, on a screen of 1280 x 720 points at 150%."""
    notebook = jupyter.open(list(SHOWN.values()), name="all-widgets")
    notebook.run_all(timeout=300)
    assert notebook.errors() == []
    return notebook


@pytest.mark.parametrize("theme", ["Light", "Dark"])
@pytest.mark.parametrize(("width", "height"), [(1300, 900), (853, 480)])
def test_widgets_can_be_read(scaled, theme, width, height):
    scaled.page.set_viewport_size({"width": width, "height": height})
    scaled.show_in(theme)
    scaled.js("jupyterapp.shell.collapseLeft()")
    for name, cell in CELLS.items():
        output = scaled.output(cell)
        output.scroll_into_view_if_needed()
        scaled.page.wait_for_timeout(300)

        def readable(name=name, output=output) -> None:
            assert (name, output.evaluate(BROKEN), output.evaluate(PALE)) == (name, [], [])

        scaled.passes(readable, 5)
        scaled.shot(cell, f"{name}-{width}-{theme}")


def test_switch_and_curve_are_on_the_screen_at_once(scaled):
    scaled.page.set_viewport_size({"width": 853, "height": 480})
    scaled.js("jupyterapp.shell.collapseLeft()")
    board = scaled.output(CELLS["board"])
    scaled.page.wait_for_timeout(500)
    slider = board.get_by_role("slider", name="learning rate")
    slider.scroll_into_view_if_needed()
    assert slider.get_attribute("aria-valuetext") == "0.003"
    slider.press("ArrowRight")
    scaled.wait_for(lambda: slider.get_attribute("aria-valuetext") == "0.01")

    def side_by_side() -> None:
        chart = board.locator(".js-plotly-plot").last.bounding_box()
        room = slider.bounding_box()
        assert chart and room, "both are drawn"
        assert chart["x"] > room["x"]
        assert chart["y"] - 60 <= room["y"] <= chart["y"] + chart["height"]
        assert chart["height"] < 370, "what JupyterLab leaves of the screen"

    scaled.passes(side_by_side)
