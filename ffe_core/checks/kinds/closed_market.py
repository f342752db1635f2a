"""Closed market: bars at times when the market's calendar says that it is shut, such as weekends in FX."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffe_core.checks.bars import Bars
from ffe_core.checks.model import WARNING, Check, Evidence, Found, grouped
from ffe_core.insight.units import NumberFormat
from ffe_core.intervals import open_times_in, without
from ffe_core.times import iso


def find(bars: Bars) -> Iterator[Found]:
    """Stored bars that the calendar neither expects nor leaves open."""
    expected = bars.expected
    if expected is None:
        return
    step = bars.series.step
    extra = without(without(bars.ranges, expected.runs, step), expected.optional, step)
    if len(extra) == 0:
        return
    places = np.searchsorted(bars.open_times, open_times_in(extra, step))
    sizes = np.ones(len(places))
    evidence = {"calendar": bars.calendar.name}
    yield from grouped("closed_market", bars, places, sizes, lambda at: evidence, join=CHECK.join)


def _says(evidence: Evidence, _: NumberFormat) -> str:
    return f"the first at {iso(evidence['at'])}, when {evidence['calendar']} is closed"


CHECK = Check(
    "closed_market",
    "Bars open while the market's calendar says it is closed: a weekend in FX, a holiday, hours in another zone.",
    WARNING,
    find,
    _says,
    join=400,
)
