"""What a `RunBrowser` shows: a table of runs, their curves, what two of them do differently."""

from html import unescape

import pandas as pd

from workbench import evaluation
from workbench.errors import UserError
from workbench.evaluation import comparison, plots, sequences
from workbench.evaluation.scores import ends
from workbench.runs import provenance
from workbench.runs.folders import Run
from workbench.widgets import base, controls, tables

SCORES = {"accuracy": "accuracy", "macro F1": "macro_f1", "loss": "loss", "n": "n"}
COLUMNS = ["name", "notebook", "data", "seed", "accuracy", "other score", "95% interval",
           "macro F1", "loss", "n", "seconds", "time"]  # fmt: skip
WHOLE = ("n", "seconds")
TESTS = {
    "a": "first", "b": "second", "accuracy_a": "accuracy of first", "accuracy_b": "of second",
    "only_a": "only first right", "only_b": "only second right", "p_adjusted": "p, all pairs",
}  # fmt: skip
READING = {  # columns of `comparison.paired` as they are called here
    "text": "text", "label": "true class", "who": "who is right",
    "predicted_a": "A predicts", "p_a": "A: p", "p_label_a": "A: p(true)",
    "predicted_b": "B predicts", "p_b": "B: p", "p_label_b": "B: p(true)",
}  # fmt: skip
LOW_IS_GOOD = ("loss", "seconds")


def listed(found: list[Run]) -> pd.DataFrame:
    """A row a run, by the names of their folders; what a run does not know is missing."""
    rows = [
        {"name": run.name, "notebook": run.info["notebook"],
         "data": data_of(run), "seed": "" if run.info["seed"] is None else run.info["seed"],
         **{name: run.metrics.get(key) for name, key in SCORES.items()},
         "other score": _other_score(run.metrics),
         "95% interval": ends(run.metrics, evaluation.main_metric(run.metrics)) or "–",
         "seconds": run.info["seconds"], "time": run.info["time"].replace("T", " ")}
        for run in found
    ]  # fmt: skip
    table = pd.DataFrame(rows, [run.path.name for run in found], COLUMNS)
    numbers = [*SCORES, "seconds"]
    table[numbers] = table[numbers].apply(pd.to_numeric, errors="coerce")
    return table.assign(**{name: table[name].round().astype("Int64") for name in WHOLE})


def data_of(run: Run) -> str:
    """What a run was made on: a name, a file without its folders, or two domains of a sweep."""
    where = run.info["parameters"].get("WHERE") or run.info["data"].get("source") or ""
    return where.rpartition("/")[2]


def pair(a: Run, b: Run, p_adjusted: float | None = None) -> tuple[str, pd.DataFrame]:
    """All that is said of two runs but their curves, and the texts on which they differ."""
    made = base.status_line("A and B were made with the same settings, data and versions.")
    if len(differ := provenance.differences(a, b)):
        made = tables.table(differ, "What A and B were made with, where it differs")
    try:
        both = comparison.paired(a, b)
        scores, words = _scores_and_test(a, b, both, p_adjusted)
    except UserError as error:
        return base.status_line(str(error), "bad") + made, pd.DataFrame()
    shown = scores.set_axis([f"A: {a.name}", f"B: {b.name}", "A − B"])
    table = tables.table(shown, f"On the {len(both)} texts that both predicted")
    return table + base.status_line(words) + made, disagreements(both)


def _scores_and_test(
    a: Run, b: Run, both: pd.DataFrame, p_adjusted: float | None
) -> tuple[pd.DataFrame, str]:
    """The scores of A, of B and their difference on the shared rows, and the test in words."""
    if (metric := evaluation.main_metric(a.metrics)) == "accuracy":
        table = comparison.shared_scores(a, b).rename(columns={"macro_f1": "macro F1"})
        return table, comparison.describe(both, p_adjusted)
    test = sequences.paired(metric, a.predictions(), b.predictions())
    table = pd.DataFrame({metric: [test["first"], test["second"], test["difference"]]})
    return table, sequences.describe(metric, test)


def tests_html(selected: list[Run]) -> str:
    """Several runs: all pairs that predicted the same texts, corrected for their number."""
    if len(selected) < 3:
        return base.status_line("Select two runs to compare them, or more.")
    letters = {run.path.name: f"{letter(i)}: {run.name}" for i, run in enumerate(selected)}
    markup = ""
    for metric, (_, tests) in evaluation.compare_by_metric(selected).items():
        test, correction = evaluation.how_tested(metric)
        shown = tests.rename(columns=TESTS | {"first": f"{metric} of first", "second": "of second"})
        shown = shown.replace({"first": letters, "second": letters})
        caption = f"All pairs, on the texts that both predicted ({test}, {correction} for all)"
        if len(shown):
            markup += tables.table(shown.set_index("first"), caption)
    return markup or base.status_line("No two of the selected runs can be compared.")


