"""Adaptation by pretraining that goes on with text of both domains."""

import shutil
import tempfile
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.base import clone

from workbench.errors import UserError
from workbench.models import encoders
from workbench.models.adaptation import base
from workbench.training import devices
from workbench.training.batches import BothDomains, Encoded


@dataclass(eq=False, repr=False)
class Pretrained(base.Adapted):
    """An encoder that first learns from text of both domains without labels, by `_learn`."""

    _: KW_ONLY
    pretraining_epochs: float = 3
    pretraining_rate: float = 1e-4

    _pretraining_head, _stages = "", ()

    def _fit(self, texts: list[str], codes: np.ndarray, validation) -> dict:
        with tempfile.TemporaryDirectory() as folder:
            self._learner = self._pretrain([*self._unlabeled, *texts], folder)
            # The adapted encoder is loaded from its folder as any other checkpoint is. Of several
            # ranks transformers lets the first one write.
            report = super()._fit(texts, codes, validation, devices.agreed(folder))
        del self._learner
        for stage in self._stages if self.checkpoints else ():
            shutil.rmtree(Path(self.checkpoints, stage).expanduser(), ignore_errors=True)
        return report

    def _pretrain(self, texts: list[str], folder: str):
        """Write the adapted encoder, and its tokenizer, to `folder`; what it was trained in."""
        import transformers

        from workbench.training import speed

        transformers.set_seed(self.seed)
        tokenizer = encoders.tokenizer(self.encoder)
        if self._pretraining_head == "MaskedLM" and tokenizer.mask_token is None:
            raise UserError(f"'{self.encoder}' has no mask token, which masked-LM training needs.")
        settings = speed.for_training(encoders.configuration(self.encoder))
        model = encoders.load(self.encoder, self._pretraining_head, **settings)
        learner = self._learn(model, tokenizer, texts)
        # The masked-LM model has no pooler; the encoder that is saved keeps the pretrained one.
        encoder = encoders.load(self.encoder)
        encoder.load_state_dict(model.base_model.state_dict(), strict=False)
        encoder.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return learner

    def _stage(self, learner, rows: Encoded, name: str, epochs: float, rate: float, **more) -> None:
        from workbench import training

        settings = clone(self).set_params(patience=None, label_smoothing=0.0, epochs=epochs)
        training.fit(
            learner, rows, self.history_, settings, learning_rate=rate, first_stage=name, **more
        )


@dataclass(eq=False, repr=False)
class SimCSE(Pretrained):
    """The encoder tells texts of both domains apart, then fine-tuning on the source.

    Unsupervised SimCSE (Gao et al. 2021): a text is encoded twice with other dropout, and is to
    find its own second vector among those of the batch (of the same piece, where a batch is cut).
    The rows ``simcse_loss`` of ``history_`` belong to this stage. MiniLM, trained on pairs of texts
    before, begins with a loss of about 0 and learns little: from 1,000 book reviews to kitchen
    (64 tokens, one seed, 600 test texts) it reached 0.883, and `SourceOnly` 0.888.

    Parameters
    ----------
    pretraining_epochs, pretraining_rate : of this stage, as in the paper.
    temperature : what cosines of the mean-pooled vectors are divided by.

    The other parameters are those of `encoder_classifier.TextClassifier`.
    """

    _: KW_ONLY
    pretraining_epochs: float = 1
    pretraining_rate: float = 3e-5
    temperature: float = 0.05

    _method, _stages = "simcse", ("simcse",)

    def _learn(self, model, tokenizer, texts: list[str]):
        from workbench.models import networks

        twice = networks.TwiceEncoded(model, tokenizer.pad_token_id, self.temperature)
        texts = [*dict.fromkeys(texts)]  # a text is no negative of itself
        own = np.zeros(len(texts), int)
        rows = encoders.encoded(twice.encoder, tokenizer, texts, self.max_length, own)
        self._stage(twice, rows, "simcse_", self.pretraining_epochs, self.pretraining_rate)
        return twice


