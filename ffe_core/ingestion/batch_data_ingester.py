"""Ingester of one series: checks what is asked, takes the lease, and runs the pipeline."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ffe_core import times
from ffe_core.candles import PARTITION_COLUMNS, partition_dates
from ffe_core.errors import FFEError, InputError
from ffe_core.ingestion import plan
from ffe_core.ingestion.committer import Committer
from ffe_core.ingestion.hour_grid import hour_grid_of
from ffe_core.ingestion.listing import Listing, saw
from ffe_core.ingestion.pipeline import SeriesPipeline
from ffe_core.ingestion.provider_adapter import ProviderAdapter
from ffe_core.ingestion.series_result import Progress, SeriesResult
from ffe_core.ingestion.turns import Member
from ffe_core.providers import PROVIDERS, provider_class
from ffe_core.providers.base import Provider, Record
from ffe_core.results import SeriesResultDict
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Config, Settings
from ffe_core.storage.dead_letters.queue import Saved
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager, conform
from ffe_core.storage.state.database import Database
from ffe_core.storage.stores import Stores
from ffe_core.threads import run_to_completion
from ffe_core.validation import validate

if TYPE_CHECKING:
    import pandas as pd


class BatchDataIngester:
    """Brings one series' candles into the lake, whole and once; safe to run anywhere, any number of times."""

    def __init__(
        self, delta_mgr: DeltaLakeManager, config: Config | Settings | None = None, database: Database | None = None
    ) -> None:
        """`database` holds the marked gaps; that of the data directory if none is given."""
        self.delta_mgr = delta_mgr
        self.config = config if config is not None else {}
        self.settings = Settings.load(config)
        self.stores = Stores(self.settings, delta_mgr, database)
        self.watermark_store, self.dlq = self.stores.watermarks, self.stores.queue
        self._committer = Committer(delta_mgr, self.stores.watermarks)

    async def ingest_historical_data(
        self,
        asset_pair: str,
        timeframe: str,
        start_date: times.Instant,
        end_date: times.Instant,
        provider: str = "alpha_vantage",
        *,
        mode: str = "resume",
        run_id: str | None = None,
        progress: Progress = lambda report: None,
    ) -> SeriesResultDict:
        """Backfill one series over [start_date, end_date] and say what came of it.

        Dates are whole UTC days, both included; ISO datetimes need a zone, their end is excluded. `mode` is "resume",
        "gaps" or "refetch". Returns status (success, no_data, validation_failed, error), records, failed_records,
        watermark, provider, and the counts of `SeriesResult.as_dict`. Raises ValueError for bad arguments, before any
        request; failures of the provider or the storage are returned.
        """
        series = Series.of(asset_pair, timeframe, provider)
        checked_mode = plan.check_mode(mode)
        data_provider = await self._get_data_provider(provider)
        start, end = times.parse_range(start_date, end_date)
        driven = self._driven(provider, data_provider)
        driven.check_start(start)
        self.stores.share_pace()
        async with driven as opened:
            try:
                report = await self.run_series(
                    series, opened, start, end, mode=checked_mode, run_id=run_id, progress=progress
                )
            except FFEError as error:
                report = SeriesResult(series, start, end, error=error)
        return report.as_dict()

    async def run_series(
        self,
        series: Series,
        data_provider: Provider,
        start: int,
        end: int,
        *,
        mode: plan.Mode = "resume",
        run_id: str | None = None,
        progress: Progress = lambda report: None,
        lease_wait: float | None = None,
        member: Member | None = None,
        ingestion_id: str | None = None,
    ) -> SeriesResult:
        """Run one series with an opened provider, under its lease; [start, end) in epoch seconds.

        Waits `lease_wait` seconds (the setting `lease_wait_seconds` if None) for another holder to finish, then raises
        SeriesHeld. `member`: the series' place among those it may be committed together with. `ingestion_id`: what its
        bars are known by, one of its own if None.
        """
        calendars, stores = self.settings.calendars, self.stores
        listing = Listing(series, data_provider, calendars, stores.instruments, stores.lake)
        pipeline = SeriesPipeline(
            series,
            data_provider,
            listing.market,
            stores,
            listing=listing,
            run_id=run_id,
            progress=progress,
            committer=self._committer,
            member=member,
            ingestion_id=ingestion_id,
        )
        wait = self.settings.lease_wait_seconds if lease_wait is None else lease_wait
        with await stores.lease(series, run_id).wait(wait):
            return await pipeline.run(start, end, mode)

    async def _get_data_provider(self, provider: str) -> Any:
        """The provider of this name, not yet opened; InputError listing the known names for another."""
        return provider_class(provider)(config=self.settings)

    def _driven(self, name: str, data_provider: Any) -> Provider:
        """A provider as the pipeline drives it, whatever `_get_data_provider` was made to return."""
        return (
            data_provider
            if isinstance(data_provider, Provider)
            else ProviderAdapter(name, data_provider, self.settings)
        )

    async def _fetch_historical_data(
        self,
        data_provider: Any,
        asset_pair: str,
        timeframe: str,
        start_date: times.Instant,
        end_date: times.Instant,
    ) -> list[Record]:
        """All closed candles of a range as the provider sent them, in one list."""
        async with data_provider:
            records: list[Record] = await data_provider.get_historical_data(
                asset_pair=asset_pair, start=start_date, end=end_date, timeframe=timeframe
            )
            return records

    def validate_and_clean(
        self, candles: Sequence[Any], timeframe: str, asset_pair: str
    ) -> tuple[pd.DataFrame, list[Any]]:
        """Valid candles as a DataFrame (timestamp UTC, open, high, low, close, volume, asset_pair), one a bar, and the
        records that failed, as received; a repeat keeps the last."""
        series = Series.of(asset_pair, timeframe, "")
        checked = validate(candles, series.grid)
        frame = checked.candles.to_pandas()
        frame["asset_pair"] = series.asset_pair
        return frame, [failure.record for failure in checked.failures]

    def _add_metadata(self, df: pd.DataFrame, provider: str) -> pd.DataFrame:
        """The frame with its lineage: source_provider, _extracted_at (now, UTC), _ingestion_id, is_mock."""
        import pandas as pd  # not at the top: a backfill does without it

        is_mock = provider in PROVIDERS and PROVIDERS[provider].is_mock
        extracted_at = pd.Timestamp(time.time_ns() // 1000, unit="us", tz="UTC")
        return df.assign(
            source_provider=provider, _extracted_at=extracted_at, _ingestion_id=str(uuid.uuid4()), is_mock=is_mock
        )

    async def _write_to_delta(self, df: pd.DataFrame, table_name: str, asset_pair: str, timeframe: str) -> None:
        """Append a frame made by `validate_and_clean` and `_add_metadata`, and move the watermark, in one commit.

        Of several rows of one bar the last counts. The watermark stays where bars are missing between it and the frame,
        so that resume asks for them. SeriesHeld if another run has the series for longer than `lease_wait_seconds`,
        GridChanged for hourly bars on another grid than the series keeps to.
        """
        if df.empty:
            return
        df = df.drop_duplicates("timestamp", keep="last")
        providers = set(df["source_provider"])
        if len(providers) != 1:
            raise InputError(
                f"one provider a write, not {', '.join(sorted(map(str, providers)))}", field="source_provider"
            )
        series = Series.of(asset_pair, timeframe, providers.pop())
        if table_name != series.table:
            raise InputError(f"{timeframe} candles belong in {series.table}, not in {table_name}", field="table")
        open_times = df["timestamp"].dt.as_unit("s").astype("int64").to_numpy()
        partitions = dict(
            zip(PARTITION_COLUMNS, (partition_dates(open_times, timeframe), series.asset_pair), strict=True)
        )
        rows = conform(pa.Table.from_pandas(df.assign(**partitions), preserve_index=False))
        with await self.stores.lease(series).wait(self.settings.lease_wait_seconds):
            await run_to_completion(self._commit, series, rows, open_times)

    def _commit(self, series: Series, rows: pa.Table, open_times: np.ndarray) -> None:
        hours = hour_grid_of(series, self.stores)
        hours.check(open_times)
        held = self.delta_mgr.marks(series)
        after = Watermarks(
            self._watermark_after(series, held, open_times), int(open_times.min()) if held.low is None else held.low
        )
        self.delta_mgr.commit(series, rows, held, after)
        hours.keep()
        self.watermark_store.put(series, after)
        saw(self.stores.instruments, series, int(open_times.min()))

    def _watermark_after(self, series: Series, held: Watermarks, open_times: np.ndarray) -> int:
        """The last of the opens if no bar is expected between the one at the watermark and the first after it."""
        if held.watermark is None:
            return int(open_times.max())
        newer = open_times[open_times > held.watermark]
        if len(newer) == 0 or self.settings.calendars.of(series.provider, series.asset_pair).expected_count(
            series.timeframe, held.watermark + series.step, int(newer.min())
        ):
            return held.watermark
        return int(newer.max())

    def save_dead_letter_queue(self, records: Sequence[Any], error: str = "unknown") -> Saved | None:
        """Keep records for review, outside any series."""
        return self.dlq.save(records, error, {}) if records else None
