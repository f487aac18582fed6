"""What is saved and opened again is the same model."""

import json
import pickle
import shutil
import zipfile

import numpy as np
import pytest
from sklearn.base import clone

from tests.models.test_encoder_classifier import LABELS, TEXTS
from workbench import models, runs
from workbench.errors import UserError
from workbench.models import adaptation, saving
from workbench.models.encoder_classifier import STRATEGIES

UNLABELED = [text.replace("the", "my") for text in TEXTS]
LIGHT = ["majority", "naive-bayes", "svm", "random-forest", "logistic", "perceptron", "mlp"]
ON_VECTORS = [n for n in models.names("adaptation") if "vectors" in models.settings_of(n)]
FEW = {"epochs": 1, "batch_size": 16, "max_length": 16}


def saved(model, folder):
    """The model as it is opened again, after the check that it predicts the same."""
    model.save(folder)
    opened = models.open(folder)
    assert type(opened) is type(model)
    assert np.allclose(opened.predict_proba(TEXTS), model.predict_proba(TEXTS), atol=1e-6)
    assert opened.classes_.dtype == model.classes_.dtype
    return opened


@pytest.mark.parametrize("name", LIGHT)
def test_classical_models(name, tmp_path):
    model = models.build(name).fit(TEXTS, LABELS)
    opened = saved(model, tmp_path)
    assert np.array_equal(opened.predict_proba(TEXTS), model.predict_proba(TEXTS))
    assert models.describe(opened) == models.describe(model)
    if name in ("perceptron", "mlp"):
        assert opened.history_ == model.history_


@pytest.mark.parametrize("name", ["cnn", "rnn", "lstm", "gru"])
def test_networks(name, tmp_path):
    model = models.build(name, epochs=1, hidden=8, size=8).fit(TEXTS, [i % 3 for i in range(72)])
    opened = saved(model, tmp_path)
    assert opened.history_ == model.history_
    assert opened.training_info_ == model.training_info_
    assert opened.get_params() == model.get_params()
    again = clone(opened).fit(TEXTS, [i % 3 for i in range(72)])
    assert np.array_equal(again.predict_proba(TEXTS), model.predict_proba(TEXTS))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_of_an_encoder(strategy, checkpoint, tmp_path):
    encoder = shutil.copytree(checkpoint("bert"), tmp_path / "encoder")
    model = models.build(str(encoder), strategy=strategy, **FEW).fit(TEXTS, LABELS)
    expected = model.predict_proba(TEXTS)
    model.save(tmp_path / "saved")
    shutil.rmtree(encoder)  # a folder of somebody's own may vanish, or change
    opened = models.open(tmp_path / "saved")
    assert np.allclose(opened.predict_proba(TEXTS), expected, atol=1e-6)
    assert opened.strategy == strategy


@pytest.mark.parametrize("strategy", ["full", "frozen"])
@pytest.mark.parametrize("method", ["source-only", "dapt", "simcse"])
def test_adaptation(method, strategy, checkpoint, tmp_path):
    settings = {**FEW, "strategy": strategy}
    if method != "source-only":
        settings["pretraining_epochs"] = 1
    model = models.build(method, encoder=str(checkpoint("bert")), **settings)
    saved(model.fit(TEXTS, LABELS, unlabeled=UNLABELED), tmp_path)


@pytest.mark.parametrize("vectors", ["tfidf", "static", "frozen"])
@pytest.mark.parametrize("method", ON_VECTORS)
def test_adaptation_on_vectors(method, vectors, checkpoint, tmp_path):
    model = models.build(method, encoder=str(checkpoint("bert")), vectors=vectors, max_length=16)
    saved(model.fit(TEXTS, LABELS, unlabeled=UNLABELED), tmp_path)


def test_an_encoder_with_a_name_is_not_copied(tmp_path):
    for model in (models.build("minilm", strategy="frozen", max_length=16), adaptation.Coral()):
        more = {"unlabeled": UNLABELED} if isinstance(model, adaptation.Coral) else {}
        folder = tmp_path / type(model).__name__
        assert saved(model.fit(TEXTS, LABELS, **more), folder).encoder == "minilm"
        assert [file.name for file in folder.iterdir()] == ["model.skops"]


@pytest.mark.parametrize("labels", [[0, 1], [True, False], [1.0, 2.0], ["a", "b"]])
def test_classes_of_every_type(labels, tmp_path):
    saved(models.build("naive-bayes").fit(TEXTS, labels * 36), tmp_path / "bayes")
    saved(models.build("cnn", epochs=1).fit(TEXTS, labels * 36), tmp_path / "cnn")


