"""Upkeep plan: what a table has, and what its partitions and its log need, by the log alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffe_core.candles import timeframe_of
from ffe_core.storage.lake.snapshot import Files, Snapshot
from ffe_core.storage.lake.upkeep.tiers import SMALL_BYTES, together
from ffe_core.times import DAY

_SETTLED_SECONDS = 2 * DAY
"""How long after its end a period still counts as running: its last bars are read again, and gaps are filled."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Files of one partition that are made one for each provider; `names` as the log spells them."""

    pair: str
    period: str
    names: tuple[str, ...]
    sizes: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """What is read, and about what is written."""
        return sum(self.sizes)


@dataclass(frozen=True, slots=True)
class TablePlan:
    """A table's figures at one version, and the merges that it needs."""

    table: str
    version: int
    rows: int
    bytes: int
    files: int
    small_files: int
    merges: tuple[Merge, ...]

    @property
    def merged_files(self) -> int:
        """How many files the merges replace."""
        return sum(len(merge.names) for merge in self.merges)

    @property
    def spared_files(self) -> int:
        """How many files the table has fewer then, if each merge leaves one."""
        return self.merged_files - len(self.merges)

    @property
    def merged_bytes(self) -> int:
        """How many bytes they rewrite."""
        return sum(merge.bytes for merge in self.merges)


def plan_of(snapshot: Snapshot, table: str, now: float | None = None) -> TablePlan:
    """What a table needs at `now`, epoch seconds."""
    files = snapshot.all_files()
    moment = time.time() if now is None else now
    return TablePlan(
        table=table,
        version=snapshot.version,
        rows=int(files.rows.sum()),
        bytes=int(files.sizes.clip(min=0).sum()),
        files=len(files),
        small_files=small_files(files),
        merges=tuple(_merges(snapshot, files, timeframe_of(table), moment)),
    )


def small_files(files: Files) -> int:
    """How many of them are small."""
    return int((files.sizes < SMALL_BYTES).sum())


def _merges(snapshot: Snapshot, files: Files, timeframe: str, now: float) -> Iterator[Merge]:
    names = snapshot.names_in_log()
    settled = np.datetime64(int(now - _SETTLED_SECONDS), "s")
    for group in _groups(files):
        own = files.where(group)
        period = own.periods[0]
        is_over = bool(_end_of(period, timeframe) <= settled)
        chosen = own.where(together(own.sizes, is_over))
        if len(chosen):
            yield Merge(
                str(chosen.pairs[0]),
                str(period),
                tuple(names[path] for path in chosen.paths.tolist()),
                tuple(chosen.sizes.tolist()),
            )


def _groups(files: Files) -> Iterator[np.ndarray]:
    """Places of the files of each series in each partition; those that hold several providers are a group of their
    own. A file that other tools put outside of every partition is in none."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for place, (pair, period, (low, high)) in enumerate(
        zip(files.pairs.tolist(), files.periods.astype(str).tolist(), files.providers.tolist(), strict=True)
    ):
        if pair is not None and period != "NaT":
            found.setdefault((pair, period, low if low == high else ""), []).append(place)
    return (np.array(places) for places in found.values())


def _end_of(period: np.datetime64, timeframe: str) -> np.datetime64:
    unit = "M" if timeframe == "1m" else "Y"
    end: np.datetime64 = (period.astype(f"datetime64[{unit}]") + 1).astype("datetime64[s]")
    return end
