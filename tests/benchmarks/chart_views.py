"""What does it take to draw five years of 1m bars, and does a server that has drawn many views grow?

One series of 2.6 million bars, the real server in a process of its own. Drawing is timed in a real browser from a click
on "1D" or on "everything" to the chart that shows it, server and browser together, on a page that is open already; the
first of each is not counted. Memory is the server's resident memory after so many different views of a day to a year
of that series in one session, asked for through the agent API.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn
from urllib.request import Request, urlopen

import numpy as np
import psutil
import pyarrow as pa

from ffe_core import times
from ffe_core.candles import TIMESTAMP, VALUES
from ffe_core.ingestion.enrich import enrich
from ffe_core.series import Series, Watermarks
from ffe_core.storage.files import strict_json
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.times import DAY
from tests.benchmarks.candles import START
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, run, sample, spread
from tests.browser.driver import Server, Visitor, chromium, chromium_path, settled

GOAL_DRAWN, GOAL_MEMORY = 3.0, 1.2
_MODULE = "tests.benchmarks.chart_views"
_SERIES = Series("P00USD", "1m", "coinbase")
_STEP = 60
_BARS = 5 * 365 * DAY // _STEP
_COMMIT_BARS = 50_000
_DRAWINGS = 5
_VIEWS, _MORE_VIEWS = 50, 200
_WIDTHS = (DAY, 7 * DAY, 30 * DAY, 91 * DAY, 365 * DAY)
_DRAWN = """shown => document.querySelector('[data-testid=stMain]').innerText.includes(shown)
    && [...document.querySelectorAll('*')].some(
        one => one.shadowRoot?.querySelector('.chart')?.dataset.drawn?.startsWith(shown.split(' ').at(-1) + ' '))
    && !document.querySelector('[data-stale=true]')"""


def measure(options: Options) -> Numbers:
    """One side over the lake in `folder`."""
    folder, end = Path(options["folder"]), START + options["bars"] * _STEP
    return _drawn(folder, end) if options["side"] == "drawn" else _grown(folder, end, options["views"])


def _drawn(folder: Path, end: int) -> Numbers:
    """Median seconds of a day and of everything, in turns."""
    server = Server(folder).start()
    try:
        with chromium(chromium_path() or "chromium") as browser:
            visitor = Visitor(browser, server.base)
            visitor.open(f"/candles?{address(end - 7 * DAY, end)}")
            found: dict[str, list[float]] = {"day": [], "all": []}
            for _ in range(1 + _DRAWINGS):
                found["day"].append(_timed(visitor, visitor.page.get_by_text("1D", exact=True), "1,440 bars of 1m"))
                found["all"].append(_timed(visitor, visitor.at("candles_all").get_by_role("button"), "bars of 1w"))
            visitor.close()
            return {name: statistics.median(seconds[1:]) for name, seconds in found.items()}
    finally:
        server.stop()


def _timed(visitor: Visitor, target: object, shown: str) -> float:
    before = time.perf_counter()
    target.click()  # type: ignore[attr-defined]
    visitor.page.wait_for_function(_DRAWN, arg=shown, timeout=120_000)
    seconds = time.perf_counter() - before
    settled(visitor.page)
    return seconds


def _grown(folder: Path, end: int, views: Sequence[int]) -> Numbers:
    """Resident megabytes of the server after so many views."""
    server = Server(folder, None, "--server.enableAgentApi=true").start()
    try:
        memory = psutil.Process(server.pid)
        session, done, found = "", 0, {}
        for count in sorted(views):
            for number in range(done, count):
                width = _WIDTHS[number % len(_WIDTHS)]
                start = START + (number * 7 * DAY) % max(DAY, end - START - width)
                session = _view(server, session, start, start + width)
            done = count
            found[f"after {count}"] = memory.memory_info().rss / 1e6
        return found
    finally:
        server.stop()


def _view(server: Server, session: str, start: int, end: int) -> str:
    body: dict[str, Any] = {"query_params": {name: [value] for name, value in _parameters(start, end).items()}}
    body |= {"session_id": session} if session else {"page": "candles"}
    request = Request(
        f"{server.base}/_stcore/agent/interact", strict_json(body).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=120) as answer:
        text = answer.read().decode()
    assert "bars of" in text, text[:2000]
    return text.split('"session_id"', 1)[1].split('"')[1]


def _parameters(start: int, end: int) -> dict[str, str]:
    return {
        "pair": _SERIES.asset_pair,
        "timeframe": "1m",
        "start": times.iso(start)[:19] + "Z",
        "end": times.iso(end)[:19] + "Z",
    }


def address(start: int, end: int) -> str:
    """What the Candles page is asked for a range of the series."""
    return "&".join(f"{name}={value}" for name, value in _parameters(start, end).items())


def _candles(first: int, last: int) -> pa.Table:
    """Bars number `first` to `last` around a price that wanders."""
    open_times = START + np.arange(first, last) * _STEP
    middle = 40_000 + 9_000 * np.sin(open_times / 4_000_000) + open_times % 977 / 100
    columns = (
        middle - 1,
        middle + 5 + open_times % 11,
        middle - 5 - open_times % 7,
        middle + 1,
        open_times % 100_003 / 977,
    )
    moments = pa.array(open_times * 1_000_000).cast(TIMESTAMP)
    return pa.table({"timestamp": moments, **{name: np.round(columns[n], 2) for n, name in enumerate(VALUES)}})


def fill_series(folder: Path, bars: int) -> None:
    """So many minutes of one series, in commits of fifty thousand."""
    lake = DeltaLakeManager(folder / "lake")
    before = Watermarks()
    for first in range(0, bars, _COMMIT_BARS):
        last = min(first + _COMMIT_BARS, bars)
        after = Watermarks(START + (last - 1) * _STEP, START)
        lake.commit(_SERIES, enrich(_candles(first, last), _SERIES, f"made-{first}", is_mock=False), before, after)
        before = after


def compare(size: int, repetitions: int) -> Verdict:
    """A day against everything, and two hundred views against fifty."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        fill_series(folder, size)
        given = {"folder": str(folder), "bars": size}
        views = [_VIEWS, _MORE_VIEWS]
        drawn = sample(_MODULE, {"drawn": {"side": "drawn", **given}}, repetitions)["drawn"]
        grown = sample(_MODULE, {"grown": {"side": "grown", "views": views, **given}}, 1)["grown"]
    few, many = f"after {_VIEWS}", f"after {_MORE_VIEWS}"
    rows = [
        ["a day of 1m bars", f"{median(drawn, 'day'):.2f} s", spread(drawn, "day", 2)],
        [f"all {size:,} bars", f"{median(drawn, 'all'):.2f} s", spread(drawn, "all", 2)],
        [f"{few} views", f"{median(grown, few):.0f} MB", spread(grown, few, 0)],
        [f"{many} views", f"{median(grown, many):.0f} MB", spread(grown, many, 0)],
    ]
    ratios = [
        Ratio("drawing the whole series, of drawing one day", median(drawn, "all") / median(drawn, "day"), GOAL_DRAWN),
        Ratio(f"memory {many} views, of {few}", median(grown, many) / median(grown, few), GOAL_MEMORY),
    ]
    return Verdict(f"A chart of {size:,} bars of 1m", [["", "median", "each run"], *rows], ratios)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(_BARS, 3), quick=(_BARS // 2, 1))


if __name__ == "__main__":
    main()
