"""Opening of a data directory's state database, and what is said when it is gone while its lake is still there."""

from __future__ import annotations

import logging

from ffe_core import times
from ffe_core.locations import local_folder
from ffe_core.providers.rate import share_paces, unshare_paces
from ffe_core.settings import Settings
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.known_series import KnownSeries
from ffe_core.storage.state.pace_rows import paces_in
from ffe_core.storage.state.places import check_places, require_whole

log = logging.getLogger(__name__)
MADE_ANEW, SEEN = "make state database anew", "acknowledge new state database"
_PROGRAM = "this program"
"""The actor of what nobody asked for."""
_TARGET = DATABASE_FILE
"""What the audit calls the state database, wherever it is."""


def open_state(settings: Settings, is_missing: bool | None = None) -> Database:
    """Open the state database, made or upgraded as need be; that it was missing is said in its audit and the log.

    From then on the calendars of these settings know what it says of first and last bars, and who keeps the state on
    the same server is paced together.

    Who wrote to the lake before says with `is_missing` what `state_is_missing` said then. DatabaseError as `Database`.
    """
    require_whole(settings)
    missing = state_is_missing(settings) if is_missing is None else is_missing
    database = Database(settings.database.url if settings.database else settings.data_dir / DATABASE_FILE)
    if not database.is_file:
        try:
            check_places(database, settings)
            _share_paces(database, settings.database_url)
        except BaseException:
            database.close()
            raise
    settings.calendars.learn_from(KnownSeries(database))
    if missing and database.is_new:
        with Audit(database).act(_PROGRAM, MADE_ANEW, _TARGET):
            log.warning(state_notice(database, settings))
    return database


def _share_paces(database: Database, address: str) -> None:
    make = paces_in(database)
    share_paces(address, make)
    database.on_close(lambda: unshare_paces(address, make))


def state_is_missing(settings: Settings) -> bool:
    """Whether there is no state database although the lake has been written to; for a server, the latter."""
    if settings.database:
        return _lake_is_there(settings)
    file = settings.data_dir / DATABASE_FILE
    try:
        is_there = file.stat().st_size > 0
    except OSError:
        is_there = False
    return not is_there and _lake_is_there(settings)


def state_notice(database: Database, settings: Settings) -> str | None:
    """What to say of a database that was made anew beside a lake, until somebody has acknowledged it."""
    rows = Audit(database).find(target=_TARGET, limit=1)
    if not rows or rows[0].verb != MADE_ANEW:
        return None
    file, at = settings.data_dir / DATABASE_FILE, times.iso(int(rows[0].at))
    lost = "runs, schedules, watchlists, acknowledged gaps and audit rows of before are not in it"
    if not database.is_file:
        return (
            f"the database {database.name} was empty at {at} although the lake holds candles: {lost}. If {file} or"
            " another database holds them, stop every console and command and let FFE_DATABASE_URL name that one, or"
            " nothing for the file; if the lake came from elsewhere, nothing is amiss"
        )
    return (
        f"{file} was not there although the lake holds candles, so it was made anew at {at}: {lost}. If it was moved or"
        " deleted, stop every console and command and put it back, or its newest backup"
        f" ({DATABASE_FILE}.before-*); if the lake came from elsewhere, nothing is amiss"
    )


def acknowledge(database: Database, actor: str) -> None:
    """Say no more of it."""
    with Audit(database).act(actor, SEEN, _TARGET):
        pass


def _lake_is_there(settings: Settings) -> bool:
    """By the copy of the watermarks, which every commit writes, or by the tables themselves where they are local."""
    try:
        # The name of a series has slashes; a file without any names none.
        if b"/" in (settings.data_dir / "watermarks" / "watermarks.json").read_bytes():
            return True
    except OSError:
        pass
    lake = local_folder(settings.lake_uri)
    return lake is not None and any(lake.glob("*/_delta_log"))
