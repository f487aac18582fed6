"""Cleaning, tokenising and augmenting text in any script; nothing here needs torch.

The lists of negations and stop words are English and Chinese.
"""

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import regex

# Languages written without spaces between words: a dictionary cuts them.
UNSPACED = {
    "zh": "Chinese", "ja": "Japanese", "th": "Thai", "lo": "Lao", "km": "Khmer", "my": "Burmese"
}  # fmt: skip

NEGATIONS = frozenset(
    "no not nor never none nobody nothing neither nowhere cannot without hardly barely scarcely "
    "n't "
    "don't doesn't didn't isn't aren't wasn't weren't won't wouldn't can't couldn't shouldn't "
    "hasn't haven't hadn't ain't 不 没 没有 不是 别 无 未 非 不会 不能 不要 并非 从不 毫无".split()
)
# Function words that say little about a text. The negations above are kept out of it: a stop list
# with "not" on it turns "not good" into "good".
STOP_WORDS = frozenset(
    "a an the and or if then than that this these those there here of at by for from in into on "
    "onto to up down out over under with about as is am are was were be been being has have had "
    "having do does did doing will would shall should can could may might must it its it's i i'm "
    "i've me my "
    "mine we us our you your he him his she her they them their who whom whose which what when "
    "where while so such too very just also only own same s t re ve ll d m 's 're 've 'll 'd "
    "的 了 是 在 和 就 都 也 还 又 这 那 我 你 他 她 它 们 我们 你们 他们 一个 一 个 有 把 "
    "被 给 跟 与 及 着 过 得 地 吗 呢 吧 啊 呀 哦 上 下 里 到 从 对 为 以 等 很 这个 "
    "那个".split()
)

_TAG = re.compile(r"<[/!]?[a-zA-Z][^<>]{0,200}>")
_URL = re.compile(r"(?:https?://|www\.)[^\s<>\"'，。！？]+", re.IGNORECASE)
_REPEAT = re.compile(r"([!?。！？.,，~～])\1+")
# Only a colon and a bracket may touch the word before them (great:), as nothing else looks so.
_EMOTICON = (
    r":['-]*[()](?![a-zA-Z0-9])|(?<![a-zA-Z0-9])[:;=]['-]?[()\[\]|/\\dpoxDPOX](?![a-zA-Z0-9/])"
    r"|</?3(?![\d.,]*\d)|\^[_.-]?\^|(?<![a-zA-Z0-9])-_+-(?![a-zA-Z0-9])"
)
_WORD_ASCII = re.compile(
    r"n't\b|[a-zA-Z]+(?:['-][a-zA-Z]+)*|\d+(?:[.,]\d+)*|'(?:s|re|ve|ll|d|m)\b|" + _EMOTICON
)
# With what follows it: a skin tone, joined figures, the rest of a flag or of a key. A copyright
# sign and an arrow are emoji only where U+FE0F says so.
_EMOJI = (
    r"\p{RI}{2}|(?:[[\p{Emoji_Presentation}\p{Extended_Pictographic}★☆]--[\u00a9-\u21ff]]"
    r"|\p{Emoji}\ufe0f|[0-9#*]\u20e3)"
    r"(?:[\ufe0e\ufe0f\u20e3\p{Emoji_Modifier}\U000e0020-\U000e007f]|\u200d\p{Extended_Pictographic})*"
)
# Vowel signs and accents are marks (M). The joiners shape a word of Persian or Hindi from within.
_LETTER = r"[\p{L}\p{M}\p{Nl}\p{No}]"
_WORD = regex.compile(
    rf"(?V1){_EMOJI}|n't\b|{_LETTER}+(?:['’\u200c\u200d׳״-]{_LETTER}+)*"
    rf"|\p{{Nd}}+(?:[.,٫٬]\p{{Nd}}+)*|'(?:s|re|ve|ll|d|m)\b|{_EMOTICON}"
)
_HAS_LETTER = regex.compile(r"[\p{L}\p{M}\p{N}]")
UNSPACED_LETTER = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_NOT_LATIN = regex.compile(r"(?V1)[\p{L}--\p{Latin}]")
_FOR_A_DICTIONARY = regex.compile(UNSPACED_LETTER)
_NEEDLESS_SPACE = regex.compile(f"(?<={UNSPACED_LETTER}) | (?={UNSPACED_LETTER})")
# What a Chinese dictionary has no words for: emoji, and words with letters that are neither
# Chinese nor ASCII.
_NOT_CHINESE = regex.compile(
    rf"(?V1)({_EMOJI}|{_EMOTICON}"
    r"|[a-zA-Z]*[[\p{L}\p{M}]--[\p{Han}a-zA-Z]][[\p{L}\p{M}\u200c\u200d]--\p{Han}]*)"
)
# The language most written in a script, by the first word of the names of its letters.
_LANGUAGES = dict(
    pair.split(":")
    for pair in "CJK:zh HIRAGANA:ja KATAKANA:ja KATAKANA-HIRAGANA:ja HALFWIDTH:ja HANGUL:ko "
    "THAI:th LAO:lo KHMER:km MYANMAR:my TIBETAN:bo DEVANAGARI:hi BENGALI:bn GURMUKHI:pa "
    "GUJARATI:gu ORIYA:or TAMIL:ta TELUGU:te KANNADA:kn MALAYALAM:ml SINHALA:si ARABIC:ar "
    "HEBREW:he CYRILLIC:ru GREEK:el ARMENIAN:hy GEORGIAN:ka ETHIOPIC:am".split()
)


