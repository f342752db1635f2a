"""Contract test cases: name each provider's fake exchange, its pair and how to build it.

A new provider adds one case here; `test_contract.py` then tells its author whether it is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffe_core.providers.alpha_vantage import AlphaVantageProvider
from ffe_core.providers.base import Provider
from ffe_core.providers.coinbase import CoinbaseDataProvider
from ffe_core.providers.oanda import OandaDataProvider
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
    """One provider over HTTP and what its fake exchange calls the same series."""

    name: str
    pair: str
    symbol: str
    timeframe: str
    bars: int
    unknown_pair: str
    exchange: Callable[[Market], Exchange]
    provider: Callable[[str, dict[str, Any]], Provider]
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

    def connect(self, exchange: Exchange, folder: Path, **more: Any) -> Provider:
        """The provider, pointed at a fake exchange."""
        return self.provider(exchange.url, settings(folder, **more))


def _coinbase(url: str, config: dict[str, Any]) -> Provider:
    return CoinbaseDataProvider({"base_url": url, "requests_per_second": 1000}, config)


def _oanda(url: str, config: dict[str, Any]) -> Provider:
    return OandaDataProvider({"base_url": url, "requests_per_second": 1000}, config)


def _alpha_vantage(url: str, config: dict[str, Any]) -> Provider:
    own = {**config["alpha_vantage"], "base_url": url, "requests_per_second": 1000}
    return AlphaVantageProvider(config={**config, "alpha_vantage": own})


CASES = [
    Case(
        name="coinbase",
        pair="BTCUSD",
        symbol="BTC-USD",
        timeframe="1h",
        bars=120,
        unknown_pair="NOPEUSD",
        exchange=lambda market: CoinbaseExchange(market, rate=None, now=clock),
        provider=_coinbase,
    ),
    Case(
        name="oanda",
        pair="EURUSD",
        symbol="EUR_USD",
        timeframe="1h",
        bars=120,
        unknown_pair="NOPEUSD",
        exchange=lambda market: OandaExchange(market, token=SECRET, rate=None, now=clock),
        provider=_oanda,
        closed=fx_closed,
    ),
    Case(
        name="alpha_vantage",
        pair="EURUSD",
        symbol="EUR/USD",
        timeframe="1d",
        bars=60,
        unknown_pair="NOPEUSD",
        exchange=lambda market: AlphaVantageExchange(market, key=SECRET, per_second=None, daily_quota=None, now=clock),
        provider=_alpha_vantage,
        closed=fx_closed,
    ),
]
