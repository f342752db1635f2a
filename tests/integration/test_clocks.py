"""Tests that no clock of this computer, ahead, behind or set meanwhile, stores a wrong bar or leaves a hole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffe_core import BatchDataIngester, DeltaLakeManager, times
from ffe_core.providers.clock import ticks
from ffe_core.series import Series
from tests.fake_exchanges import CoinbaseExchange, Exchange, Market, OandaExchange, Seen, generated
from tests.ingestion.fakes import stored
from tests.integration.harness import SECRET, held

NOW = 1_715_769_440
"""2024-05-15 10:37:20 UTC, a Wednesday."""
HOUR, DAY = 3600, 86_400
NEVER: Callable[[], float] = lambda: 0.0  # noqa: E731 - a `Date` of 1970 is not believed


class Clocks:
    """What time it is (`true`, steadily counted), and by how much this computer's clock is `ahead`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.true, self.ahead = NOW, 0
        passed = lambda: ticks() + self.true - NOW  # noqa: E731
        for module in ("providers.clock", "providers.http", "ingestion.pipeline"):
            monkeypatch.setattr(f"ffe_core.{module}.ticks", passed)
        monkeypatch.setattr(times, "now", lambda: self.true + self.ahead)
        monkeypatch.setattr("ffe_core.ingestion.enrich.time.time_ns", lambda: (self.true + self.ahead) * 10**9)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def coinbase(clocks: Clocks, step: int, since: int, **options: Any) -> CoinbaseExchange:
    market = Market({("BTC-USD", step): generated(since, NOW + 3 * DAY, step)})
    return CoinbaseExchange(market, rate=None, now=lambda: clocks.true, **options)


def backfill(exchange: Exchange, folder: Path, series: Series, start: int, end: int, **more: Any) -> dict[str, Any]:
    own = {"base_url": exchange.url, "requests_per_second": 2000}
    config = {
        "data_dir": str(folder),
        "retry": {"attempts": 2, "base_delay_seconds": 0},
        "coinbase": own,
        "oanda": {**own, "api_token": SECRET},
    }
    single = BatchDataIngester(DeltaLakeManager(folder / "lake"), config)
    asked = (series.asset_pair, series.timeframe, times.iso(start), times.iso(end), series.provider)
    return asyncio.run(single.ingest_historical_data(*asked, **more))


def final(exchange: Exchange, series: Series, first: int, last: int) -> dict[int, tuple[float, ...]]:
    """The finished bars of a range, as the market has them."""
    candles = exchange.market.candles("BTC-USD" if series.provider == "coinbase" else "EUR_USD", series.step)
    return {at: tuple(map(float, candle)) for at, candle in candles.items() if first <= at < last}


BTC_1M, BTC_1H, EUR_1M = (
    Series("BTCUSD", "1m", "coinbase"),
    Series("BTCUSD", "1h", "coinbase"),
    Series("EURUSD", "1m", "oanda"),
)
CLOSED = NOW - NOW % 60 - 60
"""The open after the last minute that is closed for longer than the grace, at NOW."""


