"""How schedules fire: our table is the truth, APScheduler keeps time, and every due instant is accounted for once.

The table says when something is due next; APScheduler wakes the engine at that instant, and a slow pulse wakes it
besides, for what no clock announces: a run that has ended, a change made by another process, a clock that was set.
Waking twice does no harm. Whatever is due is first written down as a fire, in the same transaction that moves the
schedule's account, and only then started; a new leader finds fires without a run and starts just those.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any, Protocol

import sqlalchemy as sa
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger

from ffe_core import times
from ffe_core.errors import FFEError, InputError, SeriesHeld
from ffe_core.operations.schedules.due import book, outcome_of
from ffe_core.operations.schedules.requests import Plans, without
from ffe_core.operations.schedules.runs import SCHEDULER, Runs
from ffe_core.storage.state import runs as runs_ledger
from ffe_core.storage.state import schedules as states
from ffe_core.storage.state.schedules import Book, Schedule, ScheduleStore

log = logging.getLogger(__name__)
_AT_ONCE = 25
"""Fires are started and written down in groups of this many."""
MOST_RUNS = 40
"""Scheduled runs of one provider under way at once; the next fires start as these end. A provider lets only a few
series be asked for at a time anyway, and so many runs are quickly interrupted when the server ends."""
_TRIES = 5
_ADOPT_SECONDS = 3.0
"""How often the runs of dead processes are looked for."""
DOWN = "no console was running"
ASLEEP = "the machine slept, or its clock was set forward"

Fire = sa.RowMapping


class Messages(Protocol):
    """Where messages go; a receiver that is down is not felt here."""

    def tell(self, event: str, text: str, **details: Any) -> None:
        """Pass a message on."""

    def weigh_dead_letters(self, since: Callable[[float], int]) -> None:
        """Pass a message on if the new dead letters, as `since` counts them from an instant on, are too many."""


class Scheduler:
    """Fires what is due, for the process that leads. `clock` gives epoch seconds; tests call `pulse` themselves."""

    def __init__(
        self,
        store: ScheduleStore,
        plans: Plans,
        runs: Runs,
        messages: Messages,
        *,
        clock: Callable[[], float] = time.time,
        pulse_seconds: float = 0.5,
        most_runs: int = MOST_RUNS,
    ) -> None:
        self._store, self._plans, self._runs, self._messages = store, plans, runs, messages
        self._clock, self._pulse_seconds, self._most_runs = clock, pulse_seconds, most_runs
        self._why_missed = DOWN
        self._unwritten: dict[int, dict[str, Any]] = {}
        self._armed: int | None = None
        self._adopts_at = -math.inf
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep_pulsing, name="schedules", daemon=True)
        self._timer = BackgroundScheduler(
            timezone=UTC,
            jobstores={"default": MemoryJobStore()},
            executors={"default": ThreadPoolExecutor(1)},
        )
        self.last_error: str | None = None

    # -- from outside

    def start(self) -> None:
        """Begin to fire; call it once, in the process that leads."""
        if self._stop.is_set():
            return
        self._timer.start()
        self._thread.start()

    def stop(self) -> None:
        """Fire nothing more. What was written down and not started is started by the next leader."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
            self._timer.shutdown()

    def wake(self) -> None:
        """Look at the table now rather than with the next pulse."""
        self._wake.set()

    def adopt(self) -> None:
        """Find the runs of fires that a former leader started and did not live to write down."""
        found = []
        for fire in self._store.open_fires():
            schedule = self._store.get(fire["schedule_id"])
            if fire["outcome"] == states.FIRING and schedule is not None:
                run_id = self._runs.find(schedule, fire["kind"], fire["due"])
                if run_id is not None:
                    found.append(
                        _ran(fire, run_id, fire["at"] - fire["due"], "its leader ended right after starting it")
                    )
        self._store.update_fires(found)

    def pulse(self) -> None:
        """Note the runs that have ended, or died, account for what is due, start it, and set the timer for the next."""
        now = self._clock()
        self._adopt_dead_runs()
        self._review()
        due = self._store.due(int(now))
        for at in range(0, len(due), _AT_ONCE):
            books = [book for schedule in due[at : at + _AT_ONCE] if (book := self._book(schedule, now)) is not None]
            self._store.settle(books)
        self._why_missed = ASLEEP
        self._launch()
        self._arm()

    # -- the pulse

    def _keep_pulsing(self) -> None:
        adopted = False
        while not self._stop.is_set():
            # A fire whose run is not known yet would be started a second time.
            adopted = adopted or self._guarded(self.adopt)
            if adopted:
                self._guarded(self.pulse)
            self._wake.wait(self._pulse_seconds)
            self._wake.clear()

    def _guarded(self, step: Callable[[], None]) -> bool:
        """One step of the engine, and whether it went well; what goes wrong is said and tried again."""
        try:
            step()
            self.last_error = None
        except Exception as error:
            if str(error) != self.last_error:
                log.exception("schedules: a step failed and is tried again")
            self.last_error = str(error)
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

    def _book(self, schedule: Schedule, now: float) -> Book | None:
        try:
            return book(schedule, self._plans.trigger(schedule), int(now), now, self._why_missed)
        except InputError as error:
            self._pause(schedule.id, str(error))
            return None

    # -- starting

    def _launch(self) -> None:
        """Start the fires that wait for it, unless the former one of their schedule still runs."""
        fires = self._store.open_fires()
        startable = [fire for fire in fires if fire["run_id"] is None and fire["id"] not in self._unwritten]
        if not startable:
            return self._write()
        schedules = self._store.some(fire["schedule_id"] for fire in fires)
        busy = {fire["schedule_id"]: fire["run_id"] for fire in fires if fire["run_id"] is not None}
        queued = {fire["schedule_id"] for fire in fires if fire["outcome"] == states.WAITING}
        for fire in startable:
            schedule = schedules.get(fire["schedule_id"])
            if schedule is None or not self._is_full(schedule.provider, busy, schedules):
                self._unwritten[fire["id"]] = self._handled(fire, schedule, busy, queued)
            if len(self._unwritten) >= _AT_ONCE:
                self._write()
        return self._write()

    def _is_full(self, provider: str, busy: Mapping[int, int], schedules: Mapping[int, Schedule]) -> bool:
        """Whether as many scheduled runs of a provider are under way as there may be."""
        under_way = sum(schedules[one].provider == provider for one in busy if one in schedules)
        return under_way >= self._most_runs

    def _write(self) -> None:
        """Write down what became of fires. Until that succeeds it is remembered, so that nothing starts twice."""
        changes = [change for change in self._unwritten.values() if change]
        self._store.update_fires(changes)
        self._unwritten.clear()

    def _handled(self, fire: Fire, schedule: Schedule | None, busy: dict[int, int], queued: set[int]) -> dict[str, Any]:
        """What becomes of a fire now, as columns; nothing for one that goes on waiting."""
        if schedule is None:
            return _ended(fire, states.SKIPPED, "the schedule was deleted")
        if schedule.paused:
            return _ended(fire, states.PAUSED, schedule.paused_reason, schedule.paused_by)
        former = busy.get(schedule.id)
        if former is not None:
            return _held_up(fire, schedule, former, queued)
        try:
            return self._started(fire, schedule, busy)
        except SeriesHeld as error:
            return _ended(fire, states.SKIPPED, str(error))
        except InputError as error:
            self._pause(schedule.id, str(error))
            return _ended(fire, states.PAUSED, str(error), SCHEDULER)
        except FFEError as error:
            log.error("%s cannot start, it is tried again: %s", schedule.name, error)
            return {}

    def _started(self, fire: Fire, schedule: Schedule, busy: dict[int, int]) -> dict[str, Any]:
        now = self._clock()
        request = self._plans.request(schedule, fire["due"], int(now), fire["fills_from"])
        held = self._runs.busy(request.series)
        if len(held) == len(set(request.series)):
            return _ended(fire, states.SKIPPED, f"run {min(held.values())} works on its series")
        if fire["outcome"] == states.WAITING:
            # A leader that dies from here on leaves a fire that its successor can tell from a waiting one.
            self._store.update_fires([{"id": fire["id"], "outcome": states.FIRING}])
        run_id = self._runs.start(schedule, without(request, frozenset(held)), fire["kind"], fire["due"], SCHEDULER)
        busy[schedule.id] = run_id
        started = _ran(fire, run_id, now - fire["due"], None)
        if held:
            # What is left out is not fetched, so the run does not stand in for any missed fire.
            left_out = ", ".join(f"{one} (run {other})" for one, other in held.items())
            started |= {"note": f"without what another run works on: {left_out}", "fills_from": states.NO_MISSED}
        return started

    # -- what came of it

    def _review(self) -> None:
        """Note how runs ended that were under way at the last look."""
        fires = [fire for fire in self._store.open_fires() if fire["run_id"] is not None]
        found = self._runs.states([fire["run_id"] for fire in fires])
        ended = [fire for fire in fires if found.get(fire["run_id"]) not in runs_ledger.ACTIVE]
        if not ended:
            return
        schedules = self._store.some(fire["schedule_id"] for fire in ended)
        missed = {row["schedule_id"] for row in self._store.unfilled(under_way=True)}
        failures: dict[int, int] = {}
        for fire in ended:
            schedule, state = schedules.get(fire["schedule_id"]), found.get(fire["run_id"])
            if schedule is not None and state in (runs_ledger.COMPLETE, runs_ledger.GAPS):
                failures[schedule.id] = 0
                self._succeeded(schedule, fire, schedule.id in missed)
            elif schedule is not None and state == runs_ledger.FAILED:
                failures[schedule.id] = failures.get(schedule.id, schedule.failures) + 1
                self._failed(schedule, fire, failures[schedule.id])
        # Last, and all at once: what fails before is said again rather than never, and no failure counts twice.
        self._store.end_runs({fire["id"]: found.get(fire["run_id"], "removed") for fire in ended}, failures)
        self._messages.weigh_dead_letters(self._runs.new_dead_letters)

    def _succeeded(self, schedule: Schedule, fire: Fire, has_missed: bool) -> None:
        # One that went on from the watermark has brought whatever was missed before it.
        goes_on = schedule.mode == "resume" and fire["fills_from"] != states.NO_MISSED
        first = 0 if goes_on else fire["fills_from"]
        if has_missed and first is not None:
            self._store.fill(schedule.id, first, fire["id"], fire["run_id"])

    def _failed(self, schedule: Schedule, fire: Fire, failures: int) -> None:
        failure = self._runs.failure(fire["run_id"])
        self._messages.tell(
            "run failed",
            f"Schedule {schedule.name}: run {fire['run_id']} failed. {failure.text}",
            schedule=schedule.name,
            run=fire["run_id"],
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
                text = f"Schedule {schedule.name} paused itself: {reason}. Mend the cause, then resume it."
                self._messages.tell("schedule paused", text, schedule=schedule.name)
                return


def _ended(fire: Fire, outcome: str, note: str | None, actor: str | None = None) -> dict[str, Any]:
    return {**_same(fire), "outcome": outcome, "note": note, "actor": actor}


def _ran(fire: Fire, run_id: int, late: float, note: str | None) -> dict[str, Any]:
    waited = fire["note"] if fire["outcome"] == states.WAITING else None
    return {
        **_same(fire),
        "outcome": outcome_of(late) if fire["kind"] == states.DUE else states.RAN,
        "run_id": run_id,
        "late": late,
        "note": note or waited,
    }


def _held_up(fire: Fire, schedule: Schedule, former: int, queued: set[int]) -> dict[str, Any]:
    if fire["outcome"] == states.WAITING:
        return {}
    if schedule.overlap == "queue" and schedule.id not in queued:
        queued.add(schedule.id)
        return _ended(fire, states.WAITING, f"waited for run {former}")
    also = ", and one fire waits for it already" if schedule.id in queued else ""
    return _ended(fire, states.SKIPPED, f"run {former}, the former one, still ran{also}")


def _same(fire: Fire) -> dict[str, Any]:
    """The columns every change of a fire names, as they are."""
    return {name: fire[name] for name in ("id", "outcome", "run_id", "late", "fills_from", "actor", "note")}
