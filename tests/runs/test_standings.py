"""The verdict of a report is made of numbers by rule, and a bound is never ranked."""

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.test_sequences import runs_of_each_kind
from workbench import evaluate, runs
from workbench.runs import standings

LABEL = list("ab") * 400


@pytest.fixture
def run(tmp_path):
    """Writes a run that is right on these of `n` rows."""

    def write(name, right, *, first=0, n=800, seed=0, seconds=None, **more):
        label = LABEL[:n]
        wrong = set(range(n)) - set(right)
        predicted = ["ba"[x == "b"] if i in wrong else x for i, x in enumerate(label)]
        frame = pd.DataFrame({"id": map(str, range(first, first + n)), "text": "t", "label": label,
                              "predicted": predicted, "p_a": 0.5, "p_b": 0.5})  # fmt: skip
        more = {"data": {"source": "shop", "rows": {"test": n}}, "notebook": "06_book"} | more
        return runs.load(runs.save(name, metrics=evaluate.metrics(frame), predictions=frame,
                                   parameters={"SEED": seed}, seconds=seconds, root=tmp_path,
                                   **more))  # fmt: skip

    return write


def said(*found, number=0) -> str:
    return " ".join(standings.test_sets(list(found))[number]["verdict"]).replace("\xa0", " ")


def test_a_clear_winner_is_recommended_with_margin_certainty_and_cost(run):
    verdict = said(run("svm", range(560)), run("minilm", range(720), seconds=12.3))
    assert verdict == (
        "Use minilm. minilm has accuracy 0.900 (95% interval 0.877 to 0.919; trained in 12 s). "
        "It is better than all others; the next of these, svm, is 20.0 points below "
        f"({evaluate.how_tested('accuracy')[0]}, p < 0.001, adjusted for all pairs)."
    )


def test_models_that_are_not_told_apart_are_named_with_the_cheapest(run):
    best = run("minilm", range(720), seconds=60.0)
    level = run("svm", range(2, 720), seconds=0.01)
    worse = run("majority", range(400), seconds=0.0)
    verdict = said(best, level, worse)
    assert verdict.startswith("Use minilm, or one that is not told apart from it. ")
    assert "better than 1 of 2 others; the next of these, majority, is 40.0 points" in verdict
    assert "Not told apart from it: svm (p = 0." in verdict
    assert verdict.endswith("The cheapest is svm, trained in under 0.1 s.")


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ("majority", "the highest score is not told from the majority's."),
        ("svm", "none is told apart from the highest score."),
    ],
)
def test_rows_that_tell_nothing_choose_no_model(run, other, sentence):
    verdict = said(run("minilm", range(722)), run(other, range(720), seconds=0.0))
    assert verdict.startswith(f"These rows choose no model: {sentence}")
    assert "Use" not in verdict
    assert "cheapest" not in verdict


def test_a_model_alone_is_not_called_the_best(run):
    verdict = said(run("svm", range(50), n=100))
    assert verdict.startswith("svm alone was tested. svm has accuracy 0.500 (95% interval")
    assert verdict.endswith("100 rows are few: the interval is wide.")


def test_two_test_sets_are_two_verdicts_the_larger_first(run):
    found = [run("a", range(9), n=100, first=5000), run("b", range(700)), run("c", range(300))]
    one, other = standings.test_sets(found)
    assert [model["name"] for model in one["models"]] == ["b", "c"]
    assert [model["name"] for model in other["models"]] == ["a"]
    assert (one["where"], other["where"]) == ("800 test rows of shop", "100 test rows of shop")
    again = standings.test_sets([*found, run("d", range(9), n=100, first=9000)])
    assert [each["where"] for each in again[1:]] == [
        "100 test rows of shop", "100 test rows of shop (set 2)"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["upper bound", "Oracle", "svm (en to en)", "target-supervised"])
