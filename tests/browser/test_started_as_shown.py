"""Is what a click starts what stands on the page, whatever is still being typed when it comes?"""

from __future__ import annotations

import re

from tests.browser.conftest import Serve, Visit
from tests.browser.driver import settled

JANUARY = "provider=simulated&pairs=BTCUSD&timeframes=1h&start=2024-01-01&end=2024-01-31"


def test_a_start_right_after_typing_shows_what_it_would_fetch_and_asks_again(serve: Serve, visit: Visit) -> None:
    visitor = visit(serve(), f"/backfill?{JANUARY}")
    visitor.sees("744 candles")
    visitor.at("backfill_from").get_by_role("textbox").fill("2016-01-01")
    visitor.click("backfill_start")
    visitor.sees("nothing was started: what you ask for has changed")
    visitor.sees("70,872 candles")
    visitor.at("backfill_to").get_by_role("textbox").fill("2016-01-32")
    visitor.click("backfill_start")
    visitor.sees("'2016-01-32' is not a time")
    assert visitor.at("backfill_start").get_by_role("button").is_disabled()
    assert visitor.at("backfill_to").get_by_role("textbox").input_value() == "2016-01-32"
    visitor.open("/runs")
    visitor.sees("Nothing has run yet")


def test_a_calendar_fills_in_what_may_be_typed(serve: Serve, visit: Visit) -> None:
    visitor = visit(serve(), f"/backfill?{JANUARY}")
    visitor.page.get_by_role("button", name="Choose days in a calendar").click()
    visitor.page.get_by_test_id("stDateInputField").get_by_role("button").first.click()
    for day in (5, 6):
        visitor.page.get_by_role("button", name=re.compile(f"January {day}, 2024")).click()
    settled(visitor.page)
    visitor.sees("48 candles")
    assert visitor.at("backfill_from").get_by_role("textbox").input_value() == "2024-01-05"
