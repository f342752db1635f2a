"""Dead letter index in SQLite: answers without reading every file, and is rebuilt from them at any time.

The files are the truth, in a folder or an object store (`keeping.py`). The index lies beside them, or in the data
directory; it knows each file by its size and modification time, and reads again only what is new or changed; delete it
and the next look builds it anew. What is counted on every page is kept counted (`groups`, `days`), so that a page costs
the same with ten files and with ten thousand.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as upsert

from ffe_core.storage.dead_letters import file as files
from ffe_core.storage.dead_letters.file import DeadLetterBatch, DeadLetterRecord, NotADeadLetter, series_of
from ffe_core.storage.dead_letters.keeping import BatchFiles, Found, Taken
from ffe_core.storage.dead_letters.keeping import storable as storable
from ffe_core.storage.files import check_version, strict, strict_json
from ffe_core.storage.files import quarantined as quarantine_file
from ffe_core.storage.rows import portions
from ffe_core.storage.sqlite import sqlite_url
from ffe_core.storage.sqlite_faults import Fault, fault_of
from ffe_core.validation import SUPERSEDED, UNREADABLE, read_open_times

log = logging.getLogger(__name__)
NAMESPACE = uuid5(NAMESPACE_URL, "ffe-console/dead-letters")
ALL, NEW, FAILED_AGAIN = "all", "new", "failed again"
STATUSES = (files.PENDING, NEW, FAILED_AGAIN, files.REPLAYED, files.SUPERSEDED, files.DISCARDED)
"""What a record can be asked for by; a pending one is either new or failed again."""
NO_REASON = "none"
"""The reason of a record that breaks no rule."""
TOTAL = "total"
BATCH_DIMENSIONS = ("asset_pair", "timeframe", "provider", "run", "day")
DIMENSIONS = ("reason", *BATCH_DIMENSIONS)
"""What records are grouped by."""

Answer = TypeVar("Answer")
Progress = Callable[[int, int], None]
"""Called with how many changed files are done, and how many there are."""

# Raised also whenever the version of the files is, so that those an older release could not read are looked at again.
_VERSION = 2
_MOST_KNOWN = 1_000
"""Answers kept; what is asked for may be typed."""
_BUSY_SECONDS = 60
_BATCH_RECORDS, _BATCH_FILES = 20_000, 500
_LONGEST_NAME = 200
# A record lies in a list in an object: what is too deep to be kept as it is, is so from the top of the file.
_RECORD_DEPTH = 2
_LARGE = 2**63

_metadata = sa.MetaData()
batches = sa.Table(
    "entries",
    _metadata,
    sa.Column("key", sa.Integer, primary_key=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("modified_ns", sa.BigInteger, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("series", sa.String, nullable=False),
    sa.Column("asset_pair", sa.String, nullable=False),
    sa.Column("timeframe", sa.String, nullable=False),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("run", sa.String, nullable=False),
    sa.Column("day", sa.String, nullable=False),
    sa.Column("saved_at", sa.Float, nullable=False),
    sa.Column("touched_at", sa.Float, nullable=False),
    sa.Column("error", sa.String, nullable=False),
    sa.Column("context", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("first_open", sa.BigInteger),
    sa.Column("last_open", sa.BigInteger),
    sa.Index("entries_by_time", "saved_at", "key"),
    sa.Index("entries_by_series", "series", "first_open"),
    *(sa.Index(f"entries_by_{name}", name, "saved_at", "key") for name in BATCH_DIMENSIONS),
)
records = sa.Table(
    "records",
    _metadata,
    sa.Column("entry", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    sa.Column("open", sa.BigInteger),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("reasons", sa.String, nullable=False),
    sa.Index("records_by_fingerprint", "fingerprint"),
    sqlite_with_rowid=False,
)
cells = sa.Table(
    "cells",
    _metadata,
    sa.Column("entry", sa.Integer, primary_key=True),
    sa.Column("reason", sa.String, primary_key=True),
    sa.Column("status", sa.String, primary_key=True),
    sa.Column("saved_at", sa.Float, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Index("cells_by_time", "reason", "status", "saved_at", "entry"),
    sqlite_with_rowid=False,
)
"""How many records of a batch have a status, for each reason and, under the reason "", whatever the reason."""
_GROUP = ("dimension", "value", "status")
groups = sa.Table(
    "groups",
    _metadata,
    *(sa.Column(name, sa.String, primary_key=True) for name in _GROUP),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("first_seen", sa.Float, nullable=False),
    sa.Column("last_seen", sa.Float, nullable=False),
    sa.Index("groups_by_count", "dimension", "status", sa.text("count DESC"), "value"),
    sqlite_with_rowid=False,
)
days = sa.Table(
    "days",
    _metadata,
    *(sa.Column(name, sa.String, primary_key=True) for name in (*_GROUP, "day")),
    sa.Column("count", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)
quarantined = sa.Table(
    "set_aside",
    _metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("modified_ns", sa.BigInteger, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
)


class Kept(NamedTuple):
    """Records that were kept, and how many of them only a later one of their batch replaced."""

    records: int
    superseded: int


def series_key(context: Mapping[str, Any]) -> str:
    """pair/timeframe/provider of a batch under their stored names; as they are, where they name no series."""
    series = series_of(context)
    return series.key if series else "/".join(_name(context, name) for name in ("asset_pair", "timeframe", "provider"))


def readable(value: Any) -> Any:
    """The value in strict JSON's terms, its text such as any encoding holds."""
    return _encodable(strict(value))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(name): _encodable(item) for name, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, list) else value


