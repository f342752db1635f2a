"""Tests that Alpha Vantage gets the request it expects, and that each of its answers is read for what it is."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from ffe_core import times
from ffe_core.errors import CredentialsError, InputError, PermanentError, QuotaError, RetriableError
from ffe_core.providers import alpha_vantage_notices as notices
from ffe_core.providers import alpha_vantage_wire as wire
from ffe_core.providers import http
from ffe_core.providers.alpha_vantage import AlphaVantageProvider
from ffe_core.providers.base import Page
from ffe_core.timeframes import TIMEFRAMES
from tests.fake_exchanges import REFUSALS, AlphaVantageExchange, Fault, Market, fx_closed, generated
from tests.providers.contract import NOW, SECRET, clock, settings

DAY, HOUR = 86_400, 3600
TODAY = NOW - NOW % DAY


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "now", clock)
    monkeypatch.setattr(http, "LONGEST_WAIT", 0.0)


def served(market: Market, **options: Any) -> AlphaVantageExchange:
    unlimited = {"key": SECRET, "per_second": None, "daily_quota": None, "now": clock}
    return AlphaVantageExchange(market, **{**unlimited, **options})


def provider(exchange: AlphaVantageExchange, folder: Path, **own: Any) -> AlphaVantageProvider:
    section = {"base_url": exchange.url, "requests_per_second": 1000, **own}
    return AlphaVantageProvider(SECRET, settings(folder, alpha_vantage=section))


def fx_days(days: int) -> Market:
    return Market({("EUR/USD", DAY): generated(TODAY - days * DAY, TODAY + DAY, DAY, closed=fx_closed)})


def crypto_hours(days: int) -> Market:
    return Market({("BTC/USD", HOUR): generated(TODAY - days * DAY, NOW, HOUR)})


def share_bars(step: int, start: int = TODAY - 400 * DAY) -> Market:
    """Session bars of a share: every 30 minutes from 14:30 UTC, daily ones on weekdays."""

    def shut(at: float) -> bool:
        return times.utc(int(at)).weekday() > 4 or (step < DAY and not 14 * HOUR <= at % DAY < 21 * HOUR)

    return Market({("AAPL", step): generated(start, TODAY + DAY, step, closed=shut)})


# Settings


def test_a_missing_key_is_refused_at_once_with_the_variable_and_an_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FFE_ALPHA_VANTAGE__API_KEY", raising=False)
    with pytest.raises(InputError, match=r"FFE_ALPHA_VANTAGE__API_KEY: missing; set it, for example \w+=\w"):
        AlphaVantageProvider(config={"data_dir": str(tmp_path)})


def test_the_key_in_code_wins_over_the_settings(tmp_path: Path) -> None:
    config = {"data_dir": str(tmp_path), "alpha_vantage": {"api_key": "from-settings"}}
    assert AlphaVantageProvider("from-code", config)._own.api_key == "from-code"
    assert AlphaVantageProvider(None, config)._own.api_key == "from-settings"


@pytest.mark.slow
async def test_a_free_key_is_asked_once_a_second_and_that_is_never_too_often(tmp_path: Path) -> None:
    # Twice a second is what the fake exchange allows: on a busy machine a request may arrive long after it left.
    with served(fx_days(60), per_second=2.0) as exchange:
        async with AlphaVantageProvider(
            SECRET, settings(tmp_path, alpha_vantage={"base_url": exchange.url})
        ) as vantage:
            assert vantage.requests_per_second == 1
            for _ in range(3):
                await vantage.fetch("EURUSD", "1d", Page(TODAY - 30 * DAY, TODAY))
    assert (exchange.count(), exchange.rate_limited) == (3, 0)


@pytest.mark.parametrize(("pair", "unit"), [("EURUSD", None), ("BTCUSD", "base units"), ("AAPL", "shares")])
def test_a_volume_names_its_unit_by_market(pair: str, unit: str | None) -> None:
    assert AlphaVantageProvider.volume_unit_of(pair) == unit


# What it offers


@pytest.mark.parametrize(
    ("pair", "timeframe", "instead"),
    [("XAUUSD", "1d", "use oanda"), ("SPX500USD", "1h", "use oanda"), ("AAPL", "4h", "use 1h or 1d")],
)
async def test_what_it_does_not_offer_is_refused_before_any_request(
    tmp_path: Path, pair: str, timeframe: str, instead: str
) -> None:
    with served(Market()) as exchange:
        async with provider(exchange, tmp_path) as vantage:
            with pytest.raises(PermanentError, match=f"alpha_vantage does not offer .*{pair}.*{instead}"):
                await vantage.get_historical_data(pair, "2024-05-01", "2024-05-02", timeframe)
    assert exchange.count() == 0


@pytest.mark.parametrize(
    ("pair", "timeframe", "asked"),
    [
        ("EURUSD", "1d", {"function": "FX_DAILY", "from_symbol": "EUR", "to_symbol": "USD", "outputsize": "compact"}),
        (
            "EURUSD",
            "1h",
            {
                "function": "FX_INTRADAY",
                "from_symbol": "EUR",
                "to_symbol": "USD",
                "interval": "60min",
                "outputsize": "compact",
            },
        ),
        ("BTCUSD", "1d", {"function": "DIGITAL_CURRENCY_DAILY", "symbol": "BTC", "market": "USD"}),
        (
            "BTCUSD",
            "4h",
            {
                "function": "CRYPTO_INTRADAY",
                "symbol": "BTC",
                "market": "USD",
                "interval": "60min",
                "outputsize": "compact",
            },
        ),
        ("AAPL", "1d", {"function": "TIME_SERIES_DAILY", "symbol": "AAPL", "outputsize": "compact"}),
        (
            "AAPL",
            "15m",
            {
                "function": "TIME_SERIES_INTRADAY",
                "symbol": "AAPL",
                "interval": "15min",
                "month": "2024-05",
                "adjusted": "false",
                "extended_hours": "false",
                "outputsize": "full",
            },
        ),
    ],
)
async def test_each_market_has_its_function(tmp_path: Path, pair: str, timeframe: str, asked: dict[str, str]) -> None:
    with served(Market(), premium=True) as exchange:
        exchange.fault(Fault.http(200, '{"Time Series": {}}'))
        async with provider(exchange, tmp_path) as vantage:
            await vantage.fetch(pair, timeframe, Page(NOW - 2 * DAY, NOW))
    (seen,) = exchange.requests
    assert seen.path == "/query"
    assert seen.params == {**asked, "apikey": SECRET}


@pytest.mark.parametrize(
    ("timeframe", "back", "size"),
    [("1d", 85 * DAY, "compact"), ("1d", 95 * DAY, "full"), ("1h", 85 * HOUR, "compact"), ("1h", 95 * HOUR, "full")],
)
async def test_only_what_the_newest_points_do_not_hold_is_asked_for_in_full(
    tmp_path: Path, timeframe: str, back: int, size: str
) -> None:
    with served(Market(), premium=True) as exchange:
        exchange.fault(Fault.http(200, '{"Time Series": {}}'))
        async with provider(exchange, tmp_path) as vantage:
            await vantage.fetch("EURUSD", timeframe, Page(NOW - back, NOW))
    assert exchange.requests[0].params["outputsize"] == size


# Reach


async def test_a_premium_key_is_served_the_whole_daily_series(tmp_path: Path) -> None:
    with served(fx_days(1000), premium=True) as exchange:
        async with provider(exchange, tmp_path) as vantage:
            fetched = await vantage.fetch("EURUSD", "1d", Page(TODAY - 900 * DAY, TODAY))
    assert fetched.covers_from is None
    assert fetched.records[-1]["date"] <= times.iso(TODAY - 998 * DAY)


async def test_a_free_key_is_served_the_newest_points_and_that_is_told_and_remembered(tmp_path: Path) -> None:
    market = fx_days(300)
    with served(market) as exchange:
        async with provider(exchange, tmp_path) as vantage:
            page = Page(TODAY - 250 * DAY, TODAY)
            first = await vantage.fetch("EURUSD", "1d", page)
            second = await vantage.fetch("EURUSD", "1d", page)
    reach = sorted(market.candles("EUR/USD", DAY))[-100]
    assert first.covers_from == second.covers_from == reach
    assert len(first.records) == 100
    assert [seen.params["outputsize"] for seen in exchange.requests] == ["full", "compact", "compact"]


async def test_a_short_series_is_whole_even_when_asked_compactly(tmp_path: Path) -> None:
    with served(fx_days(30)) as exchange:
        async with provider(exchange, tmp_path) as vantage:
            fetched = await vantage.fetch("EURUSD", "1d", Page(TODAY - 80 * DAY, TODAY))
    assert fetched.covers_from is None


async def test_a_reach_that_misses_only_closed_hours_misses_nothing(tmp_path: Path) -> None:
    hours = generated(TODAY - 3 * DAY + 21 * HOUR, NOW, HOUR, closed=fx_closed)
    with served(Market({("EUR/USD", HOUR): hours}), premium=True) as exchange:
        async with provider(exchange, tmp_path) as vantage:
            saturday = TODAY - 4 * DAY
            assert (await vantage.fetch("EURUSD", "1h", Page(saturday, NOW))).covers_from is None
            friday = saturday - 4 * HOUR
            assert (await vantage.fetch("EURUSD", "1h", Page(friday, NOW))).covers_from == min(hours)


async def test_intraday_reaches_thirty_days_back_and_says_so(tmp_path: Path) -> None:
    with served(crypto_hours(60), premium=True) as exchange:
        async with provider(exchange, tmp_path) as vantage:
            fetched = await vantage.fetch("BTCUSD", "1h", Page(TODAY - 60 * DAY, NOW))
            gone = await vantage.fetch("BTCUSD", "1h", Page(TODAY - 60 * DAY, TODAY - 50 * DAY))
    assert fetched.covers_from == gone.covers_from == NOW - NOW % HOUR + HOUR - 30 * DAY


async def test_crypto_days_reach_a_year_back_and_say_so(tmp_path: Path) -> None:
    market = Market({("BTC/USD", DAY): generated(TODAY - 900 * DAY, TODAY + DAY, DAY)})
    with served(market) as exchange:
        async with provider(exchange, tmp_path) as vantage:
            fetched = await vantage.fetch("BTCUSD", "1d", Page(TODAY - 900 * DAY, TODAY))
            recent = await vantage.fetch("BTCUSD", "1d", Page(TODAY - 300 * DAY, TODAY))
    assert (fetched.covers_from, recent.covers_from) == (TODAY - 349 * DAY, None)


async def test_a_free_key_has_no_intraday_and_the_error_says_what_it_has(tmp_path: Path) -> None:
    with served(crypto_hours(2)) as exchange:
        async with provider(exchange, tmp_path) as vantage:
            with pytest.raises(PermanentError, match=r"not served CRYPTO_INTRADAY.*free key gets only timeframe 1d"):
                await vantage.fetch("BTCUSD", "1h", Page(TODAY, NOW))
    assert exchange.count() == 1


# Shares by the month


async def test_intraday_shares_come_a_month_a_page_unadjusted_and_in_session(tmp_path: Path) -> None:
    market = share_bars(900)
    with served(market, premium=True) as exchange:
        async with provider(exchange, tmp_path) as vantage:
            got = await vantage.get_historical_data("AAPL", "2024-02-20", "2024-04-10", "15m")
    assert [seen.params["month"] for seen in exchange.requests] == ["2024-02", "2024-03", "2024-04"]
    held = market.candles("AAPL", 900)
    march = 1_711_929_600 - 31 * DAY
    inside = [at for at in held if march + 12 * DAY <= at < march + 20 * DAY and at % DAY < 20 * HOUR]
    by_date = {record["date"]: record for record in got}
    assert inside
    assert all(by_date[times.iso(at)]["open"] == held[at].open for at in inside if at % DAY >= 14.5 * HOUR)


def test_nothing_lies_before_the_first_month_and_that_is_told(tmp_path: Path) -> None:
    vantage = AlphaVantageProvider(SECRET, settings(tmp_path))
    pages = vantage.pages("AAPL", "1h", 900_000_000, 951_868_800 + DAY)
    first, leap = 946_684_800 + 31 * DAY, 951_868_800
    assert pages == [Page(900_000_000, first), Page(first, leap), Page(leap, leap + DAY)]


async def test_the_first_month_is_asked_for_when_the_range_begins_before_it(tmp_path: Path) -> None:
    with served(share_bars(900, TODAY - 10 * DAY), premium=True) as exchange:
        async with provider(exchange, tmp_path) as vantage:
            fetched = await vantage.fetch("AAPL", "15m", Page(900_000_000, 946_684_800 + 31 * DAY))
            gone = await vantage.fetch("AAPL", "15m", Page(900_000_000, 900_000_000 + DAY))
    assert [seen.params["month"] for seen in exchange.requests] == ["2000-01"]
    assert fetched.covers_from == gone.covers_from == 946_684_800


async def test_a_month_refused_in_full_is_never_taken_compactly_for_whole(tmp_path: Path) -> None:
    with served(share_bars(900), premium=True) as exchange:
        exchange.fault(Fault.alpha_vantage("premium_outputsize"))
        async with provider(exchange, tmp_path) as vantage:
            with pytest.raises(PermanentError, match="premium"):
                await vantage.fetch("AAPL", "15m", Page(TODAY - DAY, TODAY))
    assert exchange.count() == 1


@pytest.mark.parametrize(
    ("now", "newest"),
    [("15:00:59", "13:30"), ("15:01:00", "14:00"), ("15:30:59", "14:00"), ("15:31:00", "14:30")],
)
def test_an_hourly_share_bar_closes_on_the_half_hour_too(tmp_path: Path, now: str, newest: str) -> None:
    vantage = AlphaVantageProvider(SECRET, settings(tmp_path))
    closed = vantage.closed_before("1h", times.parse_instant(f"2024-05-15T{now}Z"))
    open_times = range(TODAY, TODAY + DAY, 1800)
    assert times.iso(max(at for at in open_times if at < closed)) == f"2024-05-15T{newest}:00+00:00"


@pytest.mark.parametrize("timeframe", sorted(TIMEFRAMES.keys() - {"1h"}))
def test_other_bars_close_on_their_grid(tmp_path: Path, timeframe: str) -> None:
    closed = AlphaVantageProvider(SECRET, settings(tmp_path)).closed_before(timeframe, NOW)
    assert closed == (NOW - 60) // TIMEFRAMES[timeframe] * TIMEFRAMES[timeframe]


# 4h


async def test_four_hours_become_one_bar(tmp_path: Path) -> None:
    market = crypto_hours(10)
    with served(market, premium=True) as exchange:
        async with provider(exchange, tmp_path) as vantage:
            got = await vantage.get_historical_data("BTCUSD", TODAY - DAY, NOW, "4h")
    held = market.candles("BTC/USD", HOUR)
    assert [record["date"] for record in got] == [times.iso(TODAY - DAY + i * 4 * HOUR) for i in range(8)]
    hours = [held[TODAY - DAY + i * HOUR] for i in range(4)]
    assert got[0]["open"] == hours[0].open
    assert got[0]["close"] == hours[3].close
    assert got[0]["high"] == max((hour.high for hour in hours), key=float)
    assert got[0]["low"] == min((hour.low for hour in hours), key=float)
    assert int(got[0]["volume"]) == sum(int(float(hour.volume)) for hour in hours)
    assert exchange.count() == 1


async def test_a_missing_hour_is_told_and_its_neighbours_are_built(tmp_path: Path) -> None:
    market = crypto_hours(10)
    market.remove("BTC/USD", HOUR, [TODAY - 10 * HOUR])
    with served(market, premium=True) as exchange:
        async with provider(exchange, tmp_path) as vantage:
            fetched = await vantage.fetch("BTCUSD", "4h", Page(TODAY - DAY, TODAY))
    incomplete = [record for record in fetched.records if "incomplete_sources" in record]
    assert len(fetched.records) == 6
    assert [(record["date"], len(record["sources"])) for record in incomplete] == [(times.iso(TODAY - 12 * HOUR), 3)]


async def test_the_window_cut_by_the_reach_is_not_handed_over(tmp_path: Path) -> None:
    with served(crypto_hours(60), premium=True) as exchange:
        async with provider(exchange, tmp_path) as vantage:
            fetched = await vantage.fetch("BTCUSD", "4h", Page(TODAY - 60 * DAY, TODAY))
    whole = TODAY - 30 * DAY + 12 * HOUR
    assert fetched.covers_from == whole
    assert min(record["date"] for record in fetched.records) == times.iso(whole)
    assert not any("incomplete_sources" in record for record in fetched.records)


async def test_an_hour_without_a_readable_time_is_handed_over_by_itself(tmp_path: Path) -> None:
    with served(crypto_hours(10), premium=True) as exchange:
        exchange.break_record("BTC/USD", HOUR, TODAY - 10 * HOUR, "bad_time")
        async with provider(exchange, tmp_path) as vantage:
            fetched = await vantage.fetch("BTCUSD", "4h", Page(TODAY - DAY, TODAY))
    assert [record["stamp"] for record in fetched.records if "stamp" in record] == ["not-a-time"]
    assert sum("incomplete_sources" in record for record in fetched.records) == 1


# Errors inside a 200


KINDS: list[tuple[str, type[Exception], float | None]] = [
    ("burst", RetriableError, 2.0),
    ("burst_2025", RetriableError, 2.0),
    ("note", RetriableError, 60.0),
    ("premium_volume", RetriableError, None),
    ("empty_object", RetriableError, None),
    ("premium_endpoint", PermanentError, None),
    ("premium_outputsize", PermanentError, None),
    ("invalid_call", PermanentError, None),
    ("invalid_key", CredentialsError, None),
    ("no_function", PermanentError, None),
    ("demo", PermanentError, None),
    ("daily_quota", QuotaError, None),
]


@pytest.mark.parametrize(("kind", "error", "wait"), KINDS)
def test_each_kind_of_refusal_is_sorted_by_recovery(kind: str, error: type[Exception], wait: float | None) -> None:
    content = REFUSALS[kind]
    body = {} if content is None else {content[0]: content[1].format(key="KEY", function="FX_DAILY")}
    with pytest.raises(error) as caught:
        wire.checker({"function": "FX_DAILY"}, "EURUSD")(body)
    assert type(caught.value) in (error, notices.FullRefused)
    assert getattr(caught.value, "retry_after", None) == wait


def test_every_kind_of_refusal_the_fake_exchange_knows_is_tried() -> None:
    assert {kind for kind, _, _ in KINDS} == REFUSALS.keys()


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("invalid_key", "FFE_ALPHA_VANTAGE__API_KEY"),
        ("demo", "FFE_ALPHA_VANTAGE__API_KEY"),
        ("invalid_call", "has no pair EURUSD"),
        ("premium_endpoint", "a free key gets only timeframe 1d"),
        ("daily_quota", "run it again tomorrow"),
    ],
)
def test_a_refusal_says_what_to_do_next(kind: str, says: str) -> None:
    key, text = REFUSALS[kind] or ("", "")
    with pytest.raises((PermanentError, QuotaError), match=says):
        wire.checker({"function": "FX_DAILY"}, "EURUSD")({key: text})


def test_recorded_notices_are_sorted_by_recovery() -> None:
    """Texts as recorded between 2018 and 2026."""
    per_day = "We have detected your API key as X and our standard API rate limit is 25 requests per day."
    volume = "Thank you for using Alpha Vantage! Please visit https://www.alphavantage.co/premium/ if you would like to"
    for body, error in (
        ({"Information": per_day}, QuotaError),
        ({"Information": f"{volume} have a higher API call volume."}, RetriableError),
        ({"Error Message": "Invalid API call. Please retry or visit the documentation for CMO."}, PermanentError),
        ({"Detail": "something new"}, RetriableError),
        ({"Meta Data": {}}, RetriableError),
        ({"Time Series FX (Daily)": None}, RetriableError),
    ):
        with pytest.raises(error):
            wire.checker({"function": "FX_DAILY"}, "EURUSD")(body)


PASSING = [
    "The intraday time series encountered an internal or external error - we apologize for the inconvenience.",
    "Internal server error. Please try again later.",
    "The service is temporarily unavailable.",
    "Sorry for the hiccup.",
]


@pytest.mark.parametrize("text", PASSING)
async def test_an_error_of_its_own_that_passes_is_asked_again_and_is_no_missing_pair(tmp_path: Path, text: str) -> None:
    body = json.dumps({"Error Message": text})
    with served(fx_days(60)) as exchange:
        once = exchange.fault(Fault.other_shape(body))
        async with provider(exchange, tmp_path) as vantage:
            assert (await vantage.fetch("EURUSD", "1d", Page(TODAY - 30 * DAY, TODAY))).records
            exchange.fault(Fault.other_shape(body), times=None)
            with pytest.raises(RetriableError, match="trouble of its own") as caught:
                await vantage.fetch("EURUSD", "1d", Page(TODAY - 30 * DAY, TODAY))
    assert once.hits == 1
    assert "has no pair" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("Invalid API call. Please retry or visit the documentation for FX_DAILY.", PermanentError, "has no pair"),
        ("Invalid inputs. Please refer to the API documentation", PermanentError, "has no pair"),
        ("This API function (FX_DALLY) does not exist.", PermanentError, "does not serve FX_DAILY"),
        ("the parameter apikey is invalid or missing.", PermanentError, "the key is refused"),
    ],
)
def test_an_error_that_stays_is_final(text: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        wire.checker({"function": "FX_DAILY"}, "EURUSD")({"Error Message": text})


def test_every_word_of_the_table_is_in_lower_case_as_texts_are_compared() -> None:
    words = [word for notice in notices.NOTICES for word in notice.words]
    assert words == [word.lower() for word in words]


def test_a_series_beside_a_notice_is_data() -> None:
    body = {"Information": "25 requests per day", "Time Series FX (Daily)": {}}
    wire.checker({"function": "FX_DAILY"}, "EURUSD")(body)


@pytest.mark.parametrize("kind", ["burst", "note", "empty_object", "premium_volume"])
async def test_one_refusal_that_passes_is_survived(tmp_path: Path, kind: str) -> None:
    with served(fx_days(60)) as exchange:
        exchange.fault(Fault.alpha_vantage(kind))
        async with provider(exchange, tmp_path) as vantage:
            assert (await vantage.fetch("EURUSD", "1d", Page(TODAY - 30 * DAY, TODAY))).records
    assert exchange.count() == 2


async def test_a_used_up_quota_stops_every_series_and_shows_no_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with served(fx_days(60), daily_quota=1) as exchange:
        async with provider(exchange, tmp_path) as vantage:
            page = Page(TODAY - 30 * DAY, TODAY)
            assert (await vantage.fetch("EURUSD", "1d", page)).records
            for pair in ("EURUSD", "GBPUSD", "BTCUSD"):
                with pytest.raises(QuotaError, match="daily quota") as caught:
                    await vantage.fetch(pair, "1d", page)
                assert SECRET not in str(caught.value)
    assert exchange.count() == 2
    assert SECRET not in caplog.text


# Bodies


def fx(series: dict[str, Any], zone: Any = "UTC") -> dict[str, Any]:
    return {"Meta Data": {"1. Information": "FX", "7. Time Zone": zone}, "Time Series FX (5min)": series}


ROW = {"1. open": "1.1572", "2. high": "1.1573", "3. low": "1.1569", "4. close": "1.1571"}


def test_a_record_keeps_its_values_as_sent_and_gains_plain_names_its_stamp_and_its_date() -> None:
    assert wire.records(fx({"2018-08-22 06:15:00": ROW}), None) == [
        {
            **ROW,
            "open": "1.1572",
            "high": "1.1573",
            "low": "1.1569",
            "close": "1.1571",
            "stamp": "2018-08-22 06:15:00",
            "date": "2018-08-22T06:15:00+00:00",
        }
    ]


@pytest.mark.parametrize(
    ("zone", "stamp", "date"),
    [
        ("UTC", "2024-01-15 10:00:00", "2024-01-15T10:00:00+00:00"),
        ("US/Eastern", "2024-01-15 10:00:00", "2024-01-15T15:00:00+00:00"),
        ("US/Eastern", "2024-07-15 10:00:00", "2024-07-15T14:00:00+00:00"),
        ("America/New_York", "2024-07-15 10:00:00", "2024-07-15T14:00:00+00:00"),
        ("GMT+8", "2018-08-22 14:15:00", "2018-08-22T06:15:00+00:00"),
        ("GMT-3", "2024-01-15 10:00:00", "2024-01-15T13:00:00+00:00"),
        ("Europe/Berlin", "2024-01-15 10:00:00", "2024-01-15T09:00:00+00:00"),
        ("US/Eastern", "2024-01-15", "2024-01-15T00:00:00+00:00"),
        ("GMT+8", "2018-08-22", "2018-08-22T00:00:00+00:00"),
        ("Nowhere/Land", "2018-08-22", "2018-08-22T00:00:00+00:00"),
        ("UTC", "not-a-time", "not-a-time"),
        ("UTC", "2024-13-45 10:00:00", "2024-13-45 10:00:00"),
        ("UTC", "2024-13-45", "2024-13-45"),
        ("UTC", "", ""),
        ("GMT+8", "0001-01-01 00:00:00", "0001-01-01 00:00:00"),
        ("UTC", "２０２４-01-15 10:00:00", "２０２４-01-15 10:00:00"),
        ("UTC", "٢٠٢٤-01-15", "٢٠٢٤-01-15"),
    ],
)
def test_a_stamp_is_read_in_the_zone_of_the_metadata(zone: str, stamp: str, date: str) -> None:
    assert wire.records(fx({stamp: ROW}, zone), None)[0]["date"] == date


@pytest.mark.parametrize("zone", ["Nowhere/Land", "", "../etc/passwd", "GMT+99", "GMT+٨"])
def test_an_unknown_zone_is_a_clear_error(zone: str) -> None:
    with pytest.raises(PermanentError, match="zone"):
        wire.records(fx({"2024-01-15 10:00:00": ROW}, zone), None)


@pytest.mark.parametrize("meta", [None, {}, [], {"7. Time Zone": None}])
def test_times_without_a_named_zone_are_a_broken_body(meta: Any) -> None:
    with pytest.raises(RetriableError, match="zone"):
        wire.records({"Meta Data": meta, "Time Series": {"2024-01-15 10:00:00": ROW}}, None)


def test_the_old_crypto_shape_gives_the_values_of_its_own_market() -> None:
    row = {
        "1a. open (EUR)": "1",
        "1b. open (USD)": "2",
        "2a. high (EUR)": "3",
        "2b. high (USD)": "4",
        "3a. low (EUR)": "0.5",
        "3b. low (USD)": "0.6",
        "4a. close (EUR)": "2.5",
        "4b. close (USD)": "2.6",
        "5. volume": "15786.65979924",
        "6. market cap (USD)": "116063224.04482706",
    }
    body = {"Time Series (Digital Currency Daily)": {"2018-09-04": row}}
    names = ("open", "high", "low", "close", "volume")
    assert [wire.records(body, "EUR")[0][name] for name in names] == ["1", "3", "0.5", "2.5", "15786.65979924"]
    assert [wire.records(body, "USD")[0][name] for name in names] == ["2", "4", "0.6", "2.6", "15786.65979924"]
    assert wire.records(body, "GBP")[0].keys() & set(names) == {"volume"}


def test_an_adjusted_close_and_other_values_are_not_taken_for_a_candle() -> None:
    row = {"4. close": "107", "5. adjusted close": "99", "6. volume": "7", "7. dividend amount": "0.0000"}
    (record,) = wire.records({"Time Series (Daily)": {"2018-08-20": row}}, None)
    assert (record["close"], record["volume"]) == ("107", "7")


def test_repeated_keys_are_not_lost() -> None:
    text = '{"Time Series FX (Daily)": {"2024-01-15": {"4. close": "1"}, "2024-01-15": {"4. close": "2"}}}'
    body = json.loads(text, object_pairs_hook=wire.keep_duplicate_keys)
    assert [record["close"] for record in wire.records(body, None)] == ["1", "2"]


def test_a_row_that_is_no_object_is_kept_with_its_time() -> None:
    (record,) = wire.records({"Time Series (Daily)": {"2024-01-15": "what"}}, None)
    assert record == {"raw": "what", "stamp": "2024-01-15", "date": "2024-01-15T00:00:00+00:00"}
