"""Tests that a preview says what finding the first bar may cost, and that the run then costs no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ffe_core import times
from ffe_core.errors import InputError
from ffe_core.instruments.model import Instrument
from ffe_core.operations.runs.backfill import BEGINNING, BackfillRequest
from ffe_core.operations.runs.preview import SeriesPreview, preview
from ffe_core.operations.runs.service import RunService
from ffe_core.providers import provider_class
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.state.opening import open_state
from tests.fake_exchanges.market import Market, fx_closed, generated
from tests.fake_exchanges.oanda import OandaExchange
from tests.operations.harness import done, lines_of, states_of

HOUR, DAY = 3600, 86_400
LISTED = times.parse_instant("2021-06-09T17:00:00Z")
NOW = times.parse_instant("2021-09-01T00:30:00Z")
EXPECTED_FROM_THE_BEGINNING = 100_000
RATE = 1000


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[OandaExchange]:
    monkeypatch.setattr(times, "now", lambda: NOW)
    hours = generated(LISTED, NOW, HOUR, seed="new", closed=fx_closed, volume_decimals=0)
    days = generated(LISTED - LISTED % DAY, NOW, DAY, seed="new", closed=fx_closed, volume_decimals=0)
    market = Market({("EUR_USD", HOUR): hours, ("EUR_USD", DAY): days})
    with OandaExchange(market, rate=None, now=lambda: NOW) as running:
        yield running


@pytest.fixture
def service(tmp_path: Path, exchange: OandaExchange) -> Iterator[RunService]:
    oanda = {"base_url": exchange.url, "api_token": exchange.token, "requests_per_second": RATE}
    settings = Settings.load({"data_dir": tmp_path, "oanda": oanda})
    database = open_state(settings)
    running = RunService(settings, database)
    yield running
    running.close()
    database.close()


def asked(start: str = BEGINNING) -> BackfillRequest:
    return BackfillRequest.of("oanda", ["EURUSD"], ["1h"], start, "2021-08-31")


def previewed(service: RunService) -> SeriesPreview:
    return preview(asked(), service).series[0]


def test_before_anything_is_known_it_says_how_many_requests_the_search_may_take(
    service: RunService, exchange: OandaExchange
) -> None:
    found = previewed(service)
    assert found.to_fetch > EXPECTED_FROM_THE_BEGINNING
    assert 0 < found.first_bar_requests <= 30
    assert f"at most {found.first_bar_requests} more requests" in found.notes[0]
    assert not exchange.requests


def test_the_requests_and_seconds_of_the_search_are_part_of_the_whole(service: RunService) -> None:
    found = preview(asked(), service)
    one = found.series[0]
    assert found.first_bar_requests == one.first_bar_requests > 0
    assert found.requests == one.requests + one.first_bar_requests
    assert found.seconds == found.requests / RATE


def test_a_known_first_day_makes_the_search_shorter(tmp_path: Path) -> None:
    """Of Alpha Vantage, whose daily answers tell it."""
    settings = Settings.load({"data_dir": tmp_path, "alpha_vantage": {"api_key": "PREVIEWKEY123"}})
    database = open_state(settings)
    service = RunService(settings, database)
    month = BackfillRequest.of("alpha_vantage", ["TSLA"], ["1h"], BEGINNING, "2021-08-31")
    days = BackfillRequest.of("alpha_vantage", ["TSLA"], ["1d"], BEGINNING, "2021-08-31")
    before = preview(month, service).first_bar_requests
    service.ingester.stores.instruments.learn(Series("TSLA", "1d", "alpha_vantage"), first_bar=LISTED - LISTED % DAY)
    after = preview(month, service).first_bar_requests
    assert 2 <= after < before <= 25
    assert preview(days, service).first_bar_requests == 0
    service.close()
    database.close()


def test_the_run_stays_within_what_was_said_and_the_next_preview_is_exact(
    service: RunService, exchange: OandaExchange
) -> None:
    before = previewed(service)
    run_id = done(service, asked())
    assert states_of(service, run_id)[0] == "complete"
    row = service.runs.series(run_id)[0]
    assert row.requests == len(exchange.requests) <= before.first_bar_requests + 1
    assert (row.unexplained, row.result["notices"][0][:12]) == (0, "its history ")
    assert any("its history begins with the bar of 2021-06-09T17:00" in line for line in lines_of(service, run_id))
    after = previewed(service)
    assert (after.to_fetch, after.requests, after.first_bar_requests) == (0, 0, 0)
    assert (after.expected, after.stored, after.skipped) == (row.stored, row.stored, "up to date")
    assert after.notes == (
        "its history begins with the bar of 2021-06-09T17:00:00+00:00: nothing before it is expected or asked for",
    )


def test_a_delisted_instrument_is_cut_with_a_sentence(service: RunService) -> None:
    gone = Instrument("oanda", "EURUSD", "EUR_USD", "fx", delisted="2021-07-01", status="delisted")
    service.ingester.stores.instruments.replace("oanda", [gone])
    found = preview(asked("2021-06-10"), service).series[0]
    assert found.notes == ("it was delisted: nothing after 2021-07-01T23:59:59+00:00 is expected or asked for",)
    calendar = service.settings.calendars.market_of("oanda", "EURUSD")
    start, end = times.parse_range("2021-06-10", "2021-07-01")
    assert found.to_fetch == found.expected == calendar.expected_count("1h", start, end)


def test_a_provider_that_tells_no_beginning_is_asked_for_a_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_class("simulated"), "earliest", None)
    with pytest.raises(InputError, match="does not say when it begins; give a date") as caught:
        BackfillRequest.of("simulated", ["BTCUSD"], ["1h"], BEGINNING, "2021-08-31")
    assert caught.value.field == "start"
