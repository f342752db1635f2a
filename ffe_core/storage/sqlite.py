"""SQLite files for SQLAlchemy: their names, and connections that are of no use any more."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from ffe_core.storage.sqlite_faults import Fault, fault_of

_LASTING = (Fault.READ_ONLY, Fault.NOT_OPENED, Fault.DISK_FAILS)


def sqlite_url(file: Path) -> sa.URL:
    """The address of exactly this file.

    Pasted into a text, a `?` of its name would begin parameters and leave another file; absolute, no name of a folder
    reads as a `file:` address.
    """
    return sa.URL.create("sqlite", database=str(file.absolute()))


def give_up_failed_connections(engine: sa.Engine) -> None:
    """Have an engine open a SQLite file anew after a failure that the connection would keep.

    SQLite opens a file for reading only where it may not be written at that moment, and says nothing: kept in the pool,
    such a connection would refuse every later write, long after the file can be written again
    (https://www.sqlite.org/c3ref/open.html).
    """

    def failed(context: sa.engine.ExceptionContext) -> None:
        if fault_of(context.original_exception) in _LASTING:
            context.is_disconnect = True

    sa.event.listen(engine, "handle_error", failed)
