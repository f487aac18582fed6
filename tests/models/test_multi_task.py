"""Several tasks on one encoder: the loss, the gradients, the draws, and what a person meets."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from torch.nn.functional import cross_entropy

from tests.models.test_encoder_classifier import LABELS, QUICK, TEXTS, untimed
from tests.training.test_resume import interrupt, interrupted_and_resumed  # noqa: F401
from workbench import evaluate, models
from workbench.errors import UserError
from workbench.models.adaptation import MultiTask
from workbench.training import multi_task, optimizers
from workbench.training.batches import Encoded, SeveralTasks, ShuffledByLength

SHORT = QUICK | {"epochs": 2}
KINDS = [
    {"great": "praise", "superb": "praise", "love": "feeling", "awful": "feeling"}
    .get(text.split()[-1], "blame") for text in TEXTS
]  # fmt: skip
FEW = slice(0, 36)
TASKS = {"verdict": (TEXTS, LABELS), "kind": (TEXTS[FEW], KINDS[FEW])}


@pytest.fixture(scope="module")
def folder(checkpoint):
    return str(checkpoint("bert"))


@pytest.fixture(scope="module")
def fitted(folder):
    return MultiTask(folder, **QUICK).fit(TASKS)


def batch(fitted, number: int = 12) -> dict:
    """Texts of both tasks in turn, with the numbers of their classes among the five of all."""
    rows = fitted._rows({name: (texts[:number], [0] * number)
                         for name, (texts, _) in TASKS.items()})  # fmt: skip
    found = rows.__getitems__(np.arange(2 * number).reshape(2, number).T.ravel())
    return found | {"labels": found["labels"] + torch.arange(2 * number) % 2}


def test_tasks_of_other_labels_and_sizes_are_learned_by_one_encoder(fitted):
    assert {name: classes.tolist() for name, classes in fitted.classes_.items()} == {
        "verdict": ["bad", "good"], "kind": ["blame", "feeling", "praise"],
    }  # fmt: skip
    assert (fitted.predict(TEXTS, task="verdict") == np.array(LABELS)).mean() > 0.95
    assert (fitted.predict(TEXTS, task="kind") == np.array(KINDS)).mean() > 0.6, "chance is 1/3"
    for name in TASKS:
        found = fitted.history_.column(f"{name}_loss")[1]
        assert np.mean(found[-5:]) < 0.9 * found[0], name
    assert fitted.training_info_["texts"] == len(TEXTS) + len(TEXTS[FEW])
    assert fitted.predict_proba(TEXTS[:3], task="kind").sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("weights", [[1.0, 1.0], [0.5, 3.0]])
def test_the_loss_is_the_weighted_sum_of_the_tasks_means(fitted, weights):
    factors = [1.5, 0.75]  # of a task that is drawn seldom, and of one that is drawn often
    sizes, given = [2, 3], batch(fitted)
    model = multi_task.Shared(fitted._model, sizes, np.array(weights), np.array(factors))
    labels, task = given.pop("labels"), given["task"]
    with torch.no_grad():
        loss = model.loss(model(**given), labels, len(labels))
        plain = fitted._model(input_ids=given["input_ids"], attention_mask=given["attention_mask"])
    expected = 0.0
    for number, (start, end) in enumerate([(0, 2), (2, 5)]):
        own = task == number
        lost = cross_entropy(plain.logits[own, start:end], labels[own] - start, reduction="mean")
        expected += weights[number] * factors[number] * lost * own.float().mean()
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_in_pieces_the_loss_adds_up_and_ignored_texts_count_for_nothing(fitted):
    given = batch(fitted)
    model = multi_task.Shared(fitted._model, [2, 3], np.ones(2), np.ones(2), uncertainty=True)
    model.log_variances.data = torch.tensor([0.3, -0.2])

    def loss(part, labels):
        with torch.no_grad():
            return float(model.loss(model(**part), labels, 24))

    labels = given.pop("labels")
    whole = loss(given, labels)
    halves = [{n: v[half] for n, v in given.items()} for half in (slice(12), slice(12, None))]
    parts = [loss(halves[0], labels[:12]), loss(halves[1], labels[12:])]
    assert whole == pytest.approx(sum(parts), rel=1e-5)
    ignored = torch.where(torch.arange(24) < 12, labels, -100)
    assert loss(given, ignored) == pytest.approx(parts[0], rel=1e-5)


def test_uncertainty_has_the_gradient_of_kendall(fitted):
    """Of exp(-s) L + s / 2: 1/2 - exp(-s) L by s, and exp(-s) times L's by the weights."""
    given = batch(fitted)
    labels, task = given.pop("labels"), given["task"]
    s = torch.tensor([0.7, -0.4])
    network = copy.deepcopy(fitted._model).eval()
    model = multi_task.Shared(network, [2, 3], np.ones(2), np.full(2, 2.0), uncertainty=True)
    model.log_variances.data = s.clone()
    model.loss(model(**given), labels, len(labels)).backward()
    gradient = network.classifier.weight.grad.clone()
    network.zero_grad()
    plain = multi_task.Shared(network, [2, 3], np.exp(-s.numpy()), np.full(2, 2.0))
    output = plain(**given)
    lost = cross_entropy(output.logits, labels, reduction="none")
    means = torch.stack([lost[task == number].mean() for number in (0, 1)])
    expected = 0.5 - torch.exp(-s) * means
    assert torch.allclose(model.log_variances.grad, expected, atol=1e-5)
    plain.loss(output, labels, len(labels)).backward()
    assert torch.allclose(gradient, network.classifier.weight.grad, atol=1e-6)


