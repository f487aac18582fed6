"""Domain adaptation on the twelve pairs of Amazon reviews: runs of a sweep, and the table of them.

    python -m benchmarks.adaptation --families vectors --jobs 2
    python -m benchmarks.adaptation --families fine-tuned --seeds 0 --jobs 12
    python -m benchmarks.adaptation --families baselines vectors --pairs others
    python -m benchmarks.adaptation --table

The papers' setting: trained on the labelled reviews of the source (but for a tenth, held out), adapted to
the target's unlabelled reviews, tested on all labelled reviews of the target; no text is in two of these.
A row of `results/domain_adaptation.jsonl` is a run; those of other families and seeds stay. `chosen` is what `evaluation.selection` takes for each pair
by calibrated information, without a label of the target; the oracle takes what is best on the test.
"""

import argparse
import json
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import cases

RESULTS = Path(__file__).parent / "results" / "domain_adaptation.jsonl"
MEANS = Path(__file__).parents[1] / "data" / "domain_adaptation.csv"  # for notebook 05
SWEEP = Path("sweeps") / "adaptation"
KINDS = ("tfidf", "static", "frozen")
ON_VECTORS = ("feature-selection", "pca", "lda", "coral", "subspace-alignment", "optimal-transport",
              "importance-weighting")  # fmt: skip
TRAINING = {"max_length": 256, "epochs": 4}
MASKED = {"pretraining_epochs": 10, "head_epochs": 2, "pretraining_rate": 3e-4}
# Language modelling on all four domains, once for all pairs; see `pretrain`.
PRETRAINED = {"encoder": "sweeps/encoder-of-reviews"}
ENSEMBLE = {"teachers": 3, "share": 0.9}
# The second encoder that is bundled has twice the layers: it teaches, and MiniLM is what is left.
DISTILLED = {"teacher": "multilingual", "teachers": 3, "stages": 1, "soft": True, "share": 1.0}
FINE_TUNED = [
    ("source-only", {}), ("deep-coral", {}), ("mmd", {}), ("mcc", {}), ("dann", {}), ("cdan", {}),
    ("self-training", {}), ("self-training", ENSEMBLE), ("dapt", MASKED),
    ("udalm", MASKED | {"share": 0.7}), ("simcse", {}), ("source-only", PRETRAINED),
    ("self-training", DISTILLED), ("self-training", DISTILLED | PRETRAINED),
]  # fmt: skip
FAMILIES = {
    "baselines": ["logistic", {"static": {"max_length": 128}},
                  {"minilm": {"strategy": "frozen", "max_length": 128}}],
    "vectors": [{name: {"vectors": kind}} for kind in KINDS for name in ON_VECTORS],
    "multilingual": [{"multilingual": {"strategy": "frozen", "max_length": 128}},
                     *({name: {"vectors": "frozen", "encoder": "multilingual"}}
                       for name in ON_VECTORS)],
    "fine-tuned": [{name: TRAINING | settings} for name, settings in FINE_TUNED],
}  # fmt: skip
RUN = ["method", "vectors", "source", "target", "seed"]
BASELINES = {
    "logistic": "tfidf",
    "static": "static",
    "minilm": "frozen",
    "multilingual": "frozen, multilingual",
    "source-only": "fine-tuned",
}

OF_ENCODERS = "frozen", "fine-tuned"
SEVERAL = ", three sources"


def baseline(kind: str, names) -> str | None:
    """The model that is not adapted, of a kind of vectors or training, where it is among `names`."""
    kinds = kind, kind.partition(",")[0]
    return next((name for name, own in BASELINES.items() if own in kinds and name in names), None)


def collect(families: list[str], pairs: str, seeds: list[int], jobs: int) -> list[dict]:
    """The rows of a family's sweep, which goes on where it was."""
    from workbench import runs

    spec = {"models": list(chain(*(FAMILIES[name] for name in families))), "pairs": pairs,
            "data": str(cases.folder() / "amazon"), "seed": seeds}  # fmt: skip
    return [row(run) for run in runs.sweep(spec, SWEEP, jobs=jobs)]


