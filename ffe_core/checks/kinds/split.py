"""Unexplained split: a share opens at a simple fraction of its last close, and trades on as it did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

import numpy as np

from ffe_core.checks.bars import Bars, Floats
from ffe_core.checks.model import NOTICE, Check, Evidence, Found, grouped
from ffe_core.insight.units import NumberFormat
from ffe_core.instruments.names import asset_class
from ffe_core.times import DAY, utc

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
_NEAR_DAYS = 10
"""Splits on record so near to a jump that they do not explain are named beside it."""


def find(bars: Bars) -> Iterator[Found]:
    """First bars after a jump by a simple factor, unless splits on record remove it, with an ordinary day after it."""
    found = proposed(bars)
    chosen = np.array(list(found), np.int64)
    sizes = np.log([jump["new"] / jump["old"] for jump in found.values()])
    yield from grouped("split", bars, chosen, sizes, found.__getitem__, join=0)


def proposed(bars: Bars) -> dict[int, Evidence]:
    """Each jump that looks like a split and that none on record removes, by the place of its first bar."""
    if asset_class(bars.series.asset_pair, bars.series.provider) != "equity" or len(bars) < 3:
        return {}
    gap = np.zeros(len(bars))
    gap[1:] = np.log(bars.values["close"][:-1] / bars.values["open"][1:])
    usual = float(np.median(np.abs(gap[1:])))
    found: dict[int, Evidence] = {}
    for at in np.flatnonzero(np.abs(gap) > _AT_LEAST).tolist():
        factor = _simple(float(gap[at]), usual)
        if factor is None:
            continue
        jump = {
            "at": int(bars.open_times[at]),
            "bar_before": int(bars.open_times[at - 1]),
            "new": factor.numerator,
            "old": factor.denominator,
            "before": float(bars.values["close"][at - 1]),
            "open": float(bars.values["open"][at]),
            "tolerance": _tolerance(usual),
        }
        is_split = _is_ordinary(bars, at, abs(gap[at]) < _PLAIN) and _is_alone(gap, at)
        if is_split and not explaining(bars.factors, jump):
            found[at] = {**jump, "recorded": _recorded(bars.factors, jump)}
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
    nearest = min(_FACTORS, key=lambda factor: abs(np.log(float(factor)) - abs(gap)))
    if abs(np.log(float(nearest)) - abs(gap)) > _tolerance(usual):
        return None
    return nearest if gap > 0 else 1 / nearest


def _tolerance(usual: float) -> float:
    """How far, in logarithms, a jump may lie from its factor, in a market with such gaps between bars."""
    return min(max(0.025, 4 * usual), 0.06)


def explaining(factors: Mapping[int, float], jump: Evidence) -> list[int]:
    """The days on record whose splits remove a jump as backward adjustment applies them; none if they do not.

    `factors` are new shares for old ones by ex-day (epoch seconds); `jump` is the evidence of a finding. A split is
    applied to bars that open before its day: one on a day without trading before the jump removes it, one a day late
    does not. Both the jump and the simple ratio next to it must be within the jump's tolerance of what is on record,
    and that ratio must not leave less by a usual move: so 13:2 never explains 7:1.
    """
    at = int(jump["at"])
    days = applied(factors, int(jump.get("bar_before", at - DAY)), at)  # findings of earlier checks do not have it
    if not days:
        return []
    gap, simple = np.log(jump["before"] / jump["open"]), np.log(jump["new"] / jump["old"])
    known = sum(np.log(factors[day]) for day in days)
    tolerance = float(jump.get("tolerance", _tolerance(0.0)))
    is_near = max(abs(gap - known), abs(simple - known)) <= tolerance
    return days if is_near and abs(gap - known) - abs(gap - simple) <= tolerance / 4 else []


def applied(factors: Mapping[int, float], before: int, at: int) -> list[int]:
    """The days on record whose splits are applied between two neighbouring bars, by their opens (epoch seconds)."""
    return sorted(day for day in factors if before < day <= at)


def _recorded(factors: Mapping[int, float], jump: Evidence) -> list[str]:
    """The splits on record around a jump that they do not remove, as 7:1 on 2014-06-10."""
    near = sorted(day for day in factors if abs(day - jump["at"]) <= _NEAR_DAYS * DAY)
    ratios = [Fraction(factors[day]).limit_denominator(10_000) for day in near]
    return [
        f"{ratio.numerator}:{ratio.denominator} on {utc(day).date()}" for day, ratio in zip(near, ratios, strict=True)
    ]


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
    recorded = ", ".join(evidence.get("recorded", ()))
    told = f"{recorded} on record, which does not remove it" if recorded else "not applied"
    return f"looks like a {ratio} split: {before} before, {after} at the open; {told}"


CHECK = Check(
    "split",
    "A share opens at a simple fraction of its last close on an ordinary day, and no split is known: the factor is"
    " proposed, never applied.",
    NOTICE,
    find,
    _says,
)
