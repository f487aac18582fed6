"""What a person sees of a `DataPicker`."""

import re
import unicodedata
from collections import Counter
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

import pandas as pd

from workbench import data, models
from workbench.data import sources, text
from workbench.data.headers import text_and_label
from workbench.widgets import base, controls
from workbench.widgets.tables import table

SHOWN, LONGEST, CLASSES = 5, 160, 30
SAMPLE = 1000  # texts from which lengths and language are estimated
ENGLISH = 0.25  # share of function words in an English text; other languages spell a few alike
NEARLY_ALL = 0.95  # of the rows
INFERRED, UPLOAD = "(inferred from its name)", "Choose a file, or drop one here"
FIRST_LINE, RENAME = "The first line is a row, not names", "Rename classes"
LARGEST = 200 * 2**20  # bytes of an uploaded file
WITH_HEADER = (".csv", ".tsv", ".xlsx")


def view(picker):
    """Where the data comes from, its columns and classes, and what is in it."""
    from workbench.widgets.anywidgets import DropZone

    kit = base.toolkit()
    status, shown = kit.HTML(), kit.HTML()

    def begin(work, *arguments, **more):
        def attempt():
            with suppress(Exception):  # the picker keeps it as its `problem`
                work(*arguments, **more)

        status.value = base.status_line("Reading …")
        picker.begin(attempt)

    def change(name, value):
        if name == "first line":
            begin(picker.take_first_line, value)
        elif name != "other":
            begin(picker.choose, **{name: value})
        elif value.strip():
            begin(picker.choose, source=value.strip())

    def show(_=None):
        show_state()
        show_names()
        with_header = picker.requested["source"].lower().endswith(WITH_HEADER)
        first_line.layout.display = "" if with_header else "none"
        status.value, shown.value = report(picker), content(picker)

    fields = _fields(kit)
    source, other, first_line, *columns = fields.values()
    show_state = controls.bind(fields, lambda: _state(picker), change, status)
    names, show_names = _names_fold(picker, partial(begin, picker.choose), status)
    accept = ",".join(sources.SUFFIXES)
    zone = DropZone(partial(begin, picker.upload), label=UPLOAD, accept=accept, largest=LARGEST)
    picker.observe(base.guarded(show, status), names="revision")
    with suppress(Exception):
        picker.choose()
    top, below = controls.row(source, other), controls.row(*columns, first_line)
    return controls.box(top, zone, status, below, names, shown)


def report(picker) -> str:
    """Whether the choice could be read, and what may be wrong with what was read, as HTML."""
    if picker.problem:
        # Here columns are named in dropdowns, not with -p as on a command line.
        lines = [(re.sub(r": [^:]* -p .*", ": choose below.", picker.problem), "bad")]
        if picker.dataset is not None:
            lines.append((f"The cells below go on with {picker.value['source']}.", "warning"))
    elif picker.dataset is None:
        return ""
    else:
        tables = picker.frames
        train = tables["train"].attrs
        rows = f"Read: {sum(map(len, tables.values())):,} of {train['rows_read']:,} rows."
        doubts = concerns(tables)
        if train["source"] in sources.DATASETS and picker.value["source"] not in sources.DATASETS:
            rows, doubts = " ".join(picker.notes), []  # another data set had to be taken
        lines = [(rows, "good" if rows.startswith("Read") and not doubts else "warning")]
        lines += [(doubt, "warning") for doubt in doubts]
    return "<br>".join(base.status_line(*line) for line in lines)


def concerns(tables: dict[str, pd.DataFrame]) -> list[str]:
    """What looks as if a source was read wrongly or suits few models, a sentence each."""
    found, everything = [], pd.concat(tables.values())
    if len(everything) < 0.5 * (rows := tables["train"].attrs["rows_read"]):
        left_out = 1 - len(everything) / rows
        found.append(f"{left_out:.0%} of the rows are left out: see the notes below for why.")
    shares = classes(tables)["share"]
    if "label" in everything and shares.iloc[0] >= NEARLY_ALL:
        found.append(
            f"{shares.iloc[0]:.1%} of the rows are of the class '{shares.index[0]}', so always "
            "predicting it is right that often: is this the label column?"
        )
    if "tags" not in everything and (doubt := not_english(everything)):
        names = [name for name, entry in models.CATALOGUE.items() if entry.languages == "English"]
        found.append(
            f"{doubt}: {', '.join(names)} are for English; multilingual reads about 100 languages, "
            "and models that count words or learn from nothing take any."
        )
    return found


def content(picker) -> str:
    """What is in the data set: sizes, classes, lengths, language, notes, some rows, as HTML.

    Of a source that waits for its columns to be named, its first rows.
    """
    if picker.requested != picker.value:
        rows = picker.first_rows(picker.requested["source"]).map(lambda cell: _cut(str(cell)))
        caption = f"The first rows of {picker.requested['source']}"
        return table(rows, caption, wrap=text_and_label(rows)[0])
    if picker.dataset is None:
        return ""
    tables = picker.frames
    remarks = [language(pd.concat(tables.values())), *picker.notes]
    items = "".join(f"<li>{base.escape(each)}</li>" for each in remarks)
    name = Path(tables["train"].attrs["source"]).name
    counts = classes(tables).rename_axis("class")
    rarer = len(counts) - CLASSES
    caption = "Classes" + (f", {rarer} rarer ones not shown" if rarer > 0 else "")
    return (
        table(sizes(tables), f"{name}: rows, words and repeats")
        + table(counts.head(CLASSES), caption, bars="share")
        + f'<ul style="line-height:1.4">{items}</ul>'
        + table(preview(tables["train"]), "Some training rows", wrap="text")
    )


