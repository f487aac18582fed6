"""How accurate each method is with few labels, on five data sets: runs, and the table of them.

    python -m benchmarks.few_labels --sets sst2 trec --methods full contrastive
    python -m benchmarks.few_labels --table

A run is a row of `results/few_labels.jsonl`: trained on a draw of the training texts, each class in
its share, and scored on all test texts. Each method is a sweep, kept in `sweeps/few_labels`: what is
there is not run again, and its rows take the place of those of before. Choices are made by ``dev``, the
accuracy on texts that are neither trained nor tested on.
"""

import argparse
import json
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import cases

RESULTS = Path(__file__).parent / "results" / "few_labels.jsonl"
SWEEPS = Path("sweeps") / "few_labels"
LABELS, DRAWS = (16, 64, 256, 1000), 5
SETS = {"sst2": "minilm", "trec": "minilm", "books": "minilm", "reviews": "minilm",
        "zh_shopping": "multilingual"}  # fmt: skip
METHODS = {
    "naive-bayes": {"model": "naive-bayes"}, "logistic": {"model": "logistic"},
    "static": {"model": "static"}, "frozen": {"strategy": "frozen"}, "full": {},
    "full, 3 epochs": {"epochs": 3}, "lora": {"strategy": "lora"},
    "contrastive": {"strategy": "contrastive"},
}  # fmt: skip


@cache
def splits(name: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Training, development and test texts of a set; no text is in two of them."""
    folder = cases.folder()
    if name == "reviews":
        from workbench import data

        return data.frames(data.load("reviews"))
    if name == "zh_shopping":
        table = _read(folder / name / "reviews.csv").sample(6000, random_state=0)
        return table[2000:], table[:1000], table[1000:2000]
    path = folder / ("amazon/books" if name == "books" else name)
    train = _read(path / "train.csv").sample(frac=1, random_state=0)
    if name == "books":
        return train[600:], _read(path / "dev.csv"), train[:600]
    test = _read(path / "test.csv")
    train = train[~train["text"].isin(test["text"])]
    if not (path / "dev.csv").exists():
        return train[500:], train[:500], test
    return train, _read(path / "dev.csv"), test


def _read(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, dtype=str).dropna(subset=["text", "label"])
    return table.drop_duplicates("text")


def collect(name: str, method: str, labels: list[int], draws: int, jobs: int) -> list[dict]:
    """The rows of a method on a set: a sweep over labels and draws, which goes on where it was."""
    from workbench import runs
    from workbench.models import encoders

    place = SWEEPS / name
    place.mkdir(parents=True, exist_ok=True)
    for split, table in zip(("train", "dev", "test"), splits(name), strict=True):
        table[["text", "label"]].to_csv(place / f"{split}.csv", index=False)
    settings = dict(METHODS[method])
    model = settings.pop("model", SETS[name])
    if model in encoders.NAMES:
        settings["max_length"] = 256 if name == "books" else 128
    if model == "static":
        settings["encoder"] = SETS[name]
    spec = {"models": [{model: settings}], "data": str(place), "limit": labels,
            "seed": list(range(draws))}  # fmt: skip
    return [
        {"set": name, "method": method, "labels": run.info["parameters"]["LIMIT"],
         "draw": run.info["seed"], "texts": run.info["data"]["rows"]["train"],
         "accuracy": run.metrics["accuracy"], "macro_f1": run.metrics["macro_f1"],
         "tested": run.metrics["n"], "dev": run.metrics["validation_accuracy"],
         "seconds": run.info["seconds"], "device": run.info["device"]}
        for run in runs.sweep(spec, SWEEPS / f"{name}-runs", jobs=jobs)
    ]  # fmt: skip


def read(path: Path) -> list[dict]:
    """The rows that were written."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _key(row: dict) -> tuple:
    return tuple(row[name] for name in ("set", "method", "labels", "draw"))


def table(rows: list[dict]) -> str:
    """Mean accuracy and the 95% t-interval of the mean over the draws; the best is in bold."""
    from scipy import stats

    found = pd.DataFrame(rows)
    order = {method: place for place, method in enumerate(METHODS)}
    found = found.sort_values("method", key=lambda column: column.map(order), kind="stable")
    text = [
        "# Few labels", "",
        f"Test accuracy, mean of up to {found['draw'].max() + 1} draws of the labels and its 95% "
        "t-interval; the best of a column is bold. Made by `python -m benchmarks.few_labels` on "
        f"{' and '.join(sorted(found['device'].unique()))}.", "",
    ]  # fmt: skip
    for name in [name for name in SETS if name in set(found["set"])]:
        of_set = found[found["set"] == name]
        sizes = sorted(of_set["labels"].unique())
        text += [f"## {name}: {of_set['tested'].iloc[0]:,} test texts", "",
                 "| method | " + " | ".join(f"{n:,}" for n in sizes) + " |",
                 "| --- |" + " --- |" * len(sizes)]  # fmt: skip
        scores = of_set.groupby(["method", "labels"], sort=False)["accuracy"]
        means = scores.mean().unstack()
        half = (scores.sem() * stats.t.ppf(0.975, scores.count() - 1)).unstack()
        half = half[scores.count().unstack() > 2]
        for method in means.index:
            cells = []
            for n in sizes:
                value, interval = means.loc[method, n], half.loc[method, n]
                value = "–" if np.isnan(value) else f"{value:.3f}"
                value += "" if np.isnan(interval) else f" ± {interval:.3f}"
                cells.append(f"**{value}**" if means.loc[method, n] == means[n].max() else value)
            text.append(f"| {method} | " + " | ".join(cells) + " |")
        text.append("")
    return "\n".join(text)


def difference(rows: list[dict], name: str, labels: int, one: str, other: str) -> tuple:
    """Mean difference of two methods over the same draws, and its 95% t-interval."""
    from scipy import stats

    found = pd.DataFrame(rows).query("set == @name and labels == @labels")
    pairs = found.pivot(index="draw", columns="method", values="accuracy")
    apart = (pairs[one] - pairs[other]).dropna()
    low, high = stats.t.interval(0.95, len(apart) - 1, apart.mean(), stats.sem(apart))
    return apart.mean(), low, high


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.few_labels")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--labels", nargs="+", type=int, default=LABELS)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="write the table of what is there")
    given = parser.parse_args()
    for name, method in product(given.sets, given.methods) if not given.table else ():
        new = collect(name, method, given.labels, given.draws, given.jobs)
        rows = {_key(row): row for row in read(given.out) + new}
        given.out.write_text("".join(json.dumps(row) + "\n" for row in rows.values()))
    given.out.with_suffix(".md").write_text(table(read(given.out)))


if __name__ == "__main__":
    main()
