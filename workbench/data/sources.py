"""From a name, a file, a folder or a hub name to one table of strings, with a split where known."""

import re
from pathlib import Path

import pandas as pd

from workbench.errors import UserError, unknown

SPLITS = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation",
    "val": "validation", "dev": "validation", "test": "test", "unlabeled": "unlabeled",
    "unlabelled": "unlabeled",
}  # fmt: skip
READERS = (".csv", ".tsv", ".jsonl", ".parquet")
DATASETS = {
    "reviews": ("English reviews of books, films, electronics and kitchenware", ("en",)),
    "reviews-zh": ("the same reviews in Chinese", ("zh",)),
    "reviews-en-zh": ("both languages", ("en", "zh")),
}


def bundled(name: str) -> Path:
    """Where a folder or file that comes with the project lies, in a clone or in a wheel."""
    package = Path(__file__).parents[1]
    for place in (package.parent / name, package / "_bundled" / name):
        if place.exists():
            return place
    raise UserError(f"'{name}' is missing from this installation; install the project again.")


def read(source: str | Path) -> pd.DataFrame:
    """Every row of a source, with a ``split`` and a ``domain`` column where files name them.

    Raises
    ------
    UserError : one sentence on why it cannot be read.
    """
    text = str(source)
    if text in DATASETS:
        corpus = _read_file(bundled("data") / "reviews.csv")
        return corpus[corpus["language"].isin(DATASETS[text][1])].reset_index(drop=True)
    if text.startswith("hub:"):
        return _read_hub(text)
    path = Path(text).expanduser()
    if path.is_dir():
        return _read_folder(path)
    if path.is_file():
        return _read_file(path)
    if path.suffix or "/" in text:
        raise UserError(f"There is no file or folder '{source}'.")
    raise unknown("data set", text, [*DATASETS, "a file", "a folder", "hub:NAME"])


def _read_file(path: Path) -> pd.DataFrame:
    if path.suffix.lower() not in READERS:
        raise UserError(f"'{path}' cannot be read: give a file in {', '.join(READERS)}.")
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = _read_text_table(path)
    except UnicodeDecodeError as error:
        raise UserError(
            f"'{path}' is not UTF-8 (byte {error.object[error.start]:#04x} at position "
            f"{error.start}): save it again with the encoding UTF-8."
        ) from error
    except (ValueError, OSError) as error:
        raise UserError(
            f"'{path}' cannot be read as {path.suffix[1:]}: {_first_line(error)}."
        ) from error
    if table.empty:
        raise UserError(f"'{path}' has no rows.")
    return table


def _read_text_table(path: Path) -> pd.DataFrame:
    content = path.read_bytes()
    if not content.strip():
        raise UserError(f"'{path}' is empty.")
    if b"\0" in content:
        raise UserError(f"'{path}' is a binary file, not a table of text.")
    content.decode("utf-8")  # the error names the byte; pandas' own does not
    if path.suffix.lower() == ".jsonl":
        return pd.read_json(path, lines=True, dtype=False)
    header = content.decode("utf-8-sig").split("\n", 1)[0]
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=header.count)
    # Everything stays a string: a review "NA" is text, and a label "01" is not the number 1.
    return pd.read_csv(
        path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig"
    )  # fmt: skip


def _read_folder(folder: Path) -> pd.DataFrame:
    tables = _split_files(folder)
    for child in sorted(p for p in folder.iterdir() if p.is_dir()):
        tables += [table.assign(domain=child.name) for table in _split_files(child)]
    if tables:
        return pd.concat(tables, ignore_index=True)
    files = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in READERS]
    if len(files) == 1:
        return _read_file(files[0])
    raise UserError(
        f"The folder '{folder}' holds no data: it needs a train file and may have dev, test and "
        f"unlabeled files ({', '.join(READERS)}), or subfolders of these, one a domain."
    )


def _split_files(folder: Path) -> list[pd.DataFrame]:
    tables = []
    for path in sorted(folder.iterdir()):
        word = re.match(r"[a-z]*", path.stem.lower()).group()
        if path.suffix.lower() in READERS and word in SPLITS:
            tables.append(_read_file(path).assign(split=SPLITS[word]))
    return tables


def _read_hub(source: str) -> pd.DataFrame:
    import datasets

    from workbench.data import hub

    hub.offline()
    _, name, config = (source + ":").split(":")[:3]
    try:
        loaded = datasets.load_dataset(name, config or None)
    # The hub fails in many ways (no network, no such name, a script instead of data): each is
    # told in one sentence, with what is here.
    except Exception as error:
        raise UserError(
            f"The hub data set '{name}' could not be fetched ({_first_line(error)}); without a "
            f"network use a bundled one ({', '.join(DATASETS)}) or a file."
        ) from error
    tables = []
    for key, part in loaded.items():
        table = part.to_pandas()
        for column, feature in part.features.items():
            if isinstance(feature, datasets.ClassLabel):
                table[column] = [feature.names[v] if v >= 0 else None for v in table[column]]
        split = SPLITS.get(re.match(r"[a-z]*", key.lower()).group())
        if split:
            tables.append(table.assign(split=split))
    if not tables:
        raise UserError(
            f"The hub data set '{name}' has no train split; it has {', '.join(loaded)}."
        )
    return pd.concat(tables, ignore_index=True)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160].rstrip(".")
