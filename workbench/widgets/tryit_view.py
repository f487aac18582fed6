"""What a person sees of a `TryIt`: its controls, and predictions and explanations as HTML."""

import pandas as pd
from traitlets import dlink, link

from workbench.evaluation import explain
from workbench.widgets import base, controls, tables

LEAST = 0.01  # a word that moves the probability by less is not marked
MOST_CLASSES = 6  # shown for each model
MOST_LINES = 200  # shown; the file has all
LONGEST = 300  # characters of a training text
RGB = {True: "0,114,178", False: "213,94,0"}  # for and against: the first two of plots.COLOURS


def view(trial):
    """The widgets of one place where a `TryIt` is shown, tied to its traits."""
    kit, auto = base.toolkit(), {"width": "auto"}
    text = kit.Textarea(description="Text", placeholder="Type or paste a text", rows=4,
                        layout={"width": "100%"})  # fmt: skip
    lines = kit.Checkbox(description="One text a line", indent=False, layout=auto)
    predictions, explanations = kit.HTML(), kit.HTML()
    tip = "It stands beside those of the next texts; again: no more"
    keep = controls.button("Keep this answer", tip, trial.pin, explanations, layout=auto)
    tip = "Leave out one word after the other"
    rests = controls.button(
        "What does it rest on?", tip, trial.explain_later, explanations, layout=auto
    )
    link((trial, "value"), (text, "value"))
    link((trial, "lines"), (lines, "value"))
    dlink((trial, "predictions"), (predictions, "value"))
    dlink((trial, "explanations"), (explanations, "value"))
    buttons = controls.row(lines, keep, rests)
    return controls.box(text, predictions, buttons, explanations, max_width="900px")


def quoted(markup: str, line_height: float = 1.4) -> str:
    """Markup set off, its lines and spaces as they are."""
    style = f"white-space:pre-wrap;line-height:{line_height}"
    return f'<blockquote style="{style}">{markup}</blockquote>'


def predictions(table: pd.DataFrame) -> str:
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


def pinned(before: tuple | None, now: tuple) -> str:
    """The probabilities of a pinned text beside those of the text now; empty where none is."""
    if before is None:
        return ""
    if before[0] == now[0]:
        return base.status_line("This answer is kept: change the text to compare.")
    parts = f"<p>Kept: <q>{base.escape(before[0])}</q></p>"
    for name, row in now[1].iterrows():
        both = pd.DataFrame({"kept": before[1].loc[name], "now": row}).dropna()
        both["change"] = both["now"] - both["kept"]
        largest = both["change"].abs().nlargest(MOST_CLASSES).index
        parts += tables.table(both.loc[both.index.isin(largest)], str(name))
    return parts


def lines(rows: pd.DataFrame) -> str:
    """What `TryIt.predict` has found with a row a text, and a link that saves all of it as CSV."""
    columns = {}
    for name, each in rows.groupby("model", sort=False):
        columns.setdefault("text", each["text"].tolist())
        most = each.filter(regex="^p_").max(axis=1)
        columns[name] = [f"{c} {p:.3f}" for c, p in zip(each["predicted"], most, strict=True)]
    shown = pd.DataFrame(columns, index=range(1, 1 + len(columns["text"])))
    caption = f"{len(shown)} texts" + f", the first {MOST_LINES}" * (len(shown) > MOST_LINES)
    table = tables.table(shown.head(MOST_LINES).rename_axis("line"), caption, wrap="text")
    save = tables.csv_link(rows, "predictions.csv", "Save the predictions as CSV")
    return f"{table}<p>{save}</p>"


def nearest(found: dict[str, pd.DataFrame]) -> str:
    """The tables of `TryIt.nearest`."""
    parts = ""
    for by, rows in found.items():
        caption = f"Nearest training texts: cosine similarity of the vectors of {by}"
        begins = [text if len(text) <= LONGEST else f"{text[:LONGEST]}…" for text in rows["text"]]
        shown = rows.assign(text=begins).set_index("label")[["similarity", "text"]]
        parts += tables.table(shown, caption, wrap="text")
    return parts


def explanations(found: dict[str, explain.Explanation]) -> str:
    """For each model the whole text with its words marked, and the numbers behind a fold."""
    legend = (
        "The number behind a word: points of probability that the prediction loses without it. "
        "+ speaks for the prediction, − against it."
    )
    parts = "".join(_explained(name, each) for name, each in found.items())
    return f'<div style="line-height:1.5"><p>{legend}</p>{parts}</div>'


def _explained(name: str, found: explain.Explanation) -> str:
    notes = ""
    if cut := len(found.text) - found.read:
        notes += f" It reads {found.read} characters; the last {cut}, struck through, are cut off."
    if found.n > len(found.words):
        notes += f" The first {len(found.words)} of {found.n} words were left out one by one."
    if not (abs(found.attributions) >= LEAST).any():
        notes += " No word on its own moves the probability by a point."
    head = f"<b>{base.escape(name)}</b>: {base.escape(found.label)}, {found.probability:.3f}."
    order = (-abs(found.attributions)).argsort(kind="stable")
    losses = pd.DataFrame({"word": found.words, "loss of probability": found.attributions})
    numbers = tables.table(losses.iloc[order])
    marks, fold = quoted(marked(found), 1.9), base.fold(f"Data: {name}", numbers)
    return f"<div><p>{head}{notes}</p>{marks}{fold}</div>"


def marked(found: explain.Explanation) -> str:
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
    rest = base.escape(found.text[found.read :])
    parts += [base.escape(found.text[at : found.read]), f"<del>{rest}</del>" if rest else ""]
    return "".join(parts)
