"""Labels that a teacher gives to the target, and students that learn from them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.test_adaptation import TARGET
from tests.models.test_encoder_classifier import LABELS, TEXTS, untimed
from tests.training.test_resume import interrupt, interrupted_and_resumed  # noqa: F401
from workbench import models
from workbench.errors import UserError
from workbench.models import encoder_classifier
from workbench.models.adaptation import self_training

SHORT = {"epochs": 3, "learning_rate": 3e-3, "batch_size": 16, "max_length": 16}


@pytest.fixture(scope="module")
def folder(checkpoint):
    return str(checkpoint("bert"))


@given(st.integers(0, 100), st.integers(1, 40), st.integers(2, 4), st.floats(0, 1))
def test_the_surest_of_each_class_are_taken_in_balance(seed, rows, classes, share):
    given = np.random.default_rng(seed).dirichlet(np.ones(classes), rows)
    taken, labels = self_training.surest(given, share)
    each = max(1, int(share * rows / classes))
    assert (labels == given.argmax(1)[taken]).all()
    assert len({*taken}) == len(taken)
    for c in range(classes):
        of_class = np.flatnonzero(given.argmax(1) == c)
        mine = taken[labels == c]
        assert len(mine) == min(each, len(of_class))
        left = np.setdiff1d(of_class, mine)
        if len(left) and len(mine):
            assert given[left, c].max() <= given[mine, c].min()


def test_students_are_fresh_and_learn_from_more_with_each_stage(folder, monkeypatch):
    seen, fit = [], encoder_classifier.TextClassifier._fit

    def record(self, texts, codes, validation):
        seen.append((texts, list(codes)))
        return fit(self, texts, codes, validation)

    monkeypatch.setattr(encoder_classifier.TextClassifier, "_fit", record)
    model = models.build("self-training", encoder=folder, share=0.5, **SHORT)
    model.fit(TEXTS, LABELS, unlabeled=TARGET)
    source = len(TEXTS)
    assert len(seen[0][0]) == source
    assert len(seen) == 3
    for stage, (texts, codes) in enumerate(seen[1:], 1):
        assert texts[:source] == TEXTS
        assert codes[:source] == [model.classes_.tolist().index(label) for label in LABELS]
        assert {*texts[source:]} <= {*TARGET}
        assert np.bincount(codes[source:]).max() <= 0.5 * stage / 2 * len(TARGET) / 2
    monkeypatch.undo()
    student = models.build("source-only", encoder=folder, **SHORT)
    student.fit(seen[-1][0], model.classes_[seen[-1][1]])
    assert np.array_equal(student.predict_proba(TARGET), model.predict_proba(TARGET)), (
        "the last student is what its texts and labels alone make of it"
    )
    assert model.training_info_["pseudo_labels"] == len(seen[-1][0]) - source
    assert all(model.history_.column(name)[1] for name in ("stage1_loss", "stage2_loss", "loss"))


def test_several_teachers_of_other_seeds_label_the_target_together(folder, monkeypatch):
    said = []
    surest = self_training.surest
    monkeypatch.setattr(
        self_training, "surest", lambda p, share: said.append(p) or surest(p, share)
    )
    settings = {"encoder": folder, "stages": 1, **SHORT}
    model = models.build("self-training", teachers=2, seed=5, **settings)
    model.fit(TEXTS, LABELS, unlabeled=TARGET)
    alone = [
        models.build("source-only", encoder=folder, seed=seed, **SHORT).fit(TEXTS, LABELS)
        for seed in (5, 1005)
    ]
    assert np.allclose(said[0], np.mean([each.predict_proba(TARGET) for each in alone], axis=0))
    assert model.seed == 5
    assert all(model.history_.column(f"stage1_{i}_loss")[1] for i in (1, 2))


def test_another_encoder_teaches_and_its_probabilities_are_the_labels(
    folder, checkpoint, monkeypatch
):
    other, seen, fit = str(checkpoint("roberta")), [], encoder_classifier.TextClassifier._fit

    def record(self, texts, codes, validation):
        seen.append((self.encoder, self.strategy, texts, codes, self._soft))
        return fit(self, texts, codes, validation)

    monkeypatch.setattr(encoder_classifier.TextClassifier, "_fit", record)
    teacher = {"encoder": other, "strategy": "frozen"}
    model = models.build(
        "self-training", encoder=folder, teacher=other, teacher_strategy="frozen", soft=True,
        share=1.0, class_weight="balanced", **SHORT,
    )  # fmt: skip
    model.fit(TEXTS, LABELS, unlabeled=TARGET)
    monkeypatch.undo()
    assert [each[:2] for each in seen] == [(other, "frozen")] * 2 + [(folder, "full")]
    assert (model.encoder, model.strategy) == (folder, "full")
    assert "_soft" not in vars(model)
    labelled = models.build("source-only", class_weight="balanced", **teacher, **SHORT)
    said = labelled.fit(TEXTS, LABELS).predict_proba(TARGET)
    texts, codes, soft = seen[1][2:]
    assert np.array_equal(soft[:2], np.eye(2)), "a label of the source is its class alone"
    for text, code in list(zip(texts, codes, strict=True))[len(TEXTS) :]:
        assert np.allclose(soft[code], said[TARGET.index(text)])


def test_probabilities_that_are_sure_teach_as_their_classes_do(folder, monkeypatch):
    monkeypatch.setattr(
        self_training.SelfTraining,
        "_taught",
        lambda self, *_: np.eye(2)[np.arange(len(TARGET)) % 2],
    )
    found = [
        models.build("self-training", encoder=folder, stages=1, share=1.0, soft=soft, **SHORT)
        .fit(TEXTS, LABELS, unlabeled=TARGET, validation=(TEXTS, LABELS))
        for soft in (False, True)
    ]  # fmt: skip
    hard, soft = (each.predict_proba(TARGET) for each in found)
    assert np.allclose(hard, soft, atol=1e-3)
    lost = [each.history_.column("validation_loss")[1] for each in found]
    assert np.allclose(*lost, atol=1e-3)


@pytest.mark.parametrize("strategy", ["full", "frozen"])
def test_the_same_seed_gives_the_same_and_no_text_is_kept(folder, strategy):
    model = models.build("self-training", encoder=folder, strategy=strategy, **SHORT)
    first = untimed(model.fit(TEXTS, LABELS, unlabeled=TARGET).history_)
    expected = model.predict_proba(TARGET)
    again = model.fit(TEXTS, LABELS, unlabeled=TARGET)
    assert untimed(again.history_) == first
    assert np.array_equal(again.predict_proba(TARGET), expected)
    assert "_unlabeled" not in vars(model)


@pytest.mark.parametrize("steps", [7, 20])  # fifteen of the teacher, then more
def test_an_interrupted_fit_goes_on_to_the_same(folder, interrupt, tmp_path, steps):  # noqa: F811
    def make(**settings):
        return models.build("self-training", encoder=folder, stages=1, **SHORT, **settings)

    interrupted_and_resumed(make, interrupt, tmp_path / "run", steps, unlabeled=TARGET)


def test_only_its_own_stages_leave_a_folder_of_checkpoints(folder, tmp_path):
    (tmp_path / "stage plan").mkdir()
    model = models.build("self-training", encoder=folder, teachers=2, **SHORT)
    model.set_params(stages=1, epochs=1, checkpoints=str(tmp_path))
    model.fit(TEXTS, LABELS, unlabeled=TARGET)
    assert [path.name for path in tmp_path.iterdir()] == ["stage plan"]


def test_an_unknown_strategy_of_the_teacher_is_refused(folder):
    model = models.build("self-training", encoder=folder, teacher_strategy="frosen")
    with pytest.raises(UserError, match="'frosen'"):
        model.fit(TEXTS, LABELS, unlabeled=TARGET)


def test_text_of_the_target_is_needed(folder):
    with pytest.raises(UserError, match="unlabeled=texts of the target"):
        models.build("self-training", encoder=folder).fit(TEXTS, LABELS)
