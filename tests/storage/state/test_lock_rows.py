"""Do locks that are rows pass on when their holder dies, stops or is cut off, and does nobody write after that?"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from ffe_core.candles import SCHEMA
from ffe_core.errors import DatabaseError, LeaseLost
from ffe_core.operations.leader import Leadership
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.leases import SeriesLease
from ffe_core.storage.locks import ALIVE, LEAD, LEASE
from ffe_core.storage.state import lock_rows
from ffe_core.storage.state.database import Database, fenced
from ffe_core.storage.state.lock_rows import RowLocks, locks_in
from ffe_core.storage.state.watchlists import Watchlists
from ffe_core.storage.stores import Stores
from ffe_core.storage.waiting import waits_on
from tests.browser.driver import poll
from tests.postgresql import Server, running
from tests.processes import ROOT, finish, start

pytestmark = pytest.mark.slow
BTC, ETH = Series("BTCUSD", "1h", "coinbase"), Series("ETHUSD", "1h", "coinbase")
HELD = 2.0
"""Seconds that these tests let a row be held, so as not to wait for fifteen."""


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_rows, "HELD_SECONDS", HELD)
    monkeypatch.setattr(lock_rows, "_RENEW_SECONDS", 0.4)
    monkeypatch.setattr(lock_rows, "_MARGIN_SECONDS", 0.4)
    monkeypatch.setattr(lock_rows, "_STEP_SECONDS", 0.1)


@pytest.fixture
def url(postgresql_server: Server, state_template: str) -> Iterator[str]:
    made = postgresql_server.database(state_template)
    yield made
    postgresql_server.drop(made)


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url)
    yield opened
    opened.close()


@pytest.fixture
def other(url: str) -> Iterator[RowLocks]:
    """The locks of another process."""
    opened = Database(url)
    yield locks_in(opened)
    opened.close()


def stop_renewing(locks: RowLocks) -> None:
    """Have a process stand still, as far as its locks are concerned."""
    assert locks._renewing is not None
    locks._renewing.stop()


def token(database: Database, name: str) -> int:
    with database.read() as connection:
        return int(connection.scalar(sa.text("SELECT token FROM lease WHERE name = :name"), {"name": name}) or 0)


def test_of_racers_for_an_ended_row_one_wins_and_its_token_is_the_next(url: str) -> None:
    databases = [Database(url) for _ in range(8)]
    racers = [RowLocks(one) for one in databases]
    try:
        with ThreadPoolExecutor(8) as pool:
            for round_ in range(1, 6):
                locks = [one.lock(LEASE, "BTC") for one in racers]
                won = list(pool.map(lambda lock: lock.take("a run"), locks))
                assert won.count(True) == 1
                assert token(databases[0], "lease:BTC") == round_
                locks[won.index(True)].release()
                poll(lambda: not racers[0].held(LEASE, ["BTC"]), "the row to be free")
    finally:
        for one in databases:
            one.close()


def test_all_of_a_process_are_renewed_in_one_statement(database: Database) -> None:
    locks, seen = locks_in(database), []
    sa.event.listen(locks._engine, "before_cursor_execute", lambda *said: seen.append(str(said[2])))
    held = [locks.lock(LEASE, f"S{number}") for number in range(30)]
    assert all(lock.take() for lock in held)
    seen.clear()
    time.sleep(1.5 * HELD)
    assert all(lock.is_held for lock in held)
    renewals = [said for said in seen if said.startswith("UPDATE")]
    assert 2 <= len(renewals) <= 1.5 * HELD / 0.4 + 1


def test_what_is_handed_out_outlasts_a_crash_of_a_server_that_waits_for_no_disk(url: str) -> None:
    before = Database(url)
    with before.write() as connection:
        name = connection.scalar(sa.text("SELECT current_database()"))
        connection.execute(sa.text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
    before.close()
    database = Database(url)
    with database.read() as connection:
        assert connection.scalar(sa.text("SHOW synchronous_commit")) == "off"
    with locks_in(database).asking() as connection:
        assert connection.scalar(sa.text("SHOW synchronous_commit")) == "on"
    database.close()


def test_the_clock_of_a_worker_counts_for_nothing(
    database: Database, other: RowLocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 600)
    mine = locks_in(database).lock(LEASE, "BTC")
    assert mine.take("run 1")
    monkeypatch.setattr(time, "time", lambda: real() - 600)
    assert not other.lock(LEASE, "BTC").take("run 2")
    assert other.lock(LEASE, "ETH").take("run 2")
    assert mine.is_held


def test_who_was_late_and_was_not_missed_goes_on(database: Database) -> None:
    locks = locks_in(database)
    lock = locks.lock(LEASE, "BTC")
    assert lock.take()
    stop_renewing(locks)
    poll(lambda: not lock.is_held, "the row to end")
    assert not lock.was_lost
    locks._renew()
    assert lock.is_held
    assert token(database, "lease:BTC") == 1


def test_who_was_late_and_was_missed_has_lost_it(database: Database, other: RowLocks) -> None:
    locks = locks_in(database)
    lock, kept = locks.lock(LEASE, "BTC"), locks.lock(LEASE, "ETH")
    assert lock.take()
    assert kept.take()
    stop_renewing(locks)
    successor = other.lock(LEASE, "BTC")
    poll(lambda: successor.take("run 2"), "the row to end")
    locks._renew()
    assert (lock.was_lost, kept.is_held) == (True, True)
    with pytest.raises(LeaseLost):
        locks.check("BTC")
    locks.check("ETH", waits=True)
    lock.release()
    assert successor.is_held
    assert other.held(LEASE, ["BTC"])["BTC"].startswith("run 2")


def test_nothing_is_committed_once_a_lease_was_lost(
    url: str, database: Database, other: RowLocks, tmp_path: Path
) -> None:
    settings = Settings.load({"data_dir": str(tmp_path), "database_url": url})
    stores = Stores(settings, DeltaLakeManager(settings.lake_uri), database)
    with stores.lease(BTC, "1").acquire():
        stores.lake.commit(BTC, SCHEMA.empty_table(), Watermarks(), Watermarks(3600, 0))
        stop_renewing(locks_in(database))
        poll(lambda: other.lock(LEASE, "BTCUSD_1h_coinbase").take("run 2"), "the lease to end")
        with pytest.raises(LeaseLost, match="continue it"):
            stores.lake.commit(BTC, SCHEMA.empty_table(), Watermarks(3600, 0), Watermarks(7200, 0))
        stores.lake.commit(ETH, SCHEMA.empty_table(), Watermarks(), Watermarks(3600, 0))
    assert stores.lake.marks(BTC) == Watermarks(3600, 0)
    assert stores.lake.marks(ETH) == Watermarks(3600, 0)


def test_nothing_of_a_process_taken_for_dead_reaches_the_state(database: Database, other: RowLocks) -> None:
    locks = locks_in(database)
    owner = locks.new_owner()
    alive = locks.lock(ALIVE, owner)
    assert alive.take()
    fence = alive.fence()
    lists = Watchlists(database)
    with fenced(fence):
        lists.save("Majors", "oanda", ["EURUSD"], ["1h"], "ann")
    stop_renewing(locks)
    poll(lambda: other.bury([owner]) == [owner], "the process to count as dead")
    with fenced(fence), pytest.raises(LeaseLost):
        lists.delete("Majors")
    assert [one.name for one in lists.all()] == ["Majors"]
    with fenced(fence), pytest.raises(LeaseLost):  # a run that stood still just before it would take its series
        locks.lock(LEASE, "BTC").take("run 1")
    assert other.lock(LEASE, "BTC").take("run 2")
    locks._renew()
    assert alive.was_lost
    assert alive.take()
    with fenced(alive.fence()):
        lists.delete("Majors")


def test_a_process_counts_as_dead_when_the_last_of_what_it_held_has_ended(database: Database, other: RowLocks) -> None:
    locks, owner = locks_in(database), "me"
    assert locks.lock(ALIVE, owner).take()
    stop_renewing(locks)
    poll(lambda: not other.held(ALIVE, [owner]), "its row to end")
    assert locks.lock(LEASE, "BTC").take()
    assert other.bury([owner]) == []
    poll(lambda: other.bury([owner]) == [owner], "the process to count as dead")
    locks._renew()
    assert other.lock(LEASE, "BTC").take()


def test_a_leader_that_is_late_leads_no_more_and_its_successor_does(url: str) -> None:
    databases = [Database(url) for _ in range(2)]
    first, second = (Leadership(RowLocks(one), lambda: None) for one in databases)
    try:
        first.start()
        second.start()
        assert (first.leads, second.leads) == (True, False)
        with first.acting() as may:
            assert may
            stop_renewing(first._locks)  # type: ignore[arg-type]
            first._waiting.stop()  # or it would take its own lead again, before the second may
            poll(lambda: second.leads, "the second to lead")
            assert not first.leads
            with pytest.raises(LeaseLost):
                Watchlists(databases[0]).save("Majors", "oanda", ["EURUSD"], ["1h"], "ann")
        with second.acting() as may:
            assert may
            Watchlists(databases[1]).save("Majors", "oanda", ["EURUSD"], ["1h"], "ann")
    finally:
        for one in (first, second):
            one.stop()
        for database in databases:
            database.close()


_HOLDS = f"""
import sys, time
from ffe_core.errors import LeaseLost
from ffe_core.series import Series
from ffe_core.storage.leases import SeriesLease
from ffe_core.storage.state import lock_rows
from ffe_core.storage.state.database import Database
lock_rows.HELD_SECONDS, lock_rows._RENEW_SECONDS, lock_rows._MARGIN_SECONDS = {HELD}, 0.4, 0.4
locks = lock_rows.locks_in(Database(sys.argv[1]))
lease = SeriesLease(locks, Series("BTCUSD", "1h", "coinbase"), "run 12").acquire()
print("holds", flush=True)
sys.stdin.readline()
try:
    lease.check()
    print("holds still")
