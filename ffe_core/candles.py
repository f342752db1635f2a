"""Candle schema: the columns of a Bronze table, and where its rows are put."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ffe_core.errors import InputError
from ffe_core.timeframes import TIMEFRAMES, seconds

TIMESTAMP = pa.timestamp("us", tz="UTC")
PRICES = ("open", "high", "low", "close")
VALUES = (*PRICES, "volume")
PARTITION_COLUMNS = ("partition_date", "partition_asset_pair")

# Complete on the first day: adding a column later would refuse appends that lack it.
SCHEMA = pa.schema(
    [
        pa.field("timestamp", TIMESTAMP),
        *(pa.field(name, pa.float64()) for name in VALUES),
        pa.field("asset_pair", pa.string()),
        pa.field("source_provider", pa.string()),
        pa.field("_extracted_at", TIMESTAMP),
        pa.field("_ingestion_id", pa.string()),
        pa.field("is_mock", pa.bool_()),
        pa.field("_dead_letter_id", pa.string()),
        pa.field("partition_date", pa.date32()),
        pa.field("partition_asset_pair", pa.string()),
    ]
)
BY_HAND = "by-hand-"
"""What the `_ingestion_id` of a bar that somebody corrected begins with."""
_TABLE_PREFIX = "raw_market_data_"


def table_name(timeframe: str) -> str:
    """Name of the Bronze table of a timeframe."""
    seconds(timeframe)
    return f"{_TABLE_PREFIX}{timeframe}"


def timeframe_of(table: str) -> str:
    """Timeframe whose Bronze table this is; InputError for any other name."""
    name = table.removeprefix(_TABLE_PREFIX)
    if name == table or name not in TIMEFRAMES:
        raise InputError(f"{table!r} is not a Bronze table; use a name like raw_market_data_1h", field="table")
    return name


def partition_dates(timestamps: np.ndarray, timeframe: str) -> np.ndarray:
    """First day of each candle's partition period: its month for 1m, its year for the rest.

    `timestamps` int64 epoch seconds; returns datetime64[D]. Day partitions would give daily bars one row a file,
    and compaction can never merge across partitions.
    """
    if len(timestamps) == 0:
        return np.empty(0, "datetime64[D]")
    # Rounding each time costs several times as much as comparing it with the few periods that there are.
    unit = f"datetime64[{_period(timeframe)}]"
    first, last = (at.astype("datetime64[s]").astype(unit) for at in (timestamps.min(), timestamps.max()))
    periods = np.arange(first, last + 1)
    begins = periods.astype("datetime64[s]").astype(np.int64)
    days: np.ndarray = periods.astype("datetime64[D]")[np.searchsorted(begins, timestamps, side="right") - 1]
    return days


def partition_end(timestamp: int, timeframe: str) -> int:
    """End of the partition period that a candle opens in, epoch seconds."""
    period = np.datetime64(timestamp, "s").astype(f"datetime64[{_period(timeframe)}]")
    return int((period + 1).astype("datetime64[s]").astype(np.int64))


def _period(timeframe: str) -> str:
    return "M" if timeframe == "1m" else "Y"
