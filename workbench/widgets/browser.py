"""The runs on disk: a table, their curves, and what two of them do differently, text by text."""

from collections.abc import Callable
from html import unescape

import pandas as pd

from workbench import evaluation
from workbench.errors import UserError, unknown
from workbench.evaluation import comparison, plots
from workbench.runs.folders import Run, survey
from workbench.widgets import base, keys

COLUMNS = {
    "name": "name", "notebook": "notebook", "accuracy": "accuracy", "macro F1": "macro_f1",
    "loss": "loss", "n": "n", "seconds": "seconds", "time": "time",
}  # fmt: skip
SCORES = ("accuracy", "accuracy_low", "accuracy_high", "macro_f1", "loss", "n")
MOST = 30  # rows of the still picture
KINDS = {
    "all disagreements": "", "only A right": "A", "only B right": "B",
    "both wrong, differently": "neither",
}  # fmt: skip


class RunBrowser(base.Shown):
    """The runs on disk: sorted and filtered, their curves overlaid, two of them compared and read.

    Parameters
    ----------
    root : where runs are kept; by default ``$WORKBENCH_RUNS`` or ``runs`` in this folder.
    runs : `runs.Run` objects to show in place of a folder.

    Attributes
    ----------
    found : every run that could be read, oldest first.
    broken : a sentence for each folder that could not.
    """

    def __init__(self, root=None, *, runs: list[Run] | None = None) -> None:
        plots.use()
        self._root, self._given, self._views = root, runs, []
        self._value: list[str] = []
        self.refresh()

    def refresh(self) -> None:
        """Read the folder again; what was selected stays so where it is still there."""
        self.found, self.broken = survey(self._root) if self._given is None else (self._given, [])
        self._value = [run.path.name for run in self.selected()]
        self._tell()

    @property
    def value(self) -> list[str]:
        """The folder names of the selected runs, the first is A, the second B."""
        return list(self._value)

    @value.setter
    def value(self, names: list[str]) -> None:
        valid = [run.path.name for run in self.found]
        for name in names:
            if name not in valid:
                raise unknown("run", name, valid)
        if list(names) != self._value:
            self._value = list(names)
            self._tell()

    def selected(self) -> list[Run]:
        """The selected runs, in the order of `value`."""
        by_name = {run.path.name: run for run in self.found}
        return [by_name[name] for name in self._value if name in by_name]

    def view(self):
        self._views.append(_View(self))
        return keys.capture(self._views[-1].box)

    def still(self) -> dict:
        table = listed(self.found, "accuracy").head(MOST)
        pair, p_adjusted = self.selected(), None
        if len(pair) != 2:
            pair, p_adjusted = comparison.best_pair(self.found)
        markup = _broken_html(self.broken) + table_html(table, [run.path.name for run in pair])
        if len(self.found) > MOST:
            markup += f"<p>The best {MOST} of {len(self.found)} runs.</p>"
        if pair:
            markup += comparison_html(*pair, p_adjusted) + _first_disagreements(*pair)
        return {"text/html": markup, "text/plain": _formatted(table).to_string(index=False)}

    def _tell(self) -> None:
        for view in self._views:
            view.show()


# --- the table ------------------------------------------------------------------------------------


def listed(found: list[Run], by: str = "time", descending: bool = True, words: str = ""):
    """A `pandas.DataFrame`, a row a run: those with all `words` in name or notebook, sorted.

    Columns: name, notebook, accuracy with accuracy_low and accuracy_high, macro_f1, loss, n,
    seconds, time, run (the folder's name). What a run does not know stands last.
    """
    rows = [
        {"name": run.name, "notebook": str(run.info.get("notebook") or "")}
        | {score: run.metrics.get(score) for score in SCORES}
        | {"seconds": run.info.get("seconds"), "time": str(run.info.get("time") or "")}
        | {"run": run.path.name}
        for run in found
    ]
    columns = ["name", "notebook", *SCORES, "seconds", "time", "run"]
    table = pd.DataFrame(rows, columns=columns)
    for column in (*SCORES, "seconds"):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    text = (table["name"] + " " + table["notebook"]).str.lower()
    for word in words.lower().split():
        table = table[text.loc[table.index].str.contains(word, regex=False)]
    return table.sort_values(by, ascending=not descending, kind="stable", ignore_index=True)


