"""Shift between providers: one source's bars are another's some whole bars later, found by cross-correlation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ffe_core.checks.bars import Bars, Floats, Ints
from ffe_core.checks.kinds.aligned import Pairing, pairings
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
    named = np.zeros(len(bars), dtype=bool)
    for pairing in pairings(bars, _FEWEST):
        shift, other = shifts(pairing), pairing.other.series
        for lag in np.unique(shift[shift != 0]).tolist():
            stretch = shift == lag
            if np.mean(pairing.is_blamed[stretch]) <= 0.5:
                continue
            places = pairing.here[stretch & ~named[pairing.here]]
            named[places] = True
            evidence = _evidence(lag, lag * bars.series.step, other.provider)
            sizes = np.full(len(places), float(lag))
            yield from grouped(
                "provider_shift", bars, places, sizes, evidence, join=_BLOCK, other=other, beside=[pairing.beside]
            )


def shifts(pairing: Pairing) -> Ints:
    """(n,) By how many bars each row comes after the other source's; 0 where it stands well or fits nowhere."""
    count = len(pairing.here)
    mine = _moves(pairing.bars.values["close"][pairing.here])
    theirs = _moves(pairing.other.values["close"][pairing.there])
    shift = np.zeros(count, np.int64)
    for start in range(0, count - _FEWEST, _BLOCK):
        block = slice(start, start + _BLOCK if count - start >= _BLOCK + _FEWEST else count)
        shift[block] = _shift(mine, theirs, block)
    return shift


def _evidence(bars: int, seconds: int, source: str) -> Callable[[int], Evidence]:
    return lambda at: {"bars": bars, "seconds": seconds, "source": source}


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
    where = f"at {evidence['source']}" if "source" in evidence else "in the other source"
    return f"bars stand {many(abs(bars), 'whole bar')} {way} than {where} ({evidence['seconds']:+,} s)"


CHECK = Check(
    "provider_shift",
    "The moves of two sources agree when one is shifted by whole bars, and not as they stand: one has a wrong zone or"
    " names bars by their close.",
    ERROR,
    find,
    _says,
    join=120,
)
