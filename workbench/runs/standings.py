"""Which model stands where on each test set, and what these numbers say, in words by rule."""

import re
from collections import defaultdict

from workbench.evaluation.comparison import p_text
from workbench.evaluation.scores import METRICS, main_metric
from workbench.evaluation.sequences import compare_by_metric, how_tested
from workbench.runs.folders import Run
from workbench.runs.provenance import UNKNOWN

# Trained on labels of what it is tested on: "upper bound", "minilm (en to en)".
BOUND = re.compile(r"\b(upper bound|oracle|target-supervised)\b|\((\S+) to \2\)", re.IGNORECASE)
SMALL = 300  # rows, below which an interval of accuracy is wider than ten points


def test_sets(found: list[Run]) -> list[dict]:
    """Runs by metric and by the rows that they were tested on, the most predictions first.

    Returns
    -------
    list of dict : ``metric``, its highest value ``most``, ``n`` rows, ``where`` these are from,
        ``verdict`` and ``models``: a dict a name, the best first and the bounds last. Runs of one
        name are one model: its ``score`` is their mean, ``scores`` are theirs. The run nearest to
        the mean stands for it: it has the ``low`` and ``high`` end, decides about the order, and
        is tested against that of the best model, to which it loses ``points``, with ``p`` adjusted
        for all pairs; None where nothing was tested. The cells of a table are ``shown``: score,
        interval, what it loses, seconds of training.
    """
    groups = defaultdict(lambda: defaultdict(list))
    for run in found:
        metric = main_metric(run.metrics)
        if run.metrics.get(metric) is not None:
            rows = run.info["test_set"] or run.path.name
            groups[metric, rows][run.name].append(run)
    sets = [_test_set(metric, by_name) for (metric, _), by_name in groups.items()]
    sets.sort(key=lambda each: -len(each["models"]) * each["n"])
    for i, each in enumerate(sets):
        if again := sum(other["where"].startswith(each["where"]) for other in sets[:i]):
            each["where"] += f" (set {again + 1})"
    return sets


def _test_set(metric: str, by_name: dict[str, list[Run]]) -> dict:
    models = [_model(name, metric, runs) for name, runs in by_name.items()]
    models.sort(key=lambda model: (model["bound"], -model["run"].metrics[metric]))
    best, digits = models[0]["run"], 1 if METRICS[metric] == 100 else 3
    tests = compare_by_metric([model["run"] for model in models if not model["bound"]])
    pairs = {frozenset((test["a"], test["b"])): test for _, table in tests.values()
             for test in table.to_dict("records")}  # fmt: skip
    for model in models:
        if test := pairs.get(frozenset((best.path.name, model["run"].path.name))):
            points = test["difference"] * 100 / METRICS[metric]
            model |= {"points": points, "p": test["p_adjusted"]}
        model["shown"] = _shown(model, digits, model is models[0])
    found = {"metric": metric, "most": METRICS[metric], "n": best.metrics.get("n") or 0,
             "where": _where(best), "models": models}  # fmt: skip
    return found | {"verdict": verdict(found)}


def _model(name: str, metric: str, runs: list[Run]) -> dict:
    scores = [run.metrics[metric] for run in runs]
    mean = sum(scores) / len(runs)
    run = min(runs, key=lambda run: abs(run.metrics[metric] - mean))
    took = [run.info["seconds"] for run in runs if run.info["seconds"] is not None]
    given = [run.info["settings"] | {"seed": 0} for run in runs if run.info["settings"]]
    return {
        "name": name, "score": mean, "scores": scores, "runs": runs, "run": run,
        "low": run.metrics.get(f"{metric}_low"), "high": run.metrics.get(f"{metric}_high"),
        "seconds": sum(took) / len(took) if took else None, "points": None, "p": None,
        "bound": bool(BOUND.search(name)), "alike": all(each == given[0] for each in given),
    }  # fmt: skip


def _where(run: Run) -> str:
    given, source = run.info["parameters"], run.info["data"].get("source")
    known = f"of {source}" if source not in (None, UNKNOWN) else f"in {run.info['notebook']}"
    if given.get("SOURCE") and given.get("TARGET"):
        known += f", {given['SOURCE']} to {given['TARGET']}"
    return f"{run.metrics.get('n', 0):,} {run.metrics.get('split') or 'test'} rows {known}"


