"""Calendars for readers: the market hours of each series, with what this data directory has learned about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ffe_core.calendars import MarketCalendar
from ffe_core.reading.known import known
from ffe_core.series import Series
from ffe_core.settings import Settings

CalendarOf = Callable[[Series], MarketCalendar]


@contextmanager
def calendars(settings: Settings, *, is_own_lake: bool) -> Iterator[CalendarOf]:
    """What each series should have, by its market; where a listing begins and ends if the lake is the settings' own."""
    with known(settings, is_own_lake=is_own_lake) as what:
        yield what.calendar
