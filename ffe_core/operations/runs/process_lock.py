"""Which processes still live: each holds a file lock of its own for as long as it runs, and death frees it.

A run names its owner; when the owner's lock is free, nobody is working on the run any more.
"""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout


class ProcessLock:
    """Held from start to end of a process that owns runs."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.owner = f"{os.getpid()}-{uuid4().hex[:12]}"
        self._lock = FileLock(_file(folder, self.owner), thread_local=False)
        self._lock.acquire(timeout=0)

    def release(self) -> None:
        """The owner is gone."""
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)


def is_alive(folder: Path, owner: str) -> bool:
    """Whether the process of this owner still runs."""
    file = _file(folder, owner)
    if not file.exists():
        return False
    probe = FileLock(file, thread_local=False)
    try:
        probe.acquire(timeout=0)
    except Timeout:
        return True
    probe.release()
    file.unlink(missing_ok=True)
    return False


def _file(folder: Path, owner: str) -> Path:
    return folder / f"{owner}.alive"
