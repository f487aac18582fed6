"""What a prediction rests on, for any classifier: its words, and the texts it was trained on."""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape

import numpy as np
import pandas as pd

from workbench import models
from workbench.data import text as _text
from workbench.errors import UserError
from workbench.evaluation import plots
from workbench.models import encoders

MAX_WORDS = 200  # words left out, one after the other: each is one more text to predict


@dataclass(frozen=True)
class Explanation:
    """A text, a class with the probability a model gives it, and how each word contributes to that.

    ``spans`` are the (start, end) of the words in ``text``; ``attributions``, of the ``unit``, are
    above 0 where a word speaks for ``label``. The model reads the first ``read`` characters and
    cuts off the rest; ``n`` counts their words, of which `occlusion` leaves out only the first
    `MAX_WORDS`. Those of the other methods add up to the output less ``baseline``.
    """

    text: str
    label: str
    probability: float
    spans: list[tuple[int, int]]
    attributions: np.ndarray
    n: int
    read: int
    unit: str = "probability"
    baseline: float = np.nan

    @property
    def words(self) -> list[str]:
        return [self.text[start:end] for start, end in self.spans]


def occlusion(
    model, text: str, *, tokens: Sequence[str] | None = None, probabilities=None
) -> Explanation:
    """What each word contributes: the predicted class's probability with it, less that without it.

    Zeiler & Fergus (2014) cover parts of a picture; Li, Monroe & Jurafsky (2016, arXiv 1612.08220)
    erase words. All variants are predicted in one batch. Two words that say the same hide each
    other: without one of them little changes.

    Parameters
    ----------
    model : a fitted classifier with ``predict_proba(texts)`` and ``classes_``.
    tokens : the words in the order of the text; by default what stands between spaces, with its
        punctuation, and in languages without spaces the words of `text.tokenize`.
    probabilities : what ``predict_proba([text])[0]`` has said, where that is shown beside this: in
        bf16 the same text in another batch has slightly other probabilities.

    Raises
    ------
    UserError : one of `tokens` does not stand in the text, or not in this order.
    """
    # A word that is left out must let no other one in at the end.
    read = characters_read(model, text)
    spans = [span for span in _spans(text, tokens) if span[0] < read]
    left_out = [_without(text[:read], [span]) for span in spans[:MAX_WORDS]]
    p = np.asarray(model.predict_proba([text, *left_out]))
    shown = p[0] if probabilities is None else np.asarray(probabilities)
    column = int(shown.argmax())
    label, probability = str(model.classes_[column]), float(shown[column])
    attributions = p[0, column] - p[1:, column]
    return Explanation(text, label, probability, spans[:MAX_WORDS], attributions, len(spans), read)


def integrated_gradients(model, text: str, *, steps: int = 64) -> Explanation:
    """What each word contributes on the way from padding in place of all words to the text.

    The gradient of the predicted class's probability by the embeddings, integrated over `steps`
    points of the way (Gauss-Legendre) and multiplied by it (Sundararajan, Taly & Yan 2017). The
    attributions add up to the probability, in fp32, less that of the padding (``baseline``).

    Raises
    ------
    UserError : torch has not trained the model up to its output, or it has a decoder.
    """
    import torch

    network = getattr(model, "_model", None)
    decodes = getattr(getattr(network, "config", None), "is_encoder_decoder", False)
    if network is None or hasattr(model, "_head") or decodes:
        raise UserError("This model has no gradients by its embeddings: use explain.occlusion.")
    device, was_training = next(network.parameters()).device, network.training
    rows = model.tokenized([text] * (steps + 2))
    batch = {k: v.to(device) for k, v in rows.__getitems__(range(steps + 2)).items()}
    ids, (points, weights) = batch["input_ids"][0], np.polynomial.legendre.leggauss(steps)
    ends = _token_ends(model, text, len(ids))
    embeddings = getattr(network, "get_input_embeddings", lambda: network.embeddings)()
    with torch.no_grad():
        padded = ids.masked_fill(torch.tensor(ends > 0, device=device), rows.padding)
        start, end = embeddings(padded), embeddings(ids)
        at = torch.tensor([*(points + 1) / 2, 0, 1], device=device, dtype=torch.float32)
        path = torch.lerp(start, end, at[:, None, None]).requires_grad_()
    hook = embeddings.register_forward_hook(lambda *_: path)
    try:  # in evaluation mode, in which cuDNN has no gradients of recurrent layers
        with torch.backends.cudnn.flags(enabled=False):
            p = network.eval()(**batch).logits.softmax(-1)
            column = int(p[-1].argmax())
            (slopes,) = torch.autograd.grad(p[:, column].sum(), path)
    finally:
        hook.remove()
        network.train(was_training)
    by_token = weights / 2 @ (slopes[:-2] * (end - start)).sum(-1).double().cpu().numpy()
    read, baseline, probability = characters_read(model, text), *p[-2:, column].tolist()
    spans = [span for span in _spans(text, None) if span[0] < read]
    # What stands between two words, such as Chinese punctuation, counts to the first.
    word = np.searchsorted([first for first, _ in spans], ends[ends > 0] - 1, "right") - 1
    attributions = np.bincount(word.clip(0), by_token[ends > 0], len(spans))
    given = text, str(model.classes_[column]), probability, spans, attributions, len(spans), read
    return Explanation(*given, baseline=baseline)


