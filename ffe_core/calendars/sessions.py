"""The sessions of one exchange from 1970 on: what `exchange_calendars` says, our table of hours and days on top."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ffe_core.calendars.base import SpecialSession
from ffe_core.calendars.closures import closures
from ffe_core.calendars.exchange_table import OneDay, Span, single_days, usual_hours
from ffe_core.calendars.pandas3 import build, tolerated
from ffe_core.calendars.zones import day_number, from_local
from ffe_core.intervals import Times, minus
from ffe_core.times import DAY, utc

_QUARTER, _HALF_HOUR, _HOUR = 900, 1800, 3600
_NEW_YORK = "America/New_York"
_SUMMER_OFFSET = -4 * 3600

Column = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sessions:
    """What is known of an exchange; intervals in epoch seconds, sorted, merged within a session only."""

    hours: Times
    """(n, 2) open times; a session with a lunch break has two rows."""
    labels: Column
    """(n,) the date of the session of each row, days since 1970."""
    bases: Column
    """(n,) where the hourly bars of each row are counted from: the usual open, also where a day began late."""
    quiet: Times
    quiet_labels: Column
    calendar: Any
    known: dict[int, OneDay]
    """The days of our table among them."""
    days: tuple[int, int]

    @cached_property
    def special(self) -> dict[date, SpecialSession]:
        """The days with other hours than usual, by date."""
        rows = np.column_stack((self.labels, self.hours))
        with tolerated():
            return closures(self.calendar, rows, self.known, *self.days)

    def days_of(self, intervals: Times) -> Times:
        """The dates of the sessions that the intervals (rows of `hours` or of `quiet`) belong to, as days in UTC."""
        tables = ((self.hours, self.labels), (self.quiet, self.quiet_labels))
        found = [labels[np.isin(known[:, 0], intervals[:, 0])] for known, labels in tables]
        days = np.unique(np.concatenate(found)) * DAY
        return np.column_stack((days, days + DAY))

    def anchors_of(self, opens: Times, step: int) -> Times:
        """Where the bar of `step` seconds begins that holds each open."""
        rows = np.searchsorted(self.hours[:, 0], opens)
        rows = np.minimum(rows, len(self.bases) - 1)
        known = self.hours[rows, 0] == opens
        bases = np.where(known, self.bases[rows], opens)
        found: Times = opens - (opens - bases) % step
        return found

    @cached_property
    def hour_offset(self) -> int:
        """Where in the hour (of UTC) sessions open now, seconds: the last one that is known tells."""
        first = np.searchsorted(self.labels, self.labels[-1])
        return int(self.bases[first] % _HOUR)

    @property
    def grid(self) -> int:
        """Seconds between two instants at which an hourly bar may open."""
        return math.gcd(_HALF_HOUR, *np.unique(self.bases % _HALF_HOUR).tolist())


def bounds(code: str) -> tuple[int, int | None]:
    """First instant that the library can know of an exchange, and the first it cannot, epoch seconds."""
    factory = _factory(code)
    first, last = factory.bound_min(), factory.bound_max()
    return (
        0 if first is None else day_number(first.date()) * DAY,
        None if last is None else (day_number(last.date()) + 1) * DAY,
    )


@cache
def _factory(code: str) -> Any:
    # Costs most of a second to import, and crypto and FX never need it.
    from exchange_calendars.calendar_utils import global_calendar_dispatcher

    return global_calendar_dispatcher._calendar_factories[code]


def load(code: str, first: int, end: int) -> Sessions:
    """The sessions from `first` to before `end`, whole days in epoch seconds."""
    calendar = _calendar(code, utc(first).date(), utc(end - 1).date())
    zone, table = str(calendar.tz), single_days(code)
    usual = _corrected(code, zone, _rows(calendar), _labels(calendar.late_opens), _labels(calendar.early_closes))
    known = {day: hours for day, hours in table.items() if first <= day * DAY < end}
    own = [(day, span) for day, hours in known.items() for span in hours.open]
    rows = np.concatenate((usual[~np.isin(usual[:, 0], list(known))], _on(own, zone)))
    rows = rows[np.argsort(rows[:, 1], kind="stable")]
    rows.flags.writeable = False
    odd = {*known, *_labels(calendar.late_opens).tolist()}
    quiet = _quiet(known, usual, rows, zone)
    bases, days = _bases(rows, odd, zone), (first // DAY, end // DAY)
    return Sessions(rows[:, 1:], rows[:, 0], bases, quiet[:, 1:], quiet[:, 0], calendar, known, days)


def _calendar(code: str, first: date, last: date) -> Any:
    with tolerated():
        return build(_factory(code), first, last)


def _rows(calendar: Any) -> Times:
    """(n, 3) label, open, close; two rows where there is a lunch break."""
    schedule = calendar.schedule
    labels = _labels(schedule.index)
    opens, closes = (_seconds(schedule[name]) for name in ("open", "close"))
    broken = schedule["break_start"].notna().to_numpy()
    starts, ends = (_seconds(schedule[name].where(broken, schedule["open"])) for name in ("break_start", "break_end"))
    mornings = np.column_stack((labels, opens, np.where(broken, starts, closes)))
    rows: Times = np.concatenate((mornings, np.column_stack((labels, ends, closes))[broken]))
    return rows[rows[:, 1] < rows[:, 2]]


def _seconds(column: Any) -> Column:
    found: Column = column.dt.as_unit("s").astype("int64").to_numpy()
    return found


def _labels(index: Any) -> Column:
    found: Column = index.as_unit("s").astype("int64").to_numpy() // DAY
    return found


def _corrected(code: str, zone: str, rows: Times, late: Column, early: Column) -> Times:
    """Other usual hours than the library's; days that it lets begin late or end early keep that."""
    rows = rows.copy()
    labels = rows[:, 0]
    for first, until, *seasons in usual_hours(code):
        within = (labels >= first) & (labels < (labels[-1] + 1 if until is None else until))
        for at, kept in ((0, late), (1, early)):
            time = np.where(_in_summer(labels), seasons[1][at], seasons[0][at]) * 60
            changed = within & ~np.isin(labels, kept)
            rows[:, 1 + at] = np.where(changed, from_local(labels * DAY + time, zone), rows[:, 1 + at])
    return rows


