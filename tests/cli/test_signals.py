"""Does every signal end a command well: what was fetched committed, the result printed, its own exit status?"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ffe_core.series import Series
from ffe_core.storage.leases import SeriesLease
from tests import children
from tests.cli.test_backfill import command, environment, run
from tests.ingestion.fakes import locks_of
from tests.processes import until

LONG = ["--provider", "simulated", "--pairs", "BTCUSD", "--timeframes", "1m", "--start", "2023-01-01"]
BACKFILL = ["backfill", *LONG, "--end", "2023-12-31", "--json"]
SERIES = Series("BTCUSD", "1m", "simulated")
ENDED = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


class Started:
    """A command under way in a session of its own; `end` waits for it."""

    def __init__(self, folder: Path, *arguments: str, before: Callable[[], object] | None = None, **more: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            command(*arguments),
            env=environment(folder, FFE_SIMULATED__LATENCY_SECONDS="0.3", **more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before or heard,
        )

    def pages(self, least: int) -> None:
        """Wait until so many pages have been fetched."""
        until(lambda: pages_done(self.folder) >= least, self.process)

    def end(self, *signals: int, apart: float = 0.5) -> tuple[int, Any, str]:
        """Send the signals; exit status, the JSON document, and what was said on stderr."""
        for place, number in enumerate(signals):
            time.sleep(apart if place else 0)
            self.process.send_signal(number)
        out, said = self.process.communicate(timeout=60)
        assert "Traceback" not in out + said
        return self.process.returncode, json.loads(out), said


def heard() -> None:
    """Signals as a terminal has them: whoever started the tests may ignore some."""
    for number, _ in ENDED:
        signal.signal(number, signal.SIG_DFL)


def pages_done(folder: Path) -> int:
    return sum(int(pages) for (pages,) in children.rows(folder, "select pages_done from run_series"))


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Starts commands on the test's folder, and kills what a failed test leaves."""
    all_: list[Started] = []

    def start(*arguments: str, **more: Any) -> Started:
        all_.append(Started(tmp_path, *arguments, **more))
        return all_[-1]

    yield start
    for one in all_:
        one.process.kill()
        one.process.communicate()


@pytest.mark.parametrize(("number", "status"), ENDED)
def test_what_was_fetched_is_committed_and_the_result_printed(
    started: Callable[..., Started], tmp_path: Path, number: int, status: int
) -> None:
    one = started(*BACKFILL)
    one.pages(3)
    ended, document, said = one.end(number)
    [result] = document["results"]
    [row] = json.loads(run(tmp_path, "watermarks", "--json").stdout)
    assert ended == status
    assert document["total_records"] == result["records"] >= 3 * 5_000
    assert (result["status"], result["watermark"]) == ("error", row["watermark"])
    assert "interrupted" in result["error"]
    assert [text for text in document["warnings"] if signal.Signals(number).name in text]
    assert "the same command continues it" in said
    SeriesLease(locks_of(tmp_path), SERIES).check_free()


def test_the_same_command_continues_it(started: Callable[..., Started], tmp_path: Path) -> None:
    one = started(*BACKFILL)
    one.pages(3)
    _, document, _ = one.end(signal.SIGTERM)
    again = json.loads(run(tmp_path, *BACKFILL).stdout)
    assert document["total_records"] + again["total_records"] == 365 * 1440
    assert again["results"][0]["stored"] == 365 * 1440
    assert again["results"][0]["repeats"] == 0


def test_a_second_signal_ends_it_at_once_with_one_document(
    started: Callable[..., Started], tmp_path: Path, state_kind: str
) -> None:
    one = started(*BACKFILL, before=heard, PYTHONPATH=str(slow_commits(tmp_path)))
    until(lambda: (tmp_path / "committing").exists(), one.process)
    began = time.monotonic()
    status, document, _ = one.end(signal.SIGTERM, signal.SIGTERM)
    assert time.monotonic() - began < 10
    assert (status, document["code"], document["exit_status"]) == (143, "interrupted", 143)
    if state_kind == "sqlite":  # at a server its row ends by itself, and the next command waits for that
        SeriesLease(locks_of(tmp_path), SERIES).check_free()
    assert json.loads(run(tmp_path, *BACKFILL).stdout)["results"][0]["stored"] == 365 * 1440


