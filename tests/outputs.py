"""What executed notebooks print, against the numbers that it must follow from.

Each function of `CHECKS` takes the folder of a report, and fails with a message.
"""

import base64
import re
from pathlib import Path

import nbformat
import numpy as np

from benchmarks import verdicts
from workbench import evaluate, runs
from workbench.runs.report import CHART

# The words for "yes" and for "no" after a p-value that was corrected for its table.
ADJUSTED = re.compile(r"p = (\d\.\d{4}) after Holm \(([^)]+)\)")
YES = re.compile(r"clear|more than luck explains|.+ is better")
NO = re.compile(r"within the noise|not told apart")
CHANGE = r"([+-]\d\.\d{3})"


def cells(folder: Path, stem: str) -> list:
    notebook = nbformat.read(folder / f"{stem}.ipynb", as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(folder: Path, stem: str) -> str:
    return verdicts.printed({"cells": cells(folder, stem)})


def shown(folder: Path, stem: str, words: str) -> str:
    """What the first cell whose code holds `words` shows: its printed text and its table."""
    cell = next(cell for cell in cells(folder, stem) if words in cell.source)
    return "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)


def table(folder: Path, stem: str, words: str) -> dict[str, list[float]]:
    """The rows of a printed table of numbers by their names."""
    found: dict[str, list[float]] = {}
    for line in shown(folder, stem, words).splitlines():
        if row := re.fullmatch(r"(.+?)((?:\s{2,}(?:-?[\d.]+(?:e[+-]\d+)?|inf))+)\s*", line):
            # A table that is too wide for a line goes on below, with the same names.
            found.setdefault(row[1].strip(), []).extend(map(float, row[2].split()))
    return found


def numbers(values) -> np.ndarray:
    """Values of a chart, which plotly packs where they are many."""
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), np.dtype(values["dtype"]))
    return np.asarray(values, float)


def predictions(folder: Path, stem: str) -> dict:
    found = [run for run in runs.list_runs(folder / "runs") if run.info.get("notebook") == stem]
    return {run.name: run.predictions() for run in found}


def verdicts_follow_from_corrected_p_values(folder):
    for path in folder.glob("0*.ipynb"):
        text = printed(folder, path.stem)
        for p, verdict in ADJUSTED.findall(text):
            assert bool(YES.fullmatch(verdict)) != bool(NO.fullmatch(verdict)), verdict
            if p != "0.0500":
                assert bool(YES.fullmatch(verdict)) == (float(p) < 0.05), f"{path.stem}: {verdict}"
        for change, half, p in re.findall(
            rf"{CHANGE} ± (\d\.\d{{3}}),\s+p = (\d\.\d{{4}}) after Holm", text
        ):
            # A correction never makes a p smaller: inside its own interval nothing is clear.
            if abs(float(change)) < float(half) - 0.001:
                assert float(p) > 0.05, f"{path.stem}: {change} ± {half}, p = {p}"


def verdicts_are_there(folder):
    assert len(ADJUSTED.findall(printed(folder, "01_preprocessing"))) >= 15
    assert len(ADJUSTED.findall(printed(folder, "02_word2vec"))) == 4
    assert len(ADJUSTED.findall(printed(folder, "03_perceptron"))) == 2 + 6


def paired_tests_are_those_of_the_recorded_predictions(folder):
    """Of notebooks 02 and 03: both counts, and p corrected for the table."""
    line = r"(.+) against (\S+): (\d+) to (\d+) texts,\s+McNemar's p = (\d\.\d{4}) after Holm"
    for stem in ("02_word2vec", "03_perceptron"):
        tested = re.findall(line, printed(folder, stem))
        own = predictions(folder, stem)
        own["our network"] = own.get("torch-network")
        tests = [evaluate.mcnemar(own[a], own[b]) for a, b, *_ in tested]
        for (a, b, *counts, p), test, adjusted in zip(
            tested, tests, evaluate.holm([t["p"] for t in tests]), strict=True
        ):
            assert [int(n) for n in counts] == [test["only_a"], test["only_b"]], f"{a}, {b}"
            assert abs(float(p) - adjusted) < 1e-4, f"{stem}: {a} against {b}"


def classifiers_of_notebook_01_are_told_apart_by_their_predictions(folder):
    stem, names = "01_preprocessing", ["naive-bayes", "svm", "logistic"]
    own = predictions(folder, stem)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    adjusted = evaluate.holm([evaluate.mcnemar(own[a], own[b])["p"] for a, b in pairs])
    wanted = {f"{a} – {b}" for (a, b), p in zip(pairs, adjusted, strict=True) if p < 0.05}
    (said,) = re.findall(r"told apart at 5%: (.*)\.", printed(folder, stem))
    assert (
        said == (", ".join(sorted(wanted)) or "none of the pairs") or {*said.split(", ")} == wanted
    )


