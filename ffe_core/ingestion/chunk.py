"""Chunk of pages between two commits: validates records, and counts every one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Any

import numpy as np
import pyarrow as pa

from ffe_core.columns import CandleColumns, joined
from ffe_core.ingestion.series_result import Counts
from ffe_core.intervals import Times
from ffe_core.providers.base import Page, Record
from ffe_core.rules.model import Rule
from ffe_core.rules.sift import sifted
from ffe_core.series import Series
from ffe_core.validation import UNREADABLE, Failure, read_open_times, validate

_VALIDATE_RECORDS = 20_000
_COMMIT_ROWS = 400_000
_COMMIT_SECONDS = 10.0
Waiting = tuple[Page, Sequence[Record], int]
"""A page, what it holds, and the open from which its bars are not closed yet."""


@dataclass(slots=True)
class Chunk:
    """The part of a span between two commits.

    `parts` are the ranges that are wanted, if not all that lies in the pages: (n, 2), sorted and apart.
    """

    series: Series
    closed: int
    """Open from which bars are not closed yet, unless `take` is told otherwise."""
    flags_completion: bool
    parts: Times | None = None
    has_volume: bool = False
    rules: Sequence[Rule] = ()
    """Rules of one's own that records have to hold, too."""
    counts: Counts = field(default_factory=Counts)
    failures: list[Failure] = field(default_factory=list)
    reached: Page | None = None
    unfinished: list[int] = field(default_factory=list)
    """Opens of the bars that were not closed yet."""
    _waiting: list[Waiting] = field(default_factory=list)
    _waiting_records: int = 0
    _candles: list[pa.Table] = field(default_factory=list)
    _rows: int = 0
    _since: float = field(default_factory=time.monotonic)

    def take(self, page: Page, records: Sequence[Record], closed: int | None = None) -> None:
        """Add the next page in order; only its own bars count."""
        self._waiting.append((page, records, self.closed if closed is None else closed))
        self._waiting_records += len(records)
        self.reached = page

    @property
    def wants_validation(self) -> bool:
        """Enough records wait to be worth a pass over columns."""
        return self._waiting_records >= _VALIDATE_RECORDS

    @property
    def is_due(self) -> bool:
        """Large or old enough to be committed."""
        old = time.monotonic() - self._since > _COMMIT_SECONDS
        taken = self._rows + len(self.failures)
        return taken >= _COMMIT_ROWS or (old and taken + self._waiting_records > 0)

    def candles(self) -> pa.Table:
        """All valid candles so far, one a bar."""
        self.validate()
        return pa.concat_tables(self._candles) if self._candles else validate([], self.series.grid).candles

    def validate(self) -> None:
        """Check the waiting records; page bounds and closedness are evaluated on whole columns too."""
        for _, pages in groupby(self._waiting, lambda waiting: isinstance(waiting[1], CandleColumns)):
            self._validate(list(pages))
        self._waiting, self._waiting_records = [], 0

    def _validate(self, pages: list[Waiting]) -> None:
        """Check pages that have all been read in the same way: no bar is in two of them."""
        records = _joined([page_records for _, page_records, _ in pages])
        if not records:
            return
        open_times, kept = self._sorted_out(records, pages)
        if not kept.all():
            records, open_times = _taken(records, np.flatnonzero(kept)), open_times[kept]
        checked = validate(records, self.series.grid, open_times, self.has_volume)
        checked = sifted(checked, self.rules, records.__getitem__, open_times)
        self.counts.received += len(records)
        self.counts.duplicates += checked.duplicates
        self.failures += checked.failures
        self._candles.append(checked.candles)
        self._rows += checked.candles.num_rows

    def _sorted_out(self, records: Sequence[Any], pages: list[Waiting]) -> tuple[np.ndarray, np.ndarray]:
        """Open times of the records, and which are of this range and closed (or unreadable: for rules to judge)."""
        sizes = [len(page_records) for _, page_records, _ in pages]
        bounds = zip(*((page.start, page.end, closed) for page, _, closed in pages), strict=True)
        starts, ends, closed = (np.repeat(np.array(bound, np.int64), sizes) for bound in bounds)
        open_times = read_open_times(records)
        readable = open_times != UNREADABLE
        unfinished = self._unfinished(records, open_times, closed) & readable
        outside = ((open_times < starts) | (open_times >= ends) | ~self._wanted(open_times)) & readable & ~unfinished
        self.counts.unfinished += int(unfinished.sum())
        self.counts.outside += int(outside.sum())
        self.unfinished += open_times[unfinished].tolist()
        return open_times, ~(unfinished | outside)

    def _wanted(self, open_times: np.ndarray) -> np.ndarray:
        """What merely came along with gaps is stored already, corrected by hand perhaps: it is not read again."""
        if self.parts is None:
            return np.ones(len(open_times), bool)
        begun = np.searchsorted(self.parts[:, 0], open_times, side="right")
        wanted: np.ndarray = (begun > 0) & (open_times < self.parts[begun - 1, 1])
        return wanted

    def _unfinished(self, records: Sequence[Any], open_times: np.ndarray, closed: np.ndarray) -> np.ndarray:
        if not self.flags_completion:
            return open_times >= closed
        if isinstance(records, CandleColumns):
            return records.unfinished
        return np.array([isinstance(r, dict) and r.get("complete") is False for r in records], dtype=bool)


def _joined(pages: list[Sequence[Any]]) -> Sequence[Any]:
    """The records of pages that are all columns, or all none."""
    columns = [page for page in pages if isinstance(page, CandleColumns)]
    return joined(columns) if columns else list(chain.from_iterable(pages))


def _taken(records: Sequence[Any], places: np.ndarray) -> Sequence[Any]:
    if isinstance(records, CandleColumns):
        return records.take(places)
    return [records[i] for i in places.tolist()]
