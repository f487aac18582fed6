"""Small tables: escaped, narrow lines, numbers to the right."""

import pandas as pd

from workbench.evaluation import plots
from workbench.widgets import base

_CELL = "padding:1px 10px 1px 0;vertical-align:top;text-align:"


def table(frame: pd.DataFrame, caption: str, *, widest: str = "", bars: str = "") -> str:
    """A data frame as HTML, its index as the first column.

    Parameters
    ----------
    widest : the column whose text may break into lines.
    bars : a column of shares, drawn as bars with the share beside them.
    """
    right = {c for c in frame if pd.api.types.is_numeric_dtype(frame[c]) and c != bars}
    head = _cell("th", frame.index.name or "", 'scope="col"')
    head += "".join(_cell("th", c, 'scope="col"', c in right) for c in frame)
    rows = ""
    for index, row in zip(frame.index, frame.to_dict("records"), strict=True):
        rows += "<tr>" + _cell("th", index, 'scope="row"')
        for name, value in row.items():
            if name == bars:
                rows += f'<td style="white-space:nowrap">{_bar(value, frame[bars].max())}</td>'
            else:
                rows += _cell("td", value, "", name in right, name == widest)
        rows += "</tr>"
    return (
        '<div style="overflow-x:auto;line-height:1.4;margin-bottom:8px"><table>'
        f'<caption style="text-align:left;font-style:italic">{base.escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _cell(tag: str, value, options: str = "", right: bool = False, breaks: bool = False) -> str:
    style = f"{_CELL}{'right' if right else 'left'}{'' if breaks else ';white-space:nowrap'}"
    return f'<{tag} {options} style="{style}">{base.escape(value)}</{tag}>'


def _bar(share: float, largest: float) -> str:
    drawn = (
        f"display:inline-block;background:{plots.COLOURS[0]};height:.8em;margin-right:.5em;"
        f"width:{150 * share / largest:.0f}px"
    )
    return f'<span style="{drawn}"></span>{share:.1%}'
