"""What a training costs: the arithmetic on known rates, and two true calibrations."""

import json
import time

import pytest

from workbench import models
from workbench.data import text
from workbench.errors import UserError
from workbench.models import calibration, costs, encoders

RATES = {
    "fixed": 1.0, "once": 0.001, "each": 0.002, "memory": 5.0, "memory_each": 0.01, "busy": False,
}  # fmt: skip
TEXTS = ["one two three four five"] * 1000


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, on the disk and in memory."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(calibration, "_known", {})
    return tmp_path / "cache" / "costs.json"


@pytest.fixture
def measured(monkeypatch):
    """The kinds that were calibrated, each with the same rates."""
    asked = []

    def measure(kinds):
        for kind in kinds:
            asked.append(kind)
            yield kind, RATES

    monkeypatch.setattr(calibration, "_measured", measure)
    return asked


def test_words_and_epochs_are_paid_for(measured):
    cost = costs.estimate("logistic", TEXTS)
    assert cost.seconds == pytest.approx(1 + 5000 * 0.001)
    assert cost.memory == pytest.approx(5 + 5000 * 0.01)
    assert cost.measured
    assert costs.estimate("cnn", TEXTS, epochs=4).seconds == pytest.approx(1 + 5000 * 0.009)
    assert costs.estimate("cnn", TEXTS).seconds == pytest.approx(1 + 5000 * 0.021)
    cut = costs.estimate("cnn", TEXTS, epochs=4, max_length=2).seconds
    assert cut == pytest.approx(1 + 2000 * 0.009)
    assert costs.estimate("cnn", []).seconds == 1.0


def test_a_calibration_is_kept(measured, cache, monkeypatch):
    costs.estimate("logistic", TEXTS)
    costs.estimate("logistic", TEXTS[:10])
    assert measured == ["logistic"]
    monkeypatch.setattr(calibration, "_known", {})
    costs.estimate("logistic", TEXTS)
    assert measured == ["logistic"]
    (key,) = json.loads(cache.read_text())
    assert key.startswith("logistic; workbench 0.")
    assert "torch 2." in key
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    costs.estimate("logistic", TEXTS)
    assert measured == ["logistic"] * 2


def test_what_a_busy_machine_has_measured_serves_this_session_only(cache, monkeypatch):
    busy = RATES | {"busy": True}
    monkeypatch.setattr(calibration, "_measured", lambda kinds: ((k, busy) for k in kinds))
    assert costs.estimate("logistic", TEXTS).busy
    assert costs.estimate("dapt", TEXTS).busy
    assert json.loads(cache.read_text()) == {}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"logistic": {"fixed": null}}'])
def test_a_cache_that_cannot_be_read_is_no_error(measured, cache, content):
    cache.parent.mkdir()
    cache.write_text(content)
    assert costs.estimate("logistic", TEXTS).seconds == pytest.approx(6)


