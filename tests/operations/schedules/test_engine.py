"""What becomes of what is due? Every instant one end: ran, late, skipped, missed or paused, and never two."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ffe_core.errors import InputError, SeriesHeld, StorageError
from ffe_core.operations.schedules.runs import SCHEDULER, Failure
from ffe_core.series import Series
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state import schedules as schedule_states
from ffe_core.times import DAY
from tests.operations.schedules.harness import Clock, World

_START = "2024-02-28T23:58:30Z"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, Clock.on(_START))


def _what(world: World, schedule_id: int) -> list[str]:
    return [outcome for _, outcome in world.outcomes(schedule_id)]


def test_what_is_due_runs_once_and_on_record(world: World) -> None:
    one = world.add(trigger="every 1", since="2d")
    world.run_until(world.clock.at + 150)
    assert _what(world, one.id) == [schedule_states.RAN] * 3
    rows = world.ticks(one.id)
    assert [row.run_id for row in rows] == [1, 2, 3]
    assert [row.run_state for row in rows] == [run_states.COMPLETE] * 3
    request = world.runs.started[1].request
    assert (request.start, request.end) == (rows[0].due - 2 * DAY, rows[0].due)
    assert world.runs.started[1].actor == SCHEDULER


def test_a_pulse_without_anything_due_changes_nothing(world: World) -> None:
    one = world.add(trigger="every 1")
    world.run_until(world.clock.at + 31)
    for _ in range(5):
        world.scheduler.poll()
    assert len(world.outcomes(one.id)) == len(world.runs.started) == 1


def test_nothing_is_due_before_a_schedule_was_made(world: World) -> None:
    one = world.add(trigger="cron 0 0 * * *")
    world.run_until(world.clock.at + 60)
    assert _what(world, one.id) == []


def test_a_little_late_is_said(world: World) -> None:
    one = world.add(trigger="every 1", catch_up="none")
    world.clock.at += 42
    world.scheduler.poll()
    [row] = world.ticks(one.id)
    assert (row.outcome, row.late) == (schedule_states.LATE, 12.0)


@pytest.mark.parametrize(
    ("catch_up", "outcomes"),
    [
        ("none", [schedule_states.MISSED] * 6),
        ("latest", [schedule_states.MISSED] * 5 + [schedule_states.LATE]),
        ("fill", [schedule_states.MISSED] * 5 + [schedule_states.LATE]),
    ],
)
def test_an_outage_is_caught_up_as_told(world: World, catch_up: str, outcomes: list[str]) -> None:
    one = world.add(trigger="cron 0 * * * *", catch_up=catch_up, mode="gaps", since="1d")
    world.crash()
    world.clock.at += 6 * 3600
    world.scheduler.poll()
    world.scheduler.poll()
    assert _what(world, one.id) == outcomes
    missed = [row for row in world.ticks(one.id) if row.outcome == schedule_states.MISSED]
    assert [row.note for row in missed] == ["no console was running"]
    assert len(world.runs.started) == outcomes.count(schedule_states.LATE)
    if catch_up == "fill":
        first = missed[0].due
        assert world.runs.started[1].request.start == first - DAY
        assert missed[0].filled_by == 1
    if catch_up == "latest":
        assert world.runs.started[1].request.start == world.outcomes(one.id)[-1][0] - DAY
        assert missed[0].filled_by is None


def _filling(world: World, **values: object) -> int:
    """A schedule whose tick stands in for five missed ones, in a run that is under way; its id."""
    values = {"trigger": "cron 0 * * * *", "catch_up": "fill", "mode": "gaps", "since": "1d", **values}
    one = world.add(**values)
    world.crash()
    world.runs.holds = True
    world.clock.at += 6 * 3600
    world.scheduler.poll()
    return one.id


@pytest.mark.parametrize(
    ("state", "is_filled"),
    [
        (run_states.COMPLETE, True),
        (run_states.GAPS, True),
        (run_states.FAILED, False),
        (run_states.CANCELLED, False),
        (run_states.INTERRUPTED, False),
    ],
)
def test_what_was_missed_counts_as_fetched_once_its_run_ended_well(world: World, state: str, is_filled: bool) -> None:
    schedule_id = _filling(world)
    assert world.ticks(schedule_id)[0].filled_by is None
    assert world.store.unfilled(schedule_id) == []
    world.crash()
    world.runs.end(1, state)
    world.scheduler.poll()
    assert world.ticks(schedule_id)[0].filled_by == (1 if is_filled else None)
    assert [row.count for row in world.store.unfilled(schedule_id)] == ([] if is_filled else [5])


def test_a_fire_that_could_not_start_leaves_what_was_missed_to_a_person(world: World) -> None:
    world.runs.busy_series = {Series("BTCUSD", "1h", "simulated"): 77}
    schedule_id = _filling(world)
    assert [row.count for row in world.store.unfilled(schedule_id)] == [5]


def test_a_run_without_some_of_its_series_has_not_fetched_what_was_missed(world: World) -> None:
    world.runs.busy_series = {Series("BTCUSD", "1h", "simulated"): 77}
    schedule_id = _filling(world, pairs=("BTCUSD", "ETHUSD"))
    assert [row.count for row in world.store.unfilled(schedule_id)] == [5]
    world.runs.end(1)
    world.scheduler.poll()
    assert [row.count for row in world.store.unfilled(schedule_id)] == [5]


def test_after_an_outage_a_fire_of_this_minute_stands_in_for_the_latest(world: World) -> None:
    one = world.add(trigger="every 1", catch_up="latest")
    world.clock.at += 600
    world.scheduler.poll()
    assert _what(world, one.id) == [schedule_states.MISSED] * 9 + [schedule_states.LATE]
    assert len(world.runs.started) == 1


def test_a_machine_that_slept_says_so(world: World) -> None:
    one = world.add(trigger="cron 0 * * * *", catch_up="none")
    world.scheduler.poll()
    world.clock.at += 7200
    world.scheduler.poll()
    assert [row.note for row in world.ticks(one.id)] == ["the machine slept, or its clock was set forward"]


def test_a_later_run_from_the_watermark_fills_what_was_missed(world: World) -> None:
    one = world.add(trigger="cron 0 * * * *", catch_up="none")
    world.clock.at += 7200
    world.scheduler.poll()
    assert [row.filled_by for row in world.store.unfilled()] == [None]
    world.run_until(world.clock.at + 3600)
    world.scheduler.poll()
    assert world.store.unfilled(one.id) == []


def test_the_clock_set_back_repeats_nothing(world: World) -> None:
    one = world.add(trigger="every 1")
    world.run_until(world.clock.at + 3600)
    before = world.outcomes(one.id)
    world.clock.at -= 3600
    for _ in range(60):
        world.clock.at += 60
        world.scheduler.poll()
    assert world.outcomes(one.id) == before
    world.run_until(world.clock.at + 120)
    assert len(world.outcomes(one.id)) == len(before) + 2


def test_the_former_run_is_not_overtaken(world: World) -> None:
    one = world.add(trigger="every 1", overlap="skip")
    world.runs.holds = True
    world.run_until(world.clock.at + 150)
    assert _what(world, one.id) == [schedule_states.RAN, schedule_states.SKIPPED, schedule_states.SKIPPED]
    assert [row.note for row in world.ticks(one.id)][1:] == ["run 1, the former one, still ran"] * 2
    world.runs.end(1)
    world.run_until(world.clock.at + 60)
    assert _what(world, one.id)[-1] == schedule_states.RAN


def test_one_fire_may_wait_for_the_former_run(world: World) -> None:
    one = world.add(trigger="every 1", overlap="queue")
    world.runs.holds = True
    world.run_until(world.clock.at + 150)
    assert _what(world, one.id) == [schedule_states.RAN, schedule_states.WAITING, schedule_states.SKIPPED]
    world.runs.end(1)
    world.clock.at += 5
    world.scheduler.poll()
    assert _what(world, one.id) == [schedule_states.RAN, schedule_states.LATE, schedule_states.SKIPPED]
    waited = world.ticks(one.id)[1]
    assert (waited.note, waited.run_id) == ("waited for run 1", 2)


def test_two_schedules_do_not_hold_each_other_up(world: World) -> None:
    slow, quick = world.add("slow"), world.add("quick", pairs=("ETHUSD",))
    world.runs.holds = True
    world.run_until(world.clock.at + 31)
    world.runs.end(2)
    world.run_until(world.clock.at + 60)
    assert _what(world, slow.id) == [schedule_states.RAN, schedule_states.SKIPPED]
    assert _what(world, quick.id) == [schedule_states.RAN, schedule_states.RAN]


def test_series_that_another_run_has_are_left_out_and_said(world: World) -> None:
    one = world.add(pairs=("BTCUSD", "ETHUSD"))
    world.runs.busy_series = {Series("BTCUSD", "1h", "simulated"): 77}
    world.run_until(world.clock.at + 31)
    [row] = world.ticks(one.id)
    assert row.note == "without what another run works on: BTCUSD 1h from simulated (run 77)"
    assert world.runs.started[1].request.series == (Series("ETHUSD", "1h", "simulated"),)


def test_a_run_that_left_a_series_out_stands_in_for_nothing_that_was_missed(world: World) -> None:
    one = world.add(pairs=("BTCUSD", "ETHUSD"), catch_up="none")
    world.clock.at += 600
    world.crash()
    world.runs.busy_series = {Series("BTCUSD", "1h", "simulated"): 77}
    world.run_until(world.clock.at + 61)
    world.scheduler.poll()
    assert world.runs.started
    assert len(world.store.unfilled(one.id)) == 1
    world.runs.busy_series = {}
    world.run_until(world.clock.at + 61)
    world.scheduler.poll()
    assert world.store.unfilled(one.id) == []


def test_a_fire_whose_series_are_all_taken_is_skipped(world: World) -> None:
    one = world.add()
    world.runs.busy_series = {Series("BTCUSD", "1h", "simulated"): 77}
    world.run_until(world.clock.at + 31)
    assert [(row.outcome, row.note) for row in world.ticks(one.id)] == [
        (schedule_states.SKIPPED, "run 77 works on its series")
    ]


def test_a_series_held_by_another_process_is_skipped(world: World) -> None:
    one = world.add()
    world.runs.refuse = SeriesHeld("BTCUSD is held by process 9", "process 9")
    world.run_until(world.clock.at + 31)
    assert [row.note for row in world.ticks(one.id)] == ["BTCUSD is held by process 9"]


def test_a_schedule_pauses_itself_after_failures_in_a_row(world: World) -> None:
    one = world.add(pause_after=3)
    world.runs.ends_in = run_states.FAILED
    world.run_until(world.clock.at + 300)
    paused = world.verbs.get(one.id)
    assert paused.paused_by == SCHEDULER
    assert paused.paused_reason == "3 failures in a row, the last: the provider answered HTTP 500"
    assert len(world.runs.started) == 3
    assert world.told.events == ["run failed"] * 3 + ["schedule paused"]


def test_a_failure_counts_once_however_often_it_takes_to_tell_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one = world.add(pause_after=3)
    world.runs.ends_in, world.runs.holds = run_states.FAILED, True
    world.run_until(world.clock.at + 31)
    world.runs.end(1)
    told, tries = world.told.tell, iter(range(3))

    def busy(event: str, text: str, **details: Any) -> None:
        if next(tries, None) is not None:
            raise StorageError("the database cannot be used (database is locked)")
        told(event, text, **details)

    monkeypatch.setattr(world.told, "tell", busy)
    for _ in range(3):
        with pytest.raises(StorageError):
            world.scheduler.poll()
    world.scheduler.poll()
    assert (world.verbs.get(one.id).failures, world.verbs.get(one.id).paused) == (1, False)
    assert world.told.events == ["run failed"]


def test_a_success_ends_the_row_of_failures(world: World) -> None:
    one = world.add(pause_after=2)
    for state in (run_states.FAILED, run_states.GAPS, run_states.FAILED):
        world.runs.ends_in = state
        world.run_until(world.clock.at + 60)
    world.scheduler.poll()
    assert (world.verbs.get(one.id).failures, world.verbs.get(one.id).paused) == (1, False)


def test_an_interrupted_run_is_neither_failure_nor_success(world: World) -> None:
    one = world.add(pause_after=1)
    world.runs.ends_in = run_states.INTERRUPTED
    world.run_until(world.clock.at + 90)
    assert not world.verbs.get(one.id).paused
    assert world.told.messages == []


def test_lost_credentials_pause_with_that_reason(world: World) -> None:
    one = world.add()
    world.runs.refuse = InputError("FFE_OANDA__API_TOKEN: missing; set it")
    world.run_until(world.clock.at + 31)
    paused = world.verbs.get(one.id)
    assert (paused.paused_by, paused.paused_reason) == (SCHEDULER, "FFE_OANDA__API_TOKEN: missing; set it")
    assert _what(world, one.id) == [schedule_states.PAUSED]


def test_refused_credentials_pause_at_once(world: World) -> None:
    one = world.add(pause_after=100)
    world.runs.ends_in, world.runs.why = run_states.FAILED, Failure("oanda answered HTTP 401", credentials=True)
    world.run_until(world.clock.at + 35)
    reason = world.verbs.get(one.id).paused_reason
    assert reason is not None
    assert reason.startswith("the provider refuses the credentials: oanda answered HTTP 401")


def test_a_watchlist_that_is_gone_pauses_its_schedule_and_no_other(world: World) -> None:
    world.watchlists.save("Majors", "simulated", ["BTCUSD"], ["1h"], "ann")
    gone, other = world.add("gone", watchlist="Majors", trigger="bar close"), world.add("other", pairs=("ETHUSD",))
    world.watchlists.delete("Majors")
    world.run_until(world.clock.at + 2 * 3600)
    assert "there is no watchlist named 'Majors'" in (world.verbs.get(gone.id).paused_reason or "")
    assert set(_what(world, other.id)) == {schedule_states.RAN}


def test_a_watchlist_counts_as_it_is_when_it_fires(world: World) -> None:
    world.watchlists.save("Majors", "simulated", ["BTCUSD"], ["1h"], "ann")
    world.add(watchlist="Majors")
    world.watchlists.save("Majors", "simulated", ["BTCUSD", "ETHUSD"], ["1h"], "ann")
    world.run_until(world.clock.at + 31)
    assert [series.asset_pair for series in world.runs.started[1].request.series] == ["BTCUSD", "ETHUSD"]


def test_a_run_that_its_dead_leader_did_not_write_down_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one = world.add()
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "update_ticks", _dies)
        with pytest.raises(_Died):
            world.run_until(world.clock.at + 31)
    world.crash()
    world.scheduler.poll()
    assert _what(world, one.id) == [schedule_states.RAN]
    assert len(world.runs.started) == 1


def test_a_fire_claimed_by_a_dead_leader_and_not_started_is_started_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world.add()
    with monkeypatch.context() as patch:
        patch.setattr(world.runs, "start", _dies)
        with pytest.raises(_Died):
            world.run_until(world.clock.at + 31)
    world.crash()
    world.clock.at += 20
    world.scheduler.poll()
    world.scheduler.poll()
    assert [(row.outcome, row.run_id) for row in world.ticks(one.id)] == [(schedule_states.LATE, 1)]
    assert len(world.runs.started) == 1


def test_a_ledger_that_is_busy_while_writing_does_not_start_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world.add()
    real, calls = world.store.update_ticks, []

    def busy_once(changes: list[object]) -> None:
        calls.append(changes)
        if changes and len([call for call in calls if call]) == 1:
            raise StorageError("the database is busy")
        real(changes)  # type: ignore[arg-type]

    monkeypatch.setattr(world.store, "update_ticks", busy_once)
    with pytest.raises(StorageError):
        world.run_until(world.clock.at + 31)
    world.scheduler.poll()
    assert _what(world, one.id) == [schedule_states.RAN]
    assert len(world.runs.started) == 1


def test_a_storage_failure_at_the_start_is_tried_again(world: World) -> None:
    one = world.add()
    world.runs.refuse = StorageError("the service is shutting down")
    world.run_until(world.clock.at + 31)
    assert _what(world, one.id) == [schedule_states.FIRING]
    world.runs.refuse = None
    world.clock.at += 10
    world.scheduler.poll()
    assert _what(world, one.id) == [schedule_states.LATE]


def test_two_leaders_at_once_account_only_once(world: World, tmp_path: Path) -> None:
    one = world.add()
    other = World(tmp_path, world.clock)
    other.runs = world.runs
    other.crash()
    world.clock.at += 31
    due = world.store.due(int(world.clock.at))
    other.scheduler.poll()
    settlements = [world.scheduler._settle_due(schedule, world.clock.at) for schedule in due]
    world.store.settle([due_ticks for due_ticks in settlements if due_ticks is not None])
    assert len(world.outcomes(one.id)) == 1


def test_one_schedule_changed_meanwhile_does_not_keep_back_the_others(world: World) -> None:
    first, second = world.add("first"), world.add("second", pairs=("ETHUSD",))
    world.clock.at += 31
    due = world.store.due(int(world.clock.at))
    world.verbs.pause(first.id, "changed meanwhile", "ann")
    settlements = [world.scheduler._settle_due(schedule, world.clock.at) for schedule in due]
    world.store.settle([due_ticks for due_ticks in settlements if due_ticks is not None])
    assert (len(world.outcomes(first.id)), len(world.outcomes(second.id))) == (0, 1)


def test_hundreds_due_in_one_minute_all_start(world: World) -> None:
    for number in range(120):
        world.add(f"schedule {number}", pairs=(f"P{number}USD",))
    world.run_until(world.clock.at + 31)
    assert len(world.runs.started) == 120
    rows, total = world.store.ticks(limit=200)
    assert total == 120
    assert {row.outcome for row in rows} == {schedule_states.RAN}


def test_so_many_run_at_once_and_the_others_as_these_end(tmp_path: Path) -> None:
    world = World(tmp_path, Clock.on(_START), most_runs=3)
    world.runs.holds = True
    made = [world.add(f"schedule {number}", pairs=(f"P{number}USD",)) for number in range(5)]
    world.run_until(world.clock.at + 31)
    assert [_what(world, one.id) for one in made] == [[schedule_states.RAN]] * 3 + [[schedule_states.FIRING]] * 2
    world.runs.end(2)
    world.clock.at += 10
    world.scheduler.poll()
    assert [_what(world, one.id) for one in made[3:]] == [[schedule_states.LATE], [schedule_states.FIRING]]
    world.verbs.pause(made[4].id, "maintenance", "ann")
    world.runs.end(1)
    world.scheduler.poll()
    assert _what(world, made[4].id) == [schedule_states.PAUSED]
    assert len(world.runs.started) == 4


def test_a_full_provider_leaves_the_others_alone(tmp_path: Path) -> None:
    world = World(tmp_path, Clock.on(_START), most_runs=1)
    world.runs.holds = True
    for name, provider in (("one", "simulated"), ("two", "simulated"), ("three", "coinbase")):
        world.add(name, provider=provider, pairs=("BTCUSD",) if name != "two" else ("ETHUSD",))
    world.run_until(world.clock.at + 31)
    assert sorted(run.request.provider for run in world.runs.started.values()) == ["coinbase", "simulated"]


def test_the_timer_is_set_for_what_is_due_first(world: World) -> None:
    world.clock.at = 4_102_444_800.0  # far ahead, so that nothing is due while this test looks
    scheduler = world.scheduler
    scheduler._timer.start(paused=True)
    try:
        later = world.add("later", trigger="cron 0 12 * * *")
        scheduler.poll()
        [job] = scheduler._timer.get_jobs()
        assert job.next_run_time.timestamp() == later.next_due
        sooner = world.add("sooner", trigger="every 1")
        scheduler.poll()
        [job] = scheduler._timer.get_jobs()
        assert job.next_run_time.timestamp() == sooner.next_due
        assert job.misfire_grace_time is None
        for schedule in (later, sooner):
            world.verbs.delete(schedule.id, "ann")
        scheduler.poll()
        assert scheduler._timer.get_jobs() == []
    finally:
        scheduler._timer.shutdown()


def test_runs_of_dead_processes_are_looked_for_every_few_seconds(world: World) -> None:
    for _ in range(5):
        world.scheduler.poll()
    assert world.runs.adoptions == 1
    world.scheduler._adopts_at = time.monotonic()
    world.scheduler.poll()
    assert world.runs.adoptions == 2


def test_an_adoption_that_fails_is_said_tried_again_and_keeps_nothing_from_firing(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = world.add()
    with monkeypatch.context() as patch:
        patch.setattr(world.runs, "adopt_dead", _locked)
        world.run_until(world.clock.at + 31)
    assert _what(world, one.id) == [schedule_states.RAN]
    assert "the database is locked" in caplog.text
    world.scheduler._adopts_at = time.monotonic()
    world.scheduler.poll()
    assert world.runs.adoptions == 1


def test_nothing_starts_before_the_fires_of_a_former_leader_are_looked_through(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def adopt() -> None:
        done.append("adopt")
        if len(done) < 3:
            raise StorageError("the database is locked")

    def poll() -> None:
        done.append("poll")

    monkeypatch.setattr(world.scheduler, "adopt", adopt)
    monkeypatch.setattr(world.scheduler, "poll", poll)
    for _ in range(5):
        world.scheduler._turn()
    assert done == ["adopt"] * 3 + ["poll"] * 3


def test_a_step_that_fails_is_said_and_does_not_end_the_engine(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise StorageError("the database cannot be used")

    world.scheduler._guarded(fails)
    assert world.scheduler.last_error == "the database cannot be used"
    world.scheduler._guarded(world.scheduler.poll)
    assert world.scheduler.last_error is None


class _Died(BaseException):
    """The process is gone."""


def _dies(*_: object) -> None:
    raise _Died


def _locked() -> None:
    raise StorageError("the database is locked")


def test_runs_started_by_hand_in_the_same_moment_are_all_on_record(world: World) -> None:
    """Each comes after the last one on record, which therefore must not change until it is written."""
    one = world.add()
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(world.store.add_manual, one.id, 1e9, n, "ann", None) for n in range(40)]:
            done.result()
    rows, total = world.store.ticks(one.id, limit=100)
    assert (total, len({row.due for row in rows}), {row.run_id for row in rows}) == (40, 40, set(range(40)))
