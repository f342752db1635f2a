"""Upkeep of a table's log: commits since its checkpoint, a checkpoint made now, and clean-up of old entries.

Clean-up keeps the newest two whole checkpoints and every commit since the older one: if the newest is damaged, the
table still opens.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ffe_core.locations import local_folder
from ffe_core.storage.lake import faults
from ffe_core.storage.lake.checkpoints import CHECKPOINT, HINT, is_whole, opened, version_in
from ffe_core.storage.lake.commit_stamps import Log, log_of
from ffe_core.storage.objects import objects_of

_LOG = "_delta_log"
_ENTRY = re.compile(r"(\d{20})\.(?:json|crc|checkpoint(?:\..+)?\.parquet)", re.ASCII)


@dataclass(frozen=True, slots=True)
class LogState:
    """Figures of a log."""

    entries: int
    since_checkpoint: int
    """Commits that an open reads one by one."""
    expired: int
    """Entries that clean-up would delete."""


def log_state(
    uri: str,
    version: int,
    retention_hours: float,
    now: float | None = None,
    options: dict[str, str] | None = None,
) -> LogState:
    """The state of a table's log as it is now; `version` is the table's. StorageError if it cannot be read."""
    with faults.in_words(f"the log of {uri} cannot be read", uri):
        entries = _entries(uri, options)
        expired = len(_expired(uri, options, entries, retention_hours, now))
    return LogState(len(entries), version - _newest_checkpoint(entries), expired)


def checkpoint(uri: str, options: dict[str, str] | None) -> int:
    """Make a checkpoint of the table as it is now; returns its version. StorageError if it cannot be made."""
    with faults.in_words(f"the table {uri} cannot be given a checkpoint", uri):
        table = opened(uri, options)
        table.create_checkpoint()
        return int(table.version())


def clean_up(uri: str, options: dict[str, str] | None, retention_hours: float, now: float | None = None) -> int:
    """Delete log entries that are older than the retention and that no reader needs; returns how many.

    StorageError if it cannot be done.
    """
    with faults.in_words(f"the log of {uri} cannot be cleaned up", uri):
        gone = _expired(uri, options, _entries(uri, options), retention_hours, now)
        folder = local_folder(uri)
        if folder is None:
            objects_of(uri, options).delete(f"{_LOG}/{name}" for name in gone)
        else:
            for name in gone:
                (folder / _LOG / name).unlink(missing_ok=True)
        return len(gone)


def _entries(uri: str, options: dict[str, str] | None) -> dict[str, float]:
    """Names of a log's entries, sorted, and when each was written, epoch seconds."""
    folder = local_folder(uri)
    if folder is None:
        listed = objects_of(uri, options).listed(_LOG)
        found = {one.key.removeprefix(f"{_LOG}/"): one.modified.timestamp() for one in listed}
    else:
        found = {path.name: path.stat().st_mtime for path in (folder / _LOG).iterdir() if _ENTRY.fullmatch(path.name)}
    return {name: found[name] for name in sorted(found) if _ENTRY.fullmatch(name)}


def _newest_checkpoint(names: Iterable[str]) -> int:
    return max((int(found[1]) for name in names if (found := CHECKPOINT.fullmatch(name))), default=-1)


def _expired(
    uri: str, options: dict[str, str] | None, entries: Mapping[str, float], retention_hours: float, now: float | None
) -> list[str]:
    """Entries before a checkpoint that is older than the retention and not the newest; oldest first, so that what is
    left after an interruption is whole."""
    before = (time.time() if now is None else now) - retention_hours * 3600
    checkpoints = [name for name in entries if CHECKPOINT.fullmatch(name)]
    older = [name for name in checkpoints[:-1] if entries[name] < before]
    log = log_of(uri, options)
    if not older or log is None:
        return []  # and nothing was read for it
    newest = next((name for name in reversed(checkpoints) if _is_whole(log, name)), None)
    if newest is None or not _is_named(log, newest):
        return []
    base = next((name for name in reversed(older) if name < newest and _is_whole(log, name)), None)
    return [] if base is None else [name for name in entries if name[:20] < base[:20]]


def _is_whole(log: Log, name: str) -> bool:
    try:
        return is_whole(log.read(name))
    except OSError:
        return False


def _is_named(log: Log, checkpoint_name: str) -> bool:
    """Whether the log's own hint is at this checkpoint: a reader that follows an older one needs what lies after it."""
    try:
        return version_in(log.read(HINT)) == int(checkpoint_name[:20])
    except OSError:
        return False
