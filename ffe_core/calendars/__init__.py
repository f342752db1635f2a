"""Market calendars: when a market is open, and which of its bars should therefore exist."""

from ffe_core.calendars.base import CalendarHorizonError, MarketCalendar, SpecialSession
from ffe_core.calendars.choice import (
    EXCHANGES,
    KNOWN_CALENDARS,
    CalendarOverrideError,
    calendar_for,
    check_overrides,
    exchange_of,
)
from ffe_core.calendars.crypto import AlwaysOpen
from ffe_core.calendars.exchange import ExchangeHours
from ffe_core.calendars.fx import DEFAULT_FX_HOLIDAYS, FxWeek, checked_holidays
from ffe_core.calendars.listed import ListedCalendar
from ffe_core.calendars.week import Hours, WeekHours

__all__ = [
    "DEFAULT_FX_HOLIDAYS",
    "EXCHANGES",
    "KNOWN_CALENDARS",
    "AlwaysOpen",
    "CalendarHorizonError",
    "CalendarOverrideError",
    "ExchangeHours",
    "FxWeek",
    "Hours",
    "ListedCalendar",
    "MarketCalendar",
    "SpecialSession",
    "WeekHours",
    "calendar_for",
    "check_overrides",
    "checked_holidays",
    "exchange_of",
]
