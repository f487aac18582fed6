"""What a person sees of a `DataPicker`."""

import re
import unicodedata
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pandas as pd

from workbench import data, models
from workbench.data import sources, text
from workbench.data.headers import text_and_label
from workbench.widgets import base, keys
from workbench.widgets.dropzone import drop_zone
from workbench.widgets.tables import table

SHOWN, LONGEST, CLASSES = 5, 160, 30
SAMPLE = 1000  # texts from which lengths and language are estimated
ENGLISH = 0.25  # share of function words in an English text; other languages spell a few alike
NEARLY_ALL = 0.95  # of the rows
INFERRED, UPLOAD = "(inferred from its name)", "Choose a file, or drop one here"
FIRST_LINE, RENAME = "The first line is a row, not names", "Rename classes"
WITH_HEADER = (".csv", ".tsv", ".xlsx")


def view(picker):
    """Where the data comes from, its columns and classes, and what is in it."""
    w = base.toolkit()
    status, shown = w.HTML(), w.HTML()
    busy = []  # the controls are being set to the state: their changes are no choices

    def begin(work):
        def attempt():
            with suppress(Exception):  # the picker keeps it as its `problem`
                work()

        status.value = base.status_line("Reading …")
        picker.begin(attempt)

    def choose(**changes):
        if not busy:
            begin(lambda: picker.choose(**changes))

    def show(*_):
        with base.marked(busy):
            _show_state(picker, controls)
            _show_names(picker, names, choose)
        status.value, shown.value = report(picker), content(picker)

    controls = source, other, first_line, *columns = _controls(w)
    names = w.Accordion([w.VBox()], titles=[RENAME], layout={"width": "fit-content"})
    source.observe(lambda change: choose(source=change["new"]), names="value")
    other.observe(lambda c: c["new"].strip() and choose(source=c["new"].strip()), names="value")
    first_line.observe(
        lambda c: busy or begin(lambda: picker.take_first_line(c["new"])), names="value"
    )
    for role, control in zip(("text_column", "label_column"), columns, strict=True):
        control.observe(lambda change, role=role: choose(**{role: change["new"]}), names="value")
    upload = drop_zone(UPLOAD, lambda *file: begin(lambda: picker.upload(*file)))
    picker.observe(base.guarded(show, status), names="revision")
    with suppress(Exception):
        picker.choose()
    rows = [w.HBox(row, layout={"flex_flow": "row wrap"})
            for row in ((source, other), (*columns, first_line))]  # fmt: skip
    return keys.capture(w.VBox([rows[0], upload, status, rows[1], names, shown]))


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
        tables = _frames(picker.dataset)
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
    shares = classes(_labelled(tables))["share"]
    if shares.iloc[0] >= NEARLY_ALL:
        found.append(
            f"{shares.iloc[0]:.1%} of the rows are of the class '{shares.index[0]}', so always "
            "predicting it is right that often: is this the label column?"
        )
    if doubt := not_english(everything):
        names = [name for name, entry in models.CATALOGUE.items() if entry.languages == "English"]
        found.append(
            f"{doubt}: {', '.join(names)} are for English; the other models take any language."
        )
    return found


def content(picker) -> str:
    """What is in the data set: sizes, classes, lengths, language, notes, some rows, as HTML.

    Of a source that waits for its columns to be named, its first rows.
    """
    if picker.requested != picker.value:
        rows = picker.first_rows(picker.requested).map(lambda cell: _cut(str(cell)))
        caption = f"The first rows of {picker.requested['source']}"
        return table(rows, caption, wrap=text_and_label(rows)[0])
    if picker.dataset is None:
        return ""
    tables = _frames(picker.dataset)
    remarks = [language(pd.concat(tables.values())), *picker.notes]
    items = "".join(f"<li>{base.escape(each)}</li>" for each in remarks)
    name = Path(tables["train"].attrs["source"]).name
    return (
        table(sizes(tables), f"{name}: rows, words and repeats")
        + _bars(classes(_labelled(tables)))
        + f'<ul style="line-height:1.4">{items}</ul>'
        + table(preview(tables["train"]), "Some training rows", wrap="text")
    )


