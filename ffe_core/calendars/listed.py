"""Listed calendar: the hours of a market, from the first bar of a series to the end of its listing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ffe_core.calendars.base import CalendarOfMarket, MarketCalendar
from ffe_core.instruments.model import SeriesFacts
from ffe_core.intervals import NONE, Times
from ffe_core.timeframes import seconds

EVERY_TIMEFRAME = ""
"""Key of what is known of a pair at every timeframe."""
Bound = tuple[str, int | None, int | None]


@dataclass(frozen=True)
class ListedCalendar(CalendarOfMarket):
    """A market's calendar that expects no bar before the first of a series, and none after its last.

    `bounds` are timeframe, open of the first bar and open of the last, epoch seconds, None where unknown.
    """

    bounds: tuple[Bound, ...]

    def listed(self, timeframe: str, start: int, end: int) -> tuple[int, int]:
        start, end = self.market.listed(timeframe, start, end)
        of_both = [bound for bound in self.bounds if bound[0] in (timeframe, EVERY_TIMEFRAME)]
        first = max((first for _, first, _ in of_both if first is not None), default=start)
        last = min((last + 1 for _, _, last in of_both if last is not None), default=end)
        # An empty range stays where it was asked for.
        return min(max(start, first), max(start, end)), max(min(end, last), min(start, end))

    def open_intervals(self, start: int, end: int) -> Times:
        first, last = self.listed(EVERY_TIMEFRAME, start, end)
        return self.market.open_intervals(first, last) if first < last else NONE

    def expected_ranges(self, timeframe: str, start: int, end: int) -> Times:
        seconds(timeframe)
        first, last = self.listed(timeframe, start, end)
        return self.market.expected_ranges(timeframe, first, last) if first < last else NONE

    def optional_ranges(self, timeframe: str, start: int, end: int) -> Times:
        seconds(timeframe)
        first, last = self.listed(timeframe, start, end)
        return self.market.optional_ranges(timeframe, first, last) if first < last else NONE


def listed(market: MarketCalendar, facts: Mapping[str, SeriesFacts]) -> MarketCalendar:
    """A market's calendar within what is known of a pair's timeframes; itself where nothing is."""
    bounds = tuple(
        (timeframe, known.first_bar, known.last_bar)
        for timeframe, known in sorted(facts.items())
        if known.first_bar is not None or known.last_bar is not None
    )
    return ListedCalendar(market, bounds) if bounds else market
