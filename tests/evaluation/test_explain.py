import numpy as np
import pandas as pd
import pytest

from workbench import models
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
