"""Truth of the simulated market: tells what it sends, good and broken, without pipeline or lake."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cache
from typing import Any

from ffe_core import times
from ffe_core.providers.base import Page
from ffe_core.providers.simulated import SimulatedProvider
from tests.reliability.trials import BROKEN

Values = tuple[float, ...]


@dataclass(frozen=True)
class Truth:
    """Good candles by their open, and broken records as sent; no open is in both."""

    good: dict[int, Values]
    broken: dict[int, dict[str, Any]]


@cache
def truth(pair: str, timeframe: str, start: str, end: str, seed: int = 0) -> Truth:
    """The truth of a series over UTC dates, both included."""
    page = Page(times.parse_instant(start, "start"), times.parse_instant(end, "end", end=True))
    sent, whole = (_records(pair, timeframe, page, seed, broken) for broken in (BROKEN, 0.0))
    opens = [int(times.parse_instant(record["date"], "date")) for record in whole]
    both = list(zip(opens, sent, whole, strict=True))
    good = {at: _values(ours) for at, ours, record in both if ours == record}
    return Truth(good, {at: ours for at, ours, record in both if ours != record})


def _records(pair: str, timeframe: str, page: Page, seed: int, broken: float) -> list[Any]:
    provider = SimulatedProvider(config={"simulated": {"seed": seed, "broken_records": broken}})
    return list(asyncio.run(provider.fetch(pair, timeframe, page)).records)


def _values(record: dict[str, Any]) -> Values:
    return tuple(float(record[name]) for name in ("open", "high", "low", "close", "volume"))
