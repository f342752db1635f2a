"""OANDA provider: asks for v20 mid candles on the UTC grid, with a token of one environment.

The wire facts: prices are text, volume counts ticks, the oldest comes first, a bucket without a tick has no candle,
and `complete` says whether a bar is closed. A request may span 5000 buckets, closed hours included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote

from ffe_core import times
from ffe_core.errors import ClockError
from ffe_core.instruments.model import Instrument
from ffe_core.provider_settings import OandaSettings
from ffe_core.providers import oanda_catalogue
from ffe_core.providers.base import Fetched, Page, Record, joined_windows, windows
from ffe_core.providers.echo import check_echo
from ffe_core.providers.http import Check, HttpClient, Refused, other_shape
from ffe_core.providers.http_provider import HttpProvider, symbol_of, unknown_pair
from ffe_core.providers.oanda_wire import columns, records
from ffe_core.providers.plain import NotPlain
from ffe_core.settings import Config, Settings, variable
from ffe_core.timeframes import seconds

_HOSTS = {"practice": "https://api-fxpractice.oanda.com", "live": "https://api-fxtrade.oanda.com"}
_GRANULARITIES = {"1m": "M1", "5m": "M5", "15m": "M15", "1h": "H1", "4h": "H4", "1d": "D"}
_EXAMPLE_TOKEN = "0123456789abcdef-fedcba9876543210"
BARS_PER_REQUEST = 5000
CLOCK_MARGIN = 5
"""`to` stays this many seconds in the past: a clock that runs ahead must not ask for the future."""


_STEPS_BACK = tuple(30 * 2**n for n in range(11))
"""Seconds, tried one after the other, 17 hours in all: a clock that is further ahead is for a person to set right."""
_REFUSALS = {"Time is in the future": "future", "'instrument'": "instrument"}
"""What a 400 of OANDA means, by its own words (developer.oanda.com; hootnot/oanda-api-v20 #144): there is no code."""


class OandaDataProvider(HttpProvider):
    """Mid candles of OANDA. A record is the candle as sent plus `date` and the four prices of `mid`."""

    name = "oanda"
    flags_completion = True
    earliest = "2002-01-01"
    """EUR_USD is whole from about 2005 on, with a candle here and there before (apourchet/investment #30)."""
    settle_seconds = 0
    lists_everything = True
    finds_first_bar = True
    usual_pairs = ("EURUSD", "GBPUSD", "USDJPY", "USDCHF", "AUDUSD", "USDCAD", "NZDUSD", "EURGBP", "EURJPY", "XAUUSD")
    volume_unit = "ticks"
    max_in_flight: ClassVar[int] = 2
    """At most two new connections a second are allowed, so there are never more than two."""

    def __init__(self, credentials: Mapping[str, Any] | None = None, config: Config | Settings | None = None) -> None:
        """InputError without a token."""
        super().__init__(config, credentials)
        own = self.settings.section(self.name, OandaSettings)
        token = self._secret("api_token", own.api_token, _EXAMPLE_TOKEN)
        self._own, self._environment = own, own.environment
        self._http = HttpClient(
            self.name,
            self.settings,
            own.base_url or _HOSTS[own.environment],
            own.requests_per_second,
            headers={"Authorization": f"Bearer {token}", "Accept-Datetime-Format": "RFC3339"},
            max_connections=self.max_in_flight,
            most_records=BARS_PER_REQUEST + 1,
            error_text=_error_text,
            access_hint=f"a token works on one environment only, and {own.environment} was asked: check"
            f" {variable(self.name, 'api_token')} and {variable(self.name, 'environment')} (practice or live)",
        )

    def elsewhere(self) -> Sequence[tuple[str, str]]:
        return [] if self._own.base_url else [("environment", one) for one in _HOSTS if one != self._environment]

    def check(self, pair: str, timeframe: str) -> None:
        super().check(pair, timeframe)
        instrument(pair)

    def pages(self, pair: str, timeframe: str, start: int, end: int) -> Sequence[Page]:
        return windows(start, end, seconds(timeframe), BARS_PER_REQUEST)

    def gap_pages(self, pair: str, timeframe: str, gaps: Sequence[tuple[int, int]]) -> Sequence[Page]:
        return joined_windows(gaps, seconds(timeframe), BARS_PER_REQUEST)

    async def fetch(self, pair: str, timeframe: str, page: Page) -> Fetched:
        """One page, its end moved back as often as OANDA says that it lies in the future."""
        for back in _STEPS_BACK:
            last = self._last(page, seconds(timeframe))
            if last <= page.start:
                return Fetched()
            try:
                return Fetched(await self._candles(pair, timeframe, page.start, last))
            except Refused as error:
                if _refused(error) != "future":
                    raise
                if self._last(page, seconds(timeframe)) >= last:  # the answer's own `Date` did not say so
                    self._http.clock.contradict(last - back)
        raise ClockError(
            f"{self.name} says that {_rfc3339(last)} lies in its future: this computer's clock is far ahead; set it"
            " right, then run it again"
        )

    async def _candles(self, pair: str, timeframe: str, start: int, last: int) -> Sequence[Record]:
        asked = {"instrument": instrument(pair), "granularity": _GRANULARITIES[timeframe]}
        params = {
            "granularity": asked["granularity"],
            "price": "M",
            "from": _rfc3339(start),
            "to": _rfc3339(last),
            "includeFirst": "true",
            "alignmentTimezone": "UTC",
            "dailyAlignment": "0",
        }
        path = f"/v3/instruments/{asked['instrument']}/candles"
        try:
            return await self._http.ask(path, params, partial(self._parse, asked))
        except Refused as error:
            if _refused(error) == "instrument":
                raise unknown_pair(self.name, pair, error.text or "") from None
            raise

    def _parse(self, asked: Mapping[str, str], data: bytes) -> Sequence[Record]:
        """The records of a body that names what was asked, as columns where it is plain. Runs in a thread."""
        self._http.bounds.check_values(data)
        try:
            named, found = columns(data)
        except NotPlain:
            return self._parse_json(asked, data)
        check_echo(self.name, asked, named, always=asked)
        return found

    def _parse_json(self, asked: Mapping[str, str], data: bytes) -> list[Record]:
        body = self._http.decode(data)
        _has("candles")(body)
        check_echo(self.name, asked, body, always=asked)
        return records(body["candles"])

    async def catalogue(self) -> list[Instrument]:
        """What the accounts of this token may trade, together."""
        accounts = (await self._http.get("/v3/accounts", {}, _has("accounts")))["accounts"]
        found: dict[str, Instrument] = {}
        for account in accounts:
            if not isinstance(account, dict) or not isinstance(account.get("id"), str):
                raise other_shape(self.name, account)
            path = f"/v3/accounts/{quote(account['id'], safe='')}/instruments"
            listed = (await self._http.get(path, {}, _has("instruments")))["instruments"]
            found |= {instrument.name: instrument for instrument in oanda_catalogue.instruments(listed)}
        return list(found.values())

    def _last(self, page: Page, step: int) -> int:
        """`to`: half a bar after the last open, so that it matters not whether it is inclusive; never the future."""
        return min(page.end - step + step // 2, self.now() - CLOCK_MARGIN)


def instrument(pair: str) -> str:
    """What OANDA calls a stored pair: SPX500USD is SPX500_USD. PermanentError for a pair without a quote."""
    return symbol_of("oanda", pair, "_")


def _refused(error: Refused) -> str | None:
    """What a refusal means, None for any other."""
    return next((meaning for words, meaning in _REFUSALS.items() if words in (error.text or "")), None)


def _rfc3339(epoch: int) -> str:
    return times.iso(epoch).replace("+00:00", "Z")


def _has(key: str) -> Check:
    def check(body: Any) -> None:
        if not isinstance(body, dict) or not isinstance(body.get(key), list):
            raise other_shape("oanda", body)

    return check


def _error_text(body: Any) -> str | None:
    text = body.get("errorMessage")
    return text if isinstance(text, str) and text else None