def disagreements(both: pd.DataFrame) -> pd.DataFrame:
    """What A and B predict for the rows of `comparison.paired` on which they differ, by id."""
    differ = comparison.disagreements(both)
    right = differ["right_a"].map({True: "only A", False: "only B"})
    who = right.where(differ["right_a"] | differ["right_b"], "neither")
    return differ.assign(who=who).set_index("id")[list(READING)].rename(columns=READING)


def _other_score(metrics: dict) -> str:
    metric = evaluation.main_metric(metrics)
    return "" if metric == "accuracy" else f"{metric} {metrics[metric]:.3f}"


def letter(i: int) -> str:
    return chr(ord("A") + i) if i < 26 else str(i + 1)


def broken_html(sentences: list[str]) -> str:
    return "".join(f"<p>{base.status_line(each, 'bad')}</p>" for each in sentences)


def curves(selected: list[Run]) -> tuple:
    """The figure of the runs that have a loss history, and its numbers; None and an empty table."""
    histories = {f"{letter(i)} {base.escape(run.name)}": run.history()
                 for i, run in enumerate(selected)}  # fmt: skip
    drawn = {name: each for name, each in histories.items() if each.column("loss")[0]}
    if not drawn:
        return None, pd.DataFrame()
    figure = plots.loss_curve(drawn).update_layout(
        legend={"orientation": "h", "y": -0.32, "yanchor": "top"}, showlegend=True
    )
    columns = {
        unescape(line.name): pd.Series(line.y, line.x).groupby(level=0).last()
        for line in figure.data
    }
    return figure, pd.DataFrame(columns).rename_axis("step")


def _show_curves(selected: list[Run], chart, numbers) -> None:
    """Draw into an Output widget, and write the numbers behind a fold into an HTML widget."""
    figure, table = curves(selected)
    chart.outputs, numbers.value = (), ""
    if figure is not None:
        chart.outputs = base.chart_outputs(figure.to_plotly_json())
        numbers.value = base.fold("Data of the curves", tables.table(table))
    elif selected:
        numbers.value = base.status_line("None of the selected runs has a curve.")


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
        both = len(selected) == 2
        compared.value, rows = pair(*selected) if both else (tests_html(selected), ())
        differences.children = (reader,) if len(rows) else ()
        if len(rows):
            reader.df = rows.map(tables.number)

    browser.observe(base.guarded(show_runs, status), ["found", "broken", "filters"])
    browser.observe(base.guarded(show_selected, status), "value")
    show_runs()
    base.guarded(show_selected, status)()
    return controls.box(bar, runs, edit, status, chart, numbers, compared, differences)


def _filters(browser, kit, status) -> tuple:
    """What stands above the grid, and a function that brings it up to date."""
    save, narrow = kit.HTML(), {"style": {"description_width": "auto"}}
    again = controls.button("Refresh", "Read the folder again", browser.refresh, status)
    menus = {name: kit.Dropdown(description=name.capitalize(), layout={"width": "220px"}, **narrow)
             for name in browser.filters}  # fmt: skip

    def state():
        menu = {name: [("all", ""), *((v, v) for v in browser.values(name))] for name in menus}
        return browser.filters, menu

    def show():
        show_menus()
        table = listed(browser.listed()).rename_axis("run").reset_index()
        save.value = tables.csv_link(table, "runs.csv", "Save the list as CSV")

    show_menus = controls.bind(
        menus, state, lambda name, value: browser.filter(**{name: value}), status
    )
    return controls.row(again, *menus.values(), save), show


def _editor(browser, kit, status) -> tuple:
    """Name and notes of the first selected run, delete and undo; and a function as above."""
    fields = {name: kit.Text(description=name.capitalize(), continuous_update=False)
              for name in ("name", "notes")}  # fmt: skip
    tip = "Delete the selected runs; this can be undone"
    delete = controls.button("Delete", tip, browser.delete, status, icon="trash")
    tip = "Bring back what was deleted last"
    undo = controls.button("Undo delete", tip, browser.undo, status, icon="undo")

    def state():
        info = {"name": "", "notes": ""}
        for first in browser.selected()[:1]:
            info |= first.info
        return {name: str(info[name]) for name in fields}, {}

    def show():
        show_fields()
        selected = len(browser.value)
        for field in fields.values():
            field.disabled = not selected
        delete.description, delete.disabled = f"Delete {selected or ''}".strip(), not selected
        undo.disabled = not browser.deleted()

    show_fields = controls.bind(
        fields, state, lambda name, value: browser.annotate(**{name: value}), status
    )
    return controls.row(*fields.values(), delete, undo), show


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