except LeaseLost:
    print("lost it")
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_the_lease_of_a_process_that_is_killed_or_stopped_passes_on_within_its_time(
    url: str, other: RowLocks, how: signal.Signals
) -> None:
    command = [sys.executable, "-c", _HOLDS, url]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "holds\n"
        time.sleep(1.5 * HELD)
        lease = SeriesLease(other, BTC, "run 13")
        assert "run 12" in lease.current_holder()
        process.send_signal(how)
        began = time.monotonic()
        poll(lambda: other.lock(LEASE, "BTCUSD_1h_coinbase").take("run 13"), "the lease to pass on")
        assert time.monotonic() - began > HELD - 1
        if how == signal.SIGSTOP:
            process.send_signal(signal.SIGCONT)
            said, _ = process.communicate("\n", timeout=60)
            assert said == "lost it\n"
        assert "run 13" in lease.current_holder()
    finally:
        process.kill()
        process.communicate()


def test_who_is_stopped_in_the_middle_of_a_renewal_keeps_nobody_waiting_in_vain(
    database: Database, other: RowLocks
) -> None:
    locks = locks_in(database)
    assert locks.lock(LEASE, "BTC").take("run 12")
    stop_renewing(locks)
    time.sleep(HELD)
    asked = {"seconds": HELD, "names": ["lease:BTC"], "tokens": [1]}
    stopped = locks.asking()
    connection = stopped.__enter__()
    assert list(connection.scalars(lock_rows._RENEW, asked)) == ["lease:BTC"]
    assert other.lock(LEASE, "BTC").take("run 13")  # the server has ended who was not heard of
    with pytest.raises(DatabaseError):
        stopped.__exit__(None, None, None)
    assert token(database, "lease:BTC") == 2


