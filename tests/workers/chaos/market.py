"""What is there to be had: series of each provider at its fake exchange, what they are truly, and when it was asked."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
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
_TICK, _STALL = 0.01, 0.05
"""Seconds: how often it is looked whether this process stands still, and for how long it has to."""
_ON_THE_WAY = 0.15
"""Seconds by which one request may take longer than another from its slot to here, where the machine is busy."""
_FIRST = -15
"""Nice value of what the exchanges run in: when a request came is what is measured, not when there was time to look."""


@dataclass(frozen=True)
class Venue:
    """A provider, and so many of its series over the last `days` that end a day ago; `rate` is its own, a second."""

    provider: str
    timeframe: str
    days: int
    symbols: tuple[str, ...]
    rate: float
    make: Callable[[Market], Exchange]
    credentials: Mapping[str, str] = field(default_factory=dict)
    closed: Callable[[float], bool] | None = None
    volume_decimals: int = 8
    has_volume: bool = True
    born: int = field(default_factory=lambda: int(time.time()))

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

    @cached_property
    def base(self) -> dict[int, Candle]:
        """What the first series does from before the range until after now."""
        style: dict[str, Any] = {"closed": self.closed, "volume_decimals": self.volume_decimals}
        step = TIMEFRAMES[self.timeframe]
        return dict(generated(self.start - 20 * step, self.born + 3 * _DAY, step, seed=self.provider, **style))

    def wanted(self, pair: str) -> tuple[np.ndarray, np.ndarray]:
        """Opens of a series in epoch seconds, int64 (n,), and its values, float64 (n, 5)."""
        factor = _factor(self.pairs.index(pair))
        inside = {at: candle for at, candle in self.base.items() if self.start <= at < self.end}
        values = np.array([list(map(float, _scaled(one, factor))) for one in inside.values()])
        if not self.has_volume:
            values[:, 4] = 0.0
        return np.array([*inside], dtype=np.int64), values

    def settings(self, exchange: Exchange) -> dict[str, str]:
        """Variables that lead the product to the exchange, at the rate that it has by itself."""
        name = f"FFE_{self.provider.upper()}__"
        return {f"{name}BASE_URL": exchange.url, **{name + key: value for key, value in self.credentials.items()}}


def venues(series: int) -> list[Venue]:
    """So many series: most of Coinbase, a quarter of OANDA, and a few of Alpha Vantage, which is slow."""
    slow = min(20, max(1, series // 25))
    fx = series // 4
    many = series - slow - fx
    real = [f"{one}/{other}" for one, other in permutations((*_CURRENCIES, "USD"), 2)][:slow]
    return [
        Venue(
            "coinbase",
            "1h",
            90,
            tuple(f"C{number:03}-USD" for number in range(many)),
            10.0,
            lambda market: CoinbaseExchange(market, latency=0.02),
        ),
        Venue(
            "oanda",
            "5m",
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


@contextmanager
def running(of: list[Venue]) -> Iterator[dict[str, Exchange]]:
    """The exchanges by provider, for the time of a block."""
    with ExitStack() as stack:
        made = {venue.provider: stack.enter_context(venue.make(Scaled(venue))) for venue in of}
        for thread in threading.enumerate():
            if thread.name.startswith("fake exchange") and thread.native_id:
                _hurry(thread.native_id)
        yield made


class Stalls:
    """When this process stood still, as a busy machine has it do: what came meanwhile was seen together afterwards."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="fake exchange watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        _hurry(threading.get_native_id())
        before = time.time()
        while not self._is_over.wait(_TICK):
            now = time.time()
            if now - before > _TICK + _STALL:
                self.spans.append((before, now))
            before = now


def most_in_a_second(exchange: Exchange, stalls: Sequence[tuple[float, float]] = ()) -> tuple[int, int]:
    """The most requests that came within any second; and that were sent within one, as far as what came can tell: a
    request may have been on its way for `_ON_THE_WAY` seconds longer than another, and this process may stand still."""
    at = np.sort([seen.time for seen in exchange.requests])
    whole, counts = (np.searchsorted(at, at + one, "left") - np.arange(len(at)) for one in (1.0, 1.0 - _ON_THE_WAY))
    seen = np.ones(len(at), dtype=bool)
    for first, last in stalls:
        seen &= (at + 1.0 < first) | (at > last + _STALL)
    return int(whole.max(initial=0)), int(counts[seen].max(initial=0))


def _hurry(thread: int) -> None:
    if os.getuid() == 0:
        os.setpriority(os.PRIO_PROCESS, thread, _FIRST)


def _factor(number: int) -> float:
    return 1.0 + number / 1_000


def _scaled(candle: Candle, factor: float) -> Candle:
    return Candle(*(f"{float(value) * factor:.8f}" for value in candle[:4]), candle.volume)
