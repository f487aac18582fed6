"""Which column is what, which rows can be used, and what their labels and ids are."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from workbench.data import splits
from workbench.errors import UserError, unknown, warn

TEXT_COLUMNS = (
    "text", "sentence", "review", "content", "comment", "body", "message", "document", "tweet",
    "question", "review_text", "reviewtext", "review_body", "评论", "文本", "内容",
)  # fmt: skip
LABEL_COLUMNS = (
    "label", "labels", "sentiment", "class", "category", "target", "polarity", "rating", "stars",
    "score", "coarse_label", "标签", "类别", "情感",
)  # fmt: skip
MISSING = ("", "nan", "<na>")  # as cells of a CSV
COLUMNS = ("id", "text", "label", "domain", "language")  # of what `load` returns


def name_columns(tables: Sequence[pd.DataFrame], text: str, label: str, name: str) -> pd.DataFrame:
    """All rows under a new index, with those of `COLUMNS` and ``split`` that there are.

    Parameters
    ----------
    tables : one a file; each may spell its columns in its own way.
    text, label : the columns asked for; empty: found by their usual names.
    name : the source, for messages.
    """
    table = pd.concat([_select(part, text, label, name) for part in tables], ignore_index=True)
    columns = list(dict.fromkeys(c for part in tables for c in part.columns if c != "split"))
    numbered = next((part.attrs["numbered"] for part in tables if "numbered" in part.attrs), ())
    if numbered:
        _note_first_line(numbered, {text, label} & set(columns), name)
    for role, given in (("text", text), ("label", label)):
        if role not in table and given:
            raise unknown(f"{role} column in {name} called", given, columns)
        if role not in table:
            raise UserError(
                f"No {role} column found in {name}, which has the columns {', '.join(columns)}: "
                f"name one with -p {role.upper()}_COLUMN NAME."
            )
    return table


def _note_first_line(numbered: tuple[str, str], taken: set[str], name: str) -> None:
    """Say that the first line looks like a row: as an error, unless columns were named by it."""
    text, label = numbered
    looks = f"The first line of {name} looks like a row and not like names of columns"
    if not taken:
        raise UserError(
            f'{looks}: name them with -p TEXT_COLUMN "{text}" -p LABEL_COLUMN "{label}".'
        )
    warn(f"{looks}, and is lost: call the columns '{text}' and '{label}' to read it as a row.")


def _select(table: pd.DataFrame, text: str, label: str, name: str) -> pd.DataFrame:
    columns = list(table.columns)
    text = text or _find(columns, TEXT_COLUMNS, name)
    label = label or _find(columns, LABEL_COLUMNS, name)
    if text and text == label:
        raise UserError(f"In {name} the column '{text}' cannot be both text and label.")
    others = [column for column in columns if column not in (text, label)]
    roles = {role: _find(others, (role,), name) for role in ("id", "domain", "language", "split")}
    for column in others:
        if column.lower() in splits.OTHER_SPLIT_COLUMNS and splits.is_split(table[column]):
            roles["split"] = roles["split"] or column
    roles = {role: c for role, c in {"text": text, "label": label, **roles}.items() if c in columns}
    return table[list(roles.values())].set_axis(list(roles), axis=1)


def _find(columns: Sequence[str], usual: Sequence[str], name: str) -> str:
    """The first usual name that is there, rather in its own spelling than in capitals."""
    for wanted in usual:
        found = [column for column in columns if column.lower() == wanted]
        if len(found) > 1 and wanted not in found:
            raise UserError(f"{name} has the columns {' and '.join(found)}: rename all but one.")
        if found:
            return wanted if wanted in found else found[0]
    return ""


def usable_rows(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Labelled and unlabelled rows, without those that have no text or no label."""
    is_text = np.array([isinstance(text, str) and bool(text.strip()) for text in table["text"]])
    texts = table.loc[is_text, "text"]
    if pd.to_numeric(texts, errors="coerce").notna().all():
        raise UserError(f"The text column of {name} holds no text: choose another column.")
    if dropped := int((~is_text).sum()):
        warn(f"{dropped} of {len(table)} rows of {name} have no text and are left out.")
    table = table[is_text]
    split = splits.standard_split(table, name)
    labels = _class_names(table["label"], split, name).reindex(table.index)
    table = table.assign(id=row_ids(table), label=labels, split=split)
    for_adaptation = split == "unlabeled"
    labelled = labels.notna() & ~for_adaptation
    if not labelled.any():
        raise UserError(f"The label column of {name} is empty.")
    if dropped := int((~labelled & ~for_adaptation).sum()):
        warn(f"{dropped} of {len(table)} rows of {name} have no label and are left out.")
    return table[labelled], table[for_adaptation].assign(label=None)


def plain_names(values: pd.Series) -> pd.Series:
    """The values that are not missing, as strings without spaces around them.

    ``1.0`` becomes ``"1"``: integers beside missing values are often stored as floats.
    """
    values = values.astype(object).dropna().map(str)
    names = {value: re.sub(r"^([+-]?\d+)\.0+$", r"\1", value.strip()) for value in values.unique()}
    return values.map(
        {v: name for v, name in names.items() if name.lower() not in MISSING}
    ).dropna()


def row_ids(table: pd.DataFrame) -> list[str]:
    """Each row gets an id of its own, because predictions are compared by it.

    The two languages of a review become "books-001" and "books-001-2".
    """
    ids = plain_names(table["id"]) if "id" in table else pd.Series(dtype=object)
    ids = ids.reindex(table.index).fillna(pd.Series(range(len(table)), table.index).map(str))
    ids, taken, copies = list(ids), set(ids), {}
    for row in np.flatnonzero(pd.Series(ids).duplicated()):
        first = ids[row]
        while ids[row] in taken:
            copies[first] = copies.get(first, 1) + 1
            ids[row] = f"{first}-{copies[first]}"
        taken.add(ids[row])
    return ids


def _class_names(labels: pd.Series, split: pd.Series, name: str) -> pd.Series:
    """Class names of the rows that have one."""
    names = plain_names(labels)
    several = labels.map(lambda label: isinstance(label, (list, tuple, set, dict, np.ndarray)))
    if several.any() or (len(names) and names.str.fullmatch(r"\[.*\]").all()):
        raise UserError(
            f"The label column of {name} holds lists: a text needs one label, so keep the first of "
            "each list, or make a column for each label and choose one of them."
        )
    others = set(names) - {"-1"}
    if "-1" not in set(names) or others != {str(n) for n in range(len(others))} or len(others) < 2:
        return names
    # `datasets` marks a missing label by -1 where classes are numbered from 0.
    in_training = split.reindex(names.index)[names == "-1"].isin(("train", "")).any()
    if in_training and len(others) == 2:
        warn(
            f"The label -1 of {name} is read as a class beside 0 and 1, such as negative, neutral "
            "and positive: leave the cells empty if it means that there is no label."
        )
        return names
    return names[names != "-1"]


def rename_classes(labels: pd.Series, names: Mapping[str, str], source: str) -> pd.Series:
    """The labels with new names, as in `load`."""
    names, found = {str(old): str(new).strip() for old, new in names.items()}, set(labels)
    if missing := [old for old in names if old not in found]:
        raise unknown(f"class in {source} called", missing[0], sorted(found))
    return labels.map(lambda label: names.get(label) or label)
