"""What labels of the target add on the pairs of Amazon reviews, for MiniLM: rows of the table of adaptation.

    OMP_NUM_THREADS=1 python -m benchmarks.target_labels --jobs 2
    python -m benchmarks.adaptation --table

One half of the target's labelled reviews is where labels are drawn from, the other is tested. The source
model is trained once for its three targets, and what is trained on the target alone once for its three
sources. `several tasks` are verdicts of both domains, learned at once with a head for each. What has its
rows is not run again.
"""

import argparse
import copy
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from itertools import permutations

import pandas as pd

from benchmarks import adaptation, cases

KIND = "fine-tuned, beside labels of the target"
DOMAINS = ("books", "dvd", "electronics", "kitchen")
# A cycle of four pairs first, in which each domain is once a source and once a target.
CYCLE = [*zip(DOMAINS, (*DOMAINS[1:], DOMAINS[0]), strict=True)]
PAIRS = [*CYCLE, *(pair for pair in permutations(DOMAINS, 2) if pair not in CYCLE)]
LABELS, MORE_EPOCHS = 64, 10
IN_SEQUENCE, ALONE = f"source, then {LABELS} labels", f"{LABELS} labels alone"
SUPERVISED = "target supervised (half of its labels)"
BOTH = f"several tasks ({LABELS} labels, the source)"
TRAINING = {"max_length": 128, "epochs": 4}


@cache
def tables(source: str, target: str) -> tuple[pd.DataFrame, ...]:
    """Rows of the source, `LABELS` rows of the target, all rows of its first half, those to test."""
    from workbench.runs import plan

    frames = plan.load({"source": str(cases.folder() / "amazon")})
    train, _, labelled, _ = plan.select(frames, (source, target))
    # In an order that does not depend on the source, whose own texts are left out.
    order = pd.util.hash_pandas_object(labelled["text"], index=False).argsort()
    labelled = labelled.iloc[order]
    half = labelled[: len(labelled) // 2]
    return train, half.groupby("label").head(LABELS // 2), half, labelled[len(half) :]


def built(name: str = "source-only", **settings):
    from workbench import models

    return models.build(name, seed=0, **TRAINING | settings)


def fitted(model, table: pd.DataFrame):
    return model.fit(list(table["text"]), list(table["label"]))


def row(method: str, pair: tuple[str, str], model, seconds: float) -> dict:
    from workbench import evaluate
    from workbench.runs import folders

    found = evaluate.evaluate(model, tables(*pair)[-1])
    return {
        "method": method, "vectors": KIND, "source": pair[0], "target": pair[1], "seed": 0,
        "setting": "labels of the target", "selection": "none",
        "accuracy": found.metrics["accuracy"], "macro_f1": found.metrics["macro_f1"],
        "source_dev": None, "tested": found.metrics["n"], "seconds": round(seconds, 1),
        "device": folders.device(), "versions": folders.versions(),
    }  # fmt: skip


def of_source(source: str) -> list[dict]:
    """The model of a source as it is, and as it goes on with labels of each of its targets."""
    started = time.perf_counter()
    rows, targets = [], [b for a, b in PAIRS if a == source]
    plain = fitted(built(), tables(source, targets[0])[0])
    seconds = time.perf_counter() - started
    for target in targets:
        rows.append(row("source-only", (source, target), plain, seconds))
        started = time.perf_counter()
        handed = copy.copy(plain).set_params(warm_start=True, epochs=MORE_EPOCHS)
        fitted(handed, tables(source, target)[1])
        seconds = time.perf_counter() - started
        rows.append(row(IN_SEQUENCE, (source, target), handed, seconds))
    return rows


def of_target(target: str) -> list[dict]:
    """Models of the target alone: of few labels, and of half of all that it has."""
    rows, sources = [], [a for a, b in PAIRS if b == target]
    _, few, half, _ = tables(sources[0], target)
    for name, table, epochs in (ALONE, few, None), (SUPERVISED, half, TRAINING["epochs"]):
        started = time.perf_counter()
        model = fitted(built(epochs=epochs), table)
        found = row(name, (sources[0], target), model, time.perf_counter() - started)
        rows += [found | {"source": source} for source in sources]
    return rows


def of_both(source: str, target: str) -> list[dict]:
    """The few labels of the target and those of the source, as two tasks of one encoder."""
    started = time.perf_counter()
    train, few, *_ = tables(source, target)
    tasks = {"few": few, "many": train}
    model = built("multi-task")
    model.fit({name: (list(t["text"]), list(t["label"])) for name, t in tasks.items()})
    seconds = time.perf_counter() - started
    return [row(BOTH, (source, target), model.for_task("few"), seconds)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.target_labels")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--both", type=int, default=4, help="pairs on which two tasks are learned")
    given = parser.parse_args()
    there = {tuple(each[name] for name in ("vectors", "method", "source", "target"))
             for each in adaptation.read()}  # fmt: skip
    tasks = [(of_source, (a,)) for a, b in CYCLE if (KIND, IN_SEQUENCE, a, b) not in there]
    tasks += [(of_target, (b,)) for a, b in CYCLE if (KIND, SUPERVISED, a, b) not in there]
    tasks += [(of_both, p) for p in PAIRS[: given.both] if (KIND, BOTH, *p) not in there]
    with ProcessPoolExecutor(given.jobs) as pool:
        for done in as_completed([pool.submit(work, *which) for work, which in tasks]):
            adaptation.write(done.result())  # what is there is there, should the rest be cut off
            for each in done.result():
                print(each["method"], each["source"], each["target"], f"{each['accuracy']:.3f}")


if __name__ == "__main__":
    main()
