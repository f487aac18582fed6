"""Choosing a data set: the state, what the view says, what several views do to each other."""

import errno
import threading
import warnings
from pathlib import Path

import pytest

from tests.widgets.helpers import controls, said
from workbench import data, models
from workbench.data import sources
from workbench.errors import UserError
from workbench.widgets import data_view
from workbench.widgets.data_picker import DataPicker, write_upload


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


def test_for_one_change_a_file_is_read_once_and_its_frames_are_made_once(tmp_path, monkeypatch):
    read, made, tables, frame = [], [], sources.read_tables, data.frame
    monkeypatch.setattr(sources, "read_tables", lambda *a: read.append(a[0]) or tables(*a))
    monkeypatch.setattr(data, "frame", lambda part: made.append(len(part)) or frame(part))
    source, picker = write(tmp_path / "own.csv"), DataPicker()
    picker.view()
    second = picker.view()
    del read[:], made[:]
    picker.choose(source=source)
    assert (read, sum(made), len(made)) == ([source], 40, 3)
    assert picker.load() is picker.dataset
    assert [name for _, name in controls(second)["Text column"].options] == ["", "text", "label"]
    odd = write(tmp_path / "odd.csv", "was,wie")
    with pytest.raises(UserError, match="No text column"):
        picker.choose(source=odd)
    assert "The first rows of" in said(second)
    assert (read, len(made)) == ([source, odd], 3)


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
        assert "The cells below go on with reviews." in said(view)
        assert picker.value["source"] == picker.requested["source"] == "reviews"
        assert picker.load() is before
    controls(view)["Data set"].value = "reviews-zh"
    picker.wait()
    assert "There is no file" not in said(view)
    assert controls(view)["File or hub"].value == ""


def test_columns_that_cannot_be_guessed_are_chosen(tmp_path):
    source, picker = write(tmp_path / "own.csv", "was,wie"), DataPicker()
    view = picker.view()
    shown = controls(view)
    shown["File or hub"].value = source
    picker.wait()
    assert "No text column found" in said(view)
    assert "-p TEXT" not in said(view)
    assert "The first rows of" in said(view)
    assert "text number 0" in said(view)
    assert "reviews: rows" not in said(view), "rows of one source beside the columns of another"
    assert picker.value["source"] == "reviews"
    assert [value for _, value in shown["Text column"].options] == ["", "was", "wie"]
    shown["Text column"].value = "was"
    picker.wait()
    assert "No label column found" in said(view)
    shown["Label column"].value = "wie"
    picker.wait()
    chosen = {"source": source, "text_column": "was", "label_column": "wie", "label_names": {}}
    assert picker.value == chosen
    assert shown["Data set"].value == source
    assert shown["Data set"].options[-1][0].startswith("own.csv · ")
    shown["Data set"].value = "reviews-zh"
    picker.wait()
    assert picker.value == {**dict.fromkeys(chosen, ""), "source": "reviews-zh", "label_names": {}}


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
    picker, drawn = DataPicker(), []
    view = picker.view()
    picker.observe(lambda change: drawn.append(picker.requested["source"]), "revision")
    zone = controls(view)[data_view.UPLOAD]
    for at in range(0, len(content), 1000):
        message = {"name": "../evil/mine (1).csv", "size": len(content), "at": at}
        piece = memoryview(content)[at : at + 1000]
        zone._handle_custom_msg(message | {"last": at + 1000 >= len(content)}, [piece])
    picker.wait()
    assert picker.value["source"] == "uploads/mine-1-.csv"
    assert drawn == ["uploads/mine-1-.csv"], "the views are drawn once"
    assert (tmp_path / "uploads" / "mine-1-.csv").read_bytes() == content
    assert [p.name for p in (tmp_path / "uploads").iterdir()] == ["mine-1-.csv"]
    assert controls(view)["Data set"].value == "uploads/mine-1-.csv"


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


def test_the_content_is_counted(tmp_path):
    source = write(tmp_path / "own.csv", rows=50)
    tables = {name: data.frame(part) for name, part in data.load(source).items()}
    assert data_view.sizes(tables)["rows"].sum() == 50
    counts = data_view.classes(tables)
    assert counts.loc["good", ["train", "validation", "test"]].sum() == 25
    assert counts["share"].to_list() == [0.5, 0.5]
    assert set(data_view.sizes(tables)["words (median)"]) == {6}
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
    picker, draw = DataPicker(), data_view.content
    broken, shown = picker.view(), picker.view()
    calls = iter([ZeroDivisionError("drawing"), None])

    def fail_once(*args):
        if error := next(calls, None):
            raise error
        return draw(*args)

    monkeypatch.setattr(data_view, "content", fail_once)
    picker.choose(source="reviews-zh")
    assert "reviews-zh: rows" in said(shown)
    assert "ZeroDivisionError: drawing" in said(broken)
    with pytest.raises(UserError, match="No text column"):
        picker.choose(source=write(tmp_path / "own.csv", "was,wie"))
    for view in (broken, shown):
        assert [name for _, name in controls(view)["Text column"].options] == ["", "was", "wie"]


