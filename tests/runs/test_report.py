"""Pages that open from a disk: complete, harmless, and without a single request."""

import os
import re
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import plotly.graph_objects as go
import pytest
from sklearn.linear_model import LogisticRegression

from workbench.evaluation import plots
from workbench.runs import report

EVIL = "<script>alert(1)</script>"
new = nbformat.v4


def shown(data: dict):
    return new.new_output("display_data", data=data)


def code(source: str, *outputs, tags=()):
    return new.new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})


def chart(text: str = EVIL) -> dict:
    figure = go.Figure(go.Scatter(x=[1, 2, 3], y=[3, 1, 2], text=[text] * 3))
    figure.update_layout(title=text)
    return plots.Renderer().to_mimebundle(figure.to_dict())


def table() -> dict:
    frame = pd.DataFrame({"text": [EVIL], "n": [1]})
    return {"text/html": frame._repr_html_(), "text/plain": repr(frame)}


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("page")
    failed = new.new_output("error", ename="ValueError", evalue=EVIL, traceback=[f"Value: {EVIL}"])
    book = new.new_notebook(
        cells=[
            new.new_markdown_cell("# Fine `tuning` 微调\n\n**bold**\n\n|a|b|\n|-|-|\n|1|2|"),
            new.new_markdown_cell(f"{EVIL}\n\n![x](http://example.org/a.png)"),
            code("SEED = 0\nDATA = 'reviews'", tags=["parameters"]),
            code("SEED = 7", tags=["injected-parameters"]),
            code("table", shown(table())),
            code("figure.show()", shown(chart())),
            code("print(review)", new.new_output("stream", name="stdout", text=f"{EVIL} 好评")),
            code("HTML(review)", shown({"text/html": f"<p onclick='alert(2)'>{EVIL}</p>"})),
            code("Javascript()", shown({"application/javascript": "alert(3)", "text/plain": "js"})),
            code("estimator", shown({"text/html": LogisticRegression()._repr_html_(),
                                     "text/plain": "LogisticRegression()"})),
            code("picker", shown({report.WIDGET: {"model_id": "1"}, "text/plain": "Dropdown()"})),
            code("answer = 42  # the solution", shown(chart("in a box")), tags=["solution"]),
            code("fail()", failed),
        ],
        metadata={"papermill": {"duration": 12.3, "start_time": "2026-01-02T03:04:05"}},
    )  # fmt: skip
    nbformat.write(book, place / "04_book.ipynb")
    entry = {"status": "failed", "error": f"cell 9: ValueError: {EVIL}"}
    report.write_html(place / "04_book.ipynb", place / "04_book.html", entry)
    return place / "04_book.html"


