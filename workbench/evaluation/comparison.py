"""Which of several models is better: on the rows that they share, corrected for many tests."""

from itertools import combinations

import numpy as np
import pandas as pd

from workbench.data.loading import digest
from workbench.errors import UserError
from workbench.evaluation import scores
from workbench.evaluation.corrections import max_t

ROW = ["id", "text", "label", "copy"]  # what must agree for two predictions to be of one row
LIMIT = 12  # runs of the highest accuracy among which a pair to show is looked for
SCORES = ["accuracy", "accuracy_low", "accuracy_high", "macro_f1", "n", "split"]
TESTS = [
    "a", "b", "n", "accuracy_a", "accuracy_b", "difference", "only_a", "only_b", "p", "p_adjusted",
]  # fmt: skip


# --- two models -----------------------------------------------------------------------------------


def mcnemar(a, b, exact: bool = False) -> dict:
    """McNemar's test (1947) on the rows that both have predicted, by id (and text, where repeated).

    p is the mid-p (Fagerland et al. 2013): on 200 to 2,000 rows with 5 to 30% decisive ones it
    rejects a true null in 4.1 to 5.0% of cases; the exact p, never above 5%, in 2.2 to 4.5%.

    Returns
    -------
    dict : ``only_a`` and ``only_b`` (rows that only one got right), ``n`` and the two-sided ``p``.

    Raises
    ------
    UserError : the rows cannot be paired.
    """
    return mcnemar_of(on_same_rows(a, b), exact)


def mcnemar_of(both: pd.DataFrame, exact: bool = False) -> dict:
    """`mcnemar` of rows with the columns right_a and right_b."""
    from scipy.stats import binom

    a, b = both["right_a"], both["right_b"]
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    coins = min(only_a, only_b), only_a + only_b, 0.5
    p = 2 * binom.cdf(*coins) - (0 if exact else binom.pmf(*coins))
    return {"only_a": only_a, "only_b": only_b, "n": len(both), "p": min(float(p), 1.0)}


def on_same_rows(a, b) -> pd.DataFrame:
    """As `paired`, of two `Evaluation` or predictions; where ids stand once, texts may differ."""
    tables = [getattr(each, "predictions", each) for each in (a, b)]
    if all(table.get("id", pd.Series(dtype=object)).is_unique for table in tables):
        tables = [table.assign(text="") for table in tables]
    return same_rows(*map(checked_rows, tables))


def paired(a, b) -> pd.DataFrame:
    """The rows that both runs predicted, in the order of `a`; id, text and label agree.

    Columns: id, text, label; for each of the two (``_a``, ``_b``) its row in the predictions,
    predicted, right, and the probability p of what was predicted and p_label of the true class.

    Raises
    ------
    UserError : a sentence on why the two cannot be compared.
    """
    metric, its = scores.main_metric(a.metrics), scores.main_metric(b.metrics)
    if metric != its:
        raise UserError(f"{a.name} is judged by {metric} and {b.name} by {its}: choose two alike.")
    return same_rows(run_rows(a), run_rows(b), f"{a.name} and {b.name}")


def same_rows(one: pd.DataFrame, other: pd.DataFrame, names: str = "The two") -> pd.DataFrame:
    """As `paired`, of two tables that `checked_rows` gives."""
    if reason := _refusal(one, other):
        raise UserError(f"{names} {reason}")
    return one.merge(other, on=ROW, suffixes=("_a", "_b")).drop(columns="copy")


def _refusal(one: pd.DataFrame, other: pd.DataFrame) -> str:
    """Why rows as `checked_rows` gives them cannot be paired; empty where they can."""
    if not set(one["id"]) & set(other["id"]):
        return "have no text in common: they were tested on different data."
    rows, others = (table.set_index(ROW).index for table in (one, other))
    shared = len(rows.intersection(others))
    same_id = one["id"].isin(other["id"]).sum(), other["id"].isin(one["id"]).sum()
    if same_id == (shared, shared):
        return ""
    why = "the same ids carry other texts or labels, so they were tested on different data."
    return f"cannot be compared: {why}"