def test_a_run_keeps_a_model_only_where_it_is_given(tmp_path):
    model = models.build("logistic").fit(TEXTS, LABELS)
    with_model = runs.load(runs.save("logistic", model=model, root=tmp_path))
    without = runs.load(runs.save("logistic", root=tmp_path))
    expected = model.predict_proba(TEXTS)
    for source in (with_model, with_model.path, str(with_model.path), with_model.path / "model"):
        assert np.array_equal(models.open(source).predict_proba(TEXTS), expected)
    for source in (without, tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=r"no saved model in .* train it again and save it"):
            models.open(source)


def test_a_model_is_described_by_what_builds_it(checkpoint):
    folder = str(checkpoint("bert"))
    for name, settings in [("svm", {"C": 2.0}), ("cnn", {"hidden": 8}), ("coral", {"encoder": "x"}),
                           ("dapt", {"mask": 0.3}), (folder, {"strategy": "frozen"}),
                           ("source-only", {"epochs": 1}), ("majority", {})]:  # fmt: skip
        described = models.describe(models.build(name, **settings))
        assert described["model"] == name
        assert {key: described[key] for key in settings} == settings
        assert set(described) == {"model", *models.settings_of(name)}
        assert models.describe(models.build(described.pop("model"), **described)) == described | {
            "model": name
        }
    assert models.describe(object()) == {}


# --- files from strangers -------------------------------------------------------------------------


class Harmful:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("code was run",))


def test_a_part_that_would_not_be_opened_is_not_saved(tmp_path):
    model = models.build("logistic").fit(TEXTS, LABELS)
    model.extra = Harmful()
    with pytest.raises(UserError, match=r"holds tests\S+Harmful cannot be saved"):
        model.save(tmp_path)
    with pytest.raises(UserError, match="no saved model"):
        models.open(tmp_path)


def test_no_code_of_a_file_is_run(tmp_path):
    from skops import io

    models.build("logistic").fit(TEXTS, LABELS).save(tmp_path)
    io.dump({"model": Harmful()}, tmp_path / saving.FILE)
    with pytest.raises(UserError, match=r"cannot be read: .*Harmful"):
        models.open(tmp_path)
    (tmp_path / saving.FILE).write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(UserError, match="cannot be read"):
        models.open(tmp_path)


def test_what_is_trusted_is_what_models_hold(tmp_path, checkpoint):
    """Nothing stands on the list for which no model needs it."""
    from skops import io

    few = {"epochs": 1, "max_length": 16}
    built = [models.build(name).fit(TEXTS, LABELS) for name in ("perceptron", "mlp")]
    built += [models.build("random-forest").fit(TEXTS, LABELS)]
    built += [models.build("cnn", epochs=1).fit(TEXTS, LABELS)]
    folder, encoder = tmp_path / "model", str(checkpoint("bert"))
    built += [models.build(encoder, **few).fit(TEXTS, LABELS)]
    built += [
        models.build(name, encoder=encoder, **settings).fit(TEXTS, LABELS, unlabeled=UNLABELED)
        for name in models.names("adaptation")
        for settings in [{} if name in ON_VECTORS else few]
    ]
    tags = [["B-A", *["O"] * (len(text.split()) - 1)] for text in TEXTS]
    built += [
        models.build(name, **settings).fit([text.split() for text in TEXTS], tags)
        for name, settings in (("tagger-baseline", {}), ("tagger", {"encoder": encoder, **few}))
    ]
    tasks = {"one": (TEXTS, LABELS), "other": (TEXTS, LABELS[::-1])}
    built += [models.build("multi-task", encoder=encoder, **few).fit(tasks)]
    built += [models.build("seq2seq", checkpoint="gru", size=16, epochs=1).fit(TEXTS, TEXTS)]
    needed = set()
    for model in built:
        model.save(folder)
        needed |= {*io.get_untrusted_types(file=folder / saving.FILE)}
    assert needed == {*saving.TRUSTED}


def test_saving_draws_no_progress_bar(tmp_path, checkpoint, capfd):
    """A notebook would keep it, as a widget."""
    from transformers import logging

    model = models.build(str(checkpoint("bert")), epochs=1, max_length=16).fit(TEXTS, LABELS)
    capfd.readouterr()
    logging.enable_progress_bar()
    try:
        model.save(tmp_path)
    finally:
        logging.disable_progress_bar()
    assert capfd.readouterr().err == ""


def test_a_damaged_model_is_told(tmp_path, checkpoint):
    models.build("cnn", epochs=1).fit(TEXTS, LABELS).save(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(UserError, match="cannot be read"):
        models.open(tmp_path)
    with zipfile.ZipFile(tmp_path / saving.FILE, "w") as file:
        file.writestr("schema.json", json.dumps({}))
    with pytest.raises(UserError, match="cannot be read"):
        models.open(tmp_path)
