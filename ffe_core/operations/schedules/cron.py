"""Cron triggers: five fields in UTC, weekdays by name, and the instants they name in any range."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from ffe_core.errors import InputError
from ffe_core.intervals import Times
from ffe_core.times import DAY

MINUTE = 60
_NONE: Times = np.empty(0, dtype=np.int64)
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
"""In the order in which cron counts them."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * sun",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_PART = re.compile(r"(?:\*|(?P<first>[a-z0-9]+)(?:-(?P<last>[a-z0-9]+))?)(?:/(?P<step>\d+))?")


@dataclass(frozen=True)
class Cron:
    """Five cron fields, read in UTC: minute, hour, day of the month, month, weekday by name."""

    text: str
    notes: tuple[str, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    """As cron counts them: 0 is Sunday."""

    @classmethod
    @lru_cache(maxsize=1024)
    def of(cls, expression: str) -> Cron:
        """InputError that names the field at fault, or says that the expression is never due."""
        fields = _SHORTHANDS.get(expression.strip().lower(), expression).lower().split()
        if len(fields) != 5:
            raise InputError(
                f"cron needs five fields (minute hour day month weekday), {expression!r} has {len(fields)};"
                " for example '30 2 * * mon-fri'",
                field="trigger",
            )
        minutes = _values("minute", fields[0], 0, 59)
        hours = _values("hour", fields[1], 0, 23)
        days = _values("day", fields[2], 1, 31)
        months = _values("month", fields[3], 1, 12, _MONTHS)
        weekdays = tuple(sorted({day % 7 for day in _values("weekday", fields[4], 0, 7, _WEEKDAYS)}))
        _check_days(fields, days, months, weekdays)
        named = _named(weekdays) if fields[4] != "*" else "*"
        return cls(
            f"cron {' '.join([*fields[:4], named])}", _notes(fields[4], named), minutes, hours, days, months, weekdays
        )

    @property
    def words(self) -> str:
        """For example "mon-fri at 02:30 UTC"; the fields themselves where no short sentence says it."""
        _, minute, hour, day, month, weekday = self.text.split()
        at = f"{self.hours[0]:02d}:{self.minutes[0]:02d} UTC"
        if (day, month) != ("*", "*") or len(self.minutes) != 1:
            return f"{self.text} (UTC)"
        if len(self.hours) == 1:
            return f"every day at {at}" if weekday == "*" else f"{weekday} at {at}"
        if (hour, weekday) == ("*", "*"):
            return f"every hour at minute {minute}"
        return f"{self.text} (UTC)"

    def dues(self, after: int, until: int) -> Times:
        if until <= after:
            return _NONE
        days = np.arange((after + 1) // DAY, until // DAY + 1)
        dues: Times = np.add.outer(days[self._is_day(days)] * DAY, self._of_day).ravel()
        return dues[(dues > after) & (dues <= until)]

    @cached_property
    def _of_day(self) -> Times:
        """The seconds of a day at which it is due."""
        found: Times = np.add.outer(np.array(self.hours) * 3600, np.array(self.minutes) * MINUTE).ravel()
        return found

    @cached_property
    def _chosen(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which weekdays, months and days of the month count, as tables to look them up in."""
        return _table(self.weekdays, 7), _table(self.months, 13), _table(self.days, 32)

    def _is_day(self, days: Times) -> np.ndarray:
        weekdays, months, days_of_month = self._chosen
        dates = days.astype("datetime64[D]")
        month = dates.astype("datetime64[M]")
        of_month = (dates - month).astype(np.int64) + 1
        # Day 0 of the epoch was a Thursday, which cron counts as 4.
        return np.asarray(weekdays[(days + 4) % 7] & months[month.astype(np.int64) % 12 + 1] & days_of_month[of_month])


def _table(values: Sequence[int], size: int) -> np.ndarray:
    table = np.zeros(size, dtype=bool)
    table[list(values)] = True
    return table


def _values(field: str, text: str, low: int, high: int, names: Sequence[str] = ()) -> tuple[int, ...]:
    """The values a field names, ascending; a range of weekdays may run over the end of the week."""
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise InputError(
                f"{field} {part!r} is not understood; use *, 5, 1-5, */15 or a list with commas", field="trigger"
            )
        step = int(match["step"] or 1)
        first, last = _ends(field, part, match, low, high, names)
        if step == 0:
            raise InputError(
                f"{field} {part!r} has step 0; use a step of at least 1, for example */15", field="trigger"
            )
        if last < first and field == "weekday":
            last += 7
        if last < first:
            raise InputError(f"{field} {part!r} runs backwards; write the smaller value first", field="trigger")
        found |= {value if value <= high else value % 7 for value in range(first, last + 1, step)}
    return tuple(sorted(found))


def _ends(field: str, part: str, match: re.Match[str], low: int, high: int, names: Sequence[str]) -> tuple[int, int]:
    if match["first"] is None:
        # Cron has two numbers for Sunday; "every" means each day once.
        return low, 6 if field == "weekday" else high
    first = _number(field, match["first"], low, high, names)
    if match["last"] is not None:
        return first, _number(field, match["last"], low, high, names)
    if match["step"] is None:
        return first, first
    return first, 6 if field == "weekday" else high


def _number(field: str, text: str, low: int, high: int, names: Sequence[str]) -> int:
    if text in names:
        return names.index(text) + (0 if field == "weekday" else 1)
    if not text.isdecimal():
        known = f"use {', '.join(names)}" if names else f"use {low} to {high}"
        raise InputError(f"{field} {text!r} is unknown; {known}", field="trigger")
    if not low <= int(text) <= high:
        raise InputError(f"{field} {text} does not exist; use {low} to {high}", field="trigger")
    return int(text)


def _check_days(fields: Sequence[str], days: Sequence[int], months: Sequence[int], weekdays: Sequence[int]) -> None:
    if len(days) < 31 and len(weekdays) < 7:
        raise InputError(
            "a day of the month together with a weekday means 'or' to some programs and 'and' to others;"
            " give one of the two, and * for the other",
            field="trigger",
        )
    if min(days) > max(_LONGEST[month - 1] for month in months):
        raise InputError(f"day {fields[2]} of month {fields[3]} never comes; choose a day that exists", field="trigger")


def _named(weekdays: Sequence[int]) -> str:
    """Weekdays by name, as one range where they are one from Monday on."""
    if len(weekdays) == 7:
        return "*"
    from_monday = sorted((day - 1) % 7 for day in weekdays)
    names = [_WEEKDAYS[(day + 1) % 7] for day in from_monday]
    together = from_monday[-1] - from_monday[0] == len(from_monday) - 1
    return f"{names[0]}-{names[-1]}" if together and len(names) > 2 else ",".join(names)


def _notes(given: str, named: str) -> tuple[str, ...]:
    if not re.search(r"\d", given):
        return ()
    return (f"weekday {given} is read as {named}, as cron counts (0 and 7 are Sunday); names cannot be misread",)
