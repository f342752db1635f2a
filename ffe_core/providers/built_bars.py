"""4h bar builder: joins all the hours the market's calendar expects, with their exact texts.

A window of which a source is missing or broken is handed over too, with its raw hours and without prices, so that it
becomes a dead letter instead of vanishing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any

from ffe_core import times
from ffe_core.calendars import MarketCalendar
from ffe_core.providers.base import Record
from ffe_core.timeframes import TIMEFRAMES, floor

SOURCE = "1h"
SOURCE_STEP = TIMEFRAMES[SOURCE]
STEP = TIMEFRAMES["4h"]
_PRICES = ("open", "high", "low", "close")
Hour = tuple[int, Record]
"""Open in epoch seconds and the record as sent."""


def first_whole_window(earliest: int, calendar: MarketCalendar) -> int:
    """Open of the first window (epoch seconds) that hours from `earliest` on can fill."""
    window = floor(earliest, STEP)
    return window + STEP if len(calendar.expected_open_times(SOURCE, window, earliest)) else window


def build_bars(hours: Sequence[Hour], calendar: MarketCalendar, start: int, end: int) -> list[Record]:
    """One record for each window that opens in [start, end) and has an hour.

    A window whose last expected hour is not published yet is left for later.
    """
    newest = max((opened for opened, _ in hours), default=0)
    windows: dict[int, list[Hour]] = defaultdict(list)
    for hour in sorted(hours, key=lambda hour: hour[0]):
        windows[floor(hour[0], STEP)].append(hour)
    bars = []
    for window in (window for window in windows if start <= window < end):
        expected = calendar.expected_open_times(SOURCE, window, window + STEP).tolist()
        if not expected or expected[-1] <= newest:
            bars.append(_bar(window, windows[window], expected))
    return bars


def _bar(window: int, hours: list[Hour], expected: list[int]) -> Record:
    bar: Record = {"date": times.iso(window), "sources": [record for _, record in hours]}
    sources = _without_repeats(hours)
    if not _is_whole(sources, expected):
        return {**bar, "incomplete_sources": True}
    records = [record for _, record in sources]
    bar["open"], bar["close"] = records[0]["open"], records[-1]["close"]
    bar["high"] = max((record["high"] for record in records), key=_decimal)
    bar["low"] = min((record["low"] for record in records), key=_decimal)
    if "volume" in records[0]:
        bar["volume"] = _total([record["volume"] for record in records])
    return bar


def _without_repeats(hours: list[Hour]) -> list[Hour]:
    return [hour for i, hour in enumerate(hours) if hour not in hours[:i]]


def _is_whole(hours: list[Hour], expected: list[int]) -> bool:
    """Every expected hour once, nothing off the hour, all sound, and volumes in all or in none."""
    open_times = [opened for opened, _ in hours]
    return (
        set(expected) <= set(open_times)
        and len(set(open_times)) == len(open_times)
        and all(opened % SOURCE_STEP == 0 for opened in open_times)
        and all(_is_sound(record) for _, record in hours)
        and len({"volume" in record for _, record in hours}) == 1
    )


def _is_sound(record: Record) -> bool:
    """The rules of a stored candle: a broken hour must not hide in a bar that looks well."""
    prices = [_decimal(record.get(name)) for name in _PRICES]
    if not all(price.is_finite() and price > 0 for price in prices):
        return False
    opened, high, low, closed = prices
    volume = _decimal(record.get("volume", 0))
    return low <= opened <= high and low <= closed <= high and volume.is_finite() and volume >= 0


def _decimal(value: Any) -> Decimal:
    """The exact number a value stands for, NaN for none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return Decimal("NaN")
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return Decimal("NaN")


def _total(volumes: list[Any]) -> str:
    with localcontext(prec=100):
        return f"{sum(map(_decimal, volumes), Decimal(0)):f}"
