"""Pairs of English and Chinese sentences that a grammar makes: as many as one wants, all correct.

Numbers, prices, dates, times and sizes are written out in words. The pairs show how a model learns
to translate; a score on them says nothing of real text. ``python -m benchmarks.phrases`` writes
them into `data/phrases.csv`.
"""

import numpy as np
import pandas as pd

from workbench import data

FILE, SIZE = data.bundled("data") / "phrases.csv", 4000  # pairs of each domain

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_EARLY = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
_ORDINALS = [*_EARLY, *(f"{one}th" for one in _ONES[13:]), "twentieth",
             *(f"twenty-{one}" for one in _EARLY[:8])]  # fmt: skip
_MONTHS = (
    "January February March April May June July August September October November December"
).split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_UNITS = [("millimetres", "毫米"), ("centimetres", "厘米")]
# A thing is its singular and plural in English, and its measure word and noun in Chinese.
_GRAMMAR = {
    "shop": {
        "things": "lamp lamps 盏 灯|cup cups 个 杯子|book books 本 书|chair chairs 把 椅子|"
        "coat coats 件 大衣|table tables 张 桌子|umbrella umbrellas 把 雨伞|clock clocks 个 钟",
        "adjectives": "red 红色的|blue 蓝色的|white 白色的|black 黑色的|new 新的|cheap 便宜的",
        "sentences": [
            ("The {adjective} {thing} costs {price}.", "这{measure}{adjective}{noun}卖{price}。"),
            ("We sold {count} {things} on {date}.", "我们在{date}卖了{count}{measure}{noun}。"),
            ("The shop opens at {time}.", "商店{time}开门。"),
            ("I want {count} {adjective} {things}.", "我要{count}{measure}{adjective}{noun}。"),
            ("Is this {thing} {size} wide?", "这{measure}{noun}宽{size}吗？"),
            ("Your {things} will arrive before {time}.", "您的{noun}会在{time}之前送到。"),
        ],
    },
    "technical": {
        "things": "pump pumps 台 泵|valve valves 个 阀门|motor motors 台 电机|cable cables 根 电缆|"
        "filter filters 个 过滤器|sensor sensors 个 传感器|screw screws 颗 螺丝|pipe pipes 根 管道",
        "adjectives": "front 前面的|rear 后面的|upper 上面的|lower 下面的|spare 备用的|old 旧的",
        "sentences": [
            ("Check the {adjective} {thing} on {date}.", "请在{date}检查{adjective}{noun}。"),
            ("The {thing}, {size} long, weighs {number} grams.", "{noun}长{size}，重{number}克。"),
            ("Replace {count} {things} every {number} hours.",
             "每{number}小时更换{count}{measure}{noun}。"),
            ("Remove the {adjective} {thing} at {time}.", "请在{time}拆下{adjective}{noun}。"),
            ("Do not heat the {thing} above {number} degrees.", "{noun}的温度不要超过{number}度。"),
        ],
    },
}  # fmt: skip


def pairs(n: int, seed: int = 0, domain: str = "shop") -> pd.DataFrame:
    """`n` different pairs of a domain, columns ``en`` and ``zh``; the same seed, the same pairs.

    Domains are ``"shop"`` and ``"technical"``: other sentences and things, the same way to count.
    """
    rng, found = np.random.default_rng(seed), {}
    sentences = _GRAMMAR[domain]["sentences"]
    while len(found) < n:
        english, chinese = sentences[rng.integers(len(sentences))]
        slots = _slots(domain, rng)
        english = english.format(**{name: each[0] for name, each in slots.items()})
        found[english] = chinese.format(**{name: each[1] for name, each in slots.items()})
    return pd.DataFrame({"en": list(found), "zh": list(found.values())})


def _slots(domain: str, rng: np.random.Generator) -> dict[str, tuple[str, str]]:
    """What may stand in a sentence, in English and in Chinese."""
    thing, things, measure, noun = rng.choice(_GRAMMAR[domain]["things"].split("|")).split()
    count, number, size, euros, cents = rng.integers([2, 2, 10, 2, 2], [100, 1000, 300, 200, 100])
    day, month, unit = rng.integers([28, 12, 2])
    return {
        "thing": (thing, ""), "things": (things, ""), "measure": ("", measure), "noun": ("", noun),
        "adjective": tuple(rng.choice(_GRAMMAR[domain]["adjectives"].split("|")).split()),
        "count": (_english(count), "两" if count == 2 else _chinese(count)),
        "number": (_english(number), _chinese(number)),
        "price": (f"{_english(euros)} euros and {_english(cents)} cents",
                  f"{_chinese(euros)}欧元{_chinese(cents)}分"),
        "size": (f"{_english(size)} {_UNITS[unit][0]}", f"{_chinese(size)}{_UNITS[unit][1]}"),
        "date": (f"the {_ORDINALS[day]} of {_MONTHS[month]}",
                 f"{_chinese(month + 1)}月{_chinese(day + 1)}日"),
        "time": _time(rng.integers(7), rng.integers(1, 12), 5 * rng.integers(12)),
    }  # fmt: skip


def _english(n: int) -> str:
    """A number below 1,000."""
    if n < 20:
        return _ONES[n]
    if n < 100:
        return _TENS[n // 10 - 2] + (f"-{_ONES[n % 10]}" if n % 10 else "")
    return f"{_ONES[n // 100]} hundred" + (f" and {_english(n % 100)}" if n % 100 else "")


def _chinese(n: int) -> str:
    """A number below 1,000."""
    hundreds, tens, ones = (("" if not digit else "零一二三四五六七八九"[digit])
                            for digit in (n // 100, n // 10 % 10, n % 10))  # fmt: skip
    if not hundreds:
        return ("" if tens == "一" else tens) + ("十" if tens else "") + ones
    return f"{hundreds}百" + (f"{tens}十" if tens else "零" if ones else "") + ones


def _time(day: int, hour: int, minute: int) -> tuple[str, str]:
    part, chinese_part = ("afternoon", "下午") if hour < 7 else ("morning", "上午")
    number = min(minute, 60 - minute)
    words = {30: "half", 15: "a quarter"}.get(number) or _english(number)
    relation = (
        f"{words} past {_english(hour)}" if minute <= 30 else f"{words} to {_english(hour + 1)}"
    )
    clock = relation if minute else f"{_english(hour)} o'clock"
    chinese = {0: "", 30: "半", 15: "一刻", 45: "三刻"}.get(minute, f"{_chinese(minute)}分")
    weekday = f"星期{'一二三四五六日'[day]}{chinese_part}"
    return (f"{clock} on {_DAYS[day]} {part}",
            f"{weekday}{'两' if hour == 2 else _chinese(hour)}点{chinese}")  # fmt: skip


def corpus() -> pd.DataFrame:
    """What the file holds: pairs of every domain, with an id."""
    made = pd.concat([pairs(SIZE, domain=name).assign(domain=name) for name in _GRAMMAR])
    return made.reset_index(drop=True).rename_axis("id").reset_index()


if __name__ == "__main__":
    corpus().to_csv(FILE, index=False)
