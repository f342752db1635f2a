"""Fake Coinbase: answers as Advanced Trade's public market API does.

Sources: docs.cdp.coinbase.com (get-public-product-candles, rate limits) and recorded bodies. Newest first, both
ends included, every field text, no flag on the running candle, minutes without trades simply absent.
"""

from __future__ import annotations

import math
import re
from typing import Any

from .market import Market, Record, parts
from .server import Answer, Exchange, Seen, TokenBucket

GRANULARITIES = {
    "ONE_MINUTE": 60,
    "FIVE_MINUTE": 300,
    "FIFTEEN_MINUTE": 900,
    "THIRTY_MINUTE": 1800,
    "ONE_HOUR": 3600,
    "TWO_HOUR": 7200,
    "FOUR_HOUR": 14400,
    "SIX_HOUR": 21600,
    "ONE_DAY": 86400,
}
PRODUCTS = "/api/v3/brokerage/market/products"


class CoinbaseExchange(Exchange):
    """Symbols are "BASE-QUOTE"; "X-USDC" shows the book of "X-USD" when the market holds only that."""

    def __init__(
        self,
        market: Market,
        *,
        rate: float | None = 10.0,
        burst: float = 15.0,
        max_intervals: int = 349,
        **server: Any,
    ) -> None:
        """`rate` requests a second and `burst` at once (None: no limit); the rest is for `Exchange`."""
        super().__init__(market, **server)
        self.max_intervals = max_intervals
        self._bucket = TokenBucket(rate, burst)

    def answer(self, request: Seen) -> Answer:
        if not self._bucket.take():
            self.rate_limited += 1
            return Answer.json({"message": "Public rate limit exceeded"}, 429)
        if request.method != "GET":
            return Answer.json({"message": "Method not allowed"}, 405)
        if request.path == PRODUCTS:
            return self._products()
        found = re.fullmatch(f"{PRODUCTS}/([^/]+)(/candles)?", request.path)
        if found:
            return self._candles(found[1], request.params) if found[2] else self._product(found[1])
        if request.path.startswith("/api/v3/brokerage/products"):
            return Answer.text("Unauthorized\n", "text/plain", 401)
        return Answer.json({"error": "NOT_FOUND", "message": "Not Found"}, 404)

    def empty_page(self, request: Seen) -> Answer:
        return Answer.json({"candles": []})

    def _products(self) -> Answer:
        products = [_product(*symbol) for symbol in self.market.symbols() if len(symbol) == 2]
        return Answer.json({"products": products, "num_products": len(products), "pagination": None})

    def _product(self, product: str) -> Answer:
        symbol = self._symbol(product)
        return _unknown(product) if symbol is None else Answer.json(_product(*symbol))

    def _symbol(self, product: str) -> tuple[str, ...] | None:
        """The market's symbol for a product id, through the USDC alias; None when there is none."""
        if not re.fullmatch(r"[A-Z0-9]+-[A-Z0-9]+", product):
            return None
        symbol, held = parts(product), self.market.symbols()
        alias = (symbol[0], "USD") if symbol[1] == "USDC" else symbol
        return next((name for name in (symbol, alias) if name in held), None)

    def _candles(self, product: str, params: dict[str, str]) -> Answer:
        symbol = self._symbol(product)
        if symbol is None:
            return _unknown(product)
        step = GRANULARITIES.get(params.get("granularity", ""))
        if step is None:
            return _invalid("granularity argument is invalid")
        start, end = _integer(params.get("start")), _integer(params.get("end"))
        limit = _integer(params.get("limit", "350"))
        if start is None or end is None or start > end:
            return _invalid("start and end argument is invalid - both are required, as UNIX seconds, in order")
        if end - start > self.max_intervals * step:
            return _invalid("start and end argument is invalid - number of candles requested should be less than 350")
        if limit is None or not 1 <= limit <= 350:
            return _invalid("limit argument is invalid - should be between 1 and 350")
        # A start inside a bucket brings the bucket: candles may precede the declared start.
        rows = self.records("-".join(symbol), step, math.floor(start / step) * step, end)
        return Answer.json({"candles": [_wire(row) for row in reversed(rows)][:limit]})


def _wire(record: Record) -> Any:
    if record.element is not None:
        return record.element
    body: dict[str, Any] = {}
    if record.time is not None:
        body["start"] = record.time or str(record.open_epoch)
    for name in ("low", "high", "open", "close", "volume"):
        if name in record.fields:
            body[name] = record.fields[name]
    return body


def _integer(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"\d{1,12}", text) else None


def _unknown(product: str) -> Answer:
    return Answer.json({"error": "NOT_FOUND", "message": f"Product {product} not supported"}, 404)


def _invalid(details: str) -> Answer:
    return Answer.json({"error": "INVALID_ARGUMENT", "error_details": details, "message": details}, 400)


def _product(base: str, quote: str) -> dict[str, Any]:
    """One product with the fields of a recorded listing."""
    return {
        "product_id": f"{base}-{quote}",
        "price": "1",
        "price_percentage_change_24h": "0",
        "volume_24h": "0",
        "volume_percentage_change_24h": "0",
        "base_increment": "0.00000001",
        "quote_increment": "0.01",
        "quote_min_size": "1",
        "quote_max_size": "150000000",
        "base_min_size": "0.00000001",
        "base_max_size": "3400",
        "base_name": base,
        "quote_name": quote,
        "watched": False,
        "is_disabled": False,
        "new": False,
        "status": "online",
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": False,
        "auction_mode": False,
        "product_type": "SPOT",
        "quote_currency_id": quote,
        "base_currency_id": base,
        "fcm_trading_session_details": None,
        "mid_market_price": "",
        "alias": "",
        "alias_to": [f"{base}-USDC"] if quote == "USD" else [],
        "base_display_symbol": base,
        "quote_display_symbol": quote,
        "view_only": False,
        "price_increment": "0.01",
        "display_name": f"{base}-{quote}",
        "product_venue": "CBE",
    }