def test_a_head_has_gradients_from_its_own_task_and_the_encoder_from_both(fitted):
    given = batch(fitted)
    labels, rows, gradients = given.pop("labels"), [slice(0, 2), slice(2, 5)], []
    for number in (0, 1):
        network = copy.deepcopy(fitted._model).eval()
        model = multi_task.Shared(network, [2, 3], np.ones(2), np.ones(2))
        own = given["task"] == number
        model.loss(model(**{n: v[own] for n, v in given.items()}), labels[own], 12).backward()
        head = network.classifier
        for values in (head.weight.grad, head.bias.grad):
            assert values[rows[number]].abs().max() > 0
            assert values[rows[1 - number]].abs().max() == 0
        gradients.append(network.bert.encoder.layer[0].attention.self.query.weight.grad)
    assert all(each.abs().max() > 0 for each in gradients)
    assert not torch.allclose(*gradients)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_an_epoch_draws_from_a_task_as_its_size_to_the_power_of_alpha(alpha):
    sizes = np.array([900, 100, 24])
    task = np.repeat([0, 1, 2], sizes)
    rows = SeveralTasks(Encoded([np.ones(3, np.int32)] * 1024, 0, task), task, alpha)
    shares = sizes**alpha / (sizes**alpha).sum()
    assert rows.draws.sum() == len(rows)
    assert rows.draws / len(rows) == pytest.approx(shares, abs=1 / len(rows))
    sampler = ShuffledByLength(rows.length, 16, 0, rows.drawn)
    epochs = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        epochs.append(np.concatenate([*sampler]))
        assert (np.bincount(task[epochs[-1]]) == rows.draws).all()
        for number, drawn in enumerate(rows.draws):  # each text as often as the others, or so
            times = np.bincount(epochs[-1], minlength=1024)[task == number]
            assert {*times} <= {drawn // sizes[number], -(-drawn // sizes[number])}
    assert len(sampler) == len([*sampler])
    assert {*epochs[0]} != {*epochs[1]} or alpha == 1


def test_the_mean_loss_of_an_epoch_does_not_depend_on_what_is_drawn(folder):
    """The weights are those of the formula, whether a task is drawn often or seldom."""
    still = SHORT | {"epochs": 1, "learning_rate": 1e-12, "batch_size": 108, "optimizer": "sgd"}
    first = []
    for alpha in (0.0, 1.0):
        model = MultiTask(folder, alpha=alpha, task_weights={"verdict": 2, "kind": 1}, **still)
        row = model.fit(TASKS).history_[0]
        assert row["loss"] == pytest.approx(2 * row["verdict_loss"] + row["kind_loss"], rel=1e-3)
        first.append(row["loss"])
    assert first[0] == pytest.approx(first[1], rel=0.1)


def test_weights_by_size_equal_learned_and_given(folder):
    def weights(**settings):
        model = MultiTask(folder, **SHORT | {"epochs": 1}, **settings).fit(TASKS)
        return [model.training_info_["task_weights"][name] for name in TASKS]

    assert weights() == [1, 1]
    assert weights(task_weights="size") == pytest.approx([4 / 3, 2 / 3])
    assert weights(task_weights={"kind": 0.5, "verdict": 2}) == [2, 0.5]
    learned = weights(task_weights="uncertainty")
    assert all(weight != pytest.approx(1, abs=0.02) for weight in learned), "the rate is enough"


def test_only_log_variances_that_are_learned_move_and_at_a_rate_of_their_own(fitted, monkeypatch):
    from workbench.training import strategies

    for uncertainty in (False, True):
        model = multi_task.Shared(fitted._model, [2, 3], np.ones(2), np.ones(2), uncertainty)
        assert model.log_variances.requires_grad == uncertainty
        assert "log_variances" not in fitted._model.state_dict()
        rates = strategies.of_wrapped(strategies.layer_rates(fitted._model, 0.5), model,
                                      fitted._model)  # fmt: skip
        groups = optimizers.make(fitted, model.named_parameters(), 1e-4, rates).param_groups
        rate = {id(p): group["lr"] for group in groups for p in group["params"]}
        assert rate[id(model.log_variances)] == pytest.approx(1e-2)
        assert rate[id(fitted._model.bert.embeddings.word_embeddings.weight)] < 1e-4 / 4


def test_the_same_seed_gives_the_same(folder):
    model = MultiTask(folder, **SHORT, task_weights="uncertainty").fit(TASKS)
    again = clone(model).fit(TASKS)
    assert untimed(again.history_) == untimed(model.history_)
    assert np.array_equal(again.predict_proba(TEXTS, "kind"), model.predict_proba(TEXTS, "kind"))
    other = clone(model).set_params(seed=1).fit(TASKS)
    assert untimed(other.history_) != untimed(model.history_)


def test_a_task_is_a_classifier_of_its_own_on_the_same_encoder(fitted, tmp_path):
    one = fitted.for_task("kind")
    assert one.classes_.tolist() == ["blame", "feeling", "praise"]
    assert one._model.bert is fitted._model.bert
    assert fitted._model.config.num_labels == 5, "the shared model stays as it is"
    assert fitted._model.classifier.weight.shape == (5, 32)
    table = pd.DataFrame({"id": [*map(str, range(72))], "text": TEXTS, "label": KINDS})
    right = (fitted.predict(TEXTS, task="kind") == np.array(KINDS)).mean()
    assert evaluate.evaluate(one, table).metrics["accuracy"] == pytest.approx(right)
    one.save(tmp_path)
    expected = fitted.predict_proba(TEXTS, task="kind")
    assert np.allclose(models.open(tmp_path).predict_proba(TEXTS), expected, atol=1e-5)
    before = fitted.predict_proba(TEXTS, task="verdict")
    one.set_params(warm_start=True, epochs=1).fit(TEXTS, ["a", "b"] * 36)
    assert np.array_equal(fitted.predict_proba(TEXTS, task="verdict"), before)


def test_a_saved_pickled_and_opened_model_predicts_the_same(fitted, tmp_path):
    expected = fitted.predict_proba(TEXTS, task="kind")
    fitted.save(tmp_path)
    opened = models.open(tmp_path)
    assert models.describe(opened)["model"] == "multi-task"
    assert np.allclose(opened.predict_proba(TEXTS, task="kind"), expected, atol=1e-6)
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(TEXTS, task="kind"), expected)
    rates = {"warm_start": True, "learning_rate": 1e-12, "epochs": 1}
    further = opened.set_params(**rates).fit(TASKS)
    assert np.allclose(further.predict_proba(TEXTS, task="kind"), expected, atol=1e-5)


