"""Coinbase wire reader: maps the candles of an answer to records, and those of a plain one straight to columns."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np

from ffe_core.candles import VALUES
from ffe_core.columns import CandleColumns
from ffe_core.providers.base import Record, dates_of, records_of
from ffe_core.providers.plain import Plain, RawRecords, decoded, epochs, numbers


class _Candle(Plain):
    start: str
    low: str
    high: str
    open: str
    close: str
    volume: str


class _Answer(Plain):
    """What an answer usually is (docs.cdp.coinbase.com, get-public-product-candles)."""

    candles: list[_Candle]


_DECODER = msgspec.json.Decoder(_Answer)


def columns(body: bytes) -> CandleColumns:
    """The candles of a plain answer with some. NotPlain for any other."""
    candles = decoded(body, _DECODER).candles
    texts = (
        [candle.open for candle in candles],
        [candle.high for candle in candles],
        [candle.low for candle in candles],
        [candle.close for candle in candles],
        [candle.volume for candle in candles],
    )
    values = dict(zip(VALUES, numbers(*texts), strict=True))
    opens = epochs([candle.start for candle in candles])
    return CandleColumns(opens, values, np.zeros(len(candles), bool), RawRecords(body, _records_of_body))


def _records_of_body(body: bytes) -> list[Record]:
    return records(json.loads(body)["candles"])


def records(candles: list[Any]) -> list[Record]:
    """The candles as sent, each with its `date`; everything else already has the right name."""
    found = records_of(candles)
    timed = [record for record in found if "start" in record]
    for record, date in zip(timed, dates_of([record["start"] for record in timed]), strict=True):
        record["date"] = date
    return found