def _shown(model: dict, digits: int, best: bool) -> list[str]:
    ends = [model["low"], model["high"]]
    interval = "" if None in ends else " to ".join(f"{end:.{digits}f}" for end in ends)
    beside, took = "best" if best else "not tested", model["seconds"]
    if model["bound"]:
        beside = "saw labels of the target"
    elif model["p"] is not None:
        beside = f"{-model['points']:+.1f} points, {_p(model)}".replace("-", "−")
    cost = ""
    if took is not None:
        cost = f"{took:.{1 if took < 10 else 0}f} s" if took >= 0.1 else "under 0.1 s"
    return [f"{model['score']:.{digits}f}", interval, beside, cost]


def verdict(test_set: dict) -> list[str]:
    """Which model, by how much, how sure, at what cost, and what these rows cannot tell.

    The first sentence says what to do.
    """
    bounds = [model["shown"][0] for model in test_set["models"] if model["bound"]]
    ranked = [model for model in test_set["models"] if not model["bound"]]
    said = ["There is nothing to choose from."]
    if ranked:
        others = ranked[1:]
        worse = [model for model in others if model["p"] is not None and model["p"] < 0.05]
        level = [model for model in others if model not in worse]
        said = [_lead(ranked[0], worse, level), _scored(ranked[0], test_set["metric"])]
        said += _margin(worse, len(others), how_tested(test_set["metric"])[0])
        said += _level(level, [ranked[0], *level] if worse else [])
        if test_set["n"] < SMALL:
            said.append(f"{test_set['n']} rows are few: the interval is wide.")
    if bounds:
        known = f"{len(bounds)} that saw labels of the target, up to {max(bounds, key=float)}"
        said.append(f"Not ranked as bounds: {known}.")
    return said


def _lead(best: dict, worse: list[dict], level: list[dict]) -> str:
    if not worse + level:
        return f"{best['name']} alone was tested."
    if any(model["name"] == "majority" for model in [best, *level]):
        return "These rows choose no model: the highest score is not told from the majority's."
    if not worse:
        return "These rows choose no model: none is told apart from the highest score."
    return f"Use {best['name']}{', or one that is not told apart from it' if level else ''}."


def _scored(best: dict, metric: str) -> str:
    score, interval, _, took = best["shown"]
    facts = [f"95% interval {interval}" if interval else "", f"trained in {took}" if took else ""]
    if len(best["scores"]) > 1:
        ends = [f"{end(best['scores']):.3f}" for end in (min, max)]
        facts.append(f"mean of {len(best['scores'])} runs: {' to '.join(dict.fromkeys(ends))}")
    facts = "; ".join(filter(None, facts))
    return f"{best['name']} has {metric} {score}{f' ({facts})' if facts else ''}."


def _margin(worse: list[dict], of: int, test: str) -> list[str]:
    if not worse:
        return []
    number = "all others" if len(worse) == of else f"{len(worse)} of {of} others"
    return [
        f"It is better than {number}; the next of these, {worse[0]['name']}, is "
        f"{worse[0]['points']:.1f} points below ({test}, {_p(worse[0])}, adjusted for all pairs)."
    ]


def _level(level: list[dict], good: list[dict], most: int = 4) -> list[str]:
    """Which models may be as good, and the cheapest of those that are any `good`."""
    if not level:
        return []
    tested = sorted((m for m in level if m["p"] is not None), key=lambda model: model["p"])
    names = ", ".join(model["name"] for model in level[:most])
    more = f" and {len(level) - most} more" if len(level) > most else ""
    ends = " to ".join(dict.fromkeys(map(_p, tested[:1] + tested[-1:]))) or "not tested"
    said = [f"Not told apart from it: {names}{more} ({ends})."]
    timed = [model for model in good if model["seconds"] is not None]
    cheap = min(timed, key=lambda model: model["seconds"], default=None)
    if cheap in level:
        said.append(f"The cheapest is {cheap['name']}, trained in {cheap['shown'][3]}.")
    return said


def _p(model: dict) -> str:
    return p_text(model["p"]).replace(" ", "\N{NO-BREAK SPACE}")


def unknown(sets: list[dict], entries: dict[str, dict]) -> list[str]:
    """What a whole report leaves open; `entries` are the notebooks of ``results.json``."""
    said, models = [], [model for each in sets for model in each["models"]]
    if models and all(len({r.info["seed"] for r in m["runs"]}) == 1 for m in models):
        said.append("Each model was trained with one seed: another may change the order.")
    if any(len(each["models"]) > 2 for each in sets):
        said.append("The highest of many scores on the rows that choose it is a little too high.")
    if missing := [name for name, entry in entries.items() if entry["status"] != "passed"]:
        said.append(f"What these would have recorded is missing: {', '.join(missing)}.")
    return said
