"""A verdict that its own numbers do not bear out is found, whichever experiment it is of."""

import pytest

from benchmarks import verdicts

TEXT = """Validation accuracy 0.750 (0.678 to 0.811) of 160 texts;
the most frequent class: 0.500.
Verdict: learned, beyond chance.
rate 1e-06: loss 0.693, accuracy 0.500 (0.424 to 0.576): too low.
rate 1e-04: loss 0.520, accuracy 0.750 (0.678 to 0.811): works.
rate 1e-02: loss 0.790, accuracy 0.500 (0.424 to 0.576): too high.
Guessing costs 0.693; most frequent class 0.500.
Validation loss: lowest 0.650, after epoch 5 of 12;
at the end 0.910.
Verdict: overfitting.
The training loss ends at 0.010.
Validation loss 0.650 with early stopping, 0.910 without.
Verdict: saved by stopping.
cnn: lowest loss 0.482 in epoch 4 of 6: turned;
Validation loss: lowest 0.350, after epoch 3 of 3;
at the end 0.350.
Verdict: no overfitting.
minilm against logistic: +0.061 accuracy, p = 0.003: better.
full against frozen: +0.110, p = 0.000: better.
full against lora: +0.004, p = 0.800: no difference shown.
16 labels: logistic has the best mean, 0.560; its lead is at least -0.031: no sure winner.
Perplexity 4021 before and 310 after training; by the frequency of the tokens alone 640.
Verdict: it uses the tokens before.
"""


def test_verdicts_that_agree_with_their_numbers_pass():
    assert verdicts.contradictions(TEXT) == []


@pytest.mark.parametrize(
    ("experiment", "right", "wrong"),
    [
        ("by hand", "0.750 (0.678 to 0.811) of", "0.550 (0.473 to 0.625) of"),
        ("learning rate", "loss 0.790", "loss 0.100"),
        ("learning rate", "(0.424 to 0.576): too low", "(0.624 to 0.776): too low"),
        ("overfitting", "at the end 0.910", "at the end 0.651"),
        ("early stopping", "0.910 without", "0.650 without"),
        ("networks from nothing", "epoch 4 of 6", "epoch 6 of 6"),
        ("main model's curve", "at the end 0.350", "at the end 0.450"),
        ("against word counts", "p = 0.003", "p = 0.300"),
        ("against word counts", "+0.061", "-0.061"),
        ("strategies", "p = 0.800", "p = 0.010"),
        ("learning curve", "least -0.031", "least +0.031"),
        ("decoder", "alone 640", "alone 240"),
    ],
)
def test_a_verdict_against_its_numbers_is_found(experiment, right, wrong):
    assert right in TEXT
    faults = verdicts.contradictions(TEXT.replace(right, wrong))
    assert faults
    assert all(fault.startswith(experiment) for fault in faults)


@pytest.mark.parametrize("line", ["learned", "rate 1e", "saved", "turned", "against lora", "uses"])
def test_a_verdict_that_is_gone_is_missed(line):
    rest = "\n".join(x for x in TEXT.splitlines() if line not in x and "frozen" not in x)
    assert any("no verdict" in fault for fault in verdicts.contradictions(rest + "\n"))
