"""What is the least that bytes to columns and one parquet file can cost? The fastest typed JSON decoder, msgspec.

The answers are decoded into structs; times and numbers are read out of their texts a page at a time, in Arrow. Structs
come in two kinds: as msgspec makes them, which the garbage collector walks over as it does over dicts, and without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from ffe_core.storage.lake.data_files import LEVEL

_STAMP = pa.timestamp("us", tz="UTC")
_COINBASE_FIELDS = ("start", "low", "high", "open", "close", "volume")


def _oanda_decoder(gc: bool) -> msgspec.json.Decoder[Any]:
    mid = msgspec.defstruct("Mid", [(name, str) for name in "ohlc"], gc=gc)
    fields: list[Any] = [("complete", bool), ("volume", int), ("time", str), ("mid", mid)]
    candle = msgspec.defstruct("Candle", fields, gc=gc)
    named: list[Any] = [("instrument", str), ("granularity", str), ("candles", list[candle])]  # type: ignore[valid-type]
    return msgspec.json.Decoder(msgspec.defstruct("Answer", named))


def _coinbase_decoder(gc: bool) -> msgspec.json.Decoder[Any]:
    candle = msgspec.defstruct("Candle", [(name, str) for name in _COINBASE_FIELDS], gc=gc)
    named: list[Any] = [("candles", list[candle])]  # type: ignore[valid-type]
    return msgspec.json.Decoder(msgspec.defstruct("Answer", named))


def _numbers(values: list[Any]) -> pa.Array:
    return pa.array(values).cast(pa.float64())


def _oanda(candles: list[Any]) -> pa.Table:
    mids = [candle.mid for candle in candles]
    stamps = pa.array([candle.time for candle in candles]).cast(pa.timestamp("ns", tz="UTC")).cast(_STAMP)
    return pa.table(
        {
            "timestamp": stamps,
            "open": _numbers([mid.o for mid in mids]),
            "high": _numbers([mid.h for mid in mids]),
            "low": _numbers([mid.l for mid in mids]),
            "close": _numbers([mid.c for mid in mids]),
            "volume": _numbers([candle.volume for candle in candles]),
        }
    )


def _coinbase(candles: list[Any]) -> pa.Table:
    seconds = pa.array([candle.start for candle in candles]).cast(pa.int64())
    return pa.table(
        {
            "timestamp": seconds.cast(pa.timestamp("s", tz="UTC")).cast(_STAMP),
            "open": _numbers([candle.open for candle in candles]),
            "high": _numbers([candle.high for candle in candles]),
            "low": _numbers([candle.low for candle in candles]),
            "close": _numbers([candle.close for candle in candles]),
            "volume": _numbers([candle.volume for candle in candles]),
        }
    )


_WAYS: dict[str, tuple[Callable[[bool], msgspec.json.Decoder[Any]], Callable[[list[Any]], pa.Table]]] = {
    "oanda": (_oanda_decoder, _oanda),
    "coinbase": (_coinbase_decoder, _coinbase),
}


def floor(provider: str, bodies: Iterable[bytes], folder: str, gc: bool) -> None:
    """Decode every body and write one parquet file with the lake's compression."""
    make, columns = _WAYS[provider]
    decoder = make(gc)
    table = pa.concat_tables([columns(decoder.decode(body).candles) for body in bodies])
    pq.write_table(table, f"{folder}/candles.parquet", compression="zstd", compression_level=LEVEL)
