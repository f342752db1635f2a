"""Due ticks of a schedule: pure answers from the schedule, its trigger and the clock.

An instant at most a minute old fires, late or not. What is older was missed: no console ran, or the machine slept, or
its clock jumped. The catch-up policy says what stands in for it: nothing, the latest one once, or one tick for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from ffe_core import times
from ffe_core.errors import InputError
from ffe_core.intervals import Times
from ffe_core.operations.schedules.triggers import Trigger, next_dues
from ffe_core.storage.state import schedules as schedule_states
from ffe_core.storage.state.schedules import DueTicks, NewTick, Schedule

Overlap = Literal["skip", "queue"]
CatchUp = Literal["none", "latest", "fill"]
OVERLAPS: tuple[str, ...] = get_args(Overlap)
CATCH_UPS: tuple[str, ...] = get_args(CatchUp)

LATE_SECONDS = 60
"""A tick this late still runs, whatever the catch-up policy: a restart or a take-over is not an outage."""
ON_TIME_SECONDS = 5
"""A tick that starts within these seconds ran on time."""


def due_ticks(schedule: Schedule, trigger: Trigger, now: int, at: float, why_missed: str) -> DueTicks:
    """The account of an active schedule up to `now`: the ticks to start, and what was missed before them."""
    dues = trigger.dues(schedule.accounted_until, now)
    if not len(dues):
        return DueTicks(schedule, schedule.accounted_until, _next(trigger, schedule.accounted_until))
    missed, firing = _split(dues, now, schedule.catch_up)
    fills_from = int(missed[0]) if len(missed) and schedule.catch_up == "fill" else None
    rows = _span(schedule, missed, schedule_states.MISSED, at, note=why_missed)
    for number in range(len(firing)):
        stands_in = fills_from if number == 0 else None
        rows += _span(schedule, firing[number : number + 1], schedule_states.FIRING, at, fills_from=stands_in)
    until = int(dues[-1])
    return DueTicks(schedule, until, _next(trigger, until), rows)


def final_ticks(schedule: Schedule, trigger: Trigger, now: int, after: Trigger | None = None) -> DueTicks:
    """The account of a schedule up to `now` without a tick, for when it is resumed, edited or deleted.

    Instants of a pause were paused; any before it were missed. `after` is the trigger that counts from now on.
    """
    dues = trigger.dues(schedule.accounted_until, now)
    before = dues if schedule.paused_at is None else dues[dues < schedule.paused_at]
    rows = [
        *_span(schedule, before, schedule_states.MISSED, now, note="the schedule was changed before it could fire"),
        *_span(
            schedule,
            dues[len(before) :],
            schedule_states.PAUSED,
            now,
            actor=schedule.paused_by,
            note=schedule.paused_reason,
        ),
    ]
    until = max(now, schedule.accounted_until)
    return DueTicks(schedule, until, _next(after or trigger, until), rows)


def outcome_of(late: float) -> str:
    """Whether a tick that started `late` seconds after it was due ran, or ran late."""
    return schedule_states.RAN if late < ON_TIME_SECONDS else schedule_states.LATE


def parse_since(since: str) -> tuple[int | None, int]:
    """What a schedule asks for: (fixed start in epoch seconds or None, seconds back from the due instant or 0).

    "beginning" has become the first day of its provider before (`Plans.since`). InputError about "since" for anything
    but a date, a time with a zone or days such as "30d".
    """
    text = since.strip().lower()
    if text.endswith("d") and text[:-1].isdecimal():
        days = int(text[:-1])
        if not 1 <= days <= 36_500:
            raise InputError(f"{since!r} is not 1d to 36500d; for example 30d", field="since")
        return None, days * times.DAY
    try:
        return times.parse_instant(since, "since"), 0
    except InputError as error:
        raise InputError(f"{error.problem}, or a number of days like 30d, or: beginning", field="since") from None


def asked_range(since: str, due: int, now: int, fills_from: int | None = None) -> tuple[int, int]:
    """[start, end) in epoch seconds that a tick asks for; one that stands in for missed ones asks for theirs too."""
    fixed, back = parse_since(since)
    first = due if fills_from is None else min(due, fills_from)
    return (first - back if fixed is None else fixed), now


def _split(dues: Times, now: int, catch_up: str) -> tuple[Times, Times]:
    recent = int((dues >= now - LATE_SECONDS).sum())
    if not recent and catch_up != "none":
        recent = 1
    return dues[: len(dues) - recent], dues[len(dues) - recent :]


def _span(schedule: Schedule, dues: Times, outcome: str, at: float, **values: Any) -> list[NewTick]:
    """One tick for an unbroken row of due instants that came to the same; none for none."""
    if not len(dues):
        return []
    first, last = int(dues[0]), int(dues[-1])
    return [NewTick(schedule_id=schedule.id, due=first, until=last, count=len(dues), outcome=outcome, at=at, **values)]


def _next(trigger: Trigger, after: int) -> int | None:
    return next(iter(next_dues(trigger, after)), None)


def instants(row: NewTick, trigger: Trigger) -> Sequence[int]:
    """Every due instant that a tick stands for."""
    return [int(due) for due in trigger.dues(row.due - 1, row.until)]