def fingerprint(record: Any) -> bytes:
    """Identity of a raw record: the same content gives the same, whatever the order of its fields."""
    try:
        if isinstance(record, dict) and all(map(_is_plain, record, record.values())):
            return _identity(json.dumps(record, sort_keys=True, allow_nan=False))
    except (ValueError, TypeError):
        pass  # not finite, or not to be sorted: what follows says what becomes of it
    return _identity(json.dumps(strict(record, _RECORD_DEPTH), sort_keys=True, allow_nan=False))


def _is_plain(name: Any, value: Any) -> bool:
    """Whether strict JSON writes a field as it is (or refuses the number)."""
    kind = type(value)
    return type(name) is str and (
        kind is str or kind is float or value is None or (kind is int and abs(value) < _LARGE)
    )


def _identity(text: str) -> bytes:
    return uuid5(NAMESPACE, text).bytes


def batch_id(series: str, prints: Iterable[bytes]) -> UUID:
    """Identity of a batch: its series and the records in it."""
    return uuid5(NAMESPACE, "\n".join([series, *(str(UUID(bytes=print_)) for print_ in prints)]))


def status_names(record: DeadLetterRecord) -> tuple[str, ...]:
    """Every status that finds this record."""
    if record.status != files.PENDING:
        return (ALL, record.status)
    return (ALL, files.PENDING, FAILED_AGAIN if record.failed_again else NEW)


