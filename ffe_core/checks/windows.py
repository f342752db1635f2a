"""Windows over all series of one pair: every bar is read once, and memory does not grow with their length.

A window is as long as some partitions of the table with the most rows. Each series keeps its last bars as the context
of the next window, so that nothing is missed where two meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from ffe_core.calendars import MarketCalendar
from ffe_core.candles import VALUES
from ffe_core.checks.bars import Bars, Floats, Ints
from ffe_core.insight.bars import Moment, pieces
from ffe_core.insight.stored import require_stored
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import Files, Snapshot, epochs
from ffe_core.times import DAY

CONTEXT = 400
"""Bars of a series that the next window sees again."""
_WINDOW_ROWS = 250_000
Columns = tuple[Ints, dict[str, Floats]]


@dataclass(frozen=True, slots=True)
class Around:
    """What is known of each series besides its bars."""

    calendar: Callable[[Series], MarketCalendar]
    marked: Callable[[Series], Ints]
    """Missing bars that somebody explained: ranges in epoch seconds."""
    factors: Callable[[Series], Mapping[int, float]]
    """Known splits: epoch seconds of the day, new shares for an old one."""


def windows(
    lake: DeltaLakeManager, series: Sequence[Series], around: Around, as_known_at: Moment | None = None
) -> Iterator[tuple[dict[Series, Bars], Mapping[Series, int]]]:
    """The bars of all series of a pair, window by window, and where in each the new ones begin.

    InputError for a series that is not stored, StorageError if a table cannot be read.
    """
    snapshots = {one: require_stored(lake, one) for one in series}
    kept: dict[Series, Columns] = {}
    fixed = {one: (around.calendar(one), around.marked(one), around.factors(one)) for one in series}
    for start, end in _edges({one: snapshot.files(one) for one, snapshot in snapshots.items()}):
        read = {one: _read(snapshots[one], one, start, end, as_known_at) for one in series}
        whole = {one: _after(kept.get(one), read[one]) for one in series}
        begins = {one: len(whole[one][0]) - len(read[one][0]) for one in series}
        yield _together({one: Bars(one, *whole[one], fixed[one][0], {}, *fixed[one][1:]) for one in series}), begins
        kept = {one: _last(columns) for one, columns in whole.items()}


def _together(shown: dict[Series, Bars]) -> dict[Series, Bars]:
    """The same, each knowing the others."""
    return {
        one: replace(bars, others={series: other for series, other in shown.items() if series != one})
        for one, bars in shown.items()
    }


def _edges(files: Mapping[Series, Files]) -> Iterator[tuple[int, int]]:
    """Ranges that together hold all files, each of whole partitions of every table."""
    first = min(int(own.first.min()) for own in files.values())
    last = max(int(own.last.max()) for own in files.values()) + 1
    begins, rows = _partitions(files)
    start, held = first, 0
    for begin, count in zip(begins.tolist(), rows.tolist(), strict=True):
        if held and held + count > _WINDOW_ROWS and begin > start:
            yield start, begin
            start, held = begin, 0
        held += count
    yield start, last


def _partitions(files: Mapping[Series, Files]) -> tuple[Ints, Ints]:
    """Where partitions begin, and how many rows lie in each; of several tables the finest."""
    begins = np.concatenate([own.periods.astype(np.int64) * DAY for own in files.values()])
    rows = np.concatenate([own.rows for own in files.values()])
    edges, place = np.unique(begins, return_inverse=True)
    return edges, np.bincount(place, weights=rows).astype(np.int64)


def _read(snapshot: Snapshot, series: Series, start: int, end: int, as_known_at: Moment | None) -> Columns:
    parts = [piece.bars for piece in pieces(snapshot, series, start, end, as_known_at)]
    table = pa.concat_tables(parts).combine_chunks()
    values = {name: np.asarray(table[name].to_numpy(), np.float64) for name in VALUES}
    return epochs(table["timestamp"]), values


def _after(before: Columns | None, columns: Columns) -> Columns:
    if before is None:
        return columns
    open_times = np.concatenate([before[0], columns[0]])
    return open_times, {name: np.concatenate([before[1][name], columns[1][name]]) for name in VALUES}


def _last(columns: Columns) -> Columns:
    """A copy of the last bars, which lets go of the others."""
    return columns[0][-CONTEXT:].copy(), {name: column[-CONTEXT:].copy() for name, column in columns[1].items()}
