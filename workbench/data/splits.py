"""Train, validation and test: as given, or cut at random, and never with a text in two of them."""

import re

import pandas as pd

from workbench.errors import UserError, warn

SPLITS = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation",
    "val": "validation", "dev": "validation", "development": "validation", "test": "test",
    "testing": "test", "unlabeled": "unlabeled", "unlabelled": "unlabeled",
    "unsupervised": "unlabeled",
}  # fmt: skip
# Columns of these names are read too, where `is_split`.
OTHER_SPLIT_COLUMNS = ("set", "subset", "partition", "fold")
MIN_ROWS = 5  # of a class: fewer cannot stand in every split
MIN_TRAINING_ROWS = 2  # of a class: cross-validation inside a model needs two
MAX_CLASSES = 200


def split_of_file(stem: str) -> str | None:
    """The split that the first word of a file's name means: ``train-00000`` is ``"train"``."""
    return SPLITS.get(re.match(r"[a-z]*", stem.strip().lower()).group())


def is_split(values: pd.Series) -> bool:
    """Whether each value is a word for a split, in any case and spacing."""
    return _words(values).isin(SPLITS).all()


def standard_split(table: pd.DataFrame, name: str) -> pd.Series:
    """The split of each row, ``""`` where the source has none.

    Raises
    ------
    UserError : a cell of the column is empty or holds an unknown word.
    """
    words = _words(table["split"]) if "split" in table else pd.Series("", table.index)
    unknown = words[~words.isin(SPLITS)]
    if words.any() and len(unknown):
        raise UserError(
            f"{len(unknown)} of {len(table)} rows of {name} have the split '{unknown.iloc[0]}', "
            f"which is none of {', '.join(SPLITS)}; if it means something else, rename the column."
        )
    return words.map(SPLITS).fillna("")


def _words(values: pd.Series) -> pd.Series:
    words = values.where(values.notna(), "").map(str)
    return words.map({word: word.strip().lower() for word in words.unique()})


def arrange(table: pd.DataFrame, name: str, seed: int, *, classes: bool = True) -> pd.DataFrame:
    """Labelled rows with every split, without repeats across splits and without rare classes.

    `classes` is whether the labels are classes that each split needs.
    """
    given, table = set(table["split"]), table.assign(key=_key(table["text"]))
    common = _without_rare_classes if classes else lambda table, _: table
    if not given & {"validation", "test"}:
        table = common(_without_repeats(table.assign(split="train"), name), name)
        table = _cut(_cut(table, 0.2, "test", seed), 0.125, "validation", seed)
    else:
        if "train" not in given:
            raise UserError(f"{name} has no train split: it has {' and '.join(sorted(given))}.")
        if "test" not in given:
            # Two files are a training set and a held-out one, whatever the second is called.
            table = table.assign(split=table["split"].replace("validation", "test"))
        table = common(_without_leaks(table, name), name)
        if "validation" not in set(table["split"]):
            table = _without_leaks(_cut(table, 0.1, "validation", seed), name)
    # What was cut or left out may have taken rows of a class: its rows are counted last.
    table = common(table, name)
    for split in ("train", "validation", "test"):
        if split not in set(table["split"]):
            raise UserError(f"{name} has too few different texts for a {split} split.")
    return table


def note_overlap(labelled: pd.DataFrame, unlabeled: pd.DataFrame, name: str) -> None:
    """Count the unlabelled texts that are test texts: adapting to them is transductive."""
    test_texts = labelled.loc[labelled["split"] == "test", "key"]
    if overlap := int(_key(unlabeled["text"]).isin(test_texts).sum()):
        warn(
            f"{overlap} of {len(unlabeled)} unlabeled texts of {name} stand in the test split too: "
            "a model that adapts to them has seen test texts, without their labels."
        )


def _without_rare_classes(table: pd.DataFrame, name: str) -> pd.DataFrame:
    counts = table["label"].value_counts()
    training = table.loc[table["split"] == "train", "label"].value_counts()
    training = training.reindex(counts.index, fill_value=0)
    rare = sorted(counts.index[(counts < MIN_ROWS) | (training < MIN_TRAINING_ROWS)])
    if len(counts) > MAX_CLASSES or ((counts < MIN_ROWS).all() and len(counts) > 1):
        raise UserError(
            f"The label column of {name} has {len(counts)} distinct values in {len(table)} rows: "
            "choose a column that holds classes, each with several rows."
        )
    if len(counts) - len(rare) < 2:
        found = ", ".join(f"{label} ({count})" for label, count in counts.items())
        raise UserError(
            f"{name} has fewer than two classes with at least {MIN_ROWS} rows each, "
            f"{MIN_TRAINING_ROWS} of them for training ({found}): a classifier needs two."
        )
    if rare:
        left_out = table["label"].isin(rare)
        warn(
            f"{len(rare)} of {len(counts)} classes of {name} have fewer than {MIN_ROWS} rows or "
            f"fewer than {MIN_TRAINING_ROWS} training rows and are left out with "
            f"{int(left_out.sum())} rows: {', '.join(rare[:5])}{' …' if len(rare) > 5 else ''}."
        )
        table = table[~left_out]
    return table


def _without_repeats(table: pd.DataFrame, name: str) -> pd.DataFrame:
    repeated = table["key"].duplicated()
    if repeated.any():
        warn(f"{int(repeated.sum())} repeated texts of {name} are left out: none is in two splits.")
    return table[~repeated]


def _without_leaks(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Keep the test set whole: what stands in it leaves training and validation."""
    leaked = pd.Series(False, table.index)
    for split, later in (("train", ("validation", "test")), ("validation", ("test",))):
        later_texts = table.loc[table["split"].isin(later), "key"]
        leaked |= (table["split"] == split) & table["key"].isin(later_texts)
    if leaked.any():
        warn(
            f"{int(leaked.sum())} training or validation texts of {name} stand in a later split "
            "too and are left out of training."
        )
    if "train" not in set(table["split"][~leaked]):
        raise UserError(f"Every training text of {name} stands in another split too.")
    return table[~leaked]


def _key(texts: pd.Series) -> pd.Series:
    # A copy that differs in case or spacing is a leak just the same. Upper case first: casefold
    # alone leaves two spellings of a few letters, such as the dotless i.
    keys = [" ".join(text.upper().casefold().split()) for text in texts]
    return pd.Series(keys, texts.index, dtype=object)


def _cut(table: pd.DataFrame, share: float, split: str, seed: int) -> pd.DataFrame:
    """Move `share` of the different training texts to `split`, stratified by label and domain."""
    train = table[table["split"] == "train"]
    keys = ["label", "domain"] if "domain" in table else ["label"]
    if train.groupby(keys, dropna=False).size().min() < MIN_ROWS:
        keys = ["label"]  # a group of two or three has nothing to give away
    shuffled = train.sample(frac=1, random_state=seed)
    groups = shuffled.drop_duplicates("key").groupby(keys, sort=False, dropna=False)
    size = groups["text"].transform("size")
    # Half to even, as `round` does.
    moved = groups.cumcount() < (size * share).round().clip(lower=1).where(size > 2, 0)
    return table.assign(split=table["split"].mask(table.index.isin(moved.index[moved]), split))
