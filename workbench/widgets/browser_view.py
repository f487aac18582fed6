"""What a `RunBrowser` shows: a table of runs, their curves, what two of them do differently."""

from html import unescape

import pandas as pd

from workbench import evaluation
from workbench.errors import UserError
from workbench.evaluation import comparison, plots
from workbench.runs import provenance
from workbench.runs.folders import Run
from workbench.widgets import base, keys, tables

SCORES = {"accuracy": "accuracy", "macro F1": "macro_f1", "loss": "loss", "n": "n"}
TESTS = [
    "first", "second", "n", "accuracy of first", "of second", "difference", "only first right",
    "only second right", "p", "p, all pairs",
]  # fmt: skip
READING = {  # columns of `comparison.paired` as they are called here
    "text": "text", "label": "true class", "who": "who is right",
    "predicted_a": "A predicts", "p_a": "A: p", "p_label_a": "A: p(true)",
    "predicted_b": "B predicts", "p_b": "B: p", "p_label_b": "B: p(true)",
}  # fmt: skip
LOW_IS_GOOD = ("loss", "seconds")


# --- tables ---------------------------------------------------------------------------------------


def listed(found: list[Run]) -> pd.DataFrame:
    """A row a run, by the names of their folders; what a run does not know is missing."""
    rows = [
        {"name": run.name, "notebook": str(run.info.get("notebook") or "")}
        | {name: run.metrics.get(key) for name, key in SCORES.items()}
        | {"95% interval": _interval(run.metrics), "seconds": run.info.get("seconds")}
        | {"time": str(run.info.get("time") or "").replace("T", " ")}
        for run in found
    ]
    columns = ["name", "notebook", "accuracy", "95% interval", "macro F1", "loss", "n", "seconds",
               "time"]  # fmt: skip
    table = pd.DataFrame(rows, [run.path.name for run in found], columns)
    for column in (*SCORES, "seconds"):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    for column in ("n", "seconds"):
        table[column] = table[column].round().astype("Int64")
    return table


def comparison_html(a: Run, b: Run, p_adjusted: float | None = None) -> str:
    """The scores of A and B on the rows that both predicted, their differences, and the test."""
    try:
        both, scores = comparison.paired(a, b), comparison.shared_scores(a, b)
    except UserError as error:
        return base.status_line(str(error), "bad")
    scores = scores.rename(columns={"macro_f1": "macro F1"})
    shown = scores.set_axis([f"A: {a.name}", f"B: {b.name}", "A − B"])
    words = base.status_line(comparison.describe(both, p_adjusted))
    return tables.table(shown, f"On the {len(both)} texts that both predicted") + words


def pair_html(a: Run, b: Run, p_adjusted: float | None = None) -> str:
    """All that is said of two runs but their curves and the texts on which they differ."""
    return comparison_html(a, b, p_adjusted) + configuration_html(a, b)


def configuration_html(a: Run, b: Run) -> str:
    """What A and B were made with, where it differs."""
    differ = provenance.differences(a, b)
    if differ.empty:
        return base.status_line("A and B were made with the same settings, data and versions.")
    return tables.table(differ, "What A and B were made with, where it differs")


def tests_html(selected: list[Run]) -> str:
    """Several runs: all pairs that predicted the same texts, corrected for their number."""
    if len(selected) < 3:
        return base.status_line("Select two runs to compare them, or more.")
    _, tests = evaluation.compare(selected)
    if tests.empty:
        return base.status_line("No two of the selected runs can be compared.")
    letters = {run.path.name: f"{letter(i)}: {run.name}" for i, run in enumerate(selected)}
    shown = tests.set_axis(TESTS, axis=1).replace({"first": letters, "second": letters})
    caption = "Exact McNemar tests of all pairs, on the texts that both predicted (max-T for all)"
    return tables.table(shown.set_index("first"), caption)


def disagreements(both: pd.DataFrame) -> pd.DataFrame:
    """What A and B predict for the rows of `comparison.paired` on which they differ, by id."""
    differ = comparison.disagreements(both)
    right = differ["right_a"].map({True: "only A", False: "only B"})
    who = right.where(differ["right_a"] | differ["right_b"], "neither")
    return differ.assign(who=who).set_index("id")[list(READING)].rename(columns=READING)


