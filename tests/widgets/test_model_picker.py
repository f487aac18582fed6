"""Choosing a model: the state, what the view says, what several views do to each other."""

import threading
import time

import pytest

from tests.widgets.helpers import controls, said
from workbench import models
from workbench.errors import UserError
from workbench.models import costs
from workbench.models.encoder_classifier import STRATEGIES
from workbench.widgets import attempt, model_view
from workbench.widgets.model_picker import ModelPicker

TEXTS = ["a good film", "a bad film"] * 10


@pytest.fixture(autouse=True)
def known_costs(monkeypatch):
    """Nothing is measured: every model costs two minutes, the bundled encoder 40."""

    def estimate(name, texts, labels=None, **settings):
        return costs.Cost(2400.0 if name == "minilm" else 120.0, 2000.0, "rough" * (name == "dapt"))

    monkeypatch.setattr(costs, "estimate", estimate)
    monkeypatch.setattr(costs, "_trained", {})


def test_zero_and_none_leave_a_setting_to_the_model():
    picker = ModelPicker("minilm", strategy="frozen", epochs=0.0, learning_rate=None, max_length=64)
    assert picker.value == {
        "model": "minilm", "strategy": "frozen", "epochs": None, "learning_rate": None,
        "max_length": 64, "seed": 0,
    }  # fmt: skip
    model = picker.build()
    assert (model.strategy, model.epochs, model.learning_rate) == ("frozen", None, None)
    assert (model.max_length, model.seed) == (64, 0)
    assert picker.build(epochs=2).epochs == 2


def test_only_what_the_model_takes_is_passed_on():
    picker = ModelPicker("svm", epochs=2, learning_rate=1e-3, seed=5)
    assert picker.settings() == {"seed": 5}
    assert picker.build() is not None
    picker.choose(model="perceptron")
    assert picker.settings() == {"epochs": 2, "seed": 5}
    assert isinstance(ModelPicker("mlp", epochs=2.0).settings()["epochs"], int)
    assert ModelPicker("cnn", epochs=2.5).build().epochs == 2.5


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"model": "minilmm"}, "did you mean 'minilm'"),
        ({"strategy": "froozen"}, "did you mean 'frozen'"),
        ({"epochs": -1}, "epochs must be a number above 0 and at most 10000, not -1"),
        ({"epochs": float("nan")}, "epochs must be a number above 0"),
        ({"learning_rate": -3}, "learning_rate must be a number above 0, not -3"),
        ({"seed": 2**32}, "seed must be a whole number"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"max_length": "long"}, "max_length must be a whole number"),
        ({"max_length": 64.5}, "max_length must be a whole number"),
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"model": "svm", "groups": ["pretrained"]}, "Valid: minilm"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(given, sentence):
    with pytest.raises(UserError, match=sentence):
        ModelPicker(**given)


def test_clicks_and_parameters_come_to_the_same():
    picker = ModelPicker(texts=TEXTS)
    shown = controls(picker.view())
    shown["Strategy"].value = "lora"
    shown["Epochs (0: default)"].value = 1.5
    shown["Learning rate"].value = 5e-5
    shown["Length (0: default)"].value = 32
    shown["Seed"].value = 7
    given = {"strategy": "lora", "epochs": 1.5, "learning_rate": 5e-5, "max_length": 32, "seed": 7}
    assert picker.value == ModelPicker(**given).value
    assert picker.build().get_params() == ModelPicker(**given).build().get_params()
    picker.wait()


def test_the_catalogue_is_grouped_and_can_be_restricted():
    shown = controls(ModelPicker(groups=["pretrained", "neural"]).view())
    labels = [label for label, _ in shown["Model"].options]
    assert labels[0] == "neural · perceptron"
    assert labels[-1] == "pretrained · multilingual"
    assert not any("classical" in label for label in labels)


def test_settings_that_a_model_has_not_are_disabled_and_kept():
    picker = ModelPicker(epochs=2)
    view = picker.view()
    shown = controls(view)
    assert not shown["Strategy"].disabled
    assert "all weights are trainable" in said(view)
    shown["Model"].value = "naive-bayes"
    assert all(
        shown[n].disabled for n in ("Strategy", "Epochs (0: default)", "Learning rate", "Seed")
    )
    assert "no strategy" in said(view)
    assert picker.value["epochs"] == 2
    shown["Model"].value = "minilm"
    assert not shown["Epochs (0: default)"].disabled
    assert shown["Epochs (0: default)"].value == 2


