"""Restatements by providers: when, from what to what, by how much, and which ingestion brought each.

A restatement is a row whose bar has an earlier version. Only files that can hold two versions of a bar are read: those
that overlap another in time, and those that compaction made of several commits.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ffe_core.candles import PRICES, TIMESTAMP, VALUES
from ffe_core.insight.bars import Moment, moment_micros, ranges_of
from ffe_core.insight.stored import require_stored, stored_series
from ffe_core.insight.versions import change_bps
from ffe_core.intervals import union
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import Files, Snapshot, epochs, micros

SCHEMA = pa.schema(
    [
        pa.field("asset_pair", pa.string()),
        pa.field("timeframe", pa.string()),
        pa.field("source_provider", pa.string()),
        pa.field("timestamp", TIMESTAMP),
        pa.field("restated_at", TIMESTAMP),
        pa.field("previous_at", TIMESTAMP),
        *(pa.field(f"{name}_{side}", pa.float64()) for name in VALUES for side in ("old", "new")),
        pa.field("close_change_bps", pa.float64()),
        pa.field("largest_change_bps", pa.float64()),
        pa.field("ingestion_id", pa.string()),
        pa.field("previous_ingestion_id", pa.string()),
        pa.field("dead_letter_id", pa.string()),
        pa.field("is_mock", pa.bool_()),
    ]
)
_KEYS = ["timestamp", "_extracted_at"]
_DETAILS = [*_KEYS, *VALUES, "_ingestion_id", "_dead_letter_id", "is_mock"]


def restatements(lake: DeltaLakeManager, series: Series | None = None, since: Moment | None = None) -> pa.Table:
    """Every restatement of a series, or of all, that was stored at `since` or later; the newest first.

    Columns as in `SCHEMA`: `restated_at` is the new version's `_extracted_at`; `close_change_bps` the change of the
    close in basis points, `largest_change_bps` that of the price that moved most (both 0 when only the volume did).
    InputError for an unknown series, StorageError if a table cannot be read.
    """
    chosen = [series] if series else [summary.series for summary in stored_series(lake)]
    earliest = moment_micros(since)
    found = [SCHEMA.empty_table()]
    for one in chosen:
        snapshot = require_stored(lake, one)
        found += _of_series(snapshot, one, -(2**62) if earliest is None else earliest)
    return pa.concat_tables(found).sort_by([("restated_at", "descending"), ("timestamp", "ascending")])


def _of_series(snapshot: Snapshot, series: Series, since: int) -> Iterator[pa.Table]:
    files = snapshot.files(series)
    for span in _suspect(files, since, series.step):
        for start, end in ranges_of(files, *span):
            open_times = _restated(snapshot.rows(series, start, end, _KEYS, files), since)
            if len(open_times):
                chosen = pc.field("timestamp").isin(pa.array(open_times, pa.int64()).cast(TIMESTAMP))
                rows = snapshot.rows(series, start, end, _DETAILS, files, chosen)
                yield _pairs(series, rows, since)


def _suspect(files: Files, since: int, step: int) -> list[tuple[int, int]]:
    """Where the bars lie that a file written since may hold in a second version."""
    overlapping = _overlapping(files)
    suspects = files.where((files.newest >= since) & (overlapping | ~files.of_one_commit))
    return [(start, end) for start, end in union(np.column_stack((suspects.first, suspects.last + step))).tolist()]


def _overlapping(files: Files) -> np.ndarray:
    """Which files share time with another."""
    order = np.argsort(files.first, kind="stable")
    first, last = files.first[order], files.last[order]
    begins_inside = first <= np.concatenate(([first.min() - 1], np.maximum.accumulate(last)[:-1]))
    another_begins = np.searchsorted(first, last, side="right") - 1 > np.arange(len(files))
    found = np.empty(len(files), dtype=bool)
    found[order] = begins_inside | another_begins
    return found


def _restated(rows: pa.Table, since: int) -> np.ndarray:
    """Opens, as epoch microseconds, of the bars with a version from `since` on that is not their first."""
    open_times, extracted = micros(rows["timestamp"]), micros(rows["_extracted_at"])
    order = np.lexsort((extracted, open_times))
    open_times, extracted = open_times[order], extracted[order]
    later = (open_times[1:] == open_times[:-1]) & (extracted[1:] >= since)
    return np.unique(open_times[1:][later])


def _pairs(series: Series, rows: pa.Table, since: int) -> pa.Table:
    """Each version from `since` on beside the one before it."""
    rows = rows.sort_by([("timestamp", "ascending"), ("_extracted_at", "ascending")])
    open_times = epochs(rows["timestamp"])
    place = 1 + np.flatnonzero((open_times[1:] == open_times[:-1]) & (micros(rows["_extracted_at"])[1:] >= since))
    old, new = rows.take(pa.array(place - 1)), rows.take(pa.array(place))
    moves = np.array([change_bps(old[name].to_numpy(), new[name].to_numpy()) for name in PRICES])
    largest = moves[np.abs(moves).argmax(axis=0), np.arange(len(place))]
    columns = {
        "asset_pair": pa.repeat(series.asset_pair, len(place)),
        "timeframe": pa.repeat(series.timeframe, len(place)),
        "source_provider": pa.repeat(series.provider, len(place)),
        "timestamp": new["timestamp"],
        "restated_at": new["_extracted_at"],
        "previous_at": old["_extracted_at"],
        **{f"{name}_{side}": rows_[name] for name in VALUES for side, rows_ in (("old", old), ("new", new))},
        "close_change_bps": moves[PRICES.index("close")],
        "largest_change_bps": largest,
        "ingestion_id": new["_ingestion_id"],
        "previous_ingestion_id": old["_ingestion_id"],
        "dead_letter_id": new["_dead_letter_id"],
        "is_mock": new["is_mock"],
    }
    return pa.table(columns).select(SCHEMA.names).cast(SCHEMA)
