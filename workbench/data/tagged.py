"""Sentences with a tag a token, from CoNLL files or columns of lists, all in the BIO scheme."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from workbench.data import columns, splits, text
from workbench.errors import UserError, warn

COLUMNS = ("id", "text", "tokens", "tags", "domain", "language")  # of what `load` returns
LISTS = ("tokens", "tags")
_TAG = re.compile(r"O|[BIELSU]-\S+")
_TO_BIO = {"E": "I", "L": "I", "S": "B", "U": "B"}  # the ends and single tokens of BIOES and BILOU


def parse(content: str) -> pd.DataFrame:
    """The sentences of a CoNLL file as the columns ``tokens`` and ``tags``, each a list of strings.

    A line holds a token first and its tag last, with tabs or spaces between; a blank line ends a
    sentence. ``-DOCSTART-`` and comments are left out.

    Raises
    ------
    ValueError : a line is no token with its tag.
    """
    sentences, sentence = [], []
    for number, line in enumerate([*re.split(r"\r\n?|\n", content), ""], 1):
        fields = line.strip().split("\t" if "\t" in line.strip() else None)
        if not line.strip():
            sentences += [tuple(map(list, zip(*sentence, strict=True)))] if sentence else []
            sentence = []
        elif len(fields) > 1 and _TAG.fullmatch(fields[-1].strip()):
            if fields[0] != "-DOCSTART-":
                sentence.append((fields[0].strip(), fields[-1].strip()))
        elif not line.startswith(("#", "-DOCSTART-")):
            raise ValueError(
                f"line {number} ('{line.strip()[:40]}') is no token with its tag, such as "
                "'Rome B-LOC'; labelled texts go into a CSV"
            )
    return pd.DataFrame(sentences, columns=LISTS, dtype=object)


def holds(tables: Sequence[pd.DataFrame]) -> bool:
    """Whether every table has lists of tokens and of tags."""
    return all(
        name in table and isinstance(table[name].iloc[0], (list, np.ndarray))
        for table in tables
        for name in LISTS
    )


def arrange(tables: Sequence[pd.DataFrame], name: str, seed: int) -> pd.DataFrame:
    """All sentences with `COLUMNS` and ``split``; no sentence stands in two splits.

    Raises
    ------
    UserError : tokens and tags do not fit together, or one of them cannot be used.
    """
    table = pd.concat(tables, ignore_index=True)
    empty = [isinstance(cell, (list, np.ndarray)) and not len(cell) for cell in table["tokens"]]
    if any(empty):
        warn(f"{sum(empty)} of {len(table)} sentences of {name} have no tokens and are left out.")
    table = table[~np.array(empty)].reset_index(drop=True)
    check(table["tokens"], table["tags"], name)
    table = table.assign(
        id=columns.row_ids(table), text=table["tokens"].map(_joined), label="",
        tags=in_bio(table["tags"].map(list), name), split=splits.standard_split(table, name),
    )  # fmt: skip
    table = splits.arrange(table, name, seed, classes=False).drop(columns="label")
    learned = entities(table.loc[table["split"] == "train", "tags"])
    if never := sorted({*entities(table["tags"])} - {*learned}):
        warn(f"No training sentence of {name} has entities of the type {', '.join(never)}.")
    return table


def entities(tags: pd.Series) -> pd.Series:
    """The type of each entity in sentences of BIO tags, with the index of its sentence."""
    firsts = tags.explode().astype(str)
    return firsts[firsts.str.startswith("B-")].str[2:]


def bio(tags: Sequence[str]) -> list[str]:
    """The tags of a sentence, of any of the usual schemes, in BIO.

    An entity that begins with I- (as all do in IOB1 and IO, but for those that follow one of
    their type) is one of its own, as conlleval and seqeval read it.
    """
    tags = [_TO_BIO.get(tag[0], tag[0]) + tag[1:] for tag in tags]
    return ["B" + tag[1:] if tag[0] == "I" and tag[1:] != before[1:] else tag
            for before, tag in zip(["O", *tags], tags, strict=False)]  # fmt: skip


def check(sentences: Iterable, tags: Iterable, name: str) -> None:
    """Refuse what is not for each sentence a list of tokens and a list of as many tags.

    Raises
    ------
    UserError : with the number of the first such sentence.
    """
    for number, pair in enumerate(zip(sentences, tags, strict=True), 1):
        if wrong := _problem(*pair):
            raise UserError(f"Sentence {number} of {name} {wrong}.")


def _problem(tokens, tags) -> str:
    if not all(isinstance(cell, (list, np.ndarray)) for cell in (tokens, tags)):
        return "has no list of tokens or no list of tags: give both, and O where there is no entity"
    if not len(tokens):
        return "has no tokens: leave it out"
    shown = f"('{' '.join(map(str, tokens[:5]))} …')"
    if len(tokens) != len(tags):
        return f"{shown} has {len(tokens)} tokens and {len(tags)} tags: give each token one tag"
    if not all(isinstance(token, str) and token.strip() for token in tokens):
        return f"{shown} has a token that is empty or no string: take it out, with its tag"
    wrong = [tag for tag in tags if not (isinstance(tag, str) and _TAG.fullmatch(tag))]
    if wrong:
        return f"{shown} has the tag '{wrong[0]}': write B-TYPE, I-TYPE and O, as in B-LOC I-LOC O"
    return ""


def _joined(tokens: Sequence[str]) -> str:
    spaced = " ".join(tokens)
    return "".join(tokens) if text.language_of(spaced) in text.UNSPACED else spaced


def in_bio(sentences: Sequence[Sequence[str]], name: str) -> list[list[str]]:
    """The tags of all sentences as `bio` reads them, with a `DataWarning` of what it mended.

    Raises
    ------
    UserError : there is no entity.
    """
    converted = [bio(tags) for tags in sentences]
    mended = sum(new[0] == "B" and old[0] in "IEL" for row, old_row in
                 zip(converted, sentences, strict=True)
                 for new, old in zip(row, old_row, strict=True))  # fmt: skip
    if not (found := len(entities(pd.Series(converted, dtype=object)))):
        raise UserError(f"There are no entities in {name}: every tag is O.")
    if mended:
        warn(
            f"{mended} of {found} entities of {name} begin with I- and not with B-, as in the "
            "scheme IOB1, and are read as if they began with B-."
        )
    return converted
