"""Does what a second first use of the console stumbled over stay mended? A test for each that cost trust or time."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from ffe_core.operations.console import ConsoleService
from ffe_core.operations.runs.backfill import BackfillRequest
from tests.browser.conftest import Serve, Visit
from tests.browser.driver import Server, Visitor, poll, settled
from tests.browser.test_dead_letters import dead_letter

_CONTRAST = """element => {
    const shade = node => { for (let n = node; n; n = n.parentElement) {
        const color = getComputedStyle(n).backgroundColor.match(/[0-9.]+/g).map(Number);
        if (color.length < 4 || color[3] > 0) return color.slice(0, 3); } return [255, 255, 255]; };
    const back = shade(element), front = getComputedStyle(element).color.match(/[0-9.]+/g).map(Number).slice(0, 3);
    let seen = 1; for (let n = element; n; n = n.parentElement) seen *= Number(getComputedStyle(n).opacity);
    const mixed = front.map((value, place) => value * seen + back[place] * (1 - seen));
    const light = color => { const [r, g, b] = color.map(v => v / 255)
        .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const [low, high] = [light(mixed), light(back)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05); }"""


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    console = ConsoleService({"data_dir": str(folder)}).open()
    request = BackfillRequest.of("simulated", ["BTCUSD", "NOPEUSD"], ["1h", "1d"], "2024-01-01", "2024-01-20")
    console.run_service.wait(console.run_service.start(request, "ann"), 60)
    console.drain()
    dead_letter(folder, 0)
    return folder


@pytest.fixture
def server(serve: Serve, filled: Path) -> Server:
    return serve(filled)


def leave(visitor: Visitor, label: str, text: str) -> None:
    """Type into a field and go on to the next."""
    field = visitor.page.get_by_test_id("stMain").get_by_label(label, exact=True).first
    field.fill(text)
    field.press("Tab")
    settled(visitor.page)


def test_back_leads_to_the_overview_without_parameters_of_the_page_that_was_left(server: Server, visit: Visit) -> None:
    visitor = visit(server)
    settled(visitor.page, quiet=600)
    visitor.page.get_by_test_id("stSidebarNav").get_by_role("link", name="Coverage").click()
    visitor.page.wait_for_url("**/coverage?provider=*")
    settled(visitor.page)
    visitor.page.go_back()
    poll(lambda: visitor.page.title() == "Overview · FFE console", "the Overview")
    settled(visitor.page)
    assert visitor.page.url == f"{server.base}/"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_wrong_with_a_field_can_be_read(server: Server, visit: Visit, scheme: str) -> None:
    visitor = visit(server, "/backfill?provider=simulated&pairs=BTCUSD&timeframes=1h", scheme)
    visitor.page.get_by_role("radio", name="Own range").click()
    settled(visitor.page)
    leave(visitor, "From (UTC)", "31/01/2024")
    said = visitor.page.get_by_text("is not a time; use a date like 2024-01-31").first
    assert float(said.evaluate(_CONTRAST)) >= 4.5


def test_a_record_typed_as_json_is_what_is_replayed(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/dead_letters")
    box = visitor.at("dl_table").locator(".dvn-scroller").bounding_box()
    assert box is not None
    visitor.page.mouse.click(box["x"] + 120, box["y"] + 50)
    visitor.page.wait_for_url(re.compile("entry="))
    settled(visitor.page)
    visitor.page.get_by_role("tab", name="JSON").click()
    field = visitor.page.get_by_label("The whole record")
    good = field.input_value()
    field.fill("{")
    field.press("Control+Enter")
    visitor.sees("this is not JSON")
    assert field.input_value() == "{"
    poll(visitor.at("dl_save_replay").get_by_role("button").is_disabled, "nothing to be replayed")
    high, low = re.search(r'"high": "?([0-9.]+)', good), re.search(r'"low": "?([0-9.]+)', good)
    assert high is not None
    assert low is not None
    swapped = good.replace(high[1], "HIGH").replace(low[1], high[1]).replace("HIGH", low[1])
    field.fill(swapped)
    field.press("Control+Enter")
    visitor.sees("If it were replayed now: 1 would be stored")
    visitor.click("dl_save_replay")
    visitor.sees_dialog("1 would be stored")


def test_a_factor_is_answered_at_its_field(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/dead_letters")
    visitor.click("dl_mend")
    visitor.page.get_by_role("button", name="Scale a field").click()
    popover = visitor.page.get_by_test_id("stPopoverBody")
    popover.get_by_label("Factor").fill("a tenth")
    popover.get_by_label("Factor").press("Tab")
    popover.get_by_text("'a tenth' is not a number").wait_for()
    assert popover.get_by_role("button", name="Scale").is_disabled()


def test_a_filter_of_runs_takes_a_list_and_answers_what_names_nothing(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/runs")
    for typed in ("btc-usd; ethusd", "BTC"):
        leave(visitor, "Pair", typed)
        visitor.sees("Click a row to open it")
    leave(visitor, "Pair", "../x")
    visitor.sees("no run has '../x'; use a pair or a part of one, for example BTC")
    assert "cannot be shown" not in visitor.text()


def test_each_field_of_an_import_is_answered_by_itself(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/import_files")
    leave(visitor, "Or a file or folder on the server", "/nowhere/at/all")
    visitor.sees("/nowhere/at/all is not there")
    leave(visitor, "Source", "coinbase")
    visitor.sees("for example files:")
    leave(visitor, "Pair", "?" * 70)
    visitor.sees("cannot be a pair")
    visitor.sees("/nowhere/at/all is not there")
    visitor.sees("Not yet: mend what is marked.")


def test_a_long_name_is_answered_and_fields_are_named_as_labelled(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/schedules?new=1")
    leave(visitor, "Name", "x" * 70)
    visitor.sees("1 to 60 characters")
    leave(visitor, "As far back as", "5 years")
    visitor.sees("Shown as soon as this can be read: pairs, as far back as.")


def test_a_run_has_a_title_of_its_own_and_one_style_of_dates(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/run?id=1")
    poll(lambda: visitor.page.title() == "Run 1 · FFE console", "the title of the run")
    visitor.sees("2024-01-01 00:00 UTC to 2024-01-21 00:00 UTC")
    assert "T00:00" not in visitor.text()


def test_a_page_with_nothing_to_show_leads_to_a_backfill(serve: Serve, visit: Visit) -> None:
    visitor = visit(serve())
    for page in ("runs", "watermarks", "coverage", "candles", "findings", "restatements", "storage"):
        visitor.open(f"/{page}")
        visitor.page.get_by_role("button", name="New backfill").click()
        visitor.page.wait_for_url(re.compile(r"/backfill(\?|$)"))
        visitor.page.get_by_role("heading", name="Backfill").wait_for()


def test_a_table_that_goes_on_to_the_right_says_so(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/watermarks")
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    settled(visitor.page)
    table = visitor.page.get_by_test_id("stDataFrame").first
    shown = "element => Number(getComputedStyle(element, '::after').opacity)"
    assert table.evaluate(shown) == 1
    table.locator(".dvn-scroller").evaluate("element => { element.scrollLeft = element.scrollWidth; }")
    poll(lambda: table.evaluate(shown) == 0, "the end of the table")
    visitor.page.set_viewport_size({"width": 1920, "height": 900})
    poll(lambda: table.evaluate(shown) == 0, "a table that fits")


@pytest.mark.parametrize("page", ["dead_letters", "runs"])
def test_filters_keep_room_for_a_word_on_a_middling_screen(server: Server, visit: Visit, page: str) -> None:
    visitor = visit(server, f"/{page}")
    visitor.page.set_viewport_size({"width": 1024, "height": 768})
    settled(visitor.page)
    widths = visitor.page.locator("[data-testid=stMain] [data-testid=stSelectbox]").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().width)"
    )
    assert widths
    assert min(widths) >= 120


def test_dates_of_a_narrow_coverage_do_not_lie_on_each_other(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/coverage?provider=simulated&timeframe=1h")
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    settled(visitor.page, quiet=600)
    boxes = visitor.page.locator("[class*=st-key-coverage_map] thead th").evaluate_all(
        """all => all.filter(one => one.textContent).map(one => {
            const text = document.createRange()
            text.selectNodeContents(one)
            const box = text.getBoundingClientRect()
            return [box.left, box.right]
        })"""
    )
    assert len(boxes) > 2
    assert all(left[1] <= right[0] + 1 for left, right in pairwise(sorted(boxes)))


def test_the_series_of_a_chart_has_a_line_of_its_own_on_a_middling_screen(server: Server, visit: Visit) -> None:
    visitor = visit(server, "/candles?provider=simulated&pair=BTCUSD&timeframe=1h")
    visitor.page.set_viewport_size({"width": 1024, "height": 768})
    settled(visitor.page)
    series, bars = (visitor.at(f"candles_{name}").bounding_box() for name in ("series", "size"))
    assert series is not None
    assert bars is not None
    assert series["width"] > 400
    assert series["y"] + series["height"] <= bars["y"] + 1
