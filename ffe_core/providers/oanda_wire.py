"""OANDA wire reader: maps the candles of an answer to records, and those of a plain one straight to columns."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np

from ffe_core.candles import PRICES
from ffe_core.columns import CandleColumns
from ffe_core.providers.base import Record, records_of
from ffe_core.providers.plain import Plain, RawRecords, decoded, instants, numbers

_KEYS = {"open": "o", "high": "h", "low": "l", "close": "c"}
_WHOLE_SECOND = ".000000000Z"


class _Mid(Plain):
    open: str = msgspec.field(name="o")
    high: str = msgspec.field(name="h")
    low: str = msgspec.field(name="l")
    close: str = msgspec.field(name="c")


class _Candle(Plain):
    complete: bool
    volume: int
    time: str
    mid: _Mid


class _Answer(Plain):
    """What an answer usually is (developer.oanda.com, instrument endpoint)."""

    instrument: str
    granularity: str
    candles: list[_Candle]


_DECODER = msgspec.json.Decoder(_Answer)


def columns(body: bytes) -> tuple[dict[str, str], CandleColumns]:
    """What a plain answer with candles repeats of the question, and these. NotPlain for any other."""
    answer = decoded(body, _DECODER)
    candles = answer.candles
    mids = [candle.mid for candle in candles]
    texts = (
        [mid.open for mid in mids],
        [mid.high for mid in mids],
        [mid.low for mid in mids],
        [mid.close for mid in mids],
    )
    values = dict(zip(PRICES, numbers(*texts), strict=True))
    values["volume"] = numbers([candle.volume for candle in candles])[0]
    opens = instants([candle.time for candle in candles], _WHOLE_SECOND)
    complete = np.fromiter([candle.complete for candle in candles], bool, len(candles))
    named = {"instrument": answer.instrument, "granularity": answer.granularity}
    return named, CandleColumns(opens, values, ~complete, RawRecords(body, _records_of_body))


def _records_of_body(body: bytes) -> list[Record]:
    return records(json.loads(body)["candles"])


def records(candles: list[Any]) -> list[Record]:
    """The candles as sent, each with its `date` and with the prices of `mid` under their names."""
    found = records_of(candles)
    for record in found:
        if "time" in record:
            record["date"] = _date(record["time"])
        mid = record.get("mid")
        if isinstance(mid, dict):
            for name, key in _KEYS.items():
                if key in mid:
                    record[name] = mid[key]
    return found


def _date(sent: Any) -> Any:
    """2022-05-11T21:00:00.000000000Z with an offset instead; anything else as sent."""
    if isinstance(sent, str) and sent.endswith(_WHOLE_SECOND):
        return f"{sent[: -len(_WHOLE_SECOND)]}+00:00"
    return sent