@pytest.fixture(scope="module")
def body(page) -> str:
    """The page without the five megabytes of plotly.js."""
    return re.sub(r"<script>.*?</script>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_title_is_the_first_heading(body):
    assert "<title>Fine tuning 微调</title>" in body


def test_parameters_and_circumstances_stand_on_top(body):
    facts = dict(re.findall(r"<tr><th>(.*?)</th><td>(.*?)</td></tr>", body))
    assert facts["SEED"] == "7", "what was injected overrides the default"
    assert facts["DATA"] == "reviews"
    assert facts["seconds"] == "12"
    assert facts["date"] == "2026-01-02 03:04 UTC"
    assert "python 3." in facts["versions"]
    assert "SEED = " not in body, "the cells themselves are left out"


def test_review_text_is_shown_as_text_wherever_it_stands(body):
    assert EVIL not in body
    # Banner, Markdown, table, printed line, HTML output, traceback; charts carry it as data.
    assert body.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 6
    html = re.search(r">HTML<.*?(?=<details)", body, re.DOTALL)[0]
    assert "&lt;script&gt;" in html, "an output is not lost because of what stands in it"
    assert "onclick" not in body
    assert "alert(3)" not in body


def test_markup_of_markdown_and_tables_survives(body):
    assert "<strong>bold</strong>" in body
    assert body.count("<table") >= 3
    assert "<h1" in body
    assert 'class="dataframe"' in body
    assert "dataframe tbody tr th" not in body, "pandas' style is no text"


def test_a_marked_word_keeps_its_colour_and_no_other_style():
    marked = (
        '<mark style="background-color:#cfe3ff;position:fixed">Rome</mark><p style="color:red">'
    )
    cleaned = report._clean(marked)
    assert '<mark style="background-color:#cfe3ff;">Rome</mark><p>' in cleaned


def test_what_draws_itself_by_scripts_is_shown_by_its_text(body):
    assert "LogisticRegression()" in body
    assert "sk-toggleable" not in body
    assert "Dropdown()" not in body


def test_a_failure_is_said_on_top(body):
    assert body.index("cell 9: ValueError") < body.index("<h1")


def test_solutions_are_folded(body):
    box = re.search(r'<details class="solution">.*?</details></details>|<details class="solution">'
                    r".*", body, re.DOTALL)[0]  # fmt: skip
    assert "the solution" in box


def test_a_page_is_small_enough_to_be_mailed(page):
    assert page.stat().st_size < 6_000_000


def test_a_page_without_charts_carries_no_plotly(tmp_path):
    nbformat.write(new.new_notebook(cells=[code("1")]), tmp_path / "a.ipynb")
    report.write_html(tmp_path / "a.ipynb", tmp_path / "a.html")
    assert (tmp_path / "a.html").stat().st_size < 50_000


def test_a_notebook_cut_off_half_way_gives_a_page_that_says_so(tmp_path):
    (tmp_path / "a.ipynb").write_text('{"cells": [')
    report.write_html(tmp_path / "a.ipynb", tmp_path / "a.html", {"status": "interrupted"})
    assert "not written to its end" in (tmp_path / "a.html").read_text(encoding="utf-8")


# --- formulas and figures -----------------------------------------------------------------------


def shown_as(tmp_path: Path, markdown: str) -> str:
    """The body of the page of a notebook with one cell."""
    book = new.new_notebook(cells=[new.new_markdown_cell(markdown)])
    nbformat.write(book, tmp_path / "a.ipynb")
    report.write_html(tmp_path / "a.ipynb", tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    return text.split("</table></div>")[1].split("<script>")[0]


def test_formulas_are_mathml_that_needs_no_script(tmp_path):
    body = shown_as(
        tmp_path, "Loss $L_i$:\n\n$$L = -\\frac{1}{n}\\sum_i \\log p_i < 3$$\n\nand *so* on."
    )
    inline, block = re.findall(r"<math.*?</math>", body)
    assert "<msub><mi>L</mi><mi>i</mi></msub>" in inline
    assert 'display="block"' in block
    assert "<mfrac>" in block
    assert "\\" not in body
    assert "$" not in body
    assert "<em>so</em>" in body


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5, not $6.",
        "`$HOME` and `$PATH`",
        "```\n$a$\n```",
        "\\$1 to \\$2",
        "no $ at all $",
    ],
)
def test_money_and_code_are_no_formulas(tmp_path, text):
    body = shown_as(tmp_path, text)
    assert "<math" not in body
    assert "$" in body


@pytest.mark.parametrize(
    "latex",
    [r"\text{<script>alert(1)</script>}", r"\text{&lt;script&gt;}", r"\left( <b onclick=x>",
     r"\href{javascript:alert(1)}{x}", r"\style{background:url(http://x.org)}{y}"],
)  # fmt: skip
def test_a_formula_brings_no_script(tmp_path, latex):
    body = shown_as(tmp_path, f"${latex}$")
    for bad in ("<script", "<b ", "href", "style="):
        assert bad not in body


