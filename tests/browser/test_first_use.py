"""Is what a first use of release 0.1.0 stumbled over mended? Each of these fails on that release.

| what it was | where it is tested |
|---|---|
| a wrong date left Start enabled | `test_a_wrong_date_stops_the_start` |
| what was typed last was started without its preview | test_started_as_shown |
| six entries of history, Back to another page's parameters, one title for all | test_history, test_second_use |
| arrow keys were taken by a range that was clicked | `test_arrow_keys_move_the_chart_after_a_click_on_a_range` |
| forms, the last series and filters were lost by a look elsewhere | `test_what_was_chosen_is_there_again` |
| a list being edited could not be sent on | `test_the_list_being_edited_opens_in_a_new_tab` |
| a pasted list was one name | `test_two_hundred_pasted_names_are_as_many_pairs`, test_clicks |
| unknown names, each in full | `test_unknown_names_of_a_list_are_summed_up_with_the_nearest` |
| Previous and Next left the filtered list | `test_previous_and_next_walk_the_filtered_list` |
| failed series stood last | `test_failed_series_come_first` |
| equal errors, each in full | `test_equal_errors_of_a_run_are_told_once` |
| runs did not say their pairs, nor who started them | `test_runs_say_their_pairs_and_who_started_them` |
| a row was acted on unticked, watermarks one by one | `test_ticked_series_are_brought_up_to_date_together` |
| series that do not exist were counted | `test_what_does_not_exist_is_not_counted` |
| restated bars were called new | `test_restated_bars_are_not_new` |
| never asked looked like a closed market | `test_never_asked_is_told_apart` |
| lag was not explained | `test_lag_is_explained_where_it_stands` |
| "1 candles" | `test_one_is_one` |
| rate and time left came from commits | tests/pages/test_run_progress |
| "Ask again" did not say what came of it | tests/pages/test_dead_letters |
| charts: crosshair, readout, measuring, indicators, margins, other series, fallback | test_chart, test_candles |
| a toolbar of unequal heights, tables cut off, no mark at the head | test_sizes, test_frame, test_second_use |
| a run was a row, not squares by series | test_keyboard |
| contrast, names and journeys by keyboard | test_accessibility, test_keyboard |
| nothing was found by typing | test_palette |
| settings stood nowhere | `test_settings_say_where_they_come_from_and_no_secret` |
| a missing key was an environment variable in red | `test_a_missing_key_leads_to_the_settings` |
| clicks to a first chart, a long range, an edit, a filled gap, a retry | test_clicks |
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Locator

from tests.browser import driver
from tests.browser.conftest import Serve, Visit
from tests.browser.driver import Server, Visitor, poll, settled
from tests.fake_exchanges import CoinbaseExchange, Market, generated

ROW = 31
"""Pixels of a row of a table."""
_ASKED = (
    "--provider simulated --pairs BTCUSD,ETHUSD,NOPEUSD --timeframes 1h --start 2024-01-01 --end 2024-02-29".split()
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two series, one that cannot be, and some thirty dead letters."""
    folder = tmp_path_factory.mktemp("first") / "data"
    env = {**os.environ, "FFE_DATA_DIR": str(folder), "FFE_SIMULATED__BROKEN_RECORDS": "0.01"}
    command = [sys.executable, "-m", "ffe_core", "backfill", *_ASKED]
    assert subprocess.run(command, cwd=driver.ROOT, env=env, capture_output=True, check=False).returncode == 1
    return folder


@pytest.fixture
def server(serve: Serve, filled: Path) -> Server:
    return serve(filled)


def table(visitor: Visitor, key: str) -> Locator:
    found = visitor.page.locator(f"[class*='st-key-{key}'] .stDataFrame").first
    found.wait_for()
    settled(visitor.page)
    return found


def click_row(visitor: Visitor, found: Locator, row: int, x: int) -> None:
    """Click into a row, so many pixels from the left; the head is row 0."""
    box = found.bounding_box()
    assert box is not None
    visitor.page.mouse.click(box["x"] + x, box["y"] + ROW * (row + 0.5))
    settled(visitor.page)


def cells(found: Locator, row: int) -> list[str]:
    return found.locator(f"[data-testid^=glide-cell-][data-testid$='-{row}']").all_inner_texts()


def go_to(visitor: Visitor, page: str) -> None:
    visitor.page.get_by_test_id("stSidebarNav").get_by_role("link", name=page).click()
    visitor.page.wait_for_url(re.compile(page.lower().replace(" ", "_")))
    settled(visitor.page, quiet=400)


