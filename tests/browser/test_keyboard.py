"""Can the journeys be made by the keyboard alone: Tab, arrows, Enter and what is typed?"""

from __future__ import annotations

import re
from pathlib import Path

from tests.browser.conftest import Serve, Visit
from tests.browser.driver import Visitor, poll, settled
from tests.browser.test_palette import chosen

FOCUSED = r"""() => {
    let at = document.activeElement
    while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement
    if (at?.tagName === "MAIN") return ""
    return at?.getAttribute("aria-label") || at?.innerText?.replace(/\s+/g, " ") || ""
}"""
RING = """() => {
    let at = document.activeElement
    while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement
    const look = getComputedStyle(at)
    return look.outlineStyle !== "none" || look.boxShadow !== "none"
}"""
MOST_STOPS = 80


def tab_to(visitor: Visitor, name: str) -> None:
    """Press Tab until what is called so has the focus; one sees that it has."""
    met = []
    for _ in range(MOST_STOPS):
        visitor.page.keyboard.press("Tab")
        met.append(visitor.page.evaluate(FOCUSED))
        if name in met[-1]:
            poll(lambda: visitor.page.evaluate(RING), f"one to see that {name} has the focus", 5.0)
            return
    raise AssertionError(f"Tab never came to {name}, but to {met}")


def press(visitor: Visitor, name: str) -> None:
    """Come to it once the page is whole: what is still drawn may take the focus with it, and Enter goes elsewhere."""
    settled(visitor.page)
    tab_to(visitor, name)
    settled(visitor.page)
    if name not in visitor.page.evaluate(FOCUSED):
        tab_to(visitor, name)
    visitor.page.keyboard.press("Enter")
    settled(visitor.page)


def test_from_the_first_visit_to_the_first_chart(serve: Serve, visit: Visit) -> None:
    visitor = visit(serve())
    visitor.sees("Nothing is stored yet")
    press(visitor, "Try a simulated backfill")
    visitor.page.wait_for_url(re.compile("/candles"), timeout=60_000)
    visitor.page.locator(".chart[data-drawn]").wait_for(timeout=60_000)
    settled(visitor.page)
    shown = visitor.page.url
    press(visitor, "Earlier")
    poll(lambda: visitor.page.url != shown, "an earlier range")


def test_a_series_is_backfilled_and_a_failed_one_retried(serve: Serve, visit: Visit, full: Path) -> None:
    visitor = visit(serve(full))
    chosen(visitor, "eth 1h simulated backfill", r"/backfill\?")
    press(visitor, "Start backfill")
    visitor.page.wait_for_url(re.compile(r"/run\?id=\d+"))
    chosen(visitor, "run 2", r"/run\?id=2$")
    press(visitor, "Retry failed")
    visitor.page.wait_for_url(re.compile(r"/run\?id=(?!2$)\d+"))


def test_a_gap_is_marked(serve: Serve, visit: Visit, full: Path) -> None:
    visitor = visit(serve(full))
    chosen(visitor, "btc coinbase gaps", r"/coverage\?.*pair=BTCUSD")
    press(visitor, "Mark as explained")
    visitor.sees_dialog("Mark as explained")
    press(visitor, "Mark")
    visitor.sees("Marked 9 bars in 1 gap")


def test_a_dead_letter_is_edited(serve: Serve, visit: Visit, full: Path) -> None:
    visitor = visit(serve(full))
    chosen(visitor, "dead letters", "/dead_letters")
    press(visitor, "Edit")
    visitor.sees("Swap high and low")


def test_the_grid_of_runs_is_one_stop_and_arrows_move_in_it(serve: Serve, visit: Visit, full: Path) -> None:
    visitor = visit(serve(full), "/runs?view=grid")
    visitor.at("runs_grid").get_by_role("gridcell").first.wait_for()
    tab_to(visitor, "NOPEUSD 15m from simulated, run")
    first = visitor.page.evaluate(FOCUSED)
    visitor.page.keyboard.press("ArrowDown")
    visitor.page.keyboard.press("ArrowUp")
    assert visitor.page.evaluate(FOCUSED) == first
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url(re.compile(r"/run\?id=\d+"))


def test_a_series_of_a_list_is_ticked(serve: Serve, visit: Visit, full: Path) -> None:
    visitor = visit(serve(full), "/watermarks")
    settled(visitor.page)
    is_in_list = "() => document.activeElement.matches('.stDataFrame canvas')"
    for _ in range(MOST_STOPS):
        visitor.page.keyboard.press("Tab")
        if visitor.page.evaluate(is_in_list):
            break
    visitor.page.keyboard.press("ArrowDown")
    visitor.page.keyboard.press("Shift+Space")
    visitor.page.wait_for_url(re.compile(r"series="))
    press(visitor, "Bring up to date")
    visitor.page.wait_for_url(re.compile(r"/run\?id=\d+"))
