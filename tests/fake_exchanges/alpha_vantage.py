"""Fake Alpha Vantage: answers in the shapes of 2025 and 2026.

Sources: alphavantage.co/documentation and recorded bodies. One object keyed by time, newest first, times without
a zone in the zone the metadata names, nearly every error a 200. Daily stamps are the UTC date of the open.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from .market import FIELDS, Market, Record, changed
from .server import Answer, Exchange, Seen, TokenBucket

PREMIUM = "https://www.alphavantage.co/premium/"
THANKS = "Thank you for using Alpha Vantage! "
SPREAD = f"{THANKS}Please consider spreading out your free API requests more sparingly"
PLANS = f"You may subscribe to any of the premium plans at {PREMIUM} to"
DOCUMENTATION = "https://www.alphavantage.co/documentation/"
CLAIM = "Please claim your free API key"

# Every documented kind of 200 that is not data: (key, text), the text with {key} and {function} to fill in.
REFUSALS: dict[str, tuple[str, str] | None] = {
    "invalid_call": (
        "Error Message",
        f"Invalid API call. Please retry or visit the documentation ({DOCUMENTATION}) for {{function}}.",
    ),
    "invalid_key": (
        "Error Message",
        f"the parameter apikey is invalid or missing. {CLAIM} on (https://www.alphavantage.co/support/#api-key). "
        "It should take less than 20 seconds.",
    ),
    "no_function": ("Error Message", "This API function ({function}) does not exist."),
    "note": (
        "Note",
        f"{THANKS}Our standard API call frequency is 5 calls per minute and 500 calls per day. Please visit "
        f"{PREMIUM} if you would like to target a higher API call frequency.",
    ),
    "daily_quota": (
        "Information",
        "We have detected your API key as {key} and our standard API rate limit is 25 requests per day. Please "
        f"subscribe to any of the premium plans at {PREMIUM} to instantly remove all daily rate limits.",
    ),
    "burst": (
        "Information",
        f"{SPREAD} (1 request per second). {PLANS} lift the free key rate limit (25 requests per day), raise the "
        "per-second burst limit, and instantly unlock all premium endpoints",
    ),
    "burst_2025": (
        "Information",
        f"{SPREAD}. {PLANS} lift the free key rate limit (25 requests per day) and instantly unlock all premium "
        "endpoints",
    ),
    "premium_endpoint": (
        "Information",
        f"{THANKS}This is a premium endpoint. {PLANS} instantly unlock all premium endpoints",
    ),
    "premium_outputsize": (
        "Information",
        f"{THANKS}The outputsize=full parameter value is a premium feature for the {{function}} endpoint. {PLANS} "
        "instantly unlock all premium features",
    ),
    "premium_volume": (
        "Information",
        f"{THANKS}Please visit {PREMIUM} if you would like to have a higher API call volume.",
    ),
    "demo": (
        "Information",
        f"The **demo** API key is for demo purposes only. {CLAIM} at (https://www.alphavantage.co/support/#api-key) "
        "to explore our full API offerings. It takes fewer than 20 seconds.",
    ),
    "empty_object": None,
}

INTERVALS = {"1min": 60, "5min": 300, "15min": 900, "30min": 1800, "60min": 3600}
NAMES = {"BTC": "Bitcoin", "ETH": "Ethereum", "USD": "United States Dollar", "EUR": "Euro"}
COINS = frozenset({"BTC", "ETH", "SOL", "XRP", "DOGE", "LTC"})
LISTING = "LISTING_STATUS"
SEARCH = "SYMBOL_SEARCH"
ACTIONS = ("SPLITS", "DIVIDENDS")
_NEW_YORK = ("09:30", "16:00", "UTC-04")
_MATCH = ("symbol", "name", "type", "region", "marketOpen", "marketClose", "timezone", "currency", "matchScore")
CURRENCY_LISTS = {"/physical_currency_list/": True, "/digital_currency_list/": False}
DAY = 86400
_CRYPTO = ("Information", "Digital Currency Code", "Digital Currency Name", "Market Code", "Market Name")


@dataclass(frozen=True)
class Function:
    """What one function takes and how its answer is laid out; `volume` is text, integer or absent."""

    symbol: tuple[str, ...]
    meta: tuple[str, ...]
    information: str
    series: str
    intraday: bool = False
    volume: str = "text"
    stamp: str = "%Y-%m-%d"

    @property
    def equity(self) -> bool:
        return self.symbol == ("symbol",)

    @property
    def months(self) -> bool:
        """Whether `month=` reaches back; FX and crypto have no range parameter at all."""
        return self.equity and self.intraday


FUNCTIONS = {
    "TIME_SERIES_INTRADAY": Function(
        ("symbol",),
        ("Information", "Symbol", "Last Refreshed", "Interval", "Output Size", "Time Zone"),
        "Intraday ({interval}) open, high, low, close prices and volume",
        "Time Series ({interval})",
        intraday=True,
    ),
    "TIME_SERIES_DAILY": Function(
        ("symbol",),
        ("Information", "Symbol", "Last Refreshed", "Output Size", "Time Zone"),
        "Daily Prices (open, high, low, close) and Volumes",
        "Time Series (Daily)",
    ),
    "FX_INTRADAY": Function(
        ("from_symbol", "to_symbol"),
        ("Information", "From Symbol", "To Symbol", "Last Refreshed", "Interval", "Output Size", "Time Zone"),
        "FX Intraday ({interval}) Time Series",
        "Time Series FX ({interval})",
        intraday=True,
        volume="absent",
    ),
    "FX_DAILY": Function(
        ("from_symbol", "to_symbol"),
        ("Information", "From Symbol", "To Symbol", "Output Size", "Last Refreshed", "Time Zone"),
        "Forex Daily Prices (open, high, low, close)",
        "Time Series FX (Daily)",
        volume="absent",
    ),
    "CRYPTO_INTRADAY": Function(
        ("symbol", "market"),
        (*_CRYPTO, "Last Refreshed", "Interval", "Output Size", "Time Zone"),
        "Crypto Intraday ({interval}) Time Series",
        "Time Series Crypto ({interval})",
        intraday=True,
        volume="integer",
    ),
    "DIGITAL_CURRENCY_DAILY": Function(
        ("symbol", "market"),
        (*_CRYPTO, "Last Refreshed", "Time Zone"),
        "Daily Prices and Volumes for Digital Currency",
        "Time Series (Digital Currency Daily)",
        stamp="%Y-%m-%d 00:00:00",
    ),
}


def refusal(kind: str, key: str, function: str) -> Answer:
    """A 200 of a documented kind that carries no data; ValueError for an unknown kind."""
    if kind not in REFUSALS:
        raise ValueError(f"unknown kind of refusal {kind!r}: one of {', '.join(sorted(REFUSALS))}")
    content = REFUSALS[kind]
    if content is None:
        return Answer.json({})
    return Answer.json({content[0]: content[1].format(key=key, function=function)})


class AlphaVantageExchange(Exchange):
    """Equities are held under one part ("AAPL"), FX and crypto under two ("EUR/USD", "BTC/USD")."""

    def __init__(
        self,
        market: Market,
        *,
        key: str = "av-key",
        premium: bool = False,
        daily_quota: int | None = 25,
        per_second: float | None = 1.0,
        equity_zone: str = "US/Eastern",
        other_zone: str = "UTC",
        adjustment: str = "0.25",
        **server: Any,
    ) -> None:
        """`daily_quota` and `per_second` bind a free key only (None: no limit); zones are labels as sent.

        Intraday equity prices are multiplied by `adjustment` unless `adjusted=false` is asked, as after a split.
        """
        super().__init__(market, **server)
        self.key, self.premium, self.daily_quota = key, premium, daily_quota
        self.zones = {True: equity_zone, False: other_zone}
        self.adjustment = Decimal(adjustment)
        self._bucket = TokenBucket(None if premium else per_second, 1)
        self._used: dict[int, int] = {}
        self.listed: list[tuple[str, ...]] = []
        self.delisted: list[tuple[str, ...]] = []
        self.actions: dict[tuple[str, str], list[dict[str, str]]] = {}
        """The entries of SPLITS and DIVIDENDS by function and symbol."""
        self.echoed = ""
        """The symbol that those answers name; the one asked for if empty."""
        self.elsewhere: list[tuple[str, ...]] = []
        """What a search finds beside the market's own shares: symbol to currency, as a match names them."""

    @property
    def used_today(self) -> int:
        """Requests counted against the quota of the UTC day."""
        return self._used.get(int(self.now() // DAY), 0)

    def reset(self) -> None:
        super().reset()
        self._used.clear()

    def answer(self, request: Seen) -> Answer:
        if request.path in CURRENCY_LISTS:
            return self._currencies(CURRENCY_LISTS[request.path])
        if request.path != "/query":
            return Answer.text("<html><title>Not Found</title></html>", "text/html", 404)
        kind = self._refused(request.params)
        if kind is not None:
            return _refuse(kind, request)
        if request.params["function"] == LISTING:
            return self._listing(request.params.get("state", "active"))
        if request.params["function"] == SEARCH:
            return self._matches(request.params.get("keywords", ""))
        if request.params["function"] in ACTIONS:
            return self._actions(request.params["function"], request.params.get("symbol", "").upper())
        function = FUNCTIONS[request.params["function"]]
        symbol = _symbol(function, request.params)
        step = INTERVALS[request.params["interval"]] if function.intraday else DAY
        rows = self._rows("/".join(symbol), step, function, request.params)
        return self._page(function, symbol, rows, request.params)

    def _listing(self, state: str) -> Answer:
        """CSV whatever is asked for; the market's own shares are active, what else there is comes from `listed`."""
        own = [(*symbol, "", "NYSE", "Stock", "1999-11-18", "null", "Active") for symbol in self._shares()]
        rows = [*own, *self.listed] if state == "active" else self.delisted
        return _list(("symbol", "name", "exchange", "assetType", "ipoDate", "delistingDate", "status"), rows)

    def _matches(self, keywords: str) -> Answer:
        """At most ten, whose symbol or name begins like the keywords, those of other exchanges too."""
        own = [(*symbol, *symbol, "Equity", "United States", *_NEW_YORK, "USD") for symbol in self._shares()]
        begin = keywords.lower()[:3]
        found = [row for row in (*self.elsewhere, *own) if begin and begin in f"{row[0]} {row[1]}".lower()]
        return Answer.json(
            {
                "bestMatches": [
                    {
                        f"{number}. {name}": value
                        for number, (name, value) in enumerate(zip(_MATCH, match, strict=True), 1)
                    }
                    for match in ((*row, "0.5000") for row in found[:10])
                ]
            }
        )

    def _actions(self, function: str, symbol: str) -> Answer:
        """Nothing at all for a symbol that it does not have."""
        if (symbol,) not in self._shares():
            return Answer.json({})
        return Answer.json({"symbol": self.echoed or symbol, "data": self.actions.get((function, symbol), [])})

    def _shares(self) -> list[tuple[str, ...]]:
        taken = {row[0] for row in self.listed}
        return [symbol for symbol in self.market.symbols() if len(symbol) == 1 and symbol[0] not in taken]

    def _currencies(self, physical: bool) -> Answer:
        codes = {code for symbol in self.market.symbols() if len(symbol) == 2 for code in symbol} | {"USD", "EUR"}
        coins = {code for code in codes if code in COINS}
        chosen = codes - coins if physical else coins
        return _list(("currency code", "currency name"), [(code, NAMES.get(code, code)) for code in sorted(chosen)])

    def empty_page(self, request: Seen) -> Answer:
        function = FUNCTIONS[request.params["function"]]
        return self._page(function, _symbol(function, request.params), [], request.params)

    def _refused(self, params: dict[str, str]) -> str | None:
        if params.get("apikey") != self.key:
            return "demo" if params.get("apikey") == "demo" else "invalid_key"
        if not self._bucket.take():
            self.rate_limited += 1
            return "burst"
        if not self._count():
            return "daily_quota"
        name = params.get("function", "")
        if name in (LISTING, SEARCH, *ACTIONS):
            return None
        if name not in FUNCTIONS:
            return "no_function"
        return self._premium_only(name, params) or self._wrong(FUNCTIONS[name], params)

    def _count(self) -> bool:
        """Counts a request against the day's quota; refusals for premium endpoints count too."""
        if self.premium or self.daily_quota is None:
            return True
        if self.used_today >= self.daily_quota:
            return False
        self._used[int(self.now() // DAY)] = self.used_today + 1
        return True

    def _premium_only(self, name: str, params: dict[str, str]) -> str | None:
        if self.premium:
            return None
        if FUNCTIONS[name].intraday:
            return "premium_endpoint"
        full = params.get("outputsize") == "full" and "Output Size" in FUNCTIONS[name].meta
        return "premium_outputsize" if full else None

    def _wrong(self, function: Function, params: dict[str, str]) -> str | None:
        right = (
            tuple(_symbol(function, params)) in self.market.symbols()
            and (not function.intraday or params.get("interval") in INTERVALS)
            and params.get("outputsize", "compact") in ("compact", "full")
            and params.get("datatype", "json") in ("json", "csv")
            and (not function.months or _month(params.get("month", "2000-01"), UTC) is not None)
        )
        return None if right else "invalid_call"

    def _rows(self, symbol: str, step: int, function: Function, params: dict[str, str]) -> list[Record]:
        """The records to send, oldest first."""
        first, last, zone = -math.inf, math.inf, _zone(self.zones[function.equity])
        full = params.get("outputsize") == "full"
        month = _month(params.get("month", ""), zone) if function.months else None
        if month is not None:
            first, last = month
        elif full and function.intraday:
            first = self.now() - 30 * DAY
        if "Output Size" not in function.meta:
            return self.records(symbol, step, first, last, -350)
        if function.months and params.get("extended_hours") == "false":
            regular = [row for row in self.records(symbol, step, first, last) if _in_session(row, zone)]
            return regular if full else regular[-100:]
        return self.records(symbol, step, first, last, None if full else -100)

    def _page(self, function: Function, symbol: list[str], rows: list[Record], params: dict[str, str]) -> Answer:
        adjusted = function.months and params.get("adjusted") != "false"
        factor = self.adjustment if adjusted else Decimal(1)
        zone = self.zones[function.equity]
        series = [(_stamp(row, function, _zone(zone)), _element(row, function, factor)) for row in reversed(rows)]
        if params.get("datatype") == "csv":
            return _csv(function, series)
        meta = _meta(function, symbol, rows, zone, params)
        name = function.series.format(interval=params.get("interval"))
        # Written by hand, because a repeated record is a repeated key.
        body = ",".join(f"{json.dumps(stamp)}:{json.dumps(element)}" for stamp, element in series)
        content = f'{{"Meta Data":{json.dumps(meta)},{json.dumps(name)}:{{{body}}}}}'
        return Answer.text(content, "application/json")


def _symbol(function: Function, params: dict[str, str]) -> list[str]:
    return [params.get(name, "").upper() for name in function.symbol]


def _refuse(kind: str, request: Seen) -> Answer:
    return refusal(kind, request.params.get("apikey", ""), request.params.get("function", ""))


def _zone(label: str) -> tzinfo:
    """The zone of a label such as "US/Eastern", "UTC" or "GMT+8" (eight hours ahead of UTC)."""
    offset = re.fullmatch(r"GMT([+-]\d{1,2})", label)
    return timezone(timedelta(hours=int(offset[1]))) if offset else ZoneInfo(label)


def _month(text: str, zone: tzinfo) -> tuple[float, float] | None:
    """First and last instant of "YYYY-MM" in the zone; None when it is no month from 2000 on."""
    if not re.fullmatch(r"2\d{3}-(0[1-9]|1[0-2])", text):
        return None
    year, month = int(text[:4]), int(text[5:])
    begin = datetime(year, month, 1, tzinfo=zone).timestamp()
    end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone).timestamp()
    return begin, end - 1


def _in_session(row: Record, zone: tzinfo) -> bool:
    return "09:30" <= f"{datetime.fromtimestamp(row.open_epoch, zone):%H:%M}" < "16:00"


def _stamp(row: Record, function: Function, zone: tzinfo) -> str:
    if row.time != "":
        return row.time or ""
    if function.intraday:
        return f"{datetime.fromtimestamp(row.open_epoch, zone):%Y-%m-%d %H:%M:%S}"
    return f"{datetime.fromtimestamp(row.open_epoch, UTC):%Y-%m-%d}"


def _element(row: Record, function: Function, factor: Decimal) -> Any:
    if row.element is not None:
        return row.element
    numbered = {name: f"{number}. {name}" for number, name in enumerate(FIELDS, 1)}
    element = {numbered[name]: value for name, value in row.fields.items()}
    if factor != 1:
        prices = [key for key in element if key != "5. volume"]
        element |= {key: changed(element[key], lambda price: f"{price * factor:f}") for key in prices}
    if function.volume == "absent":
        element.pop("5. volume", None)
    elif function.volume == "integer" and "5. volume" in element:
        element["5. volume"] = changed(element["5. volume"], int)
    return element


def _meta(
    function: Function, symbol: list[str], rows: list[Record], zone: str, params: dict[str, str]
) -> dict[str, str]:
    codes = [*symbol, ""]
    last = _last_refreshed(function, rows, _zone(zone))
    values = {
        "Information": function.information.format(interval=params.get("interval")),
        "Symbol": codes[0],
        "From Symbol": codes[0],
        "To Symbol": codes[1],
        "Digital Currency Code": codes[0],
        "Digital Currency Name": NAMES.get(codes[0], codes[0]),
        "Market Code": codes[1],
        "Market Name": NAMES.get(codes[1], codes[1]),
        "Last Refreshed": last,
        "Interval": params.get("interval", ""),
        "Output Size": "Full size" if params.get("outputsize") == "full" else "Compact",
        "Time Zone": zone,
    }
    return {f"{number}. {name}": values[name] for number, name in enumerate(function.meta, 1)}


def _last_refreshed(function: Function, rows: list[Record], zone: tzinfo) -> str:
    if not rows:
        return ""
    stamp, zone = ("%Y-%m-%d %H:%M:%S", zone) if function.intraday else (function.stamp, UTC)
    return datetime.fromtimestamp(rows[-1].open_epoch, zone).strftime(stamp)


def _csv(function: Function, series: Iterable[tuple[str, Any]]) -> Answer:
    names = FIELDS[:4] if function.volume == "absent" else FIELDS
    lines = [",".join(("timestamp", *names))]
    for stamp, element in series:
        values = element.values() if isinstance(element, dict) else [element]
        lines.append(",".join([stamp, *map(str, values)]))
    return Answer.text("\r\n".join([*lines, ""]), "application/x-download")


def _list(columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Answer:
    lines = [",".join(columns), *(",".join(row) for row in rows)]
    return Answer.text("\r\n".join(lines) + "\r\n", "application/x-download")
