"""Run of a cluster: which of its series have ended, who works on the others, and what is told of both."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import Any

from ffe_core.errors import FFEError, WorkersLost
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.operations.runs.cluster.machine import Told
from ffe_core.operations.runs.cluster.spread import Spread
from ffe_core.operations.runs.engine import News
from ffe_core.operations.runs.log import Line
from ffe_core.operations.runs.work import Columns, Work
from ffe_core.results import result_of
from ffe_core.storage.state import runs as run_states

Tell = Callable[..., None]
_TAKE_OVER_SECONDS = 60.0
"""How long the lease of a series is waited for that a lost machine may still hold: several times what one lasts."""
_MOST_LOST = 3
"""How many machines may be lost with a series: one that ends each of them is not handed on for ever."""


class ClusterRun:
    """One run that is spread over machines. Each of its series ends once, whoever else works on it."""

    def __init__(self, work: Work, tell: Tell) -> None:
        self.work = work
        self._tell = tell
        self._open = work.series
        self._spread = Spread(self._open, at_once=work.job.at_once, whole=work.priority)
        self._done: dict[int, SeriesResult] = {}
        self._lost: Counter[int] = Counter()
        self._refused: dict[str, str] = {}
        self.under_way: dict[str, set[int]] = {}
        """The series of each portion that some machine works on, by its key."""
        self._portions = 0
        self.is_cancelled = False
        self.waits_since: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether nobody works on it any more, and nobody will."""
        return not self.under_way and (self.is_cancelled or not self._open)

    def next_portion(self, machine: str, name: str, machines: Collection[str]) -> Work | None:
        """Work for a machine, one of `machines`, that people know by a name; None if there is none."""
        numbers = [] if machine in self._refused else self._spread.take(machine, machines)
        if not numbers:
            return None
        self._portions += 1
        key = f"{self.work.key}/{self._portions}"
        self.under_way[key] = set(numbers)
        self._told({number: {"machine": name} for number in numbers})
        again = frozenset(number for number in numbers if self._lost[number])
        return self.work.share(
            key,
            numbers,
            earlier={number: self._done[number] for number in numbers if number in self._done},
            lease_wait=max(self.work.lease_wait, _TAKE_OVER_SECONDS if again else 0.0),
            again=again,
        )

    def hear(self, key: str, machine: str, told: Told) -> None:
        """Pass on what a machine told of a portion."""
        self.waits_since = None
        mine = {number: told.news.changes[number] for number in told.news.changes.keys() & self.under_way[key]}
        self._done.update({number: done for number, done in told.done.items() if number in mine})
        for number, columns in mine.items():
            if columns.get("ended_at") is not None:
                self.under_way[key].discard(number)
                self._ended(number)
        lines = [Line(line.at, line.level, f"{machine}: {line.text}") for line in told.news.lines]
        self._told(mine, lines)

    def over(self, key: str, machine: str, why: str | None, *, was_lost: bool = True) -> None:
        """A portion is over; what has not ended of it waits for another machine, unless the run is cancelled.

        `was_lost` is whether the machine may have ended because of it, and not only said that it cannot work on it.
        """
        left = self.under_way.pop(key)
        if not left or self.is_cancelled:
            return
        if was_lost:
            self._lost.update(left)
        for_good = {number for number in left if self._lost[number] >= _MOST_LOST}
        self._spread.give_back(left - for_good)
        waiting: Columns = {"state": run_states.QUEUED, "phase": None, "machine": None}
        self._told({number: dict(waiting) for number in left - for_good} | {n: self._failed(n) for n in for_good})
        self.say(f"{machine}: {why or 'a part of its work was cut off'}; {len(left)} of its series go on", "warning")

    def refuse(self, machine: str, why: str) -> None:
        """Give no more of this run to a machine that says it cannot work on it."""
        self._refused[machine] = why

    def refused_by(self, machines: Collection[str]) -> str | None:
        """Why none of the machines can work on it; None if one may, or there is none."""
        if self.under_way or not machines or not all(machine in self._refused for machine in machines):
            return None
        return self._refused[min(machines)]

    def cancel(self) -> None:
        """Begin nothing more."""
        self.is_cancelled = True
        self._spread.clear()

    def waits_for_workers(self, seconds: float, address: str) -> bool:
        """Whether it has waited for a machine that works longer than so many seconds; that it waits is said once."""
        if self.under_way or not self._spread.waiting:
            return False
        if self.waits_since is None:
            self.waits_since = time.monotonic()
            self.say(f"no worker is there that can work; it waits for one: ffe worker --address {address}", "warning")
        return time.monotonic() - self.waits_since > seconds

    def say(self, text: str, level: str = "info") -> None:
        """Add a line to the log of the run."""
        self._told({}, [Line(time.time(), level, text)])

    def end(self, failure: FFEError | None = None) -> None:
        """Tell that it is over."""
        self._tell(self.work.key, failure)

    def _ended(self, number: int) -> None:
        self._open.pop(number)
        self._spread.end(number)

    def _failed(self, number: int) -> Columns:
        series = self._open[number]
        self._ended(number)
        error = f"{series}: {_MOST_LOST} machines were lost while they worked on it; look at their memory and disks"
        result = {**result_of(series, "error"), "error": error, "error_code": WorkersLost.code}
        how = {"state": run_states.FAILED, "error": error, "error_code": WorkersLost.code, "next_step_code": "see_log"}
        return {**how, "ended_at": time.time(), "phase": run_states.COUNTING, "result": result}

    def _told(self, changes: dict[int, Columns], lines: Iterable[Any] = ()) -> None:
        self._tell(self.work.key, News(changes, list(lines)))
