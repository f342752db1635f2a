"""When is a market open, and which of its bars should therefore exist?"""

from ffe_core.calendars.base import CalendarHorizonError, MarketCalendar, SpecialSession
from ffe_core.calendars.choice import KNOWN_CALENDARS, calendar_for
from ffe_core.calendars.crypto import AlwaysOpen
from ffe_core.calendars.exchange import ExchangeHours
from ffe_core.calendars.fx import DEFAULT_FX_HOLIDAYS, FxWeek

__all__ = [
    "DEFAULT_FX_HOLIDAYS",
    "KNOWN_CALENDARS",
    "AlwaysOpen",
    "CalendarHorizonError",
    "ExchangeHours",
    "FxWeek",
    "MarketCalendar",
    "SpecialSession",
    "calendar_for",
]