def clean(
    text: str, *, markup: bool = True, urls: bool = True, unicode: bool = True, spaces: bool = True
) -> str:
    """Take away what the writer did not write; each step can be switched off.

    Parameters
    ----------
    markup : drop HTML tags and turn entities (``&amp;``) into characters.
    urls : replace addresses by nothing.
    unicode : NFKC normal form: full-width letters, ligatures and odd spaces become plain ones.
    spaces : collapse runs of spaces, and of one punctuation mark ("!!!").
    """
    if markup:
        # Twice, because scraped text is often escaped twice (&amp;lt;br&amp;gt;).
        text = _TAG.sub(" ", html.unescape(html.unescape(text)))
    if urls:
        text = _URL.sub(" ", text)
    if unicode:
        text = unicodedata.normalize("NFKC", text.replace("\ufffd", " "))
        # NFKC splits the Thai and the Lao vowel "am", and dictionaries know them whole.
        text = text.replace("\u0e4d\u0e32", "\u0e33").replace("\u0ecd\u0eb2", "\u0eb3")
    if spaces:
        text = " ".join(_REPEAT.sub(r"\1", text).split())
    return text


def language_of(text: str) -> str:
    """A language code inferred from the script, where at least a fifth of the letters are of it.

    A script stands for the language most written in it (Devanagari for ``"hi"``, Cyrillic for
    ``"ru"``), and Latin, like text without letters, for ``"en"``. Chinese characters are Japanese
    where kana stand among them.
    """
    if not _NOT_LATIN.search(text):
        return "en"
    counts = Counter(_language_of_letter(c) for c in text if c.isalpha())
    enough = 0.2 * counts.total()
    # One kana is an ornament: の stands on many a Chinese shop sign.
    if counts["ja"] > 0.1 * counts["zh"]:
        counts["ja"] += counts.pop("zh", 0)
    del counts["en"]
    language = max(counts, key=counts.get, default="en")
    return language if counts[language] >= enough else "en"


@lru_cache(maxsize=10_000)
def _language_of_letter(letter: str) -> str:
    return _LANGUAGES.get(unicodedata.name(letter, "").split(" ")[0], "en")


def tokenize(text: str, language: str | None = None, *, lowercase: bool = True) -> list[str]:
    """Words without punctuation; emoji and emoticons such as ``:)`` are words.

    Words are letters with their marks (Unicode's categories L and M). Scripts without spaces are
    cut by dictionaries: Chinese by rjieba's, Japanese, Thai, Lao, Khmer and Burmese by ICU's.

    Parameters
    ----------
    language : ``"zh"`` for rjieba; by default what `language_of` infers.
    lowercase : otherwise the words stand as they are written, and each is found in the text.
    """
    if (language or language_of(text)) == "zh":
        words = _chinese_words(text)
        return [word.lower() for word in words] if lowercase else words
    return _words(text.lower().replace("’", "'") if lowercase else text)


def _words(text: str) -> list[str]:
    if text.isascii():
        return _WORD_ASCII.findall(text)
    words = _WORD.findall(text)
    if not _FOR_A_DICTIONARY.search(text):
        return words
    from icu4py.breakers import WordBreaker

    # ICU's boundaries would cut "well-made" and a hyphenated name: it gets only what it alone
    # knows. Its dictionaries go by the script, not by the locale.
    return [
        piece
        for word in words
        for piece in (WordBreaker(word, "root") if _FOR_A_DICTIONARY.search(word) else [word])
        if piece == word or _HAS_LETTER.search(piece)
    ]


def _chinese_words(text: str) -> list[str]:
    import rjieba

    words = []
    # Lone surrogates, which JSON can escape, are no text to rjieba.
    pieces = _NOT_CHINESE.split(text.encode("utf-8", "replace").decode("utf-8"))
    for i, piece in enumerate(pieces):
        cut = _words(piece) if i % 2 else rjieba.cut(piece)
        words += [word for word in cut if i % 2 or word.isalnum() or _HAS_LETTER.search(word)]
    return words


def sentences(text: str) -> list[str]:
    """Sentences in their order, by Unicode's rules (ICU); a line break ends one too."""
    from icu4py.breakers import SentenceBreaker

    found = (sentence.strip() for sentence in SentenceBreaker(text, language_of(text)))
    return [sentence for sentence in found if _HAS_LETTER.search(sentence)]


def without_stop_words(words: list[str]) -> list[str]:
    """The words that are not on `STOP_WORDS`; negations stay."""
    return [word for word in words if word not in STOP_WORDS]


def augment(
    text: str,
    *,
    delete: float = 0.1,
    swap: float = 0.1,
    synonyms: Callable[[str], str | None] | None = None,
    replace: float = 0.1,
    seed: int = 0,
) -> str:
    """A variant of `text` with words deleted, swapped or replaced; negations are never touched.

    The operations of EDA (Wei & Zou 2019, arXiv 1901.11196). ``synonyms`` maps a word to another
    or to None, for example the nearest word vector; without it nothing is replaced.

    Parameters
    ----------
    delete, swap, replace : share of the words each operation touches, from 0 to 1.
    """
    rng = np.random.default_rng(seed)
    words = tokenize(text)
    free = [i for i, word in enumerate(words) if word not in NEGATIONS]
    if synonyms:
        for i in free:
            if rng.random() < replace:
                words[i] = synonyms(words[i]) or words[i]
    for i in free:
        j = free[rng.integers(len(free))]
        if rng.random() < swap:
            words[i], words[j] = words[j], words[i]
    left = [word for word in words if word in NEGATIONS or rng.random() >= delete]
    variant = " ".join(left or words)
    return _NEEDLESS_SPACE.sub("", variant) if language_of(text) in UNSPACED else variant
