"""Can an analyst inspect what was ingested: any range, its gaps, its versions, and take it along?"""

from __future__ import annotations

import asyncio
import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pyarrow.parquet as pq
import pytest

from ffe_core import DeltaLakeManager, MultiAssetBatchIngester
from ffe_core.series import Series
from tests.browser.conftest import Serve, Visit
from tests.browser.driver import Visitor, poll, settled
from tests.fake_exchanges import CoinbaseExchange, Market, generated
from tests.insight.lakes import flat, put

HOUR = 3600
MARCH_1 = 1_677_628_800  # 2023-03-01
OUTAGE = [1_677_952_800 + hour * HOUR for hour in range(3)]  # 2023-03-04 18:00 to 20:00, as on the real exchange


def ingest(
    data_dir: Path, pairs: list[str], timeframe: str, start: str, end: str, provider: str, **more: object
) -> None:
    settings = {"data_dir": str(data_dir), "simulated": {"broken_records": 0}, **more}
    ingester = MultiAssetBatchIngester(DeltaLakeManager(data_dir / "lake"), settings)
    work = ingester.ingest_all_assets(pairs, [timeframe], start, end, provider=provider)
    with ThreadPoolExecutor(1) as thread:  # Playwright's event loop runs in this one
        done = thread.submit(asyncio.run, work).result()
    assert all(result["status"] == "success" for result in done["results"]), done


def ingest_coinbase(data_dir: Path, market: Market) -> None:
    with CoinbaseExchange(market, rate=None) as exchange:
        fast = {"base_url": exchange.url, "requests_per_second": 1000}
        ingest(data_dir, ["BTCUSD"], "1h", "2023-03-01", "2023-03-07", "coinbase", coinbase=fast)


def drawn(visitor: Visitor) -> None:
    visitor.page.wait_for_selector(".chart[data-drawn]", timeout=30_000)
    settled(visitor.page)  # the page is told that its chart can be drawn, once


def drawn_by_plotly(visitor: Visitor) -> None:
    visitor.page.wait_for_selector(".js-plotly-plot .xy .trace", state="attached", timeout=30_000)


def legend(visitor: Visitor) -> str:
    return visitor.page.locator(".chart .legend").inner_text()


def bars_shown(visitor: Visitor) -> str:
    """How many bars of which size the page says it shows."""
    found = poll(lambda: re.search(r"([\d,]+) bars of (\w+)", visitor.text()), "the bar size")
    assert found
    return found.group(2)


def drag(visitor: Visitor, share: float) -> None:
    """Draw a box over the middle of the chart, this share of it wide; again if the chart was not listening yet."""
    before = visitor.page.url
    layer = visitor.page.locator(".js-plotly-plot .nsewdrag").first

    def drawn_a_box() -> bool:
        box = layer.bounding_box()
        assert box
        middle, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        visitor.page.mouse.move(middle - box["width"] * share / 2, y)
        visitor.page.mouse.down()
        visitor.page.mouse.move(middle + box["width"] * share / 2, y + 15, steps=8)
        visitor.page.mouse.up()
        visitor.page.wait_for_timeout(1_000)
        settled(visitor.page)
        return visitor.page.url != before

    poll(drawn_a_box, "the address to name the closer range", 60)
    drawn_by_plotly(visitor)


def test_a_link_to_a_range_opens_on_just_that_range(tmp_path: Path, serve: Serve, visit: Visit) -> None:
    ingest(tmp_path / "data", ["BTCUSD"], "1h", "2024-01-01", "2024-01-31", "simulated")
    link = "/candles?provider=simulated&pair=BTC-USD&timeframe=1h&start=2024-01-10T00:00:00Z&end=2024-01-12T00:00:00Z"
    visitor = visit(serve(), link)
    drawn(visitor)
    visitor.sees("48 bars of 1h")
    visitor.sees("2024-01-10 to 2024-01-11")
    assert "start=2024-01-10" in visitor.page.url


