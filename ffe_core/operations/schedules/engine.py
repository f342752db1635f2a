"""Scheduler: fires what is due; our table is the truth, APScheduler keeps time, each due instant is recorded once.

The table says when something is due next; APScheduler wakes the engine at that instant, and a slow poll wakes it
besides, for what no clock announces: a run that has ended, a change made by another process, a clock that was set.
Waking twice does no harm. Whatever is due is first written down as a tick, in the same transaction that moves the
schedule's account, and only then started; a new leader finds ticks without a run and starts just those.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC
from typing import Any, Protocol

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger

from ffe_core import times
from ffe_core.errors import FFEError, InputError, SeriesHeld, sentence
from ffe_core.operations.schedules.due import due_ticks, outcome_of
from ffe_core.operations.schedules.requests import Plans, without
from ffe_core.operations.schedules.runs import SCHEDULER, Runs
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state import schedules as schedule_states
from ffe_core.storage.state.schedules import DueTicks, Schedule, ScheduleStore, Tick
from ffe_core.threads import Within, Worker

log = logging.getLogger(__name__)
_AT_ONCE = 25
"""Fires are started and written down in groups of this many."""
MOST_RUNS = 40
"""Scheduled runs of one provider under way at once; the next ticks start as these end. A provider lets only a few
series be asked for at a time anyway, and so many runs are quickly interrupted when the server ends."""
_TRIES = 5
_ADOPT_SECONDS = 3.0
"""How often the runs of dead processes are looked for."""
DOWN = "no console was running"
ASLEEP = "the machine slept, or its clock was set forward"


class Messages(Protocol):
    """Where messages go; a receiver that is down is not felt here."""

    def tell(self, event: str, text: str, **details: Any) -> None:
        """Pass a message on."""

    def check_threshold(self, since: Callable[[float], int]) -> None:
        """Pass a message on if the new dead letters, as `since` counts them from an instant on, are too many."""


class Scheduler:
    """Fires what is due, for the process that leads. `clock` gives epoch seconds; tests call `poll` themselves."""

    def __init__(
        self,
        store: ScheduleStore,
        plans: Plans,
        runs: Runs,
        messages: Messages,
        *,
        clock: Callable[[], float] = time.time,
        poll_seconds: float = 0.5,
        most_runs: int = MOST_RUNS,
    ) -> None:
        self._store, self._plans, self._runs, self._messages = store, plans, runs, messages
        self._clock, self._most_runs = clock, most_runs
        self._why_missed = DOWN
        self._unwritten: dict[int, Tick | None] = {}
        self._armed: int | None = None
        self._adopts_at = -math.inf
        self._adopted = self._leads_anew = False
        self._worker = Worker("schedules", self._turn, poll_seconds)
        self._timer = BackgroundScheduler(
            timezone=UTC,
            jobstores={"default": MemoryJobStore()},
            executors={"default": ThreadPoolExecutor(1)},
        )
        self.last_error: str | None = None
        self._failure: type[Exception] | None = None

    # -- from outside

    def start(self, within: Within | None = None) -> None:
        """Begin to fire, in the process that leads: at each look `within` a context that says whether it does.

        Again when it leads once more: what it knew of ticks is another's to decide by now.
        """
        if self._worker.is_stopped:
            return
        self._leads_anew = True
        if not self._worker.is_running:
            self._timer.start()
        self._worker.start(within)

    def stop(self) -> None:
        """Fire nothing more. What was written down and not started is started by the next leader."""
        was_running = self._worker.is_running
        self._worker.stop()
        if was_running:
            self._timer.shutdown()

    def wake(self) -> None:
        """Look at the table now rather than with the next poll."""
        self._worker.wake()

    def adopt(self) -> None:
        """Find the runs of ticks that a former leader started and did not live to write down."""
        found = []
        for tick in self._store.open_ticks():
            schedule = self._store.get(tick.schedule_id)
            if tick.outcome == schedule_states.FIRING and schedule is not None:
                run_id = self._runs.find(schedule, tick.kind, tick.due)
                if run_id is not None:
                    found.append(_ran(tick, run_id, tick.at - tick.due, "its leader ended right after starting it"))
        self._store.update_ticks(found)

    def poll(self) -> None:
        """Note the runs that have ended, or died, account for what is due, start it, and set the timer for the next."""
        now = self._clock()
        self._adopt_dead_runs()
        self._review()
        due = self._store.due(int(now))
        for at in range(0, len(due), _AT_ONCE):
            settlements = [
                due_ticks
                for schedule in due[at : at + _AT_ONCE]
                if (due_ticks := self._settle_due(schedule, now)) is not None
            ]
            self._store.settle(settlements)
        self._why_missed = ASLEEP
        self._launch()
        self._arm()

    # -- the poll

    def _turn(self) -> None:
        if self._leads_anew:
            self._leads_anew = self._adopted = False
            self._unwritten.clear()
        # A tick whose run is not known yet would be started a second time.
        self._adopted = self._adopted or self._guarded(self.adopt)
        if self._adopted:
            self._guarded(self.poll)

    def _guarded(self, step: Callable[[], None]) -> bool:
        """One step of the engine, and whether it went well; what goes wrong is said and tried again."""
        try:
            step()
            self.last_error = self._failure = None
        except Exception as error:
            if self._failure is not type(error):
                log.exception("schedules: a step failed and is tried again")
            self.last_error, self._failure = str(error), type(error)
        return self.last_error is None

    def _adopt_dead_runs(self) -> None:
        """Every few seconds: a run whose process was killed would otherwise hold its series, or its schedule, for
        good. What goes wrong is said and tried again; it keeps nothing from firing."""
        if time.monotonic() < self._adopts_at:
            return
        try:
            self._runs.adopt_dead()
        except (FFEError, OSError) as error:
            log.warning("schedules: runs of dead processes cannot be looked for, it is tried again: %s", error)
        self._adopts_at = time.monotonic() + _ADOPT_SECONDS

    def _arm(self) -> None:
        """Have APScheduler wake the engine when the first schedule is due."""
        due = self._store.next_due()
        if due == self._armed or not self._timer.running:
            return
        self._armed = due
        if due is None:
            self._timer.remove_all_jobs()
        else:
            when = DateTrigger(times.utc(due))
            self._timer.add_job(self.wake, when, id="due", replace_existing=True, misfire_grace_time=None)

    def _settle_due(self, schedule: Schedule, now: float) -> DueTicks | None:
        try:
            return due_ticks(schedule, self._plans.trigger(schedule), int(now), now, self._why_missed)
        except InputError as error:
            self._pause(schedule.id, sentence(error))
            return None

    # -- starting

    def _launch(self) -> None:
        """Start the ticks that wait for it, unless the former one of their schedule still runs."""
        ticks = self._store.open_ticks()
        startable = [tick for tick in ticks if tick.run_id is None and tick.id not in self._unwritten]
        if not startable:
            return self._write()
        schedules = self._store.some(tick.schedule_id for tick in ticks)
        busy = {tick.schedule_id: tick.run_id for tick in ticks if tick.run_id is not None}
        queued = {tick.schedule_id for tick in ticks if tick.outcome == schedule_states.WAITING}
        for tick in startable:
            schedule = schedules.get(tick.schedule_id)
            if schedule is None or not self._is_full(schedule.provider, busy, schedules):
                self._unwritten[tick.id] = self._handled(tick, schedule, busy, queued)
            if len(self._unwritten) >= _AT_ONCE:
                self._write()
        return self._write()

    def _is_full(self, provider: str, busy: Mapping[int, int], schedules: Mapping[int, Schedule]) -> bool:
        """Whether as many scheduled runs of a provider are under way as there may be."""
        under_way = sum(schedules[one].provider == provider for one in busy if one in schedules)
        return under_way >= self._most_runs

    def _write(self) -> None:
        """Write down what became of ticks. Until that succeeds it is remembered, so that nothing starts twice."""
        self._store.update_ticks([tick for tick in self._unwritten.values() if tick is not None])
        self._unwritten.clear()

    def _handled(self, tick: Tick, schedule: Schedule | None, busy: dict[int, int], queued: set[int]) -> Tick | None:
        """What becomes of a tick now; None for one that goes on waiting."""
        if schedule is None:
            return _ended(tick, schedule_states.SKIPPED, "the schedule was deleted")
        if schedule.paused:
            return _ended(tick, schedule_states.PAUSED, schedule.paused_reason, schedule.paused_by)
        former = busy.get(schedule.id)
        if former is not None:
            return _held_up(tick, schedule, former, queued)
        try:
            return self._started(tick, schedule, busy)
        except SeriesHeld as error:
            return _ended(tick, schedule_states.SKIPPED, str(error))
        except InputError as error:
            self._pause(schedule.id, sentence(error))
            return _ended(tick, schedule_states.PAUSED, sentence(error), SCHEDULER)
        except FFEError as error:
            log.error("%s cannot start, it is tried again: %s", schedule.name, error)
            return None

    def _started(self, tick: Tick, schedule: Schedule, busy: dict[int, int]) -> Tick:
        now = self._clock()
        request = self._plans.request(schedule, tick.due, int(now), tick.fills_from)
        held = self._runs.busy(request.series)
        if len(held) == len(set(request.series)):
            return _ended(tick, schedule_states.SKIPPED, f"run {min(held.values())} works on its series")
        if tick.outcome == schedule_states.WAITING:
            # A leader that dies from here on leaves a tick that its successor can tell from a waiting one.
            self._store.update_ticks([replace(tick, outcome=schedule_states.FIRING)])
        run_id = self._runs.start(schedule, without(request, frozenset(held)), tick.kind, tick.due, SCHEDULER)
        busy[schedule.id] = run_id
        started = _ran(tick, run_id, now - tick.due, None)
        if not held:
            return started
        # What is left out is not fetched, so the run does not stand in for any missed tick.
        left_out = ", ".join(f"{one} (run {other})" for one, other in held.items())
        note = f"without what another run works on: {left_out}"
        return replace(started, note=note, fills_from=schedule_states.NO_MISSED)

    # -- what came of it

    def _review(self) -> None:
        """Note how runs ended that were under way at the last look."""
        ticks = [(tick.run_id, tick) for tick in self._store.open_ticks() if tick.run_id is not None]
        found = self._runs.states([run_id for run_id, _ in ticks])
        ended = [(run_id, tick) for run_id, tick in ticks if found.get(run_id) not in run_states.ACTIVE]
        if not ended:
            return
        schedules = self._store.some(tick.schedule_id for _, tick in ended)
        missed = {row.schedule_id for row in self._store.unfilled(under_way=True)}
        failures: dict[int, int] = {}
        for run_id, tick in ended:
            schedule, state = schedules.get(tick.schedule_id), found.get(run_id)
            if schedule is not None and state in (run_states.COMPLETE, run_states.GAPS):
                failures[schedule.id] = 0
                self._succeeded(schedule, tick, run_id, schedule.id in missed)
            elif schedule is not None and state == run_states.FAILED:
                failures[schedule.id] = failures.get(schedule.id, schedule.failures) + 1
                self._failed(schedule, run_id, failures[schedule.id])
        # Last, and all at once: what fails before is said again rather than never, and no failure counts twice.
        self._store.end_runs({tick.id: found.get(run_id, "removed") for run_id, tick in ended}, failures)
        self._messages.check_threshold(self._runs.new_dead_letters)

    def _succeeded(self, schedule: Schedule, tick: Tick, run_id: int, has_missed: bool) -> None:
        # One that went on from the watermark has brought whatever was missed before it.
        goes_on = schedule.mode == "resume" and tick.fills_from != schedule_states.NO_MISSED
        first = 0 if goes_on else tick.fills_from
        if has_missed and first is not None:
            self._store.fill(schedule.id, first, tick.id, run_id)

    def _failed(self, schedule: Schedule, run_id: int, failures: int) -> None:
        failure = self._runs.failure(run_id)
        self._messages.tell(
            "run failed",
            f"Schedule {schedule.name}: run {run_id} failed. {failure.text}",
            schedule=schedule.name,
            run=run_id,
            failures_in_a_row=failures,
        )
        if failure.credentials:
            self._pause(schedule.id, f"the provider refuses the credentials: {failure.text}")
        elif schedule.pause_after and failures >= schedule.pause_after:
            self._pause(schedule.id, f"{failures} failures in a row, the last: {failure.text}")

    def _pause(self, schedule_id: int, reason: str) -> None:
        """A schedule pauses itself; whoever changes it at the same moment is waited for."""
        for _ in range(_TRIES):
            schedule = self._store.get(schedule_id)
            if schedule is None or schedule.paused:
                return
            if self._store.change(schedule, paused_at=self._clock(), paused_by=SCHEDULER, paused_reason=reason):
                text = f"Schedule {schedule.name} paused itself: {reason}. Fix the cause, then resume it."
                self._messages.tell("schedule paused", text, schedule=schedule.name)
                return


def _ended(tick: Tick, outcome: str, note: str | None, actor: str | None = None) -> Tick:
    return replace(tick, outcome=outcome, note=note, actor=actor)


def _ran(tick: Tick, run_id: int, late: float, note: str | None) -> Tick:
    waited = tick.note if tick.outcome == schedule_states.WAITING else None
    outcome = outcome_of(late) if tick.kind == schedule_states.DUE else schedule_states.RAN
    return replace(tick, outcome=outcome, run_id=run_id, late=late, note=note or waited)


def _held_up(tick: Tick, schedule: Schedule, former: int, queued: set[int]) -> Tick | None:
    if tick.outcome == schedule_states.WAITING:
        return None
    if schedule.overlap == "queue" and schedule.id not in queued:
        queued.add(schedule.id)
        return _ended(tick, schedule_states.WAITING, f"waited for run {former}")
    also = ", and one tick waits for it already" if schedule.id in queued else ""
    return _ended(tick, schedule_states.SKIPPED, f"run {former}, the former one, still ran{also}")
