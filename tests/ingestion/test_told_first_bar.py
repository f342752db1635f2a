"""Tests that Alpha Vantage's whole daily answer tells where a share begins, without a search of its months."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from ffe_core import times
from ffe_core.errors import PermanentError
from ffe_core.ingestion.batch_data_ingester import BatchDataIngester
from ffe_core.ingestion.plan import Mode
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.instruments.model import SeriesFacts
from ffe_core.operations.runs.backfill import BEGINNING, BackfillRequest
from ffe_core.providers import provider_class
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state.opening import open_state
from tests.fake_exchanges import AlphaVantageExchange, Fault, Market, generated
from tests.fake_exchanges.market import Candles

HOUR, DAY = 3600, 86_400
EARLIEST = times.parse_instant("1999-01-01")
FIRST_DAY = times.parse_instant("2010-06-29")
FIRST_HOUR = times.parse_instant("2010-06-29T13:30:00Z")
NOW = times.parse_instant("2012-03-14T22:00:00Z")
KEY = "TOLDFIRSTBAR1"
AV = "alpha_vantage"
DAYS, HOURS = Series("TSLA", "1d", AV), Series("TSLA", "1h", AV)


class World:
    """An ingester over a lake of its own, at a fake exchange that has one share, listed on FIRST_DAY."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings.load({"data_dir": folder})
        calendar = self.settings.calendars.market_of(AV, "TSLA")

        def bars(timeframe: str, first: int, step: int) -> Candles:
            expected = calendar.expected_open_times(timeframe, first, NOW).tolist()
            return dict(zip(expected, generated(first, NOW, step, volume_decimals=0).values(), strict=False))

        self.days, self.hours = bars("1d", FIRST_DAY, DAY), bars("1h", FIRST_HOUR, HOUR)
        market = Market({("TSLA", DAY): self.days, ("TSLA", HOUR): self.hours})
        self.exchange = AlphaVantageExchange(market, key=KEY, premium=True, now=lambda: NOW)

    def open(self, folder: Path) -> None:
        section = {"base_url": self.exchange.url, "api_key": KEY, "requests_per_second": 1000}
        retry = {"attempts": 1, "base_delay_seconds": 0}
        self.settings = Settings.load({"data_dir": folder, AV: section, "retry": retry})
        self.lake = DeltaLakeManager(self.settings.lake_uri)
        self.ingester = BatchDataIngester(self.lake, self.settings, open_state(self.settings))

    def known(self, series: Series) -> SeriesFacts:
        return self.ingester.stores.instruments.facts_of(AV, "TSLA").get(series.timeframe, SeriesFacts())

    def run(
        self, series: Series, start: str = BEGINNING, end: str = "2012-03-13", mode: Mode = "resume"
    ) -> SeriesResult:
        asked = BackfillRequest.of(AV, [series.asset_pair], [series.timeframe], start, end, mode)

        async def ran() -> SeriesResult:
            async with provider_class(AV)(config=self.settings) as opened:
                return await self.ingester.run_series(series, opened, asked.start, asked.end, mode=mode)

        return asyncio.run(ran())

    @property
    def asked(self) -> list[str]:
        """What was asked for so far: a month, or the size of a daily answer."""
        return [seen.params.get("month") or seen.params["outputsize"] for seen in self.exchange.requests]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(times, "now", lambda: NOW)
    monkeypatch.setenv("FFE_ALPHA_VANTAGE__API_KEY", KEY)
    made = World(tmp_path)
    with made.exchange:
        made.open(tmp_path)
        yield made


def test_a_whole_daily_answer_tells_the_first_bar_with_no_request_more(world: World) -> None:
    report = world.run(DAYS)
    assert world.asked == ["full"]
    assert (world.known(DAYS).first_bar, world.known(DAYS).asked_from) == (FIRST_DAY, EARLIEST)
    assert (report.completeness.expected, report.completeness.unexplained) == (report.counts.stored, 0)
    assert report.as_dict()["notices"] == [
        "its history begins with the bar of 2010-06-29T00:00:00+00:00: nothing before it is expected or asked for"
    ]


def test_any_range_that_is_answered_whole_tells_it(world: World) -> None:
    world.run(DAYS, "2011-06-01")
    assert world.known(DAYS).first_bar == FIRST_DAY


def test_a_compact_answer_tells_nothing_however_short_it_is(world: World) -> None:
    few = sorted(world.days)[-30:]
    world.exchange.market.remove("TSLA", DAY, [at for at in world.days if at < few[0]])
    world.run(DAYS, "2012-01-10")
    assert world.asked == ["compact"]
    assert world.known(DAYS) == SeriesFacts()


