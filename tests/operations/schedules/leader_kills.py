"""Does every fire come to exactly one end though leaders die? `kill -9`, again and again, with a standby up.

python -m tests.operations.schedules.leader_kills [--kills 50]

Real processes with the real service, real runs of the simulated provider and a real ledger; only the scheduler's clock
runs thirty times as fast, so that minutes pass in seconds. The leader is killed at random moments, every other time
within a tenth of a second after something was due, which is when it has most to lose. Afterwards the record is
compared with what the triggers say was due, and with the runs in the ledger. The exit code is 1 if a due instant is on
record twice or not at all, if one ran twice, or if a take-over took two seconds or more.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from ffe_core.operations.console import ConsoleService
from ffe_core.operations.schedules.due import instants
from ffe_core.operations.schedules.requests import Plans
from ffe_core.operations.schedules.service import Draft
from ffe_core.settings import Settings
from ffe_core.storage.state import schedules as states
from ffe_core.storage.state.database import LEDGER_FILE, Ledger
from ffe_core.storage.state.runs import RunLedger
from ffe_core.storage.state.schedules import Schedule, ScheduleStore
from ffe_core.storage.state.watchlists import Watchlists
from tests.processes import start

SPEED = 30
LIMIT_SECONDS = 2.0
_CONSOLE = """
import sys, time
from tests.operations.schedules.leader_kills import serve
serve(sys.argv[1], float(sys.argv[2]))
"""
_PATIENCE = 120.0
_DRAFTS = (
    Draft("every minute", "simulated", ("BTCUSD",), ("1d",), trigger="every 1", catch_up="none"),
    Draft("queued", "simulated", ("ETHUSD",), ("1d",), trigger="every 1", overlap="queue"),
    Draft("every two", "simulated", ("SOLUSD", "ADAUSD"), ("1d",), trigger="every 2", catch_up="fill"),
    Draft("cron", "simulated", ("XRPUSD",), ("1d",), trigger="cron */3 * * * *", priority=False),
)


def fast_clock(origin: float) -> float:
    """The scheduler's time: `SPEED` times as fast as the wall clock since `origin`."""
    return origin + (time.time() - origin) * SPEED


def serve(folder: str, origin: float) -> None:
    """One console without pages, until it is killed. Says that it is up, and which process leads when it does."""
    service = ConsoleService({"data_dir": folder})
    service.scheduler._clock = lambda: fast_clock(origin)
    service.scheduler._pulse_seconds = 0.05
    service.open()
    sys.stdout.write("up\n")
    sys.stdout.flush()
    while True:
        time.sleep(60)


