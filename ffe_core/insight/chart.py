"""Chart data of a series: at most so many bars of a real size, and what is missing among them and why.

Partitions are read one after another and aggregated as they come, so five years of minutes take no more memory than
a month. Bars of the view are whole: its ends are widened to the bars they cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pyarrow as pa

from ffe_core.adjustments.factors import Steps
from ffe_core.calendars import MarketCalendar
from ffe_core.insight.adjusted import Adjustment
from ffe_core.insight.aggregate import BarSize, coarser, expected_sources, ladder, size_named
from ffe_core.insight.bars import Moment, moment_micros, nearest
from ffe_core.insight.gaps import Gap, MissingBars, Seen, closures, ended
from ffe_core.insight.parts import PYRAMID, Part, in_size
from ffe_core.insight.stored import covered, require_stored
from ffe_core.insight.units import volume_unit
from ffe_core.series import Series
from ffe_core.storage.dead_letters.queue import DeadLetterQueue
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import Ints, Snapshot, epochs
from ffe_core.times import DAY

_MOST_GAPS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class ChartView:
    """A range of a series as a chart shows it. Times are epoch seconds, ranges half-open."""

    series: Series
    start: int
    end: int
    """The range in whole bars: it may be wider than what was asked."""
    size: BarSize
    bars: pa.Table
    """By time: timestamp, open, high, low, close, volume, `sources` (stored bars it stands for), `expected` (bars it
    should stand for by now), `restated` (those of `sources` with several versions); at the series' own size also
    source_provider, _extracted_at, _ingestion_id, is_mock, _dead_letter_id."""
    counts: dict[str, int]
    """Bars of the series' own size: expected, stored, extra, and the missing by kind (see `gaps.KINDS`)."""
    gaps: list[Gap]
    """Runs of missing bars; past a thousand of them, those closer than a bar of the view are one."""
    closures: list[tuple[int, int]]
    """When the market is closed and no bar is shown: for range breaks. None for sizes above a day."""
    restated: Ints
    """Opens of the stored bars with several versions."""
    restated_since: Ints
    """Opens of the stored bars whose values have changed since `as_known_at`."""
    dead_letters: Ints
    """Opens of the dead letters that no stored bar replaces."""
    volume_unit: str | None
    """What volume counts; None if this provider has no volume."""
    is_mock: bool
    """Whether any of the bars is simulated."""
    as_known_at: int | None
    """The moment asked for, epoch microseconds."""
    missing: MissingBars
    """What `counts` and `gaps` are made of."""
    adjustment: Adjustment | None = None
    """What the values of `bars` are adjusted for; None for bars as they were traded."""
    nearest: tuple[int | None, int | None] | None = None
    """When there is no bar: the last stored open before the range, and the first one after its start."""


def chart_view(
    lake: DeltaLakeManager,
    queue: DeadLetterQueue,
    calendar: MarketCalendar,
    series: Series,
    start: int,
    end: int,
    as_known_at: Moment | None = None,
    most: int = 1500,
    *,
    marked: Sequence[tuple[int, int]] = (),
    size: str | None = None,
    until: int | None = None,
    least: BarSize | None = None,
    adjustment: Adjustment | None = None,
) -> ChartView:
    """The view of [start, end), in bars of `size` if given, else the smallest size with at most `most` of them, from
    `least` on.

    `marked` are ranges known to have no data. Bars that open from `until` on are not due yet (by default those that
    have not ended). Stored bars are adjusted before larger ones are made of them, by the actions whose ex-day had come
    at `as_known_at`. InputError for an unknown series or size and as `adjusted.steps_of`, StorageError if something
    cannot be read.
    """
    snapshot = require_stored(lake, series)
    due = ended(series) if until is None else until
    chosen = size_named(size, field="bar size") if size else ladder(start, end, series.timeframe, most, calendar, least)
    drawn = partial(_drawn, snapshot, queue, calendar, series, adjustment)
    view = drawn(chosen, (start, end), as_known_at, marked, due)
    larger = coarser(chosen)
    # More bars may be stored than the calendar expects.
    while size is None and larger is not None and view.bars.num_rows > most:
        view = drawn(larger, (start, end), as_known_at, marked, due)
        larger = coarser(larger)
    return view


