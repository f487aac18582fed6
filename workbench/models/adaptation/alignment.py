"""Adaptation while fine-tuning: what the head reads is made alike for source and target."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import partial

from workbench.models.adaptation import base
from workbench.training.batches import BothDomains, Encoded


@dataclass(eq=False, repr=False)
class AlignedClassifier(base.Adapted):
    """Fine-tuned on the source, with a penalty on source and target beside each other.

    A step takes as many texts of the target as of the source, and about twice the time.

    Parameters
    ----------
    weight : of the penalty.

    The other parameters are those of `encoder_classifier.TextClassifier`.
    """

    _: KW_ONLY
    weight: float = 1.0

    _strategies = ("full", "gradual", "lora")

    def _train(self, train: Encoded, held_out: Encoded | None, weights) -> tuple:
        target = self._encoded(self._unlabeled)
        return super()._train(BothDomains(train, target, self.seed), held_out, weights)

    def _objective(self, model, loss) -> tuple:
        from workbench.training import alignment

        aligned = alignment.Aligned(model, partial(self._penalty, alignment))
        callbacks = [alignment.Progress(aligned)]
        return aligned, alignment.with_penalty(loss), {"trainer_callbacks": callbacks}

    @abstractmethod
    def _penalty(self, alignment, size: int, classes: int) -> Callable:
        """As `Aligned` takes it, after the module `alignment`, which loads torch."""


@dataclass(eq=False, repr=False)
class DANN(AlignedClassifier):
    """A discriminator cannot tell the domains apart by what the head reads.

    Domain-adversarial training (Ganin et al. 2016): the discriminator learns, the encoder gets its
    gradient reversed, times `weight`, which rises from 0 as 2 / (1 + exp(-10 p)) - 1 by the share
    p of the steps done.

    Parameters
    ----------
    weight : a tenth of the papers' 1, at which 240 reviews of books reached 0.55 on 60 others of
        the source itself, where `SourceOnly` reached 0.68 (four epochs, one seed). It can still
        fail: of ten pairs of Amazon reviews five ended below 0.7
        (``benchmarks/results/domain_adaptation.md``), of which the source's held-out reviews show
        nothing; `CDAN` did not.

    The other parameters are those of `AlignedClassifier`.
    """

    _: KW_ONLY
    weight: float = 0.1

    _method, _conditional = "dann", False

    def _penalty(self, alignment, size: int, classes: int) -> Callable:
        return alignment.Adversary(size, classes, self.weight, self._conditional)


class CDAN(DANN):
    """As `DANN`, where the discriminator also sees the predicted class.

    Conditional adversarial domain adaptation with entropy conditioning (Long et al. 2018).
    """

    _method, _conditional = "cdan", True


class DeepCORAL(AlignedClassifier):
    """The covariances of both domains are drawn together (Sun & Saenko 2016)."""

    _method, _distance = "deep-coral", "coral"

    def _penalty(self, alignment, size: int, classes: int) -> Callable:
        distance = getattr(alignment, self._distance)
        return lambda features, logits, target, progress: (
            self.weight * distance(features[~target], features[target])
        )


class MMD(DeepCORAL):
    """The means of both domains are drawn together under Gaussian kernels (Long et al. 2015)."""

    _method = _distance = "mmd"


@dataclass(eq=False, repr=False)
class MCC(AlignedClassifier):
    """Predictions for the target are to confuse no class with another.

    Minimum class confusion (Jin et al. 2020).

    Parameters
    ----------
    temperature : that logits are divided by, so that sure predictions do not hide the others.

    The other parameters are those of `AlignedClassifier`.
    """

    _: KW_ONLY
    temperature: float = 2.5

    _method = "mcc"

    def _penalty(self, alignment, size: int, classes: int) -> Callable:
        return lambda features, logits, target, progress: (
            self.weight * alignment.class_confusion(logits[target], self.temperature)
        )
