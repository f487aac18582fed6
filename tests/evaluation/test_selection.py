from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from skada import metrics
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression

from workbench import evaluate, models
from workbench.errors import DataWarning, UserError
from workbench.evaluation import selection

LABEL_FREE = ["source_dev", "importance_weighted", "entropy", "information", "density"]


class World:
    """Two domains of texts that name places: in the source the first axis tells the class, nine
    times in ten, and in the target, which lies elsewhere, a line that leans.
    """

    def __init__(self, n=300):
        draw = np.random.default_rng(0)
        self.source, self.target = draw.normal(size=(2, n, 2)) * [1.5, 1]
        self.target += [0.4, 2]
        noise = draw.random((2, n)) < 0.1
        self.labels = np.array(["bad", "good"])[(self.source[:, 0] > 0) ^ noise[0] * 1]
        self.truth = np.array(["bad", "good"])[(self.leaning(self.target) > 0) ^ noise[1] * 1]
        self.texts, self.target_texts = ([f"{d} {i}" for i in range(n)] for d in ("home", "abroad"))
        places = [*self.source, *self.target]
        self.place = dict(zip(self.texts + self.target_texts, places, strict=True))

    @staticmethod
    def leaning(place):
        return place @ [1, 0.5] - 1

    def scores(self, fitted, **more):
        given = (self.texts, self.labels), self.target_texts, [self.source, self.target]
        return selection.scores(fitted, *given, **more)


@dataclass
class Rule:
    """Says "good" as surely as `abroad` says of a place of the target, and `home` of the source."""

    world: World
    abroad: callable
    home: callable = lambda place: 2 * place[0]
    classes_: tuple = ("bad", "good")

    def predict_proba(self, texts):
        margins = [getattr(self, t.split()[0])(self.world.place[t]) for t in texts]
        p = np.clip(1 / (1 + np.exp(-np.array(margins, float))), 1e-9, 1 - 1e-9)
        return np.column_stack([1 - p, p])


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def rules(world):
    return {
        "source-only": Rule(world, lambda place: 2 * place[0]),
        "adapted": Rule(world, lambda place: 8 * world.leaning(place)),
        "one class": Rule(world, lambda place: 50),
        "one class everywhere": Rule(world, lambda place: 50, lambda place: 50),
        "one class, hardly": Rule(world, lambda place: 0.01),
        "turned round": Rule(world, lambda place: -50 * place[0]),
        "another line": Rule(world, lambda place: 50 * (place[1] - 2)),
        "forgetful": Rule(world, lambda place: 8 * world.leaning(place), lambda place: place[1]),
    }


@pytest.fixture(scope="module")
def table(world, rules):
    return world.scores(rules, oracle=world.truth)


def test_the_model_that_adapted_is_chosen(table):
    assert table["oracle"].idxmax() in ("adapted", "forgetful")
    for scorer in ("entropy", "information"):
        assert selection.choose(table, scorer) == "adapted"


@pytest.mark.parametrize("scorer", LABEL_FREE)
def test_what_has_fallen_for_one_class_is_never_chosen(table, scorer):
    wrong = [name for name in table.index if name not in ("source-only", "adapted")]
    assert selection.choose(table.drop("adapted"), scorer) == "source-only"
    assert not selection.allowed(table)[wrong].any()


def test_the_plain_scores_would_choose_it(table):
    """Or the test before would hold for any rule."""
    assert table["entropy"].idxmax().startswith("one class")
    assert table["density"].idxmax().startswith("one class")
    assert table["information"].idxmax() in ("turned round", "another line")
    assert table.loc["one class", "source_dev"] == table.loc["source-only", "source_dev"]
    assert table.loc["one class", "balance"] == 0


def test_each_guard_is_needed(table):
    low = table.loc["source-only", "source_low"]
    assert table.loc["forgetful", "source_dev"] < low
    assert table.loc["forgetful", ["balance", "agreement"]].min() > low
    assert table.loc["turned round", ["source_dev", "balance"]].min() > low
    assert table.loc["turned round", "agreement"] == 0
    assert table.loc["another line", "agreement"] == pytest.approx(0.5, abs=0.1)
    # Where nine in ten are of one class, a model of that class only agrees often.
    rare = table.loc[["source-only", "one class"]].assign(agreement=[1, 0.9])
    assert selection.allowed(rare).tolist() == [True, False]


