"""One file as a table: CSV, TSV, Excel, JSON lines, Parquet, CoNLL; all or an error."""

import codecs
import csv
import io
import json
import re
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from workbench.data import tagged
from workbench.data.headers import to_table
from workbench.errors import UserError, first_line, warn

SUFFIXES = (".csv", ".tsv", ".xlsx", ".jsonl", ".parquet", ".conll", ".bio", ".iob2")
GUESSES = {"gb18030": "GB18030, which is Chinese", "cp1252": "Windows-1252, which is Western"}
UNQUOTED = {"quoting": csv.QUOTE_NONE}
HAN = "[\u4e00-\u9fff]"
DIALECTS = ({}, {"skipinitialspace": True}, {"escapechar": "\\"}, UNQUOTED)


def read_file(path: Path, asked: Collection[str] = ()) -> pd.DataFrame:
    """Every record of a file, with its cells as Python objects and a new index.

    `asked` is as in `headers.to_table`.

    Raises
    ------
    UserError : one sentence on why it cannot be read, with the line or the encoding.
    """
    kind = path.suffix.lower()
    if kind not in (*SUFFIXES, ".txt"):
        raise UserError(f"'{path}' cannot be read: give a file in {', '.join(SUFFIXES)}.")
    try:
        if kind == ".parquet":
            from pyarrow.parquet import ParquetFile

            table = from_arrow(ParquetFile(path).read())
        elif kind == ".jsonl":
            table = _json_lines(_decode(path))
        elif kind in (".conll", ".bio", ".iob2", ".txt"):
            table = tagged.parse(_decode(path))
        else:
            records = _excel(path) if kind == ".xlsx" else _delimited(_decode(path), kind)
            table = to_table(records, asked)
        table = table.set_axis([str(column).strip() for column in table.columns], axis=1)
        if table.empty:
            raise ValueError("it has no rows")
        if table.columns.has_duplicates:
            twice = table.columns[table.columns.duplicated()][0]
            raise ValueError(f"two columns are called '{twice}'; rename one")
    except (OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"'{path}' cannot be read: {first_line(error)}.") from error
    return table


def from_arrow(table) -> pd.DataFrame:
    """A `pyarrow.Table` as Python objects: integers beside missing values stay integers."""
    # The index that pandas stores in a file is a column like any other: it may repeat.
    return table.to_pandas(ignore_metadata=True, integer_object_nulls=True).astype(object)


def _decode(path: Path) -> str:
    content = path.read_bytes()
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "UTF-16" if marked else "UTF-8"
    if not marked and b"\0" in content:
        raise ValueError(
            "it is a binary file, or in UTF-16 without a byte order mark, or damaged: line "
            f"{content.count(10, 0, content.index(0)) + 1} holds a NUL byte"
        )
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        at = error.start
        if (guess := _encoding(content)) is None or marked:
            raise ValueError(
                f"it is not {encoding} (byte {content[at]:#04x} at position {at}, line "
                f"{content.count(10, 0, at) + 1}); save it again with the encoding UTF-8"
            ) from error
        warn(
            f"'{path}' is not UTF-8 and is read as {GUESSES[guess]}: that is a guess, so look at "
            "the texts, and save the file with the encoding UTF-8 to be sure."
        )
        text = content.decode(guess)
    if not text.strip():
        raise ValueError("it is empty")
    return text


def _encoding(content: bytes) -> str | None:
    """The encoding of `GUESSES` that fits the content; None if none does."""
    from charset_normalizer import from_bytes

    for match in from_bytes(content, cp_isolation=list(GUESSES)):
        # In Western text a letter with an accent and its neighbour look like one Chinese
        # character, but seldom like two; Korean looks like Chinese that is no words.
        alone = len(re.findall(f"(?<!{HAN}){HAN}(?!{HAN})", str(match)))
        chinese = 2 * alone < len(re.findall(HAN, str(match))) and match.chaos < 0.1
        if chinese or match.encoding != "gb18030":
            return match.encoding
    return None


