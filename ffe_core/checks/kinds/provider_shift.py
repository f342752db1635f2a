"""Shift between providers: one source's bars are another's some whole bars later, found by cross-correlation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ffe_core.checks.bars import Bars, Floats
from ffe_core.checks.kinds.aligned import later_sources, shared
from ffe_core.checks.model import ERROR, Check, Evidence, Found, grouped
from ffe_core.counts import many
from ffe_core.insight.units import NumberFormat

_BLOCK = 120
"""Bars that are correlated at a time."""
_FARTHEST = 24
"""Bars that a shift is looked for, each way: a zone of any hour at 1h."""
_TOGETHER, _APART = 0.7, 0.3
"""Correlation of the moves at the best shift at least, and how much less it is without one."""
_FEWEST = 60


def find(bars: Bars) -> Iterator[Found]:
    """Stretches in which the moves agree at some shift and not where they stand."""
    for series, other in later_sources(bars):
        here, there = shared(bars, other)
        if len(here) < _FEWEST:
            continue
        mine = _moves(bars.values["close"][here])
        theirs = _moves(other.values["close"][there])
        shift = np.zeros(len(here), np.int64)
        for start in range(0, len(here) - _FEWEST, _BLOCK):
            block = slice(start, start + _BLOCK if len(here) - start >= _BLOCK + _FEWEST else len(here))
            shift[block] = _shift(mine, theirs, block)
        beside = np.zeros(len(bars))
        beside[here] = other.values["close"][there]
        for lag in np.unique(shift[shift != 0]).tolist():
            places = here[shift == lag]
            evidence = _evidence(lag, lag * bars.series.step)
            sizes = np.full(len(places), float(lag))
            yield from grouped(
                "provider_shift",
                bars,
                places,
                sizes,
                evidence,
                join=_BLOCK,
                other=series,
                beside=[beside],
            )


def _evidence(bars: int, seconds: int) -> Callable[[int], Evidence]:
    return lambda at: {"bars": bars, "seconds": seconds}


def _moves(close: Floats) -> Floats:
    moves = np.diff(np.log(close), prepend=np.log(close[0]))
    limit = 6 * np.median(np.abs(moves)) + 1e-12
    clipped: Floats = np.clip(moves, -limit, limit)  # one misprint must not decide
    return clipped


def _shift(mine: Floats, theirs: Floats, block: slice) -> int:
    """By how many bars the block of mine comes after theirs; 0 where it stands well or fits nowhere."""
    own = mine[block]
    length = len(own)
    still = _correlation(own, theirs[block])
    if still > 1 - _APART:
        return 0
    lags = [lag for lag in range(-_FARTHEST, _FARTHEST + 1) if 0 <= block.start - lag <= len(theirs) - length and lag]
    if not lags:
        return 0
    found = [_correlation(own, theirs[block.start - lag : block.start - lag + length]) for lag in lags]
    best = int(np.argmax(found))
    return lags[best] if found[best] >= _TOGETHER and found[best] - still >= _APART else 0


def _correlation(left: Floats, right: Floats) -> float:
    left, right = left - left.mean(), right - right.mean()
    scale = float(np.sqrt((left @ left) * (right @ right)))
    return float(left @ right) / scale if scale else 0.0


def _says(evidence: Evidence, _: NumberFormat) -> str:
    bars = evidence["bars"]
    way = "later" if bars > 0 else "earlier"
    return f"bars stand {many(abs(bars), 'whole bar')} {way} than in the other source ({evidence['seconds']:+,} s)"


CHECK = Check(
    "provider_shift",
    "The moves of two sources agree when one is shifted by whole bars, and not as they stand: one has a wrong zone or"
    " names bars by their close.",
    ERROR,
    find,
    _says,
    join=120,
)
