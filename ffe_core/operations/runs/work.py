"""Work that an engine is given: series of a run, and what is done with each of them.

It travels to other machines, so it is plain data; what it needs to be done with is that machine's own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, Self

from ffe_core.ingestion.batch_data_ingester import BatchDataIngester
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.ingestion.turns import Group
from ffe_core.operations.runs.written import Writer, ingestion_of
from ffe_core.providers.base import Provider
from ffe_core.series import Series

Columns = dict[str, Any]
"""Columns of the row of a series in the database."""


class Tools(Protocol):
    """What an engine has to do work with, on its machine."""

    @property
    def ingester(self) -> BatchDataIngester:
        """Its lake, stores and settings too."""

    def provider(self, name: str, priority: bool) -> Provider:
        """A provider of its own for long work; short work shares one, as each makes its own connections."""

    def group(self, provider: str, priority: bool) -> Group:
        """What the series of new work belong to: a group of its own, or that of all work that goes first."""


class UnderWay(Protocol):
    """Work that has begun."""

    async def run(self) -> None:
        """Do it, each series failing alone. Cancelled, it is so when what cannot be cut off has ended."""

    def take(self) -> dict[int, Columns]:
        """What has changed of the rows of its series since the last time, by number."""

    def done_so_far(self, number: int) -> SeriesResult | None:
        """The counts of a series up to now, for who may have to go on with it; None if there are none."""


class Job(Protocol):
    """What is done with each series of a run."""

    at_once: ClassVar[int]
    """How many series a machine works on at the same time."""

    @property
    def series(self) -> tuple[Series, ...]:
        """The series, in the order asked."""

    def only(self, series: Sequence[Series]) -> Self:
        """The same with some of them."""

    def begin(self, work: Work, tools: Tools) -> UnderWay:
        """Make ready to do it; CredentialsMissing if its provider needs some."""


@dataclass(frozen=True, slots=True)
class Work:
    """All of a run, or a share of it. `key` tells it from all other work of the engine.

    `numbers` are those of its series in the run, which belongs to the process `owner`; `priority` gives it turns and
    connections that long backfills do not share; `lease_wait` is how long (seconds) another holder of a series is
    waited for. `earlier` is what was done of series before, by their numbers: counts to go on from; `again` are those
    that a machine was lost with, which may have stored more than it had told. `since` is when (epoch seconds) it began.
    """

    key: str
    run_id: int
    owner: str
    job: Job
    numbers: tuple[int, ...]
    lease_wait: float = 0.0
    priority: bool = False
    earlier: dict[int, SeriesResult] = field(default_factory=dict)
    again: frozenset[int] = frozenset()
    since: float = field(default_factory=time.time)

    @classmethod
    def whole(cls, run_id: int, owner: str, job: Job, lease_wait: float = 0.0, priority: bool = False) -> Work:
        """All of a run."""
        return cls(str(run_id), run_id, owner, job, tuple(range(len(job.series))), lease_wait, priority)

    @property
    def series(self) -> dict[int, Series]:
        """Its series by their numbers in the run."""
        return dict(zip(self.numbers, self.job.series, strict=True))

    def ingestion_of(self, series: Series) -> str:
        """The `_ingestion_id` of all bars that this work stores of a series, whichever machine does."""
        return ingestion_of(self.owner, self.run_id, series)

    def writer(self, *, is_of_files: bool) -> Writer:
        """By what it is known what it has written."""
        return Writer(self.run_id, self.owner, self.since, is_of_files)

    def share(self, key: str, numbers: Sequence[int], **changes: Any) -> Work:
        """Some of its series, as work of their own."""
        series = self.series
        job = self.job.only([series[number] for number in numbers])
        return replace(self, key=key, job=job, numbers=tuple(numbers), **changes)
