"""Candle lineage: adds to a valid candle whose it is, when it was extracted, and where it lies."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa

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
    first = pa.array(np.zeros(size, np.int32))
    pair, provider, ingestion = (
        pa.DictionaryArray.from_arrays(first, pa.array([text], pa.string()))
        for text in (series.asset_pair, series.provider, ingestion_id)
    )  # one text for every row, held once: the table's type is still plain text
    columns = {
        "timestamp": candles["timestamp"],
        **{name: candles[name] for name in VALUES},
        "asset_pair": pair,
        "source_provider": provider,
        "_extracted_at": pa.repeat(pa.scalar(extracted_at, pa.int64()).cast(TIMESTAMP), size),
        "_ingestion_id": ingestion,
        "is_mock": pa.repeat(pa.scalar(is_mock), size),
        "_dead_letter_id": pa.array(dead_letter_ids, pa.string()) if dead_letter_ids else pa.nulls(size, pa.string()),
        "partition_date": _dates(candles["timestamp"], series.timeframe),
        "partition_asset_pair": pair,
    }
    return pa.table({name: columns[name] for name in SCHEMA.names})


def _dates(timestamps: pa.ChunkedArray, timeframe: str) -> pa.ChunkedArray:
    """The partition date of each time, chunk by chunk, as fresh memory for all at once costs more than the dates."""
    chunks = (np.asarray(chunk.cast(pa.int64())) // 1_000_000 for chunk in timestamps.chunks)
    return pa.chunked_array([pa.array(partition_dates(opens, timeframe)) for opens in chunks], pa.date32())
