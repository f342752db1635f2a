"""What can people do with schedules? Each verb does what it says, is on record with its actor, and forgets no tick."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ffe_core.errors import InputError, SeriesHeld
from ffe_core.instruments.model import SeriesFacts
from ffe_core.operations.schedules.forecast import expected_ticks
from ffe_core.operations.schedules.service import Draft
from ffe_core.providers import provider_class
from ffe_core.series import Series, Watermarks
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state import schedules as schedule_states
from ffe_core.storage.state.audit import Audit
from ffe_core.times import DAY, parse_instant
from tests.operations.schedules.harness import Clock, Present, World

_GOOD = Draft("one", "simulated", ("BTCUSD",), ("1h",), trigger="every 1")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, Clock.on("2024-05-15T10:00:30Z"))


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"name": " "}, "name", "1 to 60 characters"),
        ({"name": "n" * 61}, "name", "1 to 60 characters"),
        ({"provider": "nowhere"}, "provider", "is unknown"),
        ({"provider": "oanda", "pairs": ("EURUSD",)}, "provider", "FFE_OANDA__API_TOKEN: missing"),
        ({"pairs": ()}, "pairs", "give a list"),
        ({"pairs": ("???",)}, "pairs", "cannot be a pair"),
        ({"pairs": ("NOPEUSD",)}, "pairs", "has no pair NOPEUSD"),
        ({"timeframes": ("2h",)}, "timeframes", "is unknown"),
        ({"watchlist": "Gone"}, "watchlist", "there is no watchlist named 'Gone'"),
        ({"trigger": "cron 0 0 30 2 *"}, "trigger", "never comes"),
        ({"zone": "Mars"}, "zone", "does not exist"),
        ({"mode": "all"}, "mode", "is unknown"),
        ({"since": "yesterday"}, "since", "or a number of days like 30d, or: beginning"),
        ({"since": "0d"}, "since", "is not 1d to 36500d"),
        ({"since": "2999-01-01"}, "since", "lies in the future"),
        ({"overlap": "both"}, "overlap", "use one of skip, queue"),
        ({"catch_up": "all"}, "catch_up", "use one of none, latest, fill"),
        ({"pause_after": -1}, "pause_after", "0 (never) to 1000"),
    ],
)
def test_problems_are_said_at_their_field(world: World, change: dict[str, object], field: str, said: str) -> None:
    problems = world.verbs.problems(replace(_GOOD, **change))
    assert list(problems) == [field]
    assert said in problems[field]
    with pytest.raises(InputError, match=f"^{field}: "):
        world.verbs.create(replace(_GOOD, **change), "ann")
    assert world.store.all() == []


def test_all_problems_are_said_at_once(world: World) -> None:
    bad = Draft("", "simulated", ("NOPEUSD",), ("1h",), trigger="cron 0 25 * * *", zone="Mars", since="soon")
    assert set(world.verbs.problems(bad)) == {"name", "pairs", "trigger", "zone", "since"}


@pytest.mark.parametrize("typed", ["beginning", " Beginning "])
@pytest.mark.parametrize("from_list", [False, True])
def test_the_beginning_is_the_first_day_that_the_provider_can_have(world: World, typed: str, from_list: bool) -> None:
    world.watchlists.save("Majors", "simulated", ["BTCUSD"], ["1h"], "ann")
    series = {"watchlist": "Majors"} if from_list else {}
    one = world.add(since=typed, **series)
    assert (one.since, Draft.of(one).since) == ("beginning", "beginning")
    world.run_until(world.clock.at + 31)
    [started] = world.runs.started.values()
    assert started.request.start == parse_instant("1970-01-01")
    assert started.request.mode == "resume"


def test_a_provider_that_tells_no_beginning_is_said_at_the_field(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_class("simulated"), "earliest", None)
    said = world.verbs.problems(replace(_GOOD, since="beginning"))
    assert said == {"since": "simulated does not say when it begins; give a date"}


def test_the_beginning_of_a_list_that_is_gone_is_said_once(world: World) -> None:
    assert list(world.verbs.problems(replace(_GOOD, watchlist="Gone", since="beginning"))) == ["watchlist"]


def test_after_the_first_tick_from_the_beginning_only_what_is_new_is_expected(world: World) -> None:
    one = world.add(trigger="bar close", since="beginning")
    first = parse_instant("2024-05-01")
    dues = world.verbs.next_dues(one, 3)
    present = Present(world, {"BTCUSD": Watermarks()})
    whole = expected_ticks(one, dues, world.plans, present)
    world.plans.settings.calendars.learn_from(lambda provider, pair: {"1h": SeriesFacts(first_bar=first)})
    known = expected_ticks(one, dues, world.plans, present)
    assert whole[0].bars > 100_000
    assert [tick.bars for tick in known] == [(dues[0] - first) // 3600, 1, 1]


def test_a_pair_that_the_provider_does_not_list(world: World) -> None:
    world.verbs._is_listed = lambda provider, pair: pair == "BTCUSD"
    assert world.verbs.problems(replace(_GOOD, provider="coinbase")) == {}
    missing = world.verbs.problems(replace(_GOOD, provider="coinbase", pairs=("BTCUSD", "ETHUSD")))
    assert missing == {"pairs": "coinbase has no pair ETHUSD; choose one that it lists"}


def test_a_good_draft_is_saved_as_it_reads(world: World) -> None:
    made = world.verbs.create(replace(_GOOD, pairs=("btc-usd",), trigger="cron 0 9 * * 1"), "ann")
    assert (made.pairs, made.trigger, made.actor) == (("BTCUSD",), "cron 0 9 * * mon", "ann")
    assert made.next_due == parse_instant("2024-05-20T09:00:00Z")
    assert Draft.of(made).trigger == "cron 0 9 * * mon"


def test_a_name_is_taken_once_and_free_after_deletion(world: World) -> None:
    first = world.add("same")
    with pytest.raises(InputError, match="there is a schedule 'same' already"):
        world.add("same")
    world.verbs.delete(first.id, "ann")
    assert world.add("same").id != first.id


def test_an_edit_counts_from_now_and_keeps_what_was(world: World) -> None:
    one = world.add()
    world.run_until(world.clock.at + 31)
    edited = world.verbs.edit(one.id, replace(Draft.of(one), trigger="cron 0 12 * * *", name="noon"), "bob")
    assert (edited.name, edited.actor, edited.next_due) == ("noon", "bob", parse_instant("2024-05-15T12:00:00Z"))
    world.run_until(parse_instant("2024-05-15T12:00:01Z"))
    assert [row.outcome for row in world.ticks(one.id)] == [schedule_states.RAN, schedule_states.RAN]


def test_what_was_due_and_unseen_at_an_edit_is_on_record(world: World) -> None:
    one = world.add()
    world.clock.at += 300
    world.verbs.edit(one.id, replace(Draft.of(one), trigger="cron 0 12 * * *"), "bob")
    [row] = world.ticks(one.id)
    assert (row.outcome, row.count) == (schedule_states.MISSED, 5)


def test_a_new_name_alone_leaves_what_is_due_to_the_scheduler(world: World) -> None:
    one = world.add()
    world.clock.at += 31
    world.verbs.edit(one.id, replace(Draft.of(one), name="renamed"), "bob")
    world.scheduler.poll()
    assert [row.outcome for row in world.ticks(one.id)] == [schedule_states.RAN]


def test_an_edit_from_an_older_version_is_refused(world: World) -> None:
    one = world.add()
    world.verbs.edit(one.id, replace(Draft.of(one), name="by bob"), "bob", one.version)
    with pytest.raises(InputError, match="changed by somebody else meanwhile"):
        world.verbs.edit(one.id, replace(Draft.of(one), name="by cat"), "cat", one.version)
    assert world.verbs.get(one.id).name == "by bob"


def test_a_pause_is_on_record_with_who_and_why(world: World) -> None:
    one = world.add()
    world.run_until(world.clock.at + 31)
    paused = world.verbs.pause(one.id, " maintenance ", "ann")
    assert (paused.paused_by, paused.paused_reason) == ("ann", "maintenance")
    world.run_until(world.clock.at + 180)
    assert len(world.runs.started) == 1
    world.verbs.resume(one.id, "bob")
    world.run_until(world.clock.at + 60)
    told = [(row.outcome, row.count, row.actor, row.note) for row in world.ticks(one.id)]
    assert told == [
        (schedule_states.RAN, 1, None, None),
        (schedule_states.PAUSED, 3, "ann", "maintenance"),
        (schedule_states.RAN, 1, None, None),
    ]


def test_what_was_due_before_a_pause_is_missed_not_paused(world: World) -> None:
    one = world.add()
    world.clock.at += 120
    world.verbs.pause(one.id, "maintenance", "ann")
    world.clock.at += 120
    world.verbs.resume(one.id, "ann")
    assert [(row.outcome, row.count) for row in world.ticks(one.id)] == [
        (schedule_states.MISSED, 2),
        (schedule_states.PAUSED, 2),
    ]


def test_a_pause_needs_a_reason_and_happens_once(world: World) -> None:
    one = world.add()
    with pytest.raises(InputError, match=r"^reason: "):
        world.verbs.pause(one.id, "  ", "ann")
    world.verbs.pause(one.id, "maintenance", "ann")
    with pytest.raises(InputError, match="paused already, by ann"):
        world.verbs.pause(one.id, "again", "bob")
    world.verbs.resume(one.id, "ann")
    with pytest.raises(InputError, match="is not paused"):
        world.verbs.resume(one.id, "ann")


def test_a_fire_that_waits_when_a_pause_begins_does_not_run(world: World) -> None:
    one = world.add(overlap="queue")
    world.runs.holds = True
    world.run_until(world.clock.at + 90)
    world.verbs.pause(one.id, "maintenance", "ann")
    world.runs.end(1)
    world.scheduler.poll()
    assert [(row.outcome, row.actor) for row in world.ticks(one.id)] == [
        (schedule_states.RAN, None),
        (schedule_states.PAUSED, "ann"),
    ]


def test_resuming_forgets_the_failures_in_a_row(world: World) -> None:
    one = world.add(pause_after=1)
    world.runs.ends_in = run_states.FAILED
    world.run_until(world.clock.at + 35)
    assert world.verbs.get(one.id).paused
    assert world.verbs.resume(one.id, "ann").failures == 0


def test_a_copy_is_paused_and_has_a_name_of_its_own(world: World) -> None:
    one = world.add("one", trigger="cron 30 2 * * mon", zone="Europe/Berlin")
    copies = [world.verbs.duplicate(one.id, "ann") for _ in range(2)]
    assert [copy.name for copy in copies] == ["one copy", "one copy 2"]
    assert all(copy.paused for copy in copies)
    assert replace(Draft.of(copies[0]), name="one") == Draft.of(one)


def test_a_deleted_schedule_does_not_fire_and_its_record_stays(world: World) -> None:
    one = world.add()
    world.run_until(world.clock.at + 31)
    world.clock.at += 120
    world.verbs.delete(one.id, "ann")
    world.run_until(world.clock.at + 120)
    assert [(row.outcome, row.count) for row in world.ticks(one.id)] == [
        (schedule_states.RAN, 1),
        (schedule_states.MISSED, 2),
    ]
    with pytest.raises(InputError, match=r"there is no schedule \d+;"):
        world.verbs.get(one.id)
    assert world.verbs.attention() == []


def test_run_now_moves_nothing(world: World) -> None:
    one = world.add()
    run_id = world.verbs.run_now(one.id, "ann")
    assert world.verbs.get(one.id).next_due == one.next_due
    [row] = world.ticks(one.id)
    assert (row.kind, row.run_id, row.actor) == (schedule_states.MANUAL, run_id, "ann")
    world.run_until(world.clock.at + 31)
    assert world.outcomes(one.id) == [(one.next_due, schedule_states.RAN)]


def test_run_now_twice_in_a_second_is_on_record_twice(world: World) -> None:
    one = world.add()
    world.verbs.run_now(one.id, "ann")
    world.verbs.run_now(one.id, "ann")
    assert len(world.ticks(one.id)) == 2


def test_run_now_works_while_paused_and_is_refused_while_its_series_are_held(world: World) -> None:
    one = world.add()
    world.verbs.pause(one.id, "maintenance", "ann")
    assert world.verbs.run_now(one.id, "ann") == 1
    world.runs.busy_series = {Series("BTCUSD", "1h", "simulated"): 1}
    with pytest.raises(SeriesHeld):
        world.verbs.run_now(one.id, "ann")
    assert len(world.ticks(one.id)) == 1


def test_a_fire_waits_for_a_run_started_by_hand(world: World) -> None:
    one = world.add()
    world.runs.holds = True
    run_id = world.verbs.run_now(one.id, "ann")
    world.run_until(world.clock.at + 31)
    assert world.ticks(one.id)[-1].note == f"run {run_id}, the former one, still ran"


def test_what_was_missed_is_filled_once(world: World) -> None:
    one = _missed(world)
    [missed] = world.store.unfilled(one)
    assert missed.count == 9 * 24
    run_id = world.verbs.fill_missed(one, "ann")
    request = world.runs.started[run_id].request
    assert (request.start, request.end) == (missed.due - DAY, int(world.clock.at))
    assert len(world.runs.started) == 1
    world.scheduler.poll()
    assert world.ticks(one)[0].filled_by == run_id
    assert world.store.unfilled(one) == []
    with pytest.raises(InputError, match="has missed nothing"):
        world.verbs.fill_missed(one, "ann")


def _missed(world: World) -> int:
    """A schedule that missed its ticks of nine days; its id."""
    one = world.add(trigger="cron 0 * * * *", catch_up="none", mode="gaps", since="1d")
    world.clock.at += 9 * DAY + 120
    world.scheduler.poll()
    return one.id


def test_while_one_run_fills_what_was_missed_no_second_is_offered_or_started(world: World) -> None:
    one = _missed(world)
    world.runs.holds = True
    run_id = world.verbs.fill_missed(one, "ann")
    assert world.store.unfilled(one) == []
    assert [item.kind for item in world.verbs.attention()] == []
    with pytest.raises(InputError, match=f"run {run_id} is fetching what one missed; wait for it to end"):
        world.verbs.fill_missed(one, "bob")
    world.runs.end(run_id, run_states.FAILED)
    world.scheduler.poll()
    assert [row.filled_by for row in world.store.unfilled(one)] == [None]
    assert {item.kind for item in world.verbs.attention()} == {"failed", "missed"}
    again = world.verbs.fill_missed(one, "bob")
    world.runs.end(again)
    world.scheduler.poll()
    assert world.ticks(one)[0].filled_by == again


def test_a_success_of_another_run_counts_though_the_filling_one_fails(world: World) -> None:
    one = _missed(world)
    world.runs.holds = True
    filling = world.verbs.fill_missed(one, "ann")
    world.verbs.edit(one, replace(Draft.of(world.verbs.get(one)), mode="resume"), "ann")
    other = world.verbs.run_now(one, "ann")
    world.runs.end(other)
    world.scheduler.poll()
    world.runs.end(filling, run_states.FAILED)
    world.scheduler.poll()
    assert world.ticks(one)[0].filled_by == other
    assert world.store.unfilled(one) == []


def test_what_is_missed_after_a_filling_run_began_is_offered_beside_it(world: World) -> None:
    one = _missed(world)
    world.runs.holds = True
    world.verbs.fill_missed(one, "ann")
    world.crash()
    world.clock.at += 7200
    world.scheduler.poll()
    assert [row.count for row in world.store.unfilled(one)] == [2]
    world.runs.end(1)
    world.scheduler.poll()
    assert [row.count for row in world.store.unfilled(one)] == [2]


def test_attention_names_what_needs_a_person(world: World) -> None:
    failed = world.add("failed", trigger="cron 0 11 * * *", pause_after=0)
    paused = world.add("paused", pairs=("ETHUSD",), trigger="cron 0 11 * * *", pause_after=1)
    missed = world.add("missed", pairs=("SOLUSD",), trigger="cron 0 12 * * *", catch_up="none")
    by_ann = world.add("by ann", pairs=("ADAUSD",))
    world.verbs.pause(by_ann.id, "on purpose", "ann")
    world.runs.ends_in = run_states.FAILED
    world.run_until(parse_instant("2024-05-15T11:30:00Z"))
    world.clock.at += 3600
    world.scheduler.poll()
    found = {(item.kind, item.schedule_id): item.text for item in world.verbs.attention()}
    assert set(found) == {("failed", failed.id), ("paused", paused.id), ("failed", paused.id), ("missed", missed.id)}
    assert found["paused", paused.id].startswith("paused paused itself: 1 failures in a row")
    assert found["missed", missed.id].startswith("missed missed 1 tick: ")
    assert {item.run_id for item in world.verbs.attention() if item.kind == "failed"} == {1, 2}


def test_every_verb_is_in_the_audit(world: World) -> None:
    one = world.add()
    world.verbs.edit(one.id, replace(Draft.of(one), name="two"), "bob")
    world.verbs.pause(one.id, "why not", "cat")
    world.verbs.resume(one.id, "dan")
    world.verbs.run_now(one.id, "eve")
    world.verbs.delete(one.id, "fay")
    rows = reversed(Audit(world.database).find(target=one.source))
    assert [(row.actor, row.verb, row.reason) for row in rows] == [
        ("ann", "create schedule", ""),
        ("bob", "edit schedule", ""),
        ("cat", "pause schedule", "why not"),
        ("dan", "resume schedule", ""),
        ("eve", "run schedule now", ""),
        ("fay", "delete schedule", ""),
    ]


def test_the_next_fires_and_what_each_would_fetch(world: World) -> None:
    one = world.add(trigger="bar close", since="2024-05-15", pairs=("BTCUSD", "ETHUSD"))
    reached = parse_instant("2024-05-15T07:00:00Z")
    marks = {"BTCUSD": Watermarks(reached, parse_instant("2024-05-15")), "ETHUSD": Watermarks()}
    dues = world.verbs.next_dues(one, 3)
    assert dues == [parse_instant("2024-05-15T10:01:05Z") + 3600 * n for n in range(3)]
    found = expected_ticks(one, dues, world.plans, Present(world, marks))
    # BTCUSD has its bars up to 07:00, so 08:00 and 09:00 are left; ETHUSD has none of the day's ten.
    assert [(tick.bars, tick.requests) for tick in found] == [(12, 2), (2, 2), (2, 2)]


def test_a_forecast_counts_the_young_bars_that_are_read_again(world: World) -> None:
    one = world.add(provider="coinbase", trigger="bar close", since="2024-05-15")
    last, low = parse_instant("2024-05-15T08:00:00Z"), parse_instant("2024-05-15")
    dues = world.verbs.next_dues(one, 3)
    found = expected_ticks(one, dues, world.plans, Present(world, {"BTCUSD": Watermarks(last, low)}, young=last))
    # 09:00 is new at the first tick and 08:00 read again; each tick after it reads its newest bar a minute after the
    # close, so the one after that reads it again.
    assert [(tick.bars, tick.requests) for tick in found] == [(2, 1), (2, 1), (2, 1)]


def test_a_forecast_takes_what_was_read_late_enough_for_settled(world: World) -> None:
    one = world.add(provider="coinbase", trigger="cron 30 * * * *", since="2024-05-15")
    low = parse_instant("2024-05-15")
    present = Present(world, {"BTCUSD": Watermarks(parse_instant("2024-05-15T09:00:00Z"), low)})
    found = expected_ticks(one, world.verbs.next_dues(one, 3), world.plans, present)
    assert [(tick.bars, tick.requests) for tick in found] == [(0, 0), (1, 1), (1, 1)]


def test_a_daily_refetch_fetches_the_same_days_again(world: World) -> None:
    draft = replace(_GOOD, trigger="cron 0 12 * * *", since="2d", mode="refetch")
    dues = world.verbs.next_dues(draft, 2)
    found = expected_ticks(draft, dues, world.plans, Present(world, {"BTCUSD": Watermarks(dues[0], 0)}))
    assert [tick.bars for tick in found] == [47, 47]


def test_a_watchlist_stands_for_its_series(world: World) -> None:
    world.watchlists.save("Majors", "simulated", ["BTCUSD", "ETHUSD"], ["1h", "1d"], "ann")
    one = world.add(watchlist="Majors")
    assert len(world.plans.series(one)) == 4
    assert world.verbs.named("one").id == world.verbs.named(str(one.id)).id == one.id
    with pytest.raises(InputError, match="there is no schedule named 'two'; there are: one"):
        world.verbs.named("two")
