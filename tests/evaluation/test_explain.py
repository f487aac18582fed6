import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest

from workbench import data, models
from workbench.errors import UserError
from workbench.evaluation import explain


class Counts:
    """Says "good" with a probability that each word moves by its own weight."""

    classes_ = np.array(["bad", "good"])

    def __init__(self, **weights):
        self.weights, self.calls = weights, []

    def predict_proba(self, texts):
        self.calls.append(list(texts))
        p = [0.5 + sum(w for word, w in self.weights.items() if word in t) for t in texts]
        return np.array([[1 - x, x] for x in p])


def test_a_fall_is_the_probability_with_the_word_less_without_it():
    model = Counts(great=0.3, but=-0.1)
    found = explain.occlusion(model, "A great film, but\n long!")
    assert (found.label, found.probability, found.n) == ("good", pytest.approx(0.7), 5)
    assert found.words == ["A", "great", "film,", "but", "long!"]
    assert found.attributions == pytest.approx([0, 0.3, 0, -0.1, 0])
    assert model.calls == [
        ["A great film, but\n long!", "great film, but\n long!", "A film, but\n long!",
         "A great but\n long!", "A great film, long!", "A great film, but"]
    ]  # fmt: skip


def test_falls_are_those_of_the_class_that_was_predicted():
    found = explain.occlusion(Counts(dull=-0.4, nice=0.1), "nice but dull")
    assert found.label == "bad"
    assert found.attributions == pytest.approx([-0.1, 0, 0.4])


def test_words_are_found_in_their_places():
    text = "  Good, good;\tGOOD "
    found = explain.occlusion(Counts(), text)
    assert [text[start:end] for start, end in found.spans] == ["Good,", "good;", "GOOD"]
    assert found.spans == [(2, 7), (8, 13), (14, 18)]


def test_chinese_is_left_out_word_by_word():
    model = Counts(锋利=0.2)
    found = explain.occlusion(model, "这把刀很锋利，我喜欢 iPhone！")
    assert found.words == ["这", "把", "刀", "很", "锋利", "我", "喜欢", "iPhone"]
    assert dict(zip(found.words, found.attributions, strict=True))["锋利"] == pytest.approx(0.2)
    assert "这把刀很，我喜欢 iPhone！" in model.calls[0]


def test_languages_without_spaces_are_left_out_word_by_word():
    assert explain.occlusion(Counts(), "ภาษาไทย😡").words == ["ภาษา", "ไทย", "😡"]
    assert explain.occlusion(Counts(), "この本は、とても！").words == ["この", "本", "は", "とても"]
    assert explain.occlusion(Counts(), "이 책은 좋아요!").words == ["이", "책은", "좋아요!"]


def test_a_letter_that_lower_case_changes_hides_no_word():
    words = explain.occlusion(Counts(), "这把刀 İstanbul 很锋利").words
    assert words == ["这", "把", "刀", "İstanbul", "很", "锋利"]


def test_words_can_be_given_and_must_stand_in_the_text():
    found = explain.occlusion(Counts(film=0.2), "A great film", tokens=["great film"])
    assert found.spans == [(2, 12)]
    assert found.attributions == pytest.approx([0.2])
    with pytest.raises(UserError, match="'great' does not stand"):
        explain.occlusion(Counts(), "A great film", tokens=["film", "great"])


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_text_rests_on_nothing(text):
    found = explain.occlusion(Counts(), text)
    assert (found.words, len(found.attributions), found.n) == ([], 0, 0)


def test_of_a_long_text_the_first_words_are_asked_and_the_whole_is_predicted():
    model = Counts(last=0.3)
    found = explain.occlusion(model, "word " * 300 + "last")
    assert (found.n, len(found.words), len(found.attributions)) == (
        301,
        explain.MAX_WORDS,
        explain.MAX_WORDS,
    )
    assert found.probability == pytest.approx(0.8)
    assert len(model.calls[0]) == 1 + explain.MAX_WORDS