def test_a_compact_answer_to_a_question_for_all_is_not_taken_for_whole(world: World) -> None:
    world.exchange.premium = False
    report = world.run(DAYS)
    assert world.asked == ["full", "compact"]
    assert world.known(DAYS) == SeriesFacts()
    assert report.not_covered is not None


def test_an_answer_that_calls_itself_compact_is_not_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is served less than was asked for, without a word."""
    told = AlphaVantageExchange._rows

    def fewer(self: AlphaVantageExchange, symbol, step, function, params):  # type: ignore[no-untyped-def]
        params["outputsize"] = "compact"
        return told(self, symbol, step, function, params)

    monkeypatch.setattr(AlphaVantageExchange, "_rows", fewer)
    report = world.run(DAYS)
    assert (report.counts.stored, world.known(DAYS)) == (99, SeriesFacts())  # one of the 100 is that of today
    assert report.not_covered is not None


def test_gaps_mode_explains_what_an_earlier_release_counted_as_missing(world: World) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ffe_core.ingestion.listing.Listing.told", lambda *anything: None)
        assert world.run(DAYS).completeness.unexplained > 2_000
    report = world.run(DAYS, mode="gaps")
    assert (report.completeness.unexplained, world.known(DAYS).first_bar) == (0, FIRST_DAY)


def test_a_later_first_bar_counts_only_when_all_is_fetched_again(world: World) -> None:
    world.ingester.stores.instruments.learn(DAYS, first_bar=FIRST_DAY - 30 * DAY, asked_from=EARLIEST)
    world.run(DAYS)
    assert world.known(DAYS).first_bar == FIRST_DAY - 30 * DAY
    world.run(DAYS, mode="refetch")
    assert world.known(DAYS).first_bar == FIRST_DAY


def test_stored_bars_before_it_stay_within_the_history(world: World) -> None:
    world.run(DAYS, "2010-06-01")
    later = FIRST_DAY + 100 * DAY
    world.exchange.market.remove("TSLA", DAY, [at for at in world.days if at < later])
    world.run(DAYS, mode="refetch")
    assert world.known(DAYS).first_bar == FIRST_DAY


def test_the_first_hour_lies_in_the_month_of_the_first_day(world: World) -> None:
    report = world.run(HOURS)
    months = [f"{2010 + at // 12}-{at % 12 + 1:02}" for at in range(5, 27)]
    assert world.asked[:2] == ["full", "2010-06"]
    assert sorted(world.asked[1:]) == months  # none before the listing, none twice
    assert (world.known(HOURS).first_bar, world.known(DAYS).first_bar) == (FIRST_HOUR, FIRST_DAY)
    assert (report.completeness.unexplained, report.not_covered) == (0, None)
    world.exchange.reset()
    assert (world.run(HOURS).reason, world.asked) == ("up_to_date", [])


def test_a_known_first_day_saves_the_daily_answer(world: World) -> None:
    world.run(DAYS)
    world.exchange.reset()
    world.run(HOURS)
    assert world.asked[0] == "2010-06"


def test_hours_that_begin_later_than_the_days_are_found_in_a_few_months(world: World) -> None:
    later = times.parse_instant("2011-09-01T13:30:00Z")
    world.exchange.market.remove("TSLA", HOUR, [at for at in world.hours if at < later])
    report = world.run(HOURS)
    assert (world.known(HOURS).first_bar, report.completeness.unexplained) == (later, 0)
    assert len([month for month in world.asked if month < "2011-09"]) <= 6


def test_a_range_after_the_listing_costs_one_daily_answer_once(world: World) -> None:
    world.run(HOURS, "2011-03-01")
    assert (world.asked[0], min(world.asked)) == ("full", "2011-03")
    assert world.known(HOURS) == SeriesFacts(hour_offset=world.known(HOURS).hour_offset)
    world.exchange.reset()
    world.run(HOURS, "2010-10-01", "2011-12-31", mode="refetch")
    assert min(world.asked) == "2010-10"


def test_a_refusal_is_raised_and_nothing_is_learned(world: World) -> None:
    world.exchange.fault(Fault.alpha_vantage("invalid_call"), times=None)
    report = world.run(HOURS)
    assert isinstance(report.error, PermanentError)
    assert world.known(HOURS) == world.known(DAYS) == SeriesFacts()
