"""Knowledge beside the lake: market hours of each series, and what this data directory knows of what is missing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ffe_core.calendars import MarketCalendar
from ffe_core.errors import StorageError
from ffe_core.locations import local_folder
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.lake.snapshot import Ints
from ffe_core.storage.state.database import DATABASE_FILE

if TYPE_CHECKING:
    from ffe_core.storage.state.database import Database

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What a reader goes by. Of a lake that is not the settings' own nothing is known but the markets' hours."""

    settings: Settings
    database: Database | None
    is_own_lake: bool

    def calendar(self, series: Series) -> MarketCalendar:
        """When bars of a series are due: by its market, from its listing on where that is known."""
        return self.settings.calendars.of(series.provider, series.asset_pair)

    def dead(self, series: Series, start: int, end: int) -> Ints:
        """Opens of the dead letters of a series in a range, ascending."""
        is_local = local_folder(self.settings.lake_uri) is not None
        if not self.is_own_lake or (is_local and not (self.settings.data_dir / "dlq").is_dir()):
            return np.empty(0, np.int64)
        from ffe_core.storage.dead_letters.opening import queue_of  # it brings SQL, which most readers do without

        return queue_of(self.settings).open_times(series, start, end)

    def marked(self, series: Series, start: int, end: int) -> list[tuple[int, int]]:
        """Ranges of a series that somebody has explained, epoch seconds."""
        if self.database is None:
            return []
        from ffe_core.storage.state.acknowledged_gaps import AcknowledgedGaps

        found = AcknowledgedGaps(self.database).ranges(series, start, end)
        return [(int(first), int(last)) for first, last in found]


@contextmanager
def known(settings: Settings, *, is_own_lake: bool) -> Iterator[Known]:
    """What is known; a reader makes no state database where there is none and no setting names a server."""
    database = None
    if is_own_lake and (settings.database or (settings.data_dir / DATABASE_FILE).exists()):
        from ffe_core.storage.state.opening import open_state

        try:
            database = open_state(settings)
        except StorageError as error:
            log.warning("listings and marks are left out of what is expected, as the state cannot be read: %s", error)
    try:
        yield Known(settings, database, is_own_lake)
    finally:
        if database is not None:
            database.close()
