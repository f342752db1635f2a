"""Locks as rows of a state on a server, for processes of any machine: each ends by itself unless it is renewed.

A row says until when it is held by the server's clock; nobody's own clock counts. A holder renews all of its rows at
once, well before their end, and takes itself for no holder any more some seconds before it, counted from before it
asked, by a clock that nobody sets. Each new holder raises the token of the row: who was stopped in between finds
another token there, and neither renews nor writes. (Advisory locks outlive a holder that is stopped, and mean nothing
behind a pooler that lends connections, https://www.pgbouncer.org/features.html.)
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from ffe_core import times
from ffe_core.errors import DatabaseError, LeaseLost
from ffe_core.storage.locks import ALIVE, LEAD, LEASE, Fence
from ffe_core.storage.state import postgresql
from ffe_core.storage.state.database import Database, fenced_by, metadata
from ffe_core.storage.state.faults import in_words, passes, place_of
from ffe_core.storage.waiting import patiently, waits_on
from ffe_core.threads import Worker

log = logging.getLogger(__name__)
HELD_SECONDS = 15.0
"""How long a row is held unless it is renewed."""
_RENEW_SECONDS = 5.0
_MARGIN_SECONDS = 3.0
"""So long before its end a holder takes itself for none: what it has begun to write is over by then."""
_STEP_SECONDS = 0.5
_SOON_SECONDS = 3.0
"""How long even who does not wait for a server waits for a renewal that is due: after a process was stopped."""
_LEFT_SECONDS = 86_400.0
"""Rows of processes that died so long ago are removed."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_NOW = "CAST(extract(epoch FROM clock_timestamp()) AS float8)"

lease = sa.Table(
    "lease",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("holder", sa.String, nullable=False),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("until", sa.Float, nullable=False),
    sa.Column("note", sa.JSON, nullable=False),
)
_TAKE = sa.text(
    "INSERT INTO lease AS held (name, holder, token, until, note)"
    f" VALUES (:name, :holder, 1, {_NOW} + :seconds, CAST(:note AS json))"
    f" ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = held.token + 1,"
    f" until = {_NOW} + :seconds, note = excluded.note WHERE held.until <= {_NOW}"
    # Asked again where the answer was lost.
    " OR CAST(held.note AS jsonb) -> 'asked' = CAST(excluded.note AS jsonb) -> 'asked' RETURNING token"
)
_RENEW = sa.text(
    f"UPDATE lease SET until = {_NOW} + :seconds"
    " FROM unnest(CAST(:names AS text[]), CAST(:tokens AS bigint[])) AS mine(name, token)"
    " WHERE lease.name = mine.name AND lease.token = mine.token RETURNING lease.name"
)
_FREE = sa.text("UPDATE lease SET until = 0 WHERE name = :name AND token = :token")
_REMOVE = sa.text("DELETE FROM lease WHERE name = :name AND token = :token")
_HELD = sa.text(f"SELECT name, note FROM lease WHERE name = ANY(CAST(:names AS text[])) AND until > {_NOW}")
_BURY = sa.text(  # not before the last of what it held has ended: whoever goes on with its work finds that free
    f"UPDATE lease SET token = token + 1, until = 0 WHERE name = ANY(CAST(:names AS text[])) AND until <= {_NOW}"
    f" AND NOT EXISTS (SELECT 1 FROM lease AS other WHERE other.holder = lease.holder AND other.until > {_NOW})"
    " RETURNING holder"
)
_BURY_REST = sa.text(  # one that only slept renews none of them
    f"UPDATE lease SET token = token + 1, until = 0 WHERE holder = ANY(CAST(:holders AS text[])) AND until <= {_NOW}"
)
_NOT_BURIED = sa.text("SELECT name FROM lease WHERE name = ANY(CAST(:names AS text[])) AND until > 0")
_FENCE = sa.text("SELECT 1 FROM lease WHERE name = :name AND token = :token FOR SHARE")
_TIDY = sa.text(f"DELETE FROM lease WHERE name LIKE :names AND until < {_NOW} - :seconds")


@dataclass(slots=True)
class _Held:
    """A row that this process took: its token, and until when this process counts itself its holder."""

    token: int
    until: float
    is_lost: bool = False


