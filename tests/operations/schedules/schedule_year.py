"""Does every due tick come to exactly one end in a whole year? A year of a turned clock in seconds, as a table.

python -m tests.operations.schedules.schedule_year [--schedules 500]

2024, a leap year. Daily and weekly schedules, fired in UTC and shown in Berlin, New York and UTC, over both shifts of
the clock; outages of 10 s, 6 h and 9 days under each catch-up policy; the clock set back one hour and forward one day.
What should have been due is worked out here by calendar alone, not by the triggers that are on trial. The exit code
is 1 if a single due instant is on record twice or not at all, or ran twice.
"""

from __future__ import annotations

import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from ffe_core.operations.schedules.due import CATCH_UPS
from ffe_core.storage.state import schedules as schedule_states
from ffe_core.storage.state.schedules import Schedule
from tests.operations.schedules.harness import Clock, World

ZONES = ("Europe/Berlin", "America/New_York", "UTC")
HOURS = (1, 2, 6, 13)
WEEKDAYS = ("mon", "sun")
_FIRST, _LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Planned:
    """A schedule and the instants at which it should be due."""

    schedule: Schedule
    kind: str
    dues: tuple[int, ...]


@dataclass(frozen=True)
class Disturbance:
    """A time without a scheduler, or a jump of the clock: from `start` the world is next looked at as of `end`."""

    name: str
    start: datetime
    end: datetime
    alive: bool = False


DISTURBANCES = (
    Disturbance("down 10 s", datetime(2024, 2, 29, 6, 29, 55, tzinfo=UTC), datetime(2024, 2, 29, 6, 30, 5, tzinfo=UTC)),
    Disturbance("down 6 h", datetime(2024, 3, 31, 0, 45, tzinfo=UTC), datetime(2024, 3, 31, 6, 45, tzinfo=UTC)),
    Disturbance(
        "clock back 1 h", datetime(2024, 5, 5, 6, 31, tzinfo=UTC), datetime(2024, 5, 5, 5, 31, tzinfo=UTC), True
    ),
    Disturbance("down 9 days", datetime(2024, 7, 1, 12, tzinfo=UTC), datetime(2024, 7, 10, 12, tzinfo=UTC)),
    Disturbance("clock on 1 day", datetime(2024, 9, 1, 12, tzinfo=UTC), datetime(2024, 9, 2, 12, tzinfo=UTC), True),
)


