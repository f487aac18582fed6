"""Methods on vectors: their formulas, planted shifts that they undo, and what they refuse.

Where numbers are planted, a text is its vector, written out.
"""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment
from sklearn.base import clone
from sklearn.covariance import shrunk_covariance
from sklearn.feature_selection import f_classif
from sklearn.linear_model import LogisticRegression

from workbench import models
from workbench.errors import DataWarning, UserError
from workbench.evaluation import explain
from workbench.models.adaptation import features

METHODS = [n for n in models.names("adaptation") if "vectors" in models.settings_of(n)]
MOVING = [n for n in METHODS if n not in ("feature-selection", "importance-weighting")]


def draw(n=200, width=5, seed=0, spread=None, centre=0.0):
    random = np.random.default_rng(seed)
    spread = np.eye(width) if spread is None else spread
    return random.normal(size=(n, width)) @ spread + centre


MIXED = np.random.default_rng(7).normal(size=(5, 5))
SOURCE, TARGET = draw(), draw(seed=1, spread=MIXED, centre=3.0)
CODES = (SOURCE[:, 0] > 0).astype(int)


def adapted(method, source=SOURCE, target=TARGET, codes=CODES, **settings):
    """The source and the target as the classifier sees them: each domain is centred before."""
    source, target = source - source.mean(0), target - target.mean(0)
    moved, last = models.build(method, **settings)._adapted(source, codes, target)
    return moved, target if last == "passthrough" else last.transform(target)


@pytest.fixture
def numbers(monkeypatch):
    """Texts are numbers, which are their vectors."""
    monkeypatch.setattr(
        features.VectorAdaptation, "_read",
        lambda self, texts: np.array([text.split() for text in texts], float),
    )  # fmt: skip
    return lambda vectors: [" ".join(map(repr, map(float, row))) for row in vectors]


# --- formulas -------------------------------------------------------------------------------------


def test_coral_is_the_paper_s_formula():
    for regularization in (0.0, 0.1):
        moved, _ = adapted("coral", regularization=regularization)
        own, theirs = (
            shrunk_covariance(np.cov(each.T, bias=True), regularization)
            for each in (SOURCE, TARGET)
        )
        expected = (SOURCE - SOURCE.mean(0)) @ np.linalg.inv(sqrtm(own)) @ sqrtm(theirs)
        assert np.abs(moved - expected).max() < 1e-8
    assert np.abs(np.cov(adapted("coral", regularization=0)[0].T) - np.cov(TARGET.T)).max() < 1e-8


def test_subspaces_are_aligned_as_in_the_paper():
    moved, target = adapted("subspace-alignment", components=3)
    own, theirs = (np.linalg.svd(x - x.mean(0))[2][:3].T for x in (SOURCE, TARGET))
    similar = (
        (SOURCE - SOURCE.mean(0)) @ own @ own.T @ theirs @ theirs.T @ (TARGET - TARGET.mean(0)).T
    )
    assert np.abs(moved @ target.T - similar).max() < 1e-8  # whichever way the directions point


def test_transport_costs_as_little_as_it_can():
    moved, target = adapted("optimal-transport", plan="exact")
    centred = SOURCE - SOURCE.mean(0)
    costs = ((centred[:, None] - target) ** 2).sum(axis=2)
    rows, columns = linear_sum_assignment(costs)
    assert np.abs(moved - target[columns]).max() < 1e-8
    assert ((moved - centred) ** 2).sum() == pytest.approx(costs[rows, columns].sum())
    assert costs[rows, columns].sum() < np.trace(costs), "less than in the order that they have"


def test_the_linear_plan_reaches_the_target_s_covariance_by_less_than_coral():
    moved, target = adapted("optimal-transport")
    recoloured, *_ = adapted("coral", regularization=0)
    assert np.abs(np.cov(moved.T) - np.cov(target.T)).max() < 0.02
    by_transport, by_coral = (
        ((m - SOURCE + SOURCE.mean(0)) ** 2).sum() for m in (moved, recoloured)
    )
    assert by_transport < by_coral