def a_leak_is_measured_on_the_same_texts(folder):
    """The change on texts that were never planted, against the points of the chart."""
    stem = "01_preprocessing"
    chart = next(
        o["data"][CHART] for cell in cells(folder, stem) for o in cell.outputs
        if "test texts stand in training" in str(o.get("data", {}).get(CHART, ""))
    )  # fmt: skip
    traces = {trace["name"]: trace for trace in chart["data"]}
    found = re.findall(
        rf"(.+), the same (\d+) texts: {CHANGE},\s+McNemar's p", printed(folder, stem)
    )
    assert {name for name, *_ in found} == {"svm", "nearest neighbour"}
    assert len({n for _, n, _ in found}) == 1
    for name, _, change in found:
        trace = traces[f"{name}, texts that are never planted"]
        by_share = dict(zip(numbers(trace["x"]), numbers(trace["y"]), strict=True))
        assert abs(by_share[0.2] - by_share[0.0] - float(change)) < 6e-4, name


def the_search_is_scored_by_rows_it_has_not_seen(folder):
    text = printed(folder, "01_preprocessing")
    own, nested = re.findall(r"own score: (\d\.\d+)\. Scored by nesting: (\d\.\d+)\.", text)[0]
    (off,) = re.findall(rf"own score is {CHANGE} off", text)
    assert abs(float(own) - float(nested) - float(off)) < 2e-3


def vectors_are_compared_on_the_same_pairs(folder):
    rows = re.findall(
        r"distilled against (.+), WordSim-353, the same (\d+) pairs: (\S+) \((\S+) to (\S+)\), "
        r"(clear|not clear)", printed(folder, "02_word2vec"),
    )  # fmt: skip
    assert len(rows) >= 2
    for name, pairs, lead, low, high, verdict in rows:
        assert 10 <= int(pairs) <= 353
        assert float(low) <= float(lead) + 0.05, name
        assert (float(low) > 0 or float(high) < 0) == (verdict == "clear"), name


def the_lowest_validation_loss_of_all_switches_is_chosen(folder):
    """The early-stopped networks are among those that are chosen from."""
    stem = "03_perceptron"
    for words, chosen in (
        ('ends.sort_values("validation loss")', r"Lowest validation loss: '(.+)'\. This network"),
        ("closed.round(3)", r"Lowest validation loss: '(.+)'\. Smallest gap"),
    ):
        rows = table(folder, stem, words)
        assert any("early stopping" in name for name in rows)
        column = 0 if "sort" in words else 1
        (name,) = re.findall(chosen, printed(folder, stem))
        assert rows[name][column] == min(row[column] for row in rows.values()), name


def every_optimiser_gets_the_best_rate_of_one_grid(folder):
    stem = "03_perceptron"
    rates = table(folder, stem, "searched.rename_axis")
    losses = np.array(list(rates.values()))
    said = re.findall(
        r"(\w+): lowest validation loss (\S+) at a rate of ([\d.]+)", printed(folder, stem)
    )
    assert [name for name, *_ in said] == ["sgd", "momentum", "adam"]
    for (_, loss, rate), column in zip(said, losses.T, strict=True):
        row = [float(given) for given in rates].index(float(rate))
        assert column[row] == column.min() == float(loss)


def the_gain_of_a_vote_is_that_of_its_predictions(folder):
    stem = "06_evaluation"
    own = predictions(folder, stem)
    found = re.findall(
        rf"The vote against (.+) alone: {CHANGE}\s+\({CHANGE} to {CHANGE}\), "
        r"McNemar's p = (\d\.\d{4}) after Holm", printed(folder, stem),
    )  # fmt: skip
    assert len(found) in (2, 3)
    right = {name: (t["predicted"] == t["label"]).mean() for name, t in own.items()}
    adjusted = evaluate.holm([evaluate.mcnemar(own["vote"], own[name])["p"] for name, *_ in found])
    for (name, gain, low, high, p), corrected in zip(found, adjusted, strict=True):
        assert abs(right["vote"] - right[name] - float(gain)) < 6e-4, name
        assert float(low) <= float(gain) <= float(high), name
        assert abs(corrected - float(p)) < 1e-4, name


CHECKS = [
    verdicts_follow_from_corrected_p_values, verdicts_are_there,
    paired_tests_are_those_of_the_recorded_predictions,
    classifiers_of_notebook_01_are_told_apart_by_their_predictions,
    a_leak_is_measured_on_the_same_texts, the_search_is_scored_by_rows_it_has_not_seen,
    vectors_are_compared_on_the_same_pairs, the_lowest_validation_loss_of_all_switches_is_chosen,
    every_optimiser_gets_the_best_rate_of_one_grid, the_gain_of_a_vote_is_that_of_its_predictions,
]  # fmt: skip