def test_what_the_rule_cannot_see_costs_no_more_than_it_says(world, rules):
    """As good at home, surer abroad, and wrong in a corner that is small enough."""
    corner = Rule(world, lambda place: 50 * place[0] * (1 if place[0] < 2.4 else -1))
    table = world.scores(
        {"source-only": rules["source-only"], "corner": corner}, oracle=world.truth
    )
    assert selection.choose(table, "entropy") == "corner"
    lost = table.loc["source-only", "oracle"] - table.loc["corner", "oracle"]
    differs = 1 - table.loc["corner", "agreement"]
    assert 0.03 < lost <= differs <= 2 * (1 - table.loc["source-only", "source_low"])


def test_nothing_but_the_oracle_reads_the_labels_of_the_target(world, rules, table):
    betraying = world.scores(rules, oracle=np.where(world.truth == "good", "bad", "good"))
    assert betraying["oracle"].tolist() == pytest.approx((1 - table["oracle"]).tolist())
    assert betraying.drop(columns="oracle").equals(table.drop(columns="oracle"))
    assert world.scores(rules).equals(table.drop(columns="oracle"))
    assert selection.choose(table, "oracle") == table["oracle"].idxmax()


def test_the_baseline_stays_where_nothing_is_better(table):
    alone = table.loc[["source-only"]]
    assert all(selection.choose(alone, scorer) == "source-only" for scorer in LABEL_FREE)
    ahead = table.loc["adapted", "entropy"] - table.loc["source-only", "entropy"]
    assert selection.choose(table, "entropy", margin=ahead + 1e-9) == "source-only"
    assert selection.choose(table, "entropy", margin=ahead - 1e-9) == "adapted"
    assert selection.choose(table, "entropy", baseline="adapted") == "adapted"


def test_scores_of_probabilities_equal_their_formulas(world, rules, table):
    """With logits that suit the labels of the source, the temperature of calibration is 1."""
    home, p = (rules["adapted"].predict_proba(t) for t in (world.texts, world.target_texts))
    logits = [np.log(each[:, 1] / each[:, 0])[:, None] for each in (home, p)]
    fit = LogisticRegression(C=np.inf, fit_intercept=False).fit(logits[0], world.labels)
    q = fit.predict_proba(logits[1])
    found, entropy = table.loc["adapted"], stats.entropy(q, axis=1).mean()
    assert found["entropy"] == pytest.approx(-entropy, abs=1e-4)
    assert found["information"] == pytest.approx(stats.entropy(q.mean(axis=0)) - entropy, abs=1e-4)
    theirs = metrics.PredictionEntropyScorer()  # which divides by the number of classes
    assert found["entropy"] == pytest.approx(2 * by_skada(theirs, q), abs=1e-4)
    unit = p / np.linalg.norm(p, axis=1, keepdims=True)
    similar = np.exp(unit @ unit.T / 0.05)
    np.fill_diagonal(similar, 0)  # eq. 2 of Saito et al.: of the others
    density = stats.entropy(similar / similar.sum(axis=1, keepdims=True), axis=1).mean()
    assert found["density"] == pytest.approx(density, rel=1e-5)


def by_skada(scorer, p):
    known, y = SimpleNamespace(predict_proba=lambda X, **_: X), np.full(len(p), -1)
    return scorer(known, p, y, sample_domain=y)


def test_to_be_surer_of_everything_is_no_merit(world, rules):
    """Raw entropies would choose it."""
    loud = Rule(world, *2 * [lambda place: 4 * place[0]])
    table = world.scores({"source-only": rules["source-only"], "loud": loud})
    raw = [stats.entropy(model.predict_proba(world.target_texts), axis=1).mean()
           for model in (loud, rules["source-only"])]  # fmt: skip
    assert raw[0] < 0.7 * raw[1]
    for scorer in ("entropy", "information"):
        assert np.ptp(table[scorer]) < 1e-3
        assert selection.choose(table, scorer, margin=1e-3) == "source-only"


def test_accuracies_and_intervals_are_those_of_an_evaluation(world, rules, table):
    predicted = np.array(["bad", "good"])[rules["forgetful"].predict_proba(world.texts).argmax(1)]
    hits = int(np.sum(predicted == world.labels))
    assert table.loc["forgetful", "source_dev"] == hits / 300
    assert table.loc["forgetful", "source_low"] == evaluate.wilson(hits, 300)[0]


