"""What is there to be had: series of each provider at its fake exchange, what they are truly, and when it was asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations
from typing import Any

import numpy as np

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
from tests.fake_exchanges.market import parts

_KEY = "practice-token-or-key"
_DAY = 86_400
_CURRENCIES = ("EUR", "GBP", "AUD", "NZD", "CAD", "CHF", "JPY", "SEK", "NOK")
STALL = 0.05
"""For how many seconds the exchanges have to stand still for it to be told."""
_ON_THE_WAY = 0.15
"""Seconds by which one request may take longer than another from its slot to here, where the machine is busy."""


@dataclass(frozen=True)
class Venue:
    """A provider, and some of its series over `days` that end a day before `born`; `rate` is its own, a second."""

    provider: str
    timeframe: str
    born: int
    days: int
    symbols: tuple[str, ...]
    rate: float
    make: Callable[[Market], Exchange]
    credentials: Mapping[str, str] = field(default_factory=dict)
    closed: Callable[[float], bool] | None = None
    volume_decimals: int = 8
    has_volume: bool = True
    broken_every: int = 0
    """Every so manieth bar of a series is sent as no candle; 0 for none."""

    @property
    def start(self) -> int:
        """First open of the range, epoch seconds."""
        return self.end - self.days * _DAY

    @property
    def end(self) -> int:
        """End of the range, a midnight, epoch seconds."""
        return self.born // _DAY * _DAY - _DAY

    @property
    def pairs(self) -> list[str]:
        """The series as the product calls them."""
        return ["".join(parts(symbol)) for symbol in self.symbols]

    @property
    def broken(self) -> list[int]:
        """Opens of the bars of each series that are sent as no candle."""
        every = self.broken_every
        return [at for at in self.base if self.start <= at < self.end][every // 2 :: every] if every else []

    @cached_property
    def base(self) -> dict[int, Candle]:
        """What the first series does from before the range until after now."""
        style: dict[str, Any] = {"closed": self.closed, "volume_decimals": self.volume_decimals}
        step = TIMEFRAMES[self.timeframe]
        return dict(generated(self.start - 20 * step, self.born + 3 * _DAY, step, seed=self.provider, **style))

    def wanted(self, pair: str) -> tuple[np.ndarray, np.ndarray]:
        """Opens of a series in epoch seconds, int64 (n,), and its values, float64 (n, 5); without what is broken."""
        factor, broken = _factor(self.pairs.index(pair)), {*self.broken}
        inside = {at: one for at, one in self.base.items() if self.start <= at < self.end and at not in broken}
        values = np.array([list(map(float, _scaled(one, factor))) for one in inside.values()])
        if not self.has_volume:
            values[:, 4] = 0.0
        return np.array([*inside], dtype=np.int64), values

    def settings(self, url: str) -> dict[str, str]:
        """Variables that lead the product to the exchange, at the rate that it has by itself."""
        name = f"FFE_{self.provider.upper()}__"
        return {f"{name}BASE_URL": url, **{name + key: value for key, value in self.credentials.items()}}


def venues(series: int, born: int | None = None) -> list[Venue]:
    """So many series: most of Coinbase, a quarter of OANDA, and a few of Alpha Vantage, which is slow. `born` is when,
    in epoch seconds; now if None."""
    born = int(time.time()) if born is None else born
    slow = min(20, max(1, series // 25))
    fx = series // 4
    many = series - slow - fx
    real = [f"{one}/{other}" for one, other in permutations((*_CURRENCIES, "USD"), 2)][:slow]
    return [
        Venue(
            "coinbase",
            "1h",
            born,
            90,
            tuple(f"C{number:03}-USD" for number in range(many)),
            10.0,
            lambda market: CoinbaseExchange(market, latency=0.02),
            broken_every=500,
        ),
        Venue(
            "oanda",
            "5m",
            born,
            20,
            tuple(f"X{number:03}_USD" for number in range(fx)),
            100.0,
            lambda market: OandaExchange(market, token=_KEY, latency=0.02),
            {"API_TOKEN": _KEY},
            fx_closed,
            0,
        ),
        Venue(
            "alpha_vantage",
            "1d",
            born,
            80,
            tuple(real),
            1.0,
            lambda market: AlphaVantageExchange(market, key=_KEY, daily_quota=None, latency=0.02),
            # What a machine had taken when it was killed counts as used: 25 are too few for 20 series then.
            {"API_KEY": _KEY, "REQUESTS_PER_DAY": "500"},
            fx_closed,
            has_volume=False,
        ),
    ]


class Scaled(Market):
    """A market of many series that are one, each at a price of its own; made when they are asked for."""

    def __init__(self, venue: Venue) -> None:
        self._step = TIMEFRAMES[venue.timeframe]
        super().__init__({(venue.symbols[0], self._step): venue.base})
        self._first = parts(venue.symbols[0])
        self._factors = {parts(symbol): _factor(number) for number, symbol in enumerate(venue.symbols)}

    def symbols(self) -> list[tuple[str, ...]]:
        return sorted(self._factors)

    def between(
        self, symbol: str, step: int, first: float, last: float, limit: int | None = None
    ) -> list[tuple[int, Candle]]:
        factor = self._factors.get(parts(symbol), 1.0)
        found = super().between("-".join(self._first), step, first, last, limit)
        return [(at, _scaled(candle, factor)) for at, candle in found]


def most_in_a_second(times: Sequence[float], stalls: Sequence[tuple[float, float]] = ()) -> tuple[int, int]:
    """The most requests that came within any second; and that were sent within one, as far as what came can tell.

    A request may have been on its way for `_ON_THE_WAY` seconds longer than another; and one that was seen when the
    exchanges had just stood still may have come at any moment of that.
    """
    at = np.sort(times)
    late = np.full(len(at), _ON_THE_WAY)
    for first, last in stalls:
        late[(first <= at) & (at <= last + STALL)] += last - first
    whole, counts = (np.searchsorted(at, at + one, "left") - np.arange(len(at)) for one in (1.0, 1.0 - late))
    return int(whole.max(initial=0)), int(counts.max(initial=0))


def _factor(number: int) -> float:
    return 1.0 + number / 1_000


def _scaled(candle: Candle, factor: float) -> Candle:
    return Candle(*(f"{float(value) * factor:.8f}" for value in candle[:4]), candle.volume)
