import importlib.metadata
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workbench.data import text

PICTURES = ["😡", "❤️", "👍🏽", "👨‍👩‍👧‍👦", "🇫🇷", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "❤", "⭐", "☹", "★"]
FACES = [":)", ":-(", ":'(", ";)", "=(", ":D", ":P", ":/", "<3", "</3", "^_^", "-_-"]


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


@pytest.mark.parametrize(
    "sentence",
    [
        "आधुनिक मानक हिन्दी", "সুন্দর বই পড়া", "தமிழ் மொழி அழகானது", "مُحَمَّد كِتَابٌ جميل",
        "이 책은 재미있었어요", "стра\u0301шная кни\u0301га", "cafe\u0301s e\u0301te\u0301",
        "می\u200cخواهم کتاب", "צה״ל ספר", "i̇stanbul güzel", "Nh\u0323 Ti\u1ebfng Vi\u1ec7t".lower(),
    ],
)  # fmt: skip
def test_marks_are_part_of_the_word_that_they_stand_in(sentence):
    assert text.tokenize(sentence) == sentence.split()


@pytest.mark.parametrize(
    "words",
    [
        "ภาษา ไทย เป็น ภาษา ที่ สวยงาม",
        "ພາສາ ລາວ",
        "ខ្ញុំ ស្រឡាញ់",
        "この 本 は とても 面白い",
        "東京 に 行く",
    ],
)
def test_words_without_spaces_come_from_a_dictionary(words):
    assert text.tokenize(words.replace(" ", "")) == words.split(), (
        f"the dictionaries of icu4py {importlib.metadata.version('icu4py')} know other words"
    )
    assert text.language_of(words) in text.UNSPACED


def test_scripts_may_stand_in_one_text():
    assert text.tokenize("I love 北京, it's ภาษาไทย!") == [
        "i",
        "love",
        "北京",
        "it's",
        "ภาษา",
        "ไทย",
    ]
    chinese = text.tokenize("这把刀很锋利 café हिन्दी ภาษาไทย 😡:)")
    assert chinese[4:] == ["锋利", "café", "हिन्दी", "ภาษา", "ไทย", "😡", ":)"]


@pytest.mark.parametrize("word", [*PICTURES, *FACES])
def test_emoji_and_emoticons_are_words(word):
    assert text.tokenize(f"Good {word} {word}!") == ["good", word.lower(), word.lower()]
    assert text.tokenize(f"很好{word} {word}！") == ["很", "好", word.lower(), word.lower()]
    assert text.tokenize(word * 2 if word in PICTURES else word)[0] == word.lower()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("http://a.b c:\\d", ["http", "a", "b", "c", "d"]),
        ("pros:(1) &quot;) a[1:]", ["pros", "1", "quot", "a", "1"]),
        ("x <3.5, y<30, f(x)=(y)", ["x", "3.5", "y", "30", "f", "x", "y"]),
        ("at 19:30: e-book; - _ -", ["at", "19", "30", "e-book"]),
        ("© ™ ‼ → _", []),
    ],
)
def test_punctuation_that_only_looks_like_an_emoticon(given, words):
    assert text.tokenize(given) == words


# What case, joiners, marks and dictionaries make of letters that stand side by side.
SCRIPTS = "aZéßİñ’'-.,:;)(<3^_ \n0٣५½²№ΣςЯיأ\u064bक्‍\u0302\ufe0f\u200dกำ็ກຳខ្មမြ一好書のカーｶﾞ한글ᄒ፡ጀ"


def _letters(given: str) -> list[str]:
    """Letters, marks, digits and smileys, whatever their case."""
    return [
        c
        for c in given.casefold()
        if unicodedata.category(c)[0] in "LMN" or "\U0001f600" <= c <= "\U0001f64f"
    ]


@given(st.text(st.sampled_from(SCRIPTS + "".join(PICTURES))) | st.text(), st.booleans())
@example("e\u0301\u200d好\u0301 カ\u0301", False)
def test_nothing_but_punctuation_is_dropped(given, chinese):
    words = text.tokenize(given, "zh" if chinese else None)
    assert _letters("".join(words)) == _letters(given)
    assert not any(c.isspace() for word in words for c in word)


@given(st.text(st.sampled_from(SCRIPTS + "".join(PICTURES))), st.booleans())
def test_words_as_written_stand_in_the_text_in_their_order(given, chinese):
    at = 0
    for word in text.tokenize(given, "zh" if chinese else None, lowercase=False):
        at = given.index(word, at) + len(word)


@pytest.mark.parametrize("given", ["\ud83d 这本书 \ud83d 好看", "the \ud83d book", "\ud83dหนังสือ"])
def test_half_an_emoji_hides_no_words(given):
    assert len("".join(text.tokenize(given))) >= 5


def test_language_is_inferred_from_the_script():
    assert text.language_of("这本书 is 很好看的") == "zh"
    assert text.language_of("A book about 北京 and its history") == "en"
    for none in ("12345", "", "😡❤️", "été", "𝐁𝐨𝐥𝐝 µm"):
        assert text.language_of(none) == "en"


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("ja", "東京大学の図書館"), ("ja", "スーパー"), ("zh", "中国の味，我很喜欢这家店的菜"),
        ("ko", "이 책"), ("th", "ภาษาไทย"), ("hi", "हिन्दी"),
        ("ar", "كتاب"), ("ru", "книга"), ("el", "βιβλίο"), ("ta", "தமிழ்"),
    ],
)  # fmt: skip
def test_a_script_stands_for_the_language_most_written_in_it(language, sentence):
    assert text.language_of(sentence) == language


def test_cleaning_leaves_thai_to_its_dictionary():
    sentence = "นักแสดงทำงานได้ดีและน้ำตาไหล"
    assert text.tokenize(text.clean(sentence)) == text.tokenize(sentence)
    assert text.clean("ນ້ຳ") == "ນ້ຳ"


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


def test_augmenting_writes_words_as_their_script_does():
    unchanged = {"delete": 0, "swap": 0}
    for written in ("ภาษาไทย", "我喜欢 iphone good 手机", "この本は面白い", "이 책은 정말"):
        words = text.augment(written, **unchanged)
        assert words == written.replace("欢 i", "欢i").replace("d 手", "d手")
    assert sorted(text.augment("ภาษาไทยสวยงาม", delete=0, swap=1)) == sorted("ภาษาไทยสวยงาม")


def test_synonyms_replace_words():
    assert (
        text.augment("good book", delete=0, swap=0, replace=1, synonyms={"good": "fine"}.get)
        == "fine book"
    )


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("It is good. Is it? Yes!", ["It is good.", "Is it?", "Yes!"]),
        ("It cost 3.50 euros. (Cheap.) Fine", ["It cost 3.50 euros.", "(Cheap.)", "Fine"]),
        ("很好。真的？是！", ["很好。", "真的？", "是！"]),
        ("one line\nanother\n\n!!!\n", ["one line", "another"]),
        ("", []),
    ],
)
def test_sentences(written, found):
    assert text.sentences(written) == found