class DeadLetterIndex:
    """The index of one place. `refresh` makes it agree with the files; the place's lock keeps writers apart."""

    def __init__(self, kept: BatchFiles) -> None:
        self._files = kept
        self._lock = kept.lock
        self._file = kept.index_file
        self._engine = sa.create_engine(
            sqlite_url(self._file), poolclass=sa.NullPool, connect_args={"timeout": _BUSY_SECONDS}
        )
        sa.event.listen(self._engine, "connect", _tune)
        self._seen: tuple[Any, int, float] | None = None
        self._looked_at = -math.inf
        self._known: dict[object, Any] = {}

    def refresh(self, progress: Progress = lambda done, total: None, *, is_reader: bool = False) -> None:
        """Read what is new or changed in the folder, forget what is gone; cheap when nothing was touched.

        Memory does not grow with the folder: files are taken in a few at a time. A reader's answer may be as old as
        the place says.
        """
        if (is_reader and self._is_fresh()) or self._is_current():
            return
        before = self._inode()
        try:
            self._look(progress)
        except sa.exc.DatabaseError as error:
            self._remove_if_damaged(error, before)
            self._look(progress)

    def ask(self, question: Callable[[DeadLetterIndex], Answer], *, is_reader: bool = False) -> Answer:
        """The answer of the index as it is now; one that turns out to be damaged is built anew from the files."""
        self.refresh(is_reader=is_reader)
        before = self._inode()
        try:
            return question(self)
        except sa.exc.DatabaseError as error:
            self._remove_if_damaged(error, before)
            self.refresh()
            return question(self)

    def take_in(self, batch_ids: Sequence[str]) -> None:
        """Read files that the caller, holding the lock, has just written or removed."""
        before = self._inode()
        try:
            with self._engine.begin() as connection:
                _replace(connection, self._files, [f"{batch_id}.json" for batch_id in batch_ids])
        except sa.exc.DatabaseError as error:
            self._remove_if_damaged(error, before)  # the next look reads these files too
        finally:
            self._known = {}

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to query with."""
        with self._engine.connect() as connection:
            yield connection

    def known(self, series: str, prints: Sequence[bytes]) -> set[bytes]:
        """Those of the fingerprints that a series already has."""
        found: set[bytes] = set()
        with self.reading() as connection:
            for some in portions(prints):
                query = (
                    sa.select(records.c.fingerprint)
                    .join(batches, batches.c.key == records.c.entry)
                    .where(batches.c.series == series, records.c.fingerprint.in_(some))
                )
                found.update(connection.scalars(query))
        return found

    def open_times(self, series: str, start: int, end: int) -> np.ndarray:
        """Opens in [start, end) of a series' pending and discarded records: sorted unique int64 epoch seconds."""
        if series not in self._series():
            return np.empty(0, np.int64)
        query = (
            sa.select(records.c.open)
            .join(batches, batches.c.key == records.c.entry)
            .where(
                batches.c.series == series,
                batches.c.first_open < end,
                batches.c.last_open >= start,
                records.c.open >= start,
                records.c.open < end,
                records.c.status.in_((NEW, FAILED_AGAIN, files.DISCARDED)),
            )
        )
        with self.reading() as connection:
            return np.unique(np.array(list(connection.scalars(query)), dtype=np.int64))

    def open_times_by_series(self, start: int, end: int) -> dict[str, np.ndarray]:
        """`open_times` of every series that has any in [start, end), by the series' key."""
        if not self._series():
            return {}
        query = (
            sa.select(batches.c.series, records.c.open)
            .join(batches, batches.c.key == records.c.entry)
            .where(
                batches.c.first_open < end,
                batches.c.last_open >= start,
                records.c.open >= start,
                records.c.open < end,
                records.c.status.in_((NEW, FAILED_AGAIN, files.DISCARDED)),
            )
        )
        found: dict[str, list[int]] = {}
        with self.reading() as connection:
            for series, open_ in connection.execute(query):
                found.setdefault(series, []).append(open_)
        return {series: np.unique(np.array(open_times, dtype=np.int64)) for series, open_times in found.items()}

    def kept_by(self, run: str, since: float) -> dict[str, Kept]:
        """How many records a run has kept since an instant of each series, whatever became of them."""
        superseded = sa.func.sum(sa.case((records.c.reasons == json.dumps([SUPERSEDED]), 1), else_=0))
        query = (
            sa.select(batches.c.series, sa.func.count(), superseded)
            .join(records, records.c.entry == batches.c.key)
            .where(batches.c.run == run, batches.c.saved_at >= since)
            .group_by(batches.c.series)
        )
        with self.reading() as connection:
            return {series: Kept(*counts) for series, *counts in connection.execute(query)}

    def _series(self) -> set[str]:
        """Which series have a batch, by key; asked once for each change of the folder."""

        def asked(connection: sa.Connection) -> set[str]:
            return set(connection.scalars(sa.select(batches.c.series).distinct()))

        return self.once("series", asked)

    def in_group(self, dimension: str, value: str, status: str) -> int:
        """How many records a group has of a status; asked once for each change of the folder."""
        query = sa.select(groups.c["count"]).where(
            groups.c.dimension == dimension, groups.c.value == value, groups.c.status == status
        )
        return self.once((dimension, value, status), lambda connection: int(connection.scalar(query) or 0))

    def once(self, what: object, ask: Callable[[sa.Connection], Answer]) -> Answer:
        """An answer that stays the same until the folder changes; `what` is its key, and nobody changes it."""
        # Held before it is asked: what changes the index puts another in its place, and an older answer is lost.
        known = self._known
        if self._seen is None or len(known) >= _MOST_KNOWN:
            known = self._known = {}
        if what not in known:
            with self.reading() as connection:
                known[what] = ask(connection)
        answer: Answer = known[what]
        return answer

    def _is_fresh(self) -> bool:
        """Whether the last look is as young as a reader wants it."""
        return time.monotonic() - self._looked_at < self._files.fresh_seconds and self._inode() != 0

    def _is_current(self) -> bool:
        now, seen = time.monotonic(), self._seen  # read once: other threads look too
        if seen is None or now - seen[2] > self._files.look_seconds or self._stamp() != seen[:2]:
            return False
        self._looked_at = now
        return True

    def _stamp(self) -> tuple[Any, int]:
        """The mark of the place and which file the index is."""
        return self._files.mark(), self._inode()

    def _inode(self) -> int:
        return os.stat(self._file).st_ino if self._file.exists() else 0

    def _remove_if_damaged(self, error: sa.exc.DatabaseError, inode: int) -> None:
        """Take the damaged index away, unless another process has built it anew since it was file `inode`.

        Raises the error if it says something else. Its journal goes first: it would be played into the new file.
        """
        if not (_says_damaged(error) or self._file.is_dir()):
            raise error
        log.warning("the index of %s is damaged (%s); building it anew from the files", self._files.place, error.orig)
        with self._lock:
            if self._inode() == inode:
                for path in (self._file.with_name(f"{self._file.name}-journal"), self._file):
                    quarantine_file(path) if path.is_dir() else path.unlink(missing_ok=True)
            self._seen, self._looked_at = None, -math.inf

    def _look(self, progress: Progress) -> None:
        with self._lock:
            self._prepare()
        (mark, inode), started, began = self._stamp(), time.time_ns(), time.monotonic()
        changed = self._changed()
        done = 0
        for names in _batches(changed):
            with self._lock, self._engine.begin() as connection:
                _replace(connection, self._files, names)
            done += len(names)
            progress(done, len(changed))
        settled = self._files.is_settled(mark, started) and not changed
        self._seen, self._looked_at, self._known = (mark, inode, time.monotonic()) if settled else None, began, {}

    def _prepare(self) -> None:
        """Make the tables where they are missing or an older version's; NewerFormatError for a newer one's."""
        with self._engine.begin() as connection:
            found = connection.exec_driver_sql("PRAGMA user_version").scalar()
            if found == _VERSION:
                return
            check_version(self._file, found or None, _VERSION)
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver would commit each change of a table by itself
            existing = sa.MetaData()
            existing.reflect(connection)
            existing.drop_all(connection)
            _metadata.create_all(connection, checkfirst=False)
            connection.exec_driver_sql(f"PRAGMA user_version = {_VERSION}")

    def _changed(self) -> list[Found]:
        """Files that are new, changed or (with size -1) gone."""
        there = {found.name: found for found in self._files.listed()}
        with self.reading() as connection:
            known = {f"{id_}.json": (time_, size) for id_, time_, size in connection.execute(_KNOWN_BATCHES)}
            known |= {name: (time_, size) for name, time_, size in connection.execute(_KNOWN_QUARANTINED)}
        changed = [
            found for found in there.values() if known.get(storable(found.name)) != (found.modified_ns, found.size)
        ]
        names = {storable(name) for name in there}
        return [*changed, *(Found(name, 0, -1) for name in known if name not in names)]


