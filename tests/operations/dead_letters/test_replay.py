"""Does a replayed record land exactly once, whatever happens, and is everything said about it afterwards?"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ffe_core import times
from ffe_core.errors import PermanentError, SeriesHeld, StorageError
from ffe_core.operations.dead_letters import replay as replays
from ffe_core.operations.dead_letters.edits import set_fields, swap_high_low
from ffe_core.operations.dead_letters.service import DeadLetters
from ffe_core.operations.runs.service import RunService
from ffe_core.series import Series, Watermarks
from ffe_core.storage.dead_letters.search import Wanted
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state.runs import RunSeries
from tests.ingestion.fakes import record, stored
from tests.object_store import Store
from tests.operations.dead_letters import replay_kills
from tests.operations.harness import WAIT, Market, asked, done, lines_of, opened, states_of
from tests.processes import at_once
from tests.storage.dead_letters.harness import BTC, HOUR, START, SWAPPED, dead_lettered, good, upside_down

pytestmark = pytest.mark.both_stores
SERIES = Series("BTCUSD", "1h", "coinbase")


@pytest.fixture
def service(tmp_path: Path, market: Market) -> Iterator[RunService]:
    with opened(tmp_path) as made:
        yield made


@pytest.fixture
def verbs(service: RunService) -> DeadLetters:
    return DeadLetters(service)


def kept(verbs: DeadLetters, *records: Any, **context: Any) -> str:
    """Records as one entry; its id."""
    batch_id = verbs.queue.save(records, "e", {**BTC, **context}, [["kept"]] * len(records)).batch_id
    assert batch_id
    return batch_id


def replayed(verbs: DeadLetters, service: RunService, selection: Any, **options: Any) -> RunSeries:
    """Replay to the end; the row of the run's first series."""
    run_id = verbs.replay(selection, "ann", **options)
    service.wait(run_id, WAIT)
    return service.runs.series(run_id)[0]


def ids(folder: Path, series: Series = SERIES) -> Counter[str]:
    """How often each dead letter id is in the lake."""
    return Counter(id_ for id_ in stored(folder, series)["_dead_letter_id"].to_pylist() if id_)


def statuses(verbs: DeadLetters, batch_id: str) -> list[str]:
    return [record.status for record in verbs.queue.read(batch_id).records]


