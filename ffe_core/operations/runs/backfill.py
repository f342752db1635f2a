"""Backfill runs: the request, and the work on its series, newer data before history.

Series run concurrently; what has changed of their rows is taken from time to time while they do.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ffe_core import times
from ffe_core.errors import FFEError, InputError, LeaseLost, StorageError
from ffe_core.ingestion import plan
from ffe_core.ingestion.batch_data_ingester import BatchDataIngester
from ffe_core.ingestion.multi_asset_batch_ingester import SERIES_AT_ONCE, every_series
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.ingestion.turns import Group, Member
from ffe_core.operations.runs import log as run_log
from ffe_core.operations.runs.outcome import ended, progressed, summary, with_earlier
from ffe_core.operations.runs.work import Columns, Tools, Work
from ffe_core.operations.runs.written import add_untold
from ffe_core.providers import provider_class
from ffe_core.providers.base import Provider
from ffe_core.redaction import redact
from ffe_core.series import Series
from ffe_core.storage.state import runs as run_states

log = logging.getLogger(__name__)
BEGINNING = "beginning"
"""A start of a range: wherever the history of each series begins."""


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """What a person, a command or a schedule asks for; [start, end) in epoch seconds."""

    provider: str
    series: tuple[Series, ...]
    start: int
    end: int
    mode: plan.Mode = "resume"
    at_once: ClassVar[int] = SERIES_AT_ONCE

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
        """A checked request; InputError for anything that cannot be, missing credentials too.

        A start of "beginning" is the first day of which the provider can have anything: what lies before the first bar
        of a series is found out by the run, and neither asked for nor missing.
        """
        known = provider_class(provider)
        first, last = times.parse_range(beginning_of(known) if is_beginning(start) else start, end)
        known.check_start(first)
        return cls(provider, tuple(every_series(pairs, timeframes, provider)), first, last, plan.check_mode(mode))

    def only(self, series: Sequence[Series]) -> BackfillRequest:
        """The same of some of its series."""
        return replace(self, series=tuple(series))

    def begin(self, work: Work, tools: Tools) -> Backfill:
        """The work on its series. CredentialsMissing if the provider needs some."""
        provider = tools.provider(self.provider, work.priority)
        return Backfill(tools.ingester, work, self, provider, tools.group(self.provider, work.priority))


def is_beginning(start: object) -> bool:
    """Whether a start as given is wherever the history of each series begins."""
    return isinstance(start, str) and start.strip().lower() == BEGINNING


def beginning_of(provider: type[Provider], field: str = "start") -> str:
    """The first day of which a provider can have anything; InputError about `field` where it does not say."""
    if provider.earliest is None:
        raise InputError(f"{provider.name} does not say when it begins; give a date", field=field)
    return provider.earliest


class Backfill:
    """The work of one backfill run, or of a share of it: its series concurrently, newer data before history."""

    def __init__(
        self, ingester: BatchDataIngester, work: Work, request: BackfillRequest, provider: Provider, group: Group
    ) -> None:
        self._ingester, self._work, self._request = ingester, work, request
        self._series = work.series
        self._provider, self._group = provider, group
        self._reports: dict[int, SeriesResult] = {}
        self._newer: dict[int, SeriesResult] = dict(work.earlier)
        self._changed: set[int] = set()
        self._pending: dict[int, Columns] = {}
        self._lock = threading.Lock()

    async def run(self) -> None:
        """Work it off, each series failing alone."""
        async with self._provider as opened:
            lows = await asyncio.to_thread(self._lows_behind)
            await self._all(lows, lambda number, member: self._newer_pass(number, member, opened, lows[number]))
            everything = [number for number in self._series if not self._has_failed(number)]
            await self._all(everything, lambda number, member: self._pass(number, member, opened))

    def take(self) -> dict[int, Columns]:
        """What has changed of the rows of its series since the last time, by number."""
        with self._lock:
            changed, changes = self._changed, self._pending
            self._changed, self._pending = set(), {}
        return {number: {**self._row(number), **changes.pop(number, {})} for number in changed} | changes

    def done_so_far(self, number: int) -> SeriesResult | None:
        """The counts of a series up to now; None if it has not begun."""
        return self._counted(number) if number in self._reports else None

    async def _all(self, numbers: Collection[int], pass_of: Callable[[int, Member], Coroutine[Any, Any, None]]) -> None:
        """Await a pass over each of these series, when cancelled too: one may be seeing its commit through."""
        members = self._group.members(self._series[number] for number in numbers)
        try:
            async with asyncio.TaskGroup() as tasks:
                for number, member in zip(numbers, members, strict=True):
                    tasks.create_task(pass_of(number, member))
        finally:
            for member in members:
                member.leave()

    def _lows_behind(self) -> dict[int, int]:
        """Low marks of series with both newer bars and history to fetch, if several: the newer bars go first."""
        lows: dict[int, int] = {}
        if self._request.mode != "resume" or len(self._request.series) == 1:
            return lows
        for number, series in self._series.items():
            with suppress(StorageError):  # its own pass tells it
                low = self._ingester.delta_mgr.marks(series).low
                if low is not None and self._request.start < low < self._request.end:
                    lows[number] = low
        return lows

    async def _newer_pass(self, number: int, member: Member, opened: Provider, low: int) -> None:
        """Only what is newer than the low mark; its counts are carried over into the pass over everything."""
        report = await self._in_turn(number, member, opened, low)
        if number in self._newer:
            with_earlier(report, self._newer.pop(number))
        if report.error is not None:
            await self._count_what_was_not_told(number, report)
            self._ended(number, report)
        else:
            self._newer[number] = report

    async def _pass(self, number: int, member: Member, opened: Provider) -> None:
        report = await self._in_turn(number, member, opened, self._request.start)
        if number in self._newer:
            with_earlier(report, self._newer.pop(number))
        await self._count_what_was_not_told(number, report)
        self._ended(number, report)

    async def _count_what_was_not_told(self, number: int, report: SeriesResult) -> None:
        """Add what a lost machine had stored and dead lettered of the series since it last told of it."""
        if number in self._work.again:
            await asyncio.to_thread(add_untold, report, self._work.writer(is_of_files=False), self._ingester.stores)

    def _has_failed(self, number: int) -> bool:
        return number in self._reports and self._reports[number].error is not None

    async def _in_turn(self, number: int, member: Member, opened: Provider, start: int) -> SeriesResult:
        """One series from `start` on, whatever becomes of it."""
        series = member.series
        async with member:
            if number not in self._reports:
                self._set(number, state=run_states.RUNNING, started_at=time.time())
            try:
                return await self._run(number, member, opened, start)
            except (FFEError, InputError) as error:
                failure: FFEError | InputError = error
            except Exception as error:
                log.exception("%s ended unexpectedly", series)
                failure = FFEError(redact(f"{type(error).__name__}: {error}"))
            return SeriesResult(series, self._request.start, self._request.end, error=failure)

    async def _run(self, number: int, member: Member, opened: Provider, start: int) -> SeriesResult:
        def progress(report: SeriesResult) -> None:
            with self._lock:
                self._reports[number] = report
                self._changed.add(number)

        return await self._ingester.run_series(
            member.series,
            opened,
            start,
            self._request.end,
            mode=self._request.mode,
            run_id=str(self._work.run_id),
            progress=progress,
            lease_wait=self._work.lease_wait,
            member=member,
            ingestion_id=self._work.ingestion_of(member.series),
        )

    def _ended(self, number: int, report: SeriesResult) -> None:
        with self._lock:
            self._reports[number] = report
            self._changed.add(number)
        # A commit whose answer did not come may have been made.
        is_sure = not isinstance(report.error, StorageError | LeaseLost)
        phase = None if is_sure else run_states.COUNTING
        self._set(number, ended_at=time.time(), phase=phase, **ended(report))
        run_log.say(report.error_text or summary(report), "error" if report.error else "info")

    def _set(self, number: int, **values: Any) -> None:
        with self._lock:
            self._pending.setdefault(number, {}).update(values)

    def _row(self, number: int) -> Columns:
        """A series as columns of the database, with what was done of it before."""
        return progressed(self._counted(number))

    def _counted(self, number: int) -> SeriesResult:
        report, newer = self._reports[number], self._newer.get(number)
        if newer is None or newer is report:
            return report
        both = replace(report, counts=replace(report.counts), request_stats=replace(report.request_stats))
        return with_earlier(both, newer)
