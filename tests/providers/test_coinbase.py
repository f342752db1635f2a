"""Tests that Coinbase gets the request it expects, and that its answer is taken as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import times
from ffe_core.errors import PermanentError
from ffe_core.providers.base import Page
from ffe_core.providers.coinbase import CoinbaseDataProvider, product_id, records
from ffe_core.timeframes import TIMEFRAMES
from tests.fake_exchanges import CoinbaseExchange, Fault, Market, generated
from tests.providers.contract import NOW, clock, settings

DAY = 86_400
START = 1_704_067_200
MONTH = generated(START, START + 30 * DAY, 3600)
# As recorded from GET /api/v3/brokerage/market/products/BTC-USD/candles
RECORDED = {
    "start": "1712192400",
    "low": "66055.14",
    "high": "66331.99",
    "open": "66312.4",
    "close": "66181.6",
    "volume": "355.82896243",
}


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "now", clock)


def provider(exchange: CoinbaseExchange, folder: Path) -> CoinbaseDataProvider:
    return CoinbaseDataProvider({"base_url": exchange.url, "requests_per_second": 1000}, settings(folder))


def unlimited(market: Market) -> CoinbaseExchange:
    return CoinbaseExchange(market, rate=None, now=clock)


@pytest.mark.parametrize(
    ("pair", "product"),
    [
        ("BTCUSD", "BTC-USD"),
        ("BTCUSDT", "BTC-USDT"),
        ("ETHBTC", "ETH-BTC"),
        ("SOLEUR", "SOL-EUR"),
        ("USDTUSD", "USDT-USD"),
    ],
)
def test_a_product_is_the_pair_split_before_its_longest_quote(pair: str, product: str) -> None:
    assert product_id(pair) == product


@pytest.mark.parametrize("pair", ["AAPL", "BTC", "US"])
def test_a_pair_without_a_quote_is_refused_by_name_before_any_request(pair: str, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=rf"coinbase has no pair {pair}: it names no quote"):
        CoinbaseDataProvider(config=settings(tmp_path)).check(pair, "1h")


async def test_a_request_names_product_granularity_and_both_ends_without_a_key(tmp_path: Path) -> None:
    with unlimited(Market({("BTC-USD", 14400): generated(START, START + DAY, 14400)})) as exchange:
        async with provider(exchange, tmp_path) as coinbase:
            await coinbase.fetch("BTCUSD", "4h", Page(START, START + DAY))
    (seen,) = exchange.requests
    assert seen.path == "/api/v3/brokerage/market/products/BTC-USD/candles"
    assert seen.params == {"start": str(START), "end": str(START + DAY - 14400), "granularity": "FOUR_HOUR"}
    assert "authorization" not in seen.headers


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
async def test_a_full_page_is_never_refused_in_any_timeframe(tmp_path: Path, timeframe: str) -> None:
    step = TIMEFRAMES[timeframe]
    with CoinbaseExchange(
        Market({("BTC-USD", step): generated(START, START + 900 * step, step)}), rate=None, max_intervals=299
    ) as exchange:
        async with provider(exchange, tmp_path) as coinbase:
            pages = coinbase.pages("BTCUSD", timeframe, START, START + 900 * step)
            got = [len((await coinbase.fetch("BTCUSD", timeframe, page)).records) for page in pages]
    assert got == [300, 300, 300]


async def test_a_month_comes_whole_and_each_bar_once(tmp_path: Path) -> None:
    with unlimited(Market({("BTC-USD", 3600): MONTH})) as exchange:
        async with provider(exchange, tmp_path) as coinbase:
            got = await coinbase.get_historical_data("btc/usd", "2024-01-01", "2024-01-30", "1h")
    assert [record["date"] for record in got] == [times.iso(at) for at in MONTH]
    assert exchange.count() == 3


async def test_records_are_the_wire_candles_and_nothing_else(tmp_path: Path) -> None:
    with unlimited(Market({("BTC-USD", 3600): MONTH})) as exchange:
        async with provider(exchange, tmp_path) as coinbase:
            got = await coinbase.get_historical_data("BTCUSD", START, START + 3600, "1h")
    assert got == [{**MONTH[START]._asdict(), "start": str(START), "date": "2024-01-01T00:00:00+00:00"}]


async def test_a_candle_before_the_page_is_handed_over_for_the_caller_to_count(tmp_path: Path) -> None:
    with unlimited(Market({("BTC-USD", 3600): MONTH})) as exchange:
        async with provider(exchange, tmp_path) as coinbase:
            fetched = await coinbase.fetch("BTCUSD", "1h", Page(START + 1800, START + 7200))
    assert [record["start"] for record in fetched.records] == [str(START + 3600), str(START)]


async def test_an_unknown_product_keeps_the_words_of_coinbase(tmp_path: Path) -> None:
    with unlimited(Market({("BTC-USD", 3600): MONTH})) as exchange:
        async with provider(exchange, tmp_path) as coinbase:
            with pytest.raises(PermanentError, match=r"no pair NOPEUSD \(Product NOPE-USD not supported\)"):
                await coinbase.fetch("NOPEUSD", "1h", Page(START, START + 3600))


async def test_a_404_page_of_somebody_else_is_not_taken_for_an_unknown_product(tmp_path: Path) -> None:
    with unlimited(Market({("BTC-USD", 3600): MONTH})) as exchange:
        exchange.fault(Fault.http(404, "<html>not here</html>"))
        async with provider(exchange, tmp_path) as coinbase:
            with pytest.raises(PermanentError, match="is the base URL of coinbase"):
                await coinbase.fetch("BTCUSD", "1h", Page(START, START + 3600))


async def test_every_product_with_an_id_is_listed_under_a_name_that_leads_back_to_it(tmp_path: Path) -> None:
    products = [
        {"product_id": "BTC-USD", "product_type": "SPOT"},
        {"product_id": "BTC-USDT", "product_type": "SPOT"},
        {"product_id": "BIT-28JUN24-CDE", "product_type": "FUTURE"},
        {"product_id": "X-USD", "product_type": "SPOT"},
        {"product_id": "WEIRD-QQQ", "product_type": "SPOT"},
        {"product_type": "SPOT"},
        "not a product",
    ]
    with unlimited(Market()) as exchange:
        exchange.fault(Fault.other_shape(json.dumps({"products": products})))
        async with provider(exchange, tmp_path) as coinbase:
            listed = {found.name: found for found in await coinbase.catalogue()}
    assert list(listed) == ["BTCUSD", "BTCUSDT", "BIT-28JUN24-CDE", "X-USD", "WEIRD-QQQ"]
    assert [product_id(name) for name in listed] == [product["product_id"] for product in products[:5]]
    assert (listed["BIT-28JUN24-CDE"].kind, listed["BIT-28JUN24-CDE"].volume_unit) == ("future", "contracts")


def test_a_recorded_candle_only_gains_its_date() -> None:
    assert records([dict(RECORDED)]) == [{**RECORDED, "date": "2024-04-04T01:00:00+00:00"}]


@pytest.mark.parametrize(
    ("sent", "date"),
    [
        ("1712192400", "2024-04-04T01:00:00+00:00"),
        (1712192400, "2024-04-04T01:00:00+00:00"),
        ("0", "1970-01-01T00:00:00+00:00"),
        (1712192400.5, 1712192400.5),
        ("1712192400.0", "1712192400.0"),
        ("", ""),
        ("-1", "-1"),
        ("99999999999999", "99999999999999"),
        ("9" * 30, "9" * 30),
        ("9" * 5000, "9" * 5000),
        ("not-a-time", "not-a-time"),
        ("١٧١٢١٩٢٤٠٠", "١٧١٢١٩٢٤٠٠"),
        ("１７１２１９２４００", "１７１２１９２４００"),
        ("1712192४00", "1712192४00"),
        (True, True),
        (None, None),
        ([], []),
        ({}, {}),
    ],
)
def test_a_time_is_read_or_left_as_sent_whatever_its_neighbours(sent: Any, date: Any) -> None:
    before, after = dict(RECORDED), dict(RECORDED)
    _, middle, _ = records([before, {"start": sent}, after])
    assert middle == {"start": sent, "date": date}
    assert before["date"] == after["date"] == "2024-04-04T01:00:00+00:00"


def test_a_missing_time_stays_missing() -> None:
    assert records([{"open": "1"}]) == [{"open": "1"}]


@given(st.lists(st.integers(0, 253_402_300_799), max_size=50))
def test_many_times_are_read_as_one_by_one(epochs: list[int]) -> None:
    assert [record["date"] for record in records([{"start": str(at)} for at in epochs])] == list(map(times.iso, epochs))


@given(st.lists(st.recursive(st.none() | st.text() | st.integers() | st.floats(), st.lists, max_leaves=5)))
def test_nothing_in_a_page_is_lost_whatever_it_is(elements: list[Any]) -> None:
    assert records(elements) == [{"raw": element} for element in elements]


def test_its_own_section_wins_over_the_config(tmp_path: Path) -> None:
    config = settings(tmp_path, coinbase={"base_url": "http://config", "requests_per_second": 3})
    made = CoinbaseDataProvider({"base_url": "http://own"}, config)
    assert (made._own.base_url, made.requests_per_second) == ("http://own", 3)


def test_the_published_limit_is_the_default(tmp_path: Path) -> None:
    assert CoinbaseDataProvider(config=settings(tmp_path)).requests_per_second == 10


async def test_a_range_that_ends_today_has_no_unfinished_bar(tmp_path: Path) -> None:
    with unlimited(Market({("BTC-USD", 3600): generated(NOW - 2 * DAY, NOW + 3600, 3600)})) as exchange:
        async with provider(exchange, tmp_path) as coinbase:
            got = await coinbase.get_historical_data("BTCUSD", "2024-05-15", "2024-05-15", "1h")
    assert got[-1]["date"] == "2024-05-15T09:00:00+00:00"
    assert len(got) == 10


def test_a_day_of_which_every_other_minute_is_missing_costs_what_the_whole_day_costs(tmp_path: Path) -> None:
    made = CoinbaseDataProvider(config=settings(tmp_path))
    gaps = [(at, at + 60) for at in range(START, START + DAY, 120)]
    assert len(made.gap_pages("BTCUSD", "1m", gaps)) == len(made.pages("BTCUSD", "1m", START, START + DAY)) == 5
