"""Holiday rules: the days that a list of days and rules names.

2022-12-26     that day
12-25          that day of every year
good-friday    and easter-monday, ascension, whit-monday of every year
4th-thu-nov    a weekday of a month of every year, from 1st to 4th or last
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache

from ffe_core.calendars.week_text import DAYS
from ffe_core.calendars.zones import FIRST_DAY, LAST_DAY, day_number
from ffe_core.errors import InputError

EXAMPLE = "a day like 2024-12-26, 12-25, good-friday, easter-monday or 4th-thu-nov"

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_AFTER_EASTER = {"good-friday": -2, "easter-monday": 1, "ascension": 39, "whit-monday": 50}
_NTH = re.compile(rf"([1-4])(?:st|nd|rd|th)-({'|'.join(DAYS)})-({'|'.join(_MONTHS)})")
_LAST = re.compile(rf"last-({'|'.join(DAYS)})-({'|'.join(_MONTHS)})")
_LEAP_YEAR = 2000
_YEARS = range(FIRST_DAY.year, LAST_DAY.year)

Rule = Callable[[int], date]


@lru_cache(maxsize=4096)
def days_of(word: str) -> tuple[int, ...]:
    """Days since 1970-01-01 that one word names, ascending; InputError for a word that names none."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", word, re.ASCII):
        try:
            return (day_number(date.fromisoformat(word)),)
        except ValueError:
            raise InputError(f"{word!r} is no day of the calendar; give {EXAMPLE}") from None
    rule = _rule(word.lower())
    return tuple(day_number(day) for day in _every_year(rule))


def beside_weekend(days: tuple[int, ...]) -> tuple[int, ...]:
    """The days, and for a Saturday the Friday before, for a Sunday the Monday after."""
    shifted = {day + {5: -1, 6: 1}.get((day + 3) % 7, 0) for day in days}
    return tuple(sorted({*days, *shifted}))


def is_month_and_day(word: str) -> bool:
    """Whether a word is "12-25" or another day of a year."""
    if not re.fullmatch(r"\d\d-\d\d", word, re.ASCII):
        return False
    month, day = int(word[:2]), int(word[3:])
    return 1 <= month <= 12 and 1 <= day <= monthrange(_LEAP_YEAR, month)[1]


def easter(year: int) -> date:
    """Western Easter Sunday, by the anonymous Gregorian computus (Meeus, Astronomical Algorithms, chapter 8)."""
    century, of_century = divmod(year, 100)
    golden = year % 19
    moon = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    sunday = (32 + 2 * (century % 4) + 2 * (of_century // 4) - moon - of_century % 4) % 7
    late = (golden + 11 * moon + 22 * sunday) // 451
    month, day = divmod(moon + sunday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def _rule(word: str) -> Rule:
    if word in _AFTER_EASTER:
        return lambda year: easter(year) + timedelta(_AFTER_EASTER[word])
    if word == "thanksgiving-friday":
        return lambda year: _nth(year, 11, DAYS.index("thu"), 4) + timedelta(1)
    if is_month_and_day(word):
        return lambda year: date(year, int(word[:2]), int(word[3:]))
    if found := _NTH.fullmatch(word):
        number, weekday, month = int(found[1]), DAYS.index(found[2]), _MONTHS.index(found[3]) + 1
        return lambda year: _nth(year, month, weekday, number)
    if found := _LAST.fullmatch(word):
        weekday, month = DAYS.index(found[1]), _MONTHS.index(found[2]) + 1
        return lambda year: _last(year, month, weekday)
    raise InputError(f"{word!r} is no day; give {EXAMPLE}")


def _every_year(rule: Rule) -> list[date]:
    found = []
    for year in _YEARS:
        try:
            found.append(rule(year))
        except ValueError:  # 29 February
            continue
    return found


def _nth(year: int, month: int, weekday: int, number: int) -> date:
    first = date(year, month, 1)
    return first + timedelta((weekday - first.weekday()) % 7 + 7 * (number - 1))


def _last(year: int, month: int, weekday: int) -> date:
    last = date(year, month, monthrange(year, month)[1])
    return last - timedelta((last.weekday() - weekday) % 7)