def disagreements_or_none(a: Run, b: Run) -> pd.DataFrame | None:
    try:
        return disagreements(comparison.paired(a, b))
    except UserError:
        return None  # `comparison_html` has said why


def _interval(metrics: dict) -> str:
    low, high = metrics.get("accuracy_low"), metrics.get("accuracy_high")
    return "–" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def letter(i: int) -> str:
    return chr(ord("A") + i) if i < 26 else str(i + 1)


def broken_html(sentences: list[str]) -> str:
    return "".join(f"<p>{base.status_line(each, 'bad')}</p>" for each in sentences)


# --- curves ---------------------------------------------------------------------------------------


def curves(selected: list[Run]):
    """The figure of the runs that have a loss history, and its numbers; None and an empty table."""
    histories = {f"{letter(i)} {base.escape(run.name)}": run.history()
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


def _show_curves(selected: list[Run], chart, numbers) -> None:
    """Draw into an Output widget, and write the numbers behind a fold into an HTML widget."""
    figure, table = curves(selected)
    chart.outputs, numbers.value = (), ""
    if figure is not None:
        # A trait, set whole: what was drawn before is replaced, from whichever thread.
        data = plots.Renderer().to_mimebundle(figure.to_plotly_json())
        chart.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)
        fold = f"<summary>Data of the curves</summary>{tables.table(table)}"
        numbers.value = f"<details>{fold}</details>"
    elif selected:
        numbers.value = base.status_line("None of the selected runs has a curve.")


# --- live -----------------------------------------------------------------------------------------


def view(browser):
    """The widgets of one place where a `RunBrowser` is shown."""
    kit = base.toolkit()
    status, numbers, compared = kit.HTML(), kit.HTML(), kit.HTML()
    chart, runs, differences, reader = kit.Output(), kit.VBox(), kit.VBox(), _disagreements_grid()
    bar, show_filters = _filters(browser, kit, status)
    edit, show_edit = _editor(browser, kit, status)

    def show_runs(*_):
        status.value = broken_html(browser.broken)
        show_filters()
        show_edit()
        grid = _runs_grid(browser)
        grid.observe(base.guarded(lambda change: _select(browser, change["new"]), status),
                     "selected_rows")  # fmt: skip
        # A new grid: one whose ranked columns are updated logs an error (itables 2.9.1).
        for old in runs.children:
            base.close(old)
        runs.children = (grid,)

    def show_selected(*_):
        status.value = broken_html(browser.broken)
        show_edit()
        selected = browser.selected()
        rows = [i for i, run in enumerate(reversed(browser.listed())) if run in selected]
        if set(rows) != set(runs.children[0].selected_rows):
            runs.children[0].selected_rows = rows
        _show_curves(selected, chart, numbers)
        pair = len(selected) == 2
        compared.value = pair_html(*selected) if pair else tests_html(selected)
        rows = disagreements_or_none(*selected) if pair else None
        differences.children = () if rows is None else (reader,)
        if rows is not None:
            reader.df = rows.map(tables.number)

    browser.observe(base.guarded(show_runs, status), ["found", "broken", "filters"])
    browser.observe(base.guarded(show_selected, status), "value")
    show_runs()
    base.guarded(show_selected, status)()
    parts = [bar, runs, edit, status, chart, numbers, compared, differences]
    return keys.capture(kit.VBox(parts))


