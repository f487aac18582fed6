"""What all pages of a report share: templates that escape, and markup without anything live."""

import re
from html import escape
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
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

# Cells that a line holds, on a telephone too.
SHORT = re.compile(r"<(t[dh])((?: (?!class)[^>]*)?)>([^<]{1,24})</\1>")


def render(name: str, /, **page) -> str:
    """A template filled in; every value is escaped."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True)
    environment.filters["score"] = lambda v: "" if v is None or v != v else f"{v:.3f}"
    environment.filters["percent"] = lambda v, most: f"{100 * min(max((v or 0) / most, 0), 1):.1f}"
    return environment.get_template(name).render(style=template("report.css"), **page)


def template(name: str) -> str:
    """The text of a template."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def markdown(text: str) -> str:
    """Markdown as harmless HTML."""
    from nbconvert.filters import markdown2html

    return clean(markdown2html(text))


def plain_markdown(value: object) -> str:
    """Whatever it is, as text of one line that Markdown leaves as it is."""
    text = escape(" ".join(str(value).split()), quote=False)
    return re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", text)


def clean(html: str) -> str:
    """Keep harmless markup; every other tag is shown as the text that it is."""
    import bleach
    from bleach.css_sanitizer import CSSSanitizer

    html = re.sub(r"<style.*?</style>", "", str(html), flags=re.DOTALL | re.IGNORECASE)
    html = bleach.clean(
        html, tags=TAGS, attributes=_harmless, protocols={"http", "https", "mailto", "data"},
        css_sanitizer=CSSSanitizer(["background-color", "color"]),
    )  # fmt: skip
    return SHORT.sub(r'<\1\2 class="short">\3</\1>', html)


def _harmless(tag: str, name: str, value: str) -> bool:
    if tag == "img" and name == "src":
        return value.startswith("data:image/")  # any other is a request
    if tag == "a" and name == "href":
        return not value.strip().lower().startswith("data:")
    return name in ATTRIBUTES or (tag, name) in (("img", "alt"), ("mark", "style"))
