"""How runs are started, watched, cancelled, retried and continued: one event loop in one thread, and the ledger.

Whoever starts a run gets its number at once; everything about it is read from the ledger afterwards, so a page can be
closed and opened, and a standby or another process sees the same.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from ffe_core import times
from ffe_core.errors import (
    FFEError,
    InputError,
    PermanentError,
    QuotaError,
    RetriableError,
    SeriesHeld,
    StorageError,
)
from ffe_core.ingestion import plan
from ffe_core.ingestion.batch_data_ingester import BatchDataIngester
from ffe_core.ingestion.multi_asset_batch_ingester import SERIES_AT_ONCE, every_series
from ffe_core.ingestion.report import Report
from ffe_core.operations.alive import Alive, is_alive
from ffe_core.providers import provider_class
from ffe_core.providers.base import Provider
from ffe_core.redaction import redact
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage import run_ledger as states
from ffe_core.storage.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.ledger import Ledger
from ffe_core.storage.run_ledger import NewRun, RunLedger

log = logging.getLogger(__name__)
_WRITE_SECONDS = 0.5
"""How often the progress of a run is written to the ledger."""


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """What a person, a command or a schedule asks for; [start, end) in epoch seconds."""

    provider: str
    series: tuple[Series, ...]
    start: int
    end: int
    mode: plan.Mode = "resume"

    @classmethod
    def of(
        cls,
        provider: str,
        pairs: Sequence[str],
        timeframes: Sequence[str],
        start: times.Instant,
        end: times.Instant,
        mode: str = "resume",
    ) -> BackfillRequest:
        """A checked request; InputError for anything that cannot be, missing credentials too."""
        provider_class(provider)
        first, last = times.parse_range(start, end)
        return cls(provider, tuple(every_series(pairs, timeframes, provider)), first, last, plan.check_mode(mode))


Job = Callable[[int], Awaitable[None]]
"""The work of one run, given its number."""


class RunService:
    """Owns the event loop that runs are worked off in. Open it once a process; close it to interrupt what runs."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self.settings = settings
        self.runs = RunLedger(ledger)
        self.lake = DeltaLakeManager(settings.lake_uri)
        self.ingester = BatchDataIngester(self.lake, settings)
        self._folder = settings.data_dir / "locks"
        self._alive = Alive(self._folder)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="runs", daemon=True)
        self._thread.start()
        self._jobs: dict[int, Future[None]] = {}
        self._cancelling: set[int] = set()
        self._closing = False
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._lock = threading.Lock()

    # -- verbs

    def start(
        self,
        request: BackfillRequest,
        actor: str,
        source: str = "console",
        *,
        parent_id: int | None = None,
        lease_wait: float = 0.0,
    ) -> int:
        """Start a backfill; returns the run's number. InputError for missing credentials, SeriesHeld if a run of this
        or another process works on one of its series."""
        provider = provider_class(request.provider)(config=self.settings)
        if not lease_wait:
            self.check_free(request.series)
        run = NewRun(
            "backfill",
            request.provider,
            request.mode,
            request.start,
            request.end,
            request.series,
            actor,
            source,
            self._alive.owner,
            parent_id,
        )
        return self.submit(run, lambda run_id: _Backfill(self, run_id, request, provider, lease_wait).work())

    def submit(self, run: NewRun, job: Job) -> int:
        """Write a run down and work it off: the way for every kind of run. The job sets the states of its series."""
        with self._lock:
            if self._closing:
                raise StorageError("the service is shutting down; start the run again when it is back")
            run_id = self.runs.add(replace(run, owner=self._alive.owner))
            self._jobs[run_id] = asyncio.run_coroutine_threadsafe(self._worked(run_id, job), self._loop)
        return run_id

    def cancel(self, run_id: int, actor: str) -> None:
        """Stop a run of this process within one page fetch; what is committed stays. InputError if it is not active."""
        with self._lock:
            job = self._jobs.get(run_id)
        run = self._existing(run_id)
        if job is None or job.done() or run["state"] not in states.ACTIVE:
            raise InputError(f"run: {run_id} is {run['state']}, there is nothing to cancel here")
        self._cancelling.add(run_id)
        self.runs.update(run_id, state=states.CANCELLING)
        self.runs.log(run_id, "info", f"cancelled by {actor}")
        job.cancel()

    def retry_failed(self, run_id: int, actor: str, source: str = "console") -> int:
        """A new run of just the series that failed; InputError if none did."""
        return self._again(run_id, (states.FAILED,), actor, source)

    def resume(self, run_id: int, actor: str, source: str = "console") -> int:
        """A new run of the series that an interrupted or cancelled run left unfinished, from where the marks stand."""
        return self._again(run_id, (states.INTERRUPTED, states.CANCELLED), actor, source)

    def wait(self, run_id: int, timeout: float | None = None) -> None:
        """Block until a run of this process has ended."""
        with self._lock:
            job = self._jobs.get(run_id)
        if job is not None:
            try:
                job.result(timeout)
            except (asyncio.CancelledError, Exception):
                log.debug("run %d ended without finishing", run_id, exc_info=True)

    def check_free(self, series: Sequence[Series]) -> None:
        """SeriesHeld, naming the run or process, if one of the series is being worked on."""
        for item, run_id in self.runs.working_on(series).items():
            holder = f"run {run_id}"
            raise SeriesHeld(f"{item} is being worked on by {holder}; wait for it to end or cancel it", holder)
        for item in series:
            self.ingester.lease(item).check_free()

    def adopt_dead_runs(self) -> list[int]:
        """Mark as interrupted every run whose process is gone; returns their numbers."""
        active, _ = self.runs.find(states=states.ACTIVE, limit=1_000)
        dead = [run["id"] for run in active if not is_alive(self._folder, run["owner"])]
        for run_id in dead:
            self.runs.interrupt(run_id, "the process that ran it ended; continue picks up where the marks stand")
            self.runs.log(run_id, "warning", "interrupted: its process ended")
        return dead

    def close(self) -> None:
        """Interrupt what runs after the commit in flight, and end the event loop."""
        with self._lock:
            self._closing = True
            jobs = dict(self._jobs)
        for job in jobs.values():
            job.cancel()
        asyncio.run_coroutine_threadsafe(self._drained(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._alive.release()

    # -- inside the event loop

    async def _drained(self) -> None:
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.gather(*others, return_exceptions=True)

    async def _worked(self, run_id: int, job: Job) -> None:
        """One run from queued to its end; its state is derived from those of its series."""
        try:
            await self._write(lambda: self.runs.update(run_id, state=states.RUNNING, started_at=time.time()))
            await job(run_id)
            await self._write(lambda: self._end(run_id))
        except asyncio.CancelledError:
            stopped = states.CANCELLED if run_id in self._cancelling else states.INTERRUPTED
            await asyncio.shield(self._write(lambda: self._stop(run_id, stopped)))
            raise
        except Exception as error:
            log.exception("run %d ended unexpectedly", run_id)
            text = redact(f"{type(error).__name__}: {error}")
            await self._write(lambda: self._stop(run_id, states.FAILED, text))
        finally:
            self._cancelling.discard(run_id)

    async def _write(self, change: Callable[[], None]) -> None:
        await asyncio.to_thread(change)

    def _end(self, run_id: int) -> None:
        found = {row["state"] for row in self.runs.series(run_id)}
        worst = next(
            (s for s in (states.FAILED, states.INTERRUPTED, states.CANCELLED, states.GAPS) if s in found), None
        )
        self.runs.update(run_id, state=worst or states.COMPLETE, ended_at=time.time())

    def _stop(self, run_id: int, state: str, error: str | None = None) -> None:
        now = time.time()
        ended = {"state": state, "ended_at": now, "phase": None, "error": error}
        rows = self.runs.series(run_id)
        self.runs.update_series(run_id, {row["number"]: ended for row in rows if row["state"] in states.ACTIVE})
        self.runs.update(run_id, state=state, ended_at=now, error=error)
        self.runs.log(run_id, "warning" if error is None else "error", error or f"the run was {state}")

    def turns(self, provider: str) -> asyncio.Semaphore:
        """At most so many series of a provider are under way at once."""
        return self._turns.setdefault(provider, asyncio.Semaphore(SERIES_AT_ONCE))

    def _again(self, run_id: int, which: Sequence[str], actor: str, source: str) -> int:
        run = self._existing(run_id)
        series = tuple(
            Series(row["asset_pair"], row["timeframe"], row["provider"])
            for row in self.runs.series(run_id)
            if row["state"] in which
        )
        if not series:
            raise InputError(f"run: {run_id} has no series that is {' or '.join(which)}")
        if run["kind"] != "backfill":
            raise InputError(f"run: {run_id} is a {run['kind']}; start it again from where it came from")
        request = BackfillRequest(run["provider"], series, run["start"], run["end"], plan.check_mode(run["mode"]))
        return self.start(request, actor, source, parent_id=run_id)

    def _existing(self, run_id: int) -> Mapping[str, Any]:
        run = self.runs.get(run_id)
        if run is None:
            raise InputError(f"run: there is no run {run_id}; the list of runs shows which there are")
        return dict(run)


class _Backfill:
    """The work of one backfill run: its series concurrently, newer data before history, progress into the ledger."""

    def __init__(
        self, service: RunService, run_id: int, request: BackfillRequest, provider: Provider, lease_wait: float
    ) -> None:
        self._service, self._run_id, self._request = service, run_id, request
        self._provider, self._lease_wait = provider, lease_wait
        self._reports: dict[int, Report] = {}
        self._changed: set[int] = set()
        self._pending: dict[int, dict[str, Any]] = {}
        self._lock = threading.Lock()

    async def work(self) -> None:
        writer = asyncio.create_task(self._write_progress())
        try:
            async with self._provider as opened:
                newer = [self._pass(number, opened, history=False) for number in self._behind()]
                await asyncio.gather(*newer)
                await asyncio.gather(*(self._pass(number, opened) for number in range(len(self._request.series))))
        finally:
            writer.cancel()
            await asyncio.shield(asyncio.to_thread(self._flush))

    def _behind(self) -> Sequence[int]:
        """Series with both newer bars and history to fetch, when there are several: the newer bars go first."""
        if self._request.mode != "resume" or len(self._request.series) == 1:
            return []
        marks = [self._service.lake.marks(series) for series in self._request.series]
        return [
            number
            for number, mark in enumerate(marks)
            if mark.low is not None and self._request.start < mark.low < self._request.end
        ]

    async def _pass(self, number: int, opened: Provider, *, history: bool = True) -> None:
        series = self._request.series[number]
        async with self._service.turns(series.provider):
            self._set(number, state=states.RUNNING, started_at=time.time())
            try:
                report = await self._run(number, series, opened, history)
            except SeriesHeld as error:
                report = Report(series, self._request.start, self._request.end, error=error)
            except FFEError as error:
                report = Report(series, self._request.start, self._request.end, error=error)
            except Exception as error:
                log.exception("%s ended unexpectedly", series)
                failure = FFEError(redact(f"{type(error).__name__}: {error}"))
                report = Report(series, self._request.start, self._request.end, error=failure)
            if history or report.error is not None:
                self._ended(number, report)

    async def _run(self, number: int, series: Series, opened: Provider, history: bool) -> Report:
        earlier = self._reports.get(number)
        if earlier is not None and earlier.error is not None:
            return earlier
        start = self._request.start
        if not history:
            start = (await asyncio.to_thread(self._service.lake.marks, series)).low or start

        def progress(report: Report) -> None:
            with self._lock:
                self._reports[number] = report
                self._changed.add(number)

        report = await self._service.ingester.run_series(
            series,
            opened,
            start,
            self._request.end,
            mode=self._request.mode,
            run_id=str(self._run_id),
            progress=progress,
            lease_wait=self._lease_wait,
        )
        if earlier is not None:
            report.tally.add(earlier.tally)
            report.traffic.requests += earlier.traffic.requests
            report.traffic.retries += earlier.traffic.retries
        return report

    def _ended(self, number: int, report: Report) -> None:
        with self._lock:
            self._reports[number] = report
            self._changed.add(number)
        self._set(
            number,
            state=state_of(report),
            ended_at=time.time(),
            phase=None,
            error=report.error_text,
            next_step=next_step(report),
            result=report.as_dict(),
        )
        level = "error" if report.error else "info"
        self._service.runs.log(self._run_id, level, report.error_text or summary(report))

    def _set(self, number: int, **values: Any) -> None:
        with self._lock:
            self._pending.setdefault(number, {}).update(values)

    async def _write_progress(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_SECONDS)
            await asyncio.to_thread(self._flush)

    def _flush(self) -> None:
        """Write what changed since the last time; a ledger that is busy for a moment is tried again next time."""
        with self._lock:
            changes = {number: _columns(self._reports[number]) for number in self._changed}
            for number, values in self._pending.items():
                changes.setdefault(number, {}).update(values)
            self._changed, self._pending = set(), {}
        if changes:
            self._service.runs.update_series(self._run_id, changes)


def state_of(report: Report) -> str:
    """The literal state of a series that has ended: complete only if every expected bar is accounted for."""
    if report.error is not None:
        return states.FAILED
    counted = report.completeness
    return states.COMPLETE if counted is not None and counted.unexplained == 0 else states.GAPS


def next_step(report: Report) -> str | None:
    """What a person does next about a series that did not complete."""
    match report.error:
        case None if report.not_covered:
            return "the provider does not reach back that far; choose another provider or a later start"
        case None if state_of(report) == states.GAPS:
            return "look at the gaps, then fetch them again or mark them"
        case None:
            return None
        case PermanentError():
            return "asking again would give the same answer: mend the request or the credentials"
        case QuotaError():
            return "retry failed when the provider's quota has reset"
        case RetriableError():
            return "retry failed: it picks up where the marks stand"
        case SeriesHeld():
            return "wait for the run that holds it, then retry failed"
        case _:
            return "see the log lines, then retry failed"


def summary(report: Report) -> str:
    """One line on a series that has ended well."""
    counted = report.completeness
    holes = f", {counted.unexplained:,} unexplained" if counted and counted.unexplained else ""
    failed = report.tally.dead_lettered
    dead = f", {failed:,} dead lettered" if failed else ""
    return f"{report.series}: {report.tally.stored:,} candles stored{dead}{holes}"


def _columns(report: Report) -> dict[str, Any]:
    """A report as columns of the ledger."""
    counts = report.completeness.counts() if report.completeness else {}
    return {
        "phase": report.phase if report.phase != "done" else None,
        "start": report.start,
        "end": report.end,
        "pages_done": report.pages_done,
        "pages_planned": report.pages_planned,
        "received": report.tally.received,
        "records": report.tally.stored,
        "failed_records": report.tally.dead_lettered - report.tally.superseded,
        "repeats": report.tally.repeats,
        "restated": report.tally.restated,
        "requests": report.traffic.requests,
        "retries": report.traffic.retries,
        "watermark": report.marks.watermark,
        **{name: counts.get(name) for name in ("expected", "stored", "dead_lettered", "unexplained")},
    }
