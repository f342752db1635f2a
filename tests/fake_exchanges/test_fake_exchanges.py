"""Tests that the fake exchanges speak the documented wire formats, asked over real HTTP."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fake_exchanges import (
    REFUSALS,
    AlphaVantageExchange,
    Candle,
    CoinbaseExchange,
    Fault,
    Market,
    OandaExchange,
    TokenBucket,
    from_parquet,
    fx_closed,
    generated,
)
from tests.fake_exchanges.__main__ import fake_exchange, parsed

HOUR, DAY = 3600, 86400


def epoch(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


START = epoch("2024-01-01")
NOW = START + 1000 * HOUR + HOUR // 2


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10) as client:
        yield client


class TestMarket:
    def test_generated_candles_are_the_same_whatever_the_range(self):
        whole = generated(START, START + 50 * HOUR, HOUR, seed="a")
        part = generated(START + 10 * HOUR, START + 20 * HOUR, HOUR, seed="a")
        assert len(whole) == 50
        assert part == {at: whole[at] for at in part}
        assert generated(START, START + HOUR, HOUR, seed="b")[START] != whole[START]

    def test_generated_candles_are_valid(self):
        for candle in generated(START, START + 500 * HOUR, HOUR).values():
            low, high = float(candle.low), float(candle.high)
            assert 0 < low <= float(candle.open) <= high
            assert low <= float(candle.close) <= high
            assert float(candle.volume) > 0

    @pytest.mark.parametrize(
        ("instant", "closed"),
        [
            ("2024-01-05T21:59", False),
            ("2024-01-05T22:00", True),
            ("2024-01-07T21:59", True),
            ("2024-01-07T22:00", False),
            ("2024-07-05T20:59", False),
            ("2024-07-05T21:00", True),
            ("2024-07-07T21:00", False),
        ],
    )
    def test_fx_closes_at_five_in_the_afternoon_in_new_york(self, instant: str, closed: bool):
        assert fx_closed(epoch(instant)) is closed

    def test_a_bar_is_generated_when_any_hour_of_it_is_open(self):
        start, end = epoch("2024-01-05"), epoch("2024-01-09")
        days = generated(start, end, DAY, closed=fx_closed)
        assert [datetime.fromtimestamp(at, UTC).strftime("%a") for at in days] == ["Fri", "Sun", "Mon"]

    def test_sparse_markets_leave_bars_out(self):
        candles = generated(START, START + HOUR, 60, missing=lambda at: at % 180 == 0)
        assert len(candles) == 40
        assert START not in candles

    def test_parquet_values_come_back_bit_for_bit(self, tmp_path: Path):
        values = [0.1 + 0.2, 1e-7, 63.87, 1 / 3]
        table = pa.table(
            {
                "timestamp": pa.array([at * 1_000_000 for at in range(4)], pa.timestamp("us", "UTC")),
                **dict.fromkeys(("open", "high", "low", "close"), values),
                "volume": pa.array([5.0, None, math.nan, 2.5]),
            }
        )
        pq.write_table(table, tmp_path / "x.parquet")
        candles = from_parquet(tmp_path / "x.parquet")
        assert [float(candle.open) for candle in candles.values()] == values
        assert [candle.volume for candle in candles.values()] == ["5.0", "0", "0", "2.5"]
        assert "e" not in candles[1].open

    def test_one_symbol_whatever_its_separator(self):
        market = Market({("BTC-USD", HOUR): {0: ("1", "1", "1", "1", "1")}})
        assert market.candles("BTC_USD", HOUR) == {0: Candle("1", "1", "1", "1", "1")}
        assert market.candles("BTCUSD", HOUR) == {}


class TestTokenBucket:
    def test_refuses_beyond_the_burst_and_refills_at_the_rate(self):
        time = [0.0]
        bucket = TokenBucket(10, 3, lambda: time[0])
        assert [bucket.take() for _ in range(4)] == [True, True, True, False]
        time[0] = 0.1
        assert [bucket.take() for _ in range(2)] == [True, False]
        time[0] = 60
        assert [bucket.take() for _ in range(4)] == [True, True, True, False]


@pytest.fixture(scope="module")
def coinbase_server() -> Iterator[CoinbaseExchange]:
    market = Market(
        {
            ("BTC-USD", HOUR): generated(START, START + 2000 * HOUR, HOUR),
            ("BTC-USD", 14400): generated(START, START + 2000 * HOUR, 14400),
            ("DOGE-USD", 60): generated(START, START + DAY, 60, missing=lambda at: at % 300 == 0),
        }
    )
    with CoinbaseExchange(market, rate=None, now=lambda: NOW) as exchange:
        yield exchange


@pytest.fixture
def coinbase(coinbase_server: CoinbaseExchange) -> Iterator[CoinbaseExchange]:
    coinbase_server.reset()
    yield coinbase_server
    coinbase_server.reset()


PRODUCTS = "/api/v3/brokerage/market/products"


def ask(client: httpx.Client, exchange: CoinbaseExchange, product: str = "BTC-USD", **params: Any) -> httpx.Response:
    asked = {"start": START, "end": START + 2 * HOUR, "granularity": "ONE_HOUR", **params}
    wanted = {name: value for name, value in asked.items() if value is not None}
    return client.get(f"{exchange.url}{PRODUCTS}/{product}/candles", params=wanted)


def starts(response: httpx.Response) -> list[int]:
    assert response.status_code == 200, response.text
    return [int(candle["start"]) for candle in response.json()["candles"]]


class TestCoinbase:
    def test_newest_first_both_ends_included_all_text(self, client, coinbase):
        response = ask(client, coinbase)
        assert starts(response) == [START + 2 * HOUR, START + HOUR, START]
        oldest = response.json()["candles"][-1]
        assert list(oldest) == ["start", "low", "high", "open", "close", "volume"]
        candle = coinbase.market.candles("BTC-USD", HOUR)[START]
        assert oldest == {"start": str(START), **candle._asdict()}

    def test_four_hours(self, client, coinbase):
        response = ask(client, coinbase, granularity="FOUR_HOUR", end=START + DAY)
        assert len(starts(response)) == 7

    def test_a_start_inside_a_bucket_brings_the_bucket(self, client, coinbase):
        assert starts(ask(client, coinbase, start=START + 1, end=START + HOUR)) == [START + HOUR, START]

    def test_350_candles_pass_and_351_are_refused(self, client, coinbase):
        assert len(starts(ask(client, coinbase, end=START + 349 * HOUR))) == 350
        refused = ask(client, coinbase, end=START + 350 * HOUR)
        assert refused.status_code == 400
        assert refused.json()["error"] == "INVALID_ARGUMENT"
        assert "number of candles requested should be less than 350" in refused.json()["error_details"]

    @pytest.mark.parametrize(
        "params",
        [
            {"start": None},
            {"end": None},
            {"start": "2024-01-01T00:00:00Z"},
            {"start": START + DAY, "end": START},
            {"granularity": "3600"},
            {"granularity": None},
            {"limit": 351},
            {"limit": 0},
        ],
    )
    def test_wrong_arguments(self, client, coinbase, params):
        response = ask(client, coinbase, **params)
        assert response.status_code == 400
        assert set(response.json()) == {"error", "error_details", "message"}

    def test_limit_keeps_the_newest(self, client, coinbase):
        assert starts(ask(client, coinbase, limit=2)) == [START + 2 * HOUR, START + HOUR]

    @pytest.mark.parametrize("product", ["NOPE-USD", "BTCUSD", "btc-usd", "BTC_USD"])
    def test_unknown_products(self, client, coinbase, product):
        response = ask(client, coinbase, product)
        assert response.status_code == 404
        assert response.json() == {"error": "NOT_FOUND", "message": f"Product {product} not supported"}

    def test_usdc_shows_the_usd_book(self, client, coinbase):
        assert ask(client, coinbase, "BTC-USDC").json() == ask(client, coinbase).json()

    def test_the_running_candle_is_there_and_is_not_the_final_one(self, client, coinbase):
        running = START + 1000 * HOUR
        response = ask(client, coinbase, start=running - HOUR, end=running + 5 * HOUR)
        assert starts(response) == [running, running - HOUR]
        final = coinbase.market.candles("BTC-USD", HOUR)[running]
        assert response.json()["candles"][0]["open"] == final.open
        assert response.json()["candles"][0]["volume"] != final.volume

    def test_the_newest_candles_may_come_late(self, client, coinbase_server):
        with CoinbaseExchange(coinbase_server.market, now=lambda: NOW, lag=HOUR) as late:
            newest = starts(ask(client, late, start=NOW - 3 * HOUR, end=int(NOW)))
        assert newest[0] == START + 999 * HOUR

    def test_minutes_without_trades_are_absent(self, client, coinbase):
        response = ask(client, coinbase, "DOGE-USD", granularity="ONE_MINUTE", end=START + 9 * 60)
        assert sorted(starts(response)) == [START + 60 * minute for minute in (1, 2, 3, 4, 6, 7, 8, 9)]

    def test_before_the_listing_is_an_empty_page(self, client, coinbase):
        assert starts(ask(client, coinbase, start=START - DAY, end=START - HOUR)) == []

    def test_listing(self, client, coinbase):
        listing = client.get(coinbase.url + PRODUCTS).json()
        assert [product["product_id"] for product in listing["products"]] == ["BTC-USD", "DOGE-USD"]
        assert listing["num_products"] == 2
        assert client.get(f"{coinbase.url}{PRODUCTS}/BTC-USD").json() == listing["products"][0]

    def test_the_sibling_without_market_wants_a_token(self, client, coinbase):
        assert client.get(f"{coinbase.url}/api/v3/brokerage/products/BTC-USD/candles").status_code == 401

    def test_requests_beyond_the_burst_get_429_and_are_counted(self, client):
        with CoinbaseExchange(Market(), rate=0.001, burst=3) as exchange:
            answers = [client.get(exchange.url + PRODUCTS).status_code for _ in range(5)]
            assert answers == [200, 200, 200, 429, 429]
            assert exchange.rate_limited == 2


class TestRequestLog:
    def test_remembers_what_was_asked_and_answered(self, client, coinbase):
        ask(client, coinbase)
        client.get(coinbase.url + "/nowhere", headers={"X-Me": "1"})
        first, second = coinbase.requests
        assert (first.number, first.method, first.status, first.fault) == (1, "GET", 200, None)
        assert first.path == f"{PRODUCTS}/BTC-USD/candles"
        assert first.params == {"start": str(START), "end": str(START + 2 * HOUR), "granularity": "ONE_HOUR"}
        assert (second.status, second.headers["x-me"]) == (404, "1")
        assert coinbase.count("/candles", granularity="ONE_HOUR") == 1
        assert coinbase.count(granularity="ONE_DAY") == 0

    def test_connections_are_kept_alive(self, coinbase):
        with httpx.Client() as client:
            assert len({ask(client, coinbase).status_code for _ in range(5)}) == 1
        assert coinbase.connections == 1

    def test_many_threads(self, coinbase):
        def run() -> None:
            with httpx.Client() as client:
                for _ in range(10):
                    ask(client, coinbase)

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [seen.number for seen in coinbase.requests] == list(range(1, 41))
        assert {seen.status for seen in coinbase.requests} == {200}

    def test_waiting_for_a_request_that_never_comes(self, coinbase):
        with pytest.raises(TimeoutError, match="0 of 1 requests"):
            coinbase.wait_for_requests(1, timeout=0.01)

    def test_a_failure_of_the_fake_exchange_itself_is_raised_when_it_stops(self, client, monkeypatch):
        exchange = CoinbaseExchange(Market()).start()
        monkeypatch.setattr(exchange, "answer", lambda seen: {}["nothing"])
        assert "the fake exchange itself failed" in client.get(exchange.url).text
        with pytest.raises(KeyError, match="nothing"):
            exchange.stop()

    def test_url_of_a_server_that_does_not_run(self):
        with pytest.raises(RuntimeError, match="not running"):
            _ = CoinbaseExchange(Market()).url


class TestFaults:
    def test_a_queue_is_served_in_order_and_then_the_truth(self, client, coinbase):
        coinbase.fault(Fault.http(500), times=2)
        coinbase.fault(Fault.rate_limited(retry_after=7))
        answers = [ask(client, coinbase) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [500, 500, 429, 200]
        assert [answer.headers.get("retry-after") for answer in answers] == [None, None, "7", None]
        assert [seen.fault for seen in coinbase.requests] == ["http 500", "http 500", "http 429", None]

    def test_a_lasting_fault_until_it_is_cancelled(self, client, coinbase):
        script = coinbase.fault(Fault.http(502), times=None)
        assert [ask(client, coinbase).status_code for _ in range(3)] == [502] * 3
        script.cancel()
        assert ask(client, coinbase).status_code == 200
        assert script.hits == 3

    def test_a_fault_for_some_requests_only(self, client, coinbase):
        coinbase.fault(Fault.http(500), times=None, when=lambda seen: seen.params.get("end") == str(START))
        coinbase.fault(Fault.http(503), number=3)
        ends = [START + HOUR, START, START + HOUR, START + HOUR]
        assert [ask(client, coinbase, end=end).status_code for end in ends] == [200, 500, 503, 200]

    def test_429_without_retry_after(self, client, coinbase):
        coinbase.fault(Fault.rate_limited())
        response = ask(client, coinbase)
        assert response.status_code == 429
        assert "retry-after" not in response.headers
        assert coinbase.rate_limited == 0

    @pytest.mark.parametrize(("fault", "status"), [(Fault.maintenance(), 503), (Fault.html(), 200)])
    def test_html(self, client, coinbase, fault, status):
        coinbase.fault(fault)
        response = ask(client, coinbase)
        assert response.status_code == status
        assert response.headers["content-type"].startswith("text/html")
        assert response.text.startswith("<!DOCTYPE html>")

    @pytest.mark.parametrize(
        ("fault", "message"),
        [
            (Fault.drop(), "without sending complete message body"),
            (Fault.drop(after=10), "received 10 bytes"),
            (Fault.drop(after=0), "without sending a response"),
        ],
    )
    def test_dropped_connections(self, client, coinbase, fault, message):
        coinbase.fault(fault)
        with pytest.raises(httpx.RemoteProtocolError, match=message):
            ask(client, coinbase)
        assert ask(client, coinbase).status_code == 200

    def test_truncated_json(self, client, coinbase):
        coinbase.fault(Fault.truncated())
        response = ask(client, coinbase)
        assert response.status_code == 200
        with pytest.raises(json.JSONDecodeError):
            response.json()

    def test_another_shape(self, client, coinbase):
        coinbase.fault(Fault.other_shape("[]"))
        assert ask(client, coinbase).json() == []

    def test_an_empty_page(self, client, coinbase):
        coinbase.fault(Fault.empty_page())
        assert starts(ask(client, coinbase)) == []
        assert len(starts(ask(client, coinbase))) == 3

    @pytest.mark.parametrize("fault", [Fault.hang(), Fault.slow(3600)])
    def test_stopping_cuts_off_what_hangs(self, fault):
        exchange = CoinbaseExchange(Market()).start()
        url, errors = exchange.url, []
        exchange.fault(fault)

        def ask_and_wait() -> None:
            with pytest.raises(httpx.RemoteProtocolError) as caught:
                httpx.get(url, timeout=60)
            errors.append(caught.value)

        waiting = threading.Thread(target=ask_and_wait)
        waiting.start()
        exchange.wait_for_requests(1)
        exchange.stop()
        waiting.join()
        assert len(errors) == 1

    def test_slow_answers_are_honest(self, client, coinbase):
        coinbase.fault(Fault.slow(0.01))
        assert len(starts(ask(client, coinbase))) == 3

    @pytest.mark.parametrize("fault", [Fault.hang(), Fault.slow(3600)])
    def test_a_client_that_gives_up_before_the_answer(self, coinbase, fault):
        coinbase.fault(fault)
        with httpx.Client(timeout=httpx.Timeout(60, read=0.05)) as client, pytest.raises(httpx.ReadTimeout):
            ask(client, coinbase)
        assert (coinbase.requests[0].status, coinbase.requests[0].fault) == (None, fault.name)

    def test_a_number_and_a_condition_must_both_hold(self, client, coinbase):
        coinbase.fault(Fault.http(500), number=2, when=lambda seen: "end" not in seen.params)
        assert [ask(client, coinbase).status_code for _ in range(3)] == [200] * 3


BROKEN: list[tuple[str, dict[str, Any], str, Any]] = [
    ("null", {}, "close", None),
    ("nan", {"field": "high"}, "high", "NaN"),
    ("infinity", {}, "close", "Infinity"),
    ("bare_infinity", {"field": "volume"}, "volume", math.inf),
    ("text", {"field": "open"}, "open", "n/a"),
    ("set", {"field": "open", "value": 12}, "open", 12),
]


class TestBrokenRecords:
    def broken(self, client, coinbase, kind: str, **options: Any) -> list[Any]:
        """The middle record of three as sent, a list because it may be repeated."""
        coinbase.break_record("BTC-USD", HOUR, START + HOUR, kind, **options)
        rows = ask(client, coinbase).json()["candles"]
        assert rows[0]["start"] == str(START + 2 * HOUR)
        assert rows[-1]["start"] == str(START)
        return rows[1:-1]

    def whole(self, coinbase) -> dict[str, str]:
        return {"start": str(START + HOUR), **coinbase.market.candles("BTC-USD", HOUR)[START + HOUR]._asdict()}

    @pytest.mark.parametrize(("kind", "options", "field", "value"), BROKEN)
    def test_a_field_of_another_value(self, client, coinbase, kind, options, field, value):
        assert self.broken(client, coinbase, kind, **options) == [{**self.whole(coinbase), field: value}]

    def test_a_bare_nan(self, client, coinbase):
        (row,) = self.broken(client, coinbase, "bare_nan")
        assert math.isnan(row["close"])

    def test_prices_out_of_order(self, client, coinbase):
        (row,) = self.broken(client, coinbase, "high_below_low")
        assert float(row["high"]) < float(row["low"])

    @pytest.mark.parametrize(("kind", "field"), [("open_outside", "open"), ("close_outside", "close")])
    def test_prices_outside(self, client, coinbase, kind, field):
        (row,) = self.broken(client, coinbase, kind)
        assert not float(row["low"]) <= float(row[field]) <= float(row["high"])

    @pytest.mark.parametrize("field", ["low", "volume"])
    def test_negative(self, client, coinbase, field):
        (row,) = self.broken(client, coinbase, "negative", field=field)
        assert float(row[field]) < 0

    @pytest.mark.parametrize(("field", "key"), [("close", "close"), ("time", "start")])
    def test_a_missing_field(self, client, coinbase, field, key):
        (row,) = self.broken(client, coinbase, "missing", field=field)
        assert {key, *row} == set(self.whole(coinbase))
        assert key not in row

    def test_repeats(self, client, coinbase):
        first, second = self.broken(client, coinbase, "repeat")
        assert first == second == self.whole(coinbase)

    def test_different_repeats(self, client, coinbase):
        first, second = self.broken(client, coinbase, "repeat_different")
        assert {first["start"], second["start"]} == {str(START + HOUR)}
        assert first["high"] != second["high"]

    def test_an_unreadable_time(self, client, coinbase):
        assert self.broken(client, coinbase, "bad_time") == [{**self.whole(coinbase), "start": "not-a-time"}]

    def test_not_a_record_at_all(self, client, coinbase):
        assert self.broken(client, coinbase, "not_a_record") == ["not a record"]

    def test_kinds_add_up_and_can_be_mended(self, client, coinbase):
        coinbase.break_record("BTC-USD", HOUR, START + HOUR, "null", field="open")
        (row,) = self.broken(client, coinbase, "text", field="high")
        assert (row["open"], row["high"]) == (None, "n/a")
        coinbase.mend_record("BTC-USD", HOUR, START + HOUR)
        assert ask(client, coinbase).json()["candles"][1] == self.whole(coinbase)

    @pytest.mark.parametrize(
        ("kind", "options"), [("no such", {}), ("set", {"field": "nope", "value": 1}), ("missing", {"field": "nope"})]
    )
    def test_a_wrong_break_is_refused_where_it_is_scripted(self, coinbase, kind, options):
        with pytest.raises(ValueError, match=r"no such|nope"):
            coinbase.break_record("BTC-USD", HOUR, START, kind, **options)


SUMMER, WINTER = epoch("2024-07-01"), epoch("2024-01-08")
OANDA_NOW = epoch("2024-07-12T10:30")


@pytest.fixture(scope="module")
def oanda_server() -> Iterator[OandaExchange]:
    market = Market()
    for step in (60, HOUR, 4 * HOUR, DAY):
        begin = epoch("2024-07-01") if step == 60 else epoch("2023-06-01")
        candles = generated(
            begin, epoch("2024-08-01"), step, price=1.1, decimals=5, volume_decimals=0, closed=fx_closed
        )
        market.add("EUR_USD", step, candles)
    with OandaExchange(market, token="secret", rate=None, now=lambda: OANDA_NOW) as exchange:
        yield exchange


@pytest.fixture
def oanda(oanda_server: OandaExchange) -> Iterator[OandaExchange]:
    oanda_server.reset()
    yield oanda_server
    oanda_server.reset()
    oanda_server.complete_delay, oanda_server.to_inclusive = 0.0, False


UTC_GRID = {"dailyAlignment": "0", "alignmentTimezone": "UTC"}


def iso(instant: int) -> str:
    return f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%dT%H:%M:%SZ}"


def ask_oanda(
    client: httpx.Client, exchange: OandaExchange, instrument: str = "EUR_USD", token: str = "secret", **params: Any
) -> httpx.Response:
    asked = {"granularity": "H1", "price": "M", "from": iso(SUMMER), "to": iso(SUMMER + 3 * HOUR), **params}
    wanted = {name: value for name, value in asked.items() if value is not None}
    headers = {"Authorization": f"Bearer {token}"}
    return client.get(f"{exchange.url}/v3/instruments/{instrument}/candles", params=wanted, headers=headers)


def times(response: httpx.Response) -> list[int]:
    assert response.status_code == 200, response.text
    stamps = [candle["time"] for candle in response.json()["candles"]]
    return [int(datetime.fromisoformat(stamp).timestamp()) for stamp in stamps]


class TestOanda:
    def test_oldest_first_end_left_out_exact_shape(self, client, oanda):
        response = ask_oanda(client, oanda, includeFirst="true")
        assert times(response) == [SUMMER, SUMMER + HOUR, SUMMER + 2 * HOUR]
        assert response.headers["requestid"]
        body, candle = response.json(), oanda.market.candles("EUR_USD", HOUR)[SUMMER]
        assert (body["instrument"], body["granularity"]) == ("EUR_USD", "H1")
        assert body["candles"][0] == {
            "complete": True,
            "volume": int(candle.volume),
            "time": "2024-07-01T00:00:00.000000000Z",
            "mid": {"o": candle.open, "h": candle.high, "l": candle.low, "c": candle.close},
        }

    def test_the_first_bar_goes_unless_it_is_asked_for(self, client, oanda):
        count = {"to": None, "count": 10}
        assert len(times(ask_oanda(client, oanda, **count))) == 9
        assert times(ask_oanda(client, oanda, **count))[0] == SUMMER + HOUR
        assert len(times(ask_oanda(client, oanda, includeFirst="true", **count))) == 10

    def test_false_leaves_out_only_the_bar_that_covers_from(self, client, oanda):
        assert times(ask_oanda(client, oanda, includeFirst="false"))[0] == SUMMER + HOUR
        weekend = {"from": iso(epoch("2024-07-06")), "to": None, "count": 1}
        sunday = epoch("2024-07-07T21:00")
        assert times(ask_oanda(client, oanda, includeFirst="false", **weekend)) == [sunday]
        assert times(ask_oanda(client, oanda, includeFirst="true", **weekend)) == [sunday]

    def test_a_from_inside_a_bar_brings_the_bar(self, client, oanda):
        response = ask_oanda(client, oanda, includeFirst="true", **{"from": iso(SUMMER + 60)})
        assert times(response)[0] == SUMMER

    def test_the_end_may_be_sent_too(self, client, oanda):
        oanda.to_inclusive = True
        assert times(ask_oanda(client, oanda, includeFirst="true"))[-1] == SUMMER + 3 * HOUR

    def test_count_alone_and_before_to(self, client, oanda):
        newest = times(ask_oanda(client, oanda, count=2, **{"from": None, "to": None}))
        assert newest == [OANDA_NOW - HOUR - HOUR // 2, OANDA_NOW - HOUR // 2]
        assert times(ask_oanda(client, oanda, count=2, **{"from": None})) == [SUMMER + HOUR, SUMMER + 2 * HOUR]
        assert len(times(ask_oanda(client, oanda, **{"from": None, "to": None}))) == 500

    def test_unix_seconds_are_read_and_written(self, client, oanda):
        params = {"granularity": "H1", "from": str(SUMMER), "count": "1", "includeFirst": "true"}
        headers = {"Authorization": "Bearer secret", "Accept-Datetime-Format": "UNIX"}
        response = client.get(f"{oanda.url}/v3/instruments/EUR_USD/candles", params=params, headers=headers)
        assert response.json()["candles"][0]["time"] == f"{SUMMER}.000000000"

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"count": 5}, "'count' cannot be specified when 'to' and 'from' parameters are set"),
            ({"granularity": "M1", "to": iso(SUMMER + 5001 * 60)}, "Maximum value for 'count' exceeded"),
            ({"to": None, "count": 5001}, "Maximum value for 'count' exceeded"),
            ({"to": iso(OANDA_NOW + 60)}, "Invalid value specified for 'to'. Time is in the future"),
            ({"instrument": "EURUSD"}, "Invalid value specified for 'instrument'"),
            ({"instrument": "NOPE_USD"}, "Invalid value specified for 'instrument'"),
            ({"granularity": "1h"}, "Invalid value specified for 'granularity'"),
            ({"price": "X"}, "Invalid value specified for 'price'"),
            ({"from": "2024-07-01T00:00:00"}, "Invalid value specified for 'from'"),
            ({"to": None, "count": 0}, "Invalid value specified for 'count'"),
            ({"includeFirst": "maybe"}, "Invalid value specified for 'includeFirst'"),
            ({"alignmentTimezone": "Mars"}, "Invalid value specified for 'alignmentTimezone'"),
        ],
    )
    def test_refusals_in_oandas_words(self, client, oanda, params, message):
        response = ask_oanda(client, oanda, **params)
        assert (response.status_code, response.json()) == (400, {"errorMessage": message})

    def test_5000_buckets_pass_although_fewer_bars_are_there(self, client, oanda):
        response = ask_oanda(client, oanda, granularity="M1", includeFirst="true", to=iso(SUMMER + 5000 * 60))
        assert len(times(response)) == 5000
        weekend = {"from": iso(epoch("2024-07-06")), "to": iso(epoch("2024-07-07"))}
        assert times(ask_oanda(client, oanda, granularity="M1", includeFirst="true", **weekend)) == []

    @pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}])
    def test_no_candles_without_the_token(self, client, oanda, headers):
        response = client.get(f"{oanda.url}/v3/instruments/EUR_USD/candles", headers=headers)
        assert response.status_code == 401
        assert response.json() == {"errorMessage": "Insufficient authorization to perform request."}

    @pytest.mark.parametrize(
        ("begin", "granularity", "hours"),
        [(SUMMER, "D", [21]), (WINTER, "D", [22]), (SUMMER, "H4", [1, 5, 9]), (WINTER, "H4", [2, 6, 10])],
    )
    def test_the_grid_of_a_client_that_forgot_to_ask_for_utc(self, client, oanda, begin, granularity, hours):
        # The bar that covers `from` counts, although it is left out.
        asked = {"from": iso(begin), "to": None, "count": len(hours) + 1, "includeFirst": "false"}
        open_times = times(ask_oanda(client, oanda, granularity=granularity, **asked))
        assert [datetime.fromtimestamp(at, UTC).hour for at in open_times] == hours

    @pytest.mark.parametrize(("granularity", "step"), [("H4", 4 * HOUR), ("D", DAY)])
    def test_the_utc_grid(self, client, oanda, granularity, step):
        asked = {"to": iso(SUMMER + 3 * DAY), "includeFirst": "true", **UTC_GRID}
        open_times = times(ask_oanda(client, oanda, granularity=granularity, **asked))
        assert open_times == list(range(SUMMER, SUMMER + 3 * DAY, step))

    def test_the_running_bar_is_not_complete(self, client, oanda):
        newest = {"from": None, "to": None, "count": 2}
        flags = [candle["complete"] for candle in ask_oanda(client, oanda, **newest).json()["candles"]]
        assert flags == [True, False]
        oanda.complete_delay = 31 * 60
        flags = [candle["complete"] for candle in ask_oanda(client, oanda, **newest).json()["candles"]]
        assert flags == [False, False]

    def test_bid_and_ask(self, client, oanda):
        (candle,) = ask_oanda(client, oanda, price="BA", count=1, **{"from": None}).json()["candles"]
        assert "mid" not in candle
        assert float(candle["bid"]["o"]) < float(candle["ask"]["o"])

    def test_accounts_and_instruments(self, client, oanda):
        headers = {"Authorization": "Bearer secret"}
        (account,) = client.get(f"{oanda.url}/v3/accounts", headers=headers).json()["accounts"]
        own = f"{oanda.url}/v3/accounts/{account['id']}/instruments"
        (instrument,) = client.get(own, headers=headers).json()["instruments"]
        assert (instrument["name"], instrument["type"]) == ("EUR_USD", "CURRENCY")
        assert client.get(f"{own}/EUR_USD/candles?count=3&granularity=D", headers=headers).status_code == 200

    def test_requests_beyond_the_limit_get_429(self, client):
        with OandaExchange(Market(), token="secret", rate=0.001, burst=2) as exchange:
            assert [ask_oanda(client, exchange).status_code for _ in range(3)] == [400, 400, 429]
            assert exchange.rate_limited == 1

    def test_broken_records_and_empty_pages(self, client, oanda):
        oanda.break_record("EUR_USD", HOUR, SUMMER, "missing", field="high")
        oanda.break_record("EUR_USD", HOUR, SUMMER + HOUR, "text", field="volume")
        first, second, _third = ask_oanda(client, oanda, includeFirst="true").json()["candles"]
        assert list(first["mid"]) == ["o", "l", "c"]
        assert second["volume"] == "n/a"
        oanda.fault(Fault.empty_page())
        page = {"instrument": "EUR_USD", "granularity": "H1", "candles": []}
        assert ask_oanda(client, oanda).json() == page


AV_NOW = epoch("2025-03-21T15:30")
SESSION = range(4 * HOUR, 20 * HOUR)


def equity_closed(instant: float) -> bool:
    """Outside 04:00 to 20:00 in New York's summer, and at weekends."""
    local = int(instant) - 4 * HOUR
    return local % DAY not in SESSION or datetime.fromtimestamp(local, UTC).weekday() > 4


