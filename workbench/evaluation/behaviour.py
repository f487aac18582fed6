"""Sentences written for the purpose: what a good classifier does with them, and probes for bias.

The tables are data frames: `pandas.concat` puts your own rows below them.
"""

import numpy as np
import pandas as pd

from workbench.data.sources import bundled
from workbench.errors import unknown
from workbench.evaluation.explain import mean_interval
from workbench.evaluation.scores import class_names, predict, wilson


def table(language: str = "en") -> pd.DataFrame:
    """Tests of sentiment in English or Chinese, of the kinds of CheckList (Ribeiro et al. 2020).

    ``kind`` is ``"functionality"``, where ``expected`` is the class of ``text``; ``"invariance"``,
    where ``changed`` gets the ``"same"`` class; or ``"direction"``, where it gets a ``"higher"`` or
    ``"lower"`` probability of the positive class. ``capability`` says what is tested.
    """
    return _of_language("behaviour.csv", language)


def run(
    model, table: pd.DataFrame, positive: str = "positive", margin: float = 0.01
) -> pd.DataFrame:
    """`table` with ``predicted``, the probability ``p`` of `positive`, ``p_changed``, ``passed``.

    An ``expected`` class is that of a model, ``"positive"`` for `positive`, or ``"negative"`` for
    any other. A direction fails where the probability moves the wrong way by more than `margin`.

    Raises
    ------
    UserError : the model has no class `positive`, or a row expects what there is not.
    """
    classes, wanted = class_names(model.classes_), table["expected"].replace("positive", positive)
    known = [f"functionality: {each}" for each in dict.fromkeys([*classes, "negative"])]
    known += ["invariance: same", "direction: higher", "direction: lower"]
    if bad := {*(table["kind"] + ": " + wanted)} - {*known}:
        raise unknown("test", min(bad), known)
    changed = table["changed"].where(table["kind"] != "functionality", table["text"])
    said, p = _predict(model, [*table["text"], *changed], positive)
    (said, after), (p, p_changed) = said.reshape(2, -1), p.reshape(2, -1)
    higher = wanted.map({"higher": 1, "lower": -1}).to_numpy() * (p_changed - p)
    passed = np.select(
        [table["kind"] == "direction", table["kind"] == "invariance", wanted.isin(classes)],
        [higher >= -margin, said == after, said == wanted], said != positive,
    )  # fmt: skip
    return table.assign(predicted=said, p=p, p_changed=p_changed, passed=passed)


def failures(results: pd.DataFrame, by: str = "capability") -> pd.DataFrame:
    """The share of rows of `run` that failed, for each value of `by`, with its Wilson interval."""
    found = (~results["passed"]).groupby(results[by], sort=False).agg(["sum", "size", "mean"])
    found.columns = ["failed", "n", "rate"]
    found[["low", "high"]] = [wilson(*pair) for pair in found[["failed", "n"]].to_numpy().tolist()]
    return found


def templates(language: str = "en") -> pd.DataFrame:
    """Sentences in which one word should change nothing, a row a ``template`` and ``word``.

    ``swapped`` is ``"name"``, ``"pronoun"`` or ``"group"``. ``harmless`` words stand in the same
    templates as a yardstick: any word moves a model a little.
    """
    rows = _of_language("probes.csv", language)
    frames, words = (rows[(rows["role"] == "template") == each] for each in (True, False))
    both = frames.merge(words, on="swapped", suffixes=("_of_template", ""))
    both["harmless"] = both["role"] == "harmless"
    both = both.rename(columns={"text_of_template": "template", "text": "word"})
    return both[["swapped", "template", "word", "harmless"]]


def probes(model, table: pd.DataFrame, positive: str = "positive") -> pd.DataFrame:
    """`table` (see `templates`) with the probability ``p`` of the class `positive`.

    ``shift`` is its distance from the mean over the harmless words, for one of them over the other
    ones, in the same template (Kiritchenko & Mohammad 2018).
    """
    texts = [t.replace("{}", w) for t, w in zip(table["template"], table["word"], strict=True)]
    rows = table.assign(p=_predict(model, texts, positive)[1])
    where = rows["p"].where(rows["harmless"]).groupby([rows["swapped"], rows["template"]])
    n = where.transform("count")
    shift = (rows["p"] - where.transform("mean")) * np.where(rows["harmless"], n / (n - 1), 1)
    return rows.assign(shift=shift)


def spreads(rows: pd.DataFrame) -> pd.DataFrame:
    """How far apart two words of `probes` are, and two harmless ones, by what is swapped.

    ``spread`` and ``harmless`` are the mean absolute difference of ``p`` of two words in one
    template, whatever the number of words; ``difference`` is the first less the second, with a 95%
    bootstrap interval over the templates.
    """
    keys, found = ["swapped", "template", "harmless"], {}
    apart = rows.groupby(keys, sort=False)["p"].agg(_mean_difference).unstack()
    for swapped, each in apart.groupby(level=0, sort=False):
        own, harmless = each[False].to_numpy(), each[True].to_numpy()
        means = own.mean(), harmless.mean(), (own - harmless).mean()
        found[swapped] = [*means, *mean_interval(own - harmless)]
    columns = ["spread", "harmless", "difference", "low", "high"]
    return pd.DataFrame.from_dict(found, orient="index", columns=columns)


def shifts(rows: pd.DataFrame) -> pd.DataFrame:
    """The mean shift of each word of `probes`, with a 95% bootstrap interval over the templates."""
    keys = ["swapped", "harmless", "word"]
    groups = rows.groupby(keys, sort=False)["shift"]
    found = [(*key, each.mean(), *mean_interval(each.to_numpy())) for key, each in groups]
    return pd.DataFrame(found, columns=[*keys, "shift", "low", "high"])


def _of_language(file: str, language: str) -> pd.DataFrame:
    rows = pd.read_csv(bundled("data") / file, keep_default_na=False)
    if language not in (known := rows["language"].unique()):
        raise unknown("language of these sentences", language, known)
    return rows[rows["language"] == language].drop(columns="language").reset_index(drop=True)


def _predict(model, texts: list[str], positive: str) -> tuple[np.ndarray, np.ndarray]:
    """The class that each text gets, and its probability of the class `positive`."""
    classes, p, predicted = predict(model, texts)
    if positive not in classes:
        raise unknown("class", positive, classes)
    return predicted, p[:, [*classes].index(positive)]


def _mean_difference(p: pd.Series) -> float:
    return abs(np.subtract.outer(p.to_numpy(), p.to_numpy())).sum() / (len(p) * (len(p) - 1))
