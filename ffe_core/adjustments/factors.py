"""Backward adjustment: what prices and volumes before an ex-day are multiplied by, as exactly as floats allow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ffe_core.adjustments.actions import DIVIDEND, SPLIT, Action
from ffe_core.candles import PRICES, VALUES
from ffe_core.errors import InputError
from ffe_core.storage.lake.snapshot import Ints, epochs

Floats = npt.NDArray[np.float64]
SPLITS, ALL = "splits", "all"
ADJUSTMENTS = (SPLITS, ALL)
"""For splits alone, and for splits and cash dividends."""
WORDS = {SPLITS: "splits", ALL: "splits and cash dividends"}
"""What an adjustment is for, in words."""
_EXACT = 2**53


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Ex-days of a pair (epoch seconds, ascending), and what holds before each of them and, last, after all of them.

    A price is multiplied by `old` / `new` and by `money`, a volume by `new` / `old`: both are whole numbers, so that a
    price after splits of 7:1 and 4:1 is a twenty-eighth, rounded once.
    """

    days: Ints
    new: Floats
    old: Floats
    money: Floats

    @property
    def is_nothing(self) -> bool:
        """Whether every value stays as it is."""
        return bool((self.new == self.old).all() and (self.money == 1).all())

    @property
    def key(self) -> bytes:
        """The same for steps that do the same, and for no others; empty for those that do nothing."""
        if self.is_nothing:
            return b""
        return b"".join(column.tobytes() for column in (self.days, self.new, self.old, self.money))

    def within(self, start: int, end: int) -> Steps:
        """What holds for bars that open in [start, end), epoch seconds."""
        first = int(np.searchsorted(self.days, start, side="right"))
        last = int(np.searchsorted(self.days, end, side="left"))
        there = slice(first, max(first, last) + 1)
        return Steps(self.days[first : max(first, last)], self.new[there], self.old[there], self.money[there])

    def rows(self) -> list[tuple[int, float, float, float]]:
        """What bars before each ex-day are adjusted by: the day, `new`, `old` and `money`."""
        columns = (self.days, self.new, self.old, self.money)
        return list(zip(*(column.tolist() for column in columns), strict=False))

    def adjusted(self, bars: pa.Table) -> pa.Table:
        """The bars with their values adjusted; timestamp and other columns stay."""
        if self.is_nothing:
            return bars
        place = np.searchsorted(self.days, epochs(bars["timestamp"]), side="right")
        for name in VALUES:
            if name in bars.column_names:
                values = self._adjusted(name, bars[name].to_numpy(), place)
                bars = bars.set_column(bars.schema.get_field_index(name), name, pa.array(values))
        return bars

    def _adjusted(self, name: str, values: Floats, place: Ints) -> Floats:
        if name in PRICES:
            return values * self.old[place] / self.new[place] * self.money[place]
        return values * self.new[place] / self.old[place]


def checked_adjustment(adjust: str | None) -> str | None:
    """The name of an adjustment as given; InputError for one that there is not."""
    if adjust is not None and adjust not in ADJUSTMENTS:
        raise InputError(f"{adjust!r} is unknown; use {' or '.join(ADJUSTMENTS)}, or leave it out", field="adjust")
    return adjust


def steps(splits: Sequence[Action], dividends: Sequence[Action], closes: Mapping[int, float]) -> Steps:
    """The steps of a pair. `closes` has the raw close of the last bar before each dividend's ex-day.

    Backward adjustment as CRSP and Yahoo do it (https://help.yahoo.com/kb/SLN28256.html): prices before a split of
    new:old are multiplied by old / new, prices before a dividend of D by 1 - D / close of the day before; each bar by
    the product of all that came after it. Volumes follow the splits alone. InputError for a dividend that is not less
    than the close before it.
    """
    days = sorted({one.day for one in [*splits, *dividends]})
    ratios, money = dict.fromkeys(days, Fraction(1)), dict.fromkeys(days, 1.0)
    ratios |= {one.day: one.value for one in splits}
    money |= {one.day: _kept(one, closes[one.day]) for one in dividends}
    shares = _products([ratios[day] for day in days])
    parts = [_parts(share) for share in shares]
    return Steps(
        np.array(days, np.int64),
        np.array([new for new, _ in parts]),
        np.array([old for _, old in parts]),
        np.array([math.prod(money[day] for day in days[place:]) for place in range(len(days) + 1)]),
    )


def _products(ratios: Sequence[Fraction]) -> list[Fraction]:
    """The product from each place on to the end, and 1 after the last."""
    return list(accumulate(reversed(ratios), lambda one, other: one * other, initial=Fraction(1)))[::-1]


def _parts(ratio: Fraction) -> tuple[float, float]:
    if max(ratio.numerator, ratio.denominator) > _EXACT:
        return float(ratio), 1.0
    return float(ratio.numerator), float(ratio.denominator)


def _kept(one: Action, close: float) -> float:
    """The share of the price that is left after a dividend."""
    if not float(one.value) < close:
        raise InputError(
            f"the {DIVIDEND} of {one.pair} on {one.day_text}, {one.value_text}, is not less than the close before it,"
            f" {close:,.15g}; give the money for one share as it was that day, or adjust for {SPLIT}s only",
            field="adjust",
        )
    return 1.0 - float(one.value) / close