def test_a_wrong_date_stops_the_start(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/backfill?provider=simulated&pairs=BTCUSD&timeframes=1h&start=2024-01-01&end=2024-01-31")
    field = visitor.page.get_by_label("From (UTC)")
    for wrong in ("31/01/2024", "2024-02-30", "2099-01-01", ""):
        field.fill(wrong)
        field.press("Tab")
        poll(visitor.at("backfill_start").get_by_role("button").is_disabled, f"Start to be disabled for {wrong!r}")
        assert field.input_value() == wrong


def test_arrow_keys_move_the_chart_after_a_click_on_a_range(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/candles?provider=simulated&pair=BTCUSD&timeframe=1h")
    visitor.page.get_by_role("radio", name="1W").click()
    visitor.page.wait_for_url(re.compile("start=2024-02-2"))
    settled(visitor.page)
    visitor.page.keyboard.press("ArrowLeft")
    visitor.page.wait_for_url(re.compile("start=2024-02-1"), timeout=10_000)


def test_a_tab_with_candles_names_its_series(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/candles?provider=simulated&pair=ETHUSD&timeframe=1h")
    poll(lambda: visitor.page.title() == "ETHUSD 1h · Candles · FFE console", "the series in the title")


def test_what_was_chosen_is_there_again(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/backfill?provider=simulated&pairs=AAPL,XAUUSD&timeframes=1d")
    go_to(visitor, "Candles")
    visitor.open("/candles?provider=simulated&pair=ETHUSD&timeframe=1h")
    for page in ("Runs", "Candles"):
        go_to(visitor, page)
    poll(lambda: "pair=ETHUSD" in visitor.page.url, "the last series")
    go_to(visitor, "Backfill")
    visitor.page.get_by_role("combobox", name="Pairs").click()
    visitor.page.keyboard.insert_text("AAPL, XAUUSD")
    visitor.page.keyboard.press("Enter")
    settled(visitor.page)
    visitor.page.keyboard.press("Escape")
    for page in ("Runs", "Backfill"):
        go_to(visitor, page)
    assert {"AAPL", "XAUUSD"} <= set(visitor.at("backfill_pairs").inner_text().split())


def test_the_list_being_edited_opens_in_a_new_tab(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/dead_letters?pair=BTCUSD")
    visitor.click("dl_mend")
    visitor.sees("would still fail")
    said = re.search(r"\d+ would still fail", visitor.text())
    assert said is not None
    other = visit(server, visitor.page.url.removeprefix(server.base))
    other.sees(said[0])


def test_two_hundred_pasted_names_are_as_many_pairs(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/backfill?provider=simulated&timeframes=1d")
    visitor.page.get_by_role("combobox", name="Pairs").click()
    visitor.page.keyboard.insert_text("; ".join(f"T{number}USD" for number in range(200)))
    visitor.page.keyboard.press("Enter")
    settled(visitor.page)
    visitor.sees("in 200 series")


def test_unknown_names_of_a_list_are_summed_up_with_the_nearest(serve: Serve, visit: Visit) -> None:
    symbols = ("BTC-USD", "ETH-USD", "SOL-USD", "LTC-USD")
    market = Market({(symbol, 86_400): dict(generated(1_704_067_200, 1_704_931_200, 86_400)) for symbol in symbols})
    with CoinbaseExchange(market, rate=None) as exchange:
        server = serve(env={"FFE_COINBASE__BASE_URL": exchange.url, "FFE_COINBASE__REQUESTS_PER_SECOND": "1000"})
        visitor = visit(server, "/backfill?provider=coinbase&timeframes=1d")
        visitor.page.get_by_role("combobox", name="Pairs").click()
        visitor.page.keyboard.insert_text("BTC-USD, BTC-UDS; ETH-UDS SOL-UDS LTC-UDS QQQQ-ZZZZ")
        visitor.page.keyboard.press("Enter")
        settled(visitor.page)
        visitor.sees("5 of 6 names cannot be asked for at coinbase")
        visitor.click(visitor.page.get_by_text("Take the nearest of 4 names", exact=True))
        poll(lambda: "names cannot be asked for" not in visitor.text(), "one name to be left")
        for name in ("QQQQ-ZZZZ", *symbols):
            visitor.sees(name)


def test_previous_and_next_walk_the_filtered_list(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/dead_letters?pair=ETHUSD")
    click_row(visitor, table(visitor, "dl_records"), 2, 120)
    visitor.sees("2 of ")
    for button, place in (("Next", "3 of "), ("Previous", "2 of "), ("Previous", "1 of ")):
        visitor.click(visitor.page.get_by_test_id("stMain").get_by_text(button, exact=True))
        visitor.sees(place)
        visitor.sees("ETHUSD 1h from simulated")


def test_failed_series_come_first(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/run?id=1")
    first = visitor.page.get_by_test_id("stDataFrame").first
    poll(lambda: "NOPEUSD" in cells(first, 0), "the failed series in the first row")
    assert visitor.page.get_by_test_id("stMain").get_by_text("change the request or the credentials").count() == 1


def test_equal_errors_of_a_run_are_told_once(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    """A provider that cannot be reached fails all series alike: one error names them, and what to do about it."""
    folder = tmp_path / "data"
    asked = "--provider coinbase --pairs BTCUSD,ETHUSD --timeframes 1h --start 2024-01-01 --end 2024-01-05".split()
    command = [sys.executable, "-m", "ffe_core", "backfill", *asked]
    env = {
        **os.environ,
        "FFE_DATA_DIR": str(folder),
        "FFE_COINBASE__BASE_URL": "http://127.0.0.1:9",
        "FFE_RETRY__ATTEMPTS": "1",
    }
    assert subprocess.run(command, cwd=driver.ROOT, env=env, capture_output=True, check=False).returncode == 1
    visitor = visit(serve(folder), "/run?id=1")
    error = re.compile("^coinbase: the connection to http://127.0.0.1:9 failed")
    told = visitor.page.get_by_test_id("stCode").filter(has_text=error)
    told.first.wait_for()
    assert told.count() == 1
    visitor.sees("BTCUSD 1h, ETHUSD 1h")


def test_runs_say_their_pairs_and_who_started_them(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/runs?by=command+line")
    poll(lambda: any("BTCUSD, ETHUSD" in cell for cell in cells(table(visitor, "runs_table"), 0)), "the pairs")
    visitor.open("/runs?by=schedule")
    visitor.sees("No run matches these filters")


def test_ticked_series_are_brought_up_to_date_together(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/watermarks")
    found = table(visitor, "watermarks_table")
    click_row(visitor, found, 1, 120)
    assert not visitor.page.get_by_role("button", name="Bring").count()
    for row in (1, 2):
        click_row(visitor, found, row, 17)
    visitor.page.get_by_role("button", name="Bring 2 up to date").wait_for()


def test_what_does_not_exist_is_not_counted(server: Server, visit: Visit) -> None:
    visitor = visit(server)
    card = visitor.page.get_by_test_id("stMetric").filter(has_text="Series").first
    poll(lambda: card.inner_text().split()[-1] == "2", "two series")
    assert all("NOPEUSD" not in cell for row in range(3) for cell in cells(table(visitor, "overview_table"), row))


def test_never_asked_is_told_apart(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/coverage?provider=simulated&timeframe=1h&start=2023-12-20&end=2024-01-10")
    visitor.page.get_by_test_id("stMain").get_by_text("? never asked").first.wait_for()


def test_lag_is_explained_where_it_stands(server: Server, visit: Visit) -> None:
    visitor = visit(server)
    card = visitor.page.get_by_test_id("stMetric").filter(has_text="Worst lag").first
    card.get_by_test_id("stTooltipIcon").hover()
    visitor.page.get_by_text(re.compile("a closed weekend is not lag. Furthest: (BTC|ETH)USD 1h")).first.wait_for()


def test_one_is_one(server: Server, visit: Visit) -> None:
    address = "/backfill?provider=simulated&pairs=SOLUSD&timeframes=1d&start=2024-01-01&end=2024-01-01"
    visitor = visit(server, address)
    visitor.sees("1 candle to fetch in 1 series · 1 request")
    assert "1 candles" not in visitor.text()
    assert "1 requests" not in visitor.text()


def test_settings_say_where_they_come_from_and_no_secret(serve: Serve, visit: Visit, filled: Path) -> None:
    secret = "0123456789abcdef0123456789abcdef-fedcba9876543210fedcba9876543210"
    server = serve(filled, {"FFE_OANDA__API_TOKEN": secret})
    visitor = visit(server, "/settings?q=api_token")
    visitor.sees("All settings")
    found = visitor.page.get_by_test_id("stDataFrame").last
    poll(lambda: "set, ends in 10" in cells(found, 0), "the token as its end")
    assert "environment" in cells(found, 0)
    assert secret[:16] not in visitor.page.content()
    visitor.click(visitor.page.get_by_role("button", name="Test connection").first)
    visitor.sees("It answers.")


def test_a_missing_key_leads_to_the_settings(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/backfill?provider=oanda&pairs=EURUSD&timeframes=1h")
    visitor.follow("Settings, and a test of the connection")
    visitor.page.wait_for_url("**/settings*")
    visitor.sees("key missing")


def test_restated_bars_are_not_new(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    from tests.browser.screenshots import fill

    fill(tmp_path / "full")
    visitor = visit(serve(tmp_path / "full"), "/runs?provider=coinbase")
    found = table(visitor, "runs_table")
    poll(lambda: bool(cells(found, 0)), "the first row to be drawn")
    row = cells(found, 0)
    assert "6" in row  # restated
    assert "0" in row  # new
    assert "fetch again" in row
