"""Upgrade of the state database to the tables of this release, at every open: a backup first, then all or nothing.

All revisions that are missing run in one transaction, so a process killed at any moment leaves the database as it was,
and the next open does it again. The engine is one of its own: with foreign keys enforced, as the program does, a table
made anew would empty the tables that refer to it, in silence.
"""

from __future__ import annotations

import filecmp
import logging
import os
import shutil
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ffe_core.errors import DatabaseError
from ffe_core.redaction import redact
from ffe_core.storage.sqlite_faults import Fault
from ffe_core.storage.state import faults, migrations, postgresql, server_faults

log = logging.getLogger(__name__)
_ONE_AT_A_TIME = threading.Lock()
"""Alembic's context belongs to the whole process."""
_POSTGRESQL_LOCK = 0x_FFE_0001
"""Number of the advisory lock under which one of several processes upgrades a PostgreSQL database."""


def upgrade(url: sa.URL) -> bool:
    """Bring a database to the newest revision; the caller holds the lock of a SQLite file. Returns whether it is new.

    DatabaseError if a newer release has written it, if no release has, or if a revision fails: then it is as it was.
    SQLAlchemyError if it cannot be opened, read or written.
    """
    known = migrations.revisions()
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            if _version(connection, known) == known[-1]:
                return False
        with engine.connect() as connection, connection.execution_options(ffe_writes=True).begin():
            return _upgraded(connection, known)
    finally:
        engine.dispose()


def _engine(url: sa.URL) -> sa.Engine:
    if postgresql.is_server(url):
        return postgresql.connect(url, poolclass=sa.NullPool)
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"timeout": faults.BUSY_SECONDS})
    sa.event.listen(engine, "connect", _without_foreign_keys)
    sa.event.listen(engine, "begin", begin_sqlite)
    return engine


def _without_foreign_keys(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver would commit before each change of a table
    connection.execute("PRAGMA foreign_keys=OFF")


def begin_sqlite(connection: sa.Connection) -> None:
    """Begin where SQLAlchemy does, not where the driver thinks best; who will write locks out others from the start."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("ffe_writes") else "BEGIN")


def _version(connection: sa.Connection, known: list[str]) -> str | None:
    """The revision a database is at; None without one. DatabaseError for one that this release does not know."""
    if not sa.inspect(connection).has_table(migrations.VERSION_TABLE):
        return None
    found = list(connection.scalars(sa.text(f"SELECT version_num FROM {migrations.VERSION_TABLE}")))
    if set(found) - set(known):
        raise faults.newer(connection.engine.url, max(found), known[-1])
    return max(found, default=None)


def _upgraded(connection: sa.Connection, known: list[str]) -> bool:
    """Upgrade inside a transaction; whether there was nothing before."""
    if is_of_server := postgresql.is_server(connection.engine.url):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTGRESQL_LOCK})")
    before = _version(connection, known)  # another process may have been faster
    # No release left a database of a server without its version; other tables may be somebody else's.
    is_new = before is None and (is_of_server or not sa.inspect(connection).get_table_names())
    if before != known[-1]:
        backup = None if is_new else _secured(connection, known[-1])
        orphans = _orphans(connection)
        _run_revisions(connection, known[-1])
        _check_orphans(connection, orphans)
        if not is_new:
            kept = f"; the one before is kept as {backup}" if backup else ""
            log.warning("upgraded %s from %s to %s%s", _place(connection), before or "0.1.0", known[-1], kept)
    return is_new


def _run_revisions(connection: sa.Connection, newest: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("path_separator", "newline")
    config.set_main_option("script_location", _option(migrations.FOLDER))
    config.set_main_option("version_locations", "\n".join(map(_option, migrations.VERSIONS)))
    try:
        with _ONE_AT_A_TIME:
            command.upgrade(config, newest)
    except (DatabaseError, sa.exc.OperationalError):
        raise
    except sa.exc.DBAPIError as error:
        if server_faults.is_of_server(error) and server_faults.fault_of(error) != Fault.OTHER_TABLES:
            raise
        raise _failed(connection, newest, f"{type(error).__name__}: {error.orig}") from error
    except Exception as error:
        raise _failed(connection, newest, f"{type(error).__name__}: {error}") from error


def _option(folder: Path) -> str:
    """A folder as a configuration file spells it."""
    return str(folder).replace("%", "%%")


def _failed(connection: sa.Connection, newest: str, why: str) -> DatabaseError:
    return DatabaseError(
        redact(
            f"the database {_place(connection)} could not be upgraded to version {newest} ({why}); nothing was changed:"
            " go on with the release before, and report what this says"
        ),
        faults.UPGRADE_FAILED,
    )


def _place(connection: sa.Connection) -> str:
    return faults.place_of(connection.engine.url)


# -- what must not get lost


def _secured(connection: sa.Connection, newest: str) -> Path | None:
    """A whole SQLite file, and a copy beside it; None for another kind of database, which has backups of its own.

    The transaction has begun, so nobody writes between the copy and the upgrade.
    """
    if connection.dialect.name != "sqlite":
        return None
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        raise faults.damaged(connection.engine.url, str(found))
    file = Path(str(connection.engine.url.database))
    try:
        return _copied(file, f"{file.name}.before-{newest}")
    except (OSError, sqlite3.Error) as error:
        raise faults.no_backup(file, error) from error


def _copied(file: Path, name: str) -> Path:
    """A whole copy under this name, or the next that is free; what was copied before is never overwritten."""
    part = file.with_name(f"{name}.part")
    part.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, complete in itself
        shutil.copymode(file, part)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        return _placed(part, file.with_name(name))
    finally:
        part.unlink(missing_ok=True)


def _placed(part: Path, wanted: Path) -> Path:
    target, number = wanted, 1
    while target.exists() and not filecmp.cmp(part, target, shallow=False):
        number += 1
        target = wanted.with_name(f"{wanted.name}-{number}")
    os.replace(part, target)
    return target


def _orphans(connection: sa.Connection) -> Counter[tuple[str, str]]:
    """How many rows of a table refer to a row of another that is not there."""
    if connection.dialect.name != "sqlite":
        return Counter()
    rows = connection.exec_driver_sql("PRAGMA foreign_key_check")
    return Counter((table, parent) for table, _, parent, _ in rows)


def _check_orphans(connection: sa.Connection, before: Counter[tuple[str, str]]) -> None:
    made = _orphans(connection) - before
    if made:
        found = ", ".join(f"{count} of {table} without their {parent}" for (table, parent), count in made.items())
        raise _failed(connection, migrations.revisions()[-1], f"it would leave rows: {found}")