class RowLocks:
    """The locks in the state of a server; one object a process, with a thread that renews what is held."""

    are_for_many = True

    def __init__(self, database: Database) -> None:
        self.place = f"the database {database.name}"
        self.role = "a command"
        self._me = self.new_owner()
        self._engine = postgresql.connect(
            database.url, user_timeout=5_000, pool_pre_ping=True, pool_size=2, max_overflow=6
        )
        sa.event.listen(self._engine, "begin", postgresql.begin_brief)
        self._rows: dict[str, _Held] = {}
        self._to_free: dict[str, int] = {}
        self._renewed_at = 0.0
        self._is_failing = False
        self._lock = threading.Lock()
        self._renewing: Worker | None = None
        database.on_close(self.close)
        atexit.register(self.close)

    def new_owner(self) -> str:
        """A name for a process that no other has, on any machine."""
        return f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:12]}"

    def lock(self, kind: str, name: str) -> _RowLock:
        """A lock by its kind and name."""
        return _RowLock(self, kind, name)

    def held(self, kind: str, names: Sequence[str]) -> Mapping[str, str]:
        """Those of the names that somebody has now, with who, in one question. DatabaseError."""
        keys = [f"{kind}:{name}" for name in names]
        for key in self._to_free.keys() & set(keys):
            self._free(key)

        def ask() -> Sequence[sa.Row[Any]]:
            with self.asking() as connection:
                return connection.execute(_HELD, {"names": keys}).all()

        rows = patiently(ask, passes)
        return {row.name.removeprefix(f"{kind}:"): _in_words(kind, row.note) for row in rows}

    def check(self, name: str, *, waits: bool = False) -> None:
        """LeaseLost if this process took the lease of that name and lost it; with `waits` also if that is not sure."""
        row = self._rows.get(f"{LEASE}:{name}")
        if row is None:
            return
        began = _seconds()
        while waits and not row.is_lost and (now := _seconds()) >= row.until:
            waited = now - began
            if waited > _SOON_SECONDS and not waits_on.get()(waited):
                break
            self._wake()
            time.sleep(0.05)
        if row.is_lost or (waits and _seconds() >= row.until):
            raise LeaseLost(
                f"the lease of {name} was not renewed in time and may be another's, so nothing more is written under"
                " it; start it again, or continue it: it goes on from the watermarks"
            )

    def bury(self, owners: Sequence[str]) -> list[str]:
        """Those of some processes whose row has ended or is not there, none of which can write any more."""
        names = {"names": [f"{ALIVE}:{owner}" for owner in owners]}
        for name in self._to_free.keys() & set(names["names"]):
            self._free(name)
        with self.asking() as connection:
            buried = list(connection.scalars(_BURY, names))
            connection.execute(_BURY_REST, {"holders": buried})
            left = set(connection.scalars(_NOT_BURIED, names))
        return [owner for owner in owners if f"{ALIVE}:{owner}" not in left]

    def close(self) -> None:
        """Give back what is held, as far as the server can be reached."""
        atexit.unregister(self.close)
        if self._renewing is not None:
            self._renewing.stop()
        with self._lock:
            self._to_free |= {name: row.token for name, row in self._rows.items() if not row.is_lost}
            self._rows.clear()
        self._free_quietly()
        self._engine.dispose()

    # -- for its locks

    def take(self, name: str, note: Mapping[str, Any]) -> bool:
        """Take a row if it is free. DatabaseError; LeaseLost for a run of a process that was taken for dead."""
        noted = json.dumps({**note, "asked": uuid4().hex})
        asked = {"name": name, "holder": self._me, "seconds": HELD_SECONDS, "note": noted}

        def ask() -> _Held | None:
            self._free(name)
            began = _seconds()
            with self.asking() as connection:
                if (check := fenced_by.get()) is not None:
                    check(connection)
                token = connection.scalar(_TAKE, asked)
                if name.startswith(f"{ALIVE}:"):
                    connection.execute(_TIDY, {"names": f"{ALIVE}:%", "seconds": _LEFT_SECONDS})
            return None if token is None else _Held(int(token), began + HELD_SECONDS - _MARGIN_SECONDS)

        taken = patiently(ask, passes)
        if taken is None:
            return False
        with self._lock:
            self._rows[name] = taken
            if self._renewing is None:
                self._renewing = Worker("leases", self._step, _STEP_SECONDS)
                self._renewing.start()
        return True

    def row(self, name: str) -> _Held | None:
        """What this process took under a name and has not given back."""
        return self._rows.get(name)

    def release(self, name: str, row: _Held) -> None:
        """Give a row back, from a thread of its own: whoever ends a run does not wait for a server."""
        with self._lock:
            if self._rows.get(name) is row:
                del self._rows[name]
            if not row.is_lost:
                self._to_free[name] = row.token
        self._wake()

    @contextmanager
    def asking(self) -> Iterator[sa.Connection]:
        """A short transaction that waits for no other for long, beside those that write. DatabaseError."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise in_words(place_of(self._engine.url), error) from error

    # -- the thread

    def _wake(self) -> None:
        if self._renewing is not None:
            self._renewing.wake()

    def _step(self) -> None:
        self._free_quietly()
        if _seconds() - self._renewed_at < _RENEW_SECONDS:
            return
        try:
            self._renew()
            self._is_failing = False
        except DatabaseError as error:
            if not self._is_failing:
                log.warning("the leases of this process are not renewed for now: %s", error)
            self._is_failing = True

    def _renew(self) -> None:
        """Renew everything that is held in one statement; what comes back not renewed is another's by now."""
        with self._lock:
            mine = {name: row for name, row in self._rows.items() if not row.is_lost}
        if not mine:
            return
        began = _seconds()
        asked = {"seconds": HELD_SECONDS, "names": list(mine), "tokens": [row.token for row in mine.values()]}
        with self.asking() as connection:
            renewed = set(connection.scalars(_RENEW, asked))
        self._renewed_at = began
        for name, row in mine.items():
            if name in renewed:
                row.until = began + HELD_SECONDS - _MARGIN_SECONDS
            elif self._rows.get(name) is row:
                row.is_lost = True
                log.warning("%s was taken over by another process, as this one did not renew it in time", name)

    def _free_quietly(self) -> None:
        for name in list(self._to_free):
            try:
                self._free(name)
            except DatabaseError as error:
                log.debug("%s is left to end by itself: %s", name, error)
                return

    def _free(self, name: str) -> None:
        token = self._to_free.get(name)
        if token is None:
            return
        with self.asking() as connection:
            statement = _REMOVE if name.startswith(f"{ALIVE}:") else _FREE
            connection.execute(statement, {"name": name, "token": token})
        with self._lock:
            if self._to_free.get(name) == token:
                del self._to_free[name]


