"""Makers of small files of every form that a profile reads, each from the same candles."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import struct
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

STEPS = {"1m": 60, "1h": 3600, "1d": 86_400}
BEGIN = int(datetime(2024, 1, 15, 15, 0, tzinfo=UTC).timestamp())
COUNT = 24


@dataclass(frozen=True)
class Candle:
    at: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    names: ClassVar[tuple[str, ...]] = ("open", "high", "low", "close")

    @property
    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def local(self, zone: str) -> datetime:
        return self.utc.astimezone(ZoneInfo(zone))

    @property
    def values(self) -> tuple[float, ...]:
        return (self.open, self.high, self.low, self.close, self.volume)


def candles(timeframe: str, begin: int = BEGIN, count: int = COUNT) -> list[Candle]:
    """Candles whose open and close differ, so that what swaps two columns is seen."""
    step = STEPS[timeframe]
    start = begin - begin % step
    return [
        Candle(start + i * step, 100 + i / 4, 103.5 + i / 4, 97.25 + i / 4, 101.5 + i / 4, 1000.0 + i)
        for i in range(count)
    ]


@dataclass(frozen=True)
class Form:
    """A file of a form: its path, its bytes from candles, and what reads it."""

    profile: str
    path: str
    timeframe: str
    make: Callable[[Sequence[Candle]], bytes]
    answers: dict[str, Any] = field(default_factory=dict)
    has_volume: bool = True
    pair: str = ""

    def __str__(self) -> str:
        """Its name in a test, the same in every process."""
        return f"{self.profile} {self.path}"

    @property
    def candles(self) -> list[Candle]:
        return candles(self.timeframe)

    def write(self, folder: Path, content: bytes | None = None) -> Path:
        path = folder / self.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.packed(self.make(self.candles) if content is None else content))
        return path

    def packed(self, content: bytes) -> bytes:
        """The bytes as the form packs them."""
        if self.path.endswith(".zip"):
            return zipped({f"{Path(self.path).stem}.csv": content})
        return gzip.compress(content) if self.path.endswith(".gz") else content

    @property
    def is_text(self) -> bool:
        return not self.path.endswith((".feather", ".parquet", ".json", ".dbn", ".bi5"))


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def lines(rows: Sequence[str], header: str = "", end: str = "\n") -> bytes:
    return (end.join([*([header] if header else []), *rows]) + end).encode()


def text(
    row: Callable[[Candle], str], header: str = "", end: str = "\n", newest_first: bool = False
) -> Callable[..., bytes]:
    def make(found: Sequence[Candle]) -> bytes:
        ordered = list(reversed(found)) if newest_first else list(found)
        return lines([row(one) for one in ordered], header, end)

    return make


def ohlcv(c: Candle, separator: str = ",") -> str:
    return separator.join(f"{value:.5f}" for value in c.values)


KLINES = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)


def kline(scale: int, step: int) -> Callable[[Candle], str]:
    return lambda c: f"{c.at * scale},{ohlcv(c)},{(c.at + step) * scale - 1},{c.volume * c.close:.8f},9,1.0,1.0,0"


def contracts(c: Candle) -> str:
    """Binance's COIN-M: the column headed volume counts contracts, the one headed quote_volume the base coin."""
    prices = ohlcv(c).rpartition(",")[0]
    return f"{c.at * 1000},{prices},{c.volume * 7:.0f},{(c.at + 3600) * 1000 - 1},{c.volume},9,1.0,1.0,0"


def est(c: Candle) -> datetime:
    return c.utc - timedelta(hours=5)


def table(found: Sequence[Candle], **columns: Any) -> pa.Table:
    values = {name: [getattr(one, name) for one in found] for name in ("open", "high", "low", "close", "volume")}
    return pa.table({**columns, **values})