def test_weights_are_the_ratio_of_the_densities():
    source, target = draw(4000, 1), draw(4000, 1, seed=1, centre=1.0)
    weights = models.build("importance-weighting", power=1.0)._weights(source, target)
    assert weights.min() > 0
    assert weights.mean() == pytest.approx(1)
    # Of normal distributions whose means are 1 apart the logarithm is x and a constant.
    slope, _ = np.polyfit(source[:, 0], np.log(weights), 1)
    assert slope == pytest.approx(1, abs=0.1)
    assert np.average(source[:, 0], weights=weights) == pytest.approx(1, abs=0.15)
    assert np.ptp(models.build("importance-weighting", power=0.0)._weights(source, target)) == 0


def test_features_are_scored_by_their_share_of_the_variance():
    vectors = np.maximum(0, SOURCE - 0.5) * [1, 1, 0, 1, 1]
    groups = np.arange(200) % 3
    ratio = np.nan_to_num(f_classif(vectors[:, [0, 1, 3, 4]], groups)[0])
    expected = np.insert(ratio * 2 / (ratio * 2 + 197), 2, 0)
    assert features._between(vectors, groups) == pytest.approx(expected, abs=1e-12)
    from scipy import sparse

    assert features._between(sparse.csr_matrix(vectors), groups) == pytest.approx(expected)


def test_selection_keeps_what_the_domains_share_and_the_classes_do_not():
    source, target = SOURCE * [1, 1, 1, 0, 1], draw(seed=1) + 9 * np.eye(5)[2]
    moved, _ = models.build("feature-selection")._adapted(source, CODES, target)
    assert np.array_equal(moved, source * [1, 1, 0, 1, 1]), "the third tells the domains apart"
    moved, _ = models.build("feature-selection", keep=0.2)._adapted(source, CODES, target)
    assert moved.any(axis=0).tolist() == [True, *[False] * 4], "the first tells the classes apart"
    moved, _ = models.build("feature-selection", limit=0.0)._adapted(source, CODES, target)
    assert moved.any(axis=0).sum() == 1, "one is always left"


def test_principal_components_are_those_of_both_domains():
    moved, target = adapted("pca", components=2)
    both = np.vstack([SOURCE - SOURCE.mean(0), TARGET - TARGET.mean(0)])
    left, values, _ = np.linalg.svd(both, full_matrices=False)
    assert np.abs(np.vstack([moved, target])) == pytest.approx(np.abs(left * values)[:, :2])


@pytest.mark.parametrize("method", MOVING)
def test_where_the_target_lies_makes_no_difference(method, numbers):
    source, near, far = numbers(SOURCE), numbers(TARGET), numbers(TARGET + 100)
    expected = models.build(method).fit(source, CODES, unlabeled=near).predict_proba(near)
    found = models.build(method).fit(source, CODES, unlabeled=far).predict_proba(far)
    assert np.abs(found - expected).max() < 1e-6


# --- planted shifts -------------------------------------------------------------------------------


def planted(method):
    """Source, its labels, target and its labels, of a shift that the method is made for."""
    source, target = draw(400), draw(400, seed=1)
    labels, truth = source[:, 0] > 0, target[:, 0] > 0
    if method == "feature-selection":  # the second feature goes with the class in the source only
        return source + np.outer(6 * labels, np.eye(5)[1]), labels, target + 8 * np.eye(5)[1], truth
    if method == "importance-weighting":  # right of zero, where the target is, the rule is another
        source[:, 1], target[:, 1] = source[:, 1] - 0.7, np.abs(target[:, 1]) + 1
        return source, labels ^ (source[:, 1] > 0), target, ~truth
    if method in ("coral", "optimal-transport"):  # the axes are bent towards each other
        bent = np.full((5, 5), 0.5) + 0.5 * np.eye(5)
        return source, labels, target @ bent + 2, truth
    return source, labels, target + 2, truth