def test_a_server_that_restarts_costs_no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_rows, "HELD_SECONDS", 15.0)
    with running() as server:
        database = Database(server.database())
        locks = locks_in(database)
        lock = locks.lock(LEASE, "BTC")
        assert lock.take()
        server.stop()
        with pytest.raises(DatabaseError):
            locks.held(LEASE, ["BTC"])
        server.start()
        before = locks._renewed_at
        poll(lambda: locks._renewed_at > before, "the next renewal")
        assert lock.is_held
        assert token(database, "lease:BTC") == 1
        database.close()


def test_a_run_waits_to_take_a_lease_from_a_server_that_is_gone() -> None:
    with running() as server:
        database = Database(server.database())
        locks = locks_in(database)
        server.stop()
        with ThreadPoolExecutor(1) as pool, pytest.raises(DatabaseError):
            pool.submit(locks.lock(LEASE, "BTC").take).result()
        with ThreadPoolExecutor(1, initializer=lambda: waits_on.set(lambda waited: waited < 60) and None) as pool:
            taking = pool.submit(locks.lock(LEASE, "BTC").take)
            asking = pool.submit(locks.held, LEASE, ["BTC"])
            time.sleep(0.5)
            assert not taking.done()
            server.start()
            assert taking.result(30)
            assert list(asking.result(30)) == ["BTC"]
        database.close()


