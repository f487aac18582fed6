"""Data frames as small HTML tables: escaped, scrolling when wide, numbers to the right."""

import base64

import pandas as pd

from workbench.widgets import base

LONGEST_BAR = 20  # characters
_CELL = "padding:1px 10px 1px 0;vertical-align:top;text-align:"


def table(frame: pd.DataFrame, caption: str = "", *, wrap: str = "", bars: str = "") -> str:
    """A data frame as HTML, its index as the first column.

    Parameters
    ----------
    wrap : the column whose text may break into lines.
    bars : a column of shares between 0 and 1, with a bar behind each number.
    """
    right = {c for c in frame if pd.api.types.is_numeric_dtype(frame[c]) and c != bars}
    head = _cell("th", frame.index.name or "", scope="col")
    for name in frame:
        head += _cell("th", name, right=name in right, wrap=name == wrap, scope="col")
    rows = ""
    for index, row in zip(frame.index, frame.to_dict("records"), strict=True):
        rows += "<tr>" + _cell("th", index, scope="row")
        for name, value in row.items():
            text = number(value) + (f" {bar(value)}" if name == bars else "")
            rows += _cell("td", text, right=name in right, wrap=name == wrap)
        rows += "</tr>"
    if caption:
        caption = f'<caption style="text-align:left"><i>{base.escape(caption)}</i></caption>'
    return (
        f'<div style="overflow-x:auto;line-height:1.4;margin-bottom:8px"><table>{caption}'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def csv_link(frame: pd.DataFrame, name: str, words: str) -> str:
    """A link that saves a data frame, without its index, as a CSV file."""
    # The mark at the beginning tells Excel that it is UTF-8.
    content = base64.b64encode(frame.to_csv(index=False).encode("utf-8-sig")).decode()
    return f'<a download="{name}" href="data:text/csv;base64,{content}">{words}</a>'


def number(value: object) -> str:
    """A value as a table shows it: a float with three decimals or two digits, NaN as a dash."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "–"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.1e}" if 0 < abs(value) < 0.001 else f"{value:.3f}"


def bar(share: float) -> str:
    """A bar of characters; boxes would vanish where a report strips the style."""
    whole, eighths = divmod(round(share * LONGEST_BAR * 8), 8)
    return "█" * whole + " ▏▎▍▌▋▊▉"[eighths].strip()


def _cell(tag: str, value, *, right: bool = False, wrap: bool = False, scope: str = "") -> str:
    style = f"{_CELL}{'right' if right else 'left'}{'' if wrap else ';white-space:nowrap'}"
    scope = f' scope="{scope}"' if scope else ""
    return f'<{tag}{scope} style="{style}">{base.escape(value)}</{tag}>'
