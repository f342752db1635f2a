"""Stored bars of a range: the latest version of each, as it is now or as it was known at a moment.

Bronze never changes, so "as known at T" is the latest `_extracted_at <= T`: it needs no time travel, and compaction
and vacuum leave it alone. Ranges are read a few partitions at a time, so memory does not grow with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from ffe_core import times
from ffe_core.candles import PARTITION_COLUMNS, SCHEMA, VALUES
from ffe_core.errors import InputError
from ffe_core.insight.stored import require_stored
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import MICROS, Files, Ints, Snapshot, epochs, micros

Moment = int | datetime
"""A moment of knowledge: epoch seconds, or an aware datetime where microseconds matter."""

LINEAGE = ("source_provider", "_extracted_at", "_ingestion_id", "is_mock", "_dead_letter_id")
# Enough for every core to have a file to read, little enough to hold.
_PIECE_ROWS = 250_000
_KEYS = ("timestamp", "_extracted_at")


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A share of a range [start, end): one partition, or several small ones."""

    start: int
    end: int
    bars: pa.Table
    """One row a bar by time: timestamp, `_extracted_at`, the columns asked for, and `versions` (int64)."""
    later: Ints
    """Opens of the bars that were first stored after the moment asked for, epoch seconds."""
    restated_since: Ints
    """Opens of the bars that have other values now than at the moment asked for, epoch seconds."""


def bars(
    lake: DeltaLakeManager,
    series: Series,
    start: int,
    end: int,
    as_known_at: Moment | None = None,
    columns: Sequence[str] = VALUES,
) -> pa.Table:
    """The stored bars that open in [start, end) (epoch seconds), one row each, by time: timestamp, then `columns`.

    InputError for an unknown series (listing what there is) or column, StorageError if the table cannot be read.
    """
    snapshot = require_stored(lake, series)
    parts = [
        piece.bars.select(["timestamp", *columns])
        for piece in pieces(snapshot, series, start, end, as_known_at, columns)
    ]
    return pa.concat_tables([_empty(("timestamp", *columns)), *parts])


def pieces(
    snapshot: Snapshot,
    series: Series,
    start: int,
    end: int,
    as_known_at: Moment | None = None,
    columns: Sequence[str] = VALUES,
) -> Iterator[Piece]:
    """The range piece by piece, by time; together the pieces cover it without a break. InputError if it is reversed."""
    if end <= start:
        raise InputError(
            f"{times.iso(end)} is not after start {times.iso(start)}; give a range of some length", field="end"
        )
    moment = moment_micros(as_known_at)
    names = [*_KEYS, *(name for name in checked_columns(columns) if name not in _KEYS)]
    files = snapshot.files(series)
    for first, last in ranges_of(files, start, end):
        yield _piece(snapshot.rows(series, first, last, names, files), first, last, moment)


def nearest(
    snapshot: Snapshot, series: Series, at: int, as_known_at: Moment | None = None
) -> tuple[int | None, int | None]:
    """Opens of the last stored bar before `at` and of the first one from `at` on (epoch seconds)."""
    files = snapshot.files(series)
    if len(files) == 0:
        return None, None
    edges = list(ranges_of(files, int(files.first.min()), int(files.last.max()) + series.step))
    before = [(start, min(end, at)) for start, end in reversed(edges) if start < at]
    after = [(max(start, at), end) for start, end in edges if end > at]
    moment = moment_micros(as_known_at)
    return _first_found(snapshot, series, files, before, moment, -1), _first_found(
        snapshot, series, files, after, moment, 0
    )


def moment_micros(moment: Moment | None) -> int | None:
    """A moment as epoch microseconds; InputError for a datetime without a zone."""
    if moment is None or isinstance(moment, int):
        return None if moment is None else moment * MICROS
    if moment.tzinfo is None:
        raise InputError(f"{moment} has no time zone; add one, for example {moment.isoformat()}Z", field="as_known_at")
    return int(micros(pa.array([moment], SCHEMA.field("timestamp").type))[0])


def checked_columns(columns: Sequence[str]) -> Sequence[str]:
    """The columns as given; InputError for one that a bar does not have."""
    known = [name for name in SCHEMA.names if name not in PARTITION_COLUMNS]
    unknown = [name for name in columns if name not in known]
    if unknown:
        raise InputError(f"{', '.join(unknown)} unknown; a bar has {', '.join(known)}", field="columns")
    return columns


def ranges_of(files: Files, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The range cut where a stored partition begins, small partitions taken together."""
    begins = files.periods.astype(np.int64) * times.DAY
    first = start
    rows = 0
    for begin in np.unique(begins[(begins < end) & (files.last >= start)]).tolist():
        held = int(files.rows[begins == begin].sum())
        if begin > first and rows and rows + held > _PIECE_ROWS:
            yield first, begin
            first, rows = begin, 0
        rows += held
    yield first, end


def _piece(rows: pa.Table, start: int, end: int, moment: int | None) -> Piece:
    rows, open_times = _in_order(rows)
    none = np.empty(0, np.int64)
    if moment is None:
        return Piece(start, end, _latest(rows, open_times), none, none)
    known = micros(rows["_extracted_at"]) <= moment
    bars_then = _latest(rows.filter(pa.array(known)), open_times[known])
    others = np.unique(open_times[~known])
    then = np.isin(others, epochs(bars_then["timestamp"]), assume_unique=True)
    return Piece(start, end, bars_then, others[~then], others[then])


def _in_order(rows: pa.Table) -> tuple[pa.Table, Ints]:
    """Rows by open and version, and their opens; most files are in order already."""
    open_times = epochs(rows["timestamp"])
    if (np.diff(open_times) > 0).all():
        return rows, open_times
    order = np.lexsort((micros(rows["_extracted_at"]), open_times))
    return rows.take(pa.array(order)), open_times[order]


def _latest(rows: pa.Table, open_times: Ints) -> pa.Table:
    """The last of each bar's rows, with the number of them as `versions`."""
    last = np.flatnonzero(np.diff(open_times, append=np.iinfo(np.int64).max))
    versions = np.diff(last, prepend=-1)
    kept = rows if len(last) == len(open_times) else rows.take(pa.array(last))
    return kept.append_column("versions", pa.array(versions, pa.int64()))


def _first_found(
    snapshot: Snapshot,
    series: Series,
    files: Files,
    ranges: Sequence[tuple[int, int]],
    moment: int | None,
    place: int,
) -> int | None:
    for start, end in ranges:
        found = _piece(snapshot.rows(series, start, end, _KEYS, files), start, end, moment).bars
        if found.num_rows:
            return int(epochs(found["timestamp"])[place])
    return None


def _empty(columns: Sequence[str]) -> pa.Table:
    return SCHEMA.empty_table().select(list(columns))
