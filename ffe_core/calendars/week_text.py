"""Text of a market week: "sun 17:03 to fri 16:58, rest 16:58-17:03", in the local time of the market.

    mon-fri 08:00-16:30     open on each of these days; an end at or before its start lies on the next day
    sun 17:00 to fri 17:00  open without a break from one day to another
    rest 12:58-13:03        closed in these minutes on every day, or on those named: rest mon-thu 17:15-18:00
    thin 17:00-17:02        open, but with so few prices that a bar may come or not

A time is the first minute that is open, or the first that is closed again; 24:00 is midnight at the end of a day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ffe_core.errors import InputError
from ffe_core.intervals import NONE, Times, intersect, minus, ranges, union

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 1440
WEEK_MINUTES = 7 * DAY_MINUTES
EXAMPLE = "'mon-fri 08:00-16:30' or 'sun 17:00 to fri 17:00, rest 16:58-17:03'"

_DAY = f"({'|'.join(DAYS)})"
_TIME = r"(\d\d:\d\d)"
_LONG = re.compile(f"{_DAY} {_TIME} to {_DAY} {_TIME}")
_EACH = re.compile(f"(?:(rest|thin) )?(?:{_DAY}(?:-{_DAY})? )?{_TIME}-{_TIME}")


@dataclass(frozen=True, eq=False)
class Week:
    """Minutes after Monday 00:00, (n, 2), sorted: when the market is open for sure, and when it may have bars."""

    open: Times
    thin: Times


@lru_cache(maxsize=256)
def parse_week(text: str) -> Week:
    """A week as written; InputError that names the part it cannot read."""
    parts: dict[str, list[tuple[int, int]]] = {"open": [], "rest": [], "thin": []}
    for item in text.split(","):
        kind, spans = _parsed(item.strip())
        parts[kind] += spans
    opened = minus(_wrapped(parts["open"]), _wrapped(parts["rest"]))
    if len(opened) == 0:
        raise InputError(f"hours {text!r} are never open; write them like {EXAMPLE}")
    thin = intersect(opened, _wrapped(parts["thin"]))
    return Week(minus(opened, thin), thin)


def minutes(text: str) -> int:
    """Minutes after midnight of "08:30"; up to "24:00". InputError for anything else."""
    found = re.fullmatch(r"(\d\d):(\d\d)", text, re.ASCII)
    if found is None or int(found[2]) > 59 or int(found[1]) * 60 + int(found[2]) > DAY_MINUTES:
        raise InputError(f"{text!r} is no time of day; write it like '16:30'")
    return int(found[1]) * 60 + int(found[2])


def _parsed(item: str) -> tuple[str, list[tuple[int, int]]]:
    lowered = item.lower()
    if found := _LONG.fullmatch(lowered):
        start, end = _at(found[1], found[2]), _at(found[3], found[4])
        return "open", [(start, end if end > start else end + WEEK_MINUTES)]
    found = _EACH.fullmatch(lowered)
    if found is None or (found[1] is None and found[2] is None):
        raise InputError(f"hours {item!r} cannot be read; write them like {EXAMPLE}")
    return found[1] or "open", list(_each(found[2], found[3], minutes(found[4]), minutes(found[5])))


def _each(first: str | None, last: str | None, start: int, end: int) -> Iterator[tuple[int, int]]:
    begin = DAYS.index(first) if first else 0
    finish = DAYS.index(last or first) if first else 6
    for day in range(begin, finish + 1 if finish >= begin else finish + 8):
        at = day % 7 * DAY_MINUTES
        yield at + start, at + (end if end > start else end + DAY_MINUTES)


def _at(day: str, time: str) -> int:
    return DAYS.index(day) * DAY_MINUTES + minutes(time)


def _wrapped(spans: list[tuple[int, int]]) -> Times:
    """What reaches over the end of the week begins it."""
    if not spans:
        return NONE
    given = ranges(spans)
    whole = np.array([[0, WEEK_MINUTES]], dtype=np.int64)
    return union(intersect(union(given), whole), intersect(union(given - WEEK_MINUTES), whole))
