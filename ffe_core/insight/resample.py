"""Resampling of stored bars into larger ones, exactly: each says how many bars it is made of, and of how many due.

Open, high, low and close are values that were stored; a volume is the sum of those stored, rounded once (`math.fsum`),
so that it does not hang on the order or on how the bars were read. Nothing is filled in, and nothing is kept.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pyarrow as pa

from ffe_core.calendars import MarketCalendar
from ffe_core.calendars.expected import ExpectedBars
from ffe_core.candles import VALUES
from ffe_core.errors import InputError
from ffe_core.insight.aggregate import BarSize, aggregate, clipped
from ffe_core.intervals import join_ranges, ranges_of, total_before
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import Ints, epochs
from ffe_core.timeframes import TIMEFRAMES
from ffe_core.times import iso

COUNTS = ("sources", "expected", "is_complete")
"""What a resampled bar says of itself beside its values."""
_EXACT = 2.0**53
"""Whole numbers up to here add up exactly as they are."""


def resample(bars: pa.Table, series: Series, size: BarSize, calendar: MarketCalendar) -> pa.Table:
    """The bars of a series in a larger size, by time, for every larger bar with a stored one in it.

    `bars` has timestamp and the five values, one row a bar by time, as `bars.bars` gives them. Returns timestamp (its
    open), the five values, `sources` (int64, stored bars in it), `expected` (int64, how many its market should have in
    it) and `is_complete` (bool: none of those expected is missing, and none is still to come). InputError for a size
    that is smaller than the stored bars, or that cuts one of them.
    """
    require_fitting(series, size, epochs(bars["timestamp"]))
    made = aggregate(bars.select(["timestamp", *VALUES]), series.step, size)
    at = epochs(made["timestamp"])
    ends = size.after(at)
    expected, there = _expected(series, calendar, epochs(bars["timestamp"]), at, ends)
    columns = {name: made[name] for name in ("timestamp", *VALUES, "sources")}
    columns["volume"] = _volumes(bars, size)
    columns["expected"] = pa.array(expected, pa.int64())
    columns["is_complete"] = pa.array(there == expected, pa.bool_())
    return pa.table(columns)


def _expected(series: Series, calendar: MarketCalendar, open_times: Ints, at: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """How many bars should open in each [at, end), and how many of these are stored: others may be, too."""
    if len(at) == 0:
        return at, at
    bars = ExpectedBars.of(calendar, series.timeframe, *clipped(calendar, int(at[0]), int(ends[-1])))
    first, last = bars.rank(at), bars.rank(ends)
    held = bars.ranks_of(join_ranges([ranges_of(open_times, series.step)], series.step))
    return last - first, total_before(held, last) - total_before(held, first)


def require_fitting(series: Series, size: BarSize, open_times: Ints) -> None:
    """InputError if a bar that opens at one of these times would not lie within one bar of the size."""
    if size.seconds < series.step:
        raise InputError(
            f"{size.name} is smaller than {series.timeframe}, which is stored; use {series.timeframe} or more",
            field="resample",
        )
    cut = size.buckets(open_times) != size.buckets(open_times + series.step - 1)
    if cut.any():
        first = int(open_times[np.flatnonzero(cut)[0]])
        smaller = [name for name, length in TIMEFRAMES.items() if length < series.step] or [series.timeframe]
        raise InputError(
            f"{size.name} on the grid of {size.zone} cuts bars of {series}, such as the one that opens at {iso(first)};"
            f" resample smaller stored bars ({', '.join(smaller)}), or choose another zone",
            field="resample",
        )


def _volumes(bars: pa.Table, size: BarSize) -> pa.Array:
    volumes = bars["volume"].to_numpy()
    buckets = size.buckets(epochs(bars["timestamp"]))
    first = np.flatnonzero(np.diff(buckets, prepend=buckets[:1] - 1))
    if len(first) == 0:
        return pa.array([], pa.float64())
    if (volumes == np.floor(volumes)).all() and np.abs(volumes).sum() < _EXACT:
        return pa.array(np.add.reduceat(volumes, first))
    listed = volumes.tolist()
    edges = [*first.tolist(), len(listed)]
    return pa.array([math.fsum(listed[a:b]) for a, b in pairwise(edges)], pa.float64())
