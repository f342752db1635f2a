"""Tests that the simulated market is the same everywhere, exact across timeframes, and open when it should be."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
import re
import subprocess
import sys
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.calendars import calendar_for
from ffe_core.errors import InputError, PermanentError
from ffe_core.instruments.currencies import COINS, METALS, STABLE, STATES
from ffe_core.instruments.names import asset_class, normalize_pair
from ffe_core.providers import simulated
from ffe_core.providers.base import Page, Record
from ffe_core.providers.http import RequestStats, request_stats
from ffe_core.providers.simulated import BREAKERS, SimulatedProvider, market_of
from ffe_core.timeframes import TIMEFRAMES
from ffe_core.times import DAY, iso, parse_instant
from tests.pace import examples

PRICES = ("open", "high", "low", "close")
OF_EVERY_CLASS = ("BTCUSD", "SHIBUSD", "USDCUSD", "EURUSD", "USDJPY", "XAUUSD", "SPX500USD", "AAPL", "QWERTY")
# Weeks in which New York or London changes its clocks, Christmas, Thanksgiving with its half day, and a plain one.
WEEKS = ("2024-03-06", "2024-03-27", "2024-10-31", "2023-11-02", "2023-12-20", "2023-11-22", "2021-06-16", "1985-04-25")


def market(seed: int = 0, broken: float = 0.0) -> SimulatedProvider:
    return SimulatedProvider({"seed": seed, "broken_records": broken})


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def fetched(provider: SimulatedProvider, pair: str, timeframe: str, start: int, end: int) -> list[Record]:
    """The range through the provider's own pages, in their order."""

    async def pages() -> list[Record]:
        records: list[Record] = []
        for page in provider.pages(pair, timeframe, start, end):
            records += (await provider.fetch(pair, timeframe, page)).records
        return records

    return asyncio.run(pages())


def open_times(records: list[Record]) -> list[int]:
    return [parse_instant(record["date"]) for record in records]


def is_good(record: Record) -> bool:
    """The rules a stored candle keeps, written down once more and without the core's help."""
    try:
        open_, high, low, close, volume = (float(record[field]) for field in (*PRICES, "volume"))
    except (KeyError, TypeError, ValueError):
        return False
    if not all(map(math.isfinite, (open_, high, low, close, volume))):
        return False
    return 0 < low <= min(open_, close) and max(open_, close) <= high and volume >= 0


weeks = st.sampled_from(WEEKS).map(at)
pairs = st.sampled_from(OF_EVERY_CLASS)
timeframes = st.sampled_from(list(TIMEFRAMES))


# --- The same everywhere


@pytest.mark.parametrize(
    ("pair", "timeframe", "start", "values"),
    [
        ("BTCUSD", "1m", "2024-01-01T12:34", "63577.66 63578.89 63532.22 63533.59 18.828125"),
        ("EURUSD", "1h", "2024-03-10T22:00", "1.09758 1.09779 1.09724 1.09737 128486909"),
        ("AAPL", "1d", "2000-09-29T00:00", "194.63 200.36 193.65 200.00 67819718"),
        ("DOGEBTC", "4h", "1969-12-31T20:00", "0.000001621 0.000001637 0.000001606 0.000001624 620121199"),
        ("XAUUSD", "15m", "2037-06-01T08:45", "1876.07 1882.63 1875.72 1877.84 133723"),
    ],
)
def test_values_never_change(pair: str, timeframe: str, start: str, values: str) -> None:
    """Golden values: another machine, another numpy or a better formula must not move a digit."""
    [record] = fetched(market(), pair, timeframe, at(start), at(start) + TIMEFRAMES[timeframe])
    assert " ".join(record.values()) == f"{start}:00+00:00 {values}"


DIGEST = """
import asyncio, hashlib, json
from ffe_core.providers.base import Page
from ffe_core.providers.simulated import SimulatedProvider
provider = SimulatedProvider(config={"simulated": {"seed": 7, "broken_records": 0.2}})
page = Page(1709510400, 1709510400 + 864000)
records = [asyncio.run(provider.fetch(pair, "15m", page)).records for pair in ("BTCUSD", "EURUSD", "AAPL")]
print(hashlib.sha256(json.dumps(records).encode()).hexdigest())
"""


