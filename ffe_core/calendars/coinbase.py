"""Futures calendars of Coinbase: the table coinbase.toml, read at first use, until the day that a contract expires.

The id of a contract names its last day (BIT-26APR24-CDE), so what has expired is known without a catalogue, which lists
only what trades.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np

from ffe_core.calendars import hours_table
from ffe_core.calendars.base import CalendarOfMarket, MarketCalendar
from ffe_core.calendars.week import WeekHours
from ffe_core.calendars.week_text import DAY_MINUTES, minutes
from ffe_core.calendars.zones import day_number, from_local
from ffe_core.intervals import Times, intersect, union
from ffe_core.times import DAY

CONTRACTS = "-CDE"
"""Ends the ids of Coinbase Derivatives' futures, which trade in contracts."""
PREFIX = "coinbase-"
"""The calendar of a group is named after it: "coinbase-futures"."""
TABLE = "coinbase.toml"
GROUPS = ("futures", "futures-energy-and-metals", "futures-round-the-clock")
"""The groups of the table, named here so that a setting can be checked without reading it."""

_LAST_DAY = re.compile(rf"-(\d{{1,2}})([A-Z]{{3}})(\d{{2}}){CONTRACTS}$", re.ASCII)
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()


@dataclass(frozen=True)
class UntilExpiry(CalendarOfMarket):
    """The hours of a market until a contract expires: for sure to `sure_until`, perhaps to `until` (epoch seconds)."""

    sure_until: int
    until: int

    def _intervals(self, start: int, end: int) -> Times:
        return _before(self.market._intervals(start, end), self.sure_until)

    def _quiet(self, start: int, end: int) -> Times:
        quiet, opened = self.market._quiet(start, end), self.market._intervals(start, end)
        last = np.array([[self.sure_until, self.until]], dtype=np.int64)
        return union(_before(quiet, self.until), intersect(opened, last[last[:, 0] < last[:, 1]]))

    @property
    def ending(self) -> str:
        return "expired"

    def listed(self, timeframe: str, start: int, end: int) -> tuple[int, int]:
        first, last = self.market.listed(timeframe, start, end)
        return first, max(min(last, self.until), min(start, end))


def calendar_of(pair: str) -> MarketCalendar:
    """The calendar of a stored contract."""
    return until_expiry(pair, by_group(group_of(pair)))


def by_group(group: str) -> MarketCalendar:
    """The calendar of one group of the table, of a contract that does not expire."""
    return WeekHours(PREFIX + group, hours_table.hours(TABLE, group))


def group_of(pair: str) -> str:
    """The group of a contract by its code, the first part of its id."""
    return hours_table.instruments(TABLE).get(pair.partition("-")[0], GROUPS[0])


def until_expiry(pair: str, market: MarketCalendar) -> MarketCalendar:
    """A market's hours until the contract expires; as they are for what names no last day."""
    found = _expiry(pair)
    return UntilExpiry(market, *found) if found else market


@lru_cache(maxsize=4096)
def _expiry(pair: str) -> tuple[int, int] | None:
    """Until when a contract trades for sure, and until when perhaps; None for what does not expire."""
    day = _last_day(pair)
    if day is None:
        return None
    table = hours_table.groups(TABLE)[group_of(pair)]
    if "expires" not in table:
        zone = table["zone"]
        return _instant(day, 0, zone), _instant(day, DAY_MINUTES, zone)
    time, _, zone = table["expires"].partition(" ")
    return (_instant(day, minutes(time), zone),) * 2


def _last_day(pair: str) -> date | None:
    named = _LAST_DAY.search(pair)
    if named is None or named[2] not in _MONTHS:
        return None
    try:
        return date(2000 + int(named[3]), _MONTHS.index(named[2]) + 1, int(named[1]))
    except ValueError:  # 31 February
        return None


def _instant(day: date, minute: int, zone: str) -> int:
    local = np.array([day_number(day) * DAY + minute * 60], dtype=np.int64)
    return int(from_local(local, zone)[0])


def _before(intervals: Times, end: int) -> Times:
    kept: Times = np.minimum(intervals, end)
    return kept[kept[:, 0] < kept[:, 1]]
