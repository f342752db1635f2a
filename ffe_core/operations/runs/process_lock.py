"""Process locks: each process holds a file lock of its own for as long as it runs, and death frees it.

A run names its owner; when the owner's lock is free, nobody is working on the run any more.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from ffe_core.errors import StorageError
from ffe_core.storage.files import make_folder, why


class ProcessLock:
    """Held from start to end of a process that owns runs."""

    def __init__(self, folder: Path) -> None:
        """StorageError if the folder of locks cannot be used."""
        make_folder(folder, "the folder of locks")
        self.owner = f"{os.getpid()}-{uuid4().hex[:12]}"
        self._lock = FileLock(_file(folder, self.owner), thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except OSError as error:
            raise StorageError(f"the folder of locks {folder} cannot be used: {why(error)}") from error

    def release(self) -> None:
        """The owner is gone."""
        self._lock.release()
        with suppress(OSError):
            Path(self._lock.lock_file).unlink(missing_ok=True)


def is_alive(folder: Path, owner: str) -> bool:
    """Whether the process of this owner still runs. StorageError if that cannot be told."""
    file = _file(folder, owner)
    if not file.exists():
        return False
    probe = FileLock(file, thread_local=False)
    try:
        probe.acquire(timeout=0)
    except Timeout:
        return True
    except OSError as error:
        raise StorageError(f"whether process {owner} still runs cannot be told: {file}: {why(error)}") from error
    probe.release()
    with suppress(OSError):  # a left-over that cannot be deleted does no harm
        file.unlink(missing_ok=True)
    return False


def _file(folder: Path, owner: str) -> Path:
    return folder / f"{owner}.alive"