@pytest.fixture(scope="module")
def av_market() -> Market:
    begin, end = epoch("2024-01-01"), epoch("2025-03-23")
    fx = {"price": 1.1, "decimals": 5, "volume_decimals": 0, "closed": fx_closed}
    stock = {"decimals": 4, "volume_decimals": 0}
    return Market(
        {
            ("AAPL", HOUR): generated(epoch("2025-01-01"), end, HOUR, closed=equity_closed, **stock),
            ("ROUND", HOUR): generated(epoch("2025-02-25"), epoch("2025-03-05"), HOUR, **stock),
            ("AAPL", DAY): generated(begin, end, DAY, **stock),
            ("EUR/USD", HOUR): generated(epoch("2025-02-01"), end, HOUR, **fx),
            ("EUR/USD", DAY): generated(begin, end, DAY, **fx),
            ("BTC/USD", HOUR): generated(epoch("2025-03-01"), end, HOUR),
            ("BTC/USD", DAY): generated(begin, end, DAY),
        }
    )


@pytest.fixture(scope="module")
def paid_server(av_market: Market) -> Iterator[AlphaVantageExchange]:
    with AlphaVantageExchange(av_market, key="K3Y", premium=True, now=lambda: AV_NOW) as exchange:
        yield exchange


@pytest.fixture
def paid(paid_server: AlphaVantageExchange) -> Iterator[AlphaVantageExchange]:
    paid_server.reset()
    yield paid_server
    paid_server.reset()
    paid_server.zones = {True: "US/Eastern", False: "UTC"}


