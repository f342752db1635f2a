"""Coinbase provider: asks for Advanced Trade public market candles, without a key.

The wire facts: every field of a candle is text, the newest comes first, both ends of a range are inclusive, and an
interval without a trade has no candle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ffe_core.calendars.coinbase import CONTRACTS
from ffe_core.instruments.model import Instrument
from ffe_core.provider_settings import CoinbaseSettings
from ffe_core.providers import coinbase_catalogue
from ffe_core.providers.base import (
    Fetched,
    Page,
    Record,
    joined_windows,
    windows,
)
from ffe_core.providers.coinbase_wire import columns, records
from ffe_core.providers.http import HttpClient, Refused, other_shape
from ffe_core.providers.http_provider import HttpProvider, symbol_of, unknown_pair
from ffe_core.providers.plain import NotPlain
from ffe_core.settings import Config, Settings
from ffe_core.timeframes import seconds

_PRODUCTS = "/api/v3/brokerage/market/products"
_GRANULARITIES = {
    "1m": "ONE_MINUTE",
    "5m": "FIVE_MINUTE",
    "15m": "FIFTEEN_MINUTE",
    "1h": "ONE_HOUR",
    "4h": "FOUR_HOUR",
    "1d": "ONE_DAY",
}
BARS_PER_REQUEST = 300
"""350 is the documented most, but reports disagree whether 350 passes."""

_MOST_RECORDS = 20_000
"""Of any answer: the list of products is longer than a page of candles."""


class CoinbaseDataProvider(HttpProvider):
    """Spot candles of Coinbase. A record is the candle as sent plus `date`.

    Nothing is clipped: a record outside its page is handed over, for the caller to count.
    """

    name = "coinbase"
    earliest = "2015-01-01"
    """BTC-USD has minutes from 2015-01-20 and hours from 2015-07-20 on, every other product later (asked in 2026)."""
    usual_pairs = (
        "BTCUSD",
        "ETHUSD",
        "SOLUSD",
        "XRPUSD",
        "DOGEUSD",
        "ADAUSD",
        "LTCUSD",
        "LINKUSD",
        "AVAXUSD",
        "BTCEUR",
    )
    volume_unit = "base units"
    lists_everything = True
    finds_first_bar = True

    def __init__(self, credentials: Mapping[str, Any] | None = None, config: Config | Settings | None = None) -> None:
        super().__init__(config, credentials)
        self._own = self.settings.section(self.name, CoinbaseSettings)
        self._http = HttpClient(
            self.name,
            self.settings,
            self._own.base_url,
            self._own.requests_per_second,
            max_connections=self.max_in_flight,
            most_records=_MOST_RECORDS,
            error_text=_error_text,
            access_hint="no key is needed, so this network may be refused",
        )

    @classmethod
    def volume_unit_of(cls, pair: str) -> str | None:
        return "contracts" if pair.endswith(CONTRACTS) else cls.volume_unit

    def check(self, pair: str, timeframe: str) -> None:
        super().check(pair, timeframe)
        product_id(pair)

    def pages(self, pair: str, timeframe: str, start: int, end: int) -> Sequence[Page]:
        return windows(start, end, seconds(timeframe), BARS_PER_REQUEST)

    def gap_pages(self, pair: str, timeframe: str, gaps: Sequence[tuple[int, int]]) -> Sequence[Page]:
        return joined_windows(gaps, seconds(timeframe), BARS_PER_REQUEST)

    async def fetch(self, pair: str, timeframe: str, page: Page) -> Fetched:
        product = product_id(pair)
        params = {
            "start": str(page.start),
            "end": str(page.end - seconds(timeframe)),
            "granularity": _GRANULARITIES[timeframe],
        }
        try:
            return Fetched(await self._http.ask(f"{_PRODUCTS}/{product}/candles", params, self._parse))
        except Refused as error:
            if error.status == 404 and error.text is not None:
                raise unknown_pair(self.name, pair, error.text) from None
            raise

    def _parse(self, data: bytes) -> Sequence[Record]:
        """The records of a body, which names neither product nor granularity, as columns where it is plain.

        Runs in a thread.
        """
        self._http.bounds.check_values(data)
        try:
            return columns(data)
        except NotPlain:
            return self._parse_json(data)

    def _parse_json(self, data: bytes) -> list[Record]:
        body = self._http.decode(data)
        _has_candles(body)
        return records(body["candles"])

    async def catalogue(self) -> list[Instrument]:
        """Spot products and futures, page by page where the list says that there is more."""
        products: list[Any] = []
        seen: set[str] = set()
        cursor = ""
        while cursor not in seen:
            seen.add(cursor)
            body = await self._http.get(_PRODUCTS, {"cursor": cursor} if cursor else {}, _has_products)
            products += body["products"]
            cursor = _next_cursor(body)
        return coinbase_catalogue.instruments(products)


def product_id(pair: str) -> str:
    """What Coinbase calls a stored pair: BTCUSDT is BTC-USDT. PermanentError for a pair without a quote."""
    return symbol_of("coinbase", pair, "-")


def _next_cursor(body: Mapping[str, Any]) -> str:
    """Where the list goes on; an empty text where it ends."""
    paging = body.get("pagination")
    if not isinstance(paging, dict) or paging.get("has_next") is not True:
        return ""
    cursor = paging.get("next_cursor")
    return cursor if isinstance(cursor, str) else ""


def _has_candles(body: Any) -> None:
    if not isinstance(body, dict) or not isinstance(body.get("candles"), list):
        raise other_shape("coinbase", body)


def _has_products(body: Any) -> None:
    if not isinstance(body, dict) or not isinstance(body.get("products"), list):
        raise other_shape("coinbase", body)


def _error_text(body: Any) -> str | None:
    texts = [body.get(key) for key in ("message", "error_details", "error")]
    return next((text for text in texts if isinstance(text, str) and text), None)
