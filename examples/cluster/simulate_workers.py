"""How much sooner is a run over with more workers, and what ends that? A simulation of discrete events.

python examples/cluster/simulate_workers.py [--store-ms 5 30 100] [--state-ms 1] [--workers 1 2 4 8 16]

Series are dealt by the product's own code (`ClusterRun`, `Spread`). The rest is a model with what was measured or
counted of the real parts (docs/cluster.md): requests of a commit, processor time of a page and of a file, one commit of
a table after the other, one writer of the state after the other, one pace of a provider. Each worker has a core of its
own. Nothing fails, and nothing jitters: what real machines reach lies below.
"""

from __future__ import annotations

import heapq
import sys
from argparse import ArgumentParser
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from ffe_core.operations.imports.job import ImportJob
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.runs.cluster.cluster_run import ClusterRun
from ffe_core.operations.runs.cluster.machine import Told
from ffe_core.operations.runs.engine import NEWS_SECONDS, News
from ffe_core.operations.runs.work import Job, Work
from ffe_core.series import Series

COMMIT_REQUESTS = 11.0
"""Round trips to the store of a further commit of a table."""
CHECKPOINT_REQUESTS = 3.5
"""The same of a checkpoint, every tenth commit and the next, spread over all."""
FILES_AT_ONCE = 4
"""Data files of a commit that are written side by side, before its place in the log is taken."""
WRITE_TRIPS, WRITE_MS = 3, 1.0
"""Round trips to the state of a write, each alone, and what its server takes for it."""
LEASE_TRIPS = 5
"""To take and give back the lease of a series; writers are not held up by it."""
ROWS_A_COMMIT = 400_000
QUIET_SECONDS = 1.0
"""A small batch waits so long for others of its table."""

Step = Generator[float, None, None]


@dataclass(frozen=True)
class Kind:
    """A run: so many `series` of each of `tables`; `pages` and processor seconds of each for one of them.

    `rate` requests a second are allowed, none for files; an answer takes `answer` seconds, and each series has so many
    pages `in_flight`.
    """

    name: str
    series: int
    tables: int
    pages: int
    cpu: float
    rows: int
    rate: float | None = None
    in_flight: int = 1
    answer: float = 0.15

    def job(self) -> Job:
        """What the product makes of it."""
        frames = ("1m", "5m", "15m", "1h", "1d")[: self.tables]
        series = [Series(f"S{number}USD", frame, "coinbase") for number in range(self.series) for frame in frames]
        if self.rate is None:
            return ImportJob({one: [] for one in series})
        return BackfillRequest("coinbase", tuple(series), 0, 86_400)


# A year of 1m bars takes 0.8 s of a processor to import (tests.benchmarks.import_files); a million candles of pages 1.1
# to 1.6 s (oanda_bytes, coinbase_bytes), and each request 3 ms.
KINDS = (
    Kind("import, a year of 1m each, one table", 400, 1, 1, 0.8, 525_600),
    Kind("import, a year of 1m each, five tables", 80, 5, 1, 0.8, 525_600),
    Kind("backfill at 10 requests a second", 400, 1, 10, 0.0036, 350, 10.0, 32),
    Kind("backfill at 100 requests a second", 400, 5, 10, 0.010, 5_000, 100.0, 2),
)


class Line:
    """What serves one after the other; `busy` is for how long (seconds) it has."""

    def __init__(self) -> None:
        self._free_at = self.busy = 0.0

    def until(self, now: float, seconds: float) -> float:
        """When it is over, asked now and in turn."""
        self._free_at = max(self._free_at, now) + seconds
        self.busy += seconds
        return self._free_at


