"""Do consoles with data directories of their own work together over one state on a server, and outlive each other?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable

from tests.browser.driver import poll
from tests.postgresql import PASSWORD, Server
from tests.processes import ROOT

pytestmark = [
    pytest.mark.of_a_state_file("each names its places itself"),
    pytest.mark.of_a_lake_folder("each names its places itself"),
]

HELD = 4.0
"""Seconds that these consoles hold what they hold, so as not to wait for fifteen."""
_SERVES = f"""
import json, sys
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.storage.state import lock_rows
lock_rows.HELD_SECONDS, lock_rows._RENEW_SECONDS, lock_rows._MARGIN_SECONDS = {HELD}, 1.0, 1.0
console = ConsoleService().open()
def start(pair="BTCUSD", last="2024-01-02"):
    asked = BackfillRequest.of("simulated", (pair,), ["1m"], "2024-01-01", last)
    return console.run_service.start(asked, "ann")
def state(run_id):
    run = console.runs.get(run_id)
    return run and run.state
def told(work):
    try:
        return work()
    except Exception as error:
        return [getattr(error, "code", type(error).__name__), str(error)]
print("up", flush=True)
for line in sys.stdin:
    print(json.dumps(told(lambda: eval(line)), default=str), flush=True)
console.drain()
"""


class Console:
    """A console without pages, a process with a data directory of its own; `ask` it for the value of an expression."""

    def __init__(self, data: Path, lake: Path, url: str, **more: str) -> None:
        environment = {**os.environ, "FFE_DATA_DIR": str(data), "FFE_LAKE_URI": str(lake), "FFE_DATABASE_URL": url}
        environment["FFE_SIMULATED__BROKEN_RECORDS"] = "0"
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SERVES], cwd=ROOT, text=True, env={**environment, **more},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self._said() == "up", self.process.communicate()[1]

    def ask(self, expression: str) -> Any:
        """Its value, or code and text of the error."""
        assert self.process.stdin is not None
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()
        return json.loads(self._said())

    def _said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> str:
        """Kill it, if it lives; what it said besides."""
        self.process.kill()
        return self.process.communicate()[1]


@contextmanager
def consoles(folder: Path, server: Server, template: str, **more: str) -> Iterator[tuple[Console, Console]]:
    url, lake, up = server.database(template), folder / "lake", []
    (folder / "dlq").mkdir()
    try:
        for name in ("one", "two"):
            (folder / name).mkdir()
            (folder / name / "dlq").symlink_to(folder / "dlq")
            up.append(Console(folder / name, lake, url, **more))
        yield up[0], up[1]
    finally:
        said = "".join(console.end() for console in up)
        server.drop(url)
    assert PASSWORD not in said


@pytest.fixture
def two(tmp_path: Path, postgresql_server: Server, state_template: str) -> Iterator[tuple[Console, Console]]:
    """A leader and another, quick at what they fetch."""
    with consoles(tmp_path, postgresql_server, state_template) as both:
        yield both


@pytest.fixture
def slow(tmp_path: Path, postgresql_server: Server, state_template: str) -> Iterator[tuple[Console, Console]]:
    """The same, slow at each page."""
    with consoles(tmp_path, postgresql_server, state_template, FFE_SIMULATED__LATENCY_SECONDS="2") as both:
        yield both


def minutes(folder: Path, pair: str = "BTCUSD") -> list[int]:
    """Opens of all stored rows of a pair, a bar that is stored twice twice."""
    rows = DeltaTable(str(folder / "lake" / "raw_market_data_1m")).to_pyarrow_table()
    mine = rows.filter(pc.equal(rows["asset_pair"], pair))
    return sorted(at // 1_000_000 for at in mine["timestamp"].cast("int64").to_pylist())


def ended(console: Console, run_id: int) -> str:
    poll(lambda: console.ask(f"state({run_id})") not in ("queued", "running", "cancelling"), "the run to end", 60)
    return str(console.ask(f"state({run_id})"))


def test_each_starts_runs_and_shows_what_the_other_does(two: tuple[Console, Console], tmp_path: Path) -> None:
    one, other = two
    assert [console.ask("console.leads") for console in two] == [True, False]
    assert [console.ask("console.acts") for console in two] == [True, True]
    assert other.ask("console.leader") == one.ask("console.leader")
    assert f"process {one.process.pid} on " in other.ask("console.leader")
    run_id = other.ask("start()")
    assert ended(one, run_id) == "complete"
    assert len(minutes(tmp_path)) == len(set(minutes(tmp_path))) == 2 * 1440
    marks = "[str(one.series) for one in console.watermarks.entries()]"
    poll(lambda: [each.ask(marks) for each in two] == [["BTCUSD 1m from simulated"]] * 2, "the marks to be shown")
    one.ask("console.watchlists.save('Majors', 'simulated', ['BTCUSD'], ['1m'], 'ann')")
    began = time.monotonic()
    poll(lambda: other.ask("[one.name for one in console.watchlists.all()]") == ["Majors"], "the change to be seen")
    assert time.monotonic() - began < 2


def test_a_series_that_one_works_on_is_refused_to_the_other_by_name_and_can_be_cancelled_there(
    slow: tuple[Console, Console],
) -> None:
    one, other = slow
    run_id = one.ask("start('BTCUSD', '2024-03-01')")
    code, text = other.ask("start()")
    assert code == "series_held"
    assert f"BTCUSD 1m from simulated is being worked on by run {run_id}; wait for it" in text
    held = "console.run_service.locks.held('lease', ['BTCUSD_1m_simulated'])"
    poll(lambda: other.ask(held), "the lease to be taken")
    assert f"run {run_id} of the console (process {one.process.pid} on " in other.ask(held)["BTCUSD_1m_simulated"]
    other.ask(f"console.run_service.cancel({run_id}, 'bob')")
    assert ended(other, run_id) == "cancelled"
    assert ended(one, one.ask("start()")) == "complete"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_who_dies_or_stands_still_is_replaced_and_its_run_is_continued_by_the_other(
    slow: tuple[Console, Console], tmp_path: Path, how: signal.Signals
) -> None:
    one, other = slow
    run_id = one.ask("start('BTCUSD', '2024-01-20')")
    poll(lambda: other.ask(f"state({run_id})") == "running", "the run to begin")
    one.process.send_signal(how)
    began = time.monotonic()
    poll(lambda: other.ask("console.leads"), "the other to lead", 60)
    assert time.monotonic() - began > 0.5
    assert ended(other, run_id) == "interrupted"
    again = other.ask(f"console.run_service.resume({run_id}, 'bob')")
    if how == signal.SIGSTOP:
        one.process.send_signal(signal.SIGCONT)
        assert one.ask("console.leads") is False
    assert ended(other, again) == "complete", other.ask(f"[row.error for row in console.runs.series({again})]")
    assert minutes(tmp_path) == list(range(1704067200, 1704067200 + 20 * 86400, 60))
    assert other.ask(f"state({run_id})") == "interrupted"
    if how == signal.SIGSTOP:
        poll(lambda: isinstance(run := one.ask("start('ETHUSD')"), int) and ended(one, run) == "complete", "it to work")
        assert (one.ask("console.leads"), other.ask("console.leads")) == (False, True)


def test_another_lake_is_refused(two: tuple[Console, Console], tmp_path: Path) -> None:
    url = two[0].ask("console.settings.database_url")
    with pytest.raises(AssertionError, match=r"belongs to the lake .*; set FFE_LAKE_URI to that one"):
        Console(tmp_path / "three", tmp_path / "elsewhere", url)
