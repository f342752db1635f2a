"""Gaps of a series: the expected bars that are not there, and why.

Each expected bar counts once, as `completeness.account` counts it: stored, else dead lettered, else marked, else
unexplained. Outside what a series has been asked for so far, a missing bar is `not_ingested`; seen from an earlier
moment, one stored since is `later`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np

from ffe_core import times
from ffe_core.calendars import MarketCalendar
from ffe_core.calendars.expected import ExpectedBars
from ffe_core.completeness import account
from ffe_core.insight.aggregate import clipped
from ffe_core.intervals import Times, clip_open_times, join_ranges, minus, ranges, ranges_of, total, union
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import Ints

Kind = Literal["dead_lettered", "marked", "later", "not_ingested", "unexplained"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Gap(NamedTuple):
    """A run of missing bars of one kind: from the first open to the end of the last bar, epoch seconds."""

    start: int
    end: int
    candles: int
    kind: Kind


@dataclass(frozen=True, slots=True, eq=False)
class MissingBars:
    """The bars of a range that should be there, and what is missing of them: rank intervals of `bars` by kind."""

    bars: ExpectedBars
    stored: int
    extra: int
    """Stored bars that the calendar does not expect."""
    missing: dict[Kind, Times]

    def counts(self) -> dict[str, int]:
        """Bars expected, stored and extra, and the missing by kind."""
        missing: dict[str, int] = {kind: total(ranks) for kind, ranks in self.missing.items()}
        return {"expected": self.bars.count, "stored": self.stored, "extra": self.extra, **missing}

    def gaps(self, closer_than: int = 0, most: int = 0) -> list[Gap]:
        """All runs of missing bars by time, neighbours in market time joined.

        If there are more than `most` (and it is not 0), those of a kind less than `closer_than` seconds apart are
        joined too: then a gap holds fewer `candles` than its length suggests.
        """
        too_many = 0 < most < sum(map(len, self.missing.values()))
        found = []
        for kind, ranks in self.missing.items():
            ranges, candles = self.bars.ranges(ranks), ranks[:, 1] - ranks[:, 0]
            if too_many and len(ranges):
                ranges, candles = _joined(ranges, candles, closer_than)
            for (start, end), count in zip(ranges.tolist(), candles.tolist(), strict=True):
                found.append(Gap(start, end, count, kind))
        return sorted(found)


@dataclass(slots=True)
class Seen:
    """The bars of one series as they are read, piece by piece.

    `covered` is the range asked for so far, `marked` the ranges known to have no data, in epoch seconds.
    """

    series: Series
    calendar: MarketCalendar
    covered: tuple[int, int]
    marked: Sequence[tuple[int, int]] = ()
    _stored: list[Times] = field(default_factory=list)
    _later: list[Times] = field(default_factory=list)

    def add(self, stored: Ints, later: Ints) -> None:
        """Note the ascending opens that are stored in a piece, and those that were stored only later."""
        self.add_ranges(ranges_of(stored, self.series.step), later)

    def add_ranges(self, stored: Times, later: Ints) -> None:
        """The same, with runs of the stored bars."""
        self._stored.append(stored)
        self._later.append(ranges_of(later, self.series.step))

    def missing(self, start: int, end: int, dead: Ints, until: int | None = None) -> MissingBars:
        """What is missing of [start, end), given the ascending opens of dead letters in it.

        Bars that open from `until` on are not due yet and not counted; by default those that have not ended.
        """
        step, end = self.series.step, min(end, ended(self.series) if until is None else until)
        bars = ExpectedBars.of(self.calendar, self.series.timeframe, *clipped(self.calendar, start, end))
        held = clip_open_times(join_ranges(self._stored, step), step, start, end)
        stored = bars.ranks_of(held)
        marks = union(ranges(self.marked))
        now = account(bars, start, end, join_ranges([held, *self._later], step), dead, marks)
        asked = bars.ranks_within(ranges([self.covered]))
        not_ingested = minus(now.unexplained, asked)
        missing: dict[Kind, Times] = {
            "dead_lettered": now.dead_lettered,
            "marked": now.marked,
            "later": minus(now.stored, stored),
            "not_ingested": not_ingested,
            "unexplained": minus(now.unexplained, not_ingested),
        }
        return MissingBars(bars, total(stored), total(held) // step - total(stored), missing)


def ended(series: Series) -> int:
    """Bars that open before this instant have ended by now, epoch seconds."""
    return times.now() - series.step + 1


def closures(
    calendar: MarketCalendar, timeframe: str, start: int, end: int, open_times: Ints, length: int
) -> list[tuple[int, int]]:
    """Ranges within [start, end) in which no bar of `timeframe` should open and none is stored, epoch seconds.

    `open_times` are the bars there are, `length` their seconds: a bar outside the market's hours is never cut out.
    """
    start, end = clipped(calendar, start, end)
    runs = calendar.expected_ranges(timeframe, start, end)
    shown = union(np.concatenate((runs, np.column_stack((open_times, open_times + length)))))
    edges = np.concatenate(([start], np.clip(shown, start, max(start, end)).ravel(), [end])).reshape(-1, 2)
    return [(first, last) for first, last in edges.tolist() if first < last]


def _joined(ranges: Times, candles: Ints, closer_than: int) -> tuple[Times, Ints]:
    """Ranges less than so many seconds apart made one, and the candles of each."""
    first = np.flatnonzero(np.concatenate(([True], ranges[1:, 0] - ranges[:-1, 1] >= closer_than)))
    ends = ranges[np.append(first[1:], len(ranges)) - 1, 1]
    return np.column_stack((ranges[first, 0], ends)), np.add.reduceat(candles, first)
