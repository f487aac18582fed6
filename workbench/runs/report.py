"""Executed notebooks as HTML that opens from a disk or a mail, without a network."""

import json
import re
from contextlib import suppress
from pathlib import Path

from workbench.evaluation.scores import METRICS, main_metric
from workbench.runs import files, folders, notebooks

TEMPLATES = Path(__file__).parent / "templates"
CHART = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
PARAMETERS = ("parameters", "injected-parameters")
TAGS = {
    "a", "abbr", "b", "blockquote", "br", "caption", "code", "dd", "del", "details", "div", "dl",
    "dt", "em", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img",
    "kbd", "li", "mark", "ol", "p", "pre", "s", "small", "span", "strong", "sub", "summary", "sup",
    "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul", "math", "mfrac", "mi", "mn",
    "mo", "mover", "mrow", "mspace", "msqrt", "msub", "msubsup", "msup", "mtable", "mtd", "mtext",
    "mtr", "munder", "munderover",
}  # fmt: skip
ATTRIBUTES = {"class", "id", "title", "colspan", "rowspan", "open", "scope", "display", "fence",
              "form", "mathvariant", "stretchy", "width"}  # fmt: skip
# Formulas as JupyterLab and GitHub find them: not in code, and "$5 or $6" is money.
FORMULA = re.compile(
    r"(?P<code>```.*?```|`[^`]*`)|\$\$(?P<block>.+?)\$\$"
    r"|(?<![\\$\w])\$(?P<inline>[^\s$](?:[^$\n]*[^\s$])?)\$(?![\w$])", re.DOTALL)  # fmt: skip


def write_html(executed: str | Path, html_path: str | Path, entry: dict | None = None) -> None:
    """Write one page that needs nothing beside it.

    Charts are drawn from their data, formulas are MathML; what brings scripts is shown as text.

    Parameters
    ----------
    executed : an ``.ipynb`` with its outputs; one that was cut off gives a page that says so.
    entry : what ``results.json`` says of it; a failure is shown at the top.
    """
    from jinja2 import FileSystemLoader
    from nbconvert import HTMLExporter

    executed, entry = Path(executed), entry or {}
    notebook = _read(executed)
    facts, title = _facts(notebook), _title(notebook) or executed.stem
    _prepare(notebook)
    exporter = HTMLExporter(
        template_name="basic",
        template_file="page.html.j2",
        extra_loaders=[FileSystemLoader(TEMPLATES)],
        require_js_url="",
        mathjax_url="",
        mermaid_js_url="",
        sanitize_html=True,
    )
    exporter.register_filter("clean_html", _clean)
    exporter.register_filter("embedded", _embedded)
    page = {"title": title, "style": _template("report.css"), "facts": facts, "entry": entry}
    html, _ = exporter.from_notebook_node(notebook, {"page": page})
    # The exporter parses the page once more: five megabytes of plotly.js come in after that.
    files.write(Path(html_path), html + _scripts(html))


def write_index(out: str | Path, results: dict) -> Path:
    """Write ``index.html`` beside the pages from what stands in ``results.json``."""
    out = Path(out)
    facts = {**results["parameters"], "minutes": f"{results['seconds'] / 60:.1f}"}
    html = _render(
        "index.html.j2",
        facts=facts | results["versions"],
        notebooks=results["notebooks"],
        pages={p.stem for p in out.glob("*.html")},
        scores=_scores(results["notebooks"]),
    )
    files.write(out / "index.html", html)
    return out / "index.html"


def write_sweep(out: str | Path, found: list, failed: dict[str, str]) -> Path:
    """Write the page of a sweep: scores over seeds, cost beside quality, pairs, what failed.

    Parameters
    ----------
    found : its runs.
    failed : the errors of others, by the names of their folders.
    """
    from workbench.evaluation import plots, seeds

    plots.use()
    scores, tests = seeds.over_seeds(found)
    page = _render(
        "sweep.html.j2", title=f"Sweep {Path(out).name}", verdict=_verdict(scores, tests),
        scores=scores.to_dict("records"), tests=tests.to_dict("records"), failed=failed,
        figure=_embedded(json.loads(plots.cost_and_quality(scores).to_json())),
        versions=", ".join(f"{name} {v}" for name, v in folders.versions().items()),
    )  # fmt: skip
    files.write(Path(out) / "index.html", page + _scripts(page))
    return Path(out) / "index.html"


