"""Does the one service of a process open, lead or stand by, take over and drain, whatever the data directory holds?"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ffe_core.errors import InputError, StorageError
from ffe_core.instruments.model import Instrument
from ffe_core.operations import console as service_module
from ffe_core.operations.console import ConsoleService, StandbyError
from ffe_core.operations.instruments.service import Instruments
from ffe_core.operations.leader import Leadership
from ffe_core.operations.runs.process_lock import ProcessLock, is_alive
from ffe_core.providers import PROVIDERS
from ffe_core.redaction import register
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.state import database as database_module
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.runs import NewRun
from ffe_core.storage.state.watchlists import Watchlists
from tests.browser.driver import poll
from tests.operations.harness import WAIT, Market, asked, states_of
from tests.processes import start

LEAD = """
import sys, time
from ffe_core.operations.console import ConsoleService
console = ConsoleService({"data_dir": sys.argv[1]}).open()
print("leads" if console.leads else "stands by", flush=True)
time.sleep(60)
"""


def opened(folder: Path) -> ConsoleService:
    return ConsoleService({"data_dir": str(folder)}).open()


# --- Leader and standby


@pytest.mark.of_a_state_file("a lock of a file; a row of a server: tests/cli")
def test_the_second_stands_by_says_who_leads_and_takes_over_when_the_first_ends(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    try:
        assert (first.leads, second.leads) == (True, False)
        assert second.leader == first.leader
        assert second.health()["role"] == "standby"
        with pytest.raises(StandbyError, match=re.escape(f"the leader is {first.leader}")):
            second.require_lead()
        first.drain()
        poll(lambda: second.leads, "the standby to take over")
        second.require_lead()
        assert second.health()["role"] == "leader"
    finally:
        second.drain()


@pytest.mark.slow
@pytest.mark.of_a_state_file("a lock of a file; a row of a server: tests/cli")
def test_a_killed_leader_is_replaced_and_its_run_reads_interrupted(tmp_path: Path) -> None:
    leader = start(LEAD, tmp_path)
    assert leader.stdout is not None
    assert leader.stdout.readline() == "leads\n"
    standby = opened(tmp_path)
    try:
        assert not standby.leads
        assert f"process {leader.pid} on " in standby.leader
        owner = next(file.stem for file in (tmp_path / "locks").glob(f"{leader.pid}-*.alive"))
        series = [Series("BTCUSD", "1h", "simulated")]
        run_id = standby.runs.add(NewRun("backfill", "simulated", "resume", 0, 1, series, "ann", "console", owner))
        assert standby.run_service.adopt_dead_runs() == []
        leader.kill()
        leader.communicate()
        poll(lambda: standby.leads, "the standby to take over")
        poll(lambda: states_of(standby.run_service, run_id)[0] == "interrupted", "the run to read interrupted")
    finally:
        standby.drain()


@pytest.mark.slow
@pytest.mark.of_a_state_file("a lock of a file; a row of a server: test_lock_rows")
def test_the_leader_notices_that_another_process_died_with_its_run(tmp_path: Path) -> None:
    console = opened(tmp_path)
    try:
        series = [Series("BTCUSD", "1h", "simulated")]
        other = ProcessLock(tmp_path / "locks")
        run_id = console.runs.add(
            NewRun("backfill", "simulated", "resume", 0, 1, series, "ann", "command line", other.owner)
        )
        time.sleep(1)
        assert states_of(console.run_service, run_id)[0] == "queued"
        other.release()
        poll(lambda: states_of(console.run_service, run_id)[0] == "interrupted", "the run to read interrupted")
    finally:
        console.drain()


def test_a_lead_that_cannot_be_noted_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "leader.json").mkdir()
    taken: list[int] = []
    leadership = Leadership(tmp_path, lambda: taken.append(1))
    with pytest.raises(OSError, match=r"leader\.json"):
        leadership.start()
    assert not leadership.leads
    (tmp_path / "leader.json").rmdir()
    leadership.start()
    assert leadership.leads
    assert taken == [1]
    leadership.stop()


def test_a_standby_that_fails_to_take_over_tries_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = Leadership(tmp_path, lambda: None)
    second = Leadership(tmp_path, lambda: None)
    first.start()
    second.start()
    (tmp_path / "leader.json").unlink()
    (tmp_path / "leader.json").mkdir()
    first.stop()
    poll(lambda: "trying again" in caplog.text, "the failure to be told")
    (tmp_path / "leader.json").rmdir()
    poll(lambda: second.leads, "the next try")
    second.stop()


def test_who_leads_is_told_even_when_the_note_is_torn(tmp_path: Path) -> None:
    leadership = Leadership(tmp_path, lambda: None)
    for text in ("", "{", "[]", '{"pid": 1}'):
        (tmp_path / "leader.json").write_text(text)
        assert leadership.leader() == "another process"


def test_an_owner_lives_as_long_as_it_holds_its_lock(tmp_path: Path) -> None:
    alive = ProcessLock(tmp_path)
    assert is_alive(tmp_path, alive.owner)
    alive.release()
    assert not is_alive(tmp_path, alive.owner)
    assert not is_alive(tmp_path, "4711-never")
    assert list(tmp_path.glob("*.alive")) == []


# --- Opening and draining


@pytest.fixture
def shared_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))
    service_module.drain_shared()
    return tmp_path / "data"


@pytest.mark.of_a_state_file("what is the matter with files")
@pytest.mark.parametrize("what", ["the folder is a file", "the database is a folder", "locks is a file", "no setting"])
def test_a_data_directory_that_cannot_be_used_is_told_and_tried_again(
    shared_here: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what == "the folder is a file":
        shared_here.write_text("")
    elif what == "the database is a folder":
        (shared_here / DATABASE_FILE).mkdir(parents=True)
    elif what == "locks is a file":
        shared_here.mkdir()
        (shared_here / "locks").write_text("")
    else:
        monkeypatch.setenv("FFE_CLOSE_GRACE_SECONDS", "soon")
    with pytest.raises((StorageError, InputError)) as told:
        service_module.shared()
    assert ("FFE_CLOSE_GRACE_SECONDS" if what == "no setting" else str(shared_here)) in str(told.value)
    service_module.try_shared()
    health = service_module.shared_health()
    assert (health["status"], health["last_error"]) == ("unavailable", str(told.value))

    if what == "the database is a folder":
        (shared_here / DATABASE_FILE).rmdir()
    elif what != "no setting":
        (shared_here if what == "the folder is a file" else shared_here / "locks").unlink()
    monkeypatch.delenv("FFE_CLOSE_GRACE_SECONDS", raising=False)
    assert service_module.shared().leads
    assert service_module.shared_health()["status"] == "ok"
    service_module.drain_shared()


def test_a_server_that_ends_is_not_opened_again_by_a_page(shared_here: Path) -> None:
    assert service_module.shared() is service_module.shared()
    service_module.drain_shared(for_good=True)
    with pytest.raises(StorageError, match="shutting down"):
        service_module.shared()
    service_module.drain_shared()


def test_a_run_survives_a_drain_and_is_continued(tmp_path: Path, market: Market) -> None:
    console = opened(tmp_path)
    market.stops_at = 1_704_067_200
    run_id = console.run_service.start(asked(), "ann")
    assert market.reached.wait(WAIT)
    console.drain()
    market.goes_on.set()
    console = opened(tmp_path)
    try:
        assert states_of(console.run_service, run_id)[0] == "interrupted"
        again = console.run_service.resume(run_id, "ann")
        console.run_service.wait(again, WAIT)
        assert states_of(console.run_service, again)[0] == "complete"
    finally:
        console.drain()


def test_a_torn_watermarks_file_is_healed_at_the_start(tmp_path: Path, market: Market) -> None:
    console = opened(tmp_path)
    console.run_service.wait(console.run_service.start(asked(), "ann"), WAIT)
    console.drain()
    file = tmp_path / "watermarks" / "watermarks.json"
    file.write_text(file.read_text()[:-20])
    console = opened(tmp_path)
    try:
        assert [batch.series.asset_pair for batch in console.watermarks.entries()] == ["BTCUSD"]
    finally:
        console.drain()


# --- The database


@pytest.mark.of_a_state_file("a server has no lock of the whole state")
def test_a_locked_ledger_is_a_storage_error_with_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.05)
    database = Database(tmp_path / DATABASE_FILE)
    other = sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    watchlists = Watchlists(database)
    assert watchlists.all() == []
    with pytest.raises(StorageError, match=r"console\.db cannot be used .*locked.*try again"):
        watchlists.save("Majors", "oanda", ["EURUSD"], ["1h"], "ann")
    other.execute("ROLLBACK")
    other.close()
    watchlists.save("Majors", "oanda", ["EURUSD"], ["1h"], "ann")
    assert [found.name for found in watchlists.all()] == ["Majors"]
    database.close()


@pytest.mark.of_a_state_file("what is the matter with a file")
def test_a_ledger_that_is_no_database_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE).write_bytes(b"not a database, but long enough to look at" * 30)
    with pytest.raises(StorageError, match="not a database"):
        Database(tmp_path / DATABASE_FILE)


@pytest.mark.of_a_state_file("a file is made; at a server: test_postgresql")
@pytest.mark.slow
def test_two_processes_may_make_the_ledger_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import ffe_core.operations.console;"
        "from ffe_core.storage.state.database import Database; Database(Path(sys.argv[1])).close()"
    )
    processes = [start(code, tmp_path / DATABASE_FILE) for _ in range(3)]
    assert [process.communicate()[1] for process in processes] == ["", "", ""]


# --- Watchlists


def test_a_watchlist_is_saved_replaced_and_removed(tmp_path: Path) -> None:
    watchlists = Watchlists(Database(tmp_path / DATABASE_FILE))
    saved = watchlists.save(" Majors ", "coinbase", ["btc-usd", "BTCUSD", "ETH/USD"], ["1h", "1d"], "ann")
    assert (saved.name, saved.pairs, saved.timeframes) == ("Majors", ("BTCUSD", "ETHUSD"), ("1h", "1d"))
    assert [str(series) for series in saved.series()][:2] == [
        str(Series("BTCUSD", "1h", "coinbase")),
        str(Series("BTCUSD", "1d", "coinbase")),
    ]
    watchlists.save("Majors", "oanda", ["EURUSD"], ["1h"], "ann")
    watchlists.save("alts", "coinbase", ["SOLUSD"], ["1h"], "ann")
    assert [found.name for found in watchlists.all()] == ["alts", "Majors"]
    assert watchlists.get("Majors") == watchlists.all()[1]
    watchlists.delete("Majors")
    assert watchlists.get("Majors") is None


@pytest.mark.parametrize(
    ("name", "provider", "pairs", "timeframes", "said"),
    [
        ("", "oanda", ["EURUSD"], ["1h"], "name"),
        ("x" * 61, "oanda", ["EURUSD"], ["1h"], "name"),
        ("Majors", "oanda", [], ["1h"], "at least one pair"),
        ("Majors", "oanda", ["EURUSD"], [], "at least one pair"),
        ("Majors", "oanda", ["EURUSD"], ["2h"], "2h"),
        ("Majors", "oanda", ["!"], ["1h"], "!"),
    ],
)
def test_a_watchlist_that_cannot_be_is_refused(
    tmp_path: Path, name: str, provider: str, pairs: list[str], timeframes: list[str], said: str
) -> None:
    watchlists = Watchlists(Database(tmp_path / DATABASE_FILE))
    with pytest.raises(InputError, match=said):
        watchlists.save(name, provider, pairs, timeframes, "ann")
    assert watchlists.all() == []


# --- Suggestions


def instruments(tmp_path: Path) -> Instruments:
    return Instruments(Settings.load({"data_dir": str(tmp_path)}), Database(tmp_path / DATABASE_FILE))


def test_the_usual_pairs_are_suggested_until_the_provider_has_answered(tmp_path: Path) -> None:
    found = instruments(tmp_path)
    assert "BTCUSD" in found.suggested("simulated")
    poll(lambda: found.store.count("simulated"), "the provider's own list")
    listed = {one.name for one in found.search("", "simulated")}
    assert set(found.suggested("simulated")) == listed


def test_a_provider_that_is_down_is_asked_once_and_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_times: list[float] = []

    class Down(Market):
        usual_pairs = ("BTCUSD",)

        def __init__(self, *_: object, **__: object) -> None:
            super().__init__(days=1)

        async def catalogue(self) -> list[Instrument]:
            asked_times.append(time.time())
            raise StorageError("nobody answers")

    monkeypatch.setitem(PROVIDERS, "coinbase", Down)
    found = instruments(tmp_path)
    start = found.catalogues.start_reading

    def start_late(provider: str, read: Callable[[str], None]) -> bool:
        """As if another reading had ended between the look whether one is due and this."""
        found.catalogues.try_to_refresh(provider)
        return start(provider, read)

    monkeypatch.setattr(found.catalogues, "start_reading", start_late)
    for _ in range(5):
        assert found.suggested("coinbase")[0] == "BTCUSD"
    poll(lambda: not found.catalogues.is_reading("coinbase"), "the one try")
    assert found.suggested("coinbase")[0] == "BTCUSD"
    assert len(asked_times) == 1
    assert found.catalogues.copy_of("coinbase").error == "nobody answers"
    assert found.is_listed("coinbase", "BTCUSD") is None


def test_health_holds_no_secret(tmp_path: Path) -> None:
    register("s3cr3t-of-the-test")
    console = opened(tmp_path)
    try:
        console.last_error = "token s3cr3t-of-the-test was refused"
        assert "s3cr3t" not in json.dumps(console.health())
    finally:
        console.drain()
