"""Forecast of a schedule: what its next ticks would fetch, if all before them succeed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ffe_core.ingestion import plan
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.schedules.requests import Chosen, Plans
from ffe_core.providers import provider_class
from ffe_core.providers.base import Provider
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings


@dataclass(frozen=True, slots=True)
class ExpectedTick:
    """A coming tick, due in epoch seconds, the bars it would fetch over all series and the requests that takes."""

    due: int
    bars: int
    requests: int


def expected_ticks(
    chosen: Chosen, dues: list[int], plans: Plans, marks: Callable[[Series], Watermarks]
) -> list[ExpectedTick]:
    """One for each of the due instants; `marks` says how far a series was read.

    In gaps mode the numbers are the most there can be: only what is missing then is asked for. InputError for what
    cannot be asked, missing credentials too.
    """
    series = plans.series(chosen)
    provider = provider_class(series[0].provider)(config=plans.settings)
    reached = {one: marks(one) for one in series}
    found = []
    for due in dues:
        request = plans.request(chosen, due, due)
        costs = [_cost(one, request, provider, reached, plans.settings) for one in series]
        found.append(ExpectedTick(due, sum(bars for bars, _ in costs), sum(requests for _, requests in costs)))
    return found


def _cost(
    series: Series, request: BackfillRequest, provider: Provider, reached: dict[Series, Watermarks], settings: Settings
) -> tuple[int, int]:
    """Bars and requests of one series at one tick, which then counts as done."""
    closed = provider.closed_before(series.timeframe, request.end)
    start, end = plan.on_grid(series, request.start, min(request.end, closed))
    calendar = settings.calendars.of(series.provider, series.asset_pair)
    bars = requests = 0
    listed = calendar.listed(series.timeframe, start, end)
    mode = "refetch" if request.mode == "gaps" else request.mode
    for span in plan.spans(mode, reached[series], *listed, series.grid):
        expected = calendar.expected_count(series.timeframe, span.start, span.end)
        bars += expected
        requests += len(provider.pages(series.asset_pair, series.timeframe, span.start, span.end)) if expected else 0
    if request.mode == "resume" and start < end:
        reached[series] = _after(reached[series], start, end - series.grid)
    return bars, requests


def _after(marks: Watermarks, start: int, last: int) -> Watermarks:
    low = start if marks.low is None else min(start, marks.low)
    return replace(marks, watermark=max(last, marks.watermark or last), low=low)