def two_levels(found: Sequence[Candle]) -> pa.Table:
    """What pandas makes of a frame whose columns have two levels, and whose index is New York's midnights."""
    prices = {f"('{name.title()}', 'PG')": [getattr(one, name) for one in found] for name in (*Candle.names, "volume")}
    others = {name.replace("PG", "JNJ"): [1.0] * len(found) for name in prices}
    midnights = [
        datetime(one.utc.year, one.utc.month, one.utc.day, tzinfo=ZoneInfo("America/New_York")) for one in found
    ]
    return pa.table({**others, **prices, "Date": pa.array(midnights, pa.timestamp("ns", "America/New_York"))})


def freqtrade(found: Sequence[Candle], unit: str = "us") -> pa.Table:
    scale = {"us": 1_000_000, "ns": 1_000_000_000, "ms": 1000}[unit]
    dates = pa.array([one.at * scale for one in found], pa.int64()).cast(pa.timestamp(unit, "UTC"))
    return table(found, date=dates)


def as_feather(found: Sequence[Candle]) -> bytes:
    sink = io.BytesIO()
    feather.write_feather(freqtrade(found, "ns"), sink, compression="lz4")
    return sink.getvalue()


def as_parquet(made: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(made, sink)
    return sink.getvalue()


def nautilus(
    found: Sequence[Candle], width: int = 16, decimals: int = 16, shift: int = 3600, typed: bool = False
) -> bytes:
    def fixed(values: Sequence[float]) -> pa.Array:
        whole = [round(value * 10**4) * 10 ** (decimals - 4) for value in values]
        return pa.array([one.to_bytes(width, "little", signed=True) for one in whole], pa.binary(width))

    columns = {
        name: fixed([getattr(one, name) for one in found]) for name in ("open", "high", "low", "close", "volume")
    }
    stamps = pa.array([(one.at + shift) * 10**9 for one in found], pa.uint64())
    if typed:  # as later releases write them
        stamps = stamps.cast(pa.int64()).cast(pa.timestamp("ns", "UTC"))
    return as_parquet(pa.table({**columns, "ts_event": stamps, "ts_init": stamps}))


def dbn(found: Sequence[Candle], rtype: int = 34) -> bytes:
    meta = b"\0" * 100
    head = b"DBN" + struct.pack("<BI", 3, len(meta)) + meta
    fixed = [tuple(round(v * 10**9) for v in one.values[:4]) for one in found]
    rows = [
        struct.pack("<BBHIQqqqqQ", 14, rtype, 1, 5482, one.at * 10**9, *prices, int(one.volume))
        for one, prices in zip(found, fixed, strict=True)
    ]
    return head + b"".join(rows)


def bi5(start: datetime, scale: int = 10**5) -> Callable[..., bytes]:
    """Records that count from the start of their file's day, month or year."""
    first = int(start.timestamp())

    def make(found: Sequence[Candle]) -> bytes:
        prices = [[round(v * scale) for v in (c.open, c.close, c.low, c.high)] for c in found]
        rows = [struct.pack(">IIIIIf", c.at - first, *some, c.volume) for c, some in zip(found, prices, strict=True)]
        return lzma.compress(b"".join(rows), lzma.FORMAT_ALONE)

    return make


def lean(zone: str, scale: int, minute: bool, quote: bool = False) -> Callable[..., bytes]:
    def row(c: Candle) -> str:
        local = c.local(zone) if "/" in zone else c.utc - timedelta(hours=5) if zone == "UTC-5" else c.utc
        midnight = local.replace(hour=0, minute=0)
        when = str(round((local - midnight).total_seconds() * 1000)) if minute else f"{local:%Y%m%d %H:%M}"
        prices = ",".join(f"{value * scale:g}" for value in c.values[:4])
        return f"{when},{prices},{c.volume:g}" if not quote else f"{when},{prices},{c.volume:g},9,9,9,9,9"

    return lambda found: lines([row(one) for one in found]).rstrip(b"\n")


CDD = "unix,date,symbol,open,high,low,close,Volume BTC,Volume USD"
NY = "America/New_York"
TIINGO = "date,close,high,low,open,volume,adjClose,adjHigh,adjLow,adjOpen,adjVolume,divCash,splitFactor"
MT5 = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"
DATABENTO = "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol"
MASSIVE = "ticker,volume,open,close,high,low,window_start,transactions"


def cdd(c: Candle) -> str:
    base, quote = c.volume, c.volume * c.close
    return f"{c.at},{c.utc:%Y-%m-%d %H:%M:%S},BTC/USD,{c.open},{c.high},{c.low},{c.close},{base},{quote}"


def _k(volume: float, point: str) -> str:
    return f"{volume / 1000:.3f}K".replace(".", point)


FORMS: tuple[Form, ...] = (
    Form("binance-klines", "BTCUSDT-1h-2024-01.zip", "1h", text(kline(1000, 3600)), pair="BTCUSDT"),
    Form("binance-klines", "um/ETHUSDT-1m-2024-01-15.zip", "1m", text(kline(1000, 60), KLINES), pair="ETHUSDT"),
    Form("binance-klines", "SOLUSDT-1h-2025-02.csv", "1h", text(kline(1_000_000, 3600)), pair="SOLUSDT"),
    Form("binance-coin-m", "BTCUSD_PERP-1h-2024-01.csv", "1h", text(contracts, KLINES), pair="BTCUSD"),
    Form("kraken-ohlcvt", "XBTUSD_60.csv", "1h", text(lambda c: f"{c.at},{ohlcv(c)},7"), pair="BTCUSD"),
    Form("histdata-ascii", "DAT_ASCII_EURUSD_M1_2024.csv", "1m", text(lambda c: f"{est(c):%Y%m%d %H%M%S};{ohlcv(c, ';')}"), has_volume=False, pair="EURUSD"),
    Form("histdata-metatrader", "DAT_MT_EURUSD_M1_2024.csv", "1m", text(lambda c: f"{est(c):%Y.%m.%d,%H:%M},{ohlcv(c)}"), has_volume=False, pair="EURUSD"),
    Form("histdata-ninjatrader", "DAT_NT_EURUSD_M1_2024.csv", "1m", text(lambda c: f"{est(c):%Y%m%d %H%M%S};{ohlcv(c, ';')}"), has_volume=False, pair="EURUSD"),
    Form("ninjatrader", "SPY 03-24.Last.txt", "1m", text(lambda c: f"{c.utc + timedelta(minutes=1):%Y%m%d %H%M%S};{ohlcv(c, ';')}")),
    Form("metatrader4", "EURUSD60.csv", "1h", text(lambda c: f"{c.utc + timedelta(hours=2):%Y.%m.%d,%H:%M},{ohlcv(c)}", end="\r\n"), {"zone": "UTC+2"}, pair="EURUSD"),
    Form("metatrader5", "EURUSD_H1_202401010000_202402010000.csv", "1h", text(lambda c: f"{c.utc + timedelta(hours=2):%Y.%m.%d\t%H:%M:%S}\t" + "\t".join(f"{v:.5f}" for v in c.values[:4]) + f"\t{c.volume:.0f}\t0\t1", MT5, "\r\n"), {"zone": "UTC+2"}, pair="EURUSD"),
    Form("metatrader5-daily", "EURUSD_Daily_202401150000_202402150000.csv", "1d", text(lambda c: f"{c.utc:%Y.%m.%d}\t" + "\t".join(f"{v:.5f}" for v in c.values[:4]) + f"\t{c.volume:.0f}\t0\t1", MT5.replace("\t<TIME>", ""))),
    Form("metatrader5-python", "rates.csv", "1h", text(lambda c: f"{c.at + 7200},{c.open},{c.high},{c.low},{c.close},{c.volume:.0f},1,0", "time,open,high,low,close,tick_volume,spread,real_volume"), {"zone": "UTC+2"}),
    Form("bybit-metatrader4", "BTCUSDT_60_2024-01-01_2024-01-31.csv.gz", "1h", text(lambda c: f"{c.utc + timedelta(hours=3):%Y.%m.%d %H:%M},{ohlcv(c)}"), {"zone": "UTC+3"}, pair="BTCUSDT"),
    Form("dukascopy-web", "EURUSD_Candlestick_1_Hour_BID_15.01.2024-16.01.2024.csv", "1h", text(lambda c: f"{c.utc:%d.%m.%Y %H:%M:%S}.000,{ohlcv(c)}", "Gmt time,Open,High,Low,Close,Volume"), pair="EURUSD"),
    Form("dukascopy-web-local", "EURUSD_Candlestick_local.csv", "1h", text(lambda c: f"{c.local('Europe/Zurich'):%d.%m.%Y %H:%M:%S.000 GMT%z},{ohlcv(c)}", "Local time,Open,High,Low,Close,Volume")),
    Form("dukascopy-node", "eurusd-h1-bid-2024-01-15-2024-01-16.csv", "1h", lambda found: text(lambda c: f"{c.at * 1000},{ohlcv(c)}", "timestamp,open,high,low,close,volume")(found).rstrip(b"\n"), pair="EURUSD"),
    Form("dukascopy-bi5", "EURUSD/2024/00/15/BID_candles_min_1.bi5", "1m", bi5(datetime(2024, 1, 15, tzinfo=UTC)), pair="EURUSD"),
    Form("dukascopy-bi5", "EURUSD/2024/00/ASK_candles_hour_1.bi5", "1h", bi5(datetime(2024, 1, 1, tzinfo=UTC)), pair="EURUSD"),
    Form("dukascopy-bi5", "GBPUSD/2024/BID_candles_day_1.bi5", "1d", bi5(datetime(2024, 1, 1, tzinfo=UTC)), pair="GBPUSD"),
    Form("dukascopy-bi5-thousandths", "USDJPY/2024/00/15/BID_candles_min_1.bi5", "1m", bi5(datetime(2024, 1, 15, tzinfo=UTC), 1000), pair="USDJPY"),
    Form("dukascopy-bi5-thousandths", "XAUUSD/2024/00/BID_candles_hour_1.bi5", "1h", bi5(datetime(2024, 1, 1, tzinfo=UTC), 1000), pair="XAUUSD"),
    Form("cryptodatadownload", "Bitstamp_BTCUSD_1h.csv", "1h", lambda found: b"https://www.CryptoDataDownload.com\n" + text(cdd, CDD, newest_first=True)(found)),
    Form("cryptodatadownload", "Coinbase_BTCUSD_1h.csv", "1h", lambda found: b"Timestamps are UTC timezone,https://www.CryptoDataDownload.com\r\n" + text(lambda c: f"{c.utc:%Y-%m-%d %I-%p},BTCUSD,{c.open},{c.high},{c.low},{c.close},{c.volume},{c.volume * c.close}", "Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USD", "\r\n", True)(found)),
    Form("cryptocompare", "bitfinex.csv", "1h", text(lambda c: f"{c.utc:%Y-%m-%d %H:%M},BTCUSD,{ohlcv(c)},{c.volume * c.close}", "Date,Symbol,Open,High,Low,Close,VolumeFrom,VolumeTo", newest_first=True)),
    Form("okx-candles", "okx.csv", "1h", text(lambda c: f"BTC-USDT,{ohlcv(c)},1,1,{c.at * 1000},1", "instrument_name,open,high,low,close,vol,vol_ccy,vol_quote,open_time,confirm")),
    Form("okx-contracts", "okx.csv", "1h", text(lambda c: f"BTC-USDT-SWAP,{ohlcv(c).rpartition(',')[0]},{c.volume * 7:.0f},{c.volume},1,{c.at * 1000},1", "instrument_name,open,high,low,close,vol,vol_ccy,vol_quote,open_time,confirm")),
    Form("coinapi", "coinapi.csv.gz", "1h", text(lambda c: f"{c.utc:%Y-%m-%dT%H:%M:%S}.0000000Z;{c.utc:%Y-%m-%dT%H:%M:%S}.0000000Z;{c.utc:%Y-%m-%dT%H:%M:%S}.1000000Z;{ohlcv(c, ';')};9", "time_period_start;time_period_end;time_open;price_open;price_high;price_low;price_close;volume_traded;trades_count")),
    Form("fxcm-candledata", "29.csv.gz", "1m", text(lambda c: f"{c.utc:%m/%d/%Y %H:%M:%S}.000,{ohlcv(c)[: -len(f'{c.volume:.5f}') - 1]},9,9,9,9", "DateTime,BidOpen,BidHigh,BidLow,BidClose,AskOpen,AskHigh,AskLow,AskClose"), {"side": "Bid", "zone": "UTC"}, has_volume=False),
    Form("yahoo", "AAPL.csv", "1d", text(lambda c: f"{c.utc:%Y-%m-%d},{c.open},{c.high},{c.low},{c.close},{c.close / 2},{c.volume:.0f}", "Date,Open,High,Low,Close,Adj Close,Volume")),
    Form("yfinance-download", "JNJ.csv", "1d", lambda found: b"Price,Close,High,Low,Open,Volume\nTicker,JNJ,JNJ,JNJ,JNJ,JNJ\nDate,,,,,\n" + text(lambda c: f"{c.utc:%Y-%m-%d},{c.close},{c.high},{c.low},{c.open},{c.volume:.0f}")(found)),
    Form("yfinance-download", "unadjusted.csv", "1d", lambda found: b"Price,Adj Close,Close,High,Low,Open,Volume\nTicker" + b",JNJ" * 6 + b"\nDate,,,,,,\n" + text(lambda c: f"{c.utc:%Y-%m-%d},{c.close / 2},{c.close},{c.high},{c.low},{c.open},{c.volume:.0f}")(found)),
    Form("yfinance-download", "by_ticker.csv", "1h", lambda found: b"Ticker,JNJ,JNJ,JNJ,JNJ,JNJ\nPrice,Open,High,Low,Close,Volume\nDatetime,,,,,\n" + text(lambda c: f"{c.utc:%Y-%m-%d %H:%M:%S}+00:00,{c.open},{c.high},{c.low},{c.close},{c.volume:.0f}")(found)),
    Form("yfinance-download", "two.csv", "1d", lambda found: b"Price,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume\nTicker" + b",JNJ,PG" * 5 + b"\nDate" + b"," * 10 + b"\n" + text(lambda c: f"{c.utc:%Y-%m-%d},1,{c.close},1,{c.high},1,{c.low},1,{c.open},1,{c.volume:.0f}")(found), {"symbol": "PG"}),
    Form("yfinance-download", "two.parquet", "1d", lambda found: as_parquet(two_levels(found)), {"symbol": "PG"}),
    Form("yfinance-history", "EA.csv", "1h", text(lambda c: f"{c.local(NY).isoformat(' ')},{c.open},{c.high},{c.low},{c.close},{c.volume},0,0", "Datetime,Open,High,Low,Close,Volume,Dividends,Stock Splits")),
    Form("yfinance-history", "TSCO.csv", "1d", text(lambda c: f"{c.utc:%Y-%m-%d} 00:00:00+01:00,{c.open},{c.high},{c.low},{c.close},{c.volume},0,0", "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits")),
    Form("alpha-vantage", "intraday_60min_IBM.csv", "1h", text(lambda c: f"{c.local(NY):%Y-%m-%d %H:%M:%S},{ohlcv(c)}", "timestamp,open,high,low,close,volume", newest_first=True), pair="IBM"),
    Form("alpha-vantage", "adjusted.csv", "1d", text(lambda c: f"{c.utc:%Y-%m-%d},{ohlcv(c)},0,1", "timestamp,open,high,low,close,volume,dividend_amount,split_coefficient", newest_first=True)),
    Form("alpha-vantage-date", "renamed.csv", "1d", text(lambda c: f"{c.utc:%Y-%m-%d},{c.open},{c.high},{c.low},{c.close},9,{c.volume},0,1", "date,open,high,low,close,adjusted close,volume,dividend amount,split coefficient")),
    Form("stooq", "aapl.us.txt", "1d", text(lambda c: f"AAPL.US,D,{c.utc:%Y%m%d},000000,{ohlcv(c)},0", "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>", "\r\n")),
    Form("ninjatrader", "ES 03-24.Last.txt", "1d", text(lambda c: f"{c.utc:%Y%m%d};{ohlcv(c, ';')}")),
    Form("stooq-symbol", "old/aapl.us.txt", "1d", text(lambda c: f"{c.utc:%Y-%m-%d},{ohlcv(c)},0", "Date,Open,High,Low,Close,Volume,OpenInt")),
    Form("investing", "Bitcoin Historical Data.csv", "1d", lambda found: b"\xef\xbb\xbf" + text(lambda c: f'"{c.utc:%b %d, %Y}","{c.close:,}","{c.open:,}","{c.high:,}","{c.low:,}","{_k(c.volume, ".")}","1%"', '"Date","Price","Open","High","Low","Vol.","Change %"', newest_first=True)(found)),
    Form("investing-turkish", "Altin.csv", "1d", text(lambda c: f'"{c.utc:%d.%m.%Y}","{_comma(c.close)}","{_comma(c.open)}","{_comma(c.high)}","{_comma(c.low)}","{_k(c.volume, ",")}","1%"', '"Tarih","Şimdi","Açılış","Yüksek","Düşük","Hac.","Fark %"')),
    Form("tiingo", "GOOGL.csv", "1d", text(lambda c: f"{c.utc:%Y-%m-%d},{c.close},{c.high},{c.low},{c.open},{c.volume},1,1,1,1,1,0,1", TIINGO)),
    Form("tradingview", "BINANCE_BTCUSDT, 60.csv", "1h", text(lambda c: f"{c.at},{c.open},{c.high},{c.low},{c.close},{c.volume},1,{c.at}", "time,open,high,low,close,Volume,Plot,time"), pair="BTCUSDT"),
    Form("tradingview", "export.csv", "1h", text(lambda c: f'{c.local(NY).isoformat()},{c.open},{c.high},{c.low},{c.close},NaN,{c.volume}', 'time,open,high,low,close,"a, b",Volume')),
    Form("massive-aggregates", "2024-01-15.csv.gz", "1m", text(lambda c: f"AAPL,{c.volume},{c.open},{c.close},{c.high},{c.low},{c.at * 10**9},3", MASSIVE)),
    Form("databento-csv", "pretty.csv", "1h", text(lambda c: f"{c.utc:%Y-%m-%dT%H:%M:%S}.000000000Z,34,1,5482,{c.open:.9f},{c.high:.9f},{c.low:.9f},{c.close:.9f},{c.volume:.0f},ESH1", DATABENTO)),
    Form("databento-csv-fixed", "fixed.csv", "1h", text(lambda c: f"{c.at * 10**9},34,1,5482,{c.open * 10**9:.0f},{c.high * 10**9:.0f},{c.low * 10**9:.0f},{c.close * 10**9:.0f},{c.volume:.0f},ESH1", DATABENTO)),
    Form("databento-csv", "ns_decimal.csv", "1h", text(lambda c: f"{c.at * 10**9},34,1,5482,{c.open:.9f},{c.high:.9f},{c.low:.9f},{c.close:.9f},{c.volume:.0f},ESH1", DATABENTO)),
    Form("databento-csv-fixed", "iso_fixed.csv", "1h", text(lambda c: f"{c.utc:%Y-%m-%dT%H:%M:%S}.000000000Z,34,1,5482,{c.open * 10**9:.0f},{c.high * 10**9:.0f},{c.low * 10**9:.0f},{c.close * 10**9:.0f},{c.volume:.0f},ESH1", DATABENTO)),
    Form("databento-dbn", "bars.dbn", "1h", dbn),
    Form("freqtrade", "BTC_USDT-1h.feather", "1h", as_feather, pair="BTCUSDT"),
    Form("freqtrade", "futures/BTC_USDT_USDT-1h-futures.parquet", "1h", lambda found: as_parquet(freqtrade(found)), pair="BTCUSDTUSDT"),
    Form("freqtrade-mark", "futures/BTC_USDT_USDT-1h-mark.parquet", "1h", lambda found: as_parquet(freqtrade(found)), has_volume=False, pair="BTCUSDTUSDT"),
    Form("freqtrade-json", "ETH_USDT-1h.json", "1h", lambda found: json.dumps([[c.at * 1000, *c.values] for c in found]).encode(), pair="ETHUSDT"),
    Form("nautilus", "data/bar/ETHUSDT.BINANCE-1-HOUR-LAST-EXTERNAL/a_b.parquet", "1h", nautilus, {"stamp": "close"}, pair="ETHUSDT"),
    Form("nautilus", "old/bar/BTCUSDT.BINANCE-1-MINUTE-LAST-EXTERNAL/a_b.parquet", "1m", lambda found: nautilus(found, 8, 9, 0), {"stamp": "open"}, pair="BTCUSDT"),
    Form("nautilus", "later/bar/SOLUSDT.BINANCE-1-HOUR-LAST-EXTERNAL/a_b.parquet", "1h", lambda found: nautilus(found, typed=True), {"stamp": "close"}, pair="SOLUSDT"),
    Form("lean-equity-usa-trade-minute", "equity/usa/minute/aapl/20240115_trade.zip", "1m", lean(NY, 10_000, True), pair="AAPL"),
    Form("lean-equity-usa-trade", "equity/usa/hour/aapl.zip", "1h", lean(NY, 10_000, False), pair="AAPL"),
    Form("lean-equity-india-trade", "equity/india/daily/cccl.zip", "1d", text(lambda c: f"{c.utc:%Y%m%d} 00:00," + ",".join(f"{v * 10_000:.0f}" for v in c.values[:4]) + f",{c.volume:g}"), pair="CCCL"),
    Form("lean-forex-oanda-quote-minute", "forex/oanda/minute/eurusd/20240115_quote.zip", "1m", lean("UTC", 1, True, True), {"side": "bid"}, pair="EURUSD"),
    Form("lean-forex-oanda-quote", "forex/oanda/hour/gbpusd.zip", "1h", lean("UTC", 1, False, True), {"side": "bid"}, pair="GBPUSD"),
    Form("lean-forex-fxcm-quote-minute", "forex/fxcm/minute/eurusd/20240115_quote.zip", "1m", lean("UTC-5", 1, True, True), {"side": "bid"}, pair="EURUSD"),
    Form("lean-crypto-trade-minute", "crypto/coinbase/minute/btcusd/20240115_trade.zip", "1m", lean("UTC", 1, True), pair="BTCUSD"),
    Form("barchart", "jpyusd.csv", "1d", lambda found: text(lambda c: f"{c.utc.month}/{c.utc.day}/{c.utc.year},{c.open},{c.high},{c.low},{c.close},0.1,{c.volume:.0f}", "Time,Open,High,Low,Last,Change,Volume", "\r\n", True)(found) + b'"Downloaded from Barchart.com as of 05-05-2026 07:59am CDT"\r\n'),
    Form("quandl-wiki", "WIKI.csv", "1d", text(lambda c: f"{c.utc:%Y-%m-%d},{c.open},{c.high},{c.low},{c.close},{c.volume},0,1,1,1,1,1,1", "Date,Open,High,Low,Close,Volume,Ex-Dividend,Split Ratio,Adj. Open,Adj. High,Adj. Low,Adj. Close,Adj. Volume")),
    Form("zipline-csvdir", "csvdir/daily/AAPL.csv", "1d", text(lambda c: f"{c.utc:%Y-%m-%d},{ohlcv(c)},0,1", "date,open,high,low,close,volume,dividend,split"), pair="AAPL"),
)  # fmt: skip


def _comma(value: float) -> str:
    return f"{value:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")
