"""What do tests of dead letters share? Records with known faults, and queues that hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ffe_core import DeadLetterQueue, times

BTC = {"asset_pair": "BTCUSD", "timeframe": "1h", "provider": "coinbase"}
START = 1_704_067_200
"""2024-01-01 00:00 UTC."""
HOUR = 3600


def good(hour: int, price: float = 100.0, **changes: Any) -> dict[str, Any]:
    """A valid candle, so many hours from START."""
    prices = {"open": price, "high": price + 2, "low": price - 2, "close": price + 1}
    values = {name: f"{value:.2f}" for name, value in prices.items()}
    return {"date": times.iso(START + hour * HOUR), **values, "volume": "1.5", **changes}


def upside_down(hour: int, price: float = 100.0, **changes: Any) -> dict[str, Any]:
    """A candle with high and low exchanged: three rules are broken, and one fix edits it."""
    record = good(hour, price)
    return {**record, "high": record["low"], "low": record["high"], **changes}


SWAPPED = ["high_below_low", "open_outside_range", "close_outside_range"]


def dead_lettered(folder: Path, *hours: int, context: dict[str, Any] | None = None, price: float = 100.0) -> str:
    """Save upside-down candles of these hours as one entry; its id."""
    queue = DeadLetterQueue(folder)
    records = [upside_down(hour, price) for hour in hours]
    saved = queue.save(records, "validation_failed", context or BTC, [SWAPPED] * len(records))
    assert saved.batch_id
    return saved.batch_id
