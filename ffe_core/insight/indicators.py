"""Technical indicators over the bars of a view, by TA-Lib; VWAP, which it lacks, is the running one of the UTC day.

Values are those of bars that are there: a missing bar is no bar, and nothing is filled in. What has no end to its
memory (EMA, RSI) is begun so many bars earlier that its beginning weighs less than a millionth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ffe_core.errors import InputError
from ffe_core.storage.lake.snapshot import Ints
from ffe_core.times import DAY

Floats = npt.NDArray[np.float64]
Bars = Mapping[str, Floats]
"""open, high, low, close and volume of bars by time."""
FEWEST, MOST = 2, 500
_DEVIATIONS = 2.0
MOST_WARM_UP = 4_000


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    """What people call it."""
    pane: str
    """Where it is drawn: over the prices, over the volume, or in a pane of its own."""
    period: int
    """So many bars unless told otherwise; 0 for none."""
    memory: int
    """Periods of bars that it has to see first."""


KINDS: dict[str, _Kind] = {
    "sma": _Kind("SMA", "price", 20, 1),
    "ema": _Kind("EMA", "price", 20, 8),
    "bb": _Kind("Bollinger", "price", 20, 1),
    "vwap": _Kind("VWAP", "price", 0, 0),
    "rsi": _Kind("RSI", "own", 14, 16),
    "vma": _Kind("Volume average", "volume", 20, 1),
}
_CHOICES = ", ".join(kind.name for kind in KINDS.values())
_ALIASES = {"bollinger": "bb", "volumeaverage": "vma"}


@dataclass(frozen=True, slots=True, order=True)
class Indicator:
    """One indicator: a key of `KINDS` and its period in bars, 0 for none."""

    kind: str
    period: int = 0

    def __str__(self) -> str:
        return f"{self.kind}{self.period or ''}"

    @property
    def label(self) -> str:
        """For people: "SMA 20"."""
        return f"{KINDS[self.kind].name} {self.period}" if self.period else KINDS[self.kind].name

    @property
    def pane(self) -> str:
        """Where it is drawn: price, volume or own."""
        return KINDS[self.kind].pane

    @property
    def warm_up(self) -> int:
        """How many bars before the first one shown it has to see."""
        return min(KINDS[self.kind].memory * self.period, MOST_WARM_UP)

    @property
    def is_daily(self) -> bool:
        """Whether it begins anew with each UTC day, so that bars of a day or more have none."""
        return self.kind == "vwap"

    @property
    def lines(self) -> tuple[str, ...]:
        """The names of its lines."""
        return ("upper", "middle", "lower") if self.kind == "bb" else ("line",)


def indicator(text: str) -> Indicator:
    """Read "sma20", "SMA 20", "bollinger 20" or "vwap". InputError for what is none, with an example."""
    # A dash after a word parts it from its number ("ema-50"); one that stands apart makes the number a negative one.
    found = re.fullmatch(r"([a-z]+)(-?[0-9]{0,9})", re.sub(r"[\s_]|(?<=[A-Za-z])-", "", text).lower())
    kind = _ALIASES.get(found[1], found[1]) if found else ""
    if found is None or kind not in KINDS:
        raise InputError(f"{text[:40]!r} is none; use {_CHOICES}, for example SMA 50", field="indicator")
    usual = KINDS[kind].period
    period = int(found[2]) if found[2].strip("-") else usual
    if (usual and not FEWEST <= period <= MOST) or (not usual and period):
        takes = f"a number of bars from {FEWEST} to {MOST}" if usual else "no number"
        raise InputError(
            f"{text[:40]!r} cannot be: {KINDS[kind].name} takes {takes}, for example {Indicator(kind, usual).label}",
            field="indicator",
        )
    return Indicator(kind, period)


def computed(one: Indicator, open_times: Ints, bars: Bars) -> list[Floats]:
    """The lines of an indicator, (n,) each in the order of `lines`, NaN where it has not seen enough.

    `open_times` are the ascending opens of the bars, epoch seconds.
    """
    if len(open_times) == 0:
        return [np.empty(0) for _ in one.lines]
    if one.kind == "vwap":
        return [_vwap(open_times, bars)]
    return _BY_TALIB[one.kind](bars, one.period)


def _bollinger(bars: Bars, period: int) -> list[Floats]:
    import talib

    return list(talib.BBANDS(bars["close"], period, _DEVIATIONS, _DEVIATIONS))


def _of(function: str, column: str) -> Callable[[Bars, int], list[Floats]]:
    def line(bars: Bars, period: int) -> list[Floats]:
        import talib  # loaded by the first chart that wants one

        found: Floats = getattr(talib, function)(bars[column], period)
        return [found]

    return line


_BY_TALIB: dict[str, Callable[[Bars, int], list[Floats]]] = {
    "sma": _of("SMA", "close"),
    "ema": _of("EMA", "close"),
    "bb": _bollinger,
    "rsi": _of("RSI", "close"),
    "vma": _of("SMA", "volume"),
}


def _vwap(open_times: Ints, bars: Bars) -> Floats:
    """The mean price of the UTC day so far, weighted by volume; none before there is volume."""
    days = open_times // DAY
    begins = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
    typical = (bars["high"] + bars["low"] + bars["close"]) / 3
    traded, weighted = (_since(begins, column) for column in (bars["volume"], typical * bars["volume"]))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(traded > 0, weighted / traded, np.nan)


def _since(begins: Ints, values: Floats) -> Floats:
    """Running sums that begin anew at these places."""
    sums = np.cumsum(values)
    before = np.where(begins > 0, sums[begins - 1], 0.0)
    found: Floats = sums - np.repeat(before, np.diff(begins, append=len(values)))
    return found