def test_a_picture_attached_to_a_cell_is_part_of_the_page(tmp_path):
    cell = new.new_markdown_cell("![a cell](attachment:cell.png)")
    cell["attachments"] = {"cell.png": {"image/png": "iVBORw0KGgo="}}
    nbformat.write(new.new_notebook(cells=[cell]), tmp_path / "a.ipynb")
    report.write_html(tmp_path / "a.ipynb", tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert 'src="data:image/png;base64,iVBORw0KGgo="' in page


# --- the index ----------------------------------------------------------------------------------


def results() -> dict:
    def scores(accuracy: float) -> dict:
        return {"accuracy": accuracy, "accuracy_low": accuracy - 0.1, "n": 99,
                "accuracy_high": accuracy + 0.1, "macro_f1": 0.5, "split": "test",
                "run": "runs/a b"}  # fmt: skip

    def entry(status: str, error: str | None, metrics: dict) -> dict:
        return {"status": status, "seconds": 90.0, "error": error, "metrics": metrics}

    return {
        "parameters": {"SEED": 7, "DATA": EVIL}, "versions": {"python": "3.11"}, "seconds": 120.0,
        "notebooks": {
            "04_book": entry("failed", f"cell 9: {EVIL}",
                             {"worse": scores(0.6), EVIL: scores(0.8), "odd": {"n": 3}}),
            "05_gone": entry("interrupted", "stopped", {}),
        },
    }  # fmt: skip


def test_the_index_lists_notebooks_and_sorts_scores(page):
    html = report.write_index(page.parent, results()).read_text(encoding="utf-8")
    assert 'href="04_book.html"' in html
    assert 'href="05_gone.html"' not in html, "a page that is not there is not linked"
    assert "cell 9: &lt;script&gt;" in html
    assert EVIL not in html
    assert "0.500 to 0.700" in html
    assert html.index("0.800") < html.index("0.600") < html.index("<td>odd")
    assert 'href="runs/a%20b/"' in html
    assert "<td>7</td>" in html
    assert "<td>2.0</td>" in html


def test_scores_of_other_metrics_stand_apart(page):
    many = results()
    many["notebooks"]["05_gone"]["metrics"] = {
        "translator": {"bleu": 31.0, "bleu_low": 26.0, "bleu_high": 36.0, "chrf": 50.0, "n": 8},
        "tagger": {"entity_f1": 0.7, "entity_f1_low": 0.6, "entity_f1_high": 0.9, "n": 9},
        "better": {"entity_f1": 0.9, "n": 9},
    }
    html = report.write_index(page.parent, many).read_text(encoding="utf-8")
    places = [html.index(f"<td>{name}") for name in ("worse", "odd", "better", "tagg", "transl")]
    assert places == sorted(places), "metric after metric, the best first"
    assert "26.000 to 36.000" in html
    assert '<i style="width: 31.0%">' in html
    assert re.search(r"left: 26.0%;\s+width: 10.0%", html), "BLEU goes up to 100"
    assert "0.600 to 0.900" in html


# --- in a browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium")
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


def opened(browser, path: Path):
    """The page in a browser, with what it asked for beyond itself and what went wrong."""
    tab, asked, wrong = browser.new_page(), [], []
    tab.on("request", lambda r: asked.append(r.url) if r.url != path.as_uri() else None)
    tab.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    tab.goto(path.as_uri())
    return tab, [url for url in asked if not url.startswith(("data:", "blob:"))], wrong


def test_a_page_draws_its_charts_and_asks_for_nothing(browser, page):
    tab, asked, wrong = opened(browser, page)
    tab.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 2")
    assert tab.locator(".js-plotly-plot").count() == 2
    values = tab.evaluate("[...document.querySelector('.js-plotly-plot').data[0].y]")
    assert values == [3, 1, 2]
    assert tab.locator(".modebar-btn[data-title*=Share]").count() == 0
    assert tab.locator(".modebar-btn").count() > 0, "the bar is there, or nothing was tested"
    assert EVIL in tab.locator("table.dataframe").inner_text()
    assert tab.locator(".main-svg").first.bounding_box()["height"] > 300
    tab.locator("details.solution > summary").click()
    box = tab.locator("details.solution .main-svg").first
    tab.wait_for_timeout(300)
    assert box.bounding_box()["width"] > 400, "a chart in an opened box has its width"
    assert (asked, wrong) == ([], [])


def test_code_is_folded_until_the_button_is_clicked(browser, page):
    tab, _, _ = opened(browser, page)
    source = tab.get_by_text("figure.show()")
    assert not source.is_visible()
    tab.get_by_role("button", name="show code").click()
    assert source.is_visible()
    tab.get_by_role("button", name="hide code").click()
    assert not source.is_visible()


def test_the_index_opens_without_a_request(browser, page):
    index = report.write_index(page.parent, results())
    tab, asked, wrong = opened(browser, index)
    assert tab.locator("tr", has_text="worse").locator(".bar i").bounding_box()["width"] > 50
    tab.get_by_role("link", name="04_book").click()
    tab.wait_for_function("document.title.startsWith('Fine')")
    assert (asked, wrong) == ([], [])
