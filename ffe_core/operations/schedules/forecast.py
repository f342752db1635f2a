"""Forecast of a schedule: what its next ticks would fetch, if all before them succeed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ffe_core.ingestion import listing, plan, young
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.runs.service import RunService
from ffe_core.operations.schedules.requests import Chosen, Plans
from ffe_core.providers import provider_class
from ffe_core.providers.base import Provider
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings
from ffe_core.storage.state.instruments import InstrumentStore
from ffe_core.timeframes import ceil


@dataclass(frozen=True, slots=True)
class ExpectedTick:
    """A coming tick, due in epoch seconds, the bars it would fetch over all series and the requests that takes.

    `first_bar_requests` of them, at most, look for where series begin; what lies before is not fetched then.
    """

    due: int
    bars: int
    requests: int
    first_bar_requests: int = 0


class Present(Protocol):
    """What is known of series now."""

    def marks(self, series: Series) -> Watermarks:
        """How far it was read."""

    def first_young(self, series: Series, marks: Watermarks, settle: int) -> int | None:
        """Open of the first of its newest bars that is read again, as it may have changed; or None."""

    @property
    def instruments(self) -> InstrumentStore:
        """What was learned of first bars."""


class Stored:
    """What the lake and the database of a service hold."""

    def __init__(self, service: RunService) -> None:
        self._lake, self._watermarks = service.lake, service.stores.watermarks
        self.instruments = service.stores.instruments

    def marks(self, series: Series) -> Watermarks:
        return self._lake.marks(series)

    def first_young(self, series: Series, marks: Watermarks, settle: int) -> int | None:
        return young.first_young(series, marks, settle, self._lake, self._watermarks)


def expected_ticks(chosen: Chosen, dues: Sequence[int], plans: Plans, present: Present) -> list[ExpectedTick]:
    """One for each of the due instants.

    In gaps mode the numbers are the most there can be: only what is missing then is asked for. InputError for what
    cannot be asked, missing credentials too.
    """
    series = plans.series(chosen)
    provider = provider_class(series[0].provider)(config=plans.settings)
    forecasts = [_SeriesForecast(one, provider, plans.settings, present) for one in series]
    found = []
    for due in dues:
        request = plans.request(chosen, due, due)
        costs = [forecast.tick(request) for forecast in forecasts]
        bars, requests, searches = (sum(cost) for cost in zip(*costs, strict=True))
        found.append(ExpectedTick(due, bars, requests + searches, searches))
    return found


class _SeriesForecast:
    """One series, from tick to tick: each counts as done when the next is asked about."""

    def __init__(self, series: Series, provider: Provider, settings: Settings, present: Present) -> None:
        self._series, self._provider, self._instruments = series, provider, present.instruments
        self._calendar = settings.calendars.of(series.provider, series.asset_pair)
        self._marks = present.marks(series)
        self._young = present.first_young(series, self._marks, provider.settle_seconds)
        self._is_searched = False

    def tick(self, request: BackfillRequest) -> tuple[int, int, int]:
        """Bars, the requests that fetch them, and those that look for the first bar."""
        series, closed = self._series, self._provider.closed_before(self._series.timeframe, request.end)
        start, end = plan.on_grid(series, request.start, min(request.end, closed))
        searches = self._searches(request.mode, start, end)
        listed = self._calendar.listed(series.timeframe, start, end)
        mode = "refetch" if request.mode == "gaps" else request.mode
        bars = requests = 0
        for span in plan.spans(mode, self._marks, *listed, series.grid, young=self._young):
            expected = self._calendar.expected_count(series.timeframe, span.start, span.end)
            bars += expected
            requests += len(span.pages(self._provider, series)) if expected else 0
        if request.mode == "resume" and start < end:
            self._read(start, end - series.grid, request.end)
        return bars, requests, searches

    def _searches(self, mode: plan.Mode, start: int, end: int) -> int:
        """Requests for the first bar, at most; found once, it is looked for again only to fetch everything again."""
        if self._is_searched and mode != "refetch":
            return 0
        until = self._marks.low if mode == "resume" and self._marks.low is not None else end
        found = listing.search_requests(self._provider, self._instruments, self._series, start, until, mode, end)
        self._is_searched = self._is_searched or found > 0
        return found

    def _read(self, start: int, last: int, at: int) -> None:
        """Note that the bars from `start` to `last` were read at an instant: those still young then are read again."""
        low = start if self._marks.low is None else min(start, self._marks.low)
        newest = max(last, self._marks.watermark or last)
        self._marks = replace(self._marks, watermark=newest, low=low)
        settle = self._provider.settle_seconds
        first = max(newest - settle, at - self._series.step - settle + 1, low)
        self._young = ceil(first, self._series.grid) if settle and first <= newest else None