@pytest.fixture(scope="module")
def free_server(av_market: Market) -> Iterator[AlphaVantageExchange]:
    with AlphaVantageExchange(av_market, key="K3Y", per_second=None, now=lambda: AV_NOW) as exchange:
        yield exchange


@pytest.fixture
def free(free_server: AlphaVantageExchange) -> Iterator[AlphaVantageExchange]:
    free_server.reset()
    yield free_server
    free_server.reset()


AAPL = {"symbol": "AAPL"}
EURUSD = {"from_symbol": "EUR", "to_symbol": "USD"}
BTCUSD = {"symbol": "BTC", "market": "USD"}
INTRADAY_60 = {"function": "TIME_SERIES_INTRADAY", "interval": "60min", **AAPL}


def query(client: httpx.Client, exchange: AlphaVantageExchange, **params: Any) -> httpx.Response:
    wanted = {name: value for name, value in {"apikey": "K3Y", **params}.items() if value is not None}
    response = client.get(f"{exchange.url}/query", params=wanted)
    assert response.status_code == 200
    return response


def series_of(body: dict[str, Any], name: str) -> dict[str, Any]:
    assert list(body) == ["Meta Data", name], body
    return body[name]


class TestAlphaVantage:
    @pytest.mark.parametrize(
        ("params", "series", "meta"),
        [
            (
                {"function": "TIME_SERIES_INTRADAY", "interval": "60min", **AAPL},
                "Time Series (60min)",
                {
                    "1. Information": "Intraday (60min) open, high, low, close prices and volume",
                    "2. Symbol": "AAPL",
                    "3. Last Refreshed": "2025-03-21 11:00:00",
                    "4. Interval": "60min",
                    "5. Output Size": "Compact",
                    "6. Time Zone": "US/Eastern",
                },
            ),
            (
                {"function": "TIME_SERIES_DAILY", "outputsize": "full", **AAPL},
                "Time Series (Daily)",
                {
                    "1. Information": "Daily Prices (open, high, low, close) and Volumes",
                    "2. Symbol": "AAPL",
                    "3. Last Refreshed": "2025-03-21",
                    "4. Output Size": "Full size",
                    "5. Time Zone": "US/Eastern",
                },
            ),
            (
                {"function": "FX_INTRADAY", "interval": "60min", **EURUSD},
                "Time Series FX (60min)",
                {
                    "1. Information": "FX Intraday (60min) Time Series",
                    "2. From Symbol": "EUR",
                    "3. To Symbol": "USD",
                    "4. Last Refreshed": "2025-03-21 15:00:00",
                    "5. Interval": "60min",
                    "6. Output Size": "Compact",
                    "7. Time Zone": "UTC",
                },
            ),
            (
                {"function": "FX_DAILY", **EURUSD},
                "Time Series FX (Daily)",
                {
                    "1. Information": "Forex Daily Prices (open, high, low, close)",
                    "2. From Symbol": "EUR",
                    "3. To Symbol": "USD",
                    "4. Output Size": "Compact",
                    "5. Last Refreshed": "2025-03-21",
                    "6. Time Zone": "UTC",
                },
            ),
            (
                {"function": "CRYPTO_INTRADAY", "interval": "60min", **BTCUSD},
                "Time Series Crypto (60min)",
                {
                    "1. Information": "Crypto Intraday (60min) Time Series",
                    "2. Digital Currency Code": "BTC",
                    "3. Digital Currency Name": "Bitcoin",
                    "4. Market Code": "USD",
                    "5. Market Name": "United States Dollar",
                    "6. Last Refreshed": "2025-03-21 15:00:00",
                    "7. Interval": "60min",
                    "8. Output Size": "Compact",
                    "9. Time Zone": "UTC",
                },
            ),
            (
                {"function": "DIGITAL_CURRENCY_DAILY", **BTCUSD},
                "Time Series (Digital Currency Daily)",
                {
                    "1. Information": "Daily Prices and Volumes for Digital Currency",
                    "2. Digital Currency Code": "BTC",
                    "3. Digital Currency Name": "Bitcoin",
                    "4. Market Code": "USD",
                    "5. Market Name": "United States Dollar",
                    "6. Last Refreshed": "2025-03-21 00:00:00",
                    "7. Time Zone": "UTC",
                },
            ),
        ],
    )
    def test_shapes(self, client, paid, params, series, meta):
        body = query(client, paid, **params).json()
        assert list(body["Meta Data"].items()) == list(meta.items())
        stamps = list(series_of(body, series))
        assert stamps == sorted(stamps, reverse=True)
        assert len(stamps) == {"Compact": 100, "Full size": 446}.get(
            next((value for key, value in meta.items() if "Output" in key), ""), 350
        )

    def test_values_of_each_kind(self, client, paid):
        stock = query(client, paid, **{**INTRADAY_60, "adjusted": "false"}).json()["Time Series (60min)"]
        candle = paid.market.candles("AAPL", HOUR)[epoch("2025-03-21T14:00")]
        assert stock["2025-03-21 10:00:00"] == {
            "1. open": candle.open,
            "2. high": candle.high,
            "3. low": candle.low,
            "4. close": candle.close,
            "5. volume": candle.volume,
        }
        fx = query(client, paid, function="FX_DAILY", **EURUSD).json()["Time Series FX (Daily)"]
        assert list(fx["2025-03-21"]) == ["1. open", "2. high", "3. low", "4. close"]
        crypto = query(client, paid, function="CRYPTO_INTRADAY", interval="60min", **BTCUSD).json()
        traded = crypto["Time Series Crypto (60min)"]["2025-03-21 14:00:00"]["5. volume"]
        exact = paid.market.candles("BTC/USD", HOUR)[epoch("2025-03-21T14:00")].volume
        assert traded == int(float(exact))
        daily = query(client, paid, function="DIGITAL_CURRENCY_DAILY", **BTCUSD).json()
        assert "." in daily["Time Series (Digital Currency Daily)"]["2025-03-20"]["5. volume"]

    def test_the_running_day_is_there_and_is_not_the_final_one(self, client, paid):
        days = query(client, paid, function="FX_DAILY", **EURUSD).json()["Time Series FX (Daily)"]
        assert days["2025-03-21"]["1. open"] == days["2025-03-21"]["2. high"]
        assert days["2025-03-20"]["3. low"] != days["2025-03-20"]["2. high"]

    def test_a_month_is_a_month_of_the_named_zone(self, client, paid):
        asked = {**INTRADAY_60, "outputsize": "full", "month": "2025-01"}
        stamps = list(query(client, paid, **asked).json()["Time Series (60min)"])
        # 1 to 31 January has 23 weekdays of 16 hours; in winter the generated session ends an hour earlier.
        assert len(stamps) == 23 * 16
        assert (stamps[0], stamps[-1]) == ("2025-01-31 18:00:00", "2025-01-01 03:00:00")
        assert list(query(client, paid, **{**asked, "month": "2024-01"}).json()["Time Series (60min)"]) == []
        assert len(query(client, paid, **{**asked, "outputsize": "compact"}).json()["Time Series (60min)"]) == 100

    @pytest.mark.parametrize(
        ("month", "end", "stamp"), [("2025-02", 0, "2025-02-28 23:00:00"), ("2025-03", -1, "2025-03-01 00:00:00")]
    )
    def test_months_meet_at_midnight_of_the_named_zone(self, client, paid, month, end, stamp):
        asked = {**INTRADAY_60, "symbol": "ROUND", "outputsize": "full", "month": month}
        assert list(query(client, paid, **asked).json()["Time Series (60min)"])[end] == stamp

    def test_without_a_month_full_reaches_30_days_back(self, client, paid):
        fx = query(client, paid, function="FX_INTRADAY", interval="60min", outputsize="full", **EURUSD)
        stamps = list(fx.json()["Time Series FX (60min)"])
        assert stamps[-1] == "2025-02-19 16:00:00"
        ignored = query(client, paid, function="FX_INTRADAY", interval="60min", month="2025-02", **EURUSD).json()
        assert "2025-03-21 15:00:00" in ignored["Time Series FX (60min)"]

    def test_only_the_regular_session(self, client, paid):
        asked = {**INTRADAY_60, "outputsize": "full", "month": "2025-01", "extended_hours": "false"}
        stamps = query(client, paid, **asked).json()["Time Series (60min)"]
        assert {stamp[11:] for stamp in stamps} == {f"{hour}:00:00" for hour in range(10, 16)}

    def test_a_client_that_forgets_adjusted_gets_other_prices(self, client, paid):
        raw, adjusted = (
            query(client, paid, **{**INTRADAY_60, "adjusted": flag}).json()["Time Series (60min)"]
            for flag in ("false", None)
        )
        first = next(iter(raw))
        assert float(adjusted[first]["1. open"]) == pytest.approx(float(raw[first]["1. open"]) / 4)
        assert adjusted[first]["5. volume"] == raw[first]["5. volume"]

    def test_another_zone(self, client, paid):
        paid.zones = {True: "US/Eastern", False: "GMT+8"}
        body = query(client, paid, function="FX_INTRADAY", interval="60min", **EURUSD).json()
        assert body["Meta Data"]["7. Time Zone"] == "GMT+8"
        assert next(iter(body["Time Series FX (60min)"])) == "2025-03-21 23:00:00"

    def test_csv_and_its_errors_in_json(self, client, paid):
        response = query(client, paid, **INTRADAY_60, datatype="csv")
        lines = response.text.split("\r\n")
        assert lines[0] == "timestamp,open,high,low,close,volume"
        assert lines[1].startswith("2025-03-21 11:00:00,")
        assert len(lines) == 102
        assert "Error Message" in query(client, paid, **{**INTRADAY_60, "symbol": "NOPE"}, datatype="csv").json()
        fx = query(client, paid, function="FX_DAILY", datatype="csv", **EURUSD)
        assert fx.text.startswith("timestamp,open,high,low,close\r\n")

    @pytest.mark.parametrize(
        "params",
        [
            {"symbol": "NOPE"},
            {"symbol": None},
            {"symbol": "EUR/USD"},
            {"interval": "4h"},
            {"interval": None},
            {"outputsize": "huge"},
            {"month": "1999-12"},
            {"month": "2025-1"},
            {"datatype": "xml"},
        ],
    )
    def test_wrong_arguments_are_a_200(self, client, paid, params):
        body = query(client, paid, **{**INTRADAY_60, **params}).json()
        assert list(body) == ["Error Message"]
        assert body["Error Message"].endswith("for TIME_SERIES_INTRADAY.")

    def test_keys(self, client, paid):
        assert "apikey is invalid or missing" in query(client, paid, apikey=None).json()["Error Message"]
        assert "apikey is invalid or missing" in query(client, paid, apikey="other").json()["Error Message"]
        assert "**demo**" in query(client, paid, apikey="demo").json()["Information"]
        assert "(NOPE) does not exist" in query(client, paid, function="NOPE").json()["Error Message"]

    @pytest.mark.parametrize("name", ["TIME_SERIES_INTRADAY", "FX_INTRADAY", "CRYPTO_INTRADAY"])
    def test_intraday_is_not_free(self, client, free, name):
        assert "This is a premium endpoint" in query(client, free, function=name).json()["Information"]

    @pytest.mark.parametrize(("name", "symbol"), [("TIME_SERIES_DAILY", AAPL), ("FX_DAILY", EURUSD)])
    def test_full_is_not_free_and_compact_is(self, client, free, name, symbol):
        text = query(client, free, function=name, outputsize="full", **symbol).json()["Information"]
        assert f"The outputsize=full parameter value is a premium feature for the {name} endpoint" in text
        assert "Meta Data" in query(client, free, function=name, **symbol).json()

    def test_the_quota_counts_refusals_echoes_the_key_and_ends_with_the_day(self, client, av_market):
        now = [AV_NOW]
        with AlphaVantageExchange(av_market, daily_quota=2, per_second=None, now=lambda: now[0]) as exchange:
            asked = {"function": "FX_DAILY", "apikey": "av-key", **EURUSD}
            assert "Meta Data" in query(client, exchange, **asked).json()
            assert "premium" in query(client, exchange, **{**asked, "function": "FX_INTRADAY"}).json()["Information"]
            text = query(client, exchange, **asked).json()["Information"]
            assert "We have detected your API key as av-key" in text
            assert "25 requests per day" in text
            assert exchange.used_today == 2
            now[0] += DAY
            assert "Meta Data" in query(client, exchange, **asked).json()

    def test_a_burst_is_refused_and_does_not_count(self, client, av_market):
        with AlphaVantageExchange(av_market, per_second=0.001, now=lambda: AV_NOW) as exchange:
            asked = {"function": "FX_DAILY", "apikey": "av-key", **EURUSD}
            assert "Meta Data" in query(client, exchange, **asked).json()
            assert "(1 request per second)" in query(client, exchange, **asked).json()["Information"]
            assert (exchange.rate_limited, exchange.used_today) == (1, 1)

    @pytest.mark.parametrize("kind", sorted(REFUSALS))
    def test_every_refusal_can_be_scripted(self, client, paid, kind):
        paid.fault(Fault.alpha_vantage(kind))
        body = query(client, paid, **INTRADAY_60).json()
        assert len(body) == (kind != "empty_object")
        assert not [text for text in body.values() if "{" in text]
        assert "Meta Data" in query(client, paid, **INTRADAY_60).json()

    def test_an_unknown_refusal_is_refused_where_it_is_scripted(self):
        with pytest.raises(ValueError, match="unknown kind of refusal 'nope'"):
            Fault.alpha_vantage("nope")

    def test_broken_records(self, client, paid):
        def sent(day: str, kind: str, **options: Any) -> str:
            paid.break_record("EUR/USD", DAY, epoch(day), kind, **options)
            return query(client, paid, function="FX_DAILY", **EURUSD).text

        assert sent("2025-03-20", "repeat").count('"2025-03-20":') == 2
        assert '"2025-03-19":"not a record"' in sent("2025-03-19", "not_a_record")
        assert '"not-a-time":{' in sent("2025-03-18", "bad_time")
        assert '"4. close": NaN' in sent("2025-03-17", "bare_nan")
        assert '"2. high": null' in sent("2025-03-14", "null", field="high")

    def test_an_empty_page(self, client, paid):
        paid.fault(Fault.empty_page())
        assert series_of(query(client, paid, **INTRADAY_60).json(), "Time Series (60min)") == {}


