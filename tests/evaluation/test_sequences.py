import numpy as np
import pandas as pd
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from seqeval import metrics as reference

from workbench import evaluate
from workbench.errors import UserError

TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
LATIN = st.lists(st.sampled_from("a cat sat on the Mat, 12.5 mats don't".split()), max_size=12)
TEXTS = st.lists(st.tuples(LATIN.map(" ".join), LATIN.filter(bool).map(" ".join)), min_size=1)


class Fixed:
    """A tagger that gives the tags it was made with."""

    def __init__(self, tags):
        self.tags = tags

    def predict(self, sentences):
        return self.tags


def sentences(tags, **more) -> pd.DataFrame:
    return pd.DataFrame({"tokens": [["w"] * len(row) for row in tags], "tags": tags, **more})


def noisy(random, n: int, right: float) -> tuple[list, list]:
    """Sentences of one to five entities of one token, each found with the probability `right`."""
    true = [["B-PER"] * k for k in random.integers(1, 6, n)]
    return true, [[tag if random.random() < right else "O" for tag in row] for row in true]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=9), min_size=1, max_size=9))
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_entities_are_scored_as_by_seqeval(rows):
    """Also where an entity has no beginning, or changes its type within."""
    true, predicted = ([[pair[i] for pair in row] for row in rows] for i in (0, 1))
    found = evaluate.evaluate_tags(Fixed(predicted), sentences(true)).metrics
    for name in ("f1", "precision", "recall"):
        score = getattr(reference, f"{name}_score")(true, predicted, zero_division=0)
        assert found[f"entity_{name}"] == pytest.approx(score, abs=1e-12)
    assert found["entity_f1_low"] <= found["entity_f1_high"]
    assert (found["n"], found["split"]) == (len(rows), "test")


def test_an_entity_with_one_wrong_boundary_is_wrong():
    table = sentences([["B-PER", "I-PER", "O"]])
    for predicted in (["B-PER", "O", "O"], ["B-PER", "I-PER", "I-PER"], ["B-LOC", "I-LOC", "O"]):
        assert evaluate.evaluate_tags(Fixed([predicted]), table).metrics["entity_f1"] == 0


def test_what_was_tagged_is_kept():
    table = sentences([["B-PER", "O"], ["O"]], id=["x", None], domain=["news", "shop"])
    table.attrs["source"] = "entities"
    evaluation = evaluate.evaluate_tags(Fixed([["O", "O"], ["O"]]), table, "validation")
    assert evaluation.predictions.to_dict("list") == {
        "id": ["x", "1"], "text": ["w w", "w"], "label": ["B-PER O", "O"],
        "predicted": ["O O", "O"], "split": ["validation"] * 2, "domain": ["news", "shop"],
    }  # fmt: skip
    assert evaluation.predictions.attrs["source"] == "entities"


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_bleu_and_chrf_are_those_of_sacrebleu(pairs):
    predicted, true = map(list, zip(*pairs, strict=True))
    found = evaluate.evaluate_texts(predicted, true, ["bleu", "chrf"]).metrics
    for name in ("bleu", "chrf"):
        score = getattr(sacrebleu, f"corpus_{name}")(predicted, [true])
        assert found[name] == pytest.approx(score.score, abs=1e-9)


def test_the_interval_of_bleu_is_about_that_of_sacrebleu():
    random = np.random.default_rng(0)
    true = [" ".join(random.choice(list("abcdefgh"), 12)) for _ in range(150)]
    predicted = [" ".join(w for w in t.split() if random.random() < 0.9) for t in true]
    found = evaluate.evaluate_texts(predicted, true, "bleu").metrics
    own = sacrebleu.BLEU().corpus_score(predicted, [true], n_bootstrap=1000)
    assert (found["bleu_high"] - found["bleu_low"]) / 2 == pytest.approx(own._ci, rel=0.15)


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_rouge_is_the_mean_of_rouge_score(pairs):
    predicted, true = map(list, zip(*pairs, strict=True))
    names = ["rouge1", "rouge2", "rougeL"]
    found, own = evaluate.evaluate_texts(predicted, true, names).metrics, RougeScorer(names)
    for name in names:
        each = [own.score(t, p)[name].fmeasure for p, t in pairs]
        assert found[name] == pytest.approx(np.mean(each), abs=1e-12)


@pytest.mark.parametrize(
    ("predicted", "true", "rouge1"),
    [
        ("很好的书", "这本书很好", 2 * (3 / 4 * 3 / 5) / (3 / 4 + 3 / 5)),
        ("für die Straße", "Für die Katze", 2 / 3),
        ("очень", "ОЧЕНЬ плохо", 2 / 3),
        ("iPhone很好", "iPhone 好", 4 / 5),
    ],
)
def test_rouge_keeps_the_letters_of_every_script(predicted, true, rouge1):
    found = evaluate.evaluate_texts([predicted], [true], "rouge1").metrics
    assert found["rouge1"] == pytest.approx(rouge1)


