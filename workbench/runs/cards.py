"""A model card for each run, from run folders alone: Markdown, and the same as a page."""

from pathlib import Path

from workbench import files
from workbench.errors import UserError
from workbench.evaluation import comparison, scores
from workbench.runs import pages, provenance
from workbench.runs.folders import Run


def write(sets: list[dict], wanted: set[Path] | None = None) -> list[Path]:
    """Write ``card.md`` and ``card.html`` into the folders of runs; return the pages' paths.

    Parameters
    ----------
    sets : the runs beside each other, as `standings.test_sets` gives them.
    wanted : the folders that get a card; None means all of them.
    """
    both = [(run, each) for each in sets for model in each["models"] for run in model["runs"]]
    both = [(run, each) for run, each in both if wanted is None or run.path in wanted]
    for run, test_set in both:
        text = card(run, test_set)
        home = "../../index.html" if (run.path.parents[1] / "results.json").exists() else ""
        page = pages.render("card.html.j2", title=run.name, home=home, body=pages.markdown(text))
        files.write(run.path / "card.md", text)
        files.write(run.path / "card.html", page)
    return [run.path / "card.html" for run, _ in both]


def card(run: Run, test_set: dict) -> str:
    """The card of a run in Markdown, beside the models of its test set (`standings.test_sets`)."""
    plain, interval = pages.plain_markdown, "95% interval"
    own = [[name, f"{value:.3f}", scores.ends(run.metrics, name)]
           for name, value in run.metrics.items()
           if isinstance(value, float) and not name.endswith(("_low", "_high"))]  # fmt: skip
    beside = [[model["name"], *model["shown"]] for model in test_set["models"]]
    made = [[key, value] for key, value in provenance.configuration(run).items()
            if value not in (None, "")]  # fmt: skip
    blocks = [
        f"# {plain(run.name)}: model card", f"It was tested on {plain(test_set['where'])}.",
        "## Scores", _table(["metric", "score", interval], own),
        _table(["class", "rows", "recall", interval], _classes(run)),
        "## Comparison", plain(" ".join(test_set["verdict"])),
        _table(["model", test_set["metric"], interval, "beside the best", "training"], beside),
        "## Known limits", "\n".join(f"- {plain(limit)}" for limit in _limits(run)),
        "## Configuration", _table(["setting", "value"], made),
    ]  # fmt: skip
    return "\n\n".join(filter(None, blocks)) + "\n"


def _table(head: list[str], rows: list[list]) -> str:
    lines = [map(pages.plain_markdown, head), ["---"] * len(head)]
    lines += [map(pages.plain_markdown, row) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""


def _classes(run: Run) -> list[list]:
    """How many rows of each class were found, where a row has one of a few classes."""
    try:
        rows = comparison.run_rows(run) if "accuracy" in run.metrics else None
    except UserError:
        rows = None
    if rows is None:
        return []
    found = scores.by_class(rows).query("support > 0")
    return [[name, row.support, f"{row.recall:.3f}", scores.ends(row, "recall")]
            for name, row in found.astype({"support": object}).iterrows()]  # fmt: skip


def _limits(run: Run) -> list[str]:
    source = run.info["data"].get("source", provenance.UNKNOWN)
    said = {
        "It was tested on these rows alone: texts of another kind may give another score.": True,
        "Its training was stopped before its end.": run.info["stopped"],
        "Where its rows came from was not written down.": source == provenance.UNKNOWN,
        f"It was trained with seed {run.info['seed']}: another gives other weights.": True,
    }
    return [sentence for sentence, holds in said.items() if holds]
