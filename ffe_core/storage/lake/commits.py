"""Guarded commits: rows and marks of one series or of many in one Delta commit, each series under a guard of its own.

The guard is a compare-and-swap per series: a batch names the marks it was planned from, goes through a handle that sees
just these, and carries the new ones as Delta application transactions. A racer on one of the series makes the protocol
refuse the whole commit without naming it; then the marks are looked at again, that series is told to plan anew, and the
others go on with the files that they have written. Another series' append disturbs nobody (delta-rs #2580, #3821 say
why the log alone is not enough).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError

from ffe_core.errors import CommitConflict, StorageError
from ffe_core.series import NO_MARK, Series, Watermarks
from ffe_core.storage.lake import data_files, faults
from ffe_core.storage.lake.appends import COMMIT_RETRIES, as_wide, joined, let_delta_rs_write
from ffe_core.storage.lake.comparison import Committed, compare
from ffe_core.storage.lake.refusals import is_stale_handle
from ffe_core.storage.lake.snapshot import Snapshot
from ffe_core.storage.waiting import copied

log = logging.getLogger(__name__)
_REOPENS = 20
_WRITERS = 4
"""Files written at once: each waits for the disk, which takes several as fast as one."""
BATCHES = "batches"
"""Where the log names the notes of a commit of several series: a JSON list of one object each."""
Outcome = Committed | Exception
"""What became of one series' batch; the exception is CommitConflict, another StorageError, or one nobody foresaw."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What a series wants to append: rows in the columns of `SCHEMA`, one a bar, and its marks before and after."""

    series: Series
    rows: pa.Table
    before: Watermarks
    after: Watermarks
    note: Mapping[str, str] = field(default_factory=dict)


class Table(Protocol):
    """The table that is committed to."""

    @property
    def place(self) -> str:
        """The lake it lies in, for messages."""

    def for_commit(self) -> AbstractContextManager[Snapshot]:
        """The table as it is now, made if there is none, until the commit is over; it may have been opened before."""

    def opened(self) -> Snapshot:
        """The table as it is now, through a new handle."""

    def wrote(self, table: DeltaTable, series: Series, files: Sequence[data_files.Written]) -> None:
        """Told of the files of a series that were committed."""


@dataclass(slots=True, eq=False)
class _Ready:
    """A batch that passed its guard: what of it is new, and the files that hold that once they are written."""

    batch: Batch
    fresh: pa.Table
    done: Committed
    files: list[data_files.Written] | None = None


def commit_all(table: Table, batches: Sequence[Batch]) -> list[Outcome]:
    """Commit batches of different series of one table together; what became of each, in their order.

    A series whose marks moved, or of which a file cannot be read or written, leaves the others alone.
    """
    if len({batch.series for batch in batches}) != len(batches):
        raise ValueError("a series twice in a commit: of two transactions of one name the first would count")
    return _GroupCommit(table, batches).run()


class _GroupCommit:
    def __init__(self, table: Table, batches: Sequence[Batch]) -> None:
        self._table, self._batches = table, batches
        self._outcomes: dict[int, Outcome] = {}
        self._written: dict[int, _Ready] = {}

    def run(self) -> list[Outcome]:
        with self._table.for_commit() as kept:
            if not (self._is_readable(kept) and self._is_over(kept)):
                self._again()
        return [self._outcomes[place] for place in range(len(self._batches))]

    def _again(self) -> None:
        """Look anew until it is over, or was refused too often."""
        for _ in range(_REOPENS):
            if self._is_over(self._table.opened()):
                return
        self._fail(self._unsettled(), f"refused the commit {_REOPENS} times; try again when it is less busy")

    def _is_over(self, snapshot: Snapshot) -> bool:
        ready = self._with_files(snapshot.table, self._ready(snapshot))
        return not ready or self._is_appended(snapshot.table, ready)

    def _is_readable(self, kept: Snapshot) -> bool:
        """Whether the marks can be read: not where what was kept is older than the last clean-up of the log."""
        try:
            for batch in self._batches:
                kept.marks(batch.series)
        except StorageError:
            return False
        return True

    def _unsettled(self) -> list[int]:
        return [place for place in range(len(self._batches)) if place not in self._outcomes]

    # -- before the commit

    def _ready(self, snapshot: Snapshot) -> dict[int, _Ready]:
        """Those whose guard holds and that have something to say; the others get their outcome."""
        found = {}
        for place in self._unsettled():
            try:
                one = _passed(snapshot, self._batches[place])
            except Exception as error:
                self._outcomes[place] = error
                continue
            if isinstance(one, Committed):
                self._outcomes[place] = one
            else:
                found[place] = self._as_written(place, one)
        return found

    def _as_written(self, place: int, one: _Ready) -> _Ready:
        """The same with the files of the last attempt, if what is new is still what they hold."""
        before = self._written.get(place)
        if before is not None and before.fresh.equals(one.fresh):
            one.files = before.files
        return one

    def _with_files(self, table: DeltaTable, ready: dict[int, _Ready]) -> dict[int, _Ready]:
        """Those whose data files are written, where they are ours to write."""
        if not any(one.fresh.num_rows for one in ready.values()) or not data_files.fit(table):
            return ready
        wanting = {place: one for place, one in ready.items() if one.files is None}
        try:
            for place, error in zip(wanting, _write_all(table, list(wanting.values())), strict=True):
                if error is not None:
                    self._outcomes[place] = self._refused(self._batches[place].series, error)
                    del ready[place]
        except BaseException:
            for one in wanting.values():
                data_files.discard(table, one.files or ())
            raise
        self._written.update(ready)
        return ready

    # -- the commit

    def _is_appended(self, table: DeltaTable, ready: dict[int, _Ready]) -> bool:
        """Whether it is over: committed, or failed; not where it was refused and has to be looked at again."""
        try:
            _append(table, list(ready.values()))
        except CommitFailedError as error:
            log.info("%s: commit refused (%s); looking again", _names(ready), error)
            return False
        except (DeltaError, OSError, ValueError, StorageError) as error:
            if is_stale_handle(error):
                return False
            self._outcomes.update({place: self._refused(one.batch.series, error) for place, one in ready.items()})
        else:
            self._outcomes.update({place: _done(table, one) for place, one in ready.items()})
            for one in ready.values():
                self._table.wrote(table, one.batch.series, one.files or ())
        return True

    def _refused(self, series: Series, error: Exception) -> StorageError:
        if isinstance(error, StorageError):
            return error
        doing = f"{series}: the lake in {self._table.place} refused the commit"
        failure = faults.failure(doing, self._table.place, error)
        failure.__cause__ = error
        return failure

    def _fail(self, places: Sequence[int], why: str) -> None:
        for place in places:
            self._outcomes[place] = StorageError(f"{self._batches[place].series}: the lake {why}")


