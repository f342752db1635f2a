"""Simulated provider: computes a deterministic, offline market for trying everything out.

Any minute of any pair is computed directly from hashes of pair, minute and seed, so neither the asked range nor the
pages nor the process matter. The log price is a Brownian bridge, refined by midpoint displacement from anchors about
a year apart down to the minute; bars of every timeframe are exact sums of their open minutes. Nothing but integer
hashing and the correctly rounded operations of IEEE 754 (+, -, *, /, square root) is used, never a library's `exp` or
`log`, so every machine gives the same bits. What it makes is called `simulated` wherever it goes, and `is_mock`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ffe_core.calendars import MarketCalendar
from ffe_core.errors import PermanentError
from ffe_core.instruments.currencies import STABLE
from ffe_core.instruments.model import Instrument
from ffe_core.instruments.names import AssetClass, asset_class, split_pair
from ffe_core.provider_settings import SimulatedSettings
from ffe_core.providers.base import Fetched, Page, Provider, Record
from ffe_core.providers.http import request_stats
from ffe_core.providers.paging import Pages
from ffe_core.providers.rate import pacer_of
from ffe_core.settings import Config, Settings
from ffe_core.threads import FEW, in_pool
from ffe_core.timeframes import seconds
from ffe_core.times import DAY

Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]

MINUTE = 60
UNKNOWN_PREFIX = "NOPE"
"""No pair whose name begins like this exists here, so that a permanent failure can be tried offline."""
_PAIRS = (
    "BTCUSD ETHUSD SOLUSD XRPUSD ADAUSD DOGEUSD LTCUSD LINKUSD ETHBTC BTCEUR BTCUSDT EURUSD GBPUSD USDJPY USDCHF USDCAD"
    " AUDUSD NZDUSD EURGBP EURJPY XAUUSD XAGUSD SPX500USD NAS100USD AAPL MSFT NVDA AMZN GOOGL META TSLA JPM SPY"
).split()
_PAGE_BARS = 5_000
_PAGE_MINUTES = 500_000
_CHUNK_MINUTES = 65_536


class SimulatedProvider(Provider):
    """Candles of a market that never was: any pair but NOPE..., any timeframe, any time, without a network.

    Prices and volumes are decimal text. Crypto trades always, FX, metals and indices in the FX week, everything else
    in the sessions of the New York Stock Exchange. A bar that lies in the future is computed like any other; callers
    cut at the last closed one. A small share of bars is sent broken on purpose, one bad record in place of the good.
    """

    name: ClassVar[str] = "simulated"
    is_mock: ClassVar[bool] = True
    earliest: ClassVar[str | None] = "1970-01-01"
    settle_seconds: ClassVar[int] = 0
    serves_any_name: ClassVar[bool] = True
    max_in_flight: ClassVar[int] = 8
    usual_pairs: ClassVar[tuple[str, ...]] = (
        "BTCUSD",
        "ETHUSD",
        "SOLUSD",
        "EURUSD",
        "GBPUSD",
        "USDJPY",
        "XAUUSD",
        "AAPL",
        "MSFT",
    )
    volume_unit: ClassVar[str | None] = "base units"
    """Coins, units of the base currency, ounces or shares: whatever the pair's base counts."""

    def __init__(self, credentials: Mapping[str, Any] | None = None, config: Config | Settings | None = None) -> None:
        """`credentials` are this provider's own settings, as SimulatedSettings has them; there is nothing to prove."""
        super().__init__(config, credentials)
        self._own = self.settings.section(self.name, SimulatedSettings)

    @property
    def requests_per_second(self) -> float | None:
        """None unless set: there is nobody to spare."""
        return self._own.requests_per_second

    def check(self, pair: str, timeframe: str) -> None:
        """Raise PermanentError for a pair named NOPE..., which is the one kind that does not exist here."""
        super().check(pair, timeframe)
        if pair.startswith(UNKNOWN_PREFIX):
            raise PermanentError(
                f"{self.name} has no pair {pair}: names that begin with {UNKNOWN_PREFIX} are kept for trying failures;"
                " use any other, for example BTCUSD"
            )

    def pages(self, pair: str, timeframe: str, start: int, end: int) -> Sequence[Page]:
        """Windows of at most 5,000 bars and 500,000 minutes, whichever is less."""
        return self.gap_pages(pair, timeframe, [(start, end)] if start < end else [])

    def gap_pages(self, pair: str, timeframe: str, gaps: Sequence[tuple[int, int]]) -> Sequence[Page]:
        step = seconds(timeframe)
        # Cut where asked, not on the UTC grid: an hourly share bar opens on the half hour.
        return Pages(gaps, step * min(_PAGE_BARS, _PAGE_MINUTES * MINUTE // step))

    async def fetch(self, pair: str, timeframe: str, page: Page) -> Fetched:
        """The bars that open in the page. PermanentError for a pair that does not exist.

        `covers_from` is the first instant the pair's calendar knows (1970 except for crypto), when that comes later.
        """
        self.check(pair, timeframe)
        if self.requests_per_second is not None:
            await pacer_of(self.settings, self.name, "", self.requests_per_second).wait()
        if (counter := request_stats.get()) is not None:
            counter.requests += 1
        await asyncio.sleep(self._own.latency_seconds)
        # A daily page is half a million minutes of arithmetic, most of it outside the interpreter lock.
        return await in_pool(FEW, self._answer, pair, timeframe, page)

    async def catalogue(self) -> list[Instrument]:
        """Well-known names; any other pair is offered just the same."""
        return [_listed(pair) for pair in _PAIRS]

    def _answer(self, pair: str, timeframe: str, page: Page) -> Fetched:
        calendar = self.settings.calendars.market_of(self.name, pair)
        known = calendar.horizon[0]
        start = page.start if known is None else max(page.start, known)
        open_times = calendar.expected_open_times(timeframe, start, page.end)
        market = market_of(pair, self._own.seed)
        records: list[Record] = []
        for part in _chunks(open_times, seconds(timeframe)):
            records += self._records(market, calendar, timeframe, part)
        return Fetched(records, covers_from=start if start > page.start else None)

    def _records(self, market: Market, calendar: MarketCalendar, timeframe: str, open_times: Ints) -> list[Record]:
        records = market.bars(calendar, open_times, seconds(timeframe)).records(market)
        bits = _hash(_key(self._own.seed, market.pair, f"broken/{timeframe}"), open_times // MINUTE)
        for at in np.flatnonzero(_uniform(bits) < self._own.broken_records).tolist():
            # The low bits had no part in the choice of the bar.
            records[at] = BREAKERS[int(bits[at] & np.uint64(0x7FF)) % len(BREAKERS)](records[at])
        return records


def _chunks(open_times: Ints, step: int) -> Iterator[Ints]:
    """The bars in runs short enough that their minutes stay within a processor's cache."""
    size = _CHUNK_MINUTES * MINUTE // step
    return (open_times[at : at + size] for at in range(0, len(open_times), size))


# --- Records broken on purpose: each way fails validation, whatever the good bar was

BREAKERS: tuple[Callable[[Record], Record], ...] = (
    lambda good: {**good, "high": _times(good["low"], "0.9")},  # high below low
    lambda good: {**good, "open": _times(good["high"], "1.1")},  # open above high
    lambda good: {**good, "close": _times(good["low"], "0.9")},  # close below low
    lambda good: {**good, "low": "-" + good["low"]},  # negative price
    lambda good: {**good, "close": None},  # null
    lambda good: {**good, "open": "n/a"},  # text
    lambda good: {field: value for field, value in good.items() if field != "close"},  # missing field
    lambda good: {**good, "high": "NaN"},  # not a number
    lambda good: {**good, "high": "Infinity"},  # not finite
    lambda good: {**good, "volume": "-" + good["volume"]},  # negative volume
)
"""What each kind of broken record is made of a good one; `date` is never touched."""


def _times(price: str, factor: str) -> str:
    return f"{Decimal(price) * Decimal(factor):f}"


# --- Bars

_CLOCK = tuple(f"T{minute // 60:02}:{minute % 60:02}:00+00:00" for minute in range(DAY // MINUTE))
_POSITIONAL = 6
"""Arrow writes 5E-8 for decimals smaller than this many places."""


class Bars(NamedTuple):
    """Columns of equal length: opens in epoch seconds, prices in ticks, volumes in lots (see Market)."""

    open_times: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints

    def into(self, open_times: Ints) -> Bars:
        """These bars gathered into longer ones; every longer bar holds at least one of them."""
        first = np.searchsorted(self.open_times, open_times)
        last = np.append(first[1:], len(self.open_times)) - 1
        high, low = np.maximum.reduceat(self.high, first), np.minimum.reduceat(self.low, first)
        return Bars(open_times, self.open[first], high, low, self.close[last], np.add.reduceat(self.volume, first))

    def records(self, market: Market) -> list[Record]:
        """One dict per bar, as a provider would send it."""
        prices = (_texts(column, market.decimals) for column in self[1:5])
        volumes = _texts(self.volume * market.micro_lot, 6) if market.micro_lot else _texts(self.volume, 0)
        return [
            {"date": date, "open": open_, "high": high, "low": low, "close": close, "volume": volume}
            for date, open_, high, low, close, volume in zip(_dates(self.open_times), *prices, volumes, strict=True)
        ]


def _dates(open_times: Ints) -> list[str]:
    """ISO 8601 texts such as 2024-01-31T12:00:00+00:00, of opens on the minute."""
    days, rest = np.divmod(open_times, DAY)
    first, last = int(days[0]), int(days[-1])
    names = np.datetime_as_string(np.arange(first, last + 1).astype("datetime64[D]")).tolist()
    return [
        names[day] + _CLOCK[minute]
        for day, minute in zip((days - first).tolist(), (rest // MINUTE).tolist(), strict=True)
    ]


def _texts(numbers: Ints, decimals: int) -> list[str]:
    """Decimal texts of integers that count 10**-decimals."""
    if decimals > _POSITIONAL:
        return [f"{number / 10**decimals:.{decimals}f}" for number in numbers.tolist()]
    wide = pa.array(numbers).cast(pa.decimal128(19, 0))
    shifted = pa.Array.from_buffers(pa.decimal128(19, decimals), len(wide), wide.buffers())
    texts: list[str] = shifted.cast(pa.string()).to_pylist()
    return texts


# --- The market

_TOP = 19
"""Anchors lie 2**19 minutes apart, 364 days."""
_MOODY = 12
"""Over spans up to 2**12 minutes, three days, displacements follow the mood of the hour."""
_YEAR_MINUTES = 525_600


class _Character(NamedTuple):
    """How a kind of market behaves; `busy` gives the weight of each UTC hour, 0 to 23."""

    volatility: float  # of the log price, a year
    dollars_a_minute: float
    busy: tuple[int, ...]


_ALL_DAY = (8, 8, 8, 8, 7, 7, 7, 8, 9, 9, 9, 9, 10, 13, 15, 15, 14, 12, 11, 11, 10, 9, 9, 8)
_LONDON_AND_NEW_YORK = (6, 6, 6, 6, 5, 6, 8, 14, 15, 14, 12, 11, 15, 18, 19, 18, 14, 10, 8, 7, 6, 4, 4, 5)
_SESSION = (5, 5, 5, 5, 5, 5, 5, 5, 6, 6, 6, 7, 9, 20, 18, 13, 11, 10, 10, 12, 18, 9, 5, 5)
_CHARACTERS: dict[AssetClass, _Character] = {
    "crypto": _Character(0.60, 2e5, _ALL_DAY),
    "fx": _Character(0.08, 5e6, _LONDON_AND_NEW_YORK),
    "metal": _Character(0.16, 5e6, _LONDON_AND_NEW_YORK),
    "index": _Character(0.18, 5e6, _LONDON_AND_NEW_YORK),
    "equity": _Character(0.28, 2e7, _SESSION),
}
_STABLE_VOLATILITY = 0.005


def _table(text: str) -> dict[str, float]:
    words = text.split()
    return dict(zip(words[::2], map(float, words[1::2]), strict=True))


_DOLLARS = _table(
    "USD 1  USDT 1  USDC 1  DAI 1  PYUSD 1  EUR 1.1  GBP 1.27  AUD 0.66  NZD 0.61"
    " XAU 2000  XAG 25  XPT 950  XPD 1000  XCU 3.9"
    " WTICO 78  BCO 82  NATGAS 2.6  CORN 4.5  SOYBN 12  SUGAR 0.2  WHEAT 6"
    " SPX500 5000  NAS100 18000  US30 39000  US2000 2000  UK100 9900  DE30 19500  EU50 5300  JP225 250"
    " BTC 43000  ETH 2400  SOL 100  LTC 75  BCH 250  XRP 0.6  ADA 0.5  DOGE 0.1  DOT 7  AVAX 35  LINK 15  UNI 7"
    " MATIC 0.8  POL 0.5  XLM 0.12  ATOM 10  AAVE 100  NEAR 4  FIL 6  ETC 25  ALGO 0.2  SHIB 0.00002  TRX 0.1  BNB 400"
    " AAPL 200  MSFT 400  NVDA 120  AMZN 180  GOOGL 160  META 500  TSLA 220  JPM 200  SPY 500  IBM 180"
)
_TO_THE_DOLLAR = _table(
    "JPY 150  CHF 0.88  CAD 1.35  SEK 10.4  NOK 10.5  DKK 6.8  PLN 4  CZK 23  HUF 355  TRY 32  ZAR 18.5  MXN 17"
    " SGD 1.34  HKD 7.8  CNH 7.2  CNY 7.2  INR 83  THB 35.5  KRW 1330  BRL 5  ILS 3.7  RUB 92  RON 4.5  AED 3.67"
    " SAR 3.75  PHP 56  IDR 15700  MYR 4.7  TWD 31.5  CLP 950  COP 3900"
)


class _Moods(NamedTuple):
    """How lively a market is, hour by hour, about 1; `values` begin at hour `first` of the epoch."""

    first: int
    values: Floats

    def at(self, minutes: Ints) -> Floats:
        """The mood of the hour of each minute of the epoch."""
        return self.values[minutes // 60 - self.first]


@dataclass(frozen=True, slots=True)
class Market:
    """One pair's market. A tick is 10**-decimals; a lot is 1/64 of a base unit (`micro_lot` millionths) or one unit.

    64ths, so that volumes are exact as floats too and a bar's volume is the sum of its minutes' in any order.
    """

    pair: str
    seed: int
    level: float
    decimals: int
    micro_lot: int
    lots_a_minute: float
    volatility: float
    busy: tuple[int, ...]

    def bars(self, calendar: MarketCalendar, open_times: Ints, step: int) -> Bars:
        """The bars that open at `open_times` (ascending, not empty) and last `step` seconds, of their open minutes."""
        start, end = int(open_times[0]), int(open_times[-1]) + step
        every = self.minutes(start // MINUTE, (end - start) // MINUTE)
        wanted = calendar.expected_open_times("1m", start, end)
        if len(wanted) < len(every.open_times):
            every = Bars(*(column[(wanted - start) // MINUTE] for column in every))
        return every if step == MINUTE else every.into(open_times)

    def minutes(self, first: int, count: int) -> Bars:
        """`count` one-minute bars from minute `first` of the epoch, whether the market is open or not.

        Each closes where the next opens. Prices stay positive: the displacements are bounded, and fall short of
        exp(-5) together, while no level lies below a thousand ticks.
        """
        index = np.arange(first, first + count)
        # The midpoints asked for hang on others, a span outside at most.
        moods = self._moods((first - 2**_MOODY) // 60, (first + count + 2**_MOODY) // 60)
        mood = moods.at(index)
        logs = self._log_prices(first, first + count, moods)
        ticks = np.rint(_exp(logs) * (self.level * 10**self.decimals)).astype(np.int64)
        open_, close = ticks[:-1], ticks[1:]
        bits = _hash(_key(self.seed, self.pair, "minute"), index)
        reach = mood * open_ * (self.volatility / math.sqrt(_YEAR_MINUTES))
        high = np.maximum(open_, close) + _share(reach, bits & np.uint64(0xFFFF))
        low = np.minimum(open_, close) - _share(reach, bits >> np.uint64(16) & np.uint64(0xFFFF))
        volume = 1 + _share(mood * (self.lots_a_minute * 3), bits >> np.uint64(48))
        return Bars(index * MINUTE, open_, high, low, close, volume)

    def _log_prices(self, first: int, last: int, moods: _Moods) -> Floats:
        """(last - first + 1) log prices over the level, at the minutes from `first` to `last`.

        Each pass halves the spacing and displaces the midpoints (Fournier, Fussell and Carpenter 1982); only the
        points that the asked minutes hang on are kept, so a range costs what it holds, wherever it lies.
        """
        left, right = first >> _TOP, -(-last >> _TOP)
        points = self._anchors(left, right)
        for level in reversed(range(_TOP)):
            middles = np.arange(2 * left + 1, 2 * right, 2)
            finer = np.empty(2 * len(points) - 1)
            finer[::2] = points
            finer[1::2] = (points[:-1] + points[1:]) * 0.5 + self._displacements(level, middles, moods)
            origin, left, right = 2 * left, first >> level, -(-last >> level)
            points = finer[left - origin : right - origin + 1]
        return points

    def _anchors(self, left: int, right: int) -> Floats:
        bits = _hash(_key(self.seed, self.pair, "anchor"), np.arange(left, right + 1))
        return (_uniform(bits) * 2 - 1) * self.volatility

    def _displacements(self, level: int, middles: Ints, moods: _Moods) -> Floats:
        """What a Brownian bridge of span 2**(level + 1) minutes does at its middle, more in a lively hour."""
        spread = self.volatility * math.sqrt(2**level / 2 / _YEAR_MINUTES)
        moved = _bell(_hash(_key(self.seed, self.pair, f"level {level}"), middles))
        moved *= spread
        if level < _MOODY:
            moved *= moods.at(middles << level)
        return moved

    def _moods(self, first: int, last: int) -> _Moods:
        """The hours of the epoch from `first` to `last`: lively by the clock, for some days, for some hours.

        Calm and excitement outlast the hour, which is what clusters of volatility are.
        """
        hours = np.arange(first, last + 1)
        clock = (np.array(self.busy) * (len(self.busy) / sum(self.busy)))[hours % 24]
        days = _smooth(_key(self.seed, self.pair, "days"), hours, 72)
        few = _smooth(_key(self.seed, self.pair, "hours"), hours, 5)
        return _Moods(first, clock * (0.4 + 1.2 * days) * (0.6 + 0.8 * few))


@lru_cache(maxsize=1024)
def market_of(pair: str, seed: int) -> Market:
    """The market of a stored pair: its level, its precision and its temper."""
    kind, (base, quote) = asset_class(pair), split_pair(pair) or (pair, "USD")
    character, stable = _CHARACTERS[kind], base in STABLE
    dollars = _dollars(base, kind)
    level = dollars / _dollars(quote, kind)
    fewest, ticks = (3, 100_000) if kind == "fx" or stable else (2, 1_000)
    decimals = next(places for places in range(fewest, 19) if level * 10**places >= ticks)
    micro_lot = 1_000_000 // 64 if kind == "crypto" and dollars >= 1 else 0
    lots = character.dollars_a_minute / dollars * (64 if micro_lot else 1)
    volatility = _STABLE_VOLATILITY if stable else character.volatility
    return Market(pair, seed, level, decimals, micro_lot, lots, volatility, character.busy)


def _listed(pair: str) -> Instrument:
    base, quote = split_pair(pair) or (None, None)
    kind = asset_class(pair)
    decimals = market_of(pair, 0).decimals
    unit = SimulatedProvider.volume_unit
    return Instrument("simulated", pair, pair, kind, "", base, quote, decimals=decimals, volume_unit=unit)


def _dollars(what: str, kind: AssetClass) -> float:
    """What one unit is worth in dollars, roughly: by the tables, else by its name."""
    if what in _TO_THE_DOLLAR:
        return 1 / _TO_THE_DOLLAR[what]
    if what in _DOLLARS:
        return _DOLLARS[what]
    luck = _key(0, what, "worth")
    return 20.0 + luck % 480 if kind == "equity" else (100 + luck % 900) / (1, 10, 100, 1000)[luck // 900 % 4]


# --- Numbers out of hashes


@lru_cache(maxsize=65_536)
def _key(seed: int, pair: str, purpose: str) -> int:
    """64 bits for one use of randomness; unlike `hash`, the same in every process."""
    return int.from_bytes(blake2b(f"{seed}/{pair}/{purpose}".encode(), digest_size=8).digest(), "big")


def _hash(key: int, index: Ints) -> Bits:
    """64 bits for each index, by the finalizer of SplitMix64 (Steele, Lea and Flood 2014)."""
    bits = index.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bits += np.uint64(key)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return bits


def _uniform(bits: Bits) -> Floats:
    """Floats in [0, 1)."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _bell(bits: Bits) -> Floats:
    """About normal, mean 0 and variance 1, never beyond 3.47: the sum of the four 16-bit numbers in each hash."""
    halves = np.uint64(0x0000FFFF0000FFFF)
    sums = (bits & halves) + (bits >> np.uint64(16) & halves)
    totals = (sums & np.uint64(0xFFFFFFFF)) + (sums >> np.uint64(32))
    values = totals.astype(np.float64)
    values -= 2 * 65_535
    values *= 1 / math.sqrt((2**32 - 1) / 3)
    return values


def _share(most: Floats, bits: Bits) -> Ints:
    """Whole numbers below `most` (or 0), a third of it on average; `bits` hold 16 bits each."""
    part = bits * 2.0**-16
    part *= part
    part *= most
    return part.astype(np.int64)


def _smooth(key: int, hours: Ints, spacing: int) -> Floats:
    """Hashed values in [0, 1) every `spacing` hours, joined by straight lines."""
    cells, offsets = np.divmod(hours, spacing)
    first = int(cells[0])
    values = _uniform(_hash(key, np.arange(first, int(cells[-1]) + 2)))
    before, after = values[cells - first], values[cells - first + 1]
    joined: Floats = before + (after - before) * (offsets / spacing)
    return joined


def _exp(numbers: Floats) -> Floats:
    """(1 + x/256)**256, close to exp(x); libraries round their exp each in its own way, products all alike."""
    power = 1 + numbers / 256
    for _ in range(8):
        power *= power
    return power
