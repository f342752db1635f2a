"""Tests that a series begins with its first bar and ends with its listing, in a lake filled over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from ffe_core import times
from ffe_core.completeness import completeness
from ffe_core.errors import RetriableError
from ffe_core.ingestion.batch_data_ingester import BatchDataIngester
from ffe_core.ingestion.plan import Mode
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.instruments.model import Instrument, SeriesFacts
from ffe_core.providers import provider_class
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state.opening import open_state
from tests.fake_exchanges.coinbase import CoinbaseExchange
from tests.fake_exchanges.faults import Fault
from tests.fake_exchanges.market import Market, generated

HOUR, DAY = 3600, 86_400
BEGINNING = times.parse_instant("2015-01-01")
LISTED = times.parse_instant("2021-06-10T17:00:00Z")
NOW = times.parse_instant("2022-01-01T00:30:00Z")
NEW = Series("NEWUSD", "1h", "coinbase")


def hours_and_days(first: int, last: int) -> Market:
    """A product that trades in every hour from the first on."""
    market = Market({("NEW-USD", HOUR): generated(first, last, HOUR, seed="new")})
    return market.add("NEW-USD", DAY, generated(first - first % DAY, last, DAY, seed="new"))


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[CoinbaseExchange]:
    monkeypatch.setattr(times, "now", lambda: NOW)
    with CoinbaseExchange(hours_and_days(LISTED, NOW), rate=None, now=lambda: NOW) as running:
        yield running


class World:
    """An ingester over a lake of its own, at a fake exchange."""

    def __init__(self, folder: Path, exchange: CoinbaseExchange) -> None:
        config = {
            "data_dir": folder,
            "coinbase": {"base_url": exchange.url, "requests_per_second": 1000},
            "retry": {"attempts": 1, "base_delay_seconds": 0},
        }
        self.settings = Settings.load(config)
        self.lake = DeltaLakeManager(self.settings.lake_uri)
        self.ingester = BatchDataIngester(self.lake, self.settings, open_state(self.settings))

    @property
    def known(self) -> SeriesFacts:
        return self.ingester.stores.instruments.facts_of("coinbase", "NEWUSD").get("1h", SeriesFacts())

    def run(self, start: int | str, end: int | str = NOW, mode: Mode = "resume") -> SeriesResult:
        first, last = times.parse_instant(start), times.parse_instant(end)

        async def ran() -> SeriesResult:
            async with provider_class("coinbase")(config=self.settings) as opened:
                return await self.ingester.run_series(NEW, opened, first, last, mode=mode)

        return asyncio.run(ran())


@pytest.fixture
def world(tmp_path: Path, exchange: CoinbaseExchange) -> World:
    return World(tmp_path, exchange)


def test_since_the_beginning_asks_for_what_there_is(world: World, exchange: CoinbaseExchange) -> None:
    report = world.run(BEGINNING)
    bars = (NOW - LISTED) // HOUR
    assert (report.status, report.counts.stored) == ("success", bars)
    assert (report.completeness.expected, report.completeness.unexplained) == (bars, 0)
    assert (world.known.first_bar, world.known.asked_from) == (LISTED, BEGINNING)
    fetched = -(-bars // 300)
    assert report.request_stats.requests == len(exchange.requests) <= fetched + 30
    assert report.as_dict()["notices"] == [
        "its history begins with the bar of 2021-06-10T17:00:00+00:00: nothing before it is expected or asked for"
    ]


def test_it_is_remembered(world: World, exchange: CoinbaseExchange) -> None:
    world.run(BEGINNING)
    exchange.reset()
    report = world.run(BEGINNING)
    assert (exchange.requests, report.completeness.unexplained, report.reason) == ([], 0, "up_to_date")
    calendar = world.settings.calendars.of("coinbase", "NEWUSD")
    assert calendar.listed("1h", BEGINNING, NOW) == (LISTED, NOW)
    counted = completeness(NEW, BEGINNING, NOW - NOW % HOUR, calendar, world.lake, world.ingester.dlq)
    assert (counted.expected, counted.unexplained) == ((NOW - LISTED) // HOUR, 0)


def test_a_few_pages_before_it_are_simply_asked_for(world: World) -> None:
    report = world.run(LISTED - 100 * HOUR, LISTED + 100 * HOUR)
    assert (report.completeness.unexplained, world.known.first_bar) == (100, None)


def test_a_range_that_has_bars_from_its_first_page_on_costs_no_request_more(
    world: World, exchange: CoinbaseExchange
) -> None:
    report = world.run(LISTED + HOUR)
    assert report.request_stats.requests == -(-((NOW - LISTED) // HOUR - 1) // 300)
    assert (report.completeness.unexplained, world.known.first_bar) == (0, None)


def test_what_lies_before_is_found_out_later_too(world: World) -> None:
    world.run(LISTED + 10 * DAY)
    report = world.run("2016-01-01")
    assert (world.known.first_bar, report.completeness.unexplained) == (LISTED, 0)
    assert report.completeness.expected == (NOW - LISTED) // HOUR


def test_filling_gaps_finds_what_an_earlier_release_counted_as_missing(
    world: World, exchange: CoinbaseExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_class("coinbase"), "finds_first_bar", False)
    assert world.run("2016-01-01").completeness.unexplained > 40_000
    monkeypatch.undo()
    monkeypatch.setattr(times, "now", lambda: NOW)
    exchange.reset()
    report = world.run("2016-01-01", mode="gaps")
    assert (report.completeness.unexplained, world.known.first_bar) == (0, LISTED)
    assert len(exchange.requests) <= 30


def test_an_error_is_raised_and_nothing_is_learned(world: World, exchange: CoinbaseExchange) -> None:
    exchange.fault(Fault.http(500), times=None, when=lambda seen: seen.params.get("granularity") == "ONE_DAY")
    report = world.run(BEGINNING)
    assert isinstance(report.error, RetriableError)
    assert world.known == SeriesFacts()


def test_bars_that_appear_before_it_move_it_when_all_is_fetched_again(world: World, exchange: CoinbaseExchange) -> None:
    world.run(BEGINNING)
    earlier = LISTED - 40 * DAY
    exchange.market.add("NEW-USD", HOUR, generated(earlier, LISTED, HOUR, seed="new"))
    exchange.market.add("NEW-USD", DAY, generated(earlier - earlier % DAY, LISTED, DAY, seed="new"))
    assert world.run(BEGINNING).counts.stored == 0
    report = world.run(BEGINNING, mode="refetch")
    assert (report.counts.stored, world.known.first_bar) == (40 * 24, earlier)
    assert report.completeness.unexplained == 0


def delisted(world: World, day: str | None, status: str = "delisted") -> None:
    kept = Instrument("coinbase", "NEWUSD", "NEW-USD", "crypto", delisted=day, status=status)  # type: ignore[arg-type]
    world.ingester.stores.instruments.replace("coinbase", [kept])


def test_nothing_is_asked_for_after_the_day_of_a_delisting(world: World) -> None:
    delisted(world, "2021-12-01")
    report = world.run(LISTED)
    assert report.marks.watermark == times.parse_instant("2021-12-01T23:00:00Z")
    assert report.completeness.unexplained == 0
    assert report.notes == ["it was delisted: nothing after 2021-12-01T23:59:59+00:00 is expected or asked for"]


def test_a_delisting_without_a_day_ends_with_the_last_bar(world: World, exchange: CoinbaseExchange) -> None:
    end = NOW - 30 * DAY
    exchange.market.remove("NEW-USD", HOUR, [at for at in exchange.market.candles("NEW-USD", HOUR) if at >= end])
    assert world.run(LISTED).completeness.unexplained > 0
    delisted(world, None)
    report = world.run(LISTED)
    assert (report.completeness.unexplained, world.known.last_bar) == (0, report.marks.watermark)
    exchange.reset()
    assert world.run(LISTED).request_stats.requests == 0
    delisted(world, None, "listed")
    assert world.run(LISTED).completeness.unexplained > 0
