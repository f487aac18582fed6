"""Trained in one language, tested in another: what each way of crossing reaches."""

import json
import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks import cases

ROWS = 960  # of each language: all that there are
SEEDS = (0, 1, 2)
TESTED = ("en", "zh", "zh_shopping")
RECIPE = {"epochs": 3, "learning_rate": 5e-5, "batch_size": 16, "max_length": 96}
ADAPTERS = {"strategy": "lora", "learning_rate": 5e-4}
# Name of a method: name of the model, settings, seeds.
METHODS = {
    "word counts": ("naive-bayes", {}, (0,)),
    "minilm, frozen": ("minilm", {"strategy": "frozen"}, (0,)),
    "multilingual, frozen": ("multilingual", {"strategy": "frozen"}, (0,)),
    "multilingual, fine-tuned": ("multilingual", RECIPE, SEEDS[:1]),
    "multilingual, adapters": ("multilingual", {**RECIPE, **ADAPTERS}, SEEDS),
}
BEST = "multilingual, adapters"


def tables() -> tuple[dict, dict]:
    """Training and test rows: the bundled reviews, and 1,000 rows of Chinese shopping reviews."""
    import pandas as pd

    from workbench import data

    learn, unseen = {}, {}
    for language, name in (("en", "reviews"), ("zh", "reviews-zh")):
        learn[language], _, unseen[language] = data.frames(data.load(name))
    shopping = pd.read_csv(cases.folder() / "zh_shopping" / "reviews.csv")
    shopping["label"] = shopping["label"].map({0: "negative", 1: "positive"})
    learn = {name: data.sample(table, ROWS) for name, table in learn.items()}
    return learn, unseen | {"zh_shopping": shopping.sample(1000, random_state=0)}


def run(results: Path) -> None:
    """Every method in both directions; what is in the file already, of the same texts, stays."""
    from workbench import data, models

    learn, unseen = tables()
    path = results / "languages.json"
    texts = {name: data.digest(table) for name, table in learn.items()}
    found = json.loads(path.read_text()) if path.exists() else {}
    found = found if found.get("texts") == texts else {"texts": texts, "runs": []}
    done = [(each["method"], each["trained"], each["seed"]) for each in found["runs"]]
    for method, (name, settings, seeds) in METHODS.items():
        for trained, seed in ((t, s) for s in seeds for t in learn):
            if (method, trained, seed) in done:
                continue
            more = {"seed": seed} if "seed" in models.settings_of(name) else {}
            model, started = models.build(name, **settings, **more), time.perf_counter()
            model.fit(list(learn[trained]["text"]), list(learn[trained]["label"]))
            each = {"method": method, "trained": trained, "seed": seed}
            each["seconds"] = round(time.perf_counter() - started, 1)
            each |= {t: model.score(list(table["text"]), list(table["label"]))
                     for t, table in unseen.items()}  # fmt: skip
            found["runs"].append(each)
            print(each, flush=True)
            path.write_text(json.dumps(found, indent=1))
    write(results / "languages.md", found["runs"], learn, unseen)


def write(path: Path, runs: list[dict], learn: dict, unseen: dict) -> None:
    """The table, means over the seeds, and the distance to training on the language itself."""

    def mean(method: str, trained: str, tested: str) -> float:
        scores = [r[tested] for r in runs if (r["method"], r["trained"]) == (method, trained)]
        return statistics.mean(scores)

    sizes = ", ".join(f"{name} {len(table):,}" for name, table in unseen.items())
    lines = ["# Across languages", "",
             f"Accuracy; {len(learn['en']):,} training rows of the bundled reviews; test rows: {sizes}; "
             f"adapters: mean over {len(SEEDS)} seeds.", "",
             "| method | trained on | " + " | ".join(TESTED) + " |",
             "| --- | --- |" + " --- |" * len(TESTED)]  # fmt: skip
    for method in METHODS:
        for trained in learn:
            row = " | ".join(f"{mean(method, trained, tested):.3f}" for tested in TESTED)
            lines.append(f"| {method} | {trained} | {row} |")
    gaps = {
        t: mean(BEST, t, t) - np.mean([mean(BEST, o, t) for o in learn if o != t]) for t in learn
    }
    lines += ["", f"Distance to training on the tested language, {BEST}: "
              + ", ".join(f"{t} {100 * gap:+.1f} points" for t, gap in gaps.items()) + "."]  # fmt: skip
    path.write_text("\n".join(lines) + "\n")
    print(path.read_text())
