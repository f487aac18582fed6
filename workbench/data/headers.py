"""Whether the first record of a file names its columns or is a row; which column holds what."""

from collections.abc import Collection, Sequence

import pandas as pd

from workbench.data.columns import COLUMNS, LABEL_COLUMNS, TEXT_COLUMNS

USUAL = {*TEXT_COLUMNS, *LABEL_COLUMNS, *COLUMNS, "split"}
EXAMINED = 5000  # rows


def to_table(records: Sequence[Sequence[str]], asked: Collection[str] = ()) -> pd.DataFrame:
    """A data frame of records, named by the first one or by numbers.

    The columns are called ``"column 1"``, ``"column 2"`` … and the first record is a row where
    such a name is asked for that the first record does not have. Where the first record gives the
    names but looks like a row, ``attrs["numbered"]`` holds the columns that seem to be the text
    and the label, such as ``("column 2", "column 1")``. Columns without a name are left out.

    Parameters
    ----------
    records : as long as the first one.
    asked : names of columns that the caller wants.
    """
    names = [name.strip() for name in records[0]]
    numbers = [f"column {n}" for n in range(1, len(names) + 1)]
    table = pd.DataFrame(records, columns=numbers, dtype=object)
    if set(asked) & set(numbers) - set(names):
        return table.loc[:, table.ne("").any()]
    numbered = () if USUAL & {name.lower() for name in names} else _columns_of_a_row(table)
    table = table[1:].reset_index(drop=True).set_axis(names, axis=1).loc[:, list(map(bool, names))]
    if numbered:
        table.attrs["numbered"] = numbered
    return table


def text_and_label(table: pd.DataFrame) -> tuple[str, str]:
    """By their content, the columns of the longest texts and of the fewest classes; else ``""``."""
    cells = table.iloc[:: len(table) // EXAMINED + 1].astype(str)
    text = cells.apply(lambda column: column.str.len().mean()).idxmax()
    classes = cells.drop(columns=text).nunique()
    classes = classes[(classes > 1) & (classes <= len(cells) / 2)]
    return text, "" if classes.empty else classes.idxmin()


def _columns_of_a_row(table: pd.DataFrame) -> tuple[str, str] | tuple[()]:
    """The text and the label column, if the first record holds a label and a text of its own.

    Its label is one of another row too. Its text is no shorter than nearly all others, as a name
    would be, and no other row has it, as where files with the same header were put together.
    """
    text, label = text_and_label(table)
    if not label:
        return ()
    first, others = table.iloc[0], table.iloc[1:]
    a_label = others[label].str.strip().eq(first[label].strip()).any()
    a_text = len(first[text]) >= others[text].str.len().quantile(0.05)
    return (text, label) if a_label and a_text and not others[text].eq(first[text]).any() else ()
