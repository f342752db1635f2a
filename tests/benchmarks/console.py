"""What does the console cost: a run that is watched, pages over much data, a chart, a first look, a server at rest?

Every number is taken from the real server in a process of its own. A run is started through the agent API and watched
by ten sessions that ask over the websocket for what a browser asks for. Pages are loaded by a fresh browser profile
each, from a server that has had one visitor before; the bare page is a Streamlit script with one dataframe of as many
rows as the Overview has series. Memory at rest is that of the server after its visitors have seen the Overview of a
year of 20 hourly pairs, or the bare page, and left: what is resident, of which the files of libraries are a third, and
what no other process shares. `--only overview memory` measures just these; without it, all of PARTS.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.request import Request, urlopen

import numpy as np
import psutil
import pyarrow as pa

from ffe_core import BatchDataIngester, DeltaLakeManager
from ffe_core.candles import TIMESTAMP, VALUES
from ffe_core.ingestion.enrich import enrich
from ffe_core.insight.coverage import Coverage
from ffe_core.series import Series, Watermarks
from ffe_core.storage.files import strict_json
from ffe_core.storage.lake.range_cache import RangeCache
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.runs import ACTIVE, COMPLETE, NewRun, RunStore
from tests.benchmarks.bare import bare_page
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, run, sample, spread
from tests.benchmarks.panning import fill, measure_panning
from tests.benchmarks.sessions import Sessions
from tests.benchmarks.watch import drawn
from tests.browser.driver import Server, Visitor, chromium, chromium_path, poll

_MODULE = "tests.benchmarks.console"
_START = 1_388_534_400
_HOUR = 3_600
_SERIES = 200
_YEAR_SERIES = 20
_COINS = ("BTCUSD", "ETHUSD", "SOLUSD", "XRPUSD", "ADAUSD", "DOGEUSD", "LTCUSD", "LINKUSD")
"""Pairs that trade every minute."""
_FOLLOWERS = 10
_LOADS = 5
_YEAR = "overview, a year of 20 pairs"
PARTS = ("cpu-bound", "rate-limited", "run page", "overview", "memory", "click", "chart")
"""What can be measured by itself: runs of either kind that are watched, pages, memory at rest, a first run, a chart."""


# --- A run, followed


def _followed(options: Options) -> Numbers:
    """Seconds that a run takes by the ledger's clock while so many sessions watch it."""
    with _server({"FFE_SIMULATED__REQUESTS_PER_SECOND": str(rate)} if (rate := options["rate"]) else {}) as server:
        session = _interact(server, page="backfill", query_params=_form(options["pairs"], options["last"]))
        _interact(server, session_id=session, trigger={"key": "backfill_start"})
        runs = RunStore(Database(server.data_dir / DATABASE_FILE))
        row = poll(lambda: runs.get(1), "the run")
        assert row is not None
        with Sessions(server.base, options["followers"], "run", "id=1") as sessions:
            poll(lambda: (runs.get(1) or row).state not in ACTIVE, "the run to end", 600)
        ended = runs.get(1)
        assert ended is not None
        assert ended.state == COMPLETE, ended.state
        assert ended.started_at is not None
        assert ended.ended_at is not None
        return {"seconds": ended.ended_at - ended.started_at, "redraws": sessions.redraws}


def _form(pairs: int, last: str) -> dict[str, list[str]]:
    names = ",".join(_COINS[:pairs])
    form = {"provider": "simulated", "pairs": names, "timeframes": "1m", "start": "2024-01-01", "end": last}
    return {name: [value] for name, value in form.items()}


def _interact(server: Server, **body: Any) -> str:
    """One request to the agent API; the session's id. The answer is not parsed: that would be the client's cost."""
    request = Request(
        f"{server.base}/_stcore/agent/interact", strict_json(body).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=60) as answer:
        text = answer.read().decode()
    found = re.search(r'"session_id":\s*"([^"]+)"', text)
    assert found, text[:500]
    return found[1]


# --- Pages over much data


