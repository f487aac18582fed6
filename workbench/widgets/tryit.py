"""Texts that a person writes: what trained models say of them, and what that rests on."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import pandas as pd
from traitlets import Any, Bool, Unicode

from workbench.errors import UserError
from workbench.evaluation import explain, scores
from workbench.training import stop_event
from workbench.widgets import base, tryit_view

PAUSE = 0.8  # seconds without typing after which the words are left out one by one
MOST_ENCODED = 2000  # training texts whose vectors are computed; of more the TF-IDF


class TryIt(base.Shown):
    """What one or several trained models say of a text, side by side, and what that rests on.

    Probabilities appear while a person types; the words are marked by `explain.occlusion` in a
    thread, after a pause or at the button, and the newest text wins.

    Parameters
    ----------
    models : a fitted classifier, or several by name.
    text : what stands there at first; it may be empty.
    train : the training texts, a data frame with the columns text and label: those nearest to the
        text are shown, by the vectors of the models' encoder or, for other models, by TF-IDF.
    lines : whether each line is a text of its own.

    Attributes
    ----------
    value : the text; setting it asks the models anew.
    lines : as above.
    pinned : a text and its `predict_proba` that stand beside those of `value`; None at first.
    predictions, explanations : what the views show of them, as HTML.

    Raises
    ------
    UserError : a model is not trained, or gives no probabilities.
    """

    value = Unicode()
    lines = Bool()
    pinned = Any(read_only=True)
    predictions = Unicode(read_only=True)
    explanations = Unicode(read_only=True)

    def __init__(
        self, models, *, text: str = "", train: pd.DataFrame | None = None, lines: bool = False
    ) -> None:
        super().__init__(value=str(text), lines=lines)
        self.models = dict(models) if isinstance(models, dict) else {"model": models}
        for name, model in self.models.items():
            if not hasattr(model, "classes_"):
                raise UserError(f"'{name}' is not trained yet: call its fit before trying it.")
            if not hasattr(model, "predict_proba"):
                raise UserError(f"'{name}' gives no probabilities: it has no predict_proba.")
        self._train, self._training_texts = train, {}  # by encoder
        self._shown: tuple[str, pd.DataFrame] | None = None
        # Two predictions of one model at once would switch its dropout on and off under each other.
        self._lock, self._superseded = threading.Lock(), threading.Event()
        self._newest_only = threading.Lock()
        self.observe(lambda _: self._update(PAUSE), ["value", "lines"])

    def predict(self, texts: Sequence[str]) -> pd.DataFrame:
        """A row a model and text, with what it predicts and its probabilities, ``p_<class>``."""
        found = []
        for name, model in self.models.items():
            with self._lock:
                classes, p, predicted = scores.predict(model, texts)
            given = {"text": texts, "model": name, "predicted": predicted}
            found.append(pd.DataFrame(given | dict(zip("p_" + classes, p.T, strict=True))))
        return pd.concat(found, ignore_index=True)

    def predict_proba(self, text: str) -> pd.DataFrame:
        """Probabilities: a row a model, a column a class."""
        table = self.predict([text]).set_index("model").filter(regex="^p_")
        return table.rename(columns=lambda column: column[2:])

    def explain(
        self, text: str, table: pd.DataFrame | None = None
    ) -> dict[str, explain.Explanation]:
        """What each model's prediction rests on, by its name; `table` is its `predict_proba`."""
        table, found = self.predict_proba(text) if table is None else table, {}
        for name, model in self.models.items():
            stop_event.raise_if_stopped()
            p = table.loc[name, scores.class_names(model.classes_)]
            with self._lock:
                found[name] = explain.occlusion(model, text, probabilities=p)
        return found

    def nearest(self, text: str, n: int = 3) -> dict[str, pd.DataFrame]:
        """The training texts nearest to a text, by what their vectors are."""
        if self._train is None:
            return {}
        few, found = len(self._train) <= MOST_ENCODED, {}
        encoders = [str(getattr(m, "encoder", "")) if few else "" for m in self.models.values()]
        for encoder in dict.fromkeys(encoders):
            if encoder not in self._training_texts:
                self._training_texts[encoder] = explain.TrainingTexts(self._train, encoder)
            found[encoder or "TF-IDF"] = self._training_texts[encoder].nearest(text, n)
        return found

    def pin(self) -> None:
        """Keep text and prediction to stand beside the next ones; the same text again: no more."""
        again = self.pinned is not None and self.pinned[0] == self.value
        self.set_trait("pinned", None if again else self._shown)
        if not self.lines:
            self.set_trait("predictions", _or_error(self._predictions))

    def view(self):
        box = tryit_view.view(self)
        self._update()
        return box

    def still(self) -> dict:
        if not self.value.strip():
            note = "No text yet: give one as TryIt(models, text=…)."
            return {"text/html": base.status_line(note), "text/plain": note}
        if self.lines:
            rows = self.predict(_texts(self.value))
            return {"text/html": tryit_view.lines(rows), "text/plain": rows.round(3).to_string()}
        markup = tryit_view.quoted(base.escape(self.value))
        markup += self._predictions() + self._explanations(self.value)
        return {"text/html": markup, "text/plain": self._shown[1].round(3).to_string()}

    def snapshot(self) -> dict:
        """The text, and what was predicted and explained last: nothing is computed again."""
        markup = tryit_view.quoted(base.escape(self.value))
        return {"text/html": markup + self.predictions + self.explanations}

    def explain_later(self, pause: float = 0.0) -> None:
        """Explain the text in a thread, after `pause` seconds; whatever was begun is given up.

        Lines are predicted there, and not explained.
        """
        name, make, note = "explanations", self._explanations, "The words are left out one by one …"
        if self.lines:
            name, make, note = "predictions", self._predictions_of_lines, "The lines are read …"
        text, note = self.value, base.status_line(note) if self.value.strip() else ""
        with self._newest_only:
            self._superseded.set()
            self._superseded = newer = threading.Event()
            self.set_trait("explanations", "")
            self.set_trait(name, note)

        def work() -> None:
            if newer.wait(pause):
                return
            with suppress(stop_event.Stopped), stop_event.stoppable(newer):
                markup = _or_error(lambda: make(text))
                with self._newest_only:
                    if not newer.is_set():
                        self.set_trait(name, markup)

        if note:
            threading.Thread(target=work, daemon=True).start()

    def _update(self, pause: float = 0.0) -> None:
        """Predict at once, then explain; a text that is being explained lets the models go."""
        self._superseded.set()
        self._shown = None
        if not self.lines:
            self.set_trait("predictions", _or_error(self._predictions))
        self.explain_later(pause)

    def _predictions(self) -> str:
        if not self.value.strip():
            return ""
        self._shown = self.value, self.predict_proba(self.value)
        return tryit_view.predictions(self._shown[1]) + tryit_view.pinned(self.pinned, self._shown)

    def _explanations(self, text: str) -> str:
        shown = self._shown
        table = shown[1] if shown and shown[0] == text else None
        found = tryit_view.explanations(self.explain(text, table))
        return found + tryit_view.nearest(self.nearest(text))

    def _predictions_of_lines(self, text: str) -> str:
        return tryit_view.lines(self.predict(_texts(text)))


def _texts(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _or_error(work: Callable[[], str]) -> str:
    """The HTML that `work` returns, or in words why there is none."""
    try:
        return work()
    except stop_event.Stopped:
        raise
    except Exception as error:
        return base.status_line(base.error_message(error), "bad")
