"""What every adaptation has to beat, and the target's text that each of them needs."""

from collections.abc import Sequence

from workbench.errors import UserError
from workbench.models import checks, encoder_classifier


class SourceOnly(encoder_classifier.TextClassifier):
    """A classifier trained on the source alone: what every adaptation has to beat."""

    def fit(self, texts: Sequence[str], labels: Sequence, unlabeled=None, validation=None):
        """Train on the labelled source; `unlabeled` is taken and left unread."""
        return super().fit(texts, labels, validation)


def require(unlabeled: Sequence[str], method: str) -> list[str]:
    rows = checks.check_texts(() if unlabeled is None else unlabeled, "unlabeled")
    if not rows:
        raise UserError(
            f"'{method}' adapts to a target: fit it with unlabeled=texts of the target."
        )
    return rows