def test_a_linear_model_rests_on_the_word_that_it_learned():
    texts = ["a superb film", "superb sound here", "an awful film", "awful sound here"] * 5
    model = models.build("logistic").fit(texts, ["good", "good", "bad", "bad"] * 5)
    found = explain.occlusion(model, "Superb, a film to remember")
    assert found.label == "good"
    assert found.words[found.attributions.argmax()] == "Superb,"


def test_the_number_that_is_shown_is_given():
    found = explain.occlusion(Counts(great=0.3), "a great film", probabilities=[0.25, 0.75])
    assert (found.label, found.probability) == ("good", 0.75)
    assert found.attributions == pytest.approx([0, 0.3, 0])


def logistic(texts=("a superb film", "superb sound", "an awful film", "not superb sound")):
    return models.build("logistic").fit([*texts] * 5, ["good", "good", "bad", "bad"] * 5)


@pytest.mark.parametrize("name", ["logistic", "naive-bayes", "svm", "perceptron"])
def test_coefficients_add_up_to_the_score(name):
    texts = ["a superb film", "superb sound", "an awful film", "not superb sound"] * 5
    model = models.build(name).fit(texts, ["good", "good", "bad", "bad"] * 5)
    found = explain.coefficients(model, "Not a superb film, don’t think")
    assert found.words == ["Not", "a", "superb", "film", "don’t", "think"]
    score = found.attributions.sum() + found.baseline
    if name in ("logistic", "naive-bayes"):
        assert score == pytest.approx(np.log(found.probability / (1 - found.probability)))
    else:
        rule = model[-1].calibrated_classifiers_[0].estimator
        assert score == pytest.approx(
            abs(rule.decision_function(model[0].transform([found.text]))[0])
        )


def test_a_coefficient_is_weight_times_value_and_each_word_has_half_of_a_pair():
    model = logistic()
    vectorizer, rule = model[0], model[-1]
    values = vectorizer.transform(["not superb"]).toarray()[0] * rule.coef_[0]
    known = vectorizer.vocabulary_
    pair = values[known["not superb"]] / 2
    found = explain.coefficients(model, "not superb")
    sign = {"good": 1, "bad": -1}[found.label]
    wanted = [sign * (values[known[word]] + pair) for word in ("not", "superb")]
    assert found.attributions == pytest.approx(wanted)
    assert found.baseline == pytest.approx(sign * rule.intercept_[0])


def test_coefficients_of_several_classes_add_up_to_the_score_against_the_others():
    texts, labels = ["good film", "bad film", "plain film"] * 4, ["good", "bad", "plain"] * 4
    model = models.build("logistic").fit(texts, labels)
    found = explain.coefficients(model, "plain old film")
    log_p = np.log(np.sort(model.predict_proba(["plain old film"])[0]))
    assert found.label == "plain"
    assert found.attributions.sum() + found.baseline == pytest.approx(log_p[2] - log_p[:2].mean())


def test_coefficients_of_a_pipeline_that_scikit_learn_cuts():
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(CountVectorizer(ngram_range=(2, 2)), LogisticRegression())
    model.fit(["not good", "very good", "not bad", "very bad"], [0, 1, 1, 0])
    found = explain.coefficients(model, "It is not good")
    assert found.words == ["It", "is", "not", "good"]
    assert found.attributions[:2] == pytest.approx([0, 0])
    assert found.attributions[2] == pytest.approx(found.attributions[3])
    assert found.attributions[2] > 0


@pytest.mark.parametrize("name", ["majority", "random-forest", "rnn"])
def test_what_is_not_linear_in_counted_words_has_no_coefficients(name):
    settings = {"epochs": 1} if name == "rnn" else {}
    model = models.build(name, **settings).fit(
        ["a good film", "a bad", "not good"] * 4, [1, 0, 0] * 4
    )
    with pytest.raises(UserError, match="not linear in counted words"):
        explain.coefficients(model, "a good film")


