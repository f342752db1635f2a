"""State database of the console: SQLite unless another is named, through SQLAlchemy Core.

Each kind of state has its own file that declares its tables on `metadata`; opening the database upgrades it to them.
Times are epoch seconds (float), what is nested is JSON. Every change is one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock, Timeout

from ffe_core.errors import StorageError
from ffe_core.storage.sqlite import give_up_failed_connections, sqlite_url
from ffe_core.storage.state.ended_listings import DATABASE_FILE as DATABASE_FILE
from ffe_core.storage.state.faults import BUSY_SECONDS, being_opened, in_words, place_of
from ffe_core.storage.state.upgrade import begin_sqlite, upgrade

metadata = sa.MetaData()
_LOCK_SECONDS = 120
"""How long another process may take to open or upgrade the same file."""


class Database:
    """A database with every table of `metadata`. Safe to use from any thread and from several processes.

    `is_new` says that opening it made it. DatabaseError, with a code, if it cannot be opened.
    """

    def __init__(self, url: str | Path) -> None:
        self.writes = 0
        """Grows with every change made by this object, so that who keeps what it read knows when to read again."""
        self.url = sqlite_url(url) if isinstance(url, Path) else sa.make_url(url)
        if isinstance(url, Path):
            _make_folder(url.parent)
        self._engine = sa.create_engine(self.url, **_options(self.url.drivername))
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _tune_sqlite)
            sa.event.listen(self._engine, "begin", begin_sqlite)
            give_up_failed_connections(self._engine)
        try:
            with self._guarded(), _alone(self._engine):
                self.is_new = upgrade(self._engine.url)
                self._engine.connect().close()  # its first switch to WAL
        except BaseException:
            self._engine.dispose()
            raise

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction: committed at the end, rolled back by an exception. StorageError if it cannot be made.

        In a SQLite file it is the only one that writes from its beginning on: what it reads first stays true.
        """
        with (
            self._guarded(),
            self._engine.connect() as connection,
            connection.execution_options(ffe_writes=True).begin(),
        ):
            yield connection
        self.writes += 1

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection to read with. StorageError if the database cannot be read."""
        with self._guarded(), self._engine.connect() as connection:
            yield connection

    def size(self) -> tuple[int, int]:
        """Bytes of a SQLite file and how many of them hold nothing; zeros for another database."""
        if self._engine.dialect.name != "sqlite":
            return 0, 0
        with self.read() as connection:
            pages, free, each = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)
                for name in ("page_count", "freelist_count", "page_size")
            )
        return pages * each, free * each

    def vacuum(self) -> None:
        """Give back what holds nothing in a SQLite file; it writes the rest anew. DatabaseError if it is in use."""
        if self._engine.dialect.name != "sqlite":
            return
        with self._guarded(), self._engine.connect() as connection:
            # Not in a transaction, so not through SQLAlchemy's own.
            connection.connection.cursor().execute("VACUUM")

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            raise in_words(place_of(self._engine.url), error) from error


def _options(driver: str) -> dict[str, Any]:
    if not driver.startswith("sqlite"):
        return {"pool_pre_ping": True}
    return {"connect_args": {"timeout": BUSY_SECONDS, "check_same_thread": False}}


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
