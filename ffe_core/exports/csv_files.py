"""CSV files for backtesters: vectorbt and anything that reads a frame, backtrader's generic CSV, zipline's csvdir."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from ffe_core.exports.bars import SeriesBars
from ffe_core.exports.texts import constant, lines, price_texts, times, volume_texts
from ffe_core.storage.lake.snapshot import epochs

Row = Callable[[pa.Table, SeriesBars], list[pa.Array]]
_ZIPLINE = {"1d": "daily", "1m": "minute"}


def vectorbt(folder: Path, bars: SeriesBars, market: str) -> int:
    """PAIR-1h.csv: a frame as `pandas.read_csv(path, index_col=0, parse_dates=True)` takes it, times in UTC."""
    del market

    def row(table: pa.Table, one: SeriesBars) -> list[pa.Array]:
        stamps = times(epochs(table["timestamp"]), "%Y-%m-%d %H:%M:%S+00:00")
        return [stamps, *price_texts(table, one.prices), volume_texts(table)]

    return _write(folder / _name(bars), bars, "Open time,Open,High,Low,Close,Volume", row)


def backtrader(folder: Path, bars: SeriesBars, market: str) -> int:
    """PAIR-1h.csv as `backtrader.feeds.GenericCSVData` takes it by default; times in UTC, of the bar's open."""
    del market

    def row(table: pa.Table, one: SeriesBars) -> list[pa.Array]:
        stamps = times(epochs(table["timestamp"]), "%Y-%m-%d %H:%M:%S")
        return [stamps, *price_texts(table, one.prices), volume_texts(table), constant("0", table.num_rows)]

    return _write(folder / _name(bars), bars, "datetime,open,high,low,close,volume,openinterest", row)


def zipline(folder: Path, bars: SeriesBars, market: str) -> int:
    """daily/PAIR.csv or minute/PAIR.csv as the csvdir bundle takes it; it is told of no dividends and splits."""
    del market
    pattern = "%Y-%m-%d" if bars.timeframe == "1d" else "%Y-%m-%d %H:%M:%S"

    def row(table: pa.Table, one: SeriesBars) -> list[pa.Array]:
        count = table.num_rows
        end = [constant("0", count), constant("1", count)]
        return [times(epochs(table["timestamp"]), pattern), *price_texts(table, one.prices), volume_texts(table), *end]

    path = folder / _ZIPLINE[bars.timeframe] / f"{bars.series.asset_pair}.csv"
    return _write(path, bars, "date,open,high,low,close,volume,dividend,split", row)


def _name(bars: SeriesBars) -> str:
    return f"{bars.series.asset_pair}-{bars.timeframe}.csv"


def _write(path: Path, bars: SeriesBars, header: str, row: Row) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("xb") as file:
        file.write(header.encode() + b"\n")
        for table in bars.tables():
            file.write(lines(row(table, bars)))
            count += table.num_rows
    return count
