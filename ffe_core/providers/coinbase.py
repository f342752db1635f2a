"""Coinbase provider: asks for Advanced Trade public market candles, without a key.

The wire facts: every field of a candle is text, the newest comes first, both ends of a range are inclusive, and an
interval without a trade has no candle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ffe_core.pairs import normalize_pair, split_pair
from ffe_core.provider_settings import CoinbaseSettings
from ffe_core.providers.base import (
    Fetched,
    Page,
    Record,
    dates_of,
    joined_windows,
    records_of,
    windows,
)
from ffe_core.providers.http import HttpClient, Refused, other_shape
from ffe_core.providers.http_provider import HttpProvider, parts_of, unknown_pair
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

_MOST_RECORDS = 5_000
"""Of any answer: the list of products is longer than a page of candles."""


class CoinbaseDataProvider(HttpProvider):
    """Spot candles of Coinbase. A record is the candle as sent plus `date`.

    Nothing is clipped: a record outside its page is handed over, for the caller to count.
    """

    name = "coinbase"
    earliest = "2015-01-01"
    """BTC-USD has minutes from 2015-01-20 and hours from 2015-07-20 on, every other product later (asked in 2026)."""
    volume_unit = "base units"

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

    def _parse(self, data: bytes) -> list[Record]:
        """The records of a body, which names neither product nor granularity. Runs in a thread."""
        body = self._http.decode(data)
        _has_candles(body)
        return records(body["candles"])

    async def list_pairs(self) -> list[str]:
        body = await self._http.get(_PRODUCTS, {}, _has_products)
        return sorted({pair for product in body["products"] if (pair := _listed(product))})


def product_id(pair: str) -> str:
    """What Coinbase calls a stored pair: BTCUSDT is BTC-USDT. PermanentError for a pair without a quote."""
    return "-".join(parts_of("coinbase", pair))


def records(candles: list[Any]) -> list[Record]:
    """The candles as sent, each with its `date`; everything else already has the right name."""
    found = records_of(candles)
    timed = [record for record in found if "start" in record]
    for record, date in zip(timed, dates_of([record["start"] for record in timed]), strict=True):
        record["date"] = date
    return found


def _listed(product: Any) -> str | None:
    """The stored name of a spot product; None for another kind, and for a name that would not lead back to it."""
    if not isinstance(product, dict) or product.get("product_type") != "SPOT":
        return None
    try:
        pair = normalize_pair(product["product_id"])
    except (KeyError, ValueError):
        return None
    parts = split_pair(pair)
    return pair if parts and "-".join(parts) == product["product_id"] else None


def _has_candles(body: Any) -> None:
    if not isinstance(body, dict) or not isinstance(body.get("candles"), list):
        raise other_shape("coinbase", body)


def _has_products(body: Any) -> None:
    if not isinstance(body, dict) or not isinstance(body.get("products"), list):
        raise other_shape("coinbase", body)


def _error_text(body: Any) -> str | None:
    texts = [body.get(key) for key in ("message", "error_details", "error")]
    return next((text for text in texts if isinstance(text, str) and text), None)