def test_weights_turn_accuracy_in_the_source_into_that_in_the_target():
    """The model is right above 0 and, elsewhere, one time in five."""
    draw, n = np.random.default_rng(0), 2000
    source, target = draw.normal(size=(2, n, 1))
    labels, texts = draw.choice(["bad", "good"], n), [f"home {i}" for i in range(n)]
    right = (source[:, 0] > 0) | (draw.random(n) < 0.2)
    places = {
        text: 1 if good else -1
        for text, good in zip(texts, right == (labels == "good"), strict=True)
    }
    model = SimpleNamespace(classes_=["bad", "good"])
    model.predict_proba = lambda some: np.array(
        [[places.get(t, 1) < 0, places.get(t, 1) > 0] for t in some]
    )
    others = [f"abroad {i}" for i in range(n)]
    row = selection.scores(
        {"source-only": model}, (texts, labels), others, [source, target + 1]
    ).iloc[0]
    assert row["source_dev"] == right.mean() == pytest.approx(0.6, abs=0.03)
    assert row["importance_weighted"] == pytest.approx(0.2 + 0.8 * stats.norm.cdf(1), abs=0.03)


@dataclass
class Learner(BaseEstimator):
    """Logistic regression over the places of texts, or over places where skada gives it some."""

    world: World = None
    C: float = 1.0

    def fit(self, X, y, sample_domain=None, unlabeled=None):
        self.saw_ = unlabeled
        own = slice(None) if sample_domain is None else sample_domain > 0
        self.head_ = LogisticRegression(C=self.C).fit(self._places(X)[own], np.asarray(y)[own])
        self.classes_ = self.head_.classes_
        return self

    def predict(self, X, sample_domain=None):
        return self.head_.predict(self._places(X))

    def predict_proba(self, X, sample_domain=None):
        return self.head_.predict_proba(self._places(X))

    def _places(self, X):
        return X if self.world is None else np.stack([self.world.place[t] for t in X])


@pytest.mark.filterwarnings("ignore:The predicted target")
def test_circular_validation_is_that_of_skada(world):
    fitted = {"source-only": Learner(world), "timid": Learner(world, 1e-4)}
    half = np.arange(300) % 2 == 0
    for model in fitted.values():
        model.fit([t for t, own in zip(world.texts, half, strict=True) if own], world.labels[half])
    found = world.scores(fitted, circular=True)["circular"]
    X, domain = np.vstack([world.source, world.target]), np.repeat([1, -1], 300)
    for name, model in fitted.items():
        theirs = Learner(None, model.C).fit(world.source[half], (world.labels == "good")[half] * 1)
        y = np.r_[(world.labels == "good") * 1, np.full(300, -1)]
        expected = metrics.CircularValidation()(theirs, X, y, sample_domain=domain)
        assert found[name] == pytest.approx(expected)
    assert fitted["timid"].saw_ is None, "the model itself is not trained again"


def test_a_clone_that_adapts_is_given_the_source_without_labels(world):
    seen = []

    class Adapting(Learner):
        def fit(self, X, y, unlabeled=None):
            seen.append((list(X), set(y), unlabeled))
            return super().fit(X, y)

    model = Adapting(world).fit(world.texts, world.labels)
    world.scores({"source-only": model}, circular=True)
    assert seen[1:] == [(world.target_texts, {"bad", "good"}, world.texts)]


def test_models_of_the_catalogue_are_compared_by_words():
    draw = np.random.default_rng(0)
    signs = {"good": ["fine", "superb"], "bad": ["poor", "awful"]}

    def texts(n, noun):
        labels = draw.choice(["bad", "good"], n)
        return [
            f"{draw.choice(signs[label])} {noun} {draw.integers(99)}" for label in labels
        ], labels

    learn, held_out, (target, truth) = texts(60, "film"), texts(40, "film"), texts(50, "pan")
    fitted = {
        name: models.build(name).fit(*learn) for name in ("majority", "naive-bayes", "logistic")
    }
    table = selection.scores(
        fitted, held_out, target, circular=True, oracle=truth, baseline="majority"
    )
    assert table.loc["logistic", ["source_dev", "oracle", "circular", "balance"]].min() > 0.9
    assert table.loc["majority", "balance"] == 0
    assert np.isfinite(table.to_numpy()).all()


def test_too_few_texts_to_tell_domains_apart_weigh_the_same(world, rules):
    few = world.texts[:9], world.labels[:9]
    with pytest.warns(DataWarning, match="fewer than 10 texts: importance_weighted is source_dev"):
        found = selection.scores(rules, few, world.target_texts)
    assert found["importance_weighted"].equals(found["source_dev"].rename("importance_weighted"))


def test_what_cannot_be_chosen_is_refused(world, rules, table):
    with pytest.raises(UserError, match="There is no model 'source-only'"):
        world.scores({"other": rules["adapted"]})
    with pytest.raises(UserError, match="There is no scorer 'circular'"):
        selection.choose(table, "circular")
    with pytest.raises(UserError, match="two classes are needed"):
        selection.scores(rules, (world.texts, ["good"] * 300), world.target_texts)
    with pytest.raises(UserError, match="inconsistent numbers"):
        world.scores(rules, oracle=world.truth[1:])
