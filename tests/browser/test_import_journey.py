"""Can a person bring a file of unknown form into a chart with few clicks, and stop and go on as they like?"""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from tests.browser.conftest import Serve, Visit
from tests.browser.driver import Server, Visitor, poll, settled
from tests.files.making import candles, lines, ohlcv

MANY = 1_000_000
"""Rows that take seconds to read."""
HEADER = "time,open,high,low,close,volume"


def candle_file(folder: Path, name: str = "candles.csv", header: str = HEADER) -> Path:
    """A file of no known form; its times are a wall clock's."""
    path = folder / name
    rows = [f"{one.utc:%Y-%m-%d %H:%M},{ohlcv(one)}" for one in candles("1h")]
    path.write_bytes(lines(rows, header))
    return path


def fill(visitor: Visitor, key: str, text: str) -> None:
    field = visitor.at(key).get_by_role("textbox")
    field.fill(text)
    field.press("Enter")
    settled(visitor.page)


def choose(visitor: Visitor, key: str, text: str) -> None:
    """Choose an option of a select box by typing."""
    field = visitor.at(key).get_by_role("combobox")
    field.fill(text)
    field.press("Enter")
    settled(visitor.page)


def drop(visitor: Visitor, path: Path) -> None:
    """Drop a file on the page: counted as a click."""
    visitor.page.locator("input[type=file]").set_input_files(path)
    visitor.clicks += 1
    visitor.sees("Kept here until it is imported")
    settled(visitor.page)


def ask_for(visitor: Visitor) -> None:
    """Say where the file goes: two fields and a click."""
    fill(visitor, "import_source", "files:mine")
    fill(visitor, "import_pair", "BTCUSD")
    visitor.click(visitor.at("import_timeframe").get_by_text("1h", exact=True))


def uploads(server: Server) -> list[Path]:
    return [path for path in (server.data_dir / "uploads").rglob("*") if path.is_file()]


def test_a_file_of_unknown_form_is_a_chart_after_six_clicks_at_most(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    server = serve()
    visitor = visit(server, "/import_files")
    drop(visitor, candle_file(tmp_path))
    [upload] = uploads(server)
    assert upload.name == "candles.csv"
    ask_for(visitor)
    visitor.sees("To be answered first")
    visitor.click(visitor.at("import_ask_zone").get_by_text("is 2024-01-15 15:00 UTC").first)
    visitor.click(visitor.at("import_ask_stamp").get_by_text("opens at").first)
    visitor.sees("1 file in 1 series")
    visitor.click("import_start")
    visitor.page.wait_for_url("**/run?id=1")
    visitor.sees("received 24 = stored 24 + dead lettered 0 + repeats 0")
    visitor.follow("Open the candles")
    visitor.page.wait_for_url("**/candles?**")
    visitor.sees("24 bars of 1h")
    assert visitor.clicks <= 6
    poll(lambda: not uploads(server), "the upload to be gone")


def test_a_wrong_guess_is_corrected_and_the_profile_used_again(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    server = serve()
    visitor = visit(server, "/import_files")
    # Two columns are called volume, and the first of them is taken.
    rows = [f"{one.utc:%Y-%m-%d %H:%M},{ohlcv(one)},7" for one in candles("1h")]
    path = tmp_path / "candles.csv"
    path.write_bytes(lines(rows, f"{HEADER},vol"))
    drop(visitor, path)
    ask_for(visitor)
    visitor.click(visitor.page.get_by_text("How the files are read"))
    fill(visitor, "import_option_zone", "UTC")
    choose(visitor, "import_option_stamp", "open")
    choose(visitor, "import_option_map_volume", "vol")
    visitor.sees("1 file in 1 series")
    visitor.click(visitor.page.get_by_role("button", name="Keep as profile"))
    fill(visitor, "import_profile_name", "my-broker")
    visitor.click("import_profile_keep")
    visitor.sees("Kept as profile my-broker.")
    visitor.page.keyboard.press("Escape")
    visitor.click("import_start")
    visitor.page.wait_for_url("**/run?id=1")
    visitor.sees("received 24 = stored 24")

    another = visit(server, "/import_files")
    drop(another, path)
    ask_for(another)
    another.sees("To be answered first")
    another.click(another.page.get_by_text("How the files are read"))
    choose(another, "import_option_profile", "my-broker")
    another.sees("1 file in 1 series")
    another.click("import_start")
    another.page.wait_for_url("**/run?id=2")
    another.sees("received 24 = stored 0 + dead lettered 0 + repeats 24")


def test_the_form_is_in_the_address_and_outlives_a_reload(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    server = serve()
    visitor = visit(server, "/import_files")
    drop(visitor, candle_file(tmp_path))
    ask_for(visitor)
    visitor.click(visitor.at("import_ask_zone").get_by_text("is 2024-01-15 15:00 UTC").first)
    visitor.click(visitor.at("import_ask_stamp").get_by_text("opens at").first)
    visitor.sees("1 file in 1 series")
    address = visitor.page.url
    assert "zone=UTC" in address
    assert "stamp=open" in address
    assert "pair=BTCUSD" in address
    sent_on = visit(server, address.removeprefix(server.base))
    sent_on.sees("1 file in 1 series")
    expect(sent_on.at("import_source").get_by_role("textbox")).to_have_value("files:mine")
    sent_on.click("import_upload_remove")
    assert uploads(server) == []
    assert "upload=" not in sent_on.page.url


def test_an_import_that_was_cut_off_is_continued_from_its_run_page(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    server, path = serve(), tmp_path / "candles.csv"
    begin = 1_577_836_800  # 2020-01-01
    rows = [f"{begin + 60 * number},1,2,1,2,3" for number in range(MANY)]
    path.write_bytes(lines(rows, HEADER))
    address = f"/import_files?path={path}&source=files:mine&pair=BTCUSD&timeframe=1m&stamp=open"
    visitor = visit(server, address)
    visitor.sees("1 file in 1 series")
    visitor.server_may_vanish = True
    visitor.at("import_start").get_by_role("button").click()
    visitor.page.wait_for_url("**/run?id=1")
    server.kill()
    server.restart()
    back = visit(server, "/run?id=1")
    back.sees("interrupted")
    back.click("run_continue")
    back.page.wait_for_url("**/run?id=2")
    back.sees("again from run 1")
    back.sees(f"received {MANY:,} = stored ", 120)
    back.page.goto(f"{server.base}/coverage?provider=files:mine&timeframe=1m")
    back.page.get_by_text("BTCUSD").first.wait_for()
    lake = DeltaLakeManager(Settings.load({"data_dir": str(server.data_dir)}).lake_uri)
    assert lake.current(Series("BTCUSD", "1m", "files:mine"), 0, 2**40, ["close"]).num_rows == MANY