@pytest.mark.slow
def test_every_process_computes_the_same() -> None:
    root = Path(__file__).parents[2]
    digests = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run(
            [sys.executable, "-c", DIGEST], cwd=root, env=environment, capture_output=True, text=True, check=True
        )
        digests.add(run.stdout.strip())
    page = Page(1709510400, 1709510400 + 864000)
    here = [asyncio.run(market(7, 0.2).fetch(pair, "15m", page)).records for pair in ("BTCUSD", "EURUSD", "AAPL")]
    assert digests == {hashlib.sha256(json.dumps(here).encode()).hexdigest()}


@settings(deadline=None, max_examples=examples(25))
@given(pairs, timeframes, weeks, st.lists(st.integers(1, 10 * 96), max_size=5), st.integers(0, 3))
def test_neither_the_asked_range_nor_the_pages_matter(
    pair: str, timeframe: str, start: int, cuts: list[int], seed: int
) -> None:
    """Cut anywhere on the quarter-hour grid, breakage included."""
    provider, end = market(seed, 0.1), start + 10 * DAY
    edges = sorted({start, end, *(start + cut * 900 for cut in cuts)})
    parts = [asyncio.run(provider.fetch(pair, timeframe, Page(a, b))).records for a, b in pairwise(edges)]
    assert [record for part in parts for record in part] == fetched(provider, pair, timeframe, start, end)


def test_pages_cover_the_range_once_and_stay_within_bounds() -> None:
    for timeframe, step in TIMEFRAMES.items():
        start, end = at("2010-01-01"), at("2024-01-01")
        pages = market().pages("BTCUSD", timeframe, start, end)
        assert (pages[0].start, pages[-1].end) == (start, end)
        assert all(one.end == other.start for one, other in pairwise(pages))
        assert max(page.end - page.start for page in pages) <= min(5_000 * step, 500_000 * 60)


def test_seeds_and_pairs_are_different_markets() -> None:
    day = at("2024-03-06")
    hour = {
        (pair, seed): json.dumps(fetched(market(seed), pair, "1h", day, day + DAY))
        for pair in ("ETHUSD", "ETHUSDT", "ETHEUR")
        for seed in (0, 1, 2)
    }
    assert len(set(hour.values())) == len(hour)


# --- Exact across timeframes


def merged(minutes: list[Record]) -> dict[str, float]:
    """One bar out of its minutes, as floats: plain addition, in order."""
    volume = 0.0
    for minute in minutes:
        volume += float(minute["volume"])
    return {
        "open": float(minutes[0]["open"]),
        "high": max(float(minute["high"]) for minute in minutes),
        "low": min(float(minute["low"]) for minute in minutes),
        "close": float(minutes[-1]["close"]),
        "volume": volume,
    }


@settings(deadline=None, max_examples=examples(60))
@given(pairs, timeframes, weeks, st.integers(0, 5), st.integers(0, 3))
def test_a_bar_is_exactly_its_minutes(pair: str, timeframe: str, week: int, offset: int, seed: int) -> None:
    """Bit for bit in float64, over clock changes, holidays and weekends; every open minute is in exactly one bar."""
    provider, step = market(seed), TIMEFRAMES[timeframe]
    start, end = week + offset * DAY, week + (offset + 3) * DAY
    bars, minutes = (fetched(provider, pair, name, start, end) for name in (timeframe, "1m"))
    starts = open_times(bars)
    gathered: dict[int, list[Record]] = {open_: [] for open_ in starts}
    for minute in minutes:
        open_ = starts[bisect_right(starts, parse_instant(minute["date"])) - 1]
        assert 0 <= parse_instant(minute["date"]) - open_ < step
        gathered[open_].append(minute)
    got = [{field: float(bar[field]) for field in (*PRICES, "volume")} for bar in bars]
    assert got == [merged(gathered[open_]) for open_ in starts]


def test_a_year_of_days_is_exactly_its_hours() -> None:
    """Daily pages are computed in chunks; no seam shows."""
    start, end = at("2023-01-01"), at("2024-03-01")
    days, hours = (fetched(market(), "BTCUSD", name, start, end) for name in ("1d", "1h"))
    assert [merged(hours[at_ : at_ + 24]) for at_ in range(0, len(hours), 24)] == [
        {field: float(day[field]) for field in (*PRICES, "volume")} for day in days
    ]


def test_each_minute_opens_where_the_last_one_closed() -> None:
    start = at("2024-01-01")
    minutes = fetched(market(), "BTCUSD", "1m", start, start + DAY)
    assert all(one["close"] == other["open"] for one, other in pairwise(minutes))
    assert len({minute["close"] for minute in minutes}) > 1000


