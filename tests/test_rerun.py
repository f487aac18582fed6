"""A cell of a notebook may run again after the last one: what it reads is still what it was."""

import ast
import dis
import re
from types import CodeType

import nbformat
import pytest

from tests.test_project import NOTEBOOKS

# A check reads the answer that stands above it, or the solution if that has been run.
DELIBERATE = re.compile(r"answer_\d")


def names(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell reads before it binds them, and those that it binds."""
    code = compile(source, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    read, bound = set(), set()
    for step in dis.get_instructions(code):
        if step.opname == "STORE_NAME":
            bound.add(step.argval)
        elif step.opname == "LOAD_NAME" and step.argval not in bound:
            read.add(step.argval)
    inside = [code]
    for each in inside:
        inside += [constant for constant in each.co_consts if isinstance(constant, CodeType)]
        used = {s.argval for s in dis.get_instructions(each) if s.opname == "LOAD_GLOBAL"}
        read |= used - bound
    return read, bound


def changed_later(cells: list[str]) -> list[str]:
    """Names that a cell takes from an earlier one and that it, or a later one, gives another value.

    When such a cell runs again, it meets the later value.
    """
    found = [names(cell) for cell in cells]
    return [
        f"{name} in: {cells[i].strip().splitlines()[0]}"
        for i, (read, _) in enumerate(found)
        for name in sorted(read)
        if any(name in bound for _, bound in found[:i])
        and any(name in bound for _, bound in found[i:])
        and not DELIBERATE.fullmatch(name)
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_cell_changes_what_an_earlier_one_reads(path):
    cells = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    assert changed_later(cells) == []


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        (["source = picker()", "source.load()", "for source in 'ab': pass"], "source"),
        (["a = 1", "def f(): return a", "a = 'one'"], "a"),
        (["rows = []", "rows = frame(rows)"], "rows"),
        (["a = 1", "[a for _ in 'ab']", "import b as a"], "a"),
        (["a = 1", "b = lambda: a", "def a(): pass"], "a"),
        (["a = 1", "await a", "a += 1"], "a"),
    ],
)
def test_a_reused_name_is_found(cells, name):
    assert [fault.split()[0] for fault in changed_later(cells)][:1] == [name]


@pytest.mark.parametrize(
    "cells",
    [
        ["a = 1", "a = 2", "print(a)"],
        ["for i in 'ab': print(i)", "for i in (1, 2): print(i)"],
        ["a = 1", "def f(a): return a", "def g():\n    a = 3\n    return a", "[a for a in 'ab']"],
        ["a = b = 1", "a = b\nprint(a)"],
    ],
)
def test_a_name_that_each_cell_binds_for_itself_is_none(cells):
    assert changed_later(cells) == []
