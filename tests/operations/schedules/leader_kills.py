"""Does every tick come to exactly one end though leaders die? `kill -9`, again and again, with a standby up.

python -m tests.operations.schedules.leader_kills [--kills 50]

Real processes with the real service, runs of the simulated provider and a real database; only the scheduler's clock
runs thirty times as fast, so that minutes pass in seconds. The leader is killed at random moments, every other time
within a tenth of a second after something was due, which is when it has most to lose. Afterwards the record is
compared with what the triggers say was due, and with the runs on record. The exit code is 1 if a due instant is on
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
from ffe_core.storage.state import schedules as schedule_states
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.runs import RunStore
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
    service.scheduler._poll_seconds = 0.05
    service.open()
    sys.stdout.write("up\n")
    sys.stdout.flush()
    while True:
        time.sleep(60)


@dataclass
class ReplayCheck:
    """What the record says: due instants by outcome, take-over times in seconds, and all that broke the rule."""

    kills: int
    outcomes: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    takeovers: list[float] = field(default_factory=list)
    adopted: int = 0
    faults: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The check for people."""
        due = sum(self.outcomes.values())
        ended = ", ".join(f"{name} {count:,}" for name, count in sorted(self.outcomes.items()))
        slowest = max(self.takeovers, default=0.0)
        return [
            f"{self.kills} kills, {due:,} due fires: {ended}",
            f"{self.runs:,} runs; {self.adopted} ticks were found claimed by a dead leader and finished",
            f"take-over: median {statistics.median(self.takeovers or [0.0]):.2f} s, slowest {slowest:.2f} s"
            f" (limit {LIMIT_SECONDS:.0f} s)",
            "every due tick is on record exactly once and none ran twice" if not self.faults else "BROKEN:",
            *self.faults[:20],
        ]


def torment(folder: Path, kills: int, seed: int = 0) -> ReplayCheck:
    """Kill the leader so many times, then evaluate."""
    luck, check, origin = random.Random(seed), ReplayCheck(kills), time.time()
    begun = _plan(folder, origin)
    consoles = [_console(folder, origin)]
    consoles.append(_console(folder, origin))
    try:
        for number in range(kills):
            time.sleep(luck.uniform(0.2, 3.0))
            if number % 2:
                time.sleep(_until_due(origin) + luck.uniform(0.0, 0.1))
            check.takeovers.append(_kill_leader(folder, consoles))
            consoles.append(_console(folder, origin))
        time.sleep(3.0)
    finally:
        for console in consoles:
            console.kill()
            console.communicate()
    _evaluate(folder, begun, check)
    return check


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


def _evaluate(folder: Path, begun: dict[int, int], check: ReplayCheck) -> None:
    database = Database(folder / DATABASE_FILE)
    try:
        store, runs = ScheduleStore(database), RunStore(database)
        plans = Plans(Settings.load({"data_dir": str(folder)}), Watchlists(database))
        for schedule in store.all():
            _evaluate_one(schedule, store, runs, plans, begun[schedule.id], check)
    finally:
        database.close()
    check.faults += [f"a take-over took {took:.2f} s" for took in check.takeovers if took >= LIMIT_SECONDS]


def _evaluate_one(
    schedule: Schedule, store: ScheduleStore, runs: RunStore, plans: Plans, begun: int, check: ReplayCheck
) -> None:
    trigger = plans.trigger(schedule)
    rows = store.ticks(schedule.id, limit=1_000_000)[0]
    on_record = Counter(due for row in rows for due in instants(row, trigger))
    due = {int(at) for at in trigger.dues(begun, schedule.accounted_until)}
    check.faults += [f"{schedule.name}: {at} is not on record" for at in sorted(due - set(on_record))]
    check.faults += [f"{schedule.name}: {at} is on record {n} times" for at, n in on_record.items() if n > 1]
    for row in rows:
        check.outcomes[row.outcome] += row.count
        check.adopted += "its leader ended" in (row.note or "")
    made = [run for run in runs.find(limit=1_000_000)[0] if run.source == schedule.source]
    check.runs += len(made)
    ran = Counter(run.parameters["due"] for run in made)
    check.faults += [f"{schedule.name}: {at} ran {n} times" for at, n in ran.items() if n > 1]
    known = {row.run_id for row in rows}
    unwritten = {row.due for row in rows if row.outcome == schedule_states.FIRING}
    check.faults += [
        f"{schedule.name}: run {run.id} is on no record"
        for run in made
        if run.id not in known and run.parameters["due"] not in unwritten
    ]
    check.faults += [
        f"{schedule.name}: {row.due} says it ran, and there is no run"
        for row in rows
        if row.outcome in (schedule_states.RAN, schedule_states.LATE) and row.due not in ran
    ]


def main() -> int:
    """Print the check; 1 if the rule was broken."""
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        check = torment(Path(folder), chosen.kills, chosen.seed)
    sys.stdout.write("\n".join(check.lines()) + "\n")
    return int(bool(check.faults))


if __name__ == "__main__":
    sys.exit(main())