def _excel(path: Path) -> list[list[str]]:
    """The cells of the first sheet with rows, as strings."""
    from python_calamine import CalamineError

    try:
        sheets = pd.read_excel(path, sheet_name=None, header=None, dtype=str, na_filter=False,
                               engine="calamine")  # fmt: skip
    except CalamineError as error:
        raise ValueError(f"{first_line(error)}; save it again as an Excel workbook") from error
    first, *others = [name for name, sheet in sheets.items() if len(sheet) > 1] or [""]
    if not first:
        raise ValueError("none of its sheets has rows")
    if others:
        warn(f"Of the sheets of '{path}' only '{first}' is read, not {', '.join(others)}.")
    return [row for row in sheets[first].to_numpy().tolist() if any(row)]


def _json_lines(text: str) -> pd.DataFrame:
    records = []
    # Not `splitlines`: a JSON string may hold other line separators, such as U+2028.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            records.append({**json.loads(line)})
            if "\\u" in line:  # half an emoji can be written, but stands in no text
                json.dumps(records[-1], ensure_ascii=False).encode()
        except (ValueError, TypeError) as error:
            raise ValueError(f"line {number} is no JSON object, {error}") from error
    return pd.DataFrame(records, dtype=object)


def _delimited(text: str, kind: str) -> list[list[str]]:
    """Records by the standard library: pandas takes surplus fields for an index."""
    separator = "\t" if kind == ".tsv" else ""
    if mark := re.match(r'"?sep=(.)"?\r?\n(?=\s*\S)', text, re.IGNORECASE):  # Excel's first line
        separator, text = mark[1], "\n" + text[mark.end() :]
    if not separator:
        header = re.split(r"[\r\n]", text.strip(), maxsplit=1)[0]
        separator = max(",;\t|", key=lambda s: len(next(csv.reader([header], delimiter=s))))
    limit = csv.field_size_limit(2**31 - 1)  # long documents
    try:
        return _records(text, separator)
    finally:
        csv.field_size_limit(limit)


def _records(text: str, separator: str) -> list[list[str]]:
    """Header and records, in the first dialect that fits them all."""
    errors = []
    for dialect in DIALECTS:
        try:
            rows, multiline = _parse(text, separator, dialect)
            break
        except ValueError as error:
            errors.append(error)
    else:
        raise errors[0]
    if multiline and dialect != UNQUOTED and len(rows[0]) > 1:
        # Two stray quotes can hide the rows between them. If every line alone has all fields, a
        # TSV is one without quoting; of a CSV nobody can know.
        try:
            single_lines, _ = _parse(text, separator, UNQUOTED)
        except ValueError:
            return rows
        if separator != "\t":
            raise ValueError(
                f"line {multiline} begins a quoted field of several lines that look like rows of "
                "their own; remove stray double quotes"
            )
        return single_lines
    return rows


def _parse(text: str, separator: str, dialect: dict) -> tuple[list[list[str]], int]:
    """Records that are as long as the header, and a line where one of several lines begins."""
    rows, multiline, line = [], 0, 0
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=separator, strict=True, **dialect)
    try:
        for row in reader:
            start, line = line + 1, reader.line_num
            if len(row) < 2 and not "".join(row).strip():
                continue  # a blank line
            multiline = start if line > start else multiline
            rows.append(row)
            header = rows[0]
            if len(row) == len(header):
                continue
            if any(field.strip() for field in row[len(header) :] + header[len(row) :]):
                raise ValueError(
                    f"line {start} has {len(row)} fields under {len(header)} columns; put fields "
                    f"that contain {separator!r} or a line break between double quotes"
                )
            rows[-1] = (row + [""] * len(header))[: len(header)]
    except csv.Error as error:
        raise ValueError(
            f"line {line + 1} begins a field with double quotes that do not match; double each "
            "quote inside a quoted field"
        ) from error
    return rows, multiline