def test_four_minutes_ahead_store_no_unfinished_bar(
    clocks: Clocks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clocks.ahead = 240
    with coinbase(clocks, 60, NOW - 2 * HOUR) as exchange:
        result = backfill(exchange, tmp_path, BTC_1M, NOW - HOUR, NOW + HOUR)
        assert held(tmp_path, BTC_1M) == final(exchange, BTC_1M, NOW - HOUR, CLOSED)
        assert (result["status"], result["unexplained"]) == ("success", 0)
        assert result["clock_skew_seconds"] == pytest.approx(240, abs=3)
        assert "ahead of that of coinbase" in result["notices"][0]
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert len([record for record in warnings if "clock is" in record.getMessage()]) == 1
        clocks.true += 600
        backfill(exchange, tmp_path, BTC_1M, NOW - HOUR, NOW + HOUR)
        assert held(tmp_path, BTC_1M) == final(exchange, BTC_1M, NOW - HOUR, CLOSED + 600)


def test_what_is_stored_says_when_it_was_read_by_the_right_clock(clocks: Clocks, tmp_path: Path) -> None:
    clocks.ahead = 5 * DAY
    with coinbase(clocks, HOUR, NOW - DAY) as exchange:
        backfill(exchange, tmp_path, BTC_1H, NOW - DAY, NOW)
    read = {row["_extracted_at"].timestamp() for row in stored(tmp_path, BTC_1H).to_pylist()}
    assert max(read) == pytest.approx(NOW, abs=30)


def test_a_clock_that_agrees_is_not_spoken_of(clocks: Clocks, tmp_path: Path) -> None:
    clocks.ahead = 2
    with coinbase(clocks, HOUR, NOW - DAY) as exchange:
        result = backfill(exchange, tmp_path, BTC_1H, NOW - DAY, NOW)
    assert not result.keys() & {"clock_skew_seconds", "notices"}


def test_a_year_ahead_asks_for_little_of_the_future(clocks: Clocks, tmp_path: Path) -> None:
    clocks.ahead = 365 * DAY
    with coinbase(clocks, 60, NOW - 2 * HOUR) as exchange:
        result = backfill(exchange, tmp_path, BTC_1M, NOW - HOUR, NOW + 400 * DAY)
        assert held(tmp_path, BTC_1M) == final(exchange, BTC_1M, NOW - HOUR, CLOSED)
        assert exchange.count() <= 3 * 32
    assert (result["status"], result["unexplained"]) == ("success", 0)


@pytest.mark.parametrize("dated", [True, False], ids=["dated", "undated"])
def test_ten_days_behind_leave_no_hole_under_the_low_mark(clocks: Clocks, tmp_path: Path, dated: bool) -> None:
    start, newest = NOW - 20 * DAY, NOW - NOW % HOUR
    with coinbase(clocks, HOUR, start - DAY, date=None if dated else NEVER) as exchange:
        backfill(exchange, tmp_path, BTC_1H, newest - 94 * HOUR, newest)
        clocks.ahead = -10 * DAY
        backfill(exchange, tmp_path, BTC_1H, start, newest)
        marks = DeltaLakeManager(tmp_path / "lake").marks(BTC_1H)
        assert marks.low is not None
        assert held(tmp_path, BTC_1H).keys() >= final(exchange, BTC_1H, marks.low, newest).keys()
        if dated:
            assert marks.low <= start + HOUR
        clocks.ahead = 0
        backfill(exchange, tmp_path, BTC_1H, start, newest)
        assert held(tmp_path, BTC_1H) == final(exchange, BTC_1H, start, newest)


def test_ten_days_behind_a_resume_goes_on_to_the_real_end(clocks: Clocks, tmp_path: Path) -> None:
    clocks.ahead = -10 * DAY
    with coinbase(clocks, HOUR, NOW - 21 * DAY) as exchange:
        result = backfill(exchange, tmp_path, BTC_1H, NOW - 20 * DAY, NOW)
        newest = NOW - NOW % HOUR
        assert held(tmp_path, BTC_1H) == final(exchange, BTC_1H, NOW - 20 * DAY, newest)
    assert (result["status"], result["unexplained"], result["expected"]) == ("success", 0, 479)
    assert result["clock_skew_seconds"] == pytest.approx(-10 * DAY, abs=3)


@pytest.mark.parametrize("dated", [True, False], ids=["dated", "misdated"])
@pytest.mark.parametrize("ahead", [120, 5000])
def test_the_newest_page_of_oanda_is_had_from_a_clock_that_is_ahead(
    clocks: Clocks, tmp_path: Path, dated: bool, ahead: int
) -> None:
    clocks.ahead = ahead
    market = Market({("EUR_USD", 60): generated(NOW - 3 * HOUR, NOW + DAY, 60, volume_decimals=0)})
    date = None if dated else lambda: clocks.true + clocks.ahead
    with OandaExchange(market, token=SECRET, rate=None, now=lambda: clocks.true, date=date) as exchange:
        result = backfill(exchange, tmp_path, EUR_1M, NOW - 2 * HOUR, NOW + HOUR)
        rows = held(tmp_path, EUR_1M)
        assert rows == final(exchange, EUR_1M, NOW - 2 * HOUR, max(rows) + 60)
        assert max(rows) >= NOW - (120 if dated else 2 * ahead + 120)
        assert exchange.count() <= (2 if dated else 11)
    assert (result["status"], result["unexplained"]) == ("success", 0)
    assert result["clock_skew_seconds"] > 100


def test_an_oanda_that_calls_everything_the_future_is_an_error_that_names_the_clock(
    clocks: Clocks, tmp_path: Path
) -> None:
    clocks.ahead = 30 * DAY
    market = Market({("EUR_USD", 60): {}})
    date = lambda: clocks.true + clocks.ahead  # noqa: E731
    with OandaExchange(market, token=SECRET, rate=None, now=lambda: clocks.true, date=date) as exchange:
        result = backfill(exchange, tmp_path, EUR_1M, NOW + 29 * DAY, NOW + 30 * DAY)
    assert (result["status"], result["error_code"]) == ("error", "clock_ahead")
    assert "clock" in result["error"]


class TestYoungBars:
    """A bar that was read soon after its close is read again, until that is long ago."""

    def run(self, exchange: Exchange, folder: Path) -> dict[str, Any]:
        exchange.reset()
        return backfill(exchange, folder, BTC_1M, CLOSED - 30 * 60, CLOSED)

    def test_one_stored_unfinished_by_a_clock_that_nobody_corrected_is_mended(
        self, clocks: Clocks, tmp_path: Path
    ) -> None:
        with coinbase(clocks, 60, NOW - DAY, date=NEVER) as exchange:
            clocks.true, clocks.ahead = CLOSED - 30, 240
            self.run(exchange, tmp_path)
            assert held(tmp_path, BTC_1M) != final(exchange, BTC_1M, CLOSED - 30 * 60, CLOSED)
            clocks.true, clocks.ahead = NOW + 300, 0
            result = self.run(exchange, tmp_path)
            assert (result["records"], result["restated"], exchange.count()) == (1, 1, 1)
            current = DeltaLakeManager(tmp_path / "lake").current(BTC_1M, CLOSED - 30 * 60, CLOSED)
            wanted = final(exchange, BTC_1M, CLOSED - 30 * 60, CLOSED)
            assert current["close"].to_pylist() == [row[3] for row in wanted.values()]

    def test_what_has_changed_meanwhile_is_a_restatement_and_the_rest_are_duplicates(
        self, clocks: Clocks, tmp_path: Path
    ) -> None:
        with coinbase(clocks, 60, NOW - DAY) as exchange:
            self.run(exchange, tmp_path)
            exchange.market.put("BTC-USD", 60, CLOSED - 120, ("5", "7", "4", "6", "8"))
            clocks.true += 500
            result = self.run(exchange, tmp_path)
            assert (result["records"], result["restated"], result["repeats"]) == (1, 1, result["received"] - 1)
            assert 5 <= result["received"] <= 10
            assert exchange.count() == 1

    def test_once_they_are_old_they_are_read_once_more_and_never_again(self, clocks: Clocks, tmp_path: Path) -> None:
        with coinbase(clocks, 60, NOW - DAY) as exchange:
            self.run(exchange, tmp_path)
            clocks.true += HOUR
            again = self.run(exchange, tmp_path)
            assert (exchange.count(), again["status"], again["reason"]) == (1, "no_data", "up_to_date")
            self.run(exchange, tmp_path)
            assert exchange.count() == 0

    def test_old_ones_are_not(self, clocks: Clocks, tmp_path: Path) -> None:
        with coinbase(clocks, 60, NOW - DAY) as exchange:
            clocks.true += HOUR
            self.run(exchange, tmp_path)
            clocks.true += 60
            result = self.run(exchange, tmp_path)
            assert (exchange.count(), result["reason"]) == (0, "up_to_date")

    def test_a_request_for_newer_bars_begins_with_them(self, clocks: Clocks, tmp_path: Path) -> None:
        with coinbase(clocks, 60, NOW - DAY) as exchange:
            self.run(exchange, tmp_path)
            clocks.true += 300
            exchange.reset()
            backfill(exchange, tmp_path, BTC_1M, CLOSED - 30 * 60, CLOSED + DAY)
            (seen,) = exchange.requests
            assert CLOSED - 660 <= start_of(seen) < CLOSED


def start_of(seen: Seen) -> int:
    return int(seen.params["start"])
