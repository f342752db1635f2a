"""Unit break: the level of prices changes at one bar by a factor that holds, or comes back after some bars."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffe_core.checks.bars import Bars, Floats
from ffe_core.checks.kinds.split import applied, proposed
from ffe_core.checks.model import ERROR, Check, Evidence, Found, grouped
from ffe_core.counts import many
from ffe_core.insight.units import NumberFormat, in_digits, written
from ffe_core.instruments.names import asset_class
from ffe_core.times import DAY

_HELD = 12
"""Bars on each side over which the factor has to hold, up to the next jump."""
_FEWEST = 4
"""Bars of a level between two jumps: fewer are a spike. The first and last bars of a series may be fewer, as nothing
shows how it goes on: any number of another unit, three at another factor."""
_FEWEST_AT_END = 3
_COMES_BACK = 100
"""Bars up to which a level that comes back is one finding."""
_AGREE = 0.12
"""How near, in logarithms, the change of level has to be to the jump itself, and a jump to a unit."""
_AGREE_SHARE = 0.3
"""The same as a share of a small jump."""
_UNITS = np.log(10.0) * np.array([1, 2, 3, 4, 6, 8, 9])
"""Tens, pence for pounds, thousands: what units differ by."""
_SHARE_AT_LEAST = np.log(8.0)
_AT_LEAST = np.log(1.05)
_SPANS = 12.0
"""No market but one of shares opens so many usual spans away; after a pause as many as a random walk gets in it."""
_LONG_DAYS, _BUSY_DAY = 5, 0.02
"""After so many days a market may be elsewhere: only units count, and a day moves it by so much at least."""
_FLAT, _THIN_AT_LEAST = 0.1, np.log(1.5)
"""With more bars without a span around, prices move between bars: a smaller jump says nothing."""
_NEIGHBOURS, _OF_OTHERS, _ALIKE = 250, 1 / 3, 0.95
"""Nor does one that is no unit have others around that reach so much of it, but those by the same factor."""
_AROUND = 48
_LARGEST = 3
"""Spans around it that are left out of what is usual: spikes."""
_QUIET_SPANS, _OF_JUMP = 4.0, 0.1
"""After a change of unit bars span, for their price, about what they spanned before; in a crash they do not. The first
may be a wide one, if not for the jump."""


@dataclass(frozen=True, slots=True)
class _Jump:
    """A first bar at another level, how far away it opens, in logarithms, and whether that is what units differ by."""

    at: int
    size: float
    is_unit: bool


def find(bars: Bars) -> Iterator[Found]:
    """First bars after a jump whose factor holds, and all bars of a level that comes back. A share's jump by a simple
    factor on an ordinary day is a split and not this, and one that is on record is none."""
    if len(bars) < 2 * _FEWEST:
        return
    close, opens = np.log(bars.values["close"]), np.log(bars.values["open"])
    jump = np.zeros(len(bars))
    jump[1:] = opens[1:] - close[:-1]
    share = asset_class(bars.series.asset_pair, bars.series.provider) == "equity"
    near = np.flatnonzero(np.abs(jump) > (_SHARE_AT_LEAST if share else _AT_LEAST)).tolist()
    far = [at for at in near if abs(jump[at]) > _expected(bars, at)]
    levels = [0, *far, len(bars)]
    odd = [_jump(bars, jump, at, share) for at in far]
    splits = proposed(bars) if share and any(odd) else {}
    held = [
        one
        for place, one in enumerate(odd)
        if one and _holds(close, one, levels[place], levels[place + 2])
        if not _is_removed(bars, one) and one.at not in splits
    ]
    lasts = _lasts(held, len(bars))
    places = [np.arange(one.at, one.at + max(1, lasts[one])) for one in lasts]
    first = {one.at: one for one in lasts}
    sizes = np.concatenate(
        [np.full(len(own), one.size) for own, one in zip(places, lasts, strict=True)] or [np.empty(0)]
    )

    def evidence(at: int) -> Evidence:
        one = first[at]
        before = float(bars.values["close"][at - 1])
        return {"factor": float(np.exp(one.size)), "before": before, "bars": lasts[one]}

    chosen = np.concatenate(places or [np.empty(0, np.int64)])
    yield from grouped("unit_break", bars, chosen, sizes, evidence, join=CHECK.join)


def _lasts(held: list[_Jump], count: int) -> dict[_Jump, int]:
    """How many bars each new level lasts that comes back or is too young to say that it holds; 0 of one that holds."""
    found: dict[_Jump, int] = {}
    is_back = False
    for one, after in zip(held, [*held, None][1:], strict=True):
        if is_back:
            is_back = False
            continue
        is_back = (
            after is not None and after.at - one.at <= _COMES_BACK and abs(one.size + after.size) < _agree(one.size)
        )
        if after is not None and is_back:
            found[one] = after.at - one.at
        else:
            found[one] = count - one.at if count - one.at < _HELD else 0
    return found


def _usual(bars: Bars, at: int) -> float:
    """Mean true range (Wilder's: from the last close on), as a share of the price, of the bars before a jump, or after
    one at the beginning. In thin markets prices move between bars, not in them."""
    first, end = (max(1, at - _AROUND), at) if at >= _HELD else (at + 1, min(at + 1 + _AROUND, len(bars)))
    close = bars.values["close"]
    high = np.maximum(bars.values["high"][first:end], close[first - 1 : end - 1])
    low = np.minimum(bars.values["low"][first:end], close[first - 1 : end - 1])
    ranges = np.sort((high - low) / close[first:end])
    return float(np.mean(ranges[: max(1, len(ranges) - _LARGEST)])) if len(ranges) else 0.0


def _expected(bars: Bars, at: int) -> float:
    """How far away a bar may open after the bar before it."""
    pause = bars.open_times[at] - bars.open_times[at - 1]
    usual = _usual(bars, at) * np.sqrt(pause / bars.series.step)
    days = pause / DAY
    return float(_SPANS * (max(usual, _BUSY_DAY * np.sqrt(days)) if days > _LONG_DAYS else usual))


def _jump(bars: Bars, jump: Floats, at: int, share: bool) -> _Jump | None:
    size = float(jump[at])
    near_ten = bool(np.abs(abs(size) - _UNITS).min() < _AGREE)
    if near_ten or share:
        return _Jump(at, size, is_unit=True) if near_ten else None
    after_pause = bars.open_times[at] - bars.open_times[at - 1] > _LONG_DAYS * DAY
    if after_pause or _is_thin(bars, size, at) or not (_is_quiet(bars, size, at) and _is_alone(jump, at)):
        return None
    inverse = abs(size + 2 * np.log(bars.values["close"][at - 1])) < min(_AGREE, _AGREE_SHARE / 2 * abs(size))
    return _Jump(at, size, is_unit=bool(inverse))


def _is_thin(bars: Bars, size: float, at: int) -> bool:
    around = bars.spans[max(0, at - _AROUND) : at + _AROUND]
    return bool(abs(size) < _THIN_AT_LEAST and np.mean(around == 0) > _FLAT)


def _is_alone(jump: Floats, at: int) -> bool:
    size, others = abs(jump[at]), np.abs(jump[max(0, at - _NEIGHBOURS) : at + _NEIGHBOURS + 1])
    return bool((others[others < _ALIKE * size] < _OF_OTHERS * size).all())


def _holds(close: Floats, jump: _Jump, first: int, end: int) -> bool:
    """Whether the level changes by the jump, from the jump before it up to the one after it."""
    at = jump.at
    before, after = close[max(first, at - _HELD) : at], close[at : min(end, at + _HELD)]
    fewest = 1 if jump.is_unit else _FEWEST_AT_END
    if len(before) < (fewest if first == 0 else _FEWEST) or len(after) < (fewest if end == len(close) else _FEWEST):
        return False
    return bool(abs(np.median(after) - np.median(before) - jump.size) < _agree(jump.size))


def _agree(size: float) -> float:
    return max(min(_AGREE, _AGREE_SHARE * abs(size)), 0.1 * abs(size))


def _is_quiet(bars: Bars, size: float, at: int) -> bool:
    spans = bars.spans / bars.values["close"]
    most = max(_QUIET_SPANS * _usual(bars, at), 1e-3)
    return bool(spans[at] <= max(most, _OF_JUMP * abs(size)) and np.median(spans[at : at + _HELD]) <= most)


def _is_removed(bars: Bars, jump: _Jump) -> bool:
    """Whether splits on record remove a jump."""
    before, at = (int(bars.open_times[place]) for place in (jump.at - 1, jump.at))
    days = applied(bars.factors, before, at)
    left = jump.size + sum(np.log(bars.factors[day]) for day in days)
    return bool(days) and bool(abs(left) < _AGREE)


def _says(evidence: Evidence, prices: NumberFormat) -> str:
    factor, before = written(in_digits(evidence["factor"], 4)), prices.text(evidence["before"])
    lasts = evidence.get("bars")
    how = f"for {many(lasts, 'bar')}" if lasts else "and stay there"
    return f"prices are {factor} times those before ({before}), {how}"


CHECK = Check(
    "unit_break",
    "Prices change at one bar by a factor that holds, such as 100 or the inverse: another unit, another instrument.",
    ERROR,
    find,
    _says,
    join=1,
)
