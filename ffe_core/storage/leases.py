"""Leases of series and of tables: one OS file lock each, taken by console and command line alike, freed by death."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from ffe_core import times
from ffe_core.errors import FFEError, SeriesHeld, StorageError, UpkeepHeld
from ffe_core.series import Series
from ffe_core.storage.files import make_folder, why, write_atomically

log = logging.getLogger(__name__)
_POLL_SECONDS = 0.2
_PROBE_SECONDS = 0.05
"""Whoever only looks whether a series is free has its lease far shorter than this."""


class Lease:
    """A lock by name; `what` it is for and its `holder`, for example "run 12", are what others are told."""

    def __init__(self, folder: Path, name: str, what: str, holder: str | None = None) -> None:
        make_folder(folder, "the folder of locks")
        self.what = what
        self._holder = holder or f"process {os.getpid()}"
        self._lock = FileLock(folder / f"{name}.lease", thread_local=False)
        self._note = folder / f"{name}.holder"

    def _held(self) -> FFEError:
        raise NotImplementedError

    def check_free(self) -> None:
        """The error of its kind, naming the holder, if somebody has the lease now."""
        self._take()
        self._lock.release()

    def acquire(self) -> Self:
        """Take the lease at once, or raise the error of its kind that names the holder."""
        self._take()
        note = {"holder": self._holder, "pid": os.getpid(), "since": times.iso(times.now())}
        try:
            # Who holds it dies with the machine: nothing of it needs to be on the disk.
            write_atomically(self._note, json.dumps(note), is_lasting=False)
        except OSError as error:
            log.warning("%s is held, but who holds it cannot be noted: %s", self.what, why(error))
        return self

    def _take(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise self._held() from None
        except OSError as error:
            raise StorageError(f"the lease of {self.what} cannot be taken: {why(error)}") from error

    def release(self) -> None:
        """Give the lease back."""
        self._lock.release()

    def current_holder(self) -> str:
        """Who holds it, as they described themselves."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            return f"{note['holder']} (process {note['pid']}, since {note['since']})"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class SeriesLease(Lease):
    """Held for as long as a run writes a series."""

    def __init__(self, folder: Path, series: Series, holder: str | None = None) -> None:
        super().__init__(folder, series.key.replace("/", "_"), str(series), holder)
        self.series = series

    def _held(self) -> FFEError:
        holder = self.current_holder()
        return SeriesHeld(f"{self.series} is held by {holder}; wait for it to end or stop it", holder)

    async def wait(self, seconds: float) -> Self:
        """Take the lease, waiting up to `seconds` for another holder to finish; then SeriesHeld."""
        deadline = time.monotonic() + max(seconds, _PROBE_SECONDS)
        while True:
            try:
                return self.acquire()
            except SeriesHeld:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
            await asyncio.sleep(min(left, _POLL_SECONDS))


class UpkeepLease(Lease):
    """Held while somebody does the upkeep of a table, or of the database; writers of series go on."""

    def __init__(self, folder: Path, table: str, holder: str | None = None) -> None:
        super().__init__(folder, f"upkeep_{table}", f"the upkeep of {table}", holder)

    def _held(self) -> FFEError:
        return UpkeepHeld(f"{self.what} is being done by {self.current_holder()}; wait for it to end or cancel it")
