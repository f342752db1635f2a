"""Arrow and Parquet files: freqtrade's feather, Arrow's own, and Parquet by year."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ffe_core.candles import VALUES
from ffe_core.errors import InputError
from ffe_core.exports.bars import SeriesBars
from ffe_core.storage.lake.snapshot import epochs


def freqtrade(folder: Path, bars: SeriesBars, market: str) -> int:
    """BTC_USDT-1h.feather with the columns and types that freqtrade writes itself. InputError for what is no pair."""
    del market
    if bars.names is None:
        raise InputError(
            f"freqtrade trades pairs of two currencies, and {bars.series.asset_pair} has none; leave it out",
            field="pairs",
        )
    timeframe = bars.timeframe if bars.timeframe not in ("1mo", "1M") else "1Mo"
    schema = pa.schema([("date", pa.timestamp("ms", "UTC")), *((name, pa.float64()) for name in VALUES)])
    shaped = (table.select(["timestamp", *VALUES]).rename_columns(schema.names).cast(schema) for table in bars.tables())
    return _write_arrow(folder / f"{'_'.join(bars.names)}-{timeframe}.feather", schema, shaped, "lz4")


def arrow(folder: Path, bars: SeriesBars, market: str) -> int:
    """PAIR-1h.arrow: every column there is."""
    del market
    path = folder / f"{bars.series.asset_pair}-{bars.timeframe}.arrow"
    return _write_arrow(path, schema_of(bars), (_shaped(table, bars) for table in bars.tables()), "zstd")


def parquet(folder: Path, bars: SeriesBars, market: str) -> int:
    """PAIR/1h/2024.parquet: every column there is, a file a year (UTC)."""
    del market
    import pyarrow.parquet as pq  # it brings along file systems of every cloud

    place = folder / bars.series.asset_pair / bars.timeframe
    place.mkdir(parents=True, exist_ok=True)
    year, writer, count = 0, None, 0
    try:
        for of_year, table in _by_year(bars):
            if writer is None or of_year != year:
                if writer is not None:
                    writer.close()
                year = of_year
                writer = pq.ParquetWriter(place / f"{year}.parquet", table.schema, compression="zstd")
            writer.write_table(table)
            count += table.num_rows
    finally:
        if writer is not None:
            writer.close()
    return count


def schema_of(bars: SeriesBars) -> pa.Schema:
    """What a file with every column has: whose a bar is, its values, and where it comes from or what it is made of."""
    return _shaped(_empty(bars), bars).schema


def _by_year(bars: SeriesBars) -> Iterator[tuple[int, pa.Table]]:
    for table in bars.tables():
        shaped = _shaped(table, bars)
        years = epochs(shaped["timestamp"]).astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970
        for year in np.unique(years).tolist():
            yield year, shaped.filter(pa.array(years == year))


def _shaped(table: pa.Table, bars: SeriesBars) -> pa.Table:
    count = table.num_rows
    whose: dict[str, Any] = {
        "asset_pair": pa.repeat(bars.series.asset_pair, count),
        "timeframe": pa.repeat(bars.timeframe, count),
        **({} if "source_provider" in bars.columns else {"source_provider": pa.repeat(bars.series.provider, count)}),
    }
    if bars.adjust is not None:
        whose["adjustment"] = pa.repeat(bars.adjust, count)
    columns = {"timestamp": table["timestamp"], **whose}
    columns |= {name: _plain(table[name]) for name in bars.columns}
    return pa.table(columns)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column without a dictionary, which not every reader takes."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _empty(bars: SeriesBars) -> pa.Table:
    return next(bars.tables()).slice(0, 0)


def _write_arrow(path: Path, schema: pa.Schema, tables: Iterator[pa.Table], compression: str) -> int:
    count = 0
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema, options=options) as writer:
        for table in tables:
            writer.write_table(table)
            count += table.num_rows
    return count