def slow_commits(folder: Path) -> Path:
    """A folder for PYTHONPATH in which every commit takes long, as on a disk that hangs."""
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(
        "import sys, time, pathlib\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'ffe_core.ingestion.pipeline':\n"
        "            sys.meta_path.remove(self)\n"
        "            from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager\n"
        "            def slow(*arguments, **more):\n"
        f"                pathlib.Path({str(folder / 'committing')!r}).touch()\n"
        "                time.sleep(30)\n"
        "            DeltaLakeManager.commit_all = slow\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    return folder / "site"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_echo_of_a_signal_is_no_second_one(started: Callable[..., Started], number: int) -> None:
    """`timeout` signals the command and then its whole group; a terminal that closes does so too."""
    one = started(*BACKFILL)
    one.pages(3)
    _, document, _ = one.end(number, number, apart=0.01)
    assert document["total_records"] >= 3 * 5_000


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(started: Callable[..., Started], number: int) -> None:
    one = started(*BACKFILL, before=lambda: signal.signal(number, signal.SIG_IGN))
    one.pages(2)
    one.process.send_signal(number)
    time.sleep(0.5)
    assert one.process.poll() is None
    one.pages(6)
    assert one.end(signal.SIGTERM)[0] == 143


def test_the_end_of_its_terminal_loses_nothing(tmp_path: Path) -> None:
    """Nobody reads what it says any more, and every write to the terminal fails."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(*BACKFILL[:-1]),
        env=environment(tmp_path, FFE_SIMULATED__LATENCY_SECONDS="0.3"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        text=True,
        start_new_session=True,
        preexec_fn=heard,
    )
    os.close(theirs)
    until(lambda: pages_done(tmp_path) >= 3, process)
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 129
    assert json.loads(run(tmp_path, "watermarks", "--json").stdout)


SHORT = [
    ["watermarks", "--json"],
    ["coverage", "--json"],
    ["dlq", "list", "--json"],
    ["schedules", "list", "--json"],
    ["dlq", "discard", "--reason", "x", "--pair", "BTCUSD", "--json"],
]


@pytest.mark.parametrize("arguments", SHORT, ids=" ".join)
def test_a_signal_at_any_moment_leaves_one_document_and_its_status(
    started: Callable[..., Started], tmp_path: Path, arguments: list[str]
) -> None:
    run(tmp_path, "backfill", *LONG, "--end", "2023-01-01")
    for after in (0.1, 0.3, 0.6, 1.0):
        one = started(*arguments)
        time.sleep(after)
        one.process.send_signal(signal.SIGTERM)
        out, said = one.process.communicate(timeout=60)
        assert "Traceback" not in said
        if one.process.returncode == -signal.SIGTERM:
            continue  # the interpreter itself was still starting
        assert one.process.returncode in (0, 143), said
        json.loads(out)


def test_a_signal_before_the_run_begins_interrupts_it(tmp_path: Path) -> None:
    """It comes between the arguments and the run."""
    code = (
        "import os, signal, sys, time\n"
        "from ffe_core.cli import common, process\n"
        "follow = common.follow\n"
        "def late(*arguments):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(0.5)\n"
        "    return follow(*arguments)\n"
        "common.follow = late\n"
        f"sys.argv[1:] = {BACKFILL!r}\n"
        "process.run()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(tmp_path), capture_output=True, text=True)
    assert done.returncode == 143, done.stderr
    assert "interrupted" in json.loads(done.stdout)["results"][0]["error"]
