"""The rows that training reports: a list of dicts that every view reads."""

import json
import math
from collections.abc import Iterable
from pathlib import Path


class History(list):
    """One dict a report, such as ``{"step": 20, "epoch": 1.0, "loss": 0.61}``.

    A row of an evaluation has keys that start with ``validation_``. Training appends rows and
    knows nothing of who reads them.
    """

    def report(self, **row: float) -> None:
        """Append one row; values are turned into plain Python numbers."""
        self.append({key: _plain(value) for key, value in row.items()})

    def column(self, name: str) -> tuple[list[float], list[float]]:
        """Steps and values of the rows that hold `name`, in the order of reporting."""
        rows = [row for row in self if name in row]
        return [row["step"] for row in rows], [row[name] for row in rows]

    def frame(self):
        """Every row in a `pandas.DataFrame`."""
        import pandas as pd

        return pd.DataFrame(list(self))

    def save(self, path: str | Path) -> None:
        """Write one JSON object a line."""
        lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in self)
        Path(path).write_text("".join(line + "\n" for line in lines), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "History":
        """Read what `save` wrote; a last line cut short by a kill is left out."""
        return cls(_rows(Path(path).read_text(encoding="utf-8").splitlines()))


def _rows(lines: Iterable[str]):
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return


def _plain(value):
    value = value.item() if hasattr(value, "item") else value
    # JSON has no word for NaN; a null keeps the file readable and the gap in the curve visible.
    return None if isinstance(value, float) and not math.isfinite(value) else value
