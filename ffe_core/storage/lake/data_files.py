"""Data files of a lake: each is written and flushed to disk, or put into a store, then all are named in one commit.

delta-rs could write them too. But where one cannot be written it panics, prints that on standard error and loses the
cause (seen of 1.6.6: it aborts an upload that has ended, which object_store 0.13 forbids), and it flushes none to disk,
so that a power cut can leave a commit whose candles are gone. It still writes for tables with features of other tools.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote
from uuid import uuid4

import numpy as np
import pyarrow as pa
from deltalake import ColumnProperties, CommitProperties, DeltaTable, WriterProperties
from deltalake.transaction import AddAction

from ffe_core.candles import PARTITION_COLUMNS, SCHEMA, VALUES
from ffe_core.errors import StorageError
from ffe_core.locations import local_folder
from ffe_core.storage.files import replacing
from ffe_core.storage.lake.writing import APPEND_HOOKS, STATISTICS
from ffe_core.storage.objects import Objects, objects_of

LEVEL = -1
"""Level of zstd. At 3 real files are 2 to 18 % smaller, and a fifth dearer to write and to read (polars, DuckDB)."""
# Times and prices hardly repeat: a dictionary of them costs a third of the writing and makes larger files. So does
# splitting the bytes of prices, tried on real ones: up to three quarters larger. Pages end at their 1 MB, not at 20,000
# rows, which costs another sixth.
_PAGE_ROWS = 200_000
_TIME_ENCODING = "DELTA_BINARY_PACKED"
_REPEATING = [name for name in SCHEMA.names if name not in ("timestamp", *VALUES, *PARTITION_COLUMNS)]
FOR_DELTA_RS = WriterProperties(
    compression="ZSTD",
    compression_level=max(LEVEL, 1),  # it takes none below
    data_page_row_count_limit=_PAGE_ROWS,
    column_properties={
        "timestamp": ColumnProperties(dictionary_enabled=False, encoding=_TIME_ENCODING),
        **{name: ColumnProperties(dictionary_enabled=False) for name in VALUES},
    },
)
"""The same for tables that delta-rs writes itself."""
_OF_APPENDS = frozenset(
    "appendOnly changeDataFeed checkConstraints columnMapping deletionVectors generatedColumns identityColumns"
    " invariants timestampNtz v2Checkpoint".split()
)
"""Features that ask nothing of a file that is appended, or that a setting or a field shows where they are used."""
_ASKING = ("delta.constraints.", "delta.columnMapping.mode")
"""Settings of a table that ask something of its files."""

Part = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """A data file that no commit names yet, and the opens of its rows."""

    action: AddAction
    open_times: pa.ChunkedArray


def fit(table: DeltaTable) -> bool:
    """Whether files written here are what the table asks for: it is partitioned and typed as a Bronze table is, without
    features that check or change what is written."""
    metadata = table.metadata()
    held = table.schema()
    types = {field.name: field.type for field in pa.schema(held.to_arrow())}
    return (
        tuple(metadata.partition_columns) == PARTITION_COLUMNS
        and all(types.get(field.name) == field.type for field in SCHEMA)
        and set(table.protocol().writer_features or ()) <= _OF_APPENDS
        and not any(key.startswith(_ASKING) for key in metadata.configuration)
        and not any(field.metadata for field in held.fields)
    )


def write(table: DeltaTable, rows: pa.Table) -> list[Written]:
    """Write the files of these rows, in the table's own columns; nothing of them counts before `commit`.

    OSError, StorageError or pa.ArrowException if one cannot be written: then none is left.
    """
    place = place_of(table)
    rows = _typed(rows, pa.schema(table.schema().to_arrow()))
    written: list[Written] = []
    try:
        for part, held in _parts(rows):
            written.append(_write(place, part, held))
    except BaseException:
        discard(table, written)
        raise
    return written


def discard(table: DeltaTable, written: Sequence[Written]) -> None:
    """Delete files that no commit was tried with."""
    place = place_of(table)
    for one in written:
        with suppress(OSError, StorageError):
            place.delete(one.action.path)


def commit(table: DeltaTable, written: Sequence[Written], properties: CommitProperties) -> None:
    """Commit files that were written; the handle stays at the version it had.

    DeltaError or OSError if it fails: the files stay then, as it is not known what came of the commit.
    """
    table.create_write_transaction(
        [one.action for one in written],
        "append",
        table.schema(),
        partition_by=list(PARTITION_COLUMNS),
        commit_properties=properties,
        post_commithook_properties=APPEND_HOOKS,
    )


class Place(Protocol):
    """Where the data files of a table lie."""

    def write(self, path: str, rows: pa.Table, group_rows: int | None = None) -> int:
        """Write a file of these rows, `group_rows` of them a row group, lasting; its bytes. As `write_rows` raises."""

    def delete(self, path: str) -> None:
        """Delete a file."""


@dataclass(frozen=True, slots=True)
class _Folder:
    folder: Path

    def write(self, path: str, rows: pa.Table, group_rows: int | None = None) -> int:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as out:
            write_rows(rows, out, group_rows)
            return out.tell()

    def delete(self, path: str) -> None:
        (self.folder / path).unlink()


@dataclass(frozen=True, slots=True)
class _InStore:
    objects: Objects

    def write(self, path: str, rows: pa.Table, group_rows: int | None = None) -> int:
        out = pa.BufferOutputStream()
        write_rows(rows, out, group_rows)
        content = out.getvalue().to_pybytes()
        self.objects.put(path, content)
        return len(content)

    def delete(self, path: str) -> None:
        self.objects.delete([path])


def place_of(table: DeltaTable) -> Place:
    """Where the data files of a table lie."""
    folder = local_folder(table.table_uri)
    # A handle is the one thing that all writers have, and knows how it was opened.
    return _InStore(objects_of(table.table_uri, table._storage_options)) if folder is None else _Folder(folder)


def _typed(rows: pa.Table, wanted: pa.Schema) -> pa.Table:
    """The rows in a table's types; a column that holds each of its texts once stays so, as a file holds them too."""
    fields = [
        held if pa.types.is_dictionary(held.type) and held.type.value_type == field.type else field
        for held, field in zip(rows.schema, wanted, strict=True)
    ]
    return rows.cast(pa.schema(fields))


