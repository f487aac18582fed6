"""One file as a table: CSV and TSV in any dialect, JSON lines, Parquet; all of it or an error."""

import codecs
import csv
import io
import json
import re
from pathlib import Path

import pandas as pd

from workbench.errors import UserError, warn

# UTF-32 comes first: its byte order mark begins with that of UTF-16.
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
UNQUOTED = {"quoting": csv.QUOTE_NONE}
DIALECTS = ({}, {"skipinitialspace": True}, {"escapechar": "\\"}, UNQUOTED)


class _BadRecord(ValueError):
    """A record that does not fit its header: the line it begins in, and why."""


def read_file(path: Path) -> pd.DataFrame:
    """Every record of a file, with its cells as Python objects and a new index.

    Raises
    ------
    UserError : one sentence on why it cannot be read, with the line or the encoding.
    """
    if path.suffix.lower() not in READERS:
        raise UserError(f"'{path}' cannot be read: give a file in {', '.join(READERS)}.")
    table = READERS[path.suffix.lower()](path)
    table.columns = [str(column).strip() for column in table.columns]
    table = table.loc[:, [bool(column) for column in table.columns]]
    if table.empty:
        raise UserError(f"'{path}' has no rows.")
    if table.columns.has_duplicates:
        twice = table.columns[table.columns.duplicated()][0]
        raise UserError(f"'{path}' has two columns called '{twice}': rename one.")
    return table


def from_arrow(table) -> pd.DataFrame:
    """A `pyarrow.Table` as Python objects: integers beside missing values stay integers."""
    # The index that pandas stores in a file is a column like any other: it may repeat.
    return table.to_pandas(ignore_metadata=True, integer_object_nulls=True).astype(object)


def first_line(error: Exception) -> str:
    """The first line of a library's message, short enough for a sentence."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160].rstrip(".")


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow.parquet

    try:
        return from_arrow(pyarrow.parquet.ParquetFile(path).read())
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"'{path}' cannot be read as parquet: {first_line(error)}.") from error


def _read_json_lines(path: Path) -> pd.DataFrame:
    records = []
    # Not `splitlines`: a JSON string may hold other line separators, such as U+2028.
    for number, line in enumerate(_decode(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise UserError(
                f"Line {number} of '{path}' cannot be read as JSON: {first_line(error)}."
            ) from error
        if not isinstance(record, dict):
            raise UserError(f"Line {number} of '{path}' is no JSON object: write one a line.")
        if re.search(r"\\u[dD][89a-fA-F]", line):  # half an emoji, which no other format can hold
            record = {key: _without_lone_surrogates(value) for key, value in record.items()}
        records.append(record)
    return pd.DataFrame(records, dtype=object)


def _without_lone_surrogates(value):
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _decode(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {first_line(error)}.") from error
    marks = (name for mark, name in BYTE_ORDER_MARKS.items() if content.startswith(mark))
    encoding = next(marks, "utf-8-sig")
    if encoding == "utf-8-sig" and b"\0" in content:
        raise UserError(_about_nul_bytes(path, content))
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(
            f"'{path}' is not {encoding.removesuffix('-sig').upper()} (byte "
            f"{content[error.start]:#04x} at position {error.start}, line "
            f"{content.count(10, 0, error.start) + 1}): save it again with the encoding UTF-8."
        ) from error
    if not text.strip():
        raise UserError(f"'{path}' is empty.")
    return text


def _about_nul_bytes(path: Path, content: bytes) -> str:
    even, odd = content[::2].count(0), content[1::2].count(0)
    if not min(even, odd) and max(even, odd) > len(content) / 6:
        return f"'{path}' is UTF-16 without a byte order mark: save it again as UTF-8."
    line = content.count(b"\n", 0, content.index(0)) + 1
    return f"'{path}' is a binary file, or damaged: there is a NUL byte in line {line}."


def _read_csv(path: Path) -> pd.DataFrame:
    """Read by the standard library's reader: pandas' own takes surplus fields for an index."""
    text = _decode(path)
    mark = re.match(r'"?sep=(.)"?[\r\n]+(?=.*\S)', text, re.IGNORECASE)  # Excel's first line
    body = text[mark.end() :] if mark else text
    header = re.search(r"[^\r\n]*\S[^\r\n]*", body).group()
    if mark:
        separator = mark[1]
    elif path.suffix.lower() == ".tsv":
        separator = "\t"
    else:
        separator = max(",;\t|", key=lambda s: len(next(csv.reader([header], delimiter=s))))
    limit = csv.field_size_limit(2**31 - 1)  # long documents
    try:
        rows, incomplete = _records(body, separator)
    except _BadRecord as error:
        line, reason = error.args
        line += text.count("\n", 0, len(text) - len(body))
        raise UserError(f"Line {line} of '{path}' {reason}.") from error
    finally:
        csv.field_size_limit(limit)
    if incomplete:
        warn(
            f"{incomplete} rows of '{path}' have fewer fields than there are columns; what is "
            "missing is read as empty."
        )
    return pd.DataFrame(rows[1:], columns=rows[0], dtype=object)


def _records(body: str, separator: str) -> tuple[list[list[str]], int]:
    """The records in the first dialect that fits them all, and how many are incomplete."""
    errors = []
    for dialect in DIALECTS:
        try:
            rows, incomplete, long = _parse(body, separator, **dialect)
            break
        except _BadRecord as error:
            errors.append(error)
    else:
        raise errors[0]
    if long and dialect != UNQUOTED and len(rows[0]) > 1:
        # Two stray quotes can hide the rows between them. If each line alone has every field,
        # a TSV is one without quoting; in a CSV nobody can know.
        try:
            rows, incomplete, _ = _parse(body, separator, **UNQUOTED)
        except _BadRecord:
            return rows, incomplete
        if separator != "\t":
            raise _BadRecord(
                long, "begins a quoted field of several lines, each of which looks like a row of "
                "its own: remove stray double quotes"
            )  # fmt: skip
    return rows, incomplete


def _parse(body: str, separator: str, **dialect) -> tuple[list[list[str]], int, int]:
    """Records as long as the header, how many were shorter, where the first long one begins."""
    rows, incomplete, long, line = [], 0, 0, 0
    lines = io.StringIO(body, newline="")
    reader = csv.reader(lines, delimiter=separator, strict=True, **dialect)
    try:
        for row in reader:
            start, line = line + 1, reader.line_num
            if not "".join(row[:2]).strip() and len(row) < 2:
                continue  # a blank line
            width = len(rows[0]) if rows else len(row)
            while len(row) > width and not row[-1].strip():
                row.pop()  # a delimiter at the end of the line
            missing = width - len(row)
            if missing < 0 or (missing and dialect):
                raise _BadRecord(
                    start, f"has {len(row)} fields under {width} column names: put a field that "
                    f"contains {separator!r} or a line break between double quotes"
                )  # fmt: skip
            incomplete += any(rows[0][-missing:]) if missing else 0
            long = long or (start if line > start else 0)
            rows.append(row + [""] * missing)
    except csv.Error as error:
        raise _BadRecord(
            line + 1, "begins a field whose double quotes do not match: double the quotes inside it"
        ) from error
    return rows, incomplete, long


READERS = {
    ".csv": _read_csv, ".tsv": _read_csv, ".jsonl": _read_json_lines, ".parquet": _read_parquet,
}  # fmt: skip
