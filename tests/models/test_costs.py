"""What a training costs: fits measured in a process of their own, and what is made of them."""

import random
import threading
import time

import numpy as np
import pandas as pd
import pytest

from workbench import models
from workbench.errors import UserError
from workbench.models import costs, encoders

TEXTS = ["a good film", "a bad film"] * 500
LABELS = ["good", "bad"] * 500


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(costs, "_trained", {})


@pytest.fixture
def measured(monkeypatch):
    """The jobs that were measured; each costs 2 s and 100 MiB."""
    jobs = []

    def measure(name, **job):
        jobs.append(name)
        return costs.Cost(2.0, 100.0)

    monkeypatch.setattr(costs, "_in_own_process", measure)
    return jobs


def points(monkeypatch, seconds):
    """What `_measure` makes of fits of `seconds(texts, epochs)`, and the sizes of the samples."""
    sizes = []

    def fit(model, sample):
        sizes.append(len(sample))
        return seconds(len(sample), getattr(model, "epochs", 1))

    monkeypatch.setattr(costs, "_fit", fit)
    codes = [0, 1] * 500

    def measure(name, **settings):
        sizes.clear()
        return costs._measure(name, settings, 10_000, TEXTS, codes)["seconds"]

    return measure, sizes


def test_texts_beyond_the_samples_are_on_a_line(monkeypatch):
    measure, sizes = points(monkeypatch, lambda n, epochs: 0.5 + 0.001 * n)
    assert measure("logistic") == pytest.approx(10.5)
    assert sorted(set(sizes)) == [16, 64, 256, 1000]
    assert costs._measure("logistic", {}, 1000, TEXTS, [0, 1] * 500)["seconds"] == 1.5


def test_epochs_of_an_encoder_beyond_two_are_extrapolated(monkeypatch):
    measure, sizes = points(monkeypatch, lambda n, epochs: 0.5 + 0.01 * n * epochs)
    for epochs in (0.5, 2, 6):
        assert measure("minilm", epochs=epochs) == pytest.approx(0.5 + 100 * epochs)
    assert set(sizes) == {16, 64}, "a fit that takes a second is enough"
    assert measure("cnn", epochs=6) == pytest.approx(0.5 + 600)
    assert measure("minilm", epochs=6, strategy="frozen") == pytest.approx(0.5 + 600)


def test_a_disturbed_fit_still_knows_that_texts_cost():
    assert costs._extrapolated([(16, 2.0), (64, 1.0)], 128) == 1.5
    assert costs._extrapolated([(20, 2.0)], 20) == 2.0


def test_a_sample_is_balanced_and_has_four_texts_of_a_class():
    rare = pd.DataFrame({"text": range(1000), "code": np.r_[np.zeros(994, int), [1] * 4, 2, 3]})
    assert dict(costs._sample(rare, 16)["code"].value_counts()) == {0: 12, 1: 4}
    twenty = pd.DataFrame({"text": range(1000), "code": np.arange(1000) % 20})
    assert (costs._sample(twenty, 16)["code"].value_counts() == 4).all()
    assert costs._sample(twenty, 256)["code"].nunique() == 20


def test_steps_of_a_sample_are_as_large_as_those_of_the_whole():
    model, times = costs._shortened(models.build("dapt", epochs=3), 10_000)
    assert model.batch_size == 32
    assert (model.epochs, model.pretraining_epochs, times) == (2, 2, 1.5)
    assert costs._shortened(models.build("cnn"), 100)[1] == 1


def test_every_estimate_is_measured_anew(measured):
    for _ in range(2):
        costs.estimate("logistic", TEXTS, LABELS)
    assert measured == ["logistic"] * 2


