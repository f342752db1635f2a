"""Is everything there is shown at the reference size, and every choice in reach on a narrow screen?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ffe_core.operations.console import ConsoleService
from ffe_core.operations.runs.backfill import BackfillRequest
from tests.browser.conftest import Serve, Visit
from tests.browser.driver import poll, settled
from tests.browser.screenshots import PADDING, hidden_width, pages
from tests.browser.test_dead_letters import dead_letter

NARROW = {"width": 390, "height": 844}
BEYOND = """() => [...document.querySelectorAll('[data-testid=stButtonGroup] button')]
    .filter(one => one.getBoundingClientRect().right > innerWidth + 1).map(one => one.innerText)"""
OUTSIDE = """() => [...document.querySelectorAll('[data-testid=stMain] *')]
    .filter(one => !one.children.length && one.textContent.trim() && !one.closest('[data-testid=stDataFrame], pre'))
    .filter(one => one.getBoundingClientRect().right > innerWidth + 1).map(one => one.textContent.slice(0, 60))"""
CHOICES = (
    "backfill?provider=simulated&pairs=BTCUSD&timeframes=1h&start=beginning",
    "candles?provider=simulated&pair=BTCUSD&timeframe=1h",
    "coverage?provider=simulated",
    "dead_letters",
    "schedules?new=1",
)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A run, one with times of day in its range, and dead letters of long names that were tried."""
    folder = tmp_path / "data"
    console = ConsoleService({"data_dir": str(folder)}).open()
    for end in ("2024-01-10", "2024-01-11T07:00Z"):
        request = BackfillRequest.of("simulated", ["BTCUSD", "ETHUSD"], ["1h"], "2024-01-01T05:00Z", end)
        console.run_service.wait(console.run_service.start(request, "somebody with a name"), 60)
    console.drain()
    dead_letter(folder, 0, 1, asset_pair="BTC-PERP-INTX", provider="alpha_vantage", run_id="12345")
    dead_letter(folder, 0, asset_pair="BRKB", provider="alpha_vantage")
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_tables_hide_no_column_and_choices_wrap(serve: Serve, visit: Visit, filled: Path, scheme: str) -> None:
    server = serve(filled)
    visitor = visit(server, "/dead_letters", scheme)
    for page in ("dead_letters", "runs"):
        visitor.open(f"/{page}")
        visitor.page.locator(".dvn-scroller").last.wait_for()
        settled(visitor.page)
        assert hidden_width(visitor.page) <= PADDING, page
    visitor.page.set_viewport_size(NARROW)
    for address in CHOICES:
        visitor.open(f"/{address}")
        visitor.page.get_by_test_id("stButtonGroup").first.wait_for()
        settled(visitor.page)
        assert visitor.page.evaluate(BEYOND) == [], address


def test_what_stands_in_the_toolbar_of_the_chart_is_equally_high(serve: Serve, visit: Visit, filled: Path) -> None:
    visitor = visit(serve(filled), "/candles?provider=simulated&pair=BTCUSD&timeframe=1h")
    bar = visitor.at("candles_toolbar").locator("button:visible")
    poll(lambda: bar.count() >= 11, "the toolbar")
    # Not the sign that explains a field, nor the arrow inside one.
    own = "all => all.filter(one => !one.closest('[data-testid=stSelectbox], [data-testid=stWidgetLabel]'))"
    heights = bar.evaluate_all(f"{own}.map(one => Math.round(one.getBoundingClientRect().height))")
    assert len(set(heights)) == 1, heights


@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_no_text_lies_beyond_the_screen(serve: Serve, visit: Visit, filled: Path, width: int) -> None:
    """Tables scroll in themselves; all else has to wrap."""
    visitor = visit(serve(filled))
    visitor.page.set_viewport_size({"width": width, "height": 900})
    for page in pages():
        visitor.open("/" if page == "overview" else f"/{page}?id=1")
        settled(visitor.page)
        assert visitor.page.evaluate(OUTSIDE) == [], page


def test_a_pair_is_typed_into_the_filter_of_dead_letters_in_any_spelling(
    serve: Serve, visit: Visit, filled: Path
) -> None:
    visitor = visit(serve(filled), "/dead_letters")
    field = visitor.at("dl_asset_pair").get_by_role("combobox")
    field.click()
    field.fill("brk.b")
    visitor.page.get_by_role("option").filter(has_text="brk.b").click()
    visitor.page.wait_for_url(re.compile(r"pair=brk\.b"))
    settled(visitor.page)
    visitor.sees("1 record.")
    poll(lambda: visitor.at("dl_asset_pair").get_by_role("combobox").input_value().startswith("BRKB"), "its name")


def test_a_filter_that_no_address_has_room_for_stays_in_its_field(serve: Serve, visit: Visit, filled: Path) -> None:
    visitor = visit(serve(filled), "/dead_letters")
    field = visitor.at("dl_asset_pair").get_by_role("combobox")
    field.click()
    field.fill("x" * 9000)
    visitor.page.keyboard.press("Enter")
    visitor.sees("cannot be a pair")
    assert visitor.at("dl_asset_pair").get_by_role("combobox").input_value().startswith("x" * 9000)
    assert "pair=" not in visitor.page.url
    visitor.sees("3 records.")
