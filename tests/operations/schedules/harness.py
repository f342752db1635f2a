"""Shares what tests of schedules need: a scheduler over a real database, a clock to turn, runs that only pretend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ffe_core.errors import SeriesHeld
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.schedules.due import instants
from ffe_core.operations.schedules.engine import Scheduler
from ffe_core.operations.schedules.requests import Plans
from ffe_core.operations.schedules.runs import Failure
from ffe_core.operations.schedules.service import Draft, Schedules
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state import schedules as schedule_states
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.instruments import InstrumentStore
from ffe_core.storage.state.schedules import Schedule, ScheduleStore
from ffe_core.storage.state.watchlists import Watchlists
from ffe_core.times import parse_instant


@dataclass
class Clock:
    """A clock that stands where it is put."""

    at: float

    @classmethod
    def on(cls, text: str) -> Clock:
        """A clock at an ISO time."""
        return cls(float(parse_instant(text)))

    def __call__(self) -> float:
        return self.at


@dataclass(frozen=True)
class Started:
    """A run that was asked for."""

    schedule_id: int
    request: BackfillRequest
    kind: str
    due: int
    actor: str


@dataclass
class FakeRuns:
    """Runs without work: each ends in `ends_in` at once, unless held active by `holds`."""

    ends_in: str = run_states.COMPLETE
    holds: bool = False
    started: dict[int, Started] = field(default_factory=dict)
    ended: dict[int, str] = field(default_factory=dict)
    busy_series: dict[Series, int] = field(default_factory=dict)
    why: Failure = field(default_factory=lambda: Failure("the provider answered HTTP 500"))
    refuse: Exception | None = None
    dead_letters: int = 0
    adoptions: int = 0

    def start(self, schedule: Schedule, request: BackfillRequest, kind: str, due: int, actor: str) -> int:
        if self.refuse is not None:
            raise self.refuse
        if any(series in self.busy_series for series in request.series):
            raise SeriesHeld("a series is being worked on", "another run")
        run_id = len(self.started) + 1
        self.started[run_id] = Started(schedule.id, request, kind, due, actor)
        if not self.holds:
            self.ended[run_id] = self.ends_in
        return run_id

    def end(self, run_id: int, state: str | None = None) -> None:
        self.ended[run_id] = state or self.ends_in

    def find(self, schedule: Schedule, kind: str, due: int) -> int | None:
        wanted = (schedule.id, kind, due)
        return next((n for n, run in self.started.items() if (run.schedule_id, run.kind, run.due) == wanted), None)

    def states(self, run_ids: Sequence[int]) -> Mapping[int, str]:
        return {n: self.ended.get(n, run_states.RUNNING) for n in run_ids if n in self.started}

    def adopt_dead(self) -> None:
        self.adoptions += 1

    def busy(self, series: Sequence[Series]) -> Mapping[Series, int]:
        return {one: self.busy_series[one] for one in series if one in self.busy_series}

    def failure(self, run_id: int) -> Failure:
        return self.why

    def new_dead_letters(self, since: float) -> int:
        return self.dead_letters


@dataclass
class Told:
    """Messages that were passed on."""

    messages: list[tuple[str, str]] = field(default_factory=list)

    def tell(self, event: str, text: str, **details: Any) -> None:
        self.messages.append((event, text))

    def check_threshold(self, since: Callable[[float], int]) -> None:
        since(0.0)

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self.messages]


class Present:
    """What a forecast takes for stored: marks by pair, one first young bar for all, nothing known of first bars."""

    def __init__(self, world: World, marks: Mapping[str, Watermarks], young: int | None = None) -> None:
        self._marks, self._young = marks, young
        self.instruments = InstrumentStore(world.database)

    def marks(self, series: Series) -> Watermarks:
        return self._marks[series.asset_pair]

    def first_young(self, series: Series, marks: Watermarks, settle: int) -> int | None:
        return self._young if settle else None


class World:
    """One data directory, one scheduler at a time; `crash` replaces it by one that knows only the database."""

    def __init__(self, folder: Path, clock: Clock, most_runs: int = 1_000) -> None:
        self.clock, self.runs, self.told, self._most_runs = clock, FakeRuns(), Told(), most_runs
        self.database = Database(folder / "console.db")
        self.store = ScheduleStore(self.database)
        self.watchlists = Watchlists(self.database)
        self.plans = Plans(Settings.load({"data_dir": str(folder)}), self.watchlists)
        self.verbs = Schedules(self.store, self.plans, self.runs, Audit(self.database), clock=clock)
        self.crash()

    def crash(self) -> None:
        """Another leader takes over."""
        self.scheduler = Scheduler(
            self.store, self.plans, self.runs, self.told, clock=self.clock, most_runs=self._most_runs
        )
        self.scheduler.adopt()

    def add(self, name: str = "one", **values: Any) -> Schedule:
        """A schedule of one simulated series, every minute unless told otherwise."""
        given = {"provider": "simulated", "pairs": ("BTCUSD",), "timeframes": ("1h",), "trigger": "every 1", **values}
        if "watchlist" in values:
            given = {**given, "provider": "", "pairs": (), "timeframes": ()}
        return self.verbs.create(Draft(name, **given), "ann")

    def run_until(self, end: float) -> None:
        """Turn the clock to `end`, stopping wherever something is due."""
        while (due := self.store.next_due()) is not None and due <= end:
            self.clock.at = max(self.clock.at, float(due))
            self.scheduler.poll()
        self.clock.at = end
        self.scheduler.poll()

    def ticks(self, schedule_id: int) -> list[Any]:
        """The ticks of a schedule, oldest first."""
        return list(reversed(self.store.ticks(schedule_id, limit=1_000_000)[0]))

    def outcomes(self, schedule_id: int) -> list[tuple[int, str]]:
        """Every due instant on record with what became of it, oldest first."""
        schedule = self.store.get(schedule_id)
        assert schedule is not None
        trigger = self.plans.trigger(schedule)
        rows = [row for row in self.ticks(schedule_id) if row.kind == schedule_states.DUE]
        return [(due, row.outcome) for row in rows for due in instants(row, trigger)]
