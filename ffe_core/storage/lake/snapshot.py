"""Table snapshot: the data files that hold a series' bars, and reads of their rows.

The log names the pair, the times and the versions in each file, so nothing else is opened. A month of 1m bars out of
20 million rows of 40 pairs, as multiples of this reader: pyarrow dataset with `file_pruning_predicate` 2.4,
`DeltaTable.scan` 2.4, `polars.scan_delta` 2.0; before compaction (31 files of 2,040) 3.4, 3.4 and 1.5.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from ffe_core import times
from ffe_core.candles import PARTITION_COLUMNS, SCHEMA, TIMESTAMP
from ffe_core.errors import StorageError, StoreUnreachable
from ffe_core.intervals import intersect, union
from ffe_core.locations import local_folder
from ffe_core.series import NO_MARK, Series, Watermarks
from ffe_core.storage.lake import faults
from ffe_core.storage.lake.checkpoints import opened
from ffe_core.storage.lake.commit_stamps import Stamp, commit_stamp
from ffe_core.storage.lake.transactions import Transactions
from ffe_core.storage.lake.writer_handles import WriterHandles
from ffe_core.storage.objects import objects_of
from ffe_core.storage.waiting import patiently

# Readers of data files are loaded by the first read: what looks at the log alone, a server at rest above all, does
# without their memory.
if TYPE_CHECKING:
    import pyarrow.compute as pc
    import pyarrow.dataset as ds
    import pyarrow.fs as pafs

MICROS = 1_000_000
_SIZES = ("path", "size_bytes")
_PAIR = "partition.partition_asset_pair"
_FEW_SERIES = 3
"""So many series are asked for one by one; marks and files of more are looked up together."""
_TRUSTED_SECONDS = 5.0
"""How long a table in a store is taken for the same one by readers."""
_EARLIEST, _LATEST = -(2**62), 2**62
STORED = pa.schema([field for field in SCHEMA if field.name not in PARTITION_COLUMNS])
"""What a data file holds itself: the partition columns are in its path only."""

Ints = npt.NDArray[np.int64]


class DamagedTable(StorageError):
    """Data files that the log names cannot be read; `files` names them, `readable` says what of the series is left.

    `readable` holds half-open ranges in epoch seconds.
    """

    def __init__(self, message: str, files: tuple[str, ...], readable: tuple[tuple[int, int], ...]) -> None:
        super().__init__(message)
        self.files, self.readable = files, readable


SOURCE_PROPERTY = "ffe.source."
"""What the property of a table begins with that names a source of imported files."""


@dataclass(frozen=True, slots=True, eq=False)
class Files:
    """Columns over data files. Times are the statistics' own: a missing one reads as unbounded."""

    paths: npt.NDArray[np.object_]
    pairs: npt.NDArray[np.object_]
    periods: npt.NDArray[np.datetime64]
    """First day of each file's partition."""
    rows: Ints
    sizes: Ints
    """Bytes of each file."""
    first: Ints
    """First open, epoch seconds."""
    last: Ints
    oldest: Ints
    """First `_extracted_at`, epoch microseconds, at most a millisecond early."""
    newest: Ints
    """Last `_extracted_at`, at most a millisecond late."""
    providers: npt.NDArray[np.object_]
    """First and last provider by name, shape (n, 2)."""
    of_one_commit: npt.NDArray[np.bool_]
    """Whether all rows were extracted by one ingestion in one millisecond: then no bar is in the file twice."""

    def __len__(self) -> int:
        return len(self.paths)

    def where(self, chosen: npt.NDArray[Any] | slice) -> Files:
        """The files picked by a mask, by places or by a slice, which costs a tenth of either."""
        return Files(*(getattr(self, name)[chosen] for name in self.__slots__))

    def places(self, start: int, end: int) -> npt.NDArray[np.intp]:
        """The places of the files that may hold bars that open in [start, end)."""
        return ((self.first < end) & (self.last >= start)).nonzero()[0]

    def between(self, start: int, end: int) -> Files:
        """The files that may hold bars that open in [start, end)."""
        places = self.places(start, end)
        if len(places) and places[-1] - places[0] + 1 == len(places):
            return self if len(places) == len(self) else self.where(slice(places[0], places[-1] + 1))
        return self.where(places)


