"""The runs on disk: a table, their curves, and what two of them do differently, text by text."""

from pathlib import Path

from traitlets import List, Unicode, validate

from workbench.errors import unknown
from workbench.evaluation import comparison, plots
from workbench.runs import folders
from workbench.runs.folders import Run
from workbench.widgets import base, browser_view, tables
from workbench.widgets.pickers import CopiedDict

MOST = 30  # rows of the still picture
FIRST = 3  # disagreements of the still picture


class RunBrowser(base.Shown):
    """The runs on disk: sorted and searched, their curves overlaid, two of them compared and read.

    Parameters
    ----------
    root : where runs are kept; by default ``$WORKBENCH_RUNS`` or ``runs`` in this folder.
    runs : `runs.Run` objects to show in place of a folder.

    Attributes
    ----------
    value : the folder names of the selected runs; the first is A, the second B.
    filters : of the runs that are listed: data, model and notebook; empty is any.
    found : every run that could be read, oldest first.
    broken : a sentence for each folder that could not.

    Raises
    ------
    UserError : a name in `value` is no run.
    """

    value = List(Unicode())
    filters = CopiedDict(read_only=True)
    found = List(read_only=True)
    broken = List(read_only=True)

    def __init__(self, root=None, *, runs: list[Run] | None = None) -> None:
        super().__init__()
        plots.use()
        self._root, self._given = root, runs
        self._deleted: list[list[Path]] = []
        self.set_trait("filters", dict.fromkeys(("data", "model", "notebook"), ""))
        self.refresh()

    def refresh(self) -> None:
        """Read the folder again; what was selected stays so where it is still there."""
        if self._given is None:
            found, broken = folders.scan_runs(self._root)
        else:
            there = [run.path for run in self._given if run.path.exists()]
            found, broken = [folders.load(path) for path in there], []
        self._select_among(found)
        self.set_trait("broken", broken)
        self.set_trait("found", found)

    def filter(self, **changes: str) -> None:
        """List only the runs of this data, model or notebook; selected are those still listed."""
        for name in changes:
            if name not in self.filters:
                raise unknown("filter", name, self.filters)
        self.set_trait("filters", self.filters | changes)
        self._select_among(self.found)

    def values(self, name: str) -> list[str]:
        """What the filter `name` can be set to."""
        known = {_facets(run)[name] for run in self.found} | {self.filters[name]}
        return sorted(known - {""})

    def listed(self) -> list[Run]:
        """The runs that `filters` let through, oldest first."""
        return [run for run in self.found if self._is_listed(run)]

    def _is_listed(self, run: Run) -> bool:
        return all(wanted in ("", _facets(run)[name]) for name, wanted in self.filters.items())

    def _select_among(self, found: list[Run]) -> None:
        listed = {run.path.name for run in found if self._is_listed(run)}
        self.value = [name for name in self.value if name in listed]

    def annotate(self, **changes: str) -> None:
        """Give the first selected run another ``name`` or other ``notes``."""
        folders.annotate(self.selected()[0], **changes)
        self.refresh()

    def delete(self) -> None:
        """Move the selected runs into a hidden folder beside the others."""
        if moved := [folders.discard(run) for run in self.selected()]:
            self._deleted.append(moved)
        self.refresh()

    def undo(self) -> None:
        """Move back the runs that were deleted last."""
        for path in self._deleted.pop() if self._deleted else ():
            folders.restore(path)
        self.refresh()

    def deleted(self) -> int:
        """How many runs `undo` would move back."""
        return len(self._deleted[-1]) if self._deleted else 0

    @validate("value")
    def _check(self, proposal) -> list[str]:
        valid = [run.path.name for run in self.found]
        for name in proposal["value"]:
            if name not in valid:
                raise unknown("run", name, valid)
        return proposal["value"]

    def selected(self) -> list[Run]:
        """The selected runs, in the order of `value`."""
        by_name = {run.path.name: run for run in self.found}
        return [by_name[name] for name in self.value]

    view = browser_view.view

    def still(self) -> dict:
        table = browser_view.listed(self.found)
        best = table.sort_values("accuracy", ascending=False, kind="stable")[:MOST]
        pair, p_adjusted = self.selected(), None
        if len(pair) != 2:
            pair, p_adjusted = comparison.best_pair(self.found)
        letters = {run.path.name: browser_view.letter(i) for i, run in enumerate(pair)}
        caption = f"The best {MOST} of {len(self.found)} runs" if len(self.found) > MOST else ""
        shown = best.set_index(best.index.map(lambda name: letters.get(name, "")))
        markup = browser_view.broken_html(self.broken)
        markup += tables.table(shown, caption) if len(shown) else base.status_line("No runs yet.")
        if pair:
            compared, rows = browser_view.pair(*pair, p_adjusted)
            markup += compared
            if len(rows):
                head = f"The first {min(FIRST, len(rows))} of {len(rows)} texts on which A and B "
                markup += tables.table(rows[:FIRST], f"{head}disagree", wrap="text")
        return {"text/html": markup, "text/plain": best.round(3).to_string(index=False)}


def _facets(run: Run) -> dict[str, str]:
    """The data, the model and the notebook of a run, by which runs are filtered."""
    info = run.info
    return {
        "data": browser_view.data_of(run),
        "model": str(info["settings"].get("model") or run.name),
        "notebook": info["notebook"],
    }
