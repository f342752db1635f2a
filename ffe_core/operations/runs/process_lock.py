"""Process locks: each process holds a lock of its own for as long as it runs, and death frees it.

A run names its owner; when the owner's lock is free, nobody is working on the run any more.
"""

from __future__ import annotations

from pathlib import Path

from ffe_core.errors import StorageError
from ffe_core.storage.files import why
from ffe_core.storage.locks import ALIVE, Fence, Locks, locks_at


class ProcessLock:
    """Held from start to end of a process that owns runs."""

    def __init__(self, place: Locks | Path) -> None:
        """`place`: the locks, or the folder of file locks. StorageError if they cannot be used."""
        locks = locks_at(place)
        self.owner, self._place = locks.new_owner(), locks.place
        self._lock = locks.lock(ALIVE, self.owner)
        self.take()

    @property
    def was_lost(self) -> bool:
        """Whether others took this process for dead, and it has not said yet that it lives."""
        return self._lock.was_lost

    def take(self) -> None:
        """Live, once more after others took this process for dead. StorageError if that cannot be said."""
        try:
            self._lock.take()
        except OSError as error:
            raise StorageError(f"{self._place} cannot be used: {why(error)}") from error

    def fence(self) -> Fence | None:
        """What refuses a write of this process to the state once others took it for dead."""
        return self._lock.fence()

    def release(self) -> None:
        """The owner is gone."""
        self._lock.release()


def is_alive(place: Locks | Path, owner: str) -> bool:
    """Whether the process of this owner still runs; if not, it writes nothing more. StorageError if that cannot be
    told."""
    try:
        return owner not in locks_at(place).bury([owner])
    except OSError as error:
        raise StorageError(f"whether process {owner} still runs cannot be told: {why(error)}") from error
