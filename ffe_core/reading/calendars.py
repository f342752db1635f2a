"""Calendars for readers: the market hours of each series, with what this data directory has learned about them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ffe_core.calendars import MarketCalendar
from ffe_core.errors import StorageError
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.state.database import DATABASE_FILE

log = logging.getLogger(__name__)

CalendarOf = Callable[[Series], MarketCalendar]


@contextmanager
def calendars(settings: Settings, *, is_own_lake: bool) -> Iterator[CalendarOf]:
    """What each series should have, by its market; where a listing begins and ends if the lake is the settings' own.

    A reader makes no state database: without one the markets' hours are all there is to go by.
    """
    database = None
    if is_own_lake and (settings.data_dir / DATABASE_FILE).exists():
        from ffe_core.storage.state.opening import open_state  # most readers do without SQL

        try:
            database = open_state(settings)
        except StorageError as error:
            log.warning("listings are left out of what is expected, as the state cannot be read: %s", error)
    try:
        yield lambda series: settings.calendars.of(series.provider, series.asset_pair)
    finally:
        if database is not None:
            database.close()
