"""Fake OANDA: answers as the v20 REST API does.

Sources: the v20 OpenAPI description, the development guide and recorded bodies. Oldest first, times with nine
fractional digits, prices as text, volume as a count of ticks, `complete` on every candle. Weekly and monthly
granularities are not served.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from .market import Market, Record, changed, parts
from .server import Answer, Exchange, Seen, TokenBucket

SECONDS = {"S": 1, "M": 60, "H": 3600}
GRANULARITIES = {
    name: SECONDS[name[0]] * int(name[1:])
    for name in "S5 S10 S15 S30 M1 M2 M4 M5 M10 M15 M30 H1 H2 H3 H4 H6 H8 H12".split()
} | {"D": 86400}
MAX_COUNT = 5000
HALF_SPREAD = Decimal("0.00005")


class Refused(Exception):
    """A 400 with OANDA's own words."""


@dataclass(frozen=True)
class Question:
    """One request for candles, its parameters read and evaluated."""

    symbol: str
    granularity: str
    price: str
    first: float | None
    last: float | None
    count: int
    include_first: bool | None
    align: Callable[[int], int]
    unix_time: bool

    @property
    def step(self) -> int:
        return GRANULARITIES[self.granularity]


class OandaExchange(Exchange):
    """Symbols are "BASE_QUOTE"; every request needs the token."""

    def __init__(
        self,
        market: Market,
        *,
        token: str = "practice-token",
        account: str = "101-001-1234567-001",
        rate: float | None = 120.0,
        burst: float = 120.0,
        complete_delay: float = 0.0,
        to_inclusive: bool = False,
        **server: Any,
    ) -> None:
        """`complete_delay`: seconds after its end at which a bar says complete (it waits for the next tick).

        `to_inclusive`: whether the bar opening at `to` is sent; the documentation promises neither.
        """
        super().__init__(market, **server)
        self.token, self.account = token, account
        self.complete_delay, self.to_inclusive = complete_delay, to_inclusive
        self._bucket = TokenBucket(rate, burst)

    def answer(self, request: Seen) -> Answer:
        if not self._bucket.take():
            self.rate_limited += 1
            return _error("The rate limit of requests per second has been exceeded", 429)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return _error("Insufficient authorization to perform request.", 401)
        if request.method != "GET":
            return _error("Method Not Allowed", 405)
        try:
            return self._routed(request)
        except Refused as reason:
            return _error(str(reason), 400)

    def _routed(self, request: Seen) -> Answer:
        own = f"/v3/accounts/{self.account}"
        candles = re.fullmatch(rf"(?:/v3|{own})/instruments/([^/]+)/candles", request.path)
        if candles:
            return self._candles(self._question(candles[1], request))
        if request.path == "/v3/accounts":
            return _json({"accounts": [{"id": self.account, "tags": []}]})
        if request.path == f"{own}/instruments":
            return self._instruments()
        return _error("The requested resource does not exist", 404)

    def empty_page(self, request: Seen) -> Answer:
        instrument = request.path.rstrip("/").split("/")[-2]
        return _page(instrument, request.params.get("granularity", "S5"), [])

    def _instruments(self) -> Answer:
        listed = [_instrument(*symbol) for symbol in self.market.symbols() if len(symbol) == 2]
        return _json({"instruments": listed, "lastTransactionID": "6"})

    def _question(self, instrument: str, request: Seen) -> Question:
        params, now = request.params, self.now()
        if not re.fullmatch(r"[A-Z0-9]+_[A-Z0-9]+", instrument) or parts(instrument) not in self.market.symbols():
            raise Refused("Invalid value specified for 'instrument'")
        if {"from", "to", "count"} <= params.keys():
            raise Refused("'count' cannot be specified when 'to' and 'from' parameters are set")
        granularity = _one_of(params, "granularity", "S5", GRANULARITIES.__contains__)
        question = Question(
            symbol=instrument,
            granularity=granularity,
            price=_one_of(params, "price", "M", lambda text: bool(re.fullmatch("[MBA]{1,3}", text))),
            first=_time(params, "from", now),
            last=_time(params, "to", now),
            count=_count(params),
            include_first=_flag(params, "includeFirst"),
            align=_aligned(params, GRANULARITIES[granularity]),
            unix_time=request.headers.get("accept-datetime-format", "").upper() == "UNIX",
        )
        _evaluate_range(question)
        return question

    def _candles(self, question: Question) -> Answer:
        rows = self._rows(question)
        return _page(question.symbol, question.granularity, [self._wire(at, row, question) for at, row in rows])

    def _rows(self, question: Question) -> list[tuple[int, Record]]:
        """The records with their aligned opens, cut to the asked range and count."""
        first = -math.inf if question.first is None else question.first - question.step
        last = math.inf if question.last is None else question.last
        # A bar may move back by less than a step when it is aligned, so a little more is read than asked.
        spare = question.count + 3
        limit = -spare if question.first is None else spare
        records = self.records(question.symbol, question.step, first, last + question.step, limit)
        stamped = [(question.align(record.open_epoch), record) for record in records]
        rows = [(at, row) for at, row in stamped if at > first and (at < last or (self.to_inclusive and at == last))]
        return rows[-question.count :] if question.first is None else _cut_first(rows[: question.count], question)

    def _wire(self, at: int, record: Record, question: Question) -> Any:
        if record.element is not None:
            return record.element
        ended = record.open_epoch + question.step + self.complete_delay
        body: dict[str, Any] = {"complete": record.complete and ended <= self.now()}
        if "volume" in record.fields:
            body["volume"] = changed(record.fields["volume"], int)
        if record.time is not None:
            body["time"] = record.time or _stamp(at, question.unix_time)
        sides = {"B": ("bid", -HALF_SPREAD), "A": ("ask", HALF_SPREAD), "M": ("mid", Decimal(0))}
        for name, offset in (sides[side] for side in "BAM" if side in question.price):
            body[name] = _prices(record, offset)
        return body


