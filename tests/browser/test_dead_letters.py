"""Can an analyst see why records were kept, edit, try and replay them, with a real server and a real browser?"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Locator

from ffe_core import DeadLetterQueue
from ffe_core.storage.dead_letters.search import Wanted
from tests.browser.conftest import Serve, Visit
from tests.browser.driver import Visitor, poll, settled
from tests.browser.test_journeys import ends
from tests.ingestion.fakes import stored
from tests.storage.dead_letters.harness import BTC, SWAPPED, dead_lettered, good

ROW = 31
"""Height of a table row in pixels, the head's too."""
EDGES = {"date": 0.227, "open": 0.484, "high": 0.587, "low": 0.681, "close": 0.78, "volume": 0.881}
"""Where the columns of the grid begin, as a share of its width."""


def dead_letter(data_dir: Path, *hours: int, **context: Any) -> str:
    return dead_lettered(data_dir / "dlq", *hours, context={**BTC, **context})


def record(batch_id: str, number: int = 0) -> str:
    return f"/dead_letters?entry={quote(batch_id)}&record={number}"


def grid(visitor: Visitor, start: str) -> Locator:
    """The table whose key begins so."""
    found = visitor.page.locator(f"[class*='st-key-{start}'] [data-testid='stDataFrameResizable']").first
    found.wait_for()
    return found


def click_cell(visitor: Visitor, table: Locator, row: int, x: int) -> None:
    """Click into a row of a table, so many pixels from its left; the head is row 0."""
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box
    visitor.page.mouse.click(box["x"] + x, box["y"] + ROW * (row + 0.5))
    visitor.clicks += 1
    settled(visitor.page)


def type_cell(visitor: Visitor, table: Locator, row: int, column: str, text: str) -> None:
    """Type into a cell of the grid of records."""
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box
    visitor.page.mouse.click(box["x"] + box["width"] * (EDGES[column] + 0.02), box["y"] + ROW * (row + 0.5))
    settled(visitor.page)
    visitor.page.keyboard.press("Enter")
    editor = visitor.page.locator(".gdg-input").last
    editor.fill(text)
    editor.press("Enter")
    settled(visitor.page)


def replay(visitor: Visitor) -> None:
    """Press replay, confirm, and watch the run end."""
    visitor.click("dl_save_replay")
    visitor.sees_dialog("Those that pass are stored")
    visitor.click("dl_replay_yes")
    visitor.page.wait_for_url(re.compile(r"/run\?id=\d+"))
    ends(visitor, "complete")


def opens(visitor: Visitor, table: str, x: int, address: str) -> None:
    """Click the first row until the address says so: the table of before may still stand there, and take no click."""
    for seconds in (10, 10, 30):
        click_cell(visitor, grid(visitor, table), 1, x)
        with suppress(AssertionError):
            poll(lambda: address in visitor.page.url, f"{address} in the address", seconds)
            return
    raise AssertionError(f"three clicks did not lead to {address}")


