"""Whole series made from small tables of the tests' own (golden/), by walking days on the wall clock.

Nothing here is asked of the calendars under test: days are `date`s, edges are `datetime`s in their zone, bars are what
the open minutes touch.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

GOLDEN = Path(__file__).parent / "golden"
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NEW_YORK = ZoneInfo("America/New_York")
DEFAULTS = {"forex:default": "EUR_USD", "cfd:default": "ESPIX_EUR"}
"""The instrument that stands for all which no table names."""

Segments = list[tuple[int, int]]


class Era(NamedTuple):
    """The week of an instrument from one day on, minutes after midnight by weekday."""

    zone: ZoneInfo
    first: date
    until: date
    week: dict[str, Segments]


def rows(name: str) -> list[dict[str, str]]:
    with (GOLDEN / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def oanda_eras() -> dict[str, list[Era]]:
    """Instrument -> its weeks in order."""
    return eras("oanda_weeks")


def eras(table: str) -> dict[str, list[Era]]:
    """Instrument -> its weeks in order, of one table of weeks."""
    found: dict[str, list[Era]] = {}
    for row in rows(table):
        week = {day: _segments(row[day]) for day in WEEKDAYS}
        first, until = row["from"] or "1900-01-01", row["until"] or "2200-01-01"
        era = Era(ZoneInfo(row["zone"]), date.fromisoformat(first), date.fromisoformat(until), week)
        for name in row["instruments"].split():
            found.setdefault(name, []).append(era)
    return found


def oanda_days() -> dict[str, dict[date, Segments]]:
    """Instrument -> day -> the part of it in which trading may take place."""
    found: dict[str, dict[date, Segments]] = {}
    for row in rows("oanda_days"):
        for name in row["instruments"].split():
            for word in row["days"].split():
                day, _, time = word.partition("@")
                minute = _minute(time or "00:00")
                part = {"closed": (0, 0), "early_close": (0, minute), "late_open": (minute, 1440)}
                found.setdefault(name, {})[date.fromisoformat(f"{row['year']}-{day}")] = [part[row["kind"]]]
    return found


def inherited(name: str, days: dict[str, dict[date, Segments]]) -> dict[date, Segments]:
    """The days of an instrument with those of its kind's default, as the program that the figures are from does it."""
    is_currency = name == "forex:default" or ("NZD" in name and name[:3] not in ("XAU", "XAG"))
    return {**days.get("forex:default" if is_currency else "cfd:default", {}), **days.get(name, {})}


def open_times(eras: list[Era], days: dict[date, Segments], first: date, last: date) -> np.ndarray[Any, Any]:
    """(n, 2) epoch seconds in which there are prices, ascending, from one local day to another."""
    key = repr((eras, sorted(days.items()), first, last))
    if key not in _MADE:
        _MADE[key] = np.array([edges for era in eras for edges in _era(era, days, first, last)], dtype=np.int64)
    return _MADE[key]


_MADE: dict[str, np.ndarray[Any, Any]] = {}
"""Instruments of one kind share their open times."""


def _era(era: Era, days: dict[date, Segments], first: date, last: date) -> Iterator[tuple[int, int]]:
    day = max(first, era.first)
    while day <= min(last, era.until - timedelta(1)):
        for start, end in era.week[WEEKDAYS[day.weekday()]]:
            for low, high in days.get(day, [(0, 1440)]):
                if max(start, low) < min(end, high):
                    yield at(day, max(start, low), era.zone), at(day, min(end, high), era.zone)
        day += timedelta(1)


def at(day: date, minute: int, zone: ZoneInfo) -> int:
    """Epoch seconds of a minute of a local day."""
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 the zone comes with the minute
    return int((midnight + timedelta(minutes=minute)).replace(tzinfo=zone).astimezone(UTC).timestamp())


def bars(opened: np.ndarray[Any, Any], step: int) -> np.ndarray[Any, Any]:
    """Runs [first open, last open + step) of the bars on the UTC grid that the ascending open times touch."""
    first, last = opened[:, 0] // step * step, -(-opened[:, 1] // step) * step
    begins = np.append(True, first[1:] > last[:-1])
    return np.column_stack((first[begins], last[np.append(begins[1:], True)]))


def exchange_days() -> dict[str, dict[date, str]]:
    """Exchange -> day -> what is true of it."""
    found: dict[str, dict[date, str]] = {}
    for row in rows("exchange_days"):
        for day in row["days"].split():
            found.setdefault(row["exchange"], {})[date.fromisoformat(day)] = row["hours"]
    return found


def _segments(text: str) -> Segments:
    pairs = [word.split("-") for word in text.split()]
    return [(_minute(start), _minute(end)) for start, end in pairs]


def _minute(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def span(hours: str) -> tuple[int, int]:
    """Minutes of "10:00-16:30"."""
    return _segments(hours)[0]
