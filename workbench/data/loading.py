"""Text with labels, from wherever it comes, checked and split: the only door into the workbench."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from workbench.data import sources
from workbench.data.sources import DATASETS, bundled
from workbench.errors import UserError, unknown

TEXT_COLUMNS = (
    "text", "sentence", "review", "content", "comment", "body", "message", "document", "tweet",
    "question", "review_text", "reviewtext", "review_body", "评论", "文本", "内容",
)  # fmt: skip
LABEL_COLUMNS = (
    "label", "labels", "sentiment", "class", "category", "target", "polarity", "rating", "stars",
    "score", "coarse_label", "标签", "类别", "情感",
)  # fmt: skip
KEPT = ("id", "text", "label", "domain", "language")
FEWEST = 5  # rows of a class: fewer cannot stand in every split
MOST_CLASSES = 200


class DataWarning(UserWarning):
    """What `load` mended or left out, in one sentence."""


def load(
    source: str | Path = "reviews",
    text_column: str = "",
    label_column: str = "",
    *,
    requires: Sequence[str] = (),
    seed: int = 0,
):
    """Read a labelled corpus into a `datasets.DatasetDict`.

    Parameters
    ----------
    source : a bundled name (see `DATASETS`), a CSV, TSV, JSON-lines or Parquet file, a folder with
        train/dev/test files, a folder of such folders (each is a domain), or ``hub:NAME``
        (``hub:NAME:CONFIG`` for a configuration).
    text_column, label_column : needed only where the usual names do not find them.
    requires : columns the caller cannot do without, such as ``("domain",)``. A source that lacks
        one gives way, with a `DataWarning`, to the bundled reviews.
    seed : decides the splits where the source has none.

    Returns
    -------
    Splits ``train``, ``validation``, ``test`` and, where there is one, ``unlabeled``; columns
    ``id``, ``text``, ``label`` (a `ClassLabel`), and ``domain`` and ``language`` where known. No
    text stands in two of the labelled splits.

    Raises
    ------
    UserError : one sentence on what is wrong with the source.
    """
    table, name = sources.read(source), f"'{source}'"
    table = _name_columns(table, text_column, label_column, name)
    missing = [column for column in requires if column not in table.columns]
    if missing:
        _warn(
            f"This notebook needs a {' and a '.join(missing)} column, and {name} has none: "
            "it goes on with the bundled reviews."
        )
        return load("reviews", seed=seed)
    labelled, unlabeled = _clean_rows(table, name)
    labelled = _drop_rare_classes(labelled, name)
    labelled = _split(labelled, name, seed)
    return _dataset(labelled, unlabeled)


def frames(dataset, limit: int | None = None, seed: int = 0) -> tuple[pd.DataFrame, ...]:
    """Train, validation and test as data frames with class names as labels.

    `limit` caps the rows of each split; the sample is stratified by label (and by domain, where
    there are domains) and the same for the same seed.
    """
    parts = (frame(dataset[name]) for name in ("train", "validation", "test"))
    return tuple(sample(part, limit, seed) for part in parts)


def frame(split) -> pd.DataFrame:
    """One split of a `DatasetDict` as a data frame with class names as labels."""
    table = split.to_pandas()
    names = split.features["label"].names
    table["label"] = [names[label] if label >= 0 else None for label in table["label"]]
    return table


def sample(table: pd.DataFrame, limit: int | None, seed: int = 0) -> pd.DataFrame:
    """At most `limit` rows, each label (and domain) in its share, in a shuffled order."""
    if limit is None or len(table) <= limit:
        return table
    shuffled = table.sample(frac=1, random_state=seed)
    keys = [key for key in ("label", "domain") if key in table and table[key].notna().any()]
    if not keys:
        return shuffled.head(limit).reset_index(drop=True)
    # Taking rows by their relative rank within the group keeps every share to within one row.
    groups = shuffled.groupby(keys, sort=False)
    rank = (groups.cumcount() + 0.5) / groups["text"].transform("size")
    chosen = rank.sort_values(kind="stable").index[:limit]
    return shuffled.loc[shuffled.index.isin(chosen)].reset_index(drop=True)


def summary(**splits: pd.DataFrame) -> pd.DataFrame:
    """Rows, classes, words a text and repeated texts of each split, one row a split."""
    from workbench.data import text

    rows = {}
    for name, table in splits.items():
        words = table["text"].map(lambda t: len(text.tokenize(t)))
        rows[name] = {
            "rows": len(table),
            **{str(k): v for k, v in table["label"].value_counts().sort_index().items()},
            "words (median)": int(words.median()),
            "words (95%)": int(words.quantile(0.95)),
            "repeated texts": int(table["text"].duplicated().sum()),
        }
    return pd.DataFrame(rows).T.astype("Int64")


def table() -> pd.DataFrame:
    """What is bundled, one row a name."""
    corpus = pd.read_csv(bundled("data") / "reviews.csv", dtype=str)
    rows = []
    for name, (about, languages) in DATASETS.items():
        part = corpus[corpus["language"].isin(languages)]
        rows.append(
            {"name": name, "texts": len(part), "classes": part["label"].nunique(), "about": about}
        )
    return pd.DataFrame(rows).set_index("name")


# --- checking --------------------------------------------------------------------------------


def _name_columns(table: pd.DataFrame, text: str, label: str, name: str) -> pd.DataFrame:
    table = table.rename(columns=lambda c: str(c).strip())
    chosen = {
        _find(table, text, TEXT_COLUMNS, "text", name): "text",
        _find(table, label, LABEL_COLUMNS, "label", name): "label",
    }
    if len(chosen) == 1:
        raise UserError(f"In {name} the column '{text or label}' cannot be both text and label.")
    others = [c for c in table.columns if c not in chosen and c in ("text", "label")]
    table = table.drop(columns=others).rename(columns=chosen)
    known = {c: c.lower() for c in table.columns if c.lower() in (*KEPT, "split")}
    return table.rename(columns=known)[list(dict.fromkeys(known.values()))]


def _find(table: pd.DataFrame, given: str, usual: Sequence[str], role: str, name: str) -> str:
    columns = [str(c) for c in table.columns if c != "split"]
    if given:
        if given not in columns:
            raise unknown(f"{role} column in {name} called", given, columns)
        return given
    lowered = {column.lower(): column for column in columns}
    for candidate in usual:
        if candidate in lowered:
            return lowered[candidate]
    raise UserError(
        f"No {role} column found in {name}, which has the columns {', '.join(columns)}: "
        f"name one with -p {role.upper()}_COLUMN NAME."
    )


def _clean_rows(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Labelled and unlabelled rows, without those that cannot be used."""
    is_text = table["text"].map(lambda t: isinstance(t, str) and bool(t.strip()))
    numbers = is_text & table["text"].map(lambda t: isinstance(t, str) and _is_number(t))
    if not is_text.any() or numbers.sum() == is_text.sum():
        raise UserError(f"The text column of {name} holds no text: choose another column.")
    if dropped := int((~is_text).sum()):
        _warn(f"{dropped} of {len(table)} rows of {name} have no text and are left out.")
    table = table[is_text].copy()
    table["label"] = table["label"].map(_label_name)
    if "id" not in table:
        table["id"] = [str(n) for n in range(len(table))]
    # Predictions are compared by id, so each row has one of its own: the two languages of a review
    # become "books-001" and "books-001-2".
    again = table.groupby(table["id"].astype(str)).cumcount()
    table["id"] = table["id"].astype(str) + again.map(lambda n: f"-{n + 1}" if n else "")
    split = table["split"] if "split" in table else pd.Series("", index=table.index)
    for_adapting, missing = split == "unlabeled", table["label"].isna()
    if dropped := int((missing & ~for_adapting).sum()):
        if dropped == int((~for_adapting).sum()):
            raise UserError(f"The label column of {name} is empty.")
        _warn(f"{dropped} of {len(table)} rows of {name} have no label and are left out.")
    return table[~missing & ~for_adapting], table[for_adapting].assign(label=None)


