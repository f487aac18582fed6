"""A first record that names the columns, and one that is a row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.data.headers import text_and_label, to_table

TEXTS = [f"the {noun} was {word}" for noun in ("film", "book", "pan") for word in ("good", "bad")]
LABELS = ["pos", "neg"] * 3
ROWS = [list(row) for row in zip(TEXTS, LABELS, strict=True)]
NUMBERED = [[label, str(i), text] for i, (text, label) in enumerate(ROWS)]
STARS = [[text, str(i % 3)] for i, text in enumerate(TEXTS)]
CHINESE = [
    ["这部电影真的很好看", "1"],
    ["太无聊了", "0"],
    ["演员不错", "1"],
    ["不喜欢", "0"],
    ["好", "1"],
]


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (ROWS, ("column 1", "column 2")),
        (ROWS[1:], ("column 1", "column 2")),
        (NUMBERED, ("column 3", "column 1")),
        (STARS, ("column 1", "column 2")),
        ([[*row, "all"] for row in ROWS], ("column 1", "column 2")),
        (CHINESE, ("column 1", "column 2")),
    ],
)
def test_a_first_record_that_is_a_row_is_recognised_and_can_be_kept(rows, columns):
    assert to_table(rows).attrs["numbered"] == columns
    table = to_table(rows, columns)
    assert table.to_numpy().tolist() == rows
    assert text_and_label(table) == columns
    assert "numbered" not in table.attrs


@pytest.mark.parametrize(
    "header",
    [
        ["text", "label"], ["Comment", "pos"], ["the sentence", "LABEL"],  # usual names
        ["sms", "pos"], ["Kommentar", "neg"],  # named like a class, with a short name for the text
        ["0", "1"], ["", "1"], ["1", "2"],  # numbers of columns
        ["what did you think of the film?", "answer"], ["the review, as it was sent in", "Pos"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("rows", [ROWS, STARS, ROWS * 3])
def test_a_header_is_taken_for_a_header(header, rows):
    table = to_table([header, *rows])
    assert "numbered" not in table.attrs
    assert list(table) == [name for name in header if name]
    assert len(table) == len(rows)


def test_a_header_that_stands_again_among_the_rows_is_a_header():
    header = ["what they wrote to us", "what it is"]
    assert "numbered" not in to_table([header, *ROWS, header, *ROWS]).attrs


@given(st.lists(st.lists(st.text("ab 1", max_size=4), min_size=3, max_size=3), min_size=1))
def test_numbered_columns_lose_no_record_and_no_cell(records):
    table = to_table(records, ["column 2"])
    assert len(table) == len(records)
    cells = [[cell for cell in row if cell] for row in records]
    assert [[cell for cell in row if cell] for row in table.to_numpy().tolist()] == cells


def test_a_column_that_is_called_so_is_asked_for_by_its_name():
    table = to_table([["column 1", "column 3"], ["a", "b"]], ["column 1", "column 3"])
    assert table.to_numpy().tolist() == [["a", "b"]]
