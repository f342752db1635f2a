"""Clock trials: backfill to now under a wrong clock, then under the right one.

No unfinished bar stays for final, and no bar is left out. The exchange lives in its own time: it shows an hour for each
of two backfills, and the product's clock lies so many seconds off it in the first.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.reliability.trials import Trials, in_threads
from tests.reliability.venues import VENUES, Venue, of_lake
from tests.reliability.verdict import Fault, Tally, of_ending

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
SKEWS = tuple(
    sign * seconds
    for seconds in (_MINUTE, 2 * _MINUTE, 4 * _MINUTE, 10 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 10 * _DAY, 400 * _DAY)
    for sign in (1, -1)
)
"""How many seconds the clock is ahead in the first backfill."""


@dataclass(frozen=True)
class Clock:
    """A venue, and by how many seconds the clock is ahead."""

    venue: Venue
    skew: int

    def __str__(self) -> str:
        return f"{self.venue.provider}: the clock is {abs(self.skew):,} s {'ahead' if self.skew > 0 else 'behind'}"


def run(trials: Trials, tally: Tally) -> None:
    """Every venue under every clock."""
    these(trials, tally, [Clock(venue, skew) for venue in VENUES for skew in SKEWS])


def these(trials: Trials, tally: Tally, clocks: Sequence[Clock]) -> None:
    """Just these, some at once."""
    with tally.timed("clocks"), ThreadPoolExecutor(in_threads()) as pool:
        for faults in pool.map(lambda clock: one(trials, clock), clocks):
            tally.add("clocks", 1, faults)


def one(trials: Trials, clock: Clock) -> list[Fault]:
    """Backfill under the wrong clock, and two bars later under the right one."""
    venue, tried = clock.venue, str(clock)
    later = 0

    def now() -> float:
        return time.time() + later

    with venue.running(now) as exchange, trials.place() as place:
        # To a midnight that no clock has reached: what is not closed yet is cut by whoever knows the time.
        arguments = venue.arguments(venue.end + 3 * _DAY)
        wrong = trials.verb(place, *arguments, env=venue.env(exchange), clock=clock.skew)
        faults = of_ending(tried, wrong)
        later = 2 * venue.step + 5 * _MINUTE
        right = trials.verb(place, *arguments, env=venue.env(exchange), clock=later)
        closed = int(now() - 2 * _MINUTE) // venue.step * venue.step
        found = trials.state(place)
        if "rows" in found:  # a bar that closed between the two looks at the clock may be there or not
            found["rows"] = [row for row in found["rows"] if row[3] < closed]
        return faults + of_ending(f"{tried}, then right", right) + _of_lake(tried, found, venue, closed)


def _of_lake(tried: str, found: dict[str, object], venue: Venue, closed: int) -> list[Fault]:
    """Every closed bar of the market is stored with its final values; a version before it may have been another."""
    rows: list[list[object]] = found.get("rows", [])  # type: ignore[assignment]
    newest = {row[3]: row for row in sorted(rows, key=lambda row: row[-1])}  # type: ignore[arg-type,return-value]
    return of_lake(f"{tried}, then right", {**found, "rows": list(newest.values())}, venue.wanted(closed), whole=True)