# --- what a person is told about how the file was read -------------------------------------------


def shown_for(path, rows, header="text,label\n", **choice) -> str:
    path.write_text(header + "\n".join(f"{text},{label}" for text, label in rows))
    picker = DataPicker(path, **choice)
    view = picker.view()
    assert data_view.report(picker) in said(view)
    assert data_view.report(picker) in picker.still()["text/html"]
    return data_view.report(picker)


OF_ENGLISH = [name for name, entry in models.CATALOGUE.items() if entry.languages == "English"]
ENGLISH = [(f"this is what I have said of the film {i}", "ab"[i % 2]) for i in range(40)]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (ENGLISH + [(text, "") for text, _ in ENGLISH] * 2, "Read: 40 of 120 rows."),
        (ENGLISH * 3, "67% of the rows are left out"),
        ([(f"{t} {i}", "ab"[i % 25 == 0]) for i, (t, _) in enumerate(ENGLISH * 5)],
         "96.0% of the rows are of the class &#x27;a&#x27;"),
        ([(f"Очень хороший фильм {i}", y) for i, (_, y) in enumerate(ENGLISH)],
         f"100% of the texts are not English: {', '.join(OF_ENGLISH)} are"),
        ([(f"der Film hat mir ganz gut gefallen {i}", y) for i, (_, y) in enumerate(ENGLISH)],
         "few common English words"),
    ],
)  # fmt: skip
def test_what_was_read_wrongly_is_not_simply_read(tmp_path, rows, sentence):
    report = shown_for(tmp_path / "own.csv", rows)
    assert sentence in report
    assert "✓" not in report
    assert "⚠ Read" in report


def test_what_was_read_well_is_said_with_its_rows(tmp_path):
    assert "✓ Read: 40 of 40 rows." in shown_for(tmp_path / "own.csv", ENGLISH)
    report = shown_for(tmp_path / "own.csv", [*ENGLISH, ("and what is it", "")])
    assert "✓ Read: 40 of 41 rows." in report


def test_another_data_set_that_had_to_be_taken_is_no_success(tmp_path):
    report = shown_for(tmp_path / "own.csv", ENGLISH, requires=("domain",))
    assert "⚠ This notebook needs a domain column" in report
    still = DataPicker(tmp_path / "own.csv", requires=("domain",)).still()["text/html"]
    assert "reviews: rows" in still
    assert "own.csv: rows" not in still


def test_a_first_line_that_is_a_row_is_taken_by_a_click(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("".join(f"{label},{text}\n" for text, label in ENGLISH))
    picker = DataPicker()
    view = picker.view()
    shown = controls(view)
    assert shown[data_view.FIRST_LINE].layout.display == "none"
    with pytest.raises(UserError, match="looks like a row"):
        picker.choose(source=str(path))
    assert "looks like a row and not like names of columns: choose below." in said(view)
    assert shown[data_view.FIRST_LINE].layout.display == ""
    shown[data_view.FIRST_LINE].value = True
    picker.wait()
    assert "✓ Read: 40 of 40 rows." in said(view)
    assert picker.value["text_column"] == "column 2"
    assert picker.value == DataPicker(path, "column 2", "column 1").value
    assert [value for _, value in shown["Text column"].options] == ["", "column 1", "column 2"]
    shown[data_view.FIRST_LINE].value = False
    picker.wait()
    assert "looks like a row" in said(view)


def test_classes_are_renamed_in_a_table_and_the_names_are_kept_in_the_value(tmp_path):
    picker = DataPicker(write(tmp_path / "own.csv"))
    view = picker.view()
    field = controls(view)["bad"]
    field.value = "negative"
    picker.wait()
    assert picker.value["label_names"] == {"bad": "negative"}
    assert picker.load()["train"].features["label"].names == ["good", "negative"]
    assert controls(view)["bad"] is field, "a field keeps the name that the file has"
    field.value = "good"
    picker.wait()
    assert "fewer than two classes" in said(view)
    assert field.value == "negative"
    assert picker.value["label_names"] == {"bad": "negative"}
    field.value = "bad"
    picker.wait()
    assert picker.value["label_names"] == {}
    assert DataPicker(tmp_path / "own.csv", label_names={"bad": "b"}).load()["train"].features[
        "label"
    ].names == ["b", "good"]
    picker.choose(source="reviews")
    assert set(controls(view)) >= {"negative", "positive"}
    assert "bad" not in controls(view)


def test_tagged_sentences_are_offered_and_shown_where_tags_are_asked_for():
    picker = DataPicker("entities", requires=("tags",))
    page = picker.still()["text/html"]
    assert all(f">{kind}<" in page for kind in ("PER", "LOC", "ORG", "PRO"))
    assert "B-PER I-PER O" in page
    assert "Read: 1,398 of 1,398 rows." in page
    assert [name for _, name in data_view._state(picker)[1]["source"]] == ["entities"]
    classifier = DataPicker("reviews")
    assert "entities" not in [name for _, name in data_view._state(classifier)[1]["source"]]
    with pytest.raises(UserError, match="each text needs a label"):
        classifier.choose(source="entities")
    assert classifier.value["source"] == "reviews"
