"""Preview of a backfill, per series: bars, requests, time, and what is skipped and why."""

from __future__ import annotations

from dataclasses import dataclass

from ffe_core import times
from ffe_core.completeness import completeness
from ffe_core.errors import FFEError, InputError
from ffe_core.ingestion import plan
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.runs.service import RunService
from ffe_core.providers import provider_class
from ffe_core.providers.base import Provider
from ffe_core.series import Series


@dataclass(frozen=True, slots=True)
class SeriesPreview:
    """One series of a request; times in epoch seconds, `skipped` says why nothing would be fetched, if so."""

    series: Series
    start: int
    end: int
    expected: int = 0
    stored: int = 0
    to_fetch: int = 0
    requests: int = 0
    skipped: str | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """A whole request: its series, and what it costs at the provider's rate."""

    series: tuple[SeriesPreview, ...]
    seconds: float
    """Least time at the provider's rate limit; 0 where there is no limit."""
    quota: int | None = None
    """Requests a day the provider allows, where it says."""
    quota_left: int | None = None
    """What is known to be left of it today: other programs on the same key are not seen."""

    @property
    def requests(self) -> int:
        """Requests over all series."""
        return sum(item.requests for item in self.series)

    @property
    def to_fetch(self) -> int:
        """Expected bars to fetch over all series."""
        return sum(item.to_fetch for item in self.series)


def preview(request: BackfillRequest, service: RunService) -> Preview:
    """Plan a request as the service would run it, without sending anything. InputError for missing credentials;
    StorageError if the lake is not readable."""
    provider = provider_class(request.provider)(config=service.settings)
    found = tuple(_one(series, request, provider, service) for series in request.series)
    rate = provider.requests_per_second
    total = sum(item.requests for item in found)
    quota = provider.requests_per_day
    used = service.runs.requests_since(request.provider, times.now() // times.DAY * times.DAY) if quota else 0
    return Preview(found, total / rate if rate else 0.0, quota, None if quota is None else max(0, quota - used))


def _one(series: Series, request: BackfillRequest, provider: Provider, service: RunService) -> SeriesPreview:
    ingester = service.ingester
    closed = provider.closed_before(series.timeframe, times.now())
    start, end = plan.on_grid(series, request.start, min(request.end, closed))
    if start >= end:
        return SeriesPreview(series, start, start, skipped="no bar of this range has closed yet")
    try:
        provider.check(series.asset_pair, series.timeframe)
        calendar = service.settings.calendars.of(series.provider, series.asset_pair)
        counted = completeness(series, start, end, calendar, service.lake, ingester.dlq, ingester.acknowledged)
    except (FFEError, InputError) as error:
        return SeriesPreview(series, start, end, skipped=str(error))
    marks = service.lake.marks(series)
    spans = plan.spans(request.mode, marks, start, end, series.grid, counted.missing)
    fetched = [(span, sum(calendar.expected_count(series.timeframe, *part) for part in span.wanted)) for span in spans]
    requests = sum(len(span.pages(provider, series)) for span, bars in fetched if bars)
    to_fetch = sum(bars for _, bars in fetched)
    skipped = (
        None if to_fetch else "up to date" if counted.unexplained == 0 else "nothing new; gaps mode fills the rest"
    )
    return SeriesPreview(series, start, end, counted.expected, counted.stored, to_fetch, requests, skipped)
