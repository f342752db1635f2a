"""Can an analyst stay in the chart: pan and zoom through years, read, measure, all by keys too, in any browser?"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from ffe_core import DeltaLakeManager
from ffe_core.series import Series
from tests.browser.conftest import Serve, Visit
from tests.browser.driver import Visitor, poll, settled
from tests.browser.test_candles import (
    MARCH_1,
    OUTAGE,
    bars_shown,
    drawn,
    drawn_by_plotly,
    ingest,
    ingest_coinbase,
    legend,
)
from tests.fake_exchanges import Market, generated

HOUR = 3600
TWO_MONTHS = "start=2024-01-01T00:00:00Z&end=2024-03-01T00:00:00Z"
POLICY = """new MutationObserver((_, seen) => {
    if (!document.head) return;
    seen.disconnect();
    const policy = document.createElement('meta');
    policy.httpEquiv = 'Content-Security-Policy';
    policy.content = "script-src 'self' 'unsafe-inline' 'unsafe-eval'";
    document.head.prepend(policy);
}).observe(document, {childList: true, subtree: true})"""
"""A second policy beside the console's own, as a proxy may add it: no scripts from blobs, as components are."""
OVERFLOWS = """() => { const main = document.querySelector('[data-testid=stMain]');
    return document.documentElement.scrollWidth > innerWidth || main.scrollWidth > main.clientWidth }"""


def loaded(visitor: Visitor) -> tuple[str, int, int]:
    """Size, first and last of what the chart has loaded."""
    size, start, end = str(visitor.page.locator(".chart").get_attribute("data-drawn")).split()
    return size, int(start), int(end)


