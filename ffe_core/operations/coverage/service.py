"""Coverage runs: count all series, or some, in a run of their own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from ffe_core.counts import many
from ffe_core.errors import FFEError, InputError
from ffe_core.insight.coverage import Coverage
from ffe_core.insight.stored import stored_series
from ffe_core.operations.coverage.job import CoverageJob
from ffe_core.operations.runs import log as run_log
from ffe_core.operations.runs.service import RunService
from ffe_core.series import Series
from ffe_core.storage.state.runs import COVERAGE, NewRun
from ffe_core.threads import run_to_completion

log = logging.getLogger(__name__)
ALL_PROVIDERS = "all providers"
ITSELF = "coverage"
"""The source of runs that nobody started by hand."""
_WORTH_FILES = 1_000
"""Reading so many takes seconds, from a disk or from a store."""


class CoverageRuns:
    """Starts coverage runs over a run service."""

    def __init__(self, service: RunService) -> None:
        self._service = service

    def start(self, actor: str, source: str = "console", *, series: Sequence[Series] | None = None) -> int:
        """Count stored series, all without any; the run's number. InputError if nothing is stored."""
        asked = [one.series for one in stored_series(self._service.lake)] if series is None else series
        if not asked:
            raise InputError("nothing is stored yet, so there is nothing to count; backfill a series first")
        providers = {one.provider for one in asked}
        provider = providers.pop() if len(providers) == 1 else ALL_PROVIDERS
        run = NewRun(COVERAGE, provider, "", 0, 0, tuple(asked), actor, source, "")
        return self._service.submit(run, partial(self._work, CoverageJob(tuple(asked))))

    def start_if_worth(self, coverage: Coverage) -> int | None:
        """Count those series of which many data files were read by nobody yet; None where that is not worth it, as
        without workers, where a page reads as fast. What keeps it from being started is said in the log."""
        if not self._service.settings.ray_address:
            return None
        try:
            unread = coverage.unread()
            if unread.total() < _WORTH_FILES or self._service.runs.active(COVERAGE):
                return None
            stored = (one.series for one in stored_series(self._service.lake))
            return self.start(
                ITSELF, ITSELF, series=[one for one in stored if (one.asset_pair, one.timeframe) in unread]
            )
        except (FFEError, InputError) as error:
            log.warning("coverage is left for later: %s", error)
            return None

    async def _work(self, job: CoverageJob, run_id: int) -> None:
        await self._service.by_engine(job)(run_id)
        await run_to_completion(self._say, run_id)

    def _say(self, run_id: int) -> None:
        rows = self._service.runs.series(run_id, with_results=False)
        bars, holed = sum(row.stored or 0 for row in rows), [row for row in rows if row.unexplained]
        left = f", {sum(row.unexplained or 0 for row in holed):,} unexplained in {len(holed):,}" if holed else ""
        run_log.say(f"{many(bars, 'bar')} of {many(len(rows), 'series', 'series')} stored{left}")
