"""Executed notebooks as HTML that opens from a disk or a mail, without a network."""

import json
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from workbench import files
from workbench.runs import cards, folders, notebooks, pages, standings

CHART = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
PARAMETERS = ("parameters", "injected-parameters")
# Formulas as JupyterLab and GitHub find them: not in code, and "$5 or $6" is money.
FORMULA = re.compile(
    r"(?P<code>```.*?```|`[^`]*`)|\$\$(?P<block>.+?)\$\$"
    r"|(?<![\\$\w])\$(?P<inline>[^\s$](?:[^$\n]*[^\s$])?)\$(?![\w$])", re.DOTALL)  # fmt: skip
PLAIN = re.compile(r'<span class="(?:n|nn|n[bcf]|p|o|w)">([^<]*)</span>')  # has no style of its own
HEADING = re.compile(r"^#+\s+(.+?)\s*#*$", re.MULTILINE)
SECTION = re.compile(r'<h2 id="([^"]*)">(.*?)<a class="anchor-link"')


def write_html(
    executed: str | Path, html_path: str | Path, entry: dict | None = None, *,
    single_file: bool = True,
) -> None:  # fmt: skip
    """Write the page of a notebook, which opens without a network.

    Charts are drawn from their data, formulas are MathML; what brings scripts is shown as text.

    Parameters
    ----------
    executed : an ``.ipynb`` with its outputs; one that was cut off gives a page that says so.
    entry : what ``results.json`` says of it; a failure is shown at the top.
    single_file : whether the page holds plotly; else ``plotly.min.js`` lies beside it, once for a
        whole report, to whose ``index.html`` the page leads back.
    """
    from jinja2 import FileSystemLoader
    from nbconvert import HTMLExporter

    executed, html_path = Path(executed), Path(html_path)
    notebook = _read(executed)
    page = {"title": _title(notebook) or executed.stem, "style": pages.template("report.css"),
            "facts": _facts(notebook), "versions": _in_words(folders.versions()),
            "entry": entry or {}, "home": "" if single_file else "index.html"}  # fmt: skip
    _prepare(notebook)
    exporter = HTMLExporter(
        template_name="basic",
        template_file="page.html.j2",
        extra_loaders=[FileSystemLoader(pages.TEMPLATES)],
        require_js_url="",
        mathjax_url="",
        mermaid_js_url="",
        sanitize_html=True,
    )
    exporter.register_filter("clean_html", pages.clean)
    exporter.register_filter("embedded", _embedded)
    exporter.register_filter("light", lambda code: PLAIN.sub(r"\1", code))
    html, _ = exporter.from_notebook_node(notebook, {"page": page})
    sections = [(anchor, name) for anchor, name in SECTION.findall(html) if name != "Exercises"]
    links = "".join(f'<li><a href="#{anchor}">{name}</a></li>' for anchor, name in sections)
    html = html.replace("<nav></nav>", f"<nav><ul>{links}</ul></nav>", 1)
    # The exporter parses the page once more: five megabytes of plotly.js come in after that.
    files.write(html_path, html + _scripts(html, None if single_file else html_path.parent))


def write_index(out: str | Path, results: dict, with_cards: bool = True) -> Path:
    """Write ``index.html`` beside the pages, and a card into each run that a notebook recorded.

    Parameters
    ----------
    out : the folder of the report; its runs lie in ``runs``.
    results : what stands in ``results.json``.
    with_cards : False while other notebooks are still to come, as a card compares them all.
    """
    out, entries = Path(out), results["notebooks"]
    runs = folders.list_runs(out / "runs")
    sets = standings.test_sets([run for run in runs if run.info["notebook"] in entries])
    if with_cards:
        cards.write(sets)
    books = {}
    for name, entry in entries.items():
        path = out / f"{name}.ipynb"
        books[name] = entry | _about(path, path.stat().st_mtime_ns if path.exists() else 0)
    html = pages.render(
        "index.html.j2", title="Workbench report", sets=sets, notebooks=books,
        unknown=standings.unknown(sets, entries),
        pages={p.stem for p in out.glob("*.html")}, versions=_in_words(results["versions"]),
        cards=with_cards,
        facts=results["parameters"] | {"minutes": f"{results['seconds'] / 60:.1f}"},
    )  # fmt: skip
    files.write(out / "index.html", html + "</body></html>")
    return out / "index.html"