class Snapshot:
    """One version of a Bronze table, for reading; immutable, and safe to use from several threads."""

    def __init__(
        self,
        table: DeltaTable,
        storage_options: dict[str, str] | None = None,
        transactions: Transactions | None = None,
    ) -> None:
        """`transactions` keeps what earlier versions held."""
        self.table = table
        self.version = table.version()
        self.uri = table.table_uri
        # Not pa.table(): that loads pandas to see whether it was given some of it.
        self._actions = pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all()
        self._storage_options = storage_options
        self._files: dict[Series, Files] = {}
        self._marks: dict[Series, Watermarks] = {}
        self._transactions = transactions or Transactions(storage_options)

    @cached_property
    def filesystem(self) -> pafs.FileSystem:
        """Where the data files lie, by their paths in the table."""
        return _filesystem(self.table, self._storage_options, self._actions)

    def all_files(self) -> Files:
        """Every data file of the table."""
        return _files(self._actions)

    def pairs(self) -> list[str]:
        """The stored names of every pair that has data files."""
        return sorted(set(self._actions[_PAIR].to_pylist()))

    def by_pair(self) -> Iterator[tuple[str, Files]]:
        """Each pair by name, with its data files."""
        files, places = self._by_pair
        return ((pair, files.where(places[pair])) for pair in sorted(places))

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The sources of files that have rows in the table, by name."""
        return tuple(file_sources(self.table))

    def names_in_log(self) -> dict[str, str]:
        """The path of each data file, and how the log spells it."""
        return {unquote(name): name for name in self._actions["path"].to_pylist()}

    def files(self, series: Series) -> Files:
        """The files that may hold bars of a series."""
        if series not in self._files:
            found = self._of_pair(series.asset_pair)
            low, high = found.providers[:, 0], found.providers[:, 1]
            self._files[series] = found.where((low <= series.provider) & (series.provider <= high))
        return self._files[series]

    def _of_pair(self, asset_pair: str) -> Files:
        import pyarrow.compute as pc

        if len(self._files) < _FEW_SERIES:
            mine = pc.equal(_column(self._actions, _PAIR, pa.string()), asset_pair)
            return _files(self._actions.filter(mine))
        files, places = self._by_pair
        return files.where(places.get(asset_pair, np.empty(0, np.int64)))

    @cached_property
    def _by_pair(self) -> tuple[Files, dict[str, Ints]]:
        """Every data file, and the places of those of each pair."""
        files, places = self.all_files(), dict[str, list[int]]()
        for place, pair in enumerate(files.pairs.tolist()):
            places.setdefault(pair, []).append(place)
        return files, {pair: np.array(found, np.int64) for pair, found in places.items()}

    def ingestion_ids(self, files: Files) -> npt.NDArray[np.object_]:
        """First and last ingestion id in each of these files of one pair, shape (n, 2); None where the log has none."""
        import pyarrow.compute as pc

        if len(files) == 0:
            return np.empty((0, 2), dtype=object)
        mine = self._actions.filter(pc.equal(_column(self._actions, _PAIR, pa.string()), files.pairs[0]))
        ends = (_column(mine, f"{edge}._ingestion_id", pa.string()).to_pylist() for edge in ("min", "max"))
        by_path = dict(zip(map(unquote, mine["path"].to_pylist()), zip(*ends, strict=True), strict=True))
        return np.array([by_path[path] for path in files.paths], dtype=object)

    def marks(self, series: Series) -> Watermarks:
        """The series' marks in this version. StorageError if the log cannot be read: delta-rs looks into it only now,
        and it may have been cleaned up since this was opened."""
        if series not in self._marks:
            # Each question to delta-rs reads the commits since the checkpoint anew, dear where each is a request.
            few = _FEW_SERIES if local_folder(self.uri) is not None else 0
            at_once = self._all_transactions if len(self._marks) >= few else None
            with faults.in_words(f"the log of {self.uri} cannot be read", self.uri):
                self._marks[series] = _marks(series, self.table.transaction_version if at_once is None else at_once.get)
        return self._marks[series]

    @cached_property
    def _all_transactions(self) -> Mapping[str, int] | None:
        return self._transactions.at(self.table)

    def rows(
        self,
        series: Series,
        start: int,
        end: int,
        columns: Sequence[str],
        files: Files | None = None,
        where: pc.Expression | None = None,
    ) -> pa.Table:
        """All stored versions of the bars that open in [start, end) (epoch seconds), in no order.

        `files` narrows what is looked through, `where` the rows. DamagedTable if a data file cannot be read.
        """
        chosen = (self.files(series) if files is None else files).between(start, end)
        if len(chosen) == 0:
            return STORED.empty_table().select(list(columns))
        wanted = _rows_wanted(series, start, end, chosen)
        wanted = wanted if where is None else wanted & where

        def read() -> pa.Table:
            try:
                return self._dataset(chosen.paths).to_table(columns=list(columns), filter=wanted)
            except (OSError, pa.ArrowException) as error:
                raise self._damaged(series, chosen, list(columns), error) from error

        return patiently(read)

    def are_whole(self, files: Files) -> npt.NDArray[np.bool_]:
        """Which files are there at the size that the log says; on a remote store that is taken for granted."""
        folder = local_folder(self.uri)
        if folder is None:
            return np.ones(len(files), dtype=bool)
        sizes = (_size(folder / path) for path in files.paths)
        whole: npt.NDArray[np.bool_] = np.fromiter(sizes, dtype=np.int64, count=len(files)) == files.sizes
        return whole

    def read_file(self, path: str, columns: Sequence[str]) -> pa.Table:
        """Columns of one data file, every row. OSError or ArrowException if it cannot be read."""
        import pyarrow.parquet as pq

        # To have Arrow's own threads read ahead costs more than it saves; from an object store the file system does it.
        with self.filesystem.open_input_file(path) as file:
            return pq.ParquetFile(file, pre_buffer=False).read(columns=list(columns), use_threads=False)

    def damaged(self, series: Series, paths: Sequence[str], columns: Sequence[str], error: Exception) -> StorageError:
        """What to say after files of a series could not be read: which it was, and what is left of the series."""
        files = self.files(series)
        return self._damaged(series, files.where(np.isin(files.paths, list(paths))), list(columns), error)

    def _dataset(self, paths: Sequence[str] | npt.NDArray[np.object_]) -> ds.FileSystemDataset:
        import pyarrow.dataset as ds

        parquet = ds.ParquetFileFormat()
        return ds.FileSystemDataset.from_paths(list(paths), schema=STORED, format=parquet, filesystem=self.filesystem)

    def _damaged(self, series: Series, read: Files, columns: list[str], error: Exception) -> StorageError:
        """What to say after a failed read: the store is gone, or which files it was and what is left of the series."""
        told = faults.failure(f"{series}: {series.table} cannot be read", self.uri, error)
        if isinstance(told, StoreUnreachable):
            return told
        all_files = self.files(series)
        lost = self._gone(all_files) | np.isin(all_files.paths, self._unreadable(read, columns))
        if not lost.any():
            return told
        broken = all_files.where(lost)
        left = _left(all_files.where(~lost), broken, series.step)
        return DamagedTable(_damage_text(series, broken, left), tuple(broken.paths), left)

    def _gone(self, files: Files) -> npt.NDArray[np.bool_]:
        import pyarrow.fs as pafs

        infos = self.filesystem.get_file_info(list(files.paths))
        return np.array([info.type != pafs.FileType.File for info in infos], dtype=bool)

    def _unreadable(self, files: Files, columns: list[str]) -> list[str]:
        broken = []
        for path in files.paths:
            try:
                self._dataset([path]).to_table(columns=columns)
            except (OSError, pa.ArrowException):
                broken.append(path)
        return broken


class Snapshots:
    """The newest snapshot of each table of a lake, kept until a commit follows it.

    Opening a table costs more than reading a month of bars from it. The name of the next commit says whether there is
    one: a look at a folder, or one request to a store. That the table was not made anew is asked each time of a folder
    and before commits, of a store every few seconds.
    """

    def __init__(self, storage_options: dict[str, str] | None = None) -> None:
        self._storage_options = storage_options
        self._kept: dict[str, tuple[Stamp, Snapshot]] = {}
        self._verified: dict[str, float] = {}
        self._handles = WriterHandles(storage_options)
        self.transactions = Transactions(storage_options)
        self._lock = threading.Lock()

    def newest(self, uri: str) -> Snapshot | None:
        """The table as it is now; None if there is none. StorageError if it cannot be read."""
        return self._current(uri) or self._open(uri)

    @contextmanager
    def for_commit(self, uri: str) -> Iterator[Snapshot | None]:
        """The same for one commit, which is over at the end: it may be seen through a handle that goes on with the log.

        An exception gives that handle up.
        """
        handle = None if (kept := self._current(uri, is_reader=False)) else self._handles.take(uri)
        if handle is None:
            yield kept or self.newest(uri)
            return
        yield Snapshot(handle.table, self._storage_options, self.transactions)
        self._handles.give_back(handle)

    def _current(self, uri: str, *, is_reader: bool = True) -> Snapshot | None:
        """The kept snapshot, if no commit followed it."""
        with self._lock:
            kept, verified = self._kept.get(uri), self._verified.get(uri, -math.inf)
        if kept is None:
            return None
        mark, snapshot = kept
        is_trusted = is_reader and local_folder(uri) is None and time.monotonic() - verified < _TRUSTED_SECONDS
        if not is_trusted:
            if commit_stamp(uri, snapshot.version, self._storage_options) != mark:
                return None
            self._verified[uri] = time.monotonic()
        return None if commit_stamp(uri, snapshot.version + 1, self._storage_options) else snapshot

    def _open(self, uri: str) -> Snapshot | None:
        with faults.in_words(f"table {uri} cannot be read", uri):
            try:
                table = opened(uri, self._storage_options)
                snapshot = Snapshot(table, self._storage_options, self.transactions)
            except TableNotFoundError:
                return None
        mark = commit_stamp(uri, snapshot.version, self._storage_options)
        if mark:
            with self._lock:
                self._kept[uri] = (mark, snapshot)
                self._verified[uri] = time.monotonic()
        return snapshot


def file_sources(table: DeltaTable) -> list[str]:
    """The sources of files that have rows in a table, as its properties name them."""
    names = table.metadata().configuration
    return sorted(name.removeprefix(SOURCE_PROPERTY) for name in names if name.startswith(SOURCE_PROPERTY))


def _marks(series: Series, version_of: Callable[[str], int | None]) -> Watermarks:
    """The series' marks among the application transactions that a handle sees."""

    def known(app_id: str) -> int | None:
        version = version_of(app_id)
        return None if version is None or version == NO_MARK else version

    return Watermarks(known(series.key), known(series.low_key))


