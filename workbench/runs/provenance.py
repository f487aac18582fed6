"""What a model was trained on."""

import hashlib

import pandas as pd

from workbench.data.columns import plain_names
from workbench.data.loading import digest

ORIGIN = (
    "source", "text_column", "label_column", "label_names", "seed", "limit", "sample_seed",
)  # fmt: skip


def describe_data(
    train: pd.DataFrame, validation: pd.DataFrame | None = None, test: pd.DataFrame | None = None
) -> dict:
    """What is needed to find the same rows again, and a digest that tells whether they are.

    Parameters
    ----------
    train, validation, test : frames with the columns text and label, as of `data.frames`.

    Returns
    -------
    dict : ``source``, the other arguments of `data.load` and `data.frames` where they are known,
        ``rows`` of each split, and ``digest`` of all of them. The source of a frame that was not
        loaded by `data.load` is ``"unknown"``.
    """
    splits = {"train": train, "validation": validation, "test": test}
    splits = {name: table for name, table in splits.items() if table is not None}
    origin = {key: train.attrs[key] for key in ORIGIN if key in train.attrs}
    digests = [f"{name} {digest(_named(table))}" for name, table in splits.items()]
    return {"source": "unknown"} | origin | {
        "rows": {name: len(table) for name, table in splits.items()},
        "digest": hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16],
    }  # fmt: skip


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """Id, text and label as strings; a row without an id has its number."""
    table = table.reset_index(drop=True)
    numbers = pd.Series(range(len(table))).map(str)
    ids = plain_names(table["id"]).reindex(table.index) if "id" in table else numbers
    label = plain_names(table["label"]).reindex(table.index)
    return pd.DataFrame({
        "id": ids.fillna(numbers), "text": table["text"].astype(str), "label": label.fillna(""),
    })  # fmt: skip
