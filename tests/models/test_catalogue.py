import pickle

import numpy as np
import pytest
from gensim.models import KeyedVectors
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.utils import estimator_checks

from workbench import models
from workbench.errors import UserError

LIGHT = ["majority", "naive-bayes", "svm", "random-forest", "logistic", "perceptron", "mlp"]
NETWORKS = ["cnn", "rnn", "lstm", "gru"]


@pytest.mark.parametrize("name", LIGHT)
def test_every_light_model_learns_the_reviews(name, reviews):
    train, _, test = reviews
    model = models.build(name).fit(list(train["text"]), list(train["label"]))
    probabilities = model.predict_proba(list(test["text"]))
    assert probabilities.shape == (len(test), 2)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert set(model.classes_) == {"negative", "positive"}
    right = (model.predict(list(test["text"])) == test["label"].to_numpy()).mean()
    assert right == 0.5 if name == "majority" else right > 0.55


def test_models_are_scikit_learn_classifiers(reviews):
    train, _, _ = reviews
    model = clone(models.build("naive-bayes", alpha=0.1))
    scores = cross_val_score(model, train["text"].to_numpy(), train["label"].to_numpy(), cv=3)
    assert np.all(scores > 0.5)


def test_few_labels_are_enough_for_every_light_model(reviews):
    train, _, test = reviews
    few = train.groupby("label").head(8)
    for name in LIGHT[1:]:
        model = models.build(name).fit(list(few["text"]), list(few["label"]))
        assert model.predict_proba(list(test["text"])).shape == (len(test), 2)


@pytest.mark.parametrize("name", ["svm", "perceptron"])
def test_calibrating_never_turns_the_rule_round(name, reviews):
    train, _, test = reviews
    for seed in range(5):
        few = train.sample(40, random_state=seed)
        model = models.build(name, seed=seed).fit(list(few["text"]), list(few["label"]))
        fitted = model[-1].calibrated_classifiers_[0].estimator
        by_the_rule = model.classes_[fitted.predict(model[0].transform(list(test["text"])))]
        assert (model.predict(list(test["text"])) == by_the_rule).all()


@pytest.mark.parametrize("name", ["svm", "perceptron"])
def test_two_texts_of_a_class_are_enough_and_one_is_refused(name):
    texts = ["a good film", "a bad film", "good indeed", "bad indeed", "an odd film"]
    labels = ["good", "bad", "good", "bad", "odd"]
    model = models.build(name).fit(texts[:4], labels[:4])
    assert list(model.predict(["good", "bad"])) == ["good", "bad"]
    with pytest.raises(UserError, match="one text only"):
        models.build(name).fit(texts, labels)


@pytest.mark.parametrize("name", ["minilm", *models.names("adaptation")])
def test_settings_reach_the_estimator(name):
    assert models.build(name, seed=7).get_params()["seed"] == 7


def test_a_folder_is_a_model(checkpoint):
    folder = str(checkpoint("bert"))
    assert models.build(folder, epochs=1).get_params()["encoder"] == folder
    assert models.build("dapt", encoder=folder).encoder == folder


def test_unknown_models_and_settings_offer_the_nearest():
    with pytest.raises(UserError, match="did you mean 'logistic'"):
        models.build("logistics")
    with pytest.raises(UserError, match="did you mean 'epochs'"):
        models.build("minilm", epoch=3)
    with pytest.raises(UserError, match=r"There is no folder '\./nowhere'"):
        models.build("./nowhere")
    with pytest.raises(UserError, match="could not be fetched"):
        models.build("someone/some-model")


def test_the_table_lists_the_whole_catalogue():
    table = models.table()
    assert list(table.index) == models.names()
    assert "epochs" in table.loc["minilm", "settings"]
    assert models.names("baseline") == ["majority"]


def test_models_of_other_tasks_are_built_and_not_taken_for_classifiers_of_texts():
    others = models.names("sequence")
    assert {"tagger", "tagger-baseline", "seq2seq"} <= {*others}
    assert not {*others} & {*models.names()}
    assert list(models.table("sequence").index) == others
    for name in others:
        assert models.describe(models.build(name))["model"] == name
        with pytest.raises(UserError, match=f"There is no model '{name}'"):
            models.check(name)
    with pytest.raises(UserError, match="did you mean 'tagger'"):
        models.build("taggr")


@pytest.mark.parametrize("name", [*LIGHT, *NETWORKS])
def test_every_model_is_cloned_cross_validated_and_pickled(name, reviews):
    train, _, test = reviews
    texts = train["text"].to_numpy()[:200]
    labels = train["label"].to_numpy()[:200]
    model = clone(models.build(name, **({"epochs": 2} if name in NETWORKS else {})))
    assert len(cross_val_score(model, texts, labels, cv=2, error_score="raise")) == 2
    model.fit(list(texts), list(labels))
    again = pickle.loads(pickle.dumps(model))
    some = list(test["text"][:20])
    assert np.array_equal(again.predict_proba(some), model.predict_proba(some))


@pytest.mark.parametrize("name", [*models.names(), *models.names("sequence")])
def test_scikit_learn_s_own_checks_that_need_no_numbers(name):
    model = models.build(name)
    for check in (
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
        estimator_checks.check_no_attributes_set_in_init,
    ):
        check(name, model)


def test_pretrained_vectors_give_a_network_a_start(reviews, tmp_path):
    train, _, _ = reviews
    vectors = KeyedVectors(4)
    vectors.add_vectors(["good", "bad"], np.array([[1, 0, 0, 0], [0, 1, 0, 0]], np.float32))
    vectors.save_word2vec_format(tmp_path / "vectors.txt")
    for given in (vectors, str(tmp_path / "vectors.txt")):
        model = models.build("cnn", vectors=given, epochs=1, learning_rate=1e-12, hidden=4)
        model.fit(list(train["text"][:100]), list(train["label"][:100]))
        table = model._model.embeddings.weight.detach().numpy()
        assert np.allclose(table[2 + model._words.words.index("good")], [1, 0, 0, 0], atol=1e-6)
