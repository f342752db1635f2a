"""Comparison of rows with what is stored: tells new bars from restated and repeated ones."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ffe_core.candles import SCHEMA, VALUES
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import Snapshot, epochs

# What is stored is compared in one go where the new rows lie as dense as a market is open. Two gaps years apart are
# read without what lies between, and where there are many, so many bars at a time.
_DENSE = 8
_FAR_BARS = 50_000
_MOST_BARS = 1_000_000


@dataclass(frozen=True, slots=True)
class Committed:
    """What one commit did with the rows of a series: `rows = new + restated + repeats`."""

    new: int
    restated: int
    repeats: int
    version: int | None = None
    """Version of the table after a commit that moved marks only; None for one with rows, or where nothing was to do."""
    restated_rows: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool), compare=False, repr=False)
    """Which of the given rows were restatements; empty where none was stored before."""
    repeated_rows: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool), compare=False, repr=False)
    """Which of the given rows were repeats; empty where none was stored before."""


def compare(seen: Snapshot, series: Series, rows: pa.Table) -> tuple[pa.Table, Committed]:
    """The rows to append, and what the rest turned out to be, against what this handle sees."""
    if rows.num_rows == 0:
        return rows, Committed(0, 0, 0)
    open_times = epochs(rows["timestamp"])
    stored = _stored_at(seen, series, open_times)
    if stored.num_rows == 0:
        return rows, Committed(rows.num_rows, 0, 0)
    held = epochs(stored["timestamp"])
    at = np.minimum(np.searchsorted(held, open_times), len(held) - 1)
    known = held[at] == open_times
    same = known.copy()
    for name in VALUES:
        same &= np.asarray(rows[name]) == np.asarray(stored[name])[at]
    restated = known & ~same
    fresh = _extracted_after(rows, restated, np.asarray(stored["_extracted_at"].cast(pa.int64()))[at])
    done = Committed(int((~known).sum()), int(restated.sum()), int(same.sum()), None, restated, same)
    return fresh.filter(pa.array(~same)), done


def _stored_at(seen: Snapshot, series: Series, open_times: np.ndarray) -> pa.Table:
    """The latest stored version of each bar at `open_times`, sorted by time."""
    found = []
    for piece in _pieces(open_times, series.step):
        first, last = int(piece.min()), int(piece.max())
        stored = latest(seen.rows(series, first, last + 1, ["timestamp", "_extracted_at", *VALUES]))
        if stored.num_rows > len(piece):
            stored = stored.filter(pa.array(np.isin(epochs(stored["timestamp"]), piece)))
        found.append(stored)
    return pa.concat_tables(found)


def _pieces(open_times: np.ndarray, step: int) -> list[np.ndarray]:
    """The opens in ascending pieces, so that memory goes by their number and not by the range they span."""
    first = open_times.min()
    if open_times.max() - first <= _DENSE * step * len(open_times):
        return [open_times]
    open_times = np.sort(open_times)
    windows = (open_times - first) // (_MOST_BARS * step)
    return np.split(open_times, np.flatnonzero((np.diff(open_times) > _FAR_BARS * step) | (np.diff(windows) > 0)) + 1)


def _extracted_after(rows: pa.Table, restated: np.ndarray, stored: np.ndarray) -> pa.Table:
    """Move `_extracted_at` past the version each restated row replaces: a clock set back must not hide it."""
    if not restated.any():
        return rows
    column = SCHEMA.get_field_index("_extracted_at")
    extracted = np.asarray(rows["_extracted_at"].cast(pa.int64()))
    moved = np.where(restated, np.maximum(extracted, stored + 1), extracted)
    return rows.set_column(column, SCHEMA.field(column), pa.array(moved, pa.int64()).cast(SCHEMA.field(column).type))


def latest(rows: pa.Table) -> pa.Table:
    """One row a bar, the one extracted last, sorted by time."""
    if (np.diff(epochs(rows["timestamp"])) > 0).all():  # as after compaction: no bar is there twice
        return rows
    rows = rows.sort_by([("timestamp", "ascending"), ("_extracted_at", "ascending")])
    stamps = epochs(rows["timestamp"])
    last = np.ones(len(stamps), bool)
    last[:-1] = stamps[1:] != stamps[:-1]
    return rows if last.all() else rows.filter(pa.array(last))
