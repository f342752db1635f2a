"""How are series dealt to machines? Each once, in portions of one table, so that all end together."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.errors import DatabaseError, FFEError, InputError
from ffe_core.ingestion.multi_asset_batch_ingester import SERIES_AT_ONCE
from ffe_core.ingestion.series_result import Counts, SeriesResult
from ffe_core.operations.runs.backfill import BackfillRequest, Work
from ffe_core.operations.runs.cluster.cluster_run import ClusterRun
from ffe_core.operations.runs.cluster.machine import Cannot, Told
from ffe_core.operations.runs.cluster.portions import Portions, Worker
from ffe_core.operations.runs.cluster.spread import Spread, home
from ffe_core.operations.runs.engine import News
from ffe_core.series import Series
from ffe_core.storage.state.faults import UNREACHABLE

FRAMES = ("1m", "1h", "1d")
MACHINES = ("north", "south", "west")


def series(frames: list[str]) -> dict[int, Series]:
    return {number: Series(f"P{number}USD", frame, "simulated") for number, frame in enumerate(frames)}


@given(st.lists(st.sampled_from(FRAMES), max_size=200), st.lists(st.sampled_from([*MACHINES, "lost"]), max_size=60))
def test_each_series_is_dealt_once_and_again_only_if_given_back(frames: list[str], turns: list[str]) -> None:
    spread, under_way, ended = Spread(series(frames), at_once=SERIES_AT_ONCE), dict[str, list[int]](), list[int]()
    for machine in [*turns, *MACHINES * 200]:
        if machine == "lost":
            for numbers in under_way.values():
                spread.give_back(numbers)
            under_way.clear()
            continue
        ended += under_way.pop(machine, [])
        taken = under_way[machine] = spread.take(machine, MACHINES)
        assert len({frames[number] for number in taken}) <= 1  # one table
        held = [number for numbers in under_way.values() for number in numbers]
        assert len(held) == len(set(held))
        assert not set(held) & set(ended)
    assert sorted(ended) == list(range(len(frames)))


def test_portions_are_large_first_and_small_in_the_end() -> None:
    spread, sizes = Spread(series(["1h"] * 500), at_once=SERIES_AT_ONCE), []
    while taken := spread.take(MACHINES[len(sizes) % 2], MACHINES[:2]):
        sizes.append(len(taken))
    assert sizes[0] == 125
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes[-3:]) <= SERIES_AT_ONCE
    assert len(sizes) < 50


def test_few_series_are_shared_out() -> None:
    spread = Spread(series(["1h"] * 4), at_once=SERIES_AT_ONCE)
    assert [len(spread.take(machine, MACHINES[:2])) for machine in MACHINES[:2]] == [2, 1]


def test_machines_begin_with_tables_of_their_own() -> None:
    spread = Spread(series(["1m", "1h"] * 40), at_once=SERIES_AT_ONCE)
    first, second = (spread.take(machine, MACHINES[:2]) for machine in MACHINES[:2])
    assert {number % 2 for number in first} != {number % 2 for number in second}


@given(st.lists(st.sampled_from(FRAMES), min_size=1, max_size=60), st.permutations(MACHINES))
def test_a_table_of_a_short_run_goes_whole_to_one_machine(frames: list[str], order: list[str]) -> None:
    spread = Spread(series(frames), at_once=SERIES_AT_ONCE, whole=True)
    for machine in order:
        taken = set[int]()
        while some := spread.take(machine, MACHINES):
            taken |= set(some)
        assert taken == {n for n, frame in enumerate(frames) if home(frame, MACHINES) == machine}


def test_few_tables_move_when_a_machine_is_gone() -> None:
    for table in map(str, range(100)):
        if (was := home(table, MACHINES)) != "west":
            assert home(table, MACHINES[:2]) == was


# -- a run over machines that come and go


class Heard:
    """A run of six series, and what was told of it."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.lines: list[str] = []
        self.ended: list[FFEError | None] = []
        request = BackfillRequest("simulated", tuple(series(["1h"] * 6).values()), 0, 86_400)
        self.run = ClusterRun(Work.whole(7, "ann", request), self._tell)

    def _tell(self, key: str, told: Any) -> None:
        assert key == "7"
        if not isinstance(told, News):
            self.ended.append(told)
            return
        self.lines += [line.text for line in told.lines]
        for number, columns in told.changes.items():
            self.rows.setdefault(number, {}).update(columns)

    def portion(self, machine: str) -> Work:
        made = self.run.next_portion(machine, machine, MACHINES[:1])
        assert made is not None
        return made


def ends(*numbers: int) -> Told:
    return Told(News({number: {"state": "complete", "ended_at": 1.0} for number in numbers}))


def test_what_a_lost_machine_leaves_goes_on_with_its_counts() -> None:
    heard = Heard()
    first = heard.portion("north")
    one, other, *_ = first.numbers
    so_far = SeriesResult(first.job.series[1], 0, 1, counts=Counts(received=5, stored=5))
    heard.run.hear(first.key, "north", ends(one))
    heard.run.hear(first.key, "north", Told(News({other: {"records": 5}}), done={other: so_far}))
    heard.run.over(first.key, "north", "it is lost")
    assert heard.rows[one]["state"] == "complete"
    assert (heard.rows[other]["state"], heard.rows[other]["machine"]) == ("queued", None)
    again = heard.portion("south")
    assert one not in again.numbers
    assert again.earlier == {other: so_far}
    assert (first.again, again.again) == (frozenset(), frozenset(again.numbers) & frozenset(first.numbers))
    assert again.ingestion_of(first.job.series[1]) == first.ingestion_of(first.job.series[1])
    assert again.lease_wait > first.lease_wait  # the lost one's lease may last a while
    heard.run.hear(again.key, "south", ends(one, *again.numbers))
    assert heard.rows[one]["machine"] == "north"  # it has ended, whatever is told after


