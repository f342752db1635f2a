"""Delta lake manager: guarded appends to the tables, candles and marks in one commit, and reads."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from ffe_core.candles import PARTITION_COLUMNS, SCHEMA, TIMESTAMP, VALUES, table_name, timeframe_of
from ffe_core.errors import InputError, LeaseLost, StorageError, StoreUnreachable
from ffe_core.intervals import NONE, Times, clip_open_times
from ffe_core.locations import lake_address, local_folder
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings
from ffe_core.storage.lake import faults
from ffe_core.storage.lake.appends import COMMIT_RETRIES, append
from ffe_core.storage.lake.brought import Brought, Which, brought
from ffe_core.storage.lake.checkpoints import opened
from ffe_core.storage.lake.commit_stamps import commit_stamp
from ffe_core.storage.lake.commits import Batch, Outcome, commit_all
from ffe_core.storage.lake.comparison import Committed, latest
from ffe_core.storage.lake.data_files import Written
from ffe_core.storage.lake.file_ranges import FileRanges, ranges_at
from ffe_core.storage.lake.snapshot import SOURCE_PROPERTY, Snapshot, Snapshots, epochs, file_sources, micros
from ffe_core.storage.lake.table_properties import set_properties
from ffe_core.storage.lake.writing import APPEND_HOOKS, PROPERTIES, lacks_properties
from ffe_core.storage.objects import objects_of
from ffe_core.storage.probe import require_conditional_puts
from ffe_core.storage.waiting import patiently
from ffe_core.timeframes import TIMEFRAMES

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
_Mode = Literal["error", "append", "overwrite"]
_WRITER = WriterProperties(compression="ZSTD", compression_level=3)


class DeltaLakeManager:
    """The Delta tables below one folder or URI; each method opens a handle of its own and keeps none but to read."""

    def __init__(self, storage_path: str | Path | None = None, storage_options: dict[str, str] | None = None) -> None:
        """`storage_options` as delta-rs takes them; of an object store, by default, those of the settings.

        InputError for a place that cannot be a lake's.
        """
        place = Settings.load().lake_uri if storage_path is None else storage_path
        self.storage_path = lake_address(place, "storage_path")
        self.is_local = local_folder(self.storage_path) is not None
        if storage_options is None and not self.is_local:
            storage_options = Settings.load().store.options(self.storage_path)
        self.storage_options = faults.bounded(self.storage_path, storage_options)
        self._looked: tuple[float, int | None] = -math.inf, None
        self._snapshots = Snapshots(self.storage_options)
        self.file_ranges = FileRanges()
        self.check_writer: Callable[[Series], object] | None = None
        """Called before rows of a series are committed: LeaseLost if they must not be any more."""
        self.after_commit: Callable[[], object] = lambda: None
        """Called after each try of a commit, in its thread; it raises nothing."""

    @classmethod
    def of(cls, settings: Settings) -> DeltaLakeManager:
        """The lake of these settings."""
        is_local = local_folder(settings.lake_uri) is not None
        return cls(settings.lake_uri, None if is_local else settings.lake_options)

    def require_fit(self) -> None:
        """StoreUnfit for an object store to which two writers cannot commit safely; asked once a process.

        StorageError if it cannot be written.
        """
        if not self.is_local:
            require_conditional_puts(objects_of(self.storage_path, self.storage_options))

    def table_uri(self, table_name: str) -> str:
        """Where a table lies."""
        if not table_name or not table_name.replace("_", "").isalnum():
            raise InputError(f"{table_name!r} is not a table name; use a name like raw_market_data_1h", field="table")
        return f"{self.storage_path.rstrip('/')}/{table_name}"

    def table_exists(self, table_name: str) -> bool:
        """Whether there is a Delta table of this name."""
        uri = self.table_uri(table_name)
        with faults.in_words(f"table {table_name} in {self.storage_path} cannot be read", uri):
            return bool(DeltaTable.is_deltatable(uri, self.storage_options))

    def open(self, table_name: str) -> DeltaTable | None:
        """A fresh handle, or None if there is no such table. StorageError if it cannot be read."""
        uri = self.table_uri(table_name)

        def look() -> DeltaTable | None:
            with faults.in_words(f"table {table_name} in {self.storage_path} cannot be read", uri):
                try:
                    return opened(uri, self.storage_options)
                except TableNotFoundError:
                    return None

        return patiently(look)

    def snapshot(self, table_name: str) -> Snapshot | None:
        """The table as it is now, to read from; None if there is none. StorageError if it cannot be read."""
        uri = self.table_uri(table_name)
        return patiently(lambda: self._snapshots.newest(uri))

    def for_commit(self, timeframe: str) -> AbstractContextManager[Snapshot | None]:
        """The table of a timeframe as it is now, until one commit is over; None if there is none. StorageError."""
        return self._snapshots.for_commit(self.table_uri(table_name(timeframe)))

    def create_or_update_table(
        self,
        df: pd.DataFrame | pa.Table,
        table_name: str,
        partition_columns: Sequence[str] | None = None,
        mode: str = "append",
    ) -> int | None:
        """Append rows to a table, made on first use; returns its version, None for zero rows.

        A Bronze table takes the declared candle columns and only ever grows; other tables also take "overwrite".
        Raises InputError for another mode or columns that do not fit, StorageError if the write fails.
        """
        uri, bronze = self.table_uri(table_name), table_name.startswith("raw_market_data_")
        allowed = ("append",) if bronze else ("append", "overwrite")
        if mode not in allowed:
            raise InputError(f"{mode!r} is not possible for {table_name}; use {' or '.join(allowed)}", field="mode")
        rows = conform(df) if bronze else _arrow(df)
        if rows.num_rows == 0:
            return None
        self.require_fit()
        with faults.in_words(f"table {table_name} in {self.storage_path} refused the rows", uri):
            if bronze:
                append(
                    self.ensure_table(timeframe_of(table_name)),
                    rows,
                    CommitProperties(max_commit_retries=COMMIT_RETRIES),
                )
            elif self.open(table_name) is not None or not self._made_of(table_name, rows, partition_columns):
                self._write(table_name, rows, partition_columns, cast(_Mode, mode), COMMIT_RETRIES)
        table = self.open(table_name)
        return table.version() if table else None

    def _made_of(self, name: str, rows: pa.Table, partition_columns: Sequence[str] | None) -> bool:
        """Make a table of rows; False if another process made it at the same moment, with none of these."""
        try:
            # Tried again, it would be made a second time: that row of the log replaces what the first said of it.
            self._write(name, rows, partition_columns, "error", 0)
        except (DeltaError, OSError, ValueError):
            if self.open(name) is None:
                raise
            return False
        return True

    def _write(
        self,
        name: str,
        rows: pa.Table,
        partition_columns: Sequence[str] | None,
        mode: _Mode,
        retries: int,
    ) -> None:
        write_deltalake(
            self.table_uri(name),
            rows,
            partition_by=list(partition_columns or []) or None,
            mode=mode,
            storage_options=self.storage_options,
            writer_properties=_WRITER,
            commit_properties=CommitProperties(max_commit_retries=retries),
        )

    def read_table(
        self,
        table_name: str,
        version: int | None = None,
        as_of: datetime | None = None,
        filters: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Rows of a table, as it is now, at a `version`, or `as_of` an aware moment; `filters` is a SQL predicate.

        Raises InputError if there is no such table, or none that old is known any more: clean-up removes the log of old
        commits, which `_extracted_at <= ...` does not need. StorageError if it cannot be read.
        """
        if as_of is not None and as_of.tzinfo is None:
            raise InputError(f"{as_of} has no time zone; add one, for example {as_of.isoformat()}Z", field="as_of")
        table = self.open(table_name)
        if table is None:
            raise InputError(f"there is no {table_name} in {self.storage_path}; backfill a series first", field="table")
        with faults.in_words(f"table {table_name} in {self.storage_path} cannot be read", self.table_uri(table_name)):
            if version is not None or as_of is not None:
                table.load_as_version(_version_at(table, as_of) if version is None and as_of else version)
            batches = table.scan(columns=list(columns) if columns else None, predicate=filters)
            return pa.table(pa.RecordBatchReader.from_stream(batches).read_all()).to_pandas()

    def get_table_history(self, table_name: str) -> pd.DataFrame:
        """One row a commit, newest first; empty for a table that does not exist."""
        import pandas as pd  # not at the top: most commands end before they would have loaded it

        table = self.open(table_name)
        return pd.DataFrame(table.history() if table else [])

    def ensure_table(self, timeframe: str) -> DeltaTable:
        """The Bronze table of a timeframe, made empty and fully typed if there is none.

        Writing rows to a missing table by path would let two writers both create it, and double the rows. Nor is a
        refused creation tried again: it would come after the other's, and put back all properties (deltalake 1.6.6).
        """
        self.require_fit()
        name = table_name(timeframe)
        existing = self.open(name)
        if existing is not None:
            return self._with_properties(name, existing)
        try:
            return DeltaTable.create(
                self.table_uri(name),
                schema=SCHEMA,
                mode="ignore",
                partition_by=list(PARTITION_COLUMNS),
                configuration=PROPERTIES,
                storage_options=self.storage_options,
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except (DeltaError, OSError, ValueError) as error:
            created = self.open(name)  # another process may just have made it
            if created is None:
                doing = f"table {name} cannot be made in {self.storage_path}"
                raise faults.failure(doing, self.storage_path, error) from error
            return created

    def _with_properties(self, name: str, table: DeltaTable) -> DeltaTable:
        """The table, given the properties that a release before 0.2 did not give it. Where that cannot be, it is left
        to the next append: one that is under way through another handle is refused by it, and looks again."""
        missing = lacks_properties(table)
        if not missing:
            return table
        try:
            table.alter.set_table_properties(missing, post_commithook_properties=APPEND_HOOKS)
        except (DeltaError, OSError) as error:
            log.info("%s keeps its properties for now: %s", name, error)
        return self.open(name) or table

    def marks(self, series: Series) -> Watermarks:
        """The series' marks as the log holds them."""
        seen = self.snapshot(series.table)
        try:
            return seen.marks(series) if seen else Watermarks()
        except StorageError:  # what was kept may be older than the last clean-up of the log
            table = self.open(series.table)
            return self.seen_through(table).marks(series) if table else Watermarks()

    def versions(self) -> tuple[int | None, ...]:
        """The version of each Bronze table, None for one that is not there. StorageError."""
        seen = (self.snapshot(table_name(timeframe)) for timeframe in TIMEFRAMES)
        return tuple(one.version if one else None for one in seen)

    def all_marks(self, providers: Sequence[str]) -> dict[Series, Watermarks]:
        """Marks of every series in the lake that comes from one of the providers, or from files."""
        found: dict[Series, Watermarks] = {}
        for timeframe in TIMEFRAMES:
            seen = self.snapshot(table_name(timeframe))
            if seen is not None:
                names = (*providers, *file_sources(seen.table))
                every = (Series(pair, timeframe, provider) for pair in seen.pairs() for provider in names)
                found.update({series: seen.marks(series) for series in every})
        return {series: marks for series, marks in found.items() if marks != Watermarks()}

    def note_source(self, series: Series) -> None:
        """Have the table of a series name its source of files, before a row of it is stored.

        Statistics of data files tell the first and the last provider only, so that no look at the log would find those
        between. StorageError if the table cannot be written.
        """
        with faults.in_words(f"table {series.table} in {self.storage_path} cannot be written", self.storage_path):
            set_properties(lambda: self.ensure_table(series.timeframe), {f"{SOURCE_PROPERTY}{series.provider}": "true"})

    def log_changed(self) -> int | None:
        """When the log of any Bronze table changed last, in nanoseconds since 1970; None if there is none.

        By the folders alone; of an object store, by its clock, up to two seconds late. StorageError.
        """
        lake = local_folder(self.storage_path)
        if lake is None:
            return self._store_changed()
        folders = (lake / table_name(timeframe) / "_delta_log" for timeframe in TIMEFRAMES)
        return max((at for folder in folders if (at := _changed(folder)) is not None), default=None)

    def _store_changed(self) -> int | None:
        at, changed = self._looked
        if time.monotonic() - at > _LOOK_SECONDS:
            there = objects_of(self.storage_path, self.storage_options).folders()
            names = (name for name in map(table_name, TIMEFRAMES) if name in there)
            seen = [snapshot for name in names if (snapshot := self.snapshot(name)) is not None]
            stamps = (commit_stamp(one.uri, one.version, self.storage_options) for one in seen)
            changed = max((stamp[1] for stamp in stamps if stamp is not None), default=None)
            self._looked = time.monotonic(), changed
        return changed

    def commit(
        self, series: Series, rows: pa.Table, before: Watermarks, after: Watermarks, note: dict[str, str] | None = None
    ) -> Committed:
        """Append what the lake does not hold yet and move the marks, in one commit.

        `rows` has the columns of `SCHEMA`, one row a bar. A row with the same values as the latest stored version is
        a repeat; with other values it is a restatement, appended with an `_extracted_at` after the one it replaces.
        Raises CommitConflict if the marks are not `before`, StorageError if the table cannot be written.
        """
        (outcome,) = self.commit_all([Batch(series, rows, before, after, note or {})])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def commit_all(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Commit batches of different series of one table in one commit; what `commit` would return or raise for each.

        StorageError if the table cannot be opened or made.
        """
        (timeframe,) = {batch.series.timeframe for batch in batches}
        outcomes: dict[int, Outcome] = {}

        def commit() -> None:
            left = [place for place in range(len(batches)) if isinstance(outcomes.get(place), StoreUnreachable | None)]
            found = self._commit_allowed(timeframe, [batches[place] for place in left])
            outcomes.update(zip(left, found, strict=True))
            if (gone := next((one for one in found if isinstance(one, StoreUnreachable)), None)) is not None:
                raise gone

        try:
            patiently(commit)
        except StoreUnreachable:
            if len(outcomes) < len(batches):
                raise
        self.after_commit()
        return [outcomes[place] for place in range(len(batches))]

    def _commit_allowed(self, timeframe: str, batches: Sequence[Batch]) -> list[Outcome]:
        """Commit those whose series may still be written; LeaseLost for each of the others."""
        refused = {} if self.check_writer is None else self._refused(batches)
        allowed = [batch for place, batch in enumerate(batches) if place not in refused]
        outcomes = iter(commit_all(_BronzeTable(self, timeframe), allowed) if allowed else [])
        return [refused[place] if place in refused else next(outcomes) for place in range(len(batches))]

    def _refused(self, batches: Sequence[Batch]) -> dict[int, Outcome]:
        """By their place, the batches of series whose lease was lost."""
        found: dict[int, Outcome] = {}
        for place, batch in enumerate(batches):
            try:
                assert self.check_writer is not None
                self.check_writer(batch.series)
            except LeaseLost as error:
                found[place] = error
        return found

    def current(
        self, series: Series, start: int, end: int, columns: Sequence[str] = VALUES, table: DeltaTable | None = None
    ) -> pa.Table:
        """The latest version of each stored bar that opens in [start, end) (epoch seconds), sorted by time.

        Columns: timestamp, then `columns`. Empty if nothing is stored.
        """
        snapshot = self._seen(series, table)
        if snapshot is None:
            return SCHEMA.empty_table().select(["timestamp", *columns])
        names = dict.fromkeys(("timestamp", "_extracted_at", *columns))
        return latest(snapshot.rows(series, start, end, list(names))).select(["timestamp", *columns])

    def stored_open_times(self, series: Series, start: int, end: int, table: DeltaTable | None = None) -> np.ndarray:
        """Opens of the stored bars in [start, end): sorted unique int64 epoch seconds."""
        snapshot = self._seen(series, table)
        if snapshot is None:
            return np.empty(0, np.int64)
        return _distinct(epochs(snapshot.rows(series, start, end, ["timestamp"])["timestamp"]))

    def stored_ranges(self, series: Series, start: int, end: int) -> Times:
        """The stored bars in [start, end) as ranges [first open, last open + step), on each grid by time.

        Each data file is read once by this object, or not at all where it wrote the file. StorageError.
        """
        snapshot = self.snapshot(series.table)
        held = NONE if snapshot is None else self.file_ranges.of(snapshot, series, start, end)
        return clip_open_times(held, series.step, start, end)

    def brought(self, series: Series, which: Which) -> Brought:
        """How many rows of a series are those meant, superseded ones too. StorageError."""
        snapshot = self.snapshot(series.table)
        return Brought(0, 0) if snapshot is None else brought(snapshot, series, which)

    def _seen(self, series: Series, table: DeltaTable | None) -> Snapshot | None:
        """What the handle sees; without one, the series' table as it is now."""
        return self.snapshot(series.table) if table is None else self.seen_through(table)

    def seen_through(self, table: DeltaTable) -> Snapshot:
        """What a handle of one of the tables sees."""
        return Snapshot(table, self.storage_options, self._snapshots.transactions)


class _BronzeTable:
    """The table of a timeframe as commits want it."""

    def __init__(self, lake: DeltaLakeManager, timeframe: str) -> None:
        self._lake, self._timeframe = lake, timeframe
        self.place = lake.storage_path

    @contextmanager
    def for_commit(self) -> Iterator[Snapshot]:
        self._lake.require_fit()
        with self._lake.for_commit(self._timeframe) as found:
            yield self.opened() if found is None or lacks_properties(found.table) else found

    def opened(self) -> Snapshot:
        return self._lake.seen_through(self._lake.ensure_table(self._timeframe))

    def wrote(self, table: DeltaTable, series: Series, files: Sequence[Written]) -> None:
        for one in files:
            held = {series.provider: ranges_at(micros(one.open_times), series.step)}
            self._lake.file_ranges.wrote(table.table_uri, one.action.path, one.action.size, held)


def _changed(folder: Path) -> int | None:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return None


def conform(df: pd.DataFrame | pa.Table) -> pa.Table:
    """Rows cast to the declared candle columns, in their order; InputError names what is missing or does not fit."""
    rows = _arrow(df)
    missing = [name for name in SCHEMA.names if name not in rows.column_names and name != "_dead_letter_id"]
    if missing:
        raise InputError(
            f"{', '.join(missing)} missing; a Bronze table needs {', '.join(SCHEMA.names)}", field="columns"
        )
    if "_dead_letter_id" not in rows.column_names:
        rows = rows.append_column("_dead_letter_id", pa.nulls(rows.num_rows, pa.string()))
    stamps = [rows.schema.field(field.name) for field in SCHEMA if field.type == TIMESTAMP]
    naive = [field.name for field in stamps if pa.types.is_timestamp(field.type) and field.type.tz is None]
    if naive:
        raise InputError(f"{', '.join(naive)} hold times without a zone; make them UTC first", field="columns")
    numbers = [field.name for field in stamps if not pa.types.is_timestamp(field.type)]
    if numbers and rows.num_rows:  # a frame without rows has no types
        raise InputError(
            f"{', '.join(numbers)} hold {rows.schema.field(numbers[0]).type} and no times; make them UTC times first,"
            " for example pd.to_datetime(seconds, unit='s', utc=True)",
            field="columns",
        )
    _require_values(rows)
    try:
        return rows.select(SCHEMA.names).cast(SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"the rows do not fit the candle columns: {error}", field="columns") from error


def _require_values(rows: pa.Table) -> None:
    """InputError for an empty cell or a price that is no finite number, which Arrow would store as they are."""
    import pyarrow.compute as pc

    empty = [name for name in SCHEMA.names if name != "_dead_letter_id" and rows[name].null_count]
    if empty:
        raise InputError(f"{', '.join(empty)} hold empty cells; leave such rows out", field="columns")
    floats = [name for name in VALUES if pa.types.is_floating(rows[name].type)]
    endless = [name for name in floats if not pc.all(pc.is_finite(rows[name]), min_count=0).as_py()]
    if endless:
        raise InputError(
            f"{', '.join(endless)} hold values that are no finite numbers; leave such rows out", field="columns"
        )


def _version_at(table: DeltaTable, moment: datetime) -> int:
    """The newest version whose commit was made at the moment or before it, by what the commits themselves say.

    deltalake 1.6 goes by the files' times, which a copy does not keep, and answers a moment before the oldest commit
    left with that commit.
    """
    commits = table.history()
    for commit in commits:
        if commit["timestamp"] <= moment.timestamp() * 1000:
            return int(commit["version"])
    oldest = datetime.fromtimestamp(commits[-1]["timestamp"] / 1000, UTC)
    raise InputError(
        f"the log reaches back to {oldest.isoformat(timespec='seconds')} only; ask for what was known then with a"
        f" filter such as _extracted_at <= '{moment.isoformat()}'",
        field="as_of",
    )


def _arrow(df: pd.DataFrame | pa.Table) -> pa.Table:
    try:
        return df if isinstance(df, pa.Table) else pa.Table.from_pandas(df, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(f"a column mixes types that do not go together: {error}", field="columns") from error


def _distinct(values: np.ndarray) -> np.ndarray:
    """The values sorted, each once; `np.unique` would hash them, at ten times the cost for times nearly in order."""
    ordered = np.sort(values)
    return ordered[np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))]
