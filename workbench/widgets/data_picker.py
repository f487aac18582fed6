"""Which texts, from where, and which of their columns."""

import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from workbench import data
from workbench.data import sources
from workbench.errors import UserError
from workbench.widgets import data_view
from workbench.widgets.dropzone import keep_file
from workbench.widgets.pickers import Picker


class DataPicker(Picker):
    """A data set: a bundled one, a file, a folder or a hub name, and its columns.

    Parameters
    ----------
    source, text_column, label_column, seed, requires : as in `data.load`.

    Attributes
    ----------
    value : dict with the keys source, text_column and label_column; always the last choice that
        could be read, or what the picker began with.
    notes : what `data.load` mended or left out of it, a list of sentences.
    """

    def __init__(
        self, source: str | Path = "reviews", text_column: str = "", label_column: str = "", *,
        seed: int = 0, requires: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        self.seed, self.requires = seed, tuple(requires)
        self._value = {
            "source": str(source), "text_column": text_column, "label_column": label_column,
        }  # fmt: skip
        self.asked = self.value
        self.notes: list[str] = []
        self._loaded, self._stamp = None, None
        self._columns: tuple = (None, [])
        self._one_at_a_time = threading.RLock()

    def load(self):
        """What `data.load` returns for the choice; read once, and again when the file changes.

        Raises
        ------
        UserError : it cannot be read.
        """
        with self._one_at_a_time:
            self._read(self._value)
        for note in self.notes:
            warnings.warn(note, data.DataWarning, stacklevel=2)
        return self._loaded

    def choose(self, **changes: str) -> None:
        """Another source, or other columns of it; what cannot be read changes nothing.

        ``asked`` is what was tried last: of a source whose columns cannot be guessed it stays, so
        that they can be named.

        Raises
        ------
        UserError : one sentence on what is wrong.
        """
        with self._one_at_a_time:
            if "source" in changes:
                changes = {"text_column": "", "label_column": ""} | changes
            asked = self.asked | changes
            try:
                self._read(asked)
            except UserError:
                self.asked = asked if self.columns(asked["source"]) else self.value
                raise
            self.asked, self._value = asked, dict(asked)
        self._tell()

    def take(self, name: str, size: int, content: bytes) -> None:
        """Keep a file that was handed over beside the notebook, and choose it.

        Raises
        ------
        UserError : it cannot be kept or read.
        """
        self.choose(source=keep_file(name, size, content).as_posix())

    def columns(self, source: str) -> list[str]:
        """The columns of a source; none where it cannot be read."""
        key = (source, _written(source))
        if self._columns[0] != key:
            found: list[str] = []
            with suppress(UserError):
                found = [str(column).strip() for column in sources.read(source).columns]
            self._columns = (key, [c for c in found if c != "split"])
        return self._columns[1]

    def looked_at(self):
        """The data as it was read last, for views that show it; None before."""
        return self._loaded

    def view(self):
        return data_view.view(self)

    def still(self) -> dict:
        with self._one_at_a_time:
            self._read(self._value)
        rows = {name: len(part) for name, part in self._loaded.items()}
        return {
            "text/html": data_view.summary(self._value, self._loaded, self.notes),
            "text/plain": f"Data: {self._value['source']} {rows}",
        }

    def _read(self, chosen: dict) -> None:
        stamp = (*chosen.values(), _written(chosen["source"]))
        if stamp == self._stamp:
            return
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", data.DataWarning)
            loaded = data.load(**chosen, requires=self.requires, seed=self.seed)
        self.notes = [str(w.message) for w in caught if w.category is data.DataWarning]
        self._loaded, self._stamp = loaded, stamp
        for other in (w for w in caught if w.category is not data.DataWarning):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)


def _written(source: str) -> tuple:
    """When the files of a source were written, and their sizes."""
    path = Path(source).expanduser()
    with suppress(OSError):
        files = [path] if path.is_file() else [*path.glob("*"), *path.glob("*/*")]
        return tuple((f.stat().st_mtime_ns, f.stat().st_size) for f in files)
    return ()