class TestOneReplay:
    @pytest.mark.both_servers
    def test_a_mended_record_lands_with_its_lineage_and_moves_no_mark(
        self, verbs: DeadLetters, service: RunService, tmp_path: Path
    ):
        done(service, asked(days=1))
        marks = service.lake.marks(SERIES)
        batch_id = kept(verbs, upside_down(500))
        verbs.edit(verbs.edits({batch_id: (0,)}, [swap_high_low]), "ann")
        run_id = verbs.replay({batch_id: (0,)}, "ann", reason="looked right")
        service.wait(run_id, WAIT)
        row = stored(tmp_path).to_pylist()[-1]
        assert row["_dead_letter_id"] == f"{batch_id}#0"
        assert (row["high"], row["low"], row["source_provider"]) == (102.0, 98.0, "coinbase")
        assert service.lake.marks(SERIES) == marks
        assert statuses(verbs, batch_id) == ["replayed"]
        taken = verbs.queue.read(batch_id).history[-1]
        assert (taken["verb"], taken["by"], taken["why"], taken["run"]) == ("replay", "ann", "looked right", run_id)
        assert taken["stored"] == {"0": 1}

    def test_the_run_says_what_became_of_it_and_counts_the_series(self, verbs: DeadLetters, service: RunService):
        batch_id = kept(verbs, good(0), good(1), upside_down(3))
        run_id = verbs.replay({batch_id: range(3)}, "ann", "console")
        service.wait(run_id, WAIT)
        run, (row,) = service.runs.get(run_id), service.runs.series(run_id)
        assert run
        assert (run.kind, run.state, run.actor, run.provider) == (
            "replay",
            "finished with gaps",
            "ann",
            "coinbase",
        )
        assert run.parameters["records"] == {batch_id: [[0, 2]]}
        assert (row.received, row.records, row.failed_records) == (3, 2, 1)
        assert (row.start, row.end) == (START, START + 4 * HOUR)
        counts = {name: getattr(row, name) for name in ("expected", "stored", "dead_lettered", "marked", "unexplained")}
        assert counts == {"expected": 4, "stored": 2, "dead_lettered": 1, "marked": 0, "unexplained": 1}
        assert row.next_step_code == "edit_and_replay"

    def test_all_that_can_be_is_complete(self, verbs: DeadLetters, service: RunService):
        batch_id = kept(verbs, good(0), good(1))
        assert replayed(verbs, service, {batch_id: (0, 1)}).state == "complete"

    def test_what_still_fails_stays_pending_with_the_new_reasons_and_failed_again(
        self, verbs: DeadLetters, service: RunService, tmp_path: Path
    ):
        batch_id = kept(verbs, upside_down(0), upside_down(1))
        for attempts in (1, 2):
            replayed(verbs, service, {batch_id: (0,)})
            first, second = verbs.queue.read(batch_id).records
            assert (first.status, first.attempts, first.reasons) == ("pending", attempts, SWAPPED)
            assert (second.attempts, second.reasons) == (0, ["kept"])
        assert verbs.queue.count(Wanted(status="failed again")) == verbs.queue.count(Wanted(status="new")) == 1
        assert stored(tmp_path).num_rows == 0

    def test_a_record_sent_without_its_volume_fails_until_somebody_gives_it_or_leaves_it_out(
        self, verbs: DeadLetters, service: RunService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(Market, "volume_unit", "base units")
        bare = [{name: value for name, value in good(at).items() if name != "volume"} for at in (0, 1)]
        batch_id = kept(verbs, *bare)
        assert replayed(verbs, service, {batch_id: [0, 1]}).failed_records == 2
        assert verbs.queue.read(batch_id).records[0].reasons == ["missing_field:volume"]
        for number, volume in ((0, "7"), (1, None)):
            verbs.edit(verbs.edits({batch_id: [number]}, [set_fields({"volume": volume})]), "ann")
        replayed(verbs, service, {batch_id: [0, 1]})
        assert stored(tmp_path, SERIES)["volume"].to_pylist() == [7.0, 0.0]

    def test_a_share_edited_onto_the_other_grid_of_its_series_fails(self, verbs: DeadLetters, service: RunService):
        share = Series("AAPL", "1h", "alpha_vantage")
        service.ingester.stores.instruments.learn(share, hour_offset=1800)
        monday = times.parse_instant("2024-01-22T14:30Z")
        sent = [good(0) | {"date": times.iso(monday + late), "volume": "1"} for late in (0, 1800, 3600)]
        context = {"asset_pair": share.asset_pair, "timeframe": share.timeframe, "provider": share.provider}
        batch_id = kept(verbs, *sent, **context)
        checks = list(verbs.preview({batch_id: (0, 1, 2)}))
        assert [(check.outcome, check.reasons) for check in checks] == [
            ("passes", ()),
            ("fails", ("off_grid",)),
            ("passes", ()),
        ]

    def test_only_the_records_of_the_list_land(self, verbs: DeadLetters, service: RunService, tmp_path: Path):
        batch_id, other = kept(verbs, good(0), good(1), good(2)), kept(verbs, good(5))
        verbs.discard({batch_id: (2,)}, "bob", "noise")
        replayed(verbs, service, {batch_id: (1, 2)})
        assert ids(tmp_path) == {f"{batch_id}#1": 1}
        assert statuses(verbs, batch_id) == ["pending", "replayed", "discarded"]
        assert statuses(verbs, other) == ["pending"]

    def test_several_series_in_one_run_each_on_its_own(self, verbs: DeadLetters, service: RunService, tmp_path: Path):
        first = kept(verbs, good(0))
        second = kept(verbs, good(0), asset_pair="EUR_USD", provider="oanda")
        third = kept(verbs, good(24), timeframe="1d")
        run_id = verbs.replay(dict.fromkeys((first, second, third), (0,)), "ann")
        service.wait(run_id, WAIT)
        run = service.runs.get(run_id)
        assert run
        assert run.provider == "several"
        assert [row.state for row in service.runs.series(run_id)] == ["complete"] * 3
        assert ids(tmp_path, Series("EURUSD", "1h", "oanda"))[f"{second}#0"] == 1
        assert ids(tmp_path, Series("BTCUSD", "1d", "coinbase"))[f"{third}#0"] == 1

    def test_one_series_that_fails_leaves_the_others(
        self, verbs: DeadLetters, service: RunService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        first, second = kept(verbs, good(0)), kept(verbs, good(0), asset_pair="ETHUSD")
        commit = service.lake.commit

        def full(series: Series, *arguments: Any) -> Any:
            if series == SERIES:
                raise StorageError("the disk is full")
            return commit(series, *arguments)

        monkeypatch.setattr(service.lake, "commit", full)
        run_id = verbs.replay({first: (0,), second: (0,)}, "ann")
        service.wait(run_id, WAIT)
        assert states_of(service, run_id) == ("failed", {"BTCUSD": "failed", "ETHUSD": "complete"})
        assert statuses(verbs, first) == ["pending"]
        assert statuses(verbs, second) == ["replayed"]
        assert "the disk is full" in service.runs.series(run_id)[0].error


class TestCollisions:
    @pytest.mark.parametrize("restate", [False, True])
    def test_the_stored_candle_is_kept_unless_told_otherwise(
        self, verbs: DeadLetters, service: RunService, tmp_path: Path, restate: bool
    ):
        done(service, asked(days=1))
        before = stored(tmp_path).num_rows
        batch_id = kept(verbs, good(3, 5.0))
        row = replayed(verbs, service, {batch_id: (0,)}, restate=restate)
        current = service.lake.current(SERIES, START + 3 * HOUR, START + 4 * HOUR, ["open", "_dead_letter_id"])
        (candle,) = current.to_pylist()
        assert stored(tmp_path).num_rows == before + restate
        assert statuses(verbs, batch_id) == ["replayed" if restate else "superseded by stored"]
        assert (row.records, row.restated, row.repeats) == ((1, 1, 0) if restate else (0, 0, 1))
        assert (candle["open"] == 5.0) is restate
        assert candle["_dead_letter_id"] == (f"{batch_id}#0" if restate else None)

    def test_the_same_candle_is_never_stored_twice(self, verbs: DeadLetters, service: RunService, tmp_path: Path):
        batch_id = kept(verbs, good(0, note=1), good(0, note=2))
        replayed(verbs, service, {batch_id: (0, 1)}, restate=True)
        assert stored(tmp_path).num_rows == 1
        assert sorted(statuses(verbs, batch_id)) == ["replayed", "superseded by stored"]

    def test_of_two_candles_for_a_bar_the_last_lands(self, verbs: DeadLetters, service: RunService, tmp_path: Path):
        batch_id = kept(verbs, good(0, 5.0), good(0, 6.0))
        replayed(verbs, service, {batch_id: (0, 1)})
        assert ids(tmp_path) == {f"{batch_id}#1": 1}
        assert verbs.queue.read(batch_id).records[0].reasons == ["superseded"]


class TestExactlyOnce:
    def test_pressed_again_and_again(self, verbs: DeadLetters, service: RunService, tmp_path: Path):
        batch_id = kept(verbs, good(0), good(1))
        for _ in range(3):
            replayed(verbs, service, {batch_id: (0, 1)}, restate=True)
        assert ids(tmp_path) == {f"{batch_id}#0": 1, f"{batch_id}#1": 1}
        assert verbs.queue.read(batch_id).records[0].attempts == 1

    @pytest.mark.of_a_state_file("the processes open a file")
    @pytest.mark.of_a_lake_folder("the processes open a folder")
    @pytest.mark.slow
    def test_pressed_at_the_same_moment_from_two_processes(self, tmp_path: Path):
        replay_kills.prepare(tmp_path, 300)
        code = "import sys; from pathlib import Path; from tests.operations.dead_letters.replay_kills import replay;"
        at_once(f"{code} replay(Path(sys.argv[1]))", [(tmp_path,)] * 2)
        assert replay_kills.faults(tmp_path, 300) == []

    def test_the_process_dies_between_the_commit_and_the_file(
        self, verbs: DeadLetters, service: RunService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        batch_id = kept(verbs, good(0), good(1))
        with monkeypatch.context() as patch:
            patch.setattr(replays.Replay, "_tell", lambda *_: pytest.fail("died here"))
            run_id = verbs.replay({batch_id: (0, 1)}, "ann")
            service.wait(run_id, WAIT)
        assert statuses(verbs, batch_id) == ["pending"] * 2
        assert sum(ids(tmp_path).values()) == 2
        assert [v.outcome for v in verbs.preview({batch_id: (0, 1)})] == ["landed"] * 2
        assert replayed(verbs, service, {batch_id: (0, 1)}, restate=True).records == 2
        assert ids(tmp_path) == {f"{batch_id}#0": 1, f"{batch_id}#1": 1}
        assert statuses(verbs, batch_id) == ["replayed"] * 2

    def test_not_even_when_it_is_mended_or_restated_before_the_next_replay(
        self, verbs: DeadLetters, service: RunService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        """What was edited after it had landed is neither stored again nor said to be stored."""
        batch_id = kept(verbs, good(0), good(1, 7.0), good(2), good(2, 8.0))
        with monkeypatch.context() as patch:
            patch.setattr(replays.Replay, "_tell", lambda *_: pytest.fail("died here"))
            service.wait(verbs.replay({batch_id: (0, 1, 2)}, "ann"), WAIT)
        verbs.edit(verbs.edits({batch_id: (0,)}, [set_fields({"date": good(9)["date"]})]), "ann")
        verbs.edit(verbs.edits({batch_id: (2,)}, [set_fields({"high": "500"})]), "ann")
        done(service, asked(days=1, mode="refetch"))
        outcomes = [check.outcome for check in verbs.preview({batch_id: (0, 1, 2, 3)})]
        assert outcomes == ["fails", "landed", "fails", "collides"]
        row = replayed(verbs, service, {batch_id: (0, 1, 2)}, restate=True)
        assert (row.records, row.failed_records) == (1, 2)
        assert ids(tmp_path) == {f"{batch_id}#{number}": 1 for number in (0, 1, 2)}
        assert statuses(verbs, batch_id) == ["pending", "replayed", "pending", "pending"]
        assert "landed_otherwise" in verbs.queue.read(batch_id).records[2].reasons

    @pytest.mark.of_a_state_file("each names its places itself")
    @pytest.mark.of_a_lake_folder("each names its places itself")
    @pytest.mark.slow
    def test_killed_at_random_moments(self):
        for done_, found in replay_kills.trials(2, 200, random.Random(11)):
            assert found == [], f"after {done_} kills"

    @pytest.mark.of_a_state_file("each names its places itself")
    @pytest.mark.of_a_lake_folder("each names its places itself")
    @pytest.mark.slow
    def test_killed_at_random_moments_in_an_object_store(self, object_store: Store, monkeypatch: pytest.MonkeyPatch):
        for name in ("FFE_LAKE_URI", *object_store.variables()):
            monkeypatch.setenv(name, "")  # what is set from here on is taken back
        for done_, found in replay_kills.trials(3, 100, random.Random(5), object_store):
            assert found == [], f"after {done_} kills"

    def test_another_writer_moves_the_marks_meanwhile(
        self, verbs: DeadLetters, service: RunService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        batch_id = kept(verbs, good(0))
        marks, stale = service.lake.marks, [Watermarks(5, 5)]
        monkeypatch.setattr(service.lake, "marks", lambda series: stale.pop() if stale else marks(series))
        assert replayed(verbs, service, {batch_id: (0,)}).state == "complete"
        assert ids(tmp_path) == {f"{batch_id}#0": 1}


class TestWhileASeriesIsHeld:
    def test_the_run_is_named_and_nothing_starts(self, verbs: DeadLetters, service: RunService, market: Market):
        market.stops_at = START
        batch_id = kept(verbs, good(500))
        run_id = service.start(asked(), "bob")
        assert market.reached.wait(WAIT)
        with pytest.raises(SeriesHeld, match=f"run {run_id}"):
            verbs.replay({batch_id: (0,)}, "ann")
        with pytest.raises(SeriesHeld, match=f"run {run_id}"):
            verbs.refetch({batch_id: (0,)}, "ann")
        market.goes_on.set()
        service.wait(run_id, WAIT)
        assert service.runs.find()[1] == 1

    def test_it_can_queue_after_it(self, verbs: DeadLetters, service: RunService, market: Market, tmp_path: Path):
        market.stops_at = START
        batch_id = kept(verbs, good(500))
        first = service.start(asked(), "bob")
        assert market.reached.wait(WAIT)
        second = verbs.replay({batch_id: (0,)}, "ann", lease_wait=WAIT)
        market.goes_on.set()
        service.wait(second, WAIT)
        assert [states_of(service, run_id)[0] for run_id in (first, second)] == ["complete"] * 2
        assert ids(tmp_path)[f"{batch_id}#0"] == 1

    def test_a_wait_that_is_too_short_ends_as_failed_and_says_who_holds_it(
        self, verbs: DeadLetters, service: RunService
    ):
        batch_id = kept(verbs, good(0))
        with service.ingester.stores.lease(SERIES, "99").acquire():
            run_id = verbs.replay({batch_id: (0,)}, "ann", lease_wait=0.01)
            service.wait(run_id, WAIT)
        assert states_of(service, run_id)[0] == "failed"
        assert "held by run 99" in service.runs.series(run_id)[0].error


class TestCancelling:
    def test_what_is_committed_is_told_and_the_rest_stays_pending(
        self, verbs: DeadLetters, service: RunService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(replays, "CHUNK_RECORDS", 2)
        batch_id = kept(verbs, *(good(hour) for hour in range(10)))
        commit = replays.Replay._commit

        def cancelled(self: replays.Replay, *arguments: Any) -> None:
            service.cancel(self._run_id, "bob")
            commit(self, *arguments)

        monkeypatch.setattr(replays.Replay, "_commit", cancelled)
        run_id = verbs.replay({batch_id: range(10)}, "ann")
        service.wait(run_id, WAIT)
        assert states_of(service, run_id)[0] == "cancelled"
        assert "cancelled by bob" in lines_of(service, run_id)
        already_replayed = ids(tmp_path)
        assert 0 < sum(already_replayed.values()) < 10
        assert statuses(verbs, batch_id).count("replayed") == len(already_replayed)
        monkeypatch.undo()
        replayed(verbs, service, {batch_id: range(10)})
        assert sorted(ids(tmp_path).values()) == [1] * 10


class TestRefetch:
    def test_just_those_bars_are_asked_for_neighbours_together(
        self, verbs: DeadLetters, service: RunService, market: Market, tmp_path: Path
    ):
        batch_id = kept(verbs, *(upside_down(hour) for hour in (3, 4, 5, 20)), {"date": "soon"})
        run_id = verbs.refetch({batch_id: range(5)}, "ann", reason="they edited it")
        service.wait(run_id, WAIT)
        assert sorted({((page.start - START) // HOUR, (page.end - START) // HOUR) for page in market.asked}) == [
            (3, 6),
            (20, 21),
        ]
        assert stored(tmp_path).num_rows == 4
        assert statuses(verbs, batch_id) == ["superseded by stored"] * 4 + ["pending"]
        run, (row,) = service.runs.get(run_id), service.runs.series(run_id)
        assert run
        assert (run.kind, run.state, row.records, row.expected, row.stored) == (
            "refetch",
            "complete",
            4,
            4,
            4,
        )
        taken = verbs.queue.read(batch_id).history[-1]
        assert (taken["verb"], taken["by"], taken["why"], taken["run"]) == ("refetch", "ann", "they edited it", run_id)
        assert row.result
        assert (row.result["asked_again"], row.result["settled"]) == (5, 4)

    def test_the_same_bad_record_again_stays_pending_and_is_no_second_letter(
        self, verbs: DeadLetters, service: RunService, market: Market
    ):
        bad = upside_down(3)
        market.held[START + 3 * HOUR] = bad
        batch_id = kept(verbs, bad)
        run_id = verbs.refetch({batch_id: (0,)}, "ann")
        service.wait(run_id, WAIT)
        assert statuses(verbs, batch_id) == ["pending"]
        assert verbs.queue.count() == 1

    def test_a_mended_answer_is_stored_beside_a_new_bad_one(
        self, verbs: DeadLetters, service: RunService, market: Market
    ):
        market.held[START + 3 * HOUR] = record(START + 3 * HOUR, high="0")
        batch_id = kept(verbs, upside_down(3), upside_down(9))
        service.wait(verbs.refetch({batch_id: (0, 1)}, "ann"), WAIT)
        assert statuses(verbs, batch_id) == ["pending", "superseded by stored"]
        assert verbs.queue.count() == 3

    def test_a_failure_of_the_provider_is_told(self, verbs: DeadLetters, service: RunService, market: Market):
        market.errors["BTCUSD"] = PermanentError("the account is closed")
        batch_id = kept(verbs, upside_down(3))
        run_id = verbs.refetch({batch_id: (0,)}, "ann")
        service.wait(run_id, WAIT)
        assert states_of(service, run_id)[0] == "failed"
        assert "the account is closed" in service.runs.series(run_id)[0].error

    def test_records_that_say_no_bar_cannot_be_asked_for(self, verbs: DeadLetters, service: RunService):
        batch_id = kept(verbs, {"date": "soon"})
        run_id = verbs.refetch({batch_id: (0,)}, "ann")
        service.wait(run_id, WAIT)
        assert states_of(service, run_id)[0] == "failed"
        assert "nothing to ask for" in service.runs.series(run_id)[0].error


def test_a_cancelled_replay_counts_the_commit_it_saw_through(
    verbs: DeadLetters, service: RunService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    committing, goes_on = threading.Event(), threading.Event()
    commit = DeltaLakeManager.commit

    def held_commit(self: DeltaLakeManager, series: Series, *args: Any) -> Any:
        committing.set()
        assert goes_on.wait(WAIT)
        return commit(self, series, *args)

    monkeypatch.setattr(DeltaLakeManager, "commit", held_commit)
    batch_id = kept(verbs, *(good(hour) for hour in range(20)))
    run_id = verbs.replay({batch_id: tuple(range(20))}, "ann")
    assert committing.wait(WAIT)
    service.cancel(run_id, "ann")
    time.sleep(0.2)  # until the cancellation has reached the event loop
    goes_on.set()
    service.wait(run_id, WAIT)
    row = service.runs.series(run_id)[0]
    assert (row.state, row.records, row.received) == ("cancelled", 20, 20)
    assert stored(tmp_path).num_rows == 20


def test_a_dead_letter_counts_until_it_is_replayed(verbs: DeadLetters, service: RunService, tmp_path: Path):
    batch_id = dead_lettered(tmp_path / "dlq", 0)
    assert len(verbs.queue.open_times(SERIES, START, START + HOUR)) == 1
    verbs.edit(verbs.edits({batch_id: (0,)}, [swap_high_low]), "ann")
    replayed(verbs, service, {batch_id: (0,)})
    assert len(verbs.queue.open_times(SERIES, START, START + HOUR)) == 0
