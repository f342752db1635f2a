"""Bars for the chart's component while somebody pans and zooms, and where in the whole series something is missing.

Routes of the same server, behind the same guard as every page. What they are asked for is bounded: so many bars, so
many series laid over them, and few questions at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio
import pyarrow as pa
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ffe_core.adjustments.actions import Actions
from ffe_core.errors import FFEError, InputError
from ffe_core.insight.adjusted import Adjustment, adjustment_of
from ffe_core.insight.aggregate import DERIVED, BarSize, bars_due, chosen_size, ladder, size_named
from ffe_core.insight.bars import Moment
from ffe_core.insight.chart import chart_view
from ffe_core.insight.coverage import calendar_of
from ffe_core.insight.gaps import KINDS
from ffe_core.insight.indicators import indicator
from ffe_core.insight.stored import require_stored, stored_series
from ffe_core.insight.window import Over, Window, window, with_indicators
from ffe_core.operations.console import ConsoleService, shared
from ffe_core.redaction import redact
from ffe_core.series import Series
from ffe_core.storage.files import strict_json
from pages.candles.columns import packed, widest
from pages.candles.drawn import note
from pages.candles.query import MICROS, checked, moment, series_named, whole

MOST_BARS = 6_000
"""Of one answer: a view and as much again on either side, and some to spare."""
MOST_OVERS, MOST_INDICATORS = 5, 8
EARLIEST, LATEST = 0, 4_102_444_800
"""No chart reaches beyond the years 1970 to 2099."""
_PARAMETERS = {
    "series": 1,
    "start": 1,
    "end": 1,
    "size": 1,
    "known": 1,
    "over": MOST_OVERS,
    "now": 1,
    "with": 1,
    "least": 1,
    "adjust": 1,
}
_MOST_TICKS = 400
_AT_A_TIME = 2
_NO_STORE = {"Cache-Control": "no-store"}
_LIMITER = anyio.CapacityLimiter(_AT_A_TIME)


async def bars(request: Request) -> Response:
    """`/bars?series=PAIR/TIMEFRAME/PROVIDER&start=&end=[&size=1h][&known=microseconds][&over=KEY...][&now=1][&with=]`.

    Start and end are epoch seconds, `adjust=splits|all` gives adjusted bars. Without a `size`, the size that the range
    fits in, from `least` on if that is given, and as much again on either side. The answer is as `columns.packed` says;
    400 for what cannot be, with the reason, 503 for what cannot be read.
    """
    return await _answered(lambda: _bars(request.query_params), "application/octet-stream")


async def ticks(request: Request) -> Response:
    """`/bars/ticks?series=PAIR/TIMEFRAME/PROVIDER[&drawn=]`: JSON of a whole series' widest gaps and dead letters.

    `drawn` is the word of a chart that is drawn.
    """
    return await _answered(lambda: _ticks(request.query_params), "application/json")


async def _answered(work: Callable[[], bytes], kind: str) -> Response:
    try:
        body = await anyio.to_thread.run_sync(work, limiter=_LIMITER)
    except (InputError, ValueError) as error:
        return PlainTextResponse(redact(str(error)), 400, _NO_STORE)
    except FFEError as error:
        return PlainTextResponse(redact(str(error)), 503, _NO_STORE)
    return Response(body, headers=_NO_STORE, media_type=kind)


def _bars(query: QueryParams) -> bytes:
    checked(query, _PARAMETERS)
    console = shared()
    there = _stored(console)
    series = series_named(there, query.get("series", ""))
    known = moment(whole(query["known"], "known", MICROS)) if "known" in query else None
    overs = [Over(series_named(there, key, "over"), known) for key in query.getlist("over")]
    overs += [Over(series)] if known is not None and query.get("now") else []
    names = [name for name in query.get("with", "").split(",") if name]
    if len(names) > MOST_INDICATORS:
        raise InputError(f"{len(names)} are too many; {MOST_INDICATORS} at most can be", field="with")
    start, end = _range(query)
    least = chosen_size(series, query["least"], "least") if "least" in query else None
    adjustment = adjustment_of(Actions(console.settings.data_dir), query.get("adjust"))
    found = looked_at(console, series, start, end, query.get("size"), known, overs, names, least, adjustment)
    pa.default_memory_pool().release_unused()
    return packed(found)


def _stored(console: ConsoleService) -> list[Series]:
    return [found.series for found in stored_series(console.lake)]


def _range(query: QueryParams) -> tuple[int, int]:
    start, end = whole(query.get("start"), "start"), whole(query.get("end"), "end")
    if not EARLIEST <= start < end <= LATEST:
        raise InputError(f"{start} to {end} is no range of the years 1970 to 2099; give a start before its end",
                         field="end")  # fmt: skip
    return start, end


def looked_at(
    console: ConsoleService,
    series: Series,
    start: int,
    end: int,
    size: str | None,
    known: Moment | None,
    overs: list[Over],
    indicators: list[str],
    least: BarSize | None = None,
    adjustment: Adjustment | None = None,
) -> Window:
    """The window of a range in bars of `size`, or with as much again on either side. InputError, StorageError."""
    calendar = calendar_of(series, console.settings)
    if size is None:
        chosen = ladder(start, end, series.timeframe, calendar=calendar, least=least)
        start, end = max(EARLIEST, start - (end - start)), min(LATEST, end + (end - start))
    else:
        chosen = _size(size, series)
    due = bars_due(start, end, chosen, calendar)
    if due > MOST_BARS:
        raise InputError(f"{due:,} bars of {chosen.name} are too many; ask for {MOST_BARS:,} at most", field="end")
    marked = [(int(first), int(last)) for first, last in console.acknowledged.ranges(series, start, end)]
    drawn = partial(chart_view, console.lake, console.queue, calendar, series, start, end, known)
    view = drawn(marked=marked, size=chosen.name, adjustment=adjustment)
    found = window(console.lake, view, overs)
    return with_indicators(console.lake, found, [indicator(name) for name in indicators], known)


def _size(name: str, series: Series) -> BarSize:
    found = size_named(name, field="size")
    if found.name in {size.name for size in DERIVED}:
        return chosen_size(series, name)
    if found.seconds < series.step:
        raise InputError(f"{found.name} is smaller than {series.timeframe}, which is stored", field="size")
    return found


def _ticks(query: QueryParams) -> bytes:
    checked(query, {"series": 1, "drawn": 1})
    note(query.get("drawn", ""))
    console = shared()
    series = series_named(_stored(console), query.get("series", ""))
    require_stored(console.lake, series)
    [found] = console.coverage.of([series])
    gaps = widest(found.gaps(), _MOST_TICKS)
    dead = console.queue.open_times(series, found.start, max(found.end, found.start + 1))
    return strict_json(
        {
            "gaps": [[gap.start, gap.end, gap.candles, KINDS.index(gap.kind)] for gap in gaps],
            "dead": dead[:_MOST_TICKS].tolist(),
        }
    ).encode()