def _drop_rare_classes(table: pd.DataFrame, name: str) -> pd.DataFrame:
    counts = table["label"].value_counts()
    rare = sorted(counts.index[counts < FEWEST])
    if len(counts) > MOST_CLASSES or len(rare) == len(counts) > 1:
        raise UserError(
            f"The label column of {name} has {len(counts)} distinct values in {len(table)} rows: "
            "choose a column that holds classes, each with several rows."
        )
    kept = table[~table["label"].isin(rare)]
    if kept["label"].nunique() < 2:
        found = ", ".join(f"{label} ({count})" for label, count in counts.items())
        raise UserError(
            f"{name[:1].upper() + name[1:]} has fewer than two classes with at least {FEWEST} "
            f"rows each ({found}): a classifier needs two."
        )
    if rare:
        _warn(
            f"{len(rare)} of {len(counts)} classes of {name} have fewer than {FEWEST} rows and "
            f"are left out: {', '.join(rare[:5])}{' …' if len(rare) > 5 else ''}."
        )
    return kept


def _label_name(value) -> str | None:
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of integers with a gap is read as floats
    return str(value).strip() or None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# --- splitting -------------------------------------------------------------------------------


def _split(table: pd.DataFrame, name: str, seed: int) -> pd.DataFrame:
    if "split" not in table or not table["split"].isin(("train", "validation", "test")).all():
        table = _without_repeats(table, name)
        table = table.assign(split="train")
        table = _move(table, 0.2, "test", seed)
        return _move(table, 0.125, "validation", seed)
    present = set(table["split"])
    if "train" not in present:
        raise UserError(f"{name[:1].upper() + name[1:]} has no train split.")
    if "test" not in present and "validation" in present:
        # Two files are a training set and a held-out one, whatever the second is called.
        table = table.assign(split=table["split"].replace("validation", "test"))
        present = {"train", "test"}
    table = _without_leaks(table, name)
    if "test" not in present:
        table = _move(table, 0.2, "test", seed)
    if "validation" not in present:
        table = _move(table, 0.1, "validation", seed)
    return table


