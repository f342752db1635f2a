"""Can an analyst find what is missing and fill it, explain it, and have a series read again, in a real browser?"""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from deltalake import DeltaTable

from ffe_core import BatchDataIngester, DeltaLakeManager, times
from ffe_core.insight.coverage import Coverage
from ffe_core.operations.gaps import GapState, GapVerbs
from ffe_core.series import Series
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.database import DATABASE_FILE, Database
from tests.browser.conftest import Serve, Visit
from tests.browser.driver import Server, Visitor, poll, settled
from tests.browser.test_journeys import ends
from tests.browser.test_keyboard import FOCUSED, tab_to

BTC, EURO = (Series(pair, "1h", "simulated") for pair in ("BTCUSD", "EURUSD"))
GONE = ("2024-01-09T05:00:00+00:00", "2024-01-09T06:00:00+00:00", "2024-01-09T07:00:00+00:00")
QUIET = {"FFE_SIMULATED__BROKEN_RECORDS": "0"}


@pytest.fixture
def holed(tmp_path: Path) -> Path:
    """A data directory with two weeks of two simulated pairs, one without three hours of the ninth day."""
    folder = tmp_path / "data"
    single = ingester(folder)

    def filled(series: Series) -> int:
        asked = single.ingest_historical_data(series.asset_pair, "1h", "2024-01-01", "2024-01-14", "simulated")
        return int(asyncio.run(asked)["unexplained"])

    # In a thread of its own: Playwright's event loop runs in this one.
    with ThreadPoolExecutor(1) as thread:
        assert list(thread.map(filled, (BTC, EURO))) == [0, 0]
    listed = ", ".join(f"'{at}'" for at in GONE)
    DeltaTable(str(folder / "lake" / BTC.table)).delete(f"partition_asset_pair = 'BTCUSD' AND timestamp IN ({listed})")
    return folder


def ingester(folder: Path) -> BatchDataIngester:
    return BatchDataIngester(
        DeltaLakeManager(folder / "lake"), {"data_dir": folder, "simulated": {"broken_records": 0}}
    )


def coverage_of(server: Server) -> Coverage:
    single = ingester(server.data_dir)
    return Coverage(single.stores)


def verbs_of(server: Server) -> GapVerbs:
    single = ingester(server.data_dir)
    return GapVerbs(coverage_of(server), single.stores.acknowledged, Audit(Database(server.data_dir / DATABASE_FILE)))


def acknowledged_gaps_table(server: Server) -> list[GapState]:
    return verbs_of(server).states([BTC])


def click_cell(visitor: Visitor, pair: str, day: str) -> None:
    """Click the cell of a pair and day."""
    visitor.click(visitor.at("coverage_map").get_by_role("gridcell", name=f"{pair}, {day}:"))


def test_a_closed_day_has_the_mark_of_the_legend(serve: Serve, visit: Visit, holed: Path) -> None:
    visitor = visit(serve(holed), "/coverage?provider=simulated&timeframe=1h")
    closed = visitor.at("coverage_map").locator("tbody td:not([role])").first
    closed.wait_for()
    assert closed.evaluate("cell => getComputedStyle(cell).borderStyle") == "dashed"


def test_from_a_click_on_the_heatmap_to_the_prefilled_backfill_to_green(
    serve: Serve, visit: Visit, holed: Path
) -> None:
    server = serve(holed, QUIET)
    visitor = visit(server, "/coverage?provider=simulated&timeframe=1h")
    click_cell(visitor, "BTCUSD", "2024-01-09")
    visitor.sees("BTCUSD 1h, 2024-01-09")
    visitor.click("coverage_cell_fill")
    visitor.page.wait_for_url(re.compile("/backfill"))
    visitor.sees("3 candles to fetch")
    for part in ("start=2024-01-09+05%3A00Z", "end=2024-01-09+08%3A00Z", "mode=gaps", "pairs=BTCUSD"):
        assert part in visitor.page.url
    visitor.click("backfill_start")
    visitor.page.wait_for_url(re.compile(r"/run\?id=\d+"))
    ends(visitor, "complete")
    assert [one.counts.unexplained for one in coverage_of(server).of([BTC, EURO])] == [0, 0]
    visitor.open("/coverage?provider=simulated&timeframe=1h")
    visitor.sees("Nothing is missing without a reason")


