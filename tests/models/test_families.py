"""Every architecture of `transformers` that classifies texts is trained, or refused in time."""

import numpy as np
import pytest

from tests.models import families
from workbench.errors import UserError
from workbench.models.encoder_classifier import TextClassifier
from workbench.training import trainer

TEXTS = ["a great book", "it was bad", "my film , it was superb !", "dull"] * 3
LABELS = ["good", "bad", "good", "bad"] * 3
SETTINGS = {"epochs": 1, "batch_size": 6, "max_length": 32, "learning_rate": 1e-3}
REFUSED = {"reformer": "it trains only on texts of one length, which its configuration names"}
READS_PADDING = {"t5gemma": "its decoder does", "t5gemma2": "its decoder does"}


@pytest.mark.parametrize(
    "family", [f for f in families.FAMILIES if f not in families.CANNOT_BE_MADE]
)
def test_every_family_is_trained_or_refused(tmp_path, monkeypatch, family):
    model = TextClassifier(families.make(family, tmp_path), **SETTINGS)
    steps, step = [], trainer.Trainer.training_step
    monkeypatch.setattr(trainer.Trainer, "training_step", lambda *a: (steps.append(1), step(*a))[1])
    if family in REFUSED:
        with pytest.raises(UserError, match=r"kind '\w+' cannot be trained on plain texts"):
            model.fit(TEXTS, LABELS)
        assert not steps
        return
    model.fit(TEXTS, LABELS, validation=(TEXTS[:5], LABELS[:5]))
    assert len(steps) == 2
    assert all(np.isfinite(loss) for loss in model.history_.column("loss")[1])
    together = model.predict_proba([*TEXTS[:4], ""])
    alone = np.vstack([model.predict_proba([text]) for text in [*TEXTS[:4], ""]])
    atol = 0.05 if family in READS_PADDING else 1e-4
    assert np.allclose(together, alone, atol=atol), "padding changes what is predicted"