class Simulation:
    """One run on so many workers; `store` and `state` are seconds of a round trip."""

    def __init__(self, kind: Kind, workers: int, store: float, state: float) -> None:
        self.kind, self.store, self.state = kind, store, state
        self.now = 0.0
        self._events: list[tuple[float, int, Step]] = []
        self._count = 0
        self.cores = {f"w{number}": Line() for number in range(workers)}
        self.tables: dict[str, Line] = defaultdict(Line)
        self.writer, self.pace = Line(), Line()
        self.run = ClusterRun(Work.whole(1, "model", kind.job()), lambda *_: None)
        self._waiting: dict[tuple[str, str], list[Callable[[], None]]] = {}
        self._of: dict[str, str] = {}
        self._unwritten = self._writes = False

    def over(self) -> float:
        """Seconds to the end of the run."""
        self._deal()
        while self._events:
            self.now, _, step = heapq.heappop(self._events)
            self._go_on(step)
        assert self.run.is_over, "the model has stopped in the middle"
        return self.now

    def limit(self, took: float) -> str:
        """What was busy most of the time."""
        shares = {
            "processors": sum(core.busy for core in self.cores.values()) / len(self.cores),
            "commits of a table": max((line.busy for line in self.tables.values()), default=0.0),
            "the state's writer": self.writer.busy,
            "the provider's rate": self.pace.busy,
        }
        name = max(shares, key=shares.__getitem__)
        return f"{name} {shares[name] / took:.0%}"

    # -- what happens

    def _begin(self, step: Step, at: float | None = None) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now if at is None else at, self._count, step))

    def _go_on(self, step: Step) -> None:
        try:
            self._begin(step, next(step))
        except StopIteration:
            return

    def _deal(self) -> None:
        """As `Portions`: a worker with room gets a portion, one in turn."""
        names = list(self.cores)
        while sum(self._deal_one(name, names) for name in names):
            pass

    def _deal_one(self, name: str, names: list[str]) -> bool:
        mine = sum(len(left) for key, left in self.run.under_way.items() if self._of[key] == name)
        if mine >= self.run.work.job.at_once or (work := self.run.next_portion(name, name, names)) is None:
            return False
        self._of[work.key] = name
        self._begin(self._news(work.key))
        at_once = work.job.at_once
        for turn in range(at_once):
            self._begin(self._turn(name, work, work.numbers[turn::at_once]))
        return True

    def _turn(self, name: str, work: Work, numbers: Sequence[int]) -> Step:
        """One series after the other, as one of those that are under way at once."""
        for number in numbers:
            yield self.now + LEASE_TRIPS * self.state
            yield from self._fetched(name) if self.kind.rate is not None else self._computed(name)
            table = work.series[number].table
            ended = self._ended(work.key, name, number)
            if self.kind.rate is None:
                for _ in range(-(-self.kind.rows // ROWS_A_COMMIT)):
                    yield from self._commit(table, 1)
                yield self._written()  # the files that are known
                ended()
            elif (waiting := self._waiting.get((name, table))) is not None:
                waiting.append(ended)
            else:
                self._waiting[name, table] = [ended]
                self._begin(self._gathered(name, table))

    def _computed(self, name: str) -> Step:
        yield self.cores[name].until(self.now, self.kind.cpu)

    def _fetched(self, name: str) -> Step:
        """Pages in order, so many under way."""
        assert self.kind.rate is not None
        answers: deque[float] = deque()
        for number in range(self.kind.pages + self.kind.in_flight):
            if len(answers) == self.kind.in_flight or (answers and number >= self.kind.pages):
                yield max(self.now, answers.popleft())
                yield from self._computed(name)
            if number < self.kind.pages:
                yield self.pace.until(self.now, 1.03 / self.kind.rate)
                answers.append(self.now + self.kind.answer)

    def _gathered(self, name: str, table: str) -> Step:
        """One commit of what is ready in a worker, and what came meanwhile goes into the next."""
        yield self.now + QUIET_SECONDS
        while ready := self._waiting[name, table]:
            self._waiting[name, table] = []
            yield from self._commit(table, len(ready))
            for ended in ready:
                ended()
        del self._waiting[name, table]

    def _commit(self, table: str, files: int) -> Step:
        yield self.now + -(-files // FILES_AT_ONCE) * self.store
        yield self.tables[table].until(self.now, (COMMIT_REQUESTS + CHECKPOINT_REQUESTS) * self.store)

    def _written(self) -> float:
        return self.writer.until(self.now, WRITE_TRIPS * self.state + WRITE_MS / 1_000)

    def _ended(self, key: str, name: str, number: int) -> Callable[[], None]:
        def ended() -> None:
            self.run.hear(key, name, Told(News({number: {"ended_at": self.now}})))
            self._tell()
            if not self.run.under_way[key]:
                self.run.over(key, name, None)
            self._deal()

        return ended

    def _news(self, key: str) -> Step:
        while key in self.run.under_way:
            self._tell()
            yield self.now + NEWS_SECONDS

    def _tell(self) -> None:
        """Have the console write what became of a portion."""
        self._unwritten = True
        if not self._writes:
            self._writes = True
            self._begin(self._console())

    def _console(self) -> Step:
        """Rows, then lines of the log, with all that was told while the last were written."""
        while self._unwritten:
            self._unwritten = False
            yield self._written()
            yield self._written()
        self._writes = False


def rows(kinds: Sequence[Kind], workers: Sequence[int], stores: Sequence[float], state: float) -> list[list[Any]]:
    """A row for each kind and store: how many times as fast as one worker, and what is busy with the most of them."""
    found: list[list[Any]] = []
    for kind in kinds:
        for store in stores:
            took: dict[int, float] = {}
            for count in workers:
                simulation = Simulation(kind, count, store / 1_000, state / 1_000)
                took[count] = simulation.over()
            one = took[workers[0]]
            times = [f"{one / took[count]:.1f}" for count in workers[1:]]
            found.append([kind.name, f"{store:g}", f"{one:,.0f}", *times, simulation.limit(took[workers[-1]])])
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = ArgumentParser(description="Simulate runs on 1 to 16 workers.")
    parser.add_argument("--store-ms", type=float, nargs="+", default=[5.0, 30.0, 100.0], help="of a round trip")
    parser.add_argument("--state-ms", type=float, default=1.0, help="of a round trip")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    chosen = parser.parse_args(arguments)
    more = [f"x{count}" for count in chosen.workers[1:]]
    head = ["run", "store ms", "one worker, s", *more, "busy with the most"]
    for row in (head, ["---"] * len(head), *rows(KINDS, chosen.workers, chosen.store_ms, chosen.state_ms)):
        sys.stdout.write("| " + " | ".join(map(str, row)) + " |\n")


if __name__ == "__main__":
    main()
