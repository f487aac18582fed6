import pytest

from workbench.data import text


def test_cleaning_takes_away_what_the_writer_did_not_write():
    dirty = (
        "Great&nbsp;book!!!<br /> see &amp;lt;b&amp;gt;https://example.com/x?y=1&amp;lt;/b&amp;gt;"
    )
    dirty += "  ｎｏｗ"
    assert text.clean(dirty) == "Great book! see now"


def test_cleaning_keeps_a_heart_and_a_comparison():
    assert text.clean("I <3 it, 3 < 5 and 7 > 6 ❤") == "I <3 it, 3 < 5 and 7 > 6 ❤"


def test_each_step_can_be_switched_off():
    assert text.clean("<b>x</b>", markup=False) == "<b>x</b>"
    assert "example" in text.clean("see http://example.com", urls=False)
    assert text.clean("a  b!!", spaces=False) == "a  b!!"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("It isn't GOOD, it's 4.5 stars!", ["it", "isn't", "good", "it's", "4.5", "stars"]),
        ("is n't good", ["is", "n't", "good"]),
        ("well-made café’s", ["well-made", "café's"]),
        ("?!...", []),
    ],
)
def test_english_words(given, words):
    assert text.tokenize(given) == words


def test_chinese_is_segmented_into_words():
    words = ["这", "把", "刀", "很", "锋利", "我", "喜欢"]
    assert text.tokenize("这把刀很锋利，我喜欢！") == words


def test_language_is_told_from_the_script():
    assert text.language_of("这本书 is 很好看的") == "zh"
    assert text.language_of("A book about 北京 and its history") == "en"
    assert text.language_of("12345") == "en"


def test_the_stop_list_holds_no_negation():
    assert not text.STOP_WORDS & text.NEGATIONS
    assert text.without_stop_words("it is not a good book".split()) == ["not", "good", "book"]


def test_augmenting_spares_negations_and_repeats_with_its_seed():
    sentence = "this is not a very good book and I would never read it again"
    variants = {text.augment(sentence, delete=0.5, swap=0.3, seed=seed) for seed in range(50)}
    assert len(variants) > 40
    assert all("not" in v.split() and "never" in v.split() for v in variants)
    assert text.augment(sentence, seed=3) == text.augment(sentence, seed=3)


def test_augmenting_never_returns_nothing():
    assert text.augment("good", delete=1.0) == "good"
    assert text.augment("", delete=1.0) == ""


def test_synonyms_replace_words():
    assert (
        text.augment("good book", delete=0, swap=0, replace=1, synonyms={"good": "fine"}.get)
        == "fine book"
    )