# --- Open when the market is


@settings(deadline=None, max_examples=examples(60))
@given(pairs, timeframes, weeks, st.floats(0, 1))
def test_bars_open_where_the_calendar_says(pair: str, timeframe: str, start: int, broken: float) -> None:
    """Each expected bar once, in order, whether sent whole or broken."""
    end = start + 10 * DAY
    expected = calendar_for("simulated", pair).expected_open_times(timeframe, start, end).tolist()
    assert open_times(fetched(market(broken=broken), pair, timeframe, start, end)) == expected
    assert expected == sorted(set(expected))


@pytest.mark.parametrize(
    ("pair", "first", "last", "count"),
    [
        # Friday to Monday, 5 to 8 January 2024; 17:00 New York is 22:00 UTC.
        ("EURUSD", "2024-01-05T21:59", "2024-01-07T22:00", 22 * 60 + 2 * 60 + 24 * 60),
        ("XAUUSD", "2024-01-05T21:59", "2024-01-07T22:00", 22 * 60 + 2 * 60 + 24 * 60),
        ("AAPL", "2024-01-05T20:59", "2024-01-08T14:30", 390 + 390),
        ("BTCUSD", "2024-01-06T23:59", "2024-01-07T00:00", 4 * 24 * 60),
    ],
)
def test_weekends(pair: str, first: str, last: str, count: int) -> None:
    minutes = open_times(fetched(market(), pair, "1m", at("2024-01-05"), at("2024-01-09")))
    assert len(minutes) == count
    assert at(last) in minutes
    assert minutes[minutes.index(at(last)) - 1] == at(first)


def test_calendar_overrides_and_holidays_are_heeded() -> None:
    """The calendar that judges coverage is the one that makes the bars."""
    overridden = SimulatedProvider(config={"calendars": {"overrides": {"simulated/BTCUSD": "fx"}, "fx_holidays": []}})
    assert not fetched(overridden, "BTCUSD", "1h", at("2024-01-06"), at("2024-01-07"))
    assert len(fetched(overridden, "EURUSD", "1h", at("2023-12-25"), at("2023-12-26"))) == 24
    assert len(fetched(market(), "EURUSD", "1h", at("2023-12-25"), at("2023-12-26"))) == 2


async def test_what_lies_before_the_calendar_is_said_not_to_be_covered() -> None:
    page = Page(at("1969-12-01"), at("1970-01-10"))
    euro = await market().fetch("EURUSD", "1d", page)
    assert euro.covers_from == 0
    assert min(open_times(euro.records)) >= 0
    bitcoin = await market().fetch("BTCUSD", "1d", page)
    assert bitcoin.covers_from is None
    assert bitcoin.records[0]["date"] == "1969-12-01T00:00:00+00:00"


# --- Sensible values