def table_html(table: pd.DataFrame, selected: list[str] = ()) -> str:
    """The table of `listed`; selected runs carry their letter."""
    if table.empty:
        return f"<p>{base.status_line('There is no such run.')}</p>"
    shown = _formatted(table)
    for column in ("accuracy (95%)", "time"):
        # JupyterLab breaks the lines of a cell, but not at these spaces and hyphens.
        shown[column] = shown[column].str.replace(" ", "\u00a0").str.replace("-", "\u2011")
    letters = {name: _letter(i) for i, name in enumerate(selected)}
    shown.index = [letters.get(name, "") for name in table["run"]]
    return _styled(_table(shown))


def _formatted(table: pd.DataFrame) -> pd.DataFrame:
    def number(column: str, form: str) -> list[str]:
        return ["–" if pd.isna(v) else format(v, form) for v in table[column]]

    accuracy, low, high = (number(f"accuracy{end}", ".3f") for end in ("", "_low", "_high"))
    spans = [a if low == "–" else f"{a} ({low} to {high})"
             for a, low, high in zip(accuracy, low, high, strict=True)]  # fmt: skip
    times = table["time"].str.replace("T", " ")
    return pd.DataFrame(
        {"name": table["name"], "notebook": table["notebook"], "accuracy (95%)": spans,
         "macro F1": number("macro_f1", ".3f"), "loss": number("loss", ".3f"),
         "n": number("n", ".0f"), "seconds": number("seconds", ".1f"),
         "time": times}
    )  # fmt: skip


def _styled(markup: str) -> str:
    # Inside a widget JupyterLab gives its look to what is of these classes alone.
    return f'<div class="jp-RenderedHTMLCommon jp-RenderedHTML">{markup}</div>'


def _table(frame: pd.DataFrame) -> str:
    # JupyterLab centres a table in a widget; here it stands where the text begins.
    return f'<div style="display:flex">{base.table_html(frame)}</div>'


def _letter(i: int) -> str:
    return chr(ord("A") + i) if i < 26 else str(i + 1)


def _label(run: Run) -> str:
    accuracy = run.metrics.get("accuracy")
    score = f"{accuracy:.3f}" if isinstance(accuracy, float) else "–"
    time = str(run.info.get("time") or run.path.name).replace("T", " ")
    return f"{run.name} · {run.info.get('notebook') or '–'} · {score} · {time}"


def _broken_html(sentences: list[str]) -> str:
    return "".join(f"<p>{base.status_line(each, 'bad')}</p>" for each in sentences)


# --- curves ---------------------------------------------------------------------------------------


def curves(selected: list[Run]):
    """The figure of the runs that have a loss history, and its numbers; None and an empty table."""
    histories = {f"{_letter(i)} {base.escape(run.name)}": run.history()
                 for i, run in enumerate(selected)}  # fmt: skip
    drawn = {name: each for name, each in histories.items() if each.column("loss")[0]}
    if not drawn:
        return None, pd.DataFrame()
    columns = {}
    for name, history in drawn.items():
        for key, kind in (("loss", "training"), ("validation_loss", "validation")):
            steps, values = history.column(key)
            if steps:
                column = pd.Series(values, steps).groupby(level=0).last()
                columns[f"{unescape(name)} {kind}"] = column
    figure = plots.loss_curve(drawn).update_layout(
        legend={"orientation": "h", "y": -0.32, "yanchor": "top"}, showlegend=True
    )
    return figure, pd.DataFrame(columns).rename_axis("step")


# --- two runs -------------------------------------------------------------------------------------


def comparison_html(a: Run, b: Run, p_adjusted: float | None = None) -> str:
    """The scores of A and B on the rows that both predicted, their differences, and the test."""
    try:
        both, table = comparison.paired(a, b), comparison.shared_scores(a, b)
    except UserError as error:
        return _styled(f"<p>{base.status_line(str(error), 'bad')}</p>")
    shown = table.map(lambda v: "–" if pd.isna(v) else f"{v:.3f}")
    shown.loc["A − B"] = ["–" if pd.isna(v) else f"{v:+.3f}" for v in table.loc["A − B"]]
    shown.index = [f"A: {a.name}", f"B: {b.name}", "A − B"]
    head = f"<p>On the {len(both)} texts that both predicted:</p>"
    line = base.status_line(comparison.describe(both, p_adjusted))
    return _styled(head + _table(shown) + f"<p>{line}</p>")


