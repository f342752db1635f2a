"""What does a chart of 1,500 bars out of 2 million cost: its first bar, and panning through the rest?

Pages are loaded by a fresh browser profile each, the bare one (a Streamlit script with a title) and the chart in turns,
so that a slow minute slows both. Frames are counted by the browser while the chart is dragged by 800 pixels again and
again, and while nothing happens; new bars are timed from the request to the frame after they are drawn.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from playwright.sync_api import Browser, Page

from ffe_core.storage.state.database import DATABASE_FILE, Database
from tests.benchmarks.candles import START
from tests.benchmarks.chart_views import address, fill_series
from tests.benchmarks.harness import Numbers
from tests.benchmarks.watch import first_shown
from tests.browser.driver import Server, Visitor, chromium, chromium_path, settled

BARS = 2_000_000
_SHOWN = 1_500
_LOADS, _DRAGS, _PIXELS, _STEPS = 5, 10, 800, 48
_BARE = 'import streamlit as st\nst.set_page_config(layout="wide")\nst.title("Bare")\n'
_COUNT = """() => {
    window.counted = {frames: [], drawn: []};
    const chart = [...document.querySelectorAll('*')].map(one => one.shadowRoot?.querySelector('.chart')).find(Boolean);
    const frame = at => { window.counted.frames.push(at); requestAnimationFrame(frame) };
    requestAnimationFrame(frame);
    performance.setResourceTimingBufferSize(5000);
    new MutationObserver(() => requestAnimationFrame(() => {
        const asked = performance.getEntriesByType('resource').filter(one => one.name.includes('/bars?')).at(-1);
        if (asked) window.counted.drawn.push(performance.now() - asked.startTime);
    })).observe(chart, {attributeFilter: ['data-loads']});
}"""


def fill(folder: Path, bars: int) -> None:
    """The series that is panned through, and the bare page beside it."""
    (folder / "data").mkdir(parents=True)
    Database(folder / "data" / DATABASE_FILE).close()  # a console that finds none beside a lake says so on every page
    fill_series(folder / "data", bars)
    (folder / "bare.py").write_text(_BARE, encoding="utf-8")


def measure_panning(folder: Path, bars: int) -> Numbers:
    """`bare` and `first` in ms, `fps` and `idle` in frames a second, `new` in ms from request to new bars (medians)."""
    path = chromium_path()
    assert path, "no Chromium: install it or set FFE_CHROMIUM"
    middle = START + bars // 2 * 60
    asked = f"/candles?{address(middle, middle + _SHOWN * 60)}"
    bare = Server(folder / "nothing", script=str(folder / "bare.py"))
    servers = (bare, Server(folder / "data"))
    try:
        with chromium(path) as browser:
            for server in servers:
                server.start()
            found: dict[str, list[float]] = {"bare": [], "first": []}
            for _ in range(1 + _LOADS):
                found["bare"].append(first_shown(browser, servers[0], "/", "[data-testid=stHeading]"))
                found["first"].append(first_shown(browser, servers[1], asked, ".chart[data-drawn]"))
            return {
                **{name: statistics.median(ms[1:]) for name, ms in found.items()},
                **_panned(browser, servers[1], asked),
            }
    finally:
        for server in servers:
            server.stop()


def _panned(browser: Browser, server: Server, page: str) -> Numbers:
    visitor = Visitor(browser, server.base)
    visitor.open(page)
    visitor.page.locator(".chart[data-drawn]").wait_for()
    settled(visitor.page)
    visitor.page.wait_for_timeout(1_500)
    visitor.page.evaluate(_COUNT)
    visitor.page.wait_for_timeout(1_500)
    idle = _fps(visitor.page)
    box = visitor.page.locator(".chart .plot").bounding_box()
    assert box
    rates = [_drag(visitor.page, box["x"] + 60, box["y"] + box["height"] / 3) for _ in range(_DRAGS)]
    drawn = visitor.page.evaluate("window.counted.drawn")
    visitor.close()
    assert drawn, "no bars were asked for"
    return {"fps": statistics.median(rates), "idle": idle, "new": statistics.median(drawn)}


def _drag(page: Page, x: float, y: float) -> float:
    """Frames a second while the chart is dragged towards earlier bars."""
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate("window.counted.frames.length = 0")
    for step in range(1, _STEPS + 1):
        page.mouse.move(x + _PIXELS * step / _STEPS, y)
    rate = _fps(page)
    page.mouse.up()
    return rate


def _fps(page: Page) -> float:
    frames: list[float] = page.evaluate("window.counted.frames")
    return (len(frames) - 1) / (frames[-1] - frames[0]) * 1000