_KNOWN_BATCHES = sa.select(batches.c.id, batches.c.modified_ns, batches.c.size)
_KNOWN_QUARANTINED = sa.select(quarantined.c.name, quarantined.c.modified_ns, quarantined.c.size)


def _says_damaged(error: sa.exc.DatabaseError) -> bool:
    """Whether an error means that the index is not what it was made: damage, other tables, or rows that contradict."""
    return isinstance(error, sa.exc.IntegrityError) or fault_of(error) in (Fault.DAMAGED, Fault.OTHER_TABLES)


def _tune(connection: Any, _: Any) -> None:
    # The journal stays in place: made and removed at each write it would touch the folder's modification time.
    for setting in ("journal_mode=TRUNCATE", "synchronous=NORMAL", "cache_size=-16000"):
        connection.execute(f"PRAGMA {setting}")


def _batches(changed: Sequence[Found]) -> Iterator[list[str]]:
    """Names, so many at a time that a transaction stays small; the size stands for the number of records."""
    names: list[str] = []
    weight = 0
    for found in changed:
        names.append(found.name)
        weight += found.size // 200
        if weight >= _BATCH_RECORDS or len(names) >= _BATCH_FILES:
            yield names
            names, weight = [], 0
    if names:
        yield names


def _replace(connection: sa.Connection, kept: BatchFiles, names: Sequence[str]) -> None:
    """Make the index agree with these files as they are now."""
    counts = _Counts(connection)
    _forget(connection, names, counts)
    for found, batch in kept.taken(names):
        _add(connection, found, batch, counts)
    counts.write()


