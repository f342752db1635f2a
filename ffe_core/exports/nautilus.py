"""Nautilus catalog of bars, readable by `ParquetDataCatalog`: prices as integers in fixed bytes, stamps at the close.

The form is that of Nautilus 1.221 in high precision (its default on Linux and macOS): 16 bytes, times 10**16.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

from ffe_core.candles import PRICES, VALUES
from ffe_core.errors import InputError
from ffe_core.exports.bars import SeriesBars
from ffe_core.exports.texts import Floats, times
from ffe_core.insight.units import decimals_of
from ffe_core.storage.lake.snapshot import Ints, epochs

_DIGITS, _BYTES = 16, 16
_NANOS = 10**9
_UNITS = {"m": "MINUTE", "h": "HOUR", "d": "DAY", "w": "WEEK", "mo": "MONTH", "M": "MONTH"}
_EXACT = 2**53


def nautilus(folder: Path, bars: SeriesBars, market: str) -> int:
    """data/bar/BTCUSDT.BINANCE-1-HOUR-LAST-EXTERNAL/FIRST_LAST.parquet; `market` is the venue.

    A bar is stamped at its close, as Nautilus wants it. InputError for a number with more than 16 decimals.
    """
    import pyarrow.parquet as pq  # it brings along file systems of every cloud

    instrument = f"{bars.series.asset_pair}.{market.upper()}"
    bar_type = f"{instrument}-{_step(bars.timeframe)}-LAST-EXTERNAL"
    place = folder / "data" / "bar" / bar_type
    place.mkdir(parents=True, exist_ok=True)
    price, size = _precisions(bars)
    about = {
        "bar_type": bar_type,
        "instrument_id": instrument,
        "price_precision": str(price),
        "size_precision": str(size),
    }
    fixed = pa.binary(_BYTES)
    schema = pa.schema(
        [*((name, fixed) for name in VALUES), ("ts_event", pa.uint64()), ("ts_init", pa.uint64())], metadata=about
    )
    count, first, last = 0, 0, 0
    unnamed = place / "unnamed"
    with pq.ParquetWriter(unnamed, schema) as writer:
        for table in bars.tables():
            closes = bars.ends(epochs(table["timestamp"]))
            writer.write_table(_shaped(table, closes, schema, price, size))
            first, last, count = first or int(closes[0]), int(closes[-1]), count + table.num_rows
    unnamed.rename(place / f"{_moment(first)}_{_moment(last)}.parquet")
    return count


def _shaped(table: pa.Table, closes: Ints, schema: pa.Schema, price: int, size: int) -> pa.Table:
    columns = [_fixed(table[name].to_numpy(), price) for name in PRICES]
    stamps = pa.array(closes * _NANOS, pa.int64()).cast(pa.uint64())
    return pa.table([*columns, _fixed(table["volume"].to_numpy(), size), stamps, stamps], schema=schema)


def _fixed(values: Floats, decimals: int) -> pa.Array:
    """Numbers as little-endian integers of 16 bytes, each its decimal text times 10**16."""
    whole = np.rint(values * 10.0**decimals)
    if np.abs(whole).max(initial=0) < _EXACT and (whole / 10.0**decimals == values).all():
        scale = 10 ** (_DIGITS - decimals)
        units = [value * scale for value in whole.astype(np.int64).tolist()]
    else:
        units = [int(Decimal(repr(value)).scaleb(_DIGITS)) for value in values.tolist()]
    return pa.array([one.to_bytes(_BYTES, "little", signed=True) for one in units], pa.binary(_BYTES))


def _precisions(bars: SeriesBars) -> tuple[int, int]:
    """Decimals that every price and every volume is whole with. InputError for more than there is room for."""
    price, size = bars.prices.decimals, 0
    for table in bars.tables():
        price = max(price, *(_decimals(table[name].to_numpy()) for name in PRICES))
        size = max(size, _decimals(table["volume"].to_numpy()))
    if max(price, size) > _DIGITS:
        raise InputError(
            f"{bars.series} has numbers of {max(price, size)} decimals, and a Nautilus catalog holds {_DIGITS};"
            " export it in another form",
            field="format",
        )
    return price, size


def _decimals(values: Floats) -> int:
    distinct = np.unique(values)
    for decimals in range(9):
        scale = 10.0**decimals
        if (np.rint(distinct * scale) / scale == distinct).all():
            return decimals
    return max(map(decimals_of, distinct.tolist()), default=0)


def _step(timeframe: str) -> str:
    count = int("".join(sign for sign in timeframe if sign.isdigit()))
    return f"{count}-{_UNITS[timeframe.lstrip('0123456789')]}"


def _moment(seconds: int) -> str:
    text: str = times(np.array([seconds]), "%Y-%m-%dT%H-%M-%S")[0].as_py()
    return f"{text}-000000000Z"