def _passed(snapshot: Snapshot, batch: Batch) -> _Ready | Committed:
    """The batch, its guard passed, or what it came to where nothing of it is new. CommitConflict, StorageError."""
    if snapshot.marks(batch.series) != batch.before:
        raise CommitConflict(f"{batch.series}: another writer moved its marks; plan again from where they stand")
    fresh, done = compare(snapshot, batch.series, batch.rows)
    return done if fresh.num_rows == 0 and batch.after == batch.before else _Ready(batch, fresh, done)


def _write_all(table: DeltaTable, wanting: Sequence[_Ready]) -> Iterable[Exception | None]:
    if len(wanting) == 1:
        return [_write(table, wanting[0])]
    with ThreadPoolExecutor(_WRITERS) as writers:
        return writers.map(copied(lambda one: _write(table, one)), wanting)


def _write(table: DeltaTable, one: _Ready) -> Exception | None:
    """Write the files of a batch, or say why they cannot be."""
    try:
        one.files = data_files.write(table, as_wide(table, one.fresh)) if one.fresh.num_rows else []
    except (OSError, pa.ArrowException, StorageError) as error:
        return error
    return None


def _done(table: DeltaTable, one: _Ready) -> Committed:
    return replace(one.done, version=None if one.fresh.num_rows else table.version())


def _append(table: DeltaTable, ready: Sequence[_Ready]) -> None:
    """One commit of all: their files, or their rows where delta-rs writes those, and the marks of each."""
    carried = CommitProperties(
        custom_metadata=_metadata([one.batch for one in ready]),
        app_transactions=[transaction for one in ready for transaction in _transactions(one.batch)],
        max_commit_retries=COMMIT_RETRIES,
    )
    files = [file for one in ready for file in one.files or ()]
    if files:
        data_files.commit(table, files, carried)
    else:
        let_delta_rs_write(table, joined([as_wide(table, one.fresh) for one in ready]), carried)


def _transactions(batch: Batch) -> list[Transaction]:
    marks = batch.after
    return [
        Transaction(batch.series.key, NO_MARK if marks.watermark is None else marks.watermark),
        Transaction(batch.series.low_key, NO_MARK if marks.low is None else marks.low),
    ]


def _metadata(batches: Sequence[Batch]) -> dict[str, str]:
    """What the log says of the commit: flat for one series, as ever; a list for several."""
    notes = [{"series": batch.series.key, **batch.note} for batch in batches]
    return notes[0] if len(notes) == 1 else {BATCHES: json.dumps(notes)}


def notes_of(commit: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The notes of each series in a commit as the table's history has it; those of another tool as they are."""
    try:
        notes = json.loads(commit[BATCHES])
    except (KeyError, ValueError, TypeError):
        return [commit]
    return [note for note in notes if isinstance(note, dict)] if isinstance(notes, list) else [commit]


def _names(ready: Mapping[int, _Ready]) -> str:
    first, *others = (str(one.batch.series) for one in ready.values())
    return f"{first} and {len(others)} more" if others else first
