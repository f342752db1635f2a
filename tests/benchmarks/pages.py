"""How long does each page take, cold against a bare Streamlit page, and warm against the build of release 0.1.0?

Cold: a fresh browser profile each, from a server that has had visitors before, in turns with the bare page. Warm: a
click in the sidebar of an open session, in turns with the same click in the other build.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.benchmarks.harness import Numbers
from tests.benchmarks.tick import build
from tests.benchmarks.watch import drawn, until_drawn, watched
from tests.browser.driver import Server, Visitor, chromium, chromium_path, settled

COLD, WARM = 5, 5
_BEGIN, _DAYS = 1_704_067_200, 30
PAGES = (
    "/",
    "/backfill",
    "/import_files",
    "/runs",
    "/run?id=1",
    "/schedules",
    "/watermarks",
    "/coverage",
    "/candles",
    "/dead_letters",
    "/findings",
    "/restatements",
    "/storage",
    "/settings",
)
CHANGES = ("backfill", "runs", "schedules", "watermarks", "coverage", "candles", "dead_letters", "restatements")
"""Pages that both builds have, in the order of the clicks."""
BUILDS = ("now", "0.1.0")
_NOTE = """link => link.addEventListener(
    'click', () => { timed.from = performance.now() }, {once: true, capture: true})"""


def fill_run(folder: Path) -> Numbers:
    """By the build at hand: a run of two pairs with dead letters, in a folder that has a lake of other series."""
    from ffe_core.series import Series

    console, request_of = build()
    service = console({"data_dir": str(folder), "simulated": {"broken_records": 0.02}})
    series = tuple(Series.of(pair, "1h", "simulated") for pair in ("BTCUSD", "ETHUSD"))
    run_id = service.run_service.start(request_of("simulated", series, _BEGIN, _BEGIN + _DAYS * 86_400), "benchmark")
    service.run_service.wait(run_id)
    service.drain()
    return {"run": run_id}


def measure_cold(folder: Path, script: Path) -> Numbers:
    """Milliseconds of the bare page, named "bare", and of every page, named by its address; medians."""
    path = chromium_path()
    assert path, "no Chromium: install it or set FFE_CHROMIUM"
    with _started(Server(folder / "nothing", script=str(script)), Server(folder)) as servers, chromium(path) as browser:
        bare, console = servers
        found: dict[str, list[float]] = {"bare": [], **{page: [] for page in PAGES}}
        for _ in range(1 + COLD):
            for place, page in enumerate(PAGES):
                if place % 3 == 0:
                    found["bare"].append(drawn(browser, bare, "/"))
                found[page].append(drawn(browser, console, page))
        return {page: statistics.median(ms[len(ms) // (1 + COLD) :]) for page, ms in found.items()}


def measure_warm(folder: Path, former: Path, tree: Path) -> Numbers:
    """Milliseconds of a page change now and in release 0.1.0, whose files are in `tree`; medians."""
    path = chromium_path()
    assert path, "no Chromium: install it or set FFE_CHROMIUM"
    old = Server(former, {"PYTHONPATH": str(tree)}, cwd=tree)
    with _started(Server(folder), old) as servers, chromium(path) as browser:
        found: dict[str, list[float]] = {}
        visitors = [watched(browser, server).open() for server in servers]
        for _ in range(1 + WARM):
            for page in CHANGES:
                for name, visitor in zip(BUILDS, visitors, strict=True):
                    found.setdefault(f"{page}, {name}", []).append(_changed(visitor, page))
    each = {name: statistics.median(ms[1:]) for name, ms in found.items()}
    return each | {f"all, {name}": sum(each[f"{page}, {name}"] for page in CHANGES) for name in BUILDS}


def _changed(visitor: Visitor, page: str) -> float:
    """Milliseconds from the click on a page in the sidebar to its last drawing."""
    settled(visitor.page)
    link = visitor.page.locator(f"[data-testid=stSidebarNavLink][href$='/{page}']")
    link.evaluate(_NOTE)
    link.click()
    return until_drawn(visitor)


@contextmanager
def _started(*servers: Server) -> Iterator[tuple[Server, ...]]:
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.stop)
            server.start()
        yield servers
