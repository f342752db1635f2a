"""Written: what a run has stored and dead lettered of its series, by the lake and the dead letters themselves.

Whoever is killed leaves more than it told. The bars of a run bear an id that is made of the run, and dead letters its
number; bars of files bear that of their file, and are known by when they were read.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from ffe_core.errors import StorageError
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.series import Series
from ffe_core.storage.dead_letters.index import Kept
from ffe_core.storage.lake.brought import ByIngestion, ByTime
from ffe_core.storage.state.runs import RunSeries
from ffe_core.storage.stores import Stores

log = logging.getLogger(__name__)
_NAMESPACE = UUID("5b0f6c0e-93a4-4a4e-8d55-9f3c1c1a7a2d")
_CLOCKS_SECONDS = 3_600.0
"""How far apart the clocks of two machines are at most: run numbers begin anew with a new database, dead letters of the
old one are older than that."""
_NOTHING = Kept(0, 0)


def ingestion_of(owner: str, run_id: int, series: Series) -> str:
    """The `_ingestion_id` of all bars that a run stores of a series, whichever machine does; `owner` is the process
    that the run belongs to, as run numbers begin anew with a new database."""
    return str(uuid5(_NAMESPACE, f"{owner} {run_id} {series.key}"))


class Written(NamedTuple):
    """What there is of a run in one series: rows, those of them that restate a bar, and dead letters, those of them
    that only a later record of their batch replaced."""

    stored: int
    restated: int
    dead_lettered: int
    superseded: int


@dataclass(frozen=True, slots=True)
class Writer:
    """A run that wrote, `since` when (epoch seconds); whether it took its bars from files."""

    run_id: int
    owner: str
    since: float
    is_of_files: bool

    def kept(self, stores: Stores) -> dict[str, Kept]:
        """The dead letters that it has kept of each series, by `Series.key`. StorageError."""
        return stores.queue.kept_by(str(self.run_id), self.since - _CLOCKS_SECONDS)

    def wrote(self, stores: Stores, series: Series, kept: Mapping[str, Kept], until: float | None = None) -> Written:
        """All that it wrote of a series; of files what was read before `until`, when another run took the series up.
        StorageError."""
        which = self._by_time(until) if self.is_of_files else self._by_id(series)
        return Written(*stores.lake.brought(series, which), *kept.get(series.key, _NOTHING))

    def _by_id(self, series: Series) -> ByIngestion:
        return ByIngestion(ingestion_of(self.owner, self.run_id, series))

    def _by_time(self, until: float | None) -> ByTime:
        return ByTime(int(self.since * 1e6), 2**62 if until is None else int(until * 1e6))


def add_untold(report: SeriesResult, writer: Writer, stores: Stores) -> None:
    """Raise the counts of a report to what was written: what was not told of counts as received, too. Nothing where
    that cannot be read."""
    try:
        found = writer.wrote(stores, report.series, writer.kept(stores))
    except StorageError as error:
        log.warning("%s: what a lost machine stored cannot be counted: %s", report.series, error)
        return
    counts = report.counts
    told = counts.stored + counts.dead_lettered
    for name, count in found._asdict().items():
        setattr(counts, name, max(count, getattr(counts, name)))
    counts.received += counts.stored + counts.dead_lettered - told


def with_untold(row: RunSeries, found: Written) -> dict[str, Any]:
    """The counts of a row raised to what was written, as columns of the database."""
    failed = max(row.failed_records, found.dead_lettered - found.superseded)
    stored = max(row.records, found.stored)
    return {
        "records": stored,
        "restated": max(row.restated, found.restated),
        "failed_records": failed,
        "received": max(row.received, stored + failed + found.superseded + row.repeats),
    }
