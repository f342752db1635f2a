"""Calendar interface: the bars a market should have in a range, given when it is open.

Times are epoch seconds in UTC and ranges are half-open on bar opens. A bar is expected when its window holds an open
minute of the market, and optional when it holds a quiet minute but no open one. Windows lie on the UTC grid; a market
may anchor its intraday bars elsewhere (see `_anchors`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ffe_core.errors import InputError
from ffe_core.intervals import NONE, Times, clip_open_times, grid_ceil, merge, open_times_in, without
from ffe_core.timeframes import ceil, seconds
from ffe_core.times import DAY, utc

Horizon = tuple[int | None, int | None]

# A weekend first: nearly always enough.
_LOOK_BACK_DAYS = (4, 40, 400)


class CalendarHorizonError(InputError):
    """A calendar was asked about a time it knows nothing of; `asked` in epoch seconds, `horizon` what it knows."""

    code = "calendar_horizon"

    def __init__(self, name: str, field: str, asked: int, horizon: Horizon) -> None:
        first, last = _day(horizon[0]), _day(horizon[1], end=True)
        super().__init__(
            f"{_day(asked, end=field != 'start')} lies outside what the {name} calendar knows, {first} to {last};"
            " ask for a range inside it, or name another calendar for this series in the calendar overrides",
            field=field,
        )
        self.name, self.asked, self.horizon = name, asked, horizon


class SpecialSession(NamedTuple):
    """A day on which the market keeps other hours than usual, for display."""

    date: date
    kind: Literal["holiday", "half day"]
    text: str


class MarketCalendar(ABC):
    """The opening hours of one market. Subclasses are frozen, hashable and cheap; what is costly loads at first use."""

    name: str

    @property
    @abstractmethod
    def horizon(self) -> Horizon:
        """First instant known and first instant no longer known, epoch seconds; None where there is no limit."""

    @property
    def hour_offset(self) -> int:
        """Where in the hour the market's own hourly bars open, seconds: on the full hour unless it says otherwise."""
        return 0

    @property
    def ending(self) -> str:
        """What became of an instrument whose listing ended."""
        return "was delisted"

    @abstractmethod
    def _intervals(self, start: int, end: int) -> Times:
        """(n, 2) open intervals that touch [start, end), merged and sorted; they may reach beyond it."""

    def _anchors(self, open_times: Times, step: int) -> Times:
        """Where the first bar of an open interval begins: on the UTC grid unless the market says otherwise."""
        return open_times - open_times % step

    def _grid(self, step: int) -> int:
        """The grid on which the opens of bars of `step` seconds may lie."""
        return step

    def open_intervals(self, start: int, end: int) -> Times:
        """(n, 2) int64 open times, merged, sorted and clipped to [start, end). CalendarHorizonError outside."""
        if end <= start:
            return NONE
        self._require_known(start=start, end=end)
        return np.clip(self._intervals(start, end), start, end)

    def open_seconds(self, start: int, end: int) -> int:
        """Seconds the market is open in [start, end). CalendarHorizonError outside the horizon."""
        intervals = self.open_intervals(start, end)
        return int((intervals[:, 1] - intervals[:, 0]).sum())

    def expected_ranges(self, timeframe: str, start: int, end: int) -> Times:
        """(n, 2) int64 runs [first open, last open + step) of consecutive bars that open in [start, end).

        InputError for an unknown timeframe, CalendarHorizonError outside the horizon.
        """
        step = seconds(timeframe)
        if end <= start:
            return NONE
        self._require_known(start=start, end=end)
        intervals = self._intervals(*self._reach(start, end, step))
        return clip_open_times(self._runs(intervals, step), step, start, end)

    def optional_ranges(self, timeframe: str, start: int, end: int) -> Times:
        """(n, 2) runs of the bars in [start, end) that may come or not: their window holds a quiet minute, none open.

        They are neither expected nor extra. Errors as of `expected_ranges`.
        """
        step = seconds(timeframe)
        if end <= start:
            return NONE
        self._require_known(start=start, end=end)
        quiet = self._quiet(*self._reach(start, end, step))
        if len(quiet) == 0:
            return NONE
        runs = clip_open_times(self._runs(quiet, step), step, start, end)
        return without(runs, self.expected_ranges(timeframe, start, end), step)

    def _reach(self, start: int, end: int, step: int) -> tuple[int, int]:
        """Where to look for what is open: the last bar may open before `end` and only later hold an open minute."""
        return start, ceil(end, step)

    def _quiet(self, start: int, end: int) -> Times:
        """(n, 2) intervals that touch [start, end) in which the market may have bars or not."""
        return NONE

    def _runs(self, intervals: Times, step: int) -> Times:
        """The bars whose windows the intervals touch."""
        anchors = self._anchors(intervals[:, 0], step)
        return merge(np.column_stack((anchors, anchors + grid_ceil(intervals[:, 1] - anchors, step))))

    def expected_count(self, timeframe: str, start: int, end: int) -> int:
        """How many bars should open in [start, end), counted from the runs."""
        runs = self.expected_ranges(timeframe, start, end)
        return int((runs[:, 1] - runs[:, 0]).sum()) // seconds(timeframe)

    def expected_open_times(self, timeframe: str, start: int, end: int) -> Times:
        """(n,) int64 opens of every bar that should open in [start, end), ascending."""
        return open_times_in(self.expected_ranges(timeframe, start, end), seconds(timeframe))

    def on_grid(self, timeframe: str, open_times: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """(n,) bool: whether a bar of this market may open at each of `open_times` (epoch seconds), expected or not."""
        on: npt.NDArray[np.bool_] = np.asarray(open_times, dtype=np.int64) % self._grid(seconds(timeframe)) == 0
        return on

    def listed(self, timeframe: str, start: int, end: int) -> tuple[int, int]:
        """The part of [start, end) in which a series has bars at all, as far as its first and last are known."""
        return start, end

    def last_expected(self, timeframe: str, before: int) -> int | None:
        """The latest expected open before `before`; None when there is none in the 400 days before it.

        InputError for an unknown timeframe, CalendarHorizonError outside the horizon.
        """
        step = seconds(timeframe)
        self._require_known(before=before)
        known = self.horizon[0]
        for days in _LOOK_BACK_DAYS:
            start = before - days * DAY
            runs = self.expected_ranges(timeframe, start if known is None else max(start, known), before)
            if len(runs):
                return int(runs[-1, 1]) - step
        return None

    def special_sessions(self, start: int, end: int) -> list[SpecialSession]:
        """Holidays and half days of the UTC days that [start, end) touches. CalendarHorizonError outside."""
        if end <= start:
            return []
        self._require_known(start=start, end=end)
        return self._special_days(utc(start).date(), utc(end - 1).date())

    def _special_days(self, first: date, last: date) -> list[SpecialSession]:
        return []

    def _require_known(self, **asked: int) -> None:
        first, last = self.horizon
        for field, time in asked.items():
            if (first is not None and time < first) or (last is not None and time > last):
                raise CalendarHorizonError(self.name, field, time, self.horizon)


@dataclass(frozen=True)
class CalendarOfMarket(MarketCalendar):
    """A calendar that differs from its market's in what a subclass says, and in nothing else."""

    market: MarketCalendar

    @property
    def name(self) -> str:  # type: ignore[override]
        """The market's."""
        return self.market.name

    @property
    def horizon(self) -> Horizon:
        return self.market.horizon

    @property
    def hour_offset(self) -> int:
        return self.market.hour_offset

    @property
    def ending(self) -> str:
        return self.market.ending

    def listed(self, timeframe: str, start: int, end: int) -> tuple[int, int]:
        return self.market.listed(timeframe, start, end)

    def _intervals(self, start: int, end: int) -> Times:
        return self.market._intervals(start, end)

    def _quiet(self, start: int, end: int) -> Times:
        return self.market._quiet(start, end)

    def _anchors(self, open_times: Times, step: int) -> Times:
        return self.market._anchors(open_times, step)

    def _grid(self, step: int) -> int:
        return self.market._grid(step)

    def _reach(self, start: int, end: int, step: int) -> tuple[int, int]:
        return self.market._reach(start, end, step)

    def _runs(self, intervals: Times, step: int) -> Times:
        return self.market._runs(intervals, step)

    def _special_days(self, first: date, last: date) -> list[SpecialSession]:
        return self.market._special_days(first, last)


def _day(epoch: int | None, *, end: bool = False) -> str:
    """The UTC day of an instant as text; for an excluded end the day before it."""
    if epoch is None:
        return "any time"
    try:
        return utc(epoch - int(end)).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return f"{epoch} s"
