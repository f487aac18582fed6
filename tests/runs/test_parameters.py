"""Parameters in the types of their defaults, checked before any kernel."""

import pytest

from tests.runs.test_notebooks import write
from workbench.errors import UserError
from workbench.runs import parameters


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("SEED", "7", 7),
        ("RATE", "1e-3", 0.001),
        ("CLEAN", "false", False),
        ("CLEAN", "True", True),
        ("SIZES", "[3, 4]", [3, 4]),
        ("SIZES", "3,4", [3, 4]),
        ("WORDS", "x, y", ["x", "y"]),
        ("PROFILE", "smoke", "smoke"),
    ],
)
def test_a_value_takes_the_type_of_the_default(tmp_path, name, text, value):
    path = write(tmp_path / "a.ipynb")
    chosen = parameters.check([path], {name: text})[path]
    assert chosen == {name: value}
    assert type(chosen[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("SEED", "abc", "SEED must be a whole number, not 'abc'"),
        ("SEED", "1.5", "SEED must be a whole number"),
        ("SEED", "-1", "SEED must lie between 0"),
        ("RATE", "fast", "RATE must be a number"),
        ("RATE", "nan", "RATE must be a finite number"),
        ("CLEAN", "maybe", "CLEAN must be true or false"),
        ("SIZES", "1,two", "SIZES must be a whole number, not 'two'"),
        ("PROFILE", "smok", "did you mean 'smoke'"),
        ("RATES", "1", "did you mean 'RATE'"),
    ],
)
def test_a_wrong_value_or_name_is_refused(tmp_path, name, text, said):
    with pytest.raises(UserError, match=said):
        parameters.check([write(tmp_path / "a.ipynb")], {name: text})


def test_a_parameter_goes_only_to_the_notebooks_that_have_it(tmp_path):
    has, lacks = write(tmp_path / "a.ipynb"), write(tmp_path / "b.ipynb", parameters="SEED = 0")
    chosen = parameters.check([has, lacks], {"RATE": "2", "SEED": "9"})
    assert chosen == {has: {"RATE": 2.0, "SEED": 9}, lacks: {"SEED": 9}}
    with pytest.raises(UserError, match="RATE"):
        parameters.check([lacks], {"RATE": "2"})


def test_data_is_loaded_before_any_kernel_and_its_path_made_absolute(tmp_path, monkeypatch):
    path = write(tmp_path / "a.ipynb")
    rows = [f"this text has the number {i},{('good', 'bad')[i % 2]}" for i in range(60)]
    (tmp_path / "mine.csv").write_text("\n".join(["text,label", *rows]))
    monkeypatch.chdir(tmp_path)
    chosen = parameters.check([path], {"DATA": "mine.csv"})[path]
    assert chosen["DATA"] == str(tmp_path / "mine.csv")
    with pytest.raises(UserError, match="gone"):
        parameters.check([path], {"DATA": "gone.csv"})
    with pytest.raises(UserError, match="nowhere"):
        parameters.check([path], {"DATA": "mine.csv", "TEXT_COLUMN": "nowhere"})


def test_tagged_sentences_are_for_the_notebooks_that_begin_with_them(tmp_path):
    rows = "".join(f"Ann{i}\tB-PER\nleft\tO\n\n" for i in range(30))
    (tmp_path / "mine.conll").write_text(rows)
    source = {"DATA": str(tmp_path / "mine.conll")}
    tagger = write(tmp_path / "a.ipynb", parameters='DATA = "entities"')
    assert parameters.check([tagger], source)[tagger] == source
    with pytest.raises(UserError, match="each text needs a label"):
        parameters.check([write(tmp_path / "b.ipynb", parameters='DATA = "reviews"')], source)


def test_in_a_sequence_the_data_are_those_of_its_first_notebook(tmp_path):
    """A table of reviews is checked as such, although the last notebook would rather have tags."""
    rows = [f"{word} {i},{word}" for word in ("good", "bad") for i in range(20)]
    (tmp_path / "mine.csv").write_text("\n".join(["text,label", *rows]))
    reads = [write(tmp_path / f"{i}.ipynb", parameters=f'DATA = "{name}"\nLABEL_COLUMN = ""')
             for i, name in enumerate(("reviews", "entities"))]  # fmt: skip
    chosen = parameters.check(reads, {"DATA": str(tmp_path / "mine.csv")})
    assert {each["DATA"] for each in chosen.values()} == {str(tmp_path / "mine.csv")}
    with pytest.raises(UserError, match="'reviews' called 'stars'"):
        parameters.check(reads, {"LABEL_COLUMN": "stars"})