def test_from_a_group_to_the_mended_candle_on_its_chart(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    batch_id = dead_letter(data_dir, 0, 1)
    dead_letter(data_dir, 0, asset_pair="ETHUSD")
    visitor = visit(serve(data_dir), "/dead_letters?by=asset_pair")
    opens(visitor, "dl_groups", 60, "pair=BTCUSD")
    settled(visitor.page)  # the address changes before the table does, and a click on the old one is lost
    opens(visitor, "dl_records", 100, "record=0")
    visitor.sees("Record 0")
    visitor.page.get_by_test_id("glide-cell-1-0").get_by_text("high is below low").first.wait_for(state="attached")
    table = grid(visitor, "dl_grid")
    type_cell(visitor, table, 1, "high", "102.00")
    type_cell(visitor, table, 1, "low", "98.00")
    visitor.sees("1 would be stored")
    replay(visitor)
    assert stored(data_dir)["_dead_letter_id"].to_pylist() == [f"{batch_id}#0"]
    kept = DeadLetterQueue(data_dir / "dlq").read(batch_id).records[0]
    assert (kept.value, kept.status) == (good(0), "replayed")
    visitor.open(record(batch_id))
    visitor.sees("replayed")
    visitor.follow("On its chart")
    visitor.page.wait_for_url(re.compile("/candles"))
    visitor.page.locator(".chart[data-drawn]").wait_for(timeout=60_000)
    visitor.page.locator(".chart .plot").focus()
    visitor.page.keyboard.press("Home")
    visitor.page.locator(".chart .origin").get_by_text("edited dead letter").wait_for()
    visitor.open(f"{visitor.page.url.removeprefix(visitor.base)}&chart=plotly")
    visitor.page.locator(".js-plotly-plot").first.wait_for(timeout=60_000)
    visitor.page.wait_for_function(
        "() => JSON.stringify(document.querySelector('.js-plotly-plot').data).includes('edited dead letter')"
    )


def test_fifty_at_once(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    dead_letter(data_dir, *range(50))
    visitor = visit(serve(data_dir), "/dead_letters?reason=high_below_low")
    visitor.click("dl_mend")
    visitor.sees("50 would still fail")
    visitor.click("dl_swap")
    visitor.sees("50 would be stored")
    replay(visitor)
    assert stored(data_dir).num_rows == 50
    visitor.open("/dead_letters")
    visitor.sees("Nothing matches")


def test_two_windows_edit_the_same_record_and_the_second_is_refused(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    batch_id = dead_letter(data_dir, 0)
    server = serve(data_dir)
    first, second = visit(server, record(batch_id)), visit(server, record(batch_id))
    for visitor in (first, second):
        visitor.click("dl_swap")
    second.click("dl_drop")
    first.click("dl_save")
    first.sees("1 saved as new revisions")
    second.click("dl_save")
    second.sees("somebody else has edited it meanwhile")
    second.sees("Theirs, saved")
    queue = DeadLetterQueue(data_dir / "dlq")
    assert queue.read(batch_id).records[0].value == good(0)
    second.click("dl_take_mine")
    second.click("dl_save")
    second.sees("1 saved as new revisions")
    assert "volume" not in queue.read(batch_id).records[0].value


def test_discard_and_restore(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    dead_letter(data_dir, 0, 1, 2)
    queue = DeadLetterQueue(data_dir / "dlq")
    visitor = visit(serve(data_dir), "/dead_letters")
    click_cell(visitor, grid(visitor, "dl_records"), 2, 16)
    visitor.sees("1 ticked")
    visitor.click("dl_discard")
    visitor.sees_dialog("1 record of BTCUSD 1h from coinbase")
    visitor.page.get_by_role("dialog").get_by_role("textbox").fill("a test of theirs")
    visitor.page.keyboard.press("Tab")
    settled(visitor.page)
    visitor.click("dl_discard_yes")
    visitor.sees("1 discarded. Restore takes it back.")
    (row,) = queue.find(Wanted(status="discarded")).rows
    assert row.number == 1
    visitor.open("/dead_letters?status=discarded")
    visitor.click("dl_restore")
    visitor.sees("1 pending again")
    assert queue.count(Wanted(status="pending")) == 3


def test_hostile_content_is_text_and_asks_nothing_of_anybody(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    evil = "http://evil.example"
    nasty = f'../../<img src="{evil}/a.png">![x]({evil}/b.png)<script>document.title="owned"</script>'
    deep = json.loads("[" * 95 + "]" * 95)
    records = [
        {"date": nasty, "open": nasty, "high": "x" * 1_000_000, "low": deep, nasty: "\ud800"},
        nasty,
        {"date": good(0)["date"], "open": float("nan"), "high": 10**400},
    ]
    context = dict.fromkeys(("asset_pair", "timeframe", "provider", "run_id"), nasty)
    queue = DeadLetterQueue(data_dir / "dlq")
    batches = [
        queue.save(records, nasty, context, [[nasty]] * 3).batch_id,
        queue.save(records, nasty, BTC, [SWAPPED] * 3).batch_id,
    ]
    (data_dir / "dlq" / "<b>torn.json").write_text('{"records": [')
    (data_dir / "dlq" / "bytes.json").write_bytes(b'{"context": {}, "records": [{"open": "\xff\xfe"}]}')
    visitor = visit(serve(data_dir), "/dead_letters")
    for path in ("/dead_letters", "/dead_letters?by=asset_pair", f"/dead_letters?q={quote(nasty)}"):
        visitor.open(path)
        visitor.sees("1 file quarantined")
        assert visitor.page.title() != "owned"
    for batch_id in batches:
        for number in range(3):
            visitor.open(record(str(batch_id), number))
            visitor.sees(f"Record {number}")
            assert "cannot be shown" not in visitor.text()
            assert not visitor.page.locator("[data-testid=stMain] img[src*=evil]").count()
            assert visitor.page.title() != "owned"


def test_a_filter_that_narrows_the_list_stands_in_the_row(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    dead_letter(data_dir, 0, run_id="7")
    dead_letter(data_dir, 1, 2, run_id="8")
    visitor = visit(serve(data_dir), "/dead_letters")
    visitor.sees("3 records")
    row, behind = visitor.at("filters"), visitor.page.get_by_test_id("stPopoverBody")

    def has(where: Locator, name: str) -> bool:
        return where.get_by_label(name, exact=True).first.is_visible()

    assert [has(row, name) for name in ("Pair", "Search", "Run", "Day kept")] == [True, True, False, False]
    visitor.click("more_filters")
    behind.get_by_label("Run", exact=True).click()
    visitor.page.get_by_role("option", name="8 · 2").click()
    visitor.sees("2 records")
    poll(lambda: has(row, "Run") and not has(behind, "Run"), "the chosen run in the row")
    assert has(behind, "Provider")  # the next can be chosen at once
    behind.get_by_label("Day kept", exact=True).fill("tomorrow")
    visitor.page.keyboard.press("Enter")
    visitor.sees("is not a day")
    assert has(row, "Day kept")
    visitor.open("/dead_letters?run=7")
    visitor.sees("1 record.")
    assert (has(row, "Run"), has(row, "Day kept")) == (True, False)