class _RowLock:
    """One lock that is a row."""

    def __init__(self, locks: RowLocks, kind: str, name: str) -> None:
        self._locks, self._kind, self._key = locks, kind, f"{kind}:{name}"
        self._name = name
        self._row: _Held | None = None
        self._note: dict[str, Any] = {}

    @property
    def is_held(self) -> bool:
        """Whether this object took it, and it is surely held now."""
        row = self._row  # read once: another thread may release it
        return row is not None and not row.is_lost and _seconds() < row.until

    @property
    def was_lost(self) -> bool:
        """Whether this object took it, and another has taken it over."""
        row = self._row
        return row is not None and row.is_lost

    def take(self, doing: str = "") -> bool:
        """Take it at once; False if somebody has it. DatabaseError."""
        self._note = {"holder": doing, "role": self._locks.role, "host": socket.gethostname(), "pid": os.getpid()}
        self._note["since"] = times.iso(times.now())
        if not self._locks.take(self._key, self._note):
            return False
        self._row = self._locks.row(self._key)
        return True

    def release(self) -> None:
        """Give it back; nothing if it is not held."""
        if self._row is not None:
            self._locks.release(self._key, self._row)
            self._row = None

    def holder(self) -> str:
        """Who has it, as they described themselves."""
        if self.is_held:
            return _in_words(self._kind, self._note)
        return self._locks.held(self._kind, [self._name]).get(self._name, "another process")

    def fence(self) -> Fence:
        """What lets a write happen only while nobody has taken the row over; the row stays so until it is done."""
        row = self._row
        token = row.token if row is not None else 0
        asked = {"name": self._key, "token": token}

        def check(connection: sa.Connection) -> None:
            if connection.scalar(_FENCE, asked) is None:
                raise LeaseLost("another process took this one for dead and took over, so this is not written")

        return check


def _seconds() -> float:
    """Of a clock that nobody sets, and that goes on while the machine is suspended where the system has one."""
    return time.clock_gettime(_CLOCK)


def _in_words(kind: str, note: Mapping[str, Any]) -> str:
    since = times.utc(times.parse_instant(note["since"]))
    where = f"process {note['pid']} on {note['host']}"
    if kind == LEAD:
        return f"{where}, since {since:%Y-%m-%d %H:%M} UTC"
    who = f"{note['holder']} of {note['role']}" if note["holder"] else note["role"]
    return f"{who} ({where}, since {note['since']})"


_made: WeakKeyDictionary[Database, RowLocks] = WeakKeyDictionary()
_making = threading.Lock()


def locks_in(database: Database) -> RowLocks:
    """The one set of locks of an open state on a server."""
    with _making:
        if (found := _made.get(database)) is None:
            found = _made[database] = RowLocks(database)
        return found
