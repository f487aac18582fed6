"""Cleaning, tokenising and augmenting text, English and Chinese; nothing here needs torch."""

import html
import re
import unicodedata
from collections.abc import Callable

import numpy as np

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
_WORD = re.compile(
    r"n't\b"
    r"|[^\W\d_](?:[^\W\d_]|['’-](?=[^\W\d_]))*"
    r"|\d+(?:[.,]\d+)*"
    r"|'(?:s|re|ve|ll|d|m)\b"
)
_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")


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
    if spaces:
        text = " ".join(_REPEAT.sub(r"\1", text).split())
    return text


def language_of(text: str) -> str:
    """``"zh"`` where at least a fifth of the letters are Chinese, else ``"en"``."""
    letters = sum(c.isalpha() for c in text)
    return "zh" if letters and len(_CHINESE.findall(text)) >= 0.2 * letters else "en"


def tokenize(text: str, language: str | None = None) -> list[str]:
    """Lower-cased words without punctuation; Chinese is segmented by rjieba's dictionary model.

    ``language`` is told from the script where it is not given.
    """
    if (language or language_of(text)) == "zh":
        import rjieba

        return [word.lower() for word in rjieba.cut(text) if any(c.isalnum() for c in word)]
    return _WORD.findall(text.lower().replace("’", "'"))


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
    joint = "" if language_of(text) == "zh" else " "
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
    kept = [w for i, w in enumerate(words) if i not in free or rng.random() >= delete]
    return joint.join(kept or words)
