"""One file as a table: CSV and TSV in any dialect, JSON lines, Parquet; all of it or an error."""

import codecs
import csv
import io
import json
import re
from pathlib import Path

import pandas as pd

from workbench.errors import UserError, first_line

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
UNQUOTED = {"quoting": csv.QUOTE_NONE}
DIALECTS = ({}, {"skipinitialspace": True}, {"escapechar": "\\"}, UNQUOTED)


def read_file(path: Path) -> pd.DataFrame:
    """Every record of a file, with its cells as Python objects and a new index.

    Raises
    ------
    UserError : one sentence on why it cannot be read, with the line or the encoding.
    """
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise UserError(f"'{path}' cannot be read: give a file in {', '.join(SUFFIXES)}.")
    try:
        if kind == ".parquet":
            from pyarrow.parquet import ParquetFile

            table = from_arrow(ParquetFile(path).read())
        else:
            text = _decode(path.read_bytes())
            table = _json_lines(text) if kind == ".jsonl" else _delimited(text, kind)
        table = table.set_axis([str(column).strip() for column in table.columns], axis=1)
        if table.empty:
            raise ValueError("it has no rows")
        if table.columns.has_duplicates:
            twice = table.columns[table.columns.duplicated()][0]
            raise ValueError(f"two columns are called '{twice}'; rename one")
    except (OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"'{path}' cannot be read as {kind[1:]}: {first_line(error)}.") from error
    return table


def from_arrow(table) -> pd.DataFrame:
    """A `pyarrow.Table` as Python objects: integers beside missing values stay integers."""
    # The index that pandas stores in a file is a column like any other: it may repeat.
    return table.to_pandas(ignore_metadata=True, integer_object_nulls=True).astype(object)


def _decode(content: bytes) -> str:
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
        raise ValueError(
            f"it is not {encoding} (byte {content[at]:#04x} at position {at}, line "
            f"{content.count(10, 0, at) + 1}); save it again with the encoding UTF-8"
        ) from error
    if not text.strip():
        raise ValueError("it is empty")
    return text


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


def _delimited(text: str, kind: str) -> pd.DataFrame:
    """Read by the standard library: pandas takes surplus fields for an index."""
    separator = "\t" if kind == ".tsv" else ""
    if mark := re.match(r'"?sep=(.)"?\r?\n(?=\s*\S)', text, re.IGNORECASE):  # Excel's first line
        separator, text = mark[1], "\n" + text[mark.end() :]
    if not separator:
        header = re.split(r"[\r\n]", text.strip(), maxsplit=1)[0]
        separator = max(",;\t|", key=lambda s: len(next(csv.reader([header], delimiter=s))))
    limit = csv.field_size_limit(2**31 - 1)  # long documents
    try:
        header, *rows = _records(text, separator)
    finally:
        csv.field_size_limit(limit)
    table = pd.DataFrame(rows, columns=header, dtype=object)
    return table.loc[:, [bool(column.strip()) for column in header]]


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