def plan(world: World, count: int) -> list[Planned]:
    """Daily schedules, every seventh one weekly, in all zones and under all catch-up policies."""
    found = []
    for number in range(count):
        hour, weekly = HOURS[number % len(HOURS)], number % 7 == 6
        weekday = WEEKDAYS[number // 7 % len(WEEKDAYS)]
        schedule = world.add(
            f"schedule {number:03d}",
            pairs=(f"P{number:03d}USD",),
            trigger=f"cron 30 {hour} * * {weekday if weekly else '*'}",
            zone=ZONES[number % len(ZONES)],
            catch_up=CATCH_UPS[number // 3 % len(CATCH_UPS)],
        )
        dues = tuple(_by_calendar(hour, weekday if weekly else None))
        found.append(Planned(schedule, f"weekly {weekday}" if weekly else "daily", dues))
    return found


def _by_calendar(hour: int, weekday: str | None) -> Iterable[int]:
    """The epoch seconds of every day, or of one weekday, at half past `hour` UTC."""
    day = date(2024, 1, 1)
    while day < _LAST.date():
        if weekday is None or f"{day:%a}".lower() == weekday:
            yield int(datetime(day.year, day.month, day.day, hour, 30, tzinfo=UTC).timestamp())
        day += timedelta(1)


def live_through(world: World) -> None:
    """The year, disturbed."""
    for disturbance in DISTURBANCES:
        world.run_until(disturbance.start.timestamp())
        if not disturbance.alive:
            world.crash()
        world.clock.at = disturbance.end.timestamp()
        world.scheduler.poll()
    world.run_until(_LAST.timestamp() - 1)
    world.scheduler.poll()


@dataclass(frozen=True)
class Findings:
    """What a year came to: a table of disturbances, one of local times, and all that broke the rule."""

    disturbed: list[list[str]]
    shown: list[list[str]]
    faults: list[str]
    ticks: int


def evaluate(world: World, planned: Sequence[Planned]) -> Findings:
    """Compare the record with what the calendar says."""
    faults, total = [], 0
    records = {one.schedule.id: world.outcomes(one.schedule.id) for one in planned}
    ran_twice = [key for key, times in _runs(world).items() if times > 1]
    faults += [f"schedule {one} ran {due} more than once" for one, due in ran_twice]
    for one in planned:
        recorded = Counter(due for due, _ in records[one.schedule.id])
        total += len(one.dues)
        for due in sorted(set(one.dues) ^ set(recorded)):
            faults.append(f"{one.schedule.name}: {due} is {'not on record' if due in one.dues else 'made up'}")
        faults += [f"{one.schedule.name}: {due} is on record {n} times" for due, n in recorded.items() if n > 1]
    disturbed = [
        _row(disturbance, policy, planned, records, world) for disturbance in DISTURBANCES for policy in CATCH_UPS
    ]
    return Findings([_HEAD, *disturbed], _shown(planned, records), faults, total)


_HEAD = ["disturbance", "catch-up", "due", "ran", "late", "missed", "filled", "twice", "lost"]


def _row(
    disturbance: Disturbance,
    policy: str,
    planned: Sequence[Planned],
    records: dict[int, list[tuple[int, str]]],
    world: World,
) -> list[str]:
    """What became of the instants inside one disturbance (for a clock set back: in the hour lived twice)."""
    first, last = sorted((disturbance.start.timestamp(), disturbance.end.timestamp()))
    chosen = [one for one in planned if one.schedule.catch_up == policy]
    due = Counter({(one.schedule.id, at): 1 for one in chosen for at in one.dues if first <= at <= last})
    found = [
        (one.schedule.id, at, what) for one in chosen for at, what in records[one.schedule.id] if first <= at <= last
    ]
    on_record, what = Counter((one, at) for one, at, _ in found), Counter(outcome for _, _, outcome in found)
    filled = sum(
        row.count
        for one in chosen
        for row in world.ticks(one.schedule.id)
        if row.outcome == schedule_states.MISSED and row.filled_by and first <= row.due <= last
    )
    twice = (on_record - due).total() + sum(n > 1 for key, n in _runs(world).items() if key in due)
    counts = [
        due.total(),
        what[schedule_states.RAN],
        what[schedule_states.LATE],
        what[schedule_states.MISSED],
        filled,
        twice,
        (due - on_record).total(),
    ]
    return [disturbance.name, policy, *map(str, counts)]


def _runs(world: World) -> Counter[tuple[int, int]]:
    return Counter((run.schedule_id, run.due) for run in world.runs.started.values() if run.kind == schedule_states.DUE)


def _shown(planned: Sequence[Planned], records: dict[int, list[tuple[int, str]]]) -> list[list[str]]:
    """For each kind, hour and zone: due and on record, and at which local times they were shown, how often each."""
    rows = [["schedule", "shown in", "due", "on record", "local times (how often)"]]
    seen = set()
    for one in planned:
        key = (one.kind, one.schedule.trigger, one.schedule.zone)
        if key in seen:
            continue
        seen.add(key)
        zone = ZoneInfo(one.schedule.zone)
        dues = [at for at, _ in records[one.schedule.id]]
        local = Counter(f"{datetime.fromtimestamp(at, zone):%H:%M %Z}" for at in dues)
        times = ", ".join(f"{text} ({n})" for text, n in local.items())
        rows.append(
            [
                f"{one.kind} {one.schedule.trigger[5:10].strip()} UTC",
                one.schedule.zone,
                str(len(one.dues)),
                str(len(dues)),
                times,
            ]
        )
    return [rows[0], *sorted(rows[1:])]


def year(folder: Path, count: int) -> Findings:
    """Plan, live through and evaluate a year of `count` schedules."""
    world = World(folder, Clock(_FIRST.timestamp() - 1))
    planned = plan(world, count)
    live_through(world)
    return evaluate(world, planned)


def _lines(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def main() -> int:
    """Print the tables; 1 if the rule was broken."""
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--schedules", type=int, default=500)
    chosen = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = year(Path(folder), chosen.schedules)
    took = time.perf_counter() - began
    lines = [
        *_lines(found.shown),
        "",
        *_lines(found.disturbed),
        "",
        f"{chosen.schedules} schedules, {found.ticks:,} due fires in 2024, {took:.1f} s",
        "every due tick is on record exactly once and none ran twice" if not found.faults else "BROKEN:",
        *found.faults[:20],
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return int(bool(found.faults))


if __name__ == "__main__":
    sys.exit(main())
