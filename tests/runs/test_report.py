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

from workbench import evaluate, runs
from workbench.evaluation import plots
from workbench.runs import pages, report

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


def p_values() -> dict:
    wide = {f"a very wide column of numbers {i}": [0.5] for i in range(12)}
    frame = pd.DataFrame({"ECE": ["0.000", "0.000"], "p (Holm)": ["0.000", "0.200"]})
    html = frame._repr_html_() + pd.DataFrame(wide)._repr_html_()
    return {"text/html": html, "text/plain": repr(frame)}


def scored(root: Path, name: str, right: int, first: int = 0, notebook: str = "04_book"):
    """A run on 200 rows of which the first ones are right."""
    label = ["a", "b"] * 100
    predicted = [x if i < right else "ba"[x == "b"] for i, x in enumerate(label)]
    rows = {"id": map(str, range(first, first + 200)), "text": "t", "label": label,
            "predicted": predicted, "p_a": 0.5, "p_b": 0.5}  # fmt: skip
    frame = pd.DataFrame(rows)
    data = {"source": "shop", "rows": {"test": 200}}
    return runs.load(runs.save(name, notebook=notebook, metrics=evaluate.metrics(frame), data=data,
                               predictions=frame, settings={"model": name}, root=root))  # fmt: skip


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
            code("tests", shown(p_values())),
            new.new_markdown_cell("Before the task.\n\n### Exercise 1: words\n\nCount the words."),
            code("answer_1 = None", tags=["exercise"]),
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
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", body))
    assert body.index("<h1>Fine tuning 微调</h1>") < body.index("<dt>"), "the title comes first"
    assert facts["SEED"] == "7", "what was injected overrides the default"
    assert facts["DATA"] == "reviews"
    assert facts["seconds"] == "12"
    assert facts["date"] == "2026-01-02 03:04 UTC"
    assert "python 3." in re.search(r"<footer>(.*?)</footer>", body)[1]
    assert "SEED = " not in body, "the cells themselves are left out"


def test_review_text_is_shown_as_text_wherever_it_stands(body):
    assert EVIL not in body
    # Banner, Markdown, table, printed line, HTML output, traceback; charts carry it as data.
    assert body.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 6
    html = re.search(r"HTML\(review\).*?class=.code", body.replace("<span></span>", ""), re.DOTALL)[
        0
    ]
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
    cleaned = pages.clean(marked)
    assert '<mark style="background-color:#cfe3ff;">Rome</mark><p>' in cleaned


def test_what_draws_itself_by_scripts_is_shown_by_its_text(body):
    assert "LogisticRegression()" in body
    assert "sk-toggleable" not in body
    assert "Dropdown()" not in body


def test_a_failure_is_said_on_top(body):
    assert body.index("cell 9: ValueError") < body.index("<h1")


def test_solutions_are_folded(body):
    box = re.search(r'<details class="exercise">.*?</details>', body, re.DOTALL)[0]
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
    return text.split("</nav>")[1].split("<script>")[0]


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


def entry(status: str = "passed", error: str | None = None) -> dict:
    return {"status": status, "seconds": 90.0, "error": error, "metrics": {}}


def results(**notebooks) -> dict:
    notebooks = notebooks or {"04_book": entry("failed", f"cell 9: {EVIL}"),
                              "05_gone": entry("interrupted", "stopped")}  # fmt: skip
    return {"parameters": {"SEED": 7, "DATA": EVIL}, "versions": {"python": "3.11"},
            "seconds": 120.0, "notebooks": notebooks}  # fmt: skip


@pytest.fixture(scope="module")
def index(page) -> str:
    for name, right in (("worse", 150), (EVIL, 190), ("worse", 160)):
        scored(page.parent / "runs", name, right)
    (page.parent / "results.json").write_text("{}")  # as `execution.run` leaves it
    return report.write_index(page.parent, results()).read_text(encoding="utf-8")


def test_the_index_opens_with_a_verdict(index):
    verdict = index.split("<h2>")[0]
    assert "On 200 test rows of shop:" in verdict
    assert "<strong>Use &lt;script&gt;alert(1)&lt;/script&gt;.</strong>" in verdict
    assert "What these would have recorded is missing: 04_book, 05_gone." in verdict


def test_the_index_holds_each_model_once_and_nothing_that_runs(index):
    assert EVIL not in index
    assert index.count("<th>worse</th>") == 1
    assert index.count("<s style=") == 2, "its runs are dots"
    links = re.findall(r'href="(runs/[^"]*)"', index)
    assert len(links) == 3
    assert all(link.endswith("/card.html") for link in links)


def test_the_index_lists_notebooks_with_an_abstract_and_facts_at_the_end(index):
    assert 'href="04_book.html">Fine tuning 微调</a>' in index
    assert 'href="05_gone.html"' not in index, "a page that is not there is not linked"
    assert "<p>bold</p>" in index, "the first paragraph, without marks"
    assert "cell 9: &lt;script&gt;" in index
    footer = index.split("<footer>")[1]
    for fact in ("<dd>7</dd>", "<dd>2.0</dd>", "python 3.11"):
        assert fact in footer