def pretrain(encoder: str = "minilm") -> None:
    """Write the encoder of `PRETRAINED`: masked-LM pretraining on the four domains' other reviews."""
    from workbench import models
    from workbench.training.history import History

    files = sorted((cases.folder() / "amazon").glob("*/unlabeled.csv"))
    texts = list(pd.concat(pd.read_csv(file, encoding="utf-8") for file in files)["text"])
    model = models.build("dapt", encoder=encoder, max_length=256, batch_size=128, **MASKED)
    model.history_ = History()
    model._pretrain(texts, PRETRAINED["encoder"])


def row(run) -> dict:
    given, settings = run.info["parameters"], run.info["settings"]
    method = settings["model"].partition(":")[0]  # static:minilm
    kind = BASELINES.get(method) or settings.get("vectors", "fine-tuned")
    if kind in OF_ENCODERS and settings.get("encoder") == "multilingual":
        kind += ", multilingual"
    if "," in given["SOURCE"]:
        kind += SEVERAL
    return {
        "method": method + variant(settings), "vectors": kind, "source": given["SOURCE"],
        "target": given["TARGET"], "seed": given["SEED"], "setting": "inductive",
        "selection": "none", "accuracy": run.metrics["accuracy"],
        "macro_f1": run.metrics["macro_f1"], "source_dev": run.metrics["validation_accuracy"],
        "tested": run.metrics["n"], "seconds": run.info["seconds"],
        "peak_mb": run.info["peak_memory"], "device": run.info["device"],
        "versions": run.info["versions"],
    }  # fmt: skip


def variant(settings: dict) -> str:
    """What a method is called beside its name, where its settings are not the plain ones."""
    several, words = settings.get("teachers", 1), []
    if teacher := settings.get("teacher"):
        words.append(f"taught by {teacher}" + f" x {several}" * (several > 1))
    elif several > 1:
        words.append(f"{several} teachers")
    words += ["soft labels"] * bool(settings.get("soft"))
    words += ["encoder of reviews"] * (settings.get("encoder") == PRETRAINED["encoder"])
    if (epochs := settings.get("epochs")) and epochs != TRAINING["epochs"]:
        words.append(f"{epochs} epochs")
    return f" ({', '.join(words)})" if words else ""


class Said:
    """What a run has kept of a model: its answers to texts that it has met."""

    def __init__(self, path: Path) -> None:
        self.table = pd.read_parquet(path / "unseen.parquet")
        self.answers = self.table.drop_duplicates("text").set_index("text").filter(regex="^p_")
        self.classes_ = np.array([name[2:] for name in self.answers])

    def predict_proba(self, texts: list[str]) -> np.ndarray:
        return self.answers.loc[list(texts)].to_numpy()


def chosen(found: list) -> list[dict]:
    """Of each kind of vectors, pair and seed, the run that is chosen without labels, and the best."""
    from workbench.evaluation import selection

    rows, groups = [], {}
    for run in found:
        own = row(run)
        key = (own["vectors"], own["source"], own["target"], own["seed"])
        groups.setdefault(key, {})[own["method"]] = (run, own)
    for (kind, *_), by_name in groups.items():
        plain = baseline(kind, by_name)
        if plain is None or len(by_name) < 3:
            continue
        models = {name: Said(run.path) for name, (run, _) in by_name.items()}
        table = models[plain].table
        own = table["label"].notna()
        source = list(table["text"][own]), list(table["label"][own])
        scores = selection.scores(models, source, list(table["text"][~own]), baseline=plain)
        names = {
            "information": selection.choose(scores, "information", plain),
            "source-dev": selection.choose(scores, "source_dev", plain),
            "oracle": max(by_name, key=lambda name, by_name=by_name: by_name[name][1]["accuracy"]),
        }
        for how, name in names.items():
            rows.append(
                by_name[name][1] | {"method": f"chosen ({how})", "selection": f"{how}: {name}"}
            )
    return rows


