"""Do all who share the state of a server keep to one rate together, and hear of a hold-back and a spent day?"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa

from ffe_core.errors import DatabaseError, QuotaError
from ffe_core.providers.rate import Pace, pacer_of
from ffe_core.settings import Settings
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.lock_rows import RowLocks, locks_in
from ffe_core.storage.state.opening import open_state
from ffe_core.storage.state.pace_rows import LATE_SECONDS, RowPace, step_of
from ffe_core.storage.waiting import waits_on
from tests.postgresql import Server, running
from tests.processes import at_once

pytestmark = pytest.mark.slow


@pytest.fixture
def url(postgresql_server: Server, state_template: str) -> Iterator[str]:
    made = postgresql_server.database(state_template)
    yield made
    postgresql_server.drop(made)


@pytest.fixture
def locks(url: str) -> Iterator[RowLocks]:
    opened = Database(url)
    yield locks_in(opened)
    opened.close()


@pytest.fixture
def other(url: str) -> Iterator[RowLocks]:
    """Those of another machine."""
    opened = Database(url)
    yield locks_in(opened)
    opened.close()


def sent(pace: RowPace, count: int) -> list[float]:
    """When each of some requests went out, one after the other."""

    async def all_of_them() -> list[float]:
        found = []
        for _ in range(count):
            await pace.wait()
            found.append(time.monotonic())
        return found

    return asyncio.run(all_of_them())


def slots(pace: RowPace, batches: int) -> list[float]:
    """The instants that some batches reserve, whenever they are used."""
    found: list[float] = []
    for _ in range(batches):
        pace._reserve()
        found += pace._slots
        pace._slots.clear()
    return found


def set_row(locks: RowLocks, **values: float) -> None:
    with locks.asking() as connection:
        changes = ", ".join(f"{name} = {value}" for name, value in values.items())
        connection.execute(sa.text(f"UPDATE pace SET {changes}"))


@pytest.mark.parametrize("rate", [0.5, 5.0, 10.0, 30.0, 99.0, 100.0, 1000.0])
def test_the_step_leaves_room_for_all_lateness_that_is_allowed(rate: float) -> None:
    """One more than may go out in a second, the first as late as may be and the last in time, take over a second."""
    most = max(1, math.floor(1.02 * rate))
    assert rate < 1 or most * step_of(rate) - LATE_SECONDS >= 1.0
    assert step_of(rate) <= 1.05 / rate


@pytest.mark.parametrize("rate", [2.0, 10.0, 100.0])
def test_racers_get_slots_of_which_no_two_lie_closer_than_a_step(
    url: str, locks: RowLocks, other: RowLocks, rate: float
) -> None:
    paces = [RowPace(one, "acme-1", rate) for one in (locks, other) for _ in range(3)]
    with ThreadPoolExecutor(len(paces)) as pool:
        found = sorted(slot for some in pool.map(lambda pace: slots(pace, 4), paces) for slot in some)
    assert len(found) == len(paces) * 4 * max(1, int(rate / 10) if rate >= 10 else 1)
    # Each process turns them into its own clock, which a round trip in this noise tells to some milliseconds.
    assert all(after - before >= step_of(rate) - 0.02 for before, after in pairwise(found))
    assert found[-1] - found[0] == pytest.approx((len(found) - 1) * step_of(rate), rel=0.3, abs=0.1)


_SENDS = """
import asyncio, sys, time
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.lock_rows import locks_in
from ffe_core.storage.state.pace_rows import RowPace
async def work():
    pace, until = RowPace(locks_in(Database(sys.argv[1])), "acme-1", float(sys.argv[2])), time.monotonic() + 4
    turn = asyncio.Lock()
    async def series():
        while time.monotonic() < until:
            async with turn:
                await pace.wait()
                print(time.monotonic())
    await asyncio.gather(*(series() for _ in range(20)))
