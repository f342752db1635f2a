"""Bars as checks see them: the columns of one series over a window, read once, and what several checks ask of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ffe_core.calendars import MarketCalendar
from ffe_core.calendars.base import CalendarHorizonError
from ffe_core.calendars.expected import ExpectedBars
from ffe_core.intervals import ranges_of
from ffe_core.series import Series

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_MOST_DECIMALS = 8
_SAMPLED = 5_000
_NEARLY_ALL = 0.99


@dataclass(frozen=True, eq=False)
class Bars:
    """Bars by open; the first ones may be context, which the window before has shown already."""

    series: Series
    open_times: Ints
    """Ascending, epoch seconds."""
    values: Mapping[str, Floats]
    calendar: MarketCalendar
    others: Mapping[Series, Bars] = field(default_factory=dict)
    """The other series of the pair over the same window."""
    marked: Ints = field(default_factory=lambda: np.empty((0, 2), np.int64))
    """What somebody has explained as missing: ranges in epoch seconds."""
    factors: Mapping[int, float] = field(default_factory=dict)
    """Splits that are known: the open of the first bar after each, epoch seconds of its day, and its factor."""

    def __len__(self) -> int:
        return len(self.open_times)

    @cached_property
    def spans(self) -> Floats:
        """High less low of each bar."""
        return self.values["high"] - self.values["low"]

    @cached_property
    def has_volume(self) -> bool:
        """Whether the source has volumes at all."""
        volume = self.values["volume"]
        return bool(np.count_nonzero(volume > 0) * 2 > len(volume))

    @cached_property
    def decimals(self) -> int | None:
        """Decimals that nearly all prices have; None where they have more than any tick has."""
        if len(self) == 0:
            return None
        # Drawn, not every so manieth: what is odd may be so at every so manieth bar.
        places = np.random.default_rng(0).integers(0, len(self), min(len(self), _SAMPLED))
        sample = np.concatenate([self.values["close"][places], self.values["high"][places]])
        for decimals in range(_MOST_DECIMALS + 1):
            if np.count_nonzero(is_on(sample, decimals)) >= _NEARLY_ALL * len(sample):
                return decimals
        return None

    @cached_property
    def tick(self) -> float:
        """The smallest step of a price by its decimals; 0.0 where there is none."""
        return 0.0 if self.decimals is None else 10.0**-self.decimals

    @cached_property
    def expected(self) -> ExpectedBars | None:
        """What the calendar expects between the first and the last bar; None beyond what it knows."""
        if len(self) == 0:
            return None
        start, end = int(self.open_times[0]), int(self.open_times[-1]) + self.series.step
        try:
            return ExpectedBars.of(self.calendar, self.series.timeframe, start, end)
        except CalendarHorizonError:
            return None

    @cached_property
    def ranges(self) -> Ints:
        """The stored bars as ranges [start, end)."""
        return ranges_of(self.open_times, self.series.step)


def is_on(prices: Floats, decimals: int) -> Mask:
    """Which prices are whole with so many decimals; floats are given their last digits."""
    scaled = prices * 10.0**decimals
    near: Mask = np.abs(scaled - np.round(scaled)) <= np.maximum(1e-6, np.abs(scaled) * 1e-11)
    return near
