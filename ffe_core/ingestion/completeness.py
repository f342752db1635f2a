"""Whether a range is whole: every expected bar counted once as stored, dead lettered or unexplained, from the lake.

It reads timestamps slice by slice, so its memory does not grow with the range.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ffe_core.calendars import MarketCalendar
from ffe_core.series import Series
from ffe_core.storage.dead_letter_queue import DeadLetterQueue
from ffe_core.storage.delta_lake_manager import DeltaLakeManager

_SLICE_BARS = 250_000


@dataclass(slots=True)
class Completeness:
    """Counts over one range: `expected = stored + dead_lettered + unexplained`; `extra` is outside the sum."""

    expected: int = 0
    stored: int = 0
    dead_lettered: int = 0
    unexplained: int = 0
    extra: int = 0
    missing: list[tuple[int, int]] = field(default_factory=list)
    """Unexplained ranges [first open, last open + step), neighbours in market time merged."""

    def counts(self) -> dict[str, int]:
        """The five counts by name."""
        names = ("expected", "stored", "dead_lettered", "unexplained", "extra")
        return {name: getattr(self, name) for name in names}


def completeness(
    series: Series, start: int, end: int, calendar: MarketCalendar, lake: DeltaLakeManager, queue: DeadLetterQueue
) -> Completeness:
    """Count the bars that open in [start, end) (epoch seconds). Raises StorageError, CalendarHorizonError."""
    found = Completeness()
    table = lake.open(series.table)
    last_seen: int | None = None
    for first, last in _slices(start, end, series.step):
        expected = calendar.expected_opens(series.timeframe, first, last)
        stored = lake.stored_opens(series, first, last, table)
        dead = np.setdiff1d(queue.opens(series, first, last), stored, assume_unique=True)
        missing = ~np.isin(expected, stored, assume_unique=True)
        dead_lettered = missing & np.isin(expected, dead, assume_unique=True)
        unexplained = missing & ~dead_lettered
        found.expected += len(expected)
        found.stored += int((~missing).sum())
        found.dead_lettered += int(dead_lettered.sum())
        found.unexplained += int(unexplained.sum())
        found.extra += len(stored) - int((~missing).sum())
        _add_ranges(found.missing, expected, unexplained, series.step, last_seen)
        last_seen = int(expected[-1]) if len(expected) else last_seen
    return found


def _slices(start: int, end: int, step: int) -> Iterator[tuple[int, int]]:
    size = step * _SLICE_BARS
    return ((at, min(at + size, end)) for at in range(start, end, size))


def _add_ranges(
    ranges: list[tuple[int, int]], expected: np.ndarray, missing: np.ndarray, step: int, last_seen: int | None
) -> None:
    """Append the runs of `missing`, joining the first to the last range if no expected bar lies between them."""
    edges = np.diff(np.concatenate(([0], missing.astype(np.int8), [0])))
    for first, last in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1, strict=True):
        begin, finish = int(expected[first]), int(expected[last]) + step
        if first == 0 and ranges and last_seen is not None and ranges[-1][1] == last_seen + step:
            ranges[-1] = (ranges[-1][0], finish)
        else:
            ranges.append((begin, finish))
