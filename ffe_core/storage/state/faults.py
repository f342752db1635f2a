"""Faults of the state database, and what to do about them: one sentence a kind of trouble."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from ffe_core.database_address import database_address
from ffe_core.errors import DatabaseError, StorageError
from ffe_core.redaction import redact
from ffe_core.storage import sqlite_faults
from ffe_core.storage.sqlite_faults import Fault
from ffe_core.storage.state import server_faults

BUSY_SECONDS = 15
"""How long another program's lock is waited for."""
CODE = "database_"
NEWER, NO_BACKUP, UPGRADE_FAILED = f"{CODE}newer", f"{CODE}no_backup", f"{CODE}upgrade_failed"
OTHER_PLACE, UNFINISHED, ENCODING = f"{CODE}other_place", f"{CODE}unfinished", f"{CODE}encoding"
"""What `DatabaseError.code` may be besides CODE and a `Fault`."""
LOCKED, UNREACHABLE = CODE + Fault.LOCKED, CODE + Fault.UNREACHABLE
"""The troubles that pass: another program lets go, a server is there again."""


def passes(error: StorageError) -> bool:
    """Whether a trouble is one that passes."""
    return error.code in (LOCKED, UNREACHABLE)


ANEW = (
    "stop every console and command, move it away with the files of its name that end in -wal and -shm, and put a"
    " backup back (the newest console.db.before-* beside it, if there is one); without one it is made anew at the next"
    " start: candles, watermarks and dead letters lie elsewhere and stay, runs, schedules, watchlists, acknowledged"
    " gaps and audit rows are lost"
)
"""The next step when a database is beyond repair."""

_SENTENCES = {
    Fault.LOCKED: (
        "cannot be used now, as it is locked by another program, which did not let go within"
        f" {BUSY_SECONDS} s; close what has it open (a database browser, a backup, a file synchronizer), then try"
        " again: nothing is lost"
    ),
    Fault.DAMAGED: f"is damaged ({{cause}}); {ANEW}",
    Fault.OTHER_TABLES: f"does not hold the tables of this release ({{cause}}), so something else changed it; {ANEW}",
    Fault.DISK_FULL: "cannot grow, as its disk is full; free some space, then try again",
    Fault.READ_ONLY: (
        "cannot be written; give the user who runs this the right to write the file and its folder, then try again"
    ),
    Fault.NOT_OPENED: (
        "cannot be opened; check that its folder is there, that it is a file, and that the user who runs this may read"
        " and write both, then try again"
    ),
    Fault.DISK_FAILS: "cannot be read or written ({cause}); check the disk, then try again",
    Fault.UNREACHABLE: "cannot be reached ({cause}); check that its server runs, then try again",
    Fault.UNUSABLE: "cannot be used ({cause}); put right what that says, then try again",
}

ANOTHER = "name another, empty database in FFE_DATABASE_URL, or put a backup of this one back"
"""The next step when a database of a server is beyond repair."""
_SENTENCES_OF_SERVER = _SENTENCES | {
    Fault.UNREACHABLE: (
        "cannot be reached ({cause}); check that its server runs, and that FFE_DATABASE_URL has the right host,"
        " database, user and password, then try again: nothing is lost"
    ),
    Fault.LOCKED: (
        "cannot be written now, as another process is writing and did not end in time ({cause}); try again: nothing is"
        " lost"
    ),
    Fault.DAMAGED: f"is damaged ({{cause}}); {ANOTHER}",
    Fault.OTHER_TABLES: (
        f"does not hold the tables of this release ({{cause}}), so something else changed it; {ANOTHER}"
    ),
    Fault.DISK_FULL: "cannot grow, as the disk of its server is full; free some space there, then try again",
    Fault.READ_ONLY: (
        "cannot be written ({cause}); let FFE_DATABASE_URL name the server that takes writes and the user that owns the"
        " database, then try again"
    ),
    Fault.DISK_FAILS: "cannot be read or written ({cause}); check the disk of its server, then try again",
}
_LONGEST_CAUSE = 300


def in_words(place: str, error: BaseException, doing: str = "") -> DatabaseError:
    """The error to raise for one of SQLite, PostgreSQL or SQLAlchemy; `doing` follows the name of the place."""
    cause = getattr(error, "orig", None) or error
    if server_faults.is_of_server(error):
        fault = server_faults.fault_of(error)
        said = " ".join(str(cause).split())[:_LONGEST_CAUSE]  # several lines, where a host has several addresses
        sentence = _SENTENCES_OF_SERVER[fault].format(cause=said)
    else:
        fault = sqlite_faults.fault_of(error, place)
        sentence = _SENTENCES[fault].format(cause=str(cause).strip())
    return DatabaseError(redact(f"the database {place} {doing}{sentence}"), CODE + fault)


def place_of(url: sa.URL) -> str:
    """A database as people are told of it: the file, or name and host."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return database_address(url.render_as_string(hide_password=True)).place


def _next_step(url: sa.URL) -> str:
    return ANEW if url.get_backend_name() == "sqlite" else ANOTHER


def unfinished(what: str, source: str) -> DatabaseError:
    """For a place that `ffe migrate` has not come to the end of filling."""
    return DatabaseError(
        f"{what} is being filled by ffe migrate with what is in {source}, and that is not finished; let it end, or run"
        " the same command again: it goes on where it was",
        UNFINISHED,
    )


def newer(url: sa.URL, found: str, known: str) -> DatabaseError:
    """For a database that a later release has upgraded."""
    backup = " (console.db.before-*)" if url.get_backend_name() == "sqlite" else ""
    return DatabaseError(
        f"the database {place_of(url)} was written by a newer release of this program: it has version {found}, this one"
        f" knows versions up to {known}; install that release, or put the backup from before its upgrade{backup}"
        " back in its place",
        NEWER,
    )


def not_of_a_release(url: sa.URL, why: str) -> DatabaseError:
    """For a database without a version that no release left like this."""
    return DatabaseError(
        f"the database {place_of(url)} is not one that any release of this program wrote: {why}; {_next_step(url)}",
        CODE + Fault.OTHER_TABLES,
    )


def of_another_encoding(url: sa.URL, found: str) -> DatabaseError:
    """For a database of a server that cannot keep every text."""
    return DatabaseError(
        f"the database {place_of(url)} is of the encoding {found}, which does not keep every text; make one with"
        " CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0, and name it in FFE_DATABASE_URL",
        ENCODING,
    )


def damaged(url: sa.URL, cause: str) -> DatabaseError:
    """For a database that is found damaged by a check."""
    sentence = _SENTENCES[Fault.DAMAGED].format(cause=cause.splitlines()[0])
    return DatabaseError(f"the database {place_of(url)} {sentence}", CODE + Fault.DAMAGED)


def no_backup(file: Path, error: BaseException) -> DatabaseError:
    """For a database that cannot be copied before it is upgraded."""
    return DatabaseError(
        f"the database {file} cannot be copied before its upgrade ({error}), so nothing was changed; make room for a"
        " second copy of it in its folder, or give the user who runs this the right to write there, then try again",
        NO_BACKUP,
    )


def being_opened(file: str, seconds: float) -> DatabaseError:
    """For a database that another process of this program does not finish opening."""
    return DatabaseError(
        f"the database {file} has been in the hands of another console or command for {seconds:g} s, which may be"
        " upgrading it; wait for that to end, or stop it, then try again: nothing is lost",
        CODE + Fault.LOCKED,
    )
