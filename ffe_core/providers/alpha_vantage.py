"""Alpha Vantage provider: asks once a series for FX and crypto, once a month for intraday shares.

Nearly every error comes as a 200 (`alpha_vantage_wire`), most functions have no range parameter, and what can be
reached depends on the key. A 4h bar is built from 60min bars (`built_bars`), since there is none.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise

from ffe_core import times
from ffe_core.calendars import CalendarHorizonError, MarketCalendar
from ffe_core.instruments.model import Instrument
from ffe_core.instruments.names import AssetClass, asset_class, identity_of
from ffe_core.provider_settings import AlphaVantageSettings
from ffe_core.providers import alpha_vantage_actions as actions
from ffe_core.providers import alpha_vantage_catalogue as lists
from ffe_core.providers import alpha_vantage_notices as notices
from ffe_core.providers import alpha_vantage_wire as wire
from ffe_core.providers.base import Fetched, FirstBarBy, Page, Record, not_offered
from ffe_core.providers.built_bars import SOURCE_STEP, build_bars, first_whole_window
from ffe_core.providers.http import HttpClient
from ffe_core.providers.http_provider import HttpProvider
from ffe_core.settings import Config, Settings, variable
from ffe_core.timeframes import floor, seconds

_INTERVALS = {"1m": "1min", "5m": "5min", "15m": "15min", "1h": "60min", "4h": "60min"}
_COMPACT_POINTS = 100
_SAFE_POINTS = 90
"""A range within this many newest bars is asked for compactly; the running bar and a late one leave a margin."""
_FIRST_MONTH = 946_684_800
"""2000-01-01: the first month that intraday shares can be asked for."""
_CODES = {"SBDF": "SBDf"}
"""Codes as its list of currencies has them, where that is not in capitals."""
_MOST_RECORDS = 50_000
"""Thirty days of minutes are the longest answer there is."""
_SEARCH = "SYMBOL_SEARCH"
_CRYPTO_DAILY = "DIGITAL_CURRENCY_DAILY"
"""Takes no size and serves about the last 350 days."""


@dataclass(frozen=True, slots=True)
class Question:
    """A function and its parameters. `currency` is the one of two that values may come in."""

    params: dict[str, str]
    currency: str | None = None

    @property
    def function(self) -> str:
        return self.params["function"]

    def with_size(self, size: str) -> dict[str, str]:
        """The parameters, with `outputsize` where the function takes it."""
        return self.params if self.function == _CRYPTO_DAILY else {**self.params, "outputsize": size}

    def is_limited(self, size: str, points: int) -> bool:
        """Whether the body may begin later than the series: only a daily one can be whole."""
        if "interval" in self.params or self.function == _CRYPTO_DAILY:
            return True
        return size == "compact" and points >= _COMPACT_POINTS


class AlphaVantageProvider(HttpProvider):
    """FX, crypto and share candles of Alpha Vantage.

    A record is the values of a stamp as sent plus `stamp`, `date` and the plain names of the values. The whole body
    is handed over, whatever was asked: what lies outside the page is the caller's to count.
    """

    name = "alpha_vantage"
    earliest = "1999-01-01"
    """Daily shares reach back "20+ years", to 1999-11-01; months are served from 2000-01 on (its documentation)."""
    sends_whole_bodies = True
    usual_pairs = ("EURUSD", "GBPUSD", "USDJPY", "BTCUSD", "ETHUSD", "AAPL", "MSFT", "NVDA", "SPY", "IBM")
    max_in_flight = 4
    can_be_searched = True
    catalogue_days = 30
    """Its lists of shares cost two of the 25 requests that a free key has a day."""

    def __init__(self, api_key: str | None = None, config: Config | Settings | None = None) -> None:
        """InputError without a key."""
        super().__init__(config, {"api_key": api_key})
        own = self.settings.section(self.name, AlphaVantageSettings)
        key = self._secret("api_key", own.api_key, "ABCDEFGHIJ0123456")
        self._own = own
        self._per_day = own.requests_per_day
        self._compact_only: set[str] = set()
        self._http = HttpClient(
            self.name,
            self.settings,
            own.base_url,
            own.requests_per_second,
            secret_query={"apikey": key},
            max_connections=self.max_in_flight,
            error_text=notices.error_text,
            access_hint=f"check {variable(self.name, 'api_key')}",
            object_hook=wire.keep_duplicate_keys,
            even_pace=True,
            most_records=_MOST_RECORDS,
            per_day=self._per_day,
        )

    @classmethod
    def volume_unit_of(cls, pair: str) -> str | None:
        return {"crypto": "base units", "equity": "shares"}.get(_class_of(pair))

    def check(self, pair: str, timeframe: str) -> None:
        super().check(pair, timeframe)
        kind = _class_of(pair)
        if kind in ("metal", "index"):
            raise not_offered(
                self.name, f"{pair}, a {kind}", "use oanda, or a pair such as EURUSD, BTCUSD or AAPL here"
            )
        if kind == "equity" and timeframe == "4h":
            raise not_offered(self.name, f"4h bars of {pair}, a share", "use 1h or 1d")

    @property
    def requests_per_day(self) -> int | None:
        return self._per_day

    def first_bar_by(self, pair: str, timeframe: str) -> FirstBarBy | None:
        """Months of a share are not asked for at random: before a listing there is no telling how they are answered."""
        return "days" if _is_monthly(pair, timeframe) else None

    def pages(self, pair: str, timeframe: str, start: int, end: int) -> Sequence[Page]:
        if start >= end:
            return []
        return _months(start, end) if _is_monthly(pair, timeframe) else [Page(start, end)]

    def gap_pages(self, pair: str, timeframe: str, gaps: Sequence[tuple[int, int]]) -> Sequence[Page]:
        """One request for all the gaps that one answer fills: a month of a share, or a whole series."""
        pages = self.pages(pair, timeframe, gaps[0][0], gaps[-1][1]) if gaps else []
        starts, ends = [start for start, _ in gaps], [end for _, end in gaps]
        found = []
        for page in pages:
            first, last = bisect_right(ends, page.start), bisect_left(starts, page.end)
            if first < last:
                found.append(Page(max(page.start, starts[first]), min(page.end, ends[last - 1])))
        return found

    async def catalogue(self) -> list[Instrument]:
        """US shares and funds, listed and delisted, and currencies and coins in dollars and euros: two requests of the
        day's quota, and two that need no key."""
        active = await self._list("/query", lists.LISTING_COLUMNS, function="LISTING_STATUS")
        gone = await self._list("/query", lists.LISTING_COLUMNS, function="LISTING_STATUS", state="delisted")
        physical = await self._list("/physical_currency_list/", lists.CURRENCY_COLUMNS)
        digital = await self._list("/digital_currency_list/", lists.CURRENCY_COLUMNS)
        return lists.shares(active, gone) + lists.currencies(physical, digital)

    async def search(self, text: str) -> list[Instrument]:
        """Shares and funds of every exchange that it serves, at most ten: one request of the day's quota."""

        def parse(data: bytes) -> list[Instrument]:
            body = self._http.decode(data)
            if (found := lists.matches(body)) is None:
                raise notices.error_in(body, _SEARCH, text)
            return found

        return await self._http.ask("/query", {"function": _SEARCH, "keywords": text}, parse)

    async def actions(self, pair: str) -> tuple[list[actions.Entry], list[actions.Entry]]:
        """Splits and dividends of a share, days and values as sent: two requests of the day's quota.

        PermanentError for what is no share.
        """
        if _class_of(pair) != "equity":
            raise not_offered(self.name, f"splits and dividends of {pair}, which is no share", "name a share")
        symbol = identity_of(self.name, pair).symbol

        def parsed(function: str, data: bytes) -> list[actions.Entry]:
            return actions.entries(self._http.decode(data), function, symbol)

        found = [
            await self._http.ask("/query", {"function": name, "symbol": symbol}, partial(parsed, name))
            for name in (actions.SPLITS, actions.DIVIDENDS)
        ]
        return found[0], found[1]

    async def _list(self, path: str, columns: tuple[str, ...], **params: str) -> list[dict[str, str]]:
        """A list in CSV; an error of the service comes as JSON with a 200, here as everywhere."""

        def parse(data: bytes) -> list[dict[str, str]]:
            if data.lstrip()[:1] == b"{":
                raise notices.error_in(self._http.decode(data), params.get("function", path), "its list")
            return lists.rows(data, columns)

        return await self._http.ask(path, params, parse)

    async def fetch(self, pair: str, timeframe: str, page: Page) -> Fetched:
        self.check(pair, timeframe)
        if _is_monthly(pair, timeframe):
            return await self._month(pair, timeframe, page)
        question = _question(pair, timeframe)
        records, size = await self._ask(question, self._size(question, timeframe, page), pair)
        if size == "compact" and self._size(question, timeframe, page) == "full":  # so says the clock it came with
            records, size = await self._ask(question, "full", pair)
        closed = min(page.end, self.closed_before("4h", self.now()))
        hours = [(opened, record) for record in records if (opened := wire.open_of(record)) is not None]
        earliest = min((opened for opened, _ in hours), default=None)
        if timeframe == "4h" and earliest is not None:
            calendar = self._calendar(pair)
            earliest = first_whole_window(earliest, calendar)
            unreadable = [record for record in records if wire.open_of(record) is None]
            records = unreadable + build_bars(hours, calendar, max(page.start, earliest), closed)
        if question.is_limited(size, len(records)):
            return Fetched(records, self._reach(pair, timeframe, page, earliest))
        return Fetched(records, first_bar=earliest if size == "full" else None)

    async def _month(self, pair: str, timeframe: str, page: Page) -> Fetched:
        """Intraday shares of the month in which the page ends."""
        reach = _FIRST_MONTH if page.start < _FIRST_MONTH else None
        if page.end <= _FIRST_MONTH:
            return Fetched(covers_from=reach)
        params = {
            "function": "TIME_SERIES_INTRADAY",
            "symbol": identity_of(self.name, pair).symbol,
            "interval": _INTERVALS[timeframe],
            "month": f"{times.utc(page.end - 1):%Y-%m}",
            "adjusted": "false",
            "extended_hours": "false",
            "outputsize": "full",
        }
        records, _ = await self._records(params, pair, None)
        return Fetched(records, reach)

    def _size(self, question: Question, timeframe: str, page: Page) -> str:
        """`compact` when the page begins within the newest points, which cost less and any key is served."""
        step = SOURCE_STEP if timeframe == "4h" else seconds(timeframe)
        recent = floor(page.start, seconds(timeframe)) >= self.now() - _SAFE_POINTS * step
        return "compact" if recent or question.function in self._compact_only else "full"

    async def _ask(self, question: Question, size: str, pair: str) -> tuple[list[Record], str]:
        """The records and their size: where the key is refused `full`, `compact` instead, from then on."""
        try:
            records, is_compact = await self._records(question.with_size(size), pair, question.currency)
        except notices.FullRefused:
            if size == "compact":
                raise
            self._compact_only.add(question.function)
            records, is_compact = await self._records(question.with_size("compact"), pair, question.currency)
            return records, "compact"
        return records, "compact" if is_compact else size

    async def _records(self, params: Mapping[str, str], pair: str, currency: str | None) -> tuple[list[Record], bool]:
        """The records, and whether the answer calls itself compact, whatever was asked."""
        check = wire.checker(params, pair)

        def parse(data: bytes) -> tuple[list[Record], bool]:
            body = self._http.decode(data)
            check(body)
            return wire.records(body, currency), wire.is_compact(body)

        return await self._http.ask("/query", params, parse)

    def _reach(self, pair: str, timeframe: str, page: Page, earliest: int | None) -> int | None:
        """The earliest instant served, if bars should lie between the page's start and it."""
        if earliest is None or earliest <= page.start:
            return None
        try:
            missed = self._calendar(pair).expected_count(timeframe, page.start, min(earliest, page.end))
        except CalendarHorizonError:
            return earliest
        return earliest if missed else None

    def _calendar(self, pair: str) -> MarketCalendar:
        return self.settings.calendars.market_of(self.name, pair)


