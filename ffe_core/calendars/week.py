"""Week calendar of a market: local hours by period, closed days, early closes, late opens.

Three states, not two: open, closed, and *quiet*, hours in which bars may come or not: thin minutes, holidays that no
list of the market names, the evening parts of a holiday where a day of the calendar and a trading day say different.
A bar in quiet hours is neither expected nor extra.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from ffe_core.calendars.base import Horizon, MarketCalendar, SpecialSession
from ffe_core.calendars.holidays import beside_weekend, days_of
from ffe_core.calendars.week_text import DAY_MINUTES, WEEK_MINUTES, Week, minutes, parse_week
from ffe_core.calendars.zones import FIRST, FIRST_DAY, LAST, LAST_DAY, day_number, from_local
from ffe_core.errors import InputError
from ffe_core.intervals import NONE, Times, intersect, merge, minus, overlapping, union
from ffe_core.times import DAY

Era = tuple[str, str]
"""First local day (ISO) and the week from then on, as `week_text` writes it."""
_MONDAY = -3


@dataclass(frozen=True)
class Hours:
    """The hours of a market as text, parsed at first use; days are words of `holidays`, times local.

    `day_begins` is when the trading day of a date begins, in minutes after its midnight: -420 for FX, 17:00 before.
    """

    zone: str
    weeks: tuple[Era, ...]
    closed: str = ""
    closes: str = ""
    """Days with the time at which they close, as in "2024-12-24@17:00"."""
    opens: str = ""
    quiet: str = ""
    """Days, some with a time from which they are quiet; one at a weekend means the weekday beside it too."""
    day_begins: int = 0
    second_reading: tuple[str, str] | None = None
    """Zone and week by another reading of the source: where the two differ is quiet."""


@dataclass(frozen=True)
class WeekHours(MarketCalendar):
    """A market by its `hours`; `holidays` are trading days closed besides. InputError for hours that cannot be."""

    name: str
    hours: Hours
    holidays: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check(self.hours)

    @property
    def horizon(self) -> Horizon:
        return FIRST, LAST

    def _intervals(self, start: int, end: int) -> Times:
        return overlapping(_tables(self.hours, self.holidays).open, start, end)

    def _quiet(self, start: int, end: int) -> Times:
        return overlapping(_tables(self.hours, self.holidays).quiet, start, end)

    def _special_days(self, first: date, last: date) -> list[SpecialSession]:
        known = _special(self.hours, self.holidays)
        days = [first + timedelta(n) for n in range((last - first).days + 1)]
        return [known[day] for day in days if day in known]


class _Tables(NamedTuple):
    open: Times
    quiet: Times


@lru_cache(maxsize=256)
def check(hours: Hours) -> None:
    """Read every word of the hours once. InputError for one that cannot be."""
    if not _is_zone(hours.zone):
        raise InputError(f"{hours.zone!r} is no time zone; give one like 'Europe/London' or 'America/New_York'")
    for _, text in hours.weeks:
        parse_week(text)
    for words in (hours.closed, hours.closes, hours.opens, hours.quiet):
        _timed(words)


@lru_cache(maxsize=64)
def _tables(hours: Hours, holidays: tuple[str, ...]) -> _Tables:
    """All open and all quiet times of the horizon, epoch seconds; worked out once."""
    opened, thin = _weekly(hours)
    closed, doubtful = _closures(hours, holidays)
    quiet = minus(union(doubtful, thin), closed)
    possible = minus(union(opened, thin), closed)
    tables = _Tables(minus(possible, quiet), intersect(possible, quiet))
    for table in tables:
        table.flags.writeable = False
    return tables


def _weekly(hours: Hours) -> _Tables:
    """The regular weeks, era by era; thin minutes and what two readings do not share are quiet."""
    edges = [_midnight(day_number(date.fromisoformat(first)), hours.zone) for first, _ in hours.weeks] + [LAST + DAY]
    eras = [_era(parse_week(text), hours.zone, *edges[n : n + 2]) for n, (_, text) in enumerate(hours.weeks)]
    opened, thin = merge(np.concatenate([era.open for era in eras])), union(*(era.quiet for era in eras))
    if hours.second_reading is None:
        return _Tables(opened, thin)
    zone, text = hours.second_reading
    other = _era(parse_week(text), zone, edges[0], edges[-1]).open
    both = intersect(opened, other)
    return _Tables(both, union(thin, minus(union(opened, other), both)))


def _era(week: Week, zone: str, start: int, end: int) -> _Tables:
    clip = np.array([[start, end]], dtype=np.int64)
    return _Tables(*(intersect(merge(_repeated(spans, zone)), clip) for spans in (week.open, week.thin)))


def _repeated(spans: Times, zone: str) -> Times:
    """Minutes of a week in every week of the horizon."""
    if len(spans) == 0:
        return NONE
    weeks = np.arange(_MONDAY * DAY_MINUTES, (day_number(LAST_DAY) + 7) * DAY_MINUTES, WEEK_MINUTES)
    local = (weeks[:, None, None] + spans[None]).reshape(-1, 2) * 60
    found = from_local(local, zone)
    return found[found[:, 0] < found[:, 1]]


def _closures(hours: Hours, holidays: tuple[str, ...]) -> _Tables:
    """Closed for sure, and perhaps.

    A closed day is sure where the day of the calendar and the trading day agree.
    """
    zone = hours.zone
    listed = _days(hours.closed.split())
    calendar_days, trading_days = _whole(listed, zone), _whole(listed, zone, hours.day_begins)
    chosen = _whole(_days(holidays), zone, hours.day_begins)
    early = [(day, at, DAY_MINUTES) for day, at in _timed(hours.closes)]
    late = [(day, 0, at) for day, at in _timed(hours.opens)]
    sure = union(intersect(calendar_days, trading_days), chosen, _spans(early + late, zone))
    return _Tables(sure, union(calendar_days, trading_days, _doubtful(hours)))


def _doubtful(hours: Hours) -> Times:
    timed = _timed(hours.quiet, beside=True)
    whole = np.array([day for day, at in timed if at == 0], dtype=np.int64)
    parts = [(day, at, DAY_MINUTES) for day, at in timed if at]
    zone = hours.zone
    return union(_whole(whole, zone), _whole(whole, zone, hours.day_begins), _spans(parts, zone))


def _days(words: Iterable[str]) -> Times:
    return np.array(sorted({day for word in words for day in days_of(word)}), dtype=np.int64)


def _timed(words: str, *, beside: bool = False) -> list[tuple[int, int]]:
    """Day and minute of each word; without a time, 0."""
    found = []
    for word in words.split():
        name, _, time = word.partition("@")
        days = beside_weekend(days_of(name)) if beside else days_of(name)
        found += [(day, minutes(time) if time else 0) for day in days]
    return found


def _whole(days: Times, zone: str, begins: int = 0) -> Times:
    starts, ends = days * DAY + begins * 60, (days + 1) * DAY + begins * 60
    return union(np.column_stack((from_local(starts, zone), from_local(ends, zone))))


def _spans(parts: list[tuple[int, int, int]], zone: str) -> Times:
    if not parts:
        return NONE
    days, starts, ends = np.array(parts, dtype=np.int64).T
    local = np.column_stack((days * DAY + starts * 60, days * DAY + ends * 60))
    return union(from_local(local, zone))


def _midnight(day: int, zone: str) -> int:
    return int(from_local(np.array([day * DAY], dtype=np.int64), zone)[0])


@lru_cache(maxsize=64)
def _special(hours: Hours, holidays: tuple[str, ...]) -> dict[date, SpecialSession]:
    """The days with other hours on which the market would have traded, the surest word of each."""
    found: dict[int, SpecialSession] = {}
    for words, whole, partly in (
        (hours.quiet, "may be closed", "may close at {}"),
        (hours.opens, "", "opens at {}"),
        (hours.closes, "", "closes at {}"),
        (f"{hours.closed} {' '.join(holidays)}", "closed", ""),
    ):
        for day, at in _timed(words, beside=words == hours.quiet):
            found[day] = _session(day, at, whole, partly, hours.zone)
    trading = _traded(hours)
    return {session.date: session for day, session in found.items() if day in trading}


def _session(day: int, at: int, whole: str, partly: str, zone: str) -> SpecialSession:
    on = FIRST_DAY + timedelta(day)
    if at == 0:
        return SpecialSession(on, "holiday", whole)
    return SpecialSession(on, "half day", f"{partly.format(f'{at // 60:02}:{at % 60:02}')} {zone}")


def _traded(hours: Hours) -> set[int]:
    """The local days that hold an open minute of the regular week."""
    local = _repeated(parse_week(hours.weeks[-1][1]).open, "UTC")
    return set((local[:, 0] // DAY).tolist())


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return False
    return bool(name)
