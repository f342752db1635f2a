"""Preview of a backfill, per series: bars, requests, time, and what is skipped and why."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ffe_core import times
from ffe_core.completeness import Completeness, completeness
from ffe_core.errors import FFEError, InputError, sentence
from ffe_core.ingestion import listing, plan
from ffe_core.ingestion.young import first_young
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.runs.service import RunService
from ffe_core.providers import provider_class
from ffe_core.providers.base import Provider
from ffe_core.series import Series, Watermarks
from ffe_core.storage.state.runs import RunStore


@dataclass(frozen=True, slots=True)
class SeriesPreview:
    """One series of a request; times in epoch seconds, `skipped` says why nothing would be fetched, if so.

    `first_bar_requests` may be sent beside `requests`, at most, to find the first bar; what lies before it is not
    fetched then.
    """

    series: Series
    start: int
    end: int
    expected: int = 0
    stored: int = 0
    to_fetch: int = 0
    requests: int = 0
    skipped: str | None = None
    first_bar_requests: int = 0
    notes: tuple[str, ...] = ()
    """What of the range lies outside the listing, and what finding the first bar costs."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A whole request: its series, and what it costs at the provider's rate.

    Where first bars are looked for, it is the most that it may cost: what lies before them is not fetched then.
    """

    series: tuple[SeriesPreview, ...]
    seconds: float
    """Time that the requests take at the provider's rate limit, if nothing else does; 0 where there is no limit."""
    quota: int | None = None
    """Requests a day the provider allows, where it says."""
    quota_left: int | None = None
    """What is known to be left of it today: other programs on the same key are not seen."""

    @property
    def requests(self) -> int:
        """Requests over all series, those that look for first bars included."""
        return sum(item.requests for item in self.series) + self.first_bar_requests

    @property
    def first_bar_requests(self) -> int:
        """Those that look for first bars, at most."""
        return sum(item.first_bar_requests for item in self.series)

    @property
    def to_fetch(self) -> int:
        """Expected bars to fetch over all series."""
        return sum(item.to_fetch for item in self.series)


def quota_left(provider: Provider, runs: RunStore) -> int | None:
    """What is known to be left today (UTC) of a provider's quota: other programs on the same key are not seen; None
    where there is no quota."""
    if provider.requests_per_day is None:
        return None
    used = runs.requests_since(provider.name, times.now() // times.DAY * times.DAY)
    return max(0, provider.requests_per_day - used)


def preview(request: BackfillRequest, service: RunService) -> Preview:
    """Plan a request as the service would run it, without sending anything. InputError for missing credentials;
    StorageError if the lake is not readable."""
    provider = provider_class(request.provider)(config=service.settings)
    found = tuple(_one(series, request, provider, service) for series in request.series)
    rate = provider.requests_per_second
    made = Preview(found, 0.0, provider.requests_per_day, quota_left(provider, service.runs))
    return replace(made, seconds=made.requests / rate) if rate else made


def _one(series: Series, request: BackfillRequest, provider: Provider, service: RunService) -> SeriesPreview:
    stores = service.stores
    closed = provider.closed_before(series.timeframe, times.now())
    start, end = plan.on_grid(series, request.start, min(request.end, closed))
    if start >= end:
        return SeriesPreview(series, start, start, skipped="no bar of this range has closed yet")
    try:
        provider.check(series.asset_pair, series.timeframe)
        calendar = service.settings.calendars.of(series.provider, series.asset_pair)
        counted = completeness(series, start, end, calendar, service.lake, stores.queue, stores.acknowledged)
    except (FFEError, InputError) as error:
        return SeriesPreview(series, start, end, skipped=sentence(error))
    marks = service.lake.marks(series)
    listed = calendar.listed(series.timeframe, start, end)
    settle = provider.settle_seconds if request.mode == "resume" else 0
    young = first_young(series, marks, settle, service.lake, stores.watermarks)
    spans = plan.spans(request.mode, marks, *listed, series.grid, counted.missing, young)
    fetched = [(span, sum(calendar.expected_count(series.timeframe, *part) for part in span.wanted)) for span in spans]
    requests = sum(len(span.pages(provider, series)) for span, bars in fetched if bars)
    to_fetch = sum(bars for _, bars in fetched)
    skipped = (
        None if to_fetch else "up to date" if counted.unexplained == 0 else "nothing new; gaps mode fills the rest"
    )
    unknown = _unknown(request.mode, start, end, marks, counted)
    search = listing.search_requests(provider, stores.instruments, series, *unknown, request.mode, times.now())
    notes = (*listing.notes(series, calendar, start, end), *([_search_note(search)] if search else []))
    return SeriesPreview(
        series, start, end, counted.expected, counted.stored, to_fetch, requests, skipped, search, notes
    )


def _unknown(mode: plan.Mode, start: int, end: int, marks: Watermarks, counted: Completeness) -> tuple[int, int]:
    """The range that may lie before the first bar, as the run takes it."""
    if mode == "gaps":
        return counted.missing[0] if counted.missing else (start, start)
    return start, marks.low if mode == "resume" and marks.low is not None else end


def _search_note(requests: int) -> str:
    return f"its first bar is looked for first, in at most {requests} more requests; what lies before it is not fetched"