def _load(options: Options) -> Numbers:
    """Milliseconds from asking for a page to its last drawing, in fresh browsers, and the server's memory after it."""
    path = chromium_path()
    assert path, "no Chromium: install it or set FFE_CHROMIUM"
    folder = Path(options["folder"])
    with _server({}, folder, options.get("script", "app.py")) as server, chromium(path) as browser:
        first, *later = (drawn(browser, server, options["page"]) for _ in range(1 + _LOADS))
        memory = psutil.Process(server.pid).memory_full_info()
        held = {"memory": memory.rss / 2**20, "private": memory.uss / 2**20}
        return {"first": first, "ms": sorted(later)[len(later) // 2], **held}


def _click_to_complete(options: Options) -> Numbers:
    """Seconds from the click on "Start backfill" to "complete" on the screen: 30 days of one pair, hourly."""
    path = chromium_path()
    assert path, "no Chromium: install it or set FFE_CHROMIUM"
    with _server({}) as server, chromium(path) as browser:
        visitor = Visitor(browser, server.base)
        visitor.open("/backfill?provider=simulated&pairs=BTCUSD&timeframes=1h&start=2024-01-01&end=2024-01-30")
        began = time.perf_counter()
        visitor.at("backfill_start").get_by_role("button").click()
        done = visitor.page.locator(".stMarkdownBadge").filter(has_text=re.compile(r"\bcomplete$"))
        done.first.wait_for(timeout=60_000)
        return {"seconds": time.perf_counter() - began}


@contextmanager
def _server(env: dict[str, str], folder: Path | None = None, script: str = "app.py") -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as temporary:
        arguments = ("--server.enableAgentApi=true",)
        server = Server(folder or Path(temporary) / "data", env, *arguments, script=script)
        try:
            yield server.start()
        finally:
            server.stop()


# --- What the pages are over


def fill_lake(folder: Path, count: int, candles: int) -> None:
    """So many hourly series with so many candles each, one commit each, every one with its watermark; looked at once,
    as by the console that filled the lake."""
    open_times = _START + np.arange(candles) * _HOUR
    columns = {name: pa.array(40_000 + open_times % 977 / 7 + place) for place, name in enumerate(VALUES)}
    table = pa.table({"timestamp": pa.array(open_times * 1_000_000).cast(TIMESTAMP), **columns})
    lake = DeltaLakeManager(folder / "lake")
    ingester = BatchDataIngester(lake, {"data_dir": str(folder)})
    marks = Watermarks(int(open_times[-1]), _START)
    series = [Series(f"C{number:03}USD", "1h", "coinbase") for number in range(count)]
    for item in series:
        lake.commit(item, enrich(table, item, "made", is_mock=False), Watermarks(), marks)
    ingester.watermark_store.heal(lambda: dict.fromkeys(series, marks))
    database = Database(folder / DATABASE_FILE)
    Coverage(ingester.stores, RangeCache(database)).of(series)
    database.close()


def fill_run(folder: Path, count: int) -> None:
    """One complete run of so many series."""
    folder.mkdir(parents=True)
    database = Database(folder / DATABASE_FILE)
    runs = RunStore(database)
    series = [Series(f"C{number:03}USD", "1h", "coinbase") for number in range(count)]
    runs.add(NewRun("backfill", "coinbase", "resume", _START, _START + 8_760 * _HOUR, series, "bench", "console", "1"))
    done = dict.fromkeys(("records", "received", "expected", "stored"), 8_760)
    ended = {"state": COMPLETE, "pages_done": 26, "pages_planned": 26, "unexplained": 0, "dead_lettered": 0}
    times_ = {"started_at": 1.7e9, "ended_at": 1.7e9 + 60}
    runs.update_series(1, {number: {**done, **ended, **times_} for number in range(count)})
    runs.update(1, state=COMPLETE, **times_)
    database.close()


def measure(options: Options) -> Numbers:
    """One side in this process."""
    if options["what"] == "chart":
        return measure_panning(Path(options["folder"]), options["bars"])
    return {"followed": _followed, "load": _load, "click": _click_to_complete}[options["what"]](options)


def _sides(folder: Path, candles: int, parts: Sequence[str]) -> dict[str, Options]:
    """Everything that is measured of these parts; the data it needs is made on the way."""
    days = max(1, candles * 480 // 20_000_000)
    busy = {"what": "followed", "pairs": 8, "last": _day(days), "rate": None}
    paced = {"what": "followed", "pairs": 4, "last": _day(28), "rate": 3.0}
    sides: dict[str, Options] = {}
    for part in parts:
        match part:
            case "cpu-bound":
                sides |= _watched(part, busy)
            case "rate-limited":
                sides |= _watched(part, paced)
            case "run page":
                sides |= _run_pages(folder)
            case "overview":
                fill_lake(folder / "lake", _SERIES, candles // _SERIES)
                sides |= _bare(folder) | {"overview": {"what": "load", "folder": str(folder / "lake"), "page": "/"}}
            case "memory":
                fill_lake(folder / "year", _YEAR_SERIES, 365 * 24)
                sides |= _bare(folder) | {_YEAR: {"what": "load", "folder": str(folder / "year"), "page": "/"}}
            case "click":
                sides["click to complete"] = {"what": "click"}
            case "chart":
                fill(folder / "chart", candles // 10)
                sides[part] = {"what": "chart", "folder": str(folder / "chart"), "bars": candles // 10}
    return sides


def _watched(kind: str, options: Options) -> dict[str, Options]:
    return {f"{kind} run, {count} watch": {**options, "followers": count} for count in (0, _FOLLOWERS)}


def _run_pages(folder: Path) -> dict[str, Options]:
    for count in (5, 500):
        fill_run(folder / f"run-{count}", count)
    page = {"what": "load", "page": "/run?id=1"}
    return {f"run page, {count} series": {**page, "folder": str(folder / f"run-{count}")} for count in (5, 500)}


def _bare(folder: Path) -> dict[str, Options]:
    script = str(bare_page(folder / "bare.py", _SERIES))
    return {"bare page": {"what": "load", "folder": str(folder / "bare"), "page": "/", "script": script}}


def _day(number: int) -> str:
    return str(np.datetime64("2024-01-01") + number - 1)


def compare(size: int, repetitions: int, parts: Sequence[str] = PARTS) -> Verdict:
    """Every side of these parts, and the ratios that have a goal."""
    with tempfile.TemporaryDirectory() as name:
        found = sample(_MODULE, _sides(Path(name), size, parts), repetitions)
    rows = [
        [side, what, f"{median(numbers, what):,.1f}", spread(numbers, what, 1)]
        for side, numbers in found.items()
        for what in numbers[0]
    ]
    ratios = [ratio for part in parts for ratio in _ratios(part, size, found)]
    return Verdict("The console", [["side", "number", "median", "each run"], *rows], ratios)


def _ratios(part: str, size: int, found: Mapping[str, Sequence[Numbers]]) -> list[Ratio]:
    """What has a goal in a part."""

    def ratio(what: str, over: str, number: str) -> float:
        return median(found[what], number) / median(found[over], number)

    def in_turns(number: str, over: str) -> float:
        return median(found[part], number) / median(found[part], over)

    match part:
        case "cpu-bound" | "rate-limited":
            watched = ratio(f"{part} run, {_FOLLOWERS} watch", f"{part} run, 0 watch", "seconds")
            return [Ratio(f"{part} run, ten watch / none", watched, 1.2 if part == "cpu-bound" else 1.05)]
        case "run page":
            return [Ratio("run page, 500 series / 5", ratio("run page, 500 series", "run page, 5 series", "ms"), 2.0)]
        case "overview":
            return [Ratio(f"overview of {size:,} candles / bare page", ratio("overview", "bare page", "ms"), 2.0)]
        case "memory":
            return [
                Ratio("resident memory at rest / bare page", ratio(_YEAR, "bare page", "memory"), 1.3),
                Ratio("memory of its own at rest / bare page", ratio(_YEAR, "bare page", "private"), 1.3),
            ]
        case "chart":
            fps, new = median(found[part], "fps"), median(found[part], "new")
            return [
                Ratio("chart of 1,500 bars to its first bar / bare page", in_turns("first", "bare"), 1.5),
                Ratio(f"frames a second while panning over {size // 10:,} bars", fps, 55, at_least=True),
                Ratio("frames while panning / while nothing happens", in_turns("fps", "idle"), 0.95, at_least=True),
                Ratio("from asking for new bars to their frame / 150 ms", new / 150, 1.0),
            ]
    return []  # a time that is shown, and has no goal


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    run(__doc__, measure, compare, arguments, full=(20_000_000, 3), quick=(200_000, 1), parts=PARTS)


if __name__ == "__main__":
    main()
