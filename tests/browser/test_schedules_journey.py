"""Do schedules keep series up to date by themselves, in a real server, and does the page tell each fire's end?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ffe_core import DeltaLakeManager
from ffe_core.series import Series
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.schedules import ScheduleStore
from tests.browser.conftest import Serve, Visit
from tests.browser.driver import Server, Visitor, poll, settled
from tests.browser.test_journeys import HeldMarket, held

__all__ = ["held"]

_MINUTES = Series("BTCUSD", "1m", "simulated")
_PATIENCE = 90.0
"""Seconds until something that happens every minute has happened."""


def store_of(server: Server) -> ScheduleStore:
    return ScheduleStore(Database(server.data_dir / DATABASE_FILE))


def ticks(server: Server) -> list[Any]:
    """Every tick of the first schedule, newest first."""
    return store_of(server).ticks(1)[0]


def watermark(server: Server) -> int:
    found = DeltaLakeManager(server.data_dir / "lake").marks(_MINUTES).watermark
    return found if found is not None else 0


def make_every_minute(visitor: Visitor, address: str, name: str) -> None:
    """Fill in the form for a schedule that is due every minute, and save it."""
    visitor.open(f"/schedules?new=1&{address}")
    field = visitor.at("sched_name").get_by_role("textbox")
    field.fill(name)
    field.press("Tab")
    settled(visitor.page)
    visitor.click(visitor.page.get_by_text("Every so many minutes", exact=True))
    minutes = visitor.at("sched_minutes").locator("input")
    minutes.fill("1")
    minutes.press("Tab")
    settled(visitor.page)
    visitor.sees("every minute")
    visitor.click("sched_save")
    visitor.page.wait_for_url(re.compile(r"/schedules\?schedule=1$"))
    settled(visitor.page)
    visitor.sees("It has not been due yet")


def another_ended(server: Server, before: int) -> None:
    """Wait until more ticks than before have run to their end."""
    poll(
        lambda: len([tick for tick in ticks(server) if tick.run_state == "complete"]) > before,
        "a tick to run to its end",
        _PATIENCE,
    )


@pytest.mark.timeout(420)
def test_a_schedule_fires_moves_the_watermark_and_outlives_the_server(serve: Serve, visit: Visit) -> None:
    server = serve(env={"FFE_SIMULATED__BROKEN_RECORDS": "0"})
    visitor = visit(server)
    make_every_minute(visitor, "provider=simulated&pairs=BTCUSD&timeframes=1m", "Every minute")
    another_ended(server, 0)
    first = watermark(server)
    assert first > 0
    visitor.sees("1 line. Click one to open its run.")

    visitor.server_may_vanish = True
    server.stop()
    before = len([tick for tick in ticks(server) if tick.run_state == "complete"])
    server.restart()
    visitor.open("/schedules")
    visitor.server_may_vanish = False
    visitor.sees("1 schedule.")
    another_ended(server, before)
    assert watermark(server) > first

    visitor.open("/schedules?schedule=1")
    visitor.click("sched_pause")
    visitor.sees_dialog("Nothing of it fires until it is resumed")
    visitor.at("sched_reason").get_by_role("textbox").fill("Provider maintenance")
    visitor.at("sched_reason").get_by_role("textbox").press("Tab")
    visitor.click("sched_pause_yes")
    visitor.sees("Paused by")
    visitor.sees("Provider maintenance")

    visitor.click("sched_delete")
    visitor.sees_dialog("all candles stay")
    visitor.click("sched_delete_no")
    visitor.page.get_by_role("dialog").wait_for(state="detached")

    ended = len(ticks(server))
    visitor.click("sched_run")
    visitor.sees("has started")
    poll(lambda: len(ticks(server)) == ended + 1, "the run by hand on record")
    assert ticks(server)[0].kind == "by hand"
    due = [tick.due for tick in ticks(server) if tick.kind == "due"]
    assert len(due) == len(set(due))


@pytest.mark.timeout(300)
def test_an_overlap_is_skipped_and_shown(serve: Serve, visit: Visit, held: HeldMarket) -> None:
    server = serve(env=held.env)
    visitor = visit(server)
    make_every_minute(visitor, "provider=coinbase&pairs=BTCUSD&timeframes=1h", "Held")
    visitor.click("sched_run")
    poll(lambda: any(tick.outcome == "skipped" for tick in ticks(server)), "a tick to be skipped", _PATIENCE)
    [skipped] = [tick for tick in ticks(server) if tick.outcome == "skipped"]
    assert "the former one, still ran" in skipped.note
    visitor.open("/schedules?schedule=1")
    visitor.sees("lines. Click one to open its run.")
    held.let_go()


def test_bad_times_are_said_at_their_field(serve: Serve, visit: Visit) -> None:
    visitor = visit(serve(), "/schedules?new=1&provider=simulated&pairs=BTCUSD&timeframes=1h")
    visitor.click(visitor.page.get_by_text("Cron", exact=True))
    cron = visitor.at("sched_cron").get_by_role("textbox")
    for text, said in (
        ("0 0 30 2 *", "never comes"),
        ("0 6 * * 1", "is read as mon"),
        ("0 26 * * *", "hour 26 does not exist"),
    ):
        cron.fill(text)
        cron.press("Enter")
        visitor.sees(said)


def test_a_standby_takes_over_the_schedules(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    leader, standby = serve(), serve()
    reader = visit(standby, "/schedules")
    reader.sees(f"process {leader.pid}")
    leader.kill()
    poll(lambda: standby.health()["role"] == "leader", "the standby to take over", 10)
    reader.open("/schedules?new=1&pairs=BTCUSD")
    assert "standby" not in reader.text()
