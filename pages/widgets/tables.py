"""Tables as the console shows them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pyarrow as pa
import streamlit as st

from ffe_core.candles import VALUES
from ffe_core.insight.units import NumberFormat
from pages.widgets.arrow_rows import table_of

_ROW_HEIGHT, _CELL_SIDES = 31, 18
"""Pixels: of a row, and beside the text of a cell."""
_LETTER = 7.2
"""Pixels of a letter, of the wider ones: a name is rather not cut than tight."""
OF_SENTENCES = 5.5
"""Pixels of a letter of many, narrow and wide."""


def show_table(rows: Any, **options: Any) -> Any:
    """`st.dataframe` without an index, with a dash for what there is none of; what it returns."""
    if isinstance(rows, list):
        with suppress(pa.ArrowInvalid, pa.ArrowTypeError):  # of several kinds in a column, which pandas writes as texts
            rows = table_of(rows)
        options = {"lazy": False, **options}  # to choose, Streamlit would ask pandas what was given
    return st.dataframe(rows, hide_index=True, placeholder="–", **options)


def height_of(rows: int, most: int = 8) -> Any:
    """The height of a list that shows so many rows at most, and half of the next where it scrolls: there are more."""
    return "content" if rows <= most else _ROW_HEIGHT * (most + 1) + _ROW_HEIGHT // 2


def fitting(texts: Iterable[str], least: int, most: int, letter: float = _LETTER) -> int:
    """The width of a column in which the longest of these texts is whole, in pixels, within bounds."""
    return min(max(least, _CELL_SIDES + math.ceil(letter * max(map(len, texts), default=0))), most)


def value_columns(table: Any, prices: NumberFormat, volume: str | None = None) -> dict[str, Any]:
    """How the five values of a table or frame of candles are shown: whole, prices with their decimals at least;
    `volume` is said of that column."""
    columns = {}
    for name in VALUES:
        least = NumberFormat() if name == "volume" else prices
        format_ = f"%,.{least.covering(table[name])}f"
        hint = volume if name == "volume" else None
        columns[name] = st.column_config.NumberColumn(name.capitalize(), format=format_, help=hint)
    return columns


def size_column(counts: Sequence[int], **options: Any) -> tuple[list[float], Any]:
    """A column of bytes as cells and their configuration: in one unit, told as text beside tables tells it.

    Streamlit's own format of bytes writes no space before the unit.
    """
    # To the kilobyte, so that a small file beside a large one is not nothing.
    size, format_ = (10**6, "%,.3f MB") if max(counts, default=0) >= 10**6 else (10**3, "%,.1f KB")
    return [count / size for count in counts], st.column_config.NumberColumn(format=format_, **options)


def count_column(label: str | None = None, **options: Any) -> Any:
    """A column of whole numbers, written as texts beside tables write them.

    Streamlit's *localized* would write them as the browser's language does: 1.234 beside a price of 1.234.
    """
    return st.column_config.NumberColumn(label, format="%,d", **options)


def time_cell(seconds: float | None) -> timedelta | None:
    """A duration as a cell that sorts by its length, in its one or two largest units."""
    if seconds is None:
        return None
    for size, below in ((86_400, 3_600), (3_600, 60), (60, 1)):
        if seconds >= size:
            finest = below if seconds < 10 * size else size
            return timedelta(seconds=int(seconds) // finest * finest)
    return timedelta(seconds=int(seconds))


def time_column(**options: Any) -> Any:
    """A dataframe column of durations."""
    return st.column_config.NumberColumn(format="localized", **options)


def score_cell(score: float) -> float:
    """The score of a series as a cell: percent, cut and not rounded, so that 100 means that nothing is open."""
    return math.floor(score * 10_000) / 100


def score_column() -> Any:
    """A dataframe column of scores."""
    said = "Percent of the bars that lie in no open finding, notices aside; a dash where nothing was checked yet."
    return st.column_config.NumberColumn("Score", format="%.2f", width="small", help=said)


def digest(values: Sequence[Any]) -> str:
    """Names what a table shows, for its key: Streamlit keeps the ticks of a key, whatever rows it shows by now."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:12]