@settings(deadline=None, max_examples=examples(80))
@given(
    st.from_regex(r"[A-Z]{1,6}", fullmatch=True).filter(lambda name: not name.startswith("NOPE")),
    st.sampled_from(["", "USD", "EUR", "JPY", "BTC", "USDT", "IDR"]),
    timeframes,
    st.integers(at("1971-01-01") // DAY, at("2025-01-01") // DAY),
)
def test_any_pair_gives_valid_candles_as_text(base: str, quote: str, timeframe: str, day: int) -> None:
    pair = normalize_pair(base + quote)
    records = fetched(market(), pair, timeframe, day * DAY, (day + 4) * DAY)
    assert records
    assert all(map(is_good, records))
    places = {len(record[field].partition(".")[2]) for record in records for field in PRICES}
    assert len(places) == 1
    assert all(re.fullmatch(r"\d+(\.\d+)?", record[field]) for record in records for field in (*PRICES, "volume"))
    assert all(list(record) == ["date", *PRICES, "volume"] for record in records)
    assert all(iso(parse_instant(record["date"])) == record["date"] for record in records)


@pytest.mark.parametrize(
    ("pair", "lowest", "highest", "places"),
    [
        ("BTCUSD", 10_000, 200_000, 2),
        ("EURUSD", 0.8, 1.5, 5),
        ("USDJPY", 100, 220, 3),
        ("AAPL", 70, 600, 2),
        ("XAUUSD", 1_200, 3_500, 2),
        ("USDTUSD", 0.97, 1.03, 5),
    ],
)
def test_levels_are_sensible_for_a_decade(pair: str, lowest: float, highest: float, places: int) -> None:
    days = fetched(market(), pair, "1d", at("2014-01-01"), at("2024-01-01"))
    closes = [float(day["close"]) for day in days]
    assert lowest < min(closes) < max(closes) < highest
    assert len(days[0]["close"].partition(".")[2]) == places
    moves = [math.log(other / one) for one, other in pairwise(closes)]
    assert 0.5 < math.sqrt(sum(move**2 for move in moves) / 10) / market_of(pair, 0).volatility < 2


@pytest.mark.parametrize("pair", OF_EVERY_CLASS)
def test_no_luck_however_bad_makes_a_price_zero(pair: str) -> None:
    """Every hash at its worst: anchors and displacements together stay above exp(-5) of the level."""
    chosen = market_of(pair, 0)
    mood = max(chosen.busy) * len(chosen.busy) / sum(chosen.busy) * 1.6 * 1.4
    bell = abs(float(simulated._bell(np.array([0], dtype=np.uint64))[0]))
    worst = chosen.volatility + sum(
        bell * chosen.volatility * math.sqrt(2**level / 2 / 525_600) * (mood if level < simulated._MOODY else 1)
        for level in range(simulated._TOP)
    )
    assert worst < 5
    assert simulated._exp(np.array([-worst]))[0] * chosen.level * 10**chosen.decimals > 5


def test_volume_follows_the_clock_and_volatility_clusters() -> None:
    """London's afternoon is livelier than Tokyo's, and lively days come together."""
    hours = fetched(market(), "EURUSD", "1h", at("2020-01-01"), at("2024-01-01"))
    busy, quiet = (sum(float(hour["volume"]) for hour in hours if f"T{at_}:" in hour["date"]) for at_ in ("14", "03"))
    assert busy > 2 * quiet > 0
    days = fetched(market(), "BTCUSD", "1d", at("2020-01-01"), at("2024-01-01"))
    ranges = [float(day["high"]) / float(day["low"]) - 1 for day in days]
    mean = sum(ranges) / len(ranges)
    together = sum((one - mean) * (other - mean) for one, other in pairwise(ranges))
    assert together / sum((one - mean) ** 2 for one in ranges) > 0.2


def test_every_known_currency_has_a_worth_of_its_own() -> None:
    """A coin without one would get a price by its name's hash, and USD pairs would look absurd."""
    levels = {
        base: market_of(f"{base}{'EUR' if base == 'USD' else 'USD'}", 0).level for base in STATES | METALS | COINS
    }
    assert all(1e-6 < level < 1e5 for level in levels.values())
    assert market_of("EURJPY", 0).level == pytest.approx(165)
    assert market_of("BTCUSDT", 0).level == market_of("BTCUSD", 0).level
    assert all(market_of(f"{coin}USD", 0).level == 1.0 for coin in STABLE)


# --- Broken records


def test_broken_records_come_at_about_the_rate_and_replace_the_good_ones() -> None:
    start, end = at("2024-01-01"), at("2024-03-01")
    whole, partly = (fetched(market(broken=rate), "BTCUSD", "1m", start, end) for rate in (0.0, 0.05))
    assert all(map(is_good, whole))
    broken = sum(not is_good(record) for record in partly)
    assert 0.045 < broken / len(partly) < 0.055
    assert all(sent == good for good, sent in zip(whole, partly, strict=True) if is_good(sent))
    assert open_times(partly) == open_times(whole)


def test_the_default_rate_is_small_and_can_be_switched_off() -> None:
    start, end = at("2024-01-01"), at("2024-04-01")
    records = fetched(SimulatedProvider(), "BTCUSD", "1m", start, end)
    assert 20 < sum(not is_good(record) for record in records) < 150


def kind_of(good: Record, record: Record) -> str:
    """Which of the kinds of breakage this is, by what differs."""
    (field,) = {name for name in good if record.get(name, "missing") != good[name]}
    value: Any = record.get(field, "missing")
    if value in ("missing", "n/a", "NaN", "Infinity", None):
        return str(value)
    return f"{field} {'negative' if float(value) < 0 else 'outside'}"


@pytest.mark.parametrize("pair", OF_EVERY_CLASS)
def test_every_kind_breaks_every_bar_it_meets_and_only_it(pair: str) -> None:
    start, end = at("2024-01-08"), at("2024-02-03")
    whole, all_broken = (fetched(market(broken=rate), pair, "5m", start, end) for rate in (0.0, 1.0))
    assert not any(map(is_good, all_broken))
    kinds = {kind_of(good, record) for good, record in zip(whole, all_broken, strict=True)}
    assert kinds == {
        *("high outside", "open outside", "close outside", "low negative", "volume negative"),
        *("missing", "n/a", "NaN", "Infinity", "None"),
    }
    assert len(kinds) == len(BREAKERS)


def test_breakage_belongs_to_one_timeframe() -> None:
    """A broken minute leaves its hour whole, and the other way round."""
    start, end = at("2024-01-01"), at("2024-02-01")
    broken = [
        {open_ for open_, record in zip(open_times(records), records, strict=True) if not is_good(record)}
        for records in (fetched(market(broken=0.3), "BTCUSD", name, start, end) for name in ("1h", "1m"))
    ]
    assert broken[0] - broken[1]
    assert broken[0] & broken[1]


# --- What a provider owes


async def test_a_pair_named_nope_does_not_exist() -> None:
    provider = market()
    with pytest.raises(PermanentError, match=r"simulated has no pair NOPEUSD.*BTCUSD"):
        provider.check("NOPEUSD", "1h")
    with pytest.raises(PermanentError, match="NOPE"):
        await provider.fetch("NOPE", "1h", Page(0, 3600))
    for pair in ("XNOPE", "NOP", *OF_EVERY_CLASS):
        provider.check(pair, "1d")
    with pytest.raises(InputError, match="timeframe"):
        provider.check("BTCUSD", "2h")


async def test_listed_pairs_are_stored_names_of_every_class() -> None:
    listed = [instrument.name for instrument in await market().catalogue()]
    assert {"BTCUSD", "ETHUSD", "SOLUSD", "EURUSD", "GBPUSD", "USDJPY", "XAUUSD", "AAPL", "MSFT"} <= set(listed)
    assert [normalize_pair(pair) for pair in listed] == listed
    assert len(set(listed)) == len(listed)
    assert {asset_class(pair) for pair in listed} == {"crypto", "fx", "metal", "index", "equity"}


async def test_it_says_what_it_is() -> None:
    async with market() as provider:
        assert (provider.name, provider.is_mock, provider.flags_completion) == ("simulated", True, False)
        assert provider.volume_unit == "base units"
        records = await provider.get_historical_data("btc-usd", "2024-01-01", "2024-01-02", "4h")
    assert [record["date"] for record in records] == [iso(at("2024-01-01") + hours * 3600) for hours in range(0, 48, 4)]


async def test_used_alone_it_stops_at_the_last_closed_bar() -> None:
    now = datetime.now(UTC)
    records = await market().get_historical_data("BTCUSD", now - timedelta(days=2), now + timedelta(days=2), "1h")
    closed = parse_instant(records[-1]["date"]) + 3600
    assert closed <= datetime.now(UTC).timestamp()
    assert closed + 3600 + 60 > now.timestamp(), "the next bar had not closed"


async def test_other_work_goes_on_during_a_fetch() -> None:
    turns = 0
    work = asyncio.create_task(market().fetch("BTCUSD", "1d", Page(at("2020-01-01"), at("2020-07-01"))))
    while not work.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 2
    assert len((await work).records) == 182


async def test_requests_are_counted_delayed_and_paced_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(delay: float) -> None:
        slept.append(delay)

    monkeypatch.setattr("ffe_core.providers.simulated.asyncio.sleep", sleep)
    page, counted = Page(0, DAY), RequestStats()
    token = request_stats.set(counted)
    for own in ({}, {"latency_seconds": 1.5, "requests_per_second": 1000}):
        provider = SimulatedProvider(config={"data_dir": tmp_path / str(len(own)), "simulated": own})
        assert provider.requests_per_second == own.get("requests_per_second")
        await provider.fetch("BTCUSD", "1h", page)
    request_stats.reset(token)
    assert [delay for delay in slept if delay in (0.0, 1.5)] == [0.0, 1.5]
    assert counted.requests == 2
    assert not (tmp_path / "0" / "locks").exists()
    assert list((tmp_path / "2" / "locks").glob("pace-simulated*"))


@pytest.mark.parametrize(
    ("key", "value"),
    [("broken_records", 1.5), ("broken_records", "nan"), ("latency_seconds", "inf"), ("requests_per_second", 0)],
)
def test_a_wrong_setting_is_named(key: str, value: object) -> None:
    with pytest.raises(InputError, match=f"FFE_SIMULATED__{key.upper()}"):
        SimulatedProvider(config={"simulated": {key: value}})
