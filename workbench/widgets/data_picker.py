"""Which texts, from where, and which of their columns."""

import re
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
from traitlets import Any, List, Unicode

from workbench import data, errors, files
from workbench.data import headers, sources
from workbench.errors import UserError
from workbench.widgets import base, data_view
from workbench.widgets.pickers import CopiedDict, Picker


class DataPicker(Picker):
    """A data set: a bundled one, a file, a folder or a hub name, its columns and its classes.

    Parameters
    ----------
    source, text_column, label_column, label_names, seed, requires : as in `data.load`.

    Attributes
    ----------
    value : dict with the keys source, text_column, label_column and label_names; always the last
        choice that could be read, or what the picker began with.
    requested : the choice that was tried last. Of a source whose columns cannot be inferred it
        stays, so that they can be named; any other that cannot be read is forgotten.
    problem : why the last choice could not be read, in a sentence; empty if it could.
    dataset : what was read last, a `datasets.DatasetDict`; None before.
    frames : its splits as data frames, by their names.
    notes : what `data.load` mended or left out of it, a list of sentences.
    """

    requested = CopiedDict(read_only=True)
    problem = Unicode(read_only=True)
    dataset = Any(read_only=True)
    notes = List(read_only=True)

    def __init__(
        self, source: str | Path = "reviews", text_column: str = "", label_column: str = "", *,
        label_names: Mapping[str, str] | None = None, seed: int = 0, requires: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__({
            "source": str(source), "text_column": text_column, "label_column": label_column,
            "label_names": {str(old): new for old, new in (label_names or {}).items()},
        })  # fmt: skip
        self.seed, self.requires = seed, tuple(requires)
        self.keep_choice(self.requires)
        self.set_trait("requested", self.value)
        self.frames: dict[str, pd.DataFrame] = {}
        self._cached: tuple = (None, None, [])
        self._first_rows: dict[str, pd.DataFrame] = {}  # by source
        self._one_at_a_time = threading.RLock()

    def load(self):
        """What `data.load` returns for the choice; read once, and again when the file changes.

        Raises
        ------
        UserError : it cannot be read.
        """
        with self._one_at_a_time:
            dataset, notes = self._read(self.value)
            if dataset is not self.dataset:
                self._show(dataset, notes)
                self.revise()
        for note in notes:
            warnings.warn(note, data.DataWarning, stacklevel=2)
        return dataset

    def choose(self, **changes) -> None:
        """Another source, other columns or other names of classes; what fails changes nothing.

        Raises
        ------
        UserError : one sentence on what is wrong.
        """
        with self._keeping_problem():
            self._choose(changes)

    def take_first_line(self, as_row: bool) -> None:
        """Take the first line of the file for a row, or for the names of the columns.

        Raises
        ------
        UserError : the file cannot be read so.
        """
        with self._keeping_problem():
            text, label = "", ""
            if as_row:
                with errors.taking_notes():
                    table = sources.read(self.requested["source"], ["column 1"])
                text, label = headers.text_and_label(table)
            self._choose({"text_column": text, "label_column": label})

    def upload(self, name: str, size: int, content: bytes) -> None:
        """Write an uploaded file into the folder ``uploads`` beside the notebook, and choose it.

        Raises
        ------
        UserError : it cannot be written or read.
        """
        with self._keeping_problem():
            self._choose({"source": write_upload(name, size, content).as_posix()})

    def first_rows(self, source: str) -> pd.DataFrame:
        """The first rows of a chosen source with all its columns; empty where it has none."""
        return self._first_rows.get(source, pd.DataFrame())

    view = data_view.view

    def still(self) -> dict:
        with self._one_at_a_time:
            self._show(*self._read(self.value))
        rows = {name: len(part) for name, part in self.dataset.items()}
        return {
            "text/html": data_view.report(self) + data_view.content(self),
            "text/plain": f"Data: {self.value['source']} {rows}",
        }

    @contextmanager
    def _keeping_problem(self) -> Iterator[None]:
        """Keep what is raised inside as `problem`, and tell the views when all has changed."""
        with self._one_at_a_time:
            problem = ""
            try:
                yield
            except Exception as error:
                problem = base.error_message(error)
                raise
            finally:
                self.set_trait("problem", problem)
                self.revise()

    def _choose(self, changes: dict) -> None:
        if "source" in changes:
            changes = {"text_column": "", "label_column": ""} | changes
        if "label_column" in changes:
            changes = {"label_names": {}} | changes
        request = self.requested | changes
        try:
            content = self._read(request)
        except UserError:
            was_read = not self.first_rows(request["source"]).empty
            pending = was_read and not request["label_names"]
            self.set_trait("requested", request if pending else self.value)
            raise
        self.set_trait("value", request)
        self.set_trait("requested", request)
        self._show(*content)

    def _read(self, choice: dict) -> tuple:
        """The data set and the notes on it; the last choice is read again when a file changed."""
        source, columns = choice["source"], (choice["text_column"], choice["label_column"])
        stamp = (*choice.values(), _file_stamps(source))
        if stamp != self._cached[0]:
            self._first_rows.pop(source, None)
            with errors.taking_notes() as notes:
                tables = sources.read_tables(source, columns)
                heads = [table.head(data_view.SHOWN) for table in tables]
                # A copy: a slice would keep the whole file in memory.
                self._first_rows[source] = pd.concat(heads).head(data_view.SHOWN).copy()
                requires = self.requires or ("label",)
                more = {"requires": requires, "seed": self.seed, "tables": tables}
                dataset = data.load(**choice, **more)
            self._cached = (stamp, dataset, notes)
        return self._cached[1:]

    def _show(self, dataset, notes: list[str]) -> None:
        if dataset is not self.dataset:
            self.frames = {name: data.frame(part) for name, part in dataset.items()}
        self.set_trait("notes", notes)
        self.set_trait("dataset", dataset)


def write_upload(name: str, size: int, content: bytes, folder: str | Path = "uploads") -> Path:
    """Write an uploaded file, whole or not at all, under a name made safe.

    `size` is that of the file in bytes; of one that is too large no `content` was sent.

    Raises
    ------
    UserError : it is too large, of no kind that can be read, or cannot be written.
    """
    safe = re.sub(r"[^\w.-]+", "-", re.split(r"[/\\]", name)[-1]).strip("-.")
    path = Path(folder) / f"{Path(safe).stem[:80]}{Path(safe).suffix}"
    if path.suffix.lower() not in sources.SUFFIXES:
        raise UserError(f"'{name}' cannot be read: give a file in {', '.join(sources.SUFFIXES)}.")
    if size > data_view.LARGEST:
        raise UserError(
            f"'{name}' has {size / 2**20:.0f} MB; {data_view.LARGEST // 2**20} MB can be uploaded "
            "here: put it beside the notebook and type its name."
        )
    if len(content) != size:
        raise UserError(f"'{name}' did not arrive whole: upload it again.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, content)
    except OSError as error:
        raise UserError(
            f"'{name}' cannot be written into '{folder}' ({error.strerror or error}): free some "
            "space there, or type the path of the file."
        ) from error
    return path


def _file_stamps(source: str) -> tuple:
    """When the files of a source were written, and their sizes."""
    path = Path(source).expanduser()
    with suppress(OSError):
        read = [path] if path.is_file() else [*path.glob("*"), *path.glob("*/*")]
        return tuple((f.stat().st_mtime_ns, f.stat().st_size) for f in read)
    return ()
