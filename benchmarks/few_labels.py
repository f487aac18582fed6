"""How accurate each method is with few labels, on five data sets: runs, and the table of them.

    python -m benchmarks.few_labels --sets sst2 trec --methods full contrastive
    python -m benchmarks.few_labels --table

A run is a row of `results/few_labels.jsonl`: trained on a draw of the training texts, each class in
its share, and scored on all test texts. What is there already is not run again. Choices are made by
``dev``, the accuracy on texts that are neither trained nor tested on.
"""

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import cases

RESULTS = Path(__file__).parent / "results" / "few_labels.jsonl"
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


def run(name: str, method: str, labels: int, draw: int) -> dict:
    """One row: trained on `labels` texts, or on all where there are no more."""
    from workbench import evaluate, models
    from workbench.models import encoders
    from workbench.training import devices

    train, dev, test = splits(name)
    shares = train["label"].value_counts(normalize=True)
    parts = [
        rows.sample(min(len(rows), max(1, round(labels * shares[label]))), random_state=draw)
        for label, rows in train.groupby("label")
    ]
    some = pd.concat(parts).sample(frac=1, random_state=draw)
    settings = dict(METHODS[method])
    model = settings.pop("model", SETS[name])
    if model in encoders.NAMES:
        settings |= {"max_length": 256 if name == "books" else 128, "seed": draw}
    if model == "static":
        settings["encoder"] = SETS[name]
    started = time.perf_counter()
    fitted = models.build(model, **settings).fit(list(some["text"]), list(some["label"]))
    seconds = time.perf_counter() - started
    found = evaluate.evaluate(fitted, test).metrics
    return {
        "set": name, "method": method, "labels": labels, "draw": draw, "texts": len(some),
        "accuracy": found["accuracy"], "macro_f1": found["macro_f1"], "tested": len(test),
        "dev": fitted.score(list(dev["text"]), list(dev["label"])),
        "seconds": round(seconds, 2), "device": devices.device(),
    }  # fmt: skip


def collect(jobs: list[tuple], out: Path, processes: int, limit: float) -> None:
    """Run what is missing, several at a time, and write each row when it is done."""
    started = time.monotonic()
    done = {tuple(row[key] for key in ("set", "method", "labels", "draw")) for row in read(out)}
    missing = [job for job in jobs if job not in done]
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    futures = {pool.submit(run, *job): job for job in missing}
    for number, future in enumerate(as_completed(futures), 1):
        try:
            row = future.result()
        except Exception as error:
            print(*futures[future], f"{type(error).__name__}: {error}", flush=True)
            continue
        with out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(
            f"{number} of {len(missing)}:", *futures[future], round(row["accuracy"], 3), flush=True
        )
        if time.monotonic() - started > limit:
            break
    pool.shutdown(cancel_futures=True)


def read(path: Path) -> list[dict]:
    """The rows that were written."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


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
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--limit", type=float, default=float("inf"), help="seconds")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="write the table of what is there")
    given = parser.parse_args()
    if not given.table:
        jobs = [(name, method, labels, draw) for draw in range(given.draws) for name in given.sets
                for labels in given.labels for method in given.methods]  # fmt: skip
        collect(jobs, given.out, given.processes, given.limit)
    given.out.with_suffix(".md").write_text(table(read(given.out)))


if __name__ == "__main__":
    main()