def _in_summer(labels: Column) -> npt.NDArray[np.bool_]:
    """Whether New York keeps summer time at noon of each day."""
    noon = labels * DAY + DAY // 2
    found: npt.NDArray[np.bool_] = noon - from_local(noon, _NEW_YORK) == _SUMMER_OFFSET
    return found


def _on(spans: list[tuple[int, Span]], zone: str) -> Times:
    """(n, 3) label, start, end of local spans of days."""
    given = np.array([(day, day * 1440 + start, day * 1440 + end) for day, (start, end) in spans], dtype=np.int64)
    given = given.reshape(-1, 3)
    return np.column_stack((given[:, 0], from_local(given[:, 1:] * 60, zone)))


def _bases(rows: Times, odd: set[int], zone: str) -> Column:
    """Where the bars of each row count from, on a quarter of an hour: on an odd day, its usual start."""
    labels, opens = rows[:, 0], rows[:, 1]
    since_midnight = opens - from_local(labels * DAY, zone)
    bases = opens.copy()
    starts: list[int] = []
    for row in np.flatnonzero(np.isin(labels, list(odd))).tolist():
        usual = row - 1
        while usual >= 0 and int(labels[usual]) in odd:
            usual -= 1
        starts = since_midnight[labels == labels[usual]].tolist() if usual >= 0 else []
        before = [start for start in starts if start <= since_midnight[row]]
        if before:
            bases[row] -= since_midnight[row] - max(before)
    return bases - bases % _QUARTER


def _quiet(known: dict[int, OneDay], usual: Times, rows: Times, zone: str) -> Times:
    """(n, 3) label, start, end of what may be open; a day that nobody settles has its usual hours."""
    given = _on([(day, span) for day, hours in known.items() for span in hours.maybe], zone)
    unsettled = [day for day, hours in known.items() if hours.is_open_question]
    found = np.concatenate((given, usual[np.isin(usual[:, 0], unsettled)]))
    found = found[np.argsort(found[:, 1], kind="stable")]
    left = minus(found[:, 1:], rows[:, 1:])
    labels = found[np.searchsorted(found[:, 1], left[:, 0], side="right") - 1, 0] if len(left) else found[:0, 0]
    return np.column_stack((labels, left))
