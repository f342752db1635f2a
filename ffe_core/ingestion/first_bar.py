"""First bar: finds where the history of a series begins, by bisection over the provider's own pages.

Bisection alone is wrong where a product paused (XRP-USD at Coinbase, 2021-01 to 2023-07): it may end behind the pause.
So once a first page with bars is found, pages before it are asked for at growing distances, and where one has bars it
goes on there: a stretch of trading is found if it was as long as the pause after it. Days come first: their pages are
few and, unlike minutes of a thinly traded product, never empty by chance. Whatever a provider fails with is raised:
only an answer says that there is nothing, and the page before the first is asked for twice.

Where a provider's daily answer holds the whole history, its first day is where the pages begin: mostly the first of
them is the one, and none before it is asked for.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace

from ffe_core import times
from ffe_core.ingestion.fetch import is_empty
from ffe_core.providers.base import Fetched, Page, Provider
from ffe_core.series import Series
from ffe_core.times import DAY
from ffe_core.validation import read_open_times

log = logging.getLogger(__name__)
Fetch = Callable[[Page], Awaitable[Fetched]]
FetchOf = Callable[[str, Page], Awaitable[Fetched]]
_DAILY = "1d"
_FEW = 64
"""Up to so many pages the distances grow by a half or a third, beyond they double."""
_SPARE = 8


class OutOfRequests(Exception):
    """More requests would be needed than were allowed: the first bar stays unknown."""


class Pages:
    """Pages of one timeframe, oldest first, each asked for once and at most `most(len(pages))` in all.

    Those that begin where the history does (`from_first_day`) need fewer: no stretch of trading lies before a pause.
    """

    def __init__(self, pages: Sequence[Page], fetch: Fetch, *, from_first_day: bool = False) -> None:
        self.pages, self._fetch = pages, fetch
        self._from_first_day = from_first_day
        self._left = few(len(pages)) if from_first_day else most(len(pages))
        self._answers: dict[int, Fetched] = {}

    async def has_bars(self, place: int, *, again: bool = False) -> bool:
        """Whether a page has bars; `again` asks once more for one that was empty. Raises as the provider does."""
        known = self._answers.get(place)
        if known is None or (again and _has_none(self.pages[place], known)):
            if self._left == 0:
                raise OutOfRequests
            self._left -= 1
            self._answers[place] = await self._fetch(self.pages[place])
        return not _has_none(self.pages[place], self._answers[place])

    def first_open(self, place: int) -> int:
        """Open of the first bar of a page that has some; its start where no time can be read."""
        page = self.pages[place]
        opens = read_open_times(self._answers[place].records)
        inside = opens[(opens >= page.start) & (opens < page.end)]
        return int(inside.min()) if len(inside) else page.start

    def place_of(self, at: int) -> int:
        """The page that an instant lies in; the first for one before all."""
        starts: int = bisect_right(self.pages, at, key=lambda page: page.start)
        return max(0, starts - 1)

    async def first_with_bars(self, near: Sequence[int] = ()) -> int | None:
        """The first page with bars; those of `near` are asked for first, in their order. None if no page has any."""
        found = await self._any(near)
        if found is None:
            return None
        if found not in near:
            found = await self._bisected(found)
        while not self._from_first_day and (earlier := await self._earlier(found)) is not None:
            found = await self._bisected(earlier)
        return found

    async def _any(self, near: Sequence[int]) -> int | None:
        newest = len(self.pages) - 1
        back = (newest - distance for distance in (0, *distances(newest)))
        places: dict[int, None] = dict.fromkeys((*near, *back, *range(newest + 1)))
        for place in places:
            if await self.has_bars(place):
                return place
        return None

    async def _bisected(self, found: int) -> int:
        """The first page with bars up to one that has some, if there are none again after it."""
        empty = -1
        while found - empty > 1:
            middle = (empty + found) // 2
            if await self.has_bars(middle):
                found = middle
            else:
                empty = middle
        return found

    async def _earlier(self, found: int) -> int | None:
        """A page with bars before one that was found to be the first."""
        for distance in distances(found):
            if await self.has_bars(found - distance, again=distance == 1):
                return found - distance
        return None


def _has_none(page: Page, answer: Fetched) -> bool:
    """Whether an answer has no bar of its page; that its provider does not reach back so far is no bar."""
    return is_empty(page, replace(answer, covers_from=None), whole_bodies=False)


def distances(most_: int) -> Iterator[int]:
    """Growing distances up to `most_`, which is the last of them."""
    distance = 1
    while distance < most_:
        yield distance
        if most_ <= _FEW and distance > 1 and 3 * distance // 2 < most_:
            yield 3 * distance // 2
        distance *= 2
    if most_ > 0:
        yield most_


def most(pages: int) -> int:
    """How many requests finding the first of so many pages may take."""
    return min(pages + 1, 3 * pages.bit_length() + _SPARE) if pages else 0


def few(pages: int) -> int:
    """How many requests it may take where the pages begin with the first day."""
    return min(pages, pages.bit_length() + _SPARE)


def most_requests(provider: Provider, series: Series, now: int, day: int | None = None) -> int:
    """How many requests finding the first bar of a series may take at a provider; `day` as for `first_bar`."""
    if provider.first_bar_by(series.asset_pair, series.timeframe) == "days":
        own = _pages(provider, series, series.timeframe, now, day)
        return few(len(own)) + (len(_pages(provider, series, _DAILY, now)) if day is None else 0)
    return sum(most(len(_pages(provider, series, timeframe, now))) for timeframe in {_DAILY, series.timeframe})


async def told_day(provider: Provider, series: Series, now: int, fetch: FetchOf) -> int | None:
    """The first day, as the provider's daily answers tell it; None where they do not. Raises as the provider does."""
    answers = [await fetch(_DAILY, page) for page in _pages(provider, series, _DAILY, now)]
    return min((answer.first_bar for answer in answers if answer.first_bar is not None), default=None)


async def first_bar(provider: Provider, series: Series, now: int, fetch: FetchOf, day: int | None = None) -> int | None:
    """Open of the first bar since `Provider.earliest`, epoch seconds; None where none is found.

    `fetch` asks for a page of a timeframe; what it raises is raised. Nothing is asked for before `day`, where a daily
    answer has told it.
    """
    told = day is not None

    def of(timeframe: str) -> Pages:
        pages = _pages(provider, series, timeframe, now, day if told else None)
        return Pages(pages, lambda page: fetch(timeframe, page), from_first_day=told)

    try:
        if day is None:
            days = of(_DAILY)
            place = await days.first_with_bars()
            day = None if place is None else days.first_open(place)
        if series.timeframe == _DAILY:
            return day
        own = of(series.timeframe)
        near = range(own.place_of(day), own.place_of(day + DAY - 1) + 1) if day is not None else ()
        place = await own.first_with_bars(near)
        return None if place is None else own.first_open(place)
    except OutOfRequests:
        log.warning("%s: where its history begins could not be found in a few requests", series)
        return None


def _pages(provider: Provider, series: Series, timeframe: str, now: int, since: int | None = None) -> Sequence[Page]:
    """Every page there is of a timeframe, or those from the one that holds an instant on."""
    start = times.parse_instant(provider.earliest) if provider.earliest else now
    pages = provider.pages(series.asset_pair, timeframe, start, provider.closed_before(timeframe, now))
    return pages if since is None else [page for page in pages if page.end > since]
