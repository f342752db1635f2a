"""Stores of one data directory: lake, dead letters, watermarks and state, opened once and handed to who needs them."""

from __future__ import annotations

from functools import cached_property

from ffe_core.errors import StorageError
from ffe_core.providers import PROVIDERS
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.dead_letters.opening import queue_of
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.leases import SeriesLease
from ffe_core.storage.state.acknowledged_gaps import AcknowledgedGaps
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.instruments import InstrumentStore
from ffe_core.storage.state.known_series import KnownSeries
from ffe_core.storage.state.opening import open_state, state_is_missing
from ffe_core.storage.watermark_store import WatermarkStore


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
        settings.calendars.learn_from(lambda provider, pair: self._known(provider, pair))
        self.watermarks.follow(lake.log_changed, lambda: lake.all_marks(list(PROVIDERS)), PROVIDERS)

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

    @property
    def known_version(self) -> int:
        """Another number whenever calendars may be others: something was learned of a series or a listing."""
        return self._known.version

    @cached_property
    def _known(self) -> KnownSeries:
        return KnownSeries(self.database)

    def lease(self, series: Series, run_id: str | None = None) -> SeriesLease:
        """The lease of a series, not yet taken. StorageError if the data directory cannot be written."""
        try:
            return SeriesLease(self.settings.data_dir / "locks", series, f"run {run_id}" if run_id else None)
        except OSError as error:
            raise StorageError(f"{self.settings.data_dir} cannot be written: {error}") from error
