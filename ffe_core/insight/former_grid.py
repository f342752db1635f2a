"""Former hour grid of a series: stored bars on another grid than is expected now, and what fetches them again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ffe_core import times
from ffe_core.calendars import MarketCalendar
from ffe_core.calendars.hour_grid import elsewhere, in_words, most_kept
from ffe_core.completeness import Account
from ffe_core.intervals import Times, open_times_in, without
from ffe_core.series import Series


@dataclass(frozen=True, slots=True)
class FormerGrid:
    """Bars of an hourly share that open elsewhere in the hour than its grid says; times in epoch seconds."""

    series: Series
    bars: int
    start: int
    """Open of the first of them."""
    end: int
    """When the last of them ends."""
    hour_grid: str
    """Where in the hour they open, in words."""
    now: str
    """Where in the hour bars are expected to open."""
    missing: int
    """Bars of the grid of now that are missing without a reason in their range."""

    @property
    def command(self) -> str:
        """What fetches their range on the grid of now."""
        first, last = (times.utc(at).date().isoformat() for at in (self.start, self.end - 1))
        one = self.series
        return (
            f"ffe backfill --provider {one.provider} --pairs {one.asset_pair} --timeframes {one.timeframe}"
            f" --start {first} --end {last} --mode refetch"
        )

    @property
    def said(self) -> str:
        """It in one sentence, without what to type."""
        where = f"from {times.iso(self.start)} to {times.iso(self.end - self.series.step)}"
        told = f"{self.bars:,} stored bars {where} open {self.hour_grid}, where {self.now} is expected: they are extra"
        if self.missing:
            return f"{told}, and {self.missing:,} bars of the grid of now are missing there until it is fetched again"
        return f"{told}. All of it is there on the grid of now as well; stored bars are never deleted"


def former_grid(series: Series, calendar: MarketCalendar, found: Account) -> FormerGrid | None:
    """Which stored bars stand on another grid than the calendar's; None where none does, or bars have no such grid."""
    if not series.has_hour_grid or not found.extra:
        return None
    extra = open_times_in(without(found.held, found.bars.runs, series.step), series.step)
    opens: Times = np.sort(extra[elsewhere(calendar, extra)])
    if len(opens) == 0:
        return None
    start, end = int(opens[0]), int(opens[-1]) + series.step
    offset = most_kept(calendar, opens)
    return FormerGrid(
        series,
        len(opens),
        start,
        end,
        "elsewhere in the hour" if offset is None else in_words(offset),
        in_words(calendar.hour_offset),
        _missing(found, start - series.step, end),
    )


def _missing(found: Account, start: int, end: int) -> int:
    """Bars missing without a reason that open after `start` and before `end`."""
    opens = open_times_in(found.bars.spans(found.unexplained), found.bars.step)
    return int(((opens > start) & (opens < end)).sum())