@pytest.mark.parametrize(
    ("name", "settings"), [("cnn", {}), ("lstm", {}), ("bert", {}), ("roberta", {}), ("gpt2", {})]
)
def test_integrated_gradients_add_up_to_the_probability(name, settings, checkpoint):
    texts, labels = ["a good film", "a bad book"] * 8, ["good", "bad"] * 8
    if name in ("cnn", "lstm"):
        settings = {"min_count": 1, "learning_rate": 1e-2}
    else:
        name = str(checkpoint(name))
    model = models.build(name, epochs=2, max_length=8, precision="fp32", **settings)
    model.fit(texts, labels)
    for text in ("A good film, and bad book, is it not? And more", "a  good\nfilm", "坏 good!", ""):
        found = explain.integrated_gradients(model, text)
        p = model.predict_proba([text])[0]
        assert found.label == model.classes_[p.argmax()]
        assert found.probability == pytest.approx(p.max(), abs=1e-5)
        gap = found.probability - found.baseline - found.attributions.sum()
        assert abs(gap) < 1e-3, text
        assert len(found.words) == len(found.attributions) == found.n


def test_integrated_gradients_start_at_padding():
    import torch

    model = models.build("cnn", epochs=3, min_count=1, learning_rate=1e-2)
    model.fit(["a good film", "a bad book"] * 8, ["good", "bad"] * 8)
    found = explain.integrated_gradients(model, "good film")
    padding, read = torch.zeros(1, 2, dtype=torch.int64), torch.ones(1, 2, dtype=torch.int64)
    with torch.no_grad():
        p = model._model.eval()(padding, read).logits.softmax(-1)[0]
    assert found.baseline == pytest.approx(p[list(model.classes_).index(found.label)].item())


def test_integrated_gradients_name_the_word_that_was_learned():
    model = models.build("cnn", epochs=10, min_count=1, learning_rate=1e-2)
    model.fit(["the good film", "the bad film"] * 10, ["good", "bad"] * 10)
    found = explain.integrated_gradients(model, "the film, 'good' the film")
    assert found.words[found.attributions.argmax()] == "'good'"


@pytest.mark.parametrize("name", ["logistic", "frozen"])
def test_what_has_no_gradients_says_so(name, checkpoint):
    model = (
        models.build(str(checkpoint("bert")), strategy="frozen") if name == "frozen" else logistic()
    )
    if name == "frozen":
        model.fit(["a good film", "a bad book"] * 4, ["good", "bad"] * 4)
    with pytest.raises(UserError, match=r"use explain\.occlusion"):
        explain.integrated_gradients(model, "a good film")


def test_words_that_matter_beat_random_words_and_others_do_not():
    texts = [
        f"{'great' if i % 2 else 'dull'} w{i} x{i} y{i} z{i} v{i} u{i} t{i}" for i in range(40)
    ]
    model = Counts(great=0.4, dull=-0.4)
    found = explain.faithfulness(model, texts)
    assert (found["low"] > 0).all()
    # Taking the word away costs 0.4 at any share, keeping it alone costs nothing.
    assert found["method"].tolist() == pytest.approx([0.4, 0.0])
    assert ((found["low"] < found["difference"]) & (found["difference"] < found["high"])).all()

    def without_a_clue(model, text):
        other = explain.occlusion(model, text)
        drawn = np.random.default_rng(len(text) + ord(text[5])).normal(size=other.n)
        return dataclasses.replace(other, attributions=drawn)

    found = explain.faithfulness(model, texts, without_a_clue)
    assert (found["low"] < 0).all()


def test_faithfulness_needs_texts_with_words():
    with pytest.raises(UserError, match="2 texts of 2 words"):
        explain.faithfulness(Counts(), ["one", "two words"])


