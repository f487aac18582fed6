"""A text that a person writes: what trained models say of it, and which words that rests on."""

import threading
from collections.abc import Callable
from contextlib import suppress

import pandas as pd
from traitlets import Unicode, dlink, link

from workbench.errors import UserError
from workbench.evaluation import explain
from workbench.training import stop_event
from workbench.widgets import base, keys, tables

PAUSE = 0.8  # seconds without typing after which the words are left out one by one
LEAST = 0.01  # a word that moves the probability by less is not marked
MOST_CLASSES = 6  # shown for each model
RGB = {True: "0,114,178", False: "213,94,0"}  # for and against: the first two of plots.COLOURS


class TryIt(base.Shown):
    """What one or several trained models say of a text, side by side, and what that rests on.

    Probabilities appear while a person types; the words are marked by `explain.occlusion` in a
    thread, after a pause or at the button, and the newest text wins.

    Parameters
    ----------
    models : a fitted classifier, or several by name.
    text : what stands there at first; it may be empty.

    Attributes
    ----------
    value : the text; setting it asks the models anew.
    predictions, explanations : what the views show of them, as HTML.

    Raises
    ------
    UserError : a model is not trained, or gives no probabilities.
    """

    value = Unicode()
    predictions = Unicode(read_only=True)
    explanations = Unicode(read_only=True)

    def __init__(self, models, *, text: str = "") -> None:
        super().__init__(value=str(text))
        self.models = dict(models) if isinstance(models, dict) else {"model": models}
        for name, model in self.models.items():
            if not hasattr(model, "classes_"):
                raise UserError(f"'{name}' is not trained yet: call its fit before trying it.")
            if not hasattr(model, "predict_proba"):
                raise UserError(f"'{name}' gives no probabilities: it has no predict_proba.")
        # Two predictions of one model at once would switch its dropout on and off under each other.
        self._lock, self._superseded = threading.Lock(), threading.Event()
        self._newest_only = threading.Lock()
        self.observe(lambda _: self._update(PAUSE), "value")

    def predict_proba(self, text: str) -> pd.DataFrame:
        """Probabilities: a row a model, a column a class."""
        with self._lock:
            rows = {
                name: dict(zip(map(str, m.classes_), m.predict_proba([text])[0], strict=True))
                for name, m in self.models.items()
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")

    def explain(self, text: str) -> dict[str, explain.Occlusion]:
        """What each model's prediction rests on, by its name."""
        found = {}
        for name, model in self.models.items():
            stop_event.raise_if_stopped()
            with self._lock:
                found[name] = explain.occlusion(model, text)
        return found

    def view(self):
        box = _view(self)
        self._update()
        return box

    def still(self) -> dict:
        if not self.value.strip():
            note = "No text yet: give one as TryIt(models, text=…)."
            return {"text/html": base.status_line(note), "text/plain": note}
        table = self.predict_proba(self.value)
        markup = f'<blockquote style="white-space:pre-wrap">{base.escape(self.value)}</blockquote>'
        markup += predictions_html(table) + explanations_html(self.explain(self.value))
        return {"text/html": markup, "text/plain": table.round(3).to_string()}

    def explain_later(self, pause: float = 0.0) -> None:
        """Explain the text in a thread, after `pause` seconds; whatever was begun is given up."""
        note = base.status_line("The words are left out one by one …")
        with self._newest_only:
            self._superseded.set()
            self._superseded = newer = threading.Event()
            self.set_trait("explanations", note if self.value.strip() else "")
        if self.value.strip():
            work = (self.value, newer, pause)
            threading.Thread(target=self._explain, args=work, daemon=True).start()

    def _update(self, pause: float = 0.0) -> None:
        """Predict at once, then explain; a text that is being explained lets the models go."""
        self._superseded.set()
        self.set_trait("predictions", _or_error(self._predictions))
        self.explain_later(pause)

    def _predictions(self) -> str:
        return predictions_html(self.predict_proba(self.value)) if self.value.strip() else ""

    def _explain(self, text: str, newer: threading.Event, pause: float) -> None:
        if newer.wait(pause):
            return
        with suppress(stop_event.Stopped), stop_event.stoppable(newer):
            markup = _or_error(lambda: explanations_html(self.explain(text)))
            with self._newest_only:
                if not newer.is_set():
                    self.set_trait("explanations", markup)


def _or_error(work: Callable[[], str]) -> str:
    """The HTML that `work` returns, or in words why there is none."""
    try:
        return work()
    except stop_event.Stopped:
        raise
    except Exception as error:
        return base.status_line(base.error_message(error), "bad")


def _view(trial: TryIt):
    """The widgets of one place where a `TryIt` is shown, tied to its traits."""
    kit = base.toolkit()
    area = kit.Textarea(
        description="Text", placeholder="Type or paste a text", rows=4,
        layout=kit.Layout(width="100%"),
    )  # fmt: skip
    button = kit.Button(
        description="What does it rest on?", tooltip="Leave out one word after the other",
        layout=kit.Layout(width="auto", align_self="flex-start"),
    )  # fmt: skip
    predictions, explanations = kit.HTML(), kit.HTML()
    link((trial, "value"), (area, "value"))
    dlink((trial, "predictions"), (predictions, "value"))
    dlink((trial, "explanations"), (explanations, "value"))
    button.on_click(lambda _: trial.explain_later())
    parts = [area, predictions, button, explanations]
    return keys.capture(kit.VBox(parts, layout=kit.Layout(max_width="900px")))


def predictions_html(table: pd.DataFrame) -> str:
    """The table of `TryIt.predict_proba` as a bar a class with its number, model beside model."""
    cards = "".join(_card(str(name), row.dropna()) for name, row in table.iterrows())
    return f'<div style="display:flex;flex-wrap:wrap;gap:0 2em;line-height:1.5">{cards}</div>'


def _card(name: str, row) -> str:
    shown = row if len(row) <= MOST_CLASSES else row.nlargest(MOST_CLASSES)
    if hidden := len(row) - len(shown):
        shown = shown.copy()
        shown[f"{hidden} more"] = 1 - shown.sum()
    head = f"<p><b>{base.escape(name)}</b>: {base.escape(row.idxmax())}</p>"
    body = tables.table(shown.to_frame("probability"), bars="probability")
    return f'<div style="flex:1 1 260px">{head}{body}</div>'


def explanations_html(found: dict[str, explain.Occlusion]) -> str:
    """For each model the whole text with its words marked, and the numbers behind a fold."""
    legend = (
        "The number behind a word: points of probability that the prediction loses without it. "
        "+ speaks for the prediction, − against it."
    )
    parts = "".join(_explained(name, each) for name, each in found.items())
    return f'<div style="line-height:1.5"><p>{legend}</p>{parts}</div>'


def _explained(name: str, found: explain.Occlusion) -> str:
    notes = ""
    if found.n > len(found.words):
        notes += f" The first {len(found.words)} of {found.n} words were left out one by one."
    if not (abs(found.attributions) >= LEAST).any():
        notes += " No word on its own moves the probability by a point."
    head = f"<b>{base.escape(name)}</b>: {base.escape(found.label)}, {found.probability:.3f}."
    order = (-abs(found.attributions)).argsort(kind="stable")
    losses = pd.DataFrame({"word": found.words, "loss of probability": found.attributions})
    numbers = tables.table(losses.iloc[order])
    return (
        f"<div><p>{head}{notes}</p>"
        f'<blockquote style="white-space:pre-wrap;line-height:1.9">{marked(found)}</blockquote>'
        f"<details><summary>Data: {base.escape(name)}</summary>{numbers}</details></div>"
    )


def marked(found: explain.Occlusion) -> str:
    """The text as HTML: what speaks for the prediction underlined, what against it dashed."""
    parts, at = [], 0
    strongest = max(abs(found.attributions).max(initial=0), LEAST)
    for (start, end), loss in zip(found.spans, found.attributions, strict=True):
        if abs(loss) < LEAST:
            continue
        supports, word = bool(loss > 0), base.escape(found.text[start:end])
        style = f"background:rgba({RGB[supports]},{0.4 * abs(loss) / strongest:.2f})"
        if not supports:
            style += f";border-bottom:2px dashed rgb({RGB[supports]})"
        tag = "u" if supports else "span"
        sign = f"{'+' if supports else '−'}{100 * abs(loss):.0f}"
        mark = f'<{tag} title="{loss:+.3f}" style="{style}">{word}</{tag}><sup>{sign}</sup>'
        parts += [base.escape(found.text[at:start]), mark]
        at = end
    return "".join([*parts, base.escape(found.text[at:])])
