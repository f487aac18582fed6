"""What every adaptation has to beat, and the target's text that each of them needs."""

from collections.abc import Sequence

from workbench.errors import UserError, warn
from workbench.models import checks, encoder_classifier


class SourceOnly(encoder_classifier.TextClassifier):
    """A classifier trained on the source alone: what every adaptation has to beat."""

    def fit(self, texts: Sequence[str], labels: Sequence, unlabeled=None, validation=None):
        """Train on the labelled source; `unlabeled` is taken and left unread."""
        return super().fit(texts, labels, validation)


class Adapted(encoder_classifier.TextClassifier):
    """A classifier that is fine-tuned and also reads text of the target; `_method` is its name."""

    def fit(
        self, texts: Sequence[str], labels: Sequence, unlabeled: Sequence[str] = (), validation=None
    ):
        """Train on the labelled source and on `unlabeled`, which is text of the target.

        Raises
        ------
        UserError : there is no text of the target, or as `TextClassifier` raises it.
        """
        self._unlabeled = require(unlabeled, self._method, 2)
        try:
            return super().fit(texts, labels, validation)
        finally:
            del self._unlabeled


def require(unlabeled: Sequence[str], method: str, least: int = 1) -> list[str]:
    """The texts of the target without blank ones, of which a `DataWarning` gives the number.

    Raises
    ------
    UserError : fewer than `least` different ones are left.
    """
    given = checks.check_texts(() if unlabeled is None else unlabeled, "unlabeled")
    rows = [text for text in given if text.strip()]
    if len(set(rows)) < least:
        raise UserError(
            f"'{method}' adapts to a target: fit it with unlabeled=texts of the target; here are "
            f"{len(set(rows))} different ones that are not blank, and it needs {least}."
        )
    if blank := len(given) - len(rows):
        warn(f"{blank} of {len(given)} texts of the target are blank and are left out.")
    return rows
