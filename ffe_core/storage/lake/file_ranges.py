"""File ranges: the bars of each data file as ranges of opens, known from when it was written or read: it never changes.

What a run stored is counted after every one; only files that others wrote meanwhile are read for it. What was written
waits to be remembered in the state, so that other processes read it no more.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ffe_core.intervals import NONE, Times, join_ranges
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import MICROS, Files, Ints, Snapshot, micros
from ffe_core.storage.waiting import patiently
from ffe_core.timeframes import seconds

ByProvider = dict[str, Times]
"""Ranges [first open, last open + step) in epoch seconds, shape (n, 2), of each provider in a file."""
_MOST_FILES = 50_000
_NOWHERE: Ints = np.empty(0, np.int64)


class WrittenFile(NamedTuple):
    """A data file that was committed: the table, its path and bytes by the log, and what it holds."""

    table_uri: str
    path: str
    size: int
    held: ByProvider


class FileRanges:
    """What is known of the files of some tables, the last used of them. Safe to use from several threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], ByProvider] = OrderedDict()
        self._written: deque[WrittenFile] = deque(maxlen=_MOST_FILES)
        self._lock = threading.Lock()

    def of(self, snapshot: Snapshot, series: Series, start: int, end: int) -> Times:
        """The stored bars of a series as ranges; those of files that may hold some in [start, end), and beyond it.

        DamagedTable if a file cannot be read.
        """
        files = snapshot.files(series).between(start, end)
        found = [self._one(snapshot, files, place, series) for place in range(len(files))]
        return join_ranges([ranges for ranges in found if ranges is not None], series.step)

    def wrote(self, table_uri: str, path: str, size: int, held: ByProvider) -> None:
        """Keep what a file holds that was just committed, also for `take_written`."""
        self._keep((table_uri, path), held)
        with self._lock:
            self._written.append(WrittenFile(table_uri, path, size, held))

    def take_written(self) -> list[WrittenFile]:
        """The files that were committed since this was asked last, the last of very many."""
        with self._lock:
            written = list(self._written)
            self._written.clear()
        return written

    def _one(self, snapshot: Snapshot, files: Files, place: int, series: Series) -> Times | None:
        key = snapshot.uri, str(files.paths[place])
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
        if known is None:
            known = ranges_in(snapshot, files, [place], series.timeframe)[0]
            self._keep(key, known)
        return known.get(series.provider)

    def _keep(self, key: tuple[str, str], held: ByProvider) -> None:
        with self._lock:
            self._known[key] = held
            if len(self._known) > _MOST_FILES:
                self._known.popitem(last=False)


def ranges_in(snapshot: Snapshot, files: Files, places: Iterable[int], timeframe: str) -> list[ByProvider]:
    """Ranges of some files, each by provider; the providers' column is read only where the log does not name just one.

    All are read before the first is gone through: done in turns, both take half as long again. DamagedTable.
    """
    rows = [_rows(snapshot, files, place, timeframe) for place in places]
    step = seconds(timeframe)
    return [by_provider(table, provider, step) for table, provider in rows]


def _rows(snapshot: Snapshot, files: Files, place: int, timeframe: str) -> tuple[pa.Table, str | None]:
    """What is needed of one file, and its provider where it holds no other."""
    path = files.paths[place]
    first, last = files.providers[place]
    columns = ["timestamp"] if first == last else ["timestamp", "source_provider"]

    def read() -> pa.Table:
        try:
            return snapshot.read_file(path, columns)
        except (OSError, pa.ArrowException) as error:
            raise snapshot.damaged(Series(files.pairs[place], timeframe, first), [path], columns, error) from error

    return patiently(read), first if first == last else None


def by_provider(rows: pa.Table, provider: str | None, step: int) -> ByProvider:
    """Ranges of rows with a timestamp each, and a source_provider unless all are of one `provider`."""
    if provider is not None:
        return {provider: ranges_at(micros(rows["timestamp"]), step)}
    import pyarrow.compute as pc  # not at the top: files of one provider do without

    found = {}
    for name in pc.unique(rows["source_provider"]).to_pylist():
        own = rows.filter(pc.equal(rows["source_provider"], pa.scalar(name)))
        found[str(name)] = ranges_at(micros(own["timestamp"]), step)
    return found


def ranges_at(times: Ints, step: int) -> Times:
    """Ranges of bars given by opens in microseconds, in any order and repeated or not."""
    if len(times) == 0:
        return NONE
    breaks = _breaks(times, step)
    if len(breaks) and (times[breaks + 1] <= times[breaks]).any():
        times = np.unique(times)
        breaks = _breaks(times, step)
    if len(breaks) == 0:
        return np.array([[int(times[0]) // MICROS, int(times[-1]) // MICROS + step]])
    found = np.empty((len(breaks) + 1, 2), dtype=np.int64)
    starts, ends = found[:, 0], found[:, 1]
    starts[0], starts[1:] = times[0] // MICROS, times[breaks + 1] // MICROS
    ends[:-1], ends[-1] = times[breaks] // MICROS + step, times[-1] // MICROS + step
    is_joined = (starts[1:] > ends[:-1]).all() and not ((starts - starts[0]) % step).any()
    return found if is_joined else join_ranges([found], step)


def _breaks(times: Ints, step: int) -> Ints:
    """Places of the opens that the next one does not follow a step later."""
    is_break = times[1:] - times[:-1] != step * MICROS
    return np.flatnonzero(is_break) if is_break.any() else _NOWHERE
