"""Completeness account: counts every expected bar once, as stored, dead lettered, marked or unexplained.

`account` is the one definition: results of runs, previews, the coverage page and the command line all count with it.
It works on ranges, and opens are read from the lake file by file, so memory does not grow with the range.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from ffe_core.calendars import MarketCalendar
from ffe_core.calendars.expected import ExpectedBars
from ffe_core.intervals import (
    NONE,
    Times,
    by_grid,
    clip_open_times,
    join_ranges,
    minus,
    ranges_of,
    total,
    total_before,
    union,
)
from ffe_core.series import Series
from ffe_core.storage.dead_letters.queue import DeadLetterQueue
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state.acknowledged_gaps import AcknowledgedGaps

Kind = Literal["dead_lettered", "marked", "unexplained"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Why an expected bar is not stored."""
COUNTS = ("expected", "stored", "dead_lettered", "marked", "unexplained", "extra")


@dataclass(slots=True)
class Completeness:
    """Counts over one range: `expected = stored + dead_lettered + marked + unexplained`; `extra` is outside the sum."""

    expected: int = 0
    stored: int = 0
    dead_lettered: int = 0
    marked: int = 0
    unexplained: int = 0
    extra: int = 0
    missing: list[tuple[int, int]] = field(default_factory=list)
    """Unexplained ranges [first open, last open + step), neighbours in market time merged."""

    def counts(self) -> dict[str, int]:
        """The six counts by name."""
        return {name: getattr(self, name) for name in COUNTS}


@dataclass(frozen=True, slots=True, eq=False)
class Account:
    """What became of the expected bars of one range [start, end): rank intervals of `bars`, each bar in one of four."""

    bars: ExpectedBars
    start: int
    end: int
    stored: Times
    dead_lettered: Times
    marked: Times
    unexplained: Times
    held: Times
    """Runs of the stored bars that are expected or extra; optional ones are neither."""

    def completeness(self) -> Completeness:
        """The counts, and what is missing without a reason."""
        return Completeness(
            expected=self.bars.count,
            stored=total(self.stored),
            **{kind: total(getattr(self, kind)) for kind in KINDS},
            extra=self.extra,
            missing=[(start, end) for start, end in self.bars.ranges(self.unexplained).tolist()],
        )

    def gaps(self, kind: Kind) -> tuple[Times, Times]:
        """Ranges [first open, last open + step) of the bars missing for a reason, and how many bars are in each."""
        ranks: Times = getattr(self, kind)
        return self.bars.ranges(ranks), ranks[:, 1] - ranks[:, 0]

    def by_period(self, edges: Times, ranks: Times | None = None) -> dict[str, Times]:
        """The six counts of each period between two neighbouring ascending instants, one number a period.

        `ranks` are those of the edges, if they are known already.
        """
        ranks = self.bars.rank(edges) if ranks is None else ranks
        found = dict.fromkeys(COUNTS, np.zeros(len(edges) - 1, dtype=np.int64))
        return found | self.by_period_where_any(edges, ranks)

    def by_period_where_any(self, edges: Times, ranks: Times) -> dict[str, Times]:
        """The same without the counts that are 0 in every period."""
        expected = np.diff(ranks)
        missing = {k: np.diff(total_before(ranges, ranks)) for k in KINDS if len(ranges := getattr(self, k))}
        found = {"expected": expected} | missing
        if len(self.stored):
            found["stored"] = expected - sum(missing.values())
        if self.extra:
            held = np.diff(_open_times_before(self.held, self.bars.step, edges))
            found["extra"] = held - found.get("stored", 0)
        return found

    @property
    def extra(self) -> int:
        """Stored bars that the calendar neither expects nor leaves open."""
        return total(self.held) // self.bars.step - total(self.stored)


def account(bars: ExpectedBars, start: int, end: int, held: Times, dead: Times, marked: Times) -> Account:
    """Count each expected bar of [start, end) once: stored, else dead lettered, else marked, else unexplained.

    `held` are runs of stored bars, `dead` ascending opens, `marked` ranges [start, end); all in epoch seconds.
    """
    held = bars.without_optional(clip_open_times(held, bars.step, start, end))
    stored = bars.ranks_of(held)
    if len(dead) == 0 and len(marked) == 0:
        return Account(bars, start, end, stored, NONE, NONE, minus(bars.all, stored), held)
    dead_lettered = minus(bars.ranks_of(join_ranges([ranges_of(dead, bars.step)], bars.step)), stored)
    known = union(stored, dead_lettered)
    marks = minus(bars.ranks_within(marked), known)
    return Account(bars, start, end, stored, dead_lettered, marks, minus(bars.all, union(known, marks)), held)


def completeness(
    series: Series,
    start: int,
    end: int,
    calendar: MarketCalendar,
    lake: DeltaLakeManager,
    queue: DeadLetterQueue,
    acknowledged: AcknowledgedGaps | None = None,
) -> Completeness:
    """Count the bars that open in [start, end) (epoch seconds). Raises StorageError, CalendarHorizonError."""
    bars = ExpectedBars.of(calendar, series.timeframe, start, end)
    held = lake.stored_ranges(series, start, end)
    dead = queue.open_times(series, start, end)
    marked = acknowledged.ranges(series, start, end) if acknowledged else NONE
    return account(bars, start, end, held, dead, marked).completeness()


def _open_times_before(runs: Times, step: int, edges: Times) -> Times:
    """How many bars of the runs open before each of the ascending edges."""
    counts = np.zeros(len(edges), dtype=np.int64)
    for offset, own in by_grid(runs, step).items():
        # On the runs' own grid: an edge inside a bar comes after its open.
        counts += total_before(own, edges + (offset - edges) % step) // step
    return counts
