"""Does the command palette lead to any page, series, run and verb by the keyboard alone?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Route, expect

from ffe_core.operations.console import ConsoleService
from ffe_core.operations.runs.backfill import BackfillRequest
from tests.browser.conftest import Serve, Visit
from tests.browser.driver import Visitor, poll, settled
from tests.browser.test_accessibility import looked_at


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    console = ConsoleService({"data_dir": str(folder)}).open()
    request = BackfillRequest.of("simulated", ["BTCUSD", "ETHUSD"], ["1h"], "2024-01-01", "2024-01-20")
    console.run_service.wait(console.run_service.start(request, "ann"), 60)
    console.drain()
    return folder


def opened(visitor: Visitor, key: str = "/") -> Locator:
    visitor.page.keyboard.press(key)
    dialog = visitor.page.get_by_role("dialog", name="Find anything")
    expect(dialog).to_be_visible()
    return dialog


def chosen(visitor: Visitor, text: str, address: str) -> None:
    """Type and press Enter at once, as who knows what there is does."""
    opened(visitor)
    visitor.page.keyboard.type(text)
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url(re.compile(address))
    settled(visitor.page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_typed_is_found_and_opened_without_a_mouse(
    serve: Serve, visit: Visit, filled: Path, scheme: str
) -> None:
    visitor = visit(serve(filled), "/", scheme)
    visitor.page.evaluate("window.loadedOnce = true")
    chosen(visitor, "restate", r"/restatements")
    chosen(visitor, "eth", r"/candles\?.*pair=ETHUSD")
    visitor.page.locator(".chart[data-drawn]").wait_for(timeout=60_000)
    chosen(visitor, "btc-usd gaps", r"/coverage\?.*pair=BTCUSD")
    chosen(visitor, "run 1", r"/run\?id=1")
    chosen(visitor, "cron", r"/schedules\?new=1")
    chosen(visitor, "overview", r":\d+/$")
    assert visitor.page.evaluate("window.loadedOnce"), "the page was loaded anew"
    dialog = opened(visitor, "Control+k")
    visitor.page.keyboard.type("btc")
    options = dialog.get_by_role("option")
    expect(options).to_have_count(4)
    expect(options.first).to_have_attribute("aria-selected", "true")
    visitor.page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    active = dialog.get_by_role("combobox").get_attribute("aria-activedescendant")
    assert active == options.nth(1).get_attribute("id")
    assert not looked_at(visitor)
    visitor.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_its_keys_are_not_those_of_the_page_and_the_pages_fields_are_not_its_own(
    serve: Serve, visit: Visit, filled: Path
) -> None:
    visitor = visit(serve(filled), "/candles?provider=simulated&pair=BTCUSD&timeframe=1h")
    visitor.page.locator(".chart[data-drawn]").wait_for(timeout=60_000)
    shown = visitor.text()
    dialog = opened(visitor)
    visitor.page.keyboard.type("baab nothing")
    expect(dialog).to_contain_text("Nothing is called that")
    visitor.page.keyboard.press("ArrowLeft")
    visitor.page.keyboard.press("Escape")
    settled(visitor.page)
    assert visitor.text() == shown
    visitor.open("/runs")
    visitor.at("runs_pair").get_by_role("textbox").click()
    visitor.page.keyboard.press("/")
    expect(dialog).to_be_hidden()


def test_on_a_narrow_screen_it_opens_too(serve: Serve, visit: Visit, filled: Path) -> None:
    visitor = visit(serve(filled))
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    visitor.open("/runs")
    chosen(visitor, "watermarks", r"/watermarks")


def test_a_key_pressed_before_there_is_a_page_is_not_lost(serve: Serve, visit: Visit, filled: Path) -> None:
    visitor = visit(serve(filled))
    held: list[Route] = []
    visitor.page.route("**/static/js/index.*.js", lambda route: held.append(route))
    visitor.page.goto(visitor.base + "/runs", wait_until="commit")
    visitor.page.wait_for_function("window.ffePalette")
    dialog = opened(visitor)
    visitor.page.keyboard.type("eth gaps")
    expect(dialog.get_by_role("option")).to_have_count(1)  # the server is asked without a page
    for one in held:
        one.continue_()
    settled(visitor.page)
    expect(dialog.get_by_role("combobox")).to_have_value("eth gaps")
    visitor.page.keyboard.press("Control+a")
    visitor.page.keyboard.type("restate")
    expect(dialog.get_by_role("option").first).to_contain_text("Restatements")
    visitor.page.evaluate("window.loadedOnce = true")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url(re.compile("/restatements"))
    assert visitor.page.evaluate("window.loadedOnce"), "the page was loaded anew"


def test_enter_is_not_lost_to_a_page_that_comes_before_the_answer(serve: Serve, visit: Visit, filled: Path) -> None:
    visitor = visit(serve(filled))
    pages: list[Route] = []
    answers: list[Route] = []
    visitor.page.route("**/static/js/index.*.js", lambda route: pages.append(route))
    visitor.page.route("**/find?*", lambda route: answers.append(route))
    visitor.page.goto(visitor.base + "/runs", wait_until="commit")
    visitor.page.wait_for_function("window.ffePalette")
    opened(visitor)
    visitor.page.keyboard.type("restate")
    poll(lambda: visitor.page.evaluate("1") and pages and answers, "a page and an answer under way")
    visitor.page.keyboard.press("Enter")
    visitor.page.route("**/find?*", lambda route: route.continue_())
    visitor.page.route("**/static/js/index.*.js", lambda route: route.continue_())
    for one in pages:
        one.continue_()
    settled(visitor.page)
    for one in answers:
        one.continue_()
    visitor.page.wait_for_url(re.compile("/restatements"))


def test_its_button_opens_it_and_a_page_is_left_by_back(serve: Serve, visit: Visit, filled: Path) -> None:
    visitor = visit(serve(filled), "/runs")
    visitor.page.get_by_role("button", name="Find anything").click()
    dialog = visitor.page.get_by_role("dialog", name="Find anything")
    expect(dialog).to_be_visible()
    visitor.page.keyboard.press("Escape")
    chosen(visitor, "eth", r"/candles\?.*pair=ETHUSD")
    visitor.page.go_back()
    visitor.page.wait_for_url(re.compile("/runs$"))
    visitor.sees("1 run.")


def test_the_overview_opens_in_a_tab_of_its_own(serve: Serve, visit: Visit, filled: Path) -> None:
    """Its address is that of the console itself, not of the page one is on."""
    visitor = visit(serve(filled), "/runs")
    opened(visitor)
    visitor.page.keyboard.type("overview")
    expect(visitor.page.get_by_role("option").first).to_contain_text("Overview")
    with visitor.page.expect_popup() as beside:
        visitor.page.keyboard.press("Control+Enter")
    assert beside.value.url == f"{visitor.base}/"


def test_without_a_page_the_palette_leads_on_too(serve: Serve, visit: Visit, filled: Path) -> None:
    visitor = visit(serve(filled))
    visitor.page.route("**/static/js/index.*.js", lambda route: None)
    visitor.page.goto(visitor.base + "/runs", wait_until="commit")
    visitor.page.wait_for_function("window.ffePalette")
    opened(visitor)
    visitor.page.keyboard.type("eth gaps")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url(re.compile(r"/coverage\?.*pair=ETHUSD"), wait_until="commit")
