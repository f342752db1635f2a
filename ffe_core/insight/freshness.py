"""How far behind is a series, in its market's own time?"""

from __future__ import annotations

from ffe_core import times
from ffe_core.calendars import calendar_for
from ffe_core.series import Marks, Series
from ffe_core.settings import Settings


def lag(series: Series, marks: Marks, settings: Settings, now: int | None = None) -> int | None:
    """Market-open seconds from the close of the bar at the watermark; 0 until the next bar is due, None without one.

    A closed weekend is not lag.
    """
    if marks.watermark is None:
        return None
    at = times.now() if now is None else now
    calendars = settings.calendars
    calendar = calendar_for(series.provider, series.asset_pair, calendars.overrides, calendars.fx_holidays)
    closed = marks.watermark + series.step
    due = at - settings.close_grace_seconds - series.step + 1
    if closed >= due or calendar.expected_count(series.timeframe, closed, due) == 0:
        return 0
    return calendar.open_seconds(closed, at)
