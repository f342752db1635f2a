"""Do the browser's own Back and its titles work, whatever the pages write into the address?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ffe_core import DeadLetterQueue
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.runs.backfill import BackfillRequest
from tests.browser.conftest import Serve, Visit
from tests.browser.driver import Visitor, poll, settled
from tests.browser.test_dead_letters import dead_letter, record

NARROW, WIDE = {"width": 390, "height": 844}, {"width": 1440, "height": 900}


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    console = ConsoleService({"data_dir": str(folder)}).open()
    request = BackfillRequest.of("simulated", ["BTCUSD"], ["1h", "1d"], "2024-01-01", "2024-01-20")
    console.run_service.wait(console.run_service.start(request, "ann"), 60)
    console.drain()
    dead_letter(folder, 0, 1)
    return folder


def entries(visitor: Visitor) -> int:
    return int(visitor.page.evaluate("history.length"))


def go_to(visitor: Visitor, page: str) -> None:
    opener = visitor.page.get_by_test_id("stExpandSidebarButton")
    if opener.is_visible():
        opener.click()
    visitor.page.get_by_test_id("stSidebarNav").get_by_role("link", name=page).click()
    settled(visitor.page)
    poll(lambda: visitor.page.title().endswith(f"{page} · FFE console"), f"the title of {page}")
    settled(visitor.page)


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_page_is_one_entry_and_back_leads_to_what_was_looked_at(
    serve: Serve, visit: Visit, filled: Path, size: dict[str, int]
) -> None:
    visitor = visit(serve(filled), "/")
    visitor.page.set_viewport_size(size)
    visitor.open("/")
    before = entries(visitor)
    for page in ("Coverage", "Candles", "Backfill", "Runs"):
        go_to(visitor, page)
    assert entries(visitor) - before == 4
    for page in ("Backfill", "Candles", "Coverage"):
        visitor.page.go_back()
        poll(lambda page=page: visitor.page.title().endswith(f"{page} · FFE console"), f"{page} again")
        settled(visitor.page)
        assert f"/{page.lower()}" in visitor.page.url


def test_a_filter_makes_no_entry_and_a_record_makes_one(serve: Serve, visit: Visit, filled: Path) -> None:
    visitor = visit(serve(filled), "/dead_letters")
    before = entries(visitor)
    visitor.at("dl_q").get_by_role("textbox").fill("1")
    visitor.at("dl_q").get_by_role("textbox").press("Enter")
    visitor.page.wait_for_url("**/dead_letters?q=1")
    settled(visitor.page)
    assert entries(visitor) == before
    table = visitor.at("dl_table").locator(".dvn-scroller")
    box = table.bounding_box()
    assert box is not None
    visitor.page.mouse.click(box["x"] + 120, box["y"] + 50)
    visitor.page.wait_for_url(re.compile("entry="))
    settled(visitor.page)
    assert entries(visitor) == before + 1
    visitor.page.go_back()
    visitor.page.wait_for_url("**/dead_letters?q=1")
    settled(visitor.page)
    visitor.sees("Click a row to open it")


def test_the_name_of_the_page_one_is_on_leads_to_its_list(serve: Serve, visit: Visit, filled: Path) -> None:
    visitor = visit(serve(filled), "/schedules?new=1&provider=simulated&pairs=BTCUSD&timeframes=1h")
    visitor.sees("Create schedule")
    go_to(visitor, "Schedules")
    visitor.sees("Nothing runs by itself yet")
    assert "?" not in visitor.page.url
    visitor.page.go_back()
    visitor.sees("Create schedule")
    assert "pairs=BTCUSD" in visitor.page.url

    queue = DeadLetterQueue(filled / "dlq")
    visitor.open(f"{record(queue.find().rows[0].batch_id)}&status=pending")
    visitor.sees("Ask the provider again")
    go_to(visitor, "Dead letters")
    visitor.sees("Click a row to open it")
    assert visitor.page.url.endswith("/dead_letters?status=pending")

    visitor.click("dl_mend")
    visitor.page.wait_for_url(re.compile("view=mend"))
    visitor.sees("Back to the list")
    go_to(visitor, "Dead letters")
    visitor.sees("Click a row to open it")
    assert visitor.page.url.endswith("/dead_letters?status=pending")