def _cut_first(rows: list[tuple[int, Record]], question: Question) -> list[tuple[int, Record]]:
    """Without `includeFirst` the first bar goes, whichever it is; with false, the one that covers `from`."""
    assert question.first is not None
    if question.include_first is None:
        return rows[1:]
    return rows if question.include_first else [(at, row) for at, row in rows if at > question.first]


def _evaluate_range(question: Question) -> None:
    if question.first is None or question.last is None:
        return
    if question.first > question.last:
        raise Refused("Invalid value specified for 'from'")
    # Buckets are counted on the clock, closed hours included.
    if math.ceil((question.last - question.first) / question.step) > MAX_COUNT:
        raise Refused("Maximum value for 'count' exceeded")


def _one_of(params: dict[str, str], name: str, default: str, allowed: Callable[[str], bool]) -> str:
    text = params.get(name, default)
    if not allowed(text):
        raise Refused(f"Invalid value specified for '{name}'")
    return text


def _flag(params: dict[str, str], name: str) -> bool | None:
    text = _one_of(params, name, "", {"", "true", "false", "True", "False"}.__contains__)
    return text.lower() == "true" if text else None


def _count(params: dict[str, str]) -> int:
    if "from" in params and "to" in params:
        return MAX_COUNT
    count = int(_one_of(params, "count", "500", lambda text: bool(re.fullmatch(r"[1-9]\d{0,8}", text))))
    if count > MAX_COUNT:
        raise Refused("Maximum value for 'count' exceeded")
    return count


def _time(params: dict[str, str], name: str, now: float) -> float | None:
    """A time given as RFC 3339 with a zone or as UNIX seconds; None when it is not given."""
    if name not in params:
        return None
    try:
        instant = _epoch(params[name])
    except ValueError:
        raise Refused(f"Invalid value specified for '{name}'") from None
    if instant > now:
        raise Refused(f"Invalid value specified for '{name}'. Time is in the future")
    return instant


def _epoch(text: str) -> float:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"no zone in {text!r}")
    return instant.timestamp()


def _aligned(params: dict[str, str], step: int) -> Callable[[int], int]:
    """Where a bar of the UTC grid opens on the asked grid. By default the day begins at 17:00 in New York.

    Bars up to an hour are never moved. Longer ones keep their prices and only move: enough to show a client that
    forgot to ask for UTC, in summer and in winter differently.
    """
    hours = {str(hour) for hour in range(24)}
    hour = int(_one_of(params, "dailyAlignment", "17", hours.__contains__))
    name = params.get("alignmentTimezone", "America/New_York")
    try:
        zone = ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise Refused("Invalid value specified for 'alignmentTimezone'") from None

    def align(open_epoch: int) -> int:
        local = datetime.fromtimestamp(open_epoch, zone)
        begins = int(local.replace(hour=hour, minute=0, second=0).timestamp())
        return open_epoch - (open_epoch - begins) % step

    return align if step > 3600 else int


def _stamp(epoch: int, unix_time: bool) -> str:
    if unix_time:
        return f"{epoch}.000000000"
    return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%dT%H:%M:%S}.000000000Z"


def _prices(record: Record, offset: Decimal) -> dict[str, Any]:
    names = {"o": "open", "h": "high", "l": "low", "c": "close"}
    kept = {key: record.fields[name] for key, name in names.items() if name in record.fields}
    return {key: changed(value, lambda price: f"{price + offset:f}") for key, value in kept.items()} if offset else kept


def _page(instrument: str, granularity: str, candles: list[Any]) -> Answer:
    return _json({"instrument": instrument, "granularity": granularity, "candles": candles})


def _json(content: Any, status: int = 200) -> Answer:
    return Answer.json(content, status, RequestID="24919359083426184")


def _error(message: str, status: int) -> Answer:
    return _json({"errorMessage": message}, status)


def _instrument(base: str, quote: str) -> dict[str, Any]:
    kinds = {"XAU": "METAL", "XAG": "METAL"}
    return {
        "name": f"{base}_{quote}",
        "type": kinds.get(base, "CURRENCY" if base.isalpha() and len(base) == 3 else "CFD"),
        "displayName": f"{base}/{quote}",
        "pipLocation": -4,
        "displayPrecision": 5,
        "tradeUnitsPrecision": 0,
        "minimumTradeSize": "1",
    }
