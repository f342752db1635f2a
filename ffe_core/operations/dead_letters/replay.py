"""Replay of edited dead letters into the lake, each exactly once.

A replayed row carries `_dead_letter_id`. Before anything is written, a replay looks which ids of its list have landed,
under the lease of the series: so it does not matter how often a replay is started, from where, or at which moment its
process is killed. Candles are committed first, guarded by unmoved marks; then the files are told.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from ffe_core import times
from ffe_core.candles import TIMESTAMP, VALUES
from ffe_core.errors import CommitConflict
from ffe_core.ingestion.enrich import enrich
from ffe_core.ingestion.hour_grid import hour_grid_of
from ffe_core.operations.dead_letters.replay_check import (
    ReplayCheck,
    Replayed,
    already_replayed,
    dead_letter_id,
    evaluate,
)
from ffe_core.operations.runs.outcome import how_whole
from ffe_core.operations.runs.series_work import counted, note, one_by_one
from ffe_core.operations.runs.service import RunService
from ffe_core.providers import PROVIDERS
from ffe_core.results import result_of
from ffe_core.rules.sift import rules_of
from ffe_core.series import Series
from ffe_core.storage.dead_letters.file import PENDING, DeadLetterBatch, DeadLetterRecord, Step, step
from ffe_core.storage.dead_letters.queue import Selection
from ffe_core.storage.state import runs as run_states
from ffe_core.threads import run_to_completion

CHUNK_RECORDS = 1_000
"""Records evaluated and committed at a time."""
_TRIES = 20


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """A frozen list of records by series, and what a collision with a stored candle comes to."""

    selections: Mapping[Series, Selection]
    actor: str
    restate: bool = False
    """Append the edited record as a restatement; otherwise the stored candle is kept."""
    reason: str = ""
    lease_wait: float = 0.0


@dataclass(slots=True)
class _Counts:
    evaluated: int = 0
    replayed: int = 0
    restated: int = 0
    collided: int = 0
    failed: int = 0
    open_times: list[int] = field(default_factory=list)


class Replay:
    """The work of one replay run."""

    def __init__(self, service: RunService, run_id: int, request: ReplayRequest) -> None:
        self._service, self._run_id, self._request = service, run_id, request
        self._queue, self._lake = service.stores.queue, service.lake
        self._note = {"ingestion_id": str(uuid.uuid4()), "run_id": str(run_id)}

    async def work(self) -> None:
        await one_by_one(self._service, self._run_id, list(self._request.selections), self._leased)

    async def _leased(self, number: int, series: Series) -> dict[str, Any]:
        lease = self._service.stores.lease(series, str(self._run_id))
        with await lease.wait(self._request.lease_wait):
            return await self._series(number, series)

    async def _series(self, number: int, series: Series) -> dict[str, Any]:
        selection, counts = self._request.selections[series], _Counts()
        total = sum(map(len, selection.values()))
        planned = -(-total // CHUNK_RECORDS)
        await note(self._service, self._run_id, number, phase="replaying", pages_planned=planned)
        already = await asyncio.to_thread(self._already_replayed, series, selection)
        chunks = self._chunks(selection)
        while chunk := await asyncio.to_thread(next, chunks, None):
            try:
                await run_to_completion(self._chunk, series, chunk, already, counts)
            finally:  # what a cancelled replay has stored counts too
                done = min(planned, counts.evaluated // CHUNK_RECORDS)
                await note(self._service, self._run_id, number, pages_done=done, **_progress(counts))
        await note(self._service, self._run_id, number, phase="counting")
        return await asyncio.to_thread(self._ended, series, counts, planned)

    def _already_replayed(self, series: Series, selection: Selection) -> dict[str, Replayed]:
        ids = [dead_letter_id(batch_id, number) for batch_id, numbers in selection.items() for number in numbers]
        return already_replayed(self._lake, series, ids)

    def _chunks(self, selection: Selection) -> Iterator[list[tuple[str, DeadLetterRecord]]]:
        """The selected records that are still pending, so many at a time; one batch is in memory at once."""
        chunk: list[tuple[str, DeadLetterRecord]] = []
        for batch_id, numbers in selection.items():
            records = self._queue.read(batch_id).records
            for number in numbers:
                if records[number].status == PENDING:
                    chunk.append((batch_id, records[number]))
                if len(chunk) == CHUNK_RECORDS:
                    yield chunk
                    chunk = []
        if chunk:
            yield chunk

    def _chunk(
        self, series: Series, records: list[tuple[str, DeadLetterRecord]], already: dict[str, Replayed], counts: _Counts
    ) -> None:
        """Judge, commit, and only then tell the files."""
        closed_before = closed(series, self._service.settings.close_grace_seconds)
        hours = hour_grid_of(series, self._service.stores)
        rules = rules_of(self._service.settings.data_dir, series)
        checks = evaluate(self._lake, series, records, closed_before, already, hours, rules)
        outcomes = ("passes", "collides") if self._request.restate else ("passes",)
        self._commit(series, [check for check in checks if check.outcome in outcomes])
        self._tell(checks, outcomes)
        tally: Counter[str] = Counter(check.outcome for check in checks)
        stored = sum(tally[outcome] for outcome in outcomes)
        counts.evaluated += len(checks)
        counts.replayed += stored + tally["landed"]
        counts.restated += tally["collides"] if self._request.restate else 0
        counts.failed += tally["fails"]
        counts.collided += len(checks) - stored - tally["landed"] - tally["fails"]
        counts.open_times += [check.open for check in checks if check.open is not None]

    def _commit(self, series: Series, checks: Sequence[ReplayCheck]) -> None:
        """Append the candles in one commit that leaves both marks where they are."""
        if not checks:
            return
        is_mock = series.provider in PROVIDERS and PROVIDERS[series.provider].is_mock
        candles, ids = _table(checks), [check.dead_letter_id for check in checks]
        rows = enrich(candles, series, self._note["ingestion_id"], is_mock=is_mock, dead_letter_ids=list(ids))
        for tries_left in reversed(range(_TRIES)):
            marks = self._lake.marks(series)
            try:
                self._lake.commit(series, rows, marks, marks, self._note)
                return
            except CommitConflict:
                if not tries_left:
                    raise

    def _tell(self, checks: Sequence[ReplayCheck], outcomes: Sequence[str]) -> None:
        by_batch: dict[str, list[ReplayCheck]] = {}
        for check in checks:
            by_batch.setdefault(check.batch_id, []).append(check)

        def decide(batches: dict[str, DeadLetterBatch]) -> dict[str, list[Step]]:
            return {batch_id: [self._step(by_batch[batch_id], outcomes)] for batch_id in batches}

        self._queue.change(list(by_batch), decide)

    def _step(self, checks: Sequence[ReplayCheck], outcomes: Sequence[str]) -> Step:
        there = (*outcomes, "landed")
        kept = [v.number for v in checks if v.outcome not in there and v.outcome != "fails"]
        return step(
            "replay",
            self._request.actor,
            why=self._request.reason,
            run=self._run_id,
            stored={str(v.number): v.revision for v in checks if v.outcome in there},
            kept=kept,
            failed={str(v.number): list(v.reasons) for v in checks if v.outcome == "fails"},
        )

    def _ended(self, series: Series, counts: _Counts, planned: int) -> dict[str, Any]:
        span = (min(counts.open_times), max(counts.open_times) + series.step) if counts.open_times else None
        whole = counted(self._service, series, *span) if span else None
        marks = self._lake.marks(series)
        left = counts.failed or (whole is not None and whole.unexplained)
        result = {
            **result_of(series, "success" if counts.replayed or not counts.failed else "validation_failed"),
            "records": counts.replayed,
            "failed_records": counts.failed,
            "collided": counts.collided,
            "restated": counts.restated,
            **(whole.counts() if whole else {}),
        }
        return {
            "state": run_states.GAPS if left else run_states.COMPLETE,
            "next_step_code": "edit_and_replay" if counts.failed else None,
            "result": result,
            "watermark": marks.watermark,
            "pages_done": planned,
            **({"start": span[0], "end": span[1]} if span else {}),
            **_progress(counts),
            **how_whole(whole),
        }


def closed(series: Series, grace: int) -> int:
    """Bars of the series that open before this instant have closed, by the clock."""
    return times.now() - grace - series.step + 1


def _progress(counts: _Counts) -> dict[str, Any]:
    return {
        "received": counts.evaluated,
        "records": counts.replayed,
        "failed_records": counts.failed,
        "repeats": counts.collided,
        "restated": counts.restated,
    }


def _table(checks: Sequence[ReplayCheck]) -> pa.Table:
    candles = [check.candle or {} for check in checks]
    open_times = np.array([check.open for check in checks], dtype=np.int64)
    return pa.table(
        {
            "timestamp": pa.array(open_times * 1_000_000, pa.int64()).cast(TIMESTAMP),
            **{name: pa.array([candle[name] for candle in candles], pa.float64()) for name in VALUES},
        }
    )
