"""Upkeep of a table's log: commits since its checkpoint, a checkpoint made now, and clean-up of old entries.

Clean-up keeps the newest two whole checkpoints and every commit since the older one: if the newest is damaged, the
table still opens. On an object store it is the library's, which keeps one.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from ffe_core.locations import local_folder
from ffe_core.storage.lake import faults
from ffe_core.storage.lake.checkpoints import CHECKPOINT, HINT, hinted_version, is_whole, opened

_ENTRY = re.compile(r"(\d{20})\.(?:json|crc|checkpoint(?:\..+)?\.parquet)", re.ASCII)


@dataclass(frozen=True, slots=True)
class LogState:
    """Figures of a log; None where they cannot be told, as on an object store."""

    entries: int | None
    since_checkpoint: int | None
    """Commits that an open reads one by one."""
    expired: int | None
    """Entries that clean-up would delete."""


def log_state(uri: str, version: int, retention_hours: float, now: float | None = None) -> LogState:
    """The state of a table's log as it is now; `version` is the table's."""
    folder = local_folder(uri)
    if folder is None:
        return LogState(None, None, None)
    log = Path(folder) / "_delta_log"
    with faults.in_words(f"the log of {uri} cannot be read", uri):
        names = _entries(log)
        expired = len(_expired(log, names, retention_hours, now))
    return LogState(len(names), version - _newest_checkpoint(names), expired)


def checkpoint(uri: str, options: dict[str, str] | None) -> int:
    """Make a checkpoint of the table as it is now; returns its version. StorageError if it cannot be made."""
    with faults.in_words(f"the table {uri} cannot be given a checkpoint", uri):
        table = opened(uri, options)
        table.create_checkpoint()
        return int(table.version())


def clean_up(uri: str, options: dict[str, str] | None, retention_hours: float, now: float | None = None) -> int | None:
    """Delete log entries that are older than the retention and that no reader needs; returns how many.

    None on an object store, where the library does it and does not say. StorageError if it cannot be done.
    """
    folder = local_folder(uri)
    with faults.in_words(f"the log of {uri} cannot be cleaned up", uri):
        if folder is None:
            opened(uri, options).cleanup_metadata()
            return None
        log = Path(folder) / "_delta_log"
        gone = _expired(log, _entries(log), retention_hours, now)
        for name in gone:
            (log / name).unlink(missing_ok=True)
        return len(gone)


def _entries(log: Path) -> list[str]:
    return sorted(path.name for path in log.iterdir() if _ENTRY.fullmatch(path.name))


def _newest_checkpoint(names: list[str]) -> int:
    return max((int(found[1]) for name in names if (found := CHECKPOINT.fullmatch(name))), default=-1)


def _expired(log: Path, names: list[str], retention_hours: float, now: float | None) -> list[str]:
    """Entries before a checkpoint that is older than the retention and not the newest; oldest first, so that what is
    left after an interruption is whole."""
    before = (time.time() if now is None else now) - retention_hours * 3600
    whole = [name for name in names if CHECKPOINT.fullmatch(name)]
    newest = next((name for name in reversed(whole) if is_whole(log / name)), None)
    if newest is None or not _is_named(log, newest):
        return []
    older = [name for name in whole if name < newest and (log / name).stat().st_mtime < before]
    base = next((name for name in reversed(older) if is_whole(log / name)), None)
    return [] if base is None else [name for name in names if name[:20] < base[:20]]


def _is_named(log: Path, checkpoint_name: str) -> bool:
    """Whether the log's own hint is at this checkpoint: a reader that follows an older one needs what lies after it."""
    try:
        return hinted_version(log / HINT) == int(checkpoint_name[:20])
    except OSError:
        return False
