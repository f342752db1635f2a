"""Tests that OANDA gets the request it expects, and that its candles are taken as they are."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ffe_core import times
from ffe_core.errors import InputError, PermanentError
from ffe_core.providers.base import Page
from ffe_core.providers.oanda import CLOCK_MARGIN, OandaDataProvider, instrument, records
from ffe_core.timeframes import TIMEFRAMES
from tests.fake_exchanges import Fault, Market, OandaExchange, fx_closed, generated
from tests.providers.contract import NOW, SECRET, clock, settings

DAY = 86_400
START = 1_704_067_200
HOURS = generated(START, START + 30 * DAY, 3600, closed=fx_closed, decimals=5, price=1.1)
# As recorded from GET /v3/instruments/EUR_USD/candles
RECORDED = {
    "complete": True,
    "mid": {"c": "1.03810", "h": "1.05294", "l": "1.03538", "o": "1.05166"},
    "time": "2022-05-11T21:00:00.000000000Z",
    "volume": 191082,
}


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "now", clock)


def provider(exchange: OandaExchange, folder: Path, **own: Any) -> OandaDataProvider:
    return OandaDataProvider({"base_url": exchange.url, "requests_per_second": 1000, **own}, settings(folder))


def unlimited(market: Market, **options: Any) -> OandaExchange:
    return OandaExchange(market, token=SECRET, rate=None, now=clock, **options)


# Settings


def test_a_missing_token_is_refused_at_once_with_the_variable_and_an_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FFE_OANDA__API_TOKEN", raising=False)
    with pytest.raises(InputError, match=r"FFE_OANDA__API_TOKEN: missing; set it, for example FFE_OANDA__API_TOKEN=\w"):
        OandaDataProvider(config={"data_dir": str(tmp_path)})


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "ümlaut"])
def test_a_token_that_cannot_be_one_is_refused_without_being_shown(tmp_path: Path, token: str) -> None:
    with pytest.raises(InputError, match="FFE_OANDA__API_TOKEN") as caught:
        OandaDataProvider({"api_token": token}, settings(tmp_path))
    assert token not in str(caught.value)


def test_an_unknown_environment_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"FFE_OANDA__ENVIRONMENT.*practice.*live"):
        OandaDataProvider({"environment": "demo"}, settings(tmp_path))


@pytest.mark.parametrize(
    ("environment", "host"),
    [("practice", "https://api-fxpractice.oanda.com"), ("live", "https://api-fxtrade.oanda.com")],
)
def test_each_environment_has_its_host(tmp_path: Path, environment: str, host: str) -> None:
    made = OandaDataProvider({"environment": environment}, settings(tmp_path))
    assert made._http.base_url == host


def test_the_recommended_rate_is_the_default_on_two_connections(tmp_path: Path) -> None:
    made = OandaDataProvider(config=settings(tmp_path))
    assert (made.requests_per_second, made.max_in_flight) == (100, 2)


# Requests


async def test_a_request_asks_for_mid_prices_on_the_utc_grid_with_the_token(tmp_path: Path) -> None:
    with unlimited(Market({("EUR_USD", 14400): generated(START, START + DAY, 14400)})) as exchange:
        async with provider(exchange, tmp_path) as oanda:
            await oanda.fetch("EURUSD", "4h", Page(START, START + DAY))
    (seen,) = exchange.requests
    assert seen.path == "/v3/instruments/EUR_USD/candles"
    assert seen.params == {
        "granularity": "H4",
        "price": "M",
        "from": "2024-01-01T00:00:00Z",
        "to": "2024-01-01T22:00:00Z",
        "includeFirst": "true",
        "alignmentTimezone": "UTC",
        "dailyAlignment": "0",
    }
    assert seen.headers["authorization"] == f"Bearer {SECRET}"
    assert seen.headers["accept-datetime-format"] == "RFC3339"


@pytest.mark.parametrize("to_inclusive", [True, False])
@pytest.mark.parametrize("timeframe", ["1h", "4h", "1d"])
async def test_each_bar_comes_once_whether_or_not_the_end_is_included(
    tmp_path: Path, timeframe: str, to_inclusive: bool
) -> None:
    step = TIMEFRAMES[timeframe]
    held = generated(START, START + 30 * DAY, step, closed=fx_closed)
    with unlimited(Market({("EUR_USD", step): held}), to_inclusive=to_inclusive) as exchange:
        async with provider(exchange, tmp_path) as oanda:
            got = [
                record["date"]
                for page in (Page(START, START + 15 * DAY), Page(START + 15 * DAY, START + 30 * DAY))
                for record in (await oanda.fetch("EURUSD", timeframe, page)).records
            ]
    assert got == [times.iso(at) for at in held]


@pytest.mark.parametrize("timeframe", ["1m", "5m", "1h"])
async def test_a_full_page_spans_no_more_than_is_allowed(tmp_path: Path, timeframe: str) -> None:
    step = TIMEFRAMES[timeframe]
    with unlimited(Market({("EUR_USD", step): generated(START, START + 100 * step, step)})) as exchange:
        async with provider(exchange, tmp_path) as oanda:
            begin = START - 4990 * step
            (page, last) = oanda.pages("EURUSD", timeframe, begin, begin + 5001 * step)
            assert (page.end - page.start, last.end - last.start) == (5000 * step, step)
            assert len((await oanda.fetch("EURUSD", timeframe, page)).records) == 10
            assert len((await oanda.fetch("EURUSD", timeframe, last)).records) == 1


async def test_the_future_is_never_asked_for(tmp_path: Path) -> None:
    with unlimited(Market({("EUR_USD", 3600): generated(NOW - DAY, NOW + DAY, 3600)})) as exchange:
        async with provider(exchange, tmp_path) as oanda:
            fetched = await oanda.fetch("EURUSD", "1h", Page(NOW - NOW % 3600 - 7200, NOW - NOW % 3600 + DAY))
            assert (await oanda.fetch("EURUSD", "1h", Page(NOW + 3600, NOW + DAY))).records == []
    (seen,) = exchange.requests
    assert datetime.fromisoformat(seen.params["to"]).timestamp() == NOW - CLOCK_MARGIN
    assert [record["complete"] for record in fetched.records] == [True, True, False]


async def test_the_flag_decides_alone_whether_a_bar_is_closed(tmp_path: Path) -> None:
    running = NOW - NOW % 3600
    with unlimited(Market({("EUR_USD", 3600): generated(NOW - DAY, NOW, 3600)}), complete_delay=3600) as exchange:
        async with provider(exchange, tmp_path) as oanda:
            got = await oanda.get_historical_data("EURUSD", running - 3 * 3600, "2024-05-15", "1h")
    assert [record["date"] for record in got] == [times.iso(running - 3 * 3600), times.iso(running - 2 * 3600)]


async def test_a_weekend_is_no_error_and_holds_nothing(tmp_path: Path) -> None:
    saturday = 1_704_499_200
    with unlimited(Market({("EUR_USD", 3600): HOURS})) as exchange:
        async with provider(exchange, tmp_path) as oanda:
            assert await oanda.get_historical_data("EUR_USD", saturday, saturday + DAY, "1h") == []


# Errors


async def test_a_token_of_the_other_environment_says_so(tmp_path: Path) -> None:
    with unlimited(Market({("EUR_USD", 3600): HOURS})) as exchange:
        async with provider(exchange, tmp_path, api_token="another-token-1") as oanda:
            with pytest.raises(PermanentError, match=r"401.*one environment only.*FFE_OANDA__ENVIRONMENT") as caught:
                await oanda.fetch("EURUSD", "1h", Page(START, START + DAY))
    assert "another-token-1" not in str(caught.value)


async def test_an_unknown_instrument_keeps_the_words_of_oanda(tmp_path: Path) -> None:
    with unlimited(Market({("EUR_USD", 3600): HOURS})) as exchange:
        async with provider(exchange, tmp_path) as oanda:
            with pytest.raises(PermanentError, match=r"oanda has no pair NOPEUSD \(Invalid value .* 'instrument'\)"):
                await oanda.fetch("NOPEUSD", "1h", Page(START, START + DAY))


async def test_another_400_is_not_taken_for_an_unknown_instrument(tmp_path: Path) -> None:
    with unlimited(Market({("EUR_USD", 3600): HOURS})) as exchange:
        exchange.fault(Fault.http(400, '{"errorMessage":"Maximum value for \'count\' exceeded"}'))
        async with provider(exchange, tmp_path) as oanda:
            with pytest.raises(PermanentError, match="HTTP 400: Maximum value for 'count' exceeded"):
                await oanda.fetch("EURUSD", "1h", Page(START, START + DAY))


@pytest.mark.parametrize("pair", ["AAPL", "EUR"])
def test_a_pair_without_a_quote_is_refused_by_name(pair: str, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=f"oanda has no pair {pair}"):
        OandaDataProvider(config=settings(tmp_path)).check(pair, "1h")


# Names and records


@pytest.mark.parametrize(
    ("pair", "name"),
    [("EURUSD", "EUR_USD"), ("XAUUSD", "XAU_USD"), ("SPX500USD", "SPX500_USD"), ("DE30EUR", "DE30_EUR")],
)
def test_an_instrument_is_the_pair_split_before_its_quote(pair: str, name: str) -> None:
    assert instrument(pair) == name


async def test_every_instrument_is_listed_under_a_name_that_leads_back_to_it(tmp_path: Path) -> None:
    series = {("EUR_USD", 60): {}, ("SPX500_USD", 60): {}, ("XAU_XAG", 60): {}}
    with unlimited(Market(series)) as exchange:
        async with provider(exchange, tmp_path) as oanda:
            names = [found.name for found in await oanda.catalogue()]
    assert names == ["EURUSD", "SPX500USD", "XAU_XAG"]
    assert [instrument(name) for name in names] == [symbol for symbol, _ in series]


def test_a_recorded_candle_gains_its_date_and_its_mid_prices() -> None:
    assert records([dict(RECORDED)]) == [
        {
            **RECORDED,
            "date": "2022-05-11T21:00:00+00:00",
            "open": "1.05166",
            "high": "1.05294",
            "low": "1.03538",
            "close": "1.03810",
        }
    ]


@pytest.mark.parametrize("mid", [None, "1.1", [], 5])
def test_a_mid_that_is_no_object_gives_no_prices(mid: Any) -> None:
    assert records([{"mid": mid}]) == [{"mid": mid}]


def test_a_null_price_stays_null_and_a_missing_one_missing() -> None:
    assert records([{"mid": {"o": None, "h": "2"}}]) == [{"mid": {"o": None, "h": "2"}, "open": None, "high": "2"}]


@pytest.mark.parametrize("sent", ["2022-05-11T21:00:00.500000000Z", "1710108000.000000000", "", None, 7, {}])
def test_another_time_stays_as_sent(sent: Any) -> None:
    assert records([{"time": sent}]) == [{"time": sent, "date": sent}]


def test_a_day_of_which_every_other_minute_is_missing_costs_what_the_whole_day_costs(tmp_path: Path) -> None:
    made = OandaDataProvider(config=settings(tmp_path))
    gaps = [(at, at + 60) for at in range(START, START + DAY, 120)]
    assert len(made.gap_pages("EURUSD", "1m", gaps)) == len(made.pages("EURUSD", "1m", START, START + DAY)) == 1
