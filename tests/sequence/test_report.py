"""The notebooks themselves, executed as a user would, and their numbers."""

import nbformat
import pytest

from benchmarks import verdicts
from tests import outputs
from tests.sequence.helpers import STEMS, execute, printed, tagged
from workbench import evaluate, runs
from workbench.runs.report import CHART


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Where the whole sequence was executed on the bundled reviews, and its results."""
    out = tmp_path_factory.mktemp("report") / "out"
    return out, execute(out, "--seed", "1")


@pytest.fixture(params=STEMS)
def executed(request, report):
    """One executed notebook after the other."""
    return nbformat.read(report[0] / f"{request.param}.ipynb", as_version=4)


# A part of the name of what has to be beaten.
FLOORS = {"accuracy": "majority", "entity_f1": "baseline", "rouge1": "lead", "bleu": "memory"}


def groups(entry: dict) -> dict[str, dict]:
    """The models of a notebook by the metric that they are judged by."""
    found = {}
    for model, metrics in entry["metrics"].items():
        found.setdefault(evaluate.main_metric(metrics), {})[model] = metrics
    return found


def floor(group: dict, metric: str) -> dict[str, float]:
    """The scores of what has to be beaten."""
    return {model: found[metric] for model, found in group.items() if FLOORS[metric] in model}


def test_every_notebook_passes_and_records_its_models(report):
    _, results = report
    assert list(results["notebooks"]) == STEMS
    assert results["parameters"]["SEED"] == 1
    for name, entry in results["notebooks"].items():
        assert len(entry["metrics"]) >= 2, name
        for metric, group in groups(entry).items():
            assert floor(group, metric), f"{name} has nothing to beat by {metric}"


def test_no_model_is_beaten_by_the_majority(report):
    """In `smoke` an encoder sees some sixty texts: its interval must reach the majority's score.

    Models that count words have enough with that and must be better.
    """
    for name, entry in report[1]["notebooks"].items():
        group = groups(entry).get("accuracy", {})
        for model, metrics in group.items():
            lowest = group["majority"]["accuracy"]
            assert metrics["accuracy_high"] >= lowest, f"{model} in {name}"
            if model in ("naive-bayes", "logistic"):
                assert metrics["accuracy"] > lowest, f"{model} in {name}"


def test_every_score_has_its_interval_and_in_each_task_a_model_reaches_the_baseline(report):
    for name, entry in report[1]["notebooks"].items():
        for metric, group in groups(entry).items():
            for found in group.values():
                assert found[f"{metric}_low"] <= found[metric] <= found[f"{metric}_high"], name
            beaten = floor(group, metric)
            others = [m[f"{metric}_high"] for model, m in group.items() if model not in beaten]
            # A translator learns from 120 pairs in `smoke`, which a memory of them beats.
            assert metric == "bleu" or max(others) >= max(beaten.values()), f"{metric} in {name}"


def test_training_lowers_the_loss(report):
    falling = 0
    for run in runs.list_runs(report[0] / "runs"):
        _, losses = run.history().column("loss")
        if len(losses) >= 4:
            quarter = len(losses) // 4
            assert sum(losses[-quarter:]) < sum(losses[:quarter]), run.path.name
            falling += 1
    assert falling >= 3


def test_the_verdicts_of_notebook_04_are_those_of_its_numbers(report):
    """What the experiments show is asked at `quick`, by ``python -m benchmarks.verdicts``."""
    executed = nbformat.read(report[0] / f"{verdicts.NOTEBOOK}.ipynb", as_version=4)
    assert verdicts.contradictions(verdicts.printed(executed)) == []


@pytest.mark.parametrize("check", outputs.CHECKS, ids=lambda check: check.__name__)
def test_what_is_printed_follows_from_the_numbers(report, check):
    check(report[0])


def test_charts_are_there_and_hold_data(executed):
    charts = [o["data"][CHART] for c in executed.cells for o in c.get("outputs", [])
              if CHART in o.get("data", {})]  # fmt: skip
    assert len(charts) >= 3
    assert all(chart["data"] for chart in charts)


def test_outputs_hold_no_warning_no_progress_bar_and_no_widget(executed):
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output["text"][:300]
            assert not any("widget" in kind for kind in output.get("data", {}))


def test_exercises_wait_for_an_answer_and_know_it(executed):
    for check in tagged(executed, "check"):
        assert printed(check).strip() == "Not answered yet."
    for solution in tagged(executed, "solution"):
        assert "Right." in printed(solution)
        assert "Not quite: " in printed(solution)


def test_pages_are_small_enough_to_mail_and_ask_for_plotly_beside_them_alone(report):
    pages = [report[0] / f"{name}.html" for name in [*STEMS, "index"]]
    size = sum(path.stat().st_size for path in [*pages, report[0] / "plotly.min.js"])
    assert size < 8_000_000, "of the whole report"
    for page in pages:
        own = page.read_text("utf-8").replace('<script src="plotly.min.js"></script>', "")
        for tag in ('<script src="', "<script src='", '<link rel="stylesheet"', "@import"):
            assert tag not in own, page.name


def test_same_seed_same_numbers(report, tmp_path):
    """Word vectors by gensim, a network by hand, an encoder by `Trainer`; one or two at a time."""
    again = execute(tmp_path / "out", "02", "03", "04", "--jobs", "2", "--seed", "1")
    for name, entry in again["notebooks"].items():
        for model, metrics in report[1]["notebooks"][name]["metrics"].items():
            other = entry["metrics"][model]
            same = {k for k in metrics if k != "run"}
            assert {k: metrics[k] for k in same} == {k: other[k] for k in same}, (
                f"{model} in {name}"
            )
