"""Closures of an exchange, for display: holidays, half days, late beginnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from ffe_core.calendars.base import SpecialSession
from ffe_core.calendars.exchange_table import OneDay
from ffe_core.calendars.zones import FIRST_DAY, day_number, weekdays
from ffe_core.intervals import Times
from ffe_core.times import utc

_OFTEN = 10
"""So many sessions of a year fall on a day of the week that trades regularly; a Saturday or two do not."""


def closures(calendar: Any, rows: Times, known: dict[int, OneDay], first: int, end: int) -> dict[date, SpecialSession]:
    """By date, from day `first` to before day `end`; `rows` are label, open and close of each session."""
    found = [*_holidays(calendar, rows, known, first, end), *_odd_hours(calendar, rows, known)]
    return {session.date: session for session in sorted(found)}


def _holidays(calendar: Any, rows: Times, known: dict[int, OneDay], first: int, end: int) -> Iterator[SpecialSession]:
    regular = calendar.regular_holidays
    named = {} if regular is None else regular.holidays(_text(first), _text(end - 1), return_name=True)
    names = {day_number(stamp.date()): str(name) for stamp, name in dict(named).items()}
    for day in _without_session(rows, first, end):
        settled = day not in known or (not known[day].maybe and not known[day].is_open_question)
        yield SpecialSession(_date(day), "holiday", names.get(day, "special closure") if settled else "may be closed")


def _without_session(rows: Times, first: int, end: int) -> list[int]:
    """Days of the week on which the exchange traded regularly that year, but not that day."""
    labels = np.unique(rows[:, 0])
    often = Counter(zip(_years(labels), weekdays(labels).tolist(), strict=True))
    days = np.setdiff1d(np.arange(first, end), labels)
    found = zip(days.tolist(), _years(days), weekdays(days).tolist(), strict=True)
    return [day for day, year, weekday in found if often[year, weekday] >= _OFTEN]


def _odd_hours(calendar: Any, rows: Times, known: Collection[int]) -> Iterator[SpecialSession]:
    zone = ZoneInfo(str(calendar.tz))
    late, early = (
        {day_number(stamp.date()) for stamp in stamps} for stamps in (calendar.late_opens, calendar.early_closes)
    )
    odd = np.array(sorted({*late, *early, *known}), dtype=np.int64)
    for day, opened, closed in _whole(rows[np.isin(rows[:, 0], odd)]):
        begins, ends = (f"{utc(at).astimezone(zone):%H:%M}" for at in (opened, closed))
        words = [f"opens at {begins}"] * (day not in early) + [f"closes at {ends}"] * (day not in late)
        yield SpecialSession(_date(day), "half day", f"{' and '.join(words)} {zone.key}")


def _whole(rows: Times) -> Iterator[tuple[int, int, int]]:
    """Each session from its first open to its last close."""
    for day in np.unique(rows[:, 0]).tolist():
        own = rows[rows[:, 0] == day]
        yield day, int(own[0, 1]), int(own[-1, 2])


def _years(days: Times) -> list[int]:
    found: list[int] = (days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970).tolist()
    return found


def _text(day: int) -> str:
    return _date(day).isoformat()


def _date(day: int) -> date:
    return FIRST_DAY + timedelta(day)
