"""Does what stands around every page say whose data it is and what waits, and does every address lead to a page?"""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Serve, Visit
from tests.browser.driver import settled
from tests.browser.test_dead_letters import dead_letter

TOKEN = "0123456789abcdef-fedcba9876543210"


def test_the_sidebar_says_whose_data_it_is_and_what_waits(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    dead_letter(tmp_path / "data", 0, 1)
    server = serve(None, {"FFE_OANDA__API_TOKEN": TOKEN, "FFE_OANDA__ENVIRONMENT": "live"})
    visitor = visit(server)
    head = visitor.at("sidebar_head")
    for words in ("data", "leads", "OANDA live"):
        expect(head).to_contain_text(words)
    expect(visitor.page.get_by_test_id("stSidebarLogo")).to_be_visible()
    places = [head.bounding_box(), visitor.page.get_by_test_id("stSidebarNav").bounding_box()]
    assert places[0]["y"] < places[1]["y"], "it stands above the list of pages"  # type: ignore[index]
    expect(visitor.page.get_by_role("link", name="Dead letters 2")).to_be_visible()


def test_the_overview_is_found_by_its_name(serve: Serve, visit: Visit) -> None:
    visitor = visit(serve(), "/overview")
    visitor.sees("Nothing is stored yet")
    settled(visitor.page)
    assert visitor.page.title() == "Overview · FFE console"
