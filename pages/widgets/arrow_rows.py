"""Rows as the Arrow table that Streamlit sends, made without pandas.

Arrow's own `pa.table` loads pandas to see whether it was given some of it, and Streamlit makes a frame of a list of
dicts at every redraw. A server at rest does without the 30 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import accumulate, chain
from typing import Any

import numpy as np
import pyarrow as pa


def table_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """A column for every name in the rows, in the order of their first use; the very table that `pa.table` makes.

    ArrowInvalid, ArrowTypeError for a column with values of several kinds.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.Table.from_arrays([_column([row.get(name) for row in rows]) for name in names], list(names))


def _column(cells: Sequence[Any]) -> pa.Array:
    kinds = {type(cell) for cell in cells if cell is not None} or {type(None)}
    make = _MAKERS.get(kinds.pop()) if len(kinds) == 1 else None
    return pa.array(cells) if make is None else make(cells)


def _bools(cells: Sequence[bool | None]) -> pa.Array:
    return _array(pa.bool_(), cells, [_bits(cells)])


def _whole_numbers(cells: Sequence[int | None]) -> pa.Array:
    return _array(pa.int64(), cells, [np.array([0 if cell is None else cell for cell in cells], np.int64)])


def _numbers(cells: Sequence[float | None]) -> pa.Array:
    return _array(pa.float64(), cells, [np.array([0.0 if cell is None else cell for cell in cells], np.float64)])


def _texts(cells: Sequence[str | None]) -> pa.Array:
    texts = [(cell or "").encode() for cell in cells]
    return _array(pa.string(), cells, [_offsets(texts), b"".join(texts)])


def _lists(cells: Sequence[list[Any] | None]) -> pa.Array:
    lists = [cell or [] for cell in cells]
    members = _column(list(chain.from_iterable(lists)))
    return _array(pa.list_(members.type), cells, [_offsets(lists)], [members])


def _durations(cells: Sequence[timedelta | None]) -> pa.Array:
    micros = [0 if cell is None else cell // timedelta(microseconds=1) for cell in cells]
    return _array(pa.duration("us"), cells, [np.array(micros, np.int64)])


_MAKERS: dict[type, Callable[[Any], pa.Array]] = {
    type(None): lambda cells: pa.nulls(len(cells)),
    bool: _bools,
    int: _whole_numbers,
    float: _numbers,
    str: _texts,
    list: _lists,
    timedelta: _durations,
}


def _array(kind: pa.DataType, cells: Sequence[Any], values: list[Any], children: list[pa.Array] | None = None) -> Any:
    """An array in Arrow's layout: a bit a cell for those that are there, then the kind's own buffers."""
    there = _bits([cell is not None for cell in cells]) if None in cells else None
    buffers = [None if part is None else pa.py_buffer(part) for part in (there, *values)]
    return pa.Array.from_buffers(kind, len(cells), buffers, children=children)


def _bits(flags: Sequence[Any]) -> Any:
    return np.packbits(np.array(flags, bool), bitorder="little")


def _offsets(parts: Sequence[Any]) -> Any:
    """Where each part begins in all of them together, and the end."""
    return np.array([0, *accumulate(map(len, parts))], np.int32)
