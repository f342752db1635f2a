"""Soak: let the console run for a long time under schedules and open sessions, and compare its last quarter.

Memory, threads and descriptors of the last quarter of the time may be at most 5 % above those of the second; the first
is for warming up. Every run of every schedule ended well, and no bar is stored twice.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from tests.benchmarks.sessions import Sessions
from tests.browser.driver import Server
from tests.reliability import state
from tests.reliability.verdict import Fault, Tally

ROOT = Path(__file__).parents[2]
PAGES = ("overview", "runs", "schedules", "watermarks")
"""What people look at; sessions are shared out among them."""
VISITED = ("candles", "coverage", "backfill", "dead_letters", "restatements")
"""What somebody else opens once a minute, in turn, and leaves again: sessions end too."""
MOST_GROWTH = 1.05
# Not a divisor of the schedules' minute: threads come and go with each tick, and samples must not fall into step.
_SAMPLE_SECONDS = 3.7
_VISIT_SECONDS = 60
_HEADS = ("MB", "threads", "descriptors")
# One process for all: starting Python fifty times would take longer than a short soak.
_ADD = """
import sys
from ffe_core.cli import main
for number in range(int(sys.argv[1])):
    series = ["--provider", "simulated", "--pairs", f"C{number:03}USD", "--timeframes", "1m,5m"]
    assert main(["schedules", "add", "--name", f"every minute {number}", *series, "--every", "1", "--since", "1d"]) == 0
"""

Sample = tuple[float, int, int]


def run(tally: Tally, minutes: float, schedules: int, sessions: int, say: Callable[[str], None]) -> None:
    """Let it run for so many minutes and judge it."""
    with tally.timed("soak"), tempfile.TemporaryDirectory(prefix="ffe-soak-") as folder:
        data = Path(folder) / "data"
        _prepare(data, schedules)
        server = Server(data, {"FFE_SIMULATED__BROKEN_RECORDS": "0"})
        with _running(server), _watched(server, sessions):
            samples = list(_samples(server, minutes * 60, say))
        faults = judged(samples) + _of_runs(data)
        if server.tracebacks:
            faults.append(Fault("traceback", "soak", server.tracebacks[:600]))
        tally.add("soak", 1, faults)
        tally.note(_table(samples, f"{schedules} schedules, {sessions} sessions, {minutes:g} minutes"))


def judged(samples: Sequence[Sample]) -> list[Fault]:
    """What grew between the second quarter and the last, by medians."""
    quarters = _quarters(samples)
    pairs = zip(_HEADS, quarters[1], quarters[3], strict=True)
    return [
        Fault("exit", f"soak: {name}", f"{last:g} in the last quarter, {second:g} in the second")
        for name, second, last in pairs
        if last > second * MOST_GROWTH
    ]


def _quarters(samples: Sequence[Sample]) -> list[tuple[float, ...]]:
    size = max(1, len(samples) // 4)
    parts = [samples[number * size : (number + 1) * size] for number in range(4)]
    return [tuple(statistics.median(column) for column in zip(*(part or samples[-1:]), strict=True)) for part in parts]


def _table(samples: Sequence[Sample], title: str) -> str:
    rows = [" | ".join(f"{value:,.0f}" for value in quarter) for quarter in _quarters(samples)]
    lines = [f"| {number} | {row} |" for number, row in enumerate(rows, 1)]
    return "\n".join([f"soak: {title}", "", f"| quarter | {' | '.join(_HEADS)} |", "|---|---|---|---|", *lines])


def _prepare(data: Path, schedules: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ADD, str(schedules)],
        cwd=ROOT,
        env={"FFE_DATA_DIR": str(data), "PATH": "", "HOME": str(data.parent)},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, "the schedules could not be made; its own words are above"


@contextmanager
def _running(server: Server) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        server.stop()


@contextmanager
def _watched(server: Server, sessions: int) -> Iterator[None]:
    with ExitStack() as stack:
        for number, page in enumerate(PAGES):
            share = (number + 1) * sessions // len(PAGES) - number * sessions // len(PAGES)
            if share:
                stack.enter_context(Sessions(server.base, share, page))
        yield


def _samples(server: Server, seconds: float, say: Callable[[str], None]) -> Iterator[Sample]:
    process, began = psutil.Process(server.pid), time.monotonic()
    pause, visits = min(_SAMPLE_SECONDS, seconds / 20), 0
    while (passed := time.monotonic() - began) < seconds:
        sample = process.memory_info().rss / 2**20, process.num_threads(), process.num_fds()
        left = (seconds - passed) / 60
        say(f"{left:6.1f} min left: {sample[0]:.0f} MB, {sample[1]} threads, {sample[2]} descriptors")
        yield sample
        if passed > visits * _VISIT_SECONDS:
            with Sessions(server.base, 1, VISITED[visits % len(VISITED)]):
                visits += 1
        time.sleep(min(pause, max(0.0, seconds - passed)))


def _of_runs(data: Path) -> list[Fault]:
    found = state.read(data)
    faults = []
    failed = [row for row in found["runs"] if row["state"] == "failed"]
    if failed:
        faults.append(Fault("wrong", "soak", f"{len(failed)} series failed, such as {failed[0]['error']}"))
    versions = [str(row[:5]) for row in found["rows"]]
    if len(set(versions)) < len(versions):
        faults.append(Fault("doubled", "soak", f"{len(versions) - len(set(versions))} versions"))
    if not versions:
        faults.append(Fault("lost", "soak", "no schedule stored anything"))
    return faults
