"""Choosing a data set: the state, what the view says, what several views do to each other."""

import errno
import threading
import warnings
from pathlib import Path

import pytest

from tests.widgets.helpers import controls, said
from workbench import data
from workbench.errors import UserError
from workbench.widgets import data_view
from workbench.widgets.data_picker import DataPicker
from workbench.widgets.dropzone import write_upload


def write(path: Path, header: str = "text,label", rows: int = 40) -> str:
    lines = [
        f"<script>text number {i} of {path.stem},{('good', 'bad')[i % 2]}" for i in range(rows)
    ]
    path.write_text("\n".join([header, *lines]), encoding="utf-8")
    return str(path)


@pytest.fixture
def counted(monkeypatch):
    """The sources that `data.load` has read."""
    read, load = [], data.load
    monkeypatch.setattr(data, "load", lambda **k: read.append(k["source"]) or load(**k))
    return read


def test_what_is_seen_is_not_read_again(tmp_path, counted):
    source = write(tmp_path / "own.csv")
    picker = DataPicker(source)
    picker.view()
    assert set(picker.load()) == {"train", "validation", "test"}
    assert picker.load() is picker.load()
    assert counted == [source]
    write(tmp_path / "own.csv", rows=60)
    assert sum(map(len, picker.load().values())) == 60
    assert counted == [source] * 2


def test_it_loads_what_data_load_loads(tmp_path):
    source = write(tmp_path / "own.csv", "a,b")
    loaded = DataPicker(source, "a", "b", seed=3).load()
    same = data.load(source, "a", "b", seed=3)
    assert loaded["train"].to_dict() == same["train"].to_dict()


def test_notes_are_shown_and_told_again_when_loaded(tmp_path):
    path = tmp_path / "own.csv"
    write(path)
    path.write_text(path.read_text() + "\n,good")
    picker = DataPicker(path)
    assert "1 of 41 rows" in picker.still()["text/html"]
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            picker.load()
        assert [w.category for w in caught] == [data.DataWarning]


def test_reading_takes_no_warning_of_another_thread(tmp_path, monkeypatch):
    reading, read_on, load = threading.Event(), threading.Event(), data.load

    def slow(**choice):
        reading.set()
        assert read_on.wait(10)
        return load(**choice)

    path = tmp_path / "own.csv"
    path.write_text(Path(write(path)).read_text() + "\n,good")
    picker = DataPicker()
    monkeypatch.setattr(data, "load", slow)
    with pytest.warns(UserWarning, match="of somebody else"):
        picker.begin(lambda: picker.choose(source=str(path)))
        assert reading.wait(10)
        warnings.warn("of somebody else", stacklevel=1)
    read_on.set()
    picker.wait()
    assert [note[:17] for note in picker.notes] == ["1 of 41 rows of '"]


def test_a_source_without_a_required_column_gives_way_with_a_note(tmp_path):
    picker = DataPicker(write(tmp_path / "own.csv"), requires=("domain",))
    assert "goes on with the bundled reviews" in picker.still()["text/html"]


def test_a_bad_file_is_told_and_the_choice_stays(tmp_path):
    (tmp_path / "bad.csv").write_bytes(b"text,label\n\x81n,good\n")
    picker = DataPicker("reviews")
    view = picker.view()
    before = picker.load()
    for bad, sentence in (("bad.csv", "is not UTF-8"), ("gone.csv", "There is no file")):
        controls(view)["File or hub"].value = str(tmp_path / bad)
        picker.wait()
        assert sentence in said(view)
        assert picker.value == {"source": "reviews", "text_column": "", "label_column": ""}
        assert picker.load() is before


def test_columns_that_cannot_be_guessed_are_chosen(tmp_path):
    source, picker = write(tmp_path / "own.csv", "was,wie"), DataPicker()
    view = picker.view()
    shown = controls(view)
    shown["File or hub"].value = source
    picker.wait()
    assert "No text column found" in said(view)
    assert "-p TEXT" not in said(view)
    assert picker.value["source"] == "reviews"
    assert [value for _, value in shown["Text column"].options] == ["", "was", "wie"]
    shown["Text column"].value = "was"
    picker.wait()
    assert "No label column found" in said(view)
    shown["Label column"].value = "wie"
    picker.wait()
    assert picker.value == {"source": source, "text_column": "was", "label_column": "wie"}
    assert shown["Bundled"].value == source
    shown["Bundled"].value = "reviews-zh"
    picker.wait()
    assert picker.value == {"source": "reviews-zh", "text_column": "", "label_column": ""}