def test_a_rate_that_is_not_on_the_scale_can_be_chosen():
    shown = controls(ModelPicker(learning_rate=3.3e-4).view())
    assert shown["Learning rate"].value == 3.3e-4
    assert shown["Learning rate"].label == "0.00033"
    assert shown["Learning rate"].options[0] == ("default", 0.0)


def test_a_wrong_name_is_told_at_once_and_the_choice_stays():
    picker = ModelPicker()
    view = picker.view()
    controls(view)["Hub or folder"].value = "./<script>nowhere"
    assert picker.value["model"] == "minilm"
    assert "✗ There is no folder &#x27;./&lt;script&gt;nowhere&#x27;" in said(view)
    assert "<script>" not in said(view)


def test_a_folder_is_checked_and_chosen(checkpoint):
    folder, picker = str(checkpoint("bert")), ModelPicker()
    view = picker.view()
    controls(view)["Hub or folder"].value = folder
    assert picker.value["model"] == folder
    assert controls(view)["Model"].value == folder
    assert "can be used" in said(view)
    assert "0.0 M" in said(view)  # a tiny checkpoint
    assert picker.build().encoder == folder


def test_views_of_one_choice_agree():
    picker = ModelPicker()
    first, second = controls(picker.view()), controls(picker.view())
    first["Epochs (0: default)"].value = 4
    assert second["Epochs (0: default)"].value == 4
    second["Model"].value = "svm"
    assert first["Model"].value == "svm"


def test_the_estimate_comes_in_the_background():
    picker = ModelPicker(texts=TEXTS)
    view = picker.view()
    assert "press Measure" in said(view), "nobody has asked yet"
    controls(view)["Measure"].click()
    picker.wait()
    assert "about 40 min, 2.0 GiB" in said(view)
    assert picker.cost() == costs.Cost(2400.0, 2000.0)


def test_a_failed_estimate_is_a_sentence(monkeypatch):
    def fail(*args, **settings):
        raise RuntimeError("no <room>")

    monkeypatch.setattr(costs, "estimate", fail)
    picker = ModelPicker(texts=TEXTS)
    view = picker.view()
    controls(view)["Epochs (0: default)"].value = 4
    picker.wait()
    assert "RuntimeError: no &lt;room&gt;" in said(view)


def test_all_are_compared_on_demand():
    picker = ModelPicker(texts=TEXTS)
    view = picker.view()
    assert "domain" not in said(view)
    controls(view)["Compare all"].click()
    picker.wait()
    table = model_view.comparison(picker)
    assert table in said(view)
    assert all(name in table for name in picker.names())
    assert table.count("about 2 min") == len(picker.names()) - 1
    assert "(rough)" in table
    assert controls(ModelPicker().view())["Compare all"].disabled


def test_of_one_model_the_strategies_are_compared(monkeypatch):
    asked = []

    def estimate(name, texts, labels=None, **settings):
        asked.append((name, settings))
        return costs.Cost(60.0 * len(asked), 100.0)

    monkeypatch.setattr(costs, "estimate", estimate)
    monkeypatch.delitem(models.CATALOGUE, "multilingual")
    picker = ModelPicker(texts=TEXTS, groups=["pretrained"], epochs=2, max_length=64)
    view = picker.view()
    controls(view)["Compare all"].click()
    picker.wait()
    same = {"epochs": 2, "max_length": 64}
    assert asked == [("minilm", {"strategy": strategy} | same) for strategy in STRATEGIES]
    assert list(picker.compared()) == list(STRATEGIES)
    table = model_view.comparison(picker)
    assert all(about in table for about in STRATEGIES.values())
    assert "about 5 min" in said(view)
    picker.choose(epochs=3)
    assert "press Measure" in picker.compared()["full"], "of other epochs nothing is known"


def test_measure_measures_again(monkeypatch):
    times = iter([9.0, 7.0])
    monkeypatch.setattr(costs, "estimate", lambda *_, **__: costs.Cost(next(times), 100.0))
    picker = ModelPicker(texts=TEXTS)
    for seconds in (9.0, 7.0):
        picker.measure()
        picker.wait()
        assert picker.cost().seconds == seconds
    picker.measure(again=False)
    picker.wait()
    assert picker.cost().seconds == 7.0


