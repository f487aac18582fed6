"""What every adaptation has to beat, and the target's text that each of them needs."""

import warnings
from collections.abc import Sequence

from workbench.errors import UserError
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
        self._unlabeled = require(unlabeled, self._method)
        try:
            return super().fit(texts, labels, validation)
        finally:
            del self._unlabeled


def require(unlabeled: Sequence[str], method: str) -> list[str]:
    """The texts of the target that hold anything; a warning says how many do not.

    Raises
    ------
    UserError : there are none, or one, which is no domain.
    """
    rows = checks.check_texts(() if unlabeled is None else unlabeled, "unlabeled")
    if not rows:
        raise UserError(
            f"'{method}' adapts to a target: fit it with unlabeled=texts of the target."
        )
    found = [row for row in rows if row.strip()]
    if len(found) < 2:
        raise UserError(
            f"'{method}' needs at least two texts of the target; unlabeled has {len(found)}."
        )
    if empty := len(rows) - len(found):
        warnings.warn(
            f"{empty} of {len(rows)} texts in unlabeled are empty: they are left out.", stacklevel=2
        )
    return found