def test_other_programs_lengthen_no_estimate(monkeypatch):
    class Waits:
        def fit(self, texts, labels):
            time.sleep(0.5)

    sample = pd.DataFrame({"text": TEXTS[:4], "code": [0, 1] * 2})
    assert costs._fit(Waits(), sample) < 0.1, "waiting, as for a core, is no work"

    class Works:
        def fit(self, texts, labels):
            end = time.thread_time() + 0.2
            while time.thread_time() < end:
                pass

    assert 0.2 <= costs._fit(Works(), sample) < 0.3

    class Delegates(Works):
        def fit(self, texts, labels):
            work = super().fit
            threads = [threading.Thread(target=work, args=(texts, labels)) for _ in "ab"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    monkeypatch.setattr(costs.os, "cpu_count", lambda: 2)
    assert 0.2 <= costs._fit(Delegates(), sample) < 0.3, "two cores halve what two threads do"


def test_what_was_trained_corrects_what_is_estimated(measured):
    settings = {"strategy": "lora", "epochs": 2, "max_length": 64}
    before = costs.estimate("minilm", TEXTS, LABELS, **settings)
    trained = models.build("minilm", **settings, learning_rate=1e-3, seed=5)
    costs.observe("minilm", trained.get_params(deep=False), texts=100, seconds=3.0)
    cost = costs.estimate("minilm", TEXTS, LABELS, **settings)
    assert (cost.seconds, cost.memory) == (pytest.approx(3.0 * len(TEXTS) / 100), 100.0)
    assert (before.remark, cost.remark) == ("", "by a training here")
    half = costs.estimate("minilm", TEXTS[:500], LABELS[:500], **settings | {"epochs": 4})
    assert half.seconds == pytest.approx(cost.seconds), "half of the texts, twice the epochs"
    for other in ({"strategy": "full"}, {"max_length": 32}):
        assert costs.estimate("minilm", TEXTS, LABELS, **settings | other) == before, other
    costs.observe("minilm", {"strategy": "frozen"}, 100, 1.0)
    once = costs.estimate("minilm", TEXTS, LABELS, strategy="frozen", epochs=9)
    assert once.seconds == pytest.approx(len(TEXTS) / 100), "nothing frozen is passed over again"
    costs.observe("svm", {"C": 1.0, "seed": 3}, 500, 1.0)
    assert costs.estimate("svm", TEXTS, LABELS).seconds == pytest.approx(2.0)
    assert costs.estimate("svm", TEXTS, LABELS, C=2.0) == before


def test_an_encoder_that_is_not_here_is_scaled_by_its_sizes(measured, checkpoint, monkeypatch):
    folder = str(checkpoint("bert"))
    assert costs.estimate(folder, TEXTS).remark == ""
    monkeypatch.setattr(costs, "is_here", lambda name: name != folder)
    own, bundled = costs.parameters(folder), costs.parameters("minilm")
    assert bundled == (22_713_216, 22_713_216 - 11_917_824)
    for name, settings in ((folder, {}), ("coral", {"encoder": folder})):
        cost = costs.estimate(name, TEXTS, **settings)
        assert cost.seconds == pytest.approx(2 * own[1] / bundled[1])
        assert cost.memory == pytest.approx(100 * own[0] / bundled[0])
        assert cost.remark == "scaled from minilm"
    assert measured == [folder, "minilm", "coral"]


def test_parameters_are_those_of_the_loaded_model(checkpoint):
    for family in ("bert", "roberta", "gpt2"):
        folder = checkpoint(family)
        loaded = sum(p.numel() for p in encoders.load(folder).parameters())
        assert costs.parameters(str(folder))[0] == loaded, family


def test_a_measurement_that_fails_is_a_sentence(monkeypatch):
    with pytest.raises(UserError, match="did you mean 'epochs'"):
        costs.estimate("minilm", TEXTS, epoch=3)
    with pytest.raises(UserError, match="got str"):
        costs.estimate("svm", "a text")
    with pytest.raises(UserError, match="two texts at least"):
        costs.estimate("svm", ["one"])
    with pytest.raises(UserError, match="'svm' could not be measured: C must be a number above 0"):
        costs.estimate("svm", TEXTS, C=-1.0)
    monkeypatch.setattr(costs.sys, "executable", "/bin/false")
    with pytest.raises(UserError, match="its process ended with code 1"):
        costs.estimate("svm", TEXTS)


def test_where_a_model_is(checkpoint):
    assert costs.is_here("svm")
    assert costs.is_here("minilm")
    assert costs.is_here(str(checkpoint("bert")))
    assert not costs.is_here("someone/something")
    assert costs.download_size("someone/something") is None


@pytest.mark.parametrize("name", ["naive-bayes", "minilm"])
def test_an_estimate_is_near_the_truth(name, reviews):
    train, _, _ = reviews
    settings = {"epochs": 1, "max_length": 32} if name == "minilm" else {}
    rows = 200 if name == "minilm" else None
    texts, labels = list(train["text"][:rows]), list(train["label"][:rows])
    models.build(name, **settings).fit(texts[:16], labels[:16])
    state = random.getstate()
    cost = costs.estimate(name, texts, labels, **settings)
    assert random.getstate() == state
    took = []
    for _ in range(5 if name == "naive-bayes" else 1):  # a twentieth of a second is soon disturbed
        started = time.thread_time()
        models.build(name, **settings).fit(texts, labels)
        took.append(time.thread_time() - started)
    seconds = sorted(took)[len(took) // 2]
    assert cost.memory > (16 * 22.7 * 10**6 / 2**20 / 2 if name == "minilm" else 0)
    assert seconds / 4 < cost.seconds < seconds * 4
