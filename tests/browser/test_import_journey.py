"""Can a person bring a file of unknown form into a chart with few clicks?"""

from __future__ import annotations

from pathlib import Path

from tests.browser.conftest import Serve, Visit
from tests.browser.driver import Visitor, settled
from tests.files.making import candles, lines, ohlcv


def fill(visitor: Visitor, key: str, text: str) -> None:
    field = visitor.at(key).get_by_role("textbox")
    field.fill(text)
    field.press("Enter")
    settled(visitor.page)


def test_a_file_of_unknown_form_is_a_chart_after_six_clicks_at_most(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    rows = [f"{one.utc:%Y-%m-%d %H:%M},{ohlcv(one)}" for one in candles("1h")]
    path.write_bytes(lines(rows, "time,open,high,low,close,volume"))
    visitor = visit(serve(), "/import_files")
    fill(visitor, "import_path", str(path))
    fill(visitor, "import_source", "files:mine")
    fill(visitor, "import_pair", "BTCUSD")
    visitor.click(visitor.at("import_timeframe").get_by_text("1h", exact=True))
    visitor.sees("To be answered first")
    visitor.click(visitor.at("import_ask_zone").get_by_text("is 2024-01-15T15:00:00+00:00").first)
    visitor.click(visitor.at("import_ask_stamp").get_by_text("opens at").first)
    visitor.sees("1 file in 1 series")
    visitor.click("import_start")
    visitor.page.wait_for_url("**/run?id=1")
    visitor.sees("received 24 = stored 24 + dead lettered 0 + repeats 0")
    visitor.follow("Open the candles")
    visitor.page.wait_for_url("**/candles?**")
    visitor.sees("24 bars of 1h")
    assert visitor.clicks <= 6
