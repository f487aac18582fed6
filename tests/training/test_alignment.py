"""What draws two domains together, against the formulas of the papers in plain numpy."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from workbench.errors import UserError
from workbench.training import alignment, losses
from workbench.training.batches import IGNORED, BothDomains, Encoded

RANDOM = np.random.default_rng(0)
SOURCE, TARGET = RANDOM.normal(size=(7, 5)), RANDOM.normal(1, 2, size=(9, 5))
LOGITS = RANDOM.normal(size=(16, 3)) * 2
IS_TARGET = torch.arange(16) >= 7


def tensors(*arrays):
    return [torch.tensor(array, dtype=torch.float32) for array in arrays]


def test_coral_is_the_distance_of_covariances():
    difference = np.cov(SOURCE.T) - np.cov(TARGET.T)
    found = float(alignment.coral(*tensors(SOURCE, TARGET)))
    assert found == pytest.approx(np.linalg.norm(difference) ** 2 / (4 * 5 * 5), rel=1e-5)
    assert float(alignment.coral(*tensors(SOURCE, SOURCE + 3))) == pytest.approx(0, abs=1e-9)


def test_mmd_is_that_of_thirty_three_kernels():
    both = np.vstack([SOURCE, TARGET])
    squared = ((both[:, None] - both[None]) ** 2).sum(-1)
    pairs = np.sort([squared[i, j] for i in range(16) for j in range(i)])
    median = pairs[(len(pairs) - 1) // 2]  # torch takes the lower one of two
    terms = []
    for exponent in np.arange(-8, 8.25, 0.5):
        kernel = np.exp(-squared / (median * 2**exponent))
        np.fill_diagonal(kernel, 0)
        within = kernel[:7, :7].sum() / (7 * 6) + kernel[7:, 7:].sum() / (9 * 8)
        terms.append(within - 2 * kernel[:7, 7:].mean())
    assert len(terms) == 33
    found = float(alignment.mmd(*tensors(SOURCE, TARGET)))
    assert found == pytest.approx(np.mean(terms), rel=1e-4)
    assert float(alignment.mmd(torch.ones(3, 5), torch.ones(3, 5))) == pytest.approx(0, abs=1e-6)


def test_mmd_is_zero_on_average_where_the_domains_are_one():
    torch.manual_seed(0)
    found = torch.stack([alignment.mmd(*torch.randn(2, 8, 5)) for _ in range(300)])
    assert abs(found.mean()) < 4 * found.std() / 300**0.5
    assert float(alignment.mmd(torch.randn(8, 5), torch.randn(8, 5) + 2)) > 3 * found.std()


def test_class_confusion_is_that_of_the_paper():
    scaled = np.exp(LOGITS / 2.5)
    scaled /= scaled.sum(1, keepdims=True)
    entropy = -(scaled * np.log(scaled)).sum(1)
    weights = len(LOGITS) * (1 + np.exp(-entropy)) / (1 + np.exp(-entropy)).sum()
    confusion = scaled.T @ np.diag(weights) @ scaled
    confusion /= confusion.sum(1, keepdims=True)
    expected = (confusion.sum() - np.trace(confusion)) / 3
    assert float(alignment.class_confusion(*tensors(LOGITS), 2.5)) == pytest.approx(expected, 1e-5)
    assert float(alignment.class_confusion(100 * torch.eye(3), 1.0)) == pytest.approx(0, abs=1e-6)


@given(st.floats(0, 1))
def test_the_schedule_is_its_formula(progress):
    assert alignment.schedule(progress) == pytest.approx(np.tanh(5 * progress), abs=1e-12)


@pytest.mark.parametrize("conditional", [False, True])
def test_the_adversary_s_loss_is_its_formula(conditional):
    torch.manual_seed(0)
    adversary = alignment.Adversary(5, 3, 1.0, conditional)
    features = np.vstack([SOURCE, TARGET])
    found = adversary(*tensors(features, LOGITS), IS_TARGET, 0.5).item()
    shares, weights = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True), np.ones(16)
    if conditional:
        weights = 1 + np.exp((shares * np.log(shares)).sum(1))
        features = np.stack([np.outer(p, f).ravel() for p, f in zip(shares, features, strict=True)])
    with torch.no_grad():
        says = adversary.discriminator(*tensors(features)).squeeze(1).double().numpy()
    lost = weights * np.where(np.arange(16) >= 7, np.logaddexp(0, -says), np.logaddexp(0, says))
    expected = lost[:7].sum() / weights[:7].sum() + lost[7:].sum() / weights[7:].sum()
    assert found == pytest.approx(expected, rel=1e-5)


def test_many_classes_are_seen_through_random_maps():
    """Their products have the mean of the products of the outer ones."""
    torch.manual_seed(0)
    adversary = alignment.Adversary(40, 150, 1.0, conditional=True)
    assert adversary.discriminator[0].in_features == 4096
    features, shares = torch.randn(2, 40), torch.randn(2, 150).softmax(1)
    mapped = adversary._product(features, shares)
    expected = (features[0] @ features[1]) * (shares[0] @ shares[1])
    assert float(mapped[0] @ mapped[1]) == pytest.approx(float(expected), abs=0.01)
    assert not {*dict(adversary.named_parameters())} & {"of_features", "of_classes"}


@pytest.mark.parametrize("progress", [0.0, 0.1, 1.0])
def test_the_gradient_of_the_encoder_alone_is_turned_round(progress):
    torch.manual_seed(0)
    adversary, plain = (alignment.Adversary(5, 3, 2.0, conditional=False) for _ in range(2))
    plain.load_state_dict(adversary.state_dict())
    features, logits = tensors(np.vstack([SOURCE, TARGET]), LOGITS)
    turned, straight = (features.clone().requires_grad_() for _ in range(2))
    adversary(turned, logits, IS_TARGET, progress).backward()
    says = plain.discriminator(straight).squeeze(1)
    lost = nn.functional.binary_cross_entropy_with_logits(says, IS_TARGET.float(), reduction="none")
    (lost[:7].mean() + lost[7:].mean()).backward()
    factor = -2.0 * alignment.schedule(progress)
    assert torch.allclose(turned.grad, factor * straight.grad, atol=1e-7)
    assert straight.grad.abs().max() > 1e-3
    for one, other in zip(adversary.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad), "the discriminator itself learns"


def test_pieces_of_a_batch_have_their_shares_of_the_penalty():
    loss = alignment.with_penalty(losses.cross_entropy_loss(None, 0.0))
    logits, labels = tensors(LOGITS)[0], torch.tensor([0, IGNORED] * 8)

    class Output(SimpleNamespace):
        def __getitem__(self, name):
            return vars(self)[name]

    def of(rows):
        output = Output(logits=logits[rows], penalty=torch.tensor(3.0))
        return float(loss(output, labels[rows], 8))

    expected = np.mean([np.log(np.exp(row).sum()) - row[0] for row in LOGITS[::2]]) + 3
    assert of(slice(None)) == pytest.approx(expected, rel=1e-5)
    assert of(slice(0, 6)) + of(slice(6, 16)) == pytest.approx(expected, rel=1e-5)


def test_a_head_without_a_linear_layer_is_refused():
    class Strange(nn.Module):
        config = SimpleNamespace(num_labels=3)

    with pytest.raises(UserError, match="Strange has no linear layer"):
        alignment.Aligned(Strange(), lambda size, classes: nn.Identity())


# --- the batches ----------------------------------------------------------------------------------


def domains(sources=40, targets=30, seed=0, longest=30):
    random = np.random.default_rng(1)
    rows = [np.full(random.integers(2, longest), i, np.int32) for i in range(sources + targets)]
    source = Encoded(rows[:sources], 0, np.arange(sources) % 3, truncated=1)
    return BothDomains(source, Encoded(rows[sources:], 0, truncated=2), seed)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 16), st.integers(0, 5))
def test_every_batch_alternates_between_the_domains(sources, targets, size, seed):
    both = domains(sources, targets, seed)
    assert len(both) == sources
    indices = np.random.default_rng(seed).permutation(sources)[:size]
    batch = both.__getitems__(indices)
    target, ids = batch["target"], batch["input_ids"]
    pairs = target.reshape(-1, 2)
    assert (pairs.sum(1) == 1).all()
    if len(indices) >= 8:
        for every in (2, 4):
            for first in range(every):
                part = target[first::every]
                assert abs(part.sum() - len(part) / 2) <= 1, "ranks share a batch in this way"
    assert batch["labels"][~target].tolist() == (indices % 3).tolist()
    assert (batch["labels"][target] == IGNORED).all()
    assert ids[~target, 0].tolist() == indices.tolist()
    assert ((ids[target, 0] >= sources) & (ids[target, 0] < sources + targets)).all()
    again = domains(sources, targets, seed).__getitems__(indices)
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    if len(indices) <= targets:
        assert len(set(ids[target, 0].tolist())) == len(indices), "no text is there twice"


def test_target_texts_are_of_like_length_and_all_have_their_turn():
    both = domains(400, 300)
    seen, widths = np.zeros(700), []
    for epoch in range(20):
        order = np.argsort(
            both.length[:400] * np.random.default_rng(epoch).uniform(0.95, 1.05, 400)
        )
        for start in range(0, 400, 8):
            batch = both.__getitems__(order[start : start + 8])
            lengths = (batch["attention_mask"].sum(1)).numpy()
            target = batch["target"].numpy()
            widths.append(abs(lengths[target].mean() - lengths[~target].mean()))
            seen[batch["input_ids"][batch["target"], 0].numpy()] += 1
    assert np.mean(widths) < 1.5, "two random batches differ by four"
    assert (seen[400:] > 0).all()
    assert seen[400:].std() < 10
    assert both.counts() == {"texts": 400, "tokens": len(both.ids), "truncated": 3,
                             "unlabeled": 300}  # fmt: skip