@dataclass(eq=False, repr=False)
class ContinuedPretraining(Pretrained):
    """Masked-LM pretraining goes on with text of both domains, then fine-tuning on the source.

    Domain-adaptive pretraining, DAPT (Gururangan et al. 2020). The rows ``mlm_loss`` of
    ``history_`` belong to the first stage, and ``head_loss`` to what comes before.

    Parameters
    ----------
    pretraining_epochs, pretraining_rate : of the masked-LM stage.
    head_epochs : before it, where the checkpoint has no masked-LM head: the new head alone learns,
        at ten times the rate, or the encoder would be spoilt by its errors.
    mask : share of the tokens that are masked (Devlin et al. 2019 hid 15%).

    The other parameters are those of `encoder_classifier.TextClassifier`.
    """

    _: KW_ONLY
    head_epochs: float = 1
    mask: float = 0.15

    _method, _stages, _pretraining_head = "dapt", ("head", "mlm"), "MaskedLM"

    def _learn(self, model, tokenizer, texts: list[str]):
        from workbench.models import networks
        from workbench.training import optimizers

        masked, rate = networks.MaskedOnly(model), self.pretraining_rate
        rows = encoders.encoded(model, tokenizer, texts, self.max_length)
        hide = networks.HideTokens(tokenizer, self.mask, self.seed)
        if model.new_weights:
            networks.start_head(model, rows.ids)
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(name in model.new_weights)
            self._stage(masked, rows, "head_", self.head_epochs, 10 * rate, prepare=hide)
            optimizers.freeze_large_table(model.requires_grad_(True))
        self._stage(masked, rows, "mlm_", self.pretraining_epochs, rate, prepare=hide)
        return masked


@dataclass(eq=False, repr=False)
class UDALM(ContinuedPretraining):
    """Masked-LM pretraining on the target, which then goes on beside the labels of the source.

    Unsupervised domain adaptation through language modelling (Karouzos et al. 2021): the loss is
    `share` times the cross-entropy on the source plus (1 - `share`) times the masked-LM loss on as
    many texts of the target. Where there is ``validation``, a tenth of the target's texts is left
    out of this stage, and the mixed loss on both is the validation loss, by which `patience` stops.

    It is for encoders with a masked-LM head. MiniLM's is new and needs many steps: from 1,000 book
    reviews to kitchen (Amazon, 64 tokens, two epochs of each stage, one seed, 600 test texts) it
    reached 0.637, where `SourceOnly` reached 0.887. With 4,000 texts of the target, ten epochs of
    the first stage at 3e-4 and a `share` of 0.7 it came within about a point of it
    (``benchmarks/results/domain_adaptation.md``, four pairs).

    Parameters
    ----------
    share : of the cross-entropy; as in the paper, the source's share of the texts of a step.

    The other parameters are those of `ContinuedPretraining`.
    """

    _: KW_ONLY
    share: float = 0.5

    _method = "udalm"
    _strategies = ("full", "gradual", "lora")

    def _train(self, train: Encoded, held_out: Encoded | None, weights) -> tuple:
        apart = len(self._unlabeled) // 10 if held_out else 0
        self._apart = self._encoded(self._unlabeled[:apart]) if apart else None
        target = self._encoded(self._unlabeled[apart:])
        try:
            return super()._train(BothDomains(train, target, self.seed), held_out, weights)
        finally:
            del self._apart

    def _objective(self, model, loss) -> tuple:
        from workbench.models import networks
        from workbench.training import alignment

        masked, hide = self._learner, networks.HideTokens(self._tokenizer, self.mask, self.seed)
        setattr(masked.model, masked.model.base_model_prefix, self._model.base_model)
        masked.model.tie_weights()
        mixed, apart = networks.AlsoMasked(model, masked, 1 - self.share), self._apart
        options = {"prepare": partial(networks.hide_target, hide)}
        if apart:
            masked_loss = partial(networks.masked_loss, mixed.masked, apart, hide, self.precision)
            options["criterion"] = lambda loss: self.share * loss + (1 - self.share) * masked_loss()
        return mixed, alignment.with_penalty(loss, self.share), options
