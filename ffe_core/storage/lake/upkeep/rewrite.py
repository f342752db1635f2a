"""Rewriting of data files: several of one partition become one a provider, sorted by time, every version of a bar kept.

The library's own compaction leaves times in disorder and makes dictionaries of prices, so files are written here, with
the encodings of appends.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.transaction import AddAction, RemoveAction

from ffe_core.candles import PARTITION_COLUMNS, TIMESTAMP, timeframe_of
from ffe_core.storage.lake import data_files
from ffe_core.storage.lake.file_ranges import ByProvider, by_provider
from ffe_core.storage.lake.upkeep.plan import Merge
from ffe_core.timeframes import seconds

_GROUP_ROWS = 16_384
"""Rows of a row group: a reader of some days of a year of 5m bars decodes just those."""
_UNKNOWN = -(2**62)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A merge whose new files are written and not yet named by the log."""

    merge: Merge
    added: tuple[AddAction, ...]
    held: tuple[ByProvider | None, ...]
    """What each of the new files holds; None where another tool left bars without a time or a provider."""
    repeats: int
    """Rows left out as they were there twice, equal in every column: what two tools that compact at once leave."""

    @property
    def bytes(self) -> int:
        """Bytes of the new files."""
        return sum(action.size for action in self.added)

    @property
    def file_names(self) -> set[str]:
        """The names of the new files."""
        return {file_name(action.path) for action in self.added}

    def removed(self, at: int) -> list[RemoveAction]:
        """What takes the old files out of the log; `at` in epoch milliseconds."""
        return [
            RemoveAction(
                path=unquote(name),  # the library spells it for the log
                data_change=False,
                deletion_timestamp=at,
                size=size,
                partition_values=_partition(self.merge),
            )
            for name, size in zip(self.merge.names, self.merge.sizes, strict=True)
        ]


def file_name(path: str) -> str:
    """A file's name without its folders: no two are alike, and a log may spell the folders in more than one way."""
    return path.rpartition("/")[2]


class Rewriter:
    """Writes the new files of merges into a table's folder; the log is somebody else's."""

    def __init__(self, table: DeltaTable, filesystem: pafs.FileSystem) -> None:
        held = pa.schema(table.schema().to_arrow())
        self._schema = pa.schema([field for field in held if field.name not in PARTITION_COLUMNS])
        self._filesystem = filesystem
        self._place = data_files.place_of(table)
        self._step = seconds(timeframe_of(table.table_uri.rstrip("/").rpartition("/")[2]))

    def rewrite(self, merge: Merge, now: int) -> Rewritten:
        """Read the files of a merge and write what replaces them; `now` in epoch milliseconds.

        OSError or ArrowException if a file cannot be read or written; what was written by then is removed.
        """
        rows = self._rows(merge)
        ordered, repeats = _ordered(rows)
        added: list[AddAction] = []
        held: list[ByProvider | None] = []
        try:
            for part in _by_provider(ordered):
                added.append(self._write(merge, part, now))
                is_known = not any(part[name].null_count for name in ("timestamp", "source_provider"))
                held.append(by_provider(part, None, self._step) if is_known else None)
        except BaseException:
            self.discard(added)
            raise
        return Rewritten(merge, tuple(added), tuple(held), repeats)

    def discard(self, added: Sequence[AddAction]) -> None:
        """Delete new files that the log does not name."""
        for action in added:
            self._delete(action.path)

    def _rows(self, merge: Merge) -> pa.Table:
        return pa.concat_tables([self._read(unquote(name)) for name in merge.names])

    def _read(self, path: str) -> pa.Table:
        """A file in the columns that the table has now; by itself, as a dataset of small ones waits for its threads."""
        with self._filesystem.open_input_file(path) as file:
            held = pq.ParquetFile(file).read(use_threads=False)
        missing = [field for field in self._schema if field.name not in held.column_names]
        for field in missing:
            held = held.append_column(field, pa.nulls(held.num_rows, field.type))
        return held.select(self._schema.names).cast(self._schema)

    def _write(self, merge: Merge, rows: pa.Table, now: int) -> AddAction:
        folder = unquote(merge.names[0]).rpartition("/")[0]
        name = f"part-00000-{uuid4()}-c000.zstd.parquet"
        path = f"{folder}/{name}" if folder else name
        size = self._place.write(path, rows, _GROUP_ROWS)
        return AddAction(path, size, _partition(merge), now, False, json.dumps(data_files.statistics(rows)))

    def _delete(self, path: str) -> None:
        try:
            self._filesystem.delete_file(path)
        except (OSError, pa.ArrowException):
            return  # it was never made; or vacuum finds it


def _partition(merge: Merge) -> dict[str, str | None]:
    return {"partition_date": merge.period, "partition_asset_pair": merge.pair}


def _ordered(rows: pa.Table) -> tuple[pa.Table, int]:
    """The rows by time and version, and how many were left out as they were there before."""
    stamps, versions = (_micros(rows[name]) for name in ("timestamp", "_extracted_at"))
    order = np.lexsort((versions, stamps))  # stable: what is equal stays in the order of the log
    stamps, versions = stamps[order], versions[order]
    rows = rows.take(pa.array(order))
    alike = np.flatnonzero((np.diff(stamps) == 0) & (np.diff(versions) == 0)) + 1
    if len(alike) == 0:
        return rows, 0
    gone = _repeated(rows, alike, stamps, versions)
    keep = np.ones(rows.num_rows, dtype=bool)
    keep[gone] = False
    return rows.filter(pa.array(keep)), len(gone)


def _repeated(rows: pa.Table, alike: np.ndarray, stamps: np.ndarray, versions: np.ndarray) -> list[int]:
    """Places of rows that equal an earlier one of the same bar and version in every column."""
    suspects = np.union1d(alike, alike - 1)
    texts = [repr(row) for row in rows.take(pa.array(suspects)).to_pylist()]
    seen: set[tuple[int, int, str]] = set()
    gone = []
    for place, text in zip(suspects.tolist(), texts, strict=True):
        key = int(stamps[place]), int(versions[place]), text
        if key in seen:
            gone.append(place)
        seen.add(key)
    return gone


def _by_provider(rows: pa.Table) -> Iterator[pa.Table]:
    """The rows of each provider: a reader of one then opens no file of another."""
    providers = pc.unique(rows["source_provider"]).to_pylist()
    if len(providers) < 2:
        yield rows
        return
    for name in sorted(providers, key=str):
        same = pc.is_null(rows["source_provider"]) if name is None else pc.equal(rows["source_provider"], name)
        yield rows.filter(same)


def _micros(column: Any) -> np.ndarray:
    whole = pc.fill_null(pc.cast(column.cast(TIMESTAMP), pa.int64()), _UNKNOWN)
    return np.asarray(whole)