@dataclass
class Verdict:
    """What the record says: due instants by outcome, take-over times in seconds, and all that broke the rule."""

    kills: int
    outcomes: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    takeovers: list[float] = field(default_factory=list)
    adopted: int = 0
    faults: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The verdict for people."""
        due = sum(self.outcomes.values())
        ended = ", ".join(f"{name} {count:,}" for name, count in sorted(self.outcomes.items()))
        slowest = max(self.takeovers, default=0.0)
        return [
            f"{self.kills} kills, {due:,} due fires: {ended}",
            f"{self.runs:,} runs; {self.adopted} fires were found claimed by a dead leader and finished",
            f"take-over: median {statistics.median(self.takeovers or [0.0]):.2f} s, slowest {slowest:.2f} s"
            f" (limit {LIMIT_SECONDS:.0f} s)",
            "every due fire is on record exactly once and none ran twice" if not self.faults else "BROKEN:",
            *self.faults[:20],
        ]


def torment(folder: Path, kills: int, seed: int = 0) -> Verdict:
    """Kill the leader so many times, then judge."""
    luck, verdict, origin = random.Random(seed), Verdict(kills), time.time()
    begun = _plan(folder, origin)
    consoles = [_console(folder, origin)]
    consoles.append(_console(folder, origin))
    try:
        for number in range(kills):
            time.sleep(luck.uniform(0.2, 3.0))
            if number % 2:
                time.sleep(_until_due(origin) + luck.uniform(0.0, 0.1))
            verdict.takeovers.append(_kill_leader(folder, consoles))
            consoles.append(_console(folder, origin))
        time.sleep(3.0)
    finally:
        for console in consoles:
            console.kill()
            console.communicate()
    _judge(folder, begun, verdict)
    return verdict


def _until_due(origin: float) -> float:
    """Seconds until the fast clock is at a whole minute."""
    return -fast_clock(origin) % 60 / SPEED


def _plan(folder: Path, origin: float) -> dict[int, int]:
    """Make the schedules; from when on each is due, by its id."""
    service = ConsoleService({"data_dir": str(folder)})
    try:
        service.schedules._clock = lambda: fast_clock(origin)
        created = [service.schedules.create(draft, "ann") for draft in _DRAFTS]
        return {schedule.id: schedule.accounted_until for schedule in created}
    finally:
        service.drain()


def _console(folder: Path, origin: float) -> Popen[str]:
    """A console that is up: it leads, or stands by."""
    console = start(_CONSOLE, folder, origin)
    assert console.stdout is not None
    assert console.stdout.readline() == "up\n", console.communicate()[1][-2000:]
    return console


def _kill_leader(folder: Path, consoles: list[Popen[str]]) -> float:
    """Kill the process that leads; seconds until another does."""
    leader = _leader(folder)
    victim = next(console for console in consoles if console.pid == leader)
    os.kill(victim.pid, signal.SIGKILL)
    died = time.monotonic()
    _until(lambda: _leader(folder) != leader)
    took = time.monotonic() - died
    victim.communicate()
    consoles.remove(victim)
    return took


def _leader(folder: Path) -> int:
    return int(json.loads((folder / "locks" / "leader.json").read_text(encoding="utf-8"))["pid"])


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "nobody took over"
        time.sleep(0.01)


def _judge(folder: Path, begun: dict[int, int], verdict: Verdict) -> None:
    ledger = Ledger(folder / LEDGER_FILE)
    try:
        store, runs = ScheduleStore(ledger), RunLedger(ledger)
        plans = Plans(Settings.load({"data_dir": str(folder)}), Watchlists(ledger))
        for schedule in store.all():
            _judge_one(schedule, store, runs, plans, begun[schedule.id], verdict)
    finally:
        ledger.close()
    verdict.faults += [f"a take-over took {took:.2f} s" for took in verdict.takeovers if took >= LIMIT_SECONDS]


def _judge_one(
    schedule: Schedule, store: ScheduleStore, runs: RunLedger, plans: Plans, begun: int, verdict: Verdict
) -> None:
    trigger = plans.trigger(schedule)
    rows = store.fires(schedule.id, limit=1_000_000)[0]
    on_record = Counter(due for row in rows for due in instants(row, trigger))
    due = {int(at) for at in trigger.dues(begun, schedule.accounted_until)}
    verdict.faults += [f"{schedule.name}: {at} is not on record" for at in sorted(due - set(on_record))]
    verdict.faults += [f"{schedule.name}: {at} is on record {n} times" for at, n in on_record.items() if n > 1]
    for row in rows:
        verdict.outcomes[row["outcome"]] += row["count"]
        verdict.adopted += "its leader ended" in (row["note"] or "")
    made = [run for run in runs.find(limit=1_000_000)[0] if run["source"] == schedule.source]
    verdict.runs += len(made)
    ran = Counter(run["parameters"]["due"] for run in made)
    verdict.faults += [f"{schedule.name}: {at} ran {n} times" for at, n in ran.items() if n > 1]
    known = {row["run_id"] for row in rows}
    unwritten = {row["due"] for row in rows if row["outcome"] == states.FIRING}
    verdict.faults += [
        f"{schedule.name}: run {run['id']} is on no record"
        for run in made
        if run["id"] not in known and run["parameters"]["due"] not in unwritten
    ]
    verdict.faults += [
        f"{schedule.name}: {row['due']} says it ran, and there is no run"
        for row in rows
        if row["outcome"] in (states.RAN, states.LATE) and row["due"] not in ran
    ]


def main() -> int:
    """Print the verdict; 1 if the rule was broken."""
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        verdict = torment(Path(folder), chosen.kills, chosen.seed)
    sys.stdout.write("\n".join(verdict.lines()) + "\n")
    return int(bool(verdict.faults))


if __name__ == "__main__":
    sys.exit(main())
