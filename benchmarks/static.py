"""Static vectors between counting words and encoders: accuracy, and texts a second.

    python -m benchmarks.static [--methods static-frozen …] [--sets sst2 …]

Each draw takes other training texts, the same for every method; the interval is that of the mean.
Every row is written when it is done, and what is there already is not run again.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks import cases

RESULTS = Path(__file__).parent / "results" / "static.json"
METHODS = {
    "naive-bayes": {"model": "naive-bayes"}, "logistic": {"model": "logistic"},
    "static-frozen": {"model": "static", "strategy": "frozen"},
    "static-full": {"model": "static", "strategy": "full"},
    "minilm-frozen": {"model": "minilm", "strategy": "frozen"},
}  # fmt: skip
SETS = {"sst2": (64, 1000, None), "trec": (64, 1000, None), "reviews": (64, None)}
DRAWS = {64: 5, 1000: 5, None: 1}


def texts(name: str, split: str) -> pd.DataFrame:
    """The texts and labels of a split, no text twice."""
    if name == "reviews":
        from workbench import data

        train, _, test = data.frames(data.load("reviews"))
        return train if split == "train" else test
    table = pd.read_csv(cases.folder() / name / f"{split}.csv", dtype=str)
    return table.drop_duplicates("text")


def measure(name: str, method: str, labels: int | None) -> dict:
    """Accuracies of all draws, and the texts a second of the last one's predictions."""
    from workbench import models

    train, test = texts(name, "train"), texts(name, "test")
    accuracies, seconds = [], []
    for draw in range(DRAWS[labels]):
        some = train.sample(min(labels or len(train), len(train)), random_state=draw)
        settings = dict(METHODS[method])
        model = models.build(settings.pop("model"), **settings)
        started = time.perf_counter()
        model.fit(list(some["text"]), list(some["label"]))
        seconds.append(time.perf_counter() - started)
        accuracies.append(model.score(list(test["text"]), list(test["label"])))
    # Other texts than those whose vectors an encoder has in memory.
    new = [f"{text} {i}" for i, text in enumerate(test["text"])]
    started = time.perf_counter()
    model.predict(new)
    return {
        "set": name, "method": method, "labels": labels, "accuracies": accuracies,
        "seconds": float(np.median(seconds)), "tested": len(test),
        "texts a second": len(new) / (time.perf_counter() - started),
    }  # fmt: skip


def table(rows: list[dict]) -> str:
    """Mean accuracy, its 95% interval over the draws, and texts a second."""
    lines = ["# Static vectors", "", *__doc__.split("\n\n")[2].strip().splitlines(), ""]
    for name, sizes in SETS.items():
        of_set = {(row["method"], row["labels"]): row for row in rows if row["set"] == name}
        if not of_set:
            continue
        heads = [f"{size:,} labels" if size else "all labels" for size in sizes]
        lines += [f"## {name}", "", "| method | " + " | ".join(heads) + " | texts/s |",
                  "| --- |" + " --- |" * (len(sizes) + 1)]  # fmt: skip
        for method in METHODS:
            found = [of_set.get((method, size)) for size in sizes]
            rates = [row["texts a second"] for row in found if row]
            cells = [_mean(row["accuracies"]) if row else "–" for row in found]
            lines.append(
                f"| {method} | " + " | ".join(cells) + f" | {max(rates, default=0):,.0f} |"
            )
        lines.append("")
    return "\n".join(lines)


def _mean(accuracies: list[float]) -> str:
    if len(accuracies) == 1:
        return f"{accuracies[0]:.3f}"
    half = stats.sem(accuracies) * stats.t.ppf(0.975, len(accuracies) - 1)
    return f"{np.mean(accuracies):.3f} ± {half:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.static", description=__doc__)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    given = parser.parse_args()
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    done = {(row["set"], row["method"], row["labels"]) for row in rows}
    for method in given.methods:
        for name in given.sets:
            for labels in SETS[name]:
                if (name, method, labels) not in done:
                    rows.append(measure(name, method, labels))
                    print(rows[-1], flush=True)
                    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    RESULTS.with_suffix(".md").write_text(table(rows))


if __name__ == "__main__":
    main()
