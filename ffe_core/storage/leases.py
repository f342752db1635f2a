"""Leases of series and of tables: a lock each, taken by console, command line and worker alike, freed by death."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from ffe_core.errors import FFEError, SeriesHeld, StorageError, UpkeepHeld
from ffe_core.series import Series
from ffe_core.storage.files import why
from ffe_core.storage.locks import LEASE, Locks, locks_at
from ffe_core.threads import run_to_completion

_POLL_SECONDS = 0.2
_PROBE_SECONDS = 0.05
"""Whoever only looks whether a series is free has its lease far shorter than this."""


class Lease:
    """A lock by name; `what` it is for and its `holder`, for example "run 12", are what others are told."""

    def __init__(self, locks: Locks | Path, name: str, what: str, holder: str | None = None) -> None:
        """`locks`: those of a data directory, or the folder of its file locks."""
        self.what = what
        self._holder = holder or ""
        self._locks, self._name = locks_at(locks), name
        self._lock = self._locks.lock(LEASE, name)

    def _held(self, holder: str) -> FFEError:
        raise NotImplementedError

    def check_free(self) -> None:
        """The error of its kind, naming the holder, if somebody has the lease now."""
        with _taking(self.what):
            found = self._locks.held(LEASE, [self._name])
        if found:
            raise self._held(found[self._name])

    def acquire(self) -> Self:
        """Take the lease at once, or raise the error of its kind that names the holder."""
        with _taking(self.what):
            if self._lock.take(self._holder):
                return self
        raise self._held(self._lock.holder())

    def release(self) -> None:
        """Give the lease back."""
        self._lock.release()

    async def wait(self, seconds: float) -> Self:
        """Take the lease, waiting up to `seconds` for another holder to finish; then the error of its kind."""
        deadline = time.monotonic() + max(seconds, _PROBE_SECONDS)
        while True:
            try:
                return await self._acquired()
            except (SeriesHeld, UpkeepHeld):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
            await asyncio.sleep(min(left, _POLL_SECONDS))

    async def _acquired(self) -> Self:
        if not self._locks.are_for_many:
            return self.acquire()
        try:  # a server is asked, which may take a while
            return await run_to_completion(self.acquire)
        except asyncio.CancelledError:
            self.release()
            raise

    def check(self) -> None:
        """LeaseLost if it was lost, or is not sure to be held and does not become so soon."""
        self._locks.check(self._name, waits=True)

    def current_holder(self) -> str:
        """Who holds it, as they described themselves."""
        return self._lock.holder()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class SeriesLease(Lease):
    """Held for as long as a run writes a series."""

    def __init__(self, locks: Locks | Path, series: Series, holder: str | None = None) -> None:
        super().__init__(locks, name_of(series), str(series), holder)
        self.series = series

    def _held(self, holder: str) -> FFEError:
        return _series_held(self.series, holder)


class UpkeepLease(Lease):
    """Held while somebody does the upkeep of a table, or of the database; writers of series go on."""

    def __init__(self, locks: Locks | Path, table: str, holder: str | None = None) -> None:
        super().__init__(locks, f"upkeep_{table}", f"the upkeep of {table}", holder)

    def _held(self, holder: str) -> FFEError:
        return UpkeepHeld(f"{self.what} is being done by {holder}; wait for it to end or cancel it")


def check_all_free(locks: Locks, series: Iterable[Series]) -> None:
    """SeriesHeld, naming the holder, if somebody has the lease of one of the series now."""
    named = {name_of(one): one for one in series}
    with _taking("some series"):
        found = locks.held(LEASE, list(named))
    for name, holder in found.items():
        raise _series_held(named[name], holder)


def name_of(series: Series) -> str:
    """The name of a series' lease."""
    return series.key.replace("/", "_")


def _series_held(series: Series, holder: str) -> SeriesHeld:
    return SeriesHeld(f"{series} is held by {holder}; wait for it to end or stop it", holder)


@contextmanager
def _taking(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"the lease of {what} cannot be taken: {why(error)}") from error