def run_rows(run) -> pd.DataFrame:
    """The predictions of a run, checked: the columns of `paired`, and which copy of a row it is.

    Raises
    ------
    UserError : there are none, or they cannot be used.
    """
    of = f"of {run.name} ({run.path.name})"
    try:
        return checked_rows(run.predictions())
    except FileNotFoundError as error:
        raise UserError(f"There are no predictions {of}.") from error
    except UserError as error:
        raise UserError(f"The predictions {of} cannot be paired: {error}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"The predictions {of} are broken.") from error


def checked_rows(table: pd.DataFrame) -> pd.DataFrame:
    """A table of predictions, checked, as `run_rows` gives it."""
    if missing := {"id", "label", "predicted"} - {*table}:
        raise UserError(f"they lack the columns {', '.join(sorted(missing))}.")
    ids = scores.plain_names(table["id"].reset_index(drop=True))
    if len(ids) < len(table):
        raise UserError("some rows have no id.")
    text = table["text"].astype(str).to_numpy() if "text" in table else "(text of id " + ids + ")"
    label = scores.class_names(table["label"])
    # A translation may be empty.
    predicted = scores.plain_names(table["predicted"].reset_index(drop=True))
    predicted = predicted.reindex(ids.index).fillna("").to_numpy()
    rows = pd.DataFrame(
        {"id": ids, "row": range(len(ids)), "text": text, "label": label, "predicted": predicted,
         "right": label == predicted, "p": table.filter(regex="^p_").max(axis=1).to_numpy(),
         "p_label": scores.label_probabilities(table).to_numpy()}
    )  # fmt: skip
    rows.attrs["classes"] = [*scores.given_probabilities(table)]
    return rows.assign(copy=rows.groupby(ROW[:3]).cumcount())


def test_set(predictions: pd.DataFrame) -> str:
    """A digest of the rows (id, text and label) in any order: equal digests, equal rows."""
    return digest(checked_rows(predictions))


def shared_scores(a, b) -> pd.DataFrame:
    """Accuracy, macro F1 and loss of two runs, both counted on the rows of `paired`.

    Returns
    -------
    A `pandas.DataFrame` with the rows A, B and "A − B"; its attribute ``attrs["n"]`` says how many
    rows were counted.
    """
    ids = paired(a, b)["id"]
    found = [
        scores.metrics(table[scores.plain_names(table["id"]).isin(ids)])
        for table in (a.predictions(), b.predictions())
    ]
    table = pd.DataFrame(found, index=["A", "B"])[["accuracy", "macro_f1", "loss"]]
    table.loc["A − B"] = table.loc["A"] - table.loc["B"]
    table.attrs["n"] = len(ids)
    return table


def disagreements(both: pd.DataFrame, kind: str = "") -> pd.DataFrame:
    """Rows of `paired` predicted differently; `kind`: "A" or "B" (only it is right), "neither"."""
    differ = both[both["predicted_a"] != both["predicted_b"]]
    if kind == "neither":
        return differ[~differ["right_a"] & ~differ["right_b"]]
    return differ[differ[f"right_{kind.lower()}"]] if kind else differ


def describe(both: pd.DataFrame, p_adjusted: float | None = None) -> str:
    """The mid-p McNemar test of the rows of `paired`, in words.

    Parameters
    ----------
    p_adjusted : the p of `compare`, where the pair was picked out of several runs.
    """
    test = mcnemar_of(both)
    if not test["only_a"] + test["only_b"]:
        return f"A and B get the same ones of {test['n']} texts right: nothing tells them apart."
    decisive = test["p"] if p_adjusted is None else p_adjusted
    adjusted = ""
    if p_adjusted is not None:
        adjusted = f", {p_text(p_adjusted)} adjusted for all pairs of runs"
    meaning = "significant at 5%" if decisive < 0.05 else "these rows cannot tell which is better"
    return (
        f"Of {test['n']} texts A is right on {test['only_a']} where B is wrong, B on "
        f"{test['only_b']} where A is wrong; {p_text(test['p'])} (mid-p McNemar test){adjusted}: "
        f"{meaning}."
    )


def p_text(p: float) -> str:
    """A p-value as a sentence says it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


# --- many models ----------------------------------------------------------------------------------


def compare(found: list) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Set runs side by side, and test each pair that predicted the same rows of the same data.

    Parameters
    ----------
    found : `runs.Run` objects.

    Returns
    -------
    Two `pandas.DataFrame`. The scores, highest accuracy first; only where ``test_set`` is equal
    were they counted on the same rows. And the tests, a row a pair: the accuracies on the ``n``
    rows that both predicted, ``p`` of `mcnemar`, and ``p_adjusted`` for all pairs (`max_t`); in
    ``attrs["refused"]`` the pairs of other rows, labels or classes (a, b, reason).
    """
    found = sorted(found, key=lambda run: -_accuracy(run))
    rows = [_rows_or_reason(run) for run in found]
    table = pd.DataFrame(
        {"model": run.name, "notebook": run.info["notebook"],
         **{name: run.metrics.get(name) for name in SCORES},
         "test_set": "" if isinstance(own, str) else run.info["test_set"] or test_set(own),
         "run": run.path.name}
        for run, own in zip(found, rows, strict=True)
    )  # fmt: skip
    reasons = {
        (i, j): _reason(rows[i], rows[j], table.loc[i, "test_set"] == table.loc[j, "test_set"])
        for i, j in combinations(range(len(found)), 2)
    }
    columns = [
        own.set_index(ROW)["right"].rename(i).astype(float)
        for i, own in enumerate(rows) if not isinstance(own, str)
    ]  # fmt: skip
    right = pd.concat(columns, axis=1) if columns else pd.DataFrame()
    names = [run.path.name for run in found]
    tests = {
        (i, j): {"a": names[i], "b": names[j], **_test(right[[i, j]].dropna())}
        for (i, j), reason in reasons.items() if not reason
    }  # fmt: skip
    adjusted = max_t(right, list(tests))
    for test, p_adjusted in zip(tests.values(), adjusted, strict=True):
        # Drawn signs are an estimate; it never goes below the value of the pair itself.
        test["p_adjusted"] = max(test["p"], p_adjusted)
    tests = pd.DataFrame(tests.values(), columns=TESTS)
    tests.attrs["refused"] = [
        {"a": names[i], "b": names[j], "reason": reason}
        for (i, j), reason in reasons.items() if reason
    ]  # fmt: skip
    return table, tests


def _accuracy(run) -> float:
    accuracy = pd.to_numeric(run.metrics.get("accuracy"), errors="coerce")
    return -1.0 if accuracy is None or np.isnan(accuracy) else float(accuracy)


def _rows_or_reason(run) -> pd.DataFrame | str:
    try:
        return run_rows(run)
    except UserError as error:
        return str(error)


def _reason(one: pd.DataFrame | str, other: pd.DataFrame | str, same_rows: bool) -> str:
    """Why two runs are not tested against each other; empty where they are."""
    for rows in (one, other):
        if isinstance(rows, str):
            return rows
    of_one, of_other = ({*rows.attrs["classes"]} for rows in (one, other))
    if of_one and of_other and of_one != of_other:
        alone = ", ".join(sorted(of_one ^ of_other)[:5])
        return f"The two choose from different classes: only one of them knows {alone}."
    reason = "" if same_rows else _refusal(one, other)
    return reason and f"The two {reason}"


def _test(right: pd.DataFrame) -> dict:
    a, b = (right[column].astype(bool) for column in right)
    means = {"accuracy_a": a.mean(), "accuracy_b": b.mean(), "difference": a.mean() - b.mean()}
    return means | mcnemar_of(pd.DataFrame({"right_a": a, "right_b": b}))


def best_pair(found: list) -> tuple[list, float]:
    """The two runs of highest accuracy that can be compared and differ, and their adjusted p.

    Returns an empty list where there is no such pair.
    """
    ranked = sorted((run for run in found if _accuracy(run) >= 0), key=lambda run: -_accuracy(run))
    tests = compare(ranked[:LIMIT])[1].query("only_a + only_b > 0")
    by_name = {run.path.name: run for run in ranked}
    if tests.empty:
        return [], 1.0
    first = tests.iloc[0]
    return [by_name[first["a"]], by_name[first["b"]]], float(first["p_adjusted"])
