import numpy as np
import pandas as pd
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from seqeval import metrics as reference

from workbench import evaluate, runs
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
        test = evaluate.paired("entity_f1", first, second, draws=1000)
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


# --- runs -----------------------------------------------------------------------------------------


def kept(root, name: str, evaluation) -> runs.Run:
    return runs.load(
        runs.save(name, metrics=evaluation.metrics, predictions=evaluation.predictions, root=root)
    )


def runs_of_each_kind(root) -> list:
    """Two taggers, a third on other sentences, two translators, a classifier."""
    random = np.random.default_rng(0)
    true, good = noisy(random, 60, 0.95)
    poor = [["O" if random.random() < 0.5 else tag for tag in row] for row in true]
    for name, tags in (("poor", poor), ("good", good)):
        kept(root, name, evaluate.evaluate_tags(Fixed(tags), sentences(true)))
    kept(root, "elsewhere", evaluate.evaluate_tags(Fixed(true[:40]), sentences(true[:40])))
    texts = [f"the {word} sat on the mat today" for word in "cat dog cow hen".split()]
    kept(root, "copy", evaluate.evaluate_texts(["the"] * 4, texts, ["bleu", "chrf"]))
    kept(root, "empty", evaluate.evaluate_texts(["", *texts[1:]], texts, ["bleu", "chrf"]))
    frame = pd.DataFrame({"id": ["1"], "text": ["x"], "label": ["a"], "predicted": ["a"]})
    runs.save("classifier", metrics={"accuracy": 1.0, "n": 1}, predictions=frame, root=root)
    return runs.list_runs(root)


def test_runs_are_compared_with_those_of_their_metric_alone(tmp_path):
    found = evaluate.compare_by_metric(runs_of_each_kind(tmp_path))
    assert list(found) == ["accuracy", "entity_f1", "bleu"]
    table, tests = found["entity_f1"]
    assert list(table["model"]) == ["elsewhere", "good", "poor"]
    assert table["entity_f1"].is_monotonic_decreasing
    (row,) = tests.itertuples()  # one was tested on other sentences
    assert (row.a, row.b) == tuple(table["run"][1:])
    assert (row.first, row.second) == tuple(table["entity_f1"][1:])
    assert row.low > 0
    assert row.p == row.p_adjusted < 0.05
    table, tests = found["bleu"]
    assert list(table["model"]) == ["empty", "copy"]
    assert len(tests) == 1
    assert found["accuracy"][1].empty


def test_several_pairs_are_corrected_for_their_number(tmp_path):
    random = np.random.default_rng(0)
    true, predicted = noisy(random, 60, 0.8)
    for name in "abc":
        table = sentences(true)
        kept(tmp_path, name, evaluate.evaluate_tags(Fixed(predicted), table))
        predicted = noisy(random, 60, 0.8)[1]
        predicted = [(row * 5)[: len(t)] for row, t in zip(predicted, true, strict=True)]
    _, tests = evaluate.compare_by_metric(runs.list_runs(tmp_path))["entity_f1"]
    assert len(tests) == 3
    assert tests["p_adjusted"].tolist() == pytest.approx(evaluate.holm(tests["p"].tolist()))


def test_a_difference_remains_significant_among_many_pairs(tmp_path):
    """Of ten models on the same rows, 45 pairs: the smallest p must be able to bear that."""
    random = np.random.default_rng(0)
    true, good = noisy(random, 60, 0.95)
    for name in "abcdefghi":
        kept(tmp_path, name, evaluate.evaluate_tags(Fixed(good), sentences(true)))
    poor = [["O"] * len(row) for row in true]
    kept(tmp_path, "poor", evaluate.evaluate_tags(Fixed(poor), sentences(true)))
    table, tests = evaluate.compare_by_metric(runs.list_runs(tmp_path))["entity_f1"]
    assert len(tests) == 45
    worst = tests["b"] == table["run"].iloc[-1]
    assert (tests["p_adjusted"] < 0.05).equals(worst)


def test_runs_whose_predictions_are_gone_are_listed_and_not_tested(tmp_path):
    found = runs_of_each_kind(tmp_path)
    for run in found:
        (run.path / "predictions.parquet").unlink()
    for table, tests in evaluate.compare_by_metric(found).values():
        assert len(table)
        assert tests.empty


@pytest.mark.parametrize("metrics", [{}, {"n": 3}, {"loss": 1.0, "accuracy": 0.5, "bleu": 3.0}])
def test_what_a_run_is_judged_by(metrics):
    assert evaluate.main_metric(metrics) == "accuracy"
    assert evaluate.main_metric({"rougeL": 0.1, "rouge1": 0.2, **metrics}) == "rougeL"
