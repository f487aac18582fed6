"""Text with labels, from wherever it comes, checked and split."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.data import columns, sources, splits, tagged
from workbench.errors import UserError, warn


def load(
    source: str | Path = "reviews",
    text_column: str = "",
    label_column: str = "",
    *,
    label_names: Mapping[str, str] | None = None,
    requires: Sequence[str] = (),
    seed: int = 0,
    tables: list[pd.DataFrame] | None = None,
):
    """Read labelled texts, or sentences with a tag a token, into a `datasets.DatasetDict`.

    Parameters
    ----------
    source : a bundled name (see `DATASETS`), a CSV, TSV, Excel, JSON-lines or Parquet file, a
        folder with train/dev/test files, a folder of such folders (each is a domain), or
        ``hub:NAME`` (``hub:NAME:CONFIG`` for a configuration). Tagged sentences are a CoNLL file
        (.conll, .bio, .iob2, .txt), or lists in the columns ``tokens`` and ``tags``.
    text_column, label_column : needed only where the usual names do not find them. In a file
        without a header the columns are called ``"column 1"``, ``"column 2"`` …; asked for by such
        a name, the first line is a row.
    label_names : new names of classes, such as ``{"0": "negative"}``; classes that get the same
        name become one.
    requires : columns the caller cannot do without, such as ``("domain",)`` or ``("tags",)``. A
        source that lacks one gives way, with a `DataWarning`, to a bundled one.
    seed : decides the splits where the source has none.
    tables : what `sources.read_tables` gives for the source, where it has been read before.

    Returns
    -------
    Splits ``train``, ``validation``, ``test`` and, where there is one, ``unlabeled``; columns
    ``id``, ``text``, ``label`` (a `ClassLabel`), and ``domain`` and ``language`` where known. No
    text stands in two of the labelled splits, and each class has at least two training rows.
    Tagged sentences have ``tokens`` and ``tags`` (BIO), lists of strings, instead of a label.

    Raises
    ------
    UserError : one sentence on what is wrong with the source.
    """
    name = f"'{source}'"
    if tables is None:
        tables = sources.read_tables(source, (text_column, label_column))
    path = Path(source).expanduser()
    if source not in sources.DATASETS and path.exists():
        source = path.resolve()
    origin = {"source": str(source), "text_column": text_column, "label_column": label_column}
    origin |= {"label_names": dict(label_names)} if label_names else {}
    origin |= {"seed": seed, "rows_read": sum(map(len, tables))}
    if tagged.holds(tables):
        if requires and "tags" not in requires:
            raise UserError(
                f"{name} holds sentences with a tag a token, and here each text needs a label: "
                "open it in notebook 07, or give labelled texts."
            )
        return _to_dataset(tagged.arrange(tables, name, seed), origin)
    if "tags" in requires:
        return _bundled_instead(["tags"], name, seed)
    table = columns.name_columns(tables, text_column, label_column, name)
    if missing := [column for column in requires if column not in table.columns]:
        return _bundled_instead(missing, name, seed)
    labelled, unlabeled = columns.usable_rows(table, name)
    if label_names:
        labelled["label"] = columns.rename_classes(labelled["label"], label_names, name)
    labelled = splits.arrange(labelled, name, seed)
    splits.note_overlap(labelled, unlabeled, name)
    return _to_dataset(pd.concat([labelled, unlabeled], ignore_index=True), origin)


def frames(dataset, limit: int | None = None, seed: int = 0) -> tuple[pd.DataFrame, ...]:
    """Train, validation and test as data frames with class names as labels.

    `limit` caps the rows of each split, as `sample` does.
    """
    parts = (frame(dataset[name]) for name in ("train", "validation", "test"))
    return tuple(sample(part, limit, seed) for part in parts)


def frame(split) -> pd.DataFrame:
    """One split of a `DatasetDict` as a data frame with class names as labels.

    Of what `load` has read, ``attrs`` holds its arguments (source, text_column, label_column,
    label_names where there are some, seed) and ``rows_read``, the rows that the source has.
    """
    table = split.to_pandas()
    if "label" in table:
        names = split.features["label"].names
        table["label"] = [names[label] if label >= 0 else None for label in table["label"]]
    for column in table.columns.intersection(tagged.LISTS):
        table[column] = table[column].map(list)
    with suppress(ValueError):  # a description that somebody else has written
        table.attrs.update(json.loads(split.info.description))
    return table


def sample(table: pd.DataFrame, limit: int | None, seed: int = 0) -> pd.DataFrame:
    """At most `limit` rows in a random order, stratified by label and, where known, by domain.

    Every class keeps two rows, or one where `limit` is less than twice the number of classes; a
    `DataWarning` says when it is less than their number. The ``attrs`` of a sample hold ``limit``
    and, as ``sample_seed``, the seed.
    """
    if limit is None or len(table) <= limit:
        return table
    shuffled = table.sample(frac=1, random_state=seed).reset_index(drop=True)
    keys = [key for key in ("label", "domain") if key in table and table[key].notna().any()]
    if not keys:
        return shuffled.head(limit)
    # Taking rows by their relative rank within the group keeps every share to within one row.
    groups = shuffled.groupby(keys, sort=False, dropna=False)
    rank = (groups.cumcount() + 0.5) / groups["text"].transform("size")
    order = rank.sort_values(kind="stable").index
    if "label" in keys:
        if limit < (classes := shuffled["label"].nunique()):
            warn(f"{limit} rows cannot hold all {classes} classes: {classes - limit} are left out.")
        in_class = shuffled.loc[order].groupby("label", sort=False, dropna=False).cumcount()
        order = in_class.clip(upper=2).sort_values(kind="stable").index
    drawn = shuffled.loc[np.sort(order[:limit])].reset_index(drop=True)
    drawn.attrs.update(limit=limit, sample_seed=seed)
    return drawn


def digest(table: pd.DataFrame) -> str:
    """A short SHA-256 of the columns id, text and label: equal for the same rows in any order."""
    lines = sorted(map(repr, table[["id", "text", "label"]].itertuples(index=False, name=None)))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def summary(counted: int | None = None, **splits: pd.DataFrame) -> pd.DataFrame:
    """Rows, classes, words a text and repeated texts of each split, one row a split.

    Of tagged sentences the entities of each type are counted in place of the texts of each class.
    Words are counted in a sample of at most `counted` texts of each.
    """
    from workbench.data import text

    rows = {}
    for name, table in splits.items():
        words = sample(table, counted)["text"].map(lambda t: len(text.tokenize(t)))
        rows[name] = {
            "rows": len(table),
            **{str(k): v for k, v in labels(table).value_counts().sort_index().items()},
            "words (median)": int(words.median()),
            "words (95%)": int(words.quantile(0.95)),
            "repeated texts": int(table["text"].duplicated().sum()),
        }
    return pd.DataFrame(rows).T.astype("Int64")


def labels(table: pd.DataFrame) -> pd.Series:
    """The class of each text, or the type of each entity in tagged sentences."""
    return table["label"] if "label" in table else tagged.entities(table["tags"])


def table() -> pd.DataFrame:
    """What is bundled, one row a name; the classes of tagged sentences are types of entities."""
    rows = []
    for name, (about, *_) in sources.DATASETS.items():
        corpus = sources.read(name)
        classes = labels(corpus).nunique()
        rows.append({"name": name, "texts": len(corpus), "classes": classes, "about": about})
    return pd.DataFrame(rows).set_index("name")


def _bundled_instead(missing: Sequence[str], name: str, seed: int):
    bundled = sources.TAGGED if "tags" in missing else "reviews"
    warn(
        f"This notebook needs a {' and a '.join(missing)} column, and {name} has none: "
        f"it goes on with the bundled {bundled}."
    )
    return load(bundled, seed=seed)


def _to_dataset(rows: pd.DataFrame, origin: dict):
    from datasets import ClassLabel, Dataset, DatasetDict, DatasetInfo, Features, List, Value

    used = [c for c in dict.fromkeys((*columns.COLUMNS, *tagged.COLUMNS)) if c in rows]
    kinds = dict.fromkeys(used, Value("string"))
    kinds |= {column: List(Value("string")) for column in tagged.LISTS if column in rows}
    for column in {*used} - {"label", *tagged.LISTS}:
        rows[column] = rows[column].map(str, na_action="ignore")
    if "label" in rows:
        names = sorted(rows["label"].dropna().unique(), key=_numbers_first)
        kinds["label"] = ClassLabel(names=names)
        codes = {name: code for code, name in enumerate(names)}
        rows["label"] = rows["label"].map(codes).fillna(-1).astype(int)
    # Kept by `map`, `filter` and `select` of `datasets`.
    info = DatasetInfo(json.dumps(origin), features=Features(kinds))
    return DatasetDict(
        {
            split: Dataset.from_pandas(part[used], info=info.copy(), preserve_index=False)
            for split in ("train", "validation", "test", "unlabeled")
            if len(part := rows[rows["split"] == split])
        }
    )


def _numbers_first(label: str) -> tuple:
    number = re.fullmatch(r"[+-]?\d+(\.\d+)?", label)
    return (0, float(label), label) if number else (1, 0.0, label)
