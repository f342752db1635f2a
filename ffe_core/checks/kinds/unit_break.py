"""Unit break: the level of prices changes at one bar by a factor that holds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffe_core.checks.bars import Bars, Floats
from ffe_core.checks.model import ERROR, Check, Evidence, Found, grouped
from ffe_core.insight.units import NumberFormat, in_digits, written
from ffe_core.instruments.names import asset_class
from ffe_core.times import DAY

_HELD = 12
"""Bars on each side over which the factor has to hold."""
_NEAR_SECONDS = 5 * DAY
"""A market may be elsewhere after a longer pause."""
_AGREE = 0.12
"""How near, in logarithms, the change of level has to be to the jump itself."""
_UNITS = np.log(10.0) * np.array([1, 2, 3, 4, 6, 8, 9])
"""Tens, pence for pounds, thousands: what units differ by."""
_SHARE_AT_LEAST = np.log(8.0)
_AT_LEAST = np.log(1.5)
"""No market but one of shares opens so far away and stays, in logarithms."""
_QUIET_SPANS = 4.0
"""After a change of unit a bar spans, for its price, about what it spanned before; in a crash it does not."""


def find(bars: Bars) -> Iterator[Found]:
    """First bars after a jump whose factor holds; a share's whole-number jump is a split and not this."""
    if len(bars) < 2 * _HELD:
        return
    close, opens = np.log(bars.values["close"]), np.log(bars.values["open"])
    jump = np.zeros(len(bars))
    jump[1:] = np.where(np.diff(bars.open_times) <= _NEAR_SECONDS, opens[1:] - close[:-1], 0.0)
    share = asset_class(bars.series.asset_pair, bars.series.provider) == "equity"
    places = np.flatnonzero(np.abs(jump) > (_SHARE_AT_LEAST if share else _AT_LEAST))
    kept = [at for at in places.tolist() if _holds(close, jump, at) and _is_unit(bars, jump, at, share)]
    chosen = np.array(kept, np.int64)

    def evidence(at: int) -> Evidence:
        return {"factor": float(np.exp(jump[at])), "before": float(np.exp(close[at - 1]))}

    yield from grouped("unit_break", bars, chosen, jump[chosen], evidence, join=0)


def _holds(close: Floats, jump: Floats, at: int) -> bool:
    before, after = close[max(0, at - _HELD) : at], close[at : at + _HELD]
    if min(len(before), len(after)) < _HELD:
        return False
    return bool(abs(np.median(after) - np.median(before) - jump[at]) < max(_AGREE, 0.1 * abs(jump[at])))


def _is_unit(bars: Bars, jump: Floats, at: int, share: bool) -> bool:
    near_ten = np.abs(abs(jump[at]) - _UNITS).min() < _AGREE
    inverse = abs(jump[at] + 2 * np.log(bars.values["close"][at - 1])) < _AGREE
    if near_ten or inverse:
        return True
    return not share and _is_quiet(bars, at)


def _is_quiet(bars: Bars, at: int) -> bool:
    spans = bars.spans / bars.values["close"]
    usual = float(np.median(spans[max(0, at - _HELD * 4) : at]))
    return bool(spans[at] <= max(_QUIET_SPANS * usual, 1e-3))


def _says(evidence: Evidence, prices: NumberFormat) -> str:
    factor, before = written(in_digits(evidence["factor"], 4)), prices.text(evidence["before"])
    return f"prices are {factor} times those before ({before}), and stay there"


CHECK = Check(
    "unit_break",
    "Prices change at one bar by a factor that holds, such as 100 or the inverse: another unit, another instrument.",
    ERROR,
    find,
    _says,
)