def test_drawing_a_box_looks_closer_three_times_and_back_returns(tmp_path: Path, serve: Serve, visit: Visit) -> None:
    ingest(tmp_path / "data", ["BTCUSD"], "1m", "2024-01-01", "2024-02-29", "simulated")
    link = "/candles?pair=BTCUSD&timeframe=1m&start=2024-01-01T00:00:00Z&end=2024-03-01T00:00:00Z&chart=plotly"
    visitor = visit(serve(), link)
    drawn_by_plotly(visitor)
    sizes, addresses = [bars_shown(visitor)], [visitor.page.url]
    for _ in range(3):
        drag(visitor, 0.12)
        sizes.append(bars_shown(visitor))
        addresses.append(visitor.page.url)
    assert sizes[0] == "1h"
    assert sizes[-1] == "1m"
    assert len(set(addresses)) == 4
    for address in reversed(addresses[:-1]):
        visitor.click("candles_undo")
        poll(lambda wanted=address: visitor.page.url == wanted, f"the way back to {address}")


def test_the_outage_of_an_exchange_is_shaded_and_counted(tmp_path: Path, serve: Serve, visit: Visit) -> None:
    hours = generated(MARCH_1, MARCH_1 + 7 * 24 * HOUR, HOUR, missing=set(OUTAGE).__contains__)
    ingest_coinbase(tmp_path / "data", Market({("BTC-USD", HOUR): hours}))
    visitor = visit(serve(), "/candles?pair=BTCUSD&chart=plotly")
    drawn_by_plotly(visitor)
    visitor.sees("165 of 168 expected candles stored")
    visitor.sees("3 missing, unexplained")
    assert visitor.page.locator(".js-plotly-plot .shapelayer path").count() == 1
    visitor.click(visitor.at("candles_details").get_by_text("Gaps"))
    visitor.follow("Fill these gaps")
    visitor.sees("3 candles to fetch")


def test_a_bar_corrected_by_hand_keeps_both_versions_and_the_reason(tmp_path: Path, serve: Serve, visit: Visit) -> None:
    data_dir = tmp_path / "data"
    ingest(data_dir, ["BTCUSD"], "1h", "2024-01-01", "2024-01-02", "simulated")
    series = Series.of("BTCUSD", "1h", "simulated")
    lake = DeltaLakeManager(data_dir / "lake")
    visitor = visit(serve(), "/candles?pair=BTCUSD")
    drawn(visitor)
    tick_first_row(visitor)
    visitor.click("candles_correct")
    visitor.at("correct_reason").get_by_role("textbox").fill("typo confirmed by the desk")
    close = lake.current(series, 1_704_232_800, 1_704_236_400)["close"][0].as_py()
    visitor.at("correct_volume").get_by_role("textbox").fill("7")
    visitor.page.keyboard.press("Tab")
    settled(visitor.page)
    visitor.click("correct_save")
    visitor.sees("1 restated")
    latest = lake.current(series, 1_704_232_800, 1_704_236_400).to_pylist()[0]
    assert (latest["close"], latest["volume"]) == (close, 7.0)
    rows = lake.read_table(series.table, filters="timestamp = '2024-01-02T22:00:00Z' OR volume = 7")
    assert len(rows[rows["volume"] == 7]) == 1
    history = lake.get_table_history(series.table)
    assert history["reason"].iloc[0] == "typo confirmed by the desk"