def sizes(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Rows and repeated texts of each split, and the words of a text, counted in a sample."""
    shown = ["rows", "words (median)", "words (95%)", "repeated texts"]
    return data.summary(SAMPLE, **tables)[shown]


def classes(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Rows of each class in each split and its share of all, the most frequent first.

    Entities of each type in place of rows where sentences are tagged.
    """
    counts = pd.DataFrame({name: data.labels(part).value_counts() for name, part in tables.items()
                           if name != "unlabeled"}).fillna(0).astype(int)  # fmt: skip
    counts["share"] = counts.sum(axis=1) / counts.to_numpy().sum()
    return counts.sort_values("share", ascending=False, kind="stable")


def language(part: pd.DataFrame) -> str:
    """The languages that a column names, or else the scripts of the letters, and how words end."""
    if "language" in part and part["language"].notna().any():
        counts = part["language"].value_counts()
        return "Language: " + ", ".join(f"{name} ({n} rows)" for name, n in counts.items()) + "."
    sample = "".join(data.sample(part, SAMPLE)["text"].str[:500])
    scripts = Counter(
        unicodedata.name(c, "unknown").split()[0].title() for c in sample if c.isalpha()
    )
    if not scripts:
        return "Language: the texts have no letters."
    shares = [f"{n / scripts.total():.0%} {name}" for name, n in scripts.most_common(3)]
    dictionary = text.UNSPACED.get(text.language_of(sample))
    way = f"cut by a {dictionary} dictionary" if dictionary else "cut at spaces"
    return f"Letters: {', '.join(shares).replace('Cjk', 'Chinese')}; words are {way}."


def not_english(part: pd.DataFrame) -> str:
    """The first half of a sentence on texts that are not English; empty if all seem to be."""
    if "language" in part and part["language"].notna().any():
        others = ~part["language"].dropna().str.lower().str.startswith("en")
    else:
        part = data.sample(part, SAMPLE)
        others = part["text"].map(lambda t: text.language_of(t[:500]) != "en")
    if others.mean() > 1 - NEARLY_ALL:
        return f"{others.mean():.0%} of the texts are not English"
    common = text.STOP_WORDS | text.NEGATIONS
    words = [word for t in data.sample(part, SAMPLE)["text"] for word in text.tokenize(t[:500])]
    few = sum(word in common for word in words) < ENGLISH * len(words)
    return "The texts have few common English words and may be in another language" if few else ""


def preview(part: pd.DataFrame) -> pd.DataFrame:
    """The first rows, cut to a readable length."""
    cut = part.head(SHOWN).set_index("id")
    cut["text"] = cut["text"].map(_cut)
    if "tags" in cut:
        cut["tags"] = cut["tags"].map(" ".join).map(_cut)
    return cut[[c for c in ("text", "label", "tags", "domain", "language") if c in cut]]


def _cut(cell: str) -> str:
    return cell if len(cell) <= LONGEST else f"{cell[:LONGEST]}…"


def _fields(kit) -> dict:
    wide = {"style": {"description_width": "100px"}, "layout": {"width": "400px"}}
    return {
        "source": kit.Dropdown(description="Data set", **wide),
        "other": kit.Text(description="File or hub", continuous_update=False,
                          placeholder="path, folder or hub:NAME, then Enter", **wide),
        "first line": kit.Checkbox(description=FIRST_LINE, indent=False),
        "text_column": kit.Dropdown(description="Text column", **wide),
        "label_column": kit.Dropdown(description="Label column", **wide),
    }  # fmt: skip


@cache
def _bundled(tagged: bool) -> list[tuple[str, str]]:
    return [(f"{name} · {row.texts} texts, {row.classes} classes", name)
            for name, row in data.table().iterrows()
            if tagged == (name == sources.TAGGED)]  # fmt: skip


def _state(picker) -> tuple[dict, dict]:
    """What the controls show, and what the menus offer."""
    request = picker.requested
    source, found = request["source"], picker.first_rows(request["source"])
    menu = list(_bundled("tags" in picker.requires))
    menu += [] if source in sources.DATASETS else [(f"{Path(source).name} · {source}", source)]
    values = {"source": source, "first line": request["text_column"].startswith("column ")}
    values |= {} if picker.problem else {"other": ""}
    options = {"source": menu}
    for role in ("text_column", "label_column"):
        values[role] = request[role]
        columns = [name for name in dict.fromkeys([*found, request[role]]) if name]
        offered = [(name, name) for name in columns if name != "split"]
        options[role] = [(INFERRED, ""), *offered]
    return values, options


def _names_fold(picker, choose, line) -> tuple:
    """Fields for the names of the classes, and a function that brings them up to date."""
    kit = base.toolkit()
    box, fields, bound = kit.VBox(), {}, []
    fold = kit.Accordion([box], titles=[RENAME], layout={"width": "fit-content"})

    def rename(*_):
        typed = {old: field.value.strip() for old, field in fields.items()}
        new = list(typed.values())
        choose(label_names={o: n for o, n in typed.items() if n and (n != o or new.count(n) > 1)})

    def show():
        names = _class_names(picker)
        suits = 0 < len(names) <= CLASSES and picker.requested == picker.value
        fold.layout.display = "" if suits else "none"
        if set(fields) != set(names):
            fields.clear()
            fields.update({n: kit.Text(description=n, continuous_update=False) for n in names})
            box.children = list(fields.values())
            bound[:] = [controls.bind(fields, lambda: (_class_names(picker), {}), rename, line)]
        for set_fields in bound:
            set_fields()

    return fold, show


def _class_names(picker) -> dict[str, str]:
    """The names of the classes now, by those that they have in the file."""
    given = picker.value["label_names"]
    features = picker.dataset["train"].features if picker.dataset else {}
    found = features["label"].names if "label" in features else []
    return {name: name for name in found if name not in given.values()} | given