def test_a_column_that_is_not_there_is_told(tmp_path):
    picker = DataPicker(write(tmp_path / "own.csv"), "txt")
    assert "did you mean &#x27;text&#x27;" in said(picker.view())
    with pytest.raises(UserError, match="did you mean 'text'"):
        picker.load()
    with pytest.raises(UserError, match="did you mean 'text'"):
        picker.still()


def test_what_people_wrote_is_shown_as_text(tmp_path):
    html = DataPicker(write(tmp_path / "own.csv")).still()["text/html"]
    assert "&lt;script&gt;text number" in html
    assert "<script>" not in html


def test_a_file_is_handed_over_whole_and_chosen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = Path(write(tmp_path / "mine.csv")).read_bytes()
    picker = DataPicker()
    view = picker.view()
    zone = controls(view)[data_view.UPLOAD]
    for at in range(0, len(content), 1000):
        message = {"name": "../evil/mine (1).csv", "size": len(content), "at": at}
        piece = memoryview(content)[at : at + 1000]
        zone._handle_custom_msg(message | {"last": at + 1000 >= len(content)}, [piece])
    picker.wait()
    assert picker.value["source"] == "uploads/mine-1-.csv"
    assert (tmp_path / "uploads" / "mine-1-.csv").read_bytes() == content
    assert [p.name for p in (tmp_path / "uploads").iterdir()] == ["mine-1-.csv"]
    assert controls(view)["Bundled"].value == "uploads/mine-1-.csv"


def test_what_cannot_be_written_is_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"give a file in \.csv"):
        write_upload("run.exe", 0, b"", tmp_path)
    with pytest.raises(UserError, match=r"'big\.csv' has 201 MB; 200 MB .* type its name"):
        write_upload("big.csv", 201 * 2**20, b"", tmp_path)
    with pytest.raises(UserError, match="did not arrive whole"):
        write_upload("cut.csv", 5, b"text", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    write_upload("own.csv", 3, b"old", tmp_path)

    def full(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left on device"):
        write_upload("own.csv", 3, b"new", tmp_path)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_the_summary_counts(tmp_path):
    source = write(tmp_path / "own.csv", rows=50)
    tables = {name: data.frame(part) for name, part in data.load(source).items()}
    assert data_view.sizes(tables)["rows"].sum() == 50
    counts = data_view.classes(tables)
    assert counts.loc["good", ["train", "validation", "test"]].sum() == 25
    assert counts["share"].to_list() == [0.5, 0.5]
    assert set(data_view.sizes(tables)["longest"]) == {6}
    assert set(data_view.sizes(tables)["repeated texts"]) == {0}
    html = DataPicker(source).still()["text/html"]
    assert html.count(">0.500 ██████████</td>") == 2
    assert "&lt;span" not in html


def test_the_language_is_told_from_a_column_or_from_the_letters():
    frame = data.frame(data.load("reviews-en-zh")["train"])
    assert data_view.language(frame).startswith("Language: en (")
    without = frame.drop(columns="language")
    assert "Latin" in data_view.language(without)
    russian = without.assign(text="Очень хорошо")
    assert data_view.language(russian) == "Letters: 100% Cyrillic; words are cut at spaces."
    thai = without.assign(text="ภาษาไทยสวยงาม")
    assert data_view.language(thai) == "Letters: 100% Thai; words are cut by a Thai dictionary."
    chinese = without.assign(text="很好")
    assert "100% Chinese; words are cut by a Chinese dictionary" in data_view.language(chinese)


def test_long_texts_are_cut_in_the_preview():
    frame = data.frame(data.load("reviews")["train"])
    cut = data_view.preview(frame.assign(text="a" * 1000))
    assert set(cut["text"].str.len()) == {data_view.LONGEST + 1}
    assert len(cut) == data_view.SHOWN


def test_views_of_one_data_set_agree_and_outlive_an_error_of_one(tmp_path, monkeypatch):
    """A source whose columns must be named offers them in every view, also after a broken one."""
    picker, draw = DataPicker(), data_view.summary
    broken, shown = picker.view(), picker.view()
    calls = iter([ZeroDivisionError("drawing"), None])

    def fail_once(*args):
        if error := next(calls, None):
            raise error
        return draw(*args)

    monkeypatch.setattr(data_view, "summary", fail_once)
    picker.choose(source="reviews-zh")
    assert "reviews-zh: rows" in said(shown)
    assert "ZeroDivisionError: drawing" in said(broken)
    with pytest.raises(UserError, match="No text column"):
        picker.choose(source=write(tmp_path / "own.csv", "was,wie"))
    for view in (broken, shown):
        assert [name for _, name in controls(view)["Text column"].options] == ["", "was", "wie"]
