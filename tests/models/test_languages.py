"""What the catalogue says of languages holds: texts of any script are told apart by their words."""

import pytest

from workbench import models
from workbench.models import networks

TEXTS = {
    "hi": ("यह फिल्म बहुत सुंदर थी", "यह फिल्म बहुत बेकार थी"),
    "th": ("หนังเรื่องนี้สวยงามมาก", "หนังเรื่องนี้น่าเบื่อมาก"),
    "ja": ("この映画はとても面白いです", "この映画はとても退屈です"),
    "ar": ("كان الفيلم جَمِيلاً جدا", "كان الفيلم مُمِلّاً جدا"),
    "ko": ("이 영화는 정말 재미있었어요", "이 영화는 정말 지루했어요"),
    "emoji": ("😍", "😡"),
}
LINEAR = ("naive-bayes", "svm", "random-forest", "logistic", "perceptron")


def test_any_language_is_said_of_models_that_count_words_alone():
    table = models.table()
    any_language = set(table.index[table["languages"] == "any"])
    assert any_language == {"majority", *LINEAR, "cnn", "rnn", "lstm", "gru"}


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("name", LINEAR)
def test_classes_are_told_apart_by_one_word_in_any_script(name, language):
    texts = list(TEXTS[language]) * 6
    model = models.build(name).fit(texts, ["good", "bad"] * 6)
    assert list(model.predict(TEXTS[language])) == ["good", "bad"]


@pytest.mark.parametrize("language", TEXTS)
def test_networks_see_the_word_that_differs(language):
    vocabulary = networks.Vocabulary(list(TEXTS[language]) * 2)
    (good, bad), truncated = vocabulary.rows(TEXTS[language], 20)
    assert truncated == 0
    assert networks.UNKNOWN not in {*good, *bad}
    assert len(set(good) - set(bad)) in (1, 2), "a word, or one and its ending"
