"""Does age delete what has ended, and never what is pending or says how well a series is?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ffe_core.series import Series
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state import schedules as schedule_states
from ffe_core.storage.state.audit import Audit, audit_rows
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.pruning import WHAT, count_old, prune
from ffe_core.storage.state.runs import NewRun, RunStore, run_log, run_series
from ffe_core.storage.state.schedules import notices, schedules, ticks

BTC, ETH = Series("BTCUSD", "1h", "coinbase"), Series("ETHUSD", "1h", "coinbase")
pytestmark = pytest.mark.both_states
NOW = time.time()
OLD, CUT, YOUNG = NOW - 90 * 86_400, NOW - 60 * 86_400, NOW - 30 * 86_400


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "console.db")
    yield opened
    opened.close()


def run(database: Database, state: str, ended_at: float | None, *series: Series) -> int:
    store = RunStore(database)
    run_id = store.add(NewRun("backfill", "coinbase", "resume", 0, 1, series or (BTC,), "ann", "console", "me"))
    store.update(run_id, state=state, ended_at=ended_at)
    store.update_series(run_id, {number: {"state": state} for number in range(len(series or (BTC,)))})
    store.log(run_id, "info", "a line")
    return run_id


def tick(database: Database, number: int, until: float, outcome: str, **more: Any) -> int:
    with database.write() as connection:
        if not connection.scalar(sa.select(sa.func.count()).select_from(schedules)):
            connection.execute(
                schedules.insert().values(
                    name="daily", provider="coinbase", pairs=[], timeframes=[], mode="resume", trigger="every:60",
                    since="2024-01-01", zone="UTC", overlap="skip", catch_up="run", priority=True, pause_after=0,
                    accounted_until=0, actor="ann", created_at=0.0,
                )
            )  # fmt: skip
        row = {"schedule_id": 1, "due": int(until) + number, "until": int(until) + number, "outcome": outcome}
        added = connection.execute(ticks.insert().values(**row, at=until, **more))
        return int(added.inserted_primary_key[0])


def left(database: Database, table: sa.Table) -> set[int]:
    with database.read() as connection:
        return set(connection.scalars(sa.select(table.c[next(iter(table.c)).name])))


def test_runs_that_ended_long_ago_go_with_all_that_is_theirs(database: Database):
    gone = run(database, run_states.COMPLETE, OLD)
    young = run(database, run_states.FAILED, YOUNG)
    assert count_old(database, "runs", CUT) == 1
    assert prune(database, "runs", CUT) == 1
    assert left(database, WHAT["runs"][0]) == left(database, run_series) == {young}
    with database.read() as connection:
        assert set(connection.scalars(sa.select(run_log.c.run_id))) == {young}
    assert gone != young


@pytest.mark.parametrize("state", run_states.ACTIVE)
def test_a_run_that_has_not_ended_stays_however_old(database: Database, state: str):
    active = run(database, state, None)
    run(database, run_states.COMPLETE, YOUNG)
    assert prune(database, "runs", NOW + 10**9) == 0
    assert active in left(database, WHAT["runs"][0])


def test_the_newest_run_of_a_series_stays_however_old(database: Database):
    first = run(database, run_states.FAILED, OLD, BTC, ETH)
    newest = run(database, run_states.COMPLETE, OLD + 1, BTC)
    run(database, run_states.COMPLETE, OLD + 2, ETH)
    assert prune(database, "runs", CUT) == 1
    assert set(RunStore(database).last_of_series()) == {BTC, ETH}
    assert first not in left(database, WHAT["runs"][0])
    assert newest in left(database, WHAT["runs"][0])


def test_a_run_whose_end_a_tick_has_not_noted_stays(database: Database):
    ran = run(database, run_states.COMPLETE, OLD)
    run(database, run_states.COMPLETE, YOUNG)
    tick(database, 0, OLD, schedule_states.RAN, run_id=ran)
    assert prune(database, "runs", CUT) == 0


def test_ticks_that_ended_go_and_those_on_their_way_stay(database: Database):
    ended = [
        tick(database, 0, OLD, schedule_states.RAN, run_id=1, run_state="complete"),
        tick(database, 1, OLD, schedule_states.SKIPPED),
        tick(database, 2, OLD, schedule_states.MISSED, filled_by=1),
        tick(database, 3, OLD, schedule_states.PAUSED),
    ]
    kept = {
        tick(database, 4, OLD, schedule_states.RAN, run_id=2),
        tick(database, 5, OLD, schedule_states.WAITING),
        tick(database, 6, OLD, schedule_states.FIRING),
        tick(database, 7, OLD, schedule_states.MISSED),
        tick(database, 8, YOUNG, schedule_states.SKIPPED),
    }
    assert prune(database, "ticks", CUT) == len(ended)
    assert left(database, ticks) == kept


def test_messages_that_nobody_sends_any_more_go(database: Database):
    with database.write() as connection:
        for number, (at, state) in enumerate(
            [(OLD, schedule_states.DELIVERED), (OLD, schedule_states.PENDING), (YOUNG, schedule_states.GIVEN_UP)]
        ):
            connection.execute(
                notices.insert().values(id=number + 1, at=at, event="e", text="t", details={}, state=state)
            )
    assert prune(database, "notices", CUT) == 1
    assert left(database, notices) == {2, 3}


def test_audit_rows_go_and_one_that_is_not_complete_stays(database: Database):
    audit = Audit(database)
    for _ in range(3):
        with audit.act("ann", "rewind", "BTCUSD"):
            pass
    with database.write() as connection:
        connection.execute(audit_rows.update().where(audit_rows.c.id < 3).values(at=OLD))
        connection.execute(audit_rows.update().where(audit_rows.c.id == 2).values(outcome="begun"))
    assert prune(database, "audit", CUT) == 1
    assert left(database, audit_rows) == {2, 3}


@pytest.mark.of_a_state_file("a server gives its space back by itself")
def test_space_that_holds_nothing_is_given_back(database: Database):
    for _ in range(40):
        run(database, run_states.COMPLETE, OLD)
    with database.write() as connection:
        connection.execute(run_log.insert(), [{"run_id": 1, "at": 0.0, "level": "info", "text": "x" * 500}] * 4000)
    run(database, run_states.COMPLETE, YOUNG)
    prune(database, "runs", CUT)
    size, free = database.size()
    assert free > 2**20
    database.vacuum()
    assert database.size()[0] < size - free / 2
    assert database.size()[1] == 0
    assert len(left(database, WHAT["runs"][0])) == 1
