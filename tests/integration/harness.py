"""Runs the pipeline against every real wire format: one world a provider, each with its own fake exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ffe_core import BatchDataIngester, DeltaLakeManager, MultiAssetBatchIngester
from ffe_core.series import Series
from ffe_core.timeframes import TIMEFRAMES
from tests.fake_exchanges import (
    AlphaVantageExchange,
    Candle,
    Candles,
    CoinbaseExchange,
    Exchange,
    Market,
    OandaExchange,
    fx_closed,
    generated,
)

SECRET = "s3cret-4be1-0d5c-key"
NOW = 1_715_769_440
"""2024-05-15 10:37:20 UTC, a Wednesday: the clock of these tests and of the fake exchanges."""


def clock() -> int:
    return NOW


@dataclass(frozen=True)
class World:
    """A provider, two of its pairs, what its fake exchange calls them, and a range of some pages."""

    provider: str
    pair: str
    symbol: str
    other_pair: str
    other_symbol: str
    timeframe: str
    bars: int
    page_bars: int
    """Bars a request may span."""
    exchange: Callable[[Market], Exchange]
    closed: Callable[[float], bool] | None = None
    volume_decimals: int = 8
    has_volume: bool = True

    @property
    def series(self) -> Series:
        return Series(self.pair, self.timeframe, self.provider)

    @property
    def step(self) -> int:
        return TIMEFRAMES[self.timeframe]

    @property
    def running(self) -> int:
        """Open of the bar that is not closed yet."""
        return NOW - NOW % self.step

    def at(self, bars_ago: int) -> int:
        """The open so many bars before the running one."""
        return self.running - bars_ago * self.step

    @property
    def start(self) -> int:
        return self.at(self.bars)

    def candles(self, seed: str = "") -> Candles:
        """More than the range on both sides, the running bar and later ones included."""
        return dict(_candles(self, seed))

    def market(self) -> Market:
        held = {(self.symbol, self.step): self.candles(), (self.other_symbol, self.step): self.candles("other")}
        return Market(held)

    def config(self, exchange: Exchange, folder: Path, **more: Any) -> dict[str, Any]:
        """Settings for a data directory and a fake exchange: retries without waiting."""
        secret = {"oanda": {"api_token": SECRET}, "alpha_vantage": {"api_key": SECRET}}.get(self.provider, {})
        return {
            "data_dir": str(folder),
            "retry": {"attempts": 2, "base_delay_seconds": 0},
            self.provider: {"base_url": exchange.url, "requests_per_second": 2000, **secret},
            **more,
        }

    def ingester(self, exchange: Exchange, folder: Path, **more: Any) -> BatchDataIngester:
        return BatchDataIngester(DeltaLakeManager(folder / "lake"), self.config(exchange, folder, **more))

    def multi(self, exchange: Exchange, folder: Path, **more: Any) -> MultiAssetBatchIngester:
        return MultiAssetBatchIngester(DeltaLakeManager(folder / "lake"), self.config(exchange, folder, **more))

    def values(self, candle: Candle) -> tuple[float, ...]:
        """What must be stored for a candle: the very floats of its texts."""
        *prices, volume = map(float, candle)
        return (*prices, volume if self.has_volume else 0.0)


@cache
def _candles(world: World, seed: str) -> Candles:
    first, last = world.at(world.bars + 40), world.at(-3)
    style: dict[str, Any] = {"closed": world.closed, "volume_decimals": world.volume_decimals}
    return generated(first, last, world.step, seed=seed, **style)


COINBASE = World(
    provider="coinbase",
    pair="BTCUSD",
    symbol="BTC-USD",
    other_pair="ETHUSD",
    other_symbol="ETH-USD",
    timeframe="1h",
    bars=1000,
    page_bars=300,
    exchange=lambda market: CoinbaseExchange(market, rate=None, now=clock),
)
OANDA = World(
    provider="oanda",
    pair="EURUSD",
    symbol="EUR_USD",
    other_pair="GBPUSD",
    other_symbol="GBP_USD",
    timeframe="5m",
    bars=12000,
    page_bars=5000,
    exchange=lambda market: OandaExchange(market, token=SECRET, rate=None, now=clock),
    closed=fx_closed,
    volume_decimals=0,
)
ALPHA_VANTAGE = World(
    provider="alpha_vantage",
    pair="EURUSD",
    symbol="EUR/USD",
    other_pair="GBPUSD",
    other_symbol="GBP/USD",
    timeframe="1d",
    bars=80,
    page_bars=80,
    exchange=lambda market: AlphaVantageExchange(market, key=SECRET, per_second=None, daily_quota=None, now=clock),
    closed=fx_closed,
    has_volume=False,
)
WORLDS = [COINBASE, OANDA, ALPHA_VANTAGE]
PAGED = [world for world in WORLDS if world.page_bars < world.bars]
"""Those whose range takes several requests."""


def held(folder: Path, series: Series) -> dict[int, tuple[float, ...]]:
    """Every stored row of a series by its open; AssertionError if a bar is stored twice."""
    from tests.ingestion.fakes import stored

    rows = stored(folder, series)
    mask = [row for row in rows.to_pylist() if row["asset_pair"] == series.asset_pair]
    found = {
        int(row["timestamp"].timestamp()): tuple(row[name] for name in ("open", "high", "low", "close", "volume"))
        for row in mask
    }
    assert len(found) == len(mask), "a bar is stored twice"
    return found


def expected(world: World, candles: Mapping[int, Candle], first: int, last: int) -> dict[int, tuple[float, ...]]:
    """What the range [first, last) must hold."""
    return {at: world.values(candle) for at, candle in candles.items() if first <= at < last}
