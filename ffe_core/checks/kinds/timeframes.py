"""Timeframe against timeframe: a bar is the first open, highest high, lowest low, last close and sum of its parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffe_core.calendars.base import CalendarHorizonError
from ffe_core.calendars.expected import ExpectedBars
from ffe_core.candles import PRICES, VALUES
from ffe_core.checks.bars import Bars, Floats, Ints, Mask
from ffe_core.checks.model import ERROR, Check, Evidence, Found, grouped
from ffe_core.insight.units import NumberFormat, summed, value_text
from ffe_core.series import Series

_RELATIVE = 1e-9
"""What the last digits of floats may differ by."""
_SUMS = 1e-6
"""What a sum of volumes may differ by, as a share."""


@dataclass(frozen=True, eq=False)
class Parts:
    """What the bars of a finer timeframe come to, one row for each coarser bar that has any."""

    series: Series
    places: Ints
    """The coarser bars."""
    values: dict[str, Floats]
    is_whole: Mask
    """Whether every part is there that the calendar expects."""


def finer(bars: Bars) -> Bars | None:
    """The next finer series of the same provider that has bars in the window."""
    step = bars.series.step
    found = [
        other
        for series, other in bars.others.items()
        if series.provider == bars.series.provider and series.step < step and len(other)
    ]
    return max(found, key=lambda other: other.series.step, default=None)


def parts_of(bars: Bars, fine: Bars | None = None) -> Parts | None:
    """The parts of each bar out of the next finer series, or out of the one that is given; None without one."""
    fine = finer(bars) if fine is None else fine
    if fine is None or len(bars) == 0:
        return None
    owner = np.searchsorted(bars.open_times, fine.open_times, side="right") - 1
    inside = (owner >= 0) & (fine.open_times < bars.open_times[np.maximum(owner, 0)] + bars.series.step)
    chosen = np.flatnonzero(inside)
    if len(chosen) == 0:
        return None
    first = np.flatnonzero(np.diff(owner[chosen], prepend=-1))
    last = np.append(first[1:], len(chosen)) - 1
    column = {name: fine.values[name][chosen] for name in VALUES}
    values = {
        "open": column["open"][first],
        "high": np.maximum.reduceat(column["high"], first),
        "low": np.minimum.reduceat(column["low"], first),
        "close": column["close"][last],
        "volume": np.add.reduceat(column["volume"], first),
    }
    places = owner[chosen][first]
    return Parts(fine.series, places, values, last - first + 1 >= _expected(bars, fine, places))


def differing(bars: Bars, parts: Parts) -> dict[str, Mask]:
    """Which of the compared bars differ from their parts, a column at a time, within the precision of their prices."""
    found = {}
    for name in PRICES:
        here, there = bars.values[name][parts.places], parts.values[name]
        found[name] = np.abs(here - there) > np.maximum(bars.tick / 2, _RELATIVE * np.abs(here))
    here, there = bars.values["volume"][parts.places], parts.values["volume"]
    found["volume"] = np.abs(here - there) > _SUMS * np.maximum(np.abs(here), np.abs(there)) + 1e-9
    return found


def find(bars: Bars) -> Iterator[Found]:
    """Bars that are not what their parts come to, where every part is there."""
    parts = parts_of(bars)
    if parts is None:
        return
    differ = {name: mask & parts.is_whole for name, mask in differing(bars, parts).items()}
    odd = np.flatnonzero(np.logical_or.reduce(list(differ.values())))
    yield from compared("timeframes", bars, parts, odd, {name: mask[odd] for name, mask in differ.items()})


def compared(kind: str, bars: Bars, parts: Parts, odd: Ints, differ: dict[str, Mask]) -> Iterator[Found]:
    """Findings of the rows `odd` of the parts, with both values of the column that is off the most."""
    off = np.zeros((len(VALUES), len(odd)))
    for row, name in enumerate(VALUES):
        here, there = bars.values[name][parts.places[odd]], parts.values[name][odd]
        off[row] = np.where(differ[name], np.abs(here - there) / np.maximum(np.abs(there), 1e-12), 0.0)
    worst = off.argmax(axis=0)
    order = {place: at for at, place in enumerate(parts.places[odd].tolist())}
    beside = np.zeros(len(bars))
    beside[parts.places] = np.nan_to_num(np.sum([parts.values[name] for name in VALUES], axis=0))

    def evidence(place: int) -> Evidence:
        at = order[place]
        name = VALUES[worst[at]]
        return {
            "column": name,
            "here": float(bars.values[name][place]),
            "parts": float(parts.values[name][odd[at]]),
            "columns": [name for name in VALUES if differ[name][at]],
            "finer": parts.series.timeframe,
        }

    yield from grouped(
        kind, bars, parts.places[odd], off.max(axis=0, initial=0), evidence, join=CHECK.join, other=parts.series,
        beside=[beside],
    )  # fmt: skip


def _expected(bars: Bars, fine: Bars, places: Ints) -> Ints:
    """How many parts the calendar expects of each bar; all that fit in it beyond what the calendar knows."""
    starts = bars.open_times[places]
    ends = starts + bars.series.step
    try:
        wanted = ExpectedBars.of(fine.calendar, fine.series.timeframe, int(starts[0]), int(ends[-1]))
    except CalendarHorizonError:
        return np.full(len(places), bars.series.step // fine.series.step)
    return wanted.rank(ends) - wanted.rank(starts)


def _says(evidence: Evidence, prices: NumberFormat) -> str:
    others = [name for name in evidence["columns"] if name != evidence["column"]]
    more = f"; {', '.join(others)} too" if others else ""
    name = evidence["column"]
    here, parts = value_text(prices, name, evidence["here"]), value_text(prices, name, summed(evidence["parts"]))
    return f"{name} is {here} and its {evidence['finer']} bars come to {parts}{more}"


CHECK = Check(
    "timeframes",
    "A bar is not what the finer bars of the same source come to, though all of them are there.",
    ERROR,
    find,
    _says,
    join=12,
)