def _size(path: Path) -> int:
    """Bytes of a file; -2 for one that is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return -2


def _filesystem(table: DeltaTable, storage_options: dict[str, str] | None, actions: pa.Table) -> pafs.FileSystem:
    import pyarrow.fs as pafs

    folder = local_folder(table.table_uri)
    if folder is not None:
        return pafs.SubTreeFileSystem(str(folder), pafs.LocalFileSystem())
    from ffe_core.storage.lake import stored_files  # a server over a local lake does without

    sizes = {unquote(path): size for path, size in zip(*(actions[n].to_pylist() for n in _SIZES), strict=True)}
    return stored_files.filesystem(objects_of(table.table_uri, storage_options), sizes)


def _files(actions: pa.Table) -> Files:
    def texts(name: str) -> npt.NDArray[np.object_]:
        return np.array(_column(actions, name, pa.string()).to_pylist(), dtype=object)

    def numbers(name: str, missing: int) -> Ints:
        return _ints(_column(actions, name, pa.int64()), missing)

    def moments(name: str, missing: int) -> Ints:
        return _ints(_column(actions, name, TIMESTAMP), missing)

    providers = np.column_stack(
        [
            np.array([default if text is None else text for text in texts(f"{edge}.source_provider")], dtype=object)
            for edge, default in (("min", ""), ("max", "\U0010ffff"))
        ]
    )
    oldest, newest = moments("min._extracted_at", _EARLIEST), moments("max._extracted_at", _LATEST)
    ids = zip(texts("min._ingestion_id"), texts("max._ingestion_id"), strict=True)
    of_one_id = np.array([low is not None and low == high for low, high in ids], dtype=bool)
    return Files(
        paths=np.array([unquote(path) for path in texts("path")], dtype=object),
        pairs=texts(_PAIR),
        periods=np.array(_column(actions, "partition.partition_date", pa.date32()).to_pylist(), dtype="datetime64[D]"),
        rows=numbers("num_records", 0),
        sizes=numbers("size_bytes", -1),
        first=moments("min.timestamp", _EARLIEST) // MICROS,
        last=moments("max.timestamp", _LATEST) // MICROS,
        oldest=oldest,
        newest=newest + 1000,  # statistics are cut to milliseconds
        providers=providers,
        of_one_commit=(oldest == newest) & of_one_id,
    )


def _column(actions: pa.Table, name: str, kind: pa.DataType) -> Any:
    """A column of the log's statistics; a table without rows, or written without statistics, has none."""
    if name not in actions.column_names:
        return pa.nulls(actions.num_rows, kind)
    column = actions[name]
    return column if column.type == kind else column.cast(kind)


