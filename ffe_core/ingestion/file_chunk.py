"""Chunk of an import of files: a result a file, and the rows between two commits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ffe_core import times
from ffe_core.validation import Failure

_COMMIT_ROWS = 400_000
_COMMIT_SECONDS = 20.0
_MOST_FAILURES = 20_000


@dataclass(slots=True)
class FileResult:
    """What one file brought: `received = stored + dead_lettered + repeats`."""

    path: Path
    sha256: str = ""
    size: int = 0
    ingestion_id: str = ""
    received: int = 0
    stored: int = 0
    restated: int = 0
    dead_lettered: int = 0
    repeats: int = 0
    unfinished: int = 0
    left_out: int = 0
    """Rows of other symbols or venues than the one asked for."""
    first: int | None = None
    last: int | None = None
    is_known: bool = False
    """Whether it was imported before and nothing has changed since: it was not read again."""
    error: str | None = None
    is_done: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The result as plain values."""
        counts = ("received", "stored", "restated", "dead_lettered", "repeats", "unfinished", "left_out")
        return {
            "file": str(self.path),
            "sha256": self.sha256,
            **{name: getattr(self, name) for name in counts},
            "first": None if self.first is None else times.iso(self.first),
            "last": None if self.last is None else times.iso(self.last),
            "known": self.is_known,
            **({"error": self.error} if self.error else {}),
        }


@dataclass(slots=True)
class Chunk:
    """Valid candles and failures between two commits, with the number of the file that each is of."""

    candles: list[tuple[pa.Table, int, int]] = field(default_factory=list)
    """Tables in the order of their rows, each with the first and the last open in it."""
    shares: list[tuple[int, int]] = field(default_factory=list)
    """Whose the rows are, in their order: the number of a file, and how many come from it."""
    failures: dict[int, list[Failure]] = field(default_factory=dict)
    rows: int = 0
    failed: int = 0
    low: int = 2**62
    high: int = -(2**62)
    since: float = field(default_factory=time.monotonic)

    @property
    def is_due(self) -> bool:
        old = time.monotonic() - self.since > _COMMIT_SECONDS
        return self.rows >= _COMMIT_ROWS or self.failed >= _MOST_FAILURES or (old and self.rows + self.failed > 0)

    def overlaps(self, first: int, last: int) -> bool:
        """Whether a bar of the chunk may lie in [first, last]: two rows of a bar never share a commit."""
        if not self.candles or first > self.high or last < self.low:
            return False
        return any(low <= last and first <= high for _, low, high in self.candles)

    def add(self, shares: Sequence[tuple[int, int]], candles: pa.Table, first: int, last: int) -> None:
        """Take in candles that open in [first, last], so many of each file one after the other."""
        self.low, self.high = min(self.low, first), max(self.high, last)
        self.candles.append((candles, first, last))
        self.shares += shares
        self.rows += candles.num_rows

    def owners(self) -> npt.NDArray[np.int64]:
        """The number of the file of each row."""
        numbers, sizes = zip(*self.shares, strict=True)
        found: npt.NDArray[np.int64] = np.repeat(np.array(numbers, np.int64), sizes)
        return found

    def table(self) -> pa.Table:
        """All candles in the order in which they came."""
        return pa.concat_tables([table for table, _, _ in self.candles])