def test_a_cache_that_cannot_be_written_is_no_error(measured, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file" / "folder"))
    costs.estimate("logistic", TEXTS)
    costs.estimate("logistic", TEXTS)
    assert measured == ["logistic"]


def test_an_encoder_scales_by_its_layers(measured, checkpoint):
    folder = str(checkpoint("bert"))
    own, bundled = costs.shape(folder), costs.shape("minilm")
    assert (bundled.parameters, bundled.embeddings) == (22_713_216, 11_917_824)
    tiny, minilm = (costs.estimate(name, TEXTS) for name in (folder, "minilm"))
    share = own.layered / bundled.layered
    assert tiny.seconds - 1 == pytest.approx((minilm.seconds - 1) * share)
    assert (minilm.measured, tiny.measured) == (True, False)
    tokens = 1000 * len(encoders.tokenizer("minilm")(TEXTS[0])["input_ids"])
    assert minilm.seconds == pytest.approx(1 + tokens * 0.007)
    assert set(measured) == {"encoder full"}


def test_a_shape_is_that_of_the_loaded_model(checkpoint):
    for family in ("bert", "roberta", "gpt2"):
        folder = checkpoint(family)
        loaded = sum(p.numel() for p in encoders.load(folder).parameters())
        assert costs.shape(str(folder)).parameters == loaded, family


def test_memory_follows_what_moves(measured):
    costs_of = {
        s: costs.estimate("minilm", TEXTS, strategy=s, batch_size=32).memory
        for s in ("full", "lora", "frozen")
    }
    weights = 22_713_216 / 2**20
    assert costs_of["full"] > 16 * weights
    assert 4 * weights < costs_of["lora"] < costs_of["full"] - 11 * weights
    assert 4 * weights < costs_of["frozen"] < costs_of["full"] - 11 * weights
    longer = costs.estimate("minilm", TEXTS * 10, strategy="full").memory
    assert longer == pytest.approx(costs_of["full"])
    few = costs.estimate("minilm", TEXTS, strategy="full").memory
    assert few < longer, "batches are small where texts are few"


def test_methods_that_adapt_read_twice_the_texts(measured):
    frozen = costs.estimate("minilm", TEXTS, strategy="frozen", epochs=1).seconds - 1
    assert costs.estimate("coral", TEXTS).seconds - 1 == pytest.approx(frozen * 2 / 3, rel=0.01)
    dapt = costs.estimate("dapt", TEXTS, pretraining_epochs=0.0).seconds
    assert dapt == pytest.approx(costs.estimate("source-only", TEXTS).seconds)
    assert costs.estimate("dapt", TEXTS).seconds > 2 * dapt
    assert measured == ["encoder frozen", "encoder full"]


def test_names_come_as_they_can_be_estimated(measured):
    costs.estimate("svm", TEXTS)
    names = ["svm", "logistic", "minilm", "source-only"]
    assert list(calibration.calibrate(names)) == names
    assert measured == ["svm", "logistic", "encoder full"]


def test_a_failed_calibration_is_told(monkeypatch):
    monkeypatch.setattr(
        calibration, "_measured", lambda kinds: ((k, {"error": "boom"}) for k in kinds)
    )
    with pytest.raises(UserError, match="'svm' could not be measured: boom"):
        costs.estimate("svm", TEXTS)
    with pytest.raises(UserError, match="did you mean 'epochs'"):
        costs.estimate("minilm", TEXTS, epoch=3)


def test_a_process_that_dies_is_told(monkeypatch):
    monkeypatch.setattr(calibration.sys, "executable", "/bin/false")
    with pytest.raises(UserError, match="its process ended with code 1"):
        costs.estimate("svm", TEXTS)


def test_rates_come_from_differences(monkeypatch):
    """A fit of 2 s, 1 ms a word and 3 ms a word and epoch."""

    def fit(name, settings, sample):
        words = sum(min(128, len(text.tokenize(t))) for t in sample[0])
        return 2 + words * (0.001 + 0.003 * settings["epochs"]), 7 + 0.5 * words

    monkeypatch.setattr(calibration, "_fit", fit)
    rates = calibration._measure("cnn")
    expected = {"fixed": 2, "once": 0.001, "each": 0.003, "memory": 7, "memory_each": 0.5}
    assert {name: rates[name] for name in expected} == pytest.approx(expected)


def test_a_disturbed_calibration_still_knows_that_epochs_cost(monkeypatch):
    monkeypatch.setattr(calibration, "_fit", lambda name, settings, sample: (len(sample[0]), 1.0))
    rates = calibration._measure("cnn")
    assert rates["each"] > 0
    assert rates["once"] == 0


def test_where_a_model_is(checkpoint):
    assert costs.here("svm") == costs.here("minilm") == costs.Place(True)
    assert costs.here(str(checkpoint("bert"))) == costs.Place(True)
    assert costs.here("someone/something") == costs.Place(False, None)


@pytest.mark.parametrize("name", ["naive-bayes", "minilm"])
def test_a_true_calibration_is_near_the_truth(name, reviews, cache):
    train, _, _ = reviews
    settings = {"epochs": 1, "max_length": 32} if name == "minilm" else {}
    texts, labels = list(train["text"][:200]), list(train["label"][:200])
    cost = costs.estimate(name, texts, **settings)
    models.build(name, **settings).fit(texts[:16], labels[:16])
    began, waited, took = time.perf_counter(), calibration._waited(), []
    for _ in range(5 if name == "naive-bayes" else 1):  # a twentieth of a second is soon disturbed
        started = time.perf_counter()
        models.build(name, **settings).fit(texts, labels)
        took.append(time.perf_counter() - started)
    everything, seconds = time.perf_counter() - began, sorted(took)[len(took) // 2]
    if cost.busy or calibration._waited() - waited > calibration.BUSY * everything:
        pytest.skip("other programs were at work: times mean nothing")
    assert seconds / 4 < cost.seconds < seconds * 4
    assert cost.memory > 0
    assert len(json.loads(cache.read_text())) == 1
