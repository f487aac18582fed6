"""Every record of a file is read as it stands there, or one sentence names the line."""

import csv
import json

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.data.files import read_file
from workbench.errors import DataWarning, UserError

ROWS = [(f"{kind} story {i}", label) for i in range(30) for kind, label in ((1, "p"), (2, "n"))]
same_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100
)


@pytest.fixture
def read(tmp_path):
    """Write the content of a file and return its rows as `read_file` has them."""

    def reader(content: str | bytes, name="own.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        table = read_file(path)
        assert list(table.columns) == ["text", "label"]
        assert list(table.index) == list(range(len(table)))
        return [tuple(row) for row in table.to_numpy()]

    return reader


def lines(rows=ROWS, separator=",", end="\n"):
    return "".join(separator.join(row) + end for row in [("text", "label"), *rows])


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (lines(end=",\n").replace("label,", "label"), "own.csv"),
        (lines(end=",,\r\n"), "own.csv"),
        (lines(separator=";"), "own.csv"),
        (lines(separator="|"), "own.csv"),
        (lines(separator="\t"), "own.csv"),
        (lines(end="\r"), "own.csv"),
        (lines(end="\n\n  \n"), "own.csv"),
        ("sep=;\r\n" + lines(separator=";"), "own.csv"),
        ('"sep=,"\r\n' + lines(), "own.tsv"),
        (lines(separator="\t"), "own.tsv"),
    ],
)
def test_dialects(read, content, name):
    assert read(content, name) == ROWS


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["own.csv", "own.jsonl"])
def test_a_byte_order_mark_gives_the_encoding(read, encoding, name):
    content = lines(separator="\t")
    if name == "own.jsonl":
        content = "\n".join(json.dumps({"text": t, "label": y}) for t, y in ROWS)
    assert read(content, name, encoding) == ROWS


def test_quotes_escaped_by_a_backslash(read):
    rows = [(f'the \\"best\\", {i}', label) for i, (_, label) in enumerate(ROWS)]
    content = "text,label\n" + "".join(f'"{text}",{label}\n' for text, label in rows)
    assert read(content)[3] == ('the "best", 3', "n")
    assert len(read(content)) == 60


def test_a_separator_may_stand_in_a_quoted_header(read):
    assert read('"text","label"\n"a;b;c","p"\n') == [("a;b;c", "p")]


def test_a_document_may_be_longer_than_the_csv_module_expects(read):
    limit = csv.field_size_limit()
    assert read(f"text,label\n{'word ' * 100_000},p\n") == [("word " * 100_000, "p")]
    assert csv.field_size_limit() == limit


cell = st.text("ab\",;'\\ é好\n", min_size=1, max_size=12).filter(lambda text: text.strip())


@same_folder
@given(
    rows=st.lists(st.tuples(cell, st.sampled_from(["p", "n"])), min_size=1, max_size=8),
    separator=st.sampled_from([",", ";", "\t"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_a_csv_writer_wrote_is_read(tmp_path, rows, separator, quoting, encoding):
    path = tmp_path / "own.csv"
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=separator, quoting=quoting).writerows([("text", "label"), *rows])
    try:
        assert [tuple(row) for row in read_file(path).to_numpy()] == rows
    except UserError as error:
        # All lines of a few texts of several lines may look like rows, and nothing can tell.
        assert "look like rows" in str(error)
        assert separator != "\t"
        assert any("\n" in text and separator in text for text, _ in rows)


@same_folder
@given(
    texts=st.lists(st.text('ab "', min_size=1, max_size=8).filter(str.strip), min_size=2),
    name=st.sampled_from(["own.csv", "own.tsv"]),
)
def test_stray_quotes_hide_no_row(read, texts, name):
    rows = [(f"x{text}" if i % 2 else text, "p") for i, text in enumerate(texts)]
    try:
        found = read(lines(rows, "\t" if name == "own.tsv" else ","), name)
    except UserError as error:
        assert name == "own.csv"
        assert "own.csv' cannot be read: line " in str(error)
    else:
        assert [t.replace('"', "") for t, _ in found] == [t.replace('"', "") for t, _ in rows]


def test_parquet_gives_python_objects_and_no_index(tmp_path):
    table = pd.DataFrame(
        {"text": ["a", "b"], "id": pd.array([2**60 + 1, None], dtype="Int64"),
         "kind": pd.Categorical(["x", "y"]), "new": pd.array([True, None], dtype="boolean")},
        index=[7, 7],
    )  # fmt: skip
    table.to_parquet(tmp_path / "own.parquet")
    found = read_file(tmp_path / "own.parquet")
    assert list(found.index) == [0, 1]
    assert found[["text", "id", "kind", "new"]].to_numpy().tolist() == [
        ["a", 2**60 + 1, "x", True], ["b", None, "y", None],
    ]  # fmt: skip


def test_json_values_keep_their_types(read):
    content = '{"text": "a\u2028b", "label": 1}\n\n{"label": null, "text": "c\\ud83d\\ude00"}'
    assert read(content, "own.jsonl") == [("a\u2028b", 1), ("c😀", None)]


# --- encodings that nothing in the file names ----------------------------------------------------

CHINESE = "这部电影真的很好看 不好 太无聊了 我喜欢 第一部 更好 演员 不错 推荐 给大家".split()
WESTERN = "café naïve été âme cœur über Größe señor ação Malmö l’été “fin” £5".split()


def spoken(words, n):
    return [
        (f"{a} {b} {i}", "p")
        for i, (a, b) in enumerate(zip(words, words[n:] + words[:n], strict=True))
    ]


@given(n=st.integers(0, 9), first=st.integers(0, 9))
@same_folder
@pytest.mark.parametrize(
    ("words", "encoding", "name"),
    [(CHINESE, "gbk", "GB18030"), (CHINESE, "gb18030", "GB18030"), (WESTERN, "cp1252", "Windows")],
)
def test_an_encoding_is_guessed_with_a_word_about_it(read, words, encoding, name, n, first):
    rows = spoken(words, n)[first:]
    with pytest.warns(DataWarning, match=f"not UTF-8 and is read as {name}.*that is a guess"):
        assert read(lines(rows), encoding=encoding) == rows


def test_one_accent_in_a_long_file_is_enough(read):
    rows = [*ROWS * 50, ("un été", "p")]
    with pytest.warns(DataWarning, match="Windows-1252"):
        assert read(lines(rows), encoding="latin-1") == rows


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("Очень хороший фильм", "cp1251"), ("とても良い映画でした", "shift_jis"),
     ("정말 좋은 영화였습니다 그래서", "euc_kr"), ("這部電影真的很好看", "big5")],
)  # fmt: skip
def test_what_is_in_another_encoding_is_not_read_as_something_else(read, text, encoding):
    with pytest.raises(UserError, match=r"not UTF-8 .*save it again"):
        read(lines([(f"{text} {i}", "p") for i in range(20)]), encoding=encoding)


