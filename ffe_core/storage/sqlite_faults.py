"""Sort the failures of a SQLite file by what to do about them: by SQLite's own result codes, never by its words."""

from __future__ import annotations

import shutil
import sqlite3
from enum import StrEnum
from pathlib import Path

import sqlalchemy as sa


class Fault(StrEnum):
    """What is the matter with a file; the value goes into error codes."""

    LOCKED = "locked"
    DAMAGED = "damaged"
    OTHER_TABLES = "other_tables"
    """It is a whole database, but its tables are not those asked for."""
    DISK_FULL = "disk_full"
    READ_ONLY = "read_only"
    NOT_OPENED = "not_opened"
    DISK_FAILS = "disk_fails"
    UNREACHABLE = "unreachable"
    """There is no connection to the server that has it; a file never is."""
    UNUSABLE = "unusable"
    """Anything else; the library's own words say what."""


# Primary result codes: https://www.sqlite.org/rescode.html
_FAULTS = {
    sqlite3.SQLITE_BUSY: Fault.LOCKED,
    sqlite3.SQLITE_LOCKED: Fault.LOCKED,
    sqlite3.SQLITE_PROTOCOL: Fault.LOCKED,
    sqlite3.SQLITE_CORRUPT: Fault.DAMAGED,
    sqlite3.SQLITE_NOTADB: Fault.DAMAGED,
    sqlite3.SQLITE_FORMAT: Fault.DAMAGED,
    sqlite3.SQLITE_ERROR: Fault.OTHER_TABLES,
    sqlite3.SQLITE_SCHEMA: Fault.OTHER_TABLES,
    sqlite3.SQLITE_MISMATCH: Fault.OTHER_TABLES,
    sqlite3.SQLITE_FULL: Fault.DISK_FULL,
    sqlite3.SQLITE_READONLY: Fault.READ_ONLY,
    sqlite3.SQLITE_PERM: Fault.READ_ONLY,
    sqlite3.SQLITE_AUTH: Fault.READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: Fault.NOT_OPENED,
    sqlite3.SQLITE_IOERR: Fault.DISK_FAILS,
}


_LITTLE = 1 << 20
"""Bytes of room below which a disk is full: SQLite calls it an I/O error where its shared memory cannot grow."""


def fault_of(error: BaseException, file: str | Path | None = None) -> Fault:
    """What is the matter with a `file`, given an exception of SQLite or of SQLAlchemy over it."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    # The low byte of a result code is the primary one; the rest only says more about it.
    code = getattr(cause, "sqlite_errorcode", None)
    fault = Fault.UNUSABLE if code is None else _FAULTS.get(code & 0xFF, Fault.UNUSABLE)
    return Fault.DISK_FULL if fault == Fault.DISK_FAILS and file and _has_no_room(Path(file)) else fault


def _has_no_room(file: Path) -> bool:
    try:
        return shutil.disk_usage(file.parent).free < _LITTLE
    except OSError:
        return False