def _verdict(scores, tests) -> str:
    """Which model has the highest mean, and which others may be as good."""
    means = scores.groupby("model", sort=False)["accuracy"].mean().sort_values(ascending=False)
    runs, data = int(scores["seeds"].sum()), scores["data"].nunique()
    best = f"{runs} runs on {data} data set{'s' * (data > 1)}. "
    best += f"{means.index[0]} has the highest mean accuracy, {means.iloc[0]:.3f}."
    level = tests.query("a == @means.index[0] and p_adjusted >= 0.05")["b"]
    others = f" Not told apart from it: {'; '.join(level)}." if len(level) else ""
    return best + others


def _render(template: str, **page) -> str:
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True)
    environment.filters["score"] = lambda v: "" if v is None or v != v else f"{v:.3f}"
    environment.filters["percent"] = lambda v, most: f"{100 * min(max((v or 0) / most, 0), 1):.1f}"
    return environment.from_string(_template(template)).render(
        style=_template("report.css"), **page
    )


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _read(path: Path):
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except Exception:  # the process was killed while it wrote, or before
        note = "The executed notebook was not written to its end; run it again."
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(note)])


def _title(notebook) -> str | None:
    source = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    heading = re.search(r"^#+\s+(.+?)\s*#*$", source, re.MULTILINE)
    return re.sub(r"[*_`]", "", heading[1]) if heading else None


def _facts(notebook) -> dict[str, object]:
    facts = {}
    for tag in PARAMETERS:
        facts |= notebooks.literals(notebook, tag)
    ran = notebook.metadata.get("papermill", {})
    if ran.get("duration") is not None:
        facts["seconds"] = f"{ran['duration']:.0f}"
    if ran.get("start_time"):
        facts["date"] = ran["start_time"][:16].replace("T", " ") + " UTC"
    facts["versions"] = ", ".join(f"{name} {v}" for name, v in folders.versions().items())
    return facts


def _prepare(notebook) -> None:
    """Leave out what stands in the table on top, papermill's own marks, and controls."""
    unwanted = {*PARAMETERS, "papermill-error-cell-tag"}
    notebook.cells = [c for c in notebook.cells if not unwanted & {*c.metadata.get("tags", [])}]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if WIDGET not in o.get("data", {})]
            for output in cell.outputs:
                _prefer_text(output.get("data", {}))
        else:
            cell.source = FORMULA.sub(_mathml, cell.source)


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


def _clean(html: str) -> str:
    """Keep harmless markup; every other tag is shown as the text that it is."""
    import bleach
    from bleach.css_sanitizer import CSSSanitizer

    html = re.sub(r"<style.*?</style>", "", str(html), flags=re.DOTALL | re.IGNORECASE)
    return bleach.clean(
        html, tags=TAGS, attributes=_harmless, protocols={"http", "https", "mailto", "data"},
        css_sanitizer=CSSSanitizer(["background-color", "color"]),
    )  # fmt: skip


def _harmless(tag: str, name: str, value: str) -> bool:
    if tag == "img" and name == "src":
        return value.startswith("data:image/")  # any other is a request
    if tag == "a" and name == "href":
        return not value.strip().lower().startswith("data:")
    return name in ATTRIBUTES or (tag, name) in (("img", "alt"), ("mark", "style"))


def _embedded(figure: dict) -> str:
    # Inside a script element only "<" could end it.
    return json.dumps(figure).replace("<", "\\u003c")


def _scripts(html: str) -> str:
    plotly = ""
    if 'class="figure"' in html:
        from plotly.offline import get_plotlyjs

        plotly = f"<script>{get_plotlyjs()}</script>"
    return f"{plotly}<script>{_template('report.js')}</script></body></html>"


def _scores(notebooks: dict) -> list[dict]:
    """A row a model: those of one metric together, the best first."""
    order, rows = list(METRICS), []
    for name, entry in notebooks.items():
        for model, found in entry["metrics"].items():
            metric = main_metric(found)
            score, low, high = (found.get(f"{metric}{end}") for end in ("", "_low", "_high"))
            row = {"metric": metric, "most": METRICS[metric], "score": score, "low": low}
            row |= {"high": high, "macro_f1": None, **found}
            rows.append({"model": model, "notebook": name, **row})
    return sorted(rows, key=lambda row: (order.index(row["metric"]), -(row["score"] or 0)))
