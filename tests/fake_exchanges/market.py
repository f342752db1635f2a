"""Fake market: holds the candles of a fake exchange, spelled as they go over the wire.

A market knows nothing of any provider: it maps (symbol, step in seconds) to candles, every price and volume as
the exact text a fake exchange will send. A symbol is its parts, so "BTC-USD", "BTC_USD" and "BTC/USD" name the same
series and each fake exchange insists on its own spelling.
"""

from __future__ import annotations

import math
import re
import threading
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq

NEW_YORK = ZoneInfo("America/New_York")
FIELDS = ("open", "high", "low", "close", "volume")


class Candle(NamedTuple):
    """Prices and volume as the text that goes over the wire."""

    open: str
    high: str
    low: str
    close: str
    volume: str


Candles = dict[int, Candle]


@dataclass
class Record:
    """One candle on its way to the wire; breaking it means changing it before it is rendered.

    `fields` holds any JSON value under open, high, low, close, volume. `time` replaces the rendered time when it
    is not the empty string (None leaves the time out). `element`, when set, is sent instead of the whole record.
    """

    open_epoch: int
    fields: dict[str, Any]
    time: str | None = ""
    element: Any = None
    complete: bool = True

    @classmethod
    def of(cls, open_epoch: int, candle: Candle, complete: bool = True) -> Record:
        return cls(open_epoch, dict(zip(FIELDS, candle, strict=True)), complete=complete)


def parts(symbol: str) -> tuple[str, ...]:
    """The parts of a symbol: "EUR_USD" -> ("EUR", "USD"), "AAPL" -> ("AAPL",)."""
    return tuple(re.split(r"[-_/]", symbol))


@dataclass
class _Series:
    candles: Candles = field(default_factory=dict)
    open_times: list[int] = field(default_factory=list)


class Market:
    """The candles a fake exchange holds; safe to change while it serves."""

    def __init__(self, series: Mapping[tuple[str, int], Mapping[int, Any]] | None = None) -> None:
        """Takes {(symbol, step): {open_epoch: (open, high, low, close, volume)}}, all five as text."""
        self._lock = threading.Lock()
        self._series: dict[tuple[tuple[str, ...], int], _Series] = {}
        for (symbol, step), candles in (series or {}).items():
            self.add(symbol, step, candles)

    def add(self, symbol: str, step: int, candles: Mapping[int, Any]) -> Market:
        """Adds or replaces candles; returns the market, so that calls can be chained."""
        with self._lock:
            series = self._series.setdefault((parts(symbol), step), _Series())
            series.candles.update({at: Candle(*candle) for at, candle in candles.items()})
            series.open_times = sorted(series.candles)
        return self

    def put(self, symbol: str, step: int, open_epoch: int, candle: Any) -> None:
        """Adds or restates one candle."""
        self.add(symbol, step, {open_epoch: candle})

    def remove(self, symbol: str, step: int, open_times: Collection[int]) -> None:
        """Takes candles away, as if nothing had been traded."""
        with self._lock:
            series = self._series[(parts(symbol), step)]
            for open_epoch in open_times:
                del series.candles[open_epoch]
            series.open_times = sorted(series.candles)

    def symbols(self) -> list[tuple[str, ...]]:
        """The parts of every symbol held, sorted."""
        with self._lock:
            return sorted({symbol for symbol, _ in self._series})

    def candles(self, symbol: str, step: int) -> Candles:
        """A copy of one series; empty when the market does not hold it."""
        with self._lock:
            return dict(self._series.get((parts(symbol), step), _Series()).candles)

    def between(
        self, symbol: str, step: int, first: float, last: float, limit: int | None = None
    ) -> list[tuple[int, Candle]]:
        """The candles with first <= open <= last, oldest first: the first `limit` of them, or the last if negative."""
        with self._lock:
            series = self._series.get((parts(symbol), step), _Series())
            open_times = series.open_times[
                bisect_left(series.open_times, first) : bisect_right(series.open_times, last)
            ]
            kept = open_times[limit:] if limit is not None and limit < 0 else open_times[:limit]
            return [(open_epoch, series.candles[open_epoch]) for open_epoch in kept]


