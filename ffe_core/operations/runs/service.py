"""Run service: starts, cancels, retries and continues runs, in one event loop in one thread.

Whoever starts a run gets its number at once; everything about it is read from the database afterwards, so a page can be
closed and opened, and a standby or another process sees the same.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ffe_core.candles import table_name
from ffe_core.errors import (
    FFEError,
    InputError,
    LeaseLost,
    SeriesHeld,
    StorageError,
    WorkersLost,
)
from ffe_core.ingestion import plan
from ffe_core.ingestion.batch_data_ingester import BatchDataIngester
from ffe_core.operations.runs import log as run_log
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.runs.counting import Counting
from ffe_core.operations.runs.engine import Engine, News, worked_off
from ffe_core.operations.runs.log import RunLines
from ffe_core.operations.runs.loop_engine import LoopEngine
from ffe_core.operations.runs.outcome import GONE, process_ended
from ffe_core.operations.runs.process_lock import ProcessLock, is_alive
from ffe_core.operations.runs.work import Job, Work
from ffe_core.operations.runs.written import ingestion_of
from ffe_core.providers import provider_class
from ffe_core.redaction import redact
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.files import remove_left_overs
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.leases import check_all_free
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.database import Database, fenced, fenced_by
from ffe_core.storage.state.faults import passes
from ffe_core.storage.state.runs import NewRun, Run, RunStore
from ffe_core.storage.waiting import waits_on
from ffe_core.threads import Worker
from ffe_core.timeframes import TIMEFRAMES

log = logging.getLogger(__name__)
_WRITE_SECONDS = 0.5
"""How often the progress of a run is written to the database."""
_PATIENCE_SECONDS = 15
"""How long a run goes on while the database cannot be written for a reason that hardly passes by itself, such as a full
disk. A lock of another program, or a server that is gone, is waited for as long as a lease."""
_WATCH_SECONDS = 1.0
_LOST_SECONDS = 60.0
"""How long a run that goes on waits for leases of machines that were lost: they end by themselves."""
_LATER_SECONDS = 5
"""How often the end of a run that could not be written down is tried again."""


RunJob = Callable[[int], Awaitable[None]]
"""The work of one run, given its number."""


def lease_wait_after(run: Run) -> float:
    """How long (seconds) what goes on with a run waits for leases that machines may still hold which were lost."""
    return _LOST_SECONDS if run.error_code == WorkersLost.code else 0.0


def _engine_of(settings: Settings, ingester: BatchDataIngester) -> Engine:
    """What works off backfills: the workers of a cluster if one is named, else this process."""
    if not settings.ray_address:
        return LoopEngine(ingester)
    from ffe_core.operations.runs.cluster.engine import RayEngine

    return RayEngine(settings)


class RunService:
    """Owns the event loop that runs are worked off in. Open it once a process; close it to interrupt what runs."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.runs = RunStore(database)
        self.lake = DeltaLakeManager.of(settings)
        self.ingester = BatchDataIngester(self.lake, settings, database)
        self.stores = self.ingester.stores
        self.lake.require_fit()
        self._engine = _engine_of(settings, self.ingester)
        self.locks = self.stores.locks
        self._process_lock = ProcessLock(self.locks)
        self._counting = Counting(self.runs, self.stores)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="runs", daemon=True)
        self._thread.start()
        self._jobs: dict[int, Future[None]] = {}
        self._work: dict[int, asyncio.Task[None]] = {}
        self._stopping: dict[int, str] = {}
        self._unwritten: dict[int, str] = {}
        self._failing_since = self._failed_at = -math.inf
        self._closing = False
        self.on_end: Callable[[int], object] | None = None
        """Told the number of each run that has ended, unless the service closes; it must not take long."""
        self._watching = Worker("watching", self._watch, _WATCH_SECONDS)
        if self.locks.are_for_many:
            self._watching.start()
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        run_log.collect()
        self._remove_left_overs()

    # -- verbs

    def start(
        self,
        request: BackfillRequest,
        actor: str,
        source: str = "console",
        *,
        parent_id: int | None = None,
        lease_wait: float = 0.0,
        parameters: Mapping[str, Any] | None = None,
        priority: bool = False,
    ) -> int:
        """Start a backfill; returns the run's number. InputError for missing credentials, SeriesHeld if a run of this
        or another process works on one of its series. `first_in_line` gives it turns and connections that long
        backfills do not share; `parameters` are kept with the run."""
        provider_class(request.provider)(config=self.settings)
        run = NewRun(
            "backfill",
            request.provider,
            request.mode,
            request.start,
            request.end,
            request.series,
            actor,
            source,
            self._process_lock.owner,
            parent_id,
            parameters,
        )
        with self._starting:
            if not lease_wait or parent_id is not None:  # what goes on waits for a lost machine, never for a run
                self.check_no_run(request.series)
            if not lease_wait:
                check_all_free(self.locks, request.series)
            return self.submit(run, self.by_engine(request, lease_wait, priority))

    def submit(self, run: NewRun, job: RunJob) -> int:
        """Write a run down and work it off: the way for every kind of run. The job sets the states of its series."""
        with self._lock:
            if self._closing:
                raise StorageError("the service is shutting down; start the run again when it is back")
            with fenced(self._process_lock.fence()):
                run_id = self.runs.add(replace(run, owner=self._process_lock.owner))
            self._jobs[run_id] = asyncio.run_coroutine_threadsafe(self._worked(run_id, job), self._loop)
        self._jobs[run_id].add_done_callback(lambda _: self._jobs.pop(run_id, None))
        return run_id

    def cancel(self, run_id: int, actor: str) -> None:
        """Stop a run of this process within one page fetch; what is committed stays. One whose process is gone reads
        "interrupted" at once. InputError if it is not active, or belongs to another process that lives and keeps its
        locks in files: where a server keeps them, that process is told."""
        run = self._existing(run_id)
        if run.is_active and run.owner != self._process_lock.owner:
            if is_alive(self.locks, run.owner):
                self._cancel_elsewhere(run, actor)
                return
            if run_id in self._adopt_runs_of([run.owner]):
                self.runs.log(run_id, "info", f"{actor} cancelled it, but its process had ended before")
                return
        if not self.runs.move(run_id, (run_states.QUEUED, run_states.RUNNING), state=run_states.CANCELLING):
            raise InputError(f"run {run_id} is {self._existing(run_id).state}, there is nothing to cancel", field="run")
        self.runs.log(run_id, "info", f"cancelled by {actor}")
        self._loop.call_soon_threadsafe(self._stop_work, run_id, run_states.CANCELLED)

    def _cancel_elsewhere(self, run: Run, actor: str) -> None:
        """Have the live process that works on a run cancel it: it looks every second at what it is asked to stop."""
        if not self.locks.are_for_many:
            raise InputError(f"run {run.id} belongs to process {run.owner}; stop it there", field="run")
        self.runs.move(run.id, (run_states.QUEUED, run_states.RUNNING), state=run_states.CANCELLING)
        self.runs.log(run.id, "info", f"cancelled by {actor}")

    def retry_failed(self, run_id: int, actor: str, source: str = "console") -> int:
        """A new run of just the series that failed; InputError if none did."""
        return self._again(run_id, (run_states.FAILED,), actor, source)

    def resume(self, run_id: int, actor: str, source: str = "console") -> int:
        """A new run of the series that an interrupted or cancelled run left unfinished, from where the marks stand."""
        return self._again(run_id, (run_states.INTERRUPTED, run_states.CANCELLED), actor, source)

    def left_of(self, run_id: int, which: Sequence[str]) -> tuple[Series, ...]:
        """The series of a run in one of these states that no later run took up; InputError if there are none."""
        found = [row.series for row in self.runs.series(run_id, with_results=False) if row.state in which]
        if not found:
            raise InputError(f"run {run_id} has no series that is {' or '.join(which)}", field="run")
        taken = self.runs.taken_up(run_id)
        left = tuple(one for one in found if one not in taken)
        if not left:
            raise InputError(
                f"run {max(taken.values())} went on with what was left of {run_id}; see there", field="run"
            )
        return left

    def ingestion_of(self, run_id: int, series: Series) -> str:
        """The `_ingestion_id` of the bars that a run of this process stores of a series."""
        return ingestion_of(self._process_lock.owner, run_id, series)

    def wait(self, run_id: int, timeout: float | None = None) -> None:
        """Block until a run of this process has ended."""
        with self._lock:
            job = self._jobs.get(run_id)
        if job is not None:
            try:
                job.result(timeout)
            except (asyncio.CancelledError, Exception):
                log.debug("run %d ended without finishing", run_id, exc_info=True)

    def has_ended(self, run_id: int) -> bool:
        """Whether this process has no more to do for a run, whether or not its end could be written down."""
        return run_id not in self._jobs

    def is_stopping(self, run_id: int) -> bool:
        """Whether a run of this process was told to end: what works in a thread asks it between two steps."""
        return run_id in self._stopping

    def unwritten(self, run_id: int) -> str | None:
        """Why the end of a run of this process is not in the database, as far as it is not; None if it is."""
        return self._unwritten.get(run_id)

    def check_free(self, series: Sequence[Series]) -> None:
        """SeriesHeld, naming the run or process, if one of the series is being worked on."""
        self.check_no_run(series)
        check_all_free(self.locks, series)

    def check_no_run(self, series: Sequence[Series]) -> None:
        """SeriesHeld, naming the run, if one works on one of the series."""
        for item, run_id in self.working_on(series).items():
            holder = f"run {run_id}"
            raise SeriesHeld(f"{item} is being worked on by {holder}; wait for it to end or cancel it", holder)

    def working_on(self, series: Sequence[Series]) -> dict[Series, int]:
        """Those of the series that a run works on, with its number; a run whose process is gone works on none."""
        if self.runs.working_on(series):
            self.adopt_dead_runs()
        return self.runs.working_on(series)

    def adopt_dead_runs(self) -> list[int]:
        """Mark as interrupted every run whose process is gone; returns their numbers."""
        others = self.runs.owners_of_active() - {self._process_lock.owner}
        return self._adopt_runs_of([owner for owner in others if not is_alive(self.locks, owner)])

    def _adopt_runs_of(self, dead: Sequence[str]) -> list[int]:
        """Mark as interrupted what these owners left active. They have to be known as gone already: a run that is
        looked up before may end well, and its process with it, in between."""
        adopted = self.runs.active_of(dead)
        for run_id in adopted:
            self.runs.interrupt(run_id, process_ended(self._existing(run_id).kind))
            self.runs.log(run_id, "warning", "interrupted: its process ended")
        if adopted:
            self._counting.wake()
        return adopted

    def count_untold(self) -> None:
        """Begin to count, beside all else, what runs have stored that ended without telling."""
        self._counting.wake()

    def interrupt(self) -> None:
        """Start nothing more, and have what runs commit what it has fetched and end as interrupted. Does not wait."""
        with self._lock:
            self._closing = True
            active = list(self._jobs)
        for run_id in active:
            self._loop.call_soon_threadsafe(self._stop_work, run_id, run_states.INTERRUPTED)

    def close(self) -> None:
        """Interrupt what runs, wait for it, and end the event loop."""
        self.interrupt()
        self._watching.stop()
        self._counting.stop()
        asyncio.run_coroutine_threadsafe(self._wound_down(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._remove_left_overs(of_data=False)
        self._process_lock.release()

    # -- inside

    def _watch(self) -> None:
        """Stop what other consoles have cancelled, and everything once others took this process for dead: it lives on
        under the same name, and what it starts from then on is its own again."""
        try:
            if self._process_lock.was_lost:
                for run_id in list(self._jobs):
                    self._loop.call_soon_threadsafe(self._stop_work, run_id, run_states.INTERRUPTED)
                self._process_lock.take()
            elif self._jobs:
                for run_id in self.runs.asked_to_stop(self._process_lock.owner):
                    self._loop.call_soon_threadsafe(self._stop_work, run_id, run_states.CANCELLED)
        except StorageError as error:
            log.debug("what others ask of this process cannot be read now: %s", error)

    def _remove_left_overs(self, *, of_data: bool = True) -> None:
        """What writers that were killed have left is cleaned when a process begins to work; what it could not remove
        itself, when it ends. That is none `of_data` files, whose folders are many."""
        data, lake = self.settings.data_dir, Path(self.settings.lake_uri)  # none of an object store is a folder here
        tables = [lake / table_name(timeframe) for timeframe in TIMEFRAMES]
        folders = [data / "watermarks", data / "dlq", data / "locks", *(table / "_delta_log" for table in tables)]
        if of_data:
            folders += [part for table in tables for part in table.glob("partition_date=*/partition_asset_pair=*")]
        for folder in folders:
            if folder.is_dir() and (removed := remove_left_overs(folder)):
                log.info("removed %d temporary files of killed writers in %s", removed, folder)

    # -- inside the event loop

    async def _wound_down(self) -> None:
        await self._engine.stop()
        await self._drained()

    async def _drained(self) -> None:
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.gather(*others, return_exceptions=True)

    async def _worked(self, run_id: int, job: RunJob) -> None:
        """One run from queued to its end. It is never cancelled itself: its work is, and then its end written down."""
        lines, ended = RunLines(), asyncio.Event()
        run_log.current.set(lines)
        waits_on.set(self._waits_on)
        fenced_by.set(self._process_lock.fence())
        writer = asyncio.create_task(self.keep_writing(lambda: self._write_lines(run_id, lines), ended))
        work = self._work[run_id] = asyncio.create_task(self._begun(run_id, job))
        if run_id in self._stopping:
            work.cancel()
        await asyncio.wait([work])
        del self._work[run_id]
        ended.set()
        with suppress(StorageError, LeaseLost):  # the end of the run says it
            await writer
        await self._write_end(run_id, work)
        if self.on_end is not None and not self._closing:
            self.on_end(run_id)

    async def _write_end(self, run_id: int, work: asyncio.Task[None]) -> None:
        """Write down how a run ended; where that cannot be, the run is over all the same, and it is tried on."""
        try:
            await self.persist(lambda: self._finish(run_id, work))
            self._stopping.pop(run_id, None)
        except LeaseLost as error:  # whoever took this process for dead has written its end
            self._stopping.pop(run_id, None)
            log.warning("run %d: %s", run_id, error)
        except StorageError as error:
            self._unwritten[run_id] = redact(str(error))
            later = asyncio.create_task(self._write_end_later(run_id, work))
            later.add_done_callback(lambda _: self._stopping.pop(run_id, None))

    async def _write_end_later(self, run_id: int, work: asyncio.Task[None]) -> None:
        while not self._closing:
            try:
                with suppress(LeaseLost):
                    await asyncio.to_thread(self._finish, run_id, work)
            except StorageError as error:
                log.warning("the end of run %d is still not written down: %s", run_id, error)
            else:
                del self._unwritten[run_id]
                return
            await self._pause(_LATER_SECONDS)

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not beyond the end of the service."""
        until = time.monotonic() + seconds
        while not self._closing and time.monotonic() < until:
            await asyncio.sleep(min(_WRITE_SECONDS, seconds))

    async def _begun(self, run_id: int, job: RunJob) -> None:
        begun = {"state": run_states.RUNNING, "started_at": time.time()}
        await self.persist(lambda: self.runs.move(run_id, (run_states.QUEUED,), **begun))
        await job(run_id)

    def by_engine(self, job: Job, lease_wait: float = 0.0, priority: bool = False) -> RunJob:
        """The work of a run whose series an engine works off, here or on other machines."""

        async def work(run_id: int) -> None:
            async def write(news: News) -> None:
                await self.persist(lambda: self._write_news(run_id, news))

            whole = Work.whole(run_id, self._process_lock.owner, job, lease_wait, priority)
            await worked_off(self._engine, whole, write)

        return work

    def _write_news(self, run_id: int, news: News) -> None:
        if news.changes:
            self.runs.update_series(run_id, news.changes)
        self.runs.add_lines(run_id, news.lines)

    def _stop_work(self, run_id: int, state: str) -> None:
        """Cancel the work of a run, once: a second time would cut off what the first lets come to its end."""
        if run_id not in self._stopping and run_id in self._jobs:
            self._stopping[run_id] = state
            if run_id in self._work:
                self._work[run_id].cancel()

    def _write_lines(self, run_id: int, lines: RunLines) -> None:
        taken = lines.take()
        try:
            self.runs.add_lines(run_id, taken)
        except StorageError:
            lines.put_back(taken)
            raise

    async def keep_writing(self, change: Callable[[], object], ended: asyncio.Event) -> None:
        """Change the database twice a second until the end, and then once more."""
        while not ended.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_WRITE_SECONDS):
                    await ended.wait()
            await self.persist(change)
        # The end may have come while the last change was being written.
        await self.persist(change)

    async def persist(self, change: Callable[[], object]) -> None:
        """Change the database, again and again while it cannot be written, for as long as that may pass.

        The patience is counted from the first failure of all: what a run writes one after the other shares it.
        StorageError, the last one, when the patience is over or the service closes.
        """
        began: float | None = None
        while True:
            tried_at = time.monotonic()
            try:
                await asyncio.to_thread(change)
                # What never failed says nothing: on a full disk a change that needs no more room goes through.
                if began is not None:
                    self._failed_at = -math.inf
                return
            except StorageError as error:
                log.warning("the database could not be written: %s", error)
                now, before = time.monotonic(), self._failed_at
                self._failed_at = now
                if tried_at - before > _PATIENCE_SECONDS:
                    self._failing_since = now
                began = began or self._failing_since
                if self._closing or now - began > self._patience(error):
                    raise
            await asyncio.sleep(_WRITE_SECONDS)

    def _waits_on(self, waited: float) -> bool:
        """Whether what a run reads or writes waits on for a server that is gone."""
        return not self._closing and waited < max(self.settings.lease_wait_seconds, _PATIENCE_SECONDS)

    def _patience(self, error: StorageError) -> float:
        return max(self.settings.lease_wait_seconds, _PATIENCE_SECONDS) if passes(error) else _PATIENCE_SECONDS

    def _finish(self, run_id: int, work: asyncio.Task[None]) -> None:
        """Write down how the work of a run ended."""
        error = None if work.cancelled() else work.exception()
        if isinstance(error, StorageError):
            gone = error.code in GONE
            self._stop(run_id, run_states.INTERRUPTED if gone else run_states.FAILED, redact(str(error)))
        elif isinstance(error, WorkersLost):
            self._stop(run_id, run_states.INTERRUPTED, redact(str(error)), error.code)
        elif error is not None:
            log.error("run %d ended unexpectedly", run_id, exc_info=error)
            self._stop(run_id, run_states.FAILED, redact(f"{type(error).__name__}: {error}"))
        elif work.cancelled() and any(row.is_active for row in self.runs.series(run_id)):
            self._stop(run_id, self._stopping.get(run_id, run_states.INTERRUPTED))
        else:  # also when the cancellation came after the end of the last series
            self._end(run_id)

    def _end(self, run_id: int) -> None:
        """The state of a run is the worst of its series; one that did not say how it ended has failed."""
        rows = self.runs.series(run_id, with_results=False)
        found = {row.state for row in rows}
        if found & set(run_states.ACTIVE):
            self._stop(run_id, run_states.FAILED, "the run ended without saying what became of every series")
            return
        worst = next(
            (
                s
                for s in (run_states.FAILED, run_states.INTERRUPTED, run_states.CANCELLED, run_states.GAPS)
                if s in found
            ),
            None,
        )
        self.runs.update(run_id, state=worst or run_states.COMPLETE, ended_at=time.time())
        if any(row.is_uncounted for row in rows):
            self._counting.wake()

    def _stop(self, run_id: int, state: str, error: str | None = None, code: str = FFEError.code) -> None:
        now = time.time()
        how = {"state": state, "ended_at": now, "error": error, "error_code": code if error else None}
        rows = [row for row in self.runs.series(run_id, with_results=False) if row.is_active]
        phase = run_states.COUNTING if self._may_be_untold(run_id, error) else None
        self.runs.update_series(run_id, {row.number: {**how, "phase": phase} for row in rows})
        self.runs.update(run_id, **how)
        if phase is not None:
            self._counting.wake()
        self.runs.log(run_id, "warning" if error is None else "error", error or f"the run was {state}")

    def _may_be_untold(self, run_id: int, error: str | None) -> bool:
        """Whether more may be stored than was told of a run that was stopped: not where this process did all the work,
        and could write down what came of it."""
        return self._existing(run_id).kind in run_states.TOLD and bool(error or self.settings.ray_address)

    def _again(self, run_id: int, which: Sequence[str], actor: str, source: str) -> int:
        run = self._existing(run_id)
        series = self.left_of(run_id, which)
        if run.kind != "backfill":
            raise InputError(f"run {run_id} is a {run.kind}; start it again from where it came from", field="run")
        request = BackfillRequest(run.provider, series, run.start, run.end, plan.check_mode(run.mode))
        return self.start(request, actor, source, parent_id=run_id, lease_wait=lease_wait_after(run))

    def _existing(self, run_id: int) -> Run:
        run = self.runs.get(run_id)
        if run is None:
            raise InputError(f"there is no run {run_id}; the list of runs shows which there are", field="run")
        return run
