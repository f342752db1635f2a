"""How many clicks does each journey take? Typing is free, as is the keyboard; a click on anything counts."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ffe_core.operations.console import ConsoleService
from ffe_core.operations.runs.backfill import BackfillRequest
from tests.browser.conftest import Serve, Visit
from tests.browser.driver import Visitor, settled
from tests.browser.test_coverage_journeys import BTC, QUIET, click_cell, coverage_of, holed  # noqa: F401
from tests.browser.test_dead_letters import dead_letter, grid, opens, stored, type_cell
from tests.browser.test_journeys import ends, series_states
from tests.fake_exchanges import CoinbaseExchange, Market, generated

DAY = 86_400


def chart_of(visitor: Visitor, pair: str) -> None:
    """Wait for the drawn chart of a pair."""
    visitor.page.wait_for_url(re.compile(f"/candles.*pair={pair}"), timeout=60_000)
    visitor.page.locator(".chart[data-drawn]").wait_for(timeout=60_000)


def run_of(visitor: Visitor, state: str) -> int:
    """The run that the browser is taken to, once it has ended so."""
    visitor.page.wait_for_url(re.compile(r"/run\?id=\d+"))
    ends(visitor, state)
    return int(visitor.page.url.rpartition("=")[2])


def test_the_first_chart_takes_one_click(serve: Serve, visit: Visit) -> None:
    visitor = visit(serve())
    visitor.click("overview_try")
    chart_of(visitor, "BTCUSD")
    assert visitor.clicks == 1


def test_the_first_chart_of_a_real_provider_takes_three(serve: Serve, visit: Visit) -> None:
    today = int(time.time()) // DAY * DAY
    market = Market({("BTC-USD", 3600): generated(today - 40 * DAY, today + DAY, 3600, price=64_000.0)})
    with CoinbaseExchange(market, rate=None) as exchange:
        server = serve(env={"FFE_COINBASE__BASE_URL": exchange.url, "FFE_COINBASE__REQUESTS_PER_SECOND": "1000"})
        visitor = visit(server)
        visitor.click("overview_real")
        visitor.sees("candles to fetch")
        visitor.click("backfill_start")
        run_of(visitor, "complete")
        visitor.follow("Open the candles")
        chart_of(visitor, "BTCUSD")
        assert "provider=coinbase" in visitor.page.url
    assert visitor.clicks <= 3


def test_three_years_of_hours_of_three_pairs_take_six(serve: Serve, visit: Visit) -> None:
    server = serve()
    visitor = visit(server)
    visitor.follow("Backfill")
    visitor.click(visitor.page.get_by_role("combobox", name="Pairs"))
    visitor.page.keyboard.insert_text("BTCUSD; eth-usd, SOLUSD")
    visitor.page.keyboard.press("Enter")
    settled(visitor.page)
    visitor.page.keyboard.press("Escape")
    visitor.click(visitor.page.get_by_role("radio", name="Own range"))
    field = visitor.page.get_by_label("From (UTC)")
    field.focus()
    field.fill(f"{datetime.now(UTC).date() - timedelta(days=3 * 365)}")
    field.press("Tab")
    settled(visitor.page)
    visitor.sees("in 3 series")
    visitor.click("backfill_start")
    run_id = run_of(visitor, "complete")
    assert len(series_states(server, run_id)) == 3
    assert visitor.clicks <= 6


def test_a_wrong_record_is_edited_and_replayed_in_five(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    dead_letter(data_dir, 0)
    visitor = visit(serve(data_dir), "/dead_letters")
    opens(visitor, "dl_records", 100, "record=0")
    table = grid(visitor, "dl_grid")
    type_cell(visitor, table, 1, "high", "102.00")
    type_cell(visitor, table, 1, "low", "98.00")
    visitor.clicks += 2  # one into each cell
    visitor.sees("1 would be stored")
    visitor.click("dl_save_replay")
    visitor.sees_dialog("Those that pass are stored")
    visitor.click("dl_replay_yes")
    run_of(visitor, "complete")
    assert stored(data_dir).num_rows == 1
    assert visitor.clicks <= 5


def test_a_red_cell_is_green_after_three(serve: Serve, visit: Visit, holed: Path) -> None:  # noqa: F811
    server = serve(holed, QUIET)
    visitor = visit(server, "/coverage?provider=simulated&timeframe=1h")
    click_cell(visitor, "BTCUSD", "2024-01-09")
    visitor.click("coverage_cell_fill")
    visitor.sees("3 candles to fetch")
    visitor.click("backfill_start")
    run_of(visitor, "complete")
    assert visitor.clicks <= 3
    assert [one.counts.unexplained for one in coverage_of(server).of([BTC])] == [0]


@pytest.fixture
def failed(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    console = ConsoleService({"data_dir": str(folder)}).open()
    request = BackfillRequest.of("simulated", ["BTCUSD", "NOPEUSD"], ["1h"], "2024-01-01", "2024-01-05")
    console.run_service.wait(console.run_service.start(request, "ann"), 60)
    console.drain()
    return folder


def test_what_failed_is_retried_in_two(serve: Serve, visit: Visit, failed: Path) -> None:
    server = serve(failed)
    visitor = visit(server)
    visitor.sees("its last run failed")
    visitor.click(visitor.page.get_by_test_id("stMain").get_by_text("Open the run").first)
    visitor.page.wait_for_url(re.compile(r"/run\?id=1$"))
    settled(visitor.page)
    visitor.click("run_retry")
    visitor.page.wait_for_url(re.compile(r"/run\?id=2$"))
    ends(visitor, "failed")  # there is no such pair, ever
    assert series_states(server, 2) == {"NOPEUSD": "failed"}
    assert visitor.clicks <= 2