def coefficients(model, text: str) -> Explanation:
    """What each word contributes to a linear model's score: its terms' weights times values.

    The score is that of the predicted class less the mean of the others': in naive Bayes and in
    logistic regression of two classes the log odds. Of a term of two words each gets half. The
    attributions add up to the score less its intercept (``baseline``).

    Raises
    ------
    UserError : the model is not linear in counted words.
    """
    from scipy.sparse import csr_array, vstack

    refusal = UserError("This model is not linear in counted words: use explain.occlusion.")
    steps = [step for _, step in getattr(model, "steps", [])]
    counter, rule = steps if len(steps) == 2 else (None, None)
    rule = getattr(getattr(rule, "calibrated_classifiers_", [rule])[0], "estimator", rule)
    score = getattr(rule, "decision_function", getattr(rule, "predict_joint_log_proba", None))
    if score is None or not hasattr(counter, "build_tokenizer"):
        raise refusal
    row, p = csr_array(counter.transform([text])), model.predict_proba([text])[0]
    ends, at = np.arange(row.nnz + 1, dtype=row.indices.dtype), p.argmax()
    alone = csr_array((row.data, row.indices, ends), (row.nnz, row.shape[1]))
    score = score(vstack([alone, 0 * row, row]))  # of each term alone, of none, and of all
    score = score if score.ndim == 2 else np.column_stack([-score, score]) / 2
    score = score[:, at] - np.delete(score, at, axis=1).mean(axis=1)
    spans, places = _word_spans(text, cut := counter.build_tokenizer()), defaultdict(list)
    words, (shortest, longest) = cut(counter.build_preprocessor()(text)), counter.ngram_range
    for n in range(shortest, longest + 1):
        for i in range(len(words) - n + 1):
            places[" ".join(words[i : i + n])] += range(i, i + n)
    attributions = np.zeros(len(spans))
    for term, own in zip(counter.get_feature_names_out()[row.indices], score, strict=False):
        np.add.at(attributions, places[term], (own - score[-2]) / max(1, len(places[term])))
    if not np.isclose(attributions.sum() + score[-2], score[-1]):
        raise refusal
    given = text, str(model.classes_[at]), float(p[at]), spans, attributions, len(spans), len(text)
    return Explanation(*given, unit="score", baseline=float(score[-2]))


def faithfulness(model, texts: Sequence[str], method=occlusion, seed: int = 0) -> pd.DataFrame:
    """Whether the words that `method` (such as `occlusion`) names matter more than random words.

    ``comprehensiveness``: how far the class's probability falls without the words of the highest
    attributions; ``sufficiency``: how far with these alone; both the mean over 1, 5, 10, 20 and 50%
    of a text's words, one at least (DeYoung et al. 2020). ``random``: the same of random words.
    ``difference``: by how much the method is better, with a 95% interval over the texts.
    """
    random, found = np.random.default_rng(seed), []
    for each in (method(model, text) for text in texts):
        if (n := len(each.words)) < 2:
            continue
        orders = [random.permutation(n) for _ in range(1 + 5)]
        orders[0] = orders[0][np.argsort(-each.attributions[orders[0]], kind="stable")]
        sizes = [max(1, round(share * n)) for share in (0.01, 0.05, 0.1, 0.2, 0.5)]
        taken = [part for order in orders for k in sizes for part in (order[:k], order[k:])]
        spans, read = np.array(each.spans), each.text[: each.read]
        p = model.predict_proba([read, *(_without(read, spans[part]) for part in taken)])
        p = p[:, [*map(str, model.classes_)].index(each.label)]
        found.append((p[0] - p[1:]).reshape(len(orders), -1, 2).mean(axis=1))
    if len(found) < 2:
        raise UserError("Faithfulness needs 2 texts of 2 words or more.")
    own, by_chance = np.array(found)[:, 0].T, np.array(found)[:, 1:].mean(axis=1).T
    better = (own - by_chance) * [[1], [-1]]
    means = {"method": own.mean(1), "random": by_chance.mean(1), "difference": better.mean(1)}
    table = pd.DataFrame(means, ["comprehensiveness", "sufficiency"])
    table[["low", "high"]] = [*map(mean_interval, better)]
    return table.assign(texts=len(found))


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """95% bootstrap interval of a mean, wider where values are few (Hesterberg 2015, 5.3)."""
    from scipy.stats import norm, t

    n = len(values)
    tail = norm.cdf((n / (n - 1)) ** 0.5 * t.ppf(0.025, n - 1))
    means = np.random.default_rng(0).choice(values, (5000, n)).mean(axis=1)
    return tuple(np.quantile(means, [tail, 1 - tail]).tolist())