def _filters(browser, kit, status) -> tuple:
    """What stands above the grid, and a function that brings it up to date."""
    again = kit.Button(description="Refresh", tooltip="Read the folder again")
    save, choices, busy = kit.HTML(), {}, []

    def choose(change):
        if not busy:
            browser.filter(**{change["owner"].description.lower(): change["new"]})

    def show():
        with base.marked(busy):
            for name, choice in choices.items():
                known = (("all", ""), *((value, value) for value in browser.values(name)))
                if choice.options != known:  # setting them chooses the first for a moment
                    choice.options = known
                choice.value = browser.filters[name]
        table = listed(browser.listed()).rename_axis("run").reset_index()
        save.value = tables.csv_link(table, "runs.csv", "Save the list as CSV")

    for name in browser.filters:
        choices[name] = kit.Dropdown(description=name.capitalize(), layout={"width": "220px"},
                                     style={"description_width": "auto"})  # fmt: skip
        choices[name].observe(base.guarded(choose, status), "value")
    again.on_click(base.guarded(lambda _: browser.refresh(), status))
    row = kit.HBox([again, *choices.values(), save], layout={"flex_flow": "row wrap"})
    return row, show


def _editor(browser, kit, status) -> tuple:
    """Name and notes of the first selected run, delete and undo; and a function as above."""
    texts = {"name": kit.Text(description="Name", continuous_update=False),
             "notes": kit.Text(description="Notes", continuous_update=False)}  # fmt: skip
    delete = kit.Button(icon="trash", tooltip="Delete the selected runs; this can be undone")
    undo, busy = kit.Button(icon="undo", tooltip="Bring back what was deleted last"), []

    def edit(change):
        if not busy:
            browser.annotate(**{change["owner"].description.lower(): change["new"]})

    def show():
        first, selected = next(iter(browser.selected()), None), len(browser.value)
        with base.marked(busy):
            for name, text in texts.items():
                text.disabled = first is None
                text.value = str(({"notes": ""} | first.info)[name]) if first else ""
        delete.description, delete.disabled = f"Delete {selected or ''}".strip(), not selected
        undo.description, undo.disabled = "Undo delete", not browser.deleted()

    for text in texts.values():
        text.observe(base.guarded(edit, status), "value")
    delete.on_click(base.guarded(lambda _: browser.delete(), status))
    undo.on_click(base.guarded(lambda _: browser.undo(), status))
    row = kit.HBox([*texts.values(), delete, undo], layout={"flex_flow": "row wrap"})
    return row, show


def _select(browser, rows: list[int]) -> None:
    """Select the runs in these rows of the grid; those that were selected before come first."""
    listed_runs = browser.listed()
    names = [listed_runs[-1 - row].path.name for row in rows]
    before = [name for name in browser.value if name in names]
    browser.value = list(dict.fromkeys(before + names))


def _runs_grid(browser):
    table = listed(browser.listed())[::-1]
    for name in (*SCORES, "seconds"):
        table[name] = _ranked(table[name], unknown="last" if name in LOW_IS_GOOD else "first")
    right = [i for i, name in enumerate(table) if name not in ("name", "notebook")]
    return _grid(
        table,
        select={"style": "multi", "keys": True},
        selected_rows=[table.index.get_loc(n) for n in browser.value if n in table.index],
        columnDefs=[{"targets": right, "className": "dt-right dt-nowrap"}],
        paging=False, scrollY="260px", scrollCollapse=True,
        layout={"topStart": "search", "topEnd": None, "bottomStart": "info", "bottomEnd": None},
    )  # fmt: skip


def _ranked(column: pd.Series, unknown: str) -> pd.Categorical:
    """Numbers as they are shown, which the grid sorts by their order; the unknown at one end."""
    ordered = column.sort_values(na_position=unknown).map(tables.number)
    return pd.Categorical(column.map(tables.number), ordered.unique(), ordered=True)


def _disagreements_grid():
    return _grid(
        pd.DataFrame(columns=list(READING.values())), pageLength=1, lengthMenu=[1, 5, 20],
        layout={"topStart": "search", "topEnd": "pageLength", "bottomStart": "info",
                "bottomEnd": "paging"},
    )  # fmt: skip


def _grid(table: pd.DataFrame, **options):
    """A table that is sorted by a click on its head and searched, in the page alone."""
    from itables.widget import ITable

    # Of more than maxBytes only a sample would be shown; 0 is no limit.
    return ITable(table, showIndex=False, maxBytes=0, classes="display compact", style="width:100%",
                  text_in_header_can_be_selected=False, **options)  # fmt: skip
