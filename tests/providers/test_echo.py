"""Tests that an answer for something else than was asked is refused, and that every recorded one is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ffe_core import times
from ffe_core.errors import WrongAnswer
from ffe_core.providers import alpha_vantage_wire as wire
from ffe_core.providers.alpha_vantage import AlphaVantageProvider
from ffe_core.providers.base import Page, Provider
from ffe_core.providers.echo import check_echo
from ffe_core.providers.oanda import OandaDataProvider
from tests.fake_exchanges import AlphaVantageExchange, Exchange, Fault, Market, OandaExchange, generated
from tests.providers.contract import NOW, SECRET, clock, settings

DAY = 86_400
TODAY = NOW - NOW % DAY
PAGE = Page(TODAY - 20 * DAY, TODAY)


def oanda(exchange: Exchange, folder: Path) -> Provider:
    return OandaDataProvider({"base_url": exchange.url, "requests_per_second": 1000}, patient(folder))


def vantage(exchange: Exchange, folder: Path) -> Provider:
    own = {"base_url": exchange.url, "requests_per_second": 1000, "api_key": SECRET}
    return AlphaVantageProvider(config={**patient(folder), "alpha_vantage": own})


def patient(folder: Path) -> dict[str, Any]:
    """Settings with which a busy machine is no fault."""
    return settings(folder, http={"read_timeout_seconds": 30})


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "now", clock)


@pytest.mark.parametrize(
    ("asked", "named"),
    [("DE30_EUR", "DE30/EUR"), ("EUR_USD", "EUR_USD"), ("EUR_USD", "eurusd"), ("BRK-B", "brk-b"), ("H1", "H1")],
)
def test_case_and_the_separators_of_a_pair_do_not_matter(asked: str, named: str) -> None:
    check_echo("acme", {"symbol": asked}, {"symbol": named})


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("EUR_USD", "GBP_USD"),
        ("EUR_USD", "USD_EUR"),
        ("H1", "H4"),
        ("C-P-K", "CPK"),
        ("BRK.B", "BRKB"),
        ("AAPL", ""),
        ("AAPL", None),
        ("1", 1),
        ("AAPL", ["AAPL"]),
    ],
)
def test_anything_else_does(asked: str, named: Any) -> None:
    with pytest.raises(WrongAnswer, match=f"acme answered for symbol .*'{asked}' was asked for") as caught:
        check_echo("acme", {"symbol": asked}, {"symbol": named})
    assert caught.value.code == "wrong_answer"


def test_a_field_that_is_not_repeated_says_nothing_unless_it_always_is() -> None:
    check_echo("acme", {"symbol": "AAPL"}, {"other": "MSFT"})
    with pytest.raises(WrongAnswer, match="without naming the symbol"):
        check_echo("acme", {"symbol": "AAPL"}, {}, always=["symbol"])


# As recorded between 2017 and 2026: the request, the metadata and the key of the series
RECORDED = [
    (
        {"function": "TIME_SERIES_INTRADAY", "symbol": "MSFT", "interval": "1min"},
        {"1. Information": "Intraday (1min) prices and volumes", "2. Symbol": "MSFT", "4. Interval": "1min"},
        "Time Series (1min)",
    ),
    (
        {"function": "TIME_SERIES_DAILY", "symbol": "MSFT", "outputsize": "compact"},
        {"2. Symbol": "MSFT", "3. Last Refreshed": "2018-08-16", "4. Output Size": "Compact"},
        "Time Series (Daily)",
    ),
    (
        {"function": "FX_DAILY", "from_symbol": "EUR", "to_symbol": "USD"},
        {"2. From Symbol": "EUR", "3. To Symbol": "USD", "4. Output Size": "Full size", "6. Time Zone": "GMT+8"},
        "Time Series FX (Daily)",
    ),
    (
        {"function": "FX_INTRADAY", "from_symbol": "EUR", "to_symbol": "USD", "interval": "5min"},
        {"2. From Symbol": "EUR", "3. To Symbol": "USD", "5. Interval": "5min", "7. Time Zone": "UTC"},
        "Time Series FX (5min)",
    ),
    (
        {"function": "CRYPTO_INTRADAY", "symbol": "ETH", "market": "USD", "interval": "5min"},
        {"2. Digital Currency Code": "ETH", "4. Market Code": "USD", "7. Interval": "5min"},
        "Time Series Crypto (5min)",
    ),
    (
        {"function": "DIGITAL_CURRENCY_DAILY", "symbol": "BTC", "market": "EUR"},
        {"2. Digital Currency Code": "BTC", "3. Digital Currency Name": "Bitcoin", "4. Market Code": "EUR"},
        "Time Series (Digital Currency Daily)",
    ),
    (
        {"function": "CRYPTO_INTRADAY", "symbol": "BTC", "market": "CNY", "interval": "5min"},
        {"2. Digital Currency Code": "BTC", "4. Market Code": "CNY", "6. Interval": "5min"},
        "Time Series (Digital Currency Intraday)",
    ),
]


@pytest.mark.parametrize(("params", "meta", "series"), RECORDED)
def test_every_recorded_answer_is_what_was_asked(params: dict[str, str], meta: dict[str, str], series: str) -> None:
    wire.checker(params, "ANY")({"Meta Data": meta, series: {}})
    wire.checker(params, "ANY")({series: {}})


@pytest.mark.parametrize(("params", "meta", "series"), RECORDED)
def test_it_is_refused_where_any_part_of_the_question_was_another(
    params: dict[str, str], meta: dict[str, str], series: str
) -> None:
    for key in params.keys() - {"function", "outputsize"}:
        other = {**params, key: "15min" if key == "interval" else "XYZ"}
        with pytest.raises(WrongAnswer):
            wire.checker(other, "ANY")({"Meta Data": meta, series: {}})


def test_the_key_of_the_series_names_its_interval_too() -> None:
    params = {"function": "FX_DAILY", "from_symbol": "EUR", "to_symbol": "USD"}
    with pytest.raises(WrongAnswer, match="series '60min' where 'Daily'"):
        wire.checker(params, "EURUSD")({"Time Series FX (60min)": {}})


async def refused(exchange: Exchange, provider: Provider, pair: str, timeframe: str, fault: Fault) -> WrongAnswer:
    """The error that a lasting wrong answer ends with; one that happens once is survived."""
    once = exchange.fault(fault, times=1)
    async with provider:
        assert (await provider.fetch(pair, timeframe, PAGE)).records
        lasting = exchange.fault(fault, times=None)
        with pytest.raises(WrongAnswer) as caught:
            await provider.fetch(pair, timeframe, PAGE)
    assert (once.hits, lasting.hits) == (1, 2)
    return caught.value


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault.answer_for(path="EUR_USD->GBP_USD"), "instrument 'GBP_USD' where 'EUR_USD'"),
        (Fault.answer_for(granularity="H4"), "granularity 'H4' where 'H1'"),
        (Fault.rewritten('"instrument":"EUR_USD",', ""), "without naming the instrument; EUR_USD was asked for"),
        (Fault.rewritten('"granularity":"H1"', '"granularity":null'), "granularity None where 'H1'"),
    ],
    ids=["instrument", "granularity", "none", "null"],
)
async def test_oanda_is_asked_once_more_and_then_refused(tmp_path: Path, fault: Fault, says: str) -> None:
    held = {(name, step): generated(PAGE.start, NOW, step) for name in ("EUR_USD", "GBP_USD") for step in (3600, 14400)}
    with OandaExchange(Market(held), token=SECRET, rate=None, now=clock) as exchange:
        error = await refused(exchange, oanda(exchange, tmp_path), "EURUSD", "1h", fault)
    assert says in str(error)


async def test_an_index_may_come_back_with_a_slash(tmp_path: Path) -> None:
    with OandaExchange(
        Market({("DE30_EUR", 3600): generated(PAGE.start, NOW, 3600)}), token=SECRET, rate=None, now=clock
    ) as exchange:
        exchange.fault(Fault.rewritten("DE30_EUR", "DE30/EUR"), times=None)
        async with oanda(exchange, tmp_path) as provider:
            assert (await provider.fetch("DE30EUR", "1h", PAGE)).records
    assert exchange.count() == 1


@pytest.mark.parametrize(
    ("pair", "timeframe", "fault", "says"),
    [
        ("AAPL", "1d", Fault.answer_for(symbol="MSFT"), "Symbol 'MSFT' where 'AAPL'"),
        ("AAPL", "1h", Fault.answer_for(symbol="MSFT"), "Symbol 'MSFT' where 'AAPL'"),
        ("AAPL", "1h", Fault.answer_for(interval="5min"), "Interval '5min' where '60min'"),
        ("AAPL", "1d", Fault.answer_for(function="TIME_SERIES_INTRADAY", interval="60min"), "series '60min' where"),
        ("EURUSD", "1d", Fault.answer_for(from_symbol="GBP"), "From Symbol 'GBP' where 'EUR'"),
        ("BTCUSD", "1d", Fault.answer_for(market="EUR"), "Market Code 'EUR' where 'USD'"),
        ("BTCUSD", "1d", Fault.answer_for(symbol="ETH"), "Digital Currency Code 'ETH' where 'BTC'"),
    ],
)
async def test_alpha_vantage_is_asked_once_more_and_then_refused(
    tmp_path: Path, pair: str, timeframe: str, fault: Fault, says: str
) -> None:
    steps = (300, 3600, DAY)
    names = ("AAPL", "MSFT", "EUR/USD", "GBP/USD", "BTC/USD", "BTC/EUR", "ETH/USD")
    held = {(name, step): generated(PAGE.start, PAGE.start + 9 * DAY, step) for name in names for step in steps}
    with AlphaVantageExchange(Market(held), key=SECRET, premium=True, now=clock) as exchange:
        error = await refused(exchange, vantage(exchange, tmp_path), pair, timeframe, fault)
    assert says in str(error)


async def test_nothing_of_it_is_read_even_where_the_rest_is_right(tmp_path: Path) -> None:
    body = {"instrument": "GBP_USD", "granularity": "H1", "candles": [{"complete": True, "time": "x", "mid": {}}]}
    with OandaExchange(Market({("EUR_USD", 3600): {}}), token=SECRET, rate=None, now=clock) as exchange:
        exchange.fault(Fault.other_shape(json.dumps(body)), times=None)
        async with oanda(exchange, tmp_path) as provider:
            with pytest.raises(WrongAnswer):
                await provider.fetch("EURUSD", "1h", PAGE)


def test_the_settings_of_these_tests_try_more_than_twice(tmp_path: Path) -> None:
    assert settings(tmp_path)["retry"]["attempts"] > 2