class TestByHand:
    def test_a_file_on_a_free_port(self, client, tmp_path):
        columns = {name: [1.5] for name in ("open", "high", "low", "close", "volume")}
        stamps = pa.array([START * 1_000_000], pa.timestamp("us", "UTC"))
        pq.write_table(pa.table({"timestamp": stamps, **columns}), tmp_path / "x.parquet")
        arguments = ["coinbase", "--parquet", str(tmp_path / "x.parquet"), "--symbol", "BTC-USD", "--step", "3600"]
        with fake_exchange(parsed(arguments)) as exchange:
            assert starts(ask(client, exchange)) == [START]

    @pytest.mark.parametrize(("name", "symbol"), [("oanda", "EUR_USD"), ("alpha_vantage", "EUR/USD")])
    def test_generated_candles_reach_now(self, name, symbol):
        exchange = fake_exchange(parsed([name, "--symbol", symbol, "--step", "86400", "--days", "10"]))
        now = exchange.now()
        assert exchange.market.between(symbol, DAY, now - 9 * DAY, now - 2 * DAY)

    def test_every_symbol_needs_a_step(self, capsys):
        with pytest.raises(SystemExit, match="2"):
            parsed(["coinbase", "--symbol", "BTC-USD", "--symbol", "ETH-USD", "--step", "60"])
        assert "give one step for each symbol" in capsys.readouterr().err
