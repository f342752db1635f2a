"""Candle lineage: adds to a valid candle whose it is, when it was extracted, and where it lies."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ffe_core.candles import SCHEMA, TIMESTAMP, VALUES, partition_dates
from ffe_core.series import Series


def enrich(
    candles: pa.Table,
    series: Series,
    ingestion_id: str,
    *,
    is_mock: bool,
    dead_letter_ids: list[str | None] | None = None,
    clock_skew: float = 0.0,
) -> pa.Table:
    """Candles (timestamp and the five values) with all columns of `SCHEMA`, extracted now.

    `clock_skew`: seconds by which this computer's clock is ahead.
    """
    extracted_at = time.time_ns() // 1000 - round(clock_skew * 1e6)
    size = candles.num_rows
    open_times = np.asarray(pc.cast(candles["timestamp"], pa.int64())) // 1_000_000
    columns = {
        "timestamp": candles["timestamp"],
        **{name: candles[name] for name in VALUES},
        "asset_pair": _repeated(series.asset_pair, size),
        "source_provider": _repeated(series.provider, size),
        "_extracted_at": pa.repeat(pa.scalar(extracted_at, pa.int64()).cast(TIMESTAMP), size),
        "_ingestion_id": _repeated(ingestion_id, size),
        "is_mock": pa.repeat(pa.scalar(is_mock), size),
        "_dead_letter_id": pa.array(dead_letter_ids, pa.string()) if dead_letter_ids else pa.nulls(size, pa.string()),
        "partition_date": pa.array(partition_dates(open_times, series.timeframe)),
        "partition_asset_pair": _repeated(series.asset_pair, size),
    }
    return pa.table({name: columns[name] for name in SCHEMA.names})


def _repeated(text: str, size: int) -> pa.DictionaryArray:
    """One text for every row, held once: the table's type is still plain text."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(size, np.int32)), pa.array([text], pa.string()))