def _parts(rows: pa.Table) -> Iterator[tuple[Part, pa.Table]]:
    """The rows of each partition in their order, without its columns."""
    if rows.num_rows == 0:
        return
    held = rows.drop_columns(list(PARTITION_COLUMNS))
    codes = _partition_codes(rows)
    if (codes[1:] < codes[:-1]).any():
        order = np.argsort(codes, kind="stable")
        rows, held, codes = rows.take(order), held.take(order), codes[order]
    starts = [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist()]
    for start, end in zip(starts, [*starts[1:], len(codes)], strict=True):
        yield rows.slice(start, 1).select(PARTITION_COLUMNS).to_pylist()[0], held.slice(start, end - start)


def _partition_codes(rows: pa.Table) -> np.ndarray:
    """A number for each row that rows of one partition share, and no others; it grows with the date."""
    dates, pairs = (rows[name].combine_chunks() for name in PARTITION_COLUMNS)
    pairs = pairs if pa.types.is_dictionary(pairs.type) else pairs.dictionary_encode()
    pairs = pairs.unify_dictionaries() if isinstance(pairs, pa.ChunkedArray) else pairs
    days = np.asarray(dates.cast(pa.int32()))
    if len(pairs.dictionary) == 1:
        return days
    codes: np.ndarray = days.astype(np.int64) * len(pairs.dictionary) + np.asarray(pairs.indices)
    return codes


def _write(place: Place, part: Part, rows: pa.Table) -> Written:
    """One data file, under the names that delta-rs gives."""
    values = {name: str(value) for name, value in part.items()}
    below = "/".join(f"{name}={quote(value, safe='')}" for name, value in values.items())
    path = f"{below}/part-00000-{uuid4()}-c000.zstd.parquet"
    size = place.write(path, rows)
    told = json.dumps(statistics(rows))
    action = AddAction(path, size, values, int(time.time() * 1000), data_change=True, stats=told)
    return Written(action, rows["timestamp"])


def write_rows(rows: pa.Table, file: Any, group_rows: int | None = None) -> None:
    """Write the rows of a data file, `group_rows` of them a row group. OSError or pa.ArrowException if it fails."""
    import pyarrow.parquet as pq

    pq.write_table(
        rows,
        file,
        row_group_size=group_rows,
        compression="zstd",
        compression_level=LEVEL,
        use_dictionary=_REPEATING,
        store_schema=False,
        column_encoding={"timestamp": _TIME_ENCODING},
        max_rows_per_page=_PAGE_ROWS,
        write_page_index=True,
    )


def statistics(rows: pa.Table) -> Mapping[str, Any]:
    """Statistics of a file as the Delta protocol has them: of the columns that files are chosen by, times to the
    millisecond before (PROTOCOL.md, "Per-file Statistics")."""
    kept = [name for name in STATISTICS if name in rows.column_names]
    known = [name for name in kept if rows[name].null_count < rows.num_rows]
    ends = {name: _ends(rows[name]) for name in known}
    return {
        "numRecords": rows.num_rows,
        "minValues": {name: _spelled(found["min"]) for name, found in ends.items()},
        "maxValues": {name: _spelled(found["max"]) for name, found in ends.items()},
        "nullCount": {name: rows[name].null_count for name in kept},
    }


def _ends(column: pa.ChunkedArray) -> dict[str, Any]:
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = _texts(column)
    found: dict[str, Any] = pc.min_max(column).as_py()
    return found


def _texts(column: pa.ChunkedArray) -> pa.Array:
    """The texts that rows of a column hold; where each of its parts holds a single one they need not be looked for."""
    filled = [chunk for chunk in column.chunks if len(chunk)]
    if column.null_count == 0 and all(len(chunk.dictionary) == 1 for chunk in filled):
        return pa.concat_arrays([chunk.dictionary for chunk in filled])
    return column.unique().dictionary_decode()


def _spelled(value: Any) -> Any:
    if isinstance(value, datetime):  # as delta-rs: without a fraction where the time itself has none
        return value.isoformat(timespec="milliseconds" if value.microsecond else "seconds").replace("+00:00", "Z")
    return value
