"""Lag of a series behind its market, in market-open time."""

from __future__ import annotations

from functools import cache

from ffe_core import times
from ffe_core.calendars import MarketCalendar
from ffe_core.errors import InputError
from ffe_core.file_sources import is_file_source
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings
from ffe_core.timeframes import seconds

BEHIND_BARS, BEHIND_SECONDS = 3, 3_600


def lag(series: Series, marks: Watermarks, settings: Settings, now: int | None = None) -> int | None:
    """Market-open seconds from the close of the bar at the watermark; 0 until the next bar is due, None without one.

    Imported files have none: nothing brings more of them by itself.

    A closed weekend is not lag. None, too, where the calendar does not know the time.
    """
    return Lags(settings, now).of(series, marks)


class Lags:
    """The lags of many series at one instant: those of a market that were read as far are worked out once."""

    def __init__(self, settings: Settings, now: int | None = None) -> None:
        self._settings = settings
        self._at = times.now() if now is None else now
        self._known, self._due = cache(self._lag), cache(self._bars)

    def of(self, series: Series, marks: Watermarks) -> int | None:
        """What `lag` says of one of them."""
        if marks.watermark is None or is_file_source(series.provider):
            return None
        try:
            calendar = self._settings.calendars.of(series.provider, series.asset_pair)
            return self._known(calendar, series.timeframe, marks.watermark + series.step)
        except InputError:
            return None

    def behind(self, series: Series, marks: Watermarks) -> bool:
        """Whether more bars are due after the watermark than the next one or two, and for more than an hour of open
        market. Bars are counted: a share's day has six and a half hours, and three of its bars are three days."""
        behind = self.of(series, marks)
        if behind is None or behind <= BEHIND_SECONDS or marks.watermark is None:
            return False
        calendar = self._settings.calendars.of(series.provider, series.asset_pair)
        return self._due(calendar, series.timeframe, marks.watermark + series.step) > BEHIND_BARS

    def _lag(self, calendar: MarketCalendar, timeframe: str, closed: int) -> int:
        return calendar.open_seconds(closed, self._at) if self._due(calendar, timeframe, closed) else 0

    def _bars(self, calendar: MarketCalendar, timeframe: str, closed: int) -> int:
        """How many bars are due that open at `closed` or later."""
        due = self._at - self._settings.close_grace_seconds - seconds(timeframe) + 1
        return calendar.expected_count(timeframe, closed, due) if closed < due else 0
