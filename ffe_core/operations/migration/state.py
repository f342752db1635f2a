"""State of a migration: a copy of the SQLite file as it was, and its rows in the destination, all or none.

Into a server all rows go in one transaction, which ends the migration: a console finds everything or is refused. What
is compared are counts and, for each table, a hash of its rows that does not hang on their order.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ffe_core.errors import DatabaseError, MigrationRefused, StorageError
from ffe_core.operations.migration.guard import opened
from ffe_core.settings import Settings
from ffe_core.storage.files import make_folder, replacing, strict_json, why
from ffe_core.storage.lake import range_cache
from ffe_core.storage.state import (
    acknowledged_gaps,
    audit,
    findings,
    imported_files,
    instruments,
    lock_rows,
    pace_rows,
    places,
    postgresql,
    runs,
    schedules,
    watchlists,
)
from ffe_core.storage.state.database import DATABASE_FILE, Database, metadata
from ffe_core.storage.state.faults import damaged, in_words, place_of

_DECLARING = (acknowledged_gaps, audit, findings, imported_files, instruments, range_cache, runs, schedules, watchlists)
"""What declares the tables that are copied."""
NOT_COPIED = {
    "file_runs": "what each data file holds, read from the lake again",
    lock_rows.lease.name: "who works now",
    pace_rows.pace.name: "the pace of requests",
    places.places.name: "the lake that a state belongs to",
}
"""Tables that a destination makes for itself."""
VERB = "migrate"
_AT_ONCE = 500
_NOW = sa.text("CAST(extract(epoch FROM clock_timestamp()) AS float8)")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table, and their hash."""

    table: str
    rows: int
    hash: str


@dataclass(frozen=True, slots=True)
class Identity:
    """A migration: `id` of the source, its folder, and who runs it."""

    id: str
    source: str
    actor: str


def tables() -> list[sa.Table]:
    """The tables that are copied, parents before what refers to them."""
    return [table for table in metadata.sorted_tables if table.name not in NOT_COPIED]


@contextmanager
def snapshot(file: Path, scratch: Path) -> Iterator[Database]:
    """A copy of a SQLite file as it is now, upgraded to this release, for the time of a block; the file stays as it is.

    DatabaseError if it is damaged, or its copy cannot be made.
    """
    copy = scratch / DATABASE_FILE
    try:
        with closing(opened(file, "ro")) as source, closing(sqlite3.connect(copy)) as target:
            found = str(source.execute("PRAGMA quick_check(1)").fetchone()[0])
            if found != "ok":
                raise damaged(sa.URL.create("sqlite", database=str(file)), found)
            source.backup(target)
    except sqlite3.Error as error:
        raise in_words(str(file), error, f"(or its copy {copy}) ") from error
    try:
        database = Database(copy)
    except DatabaseError as error:
        raise DatabaseError(f"the state in {file} cannot be taken over: {error}", error.code) from error
    try:
        with database.write() as connection:
            for name in NOT_COPIED:
                connection.execute(metadata.tables[name].delete())
        yield database
    finally:
        database.close()


def counted(database: Database) -> list[Rows]:
    """Every copied table of a state, with count and hash. StorageError."""
    with database.read() as connection:
        return [_digest(connection, table) for table in tables()]


def into_file(state: Database, rows: list[Rows], file: Path, who: Identity) -> None:
    """Put a copy in the place of a state file, whole, and compare what it holds. StorageError."""
    state.close()  # with its last connection goes what lies beside the file
    make_folder(file.parent, "the data directory")
    try:
        with Path(str(state.url.database)).open("rb") as source, replacing(file) as target:
            shutil.copyfileobj(source, target)
        for ending in ("-wal", "-shm"):
            file.with_name(file.name + ending).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {why(error)}") from error
    target_state = Database(file)
    try:
        _require_same(rows, counted(target_state), str(file))
        with audit.Audit(target_state).act(who.actor, VERB, DATABASE_FILE, source=who.source):
            pass
    finally:
        target_state.close()