def test_a_notebook_is_read_again_only_when_it_has_changed(tmp_path, monkeypatch):
    read, own = [], report._read
    monkeypatch.setattr(report, "_read", lambda path: read.append(path.stem) or own(path))
    for name in ("04_book", "05_book", "05_book"):
        cells = [new.new_markdown_cell(f"# Title {len(read)}")]
        nbformat.write(new.new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
        books = {name: entry() for name in ("04_book", "05_book")}
        html = report.write_index(tmp_path, results(**books)).read_text("utf-8")
    assert read == ["04_book", "05_book", "05_book", "05_book"]
    assert "Title 3" in html


def test_two_test_sets_never_share_a_table(tmp_path):
    scored(tmp_path / "runs", "good", 190)
    scored(tmp_path / "runs", "elsewhere", 199, first=1000)
    html = report.write_index(tmp_path, results(**{"04_book": entry()})).read_text("utf-8")
    one, other = re.findall(r"<table.*?</table>", html, re.DOTALL)
    assert ("good" in one, "elsewhere" in one) == (True, False)
    assert ("good" in other, "elsewhere" in other) == (False, True)


def test_an_index_without_scores_says_so(tmp_path):
    html = report.write_index(tmp_path, results(**{"04_book": entry()})).read_text("utf-8")
    assert "No notebook has recorded a score." in html


# --- a report as a folder, or as files that are sent alone ----------------------------------------


def charted(place: Path, name: str, **options) -> str:
    book = new.new_notebook(
        cells=[new.new_markdown_cell("# One\n\n## Part A\n\ntext"), code("f", shown(chart()))]
    )
    nbformat.write(book, place / f"{name}.ipynb")
    report.write_html(place / f"{name}.ipynb", place / f"{name}.html", **options)
    return (place / f"{name}.html").read_text("utf-8")


def test_a_folder_holds_plotly_once_and_its_pages_lead_back(tmp_path):
    for name in ("a", "b"):
        html = charted(tmp_path, name, single_file=False)
        assert '<script src="plotly.min.js">' in html
        assert '<a href="index.html">' in html
        assert len(html) < 50_000
    assert (tmp_path / "plotly.min.js").stat().st_size > 1_000_000


def test_a_single_file_needs_nothing_beside_it(tmp_path):
    html = charted(tmp_path, "a")
    assert not (tmp_path / "plotly.min.js").exists()
    assert "index.html" not in html.split("<script>")[0]
    assert len(html) > 1_000_000


def test_a_page_has_contents(tmp_path):
    html = charted(tmp_path, "a", single_file=False)
    assert '<nav><ul><li><a href="#Part-A">Part A</a></li></ul></nav>' in html
    assert 'id="Part-A"' in html


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
    assert tab.locator(".caption").first.inner_text() == EVIL
    assert tab.locator(".modebar-btn[data-title*=Share]").count() == 0
    assert tab.locator(".modebar-btn").count() > 0, "the bar is there, or nothing was tested"
    assert EVIL in tab.locator("table.dataframe").first.inner_text()
    high = "document.querySelector('.main-svg').getBoundingClientRect().height > 300"
    tab.wait_for_function(high)
    tab.get_by_label("show exercises").check()
    tab.locator("details.exercise > summary").click()
    wide = "document.querySelector('details.exercise .main-svg').clientWidth > 400"
    tab.wait_for_function(wide)  # a chart in an opened box has its width
    assert (asked, wrong) == ([], [])


def test_a_page_of_a_folder_asks_for_plotly_alone(browser, tmp_path):
    charted(tmp_path, "a", single_file=False)
    tab, asked, wrong = opened(browser, tmp_path / "a.html")
    tab.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 1")
    assert (asked, wrong) == ([(tmp_path / "plotly.min.js").as_uri()], [])


@pytest.mark.parametrize("scripts", [True, False])
def test_reading_mode_has_neither_code_nor_exercises(browser, page, scripts):
    tab = browser.new_page(java_script_enabled=scripts)
    tab.goto(page.as_uri())
    source, task = tab.get_by_text("figure.show()"), tab.get_by_text("Count the words.")
    assert tab.get_by_text("Before the task.").is_visible()
    assert not source.is_visible()
    assert not task.is_visible()
    assert not tab.get_by_text("Solution", exact=True).is_visible()
    tab.get_by_label("show code").check()
    assert source.is_visible()
    assert not tab.get_by_text("answer_1").is_visible()
    tab.get_by_label("show exercises").check()
    assert task.is_visible()
    assert tab.get_by_text("answer_1").is_visible()
    tab.get_by_label("show code").uncheck()
    assert not source.is_visible()
    assert tab.get_by_text("answer_1").is_visible(), "an exercise is nothing without its code"


def test_a_small_p_is_no_zero(browser, page):
    tab, _, _ = opened(browser, page)
    cells = tab.locator("table.dataframe").nth(1).locator("td").all_inner_texts()
    assert cells == ["0.000", "< 0.001", "0.000", "0.200"], "of the columns of p values alone"


def test_on_paper_nothing_is_cut(browser, page):
    tab, _, _ = opened(browser, page)
    tab.set_viewport_size({"width": 1440, "height": 900})
    tab.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 1")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    tab.emulate_media(media="print")
    right = """() => [...document.querySelectorAll("table, .main-svg")]
      .filter(e => e.checkVisibility()).map(e => e.getBoundingClientRect().width)"""
    widths = tab.evaluate(right)
    assert len(widths) >= 4
    assert max(widths) <= 701, "A4 less its margins"
    tab.emulate_media(media="screen")
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert max(tab.evaluate(right)) > 701


def test_the_index_opens_without_a_request(browser, page, index):
    tab, asked, wrong = opened(browser, page.parent / "index.html")
    assert tab.locator("tr", has_text="worse").locator(".bar i").bounding_box()["width"] > 50
    tab.get_by_role("link", name="1", exact=True).first.click()
    tab.wait_for_function("document.title.includes('alert')")
    tab.get_by_role("link", name="All notebooks").click()
    tab.get_by_role("link", name="Fine tuning").click()
    tab.wait_for_function("document.title.startsWith('Fine')")
    pages_of_it = [url for url in asked if url.endswith(".html")]
    assert (pages_of_it, wrong) == (asked, [])