def read() -> list[dict]:
    """The rows that were written."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()]


def write(rows: list[dict]) -> None:
    """Put `rows` in place of those of the same runs, and beside the others."""
    runs = {tuple(each[name] for name in RUN): each for each in [*read(), *rows]}
    RESULTS.write_text("".join(json.dumps(each) + "\n" for each in runs.values()))


def means(rows: list[dict]) -> str:
    """The accuracy of each method on each pair, over its seeds, as CSV."""
    by = ["vectors", "method", "source", "target"]
    found = pd.DataFrame(rows).groupby(by, sort=False)["accuracy"]
    return found.agg(accuracy="mean", seeds="size").round(4).to_csv(lineterminator="\n")


def table(rows: list[dict]) -> str:
    """Each method against the baseline on the same vectors and the pairs that both have."""
    from scipy import stats

    from workbench.evaluation import holm

    found = pd.DataFrame(rows)
    found["pair"] = found["source"] + " to " + found["target"]
    papers = found[(found["setting"] == "inductive") & ~found["vectors"].str.endswith(SEVERAL)]
    text = ["# Domain adaptation", "",
            f"Accuracy on the target, {papers['pair'].nunique()} pairs of Amazon reviews, about "
            f"{papers['tested'].mean():,.0f} test texts each; trained on the source's labels, adapted to 4,000 "
            "texts of the target without labels. The difference is that to the model that is not adapted, on "
            "the same vectors: its mean over the pairs that were run, its 95% t-interval, on how many of them "
            "it is above 0, and the p of Wilcoxon's signed-rank test over the pairs, corrected for the methods "
            "of a table (Holm). Means over fewer pairs are not to be compared with others, differences are. "
            "Beside labels of the target, half of its reviews are tested and 128 tokens read. "
            "Seconds are of one training, once vectors are there; on a GPU fifteen ran beside each other. "
            "Made by `python -m benchmarks.adaptation`.", ""]  # fmt: skip
    for kind, own in found.groupby("vectors", sort=False):
        scores = own.groupby(["method", "pair"])["accuracy"].mean().unstack("method")
        name = baseline(kind, scores)
        if name is None:
            continue
        seconds, seeds = (
            own.groupby("method")["seconds"].mean(),
            own.groupby("method")["seed"].nunique(),
        )
        text += [f"## {kind} ({', '.join(sorted({*own['device']}))})", "", "| method | seeds | mean | difference | 95% interval | pairs won | "
                 "p, Holm | seconds |", "| --- |" + " --- |" * 7]  # fmt: skip
        others = scores.drop(columns=name).mean().sort_values(ascending=False).index
        apart = {m: (scores[m] - scores[name]).dropna() for m in others}
        p = {m: stats.wilcoxon(a).pvalue if a.any() else 1.0 for m, a in apart.items()}
        tested = [m for m in others if "oracle" not in m]
        adjusted = dict(zip(tested, holm([p[m] for m in tested]), strict=True))
        text.append(f"| not adapted ({name}) | {seeds[name]} | {scores[name].mean():.3f} | | | | | "
                    f"{seconds[name]:.1f} |")  # fmt: skip
        for m in others:
            low, high = stats.t.interval(
                0.95, len(apart[m]) - 1, apart[m].mean(), stats.sem(apart[m])
            )
            shown = f"{adjusted[m]:.3f}" if m in adjusted else "sees test labels"
            text.append(f"| {m} | {seeds[m]} | {scores[m].mean():.3f} | {100 * apart[m].mean():+.1f} | "
                        f"{100 * low:+.1f} to {100 * high:+.1f} | {(apart[m] > 0).sum()} of "
                        f"{len(apart[m])} | {shown} | {seconds[m]:.1f} |")  # fmt: skip
        text.append("")
        if kind.endswith(SEVERAL):
            one = found[found["vectors"] == kind.removesuffix(SEVERAL)]
            of_target = one[one["method"] == name].groupby("target")["accuracy"]
            text += [f"Not adapted, trained on one source: {of_target.mean().mean():.3f}, the mean of the three; "
                     f"{of_target.max().mean():.3f}, the best of the three, picked by test labels.", ""]  # fmt: skip
    return "\n".join(text)


def main() -> None:
    from workbench import runs

    parser = argparse.ArgumentParser(prog="python -m benchmarks.adaptation")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--pairs", choices=["all", "others"], default="all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="only the table of what is there")
    given = parser.parse_args()
    if not given.table:
        collect(given.families, given.pairs, given.seeds, given.jobs)
        found = runs.list_runs(SWEEP)
        write([row(run) for run in found] + chosen(found))
    RESULTS.with_suffix(".md").write_text(table(read()))
    MEANS.write_text(means(read()))
    print(RESULTS.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
