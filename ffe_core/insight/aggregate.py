"""Bar aggregation: the ladder of bar sizes, and stored bars joined into larger ones.

Sizes lie on a ladder of real ones, aligned to UTC: weeks begin on Monday, months, quarters and years on their first
day. Aggregated bars can be aggregated again, so a long range is worked through piece by piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ffe_core.calendars import MarketCalendar
from ffe_core.calendars.expected import ExpectedBars
from ffe_core.calendars.zones import offsets_of
from ffe_core.candles import TIMESTAMP, VALUES
from ffe_core.errors import InputError
from ffe_core.insight.local_grid import LocalGrid
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import MICROS, Ints, epochs
from ffe_core.timeframes import TIMEFRAMES, seconds
from ffe_core.times import DAY

UTC = "UTC"
_WEEK = 7 * DAY
# The epoch began on a Thursday.
_FIRST_MONDAY = 4 * DAY
_DAYS_IN_400_YEARS = 146_097
COUNTS = ("sources", "restated")


@dataclass(frozen=True, slots=True)
class BarSize:
    """A rung of the ladder: so many `seconds`, or so many calendar `months`."""

    name: str
    seconds: int
    """Length; the mean length where it is months."""
    months: int = 0
    zone: str = UTC
    """Whose midnights bars are counted from."""

    @property
    def is_timeframe(self) -> bool:
        """Whether candles of this size are also stored."""
        return self.name in TIMEFRAMES

    def buckets(self, open_times: Ints) -> Ints:
        """Where the bar that holds each open begins (epoch seconds)."""
        return self._floor(open_times) if self.zone == UTC else _local(self).buckets(open_times)

    def after(self, buckets: Ints) -> Ints:
        """Where the bar after each of these begins."""
        return self._after(buckets) if self.zone == UTC else _local(self).after(buckets)

    def widened(self, start: int, end: int) -> tuple[int, int]:
        """The range with the bars that it cuts taken whole."""
        first, last = (int(at) for at in self.buckets(np.array([start, max(start, end - 1)])))
        return first, int(self.after(np.array([last]))[0])

    def _floor(self, times: Ints) -> Ints:
        if self.months:
            months = times.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
            return _month_starts(months - months % self.months)
        origin = _FIRST_MONDAY if self.seconds == _WEEK else 0
        return times - (times - origin) % self.seconds

    def _after(self, buckets: Ints) -> Ints:
        if self.months:
            months = buckets.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
            return _month_starts(months + self.months)
        return buckets + self.seconds


@lru_cache
def _local(size: BarSize) -> LocalGrid:
    return LocalGrid(size.zone, size.seconds, size._floor, size._after)


def _month_starts(months: Ints) -> Ints:
    return months.astype("datetime64[M]").astype("datetime64[s]").astype(np.int64)


def _months(name: str, count: int) -> BarSize:
    return BarSize(name, _DAYS_IN_400_YEARS * DAY * count // 4800, count)


LADDER: tuple[BarSize, ...] = (
    *(BarSize(name, length) for name, length in TIMEFRAMES.items()),
    BarSize("1w", _WEEK),
    _months("1M", 1),
    _months("3M", 3),
    _months("1y", 12),
)
"""Bar sizes, the smallest first: the timeframes, then "1w", "1M", "3M", "1y"."""

DERIVED: tuple[BarSize, ...] = (
    BarSize("3m", 180),
    BarSize("10m", 600),
    BarSize("30m", 1800),
    BarSize("2h", 7200),
    BarSize("6h", 21_600),
    BarSize("8h", 28_800),
    BarSize("12h", 43_200),
    BarSize("1w", _WEEK),
    _months("1mo", 1),
)
"""Derived timeframes: kept nowhere, made of stored bars whenever somebody asks, beside the rungs of the ladder."""
SIZES: tuple[BarSize, ...] = tuple(sorted({*LADDER, *DERIVED}, key=lambda size: (size.seconds, size.name)))
"""Every size that bars can be had in, the smallest first."""


def bar_size(name: str) -> BarSize:
    """The rung of this name; InputError for another."""
    return _named(name, LADDER, "bar size")


def size_named(name: str, zone: str = UTC, field: str = "timeframe") -> BarSize:
    """The rung or derived timeframe of this name, on the grid of UTC or of a named zone.

    InputError of the field for another name, of the field `zone` for what is no zone.
    """
    found = _named(name, SIZES, field)
    if zone == UTC:
        return found
    offsets_of(zone)
    return replace(found, zone=zone)


def _named(name: str, sizes: Sequence[BarSize], field: str) -> BarSize:
    for size in sizes:
        if size.name == name:
            return size
    raise InputError(f"{name!r} is unknown; use one of {', '.join(size.name for size in sizes)}", field=field)


def fits(size: BarSize, timeframe: str) -> bool:
    """Whether bars of a size are made of whole ones of a timeframe, which open on the UTC grid."""
    step = seconds(timeframe)
    length = DAY if size.months else size.seconds
    if step > size.seconds or length % step:
        return False
    return size.zone == UTC or not (offsets_of(size.zone)[1] % step).any()


def choices(series: Series) -> list[BarSize]:
    """The timeframes, stored and derived, that bars of a series can be made into, its own first.

    Hourly bars of a share may open on the half hour: only those of a day and more hold them whole.
    """
    named = {*TIMEFRAMES, *(size.name for size in DERIVED)}
    step, least = series.step, DAY if series.has_hour_grid else 0
    fitting = [size for size in SIZES if size.name in named and fits(size, series.timeframe)]
    return [size for size in fitting if size.seconds == step or size.seconds >= least]


def chosen_size(series: Series, name: str, field: str = "size") -> BarSize:
    """The one of the `choices` of a series with this name; InputError listing them for another."""
    return _named(name, choices(series), field)


def rungs(timeframe: str, least: BarSize | None = None) -> list[BarSize]:
    """The sizes that bars of a timeframe can be shown in, its own first, or `least` and what is larger."""
    if least is not None:
        return [least, *(size for size in LADDER if size.seconds > least.seconds)]
    return [size for size in LADDER if size.seconds >= seconds(timeframe)]


def ladder(
    start: int,
    end: int,
    timeframe: str,
    most: int = 1500,
    calendar: MarketCalendar | None = None,
    least: BarSize | None = None,
) -> BarSize:
    """The smallest size in which [start, end) of a series has at most `most` bars; the largest if none has.

    With a calendar only the bars that the market should have are counted. `least` is the smallest to choose from.
    """
    sizes = rungs(timeframe, least)
    return next((size for size in sizes if bars_due(start, end, size, calendar) <= most), sizes[-1])


def coarser(size: BarSize) -> BarSize | None:
    """The next rung up; None at the top."""
    return next((larger for larger in LADDER if larger.seconds > size.seconds), None)


def bars_due(start: int, end: int, size: BarSize, calendar: MarketCalendar | None = None) -> int:
    """How many bars of a size [start, end) has, by the calendar if there is one."""
    if calendar is not None and size.is_timeframe:
        return calendar.expected_count(size.name, *clipped(calendar, start, end))
    return -(-(end - start) // size.seconds)


def clipped(calendar: MarketCalendar, start: int, end: int) -> tuple[int, int]:
    """The part of a range that the calendar knows; an empty one may be reversed."""
    first, last = calendar.horizon
    return max(start, start if first is None else first), min(end, end if last is None else last)


def aggregate(table: pa.Table, step: int, to: BarSize) -> pa.Table:
    """Bars of a larger size: open first, high max, low min, close last, volume sum.

    `table` holds bars of `step` seconds by time: timestamp and the five values, perhaps `sources` and `restated`, which
    are added up (a bar without `sources` stands for itself). Returns timestamp, the five values, `sources` (how many
    bars each stands for), `expected` (how many would fill it) and, if it was there, `restated`. InputError if `to` is
    smaller than `step`.
    """
    if to.seconds < step:
        raise InputError(
            f"{to.name} is smaller than the bars there are, of {step} s; use a larger one", field="bar size"
        )
    if (DAY if to.months else to.seconds) % step:
        raise InputError(
            f"{to.name} cuts the bars there are, of {step} s; use a size that holds them whole", field="bar size"
        )
    open_times = epochs(table["timestamp"])
    buckets = to.buckets(open_times)
    first = np.flatnonzero(np.diff(buckets, prepend=buckets[:1] - 1))
    at = buckets[first]
    columns = {"timestamp": stamps(at)}
    columns |= {name: _fold(table, name, first) for name in VALUES}
    columns["sources"] = _total(table, "sources", first)
    columns["expected"] = pa.array((to.after(at) - at) // step, pa.int64())
    if "restated" in table.column_names:
        columns["restated"] = _total(table, "restated", first)
    return pa.table(columns)


def expected_sources(calendar: MarketCalendar, timeframe: str, buckets: Ints, ends: Ints, until: int) -> Ints:
    """How many bars of `timeframe` should open in each [bucket, end) and before `until`, by the calendar."""
    if len(buckets) == 0:
        return buckets
    known = clipped(calendar, int(buckets[0]), min(int(ends[-1]), until))
    bars = ExpectedBars.of(calendar, timeframe, *known)
    return bars.rank(ends) - bars.rank(buckets)


def stamps(open_times: Ints) -> pa.Array:
    """Epoch seconds as a timestamp column."""
    return pa.array(open_times * MICROS, pa.int64()).cast(TIMESTAMP)


_FOLDS: dict[str, Callable[[npt.NDArray[np.float64], Ints], npt.NDArray[np.float64]]] = {
    "open": lambda values, first: values[first],
    "high": lambda values, first: np.maximum.reduceat(values, first),
    "low": lambda values, first: np.minimum.reduceat(values, first),
    "close": lambda values, first: values[np.append(first[1:], len(values)) - 1],
    "volume": lambda values, first: np.add.reduceat(values, first),
}


def _fold(table: pa.Table, name: str, first: Ints) -> pa.Array:
    values = table[name].to_numpy()
    return pa.array(_FOLDS[name](values, first) if len(first) else values, pa.float64())


def _total(table: pa.Table, name: str, first: Ints) -> pa.Array:
    values = table[name].to_numpy() if name in table.column_names else np.ones(table.num_rows, np.int64)
    return pa.array(np.add.reduceat(values, first) if len(first) else values, pa.int64())