def tick_first_row(visitor: Visitor) -> None:
    """Tick the newest bar but one: rows and header are 35 pixels high."""
    table = visitor.page.locator("[data-testid=stDataFrame]").first
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box
    visitor.page.mouse.click(box["x"] + 18, box["y"] + 35 * 2.5)
    settled(visitor.page)
    visitor.sees("every version")


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_download_is_what_the_lake_holds(kind: str, tmp_path: Path, serve: Serve, visit: Visit) -> None:
    data_dir = tmp_path / "data"
    ingest(data_dir, ["BTCUSD", "ETHUSD"], "1h", "2024-01-01", "2024-01-31", "simulated")
    visitor = visit(serve(), "/candles?pair=BTCUSD&start=2024-01-01T00:00:00Z&end=2024-02-01T00:00:00Z")
    drawn(visitor)
    visitor.click(visitor.at("candles_details").get_by_text("Download"))
    link = visitor.page.get_by_role("link", name="Parquet" if kind == "parquet" else "CSV").get_attribute("href")
    with urlopen(visitor.base + str(link)) as answer:
        body = answer.read()
    held = DeltaLakeManager(data_dir / "lake").current(Series.of("BTCUSD", "1h", "simulated"), 1704067200, 1706745600)
    if kind == "parquet":
        assert pq.read_table(io.BytesIO(body)).select(held.column_names).equals(held)
    else:
        lines = body.decode().splitlines()
        assert len(lines) == held.num_rows + 1
        assert lines[1].startswith(f'"2024-01-01T00:00:00Z","BTCUSD","1h",{held["open"][0].as_py()}')
    both = str(link).replace("&start=", "&series=ETHUSD/1h/simulated&start=").replace(f"format={kind}", "format=sheet")
    with urlopen(visitor.base + both) as answer:
        sheet = json.load(answer)
    assert [(one["asset_pair"], one["rows"]) for one in sheet["series"]] == [("BTCUSD", 744), ("ETHUSD", 744)]


def test_two_providers_are_laid_over_each_other(tmp_path: Path, serve: Serve, visit: Visit) -> None:
    data_dir = tmp_path / "data"
    ingest(data_dir, ["BTCUSD"], "1h", "2023-03-01", "2023-03-07", "simulated")
    hours = generated(MARCH_1, MARCH_1 + 7 * 24 * HOUR, HOUR)
    ingest_coinbase(data_dir, Market({("BTC-USD", HOUR): hours}))
    visitor = visit(serve(), "/candles?pair=BTCUSD&provider=coinbase&over=BTCUSD/1h/simulated&chart=plotly")
    drawn_by_plotly(visitor)
    chart = visitor.page.locator(".js-plotly-plot")
    poll(lambda: "difference, bps" in str(chart.text_content()), "the difference")
    assert "BTCUSD 1h · simulated" in str(chart.text_content())


def test_as_known_at_shows_exactly_the_bars_that_changed_since(tmp_path: Path, serve: Serve, visit: Visit) -> None:
    data_dir, series = tmp_path / "data", Series.of("BTCUSD", "1h", "coinbase")
    lake = DeltaLakeManager(data_dir / "lake")
    open_times = range(MARCH_1, MARCH_1 + 48 * HOUR, HOUR)
    first = put(lake, series, flat(open_times))
    second = put(lake, series, flat(open_times[10:13], 200.0), "again")
    third = put(lake, series, flat(open_times[12:14], 300.0), "once more")
    table = lake.open(series.table)
    assert table is not None
    table.optimize.compact()
    table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    server = serve()
    since_then = {first: [10, 11, 12, 13], second: [12, 13]}
    for moment, hours in since_then.items():
        changed, when = len(hours), ", ".join(f"2023-03-01 {hour}:00" for hour in hours)
        visitor = visit(server, f"/candles?pair=BTCUSD&known={iso_micros(moment)}&now=1")
        drawn(visitor)
        assert "as known now" in legend(visitor)
        visitor.open(f"/candles?pair=BTCUSD&known={iso_micros(moment)}&now=1&chart=plotly")
        drawn_by_plotly(visitor)
        visitor.sees(f"{changed} restated since")
        visitor.sees(f"{changed} of 48 bars differ: {when}.")
        assert "as known now" in str(visitor.page.locator(".js-plotly-plot").text_content())
    visitor = visit(server, f"/candles?pair=BTCUSD&known={iso_micros(third)}&now=1")
    visitor.sees("0 restated since")
    visitor.sees("0 of 48 bars differ")


def iso_micros(moment: int) -> str:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def test_a_range_with_nothing_says_what_is_nearest(tmp_path: Path, serve: Serve, visit: Visit) -> None:
    ingest(tmp_path / "data", ["BTCUSD"], "1h", "2024-01-01", "2024-01-02", "simulated")
    visitor = visit(serve(), "/candles?pair=BTCUSD&start=2023-06-01T00:00:00Z&end=2023-06-03T00:00:00Z")
    visitor.sees("Nothing is stored in this range")
    visitor.click("candles_after")
    drawn(visitor)
    visitor.sees("48 bars of 1h")
