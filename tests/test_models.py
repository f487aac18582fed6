import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

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


@pytest.mark.parametrize("name", ["minilm", "source-only", "coral", "dapt"])
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