@pytest.mark.parametrize("name", ["LARGE_TEXT", "PAIRS", "SUMMARIES", "CHECKPOINT"])
def test_a_file_is_found_from_where_the_command_was_given(name, tmp_path, monkeypatch):
    path = write(tmp_path / "a.ipynb", parameters=f'{name} = ""')
    (tmp_path / "texts").mkdir()
    for file in ("config.json", "a.safetensors"):
        (tmp_path / "texts" / file).write_text("{}")
    rows = [f"A text of number {i}.,Number {i}." for i in range(20)]
    (tmp_path / "texts" / "train.csv").write_text("\n".join(["text,summary", *rows]))
    monkeypatch.chdir(tmp_path)
    chosen = parameters.check([path], {name: "texts"})[path]
    assert chosen == {name: str(tmp_path / "texts")}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PAIRS", "no.csv", "no.csv"),
        ("SUMMARIES", "texts.csv", "'summary'"),
        ("CHECKPOINT", "no such folder", "a folder"),
        ("CHECKPOINT", "minilm", "a folder"),
        ("CHECKPOINT", "./nowhere", "There is no folder"),
    ],
)
def test_what_notebook_07_reads_is_checked_before_any_kernel(name, value, said, tmp_path):
    (tmp_path / "texts.csv").write_text("text,label\n" + "one text,a\n" * 9)
    path = write(tmp_path / "a.ipynb", parameters=f'{name} = ""')
    value = value if name == "CHECKPOINT" else str(tmp_path / value)
    with pytest.raises(UserError, match=said):
        parameters.check([path], {name: value})


def test_a_model_is_checked_before_any_kernel(tmp_path):
    path = write(tmp_path / "a.ipynb")
    assert parameters.check([path], {"MODEL": "majority"})[path] == {"MODEL": "majority"}
    with pytest.raises(UserError, match="majority"):
        parameters.check([path], {"MODEL": "majorty"})


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [
        ("None", "100", 100),
        ("None", "0.5", 0.5),
        ("None", "true", True),
        ("None", "None", None),
        ("None", "[1, 2]", [1, 2]),
        ("None", "books", "books"),
        ("[]", "1,2", [1, 2]),
        ("(1, 2)", "3", [3]),
        ("{'a': 1}", "{'a': 2}", {"a": 2}),
        ("'text'", "100", "100"),
    ],
)
def test_defaults_without_a_plain_type(tmp_path, default, text, value):
    path = write(tmp_path / "a.ipynb", parameters=f"LIMIT: object = {default}")
    chosen = parameters.check([path], {"LIMIT": text})[path]["LIMIT"]
    assert chosen == value
    assert type(chosen) is type(value)


@pytest.mark.parametrize("text", ["1e999", "{1, 2}", "b'x'", "[1e999]"])
def test_what_json_cannot_hold_is_refused(tmp_path, text):
    path = write(tmp_path / "a.ipynb", parameters="LIMIT = None")
    with pytest.raises(UserError, match="LIMIT must be a finite number or a plain value"):
        parameters.check([path], {"LIMIT": text})


def test_general_parameters_may_be_none(tmp_path):
    none = "DATA = None\nMODEL = None\nSEED = None\nTEXT_COLUMN = None"
    path = write(tmp_path / "a.ipynb", parameters=none)
    chosen = parameters.check([path], {"SEED": "5", "DATA": "reviews", "MODEL": "none"})[path]
    assert chosen == {"SEED": 5, "DATA": "reviews", "MODEL": None}
    with pytest.raises(UserError, match="SEED must lie between"):
        parameters.check([path], {"SEED": "soon"})


def test_one_name_has_the_type_of_each_notebook(tmp_path):
    whole, half = (
        write(tmp_path / f"{i}.ipynb", parameters=f"RATE = {d}") for i, d in enumerate((1, 0.5))
    )
    chosen = parameters.check([whole, half], {"RATE": "2"})
    assert (chosen[whole], chosen[half]) == ({"RATE": 2}, {"RATE": 2.0})
    assert [type(own["RATE"]) for own in chosen.values()] == [int, float]
