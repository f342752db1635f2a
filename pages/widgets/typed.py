"""Fields for numbers, days and times that the server reads: a number field of the browser keeps its last good value
while a wrong one stands in it."""

from __future__ import annotations

import math
import re
from datetime import date, time

from ffe_core.errors import InputError

_LONGEST = 9
_GROUPED = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?", re.ASCII)
_WITHOUT_ZONE = re.compile(r"[0-9-]{10}[ T][0-9:.]{4,}", re.ASCII)


def whole_number(text: str, least: int, most: int, example: int, field: str | None = None) -> int:
    """A typed whole number; InputError, of the field, for anything else, and for one out of bounds."""
    typed = text.strip()
    if not (typed.isascii() and typed.isdigit()) or len(typed) > _LONGEST or not least <= int(typed) <= most:
        problem = f"{text!r} is not a whole number from {least:,} to {most:,}; for example {example}"
        raise InputError(problem, field=field)
    return int(typed)


def decimal_number(text: str, name: str) -> float:
    """A typed number with a point; InputError, naming it, for anything else."""
    typed = text.strip().replace(",", "") if _GROUPED.fullmatch(text.strip()) else text.strip()
    try:
        if not typed.isascii() or not math.isfinite(number := float(typed)):
            raise ValueError
    except ValueError:
        point = "write it with a point, " if "," in text else ""
        raise InputError(f"{name}: {text!r} is not a number; {point}for example 64250.5") from None
    return number


def day(text: str) -> date:
    """A typed day; InputError for anything else."""
    try:
        if not text.isascii():
            raise ValueError
        return date.fromisoformat(text.strip())
    except ValueError:
        raise InputError(f"{text!r} is not a day; use one like 2024-01-31") from None


def time_of_day(text: str, field: str | None = None) -> time:
    """A typed time of day, to the minute; InputError, of the field, for anything else."""
    hours, _, minutes = text.strip().partition(":")
    try:
        if not (text.isascii() and hours.isdigit() and minutes.isdigit() and len(minutes) == 2):
            raise ValueError
        return time(int(hours), int(minutes))
    except ValueError:
        raise InputError(f"{text!r} is not a time of day; use one like 02:30", field=field) from None


def in_utc(text: str) -> str:
    """A typed time for `times.parse_instant`: in UTC, as the fields say, where it names no zone."""
    typed = text.strip()
    return f"{typed}Z" if _WITHOUT_ZONE.fullmatch(typed) else typed
