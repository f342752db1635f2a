"""Aligned bars of two sources: the places at which both have a bar, and the others of a kind."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffe_core.checks.bars import Bars, Floats, Ints
from ffe_core.series import Series


def later_sources(bars: Bars) -> Iterator[tuple[Series, Bars]]:
    """The same pair and timeframe from providers later by name, so that two are compared once."""
    for series, other in sorted(bars.others.items()):
        if series.timeframe == bars.series.timeframe and series.provider > bars.series.provider and len(other):
            yield series, other


def shared(bars: Bars, other: Bars) -> tuple[Ints, Ints]:
    """The places in both of the bars that open at the same time."""
    if len(bars) == len(other) and np.array_equal(bars.open_times, other.open_times):
        places = np.arange(len(bars))
        return places, places
    _, here, there = np.intersect1d(bars.open_times, other.open_times, assume_unique=True, return_indices=True)
    return here, there


def level(bars: Bars, other: Bars, here: Ints, there: Ints, around: int) -> Floats:
    """The usual ratio of the closes in each block of so many shared bars, in logarithms, one number a shared bar."""
    ratio = np.log(bars.values["close"][here] / other.values["close"][there])
    usual = np.empty(len(ratio))
    for start in range(0, len(ratio), around):
        usual[start : start + around] = np.median(ratio[start : start + around])
    return usual