def write_sweep(out: str | Path, found: list, failed: dict[str, str]) -> Path:
    """Write the page of a sweep: scores over seeds, cost beside quality, pairs, what failed.

    Both tables of `over_seeds` stand beside it, as ``scores.csv`` and ``tests.csv``.

    Parameters
    ----------
    found : its runs.
    failed : the errors of others, by the names of their folders.
    """
    from workbench.evaluation import plots, seeds

    plots.use()
    out, (scores, tests) = Path(out), seeds.over_seeds(found)
    files.write(out / "scores.csv", scores.to_csv(index=False))
    files.write(out / "tests.csv", tests.to_csv(index=False))
    page = pages.render(
        "sweep.html.j2", title=f"Sweep {out.name}", verdict=_verdict(scores, tests),
        scores=scores.to_dict("records"), tests=tests.to_dict("records"), failed=failed,
        figure=_embedded(json.loads(plots.cost_and_quality(scores).to_json())),
        versions=_in_words(folders.versions()),
    )  # fmt: skip
    files.write(out / "index.html", page + _scripts(page))
    return out / "index.html"


def _verdict(scores, tests) -> str:
    """Which model has the highest mean, and which others may be as good."""
    means = scores.groupby("model", sort=False)["accuracy"].mean().sort_values(ascending=False)
    runs, data = int(scores["seeds"].sum()), scores["data"].nunique()
    best = f"{runs} runs on {data} data set{'s' * (data > 1)}. "
    best += f"{means.index[0]} has the highest mean accuracy, {means.iloc[0]:.3f}."
    level = tests.query("a == @means.index[0] and p_adjusted >= 0.05")["b"]
    others = f" Not told apart from it: {'; '.join(level)}." if len(level) else ""
    return best + others


def _read(path: Path):
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except Exception:  # the process was killed while it wrote, or before
        note = "The executed notebook was not written to its end; run it again."
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(note)])


def _title(notebook) -> str | None:
    source = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    heading = HEADING.search(source)
    return re.sub(r"[*_`]", "", heading[1]) if heading else None


@lru_cache(maxsize=100)
def _about(path: Path, written: int) -> dict[str, str]:
    """Title and abstract of a notebook, which is read once for each time that it was `written`."""
    notebook = _read(path)
    return {"title": _title(notebook) or path.stem, "abstract": _abstract(notebook)}


def _abstract(notebook) -> str:
    """The first paragraph of the first cell of text."""
    source = next((c.source for c in notebook.cells if c.cell_type == "markdown"), "")
    paragraphs = [p for p in HEADING.sub("", source).split("\n\n") if p.strip()]
    return re.sub(r"[*`]", "", paragraphs[0]).strip() if paragraphs else ""


def _facts(notebook) -> dict[str, object]:
    facts = {}
    for tag in PARAMETERS:
        facts |= notebooks.literals(notebook, tag)
    facts = {name: value for name, value in facts.items() if value not in ("", {}, None)}
    ran = notebook.metadata.get("papermill", {})
    if ran.get("duration") is not None:
        facts["seconds"] = f"{ran['duration']:.0f}"
    if ran.get("start_time"):
        facts["date"] = ran["start_time"][:16].replace("T", " ") + " UTC"
    return facts


def _prepare(notebook) -> None:
    """Leave out what the page says on top, papermill's own marks, and controls."""
    unwanted = {*PARAMETERS, "papermill-error-cell-tag"}
    notebook.cells = [c for c in notebook.cells if not unwanted & {*c.metadata.get("tags", [])}]
    titled = next((c for c in notebook.cells if c.cell_type == "markdown"), None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if WIDGET not in o.get("data", {})]
            for output in cell.outputs:
                _prefer_text(output.get("data", {}))
        else:
            source = HEADING.sub("", cell.source, count=1) if cell is titled else cell.source
            cell.source = FORMULA.sub(_mathml, source)


def _mathml(found: re.Match) -> str:
    """A formula as MathML, which browsers typeset without a script; code as it is."""
    from latex2mathml import converter

    with suppress(Exception):  # every kind of mistake has a class of its own
        return found["code"] or converter.convert(found[found.lastgroup], display=found.lastgroup)
    return found[0]


def _prefer_text(bundle: dict) -> None:
    # A table survives the loss of its style; what draws itself by a script does not. A text such
    # as "<IPython…HTML object>" says nothing.
    html, text = ("".join(bundle.get(f"text/{kind}", "")) for kind in ("html", "plain"))
    styled = "<style" in html and "<table" not in html
    if ("<script" in html or styled) and text and not text.startswith("<"):
        del bundle["text/html"]
    bundle.pop("application/javascript", None)


def _embedded(figure: dict) -> str:
    # Inside a script element only "<" could end it.
    return json.dumps(figure).replace("<", "\\u003c")


def _in_words(versions: dict) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _scripts(html: str, folder: Path | None = None) -> str:
    """What draws the charts; plotly as a file in `folder` where one is given."""
    plotly = ""
    if 'class="figure"' in html:
        from plotly.offline import get_plotlyjs

        plotly = "<script>" + ("" if folder else get_plotlyjs()) + "</script>"
        if folder:
            plotly = '<script src="plotly.min.js"></script>'
            if not (folder / "plotly.min.js").exists():
                files.write(folder / "plotly.min.js", get_plotlyjs())
    return f"{plotly}<script>{pages.template('report.js')}</script></body></html>"
