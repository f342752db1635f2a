"""Venues: a fake exchange for every real provider, with the command that backfills from it and what must be stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ffe_core import times
from ffe_core.timeframes import TIMEFRAMES
from tests.fake_exchanges import (
    AlphaVantageExchange,
    Candle,
    CoinbaseExchange,
    Exchange,
    Market,
    OandaExchange,
    fx_closed,
    generated,
)
from tests.reliability.verdict import Fault, of_sums

_KEY = "practice-token-or-key"
_DAY = 86_400
IMPATIENT = {
    "FFE_HTTP__CONNECT_TIMEOUT_SECONDS": "3",
    "FFE_HTTP__READ_TIMEOUT_SECONDS": "3",
    "FFE_HTTP__TOTAL_TIMEOUT_SECONDS": "6",
}
"""Settings that give up soon."""


@dataclass(frozen=True)
class Venue:
    """A provider, one of its series, and the last so many days of it that end a day ago."""

    provider: str
    pair: str
    symbol: str
    other_symbol: str
    timeframe: str
    days: int
    make: Callable[..., Exchange]
    credentials: Mapping[str, str] = field(default_factory=dict)
    closed: Callable[[float], bool] | None = None
    volume_decimals: int = 8
    has_volume: bool = True
    born: int = field(default_factory=lambda: int(time.time()))

    @property
    def step(self) -> int:
        """Seconds of a bar."""
        return TIMEFRAMES[self.timeframe]

    @property
    def start(self) -> int:
        """First open of the range."""
        return self.end - self.days * _DAY

    @property
    def end(self) -> int:
        """End of the range, a midnight."""
        return self.born // _DAY * _DAY - _DAY

    @cached_property
    def candles(self) -> dict[int, Candle]:
        """What the market does from before the range until after now."""
        style: dict[str, Any] = {"closed": self.closed, "volume_decimals": self.volume_decimals}
        return dict(generated(self.start - 20 * self.step, self.born + 3 * _DAY, self.step, seed=self.symbol, **style))

    @contextmanager
    def running(self, now: Callable[[], float] = time.time) -> Iterator[Exchange]:
        """The exchange, serving this series and a like one under another symbol, and other timeframes of both."""
        other = {at: Candle(*(f"{float(value) * 2:.8f}" for value in candle)) for at, candle in self.candles.items()}
        coarse = {at: candle for at, candle in other.items() if at % (4 * self.step) == 0}
        market = Market({(self.symbol, self.step): self.candles, (self.other_symbol, self.step): other})
        if 4 * self.step < _DAY:
            market.add(self.symbol, _COARSER[self.step], coarse)
        with self.make(market, now=now) as exchange:
            yield exchange

    def env(self, exchange: Exchange) -> dict[str, str]:
        """Settings that lead the product to the exchange."""
        name = f"FFE_{self.provider.upper()}__"
        return {
            f"{name}BASE_URL": exchange.url,
            f"{name}REQUESTS_PER_SECOND": "1000",
            **{name + key: value for key, value in self.credentials.items()},
        }

    def arguments(self, end: int | None = None, mode: str = "resume") -> tuple[str, ...]:
        """The command that backfills the range, or from its start to another end."""
        last = times.iso(self.end if end is None else end)
        series = ("--provider", self.provider, "--pairs", self.pair, "--timeframes", self.timeframe)
        return ("backfill", *series, "--start", times.iso(self.start), "--end", last, "--mode", mode, "--json")

    def wanted(self, end: int | None = None) -> dict[int, tuple[float, ...]]:
        """What the lake must hold of the range, or from its start to another end."""
        last = self.end if end is None else end
        return {at: self._values(candle) for at, candle in self.candles.items() if self.start <= at < last}

    def _values(self, candle: Candle) -> tuple[float, ...]:
        *prices, volume = map(float, candle)
        return (*prices, volume if self.has_volume else 0.0)


_COARSER = {300: 3_600, 3_600: 14_400}
"""Another timeframe that opens on the same grid, by its seconds."""

COINBASE = Venue(
    "coinbase",
    "BTCUSD",
    "BTC-USD",
    "ETH-USD",
    "1h",
    60,
    lambda market, **more: CoinbaseExchange(market, rate=None, **more),
)
OANDA = Venue(
    "oanda",
    "EURUSD",
    "EUR_USD",
    "GBP_USD",
    "5m",
    36,
    lambda market, **more: OandaExchange(market, token=_KEY, rate=None, **more),
    {"API_TOKEN": _KEY},
    fx_closed,
    0,
)
ALPHA_VANTAGE = Venue(
    "alpha_vantage",
    "EURUSD",
    "EUR/USD",
    "GBP/USD",
    "1d",
    80,
    lambda market, **more: AlphaVantageExchange(market, key=_KEY, per_second=None, daily_quota=None, **more),
    {"API_KEY": _KEY},
    fx_closed,
    has_volume=False,
)
VENUES = (COINBASE, OANDA, ALPHA_VANTAGE)


def of_lake(
    tried: str, found: Mapping[str, Any], wanted: Mapping[int, tuple[float, ...]], *, whole: bool
) -> list[Fault]:
    """The lake holds nothing but what is wanted, each bar once with its values, and all of it where `whole`."""
    if "unreadable" in found:
        return [Fault("lost", tried, f"the state cannot be read: {found['unreadable'][-600:]}")]
    rows = sorted(found["rows"], key=lambda row: row[-1])
    now = {row[3]: tuple(row[4]) for row in rows}
    wrong = [at for at, values in now.items() if wanted.get(at) != values]
    lost = [at for at in wanted if at not in now] if whole else []
    faults = of_sums(tried, found)
    if wrong:
        first = f"{now[wrong[0]]} instead of {wanted.get(wrong[0])} at {times.iso(wrong[0])}"
        faults.append(Fault("wrong", tried, f"{len(wrong)} bars, such as {first}"))
    if lost:
        faults.append(Fault("lost", tried, f"{len(lost)} bars, such as {times.iso(lost[0])}"))
    if len(now) < len(rows):
        faults.append(Fault("doubled", tried, f"{len(rows)} versions of {len(now)} bars"))
    if whole and found["letters"]:
        faults.append(Fault("wrong", tried, f"{len(found['letters'])} dead letters, such as {found['letters'][0]}"))
    return faults
