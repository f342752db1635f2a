"""Volume break: the level of volumes changes from one day to the next by a factor that holds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffe_core.checks.bars import Bars, Floats, Ints
from ffe_core.checks.model import WARNING, Check, Evidence, Found, grouped
from ffe_core.insight.units import NumberFormat, in_digits, written
from ffe_core.times import DAY

_HELD = 10
"""Whole days on each side over which the factor has to hold."""
_LEAST = np.log(8.0)
_AT_ONCE = 0.5
"""Share of the change that has to happen from one day to the next."""
_WHOLE = 0.5
"""A day counts with this share of the bars that most days have."""


def find(bars: Bars) -> Iterator[Found]:
    """First bars of days before which all volumes are several times smaller or larger than after."""
    if not bars.has_volume:
        return
    first, level, price = _days(bars)
    if len(level) < 2 * _HELD:
        return
    change, apart, step = _changes(level)
    of_price = _changes(price)[0]
    # After a split there are more shares at a lower price: as much money as before.
    is_split = np.abs(change + of_price) < _AT_ONCE * np.abs(change)
    least = np.abs(change) * _AT_ONCE
    odd = (np.abs(change) > _LEAST) & (apart > least) & (step * np.sign(change) > least) & ~is_split
    days = np.flatnonzero(odd) + _HELD
    factors = dict(zip(first[days].tolist(), np.exp(change[days - _HELD]).tolist(), strict=True))
    places = first[days]
    sizes = np.log(np.array([factors[at] for at in places.tolist()])) if len(places) else np.empty(0)
    yield from grouped("volume_break", bars, places, sizes, lambda at: {"factor": factors[at]}, join=0)


def _changes(level: Floats) -> tuple[Floats, Floats, Floats]:
    """From each day on: the change of the usual level, how far apart all days lie, and the change of that one day."""
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(level, _HELD), axis=1)
    before, after = windows[:-_HELD], windows[_HELD:]
    change = np.median(after, axis=1) - np.median(before, axis=1)
    apart = np.maximum(after[:, 1] - before[:, -2], before[:, 1] - after[:, -2])
    return change, apart, np.diff(level)[_HELD - 1 : _HELD - 1 + len(change)]


def _days(bars: Bars) -> tuple[Ints, Floats, Floats]:
    """The first bar of each whole UTC day, and the logarithms of the day's mean volume and of its first close."""
    day = bars.open_times // DAY
    first = np.flatnonzero(np.diff(day, prepend=day[0] - 1))
    count = np.diff(first, append=len(day))
    sums = np.add.reduceat(np.nan_to_num(bars.values["volume"]), first)
    whole = (count >= _WHOLE * np.median(count)) & (sums > 0)
    return first[whole], np.log(sums[whole] / count[whole]), np.log(bars.values["close"][first[whole]])


def _says(evidence: Evidence, _: NumberFormat) -> str:
    return f"volumes are {written(in_digits(evidence['factor'], 4))} times those of the days before, and stay there"


CHECK = Check(
    "volume_break",
    "Volumes change from one day to the next by a factor that holds: lots for units, quote for base, another source.",
    WARNING,
    find,
    _says,
)