def _ints(column: pa.Array | pa.ChunkedArray, missing: int) -> Ints:
    """Numbers or times of 64 bits, `missing` where there is none; the column's own memory where it is in one piece.

    By hand, as Arrow's own ways load pandas to see whether they were given some of it: 30 MB in a server at rest.
    """
    if isinstance(column, pa.ChunkedArray):
        if column.num_chunks != 1:
            return np.concatenate([np.empty(0, np.int64), *(_ints(chunk, missing) for chunk in column.chunks)])
        column = column.chunk(0)
    validity, values = column.buffers()
    found = np.frombuffer(values, np.int64, len(column), 8 * column.offset)
    if column.null_count == 0:
        return found
    bits = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")
    return np.where(bits[column.offset : column.offset + len(column)], found, missing)


def _rows_wanted(series: Series, start: int, end: int, files: Files) -> pc.Expression:
    import pyarrow.compute as pc

    wanted = (pc.field("timestamp") >= instant(start * MICROS)) & (pc.field("timestamp") < instant(end * MICROS))
    if (files.providers == series.provider).all():
        return wanted
    return wanted & (pc.field("source_provider") == series.provider)


def instant(micros: int) -> pa.Scalar:
    """Epoch microseconds as an Arrow scalar to compare timestamps with."""
    return pa.scalar(micros, pa.int64()).cast(TIMESTAMP)