def bars(found: Mapping[str, Explanation]):
    """Side by side a bar a word, the first 40: blue speaks for the class, orange against it."""
    from plotly.subplots import make_subplots

    titles = [f"{escape(name)}: '{escape(each.label)}'" for name, each in found.items()]
    figure = make_subplots(1, len(found), subplot_titles=titles, horizontal_spacing=0.2)
    for i, each in enumerate(found.values(), 1):
        words = [f"{n} {escape(word)}" for n, word in enumerate(each.words[:40], 1)]
        colours = [plots.COLOURS[int(value < 0)] for value in each.attributions]
        figure.add_bar(x=each.attributions[:40], y=words, marker_color=colours, row=1, col=i)
        figure.update_xaxes(title=each.unit, col=i)
    figure.update_traces(orientation="h").update_yaxes(autorange="reversed", type="category")
    layout = {"height": 200 + 18 * max(len(bar.y) for bar in figure.data), "margin": {"t": 90}}
    return figure.update_layout(layout, title="What each word contributes", showlegend=False)


def characters_read(model, text: str) -> int:
    """After how many characters a model cuts the text off; all of them where it reads the whole.

    What it reads is the shortest beginning with the same tokens.
    """
    if not hasattr(model, "tokenized") or not (whole := model.tokenized([text])).truncated:
        return len(text)
    ids = whole[0].tolist()
    return bisect_left(
        range(len(text)), True, key=lambda n: model.tokenized([text[:n]])[0].tolist() == ids
    )


class TrainingTexts:
    """The training texts that are most similar to a text, by the cosine of their vectors.

    Parameters
    ----------
    train : data frame with the columns text and label.
    encoder : of the vectors, as in `encoders.encode`; by default they are TF-IDF.
    """

    def __init__(self, train: pd.DataFrame, encoder: str = "") -> None:
        texts = list(train["text"])
        if encoder:
            self._vectors_of = partial(encoders.encode, encoder=encoder)
        else:
            self._vectors_of = models.build("logistic")[0].fit(texts).transform  # its TF-IDF
        self.train, self._vectors = train, self._vectors_of(texts)

    def nearest(self, text: str, n: int = 3) -> pd.DataFrame:
        """The `n` most similar ones, the first the nearest: text, label and similarity."""
        from sklearn.utils.extmath import safe_sparse_dot

        similarity = safe_sparse_dot(self._vectors, self._vectors_of([text]).T, dense_output=True)
        found = self.train[["text", "label"]].assign(similarity=similarity.ravel())
        return found.nlargest(n, "similarity").reset_index(drop=True)


def _spans(text: str, tokens: Sequence[str] | None) -> list[tuple[int, int]]:
    if tokens is None and _text.language_of(text) not in _text.UNSPACED:
        return [match.span() for match in re.finditer(r"\S+", text)]
    spans, end = [], 0
    for token in _text.tokenize(text, lowercase=False) if tokens is None else tokens:
        match = re.compile(re.escape(token), re.IGNORECASE).search(text, end)
        if match is None:
            raise UserError(f"The word '{token}' does not stand in the text after the one before.")
        spans.append(match.span())
        end = match.end()
    return spans


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    # The space goes with the word: a double space would show a tokenizer where it stood.
    for start, end in sorted(map(tuple, spans), reverse=True):
        text = text[:start] + text[end:].lstrip()
    return text.strip()


def _word_spans(text: str, cut: Callable) -> list[tuple[int, int]]:
    """Where the words of a tokenizer stand."""
    plain = text.replace("’", "'")  # as `text.tokenize` does
    return _spans(plain, cut(plain, **{"lowercase": False} if cut is _text.tokenize else {}))


def _token_ends(model, text: str, n: int) -> np.ndarray:
    """Where each of the `n` tokens that are read ends in the text; 0 for one that is not of it."""
    if hasattr(model, "_words"):
        found = [end for _, end in _word_spans(text, _text.tokenize)]
    else:
        prefix = getattr(model._model.config, "text_prefix", "")
        offsets = model._tokenizer(
            prefix + text, truncation=True, max_length=n, return_offsets_mapping=True,
            split_special_tokens=True,
        )["offset_mapping"]  # fmt: skip
        found = [max(0, end - len(prefix)) for _, end in offsets]
    return np.array([*found, *[0] * n][:n])
