"""The grammar: as many pairs as asked for, which say the same on both sides."""

import datetime
import re

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import phrases

DIGITS = {digit: i for i, digit in enumerate("零一二三四五六七八九")} | {"两": 2}
WORDS = {word: i for i, word in enumerate(phrases._ONES)}
WORDS |= {word: 10 * i for i, word in enumerate(phrases._TENS, 2)}


def english_number(words: str) -> int:
    total = 0
    for word in re.split("[- ]", words):
        total = total * 100 if word == "hundred" else total + (0 if word == "and" else WORDS[word])
    return total


def chinese_number(text: str) -> int:
    total, digit = 0, None
    for character in text:
        if character in "百十":
            total += {"百": 100, "十": 10}[character] * (1 if digit is None else digit)
            digit = None
        else:
            digit = DIGITS[character]
    return total + (digit or 0)


@given(st.integers(0, 999))
def test_numbers_read_back(n):
    assert english_number(phrases._english(n)) == n
    if n:
        assert chinese_number(phrases._chinese(n)) == n


@given(st.integers(0, 6), st.integers(1, 11), st.integers(0, 11))
def test_times_read_back(day, hour, fives):
    english, chinese = phrases._time(day, hour, 5 * fives)
    clock, weekday = english.rsplit(" on ", 1)
    if clock.endswith("o'clock"):
        read = 60 * WORDS[clock.split()[0]]
    else:
        minutes, relation, hours = re.fullmatch("(.+) (past|to) (.+)", clock).groups()
        minutes = {"half": 30, "a quarter": 15}.get(minutes) or english_number(minutes)
        read = 60 * WORDS[hours] + (minutes if relation == "past" else -minutes)
    assert read == 60 * hour + 5 * fives
    hours, minutes = re.fullmatch("星期.[上下]午(.+)点(.*)", chinese).groups()
    minutes = {"": 0, "半": 30, "一刻": 15, "三刻": 45}.get(minutes) or minutes.removesuffix("分")
    minutes = chinese_number(minutes) if isinstance(minutes, str) else minutes
    assert 60 * chinese_number(hours) + minutes == 60 * hour + 5 * fives
    assert ("morning" in weekday) == ("上午" in chinese)


def test_dates_are_ordinals():
    wanted = ["first", "second", "third", "eleventh", "twelfth", "thirteenth", "twenty-eighth"]
    assert [phrases._ORDINALS[day - 1] for day in (1, 2, 3, 11, 12, 13, 28)] == wanted
    assert len(phrases._ORDINALS) == 28
    assert [datetime.date(2000, m, 1).strftime("%B") for m in range(1, 13)] == phrases._MONTHS


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 300), st.integers(0, 1000), st.sampled_from(["shop", "technical"]))
def test_pairs_are_different_and_those_of_the_seed(n, seed, domain):
    pairs = phrases.pairs(n, seed, domain)
    assert len(pairs) == n
    assert pairs["en"].is_unique
    assert pairs.equals(phrases.pairs(n, seed, domain))
    assert pairs["zh"].str.fullmatch(r"[\u4e00-\u9fff，。？]+").all()
    assert pairs["en"].str.fullmatch(r"[A-Z][A-Za-z' -]+[,a-zA-Z' -]*[.?]").all()


def test_domains_have_no_sentence_in_common():
    shop, technical = (set(phrases.pairs(3000, 0, name)["en"]) for name in ("shop", "technical"))
    assert not shop & technical


def test_the_bundled_pairs_are_those_of_the_grammar():
    assert pd.read_csv(phrases.FILE).equals(phrases.corpus())
