"""The losses against their formulas, written out."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.training import losses


def by_the_formula(vectors, labels, temperature=0.1):
    """Khosla et al. 2020, equation 2: the sum over the anchors of a batch."""
    total = 0.0
    for i, label in enumerate(labels):
        others = [j for j in range(len(labels)) if j != i]
        pairs = [j for j in others if labels[j] == label]
        if not pairs:
            continue
        scores = {j: float(np.dot(vectors[i], vectors[j])) / temperature for j in others}
        whole = np.log(sum(np.exp(score) for score in scores.values()))
        total -= sum(scores[j] - whole for j in pairs) / len(pairs)
    return total


def batch(labels, seed=0, size=5):
    vectors = np.random.default_rng(seed).normal(size=(len(labels), size)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, torch.tensor(labels)


def contrastive(vectors, labels, count=None):
    outputs = SimpleNamespace(logits=torch.from_numpy(vectors))
    return losses.contrastive_loss()(outputs, labels, count or len(labels))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 100))
def test_it_is_the_formula_for_every_batch(labels, seed):
    vectors, codes = batch(labels, seed)
    expected = by_the_formula(vectors, labels) / len(labels)
    assert float(contrastive(vectors, codes)) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-1, 5), min_size=1, max_size=8), st.floats(0, 0.5), st.integers(0, 99))
def test_labels_may_be_rows_of_probabilities(rows, smoothing, seed):
    draw = np.random.default_rng(seed)
    logits, table = draw.normal(size=(len(rows), 3)), draw.dirichlet(np.ones(3), 6)
    weights = draw.uniform(0.5, 2, 3)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    smooth = (1 - smoothing) * table + smoothing / 3
    expected = -sum((smooth[r] * weights * log_p[i]).sum() for i, r in enumerate(rows) if r >= 0)
    labels = torch.tensor([losses.IGNORED if r < 0 else r for r in rows])
    found = losses.cross_entropy_loss(weights, smoothing, table)(
        SimpleNamespace(logits=torch.from_numpy(logits)), labels, 7
    )
    assert float(found) == pytest.approx(expected / 7, rel=1e-4, abs=1e-5)


def test_pieces_of_a_batch_are_weighted_by_their_texts():
    vectors, codes = batch([0, 0, 1, 1, 0, 1])
    parts = [contrastive(vectors[:4], codes[:4], 6), contrastive(vectors[4:], codes[4:], 6)]
    assert float(sum(parts)) == pytest.approx(by_the_formula(vectors[:4], [0, 0, 1, 1]) / 6, 1e-4)


def test_a_text_without_a_pair_has_no_gradient_that_is_nan():
    vectors = torch.nn.functional.normalize(torch.randn(3, 4)).requires_grad_()
    losses.contrastive_loss()(
        SimpleNamespace(logits=vectors), torch.tensor([0, 1, 2]), 3
    ).backward()
    assert torch.equal(vectors.grad, torch.zeros(3, 4))