asyncio.run(work())
"""


@pytest.mark.parametrize("rate", [10.0, 100.0])
def test_two_processes_together_never_send_more_in_a_second_than_the_rate_and_two_in_a_hundred(
    url: str, rate: float
) -> None:
    outputs = at_once(_SENDS, [(url, rate)] * 2)
    found = sorted(float(line) for output in outputs for line in output.split())
    worst = max(sum(begin <= at < begin + 1 for at in found) for begin in found)
    assert worst <= math.floor(1.02 * rate), f"{worst} of {rate}"
    assert len(found) > rate  # four seconds, on a machine with much else to do
    assert all(output for output in outputs)


def test_who_wakes_late_gives_its_slot_up(locks: RowLocks, monkeypatch: pytest.MonkeyPatch) -> None:
    pace, sleep, slept = RowPace(locks, "acme-1", 5.0), asyncio.sleep, []

    async def oversleep(seconds: float) -> None:
        slept.append(seconds)
        await sleep(seconds + (0.1 if len(slept) == 1 else 0.0))

    pace._reserve()
    [first] = pace._slots
    monkeypatch.setattr(asyncio, "sleep", oversleep)
    pace._slots[0] = first + 0.1
    [at] = sent(pace, 1)
    assert at > first + 0.1 + LATE_SECONDS


def test_a_hold_back_stops_all_machines_and_slots_in_hand(locks: RowLocks, other: RowLocks) -> None:
    one, two = RowPace(locks, "acme-1", 50.0), RowPace(other, "acme-1", 50.0)
    sent(one, 1)
    sent(two, 1)
    began = time.monotonic()
    one.hold_back(1.0)
    assert sent(one, 1)[0] >= began + 1.0
    two._slots.clear()
    two.hold_back(0.1)  # a shorter one does not end a longer one
    assert sent(two, 1)[0] >= began + 1.0


def test_a_hold_back_that_begins_while_a_slow_request_waits_is_heard(locks: RowLocks, other: RowLocks) -> None:
    one, two = RowPace(locks, "acme-1", 1.0), RowPace(other, "acme-1", 1.0)
    sent(two, 1)

    async def both() -> float:
        waiting = asyncio.create_task(two.wait())
        await asyncio.sleep(0.3)
        one.hold_back(2.0)
        began = time.monotonic()
        await waiting
        return time.monotonic() - began

    assert asyncio.run(both()) >= 1.9


@pytest.mark.parametrize(
    "values", [{"free_at": 9e12}, {"held_until": 9e12}, {"free_at": 9e12, "written_at": 9e12, "held_until": 9e12}]
)
def test_nonsense_in_the_row_stalls_nobody_for_long(locks: RowLocks, values: dict[str, float]) -> None:
    pace = RowPace(locks, "acme-1", 10.0)
    sent(pace, 1)
    set_row(locks, **values)
    pace._reserve()
    assert pace._slots[0] - time.monotonic() < 620


def test_a_server_whose_clock_is_behind_stalls_nobody(locks: RowLocks) -> None:
    """As the one that takes over from one that failed: the row was written in what is the future there."""
    pace = RowPace(locks, "acme-1", 10.0)
    sent(pace, 2)
    with locks.asking() as connection:
        connection.execute(sa.text("UPDATE pace SET free_at = free_at + 300, written_at = written_at + 300"))
    began = time.monotonic()
    sent(pace, 2)
    assert time.monotonic() - began < 60


def test_a_day_has_so_many_requests_on_all_machines_together(locks: RowLocks, other: RowLocks) -> None:
    one, two = RowPace(locks, "alpha_vantage-1", 100.0, 3), RowPace(other, "alpha_vantage-1", 100.0, 3)
    sent(one, 2)
    sent(two, 1)
    for pace in (one, two, one):
        with pytest.raises(QuotaError, match=r"3 requests of today .*FFE_ALPHA_VANTAGE__REQUESTS_PER_DAY"):
            sent(pace, 1)
    with locks.asking() as connection:
        connection.execute(sa.text("UPDATE pace SET day = day - 1"))
    sent(RowPace(other, "alpha_vantage-1", 100.0, 3), 3)


def test_a_slot_that_was_given_up_costs_none_of_the_day(locks: RowLocks) -> None:
    pace = RowPace(locks, "alpha_vantage-1", 100.0, 2)
    pace._reserve()
    pace._slots[0] -= 10
    sent(pace, 2)
    with pytest.raises(QuotaError):
        sent(pace, 1)


def test_a_server_that_is_gone_lets_nothing_out_and_is_waited_for_by_who_wants_to() -> None:
    with running() as server:
        database = Database(server.database())
        pace = RowPace(locks_in(database), "acme-1", 10.0)
        sent(pace, 1)
        server.stop()
        with pytest.raises(DatabaseError) as caught:
            sent(pace, 1)
        assert caught.value.code == "database_unreachable"

        async def patient() -> float:
            waits_on.set(lambda waited: waited < 60)
            waiting = asyncio.create_task(pace.wait())
            await asyncio.sleep(1)
            assert not waiting.done()
            await asyncio.to_thread(server.start)
            await waiting
            return time.monotonic()

        asyncio.run(patient())
        database.close()


def test_an_opened_state_on_a_server_paces_and_a_file_does_as_ever(url: str, tmp_path: Path) -> None:
    settings = Settings.load({"data_dir": str(tmp_path), "database_url": url})
    assert isinstance(pacer_of(settings, "acme", "http://a", 5.0), Pace)
    database = open_state(settings)
    try:
        made = pacer_of(settings, "acme", "http://a", 5.0)
        assert isinstance(made, RowPace)
        assert pacer_of(settings, "acme", "http://a", 5.0) is made
        assert pacer_of(settings, "acme", "http://b", 5.0) is not made
        assert isinstance(pacer_of(Settings.load({"data_dir": str(tmp_path)}), "acme", "http://a", 5.0), Pace)
    finally:
        database.close()
    assert isinstance(pacer_of(settings, "acme", "http://a", 5.0), Pace)
