"""Brought rows: how many rows of a series one run or one stretch of time brought, by the log where that tells.

A data file whose rows are all of one commit, and all meant, is counted by its statistics; of others three columns are
read, those of a period at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import MICROS, Files, Snapshot, micros

_COLUMNS = ("timestamp", "_extracted_at", "_ingestion_id")
Mask = npt.NDArray[np.bool_]


class Brought(NamedTuple):
    """Rows that were appended to a series, and how many of them restate a bar that was stored before."""

    rows: int
    restated: int


class Which(Protocol):
    """Which rows are meant."""

    def files(self, snapshot: Snapshot, series: Series, files: Files) -> tuple[Mask, Mask]:
        """Of these files of a series, which may hold such rows, and which certainly hold nothing else."""

    def rows(self, rows: pa.Table) -> Mask:
        """Which of these rows they are; the columns are those of `_COLUMNS`."""


@dataclass(frozen=True, slots=True)
class ByIngestion:
    """The rows that bear an ingestion id, which no other series' rows do."""

    ingestion_id: str

    def files(self, snapshot: Snapshot, series: Series, files: Files) -> tuple[Mask, Mask]:
        ids = snapshot.ingestion_ids(files)
        low, high = ids[:, 0], ids[:, 1]
        may = np.array([one is None or one <= self.ingestion_id for one in low], bool)
        may &= np.array([one is None or one >= self.ingestion_id for one in high], bool)
        return may, (low == self.ingestion_id) & (high == self.ingestion_id)

    def rows(self, rows: pa.Table) -> Mask:
        import pyarrow.compute as pc  # not at the top: who looks at watermarks does without

        found: Mask = np.asarray(pc.fill_null(pc.equal(rows["_ingestion_id"], self.ingestion_id), False))
        return found


@dataclass(frozen=True, slots=True)
class ByTime:
    """The rows that were extracted in [since, until), epoch microseconds."""

    since: int
    until: int

    def files(self, snapshot: Snapshot, series: Series, files: Files) -> tuple[Mask, Mask]:
        may = (files.newest >= self.since) & (files.oldest < self.until)
        own = (files.providers == series.provider).all(axis=1)
        return may, own & (files.oldest >= self.since) & (files.newest < self.until)

    def rows(self, rows: pa.Table) -> Mask:
        at = micros(rows["_extracted_at"])
        found: Mask = (at >= self.since) & (at < self.until)
        return found


def brought(snapshot: Snapshot, series: Series, which: Which) -> Brought:
    """How many rows of a series are those meant. StorageError if a file that has to be read cannot be."""
    files = snapshot.files(series)
    may, surely = which.files(snapshot, series, files)
    # A file that is of several commits may hold a bar twice, and one of another tool may lack statistics.
    surely &= files.of_one_commit & (files.rows > 0)
    rows = restated = 0
    for period in np.unique(files.periods[may]):  # bars of one period lie in no other's files
        here = files.periods == period
        wanted = np.flatnonzero(here & may)
        if surely[wanted].all() and _are_apart(files.where(_beside(files, here, wanted))):
            rows += int(files.rows[wanted].sum())
            continue
        found = _read(snapshot, series, files.where(_beside(files, here, wanted)), which)
        rows, restated = rows + found.rows, restated + found.restated
    return Brought(rows, restated)


def _beside(files: Files, here: Mask, wanted: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The places of the files of a period that may hold a bar of those wanted."""
    first, last = files.first[wanted].min(), files.last[wanted].max()
    return np.flatnonzero(here & (files.first <= last) & (files.last >= first))


def _are_apart(files: Files) -> bool:
    """Whether no two of the files may hold the same bar."""
    order = np.argsort(files.first, kind="stable")
    return bool((files.first[order][1:] > files.last[order][:-1]).all())


def _read(snapshot: Snapshot, series: Series, files: Files, which: Which) -> Brought:
    first, last = int(files.first.min()), int(files.last.max())
    rows = snapshot.rows(series, first, last + 1, _COLUMNS, files)
    mine, opens, at = which.rows(rows), micros(rows["timestamp"]) // MICROS, micros(rows["_extracted_at"])
    order = np.lexsort((at, opens))
    is_first = np.diff(opens[order], prepend=opens[order][:1] - 1) != 0
    new = int(mine[order][is_first].sum())
    return Brought(int(mine.sum()), int(mine.sum()) - new)
