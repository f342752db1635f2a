"""Where the console's own state lives: one small database, SQLite unless another is named, through SQLAlchemy Core.

Each kind of state has its own file that declares its tables on `metadata`; opening the database makes what is missing.
Times are epoch seconds (float), what is nested is JSON. Every change is one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock

from ffe_core.errors import StorageError
from ffe_core.redaction import redact

metadata = sa.MetaData()
DATABASE_FILE = "console.db"
"""Its name in the data directory."""
_BUSY_SECONDS = 15


class Database:
    """A database with every table of `metadata`. Safe to use from any thread and from several processes."""

    def __init__(self, url: str | Path) -> None:
        self.url = f"sqlite:///{url}" if isinstance(url, Path) else url
        if isinstance(url, Path):
            _make_folder(url.parent)
        self._engine = sa.create_engine(self.url, **_options(self.url))
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _tune_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        with self._guarded(), _alone(self._engine):
            metadata.create_all(self._engine)

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

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection to read with. StorageError if the database cannot be read."""
        with self._guarded(), self._engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            where = self._engine.url.render_as_string(hide_password=True)
            raise StorageError(redact(f"the database {where} cannot be used ({cause}); try again shortly")) from error


def _options(url: str) -> dict[str, Any]:
    if not url.startswith("sqlite"):
        return {"pool_pre_ping": True}
    return {"connect_args": {"timeout": _BUSY_SECONDS, "check_same_thread": False}}


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[None]:
    """Held while a SQLite file is made: neither its first switch to WAL nor a look for a table waits for others."""
    file = engine.url.database
    if engine.dialect.name != "sqlite" or not file or file == ":memory:":
        yield
        return
    lock = FileLock(f"{file}.lock")
    try:
        lock.acquire()
    except OSError as error:
        raise StorageError(f"the database {file} cannot be locked: {error}") from error
    try:
        yield
    finally:
        lock.release()


def _tune_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions begin in `_begin_sqlite`, not where the driver thinks best
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("ffe_writes") else "BEGIN")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"the data folder {folder} cannot be made: {error}") from error
