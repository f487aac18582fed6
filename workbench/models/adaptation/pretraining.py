"""Adaptation by language modelling on text of the target."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import numpy as np
from sklearn.base import clone

from workbench.errors import UserError
from workbench.models import encoder_classifier, encoders
from workbench.models.adaptation import base
from workbench.training import devices


@dataclass(eq=False, repr=False)
class ContinuedPretraining(encoder_classifier.TextClassifier):
    """Masked-LM pretraining goes on with target text, then fine-tuning on the source.

    Domain-adaptive pretraining, DAPT (Gururangan et al. 2020).

    Parameters
    ----------
    pretraining_epochs, pretraining_rate : of the masked-LM stage.
    mask : share of the tokens that are masked (Devlin et al. 2019 hid 15%).

    The other parameters are those of `encoder_classifier.TextClassifier`.
    """

    _: KW_ONLY
    pretraining_epochs: float = 3
    pretraining_rate: float = 1e-4
    mask: float = 0.15

    def fit(
        self, texts: Sequence[str], labels: Sequence, unlabeled: Sequence[str] = (), validation=None
    ):
        """Pretrain on `unlabeled` and `texts`, then train on the labelled source.

        The rows ``mlm_loss`` of ``history_`` belong to the first stage.
        """
        self._unlabeled = base.require(unlabeled, "dapt")
        try:
            return super().fit(texts, labels, validation)
        finally:
            del self._unlabeled

    def _fit(self, texts: list[str], codes: np.ndarray, validation) -> dict:
        with tempfile.TemporaryDirectory() as folder:
            self._pretrain([*self._unlabeled, *texts], folder)
            # The adapted encoder is loaded from its folder as any other checkpoint is. Of several
            # ranks transformers lets the first one write.
            report = super()._fit(texts, codes, validation, devices.agreed(folder))
        if self.checkpoints:
            shutil.rmtree(Path(self.checkpoints, "mlm").expanduser(), ignore_errors=True)
        return report

    def _pretrain(self, texts: list[str], folder: str) -> None:
        """Write the adapted encoder, and its tokenizer, to `folder`."""
        import transformers

        from workbench import training
        from workbench.models import networks
        from workbench.training import speed

        transformers.set_seed(self.seed)
        tokenizer = encoders.tokenizer(self.encoder)
        if tokenizer.mask_token is None:
            raise UserError(f"'{self.encoder}' has no mask token, which masked-LM training needs.")
        model = encoders.load(
            self.encoder, "MaskedLM", **speed.for_training(encoders.configuration(self.encoder))
        )
        settings = clone(self).set_params(
            epochs=self.pretraining_epochs, patience=None, label_smoothing=0.0
        )
        training.fit(
            networks.MaskedOnly(model), encoders.encoded(model, tokenizer, texts, self.max_length),
            self.history_, settings, learning_rate=self.pretraining_rate,
            prepare=networks.HideTokens(tokenizer, self.mask, self.seed), first_stage="mlm_",
        )  # fmt: skip
        # The masked-LM model has no pooler; the encoder that is saved keeps the pretrained one.
        encoder = encoders.load(self.encoder)
        encoder.load_state_dict(model.base_model.state_dict(), strict=False)
        encoder.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