def test_an_interval_of_a_few_values_covers_the_mean():
    drawn = np.random.default_rng(0).normal(size=(400, 12))
    ends = np.array([explain.mean_interval(values) for values in drawn])
    assert 0.92 < np.mean((ends[:, 0] < 0) & (ends[:, 1] > 0)) < 0.98
    assert explain.mean_interval(np.ones(5)) == (1, 1)


def test_bars_show_each_explanation_and_no_markup():
    both = {"one": explain.occlusion(Counts(great=0.3, but=-0.1), "great <b>film</b> but"),
            "two": explain.coefficients(logistic(), "superb film")}  # fmt: skip
    figure = explain.bars(both)
    assert [list(bar.x) for bar in figure.data] == [list(e.attributions) for e in both.values()]
    assert figure.data[0].y[1] == "2 &lt;b&gt;film&lt;/b&gt;"
    assert len(set(figure.data[0].marker.color)) == 2
    assert [figure.layout.xaxis.title.text, figure.layout.xaxis2.title.text] == [
        "probability", "score",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("method", [explain.occlusion, explain.integrated_gradients])
def test_explanations_of_a_fine_tuned_encoder_beat_random_words_on_sst2(real_data, method, minilm):
    model, texts = minilm
    found = explain.faithfulness(model, texts, method)
    assert (found["low"] > 0).all(), found


@pytest.fixture(scope="module")
def minilm(real_data):
    with warnings.catch_warnings(action="ignore"):  # of three texts that stand in two splits
        train, _, test = data.frames(data.load(real_data / "sst2"), limit=600)
    model = models.build("minilm", epochs=3, max_length=48)
    return model.fit(list(train["text"]), list(train["label"])), list(test["text"][:25])


@pytest.mark.parametrize(
    ("name", "settings"),
    [("cnn", {}), ("bert", {}), ("bert", {"strategy": "frozen"}), ("gpt2", {}), ("coral", {})],
)
def test_what_is_read_of_a_text_ends_where_it_is_cut(name, settings, checkpoint):
    texts, labels = ["a good film", "a bad book"] * 8, ["good", "bad"] * 8
    settings = {"max_length": 8} | settings
    if name == "cnn":
        model = models.build(name, epochs=1, min_count=1, **settings).fit(texts, labels)
    elif name == "coral":
        model = models.build(name, encoder=str(checkpoint("bert")), **settings)
        model.fit(texts, labels, unlabeled=texts)
    else:
        model = models.build(str(checkpoint(name)), epochs=1, **settings).fit(texts, labels)
    text = "good film, bad book, not a good film and very bad plot, not 好 dull " * 3
    read = explain.characters_read(model, text)
    assert 0 < read < len(text)
    whole = model.predict_proba([text])
    assert model.predict_proba([text[:read]]) == pytest.approx(whole)
    assert model.tokenized([text[:read]])[0].tolist() == model.tokenized([text])[0].tolist()
    assert model.tokenized([text[: read - 1]])[0].tolist() != model.tokenized([text])[0].tolist()
    assert explain.characters_read(model, "good film ") == 10
    found = explain.occlusion(model, text)
    assert found.spans[-1][0] < read
    assert found.n == len(found.words) < len(text.split())


def test_what_counts_words_reads_the_whole():
    model = models.build("naive-bayes").fit(["a good film", "a bad book"], ["good", "bad"])
    assert explain.characters_read(model, "word " * 1000) == 5000


def test_nearest_training_texts():
    train = pd.DataFrame({"text": ["a good film", "a bad pan", "dull"], "label": [1, 0, 0]})
    found = explain.TrainingTexts(train).nearest("the bad pan", n=2)
    assert found["text"].tolist() == ["a bad pan", "a good film"]
    assert found["label"].tolist() == [0, 1]
    assert found["similarity"].is_monotonic_decreasing
    same = explain.TrainingTexts(train, "minilm").nearest("dull", n=1)
    assert same["similarity"].tolist() == pytest.approx([1.0], abs=1e-2)
