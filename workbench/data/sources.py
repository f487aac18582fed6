"""From a name, a file, a folder or a hub name to tables, with split and domain where known."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from workbench.data.files import SUFFIXES, from_arrow, read_file
from workbench.data.splits import split_of_file
from workbench.errors import UserError, first_line, unknown, warn

DATASETS = {
    "reviews": (
        "English reviews of books, films, electronics and kitchenware", "reviews.csv", ["en"]
    ),
    "reviews-zh": ("the same reviews in Chinese", "reviews.csv", ["zh"]),
    "reviews-en-zh": ("both languages", "reviews.csv", ["en", "zh"]),
    "entities": (
        "English and Chinese sentences with persons, places, organisations and products",
        "entities.jsonl", ["en", "zh"],
    ),
}  # fmt: skip
TAGGED = "entities"  # the one whose sentences have a tag a token


def bundled(name: str) -> Path:
    """Where a folder or file that comes with the project lies, in a clone or in a wheel."""
    package = Path(__file__).parents[1]
    for place in (package.parent / name, package / "_bundled" / name):
        if place.exists():
            return place
    raise UserError(f"'{name}' is missing from this installation; install the project again.")


def read(source: str | Path, asked: Collection[str] = ()) -> pd.DataFrame:
    """Every row of a source, with the columns that its files have."""
    return pd.concat(read_tables(source, asked), ignore_index=True)


def read_tables(source: str | Path, asked: Collection[str] = ()) -> list[pd.DataFrame]:
    """The tables of a source, one a file or hub split, with ``split`` and ``domain`` where the
    names of files and folders give them; `asked` is as in `headers.to_table`.

    Raises
    ------
    UserError : one sentence on why it cannot be read.
    """
    text = str(source)
    if text in DATASETS:
        _, file, languages = DATASETS[text]
        corpus = read_file(bundled("data") / file)
        return [corpus[corpus["language"].isin(languages)]]
    if text.startswith("hub:"):
        return _read_hub(text)
    path = Path(text).expanduser()
    if path.is_dir():
        return _read_folder(path, asked)
    if path.is_file():
        return [read_file(path, asked)]
    if path.suffix or "/" in text:
        raise UserError(f"There is no file or folder '{source}'.")
    raise unknown("data set", text, [*DATASETS, "a file", "a folder", "hub:NAME"])


def _read_folder(folder: Path, asked: Collection[str]) -> list[pd.DataFrame]:
    tables = _read_split_files(folder, asked)
    for child in sorted(p for p in folder.iterdir() if p.is_dir()):
        found = _read_split_files(child, asked)
        tables += [_with(table, "domain", child.name) for table in found]
    if tables:
        return tables
    files = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES]
    if len(files) == 1:
        return [read_file(files[0], asked)]
    raise UserError(
        f"The folder '{folder}' holds no data: it needs a train file and may have dev, test and "
        f"unlabeled files ({', '.join(SUFFIXES)}), or subfolders of these, one a domain."
    )


def _read_split_files(folder: Path, asked: Collection[str]) -> list[pd.DataFrame]:
    entries = sorted(folder.iterdir())
    # Where there are others, a .txt is hardly ever data.
    files = [p for p in entries if p.suffix.lower() in SUFFIXES]
    files = files or [p for p in entries if p.suffix.lower() == ".txt"]
    splits = {path: split for path in files if (split := split_of_file(path.stem))}
    if splits and (others := [path.name for path in files if path not in splits]):
        warn(f"'{folder}' has files named after no split, which are not read: {', '.join(others)}.")
    return [_with(read_file(path, asked), "split", split) for path, split in splits.items()]


def _with(table: pd.DataFrame, name: str, value: str) -> pd.DataFrame:
    """What the name of a file or folder says goes before a column of the file, however spelt."""
    same = [column for column in table.columns if column.lower() == name]
    return table.drop(columns=same).assign(**{name: value})


def _read_hub(source: str) -> list[pd.DataFrame]:
    import datasets

    from workbench.data import hub

    hub.go_offline_if_unreachable()
    _, name, config = (source + ":").split(":")[:3]
    try:
        loaded = datasets.load_dataset(name, config or None)
    # The hub fails in many ways (no network, no such name, a script instead of data): each
    # becomes one sentence, with what can be loaded without it.
    except Exception as error:
        raise UserError(
            f"The hub data set '{name}' could not be fetched ({first_line(error)}); without a "
            f"network use a bundled one ({', '.join(DATASETS)}) or a file."
        ) from error
    tables = []
    for key, part in loaded.items():
        if not (split := split_of_file(key)) and len(loaded) > 1:
            continue
        table = from_arrow(part.with_format("arrow")[:])
        for column, feature in part.features.items():
            if isinstance(feature, datasets.ClassLabel):  # -1 and missing become NaN
                table[column] = table[column].map(dict(enumerate(feature.names)))
        tables.append(_with(table, "split", split) if split else table)
    if not tables:
        raise UserError(
            f"The hub data set '{name}' has no train split; it has {', '.join(loaded)}."
        )
    return tables
