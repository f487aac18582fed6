import re

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from workbench.widgets import tables

CELL = re.compile(r"<t[dh][^>]*>(.*?)</t[dh]>", re.DOTALL)


def cells(frame, **options):
    return CELL.findall(tables.table(frame, **options))


def test_numbers_stand_to_the_right_and_are_rounded():
    frame = pd.DataFrame(
        {"model": ["a", "b"], "loss": [0.69315, np.nan], "rate": [2e-5, 0.0], "n": [400, 7]}
    ).set_index("model")
    assert cells(frame)[4:] == ["a", "0.693", "2.0e-05", "400", "b", "–", "0.000", "7"]
    assert tables.table(frame).count("text-align:right") == 9
    assert tables.table(frame.astype(object)).count("text-align:right") == 0


def test_a_cell_may_hold_several_values():
    held = [[], [1, 2], (1.0,), {"a": None}, np.array([1, 2]), None]
    assert [tables.number(value) for value in held] == [
        "[]", "[1, 2]", "(1.0,)", "{'a': None}", "[1 2]", "–",
    ]  # fmt: skip


def test_a_share_has_a_bar_of_its_length():
    frame = pd.DataFrame({"share": [1.0, 0.5, 0.003]})
    bars = [cell.split(" ")[1] for cell in cells(frame, bars="share")[3::2]]
    assert [len(bar) for bar in bars] == [20, 10, 0]


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_what_people_wrote_is_never_markup(words):
    nasty = [f'{word}<script>&"' for word in words]
    frame = pd.DataFrame({nasty[0]: nasty}, index=pd.Index(nasty, name=nasty[0]))
    html = tables.table(frame, caption=nasty[0])
    assert "<script" not in html
    assert html.count("&lt;script&gt;&amp;&quot;") == 2 * len(words) + 3
