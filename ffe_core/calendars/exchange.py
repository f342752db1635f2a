"""When does a stock exchange trade? Holidays and half days come from `exchange_calendars`, loaded at first use.

Intraday bars up to an hour begin at the session's open: on the New York Stock Exchange an hourly bar opens on the half
hour, and a full day from 09:30 to 16:00 has seven. Longer bars lie on the UTC grid, so a daily bar is 00:00 UTC.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from ffe_core.calendars.base import Horizon, MarketCalendar, SpecialSession
from ffe_core.intervals import Times, overlapping
from ffe_core.times import DAY, now, utc

_FIRST_DAY = "1970-01-01"
_HOUR = 3600


@dataclass(frozen=True)
class ExchangeHours(MarketCalendar):
    """The regular sessions of one exchange, from 1970 to the end of next year; `name` is its ISO 10383 code."""

    name: str = "XNYS"

    @property
    def horizon(self) -> Horizon:
        last = datetime(_last_year() + 1, 1, 1, tzinfo=UTC)
        return 0, int(last.timestamp())

    def _intervals(self, start: int, end: int) -> Times:
        return overlapping(_sessions(self.name, _last_year()).hours, start, end)

    def _anchors(self, open_times: Times, step: int) -> Times:
        return open_times if step <= _HOUR else super()._anchors(open_times, step)

    def _grid(self, step: int) -> int:
        return step // 2 if step == _HOUR else step

    def _special_days(self, first: date, last: date) -> list[SpecialSession]:
        known = _sessions(self.name, _last_year())
        days = [first + timedelta(n) for n in range((last - first).days + 1)]
        return [known.special[day] for day in days if day in known.special]


class _Sessions(NamedTuple):
    hours: Times  # (n, 2) open and close of every session
    special: dict[date, SpecialSession]


def _last_year() -> int:
    """Exchanges publish their holidays a year or more ahead; asked again each time, as servers run for years."""
    return utc(now()).year + 1


@lru_cache(maxsize=4)
def _sessions(code: str, last_year: int) -> _Sessions:
    calendar = _load(code, f"{last_year}-12-31")
    hours = np.column_stack([times.dt.as_unit("s").astype("int64") for times in (calendar.opens, calendar.closes)])
    hours.flags.writeable = False
    special = sorted(_holidays(calendar, hours, last_year) + _half_days(calendar))
    return _Sessions(hours, {session.date: session for session in special})


def _load(code: str, last_day: str) -> Any:
    # Costs most of a second to import, and crypto and FX never need it.
    from exchange_calendars import get_calendar

    with warnings.catch_warnings():
        # exchange_calendars 4.13 reads Series.values in a way that only pandas 4 will answer differently.
        warnings.filterwarnings("ignore", "Series.values returning an ndarray that drops timezone", DeprecationWarning)
        return get_calendar(code, start=_FIRST_DAY, end=last_day)


def _holidays(calendar: Any, hours: Times, last_year: int) -> list[SpecialSession]:
    """The weekdays without a session, with the holiday's name where there is one."""
    days = np.arange(_FIRST_DAY, f"{last_year + 1}-01-01", dtype="datetime64[D]")
    closed = np.setdiff1d(days[np.is_busday(days)], (hours[:, 0] // DAY).astype("datetime64[D]"))
    named = calendar.regular_holidays.holidays(_FIRST_DAY, f"{last_year}-12-31", return_name=True)
    names = {stamp.date(): str(name) for stamp, name in named.items()}
    return [SpecialSession(day, "holiday", names.get(day, "special closure")) for day in closed.tolist()]


def _half_days(calendar: Any) -> list[SpecialSession]:
    zone = ZoneInfo(str(calendar.tz))
    closes = calendar.closes[calendar.early_closes]
    return [
        SpecialSession(session.date(), "half day", f"closes at {close.astimezone(zone):%H:%M} {zone.key}")
        for session, close in closes.items()
    ]
