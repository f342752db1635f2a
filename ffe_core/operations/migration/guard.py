"""Guard of a migration's source: nobody else writes to a data directory while it is copied.

The lead keeps consoles standing by, and SQLite's lock keeps every command from beginning anything, as each writes to
the state first. Who works already is named.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from ffe_core.errors import MigrationRefused, StorageError
from ffe_core.settings import Settings
from ffe_core.storage.files import why
from ffe_core.storage.locks import ALIVE, LEAD, LEASE, FileLocks
from ffe_core.storage.state.database import DATABASE_FILE
from ffe_core.storage.state.faults import BUSY_SECONDS, in_words

_LEADER = "leader"
"""The name of the lead of a data directory (`ffe_core.operations.leader`)."""


@contextmanager
def frozen(source: Settings) -> Iterator[None]:
    """Keep a data directory as it is. MigrationRefused, naming who uses it; StorageError if that cannot be told."""
    locks = FileLocks(source.data_dir / "locks")
    lead = locks.lock(LEAD, _LEADER)
    try:
        if not lead.take():
            raise _used(source, f"a console, or another ffe migrate ({lead.holder()})")
        if others := _at_work(locks):
            raise _used(source, ", ".join(others))
    except OSError as error:
        lead.release()
        raise StorageError(f"the locks of {source.data_dir} cannot be used: {why(error)}") from error
    except BaseException:
        lead.release()
        raise
    try:
        with closing(opened(source.data_dir / DATABASE_FILE, "rw")) as connection:
            _lock_out_writers(connection, source.data_dir / DATABASE_FILE)
            yield
    finally:
        lead.release()


def opened(file: Path, mode: str) -> sqlite3.Connection:
    """A connection to a SQLite file as it is, neither made nor upgraded. DatabaseError."""
    try:
        return sqlite3.connect(
            f"file:{quote(str(file))}?mode={mode}", uri=True, timeout=BUSY_SECONDS, isolation_level=None
        )
    except sqlite3.Error as error:
        raise in_words(str(file), error) from error


def _lock_out_writers(connection: sqlite3.Connection, file: Path) -> None:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        raise in_words(str(file), error) from error


def _at_work(locks: FileLocks) -> list[str]:
    """Who holds a lease, or lives and may begin something."""
    leases = locks.held(LEASE, _names(locks.folder, ".lease"))
    living = locks.held(ALIVE, _names(locks.folder, ".alive"))
    holders = [f"{holder}, on {name.replace('_', ' ')}" for name, holder in leases.items()]
    return holders or [f"process {name.partition('-')[0]}" for name in living]


def _names(folder: Path, ending: str) -> list[str]:
    return sorted(path.name.removesuffix(ending) for path in folder.glob(f"*{ending}"))


def _used(source: Settings, who: str) -> MigrationRefused:
    return MigrationRefused(
        f"{source.data_dir} is used by {who}; stop every console and command on it, then run this again, and start"
        " none on it until this is over"
    )