def tests_html(selected: list[Run]) -> str:
    """Several runs: all pairs that predicted the same texts, corrected for their number."""
    if len(selected) < 3:
        return base.status_line("Select two runs to compare them, or more (with Ctrl or Shift).")
    _, tests = evaluation.compare(selected)
    if tests.empty:
        return base.status_line("No two of the selected runs can be compared.")
    letters = {run.path.name: f"{_letter(i)}: {run.name}" for i, run in enumerate(selected)}
    shown = tests.map(lambda v: f"{v:.3f}" if isinstance(v, float) else v)
    shown[["a", "b"]] = tests[["a", "b"]].map(letters.get)
    shown["difference"] = tests["difference"].map("{:+.3f}".format)
    for column in ("p", "p_adjusted"):
        shown[column] = ["< 0.001" if p < 0.001 else f"{p:.3f}" for p in tests[column]]
    shown.columns = ["first", "second", "n", "accuracy of first", "of second", "difference",
                     "only first right", "only second right", "p", "p, all pairs"]  # fmt: skip
    shown.index = [""] * len(shown)
    head = (
        "<p>All pairs, on the n texts that both predicted: exact McNemar tests, and p adjusted "
        "for all of them (max-T).</p>"
    )
    return _styled(head + _table(shown))


def example_html(row: pd.Series, a: Run, b: Run) -> str:
    """One row of `comparison.paired`: the text, its label, and what each of the two says of it."""
    lines = {}
    for letter, run in (("A", a), ("B", b)):
        s = f"_{letter.lower()}"
        lines[f"{letter}: {run.name}"] = {
            "says": row[f"predicted{s}"], "": "✓ right" if row[f"right{s}"] else "✗ wrong",
            "its probability": _p(row[f"p{s}"]), "that of the true class": _p(row[f"p_label{s}"]),
        }  # fmt: skip
    table = _table(pd.DataFrame.from_dict(lines, orient="index"))
    text = f'<blockquote style="white-space:pre-wrap">{base.escape(row["text"])}</blockquote>'
    return _styled(f"{text}<p>True class: <b>{base.escape(row['label'])}</b></p>{table}")


def _p(value) -> str:
    return "–" if pd.isna(value) else f"{value:.3f}"


def _first_disagreements(a: Run, b: Run, n: int = 3) -> str:
    try:
        rows = comparison.disagreements(comparison.paired(a, b))
    except UserError:
        return ""  # `comparison_html` has said why
    head = f"<p>The first {min(n, len(rows))} of {len(rows)} texts on which A and B disagree:</p>"
    return head + "".join(example_html(row, a, b) for _, row in rows.head(n).iterrows())


# --- live -----------------------------------------------------------------------------------------


