"""Listing of a series: what is known of its first and last bar, asked for where a run would waste requests without."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from ffe_core import times
from ffe_core.calendars import MarketCalendar
from ffe_core.ingestion.first_bar import FetchOf, Pages, first_bar, most_requests, told_day
from ffe_core.ingestion.plan import Mode
from ffe_core.instruments.model import SeriesFacts
from ffe_core.providers.base import Fetched, Page, Provider
from ffe_core.series import Series, Watermarks
from ffe_core.settings import CalendarSettings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state.instruments import InstrumentStore
from ffe_core.threads import run_to_completion

log = logging.getLogger(__name__)
FEW_PAGES = 8
"""So many pages are simply asked for: finding the first bar among them would cost as much."""
_DAILY = "1d"


class Listing:
    """What is known of one series, and how more is learned. StorageError where it cannot be read or kept."""

    def __init__(
        self,
        series: Series,
        provider: Provider,
        calendars: CalendarSettings,
        store: InstrumentStore,
        lake: DeltaLakeManager,
    ) -> None:
        self._series, self._provider, self._calendars = series, provider, calendars
        self._store, self._lake = store, lake
        self._anew = False
        self.answers: dict[Page, Fetched] = {}
        """Pages of the series that were asked for on the way and have bars: they need not be asked for again."""

    @property
    def market(self) -> MarketCalendar:
        """The calendar of the market, listed or not."""
        return self._calendars.market_of(self._series.provider, self._series.asset_pair)

    def within(self, market: MarketCalendar) -> MarketCalendar:
        """A market's calendar within what is known of the series by now."""
        return self._calendars.within(market, self._series.provider, self._series.asset_pair)

    @property
    def is_to_be_found(self) -> bool:
        """Whether there is a way to find the first bar of the series."""
        return self._provider.first_bar_by(self._series.asset_pair, self._series.timeframe) is not None

    async def look_up(self, start: int, end: int, mode: Mode, fetch: FetchOf) -> bool:
        """Find the first bar if it may lie after `start` of a range that would be asked for; whether it was learned.

        Raises as the provider does.
        """
        self._anew = mode == "refetch"
        if not self.is_to_be_found or start >= end:
            return False  # as `is_worth_it` says, whatever is known
        known = await run_to_completion(self._known)
        if not is_worth_it(self._provider, self._series, known, start, end, mode):
            return False

        async def kept(timeframe: str, page: Page) -> Fetched:
            answer = await fetch(timeframe, page)
            if timeframe == self._series.timeframe and answer.records:
                self.answers[page] = answer
            return answer

        found = await self._found(start, end, kept)
        if found is not None:
            await run_to_completion(self._learn_first, self._series, found)
        return found is not None

    async def _found(self, start: int, end: int, fetch: FetchOf) -> int | None:
        """The first bar; None where it cannot be told, or lies before the range, who knows where."""
        day = None
        if self._provider.first_bar_by(self._series.asset_pair, self._series.timeframe) == "days":
            day = await run_to_completion(first_day, self._store, self._series, anew=self._anew)
            if day is None:
                day = await told_day(self._provider, self._series, self._provider.now(), fetch)
            if day is None:
                return None
        if day is None or day <= start:
            own = self._provider.pages(self._series.asset_pair, self._series.timeframe, start, end)
            first = Pages(own, lambda page: fetch(self._series.timeframe, page))
            if await first.has_bars(0):
                return first.first_open(0) if start <= _earliest(self._provider) else None
        return await first_bar(self._provider, self._series, self._provider.now(), fetch, day)

    def answer_to(self, page: Page) -> Fetched | None:
        """The answer that has the bars of a page, where one was asked for on the way: it may begin before the page."""
        kept = next((one for one in self.answers if one.end == page.end and one.start <= page.start), None)
        return None if kept is None else self.answers.pop(kept)

    def told(self, timeframe: str, first: int) -> None:
        """Keep the first bar of a timeframe as an answer with the whole history has it; a later one only when
        everything is fetched again."""
        series = replace(self._series, timeframe=timeframe)
        known = known_of(self._store, series).first_bar
        if known is None or first < known or (self._anew and first != known):
            self._learn_first(series, first)

    def saw(self, open_time: int) -> bool:
        """Move the first bar to a stored one that is earlier; whether it moved."""
        return saw(self._store, self._series, open_time)

    def saw_ends(self, oldest: int | None, marks: Watermarks | None) -> None:
        """Both: `saw` of the oldest bar that was stored, and `saw_last` where all was asked for."""
        if oldest is not None:
            self.saw(oldest)
        if marks is not None:
            self.saw_last(marks)

    def forget_last(self) -> None:
        """Let a series be asked for beyond the bar that was its last."""
        if self._known().last_bar is not None:
            self._store.learn(self._series, last_bar=None)

    def saw_last(self, marks: Watermarks) -> None:
        """Keep the last bar of an instrument that its provider calls delisted without a day, once all was asked for."""
        instrument = self._store.get(self._series.provider, self._series.asset_pair)
        is_over = instrument is not None and instrument.status == "delisted" and instrument.delisted is None
        if is_over and marks.watermark is not None:
            self._store.learn(self._series, last_bar=marks.watermark)

    def notes(self, start: int, end: int) -> list[str]:
        """What to say of a range [start, end) of which a part lies outside the listing."""
        return notes(self._series, self.within(self.market), start, end)

    def _known(self) -> SeriesFacts:
        return known_of(self._store, self._series)

    def _learn_first(self, series: Series, found: int) -> None:
        asked_from = _earliest(self._provider)
        stored = self._lake.stored_open_times(series, asked_from, found)
        first = min([found, *stored[:1].tolist()])
        self._store.learn(series, first_bar=first, asked_from=asked_from, asked_at=time.time())
        log.info("%s: its first bar is that of %s", series, times.iso(first))


