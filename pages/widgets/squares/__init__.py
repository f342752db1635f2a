"""Squares: a table of cells by kind, each with a sign; a click or Enter chooses one.

One stop of the Tab key with arrows inside, a line of facts under the pointer and the focus, a legend, and a hint where
it goes on beyond its edge. Equal facts are sent once, so that thousands of cells are a few kilobytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "ffe_squares",
    html='<div class="squares"></div>',
    css=(_HERE / "squares.css").read_text("utf-8"),
    js=(_HERE / "squares.js").read_text("utf-8"),
)


class Kind(NamedTuple):
    """What a cell may be: its words, its sign, and colours of CSS, `light-dark(A, B)` among them."""

    said: str
    sign: str
    fill: str
    edge: str = "transparent"
    ink: str = "inherit"


class Facts(NamedTuple):
    """What one or more cells show: the place of their kind, and the lines said of them."""

    kind: int
    lines: Sequence[str] = ()


class Column(NamedTuple):
    """What is sent back when one of its cells is chosen, and its name as it is said."""

    key: int
    name: str


@dataclass(frozen=True)
class Table:
    """All that is drawn; `cells` has for each row the place in `facts` of each cell, or None where there is none.

    `heads` are texts over the columns, each with how many it spans; `legend` the places of the kinds it names.
    `least` and `most` are the pixels a column may be wide, `high` those of a row.
    """

    rows: Sequence[str]
    columns: Sequence[Column]
    cells: Sequence[Sequence[int | None]]
    facts: Sequence[Facts]
    kinds: Sequence[Kind]
    legend: Sequence[int]
    heads: Sequence[tuple[str, int]]
    least: int
    most: int
    high: int
    empty: str = ""
    """What the legend calls the lack of a cell; nothing if it does not name it."""


def draw(key: str, table: Table, choose: Callable[[str, int], None], chosen: tuple[str, int] | None = None) -> None:
    """Draw it, one cell marked as `chosen`; `choose` gets the name of a row and the key of a column of it."""

    def told() -> None:
        said = st.session_state[key].get("chosen") or {}
        row, column = said.get("row"), said.get("column")
        if row in table.rows and column in {one.key for one in table.columns}:
            choose(str(row), int(column))

    # Not a dict: of what is in one, Streamlit would ask pandas whether it is a table.
    _component(data=(sent(table), chosen), key=key, height="content", on_chosen_change=told)


def sent(table: Table) -> dict[str, Any]:
    """A table as JSON can hold it."""
    named: dict[str, Sequence[Any]] = {"columns": table.columns, "facts": table.facts, "kinds": table.kinds}
    lists = {"rows": table.rows, "cells": table.cells, "legend": table.legend, "heads": table.heads}
    return {
        **vars(table),
        **{name: [one._asdict() for one in some] for name, some in named.items()},
        **{name: list(some) for name, some in lists.items()},
    }