def test_chinese_is_cut_by_sacrebleu_before_words_are_counted():
    true, predicted = ["这本书的内容很好，我很喜欢。"], ["这本书的内容不好，我很喜欢。"]
    found = evaluate.evaluate_texts(predicted, true, "bleu").metrics["bleu"]
    assert found == pytest.approx(sacrebleu.corpus_bleu(predicted, [true], tokenize="zh").score)
    assert found > 50 > sacrebleu.corpus_bleu(predicted, [true]).score


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evaluate.evaluate_texts(["a"], ["a"], "blue"), "did you mean 'bleu'"),
        (lambda: evaluate.evaluate_texts(["a"], ["a"], "entity_f1"), "no metric of texts"),
        (lambda: evaluate.evaluate_texts(["a"], ["a", "b"], "bleu"), "1 predictions for 2 ref"),
        (lambda: evaluate.evaluate_texts(["a", "b"], ["a", " "], "bleu"), "1 of 2 references are"),
        (lambda: evaluate.evaluate_texts([], [], "bleu"), "there are no rows"),
        (lambda: evaluate.evaluate_tags(Fixed([]), sentences([])), "there are no rows"),
        (lambda: evaluate.evaluate_tags(Fixed([["O"]]), sentences([["O", "O"]])),
         "Sentence 0 has 2 tokens, 2 tags and 1 predicted tags"),
        (lambda: evaluate.evaluate_tags(Fixed([[]]), sentences([[]])), "needs a token"),
    ],
)  # fmt: skip
def test_what_cannot_be_scored_is_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()


# --- intervals and pairs --------------------------------------------------------------------------


def test_the_interval_of_entity_f1_covers_the_true_value():
    """Found with p and never invented, entities have precision 1, recall p and F1 2p / (1 + p)."""
    random, right, covered = np.random.default_rng(0), 0.7, 0
    for _ in range(300):
        true, predicted = noisy(random, 80, right)
        found = evaluate.evaluate_tags(Fixed(predicted), sentences(true)).metrics
        covered += found["entity_f1_low"] <= 2 * right / (1 + right) <= found["entity_f1_high"]
    assert 0.92 <= covered / 300 <= 0.98


def test_equal_taggers_are_told_apart_in_five_of_a_hundred_pairs():
    random, rejected = np.random.default_rng(0), 0
    for _ in range(300):
        true, predicted = noisy(random, 80, 0.7)
        other = [[tag if random.random() < 0.7 else "O" for tag in row] for row in true]
        first, second = (
            evaluate.evaluate_tags(Fixed(tags), sentences(true)) for tags in (predicted, other)
        )
        test = evaluate.paired("entity_f1", first, second)
        rejected += test["p"] < 0.05
        assert (test["p"] < 0.05) == (not test["low"] <= 0 <= test["high"])
    assert 0.02 <= rejected / 300 <= 0.08


@pytest.mark.parametrize("metric", ["bleu", "chrf", "rouge2"])
def test_a_real_difference_is_found_and_none_in_equal_texts(metric):
    random = np.random.default_rng(1)
    true = [" ".join(random.choice(list("abcdefgh"), 12)) for _ in range(120)]
    good, bad = (
        evaluate.evaluate_texts(
            [" ".join(w for w in t.split() if random.random() < keep) for t in true], true, metric
        )
        for keep in (0.95, 0.8)
    )  # fmt: skip
    test = evaluate.paired(metric, good, bad)
    assert test["low"] <= test["difference"] <= test["high"]
    assert test["low"] > 0
    assert test["p"] < 0.01
    assert (test["first"], test["second"]) == (good.metrics[metric], bad.metrics[metric])
    assert evaluate.paired(metric, good, good)["p"] == 1


def test_rows_are_paired_by_their_ids_and_an_empty_translation_counts():
    true = [f"the {word} sat on the mat" for word in "cat dog cow hen".split()]
    first = evaluate.evaluate_texts([*true[:3], ""], true, "bleu", ids=list("abcd"))
    turned = evaluate.evaluate_texts(true[::-1], true[::-1], "bleu", ids=list("dcba"))
    test = evaluate.paired("bleu", first, turned)
    assert (test["n"], test["second"]) == (4, pytest.approx(100))
    assert test["first"] == pytest.approx(first.metrics["bleu"])


def test_rows_of_different_data_are_refused():
    first = evaluate.evaluate_texts(["a b"], ["a b"], "bleu", ids=["x"])
    for references, ids in ((["a c"], ["x"]), (["a b"], ["y"])):
        other = evaluate.evaluate_texts(["a b"], references, "bleu", ids=ids)
        with pytest.raises(UserError, match="different data"):
            evaluate.paired("bleu", first, other)
    with pytest.raises(UserError, match="no metric 'accuracy'"):
        evaluate.paired("accuracy", first, first)
