"""What a person sees of a `DataPicker`."""

import unicodedata
from collections import Counter

import pandas as pd

from workbench import data
from workbench.data import sources, text
from workbench.errors import UserError
from workbench.widgets import base, keys
from workbench.widgets.dropzone import drop_zone
from workbench.widgets.tables import table

SHOWN, LONGEST, CLASSES = 5, 160, 30
SAMPLE = 1000  # texts from which lengths and language are estimated
GUESSED, UPLOAD = "(found by its name)", "Choose a file, or drop one here"


def view(picker):
    """Where the data comes from, its columns, and what is in it."""
    w = base.toolkit()
    bundled, other, columns = _controls(w)
    status, content = w.HTML(), w.HTML()
    busy = []  # the controls are being set to the state: their changes are no choices

    def show_choice(*_):
        with base.marked(busy):
            _show_state(picker, bundled, columns)

    def show_content(*_):
        if picker.dataset is not None:
            content.value = summary(picker.value, picker.dataset, picker.notes)

    def read(work):
        outcome = _outcome(work, status)
        show_choice()
        status.value = outcome

    def begin(work):
        picker.begin(lambda: read(work))

    def choose(**changes):
        if not busy:
            begin(lambda: picker.choose(**changes))

    bundled.observe(lambda change: change["new"] and choose(source=change["new"]), names="value")
    other.observe(lambda c: c["new"].strip() and choose(source=c["new"].strip()), names="value")
    for name, control in columns.items():
        control.observe(lambda change, name=name: choose(**{name: change["new"]}), names="value")
    upload = drop_zone(UPLOAD, lambda *file: begin(lambda: picker.upload(*file)))
    picker.observe(base.guarded(show_choice, status), names=["value", "requested"])
    picker.observe(base.guarded(show_content, status), names="dataset")
    show_content()
    read(lambda: picker.choose())
    rows = (w.HBox(row, layout={"flex_flow": "row wrap"})
            for row in ([bundled, other], list(columns.values())))  # fmt: skip
    return keys.capture(w.VBox([next(rows), upload, status, next(rows), content]))


def _outcome(work, status) -> str:
    status.value = base.status_line("Reading …")
    try:
        work()
    except Exception as error:
        return base.status_line(_error_line(error), "bad")
    return base.status_line("Read.", "good")


def _controls(w) -> tuple:
    wide = {"style": {"description_width": "100px"}, "layout": {"width": "400px"}}
    bundled = w.Dropdown(description="Bundled", **wide)
    other = w.Text(description="File or hub", placeholder="path, folder or hub:NAME, then Enter",
                   continuous_update=False, **wide)  # fmt: skip
    columns = {
        "text_column": w.Dropdown(description="Text column", **wide),
        "label_column": w.Dropdown(description="Label column", **wide),
    }
    return bundled, other, columns


def summary(chosen: dict, dataset, notes: list[str]) -> str:
    """What is in a data set: sizes, classes, lengths, repeats, language, notes, some rows."""
    tables = {name: data.frame(part) for name, part in dataset.items()}
    labelled = {name: part for name, part in tables.items() if name != "unlabeled"}
    everything = pd.concat(tables.values())
    remarks = [language(everything), *notes]
    items = "".join(f"<li>{base.escape(each)}</li>" for each in remarks)
    return (
        table(sizes(tables), f"{chosen['source']}: rows, words and repeats")
        + _bars(classes(labelled))
        + f'<ul style="line-height:1.4">{items}</ul>'
        + table(preview(tables["train"]), "Some training rows", wrap="text")
    )


def sizes(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Rows and repeated texts of each split, and the words of a text, counted in a sample."""
    rows = {}
    for name, part in tables.items():
        some = data.sample(part, SAMPLE)
        words = some["text"].map(lambda t: len(text.tokenize(t)))
        rows[name] = {
            "rows": len(part), "words in a text (median)": int(words.median()),
            "95% have at most": int(words.quantile(0.95)), "longest": int(words.max()),
            "repeated texts": int(part["text"].duplicated().sum()),
        }  # fmt: skip
    return pd.DataFrame(rows).T


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


def preview(part: pd.DataFrame) -> pd.DataFrame:
    """The first rows, cut to a readable length."""
    cut = part.head(SHOWN).copy()
    cut["text"] = [t if len(t) <= LONGEST else f"{t[:LONGEST]}…" for t in cut["text"]]
    cut = cut.set_index("id")
    return cut[[c for c in ("text", "label", "domain", "language") if c in cut]]


def _bars(counts: pd.DataFrame) -> str:
    more = len(counts) - CLASSES
    caption = "Classes" + (f", {more} rarer ones not shown" if more > 0 else "")
    return table(counts.head(CLASSES).rename_axis("class"), caption, bars="share")


def _show_state(picker, bundled, columns: dict) -> None:
    source = picker.value["source"]
    options = [
        (f"{name} · {row.texts} texts, {row.classes} classes", name)
        for name, row in data.table().iterrows()
    ]
    if source not in sources.DATASETS:
        options.append((f"other · {source}", source))
    if tuple(options) != bundled.options:
        bundled.options = options
    bundled.value = source
    names = picker.columns(picker.requested["source"])
    for role, control in columns.items():
        chosen = picker.requested[role]
        offered = [(GUESSED, ""), *((n, n) for n in dict.fromkeys([*names, chosen]) if n)]
        if tuple(offered) != control.options:
            control.options = offered
        control.value = chosen


def _error_line(error: Exception) -> str:
    """An error in words: here columns are named in the dropdowns, not with -p as in a command."""
    message = base.error_message(error)
    if isinstance(error, UserError) and " -p " in message:
        return message.split(": name one with -p ")[0] + ": choose it below."
    return message
