"""LEAN's data folder: a zip with one CSV a day of minutes, or one of all hours or days.

Forms by https://www.quantconnect.com/docs/v2/lean-cli/datasets/format-and-storage: clock of the market's data zone,
prices of shares times 10,000, quotes of bid and ask for currencies and CFDs. A stored price stands for bid and ask
alike: the spread is nothing, and said to be.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ffe_core.candles import PRICES
from ffe_core.exports.bars import SeriesBars
from ffe_core.exports.texts import constant, lines, price_texts, times, volume_texts
from ffe_core.storage.lake.snapshot import Ints, epochs

_FOLDERS = {"crypto": "crypto", "fx": "forex", "metal": "cfd", "index": "cfd", "equity": "equity"}
_RESOLUTIONS = {"1m": "minute", "1h": "hour", "1d": "daily"}
_SHARE_SCALE = 10_000
_NEW_YORK = "America/New_York"
_OWN_ZONES = {"fxcm": "Etc/GMT+5", "india": "Asia/Kolkata"}
"""Data zones that differ from their kind's, by LEAN's market hours database."""


def lean(folder: Path, bars: SeriesBars, market: str) -> int:
    """crypto/coinbase/minute/btcusd/20240115_trade.zip, or crypto/coinbase/hour/btcusd_trade.zip, and so on."""
    kind, resolution = _FOLDERS[bars.kind], _RESOLUTIONS[bars.timeframe]
    symbol = bars.series.asset_pair.lower()
    place = folder / kind / market.lower() / resolution
    side = "trade" if kind in ("crypto", "equity") else "quote"
    if resolution == "minute":
        return _by_day(place / symbol, bars, symbol, side, zone_of(kind, market))
    place.mkdir(parents=True, exist_ok=True)
    name = f"{symbol}_{side}.zip" if kind == "crypto" else f"{symbol}.zip"
    zone = "UTC" if resolution == "daily" else zone_of(kind, market)  # a day is named by its date
    return _whole(place / name, f"{symbol}.csv", bars, zone)


def zone_of(kind: str, market: str) -> str:
    """The zone of the clock that a market's files are written by."""
    return _OWN_ZONES.get(market.lower(), _NEW_YORK if kind == "equity" else "UTC")


def _whole(path: Path, member: str, bars: SeriesBars, zone: str) -> int:
    count = 0
    with _archive(path) as archive, archive.open(_info(member), "w", force_zip64=True) as file:
        for table in bars.tables():
            stamps = times(epochs(table["timestamp"]), "%Y%m%d %H:%M", zone)
            text = lines([stamps, *_values(table, bars)])
            file.write((b"\n" if count else b"") + text.removesuffix(b"\n"))
            count += table.num_rows
    return count


def _by_day(place: Path, bars: SeriesBars, symbol: str, side: str, zone: str) -> int:
    place.mkdir(parents=True, exist_ok=True)
    count = 0
    for day, table in _days(bars, zone):
        clock = _local(epochs(table["timestamp"]), zone)
        stamps = pc.cast(pa.array((clock % 86_400) * 1000, pa.int64()), pa.string())
        with _archive(place / f"{day}_{side}.zip") as archive:
            text = lines([stamps, *_values(table, bars)])
            archive.writestr(_info(f"{day}_{symbol}_minute_{side}.csv"), text.removesuffix(b"\n"))
        count += table.num_rows
    return count


def _days(bars: SeriesBars, zone: str) -> Iterator[tuple[str, pa.Table]]:
    """The bars day by day of the zone; the last day is held until the next piece has what belongs to it."""
    held = None
    for piece in bars.tables():
        together = piece if held is None else pa.concat_tables([held, piece])
        days = _local(epochs(together["timestamp"]), zone) // 86_400
        edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist()]
        for start, end in pairwise(edges):
            yield _day(days[start]), together.slice(start, end - start)
        held = together.slice(edges[-1])
    if held is not None:
        yield _day(_local(epochs(held["timestamp"])[:1], zone)[0] // 86_400), held


def _values(table: pa.Table, bars: SeriesBars) -> list[pa.Array]:
    kind = _FOLDERS[bars.kind]
    if kind == "equity":
        prices = [_scaled(table[name].to_numpy()) for name in PRICES]
        return [*prices, volume_texts(table)]
    prices = price_texts(table, bars.prices)
    if kind == "crypto":
        return [*prices, volume_texts(table)]
    none = constant("0", table.num_rows)
    return [*prices, none, *prices, none]


def _scaled(values: np.ndarray) -> pa.Array:
    """Prices times 10,000, by their decimal texts: what has more than four decimals keeps them."""
    return pa.array([f"{Decimal(repr(value)) * _SHARE_SCALE:f}".removesuffix(".0") for value in values.tolist()])


def _local(open_times: Ints, zone: str) -> Ints:
    """What the clock of a zone shows, as seconds."""
    stamps = pa.array(open_times, pa.int64()).cast(pa.timestamp("s", "UTC")).cast(pa.timestamp("s", zone))
    shown: Ints = pc.local_timestamp(stamps).cast(pa.int64()).to_numpy()
    return shown


def _day(number: int) -> str:
    return str(np.datetime64(int(number), "D")).replace("-", "")


def _archive(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED)


def _info(name: str) -> zipfile.ZipInfo:
    """A member without a time of its own: the same bars make the same file."""
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info