def _without_repeats(table: pd.DataFrame, name: str) -> pd.DataFrame:
    repeated = _key(table).duplicated()
    if repeated.any():
        _warn(
            f"{int(repeated.sum())} repeated texts of {name} are left out: none is in two splits."
        )
    return table[~repeated]


def _without_leaks(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Keep the test set whole: what stands in it leaves training and validation."""
    key, leaked = _key(table), pd.Series(False, index=table.index)
    for split, later in (("train", ("validation", "test")), ("validation", ("test",))):
        leaked |= (table["split"] == split) & key.isin(key[table["split"].isin(later)])
    if leaked.any():
        _warn(
            f"{int(leaked.sum())} training or validation texts of {name} stand in a later split "
            "too and are left out of training."
        )
    return table[~leaked]


def _key(table: pd.DataFrame) -> pd.Series:
    # A copy that differs in case or spacing is a leak just the same.
    return table["text"].map(lambda t: " ".join(t.lower().split()))


def _move(table: pd.DataFrame, share: float, split: str, seed: int) -> pd.DataFrame:
    """Move `share` of the training rows to `split`, stratified by label and domain."""
    train = table[table["split"] == "train"]
    keys = ["label", "domain"] if "domain" in table else ["label"]
    if train.groupby(keys).size().min() < FEWEST:
        keys = ["label"]  # a group of two or three has nothing to give away
    groups = train.sample(frac=1, random_state=seed).groupby(keys, sort=False)
    chosen = groups.head(0)
    parts = [group.head(max(1, round(len(group) * share))) for _, group in groups if len(group) > 2]
    chosen = pd.concat([chosen, *parts])
    moved = table.index.isin(chosen.index)
    return table.assign(split=table["split"].where(~moved, split))


def _dataset(labelled: pd.DataFrame, unlabeled: pd.DataFrame):
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

    columns = [column for column in KEPT if column in labelled]
    names = sorted(labelled["label"].unique(), key=_numeric_first)
    features = Features(
        {c: ClassLabel(names=names) if c == "label" else Value("string") for c in columns}
    )
    codes = {name: code for code, name in enumerate(names)}
    both = pd.concat([labelled, unlabeled], ignore_index=True)
    both["label"] = [codes.get(label, -1) for label in both["label"]]
    both["split"] = both["split"].fillna("train")
    for column in columns:
        if column != "label":
            both[column] = both[column].map(str, na_action="ignore")
    return DatasetDict(
        {
            split: Dataset.from_pandas(part[columns], features=features, preserve_index=False)
            for split in ("train", "validation", "test", "unlabeled")
            if len(part := both[both["split"] == split])
        }
    )


def _numeric_first(label: str) -> tuple:
    return (0, float(label), label) if _is_number(label) else (1, 0.0, label)


def _warn(message: str) -> None:
    warnings.warn(message[:1].upper() + message[1:], DataWarning, stacklevel=3)