def known_of(store: InstrumentStore, series: Series) -> SeriesFacts:
    """What is known of a series."""
    return store.facts_of(series.provider, series.asset_pair).get(series.timeframe, SeriesFacts())


def saw(store: InstrumentStore, series: Series, open_time: int) -> bool:
    """Move the first bar of a series to a stored one that is earlier; whether it moved."""
    first = known_of(store, series).first_bar
    if first is None or first <= open_time:
        return False
    store.learn(series, first_bar=open_time)
    return True


def is_worth_it(provider: Provider, series: Series, known: SeriesFacts, start: int, end: int, mode: Mode) -> bool:
    """Whether the first bar is looked for before [start, end) is asked for."""
    if provider.first_bar_by(series.asset_pair, series.timeframe) is None or start >= end:
        return False
    if known.first_bar is not None:
        is_new = mode == "refetch" or (known.asked_from is not None and start < known.asked_from)
        return is_new and start < known.first_bar
    pages = provider.pages(series.asset_pair, series.timeframe, start, end)
    return start <= _earliest(provider) or len(pages) > FEW_PAGES


def first_day(store: InstrumentStore, series: Series, *, anew: bool) -> int | None:
    """Open of the first daily bar, where it is known and not to be asked for `anew`."""
    return None if anew else known_of(store, replace(series, timeframe=_DAILY)).first_bar


def search_requests(
    provider: Provider, store: InstrumentStore, series: Series, start: int, end: int, mode: Mode, now: int
) -> int:
    """How many requests may be sent, at most, to find the first bar before [start, end) is asked for, the first page of
    the range included; 0 where it is not looked for."""
    if not is_worth_it(provider, series, known_of(store, series), start, end, mode):
        return 0
    return 1 + most_requests(provider, series, now, first_day(store, series, anew=mode == "refetch"))


def notes(series: Series, calendar: MarketCalendar, start: int, end: int) -> list[str]:
    """What to say of a range [start, end) of which a part lies outside the listing of a series."""
    first, last = calendar.listed(series.timeframe, start, end)
    found = []
    if first > start:
        found.append(
            f"its history begins with the bar of {times.iso(first)}: nothing before it is expected or asked for"
            if first < end
            else "its history begins after this range: nothing in it is expected or asked for"
        )
    if last < end:
        found.append(f"it {calendar.ending}: nothing after {times.iso(last - 1)} is expected or asked for")
    return found


def _earliest(provider: Provider) -> int:
    return times.parse_instant(provider.earliest) if provider.earliest else 0
