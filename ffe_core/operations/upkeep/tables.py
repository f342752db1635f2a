"""Upkeep of one table: its steps in order, each of which leaves the table whole, and what they came to."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zlib import crc32

from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.upkeep.compaction import Compacted, compact
from ffe_core.storage.lake.upkeep.log import checkpoint, clean_up, log_state
from ffe_core.storage.lake.upkeep.plan import Merge, TablePlan, plan_of
from ffe_core.storage.lake.upkeep.rewrite import Rewritten
from ffe_core.storage.lake.upkeep.vacuum import set_retention, vacuum
from ffe_core.storage.stores import Stores
from ffe_core.upkeep_settings import UpkeepSettings

log = logging.getLogger(__name__)
COMPACT, VACUUM, HISTORY = "compact", "vacuum", "history"
STEPS = (COMPACT, VACUUM, HISTORY)
"""What upkeep consists of: compaction with checkpoint and clean-up of the log; unused files; history by age."""

Progress = Callable[[str, int, int], None]
"""Told the phase, and how much of how much is done."""


class Share(NamedTuple):
    """Of the pairs of a table, those of one machine: number 0 has all there is to do besides compaction, too.

    `files` is how many files it counts from; None for those that it finds.
    """

    number: int = 0
    of: int = 1
    files: int | None = None

    def has(self, merge: Merge) -> bool:
        """Whether a merge is in it: all of a pair are in the same."""
        return crc32(merge.pair.encode()) % self.of == self.number


WHOLE = Share()


def shares(plan: TablePlan, of: int) -> list[Share]:
    """The work on a table in so many shares, whose files add up to those of the table."""
    merged = [sum(len(merge.names) for merge in plan.merges if Share(one, of).has(merge)) for one in range(of)]
    return [Share(one, of, merged[one] if one else plan.files - sum(merged[1:])) for one in range(of)]


@dataclass
class TableUpkeep:
    """The upkeep of a table, or of a share of it, in a thread. `file_hours` is what its vacuum goes by, `is_stopped`
    says when to begin nothing more."""

    stores: Stores
    kept: UpkeepSettings
    table: str
    steps: Collection[str]
    file_hours: int
    progress: Progress
    is_stopped: Callable[[], bool]
    share: Share = WHOLE
    result: dict[str, Any] = field(default_factory=dict)

    def work(self) -> dict[str, Any]:
        """Do the steps; returns their figures. StorageError or NearlyFullError if one cannot be done."""
        began = time.monotonic()
        if self.lake.open(self.table) is None:
            return self.result
        is_first = self.share.number == 0
        if is_first:
            self._set_retention()
        if COMPACT in self.steps:
            self._compact()
        if COMPACT in self.steps and is_first:
            self._tidy_log()
        if VACUUM in self.steps and is_first and not self.is_stopped():
            self._vacuum()
        self.result["seconds"] = round(time.monotonic() - began, 3)
        return self.result

    @property
    def lake(self) -> DeltaLakeManager:
        """The lake of the table."""
        return self.stores.lake

    @property
    def _uri(self) -> str:
        return self.lake.table_uri(self.table)

    def _set_retention(self) -> None:
        set_retention(self._uri, self.lake.storage_options, self.kept.file_retention_hours, self._log_hours)

    @property
    def _log_hours(self) -> int:
        return self.kept.log_retention_hours

    def _compact(self) -> None:
        snapshot = self.lake.snapshot(self.table)
        if snapshot is None:
            return
        plan = plan_of(snapshot, self.table)
        merges = [merge for merge in plan.merges if self.share.has(merge)]
        total = len(merges)
        self.progress("compacting", 0, total)
        done = compact(
            self._uri,
            self.lake.storage_options,
            merges,
            lambda count: self.progress("compacting", count, total),
            self.is_stopped,
            lambda swapped: self._remember(snapshot.uri, swapped),
        )
        self.result |= _of_compaction(done, plan.files if self.share.files is None else self.share.files)

    def _remember(self, uri: str, swapped: Sequence[Rewritten]) -> None:
        for one in swapped:
            for action, held in zip(one.added, one.held, strict=True):
                if held is not None:
                    self.lake.file_ranges.wrote(uri, action.path, action.size, held)
        self.stores.remember_written()

    def _tidy_log(self) -> None:
        """A checkpoint where an open would read commits one by one, and old entries gone."""
        self.progress("tidying the log", 0, 1)
        snapshot = self.lake.snapshot(self.table)
        state = log_state(
            self._uri, snapshot.version if snapshot else 0, self._log_hours, options=self.lake.storage_options
        )
        if state.since_checkpoint != 0:
            checkpoint(self._uri, self.lake.storage_options)
        self.result["log_entries_deleted"] = clean_up(self._uri, self.lake.storage_options, self._log_hours)
        if snapshot is not None:
            self.stores.forget_gone(snapshot.uri, self._files)

    def _files(self) -> list[str]:
        snapshot = self.lake.snapshot(self.table)
        return [] if snapshot is None else snapshot.all_files().paths.tolist()

    def _vacuum(self) -> None:
        self.progress("deleting unused files", 0, 1)
        gone = vacuum(self._uri, self.lake.storage_options, self.file_hours, self.is_stopped)
        self.result |= {"files_deleted": len(gone.paths), "bytes_deleted": gone.bytes}


def _of_compaction(done: Compacted, files: int) -> dict[str, Any]:
    return {
        "files_before": files,
        "files_after": files - done.files_before + done.files_after,
        "bytes_read": done.bytes_before,
        "bytes_written": done.bytes_after,
        "repeats_removed": done.repeats,
        "left_for_later": done.left,
    }