def sizes(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Rows and repeated texts of each split, and the words of a text, counted in a sample."""
    some = {name: data.sample(part, SAMPLE) for name, part in tables.items()}
    counted = data.summary(**some)[["words (median)", "words (95%)"]]
    counted.insert(0, "rows", [len(part) for part in tables.values()])
    repeated = [int(part["text"].duplicated().sum()) for part in tables.values()]
    return counted.assign(**{"repeated texts": repeated})


def classes(labelled: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Rows of each class in each split and its share of all, the most frequent first."""
    counts = pd.DataFrame({name: part["label"].value_counts() for name, part in labelled.items()})
    counts = counts.fillna(0).astype(int)
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
    return cut[[c for c in ("text", "label", "domain", "language") if c in cut]]


def _cut(cell: str) -> str:
    return cell if len(cell) <= LONGEST else f"{cell[:LONGEST]}…"


def _frames(dataset) -> dict[str, pd.DataFrame]:
    return {name: data.frame(part) for name, part in dataset.items()}


def _labelled(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    return {name: part for name, part in tables.items() if name != "unlabeled"}


def _bars(counts: pd.DataFrame) -> str:
    more = len(counts) - CLASSES
    caption = "Classes" + (f", {more} rarer ones not shown" if more > 0 else "")
    return table(counts.head(CLASSES).rename_axis("class"), caption, bars="share")


def _controls(w) -> tuple:
    wide = {"style": {"description_width": "100px"}, "layout": {"width": "400px"}}
    bundled = [(f"{name} · {row.texts} texts, {row.classes} classes", name)
               for name, row in data.table().iterrows()]  # fmt: skip
    return (
        w.Dropdown(description="Data set", options=bundled, **wide),
        w.Text(description="File or hub", placeholder="path, folder or hub:NAME, then Enter",
               continuous_update=False, **wide),
        w.Checkbox(description=FIRST_LINE, indent=False),
        w.Dropdown(description="Text column", **wide),
        w.Dropdown(description="Label column", **wide),
    )  # fmt: skip


def _show_state(picker, controls: tuple) -> None:
    source, other, first_line, *columns = controls
    request = picker.requested
    options = [option for option in source.options if option[1] in sources.DATASETS]
    if (chosen := request["source"]) not in sources.DATASETS:
        options.append((f"{Path(chosen).name} · {chosen}", chosen))
    if tuple(options) != source.options:
        source.options = options
    source.value = chosen
    if not picker.problem:
        other.value = ""
    first_line.layout.display = "" if chosen.lower().endswith(WITH_HEADER) else "none"
    first_line.value = request["text_column"].startswith("column ")
    names = [name for name in picker.first_rows(request) if name != "split"]
    for role, control in zip(("text_column", "label_column"), columns, strict=True):
        wanted = request[role]
        offered = [(INFERRED, ""), *((n, n) for n in dict.fromkeys([*names, wanted]) if n)]
        if tuple(offered) != control.options:
            control.options = offered
        control.value = wanted


def _show_names(picker, fold, choose) -> None:
    """A field for the name of each class, under the one that it has in the file."""
    w = base.toolkit()
    box, given = fold.children[0], picker.value["label_names"]
    found = picker.dataset["train"].features["label"].names if picker.dataset else []
    names = {name: name for name in found if name not in given.values()} | given
    suits = len(names) <= CLASSES and picker.requested == picker.value
    fold.layout.display = "" if suits else "none"
    if {field.description for field in box.children} != set(names):

        def rename(_):
            typed = {field.description: field.value.strip() for field in box.children}
            new = list(typed.values())
            choose(
                label_names={o: n for o, n in typed.items() if n and (n != o or new.count(n) > 1)}
            )

        box.children = [w.Text(description=old, continuous_update=False) for old in names]
        for field in box.children:
            field.observe(rename, names="value")
    for field in box.children:
        field.value = names[field.description]
