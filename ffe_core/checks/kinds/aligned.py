"""Aligned bars of two sources: what both have, how far apart they usually are, and which of the two is to blame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ffe_core.candles import PRICES
from ffe_core.checks.bars import Bars, Floats, Ints, Mask

_BLOCK = 100
"""Shared bars of which the median ratio is taken."""
_BLOCKS = 5
"""Blocks of which the median is the usual ratio: what lasts for less than half of them does not change it."""
_FEWEST_BLOCKS = 3
_TIED = 1e-9


@dataclass(frozen=True, eq=False)
class Pairing:
    """Two sources beside each other, a row for each bar that both have; ratios are logarithms of here by there."""

    bars: Bars
    other: Bars
    here: Ints
    """Places in the bars, and in the other's."""
    there: Ints

    @cached_property
    def ratios(self) -> Floats:
        """(4, n) of open, high, low and close."""
        columns = [self.bars.values[name][self.here] / self.other.values[name][self.there] for name in PRICES]
        return np.log(np.array(columns).reshape(len(PRICES), -1))

    @property
    def ratio(self) -> Floats:
        """(n,) of the closes."""
        return np.asarray(self.ratios[PRICES.index("close")])

    @cached_property
    def edges(self) -> Ints:
        """Where blocks begin, and the end of the last; few bars are one block."""
        count = len(self.here) // _BLOCK
        return np.linspace(0, len(self.here), (count if count >= _FEWEST_BLOCKS else 1) + 1).astype(np.int64)

    @cached_property
    def levels(self) -> Floats:
        """The usual ratio of each block. A median of medians follows a step and steps over what is gone again soon."""
        own = np.array([np.median(self.ratio[a:b]) for a, b in zip(self.edges[:-1], self.edges[1:], strict=True)])
        width = min(_BLOCKS, len(own) - (len(own) + 1) % 2)
        first = np.clip(np.arange(len(own)) - width // 2, 0, len(own) - width)
        return np.asarray(np.median(own[first[:, None] + np.arange(width)], axis=1))

    @cached_property
    def block(self) -> Ints:
        """(n,) The block of each row."""
        return np.repeat(np.arange(len(self.levels)), np.diff(self.edges))

    @cached_property
    def spans(self) -> Floats:
        """(2, n) Span of each bar as a share of its price, here and there."""
        here = (self.bars.spans / self.bars.values["close"])[self.here]
        return np.array([here, (self.other.spans / self.other.values["close"])[self.there]])

    @cached_property
    def beside(self) -> Floats:
        """The other's closes, one for each of the bars."""
        found = np.zeros(len(self.bars))
        found[self.here] = self.other.values["close"][self.there]
        return found

    @cached_property
    def is_blamed(self) -> Mask:
        """(n,) Rows of which this source is to blame and not the other: it is the farther one from the middle (median)
        of all sources that have the bar. Two alone are as far from it as each other: it is the first by name."""
        opens, first = self.bars.open_times[self.here], self.bars.series.provider < self.other.series.provider
        sources = [one for _, one in _same_timeframe(self.bars)]
        if len(sources) < 2:
            return np.full(len(opens), first)
        farther = np.zeros((2, len(opens)))
        for name in PRICES:
            every = np.log(np.array([_at(one, opens, name) for one in (self.bars, *sources)]))
            middle = np.nanmedian(every, axis=0)
            for row, column in enumerate((self.bars.values[name][self.here], self.other.values[name][self.there])):
                np.maximum(farther[row], np.abs(np.log(column) - middle), out=farther[row])
        here, there = farther
        return (here > there + _TIED) | (first & (np.abs(here - there) <= _TIED))


def pairings(bars: Bars, fewest: int) -> Iterator[Pairing]:
    """The bars beside each other source of the pair and timeframe with which they share so many, wherever they may be
    to blame, so that what two disagree in is found once."""
    for _, other in _same_timeframe(bars):
        here, there = shared(bars, other)
        if len(here) >= fewest:
            pairing = Pairing(bars, other, here, there)
            if pairing.is_blamed.any():
                yield pairing


def _same_timeframe(bars: Bars) -> list[tuple[str, Bars]]:
    found = [(series.provider, other) for series, other in bars.others.items() if len(other)]
    return sorted(((name, one) for name, one in found if one.series.timeframe == bars.series.timeframe), key=_by_name)


def _by_name(found: tuple[str, Bars]) -> str:
    return found[0]


def _at(bars: Bars, opens: Ints, name: str) -> Floats:
    """Prices at some opens, NaN where there is no bar."""
    place = np.minimum(np.searchsorted(bars.open_times, opens), len(bars) - 1)
    return np.where(bars.open_times[place] == opens, bars.values[name][place], np.nan)


def shared(bars: Bars, other: Bars) -> tuple[Ints, Ints]:
    """The places in both of the bars that open at the same time."""
    if len(bars) == len(other) and np.array_equal(bars.open_times, other.open_times):
        places = np.arange(len(bars))
        return places, places
    _, here, there = np.intersect1d(bars.open_times, other.open_times, assume_unique=True, return_indices=True)
    return here, there