def is_begun(url: sa.URL, who: Identity, target: Settings) -> str | None:
    """What a server's database says of this migration: places.MIGRATION, places.MIGRATED, or None where it is empty.

    MigrationRefused if it holds anything else, or somebody uses it. Nothing is written. DatabaseError.
    """
    engine = postgresql.connect(url, poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            return _said(connection, who, target, place_of(url))
    except sa.exc.SQLAlchemyError as error:
        raise in_words(place_of(url), error) from error
    finally:
        engine.dispose()


def begin(server: Database, who: Identity, target: Settings) -> str | None:
    """Have a server's database say that it is being filled; what it said before. As `is_begun`."""
    with server.write() as connection:
        said = _said(connection, who, target, server.name)
        if said is None:
            places.note_place(connection, places.MIGRATION, who.id, who.source)
        return said


def into_server(state: Database, rows: list[Rows], server: Database, who: Identity, target: Settings) -> None:
    """Copy all rows and end the migration, or nothing. StorageError; MigrationRefused if something else was."""
    with server.write() as connection, state.read() as source:
        if _said(connection, who, target, server.name) != places.MIGRATION:
            raise MigrationRefused(f"the database {server.name} is filled by somebody else; run the same command again")
        for table in tables():
            _insert(source, connection, table)
        _require_same(rows, [_digest(connection, table) for table in tables()], f"the database {server.name}")
        _count_on(connection)
        connection.execute(audit.audit_rows.insert().values(**_audited(who)))
        connection.execute(places.places.delete().where(places.places.c.what == places.MIGRATION))
        places.note_place(connection, places.MIGRATED, who.id, who.source)
        places.note_places(connection, target)


def _said(connection: sa.Connection, who: Identity, target: Settings, name: str) -> str | None:
    there = set(sa.inspect(connection).get_table_names())
    if places.places.name in there:
        noted = places.noted_places(connection)
        for what in (places.MIGRATION, places.MIGRATED):
            if what in noted and noted[what].mark == who.id:
                if what == places.MIGRATED and (other := places.knows_another(connection, target)):
                    raise _occupied(name, f"what was copied from this source with the lake {other}")
                return what
            if what in noted:
                raise _occupied(name, f"what ffe migrate copies from {noted[what].place}")
    if lock_rows.lease.name in there and (user := _user(connection)):
        raise MigrationRefused(f"the database {name} is used by {user}; stop it, then run this again")
    for table in tables():
        if table.name in there and connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
            raise _occupied(name, f"rows of the table {table.name}")
    if places.places.name in there and (other := places.knows_another(connection, target)):
        raise _occupied(name, f"the state of the lake {other}")
    return None


def _user(connection: sa.Connection) -> str | None:
    lease = lock_rows.lease
    found = connection.execute(sa.select(lease.c.note).where(lease.c.until > _NOW).limit(1)).scalar()
    return None if found is None else f"{found.get('role')} (process {found.get('pid')} on {found.get('host')})"


def _occupied(name: str, what: str) -> MigrationRefused:
    return MigrationRefused(
        f"the database {name} is not empty: it holds {what}; name an empty database in FFE_DATABASE_URL, or drop and"
        " create this one anew"
    )


def _insert(source: sa.Connection, target: sa.Connection, table: sa.Table) -> None:
    values = {
        column.name: sa.cast(sa.bindparam(column.name, type_=sa.Text), sa.JSON)
        for column in table.c
        if isinstance(column.type, sa.JSON)
    }
    statement = table.insert().values(
        {column.name: values.get(column.name, sa.bindparam(column.name)) for column in table.c}
    )
    for some in source.execute(_selected(table)).mappings().partitions(_AT_ONCE):
        target.execute(statement, [{name: _plain(table, name, value) for name, value in row.items()} for row in some])


def _digest(connection: sa.Connection, table: sa.Table) -> Rows:
    count = total = 0
    for row in connection.execute(_selected(table)).mappings():
        values = [_plain(table, name, value) for name, value in row.items()]
        total += int.from_bytes(sha256(json.dumps(values).encode()).digest()[:8], "big")
        count += 1
    return Rows(table.name, count, f"{total % 2**64:016x}")


def _selected(table: sa.Table) -> sa.Select[Any]:
    """Every row, what is nested as its text."""
    columns = [
        sa.cast(column, sa.Text).label(column.name) if isinstance(column.type, sa.JSON) else column
        for column in table.c
    ]
    return sa.select(*columns).execution_options(yield_per=_AT_ONCE)


def _plain(table: sa.Table, name: str, value: Any) -> Any:
    """A value as both kinds of database can hold it: strict JSON, and no NUL in a text."""
    if not isinstance(value, str):
        return value
    if isinstance(table.c[name].type, sa.JSON):
        try:
            return strict_json(json.loads(value))
        except ValueError as error:
            raise StorageError(
                f"a row of the table {table.name} holds no JSON in {name} ({error}); put right or delete that row, then"
                " run the same command again"
            ) from error
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _count_on(connection: sa.Connection) -> None:
    """Have the next id of each table follow the largest that is there."""
    for table in tables():
        if (column := table.autoincrement_column) is not None and not column.foreign_keys:
            largest = connection.scalar(sa.select(sa.func.max(column)))
            if largest is not None:
                sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
                connection.execute(sa.select(sa.func.setval(sequence, largest)))


def _audited(who: Identity) -> Mapping[str, Any]:
    act = {"actor": who.actor, "verb": VERB, "target": DATABASE_FILE, "reason": ""}
    return {**act, "at": time.time(), "details": {"source": who.source}, "outcome": audit.DONE}


def _require_same(rows: list[Rows], there: list[Rows], name: str) -> None:
    for here, found in zip(rows, there, strict=True):
        if here != found:
            raise StorageError(
                f"the table {here.table} in {name} is not what was copied ({found.rows:,} rows with hash {found.hash}"
                f" instead of {here.rows:,} with {here.hash}); nothing uses it yet: run the same command again, and"
                " report this if it stays so"
            )
