"""Rank of a bar among those a market should have: how many expected bars open before it.

On ranks every market is open without a break, so sets of bars are plain intervals of integers, bars that follow one
another in market time are neighbours whatever lies between them, and no candle is ever an object.
"""

from __future__ import annotations

import numpy as np

from ffe_core.calendars.base import MarketCalendar
from ffe_core.intervals import NONE, Times, by_grid, intersect, union, without
from ffe_core.timeframes import seconds


class ExpectedBars:
    """The bars of one timeframe that should open in a range: (n, 2) runs [first open, last open + step), and ranks.

    `optional` are runs of bars that may come or not: no ranks, neither missing nor extra.
    """

    def __init__(self, runs: Times, step: int, optional: Times = NONE) -> None:
        self.runs, self.step, self.optional = runs, step, optional
        self._bars = (runs[:, 1] - runs[:, 0]) // step
        self._before = np.concatenate(([0], np.cumsum(self._bars)))
        self._by_grid = by_grid(runs, step)

    @classmethod
    def of(cls, calendar: MarketCalendar, timeframe: str, start: int, end: int) -> ExpectedBars:
        """Those that open in [start, end), epoch seconds. InputError, CalendarHorizonError as the calendar raises."""
        runs = calendar.expected_ranges(timeframe, start, end)
        return cls(runs, seconds(timeframe), calendar.optional_ranges(timeframe, start, end))

    @property
    def count(self) -> int:
        """How many bars there should be."""
        return int(self._before[-1])

    @property
    def all(self) -> Times:
        """Every rank, as intervals."""
        return np.array([[0, self.count]], dtype=np.int64) if self.count else NONE

    def rank(self, times: Times) -> Times:
        """How many expected bars open before each of `times` (epoch seconds)."""
        begun = np.searchsorted(self.runs[:, 0], times)
        if len(self.runs) == 0:
            return np.zeros(len(times), dtype=np.int64)
        last = np.maximum(begun - 1, 0)
        inside = np.minimum(-((self.runs[last, 0] - times) // self.step), self._bars[last])
        return np.where(begun > 0, self._before[last] + inside, 0)

    def ranks_of(self, runs: Times) -> Times:
        """Which of the bars given as runs (on any grid, as `join_ranges` leaves them) are expected: rank intervals."""
        own = self._by_grid
        return union(*(self._ranks(part, own[at]) for at, part in by_grid(runs, self.step).items() if at in own))

    def ranks_within(self, ranges: Times) -> Times:
        """The expected bars that open in the ranges [start, end), epoch seconds: rank intervals."""
        ranks = np.column_stack((self.rank(ranges[:, 0]), self.rank(ranges[:, 1])))
        return union(ranks[ranks[:, 0] < ranks[:, 1]])

    def without_optional(self, runs: Times) -> Times:
        """Of the bars given as runs, those that are not optional."""
        return without(runs, self.optional, self.step)

    def ranges(self, ranks: Times) -> Times:
        """[first open, last open + step) of each rank interval: it may span time in which the market is closed."""
        if len(ranks) == 0:
            return NONE
        return np.column_stack((self._open_times(ranks[:, 0]), self._open_times(ranks[:, 1] - 1) + self.step))

    def spans(self, ranks: Times) -> Times:
        """The same, cut wherever the market is closed in between."""
        return self.ranges(intersect(ranks, np.column_stack((self._before[:-1], self._before[1:]))))

    def _ranks(self, runs: Times, own: Times) -> Times:
        shared = intersect(runs, own)
        first = self.rank(shared[:, 0])
        return np.column_stack((first, first + (shared[:, 1] - shared[:, 0]) // self.step))

    def _open_times(self, ranks: Times) -> Times:
        run = np.searchsorted(self._before, ranks, side="right") - 1
        open_times: Times = self.runs[run, 0] + (ranks - self._before[run]) * self.step
        return open_times
