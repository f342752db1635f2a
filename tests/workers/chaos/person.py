"""The person at the consoles: starts the backfill piece by piece, and continues what was interrupted."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ffe_core import times
from ffe_core.storage.state import runs as run_states
from tests.workers.chaos.console import Console
from tests.workers.chaos.market import Venue

BATCH = 25
"""Series of one run, at most."""
STALE_SECONDS = 120.0
"""For how long a run may say that it goes on after its console has died: several leases, as whoever takes it for dead
may die as well."""
_THINKS_SECONDS = 4.0
"""How long a person takes to see that a run has ended, and before a click is tried again."""


class Batch(NamedTuple):
    """What one run is asked for."""

    venue: Venue
    pairs: list[str]


class SeriesRow(NamedTuple):
    """What a run says of one series."""

    run: int
    pair: str
    timeframe: str
    provider: str
    state: str
    stored: int | None
    unexplained: int | None
    records: int
    ended_at: float | None
    code: str | None
    failed: int = 0


class RunRow(NamedTuple):
    """What the state says of a run."""

    id: int
    state: str
    owner: str
    actor: str
    error: str | None


RUNS = "SELECT id, state, owner, actor, error FROM runs WHERE kind = 'backfill' ORDER BY id"
UNCOUNTED = f"SELECT run_id FROM run_series WHERE phase = '{run_states.COUNTING}' AND ended_at IS NOT NULL LIMIT 1"
SERIES = (
    "SELECT run_id, asset_pair, timeframe, s.provider, s.state, stored, unexplained, records, s.ended_at, s.error_code,"
    " failed_records"
    " FROM run_series s JOIN runs r ON r.id = run_id WHERE kind = 'backfill'"
)


@dataclass
class _Click:
    """Something asked of a console, by the name of who asks: a run of that name is the one it made."""

    words: Mapping[str, Any]
    answer: Future[dict[str, Any]] | None = None
    not_before: float = 0.0


def batches(venues: list[Venue], kills: int) -> list[Batch]:
    """The series in pieces of one provider, providers in turns."""
    size = max(3, min(BATCH, 4 * sum(len(venue.pairs) for venue in venues) // kills))
    pieces = [
        [Batch(venue, venue.pairs[at : at + size]) for at in range(0, len(venue.pairs), size)] for venue in venues
    ]
    most = max(map(len, pieces))
    # Each provider's spread evenly over the whole.
    placed = [(number * most / len(of), of[number]) for of in pieces for number in range(len(of))]
    return [batch for _, batch in sorted(placed, key=lambda one: one[0])]


@dataclass
class Person:
    """Clicks until all series have come to their end; `query` asks the state, which may be gone."""

    query: Callable[[str], list[tuple[Any, ...]] | None]
    faults: list[str] = field(default_factory=list)
    continued: int = 0
    stored: int = 0
    """Candles that all runs together say they have stored."""
    twice: set[str] = field(default_factory=set)
    """What more than one run was made of, though it was asked for once at a time."""
    _clicks: dict[str, _Click] = field(default_factory=dict)
    _stale: dict[int, float] = field(default_factory=dict)
    _wanted: dict[tuple[str, str], bool] = field(default_factory=dict)

    def wish(self, number: int, batch: Batch) -> None:
        """Want a piece to be stored."""
        venue = batch.venue
        words = [venue.provider, batch.pairs, [venue.timeframe], times.iso(venue.start), times.iso(venue.end)]
        self._clicks[f"batch {number}"] = _Click({"verb": "start", "words": words})
        self._wanted.update({(pair, venue.provider): False for pair in batch.pairs})

    @property
    def left(self) -> int:
        """How many series have not come to their end yet."""
        return sum(not done for done in self._wanted.values())

    def step(self, consoles: Mapping[str, Console]) -> None:
        """Look at the runs, and click what there is to click."""
        runs, series = self.query(RUNS), self.query(SERIES)
        if runs is None or series is None:
            return
        found = [RunRow(*row) for row in runs]
        rows = [SeriesRow(*row) for row in series]
        self.stored = sum(row.records for row in rows)
        for row in rows:
            if row.state in (run_states.COMPLETE, run_states.GAPS):
                self._wanted[row.pair, row.provider] = True
        self._watch(found, consoles)
        twice = [name for name, count in Counter(run.actor for run in found).items() if count > 1]
        self.twice |= set(twice)
        self._continue(found, rows)
        self._click({run.actor for run in found}, consoles)

    def _continue(self, runs: list[RunRow], rows: list[SeriesRow]) -> None:
        states: dict[int, set[str]] = defaultdict(set)
        for row in rows:
            states[row.run].add(row.state)
        for run in runs:
            if run.state in run_states.ACTIVE:
                continue
            if states[run.id] & {run_states.INTERRUPTED, run_states.CANCELLED}:
                self._want(f"resume {run.id}", {"verb": "resume", "run": run.id})
            if run_states.FAILED in states[run.id]:
                self._want(f"retry {run.id}", {"verb": "retry", "run": run.id})

    def _want(self, name: str, words: Mapping[str, Any]) -> None:
        self._clicks.setdefault(name, _Click(words, not_before=time.monotonic() + _THINKS_SECONDS))

    def _click(self, made: set[str], consoles: Mapping[str, Console]) -> None:
        """Ask for what no run is made of, as far as was seen since the last answer."""
        up = [console for console in consoles.values() if console.is_up]
        for number, (name, click) in enumerate(self._clicks.items()):
            if name in made:
                continue
            if click.answer is not None:
                if click.answer.done():
                    self._note(name, click.answer)
                    click.answer = None
            elif up and time.monotonic() >= click.not_before:
                click.answer = up[number % len(up)].ask(**click.words, actor=name)
                click.not_before = time.monotonic() + _THINKS_SECONDS
                self.continued += click.words["verb"] != "start"

    def _note(self, name: str, answer: Future[dict[str, Any]]) -> None:
        """What was answered to a click that made no run: only what passes by itself is no fault."""
        if not answer.done() or answer.exception() is not None:
            return
        told = answer.result()
        if "error" in told and told["code"] not in _PASSES:
            self.faults.append(f"{name}: refused with {told['code']}: {told['error']}")

    def _watch(self, runs: list[RunRow], consoles: Mapping[str, Console]) -> None:
        """A run that goes on belongs to a console that lives, or its console has just died."""
        owners = {console.owner for console in consoles.values() if console.is_up}
        stale = {run.id: run for run in runs if run.state in run_states.ACTIVE and run.owner not in owners}
        now = time.monotonic()
        self._stale = {run: self._stale.get(run, now) for run in stale}
        for run, since in self._stale.items():
            if now - since > STALE_SECONDS:
                self._stale[run] = now + 1e9
                self.faults.append(f"run {run} says {stale[run].state} for {STALE_SECONDS:g} s after its console died")


_PASSES = ("series_held", "database_unreachable", "database_locked", "store_unreachable", "lease_lost")