@pytest.mark.parametrize("family", ["roberta", "gpt2"])
def test_other_families_and_validation(checkpoint, family):
    model = models.build("multi-task", encoder=str(checkpoint(family)), **SHORT, patience=5)
    unseen = (["the oven .", *TEXTS[:2]], ["oven", *KINDS[:2]])
    model.fit(TASKS, validation={"verdict": (TEXTS[:5], LABELS[:5]), "kind": unseen})
    assert model.history_.column("validation_n")[1] == [7, 7]
    assert model.predict(TEXTS[:4], task="kind").shape == (4,)


def test_validation_is_scored_among_the_classes_of_each_task(folder):
    model = MultiTask(folder, **SHORT | {"epochs": 1})
    model.fit(TASKS, validation={name: (t, list(y)) for name, (t, y) in TASKS.items()})
    lost, right = [], []
    for name, (texts, labels) in TASKS.items():
        found = model.predict_proba(texts, task=name)
        code = np.searchsorted(model.classes_[name], labels)
        lost += [-np.log(found[np.arange(len(code)), code])]
        right += [found.argmax(1) == code]
    row = next(row for row in model.history_ if "validation_loss" in row)
    assert row["validation_loss"] == pytest.approx(np.concatenate(lost).mean(), rel=1e-2)
    assert row["validation_accuracy"] == pytest.approx(np.concatenate(right).mean(), abs=0.03)


