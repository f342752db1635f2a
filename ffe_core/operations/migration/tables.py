"""Delta tables of a migration: their files copied so that nobody sees half a table, and what both sides hold compared.

A table's data files go first, its checkpoints and commits next, and the hint to the newest checkpoint last: until there
is a log, a reader sees no table. What a table holds is read as any reader would, at both ends: a count, and a hash of
the rows that does not hang on their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from ffe_core.errors import MigrationRefused, StorageError
from ffe_core.operations.migration.copying import Tell, copied_side_by_side
from ffe_core.operations.migration.places import Place
from ffe_core.storage.lake import faults
from ffe_core.storage.lake.checkpoints import HINT
from ffe_core.storage.lake.transactions import Transactions

_LOG = "_delta_log"
_MIXER = np.uint64(0x9E37_79B9_7F4A_7C15)
"""An odd number without a pattern: a value counts differently in each column."""


@dataclass(frozen=True, slots=True)
class TableFiles:
    """The files of one table, by their names below the lake."""

    name: str
    files: Mapping[str, int]

    @property
    def bytes(self) -> int:
        return sum(self.files.values())


@dataclass(frozen=True, slots=True)
class Contents:
    """What a table holds as it is read: its version, its rows, their hash, and the marks of its series."""

    version: int
    rows: int
    hash: str
    marks: Mapping[str, int]
    schema: str


def tables_of(listed: Mapping[str, int]) -> list[TableFiles]:
    """The tables among the files of a lake: folders with a log, by name."""
    names = sorted({key.partition("/")[0] for key in listed if f"/{_LOG}/" in key and key.count("/") == 2})
    return [
        TableFiles(name, {key: size for key, size in listed.items() if key.startswith(f"{name}/")}) for name in names
    ]


def copy_table(table: TableFiles, source: Place, target: Place, there: Mapping[str, int], tell: Tell) -> None:
    """Copy what a table lacks at its destination. StorageError; MigrationRefused for another file of a name."""
    for key, size in table.files.items():
        if there.get(key, size) != size and not key.endswith(HINT):
            raise MigrationRefused(
                f"{target.address}/{key} is not the file of this name in {source.address}, so something else has"
                " written there; name an empty place"
            )
    for stage in _in_order(table.files):
        missing = [key for key in stage if key not in there or key.endswith(HINT)]
        copied_side_by_side(missing, table.files, source, target, table.name, tell)


def _in_order(files: Iterable[str]) -> list[list[str]]:
    """Files that may be copied at once, in stages."""
    data, checkpoints, commits, hint = list[str](), list[str](), list[str](), list[str]()
    for key in sorted(files):
        stage = (
            data
            if f"/{_LOG}/" not in key
            else hint
            if key.endswith(HINT)
            else commits
            if key.endswith(".json")
            else checkpoints
        )
        stage.append(key)
    return [data, checkpoints, commits, hint]


def contents_of(lake: str, name: str, options: dict[str, str] | None) -> Contents:
    """What a table holds. StorageError for one that cannot be read; a damaged checkpoint is left as it is."""
    uri = f"{lake}/{name}"
    with faults.in_words(f"table {name} in {lake} cannot be read", uri):
        table = DeltaTable(uri, storage_options=faults.bounded(uri, options))
        schema = pa.schema(table.schema())
        rows = total = 0
        batches = table.to_pyarrow_dataset().to_batches(batch_readahead=2, fragment_readahead=2)
        for batch in filter(len, batches):
            rows += batch.num_rows
            total += int(row_hashes(batch).sum(dtype=np.uint64))
        marks = dict(Transactions(faults.bounded(uri, options)).at(table) or {})
        return Contents(table.version(), rows, f"{total % 2**64:016x}", marks, str(schema))


def count_of(lake: str, name: str, options: dict[str, str] | None) -> int:
    """The rows of a table, by what its log says of its files. StorageError."""
    uri = f"{lake}/{name}"
    with faults.in_words(f"table {name} in {lake} cannot be read", uri):
        actions = DeltaTable(uri, storage_options=faults.bounded(uri, options)).get_add_actions(flatten=True)
        return int(pc.sum(pa.table(actions)["num_records"]).as_py() or 0)


def require_same(name: str, source: Contents, target: Contents, target_address: str) -> None:
    """StorageError if a table at its destination is not that of the source."""
    for what in ("version", "rows", "hash", "marks", "schema"):
        here, there = getattr(source, what), getattr(target, what)
        if here != there:
            shown = "" if what in ("marks", "schema") else f" ({there} instead of {here})"
            raise StorageError(
                f"table {name} in {target_address} is not what was copied: its {what} differ{shown}; nothing uses it"
                " yet: delete what is there, and run the same command again"
            )


def row_hashes(batch: pa.RecordBatch) -> np.ndarray:
    """A hash of each row, the same wherever the row stands: unsigned integers of 64 bits."""
    hashes = np.zeros(batch.num_rows, dtype=np.uint64)
    for name in sorted(batch.schema.names):
        hashes = hashes * _MIXER + _column_hashes(batch.column(name))
    return _mixed(hashes)


def _column_hashes(column: Any) -> np.ndarray:
    from pandas.util import hash_array  # not at the top: a preview does without

    valid, kind = np.asarray(column.is_valid()), column.type
    if pa.types.is_date32(kind) or pa.types.is_timestamp(kind):
        column = column.cast(pa.int32() if pa.types.is_date32(kind) else pa.int64())
    if pa.types.is_primitive(column.type) and not pa.types.is_temporal(column.type):
        hashes = np.asarray(hash_array(np.asarray(column.fill_null(pa.scalar(0).cast(column.type)))))
    else:
        encoded = _as_text(column).fill_null("").dictionary_encode()
        words = np.asarray(hash_array(np.array(encoded.dictionary.to_pylist(), dtype=object), categorize=False))
        hashes = np.asarray(words[np.asarray(encoded.indices)])
    hashes[~valid] = _MIXER
    return hashes


def _as_text(column: Any) -> Any:
    """Texts as they are; anything else that a table of somebody's own may hold, in Python's words."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.string())
    return pa.array([None if value is None else repr(value) for value in column.to_pylist()], pa.string())


def _mixed(hashes: np.ndarray) -> np.ndarray:
    """Spread, so that the sum of two rows is not that of two others whose values are swapped."""
    spread: np.ndarray = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(0xFF51_AFD7_ED55_8CCD)
    spread ^= spread >> np.uint64(33)
    return spread
