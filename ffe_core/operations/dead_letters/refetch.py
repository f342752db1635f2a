"""Refetch of dead letters: the provider is asked again for just their bars, neighbours taken together.

What it sends now is stored or dead lettered as ever. A record whose bar is in the lake afterwards has found its
candle: it ends "superseded by stored".
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ffe_core.completeness import COUNTS
from ffe_core.errors import InputError
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.intervals import union
from ffe_core.operations.runs.outcome import counts_of, ended
from ffe_core.operations.runs.series_work import note, one_by_one
from ffe_core.operations.runs.service import RunService
from ffe_core.providers import provider_class
from ffe_core.series import Series
from ffe_core.storage.dead_letters.file import PENDING, DeadLetterBatch, DeadLetterRecord, Step, step
from ffe_core.storage.dead_letters.queue import Selection
from ffe_core.storage.lake.snapshot import Ints
from ffe_core.validation import UNREADABLE, read_open_times

_ENTRIES_AT_ONCE = 100


class Refetch:
    """The work of one refetch run."""

    def __init__(
        self,
        service: RunService,
        run_id: int,
        selections: Mapping[Series, Selection],
        actor: str,
        reason: str,
        lease_wait: float,
    ) -> None:
        self._service, self._run_id, self._selections = service, run_id, selections
        self._actor, self._reason, self._lease_wait = actor, reason, lease_wait
        self._queue = service.stores.queue

    async def work(self) -> None:
        await one_by_one(self._service, self._run_id, list(self._selections), self._series)

    async def _series(self, number: int, series: Series) -> dict[str, Any]:
        ranges = await asyncio.to_thread(self._ranges, series)
        await note(self._service, self._run_id, number, phase="fetching", pages_planned=len(ranges))
        total = SeriesResult(series, ranges[0][0], ranges[-1][1])
        async with provider_class(series.provider)(config=self._service.settings) as opened:
            for done, (start, end) in enumerate(ranges, start=1):
                report = await self._service.ingester.run_series(
                    series,
                    opened,
                    start,
                    end,
                    mode="refetch",
                    run_id=str(self._run_id),
                    lease_wait=self._lease_wait,
                    ingestion_id=self._service.ingestion_of(self._run_id, series),
                )
                _add(total, report)
                await note(self._service, self._run_id, number, pages_done=done, **counts_of(total))
                if report.error is not None:
                    break
        asked, settled = await asyncio.to_thread(self._tell, series)
        outcome = ended(total)
        outcome["result"] = {**outcome["result"], "asked_again": asked, "settled": settled}
        return {**counts_of(total), **outcome, "start": total.start, "end": total.end}

    def _ranges(self, series: Series) -> list[tuple[int, int]]:
        """The bars of the selected records as half-open ranges, neighbours merged."""
        open_times = [open_ for _, records in self._pending(series) for open_ in _open_times(records)]
        if not open_times:
            raise InputError(
                f"{series}: no pending record of the list says which bar it is; there is nothing to ask for"
            )
        bars = bars_of(series, open_times)
        return [(start, end) for start, end in union(np.column_stack((bars, bars + series.step))).tolist()]

    def _pending(self, series: Series) -> Iterator[tuple[str, list[DeadLetterRecord]]]:
        for batch_id, numbers in self._selections[series].items():
            records = self._queue.read(batch_id).records
            yield batch_id, [records[number] for number in numbers if records[number].status == PENDING]

    def _tell(self, series: Series) -> tuple[int, int]:
        """Mark the records whose bars the lake holds now; how many there were, and how many of them were marked."""
        selection = self._selections[series]
        ids, asked, settled = list(selection), 0, 0

        def decide(batches: dict[str, DeadLetterBatch]) -> dict[str, list[Step]]:
            nonlocal asked, settled
            pending = {batch_id: _waiting(batch, selection[batch_id]) for batch_id, batch in batches.items()}
            steps = {batch_id: self._steps(series, records) for batch_id, records in pending.items()}
            asked += sum(map(len, pending.values()))
            settled += sum(len(one["kept"]) for some in steps.values() for one in some)
            return steps

        for at in range(0, len(ids), _ENTRIES_AT_ONCE):
            self._queue.change(ids[at : at + _ENTRIES_AT_ONCE], decide)
        return asked, settled

    def _steps(self, series: Series, records: list[DeadLetterRecord]) -> list[Step]:
        open_times = read_open_times([record.value for record in records])
        known = open_times[open_times != UNREADABLE]
        if len(known) == 0:
            return []
        stored = self._service.lake.stored_open_times(series, int(known.min()), int(known.max()) + 1)
        there = np.isin(open_times, stored).tolist()
        kept = [record.number for record, is_there in zip(records, there, strict=True) if is_there]
        return [step("refetch", self._actor, why=self._reason, run=self._run_id, kept=kept)] if kept else []


def bars_of(series: Series, open_times: Iterable[int]) -> Ints:
    """The bars that records are of, each once: one off the grid is of the bar that it falls into."""
    return np.unique(np.array([open_ - open_ % series.grid for open_ in open_times], np.int64))


def _waiting(batch: DeadLetterBatch, numbers: Any) -> list[DeadLetterRecord]:
    return [batch.records[number] for number in numbers if batch.records[number].status == PENDING]


def _open_times(records: list[DeadLetterRecord]) -> list[int]:
    open_times = read_open_times([record.value for record in records])
    return [int(open_) for open_ in open_times[open_times != UNREADABLE]]


def _add(total: SeriesResult, report: SeriesResult) -> None:
    """Take over one range's counts; a range is whole or it is not, so theirs add up."""
    total.counts.add(report.counts)
    total.request_stats.requests += report.request_stats.requests
    total.request_stats.retries += report.request_stats.retries
    total.marks, total.error = report.marks, report.error
    if total.completeness is None:
        total.completeness = report.completeness
    elif report.completeness is not None:
        for name in COUNTS:
            summed = getattr(total.completeness, name) + getattr(report.completeness, name)
            setattr(total.completeness, name, summed)
