"""The rows that training reports: a list of dicts that every view reads."""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

EARLY = 0.2  # of the steps: before that, and before one epoch, a curve says nothing
_listener: ContextVar[Callable[[dict], None] | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Callable[[dict], None]) -> Iterator[None]:
    """`listener` gets every row that any `History` logs inside, in this thread."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def notify(**row: float) -> None:
    """Hand a row to the listener, if there is one, without keeping it."""
    if listener := _listener.get():
        listener({key: _plain(value) for key, value in row.items()})


class History(list):
    """One dict a report, such as ``{"step": 20, "epoch": 1.0, "loss": 0.61}``.

    A row of an evaluation has keys that start with ``validation_``. Training appends rows and
    knows nothing of who reads them.
    """

    def log(self, **row: float) -> None:
        """Append one row; values are turned into plain Python numbers."""
        self.add(**row)
        notify(**row)

    def add(self, **row: float) -> None:
        """Append one row as `log` does, of which no listener hears."""
        self.append({key: _plain(value) for key, value in row.items()})

    report = log  # its name of before, which people's notebooks call

    def column(self, name: str, over: str = "step") -> tuple[list[float], list[float]]:
        """Steps and values of the rows that hold `name`, in the order of logging.

        `over` is another key in place of ``"step"``, such as ``"epoch"`` or ``"seconds"``; rows
        without it are left out.
        """
        rows = [row for row in self if name in row and over in row]
        return [row[over] for row in rows], [row[name] for row in rows]

    def reading(self) -> str:
        """What the curves say, in a sentence, by rules that anybody can check.

        It is too early to tell before one epoch or a fifth of the steps is done, and while the
        learning rate still warms up.

        Diverging: a loss that is NaN or infinite, or a training loss (mean of the last five rows)
        that lies above its lowest by more than half of what it had come down, plus a tenth of where
        it began. Overfitting: the validation loss is more than 2% above its lowest, while the
        training loss went on falling. Still improving: the last validation loss is the lowest and
        at least 1% below the one before. Without validation, the last third of the training loss is
        set against the middle third in the same way; overfitting cannot be seen then.
        """
        kind = "loss" if any("loss" in row for row in self) else "mlm_loss"
        steps, losses = self.column(kind)
        if None in losses:
            return "Diverging: the loss is NaN or infinite. Try a tenth of the learning rate."
        if len(losses) < 2 or self._is_early(kind):
            return "Too early to tell."
        smooth = [sum(part) / len(part) for i in range(len(losses))
                  if (part := losses[max(0, i - 4) : i + 1])]  # fmt: skip
        if smooth[-1] - min(smooth) > 0.5 * (smooth[0] - min(smooth)) + 0.1 * abs(smooth[0]):
            return (
                f"Diverging: the training loss was {min(smooth):.3f} and is {smooth[-1]:.3f}. "
                "Try a smaller learning rate, clipping or more warm-up."
            )
        rows = [r for r in self if r.get(f"validation_{kind}") is not None]
        if len(rows) < 2:
            return self._by_thirds(smooth)
        values = [row[f"validation_{kind}"] for row in rows]
        best = values.index(min(values))
        since = [
            loss for step, loss in zip(steps, smooth, strict=True) if step >= rows[best]["step"]
        ]
        if values[-1] > 1.02 * values[best]:
            when = f"since epoch {rows[best]['epoch']:g}" if "epoch" in rows[best] else "by now"
            rose = f"the validation loss was {values[best]:.3f} and is {values[-1]:.3f}"
            if since and since[-1] < since[0]:
                return (
                    f"Overfitting {when}: {rose}, while the training loss falls. "
                    "Fewer epochs, more labels or more regularisation help."
                )
            return f"Getting worse {when}: {rose}. Try a smaller learning rate."
        if best == len(values) - 1 and values[-1] < 0.99 * values[-2]:
            return "Still improving: the validation loss is at its lowest. More epochs may help."
        return "Level: the validation loss hardly changes any more."

    def _is_early(self, kind: str) -> bool:
        """Whether less than an epoch and a fifth of the steps is done, or the rate still rises."""
        last = next(row for row in reversed(self) if kind in row)
        rates = self.column("learning_rate")[1]
        if len(rates) > 1 and rates[-1] > max(rates[:-1]):
            return True
        known = "epoch" in last or "steps" in last
        few = last["step"] < EARLY * last.get("steps", math.inf)
        return known and few and last.get("epoch", 0) < 1

    @staticmethod
    def _by_thirds(losses: list[float]) -> str:
        third = len(losses) // 3
        if not third:
            return "Too early to tell."
        middle, last = sum(losses[third : 2 * third]) / third, sum(losses[-third:]) / third
        if last < 0.99 * middle:
            return "Still improving: the training loss falls. Only validation tells if it helps."
        return "Level: the training loss hardly changes any more."

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
