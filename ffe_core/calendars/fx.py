"""FX calendar: trading days from 17:00 to 17:00 New York, Monday's to Friday's.

Monday's trading day begins on Sunday at 17:00, so the week runs from Sunday 17:00 to Friday 17:00 New York, which is
22:00 or 21:00 UTC by the season. A holiday closes one trading day: 25 December from the 24th 17:00 to the 25th 17:00.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from ffe_core.calendars.base import Horizon, MarketCalendar, SpecialSession
from ffe_core.calendars.holidays import days_of, is_month_and_day
from ffe_core.errors import InputError
from ffe_core.intervals import Times, intersect, merge, overlapping
from ffe_core.times import DAY

DEFAULT_FX_HOLIDAYS: tuple[str, ...] = ("12-25", "01-01")
"""Month and day of the trading days on which the market stays closed."""

_NEW_YORK = ZoneInfo("America/New_York")
_DAY_ENDS = time(17)
# The time zone database vouches for its data from 1970 on; the end only bounds the table.
_FIRST, _LAST = date(1970, 1, 1), date(2100, 1, 1)
_HORIZON = tuple(int(datetime(d.year, d.month, d.day, tzinfo=UTC).timestamp()) for d in (_FIRST, _LAST))
_PAUSE = (22 * 3600, 22 * 3600 + 180)
_DAY_OF_A_YEAR = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True)
class FxWeek(MarketCalendar):
    """The FX week; `holidays` as "MM-DD" or "YYYY-MM-DD", none when empty.

    `daily_pause` is for what also rests 22:00 to 22:03 UTC: OANDA's crypto CFDs, as measured. InputError for a holiday
    that is no day.
    """

    name: str = "fx"
    holidays: tuple[str, ...] = DEFAULT_FX_HOLIDAYS
    daily_pause: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "holidays", checked_holidays(self.holidays))

    @property
    def horizon(self) -> Horizon:
        return _HORIZON[0], _HORIZON[1]

    def _intervals(self, start: int, end: int) -> Times:
        return overlapping(_open_times(self.holidays, self.daily_pause), start, end)

    def _special_days(self, first: date, last: date) -> list[SpecialSession]:
        days = _days(first, last)
        closed = days[_is_weekday(days) & _is_holiday(days, self.holidays)]
        return [SpecialSession(day, "holiday", _closure_text(day)) for day in closed.tolist()]


@lru_cache(maxsize=32)
def _open_times(holidays: tuple[str, ...], daily_pause: bool) -> Times:
    """(n, 2) all open times of the horizon; a few thousand weeks, worked out once."""
    days = _days(_FIRST, _LAST)
    ends = _day_ends()
    trading_days = np.column_stack((ends[:-1], ends[1:]))
    table = merge(trading_days[_is_weekday(days) & ~_is_holiday(days, holidays)])
    table = intersect(table, _outside_pause(days)) if daily_pause else table
    table.flags.writeable = False
    return table


@cache
def _day_ends() -> Times:
    """Epoch seconds of 17:00 New York on every day from the one before the horizon to its end."""
    days = range((_FIRST - timedelta(1)).toordinal(), _LAST.toordinal() + 1)
    ends = (datetime.combine(date.fromordinal(day), _DAY_ENDS, _NEW_YORK) for day in days)
    return np.fromiter((end.timestamp() for end in ends), dtype=np.int64, count=len(days))


def _days(first: date, last: date) -> npt.NDArray[np.datetime64]:
    return np.arange(np.datetime64(first), np.datetime64(last) + 1)


def _outside_pause(days: npt.NDArray[np.datetime64]) -> Times:
    midnights = days.astype(np.int64) * DAY
    return np.column_stack((midnights - DAY + _PAUSE[1], midnights + _PAUSE[0]))


def _is_weekday(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.bool_]:
    # Day 0 of the epoch was a Thursday.
    return (days.astype(np.int64) + 3) % 7 < 5


def _is_holiday(days: npt.NDArray[np.datetime64], holidays: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    return np.isin(days.astype(np.int64), [day for text in holidays for day in days_of(text)])


def _closure_text(day: date) -> str:
    return f"closed from {day - timedelta(1)} 17:00 to {day} 17:00 New York"


def checked_holidays(holidays: Sequence[str]) -> tuple[str, ...]:
    """The holidays in order; InputError for anything but "12-25" or "2022-12-26"."""
    if isinstance(holidays, str):
        problem = f"{holidays!r} is one text; give a list such as ['12-25', '01-01'], or []"
        raise InputError(problem, field="fx_holidays")
    for text in holidays:
        if not _is_day(text):
            problem = f"{text!r} is no day; write it like '12-25', or '2022-12-26' for one year"
            raise InputError(problem, field="fx_holidays")
    return tuple(sorted(set(holidays)))


def _is_day(text: object) -> bool:
    return isinstance(text, str) and _reads_as_day(text)


@lru_cache(maxsize=512)
def _reads_as_day(text: str) -> bool:
    try:
        return is_month_and_day(text) or bool(_DAY_OF_A_YEAR.fullmatch(text) and days_of(text))
    except InputError:
        return False
