"""Copying of files between two places, several at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from ffe_core.errors import StorageError
from ffe_core.operations.migration.places import Place
from ffe_core.storage.waiting import copied

Tell = Callable[[str], object]
"""Takes a line about how far it is."""
_LARGE = 16 * 2**20
"""Bytes; files that are larger are copied one at a time: each is held in memory as a whole."""
_WRITERS = 8


def copied_side_by_side(
    keys: Sequence[str], sizes: Mapping[str, int], source: Place, target: Place, what: str, tell: Tell
) -> None:
    """Copy files, whole each. StorageError for one that cannot be read or written, or is gone."""
    counted = _Counted(len(keys), what, tell)

    def copy(key: str) -> None:
        content = source.read(key)
        if content is None:
            raise changed_meanwhile(source.address)
        target.write(key, content)
        counted.add()

    small = [key for key in keys if sizes[key] <= _LARGE]
    with ThreadPoolExecutor(_WRITERS) as writers:
        try:
            for _ in writers.map(copied(copy), small):
                pass
        except BaseException:
            writers.shutdown(cancel_futures=True)
            raise
    for key in keys:
        if sizes[key] > _LARGE:
            copy(key)


def changed_meanwhile(place: str) -> StorageError:
    """For a source that something else writes to."""
    return StorageError(
        f"{place} was changed by another program while it was copied; stop every console, command and program that uses"
        " it, then run the same command again: it goes on where it was"
    )


class _Counted:
    """Tells of every tenth part of some files."""

    def __init__(self, total: int, what: str, tell: Tell) -> None:
        self._total, self._what, self._tell = total, what, tell
        self._done, self._told = 0, 0
        self._lock = threading.Lock()

    def add(self) -> None:
        with self._lock:
            self._done += 1
            if self._total >= 100 and self._done * 10 // self._total > self._told:
                self._told = self._done * 10 // self._total
                self._tell(f"{self._what}: {self._done:,} of {self._total:,} files")
