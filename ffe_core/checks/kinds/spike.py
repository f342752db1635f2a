"""Spike: a high or low far outside the bars around it, to which the price has not stayed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffe_core.checks.bars import Bars, Floats, Ints
from ffe_core.checks.model import ERROR, Check, Evidence, Found, grouped
from ffe_core.insight.units import NumberFormat, in_digits

_WIDEST = 3
"""Bars that a spike may last."""
_AROUND = 50
"""Bars on each side whose spans say what is usual there."""
_USUAL_SPANS, _BUSY_SPANS = 10.0, 30.0
"""So many usual spans above the highest neighbour is far outside; so many where much was traded, as in news, or where
bars are missing beside it, so that the price had time to go and come back."""
_BUSY = 3.0
"""Times the volume of the bars around it: a misprint brings none with it."""
_LARGEST = 3
"""Spans around it that are left out of what is usual: other spikes, and this one."""
_TAIL, _BEYOND_TAIL = 0.999, 2.0
"""And so many times what the series reaches in one bar of a thousand: wicks are the habit of some markets."""
_LEAST_SHARE = 0.002
"""A spike is at least this share of the price."""
_DIGITS = 10
"""Of a difference of prices: what floats leave behind them is noise."""
_SEEN_ELSEWHERE = 0.5
"""Another source that reaches this share of it has seen it too."""


def find(bars: Bars) -> Iterator[Found]:
    """Bars that stick out above or below their neighbours, and that no other source of the pair shows."""
    if len(bars) < 2 * _WIDEST + 1:
        return
    up, down = bars.values["high"], -bars.values["low"]
    outside = np.maximum(_outside(up), _outside(down))
    sides = np.where(_outside(up) >= _outside(down), 1, -1)
    near = _candidates(bars, outside)
    usual = np.array([_usual(bars, at) for at in near.tolist()])
    excused = np.array([_is_busy(bars, at) or _is_thin(bars, at) for at in near.tolist()], dtype=bool)
    spans = np.where(excused, _BUSY_SPANS, _USUAL_SPANS)
    far = near[outside[near] > spans * usual] if len(near) else near
    alone = np.array([not _is_seen(bars, at, outside[at], sides[at]) for at in far.tolist()], dtype=bool)
    places = far[alone] if len(far) else far

    def evidence(at: int) -> Evidence:
        name = "high" if sides[at] > 0 else "low"
        return {
            "side": name,
            "price": float(bars.values[name][at]),
            "beyond": float(outside[at]),
            "usual": _usual(bars, at),
            "sources": len(_elsewhere(bars, at)),
        }

    yield from grouped("spike", bars, places, outside[places] / bars.values["close"][places], evidence)


def _outside(edge: Floats) -> Floats:
    """How far each bar's edge is above the highest of the bars before and after, for spikes of one to some bars."""
    best = np.zeros(len(edge))
    padded = np.concatenate([np.full(_WIDEST, np.inf), edge, np.full(_WIDEST, np.inf)])
    for width in range(1, _WIDEST + 1):
        for back in range(width):
            before = padded[_WIDEST - back - 1 : len(padded) - _WIDEST - back - 1]
            ahead = width - back
            after = padded[_WIDEST + ahead : len(padded) - _WIDEST + ahead]
            np.maximum(best, edge - np.maximum(before, after), out=best)
    return best


def _is_thin(bars: Bars, at: int) -> bool:
    around = bars.open_times[max(0, at - _WIDEST) : at + _WIDEST + 1]
    return bool(np.diff(around).max() > bars.series.step)


def _candidates(bars: Bars, outside: Floats) -> Ints:
    close = bars.values["close"]
    share = outside / np.abs(close)
    # The tail of what is usual, without the few largest: they may be what is looked for.
    kept = np.sort(share)[: max(1, min(int(_TAIL * len(share)), len(share) - 2 * _WIDEST))]
    least = max(_LEAST_SHARE, _BEYOND_TAIL * float(kept[-1]))
    return np.flatnonzero(share > least)


def _usual(bars: Bars, at: int) -> float:
    """The mean span around a bar: in thin markets half of the bars span nothing."""
    around = np.sort(bars.spans[max(0, at - _AROUND) : at + _AROUND + 1])
    return float(np.mean(around[:-_LARGEST]))


def _is_busy(bars: Bars, at: int) -> bool:
    volume = bars.values["volume"]
    around = np.median(volume[max(0, at - _AROUND) : at + _AROUND + 1])
    return bool(bars.has_volume and volume[at] >= _BUSY * around)


def _elsewhere(bars: Bars, at: int) -> list[tuple[Bars, int]]:
    """The same bar of other sources at the same timeframe."""
    found = []
    for series, other in bars.others.items():
        if series.timeframe == bars.series.timeframe:
            place = int(np.searchsorted(other.open_times, bars.open_times[at]))
            if place < len(other) and other.open_times[place] == bars.open_times[at]:
                found.append((other, place))
    return found


def _is_seen(bars: Bars, at: int, beyond: float, side: int) -> bool:
    name = "high" if side > 0 else "low"
    here = bars.values[name][at]
    return any(
        side * (other.values[name][place] - here) > -(1 - _SEEN_ELSEWHERE) * beyond
        for other, place in _elsewhere(bars, at)
    )


def _says(evidence: Evidence, prices: NumberFormat) -> str:
    spans = f", {evidence['beyond'] / evidence['usual']:,.0f} usual spans" if evidence["usual"] else ""
    others = {0: "", 1: "; the other source has none"}.get(evidence["sources"], "; the other sources have none")
    price, beyond = prices.text(evidence["price"]), prices.text(in_digits(evidence["beyond"], _DIGITS))
    return f"{evidence['side']} {price} is {beyond} outside its neighbours{spans}{others}"


CHECK = Check(
    "spike",
    "A high or low lies far outside the bars around it and the price comes back at once: a misprint, if no other source"
    " shows it.",
    ERROR,
    find,
    _says,
)