def place(visitor: Visitor) -> tuple[float, float, float]:
    """The middle of the prices' pane, and the width of the chart."""
    plot = visitor.page.locator(".chart .plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.3, box["width"]


def drag(visitor: Visitor, by: float) -> None:
    """Drag from the middle by so many pixels."""
    x, y, _ = place(visitor)
    visitor.page.mouse.move(x, y)
    visitor.page.mouse.down()
    visitor.page.mouse.move(x + by, y + 5, steps=12)
    visitor.page.mouse.up()


def follows(visitor: Visitor, before: str) -> str:
    """Wait until the address says something else; what it says."""
    poll(lambda: address(visitor) != before, "the address to follow")
    settled(visitor.page)
    return address(visitor)


def address(visitor: Visitor) -> str:
    """Asked of the page itself: what the driver knows of it is as old as the last answer."""
    return str(visitor.page.evaluate("location.href"))


def readout(visitor: Visitor) -> str:
    return " ".join(visitor.page.locator(".chart .readout").inner_text().split())


def spoken(visitor: Visitor) -> str:
    return str(visitor.page.locator(".chart .live").text_content())


def press(visitor: Visitor, *keys: str) -> None:
    visitor.page.locator(".chart .plot").focus()
    for key in keys:
        visitor.page.keyboard.press(key)


@pytest.fixture
def minutes(tmp_path: Path) -> Path:
    """Two months of minutes."""
    ingest(tmp_path / "data", ["BTCUSD"], "1m", "2024-01-01", "2024-02-29", "simulated")
    return tmp_path / "data"


def test_panning_and_zooming_bring_more_bars_and_the_page_follows(serve: Serve, visit: Visit, minutes: Path) -> None:
    day = "start=2024-02-01T00:00:00Z&end=2024-02-02T00:00:00Z"
    visitor = visit(serve(minutes), f"/candles?pair=BTCUSD&timeframe=1m&{day}")
    drawn(visitor)
    poll(lambda: loaded(visitor)[1] < 1_706_745_600, "bars to the left of the view")
    first, widest = address(visitor), loaded(visitor)[1]
    drag(visitor, 500)
    moved = follows(visitor, first)
    visitor.sees("of 1m")
    assert "start=2024-01-31" in moved
    drag(visitor, 500)
    moved = follows(visitor, moved)
    poll(lambda: loaded(visitor)[1] < widest, "bars still earlier")
    x, y, _ = place(visitor)
    visitor.page.mouse.move(x, y)
    for _ in range(25):
        visitor.page.mouse.wheel(0, 240)
        visitor.page.wait_for_timeout(20)
    wide = follows(visitor, moved)
    poll(lambda: loaded(visitor)[0] == bars_shown(visitor) != "1m", "larger bars in the chart and on the page alike")
    while visitor.at("candles_undo").get_by_role("button").is_enabled():
        visitor.click("candles_undo")
    poll(lambda: address(visitor) == first, "the way back")
    poll(lambda: loaded(visitor)[0] == "1m", "the bars of the way back")
    assert wide != first


def test_chosen_bars_stay_however_close_one_looks_and_grow_from_there(
    serve: Serve, visit: Visit, minutes: Path
) -> None:
    day = "start=2024-02-01T00:00:00Z&end=2024-02-03T00:00:00Z"
    visitor = visit(serve(minutes), f"/candles?pair=BTCUSD&timeframe=1m&{day}&size=30m")
    drawn(visitor)
    visitor.sees("96 bars of 30m")
    press(visitor, *["+"] * 4)
    closer = follows(visitor, address(visitor))
    assert "size=30m" in closer
    assert loaded(visitor)[0] == bars_shown(visitor) == "30m"
    for _ in range(26):
        press(visitor, "-")
        visitor.page.wait_for_timeout(50)
    follows(visitor, closer)
    poll(lambda: "30m" not in (loaded(visitor)[0], bars_shown(visitor)), "larger bars in the chart and on the page")
    visitor.sees("as those of 30m would be too many")


def test_the_bar_under_the_pointer_is_read_out_whole(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    ingest(tmp_path / "data", ["BTCUSD"], "1h", "2024-01-01", "2024-01-03", "simulated")
    lake = DeltaLakeManager(tmp_path / "data" / "lake")
    visitor = visit(serve(), "/candles?pair=BTCUSD")
    drawn(visitor)
    assert "Change " in readout(visitor)
    held = lake.current(Series.of("BTCUSD", "1h", "simulated"), 1_704_067_200, 1_704_326_400).to_pylist()
    last = held[-1]
    assert "Wed 2024-01-03 23:00 UTC" in readout(visitor)
    for name, value in (("O", last["open"]), ("H", last["high"]), ("L", last["low"]), ("C", last["close"])):
        assert f"{name} {value:,.2f}" in readout(visitor)
    assert "extracted" in visitor.page.locator(".chart .origin").inner_text()
    x, y, width = place(visitor)
    visitor.page.mouse.move(x - width * 0.2, y)
    poll(lambda: "2024-01-03 23:00" not in readout(visitor), "another bar")
    stamp = re.search(r"(\d{4}-\d\d-\d\d \d\d:00)", readout(visitor))
    assert stamp
    bar = next(one for one in held if f"{one['timestamp']:%Y-%m-%d %H:%M}" == stamp[1])
    assert f"C {bar['close']:,.2f}" in readout(visitor)


def test_everything_goes_by_keys_and_is_spoken(serve: Serve, visit: Visit, minutes: Path) -> None:
    visitor = visit(serve(minutes), f"/candles?pair=BTCUSD&timeframe=1m&{TWO_MONTHS}")
    drawn(visitor)
    before = address(visitor)
    press(visitor, "ArrowLeft")
    newest = spoken(visitor)
    press(visitor, "ArrowLeft")
    assert spoken(visitor) != newest
    assert re.search(r"O [\d,.]+, H [\d,.]+, L [\d,.]+, C [\d,.]+", spoken(visitor))
    assert address(visitor) == before  # the page's own arrow keys did not act
    press(visitor, *["+"] * 8)
    follows(visitor, before)
    settled(visitor.page)
    press(visitor, "Home")
    poll(lambda: "start=2024-01-01" in address(visitor), "the first bar")
    settled(visitor.page)
    press(visitor, "End")
    poll(lambda: "end=2024-03-01" in address(visitor), "the last bar")
    settled(visitor.page)
    press(visitor, "m", "ArrowLeft", "ArrowLeft", "ArrowLeft")
    poll(lambda: "3 bars" in visitor.page.locator(".chart .measured").inner_text(), "what was measured")
    press(visitor, "Escape")
    assert not visitor.page.locator(".chart .measured").is_visible()


def test_the_button_to_measure_lends_the_arrow_keys(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    ingest(tmp_path / "data", ["BTCUSD"], "1h", "2024-01-01", "2024-01-03", "simulated")
    visitor = visit(serve(), "/candles?pair=BTCUSD")
    drawn(visitor)
    before = address(visitor)
    visitor.page.get_by_role("button", name="Measure").click()
    visitor.page.keyboard.press("ArrowLeft")
    visitor.page.keyboard.press("ArrowLeft")
    poll(lambda: "2 bars" in visitor.page.locator(".chart .measured").inner_text(), "the button to begin it too")
    assert address(visitor) == before


def test_measuring_looks_closer_and_back_returns(serve: Serve, visit: Visit, minutes: Path) -> None:
    visitor = visit(serve(minutes), f"/candles?pair=BTCUSD&timeframe=1m&{TWO_MONTHS}")
    drawn(visitor)
    sizes, addresses = [bars_shown(visitor)], [address(visitor)]
    for _ in range(3):
        visitor.page.get_by_role("button", name="Measure").click()
        x, y, width = place(visitor)
        visitor.page.mouse.move(x - width * 0.06, y)
        visitor.page.mouse.down()
        visitor.page.mouse.move(x + width * 0.06, y + 30, steps=6)
        visitor.page.mouse.up()
        assert re.search(r"%\) · [\d,]+ bars", visitor.page.locator(".chart .measured").inner_text())
        assert address(visitor) == addresses[-1]  # measuring does not pan
        visitor.page.get_by_role("button", name="Look closer").click()
        addresses.append(follows(visitor, addresses[-1]))
        sizes.append(poll(lambda: loaded(visitor)[0] == bars_shown(visitor) and bars_shown(visitor), "one size"))
    assert (sizes[0], sizes[-1]) == ("1h", "1m")
    for known in reversed(addresses[:-1]):
        visitor.click("candles_undo")
        poll(lambda wanted=known: address(visitor) == wanted, f"the way back to {known}")


def test_a_gap_is_named_and_its_tick_in_the_margin_leads_there(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    hours = generated(MARCH_1, MARCH_1 + 7 * 24 * HOUR, HOUR, missing=set(OUTAGE).__contains__)
    ingest_coinbase(tmp_path / "data", Market({("BTC-USD", HOUR): hours}))
    visitor = visit(serve(), "/candles?pair=BTCUSD&start=2023-03-06T00:00:00Z&end=2023-03-08T00:00:00Z")
    drawn(visitor)
    assert "unexplained" not in legend(visitor)
    margin = visitor.page.locator(".chart .margin")
    poll(lambda: "1 gaps and dead letters" in str(margin.get_attribute("aria-label")), "the ticks")
    box = margin.bounding_box()
    assert box
    before = address(visitor)
    margin.click(position={"x": box["width"] * (OUTAGE[1] - MARCH_1) / (7 * 24 * HOUR), "y": 7})
    assert "start=2023-03-0" in follows(visitor, before)
    visitor.sees("3 missing, unexplained")
    poll(lambda: "missing, unexplained" in legend(visitor), "the legend to name the gap")
    assert "missing, unexplained: 2023-03-04 18:00 UTC" in spoken(visitor)


def test_what_is_laid_over_it_is_named(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    ingest(tmp_path / "data", ["BTCUSD", "ETHUSD", "SOLUSD"], "1h", "2024-01-01", "2024-01-20", "simulated")
    server = serve()
    over = "over=ETHUSD/1h/simulated&with=sma20,ema50,bb20,vwap,rsi14,vma20"
    visitor = visit(server, f"/candles?pair=BTCUSD&{over}")
    drawn(visitor)
    for name in (
        "ETHUSD 1h",
        "difference, bps",
        "SMA 20",
        "EMA 50",
        "Bollinger 20",
        "VWAP",
        "RSI 14",
        "Volume average",
    ):
        assert name in legend(visitor)
    assert "RSI 14" in readout(visitor)
    visitor.open("/candles?pair=BTCUSD&over=ETHUSD/1h/simulated,SOLUSD/1h/simulated")
    drawn(visitor)
    assert "SOLUSD 1h" in legend(visitor)
    assert "difference" not in legend(visitor)


WRITTEN = """{ const write = CanvasRenderingContext2D.prototype.fillText
    CanvasRenderingContext2D.prototype.fillText = function (text, ...more) {
        (this.canvas.written ??= new Set()).add(text)
        return write.call(this, text, ...more) } }"""
"""Keeps what is written on a canvas, as an axis is."""


def axis(visitor: Visitor, pane: int) -> list[str]:
    """What stands on the price axis of a pane, counted from the top."""
    canvases = visitor.page.locator(".chart .plot table tr").nth(2 * pane).locator("td").nth(2).locator("canvas")
    written: list[str] = canvases.evaluate_all("all => all.flatMap(one => [...(one.written ?? [])])")
    return written


def test_the_axis_of_a_difference_is_that_of_its_readout(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    ingest(tmp_path / "data", ["BTCUSD", "ETHUSD"], "1h", "2024-01-01", "2024-01-20", "simulated")
    visitor = visit(serve())
    visitor.page.add_init_script(WRITTEN)
    visitor.open("/candles?pair=BTCUSD&over=ETHUSD/1h/simulated")
    drawn(visitor)
    said = re.search(r"Difference, bps ([−\d,.]+)", readout(visitor))
    assert said
    ticks = [abs(float(text.replace("−", "-").replace(",", ""))) for text in poll(lambda: axis(visitor, 2), "an axis")]
    last = abs(float(said[1].replace("−", "-").replace(",", "")))
    assert last / 3 < max(ticks) < max(last, 100) * 6  # brought to one price, they part by no more than so much


DRAWN_AT = """(canvas, colour) => {
    const { width, height } = canvas, pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    const wanted = colour.match(/\\d+/g).map(Number), found = [];
    for (let x = 0; x < width; x += 1) for (let y = 0; y < height; y += 1) {
        const at = 4 * (y * width + x);
        if (pixels[at + 3] > 90 && wanted.every((part, n) => Math.abs(part - pixels[at + n]) < 40)) {
            found.push(x); break } }
    return found }"""
"""The columns of pixels in which a canvas has a colour."""


def test_lines_are_broken_at_a_gap(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    hours = generated(MARCH_1, MARCH_1 + 7 * 24 * HOUR, HOUR, missing=set(OUTAGE).__contains__)
    ingest_coinbase(tmp_path / "data", Market({("BTC-USD", HOUR): hours}))
    ingest(tmp_path / "data", ["EURUSD"], "1h", "2023-03-01", "2023-03-07", "simulated")
    visitor, line, series = visit(serve()), "with=sma3", "over=EURUSD/1h/simulated"
    for over, name, missing in ((line, "SMA 3", 3), (series, "EURUSD", 48)):  # hours of an outage, and of a weekend
        visitor.open(f"/candles?pair=BTCUSD&timeframe=1h&provider=coinbase&{over}")
        drawn(visitor)
        chip = visitor.page.locator(".chart .legend span", has_text=name).locator("i")
        colour = chip.evaluate("mark => getComputedStyle(mark).color")
        canvas = visitor.page.locator(".chart .plot tr").first.locator("td").nth(1).locator("canvas").first
        inked = canvas.evaluate(DRAWN_AT, colour)
        width = canvas.evaluate("canvas => canvas.width") / (7 * 24)
        assert max(after - at for at, after in pairwise(inked)) > (missing - 0.5) * width, name


INKED = """canvas => {
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let inked = 0; for (let n = 3; n < pixels.length; n += 4) inked += pixels[n] > 0;
    return inked / (pixels.length / 4); }"""


def test_volumes_are_drawn_alike_whatever_the_scale_of_prices(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    ingest(tmp_path / "data", ["BTCUSD"], "1h", "2024-01-01", "2024-01-20", "simulated")
    visitor, shares = visit(serve()), []
    for scale in ("", "&log=1", "&percent=1"):
        visitor.open(f"/candles?pair=BTCUSD{scale}")
        drawn(visitor)
        volumes = visitor.page.locator(".chart .plot tr").nth(2).locator("canvas").first
        shares.append(poll(lambda pane=volumes: pane.evaluate(INKED), "the volumes"))
    assert shares == pytest.approx([shares[0]] * 3, rel=0.1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_width(serve: Serve, visit: Visit, tmp_path: Path, scheme: str) -> None:
    ingest(tmp_path / "data", ["BTCUSD"], "1h", "2024-01-01", "2024-01-20", "simulated")
    visitor = visit(serve(), "/candles?pair=BTCUSD&with=sma20,rsi14", scheme)
    for width in (1440, 1024, 390):
        visitor.page.set_viewport_size({"width": width, "height": 900})
        drawn(visitor)
        assert not visitor.page.evaluate(OVERFLOWS), width
        box = visitor.page.locator(".chart .plot canvas").first.bounding_box()
        assert box
        assert box["width"] > width * 0.4


def without_its_bundle(visitor: Visitor) -> None:
    visitor.page.route("**/chart/*.js", lambda route: route.fulfill(status=404, body="gone"))
    visitor.server_may_vanish = True  # the browser says that a script was not there


def with_a_strict_policy(visitor: Visitor) -> None:
    visitor.page.add_init_script(POLICY)
    visitor.server_may_vanish = True  # the browser says what it forbade


@pytest.mark.parametrize("forbidden", [without_its_bundle, with_a_strict_policy])
def test_where_its_script_may_not_run_plotly_draws(
    serve: Serve, visit: Visit, tmp_path: Path, forbidden: object
) -> None:
    ingest(tmp_path / "data", ["BTCUSD"], "1h", "2024-01-01", "2024-01-05", "simulated")
    visitor = visit(serve(), "/")
    forbidden(visitor)  # type: ignore[operator]
    visitor.page.goto(f"{visitor.base}/candles?pair=BTCUSD")
    drawn_by_plotly(visitor)
    visitor.sees("did not run the chart's own script")
    visitor.sees("120 bars of 1h")
    visitor.faults.clear()


def test_enter_takes_the_indicator_that_was_typed_and_prices_say_what_applies(
    serve: Serve, visit: Visit, tmp_path: Path
) -> None:
    ingest(tmp_path / "data", ["BTCUSD"], "1h", "2024-01-01", "2024-01-20", "simulated")
    visitor = visit(serve(), "/candles?pair=BTCUSD")
    drawn(visitor)
    visitor.page.get_by_role("button", name="More").click()
    prices = visitor.at("candles_adjust").locator("input")
    poll(lambda: prices.input_value() == "as they were traded", "the choice of prices")
    field = visitor.at("candles_indicators").locator("input").first
    field.fill("sma20")
    field.press("Enter")
    poll(lambda: "with=" in address(visitor), "the indicator")
    settled(visitor.page)
    assert "with=sma20" in address(visitor)
    assert "sma200" not in address(visitor)
