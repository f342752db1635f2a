"""Can every page be read and used by everybody? axe-core looks at each, full and empty, light and dark.

Rules of axe-core (MPL-2.0) at impact serious and critical: contrast AA, a name for every control, roles that hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import Serve, Visit
from tests.browser.driver import Visitor, settled
from tests.browser.screenshots import SCHEMES, address_of, pages

GRAVE = ("serious", "critical")
KNOWN = {
    # Streamlit puts the sections of its list of pages as <div> between <ul> and <li>.
    "list": "[data-testid=stSidebarNavItems]",
    "listitem": "[data-testid=stSidebarNavItems] li",
}
"""What is Streamlit's own, by rule: the elements it is known of."""


NAMELESS = re.compile(r'- (button|link|textbox|combobox|checkbox|radio|slider|spinbutton)\b(?! "(?!\w+ icon\b)[^"])')
"""A line of Playwright's picture of what a screen reader gets: a control with no name, or that of an icon's font."""


def found(page: Page) -> Iterator[str]:
    """What is grave and not known, with the element and why."""
    for one in Axe().run(page).response["violations"]:
        if one["impact"] in GRAVE:
            yield from (f"{one['id']}: {said(node)}" for node in one["nodes"] if not is_known(page, one["id"], node))


def is_known(page: Page, rule: str, node: dict[str, Any]) -> bool:
    known = KNOWN.get(rule)
    asked = "([target, known]) => document.querySelector(target)?.matches(known)"
    return known is not None and bool(page.evaluate(asked, [node["target"][0], known]))


def said(node: dict[str, Any]) -> str:
    why = [check["message"] for kind in ("any", "all", "none") for check in node[kind]]
    return f"{node['html'][:200]} {'; '.join(why)[:300]}"


def unnamed(page: Page) -> Iterator[str]:
    """Controls without a name of their own; axe-core takes that of an icon's font for one."""
    for line in page.get_by_test_id("stMain").aria_snapshot().splitlines():
        control = re.match(
            r"- (button|link|textbox|combobox|checkbox|radio|slider|spinbutton)\b(?! \"[^\"])", line.strip()
        )
        if control or re.search(r'^\s*- button "\w+ icon', line):
            yield f"no name: {line.strip()}"


def looked_at(visitor: Visitor) -> list[str]:
    visitor.page.wait_for_load_state("networkidle")
    settled(visitor.page)
    return [f"{visitor.page.url}: {one}" for one in (*found(visitor.page), *unnamed(visitor.page))]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", ["empty", "full"])
def test_no_page_has_a_grave_fault(serve: Serve, visit: Visit, full: Path, kind: str, scheme: str) -> None:
    server = serve(full if kind == "full" else None)
    visitor = visit(server, "/", scheme)
    faults = [fault for page in pages() for fault in looked_at(visitor.open(address_of(page, kind)))]
    assert not faults


def more_of_candles(visitor: Visitor) -> None:
    visitor.open(address_of("candles", "full"))
    visitor.page.get_by_role("button", name="More").click()


def a_record(visitor: Visitor) -> None:
    visitor.open("/dead_letters")
    visitor.click(visitor.page.get_by_role("button", name="Edit"))


def a_new_schedule(visitor: Visitor) -> None:
    visitor.open("/schedules?new=1")


def gaps_to_mark(visitor: Visitor) -> None:
    visitor.open("/coverage?provider=coinbase&timeframe=1h&pair=BTCUSD")
    visitor.click("coverage_cell_mark")


def the_grid_of_runs(visitor: Visitor) -> None:
    visitor.open("/runs?view=grid")
    visitor.at("runs_grid").get_by_role("gridcell").first.wait_for()


def a_watermark_to_rewind(visitor: Visitor) -> None:
    visitor.open("/watermarks?series=BTCUSD/1h/coinbase")
    visitor.click("watermarks_rewind")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "opened",
    [more_of_candles, a_record, a_new_schedule, gaps_to_mark, the_grid_of_runs, a_watermark_to_rewind],
)
def test_nothing_that_opens_has_a_grave_fault(
    serve: Serve, visit: Visit, full: Path, opened: Callable[[Visitor], None], scheme: str
) -> None:
    visitor = visit(serve(full), "/", scheme)
    opened(visitor)
    assert not looked_at(visitor)