def test_a_cell_that_was_closed_opens_again_by_the_next_click(serve: Serve, visit: Visit, holed: Path) -> None:
    visitor = visit(serve(holed, QUIET), "/coverage?provider=simulated&timeframe=1h")
    for _ in range(2):
        click_cell(visitor, "BTCUSD", "2024-01-09")
        visitor.sees("BTCUSD 1h, 2024-01-09")
        visitor.click("coverage_close")
        poll(lambda: "BTCUSD 1h, 2024-01-09" not in visitor.text(), "the cell to close")
    click_cell(visitor, "EURUSD", "2024-01-10")
    visitor.sees("EURUSD 1h, 2024-01-10")


def test_a_cell_is_found_read_and_opened_by_the_keyboard(serve: Serve, visit: Visit, holed: Path) -> None:
    visitor = visit(serve(holed, QUIET), "/coverage?provider=simulated&timeframe=1h")
    tab_to(visitor, "BTCUSD, 2024-01-01: whole")
    for key in ("ArrowDown", "End", "Home", "ArrowUp", *["ArrowRight"] * 8):
        visitor.page.keyboard.press(key)
    assert visitor.page.evaluate(FOCUSED) == "BTCUSD, 2024-01-09: some missing"
    facts = visitor.at("coverage_map").locator(".facts")
    assert "expected 24\nstored 21\ndead lettered 0\nmarked 0\nunexplained 3\nextra 0" in facts.inner_text()
    visitor.page.keyboard.press("Enter")
    visitor.sees("BTCUSD 1h, 2024-01-09")
    poll(lambda: "at=1704758400" in visitor.page.url, "the cell in the address")
    chosen = visitor.at("coverage_map").locator("[aria-selected=true]")
    assert chosen.get_attribute("aria-label") == visitor.page.evaluate(FOCUSED)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_signs_are_read_on_their_colours(serve: Serve, visit: Visit, holed: Path, scheme: str) -> None:
    visitor = visit(serve(holed, QUIET), "/coverage?provider=simulated&timeframe=1h", scheme)
    visitor.at("coverage_map").get_by_role("gridcell").first.wait_for()
    seen = (
        visitor.at("coverage_map")
        .locator("li i")
        .evaluate_all("all => all.map(one => [getComputedStyle(one).color, getComputedStyle(one).backgroundColor])")
    )
    assert len({fill for _, fill in seen}) == 7
    assert all(contrast(ink, fill) >= 4.5 for ink, fill in seen[:6])