def test_a_series_that_ends_each_machine_is_given_up() -> None:
    heard = Heard()
    for machine in MACHINES:
        while (portion := heard.run.next_portion(machine, machine, MACHINES)) is not None:
            heard.run.over(portion.key, machine, "it is lost")
            if all(row["state"] == "failed" for row in heard.rows.values()) and len(heard.rows) == 6:
                break
    assert {row["state"] for row in heard.rows.values()} == {"failed"}
    assert {row["error_code"] for row in heard.rows.values()} == {"workers_lost"}
    assert heard.run.is_over


def test_a_machine_that_cannot_is_asked_no_more_and_the_run_says_why_if_none_can() -> None:
    heard = Heard()
    portion = heard.portion("north")
    heard.run.refuse("north", "north: no key is set")
    assert heard.run.refused_by(["north"]) is None  # it still works on something
    heard.run.over(portion.key, "north", "no key is set")
    assert heard.run.next_portion("north", "north", ["north", "south"]) is None
    assert heard.run.refused_by(["north", "south"]) is None
    assert heard.run.refused_by(["north"]) == "north: no key is set"


def test_a_cancelled_run_is_over_when_its_portions_are() -> None:
    heard = Heard()
    portion = heard.portion("north")
    heard.run.cancel()
    assert not heard.run.is_over
    assert heard.run.next_portion("south", "south", MACHINES) is None
    heard.run.over(portion.key, "north", None)
    assert heard.run.is_over


@pytest.mark.parametrize(("patience", "gives_up"), [(3600.0, False), (-1.0, True)])
def test_a_run_without_a_worker_says_once_what_it_waits_for(patience: float, gives_up: bool) -> None:
    heard = Heard()
    assert [heard.run.waits_for_workers(patience, "head:6379") for _ in range(2)] == [gives_up] * 2
    assert sum("ffe worker --address head:6379" in line for line in heard.lines) == 1
    heard.portion("north")
    assert not heard.run.waits_for_workers(-1.0, "head:6379")


def test_one_that_says_it_cannot_is_not_one_that_was_lost() -> None:
    heard = Heard()
    for _ in range(5):
        portion = heard.portion("north")
        heard.run.over(portion.key, "north", "the database cannot be reached", was_lost=False)
    assert {row["state"] for row in heard.rows.values()} == {"queued"}


def test_a_run_that_nobody_can_work_on_gives_up_though_it_is_tried() -> None:
    heard = Heard()
    assert not heard.run.waits_for_workers(3600.0, "head:6379")
    portion = heard.portion("north")
    assert not heard.run.waits_for_workers(-1.0, "head:6379")  # it is being tried
    heard.run.over(portion.key, "north", "the database cannot be reached", was_lost=False)
    began = heard.run.waits_since
    assert began is not None
    assert heard.run.waits_for_workers(-1.0, "head:6379")
    assert heard.run.waits_since == began
    heard.run.hear(heard.portion("north").key, "north", ends(0))
    assert heard.run.waits_since is None


# -- machines that say they cannot


class Actor:
    """A machine of no cluster: it answers `cannot` to its first portions, and works off all others at once."""

    def __init__(self, *cannot: Cannot) -> None:
        self._cannot = list(cannot)
        self._given: dict[str, Work] = {}
        self.start, self.news = SimpleNamespace(remote=self._start), SimpleNamespace(remote=self._news)

    async def _start(self, work: Work) -> Cannot | None:
        self._given[work.key] = work
        return self._cannot.pop(0) if self._cannot else None

    async def _news(self, key: str) -> Told:
        return replace(ends(*self._given[key].numbers), is_over=True)


async def worked_off_by(*actors: Actor) -> list[FFEError | None]:
    """How a run of six series ends that is worked off by these machines; they try again at once."""
    ended: list[FFEError | None] = []
    portions = Portions("head:6379", lambda key, told: None if isinstance(told, News) else ended.append(told))
    for number, actor in enumerate(actors):
        portions._workers[str(number)] = Worker(str(number), f"machine {number}", actor)
    request = BackfillRequest("simulated", tuple(series(["1h"] * 6).values()), 0, 86_400)
    portions.start(Work.whole(7, "ann", request), 60.0)
    async with asyncio.timeout(10):
        while not ended:
            await asyncio.sleep(0)
            for worker in portions._workers.values():
                worker.rests_until = 0.0
            portions._deal()
    return ended


async def test_a_machine_whose_server_is_gone_fails_no_run() -> None:
    gone = Cannot.of(DatabaseError("the database cannot be reached", UNREACHABLE))
    assert await worked_off_by(Actor(gone, gone, gone, gone), Actor(gone)) == [None]


async def test_a_run_that_every_machine_refuses_fails() -> None:
    other = Cannot.of(InputError("the state of this machine knows no such run", field="FFE_DATABASE_URL"))
    (failure,) = await worked_off_by(Actor(other), Actor(other))
    assert "knows no such run" in str(failure)


def test_one_who_rests_is_given_nothing() -> None:
    portions, told = Portions("head:6379", lambda *_: None), Heard()
    worker = Worker("0", "north", Actor(), rests_until=time.monotonic() + 60)
    assert not portions._has_room(worker, told.run)
    worker.rests_until = time.monotonic() - 1
    assert portions._has_room(worker, told.run)
