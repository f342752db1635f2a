"""Unexplained split: a share opens at a simple fraction of its last close, and trades on as it did."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from ffe_core.checks.bars import Bars, Floats
from ffe_core.checks.model import NOTICE, Check, Evidence, Found, grouped
from ffe_core.insight.units import NumberFormat
from ffe_core.instruments.names import asset_class
from ffe_core.times import DAY

_FACTORS = sorted(
    {Fraction(new, old) for new in (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 50) for old in (1, 2)}
    | {Fraction(4, 3), Fraction(5, 4), Fraction(6, 5), Fraction(11, 10)}
)
"""New shares for old ones; the inverse of each is a reverse split."""
_AT_LEAST = np.log(1.08)
_PLAIN = np.log(1.24)
"""A share opens so far away after news too: a smaller jump is a split if all others of some months each way are smaller
than this share of it."""
_OF_OTHERS = 0.5
_YEAR = 125
_TENFOLD, _COMES_BACK, _SAME_JUMP = np.log(8.0), 100, 0.12
"""A jump by eight or more that is undone within so many bars is a wrong unit."""
_AROUND = 40
_TURNOVER = np.log(4.0)
"""Money traded may differ so much from the days around; a crash trades many times as much, a split does not."""
_TURNOVER_OF_SMALL = np.log(1.5)
_SPANS = 3.5
_SAME = 0.1
"""A known factor explains a jump that differs so little from it, in logarithms."""


def find(bars: Bars) -> Iterator[Found]:
    """First bars after a jump by a simple factor, unless the factor is known, with an ordinary day after it."""
    factors = proposed(bars)
    chosen = np.array(list(factors), np.int64)

    def evidence(at: int) -> Evidence:
        factor = factors[at]
        return {
            "new": factor.numerator,
            "old": factor.denominator,
            "before": float(bars.values["close"][at - 1]),
            "open": float(bars.values["open"][at]),
        }

    sizes = np.log([float(factor) for factor in factors.values()])
    yield from grouped("split", bars, chosen, sizes, evidence, join=0)


def proposed(bars: Bars) -> dict[int, Fraction]:
    """The factor of each jump that looks like a split and is none on record, by the place of its first bar."""
    if asset_class(bars.series.asset_pair, bars.series.provider) != "equity" or len(bars) < 3:
        return {}
    gap = np.zeros(len(bars))
    gap[1:] = np.log(bars.values["close"][:-1] / bars.values["open"][1:])
    usual = float(np.median(np.abs(gap[1:])))
    found = {}
    for at in np.flatnonzero(np.abs(gap) > _AT_LEAST).tolist():
        factor = _simple(float(gap[at]), usual)
        if (
            factor
            and not _is_known(bars, at, factor)
            and _is_ordinary(bars, at, abs(gap[at]) < _PLAIN)
            and _is_alone(gap, at)
        ):
            found[at] = factor
    return found


def _is_alone(gap: Floats, at: int) -> bool:
    """Whether a jump is none that the series makes now and then, and does not come back as wrong prices do."""
    around = gap[max(1, at - _YEAR) : at + _YEAR + 1]
    others = np.delete(around, at - max(1, at - _YEAR))
    if abs(gap[at]) < _PLAIN:
        return bool(np.abs(others).max(initial=0) < _OF_OTHERS * abs(gap[at]))
    back = gap[at + 1 : at + _COMES_BACK + 1], gap[max(1, at - _COMES_BACK) : at]
    return abs(gap[at]) < _TENFOLD or not bool((np.abs(np.concatenate(back) + gap[at]) < _SAME_JUMP).any())


def _simple(gap: float, usual: float) -> Fraction | None:
    """The simple factor nearest to a jump, if it is near for a market that opens elsewhere than it closed."""
    tolerance = min(max(0.025, 4 * usual), 0.06)
    nearest = min(_FACTORS, key=lambda factor: abs(np.log(float(factor)) - abs(gap)))
    if abs(np.log(float(nearest)) - abs(gap)) > tolerance:
        return None
    return nearest if gap > 0 else 1 / nearest


def _is_known(bars: Bars, at: int, factor: Fraction) -> bool:
    opened = int(bars.open_times[at])
    return any(is_same_split(day, value, opened, float(factor)) for day, value in bars.factors.items())


def is_same_split(day: int, value: float, at: int, factor: float) -> bool:
    """Whether a split on record explains a jump: from its ex-day on `value` new shares for an old one, a bar that opens
    `at` with `factor`; times in epoch seconds. It is so within a day and a tenth, as sources date and round apart."""
    return abs(day // DAY - at // DAY) <= 1 and bool(abs(np.log(value / factor)) < _SAME)


def _is_ordinary(bars: Bars, at: int, is_small: bool) -> bool:
    """Whether the bar trades about the money and spans about the share of its price that first bars of days do. After
    news a share opens as far away as after a small split, and more is traded."""
    firsts = np.flatnonzero(np.diff(bars.open_times // DAY, prepend=-1))
    here = int(np.searchsorted(firsts, at))
    around = firsts[max(0, here - _AROUND) : here + _AROUND + 1]
    around = around[around != at]
    if len(around) == 0:
        return False
    spans = bars.spans / bars.values["close"]
    if spans[at] > _SPANS * np.median(spans[around]):
        return False
    money = bars.values["close"] * bars.values["volume"]
    usual = np.nanmedian(money[around]) if bars.has_volume else 0.0
    if not usual:
        return not is_small
    return bool(abs(np.log(max(money[at], 1e-12) / usual)) < (_TURNOVER_OF_SMALL if is_small else _TURNOVER))


def _says(evidence: Evidence, prices: NumberFormat) -> str:
    ratio = f"{evidence['new']}:{evidence['old']}"
    before, after = prices.text(evidence["before"]), prices.text(evidence["open"])
    return f"looks like a {ratio} split: {before} before, {after} at the open; not applied"


CHECK = Check(
    "split",
    "A share opens at a simple fraction of its last close on an ordinary day, and no split is known: the factor is"
    " proposed, never applied.",
    NOTICE,
    find,
    _says,
)
