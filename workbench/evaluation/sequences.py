"""Scores of what is no single label: named entities, summaries, translations."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import regex

from workbench.data import text
from workbench.errors import UserError, unknown
from workbench.evaluation import comparison, corrections
from workbench.evaluation.scores import METRICS, Evaluation, main_metric, predictions_of

OF_TEXTS = [name for name in METRICS if name not in ("accuracy", "entity_f1")]
TESTS = ["a", "b", "n", "first", "second", "difference", "low", "high", "p", "p_adjusted"]
# rouge-score counts runs of a to z and digits; the same of every alphabet, and a character of
# scripts without spaces.
_ALONE = text.UNSPACED_LETTER
_WORD = regex.compile(rf"(?V1){_ALONE}|[[\p{{L}}\p{{M}}\p{{N}}]--{_ALONE}]+")


def evaluate_tags(tagger, table: pd.DataFrame, split: str = "test") -> Evaluation:
    """Tag every sentence of `table` (columns tokens and tags: lists of strings) and score it.

    Metrics: F1, precision and recall of entities (micro-averaged; seqeval's entities, that is
    conlleval's: one with a wrong boundary is wrong), the 95% interval of F1 by bootstrap over
    sentences, the number of sentences `n` and the split's name.

    Raises
    ------
    UserError : there is no sentence, or not a tag for each token.
    """
    tokens, tags = ([list(row) for row in table[name]] for name in ("tokens", "tags"))
    predicted = tagger.predict(tokens)
    for i, rows in enumerate(zip(tokens, tags, predicted, strict=True)):
        if len({*map(len, rows)}) > 1 or not rows[0]:
            raise UserError(
                "Sentence {} has {} tokens, {} tags and {} predicted tags: a sentence needs a "
                "token, and each token a tag.".format(i, *map(len, rows))
            )
    columns = {"text": tokens, "label": tags, "predicted": predicted}
    columns = {name: [" ".join(row) for row in rows] for name, rows in columns.items()}
    return _evaluation(["entity_f1"], table, split, columns)


def evaluate_texts(
    predicted: Sequence[str], references: Sequence[str], metric: str | Sequence[str],
    split: str = "test", sources: Sequence[str] | None = None, ids: Sequence | None = None,
) -> Evaluation:  # fmt: skip
    """Score summaries or translations, each by one reference.

    Metrics: those asked for, each with its 95% interval by bootstrap over texts; the number of
    texts `n` and the split's name.

    Parameters
    ----------
    metric : one or several of ``"bleu"`` and ``"chrf"`` (0 to 100, by sacrebleu, which has a rule
        of its own for Chinese references), ``"rouge1"``, ``"rouge2"`` and ``"rougeL"`` (0 to 1,
        mean F of rouge-score without stemming; scripts without spaces count by characters).
    sources : what was summarised or translated.

    Raises
    ------
    UserError : the metric is unknown, a reference is empty, or there are not as many predictions.
    """
    names = [metric] if isinstance(metric, str) else list(metric)
    if wrong := [name for name in names if name not in OF_TEXTS]:
        raise unknown("metric of texts", wrong[0], OF_TEXTS)
    if len(predicted) != len(references):
        raise UserError(f"There are {len(predicted)} predictions for {len(references)} references.")
    if empty := sum(not str(reference).strip() for reference in references):
        raise UserError(f"{empty} of {len(references)} references are empty: leave them out.")
    table = pd.DataFrame({} if ids is None else {"id": list(ids)}, range(len(references)))
    table.attrs.update(getattr(references, "attrs", {}))
    columns = {"text": sources, "label": references, "predicted": predicted}
    columns = {name: "" if rows is None else list(rows) for name, rows in columns.items()}
    return _evaluation(names, table, split, columns)


def paired(metric: str, first, second, draws: int = 10_000) -> dict[str, float]:
    """Whether `first` is better than `second`: both resampled together (Koehn 2004).

    Parameters
    ----------
    first, second : an `Evaluation`, or its predictions.
    draws : many, because a p that is to be corrected for many pairs must be able to be small.

    Returns
    -------
    dict : ``first`` and ``second`` (the scores on the ``n`` rows that both have), ``difference``,
        its 95% interval ``low`` to ``high``, and the two-sided ``p``, which is below 0.05 exactly
        where the interval leaves out 0.

    Raises
    ------
    UserError : the metric is unknown, or the rows cannot be paired.
    """
    tables = [getattr(each, "predictions", each) for each in (first, second)]
    both = comparison.same_rows(*map(comparison.checked_rows, tables))
    (a, score), (b, _) = (
        _counts(metric, table.iloc[both[row]])
        for table, row in zip(tables, ("row_a", "row_b"), strict=True)
    )
    width, scores = a.shape[1], (score(a.sum(axis=0)), score(b.sum(axis=0)))
    drawn = _bootstrap(np.hstack([a, b]), lambda c: score(c[:width]) - score(c[width:]), draws)
    low, high = _interval(drawn)
    beyond = 1 + min((drawn <= 0).sum(), (drawn >= 0).sum())
    return {
        "first": scores[0], "second": scores[1], "difference": scores[0] - scores[1],
        "low": low, "high": high, "p": min(1.0, float(2 * beyond / (1 + draws))), "n": len(both),
    }  # fmt: skip


def describe(metric: str, test: dict) -> str:
    """What `paired` has found of two runs A and B, in words."""
    meaning = "significant at 5%" if test["p"] < 0.05 else "these rows cannot tell which is better"
    return (
        f"{metric} on {test['n']} texts: {test['first']:.3f} of A and {test['second']:.3f} of B, a "
        f"difference of {test['difference']:.3f} (95% interval {test['low']:.3f} to "
        f"{test['high']:.3f}); {comparison.p_text(test['p'])} (paired bootstrap): {meaning}."
    )


def compare_by_metric(found: list) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """The two tables of `comparison.compare` for each metric that some of the runs are judged by.

    Where that is not accuracy, the tests are those of `paired`, of all runs with the same
    ``test_set``, and ``p_adjusted`` is corrected by `holm`.
    """
    groups = {metric: [r for r in found if main_metric(r.metrics) == metric] for metric in METRICS}
    compare = {"accuracy": lambda metric, group: comparison.compare(group)}
    return {m: compare.get(m, _compare)(m, group) for m, group in groups.items() if group}


def how_tested(metric: str) -> tuple[str, str]:
    """How `compare_by_metric` tests a pair, and how it corrects for the number of pairs."""
    if metric == "accuracy":
        return "mid-p McNemar test", "max-T"
    return "paired bootstrap", "Holm"


def _compare(metric: str, found: list) -> tuple[pd.DataFrame, pd.DataFrame]:
    found, tests = sorted(found, key=lambda run: -run.metrics[metric]), []
    columns = [metric, f"{metric}_low", f"{metric}_high", "n", "split"]
    table = pd.DataFrame(
        {"model": run.name, "notebook": run.info["notebook"],
         **{name: run.metrics.get(name) for name in columns},
         "test_set": run.info["test_set"] or "", "run": run.path.name}
        for run in found
    )  # fmt: skip
    read = cache(lambda run: found[run].predictions())  # each is in many pairs
    for (i, a), (j, b) in combinations(enumerate(found), 2):
        with suppress(OSError, ValueError):  # no predictions, broken ones, other rows
            if a.info["test_set"] == b.info["test_set"]:
                test = paired(metric, read(i), read(j))
                tests.append({"a": a.path.name, "b": b.path.name, **test})
    adjusted = corrections.holm([test["p"] for test in tests])
    return table, pd.DataFrame(tests).assign(p_adjusted=adjusted).reindex(columns=TESTS)


def _evaluation(names: list[str], table: pd.DataFrame, split: str, columns: dict) -> Evaluation:
    if not len(table):
        raise UserError("There is nothing to score: there are no rows.")
    predictions, found = predictions_of(table, split, columns), {}
    for name in names:
        counts, score = _counts(name, predictions)
        total, (low, high) = counts.sum(axis=0), _interval(_bootstrap(counts, score))
        found |= {name: score(total), f"{name}_low": low, f"{name}_high": high}
        if name == "entity_f1":
            precision, recall = total[0] / np.maximum(total[1:], 1)
            found |= {"entity_precision": float(precision), "entity_recall": float(recall)}
    return Evaluation(found | {"n": len(predictions), "split": split}, predictions)


def _counts(metric: str, predictions: pd.DataFrame) -> tuple[np.ndarray, Callable]:
    """What is counted in each row, and the function from its sum over rows to the score."""
    predicted, true = list(predictions["predicted"]), list(predictions["label"])
    if metric == "entity_f1":
        return _entities(predicted, true)
    if metric not in OF_TEXTS:
        raise unknown("metric", metric, ["entity_f1", *OF_TEXTS])
    return (_overlap if metric.startswith("rouge") else _ngrams)(metric, predicted, true)


def _entities(predicted: list[str], true: list[str]) -> tuple[np.ndarray, Callable]:
    from seqeval.metrics.sequence_labeling import get_entities

    a, b = ([{*get_entities(tags.split())} for tags in rows] for rows in (predicted, true))
    counts = [(len(p & t), len(p), len(t)) for p, t in zip(a, b, strict=True)]
    return np.array(counts), lambda c: float(2 * c[0] / max(c[1] + c[2], 1))


def _ngrams(metric: str, predicted: list[str], true: list[str]) -> tuple[np.ndarray, Callable]:
    from sacrebleu.metrics import BLEU, CHRF

    language = text.language_of(" ".join(true))
    tokenizer = "zh" if language == "zh" else "char" if language in text.UNSPACED else "13a"
    scorer = CHRF() if metric == "chrf" else BLEU(tokenize=tokenizer)
    # What sacrebleu's own paired tests resample; it has no public name.
    counts = scorer._extract_corpus_statistics(predicted, [true])
    return np.array(counts), lambda c: float(scorer._compute_score_from_stats(c.tolist()).score)


def _overlap(metric: str, predicted: list[str], true: list[str]) -> tuple[np.ndarray, Callable]:
    from rouge_score.rouge_scorer import RougeScorer

    words = SimpleNamespace(tokenize=lambda written: _WORD.findall(written.lower()))
    scorer = RougeScorer([metric], tokenizer=words)
    f = [scorer.score(t, p)[metric].fmeasure for p, t in zip(predicted, true, strict=True)]
    return np.column_stack([f, np.ones(len(f))]), lambda c: float(c[0] / c[1])


def _bootstrap(counts: np.ndarray, score: Callable, draws: int = 1000) -> np.ndarray:
    """The sorted scores of as many rows drawn with replacement, `draws` times (Efron 1979)."""
    random, n = np.random.default_rng(0), len(counts)
    drawn = (counts[random.integers(n, size=n)].sum(axis=0) for _ in range(draws))
    return np.sort([score(total) for total in drawn])


def _interval(drawn: np.ndarray) -> list[float]:
    beyond = len(drawn) // 40  # of 95%, on each side
    return drawn[[beyond - 1, -beyond]].tolist()