def bars_in(
    lake: DeltaLakeManager,
    series: Series,
    start: int,
    end: int,
    size: str,
    as_known_at: Moment | None = None,
    adjustment: Adjustment | None = None,
) -> pa.Table:
    """The bars of [start, end) in a size of the ladder, as a second series on a chart needs them (see `aggregate`)."""
    snapshot = require_stored(lake, series)
    to = size_named(size, field="bar size")
    first, last = _whole(to, series, start, end)
    steps = _steps(adjustment, snapshot, series, first, as_known_at)
    shown = [part.bars for part in PYRAMID.parts(snapshot, series, to, first, last, as_known_at, steps)]
    return in_size(pa.concat_tables(shown), series, to)


def _drawn(
    snapshot: Snapshot,
    queue: DeadLetterQueue,
    calendar: MarketCalendar,
    series: Series,
    adjustment: Adjustment | None,
    size: BarSize,
    span: tuple[int, int],
    as_known_at: Moment | None,
    marked: Sequence[tuple[int, int]],
    until: int,
) -> ChartView:
    start, end = _whole(size, series, *span)
    seen = Seen(series, calendar, covered(snapshot, series), marked)
    drawing = _Drawing(series, size, seen, queue.open_times(series, start, end))
    steps = _steps(adjustment, snapshot, series, start, as_known_at)
    for part in PYRAMID.parts(snapshot, series, size, start, end, as_known_at, steps):
        drawing.add(part)
    view = replace(drawing.view(start, end, until, moment_micros(as_known_at)), adjustment=adjustment)
    if view.bars.num_rows:
        return view
    return replace(view, nearest=nearest(snapshot, series, start, as_known_at))


def _steps(
    adjustment: Adjustment | None, snapshot: Snapshot, series: Series, start: int, as_known_at: Moment | None
) -> Steps | None:
    return None if adjustment is None else adjustment.steps(snapshot, series, start, moment_micros(as_known_at))


@dataclass(slots=True)
class _Drawing:
    """A view in the making: what each part of it adds."""

    series: Series
    size: BarSize
    seen: Seen
    dead: Ints
    """Opens of dead letters that no bar so far replaces."""
    is_mock: bool = False
    shown: list[pa.Table] = field(default_factory=list)
    restated: list[Ints] = field(default_factory=list)
    restated_since: list[Ints] = field(default_factory=list)

    def add(self, part: Part) -> None:
        self.seen.add_ranges(part.stored, part.later)
        self.dead = part.replaced(self.dead, self.series.step)
        self.is_mock = self.is_mock or part.is_mock
        self.shown.append(part.bars)
        self.restated.append(part.restated)
        self.restated_since.append(part.restated_since)

    def view(self, start: int, end: int, until: int, as_known_at: int | None) -> ChartView:
        missing = self.seen.missing(start, end, self.dead, until)
        bars = self._bars(min(end, until))
        return ChartView(
            series=self.series,
            start=start,
            end=end,
            size=self.size,
            bars=bars,
            counts=missing.counts(),
            gaps=missing.gaps(self.size.seconds, _MOST_GAPS),
            closures=self._closures(start, end, epochs(bars["timestamp"])),
            restated=np.concatenate(self.restated),
            restated_since=np.concatenate(self.restated_since),
            dead_letters=self.dead,
            volume_unit=volume_unit(self.series),
            is_mock=self.is_mock,
            as_known_at=as_known_at,
            missing=missing,
        )

    def _bars(self, due: int) -> pa.Table:
        bars = in_size(pa.concat_tables(self.shown), self.series, self.size)
        open_times = epochs(bars["timestamp"])
        ends = open_times + self.series.step if _is_own(self.size, self.series) else self.size.after(open_times)
        expected = expected_sources(self.seen.calendar, self.series.timeframe, open_times, ends, due)
        column = bars.schema.get_field_index("expected")
        return bars.set_column(column, "expected", pa.array(expected, pa.int64()))

    def _closures(self, start: int, end: int, open_times: Ints) -> list[tuple[int, int]]:
        timeframe = self.size.name if self.size.is_timeframe else self.series.timeframe
        if self.size.seconds > DAY:
            return []
        return closures(self.seen.calendar, timeframe, start, end, open_times, self.size.seconds)


def _is_own(size: BarSize, series: Series) -> bool:
    """Whether bars are shown as they are stored: an hourly one may open on the half hour, and stays there."""
    return size.name == series.timeframe


def _whole(size: BarSize, series: Series, start: int, end: int) -> tuple[int, int]:
    return (start, end) if _is_own(size, series) else size.widened(start, end)
