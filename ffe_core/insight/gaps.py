"""Which expected bars are not there, and why?

Each expected bar counts once: stored, else dead lettered, else marked, else unexplained. Outside what a series has
been asked for so far, a missing bar is `not_ingested`; seen from an earlier moment, one stored since is `later`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from ffe_core import times
from ffe_core.calendars import MarketCalendar
from ffe_core.insight.aggregate import clipped
from ffe_core.series import Series
from ffe_core.storage.lake_files import Ints, union

Kind = Literal["dead_lettered", "marked", "later", "not_ingested", "unexplained"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_SLICE_BARS = 250_000
_STORED = -1


class Gap(NamedTuple):
    """A run of missing bars of one kind: from the first open to the end of the last bar, epoch seconds."""

    start: int
    end: int
    candles: int
    kind: Kind


@dataclass(slots=True)
class Holes:
    """Counts the bars of one series, piece by piece in order of time.

    `covered` is the range asked for so far, `marked` the ranges known to have no data. Bars that open from `until` on
    are not due yet and not counted; by default those that have not ended. All in epoch seconds.
    """

    series: Series
    calendar: MarketCalendar
    covered: tuple[int, int]
    marked: Sequence[tuple[int, int]] = ()
    until: int | None = None
    expected: int = 0
    stored: int = 0
    extra: int = 0
    missing: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    _runs: list[Ints] = field(default_factory=list)

    def add(self, start: int, end: int, stored: Ints, dead: Ints, later: Ints) -> None:
        """Count the bars that open in [start, end), given the sorted opens in it that are stored, dead lettered, or
        stored only later."""
        size = self.series.step * _SLICE_BARS
        end = min(end, ended(self.series) if self.until is None else self.until)
        for first in range(start, end, size):
            last = min(first + size, end)
            self._add(first, last, *(_between(opens, first, last) for opens in (stored, dead, later)))

    def gaps(self, closer_than: int = 0, most: int = 0) -> list[Gap]:
        """All runs of missing bars by time, neighbours in market time joined.

        If there are more than `most` (and it is not 0), those of a kind less than `closer_than` seconds apart are
        joined too: then a gap holds fewer `candles` than its length suggests.
        """
        runs = np.concatenate(self._runs) if self._runs else np.empty((0, 5), np.int64)
        runs = _joined(runs, runs[1:, 3] == runs[:-1, 4])
        if most and len(runs) > most:
            runs = np.concatenate([_close_joined(runs[runs[:, 2] == kind], closer_than) for kind in range(len(KINDS))])
            runs = runs[np.argsort(runs[:, 0], kind="stable")]
        return [
            Gap(start, end, candles, KINDS[kind])
            for start, end, kind, candles in np.column_stack((runs[:, :3], runs[:, 4] - runs[:, 3])).tolist()
        ]

    def _add(self, start: int, end: int, stored: Ints, dead: Ints, later: Ints) -> None:
        expected = self.calendar.expected_opens(self.series.timeframe, *clipped(self.calendar, start, end))
        kinds = self._kinds(expected, stored, dead, later)
        there = int((kinds == _STORED).sum())
        counted = np.bincount(kinds[kinds != _STORED], minlength=len(KINDS)).tolist()
        self._runs.append(_runs(expected, kinds, self.series.step, self.expected))
        self.expected += len(expected)
        self.stored += there
        self.extra += len(stored) - there
        for kind, count in zip(KINDS, counted, strict=True):
            self.missing[kind] += count

    def _kinds(self, expected: Ints, stored: Ints, dead: Ints, later: Ints) -> npt.NDArray[np.int64]:
        """What each expected bar is: -1 stored, else its place in KINDS."""
        if len(stored) == len(expected) and (stored == expected).all():
            return np.full(len(expected), _STORED)
        outside = (expected < self.covered[0]) | (expected >= self.covered[1])
        # The first that holds counts.
        reasons = {
            _STORED: held(expected, stored),
            KINDS.index("later"): held(expected, later),
            KINDS.index("dead_lettered"): held(expected, dead),
            KINDS.index("marked"): _inside(expected, self.marked),
            KINDS.index("not_ingested"): outside,
        }
        return np.select(list(reasons.values()), list(reasons), KINDS.index("unexplained"))


def ended(series: Series) -> int:
    """Bars that open before this instant have ended by now, epoch seconds."""
    return times.now() - series.step + 1


def closures(
    calendar: MarketCalendar, timeframe: str, start: int, end: int, opens: Ints, length: int
) -> list[tuple[int, int]]:
    """Ranges within [start, end) in which no bar of `timeframe` should open and none is stored, epoch seconds.

    `opens` are the bars there are, `length` their seconds: a bar outside the market's hours is never cut out.
    """
    start, end = clipped(calendar, start, end)
    runs = calendar.expected_ranges(timeframe, start, end)
    shown = union(np.concatenate((runs, np.column_stack((opens, opens + length)))))
    edges = np.concatenate(([start], np.clip(shown, start, max(start, end)).ravel(), [end])).reshape(-1, 2)
    return [(first, last) for first, last in edges.tolist() if first < last]


def _between(opens: Ints, start: int, end: int) -> Ints:
    return opens[np.searchsorted(opens, start) : np.searchsorted(opens, end)]


def held(instants: Ints, opens: Ints) -> npt.NDArray[np.bool_]:
    """Which of the instants are among the sorted `opens`."""
    if len(opens) == 0:
        return np.zeros(len(instants), dtype=bool)
    return opens[np.minimum(np.searchsorted(opens, instants), len(opens) - 1)] == instants


def _inside(expected: Ints, ranges: Sequence[tuple[int, int]]) -> npt.NDArray[np.bool_]:
    spans = union(np.array(ranges, dtype=np.int64).reshape(-1, 2))
    place = np.searchsorted(spans[:, 0], expected, side="right") - 1
    return (place >= 0) & (expected < spans[place, 1]) if len(spans) else np.zeros(len(expected), dtype=bool)


def _runs(expected: Ints, kinds: npt.NDArray[np.int64], step: int, counted: int) -> Ints:
    """(n, 5): start, end, kind, and the places of the first bar and the one after the last among all expected."""
    if len(kinds) == 0:
        return np.empty((0, 5), np.int64)
    first = np.flatnonzero(np.diff(kinds, prepend=kinds[0] - 1))
    after = np.append(first[1:], len(kinds))
    runs = np.column_stack(
        (expected[first], expected[after - 1] + step, kinds[first], counted + first, counted + after)
    )
    return runs[kinds[first] != _STORED]


def _joined(runs: Ints, touches: npt.NDArray[np.bool_]) -> Ints:
    """Runs with those of the same kind made one wherever `touches` says so of neighbours."""
    if len(runs) == 0:
        return runs
    begins = np.concatenate(([True], ~(touches & (runs[1:, 2] == runs[:-1, 2]))))
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(runs)) - 1
    candles = np.add.reduceat(runs[:, 4] - runs[:, 3], first)
    return np.column_stack((runs[first, 0], runs[last, 1], runs[first, 2], runs[first, 3], runs[first, 3] + candles))


def _close_joined(runs: Ints, closer_than: int) -> Ints:
    return _joined(runs, runs[1:, 0] - runs[:-1, 1] < closer_than)