@pytest.mark.parametrize("strategy", ["gradual", "lora"])
def test_other_strategies(folder, strategy):
    model = MultiTask(folder, strategy=strategy, **SHORT).fit(TASKS)
    assert model.predict(TEXTS[:4], task="kind").shape == (4,)


def test_an_interrupted_fit_goes_on_to_the_same(folder, interrupt, tmp_path):  # noqa: F811
    class Both(MultiTask):
        """So that the helper, which fits texts and labels, can compare."""

        def fit(self, texts, labels):
            return super().fit({"a": (texts, labels), "b": (texts[:20], KINDS[:20])})

        def predict_proba(self, texts):
            return super().predict_proba(texts, task="b")

    settings = SHORT | {"epochs": 3, "task_weights": "uncertainty"}
    interrupted_and_resumed(
        lambda **more: Both(folder, **settings, **more), interrupt, tmp_path / "run", 7
    )


def test_what_cannot_be_used_is_said_in_a_sentence(folder, fitted):
    model = MultiTask(folder, **SHORT)
    for tasks, message in (
        ((TEXTS, LABELS), "Tasks are a dict"),
        ({}, "Tasks are a dict"),
        ({"a": TEXTS}, "Task 'a' must be a pair"),
        ({"a": (TEXTS, LABELS), "b": ([], [])}, "Task 'b': Found 0 texts"),
        ({"a": (TEXTS, ["x"] * 72)}, "Task 'a': All texts have the label 'x'"),
        ({"a": (TEXTS, LABELS[:-1])}, "Task 'a': The texts and labels cannot be used"),
    ):
        with pytest.raises(UserError, match=message):
            model.fit(tasks)
    assert not hasattr(model, "classes_"), "a fit that fails leaves no trace"
    with pytest.raises(UserError, match="did you mean 'kind'"):
        fitted.predict(TEXTS, task="kinds")
    with pytest.raises(UserError, match="Task 'other': There is no task"):
        model.fit(TASKS, validation={"other": (TEXTS, LABELS)})
    for settings, message in (
        ({"task_weights": "sizes"}, "did you mean 'size'"),
        ({"task_weights": {"verdict": 1}}, "a number for each of verdict, kind"),
        ({"task_weights": {"verdict": 1, "kind": -1}}, "numbers of at least 0"),
        ({"label_smoothing": 0.1}, "without label_smoothing"),
        ({"strategy": "upper"}, "There is no strategy 'upper'"),
        ({"alpha": -1}, "alpha must be"),
    ):
        with pytest.raises(UserError, match=message):
            MultiTask(folder, **SHORT | settings).fit(TASKS)
