"""Is upkeep a run like others: started, watched, cancelled, refused, and started by itself where there is need?"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from ffe_core.errors import InputError, StorageError, UpkeepHeld
from ffe_core.insight.coverage import Coverage
from ffe_core.insight.storage import storage
from ffe_core.operations.runs.service import RunService
from ffe_core.operations.upkeep import service as upkeep_service
from ffe_core.operations.upkeep import words
from ffe_core.operations.upkeep.job import ALL_PAIRS
from ffe_core.operations.upkeep.keeper import Keeper
from ffe_core.operations.upkeep.service import ITSELF, Upkeep
from ffe_core.operations.upkeep.tables import COMPACT, HISTORY, VACUUM
from ffe_core.storage.lake.upkeep import compaction
from ffe_core.storage.leases import UpkeepLease
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.runs import UPKEEP
from tests.operations.harness import WAIT, Market, asked, done, kept, lines_of, opened
from tests.operations.harness import market as market

pytestmark = pytest.mark.both_stores
PAIRS = ("BTCUSD", "ETHUSD", "SOLUSD")
TABLE = "raw_market_data_1h"


@pytest.fixture
def service(tmp_path: Path, market: Market) -> Iterator[RunService]:
    """Three pairs, each in several small files."""
    with opened(tmp_path, upkeep={"small_files": 5}) as made:
        done(made, asked(*PAIRS, days=5))
        yield made


def ended(service: RunService, run_id: int | None) -> dict[str, Any]:
    """The end of a run: its state, and state, result and error of each of its rows by table."""
    assert run_id is not None
    service.wait(run_id, WAIT)
    run = service.runs.get(run_id)
    assert run is not None
    rows = {row.timeframe or row.asset_pair: row for row in service.runs.series(run_id)}
    return {"run": run, **rows}


def files(service: RunService) -> int:
    snapshot = service.lake.snapshot(TABLE)
    assert snapshot is not None
    return len(snapshot.all_files())


@pytest.mark.both_servers
def test_it_is_a_run_with_rows_results_and_lines(service: RunService, tmp_path: Path):
    before, count = {pair: kept(tmp_path, pair) for pair in PAIRS}, files(service)
    assert count > len(PAIRS)
    end = ended(service, Upkeep(service).start("ann"))
    assert (end["run"].kind, end["run"].state, end["run"].actor) == (UPKEEP, run_states.COMPLETE, "ann")
    row = end["1h"]
    assert (row.asset_pair, row.state, row.phase) == (ALL_PAIRS, run_states.COMPLETE, None)
    assert row.pages_done == row.pages_planned > 0
    result = row.result
    assert (result["table"], result["files_before"], result["files_after"]) == (TABLE, count, len(PAIRS))
    assert files(service) == len(PAIRS)
    assert {pair: kept(tmp_path, pair) for pair in PAIRS} == before
    assert any("files are 3 now" in line for line in lines_of(service, end["run"].id))
    assert end["console.db"].result["deleted"]["dead_letters"] == 0


def test_with_workers_a_table_with_much_to_rewrite_is_shared_out_by_pairs(
    service: RunService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(upkeep_service, "_SHARE_BYTES", 1)
    monkeypatch.setattr(upkeep_service, "_MOST_SHARES", 3)
    before, count = {pair: kept(tmp_path, pair) for pair in PAIRS}, files(service)
    whole = Upkeep(service).start("ann", steps=(VACUUM,))
    service.wait(whole, WAIT)
    assert len(service.runs.series(whole)) == 1
    service.settings = service.settings.model_copy(update={"ray_address": "head.example:6379"})
    run_id = Upkeep(service).start("ann")
    service.wait(run_id, WAIT)
    *parts, history = service.runs.series(run_id)
    assert [(row.asset_pair, row.timeframe, row.state) for row in parts] == [
        (name, "1h", run_states.COMPLETE) for name in (ALL_PAIRS, "part 2 of 3", "part 3 of 3")
    ]
    assert history.state == run_states.COMPLETE
    assert [row.result["table"] for row in parts] == [TABLE, f"{TABLE}, part 2 of 3", f"{TABLE}, part 3 of 3"]
    assert sum(row.result["files_before"] for row in parts) == count
    assert sum(row.result["files_after"] for row in parts) == files(service) == len(PAIRS)
    assert {pair: kept(tmp_path, pair) for pair in PAIRS} == before
    assert ["log_entries_deleted" in row.result for row in parts] == [True, False, False]


def test_of_what_it_swaps_in_nothing_is_left_to_read_and_what_it_replaced_is_forgotten(service: RunService):
    ended(service, Upkeep(service).start("ann", steps=(COMPACT,)))
    snapshot = service.lake.snapshot(TABLE)
    assert snapshot is not None
    with service.database.read() as connection:
        known = {path for (path,) in connection.exec_driver_sql("select path from file_runs")}
    assert known == set(snapshot.all_files().paths.tolist())
    assert not Coverage(service.stores, service.stores.range_cache).unread()


def test_it_sets_the_retention_and_leaves_a_checkpoint(service: RunService):
    ended(service, Upkeep(service).start("ann", steps=(COMPACT,)))
    [table] = storage(service.lake, service.database, service.settings).tables
    assert table.log.since_checkpoint == 0
    assert table.plan.merges == ()
    held = DeltaTable(service.lake.table_uri(TABLE)).metadata().configuration
    assert held["delta.deletedFileRetentionDuration"] == "interval 3 hours"
    assert table.last_upkeep == pytest.approx(time.time(), abs=60)


def test_the_health_of_series_does_not_hang_on_it(service: RunService):
    before = set(service.runs.last_of_series())
    ended(service, Upkeep(service).start("ann"))
    assert set(service.runs.last_of_series()) == before
    assert {row.kind for row in service.runs.last_of_series().values()} == {"backfill"}


def test_one_at_a_time_by_lease_and_no_backfill_is_held_up(service: RunService, tmp_path: Path):
    upkeep = Upkeep(service)
    with UpkeepLease(service.locks, TABLE, "somebody").acquire():
        with pytest.raises(UpkeepHeld, match=r"raw_market_data_1h is being done by somebody"):
            upkeep.start("ann", steps=(VACUUM,))
        assert upkeep.after_runs([1]) is None
        done(service, asked(*PAIRS, days=7))
        assert len(kept(tmp_path)) == 7 * 24
    assert ended(service, upkeep.start("ann"))["run"].state == run_states.COMPLETE


def test_a_lease_that_is_taken_on_the_way_fails_the_table_alone(service: RunService, tmp_path, monkeypatch):
    upkeep = Upkeep(service)
    monkeypatch.setattr(UpkeepLease, "check_free", lambda self: None)
    with UpkeepLease(service.locks, TABLE, "somebody").acquire():
        end = ended(service, upkeep.start("ann"))
    assert (end["1h"].state, end["1h"].error_code) == (run_states.FAILED, UpkeepHeld.code)
    assert end["console.db"].state == run_states.COMPLETE


def test_cancelled_it_ends_between_two_commits_and_the_table_is_whole(service: RunService, tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "_AT_ONCE_FILES", 1)
    swap, reached, goes_on = compaction._swap_in, threading.Event(), threading.Event()

    def held(*arguments: Any) -> Any:
        reached.set()
        goes_on.wait(WAIT)
        return swap(*arguments)

    monkeypatch.setattr(compaction, "_swap_in", held)
    before = {pair: kept(tmp_path, pair) for pair in PAIRS}
    run_id = Upkeep(service).start("ann")
    assert reached.wait(WAIT)
    service.cancel(run_id, "ann")
    while not service.is_stopping(run_id):
        time.sleep(0.01)
    goes_on.set()
    assert ended(service, run_id)["run"].state == run_states.CANCELLED
    assert {pair: kept(tmp_path, pair) for pair in PAIRS} == before
    assert files(service) > len(PAIRS)
    monkeypatch.undo()
    assert ended(service, Upkeep(service).start("ann"))["run"].state == run_states.COMPLETE
    assert files(service) == len(PAIRS)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"timeframes": ["4h"]}, r"timeframes: there is no raw_market_data_4h in this lake; choose from 1h"),
        ({"timeframes": ["nope"]}, r"timeframes: there is no nope in this lake"),
        ({"file_hours": 0}, r"retention_hours: 0 is too short: a chart, an export"),
    ],
)
def test_what_cannot_be_is_refused_before_a_run_is_made(service: RunService, options: dict[str, Any], says: str):
    with pytest.raises(InputError, match=says):
        Upkeep(service).start("ann", **options)
    assert service.runs.find(kinds=[UPKEEP]) == ([], 0)


# --- by itself ---


def test_after_a_backfill_with_many_small_files_it_starts_by_itself(service: RunService):
    keeper = Keeper(Upkeep(service), 0)
    service.on_end = keeper.note_end
    done(service, asked(*PAIRS, days=9))
    run_id = keeper.look_after_runs()
    [run] = service.runs.find(kinds=[UPKEEP])[0]
    assert (run.id, ended(service, run.id)["run"].source) == (run_id, ITSELF)
    assert files(service) == len(PAIRS)
    done(service, asked(*PAIRS, days=10))
    assert keeper.look_after_runs() is None
    assert service.runs.find(kinds=[UPKEEP])[1] == 1, "three more files are not many"


def test_runs_that_end_together_are_looked_at_once(service: RunService, monkeypatch: pytest.MonkeyPatch):
    looked: list[str] = []
    upkeep = Upkeep(service)
    monkeypatch.setattr(upkeep, "_has_many", looked.append)
    keeper = Keeper(upkeep, 0)
    for pair in PAIRS:
        keeper.note_end(done(service, asked(pair, days=6)))
    assert keeper.look_after_runs() is None
    assert looked == ["1h"]
    assert keeper.look_after_runs() is None
    assert looked == ["1h"], "nothing has ended since"


def test_zero_small_files_turn_that_off(tmp_path: Path, market: Market):
    with opened(tmp_path, upkeep={"small_files": 0}) as service:
        run_id = done(service, asked(*PAIRS, days=9))
        assert Upkeep(service).after_runs([run_id]) is None


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def test_the_keeper_starts_what_is_due_at_its_time_and_nothing_twice(service: RunService):
    clock = Clock()
    keeper = Keeper(Upkeep(service), 30, clock)
    assert keeper.look() is None, "a console that has just started has other things to do"
    clock.now += 61
    end = ended(service, keeper.look())
    assert (end["run"].state, end["run"].source) == (run_states.COMPLETE, ITSELF)
    assert keeper.look() is None
    clock.now += 30 * 60
    assert keeper.look() is None, "nothing is to be done"


def test_the_keeper_does_little_things_once_a_day(service: RunService, tmp_path: Path):
    clock = Clock()
    keeper = Keeper(Upkeep(service), 30, clock)
    ended(service, Upkeep(service).start("ann"))
    done(service, asked("BTCUSD", days=6))
    clock.now += 3600
    assert keeper.look() is None
    clock.now += 25 * 3600
    assert ended(service, keeper.look())["run"].state == run_states.COMPLETE
    assert files(service) == len(PAIRS)


def test_a_keeper_that_cannot_start_says_so_and_tries_again(service: RunService, monkeypatch):
    clock = Clock()
    keeper = Keeper(Upkeep(service), 30, clock)
    clock.now += 61
    monkeypatch.setattr(Upkeep, "due", _raise)
    assert keeper.look() is None
    assert keeper.last_error == "the lake is gone"
    monkeypatch.undo()
    clock.now += 30 * 60
    assert keeper.look() is not None
    assert keeper.last_error is None


def _raise(*_: Any) -> Any:
    raise StorageError("the lake is gone")


# --- history ---


def test_history_is_pruned_by_the_settings_and_named_in_the_audit(tmp_path: Path, market: Market):
    with opened(tmp_path) as service:
        for days in (3, 4, 5):
            done(service, asked("BTCUSD", days=days))
        for number in (1, 2, 3):
            service.runs.update(number, ended_at=time.time() - 40 * 86_400)
    with opened(tmp_path, upkeep={"run_days": 30}) as service:
        upkeep = Upkeep(service)
        assert upkeep.has_old_history()
        end = ended(service, upkeep.start("ann", steps=(HISTORY,)))
        assert end["console.db"].result["deleted"] == {
            "runs": 2, "ticks": 0, "notices": 0, "audit": 0, "dead_letters": 0
        }  # fmt: skip
        assert [row.target for row in Audit(service.database).find(verb="prune history")] == ["runs"]
        assert service.runs.get(3) is not None, "the newest run of a series stays"
        assert not upkeep.has_old_history()


def test_nothing_is_pruned_by_default(service: RunService):
    service.runs.update(1, ended_at=0.0)
    end = ended(service, Upkeep(service).start("ann", steps=(HISTORY,)))
    assert set(end["console.db"].result["deleted"].values()) == {0}
    assert service.runs.get(1) is not None


def test_the_steps_say_what_they_came_to():
    assert words.in_words({}) == "nothing to do"
    said = words.in_words(
        {
            "files_before": 1200,
            "files_after": 50,
            "left_for_later": 2,
            "repeats_removed": 3,
            "log_entries_deleted": 40,
            "files_deleted": 9,
        }
    )
    assert said == (
        "1,200 files are 50 now, 2 partitions left for the next time, others changed them, 3 rows that were there twice"
        " are there once, 40 log entries deleted, 9 unused files deleted"
    )
