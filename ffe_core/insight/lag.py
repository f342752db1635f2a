"""Lag of a series behind its market, in market-open time."""

from __future__ import annotations

from ffe_core import times
from ffe_core.errors import InputError
from ffe_core.file_sources import is_file_source
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings


def lag(series: Series, marks: Watermarks, settings: Settings, now: int | None = None) -> int | None:
    """Market-open seconds from the close of the bar at the watermark; 0 until the next bar is due, None without one.

    Imported files have none: nothing brings more of them by itself.

    A closed weekend is not lag. None, too, where the calendar does not know the time.
    """
    if marks.watermark is None or is_file_source(series.provider):
        return None
    at = times.now() if now is None else now
    closed = marks.watermark + series.step
    due = at - settings.close_grace_seconds - series.step + 1
    try:
        calendar = settings.calendars.of(series.provider, series.asset_pair)
        if closed >= due or calendar.expected_count(series.timeframe, closed, due) == 0:
            return 0
        return calendar.open_seconds(closed, at)
    except InputError:
        return None
