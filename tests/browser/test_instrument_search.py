"""Is an instrument found, chosen and fetched by somebody who knows a part of its name?"""

from __future__ import annotations

import re

from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.schedules import ScheduleStore
from tests.browser.conftest import Serve, Visit
from tests.browser.driver import settled
from tests.browser.test_dead_letters import click_cell, grid
from tests.browser.test_journeys import ends, series_states

_RANGE = "timeframes=1h&start=2024-01-02&end=2024-01-03"


def test_search_choose_preview_start(serve: Serve, visit: Visit) -> None:
    server = serve()
    visitor = visit(server, f"/backfill?provider=simulated&{_RANGE}")
    visitor.sees("instruments, read ")
    visitor.at("backfill_find").get_by_role("searchbox").fill("thus")
    click_cell(visitor, grid(visitor, "backfill_found"), 1, 100)
    visitor.page.wait_for_url(re.compile("pairs=ETHUSD"))
    visitor.sees("candles to fetch in 1 series")
    visitor.click("backfill_start")
    visitor.page.wait_for_url(re.compile(r"/run\?id=\d+"))
    settled(visitor.page)
    run_id = int(visitor.page.url.rpartition("=")[2])
    ends(visitor, "complete")
    assert series_states(server, run_id) == {"ETHUSD": "complete"}


def test_search_and_choose_for_a_schedule_since_the_beginning(serve: Serve, visit: Visit) -> None:
    server = serve()
    visitor = visit(server, "/schedules?new=1&provider=simulated&timeframes=1d")
    visitor.sees("instruments, read ")
    name = visitor.at("sched_name").get_by_role("textbox")
    name.fill("Ether")
    name.press("Tab")
    settled(visitor.page)
    visitor.at("sched_find").get_by_role("searchbox").fill("thus")
    click_cell(visitor, grid(visitor, "sched_found"), 1, 100)
    visitor.at("sched_pairs").get_by_text("ETHUSD").wait_for()
    visitor.click(visitor.page.get_by_text("Since the beginning", exact=True))
    visitor.click("sched_save")
    visitor.page.wait_for_url(re.compile(r"/schedules\?schedule=1$"))
    [made] = ScheduleStore(Database(server.data_dir / DATABASE_FILE)).all()
    assert (made.pairs, made.since) == (("ETHUSD",), "beginning")