def contrast(*colors: str) -> float:
    """Of two colours of CSS, by WCAG 2."""

    def light(color: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
        red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, bright = sorted(map(light, colors))
    return (bright + 0.05) / (dark + 0.05)


def test_nothing_of_the_page_loads_a_chart_library(serve: Serve, visit: Visit, holed: Path) -> None:
    visitor = visit(serve(holed, QUIET), "/coverage?provider=simulated&timeframe=1h&pair=BTCUSD")
    loaded = visitor.page.evaluate("performance.getEntriesByType('resource').map(one => one.name)")
    assert not [name for name in loaded if "plotly" in name.lower()]


def test_a_long_heatmap_on_a_narrow_screen_scrolls_in_itself_and_says_so(
    serve: Serve, visit: Visit, holed: Path
) -> None:
    visitor = visit(serve(holed, QUIET), "/coverage?provider=simulated&timeframe=1h&from=2023-12-01&to=2024-02-20")
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    visitor.page.reload()
    settled(visitor.page)
    scroller = visitor.at("coverage_map").locator(".scroller")
    assert scroller.evaluate("one => one.scrollWidth > one.clientWidth + 100")
    assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    hint = "one => Number(getComputedStyle(one.parentElement, '::after').opacity)"
    assert scroller.evaluate(hint) == 1
    scroller.evaluate("one => one.scrollTo(one.scrollWidth, 0)")
    poll(lambda: scroller.evaluate(hint) == 0, "the hint to go at the end")


def test_a_rewind_is_seen_as_a_difference_run_and_undone(serve: Serve, visit: Visit, holed: Path) -> None:
    server = serve(holed, QUIET)
    lake = DeltaLakeManager(holed / "lake")
    before = lake.marks(EURO)
    visitor = visit(server, "/watermarks?series=EURUSD/1h/simulated")
    rewind(visitor)
    after = lake.marks(EURO)
    assert (after.watermark, after.low) == (times.parse_instant("2024-01-12T21:00Z"), before.low)
    visitor.click("watermarks_undo")
    visitor.sees("The rewind is undone")
    assert lake.marks(EURO) == before
    visitor.page.get_by_role("button", name="Undo").wait_for(state="detached")
    rewind(visitor)
    held = lake.stored_open_times(EURO, before.low or 0, after.watermark or 0)
    visitor.click("watermarks_update")
    visitor.page.wait_for_url(re.compile(r"/run\?id=\d+"))
    ends(visitor, "complete")
    assert (lake.marks(EURO).watermark or 0) >= (before.watermark or 0)
    assert list(lake.stored_open_times(EURO, before.low or 0, after.watermark or 0)) == list(held)


def rewind(visitor: Visitor) -> None:
    """Rewind the series on the page to the suggested bar."""
    visitor.click("watermarks_rewind")
    visitor.sees_dialog("No row is removed")
    visitor.page.get_by_role("dialog").get_by_text("Bars read again").wait_for()
    visitor.at("watermarks_reason").get_by_role("textbox").fill("the provider corrected its data")
    visitor.at("watermarks_reason").get_by_role("textbox").press("Enter")
    settled(visitor.page)
    visitor.click("watermarks_rewind_yes")
    visitor.sees("The watermark is rewound. Bring up to date reads on from")


def test_a_mark_leaves_the_count_and_opens_again_when_the_data_arrives(serve: Serve, visit: Visit, holed: Path) -> None:
    server = serve(holed, QUIET)
    visitor = visit(server, "/coverage?provider=simulated&timeframe=1h&pair=BTCUSD")
    visitor.click("coverage_cell_mark")
    visitor.sees_dialog("open again by themselves")
    visitor.page.get_by_role("dialog").get_by_text("venue outage").click()
    settled(visitor.page)
    visitor.click("coverage_mark_yes")
    visitor.sees("Marked 3 bars")
    assert [(state.gap.reason, state.state) for state in acknowledged_gaps_table(server)] == [
        ("venue outage", "marked")
    ]
    visitor.open("/backfill?provider=simulated&pairs=BTCUSD&timeframes=1h&start=2024-01-09&end=2024-01-09&mode=refetch")
    visitor.click("backfill_start")
    visitor.page.wait_for_url(re.compile(r"/run\?id=\d+"))
    ends(visitor, "complete")
    poll(lambda: [state.state for state in acknowledged_gaps_table(server)] == ["reopened"], "the mark to open again")
    visitor.open("/coverage?provider=simulated&timeframe=1h")
    visitor.sees("Marked gaps")


def tick(visitor: Visitor, table: str, row: int) -> None:
    """Tick a row of the table whose key begins so: rows and header are 35 pixels high."""
    grid = visitor.page.locator(f"[class*='st-key-{table}'] [data-testid=stDataFrame]").last
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    assert box is not None
    visitor.page.mouse.click(box["x"] + 18, box["y"] + 35 * (row + 1.5))
    visitor.clicks += 1
    settled(visitor.page)


def test_marks_are_taken_back_one_by_one_and_no_tick_moves_on_to_the_next(
    serve: Serve, visit: Visit, holed: Path
) -> None:
    server = serve(holed, QUIET)
    for at in GONE:
        first = times.parse_instant(at)
        verbs_of(server).mark(BTC, "no trades", "ann", at, first, first + 3600)
    visitor = visit(server, "/coverage?provider=simulated&timeframe=1h")
    take_back = visitor.at("coverage_unmark").get_by_role("button")
    for left in (2, 1):
        assert take_back.is_disabled()
        tick(visitor, "coverage_marks", 0)
        visitor.click("coverage_unmark")
        visitor.sees_dialog("1 bar in 1 mark of BTCUSD 1h from simulated")
        visitor.click("coverage_unmark_yes")
        visitor.sees("Took 1 mark back")
        visitor.page.get_by_role("dialog").wait_for(state="detached")
        assert [state.gap.note for state in acknowledged_gaps_table(server)] == list(GONE[:left])
    assert take_back.is_disabled()


def test_a_link_is_shown_again_when_somebody_comes_back_to_it(serve: Serve, visit: Visit, holed: Path) -> None:
    server = serve(holed, QUIET)
    visitor = visit(server, "/coverage?provider=simulated&timeframe=1h&from=2024-01-08&to=2024-01-10&pair=BTCUSD")
    visitor.sees("BTCUSD 1h, 2024-01-08 to 2024-01-10")
    visitor.follow("Watermarks")
    visitor.page.go_back()
    settled(visitor.page)
    visitor.sees("BTCUSD 1h, 2024-01-08 to 2024-01-10")
    assert "cannot be shown" not in visitor.text()
    visitor.at("coverage_preset").get_by_text("1 year").click()
    settled(visitor.page)
    visitor.page.wait_for_url(re.compile(r"range=1\+year"))
    assert "from=" not in visitor.page.url
