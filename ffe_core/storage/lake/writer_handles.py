"""Handles of writers: one that a commit went through goes on with the log for the next, where opening costs twice that.

A handle that moves cannot be anybody's snapshot, so each is one commit's alone while that lasts.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from ffe_core.locations import local_folder
from ffe_core.storage.lake.commit_stamps import Stamp, commit_stamp

_MOST_MOVES = 10
"""A handle sees every commit since it was opened one by one; one that is opened anew begins at a checkpoint."""


@dataclass(slots=True, eq=False)
class WriterHandle:
    """A handle, how often it has moved, and what tells the commit it stands at from that of a table made anew."""

    uri: str
    table: DeltaTable
    stamp: Stamp | None
    options: dict[str, str] | None = None
    moves: int = 0


class WriterHandles:
    """The handles that no commit has at the moment. Safe to use from several threads."""

    def __init__(self, options: dict[str, str] | None = None) -> None:
        """`options` of the object store, where the tables lie in one."""
        self._options = options
        self._free: dict[str, list[WriterHandle]] = {}
        self._lock = threading.Lock()

    def take(self, uri: str) -> WriterHandle | None:
        """A handle that sees the table as it is now, the caller's alone; None where it has to be opened as before.

        That is so in an object store of which no options are known. StorageError where a store is gone.
        """
        with self._lock:
            free = self._free.get(uri)
            handle = free.pop() if free else None
        if handle is None:
            return _opened(uri, self._options)
        is_same = commit_stamp(uri, handle.table.version(), self._options) == handle.stamp
        is_usable = is_same and handle.moves < _MOST_MOVES and _is_moved(handle)
        return handle if is_usable else _opened(uri, self._options)

    def give_back(self, handle: WriterHandle) -> None:
        """Keep a handle for the next commit."""
        with self._lock:
            self._free.setdefault(handle.uri, []).append(handle)


def _opened(uri: str, options: dict[str, str] | None) -> WriterHandle | None:
    """A handle of its own; None where there is no table, or one that needs more than opening."""
    if local_folder(uri) is None and options is None:
        return None
    try:
        table = DeltaTable(uri) if options is None else DeltaTable(uri, storage_options=options)
    except (DeltaError, OSError):
        return None
    return _stamped(WriterHandle(uri, table, None, options))


def _is_moved(handle: WriterHandle) -> bool:
    """Whether a handle could be moved to the newest commit; not past a log that was cleaned up."""
    try:
        handle.table.update_incremental()
    except (DeltaError, OSError):
        return False
    handle.moves += 1
    return _stamped(handle) is not None


def _stamped(handle: WriterHandle) -> WriterHandle | None:
    handle.stamp = commit_stamp(handle.uri, handle.table.version(), handle.options)
    return handle if handle.stamp is not None else None