def _forget(connection: sa.Connection, names: Sequence[str], counts: _Counts) -> None:
    stored = [storable(name) for name in names]
    for some in portions([name.removesuffix(".json") for name in stored if name.endswith(".json")]):
        for row in connection.execute(sa.select(batches).where(batches.c.id.in_(some))).mappings().all():
            columns = (cells.c.reason, cells.c.status, cells.c["count"])
            found = connection.execute(sa.select(*columns).where(cells.c.entry == row["key"]))
            counts.add(dict(row), {(reason, status): -count for reason, status, count in found})
            for table, column in ((records, records.c.entry), (cells, cells.c.entry), (batches, batches.c.key)):
                connection.execute(table.delete().where(column == row["key"]))
    for some in portions(stored):
        connection.execute(quarantined.delete().where(quarantined.c.name.in_(some)))


def _add(connection: sa.Connection, found: Found, batch: Taken, counts: _Counts) -> None:
    if isinstance(batch, NotADeadLetter):
        log.info("%s is not a dead letter: %s; left alone", storable(found.name), batch)
        aside = {"name": storable(found.name), "modified_ns": found.modified_ns, "size": found.size}
        connection.execute(quarantined.insert().values(**aside, reason=storable(str(batch))))
        return
    open_times = read_open_times([record.value for record in batch.records])
    row = _row(batch, found, open_times)
    key = connection.execute(batches.insert().values(**row)).inserted_primary_key[0]  # type: ignore[index]
    connection.execute(records.insert(), [_record(key, record, open_times[record.number]) for record in batch.records])
    counted = _counted(batch)
    saved_at = row["saved_at"]
    connection.execute(
        cells.insert(),
        [
            {"entry": key, "reason": reason, "status": status, "saved_at": saved_at, "count": count}
            for (reason, status), count in counted.items()
        ],
    )
    counts.add(row, counted)


def _row(batch: DeadLetterBatch, found: Found, open_times: np.ndarray) -> dict[str, Any]:
    series, context = batch.series, batch.context
    readable = open_times[open_times != UNREADABLE]
    return {
        "id": batch.id,
        "modified_ns": found.modified_ns,
        "size": found.size,
        "series": series_key(context),
        "asset_pair": series.asset_pair if series else _name(context, "asset_pair"),
        "timeframe": _name(context, "timeframe"),
        "provider": _name(context, "provider"),
        "run": _name(context, "run_id"),
        "day": _day(batch.saved_at),
        "saved_at": batch.saved_at,
        "touched_at": batch.touched_at,
        "error": storable(batch.error),
        "context": strict_json(context),
        "status": batch.status,
        "first_open": int(readable.min()) if len(readable) else None,
        "last_open": int(readable.max()) if len(readable) else None,
    }


def _record(key: int, record: DeadLetterRecord, open_: np.int64) -> dict[str, Any]:
    return {
        "entry": key,
        "number": record.number,
        "fingerprint": fingerprint(record.raw),
        "open": None if open_ == UNREADABLE else int(open_),
        "status": status_names(record)[-1],
        "attempts": record.attempts,
        "revision": record.revision,
        "reasons": json.dumps(record.reasons),
    }


def _counted(batch: DeadLetterBatch) -> Counter[tuple[str, str]]:
    """How many records there are for each (reason, status): codes, the rule alone of `rule:field`, and "" for any."""
    alike = Counter((tuple(record.reasons), status_names(record)) for record in batch.records)
    counted: Counter[tuple[str, str]] = Counter()
    for (codes, statuses), count in alike.items():
        names = {storable(code) for code in codes or (NO_REASON,)}
        for reason in {"", *names, *(name.partition(":")[0] for name in names)}:
            counted.update({(reason, status): count for status in statuses})
    return counted


def _name(context: Mapping[str, Any], name: str) -> str:
    return storable(str(context.get(name) or ""))[:_LONGEST_NAME]


def _day(epoch: float) -> str:
    try:
        return datetime.fromtimestamp(epoch, UTC).date().isoformat()
    except (ValueError, OverflowError):
        return ""


_NEVER, _EVER = 9e99, -9e99
_Group = tuple[str, str, str]


