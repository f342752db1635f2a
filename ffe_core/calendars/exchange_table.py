"""Exchange table (exchanges.toml): suffixes, usual hours of a time and single days, over exchange_calendars."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from ffe_core.calendars.holidays import days_of
from ffe_core.calendars.week_text import minutes

Span = tuple[int, int]
"""Minutes after midnight, start and end."""
_HALF_HOUR = 1800
_SUMMER = ", in New York's summer "


class Usual(NamedTuple):
    """The usual hours from one day to before another, days since 1970; `summer` while New York keeps summer time."""

    first: int
    until: int | None
    winter: Span
    summer: Span


class OneDay(NamedTuple):
    """The hours of a single day: when it was open for sure, and when it may have been; () is not at all."""

    open: tuple[Span, ...]
    maybe: tuple[Span, ...]
    is_open_question: bool
    """Whether the usual hours of the day are what may be."""


def suffixes() -> dict[str, str]:
    """Exchange code by the suffix of a symbol, without its dot."""
    found: dict[str, str] = _table()["suffixes"]
    return found


def names() -> dict[str, str]:
    """Exchange code by other names, as in Alpha Vantage's list of shares."""
    found: dict[str, str] = _table()["names"]
    return found


def hour_spacing(code: str) -> int:
    """Seconds between two instants at which an hourly bar of an exchange may open."""
    found: int = _table()["spacing"].get(code, _HALF_HOUR)
    return found


@cache
def usual_hours(code: str) -> tuple[Usual, ...]:
    """The times in which an exchange kept other usual hours than the library says."""
    lines = sorted((days_of(day)[0], text) for day, text in _table()["hours"].get(code, {}).items())
    ends = [*(first for first, _ in lines[1:]), None][: len(lines)]
    return tuple(
        Usual(first, until, *_two_seasons(text))
        for (first, text), until in zip(lines, ends, strict=True)
        if text != "library"
    )


@cache
def single_days(code: str) -> dict[int, OneDay]:
    """Days since 1970 -> the hours of that day."""
    return {days_of(day)[0]: _one_day(text) for day, text in _table()["days"].get(code, {}).items()}


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads((files("ffe_core.calendars") / "exchanges.toml").read_text(encoding="utf-8"))


def _two_seasons(text: str) -> tuple[Span, Span]:
    winter, _, summer = text.partition(_SUMMER)
    return _span(winter), _span(summer or winter)


def _one_day(text: str) -> OneDay:
    sure, maybe, doubtful = text.partition("maybe")
    spans = tuple(_span(word) for word in sure.split() if word != "closed")
    return OneDay(spans, tuple(_span(word) for word in doubtful.split()), text == maybe)


def _span(text: str) -> Span:
    start, _, end = text.partition("-")
    return minutes(start), minutes(end)