def test_nothing_is_measured_beside_a_training(monkeypatch):
    picker, ended = ModelPicker(texts=TEXTS), threading.Event()
    view = picker.view()
    training = attempt.Attempt(1, lambda _: ended.wait)
    training.start()
    while training.waits:
        time.sleep(0.01)
    controls(view)["Measure"].click()
    picker.wait()
    assert "not measured beside a training: press Measure" in said(view)
    ended.set()
    training.join()
    controls(view)["Measure"].click()
    picker.wait()
    assert "about 40 min" in said(view)


def test_what_was_trained_here_corrects_the_estimate():
    picker = ModelPicker(texts=TEXTS, strategy="lora")
    picker.measure()
    picker.wait()
    costs.observe("minilm", picker.build().get_params(deep=False), len(TEXTS), 5.0)
    assert picker.cost() == costs.Cost(pytest.approx(5.0), 2000.0, "by a training here")


def test_a_number_out_of_range_is_said_and_the_choice_stays():
    picker = ModelPicker(epochs=2)
    view = picker.view()
    for label, bad in (("Epochs", -1), ("Epochs", 20000.0), ("Length", 40000), ("Length", -3)):
        control = controls(view)[f"{label} (0: default)"]
        before = control.value
        control.value = bad
        assert f"and at most {10000 if label == 'Epochs' else 32768}, not {bad}" in said(view)
        assert control.value == before
    controls(view)["Seed"].value = 2**32
    assert "seed must be a whole number" in said(view)
    assert picker.value == ModelPicker(epochs=2).value
    controls(view)["Seed"].value = 5
    assert "must be" not in said(view)


def test_a_grid_is_every_combination_that_the_model_takes():
    picker = ModelPicker("minilm", epochs=2, seed=3)
    assert picker.grid() == [{"model": "minilm", "strategy": "full", "epochs": 2, "seed": 3}]
    grid = picker.grid(strategy=["lora", "frozen"], learning_rate=[1e-4, None])
    assert [(g["strategy"], g.get("learning_rate")) for g in grid] == [
        ("lora", 1e-4), ("lora", None), ("frozen", None),
    ]  # fmt: skip
    assert [g.get("epochs") for g in grid] == [2, 2, None], "no rate matters to what is frozen"
    assert picker.value == ModelPicker("minilm", epochs=2, seed=3).value
    both = picker.grid(model=["svm", "minilm"], strategy=["full", "lora"])
    assert [g["model"] for g in both] == ["svm", "minilm", "minilm"], "an SVM has no strategy"
    for wrong, sentence in (
        ({"strategy": ["ful"]}, "did you mean 'full'"), ({"epochs": [1, -1]}, "not -1"),
        ({"learning": [1]}, "did you mean 'learning_rate'"), ({"model": ["svmm"]}, "mean 'svm'"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=sentence):
            picker.grid(**wrong)


def test_several_values_are_marked_in_every_view():
    picker = ModelPicker()
    first, second = controls(picker.view()), controls(picker.view())
    first["Strategies"].value = ("full", "lora")
    second["Learning rates"].value = (1e-4, 5e-5)
    assert second["Strategies"].value == ("full", "lora")
    assert len(picker.grid()) == 4
    assert "4 trainings" in "".join(line.value for line in first["said"])
    first["Strategies"].value = ()
    assert [g["learning_rate"] for g in picker.grid()] == [1e-4, 5e-5]
    assert {g["strategy"] for g in picker.grid()} == {"full"}


def test_the_still_picture_measures_nothing(monkeypatch):
    monkeypatch.setattr(costs, "estimate", None)
    shown = ModelPicker("minilm", texts=TEXTS, epochs=2).still()
    assert "22.7 M parameters; English; here" in shown["text/html"]
    assert "epochs 2, learning rate default, max length 128 (default), seed 0" in shown["text/html"]
    assert "measuring" not in shown["text/html"]
    assert shown["text/plain"] == "Model: model=minilm, strategy=full, epochs=2, seed=0"


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (None, "measuring…"),
        ("no texts", "no texts"),
        (costs.Cost(0.2, 8.06), "less than 1 s, 8.1 MiB"),
        (costs.Cost(89, 512.3), "about 89 s, 512 MiB"),
        (costs.Cost(5000, 1500, "scaled"), "about 83 min, 1.5 GiB (scaled)"),
        (costs.Cost(9000, 99999), "about 2.5 h, 97.7 GiB"),
    ],
)
def test_an_estimate_is_rounded(cost, words):
    assert model_view.in_words(cost) == words
