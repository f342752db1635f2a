"""Known series: the first and last bars of series as calendars ask for them, thousands of times a page."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import replace

import sqlalchemy as sa

from ffe_core.errors import StorageError
from ffe_core.instruments.model import SeriesFacts
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.ended_listings import end_of_day, until
from ffe_core.storage.state.instruments import InstrumentStore, catalogues, instruments

log = logging.getLogger(__name__)
_SECONDS = 2.0
"""How long what was read is taken for the present: another process may have learned something."""
_NOTHING: Mapping[str, SeriesFacts] = {}
Facts = dict[tuple[str, str], dict[str, SeriesFacts]]
Delisted = dict[tuple[str, str], int | None]


class KnownSeries:
    """What was learned about each timeframe of a pair, and under "" when the instrument's listing ended.

    Read as a whole and kept for a moment; a database that cannot be read leaves what was read last.
    """

    def __init__(self, database: Database) -> None:
        self._database, self._store = database, InstrumentStore(database)
        self._lock = threading.Lock()
        self._facts: Facts = {}
        self._delisted: Delisted = {}
        self._version = 0
        self._read: tuple[int, float] | None = None
        self._catalogues: object = None

    def __call__(self, provider: str, asset_pair: str) -> Mapping[str, SeriesFacts]:
        with self._lock:
            if self._is_old():
                self._renew()
            found = self._facts.get((provider, asset_pair), _NOTHING)
            if (provider, asset_pair) in self._delisted:
                return until(found, self._delisted[provider, asset_pair])
        return {timeframe: _without_end(known) for timeframe, known in found.items()}

    @property
    def version(self) -> int:
        """Another number whenever something else is known."""
        with self._lock:
            if self._is_old():
                self._renew()
            return self._version

    def _is_old(self) -> bool:
        if self._read is None:
            return True
        writes, at = self._read
        return writes != self._database.writes or time.monotonic() - at > _SECONDS

    def _renew(self) -> None:
        writes, before = self._database.writes, (self._facts, self._delisted)
        try:
            self._facts = self._store.all_facts()
            self._renew_delisted()
        except StorageError as error:
            log.warning("what is known of first and last bars cannot be read: %s", error)
        self._version += before != (self._facts, self._delisted)
        self._read = writes, time.monotonic()

    def _renew_delisted(self) -> None:
        """Read who was delisted, if a catalogue has been read since."""
        with self._database.read() as connection:
            read = connection.execute(sa.select(catalogues.c.provider, catalogues.c.read_at)).all()
            if read == self._catalogues:
                return
            query = sa.select(instruments.c.provider, instruments.c.name, instruments.c.delisted).where(
                instruments.c.status == "delisted"
            )
            self._delisted = {(row.provider, row.name): end_of_day(row.delisted) for row in connection.execute(query)}
        self._catalogues = read


def _without_end(known: SeriesFacts) -> SeriesFacts:
    """What is known of an instrument that is listed, also if it was not for a time: there is no last bar."""
    return known if known.last_bar is None else replace(known, last_bar=None)
