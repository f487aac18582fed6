"""What both pickers have in common: a choice that only they change, and that a new run keeps."""

import pytest
from traitlets import TraitError

from workbench.widgets import base, pickers
from workbench.widgets.data_picker import DataPicker
from workbench.widgets.model_picker import ModelPicker


@pytest.mark.parametrize("picker", [ModelPicker, DataPicker])
def test_a_change_of_the_value_that_was_given_out_changes_no_choice(picker):
    picker = picker()
    before = picker.value
    picker.value.clear()
    assert picker.value == before != {}
    with pytest.raises(TraitError, match="read-only"):
        picker.value = {}


@pytest.fixture
def run(monkeypatch):
    """Call something as a cell of a live notebook does that is run (again)."""
    now = {"count": 0, "cell": ""}
    monkeypatch.setattr(pickers, "_choices", {})
    monkeypatch.setattr(base, "running_cell", lambda: (now["cell"], str(now["count"])))

    def run(cell, code):
        now.update(cell=cell, count=now["count"] + 1)
        result = code()
        now["cell"] = ""
        return result

    return run


def test_a_cell_that_is_run_again_keeps_the_choice(run):
    first = run("a", lambda: DataPicker("reviews", seed=1))
    first.choose(source="reviews-zh")
    again = run("a", lambda: DataPicker("reviews", seed=2))
    assert again.value["source"] == again.requested["source"] == "reviews-zh"
    assert again.seed == 2, "what is no part of the choice comes from the arguments"
    again.choose(source="reviews")
    assert run("a", lambda: DataPicker("reviews")).value["source"] == "reviews"


def test_it_is_kept_for_models_too(run):
    run("m", lambda: ModelPicker("minilm", epochs=2)).choose(model="svm", epochs=5)
    kept = run("m", lambda: ModelPicker("minilm", epochs=2, texts=["new"])).value
    assert (kept["model"], kept["epochs"]) == ("svm", 5)


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("b", lambda: ModelPicker("minilm")),
        ("a", lambda: ModelPicker("cnn")),
        ("a", lambda: ModelPicker("minilm", epochs=4)),
        ("a", lambda: ModelPicker("minilm", groups=["pretrained"])),
        ("", lambda: ModelPicker("minilm")),
    ],
)
def test_another_cell_or_other_arguments_start_anew(run, cell, code):
    run("a", lambda: ModelPicker("minilm")).choose(model="svm")
    fresh = code().value
    assert run(cell, code).value == fresh
    assert fresh["model"] != "svm"


def test_an_argument_that_has_become_what_was_chosen_changes_nothing(run):
    """A cell below may write the choice into the variable from which the picker is made."""
    run("a", lambda: ModelPicker("minilm")).choose(model="cnn", epochs=7)
    assert run("a", lambda: ModelPicker("cnn")).value["epochs"] == 7
    assert run("a", lambda: ModelPicker("cnn")).value["epochs"] == 7


def test_two_pickers_of_one_cell_keep_a_choice_each(run):
    def both():
        return DataPicker("reviews"), DataPicker("reviews")

    run("a", both)[1].choose(source="reviews-zh")
    assert [picker.value["source"] for picker in run("a", both)] == ["reviews", "reviews-zh"]