def changed(value: Any, change: Callable[[Decimal], Any]) -> Any:
    """A number given as text, changed; a value that was broken on purpose stays as it is."""
    try:
        return change(Decimal(value)) if isinstance(value, str) else value
    except (InvalidOperation, ValueError, OverflowError):
        return value


def in_progress(candle: Candle) -> Candle:
    """The candle while it is still running: visibly not the final one, yet valid."""
    volume = Decimal(candle.volume)
    part = (volume / 10).quantize(volume)
    return Candle(candle.open, candle.open, candle.open, candle.open, f"{part:f}")


def fx_closed(epoch: float) -> bool:
    """Whether the FX market is closed: Friday 17:00 to Sunday 17:00 in New York."""
    local = datetime.fromtimestamp(epoch, NEW_YORK)
    since_monday = timedelta(days=local.weekday(), hours=local.hour, minutes=local.minute)
    return timedelta(days=4, hours=17) <= since_monday < timedelta(days=6, hours=17)


def generated(
    start: int,
    end: int,
    step: int,
    *,
    seed: str = "",
    price: float = 100.0,
    decimals: int = 2,
    volume_decimals: int = 8,
    closed: Callable[[float], bool] | None = None,
    missing: Callable[[int], bool] | None = None,
) -> Candles:
    """Valid candles for start <= open < end, the same for the same arguments whatever the range.

    `closed(epoch)` says when the market is shut: a bar is there when any hour of it (or its open, for shorter
    bars) is not. `missing(open_epoch)` leaves single bars out, as a sparse market does.
    """
    first = -(-start // step) * step
    open_times = [at for at in range(first, end, step) if not _shut(at, step, closed)]
    return {
        at: _candle(at, step, seed, price, decimals, volume_decimals)
        for at in open_times
        if missing is None or not missing(at)
    }


def _shut(open_epoch: int, step: int, closed: Callable[[float], bool] | None) -> bool:
    return closed is not None and all(closed(at) for at in range(open_epoch, open_epoch + step, min(step, 3600)))


def _noise(seed: str, name: str, epoch: int) -> float:
    return zlib.crc32(f"{seed}:{name}:{epoch}".encode()) / 2**32


def _candle(at: int, step: int, seed: str, price: float, decimals: int, volume_decimals: int) -> Candle:
    opened, closed = _price(at, seed, price), _price(at + step, seed, price)
    high = max(opened, closed) * (1 + 0.002 * _noise(seed, "high", at))
    low = min(opened, closed) * (1 - 0.002 * _noise(seed, "low", at))
    volume = 1 + 999 * _noise(seed, "volume", at)
    prices = [f"{value:.{decimals}f}" for value in (opened, high, low, closed)]
    return Candle._make([*prices, f"{volume:.{volume_decimals}f}"])


def _price(epoch: int, seed: str, price: float) -> float:
    wave = 0.05 * math.sin(epoch / (9 * 86400)) + 0.01 * math.sin(epoch / 5400)
    return price * (1 + wave + 0.002 * _noise(seed, "price", epoch))


def from_parquet(path: str | Path) -> Candles:
    """Candles of a file with timestamp, open, high, low, close, volume; `float(text)` is the stored float exactly.

    A missing volume (null or NaN) becomes "0".
    """
    table = pq.read_table(path, columns=["timestamp", *FIELDS])
    open_times = [int(at.timestamp()) for at in table["timestamp"].to_pylist()]
    columns = [[_exact(value) for value in table[name].to_pylist()] for name in FIELDS]
    return {at: Candle(*row) for at, *row in zip(open_times, *columns, strict=True)}


def _exact(value: float | int | None) -> str:
    if value is None or math.isnan(value):
        return "0"
    return f"{Decimal(repr(value)):f}"
