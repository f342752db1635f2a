"""Stores of one data directory: lake, dead letters, watermarks and state, opened once and handed to who needs them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cached_property

from ffe_core.errors import FFEError, StorageError
from ffe_core.providers import PROVIDERS
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.dead_letters.opening import queue_of
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.range_cache import RangeCache
from ffe_core.storage.leases import SeriesLease, name_of
from ffe_core.storage.locks import FileLocks, Locks
from ffe_core.storage.state.acknowledged_gaps import AcknowledgedGaps
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.instruments import InstrumentStore
from ffe_core.storage.state.known_series import KnownSeries
from ffe_core.storage.state.lock_rows import locks_in
from ffe_core.storage.state.opening import open_state, state_is_missing
from ffe_core.storage.waiting import waits_on
from ffe_core.storage.watermark_store import WatermarkStore

log = logging.getLogger(__name__)


class Stores:
    """Where candles, dead letters and watermarks are kept, and what the state database knows of a series.

    The database is opened on first use unless one is given: what only reads or writes candles goes without.
    """

    def __init__(self, settings: Settings, lake: DeltaLakeManager, database: Database | None = None) -> None:
        self.settings = settings
        self.lake = lake
        self.queue = queue_of(settings)
        self.watermarks = WatermarkStore(settings.data_dir / "watermarks")
        self._database = database
        self._state_is_missing = database is None and state_is_missing(settings)
        if self._has_rows:
            # No commit of a series once its lease was lost; the guard in the log stays the last word.
            lake.check_writer = lambda series: self.locks.check(name_of(series), waits=True)
        lake.after_commit = self.remember_written
        settings.calendars.learn_from(lambda provider, pair: self._known(provider, pair))
        versions = lake.versions if self._has_rows else None  # elsewhere nobody commits who does not copy here
        self.watermarks.follow(lake.log_changed, lambda: lake.all_marks(list(PROVIDERS)), PROVIDERS, versions)

    @cached_property
    def database(self) -> Database:
        """The state database. DatabaseError if it cannot be opened."""
        return self._database or open_state(self.settings, self._state_is_missing)

    @cached_property
    def acknowledged(self) -> AcknowledgedGaps:
        """Explained gaps and empty responses. DatabaseError as `database`."""
        return AcknowledgedGaps(self.database)

    @cached_property
    def instruments(self) -> InstrumentStore:
        """What is known of instruments and series. DatabaseError as `database`."""
        return InstrumentStore(self.database)

    @cached_property
    def range_cache(self) -> RangeCache:
        """What is remembered of the lake's files. DatabaseError as `database`."""
        return RangeCache(self.database)

    def remember_written(self) -> None:
        """Remember what the files hold that were committed since; where that fails, whoever looks reads them."""
        if written := self.lake.file_ranges.take_written():
            with self._spared():
                self.range_cache.remember(written)

    def forget_gone(self, table_uri: str, live: Callable[[], Collection[str]]) -> None:
        """Forget the files of a table that are not `live` any more; where that fails, until the next time."""
        with self._spared():
            self.range_cache.tidy(table_uri, live)

    @contextmanager
    def _spared(self) -> Iterator[None]:
        """What is remembered can be done without: nothing waits for it, and nothing fails with it."""
        patience = waits_on.set(lambda waited: False)
        try:
            yield
        except (FFEError, OSError) as error:
            log.info("what is remembered of the lake's files could not be renewed, they are read instead: %s", error)
        finally:
            waits_on.reset(patience)

    @property
    def known_version(self) -> int:
        """Another number whenever calendars may be others: something was learned of a series or a listing."""
        return self._known.version

    @cached_property
    def _known(self) -> KnownSeries:
        return KnownSeries(self.database)

    @property
    def _has_rows(self) -> bool:
        """Whether a server keeps the state, and the locks with it."""
        given = self._database
        return self.settings.database is not None if given is None else not given.is_file

    @cached_property
    def locks(self) -> Locks:
        """The locks that whoever works on these stores heeds. DatabaseError as `database`."""
        return locks_in(self.database) if self._has_rows else FileLocks(self.settings.data_dir / "locks")

    def lease(self, series: Series, run_id: str | None = None) -> SeriesLease:
        """The lease of a series, not yet taken. StorageError if the data directory cannot be written."""
        try:
            return SeriesLease(self.locks, series, f"run {run_id}" if run_id else None)
        except OSError as error:
            raise StorageError(f"{self.settings.data_dir} cannot be written: {error}") from error

    def share_pace(self) -> None:
        """Pace requests together with all who keep their state on the same server; nothing for a file. DatabaseError
        as `database`."""
        if self._has_rows:
            _ = self.database

    def check_lease(self, series: Series) -> None:
        """LeaseLost if the lease of a series that this process works on was taken over."""
        if self._has_rows:
            self.locks.check(name_of(series))