# --- Excel ---------------------------------------------------------------------------------------


def workbook(path, **sheets):
    with pd.ExcelWriter(path, engine="xlsxwriter") as writer:
        for name, (table, header) in sheets.items():
            pd.DataFrame(table).to_excel(writer, sheet_name=name, index=False, header=header)
    return path


def test_cells_of_a_workbook_are_read_as_they_are_seen(tmp_path):
    table = {
        "text": ["a\nb", "NA", "nan", "=1"],
        "number": [1, 2.5, None, 10**12],
        "id": ["007"] * 4,
    }
    found = read_file(workbook(tmp_path / "own.xlsx", only=(table, True)))
    assert list(found) == ["text", "number", "id"]
    assert found["text"][:3].to_list() == ["a\nb", "NA", "nan"]
    assert found["number"].to_list() == ["1", "2.5", "", "1000000000000"]
    assert found["id"].to_list() == ["007"] * 4


def test_the_first_sheet_with_rows_is_read_and_the_others_are_named(tmp_path):
    sheets = {"empty": ([], False), "title": ([["2024"]], False), "one": (ROWS, False)}
    path = workbook(tmp_path / "own.xlsx", **sheets, two=(ROWS, True), three=(ROWS, True))
    with pytest.warns(DataWarning, match="only 'one' is read, not two, three"):
        found = read_file(path, ("column 1",))
    assert [tuple(row) for row in found.to_numpy()] == ROWS
    with pytest.raises(UserError, match="none of its sheets has rows"):
        read_file(workbook(path, empty=([], False)))


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        (lines([("well, a story", "p")] * 9), "own.csv", "line 2 has 3 fields under 2 columns"),
        ("sep=,\n\n" + lines([*ROWS[:3], ("well", "a", "p")]), "own.csv", "line 7 has 3 fields"),
        (lines([*ROWS[:3], ("no label",)]), "own.csv", "line 5 has 1 fields under 2 columns"),
        (lines([('"a, b"', "p"), ('"a, b', "p"), *ROWS]), "own.csv", "line 3 .* do not match"),
        (lines([*ROWS[:9], ('"open', "p"), *ROWS, ('close"', "n")]), "own.csv", "line 11 .*quotes"),
        ("text,label,label\na,p,p\n", "own.csv", "two columns are called 'label'"),
        ('{"text": "a"}\n{"text": \n', "own.jsonl", "line 2 is no JSON object"),
        ('[\n{"text": "a"}\n]', "own.jsonl", "line 1 is no JSON object"),
        ('{"text": "a"}\n["text"]', "own.jsonl", "line 2 is no JSON object"),
        ('{"text": "a"}\n{"text": "\\ud83d"}', "own.jsonl", "line 2 .* surrogates"),
        (b"text,label\nfine,p\na\0b,p\n", "own.csv", "line 3 holds a NUL byte"),
        (lines().encode("utf-16-le"), "own.csv", "UTF-16 without a byte order mark"),
        (b"text,label\nfine,p\n\x81n,p\n", "own.csv", "not UTF-8 .byte 0x81 at .* line 3"),
        (b"PK", "own.xlsx", "save it again as an Excel workbook"),
        (lines().encode("utf-16")[:-1], "own.csv", "not UTF-16"),
        (b"\xef\xbb\xbf \n", "own.csv", "is empty"),
        ("sep=;\n", "own.csv", "has no rows"),
        (b"PAR1", "own.parquet", "own.parquet' cannot be read: Parquet"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_sentence(read, content, name, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        read(content, name)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
