"""Ingester of many series: runs pairs x timeframes of one provider concurrently, each failing alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from ffe_core import times
from ffe_core.errors import FFEError, InputError
from ffe_core.ingestion import plan
from ffe_core.ingestion.batch_data_ingester import BatchDataIngester
from ffe_core.ingestion.series_result import Progress, SeriesResult
from ffe_core.ingestion.turns import Group, Member
from ffe_core.providers.base import Provider
from ffe_core.redaction import redact
from ffe_core.results import AllAssetsResultDict, SeriesResultDict
from ffe_core.series import Series
from ffe_core.settings import Config, Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager

log = logging.getLogger(__name__)

SERIES_AT_ONCE = 4
"""Series under way at the same time; they share the provider's pace, and memory grows with them."""


class MultiAssetBatchIngester:
    """Backfills every pair at every timeframe; one series' failure never stops another."""

    def __init__(self, delta_mgr: DeltaLakeManager, config: Config | Settings | None = None) -> None:
        self.ingester = BatchDataIngester(delta_mgr, config)
        self.config = self.ingester.config

    async def ingest_all_assets(
        self,
        asset_pairs: Sequence[str],
        timeframes: Sequence[str],
        start_date: times.Instant,
        end_date: times.Instant,
        provider: str = "alpha_vantage",
        *,
        mode: str = "resume",
        progress: Progress = lambda report: None,
    ) -> AllAssetsResultDict:
        """Backfill all series and return total_records, total_failed and results, one dict each in the order asked.

        Raises ValueError for any bad argument, before the first request of any series.
        """
        series = every_series(asset_pairs, timeframes, provider)
        checked_mode = plan.check_mode(mode)
        data_provider = await self.ingester._get_data_provider(provider)
        start, end = times.parse_range(start_date, end_date)
        driven = self.ingester._driven(provider, data_provider)
        driven.check_start(start)

        async def one(member: Member, opened: Provider) -> SeriesResultDict:
            async with member:
                return await self._isolated(member, opened, start, end, checked_mode, progress)

        async with driven as opened, asyncio.TaskGroup() as tasks_of:
            members = Group(asyncio.Semaphore(SERIES_AT_ONCE)).members(series)
            tasks = [tasks_of.create_task(one(member, opened)) for member in members]
        results = [task.result() for task in tasks]
        return {
            "total_records": sum(result["records"] for result in results),
            "total_failed": sum(result["failed_records"] for result in results),
            "results": results,
        }

    async def _isolated(
        self, member: Member, opened: Provider, start: int, end: int, mode: plan.Mode, progress: Progress
    ) -> SeriesResultDict:
        """One series' result; whatever goes wrong stays its own."""
        series = member.series
        try:
            report = await self.ingester.run_series(
                series, opened, start, end, mode=mode, progress=progress, member=member
            )
        except (FFEError, InputError) as error:
            report = SeriesResult(series, start, end, error=error)
        except Exception as error:
            log.exception("%s ended unexpectedly", series)
            report = SeriesResult(series, start, end, error=FFEError(redact(f"{type(error).__name__}: {error}")))
        return report.as_dict()


def every_series(asset_pairs: Sequence[str], timeframes: Sequence[str], provider: str) -> list[Series]:
    """Pairs x timeframes, each once, in the order given; InputError for none or a bad name."""
    for field, names, example in (("pairs", asset_pairs, "BTCUSD"), ("timeframes", timeframes, "1h")):
        if isinstance(names, str) or not names:
            raise InputError(f"give a list with at least one, for example ['{example}']", field=field)
    return list(dict.fromkeys(Series.of(pair, frame, provider) for pair in asset_pairs for frame in timeframes))