@pytest.mark.parametrize("method", METHODS)
def test_a_planted_shift_is_undone(method, numbers):
    source, labels, target, truth = planted(method)
    unlabeled, test = numbers(target[:200]), numbers(target[200:])
    model = models.build(method).fit(numbers(source), labels, unlabeled=unlabeled)
    plain = LogisticRegression(C=10).fit(source, labels).score(target[200:], truth[200:])
    assert model.score(test, truth[200:]) > max(0.7, plain + 0.1)


FILM, KITCHEN = "plot actor scene ending cast".split(), "pan lid oven knife kettle".split()
GOOD = "great superb lovely fine good nice perfect ideal brilliant charming".split()
BAD = "awful dull broken poor bad weak useless boring terrible horrid".split()


def domain(words, also, seed, n=120):
    """Texts of three words of the domain, one of praise or blame, and what `also` makes of it."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n)
    texts = [" ".join([*random.choice(words, 3), random.choice(GOOD if y else BAD), also(y)])
             for y in labels]  # fmt: skip
    return texts, labels


def test_a_word_that_misleads_is_left_out():
    """Only bad films are "long"; each thing of the kitchen is."""
    texts, labels = domain(FILM, lambda y: "" if y else "long", 0)
    unlabeled, _ = domain(KITCHEN, lambda y: "long", 1)
    test, truth = domain(KITCHEN, lambda y: "long", 2)
    model = models.build("feature-selection", vectors="tfidf")
    model.fit(texts, labels, unlabeled=unlabeled)
    assert models.build("logistic").fit(texts, labels).score(test, truth) < 0.8
    assert model.score(test, truth) > 0.95


# --- what is given and refused --------------------------------------------------------------------


@pytest.mark.parametrize("vectors", features.VECTORS)
@pytest.mark.parametrize("method", METHODS)
def test_three_texts_in_another_language_are_a_target(method, vectors, checkpoint):
    texts, labels = domain(FILM, str, 0, 40)
    model = models.build(method, encoder=str(checkpoint("bert")), vectors=vectors)
    model.fit(texts, labels, unlabeled=["die Pfanne ist gut", "nie wieder", "sehr schön"])
    assert np.isfinite(model.predict_proba([*texts[:3], "锅", ""])).all()
    reads_tokens = vectors != "tfidf"
    assert hasattr(model, "tokenized") == reads_tokens
    long = "good film " * 200
    assert (explain.characters_read(model, long) < len(long)) == reads_tokens


@pytest.mark.parametrize("method", METHODS)
def test_too_little_of_a_target_is_refused_in_a_sentence(method):
    model = models.build(method, vectors="tfidf")
    for wrong, count in (((), 0), (["a pan"], 1), (["a pan", "a pan", " "], 1), (["", "\n"], 0)):
        with pytest.raises(UserError, match=f"unlabeled=texts of the target; here are {count} "):
            model.fit(["good", "bad"], [1, 0], unlabeled=wrong)
    assert not hasattr(model, "classes_")


def test_blank_texts_of_the_target_are_counted_and_left_out():
    texts, labels = domain(FILM, str, 0)
    unlabeled, _ = domain(KITCHEN, str, 1)
    model = models.build("coral", vectors="tfidf")
    with pytest.warns(DataWarning, match="2 of 122 texts of the target are blank"):
        model.fit(texts, labels, unlabeled=["", *unlabeled, " "])
    expected = clone(model).fit(texts, labels, unlabeled=unlabeled).predict_proba(texts)
    assert np.array_equal(model.predict_proba(texts), expected)


def test_names_of_settings_are_checked():
    for method, wrong in (("pca", {"vectors": "tf-idf"}), ("optimal-transport", {"plan": "exakt"})):
        with pytest.raises(UserError, match=r"did you mean '(tfidf|exact)'"):
            models.build(method, **{"vectors": "tfidf", **wrong}).fit(
                ["good", "bad"], [1, 0], unlabeled=["a pan", "a lid"]
            )
    with pytest.raises(UserError, match="No text has a word"):
        models.build("lda", vectors="tfidf").fit(["…", "!"], [1, 0], unlabeled=["?", "-"])
