import pickle
import threading

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.linear_model import Perceptron as Reference
from sklearn.neural_network import MLPClassifier

from workbench import models
from workbench.models.classical import EarlyStoppingMLP, Perceptron
from workbench.models.vectors import MeanVectors
from workbench.training import history, stop_event


@pytest.fixture
def texts(reviews):
    train, _, test = reviews
    return [list(frame[c]) for frame in (train, test) for c in ("text", "label")]


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 90)
    return csr_matrix(rng.normal(size=(90, 5)) + 2 * np.eye(5)[y]), np.array(list("abc"))[y]


@pytest.mark.parametrize("classes", ["ab", "abc"])
def test_a_row_holds_rosenblatt_s_loss_and_the_accuracy(points, classes):
    x, y = points
    chosen = np.isin(y, list(classes))
    x, y = x[chosen], y[chosen]
    model = Perceptron(max_iter=7, tol=None, random_state=0).fit(x, y)
    assert [row["epoch"] for row in model.history_] == list(range(1, 8))
    last = model.history_[-1]
    assert last["step"] == last["steps"] == 7
    assert last["accuracy"] == model.score(x, y)
    rules = [1] if len(classes) == 2 else range(3)
    sums = model.decision_function(x).reshape(len(y), -1)
    losses = [max(0.0, -(1 if label == classes[k] else -1) * f)
              for label, row in zip(y, sums, strict=True)
              for k, f in zip(rules, row, strict=True)]  # fmt: skip
    assert last["loss"] == pytest.approx(np.mean(losses))
    assert clone(model).fit(x, y).history_ == model.history_
    assert model.fit(x, y).history_ == clone(model).fit(x, y).history_, "a second fit starts anew"


def test_one_epoch_is_scikit_learn_s_own(points):
    x, y = points
    order = np.random.default_rng(3).permutation(len(y))
    settings = {"max_iter": 1, "tol": None, "random_state": 3}
    ours, theirs = Perceptron(**settings).fit(x, y), Reference(**settings).fit(x[order], y[order])
    assert np.array_equal(ours.coef_, theirs.coef_)
    assert np.array_equal(ours.intercept_, theirs.intercept_)


def test_it_is_as_accurate_as_scikit_learn_s(texts):
    train, labels, test, wanted = texts
    scores = []
    for seed in range(5):
        ours = models.build("perceptron", seed=seed)
        theirs = clone(ours).set_params(
            calibratedclassifiercv__estimator=Reference(max_iter=20, tol=None, random_state=seed)
        )
        scores.append([model.fit(train, labels).score(test, wanted) for model in (ours, theirs)])
    ours, theirs = np.mean(scores, axis=0)
    assert abs(ours - theirs) < (theirs * (1 - theirs) / len(test)) ** 0.5, "one standard error"


def test_the_model_of_the_catalogue_shows_the_last_fit_alone(texts):
    heard = []
    with history.listening(heard.append):
        model = models.build("perceptron", epochs=3).fit(*texts[:2])
    assert [row["step"] for row in model.history_] == [1, 2, 3]
    assert heard[-3:] == model.history_, "who listens hears the three folds before"
    assert len(heard) == 12
    assert pickle.loads(pickle.dumps(model)).history_ == model.history_
    assert getattr(models.build("perceptron"), "history_", None) is None


def test_the_network_reports_each_epoch(points):
    x, y = points[0].toarray(), points[1]
    network = EarlyStoppingMLP(8, epochs=4).fit(x, y)
    assert network.history_.column("loss")[1] == network.network_.loss_curve_
    assert network.history_[-1]["steps"] == 4
    assert clone(network).fit(x, y).history_ == network.history_
    assert len(network.fit(x, y).history_) == 4, "a second fit starts anew"


def test_the_network_keeps_the_weights_of_the_best_epoch(points, monkeypatch):
    x, y = points[0].toarray(), points[1]
    scores, weights = iter([0.5, 0.75, *[0.5] * 20]), []

    def score(network, *_):
        weights.append(network.coefs_[0].copy())
        return next(scores)

    monkeypatch.setattr(MLPClassifier, "score", score)
    network = EarlyStoppingMLP(8).fit(x, y)
    assert len(network.history_) == 2 + 11, "eleven epochs without a better one end it"
    assert np.array_equal(network.network_.coefs_[0], weights[1])
    assert not np.array_equal(network.network_.coefs_[0], weights[-1])


def test_the_network_is_as_accurate_as_scikit_learn_s(texts):
    train, labels, test, classes = texts
    vectors = MeanVectors().fit(train)
    x, tested = vectors.transform(train), vectors.transform(test)
    scores = [
        [model.fit(x, labels).score(tested, classes)
         for model in (EarlyStoppingMLP(seed=seed), MLPClassifier((64,), alpha=1e-2, max_iter=100,
                                                         early_stopping=True, random_state=seed))]
        for seed in range(5)
    ]  # fmt: skip
    ours, theirs = np.mean(scores, axis=0)
    assert ours > theirs - 0.04, "two standard errors of 400 texts"


@pytest.mark.parametrize("name", ["perceptron", "mlp"])
def test_stopped_after_an_epoch_it_is_a_usable_model(name, texts):
    train, labels, test, wanted = texts
    stop = threading.Event()
    stop.set()
    with stop_event.stoppable(stop):
        model = models.build(name).fit(train, labels)
    assert len(model.history_) == 1
    assert model.predict_proba(test).shape == (len(test), 2)
    assert model.score(test, wanted) > 0.5
