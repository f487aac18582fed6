"""Pairs of texts from two columns: a text and its summary, a sentence and its translation."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.data import columns, sources, splits, text
from workbench.errors import UserError, unknown, warn


def load_pairs(
    source: str | Path, first: str = "text", second: str = "summary", *, seed: int = 0
) -> tuple[pd.DataFrame, ...]:
    """Train, validation and test as data frames of ``id``, `first`, `second` and ``domain``,
    ``language`` where known; `source` and `seed` are as in `load`.

    Raises
    ------
    UserError : a column is missing or empty, or the second is the longer one and called "summary".
    """
    name, table = f"'{source}'", sources.read(source)
    for column in (first, second):
        if column not in table:
            raise unknown(f"column in {name} called", column, table.columns)
        table[column] = table[column].map(lambda cell: cell if str(cell).strip() else None)
        if not table[column].notna().any():
            raise UserError(f"The column '{column}' of {name} is empty.")
    kept = table.dropna(subset=[first, second]).astype({first: str, second: str})
    if dropped := len(table) - len(kept):
        warn(f"{dropped} of {len(table)} pairs of {name} have an empty side and are left out.")
    longer = (kept[second].str.len() > kept[first].str.len()).mean()
    if second == "summary" and longer > 0.5:
        raise UserError(
            f"In {longer:.0%} of the rows of {name} '{second}' is longer than '{first}': if the "
            "columns are swapped, rename them."
        )
    if (swapped := _swapped(kept[first], kept[second])).any():
        warn(
            f"{swapped.sum()} of {len(kept)} pairs of {name} have the sides swapped, such as "
            f"'{kept[first][swapped].iloc[0][:40]}' in '{first}', and are left out."
        )
    kept = kept[~swapped]
    kept = kept.assign(id=columns.row_ids(kept), split=splits.standard_split(kept, name))
    keys = pd.DataFrame({"text": kept[first], "label": "", "split": kept["split"]})
    split = splits.arrange(keys, name, seed, classes=False)["split"]
    names = [n for n in ("id", first, second, "domain", "language") if n in kept]
    return tuple(kept.loc[split.index[split == part], names].reset_index(drop=True)
                 for part in ("train", "validation", "test"))  # fmt: skip


def _swapped(first: pd.Series, second: pd.Series) -> np.ndarray:
    """Which pairs are in each other's language, by the words of all other pairs.

    Where both columns are in one language, no word tells them apart, and none is found.
    """
    words = [column.map(text.tokenize) for column in (first, second)]
    counts = [Counter(word for row in column for word in row) for column in words]

    def leaning(row: list[str], side: int) -> float:
        """The logarithm of how much likelier the words are in the other column, by naive Bayes."""
        return sum(np.log((counts[1 - side][w] + 1) / (counts[side][w] - n + 1))
                   for w, n in Counter(row).items())  # fmt: skip

    leanings = [[leaning(row, side) for row in column] for side, column in enumerate(words)]
    return (np.array(leanings) > np.log(20)).all(axis=0)
