"""Contract test cases: name each provider's fake exchange, its pair and how to build it.

A new provider adds one case here; `test_contract.py` then tells its author whether it is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffe_core.providers import provider_class
from ffe_core.providers.base import Provider
from ffe_core.timeframes import TIMEFRAMES, floor
from tests.fake_exchanges import (
    AlphaVantageExchange,
    Candles,
    CoinbaseExchange,
    Exchange,
    Market,
    OandaExchange,
    fx_closed,
    generated,
)

SECRET = "s3cret-7f1c9a-token"
NOW = 1_715_769_440
"""2024-05-15 10:37:20 UTC, a Wednesday: the clock of every contract test."""


def clock() -> int:
    return NOW


def settings(folder: Path, **more: Any) -> dict[str, Any]:
    """A config dict for tests: its own data directory, retries without waiting, short time-outs."""
    return {
        "data_dir": str(folder),
        "retry": {"attempts": 3, "base_delay_seconds": 0},
        "http": {"connect_timeout_seconds": 5, "read_timeout_seconds": 0.5, "total_timeout_seconds": 5},
        "oanda": {"api_token": SECRET},
        "alpha_vantage": {"api_key": SECRET},
        **more,
    }


@dataclass(frozen=True)
class Case:
    """One provider over HTTP and what its fake exchange calls the same series.

    `unknown_pair` is one that the exchange does not have. `always_open` says whether EURUSD trades at weekends too.
    `echo` is what an answer repeats of the question, as its text, and the same of another question; None where answers
    repeat nothing.
    """

    name: str
    pair: str
    symbol: str
    timeframe: str
    bars: int
    unknown_pair: str
    always_open: bool
    echo: tuple[str, str] | None
    exchange: Callable[[Market], Exchange]
    closed: Callable[[float], bool] | None = None

    @property
    def step(self) -> int:
        return TIMEFRAMES[self.timeframe]

    def open_times(self) -> range:
        """The newest opens, the running bar the last of them."""
        running = floor(NOW, self.step)
        return range(running - self.bars * self.step, running + self.step, self.step)

    def candles(self) -> Candles:
        """What the market holds: older bars, the newest ones and the running one."""
        newest = self.open_times()
        return generated(newest[0] - 10 * self.step, newest[-1] + self.step, self.step, closed=self.closed)

    def provider(self, url: str, config: dict[str, Any]) -> Provider:
        """The provider, asking at an address as fast as it likes."""
        own = {**config.get(self.name, {}), "base_url": url, "requests_per_second": 1000}
        return provider_class(self.name)(config={**config, self.name: own})

    def connect(self, exchange: Exchange, folder: Path, **more: Any) -> Provider:
        """The provider, pointed at a fake exchange."""
        return self.provider(exchange.url, settings(folder, **more))


CASES = [
    Case(
        name="coinbase",
        pair="BTCUSD",
        symbol="BTC-USD",
        timeframe="1h",
        bars=120,
        unknown_pair="NOPEUSD",
        always_open=True,
        echo=None,
        exchange=lambda market: CoinbaseExchange(market, rate=None, now=clock),
    ),
    Case(
        name="oanda",
        pair="EURUSD",
        symbol="EUR_USD",
        timeframe="1h",
        bars=120,
        unknown_pair="NOPEUSD",
        always_open=False,
        echo=('"instrument":"EUR_USD"', '"instrument":"GBP_USD"'),
        exchange=lambda market: OandaExchange(market, token=SECRET, rate=None, now=clock),
        closed=fx_closed,
    ),
    Case(
        name="alpha_vantage",
        pair="EURUSD",
        symbol="EUR/USD",
        timeframe="1d",
        bars=60,
        unknown_pair="NOPEUSD",
        always_open=False,
        echo=('"EUR"', '"GBP"'),
        exchange=lambda market: AlphaVantageExchange(market, key=SECRET, per_second=None, daily_quota=None, now=clock),
        closed=fx_closed,
    ),
]
