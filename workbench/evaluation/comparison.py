"""Two runs, text by text: what both predicted, where they differ, whether that is luck."""

from itertools import combinations

import pandas as pd

from workbench.errors import UserError
from workbench.evaluation import scores

MOST = 12  # runs among which the two best comparable ones are looked for


def paired(a, b) -> pd.DataFrame:
    """The texts that both runs predicted, a row each, in the order of `a`.

    Columns: id, text, label; for each of the two (``_a``, ``_b``) predicted, right, and the
    probability p of what was predicted and p_label of the true class.

    Raises
    ------
    UserError : a sentence on why the two cannot be compared.
    """
    one, other = _answers(a), _answers(b)
    both = one.merge(other.drop(columns="text"), on="id", suffixes=("_a", "_b"))
    if both.empty:
        raise UserError(
            f"{a.name} and {b.name} have no text in common: they were tested on different data."
        )
    if (both["label_a"] != both["label_b"]).any():
        raise UserError(
            f"{a.name} and {b.name} cannot be compared: the same ids carry other labels, "
            "so they were tested on different data."
        )
    return both.drop(columns="label_b").rename(columns={"label_a": "label"})


def _answers(run) -> pd.DataFrame:
    try:
        table = run.predictions()
    except FileNotFoundError as error:
        raise UserError(f"{run.name} ({run.path.name}) kept no predictions.") from error
    except (OSError, ValueError) as error:
        raise UserError(f"The predictions of {run.name} ({run.path.name}) are broken.") from error
    if {"id", "label", "predicted"} - {*table} or table["id"].duplicated().any():
        raise UserError(
            f"The predictions of {run.name} ({run.path.name}) cannot be paired: they need the "
            "columns id, label and predicted, and every id once."
        )
    p = table.filter(regex="^p_")
    own = [p.get(f"p_{label}", {}).get(row, float("nan")) for row, label in table["label"].items()]
    text = table["text"] if "text" in table else "(text of id " + table["id"].astype(str) + ")"
    return pd.DataFrame(
        {"id": table["id"], "text": text, "label": table["label"], "predicted": table["predicted"],
         "right": table["label"] == table["predicted"], "p": p.max(axis=1), "p_label": own}
    )  # fmt: skip


def disagreements(both: pd.DataFrame, kind: str = "") -> pd.DataFrame:
    """The rows of `paired` with two answers; `kind`: "A" or "B" (only it is right), "neither"."""
    differ = both[both["predicted_a"] != both["predicted_b"]]
    if kind == "neither":
        return differ[~differ["right_a"] & ~differ["right_b"]]
    return differ[differ[f"right_{kind.lower()}"]] if kind else differ


def describe(both: pd.DataFrame) -> str:
    """The exact McNemar test of the rows of `paired`, in words."""
    a, b = (both[["id", "label", f"predicted_{s}"]].set_axis(["id", "label", "predicted"], axis=1)
            for s in "ab")  # fmt: skip
    test = scores.mcnemar(a, b)
    if not test["only_a"] + test["only_b"]:
        return f"Of {test['n']} texts A and B get the same ones right: nothing to tell them apart."
    p = "p < 0.001" if test["p"] < 0.001 else f"p = {test['p']:.3f}"
    luck = "unlikely to be luck" if test["p"] < 0.05 else "luck explains that well"
    return (
        f"Of {test['n']} texts A is right on {test['only_a']} where B is wrong, B on "
        f"{test['only_b']} where A is wrong; {p} (exact McNemar test): {luck}."
    )


def best_pair(found: list) -> list:
    """The two runs of highest accuracy that can be compared and do not give the same answers."""
    scored = [run for run in found if isinstance(run.metrics.get("accuracy"), int | float)]
    ranked = sorted(scored, key=lambda run: -run.metrics["accuracy"])
    for a, b in combinations(ranked[:MOST], 2):
        try:
            if len(disagreements(paired(a, b))):
                return [a, b]
        except UserError:
            continue
    return []