def epochs(column: Any) -> Ints:
    """A timestamp[us] column as int64 epoch seconds."""
    return micros(column) // MICROS


def micros(column: Any) -> Ints:
    """A timestamp[us] column as int64 epoch microseconds, its own memory where it is in one piece."""
    if column.type == TIMESTAMP and column.null_count == 0:
        return _ints(column, 0)
    import pyarrow.compute as pc

    return np.asarray(pc.cast(column, pa.int64()))


def _left(files: Files, lost: Files, step: int) -> tuple[tuple[int, int], ...]:
    """Ranges between the lost files in which the series still has bars."""
    if len(files) == 0:
        return ()
    kept, gone = _spans(files, step), _spans(lost, step)
    edges = np.concatenate(([kept[0, 0]], gone.ravel(), [max(kept[-1, 1], gone[-1, 1])]))
    found = []
    for start, end in zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True):
        parts = intersect(kept, np.array([[start, end]])) if start < end else kept[:0]
        if len(parts):
            found.append((int(parts[0, 0]), int(parts[-1, 1])))
    return tuple(found)


def _spans(files: Files, step: int) -> Ints:
    return union(np.column_stack((files.first, files.last + step)))


def _damage_text(series: Series, broken: Files, left: tuple[tuple[int, int], ...]) -> str:
    shown = "; ".join(
        f"{path} ({times.iso(int(first))} to {times.iso(int(last))})"
        for path, first, last in zip(broken.paths[:5], broken.first[:5], broken.last[:5], strict=True)
    )
    more = f" and {len(broken) - 5} more" if len(broken) > 5 else ""
    still = " and ".join(f"{times.iso(start)} to {times.iso(end)}" for start, end in left[:5]) or "nothing"
    return (
        f"{series}: a data file of {series.table} is missing or damaged: {shown}{more}. Still readable: {still}."
        " Put the file back from a backup; without one, remove it, take it out of the log with delta-rs"
        " `DeltaTable.repair()`, and backfill the series in mode gaps"
    )