def test_a_bound_is_last_and_neither_ranked_nor_recommended(run, name):
    found = [run(name, range(790)), run("coral", range(720)), run("source-only", range(560))]
    (each,) = standings.test_sets(found)
    assert [model["name"] for model in each["models"]] == ["coral", "source-only", name]
    assert each["models"][-1]["shown"][2] == "saw labels of the target"
    assert each["verdict"][0] == "Use coral."
    assert each["verdict"][-1] == (
        "Not ranked as bounds: 1 that saw labels of the target, up to 0.988."
    )


@pytest.mark.parametrize("name", ["svm (en to zh)", "boundary", "unbound", "minilm"])
def test_what_only_sounds_like_a_bound_is_ranked(run, name):
    assert not standings.test_sets([run(name, range(790))])[0]["models"][0]["bound"]


def test_bounds_alone_recommend_nothing(run):
    assert said(run("oracle", range(700))).startswith("There is nothing to choose from.")


def test_repeats_are_one_model_with_their_mean_and_spread(run):
    found = [run("svm", range(n), seed=n) for n in (560, 600, 720)] + [run("knn", range(400))]
    (each,) = standings.test_sets(found)
    svm = each["models"][0]
    assert svm["score"] == pytest.approx(np.mean([0.7, 0.75, 0.9]))
    assert sorted(svm["scores"]) == [0.7, 0.75, 0.9]
    assert svm["run"].metrics["accuracy"] == 0.75, "the run nearest to the mean is tested"
    assert "mean of 3 runs: 0.700 to 0.900" in each["verdict"][1]
    assert svm["alike"]


def test_one_lucky_repeat_does_not_win(run):
    found = [run("lucky", range(n), seed=n) for n in (640, 640, 760)] + [run("steady", range(656))]
    steady, lucky = standings.test_sets(found)[0]["models"]
    assert (steady["name"], lucky["name"]) == ("steady", "lucky")
    assert lucky["score"] > steady["score"]
    assert lucky["points"] == pytest.approx(2.0), "of the runs that were tested"


def test_repeats_with_other_settings_are_marked(run):
    settings = [{"model": "svm", "C": c, "seed": c} for c in (1, 9)]
    found = [run("svm", range(700), settings=each) for each in settings]
    assert not standings.test_sets(found)[0]["models"][0]["alike"]


def test_runs_without_predictions_are_shown_and_not_tested(run, tmp_path):
    bare = runs.save("bare", metrics={"accuracy": 0.95, "n": 800}, root=tmp_path)
    run_ = run("svm", range(560))
    (bare_,) = [each for each in runs.list_runs(tmp_path) if each.path == bare]
    bare_.info["test_set"] = run_.info["test_set"]
    verdict = said(bare_, run_)
    assert "Not told apart from it: svm (not tested)." in verdict


def test_a_run_without_a_score_is_left_out(tmp_path):
    runs.save("vectors", root=tmp_path)
    assert standings.test_sets(runs.list_runs(tmp_path)) == []


def test_other_metrics_have_their_own_sets_and_scales(tmp_path):
    sets = standings.test_sets(runs_of_each_kind(tmp_path))
    bleu = next(each for each in sets if each["metric"] == "bleu")
    first, second = bleu["models"]
    assert first["shown"][0] == f"{first['score']:.1f}"
    assert second["points"] == pytest.approx(first["score"] - second["score"])
    tags = next(each for each in sets if each["metric"] == "entity_f1" and len(each["models"]) > 1)
    assert "(paired bootstrap, p" in " ".join(tags["verdict"])


def test_what_is_unknown_is_said_of_the_whole_report(run):
    passed, failed = {"status": "passed"}, {"status": "failed"}
    sets = standings.test_sets([run(name, range(700)) for name in ("a", "b", "c")])
    assert standings.unknown(sets, {"01": passed, "02": failed}) == [
        "Each model was trained with one seed: another may change the order.",
        "The highest of many scores on the rows that choose it is a little too high.",
        "What these would have recorded is missing: 02.",
    ]
    seeds = standings.test_sets([run("a", range(700), seed=s) for s in (1, 2)])
    assert standings.unknown(seeds, {"01": passed}) == []
    assert standings.unknown([], {}) == []