def _class_of(pair: str) -> AssetClass:
    return asset_class(pair, AlphaVantageProvider.name)


def _is_monthly(pair: str, timeframe: str) -> bool:
    return timeframe != "1d" and _class_of(pair) == "equity"


def _months(start: int, end: int) -> list[Page]:
    """[start, end) cut at the months of UTC; what lies before the first month there is comes with it."""
    cuts, month = [start], max(start, _FIRST_MONTH)
    while (month := _next_month(month)) < end:
        cuts.append(month)
    return [Page(begin, finish) for begin, finish in pairwise([*cuts, end])]


def _next_month(epoch: int) -> int:
    day = times.utc(epoch)
    return int(datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC).timestamp())


def _question(pair: str, timeframe: str) -> Question:
    """What is asked for a series that is served whole, or as far as it is served at all."""
    asked = identity_of(AlphaVantageProvider.name, pair)
    if asked.base is None or asked.quote is None:
        return Question({"function": "TIME_SERIES_DAILY", "symbol": asked.symbol})
    base, quote = (_CODES.get(code, code) for code in (asked.base, asked.quote))
    daily = timeframe == "1d"
    interval = {} if daily else {"interval": _INTERVALS[timeframe]}
    if _class_of(pair) == "fx":
        function = "FX_DAILY" if daily else "FX_INTRADAY"
        return Question({"function": function, "from_symbol": base, "to_symbol": quote, **interval})
    function = _CRYPTO_DAILY if daily else "CRYPTO_INTRADAY"
    return Question({"function": function, "symbol": base, "market": quote, **interval}, currency=quote)
