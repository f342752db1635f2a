"""State database of the console: a SQLite file, or a database of a PostgreSQL server, through SQLAlchemy Core.

Each kind of state has its own file that declares its tables on `metadata`; opening the database upgrades it to them.
Times are epoch seconds (float), what is nested is JSON. Every change is one transaction.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock, Timeout

from ffe_core.errors import StorageError
from ffe_core.storage.sqlite import give_up_failed_connections, sqlite_url
from ffe_core.storage.state import postgresql
from ffe_core.storage.state.ended_listings import DATABASE_FILE as DATABASE_FILE
from ffe_core.storage.state.faults import BUSY_SECONDS, UNREACHABLE, being_opened, in_words, place_of
from ffe_core.storage.state.upgrade import begin_sqlite, upgrade
from ffe_core.storage.waiting import AGAIN_SECONDS, waits_on

log = logging.getLogger(__name__)
fenced_by: ContextVar[Callable[[sa.Connection], None] | None] = ContextVar("fenced_by", default=None)
"""What a process holds, without which it must not write to the state of a server any more."""
metadata = sa.MetaData()
ID = sa.Integer().with_variant(sa.BigInteger, "postgresql")
"""The type of ids. In a SQLite file every whole number has room, and only an Integer counts by itself."""
LARGEST_ID = 2**63 - 1
"""No row of either database has a larger one, and neither takes a larger one to look for."""
_AT_ONCE = "REPEATABLE READ"
"""Isolation in which all queries of a transaction see one state, as they do in a SQLite file."""
_LOCK_SECONDS = 120
"""How long another process may take to open or upgrade the same file."""
_IDLE_SECONDS = 1.0
"""After which a transaction that only reads is given up; a server may end one that idles."""


@contextmanager
def fenced(check: Callable[[sa.Connection], None] | None) -> Iterator[None]:
    """Let what is written in a block be written only where this check, and any around it, does not object."""
    checks = [one for one in (fenced_by.get(), check) if one is not None]

    def all_of_them(connection: sa.Connection) -> None:
        for one in checks:
            one(connection)

    before = fenced_by.set(all_of_them if checks else None)
    try:
        yield
    finally:
        fenced_by.reset(before)


class _Look(threading.local):
    """What a thread reads in one transaction, while it looks at several things at once."""

    depth = 0
    """How many blocks of the thread look."""
    readers = 0
    """How many of its questions are being asked: one may lead to another."""
    connection: sa.Connection | None = None
    used = 0.0
    writes = 0
    """How much had been written when the transaction began."""

    def end(self) -> None:
        """Read what comes next in a transaction of its own."""
        connection, self.connection = self.connection, None
        if connection is None:
            return
        if self.is_stale:  # the server may have ended it
            connection.invalidate()
        connection.close()

    @property
    def is_stale(self) -> bool:
        """Whether nobody has read for a while, as when the lake is read in between."""
        return time.monotonic() - self.used > _IDLE_SECONDS


class Database:
    """A database with every table of `metadata`. Safe to use from any thread and from several processes.

    `is_new` says that opening it made it. DatabaseError, with a code, if it cannot be opened.
    """

    def __init__(self, url: str | Path) -> None:
        self.writes = 0
        """Grows with every change made by this object, so that who keeps what it read knows when to read again."""
        self._closing: list[Callable[[], object]] = []
        self._look = _Look()
        self.url = sqlite_url(url) if isinstance(url, Path) else sa.make_url(url)
        if isinstance(url, Path):
            _make_folder(url.parent)
        self._engine = _of_server(self.url) if postgresql.is_server(self.url) else _of_file(self.url)
        self._reading = self._engine if self.is_file else self._engine.execution_options(isolation_level=_AT_ONCE)
        try:
            with self._guarded(), _alone(self._engine):
                if not self.is_file:
                    with self._engine.connect() as connection:
                        postgresql.check_encoding(connection)
                self.is_new = upgrade(self._engine.url)
                self._engine.connect().close()  # its first switch to WAL
        except BaseException:
            self._engine.dispose()
            raise

    @property
    def is_file(self) -> bool:
        """Whether it is a SQLite file, and so has backups and holes; else a server keeps it."""
        return self._engine.dialect.name == "sqlite"

    @property
    def name(self) -> str:
        """What people call it: the name of the file, or database and host."""
        return Path(str(self.url.database)).name if self.is_file else place_of(self.url)

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction: committed at the end, rolled back by an exception. StorageError if it cannot be made.

        It is the only one that writes from its beginning on: what it reads first stays true. LeaseLost if another
        process took over what it is about.
        """
        with self._guarded():
            if not self._look.readers:
                self._look.end()  # a file that has no WAL, as on a network drive, takes no change while it is read
            with (
                self._connected(self._engine) as connection,
                connection.execution_options(ffe_writes=True).begin(),
            ):
                if (check := fenced_by.get()) is not None and not self.is_file:
                    check(connection)
                yield connection
        self.writes += 1

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection to read with, the same state in each query. StorageError if the database cannot be read."""
        with self._guarded():
            if not self._look.depth:
                with self._connected(self._reading) as connection:
                    yield connection
                return
            connection = self._looking()
            self._look.readers += 1
            try:
                yield connection
            except BaseException:
                self._look.end()  # a transaction with a statement that failed reads nothing more
                raise
            finally:
                self._look.readers -= 1
            self._look.used = time.monotonic()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Have all that this thread reads in a block, one thing after the other, read from one state: a transaction
        that is begun, ended and looked after costs three ways to a server, and of a file as much as a question. For
        what takes no longer than a page: where nothing is read for a second or this object writes, from whatever
        thread, the next state is read."""
        self._look.depth += 1
        try:
            yield
        finally:
            self._look.depth -= 1
            if not self._look.depth:
                with self._guarded():
                    self._look.end()

    def size(self) -> tuple[int, int]:
        """Its bytes, and how many of a SQLite file's hold nothing; a server uses again by itself what is free."""
        with self.read() as connection:
            if not self.is_file:
                return postgresql.size(connection), 0
            pages, free, each = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)
                for name in ("page_count", "freelist_count", "page_size")
            )
        return pages * each, free * each

    def vacuum(self) -> None:
        """Give back what holds nothing in a SQLite file; it writes the rest anew. DatabaseError if it is in use."""
        if not self.is_file:
            return
        with self._guarded(), self._engine.connect() as connection:
            # Not in a transaction, so not through SQLAlchemy's own.
            connection.connection.cursor().execute("VACUUM")

    def on_close(self, end: Callable[[], object]) -> None:
        """Have something ended before the database is closed."""
        self._closing.append(end)

    def close(self) -> None:
        """Give back every connection, and end what was made for as long as it is open."""
        while self._closing:
            self._closing.pop()()
        self._engine.dispose()

    def _looking(self) -> sa.Connection:
        # Who keeps what it reads by `writes` must not keep what was there before them.
        if not self._look.readers and (self._look.is_stale or self._look.writes != self.writes):
            self._look.end()
        if self._look.connection is None:
            self._look.writes = self.writes
            self._look.connection = self._connected(self._reading)
            self._look.used = time.monotonic()
        return self._look.connection

    def _connected(self, engine: sa.Engine) -> sa.Connection:
        """A connection; a server that is gone is waited for as long as whoever asks wants to."""
        began = time.monotonic()
        while True:
            try:
                return engine.connect()
            except sa.exc.OperationalError as error:
                told = in_words(place_of(self.url), error)
                waited = time.monotonic() - began
                if told.code != UNREACHABLE or not waits_on.get()(waited):
                    raise
                if waited < AGAIN_SECONDS:
                    log.warning("%s. It is waited for", told)
            time.sleep(AGAIN_SECONDS)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            raise in_words(place_of(self._engine.url), error) from error


def _of_file(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})
    sa.event.listen(engine, "connect", _tune_sqlite)
    sa.event.listen(engine, "begin", begin_sqlite)
    give_up_failed_connections(engine)
    return engine


def _of_server(url: sa.URL) -> sa.Engine:
    engine = postgresql.connect(url, pool_pre_ping=True)
    sa.event.listen(engine, "begin", postgresql.begin)
    return engine


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[None]:
    """Held while a SQLite file is opened: one process makes or upgrades it, the others find it done."""
    if engine.dialect.name != "sqlite":
        yield
        return
    file = str(engine.url.database)
    lock = FileLock(f"{file}.lock")
    try:
        lock.acquire(timeout=_LOCK_SECONDS)
    except Timeout:
        raise being_opened(file, _LOCK_SECONDS) from None
    except OSError as error:
        raise StorageError(
            f"the database {file} cannot be locked ({error}); give the user who runs this the right to write there"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _tune_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions begin in `begin_sqlite`, not where the driver thinks best
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"the data folder {folder} cannot be made: {error}") from error