class _View:
    """The widgets of one place where a `RunBrowser` is shown."""

    def __init__(self, browser: RunBrowser) -> None:
        self._browser, self._showing, self._at = browser, False, 0
        self._pair, self._both = [], pd.DataFrame()
        self._make(base.toolkit())
        self.show()

    def _make(self, kit) -> None:
        narrow, auto = kit.Layout(width="220px"), kit.Layout(width="auto")
        self.words = kit.Text(description="Filter", placeholder="name, notebook", layout=narrow)
        self.by = kit.Dropdown(options=COLUMNS, value="time", description="Sort by", layout=narrow)
        self.order = kit.Dropdown(options={"highest first": True, "lowest first": False},
                                  description="Order", layout=narrow)  # fmt: skip
        self.again = kit.Button(description="Refresh", tooltip="Read the folder again", layout=auto)
        self.select = kit.SelectMultiple(description="Runs", rows=8, layout=kit.Layout(width="99%"))
        self.note, self.table, self.numbers = kit.HTML(), kit.HTML(), kit.HTML()
        self.chart, self.compared, self.example = kit.Output(), kit.HTML(), kit.HTML()
        self.kind = kit.Dropdown(
            options=KINDS, description="Read", layout=kit.Layout(width="300px")
        )
        self.back = kit.Button(description="Previous", layout=auto)
        self.next = kit.Button(description="Next", layout=auto)
        self.place = kit.HTML()
        self.reading = kit.HBox([self.kind, self.back, self.next, self.place])
        scrolled = kit.VBox(
            [self.table], layout=kit.Layout(max_height="300px", overflow="auto", margin="0 0 8px 0")
        )
        controls = kit.HBox([self.words, self.by, self.order, self.again],
                            layout=kit.Layout(flex_flow="row wrap"))  # fmt: skip
        self.box = kit.VBox(
            [controls, scrolled, self.select, self.note, self.chart, self.numbers, self.compared,
             self.reading, self.example]
        )  # fmt: skip
        self._wire()

    def _wire(self) -> None:
        for control in (self.words, self.by, self.order):
            control.observe(self._safely(self._list), "value")
        self.select.observe(self._safely(self._choose), "value")
        self.kind.observe(self._safely(lambda _: self._read(0)), "value")
        self.again.on_click(self._safely(lambda _: self._browser.refresh()))
        self.back.on_click(self._safely(lambda _: self._read(self._at - 1)))
        self.next.on_click(self._safely(lambda _: self._read(self._at + 1)))

    def _safely(self, work: Callable) -> Callable:
        def guarded(*arguments) -> None:
            try:
                work(*arguments)
            except Exception as error:
                self.note.value = base.status_line(base.error_message(error), "bad")

        return guarded

    def show(self) -> None:
        """Show the state: the list, and what is selected in it."""
        self.note.value = _broken_html(self._browser.broken)
        self._list()
        self._safely(self._curves)()
        self._safely(self._compare)()

    def _list(self, *_) -> None:
        browser, chosen = self._browser, self._browser.value
        table = listed(browser.found, self.by.value, self.order.value, self.words.value)
        self.table.value = table_html(table, chosen)
        # What is selected stays in the list, or a filter would take it away unseen.
        names = [*table["run"], *(name for name in chosen if name not in {*table["run"]})]
        by_name = {run.path.name: run for run in browser.found}
        options = tuple((_label(by_name[name]), name) for name in names)
        self._showing = True
        try:
            # Options that are set anew lose the place from which Shift and an arrow go on.
            if self.select.options != options:
                self.select.options = options
            self.select.value = [name for name in names if name in chosen]
        finally:
            self._showing = False

    def _choose(self, change) -> None:
        if not self._showing:
            self._browser.value = change["new"]

    def _curves(self) -> None:
        selected = self._browser.selected()
        figure, numbers = curves(selected)
        self.chart.outputs, self.numbers.value = (), ""
        if figure is not None:
            # A trait, set whole: what was drawn before is replaced, from whichever thread.
            data = plots.Renderer().to_mimebundle(figure.to_plotly_json())
            self.chart.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)
            table = _styled(_table(numbers.map(_p)))
            self.numbers.value = f"<details><summary>Data of the curves</summary>{table}</details>"
        elif selected:
            self.numbers.value = base.status_line("None of the selected runs has a curve.")

    def _compare(self) -> None:
        selected = self._browser.selected()
        self._pair, self._both = [], pd.DataFrame()
        if len(selected) == 2:
            self.compared.value = comparison_html(*selected)
            self._pair = selected
            try:
                self._both = comparison.paired(*selected)
            except UserError:
                self._pair = []  # `comparison_html` has said why
        else:
            self.compared.value = tests_html(selected)
        self.reading.layout.display = None if self._pair else "none"
        self._read(0)

    def _read(self, at: int) -> None:
        self.example.value = self.place.value = ""
        if not self._pair:
            return
        rows = comparison.disagreements(self._both, self.kind.value)
        self._at = max(0, min(at, len(rows) - 1))
        self.back.disabled, self.next.disabled = self._at == 0, self._at >= len(rows) - 1
        if len(rows):
            self.place.value = f"{self._at + 1} of {len(rows)}"
            self.example.value = example_html(rows.iloc[self._at], *self._pair)
        else:
            self.place.value = "There is none."
