"""Domain adaptation: classifiers whose `fit` also reads unlabelled text of the target domain."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, clone

from workbench.errors import UserError
from workbench.models import checks, encoder_classifier, encoders
from workbench.training.batches import Encoded


class SourceOnly(encoder_classifier.TextClassifier):
    """A classifier trained on the source alone: what every adaptation has to beat."""

    def fit(self, texts: Sequence[str], labels: Sequence, unlabeled=None, validation=None):
        """Train on the labelled source; `unlabeled` is taken and left unread."""
        return super().fit(texts, labels, validation)


@dataclass(eq=False, repr=False)
class Coral(checks.RawTextClassifierMixin, BaseEstimator):
    """Frozen vectors of the source, re-coloured with the covariance of the target.

    CORAL (Sun, Feng & Saenko 2016) by skada, on the encoder's mean-pooled vectors, each domain
    centred at its own mean: covariances say nothing of where a cloud lies.

    Parameters
    ----------
    encoder : as in `encoder_classifier.TextClassifier`.
    regularization : shrinkage of the two covariances from 0 to 1; a few hundred texts cannot
        fill a matrix of hundreds of dimensions, so it is not zero.
    """

    encoder: str = "minilm"
    _: KW_ONLY
    regularization: float = 0.1
    max_length: int = 128
    seed: int = 0

    def fit(self, texts: Sequence[str], labels: Sequence, unlabeled: Sequence[str] = ()):
        """Align the source's vectors with those of `unlabeled`, then fit logistic regression."""
        checks.check_numbers(self.get_params(deep=False))
        texts, labels = checks.check_texts_and_labels(texts, labels)
        unlabeled = _require(unlabeled, "coral")
        with checks.unchanged_on_error(self):
            self.classes_, codes = checks.check_classes(labels)
            self._align(texts, codes, unlabeled)
        return self

    def tokenized(self, texts: Sequence[str]) -> Encoded:
        """The token ids that the model reads, and how many texts were cut to `max_length`."""
        tokenizer, model = encoders.ready(self.encoder)
        return encoders.encoded(model, tokenizer, checks.check_texts(texts), self.max_length)

    def _align(self, texts: list[str], codes: np.ndarray, unlabeled: list[str]) -> None:
        from skada import CORALAdapter
        from sklearn.linear_model import LogisticRegression

        source, target = self._vectors(texts), self._vectors(unlabeled)
        self._centre = target.mean(axis=0)
        source, target = source - source.mean(axis=0), target - self._centre
        # skada marks the source with positive and the target with negative domain numbers.
        domain = np.r_[np.ones(len(source)), -np.ones(len(target))].astype(int)
        adapter = CORALAdapter(reg=self.regularization)
        both = adapter.fit_transform(np.vstack([source, target]), sample_domain=domain)
        both = both["X"] if isinstance(both, dict) else both
        self._head = LogisticRegression(C=10, max_iter=1000, random_state=self.seed)
        self._head.fit(np.asarray(both)[: len(source)], codes)

    def _probabilities(self, texts: list[str]) -> np.ndarray:
        """Texts are read as target text."""
        return self._head.predict_proba(self._vectors(texts) - self._centre)

    def _vectors(self, texts: Sequence[str]) -> np.ndarray:
        return encoders.encode(list(texts), self.encoder, self.max_length)


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
        self._unlabeled = _require(unlabeled, "dapt")
        try:
            return super().fit(texts, labels, validation)
        finally:
            del self._unlabeled

    def _fit(self, texts: list[str], codes: np.ndarray, validation) -> dict:
        with tempfile.TemporaryDirectory() as folder:
            self._pretrain([*self._unlabeled, *texts], folder)
            # The adapted encoder is loaded from its folder as any other checkpoint is.
            report = super()._fit(texts, codes, validation, folder)
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


def _require(unlabeled: Sequence[str], method: str) -> list[str]:
    rows = checks.check_texts(() if unlabeled is None else unlabeled, "unlabeled")
    if not rows:
        raise UserError(
            f"'{method}' adapts to a target: fit it with unlabeled=texts of the target."
        )
    return rows