def test_a_lease_whose_answer_was_lost_is_taken_by_asking_again(database: Database, other: RowLocks) -> None:
    locks, answers = locks_in(database), []

    def lose(connection: sa.Connection) -> None:
        if not answers:
            answers.append("lost")
            raise sa.exc.OperationalError("COMMIT", {}, psycopg.OperationalError("the answer was lost"))

    waits_on.set(lambda waited: waited < 30)
    try:
        sa.event.listen(locks._engine, "commit", lambda connection: connection.connection.commit())
        sa.event.listen(locks._engine, "commit", lose)
        lock = locks.lock(LEASE, "BTC")
        assert lock.take("run 1")
    finally:
        waits_on.set(lambda waited: False)
    assert answers
    assert lock.is_held
    assert not other.lock(LEASE, "BTC").take("run 2")
    assert not locks.lock(LEASE, "BTC").take("run 3")


def test_who_is_cut_off_writes_nothing_until_the_server_is_back_and_then_goes_on() -> None:
    with running() as server:
        database = Database(server.database())
        locks = locks_in(database)
        mine = locks.lock(LEASE, "BTC")
        assert mine.take()
        server.stop()
        began = time.monotonic()
        poll(lambda: not mine.is_held, "the lease to end")
        with pytest.raises(LeaseLost):
            locks.check("BTC", waits=True)
        assert time.monotonic() - began > HELD - 1
        locks.check("BTC")  # it may still be ours: what only fetches goes on
        server.start()
        poll(lambda: locks.check("BTC", waits=True) is None, "the lease to be renewed")
        database.close()


def test_rows_of_processes_long_dead_are_removed(database: Database) -> None:
    with database.write() as connection:
        for name, until in (("alive:old", 1.0), ("lease:BTC", 1.0)):
            connection.execute(
                sa.text("INSERT INTO lease VALUES (:name, 'me', 7, :until, '{}')"), {"name": name, "until": until}
            )
    lock = locks_in(database).lock(ALIVE, "new")
    assert lock.take()
    assert (token(database, "alive:old"), token(database, "lease:BTC")) == (0, 7)
    lock.release()
    poll(lambda: not token(database, "alive:new"), "the row to go")


def test_what_a_command_held_is_free_when_it_has_ended(url: str, other: RowLocks) -> None:
    finish(start(_HOLDS.replace("sys.stdin.readline()", "") + "sys.exit(0)", url))
    assert other.lock(LEASE, "BTCUSD_1h_coinbase").take("run 13")


def test_the_leader_is_told_by_process_and_host(database: Database, other: RowLocks) -> None:
    mine = locks_in(database).lock(LEAD, "leader")
    assert mine.take()
    told = f"process {os.getpid()} on {socket.gethostname()}, since "
    assert mine.holder().startswith(told)
    assert other.lock(LEAD, "leader").holder().startswith(told)
