"""Which texts, from where, and which of their columns."""

import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from traitlets import Any, List

from workbench import data, errors
from workbench.data import sources
from workbench.errors import UserError
from workbench.widgets import data_view
from workbench.widgets.dropzone import write_upload
from workbench.widgets.pickers import CopiedDict, Picker


class DataPicker(Picker):
    """A data set: a bundled one, a file, a folder or a hub name, and its columns.

    Parameters
    ----------
    source, text_column, label_column, seed, requires : as in `data.load`.

    Attributes
    ----------
    value : dict with the keys source, text_column and label_column; always the last choice that
        could be read, or what the picker began with.
    requested : the choice that was tried last. Of a source whose columns cannot be guessed it
        stays, so that they can be named; any other that cannot be read is forgotten.
    dataset : what was read last, a `datasets.DatasetDict`; None before.
    notes : what `data.load` mended or left out of it, a list of sentences.
    """

    requested = CopiedDict(read_only=True)
    dataset = Any(read_only=True)
    notes = List(read_only=True)

    def __init__(
        self, source: str | Path = "reviews", text_column: str = "", label_column: str = "", *,
        seed: int = 0, requires: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(
            {"source": str(source), "text_column": text_column, "label_column": label_column}
        )
        self.seed, self.requires = seed, tuple(requires)
        self.keep_choice(self.requires)
        self.set_trait("requested", self.value)
        self._cached: tuple = (None, None, [])
        self._columns: tuple = (None, [])
        self._one_at_a_time = threading.RLock()

    def load(self):
        """What `data.load` returns for the choice; read once, and again when the file changes.

        Raises
        ------
        UserError : it cannot be read.
        """
        with self._one_at_a_time:
            dataset, notes = self._read(self.value)
            self._show(dataset, notes)
        for note in notes:
            warnings.warn(note, data.DataWarning, stacklevel=2)
        return dataset

    def choose(self, **changes: str) -> None:
        """Another source, or other columns of it; what cannot be read changes nothing.

        Raises
        ------
        UserError : one sentence on what is wrong.
        """
        with self._one_at_a_time:
            if "source" in changes:
                changes = {"text_column": "", "label_column": ""} | changes
            request = self.requested | changes
            try:
                content = self._read(request)
            except UserError:
                readable = bool(self.columns(request["source"]))
                self.set_trait("requested", request if readable else self.value)
                raise
            self.set_trait("value", request)
            self.set_trait("requested", request)
            self._show(*content)

    def upload(self, name: str, size: int, content: bytes) -> None:
        """Write an uploaded file into the folder ``uploads`` beside the notebook, and choose it.

        Raises
        ------
        UserError : it cannot be written or read.
        """
        self.choose(source=write_upload(name, size, content).as_posix())

    def columns(self, source: str) -> list[str]:
        """The columns of a source; none where it cannot be read."""
        key = (source, _file_stamps(source))
        if self._columns[0] != key:
            found: list[str] = []
            with suppress(UserError), errors.taking_notes():
                found = [str(column).strip() for column in sources.read(source).columns]
            self._columns = (key, [c for c in found if c != "split"])
        return self._columns[1]

    def view(self):
        return data_view.view(self)

    def still(self) -> dict:
        with self._one_at_a_time:
            dataset, notes = self._read(self.value)
        rows = {name: len(part) for name, part in dataset.items()}
        return {
            "text/html": data_view.summary(self.value, dataset, notes),
            "text/plain": f"Data: {self.value['source']} {rows}",
        }

    def _read(self, choice: dict) -> tuple:
        """The data set and the notes on it; the last choice is read again when a file changed."""
        stamp = (*choice.values(), _file_stamps(choice["source"]))
        if stamp != self._cached[0]:
            with errors.taking_notes() as notes:
                dataset = data.load(**choice, requires=self.requires, seed=self.seed)
            self._cached = (stamp, dataset, notes)
        return self._cached[1:]

    def _show(self, dataset, notes: list[str]) -> None:
        self.set_trait("notes", notes)
        self.set_trait("dataset", dataset)


def _file_stamps(source: str) -> tuple:
    """When the files of a source were written, and their sizes."""
    path = Path(source).expanduser()
    with suppress(OSError):
        files = [path] if path.is_file() else [*path.glob("*"), *path.glob("*/*")]
        return tuple((f.stat().st_mtime_ns, f.stat().st_size) for f in files)
    return ()