class _Counts:
    """What a change of some batches does to the kept counts: gathered first, written once."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._days: Counter[tuple[str, str, str, str]] = Counter()
        self._groups: Counter[_Group] = Counter()
        self._gained: dict[_Group, set[float]] = {}
        self._lost: dict[_Group, set[float]] = {}

    def add(self, row: Mapping[str, Any], counted: Mapping[tuple[str, str], int]) -> None:
        """A batch's records, by (reason, status); negative for one that is forgotten."""
        anywhere = [(TOTAL, ""), *((name, row[name]) for name in BATCH_DIMENSIONS)]
        for (reason, status), count in counted.items():
            for dimension, value in [("reason", reason)] if reason else anywhere:
                group = (dimension, value, status)
                self._groups[group] += count
                self._days[(*group, row["day"])] += count
                (self._gained if count > 0 else self._lost).setdefault(group, set()).add(row["saved_at"])

    def write(self) -> None:
        """Apply it all."""
        shifts = [self._shift(group, count) for group, count in self._groups.items()]
        by_day = [_place((*_GROUP, "day"), key, count=count) for key, count in self._days.items() if count]
        self._execute(_ADD_TO_GROUP, shifts)
        self._execute(_ADD_TO_DAY, by_day)
        self._execute(_DROP_EMPTY_DAY, [_bound(row) for row in by_day if row["count"] < 0])
        self._execute(_DROP_EMPTY_GROUP, [_bound(row) for row in shifts if row["count"] < 0])
        for group, times in self._lost.items():
            gone = times - self._gained.get(group, set())
            if gone:
                self._narrow(group, gone)

    def _shift(self, group: _Group, count: int) -> dict[str, Any]:
        times = self._gained.get(group, set())
        seen = {"first_seen": min(times, default=_NEVER), "last_seen": max(times, default=_EVER)}
        return _place(_GROUP, group, count=count, **seen)

    def _execute(self, statement: Any, rows: list[dict[str, Any]]) -> None:
        if rows:
            self._connection.execute(statement, rows)

    def _narrow(self, group: _Group, gone: set[float]) -> None:
        """Find a group's first and last batch anew, if what it lost was one of them."""
        here = sa.and_(*(groups.c[name] == value for name, value in zip(_GROUP, group, strict=True)))
        row = self._connection.execute(sa.select(groups.c.first_seen, groups.c.last_seen).where(here)).first()
        if row is not None and gone & set(row):
            first, last = (self._connection.scalar(_edge(group, newest=newest)) for newest in (False, True))
            self._connection.execute(groups.update().where(here).values(first_seen=first, last_seen=last))


def _edge(group: _Group, *, newest: bool) -> sa.Select[Any]:
    """When the first or last batch of a group was saved."""
    dimension, value, status = group
    if dimension in BATCH_DIMENSIONS:
        has = sa.exists().where(cells.c.entry == batches.c.key, cells.c.reason == "", cells.c.status == status)
        time_, wanted = batches.c.saved_at, sa.and_(batches.c[dimension] == value, has)
    else:
        time_, wanted = cells.c.saved_at, sa.and_(cells.c.reason == value, cells.c.status == status)
    return sa.select(time_).where(wanted).order_by(time_.desc() if newest else time_).limit(1)


def _place(names: Sequence[str], key: Sequence[str], **more: Any) -> dict[str, Any]:
    return {**dict(zip(names, key, strict=True)), **more}


def _bound(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's values under names of their own, as a statement with conditions takes them."""
    return {f"the_{name}": value for name, value in row.items()}


def _adding(table: sa.Table, **more: Any) -> Any:
    insert = upsert(table)
    keys = [column.name for column in table.primary_key]
    return insert.on_conflict_do_update(
        index_elements=keys,
        set_={
            "count": table.c["count"] + insert.excluded["count"],
            **{name: combine(table.c[name], insert.excluded[name]) for name, combine in more.items()},
        },
    )


def _dropping(table: sa.Table) -> sa.Delete:
    keys = (column == sa.bindparam(f"the_{column.name}") for column in table.primary_key)
    return table.delete().where(*keys, table.c["count"] <= 0)


_ADD_TO_GROUP = _adding(groups, first_seen=sa.func.min, last_seen=sa.func.max)
_ADD_TO_DAY = _adding(days)
_DROP_EMPTY_GROUP, _DROP_EMPTY_DAY = _dropping(groups), _dropping(days)
