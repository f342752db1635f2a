"""Vacuum: deletion of data files that the log names no more, once no reader can need them.

As-known-at answers do not hang on it: a restated candle is a row. The library says which files go; they are deleted
here, as its own vacuum adds two commits each time and takes away other people's files beside the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
from deltalake import DeltaTable
from pyarrow.fs import FileType

from ffe_core.storage.lake import faults
from ffe_core.storage.lake.checkpoints import opened
from ffe_core.storage.lake.snapshot import Snapshot
from ffe_core.storage.lake.table_properties import set_properties
from ffe_core.upkeep_settings import checked_file_hours

_FILES = "delta.deletedFileRetentionDuration"
_LOG = "delta.logRetentionDuration"
_OURS = "partition_date="


@dataclass(frozen=True, slots=True)
class Unused:
    """Data files that can go: paths in the table, and their bytes together."""

    paths: tuple[str, ...]
    bytes: int


def set_retention(uri: str, options: dict[str, str] | None, file_hours: int, log_hours: int) -> bool:
    """Write the retention into the table, so that other tools and its checkpoints heed it; whether it was another.

    One commit, the first time and after a change of the settings. StorageError if it cannot be made.
    """
    wanted = {_FILES: f"interval {file_hours} hours", _LOG: f"interval {log_hours} hours"}
    with faults.in_words(f"the retention of {uri} cannot be set", uri):
        return set_properties(lambda: opened(uri, options), wanted)


def unused(uri: str, options: dict[str, str] | None, file_hours: int) -> Unused:
    """The files that a vacuum would delete now. StorageError if that cannot be told."""
    with faults.in_words(f"the unused files of {uri} cannot be told", uri):
        table = opened(uri, options)
        return _unused(table, Snapshot(table, options), file_hours)


def vacuum(
    uri: str, options: dict[str, str] | None, file_hours: int, is_stopped: Callable[[], bool] = lambda: False
) -> Unused:
    """Delete the unused files; returns those that are gone. Stops between two files once `is_stopped`.

    InputError for a retention that readers do not have enough of, StorageError if they cannot be told or deleted.
    """
    checked_file_hours(file_hours)
    with faults.in_words(f"the unused files of {uri} cannot be deleted", uri):
        table = opened(uri, options)
        snapshot = Snapshot(table, options)
        found = _unused(table, snapshot, file_hours)
        gone: list[str] = []
        for path in found.paths:
            if is_stopped():
                break
            try:
                snapshot.filesystem.delete_file(path)
            except FileNotFoundError:
                continue  # another tool's vacuum was faster
            gone.append(path)
        return found if len(gone) == len(found.paths) else Unused(tuple(gone), 0)


def _unused(table: DeltaTable, snapshot: Snapshot, file_hours: int) -> Unused:
    named = table.vacuum(retention_hours=file_hours, dry_run=True, enforce_retention_duration=False, full=True)
    paths = tuple(path for path in named if path.startswith(_OURS) and path.endswith(".parquet"))
    try:
        infos = snapshot.filesystem.get_file_info(list(paths))
    except (OSError, pa.ArrowException):
        return Unused(paths, 0)
    # In a store the library names what is deleted already, too.
    there = {path: info.size or 0 for path, info in zip(paths, infos, strict=True) if info.type != FileType.NotFound}
    return Unused(tuple(there), sum(there.values()))
