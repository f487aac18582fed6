"""A label a token: batched, lost and scored like any other, whatever is padding."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, log_loss
from torch.nn.functional import cross_entropy

from workbench.training import inference, losses
from workbench.training.batches import IGNORED, Encoded
from workbench.training.trainer import Trainer, _cut

CLASSES = 4
sentences = st.lists(
    st.lists(st.sampled_from([IGNORED, *range(CLASSES)]), min_size=1, max_size=9),
    min_size=1, max_size=8,
)  # fmt: skip


def encoded(labels, **options) -> Encoded:
    rows = [np.arange(1, len(row) + 1, dtype=np.int32) for row in labels]
    return Encoded(rows, 0, [np.array(row) for row in labels], **options)


@settings(max_examples=50, deadline=None)
@given(sentences, st.booleans(), st.integers(1, 4))
def test_labels_stand_at_their_tokens_and_padding_has_none(labels, left, multiple):
    rows = encoded(labels, left=left, multiple=multiple)
    batch = rows.__getitems__(range(len(labels)))
    for mask, found, row in zip(batch["attention_mask"], batch["labels"], labels, strict=True):
        assert found[mask.bool()].tolist() == row
        assert set(found[~mask.bool()].tolist()) <= {IGNORED}


@settings(max_examples=50, deadline=None)
@given(sentences, st.integers(1, 3), st.floats(0, 0.5), st.booleans())
def test_the_loss_counts_labelled_positions_alone_in_whatever_pieces(
    labels, n, smoothing, weighted
):
    batch = encoded(labels).__getitems__(range(len(labels)))
    logits = torch.randn(*batch["labels"].shape, CLASSES)
    known = batch["labels"] != IGNORED
    weight = torch.arange(1.0, CLASSES + 1) if weighted else None
    loss = losses.cross_entropy_loss(weight.numpy() if weighted else None, smoothing)
    parts = _cut({"logits": logits, "attention_mask": known, "labels": batch["labels"]}, n, False)
    found = sum(
        loss(SimpleNamespace(logits=part["logits"]), part["labels"], known.sum()) for part in parts
    )
    expected = cross_entropy(
        logits[known], batch["labels"][known], weight,
        label_smoothing=smoothing, reduction="sum",
    ) / max(1, int(known.sum()))  # fmt: skip
    assert float(found) == pytest.approx(float(expected), rel=1e-4, abs=1e-5)


class Scores(torch.nn.Embedding):
    """Every token has logits of its own."""

    def forward(self, input_ids, attention_mask):
        return SimpleNamespace(logits=super().forward(input_ids))


@settings(max_examples=30, deadline=None)
@given(sentences.filter(lambda rows: len({y for row in rows for y in row} - {IGNORED}) > 1))
def test_validation_scores_every_labelled_token_once(labels):
    rows, model = encoded(labels), Scores(10, CLASSES)
    trainer = SimpleNamespace(
        eval_dataset=rows,
        model=model,
        _settings=SimpleNamespace(precision="fp32"),
        _criterion=float,
    )
    found = Trainer.evaluation_loop(trainer, None, "").metrics
    flat = rows.labels != IGNORED
    probabilities = model.weight.detach().double().softmax(1).numpy()[rows.ids[flat]]
    true, predicted = rows.labels[flat], probabilities.argmax(1)
    assert found["eval_n"] == flat.sum()
    assert found["eval_accuracy"] == pytest.approx(accuracy_score(true, predicted))
    assert found["eval_macro_f1"] == pytest.approx(f1_score(true, predicted, average="macro"))
    expected = log_loss(true, probabilities, labels=range(CLASSES))
    assert found["eval_loss"] == pytest.approx(expected, rel=1e-4)


def test_no_more_than_a_batch_of_logits_is_made_at_once():
    rows = encoded([[0] * 64] * 200)
    shapes = [logits.shape for _, logits in inference.logit_batches(Scores(65, 3), rows, "fp32")]
    assert sum(shape[0] for shape in shapes) == 200
    assert max(shape[0] * shape[1] for shape in shapes) <= 4096
