"""Does the gap foretell the loss of accuracy, and choose the source? `python -m benchmarks.gap [SET…]`

A row of `results/gap.jsonl` is a classifier and an ordered pair of domains: the gap, the accuracy on
all of the target, and `in_domain`, that of five folds of the target. What is there is not run again.
"""

import json
import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from benchmarks import cases, corpus, few_labels
from workbench import data, evaluate, models
from workbench.evaluation import gap
from workbench.models import encoders

RESULTS = Path(__file__).parent / "results" / "gap.jsonl"
SETS = {"amazon": "minilm", "reviews": "minilm", "reviews-zh": "multilingual",
        "zh_shopping": "multilingual"}  # fmt: skip
GAPS = {"known": -1, "jaccard": -1, "a_distance_words": 1, "a_distance_vectors": 1, "mmd": 1}
MOST, DRAWS = 1000, 9_999  # texts a side on which the gap is measured; orders of the domains


def domains(name: str) -> dict[str, pd.DataFrame]:
    """The labelled texts of each domain in random order, none twice."""
    files = sorted((cases.folder() / name).glob("**/*.csv"))
    tables = [pd.read_csv(path, dtype=str).assign(folder=path.parent.name) for path in files]
    table = pd.concat(tables or data.frames(data.load(name))).dropna(subset=["text", "label"])
    table["domain"] = table["folder"] if name == "amazon" else table["domain"]
    table = table.sample(frac=1, random_state=0).drop_duplicates(["domain", "text"])
    if name == "zh_shopping":
        table = table.groupby(["domain", "label"]).head(250)
    return dict(iter(table.groupby("domain")))


def run(name: str) -> list[dict]:
    """A row for each ordered pair of domains, by words and by vectors."""
    tables, words, gaps, rows = domains(name), models.build("logistic"), {}, []
    labels = {domain: table["label"].to_numpy() for domain, table in tables.items()}
    texts = {domain: list(table["text"]) for domain, table in tables.items()}
    vectors = {domain: encoders.encode(each, SETS[name]) for domain, each in texts.items()}
    for pair in permutations(tables, 2):
        some = [[each[domain][:MOST] for domain in pair] for each in (texts, vectors)]
        gaps[pair] = gap.measure(*some[0], some[1]).to_dict()
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for features, model, X in ("TF-IDF", words, texts), (SETS[name], words[-1], vectors):
        own = {
            d: np.mean(cross_val_predict(model, X[d], labels[d], cv=folds) == labels[d]) for d in X
        }
        fitted = {d: clone(model).fit(X[d], labels[d]) for d in X}
        rows += [{"set": name, "features": features, "source": a, "target": b, "texts": len(X[a]),
                  "in_domain": own[b], "accuracy": fitted[a].score(X[b], labels[b]), **measured}
                 for (a, b), measured in gaps.items()]  # fmt: skip
    return rows


def judge(rows: pd.DataFrame, column: str) -> tuple[np.ndarray, float]:
    """Spearman's correlations of gap and loss, and the accuracy by the source of the smallest gap.

    The first correlation is the one that was found; the others are of a gap whose domains are
    exchanged (Mantel 1967), in every way or in `DRAWS` ways. The accuracy is the targets' mean.
    """
    own, accuracy, found = (
        rows.pivot(index="source", columns="target", values=values).to_numpy()
        for values in ("in_domain", "accuracy", column)
    )
    n, found, draw = len(found), GAPS[column] * found, np.random.default_rng(0)
    off, ranks = ~np.eye(n, dtype=bool), np.zeros((n, n))
    loss, ranks[off] = rankdata((own - accuracy)[off]), rankdata(found[off])
    orders = permutations(range(n))
    if n > 6:
        orders = [range(n), *(draw.permutation(n) for _ in range(DRAWS))]
    r = [np.corrcoef(loss, ranks[np.ix_(order, order)][off])[0, 1] for order in orders]
    return np.array(r), accuracy[np.nanargmin(found, axis=0), range(n)].mean()


def cell(r: np.ndarray) -> tuple[str, float]:
    p = np.mean(r >= r[0] - 1e-9)  # one-sided: the wider the gap, the larger the loss
    return f"{r[0]:+.2f} ({evaluate.p_text(p)})", p


def write(rows: pd.DataFrame) -> str:
    """Both tables; the last row of each is the mean of the others."""
    picks = {name: np.random.default_rng(i).random(DRAWS) for i, name in enumerate(SETS)}
    one, two, every = [], [], []
    for (name, features), part in rows.groupby(["set", "features"], sort=False):
        found, chosen = zip(*(judge(part, column) for column in GAPS), strict=True)
        # The classifiers of one set share the draws, because they share the domains.
        every.append([np.r_[r[0], r[(picks[name] * len(r)).astype(int)]] for r in found])
        loss, targets = part["in_domain"] - part["accuracy"], part.groupby("target")["accuracy"]
        one.append([name, features, f"{loss.mean():.3f}", *(cell(r)[0] for r in found)])
        two.append([name, features, targets.mean().mean(), *chosen, targets.max().mean()])
    means = [cell(r) for r in np.mean(every, axis=0)]
    holm = evaluate.holm([p for _, p in means])
    one.append(["mean", "", "", *(f"{text[:5]} ({evaluate.p_text(p)}, Holm)"
                                  for (text, _), p in zip(means, holm, strict=True))])  # fmt: skip
    two.append(["mean", "", *np.mean([cells[2:] for cells in two], axis=0)])
    two = [[*cells[:2], *(f"{x:.3f}" for x in cells[2:])] for cells in two]
    heads = ["set", "classifier", "loss", *GAPS], ["set", "classifier", "any", *GAPS, "best"]
    tables = [
        "\n".join(corpus.row(cells) for cells in (head, ["---"] * len(head), *body))
        for head, body in zip(heads, (one, two), strict=True)
    ]
    return f"""# The gap and the loss

Spearman's correlation of the gap with the loss of accuracy (in domain, less trained on the source)
over the ordered pairs of domains; p by exchanging the domains, of which four allow no p below 1/24.
`known` and `jaccard` count with the sign turned: less overlap, a wider gap.

{tables[0]}

Accuracy on the target, mean of the targets: of any source (mean), of the source of the smallest gap
to it, and of the best source.

{tables[1]}
"""


if __name__ == "__main__":
    there = {row["set"] for row in few_labels.read(RESULTS)}
    for name in [name for name in sys.argv[1:] or SETS if name not in there]:
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in run(name)]
        with RESULTS.open("a") as file:
            file.writelines(lines)
    RESULTS.with_suffix(".md").write_text(write(pd.DataFrame(few_labels.read(RESULTS))))
