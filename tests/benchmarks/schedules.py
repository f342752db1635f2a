"""Do the pages stay usable while very many schedules fire? Page time with 500 runs under way, against an idle console.

A real server over a fake Coinbase with the published limit. All schedules are due in the same minute; from then
until the last run has ended, three pages are drawn again and again, as before it. Every schedule must have run exactly
once and completely, and the fake exchange must not have refused a single request.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn
from urllib.request import Request, urlopen

from ffe_core.operations.console import ConsoleService
from ffe_core.operations.schedules.service import Draft
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.schedules import ScheduleStore
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, run, sample, spread
from tests.browser.driver import Server
from tests.fake_exchanges import CoinbaseExchange, Market, generated

GOAL = 2.0
_PAGES = ("runs", "schedules", "backfill")
_HOUR = 3600
_DAYS = 10
_IDLE_SECONDS = 30
_ENDED = (run_states.COMPLETE, run_states.GAPS)


def measure(options: Options) -> Numbers:
    """One console with `schedules` schedules due at once: page seconds idle and busy, and what became of the ticks."""
    count = options["schedules"]
    with tempfile.TemporaryDirectory() as folder, CoinbaseExchange(_market(count)) as exchange:
        env = {"FFE_COINBASE__BASE_URL": exchange.url}
        due = _plan(Path(folder) / "data", count, exchange.url)
        server = Server(Path(folder) / "data", env, "--server.enableAgentApi=true").start()
        try:
            visitor = _Visitor(server)
            idle = visitor.page_seconds(lambda: time.time() < due - 1)
            time.sleep(max(0.0, due - time.time()))
            store = ScheduleStore(Database(Path(folder) / "data" / DATABASE_FILE))
            busy = visitor.page_seconds(lambda: len(_ended(store)) < count)
            took = time.time() - due
        finally:
            server.stop()
        rows, ticks = store.ticks(limit=10 * count)
        return {
            "idle": statistics.median(idle),
            "busy": statistics.median(busy),
            "seconds": took,
            "fires": ticks,
            "ran": sum(row.run_state in _ENDED for row in rows),
            "latest": max((row.late or 0.0 for row in rows), default=0.0),
            "refused": exchange.rate_limited,
            "requests": exchange.count("/candles"),
        }


def _market(count: int) -> Market:
    end = int(time.time()) // _HOUR * _HOUR
    candles = generated(end - 2 * _DAYS * 86_400, end + 86_400, _HOUR)
    return Market({(f"P{number:03d}-USD", _HOUR): candles for number in range(count)})


def _plan(folder: Path, count: int, url: str) -> int:
    """Make the schedules, all due in one minute that leaves time for the idle pages; when that is."""
    service = ConsoleService({"data_dir": str(folder), "coinbase": {"base_url": url}})
    try:
        due = (int(time.time()) + count // 20 + 2 * _IDLE_SECONDS + 60) // 60 * 60
        at = time.gmtime(due)
        for number in range(count):
            pair, trigger = f"P{number:03d}USD", f"cron {at.tm_min} {at.tm_hour} * * *"
            draft = Draft(pair, "coinbase", (pair,), ("1h",), trigger=trigger, since=f"{_DAYS}d")
            service.schedules.create(draft, "benchmark")
        return due
    finally:
        service.drain()


def _ended(store: ScheduleStore) -> Sequence[Any]:
    return [row for row in store.ticks(limit=100_000)[0] if row.run_state is not None]


class _Visitor:
    """One session without a browser, which draws pages as often as it is told."""

    def __init__(self, server: Server) -> None:
        self._url = f"{server.base}/_stcore/agent/interact"
        self._session = self._asked({})["session_id"]
        self._round()  # the first look at each page imports what it needs

    def page_seconds(self, goes_on: Callable[[], bool]) -> list[float]:
        """The seconds that all pages take together, once a round, for as long as it goes on."""
        found: list[float] = []
        while goes_on() or not found:
            began = time.perf_counter()
            self._round()
            found.append(time.perf_counter() - began)
            time.sleep(0.5)
        return found

    def _round(self) -> None:
        for page in _PAGES:
            self._asked({"session_id": self._session, "page": page})

    def _asked(self, body: dict[str, str]) -> dict[str, Any]:
        request = Request(self._url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urlopen(request, timeout=120) as answer:
            drawn: dict[str, Any] = json.load(answer)
        assert drawn["status"] == "ready", drawn
        return drawn


def compare(size: int, repetitions: int) -> Verdict:
    """Page time while `size` schedules run, as a multiple of page time before."""
    found = sample("tests.benchmarks.schedules", {"console": {"schedules": size}}, repetitions)["console"]
    rows = [
        ["schedules", "pages idle, s", "pages busy, s", "all ran after, s", "last started after, s", "requests", "429"],
        [
            f"{size}",
            spread(found, "idle", 2),
            spread(found, "busy", 2),
            spread(found, "seconds", 0),
            spread(found, "latest", 1),
            spread(found, "requests", 0),
            spread(found, "refused", 0),
        ],
    ]
    ratio = Ratio("page time with all of them running, x idle", median(found, "busy") / median(found, "idle"), GOAL)
    faults = [f"{numbers['ran']:.0f} of {size} ran" for numbers in found if numbers["ran"] != size]
    faults += [f"{numbers['fires']:.0f} ticks of {size}" for numbers in found if numbers["fires"] != size]
    faults += [f"{numbers['refused']:.0f} requests were refused" for numbers in found if numbers["refused"]]
    return Verdict(f"{size} schedules due in the same minute", rows, [ratio], faults)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(500, 3), quick=(40, 1))


if __name__ == "__main__":
    main()
