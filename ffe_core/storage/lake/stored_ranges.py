"""Stored ranges: the bars of each data file as runs of opens, read once a file: a data file never changes.

A look after a commit reads only the files that commit added; what is remembered of the others spares a new process
from reading them again.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from ffe_core.candles import table_name
from ffe_core.errors import StorageError
from ffe_core.intervals import Times, join_ranges
from ffe_core.locations import local_folder
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.file_ranges import ByProvider, ranges_in
from ffe_core.storage.lake.range_cache import RangeCache
from ffe_core.storage.lake.snapshot import Files, Snapshot
from ffe_core.storage.waiting import copied
from ffe_core.timeframes import TIMEFRAMES, seconds

ALWAYS = (-(2**60), 2**60)
"""A range that holds every open."""
_AT_A_TIME = 32
"""Files that are read before the first of them is gone through: their times lie in memory until then."""
_REMOTE_READERS = 16
"""From an object store time is spent waiting for answers."""
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Table:
    """What is known of one table: its files as of a snapshot, and the runs of those that were read."""

    snapshot: Snapshot
    files: Files
    runs: dict[str, ByProvider] = field(default_factory=dict)
    joined: dict[Series, tuple[list[str], Times]] = field(default_factory=dict)


class StoredRanges:
    """The stored bars of every series of a lake, as ranges. Safe to use from several threads."""

    def __init__(self, lake: DeltaLakeManager, remembered: RangeCache | None = None) -> None:
        self._lake = lake
        self._remembered = remembered
        self._tables: dict[str, _Table] = {}
        self._lock = threading.Lock()

    def versions(self) -> tuple[Snapshot | None, ...]:
        """The table of each timeframe as it is now: the very same as before without a commit. StorageError."""
        return tuple(self._lake.snapshot(table_name(timeframe)) for timeframe in TIMEFRAMES)

    def read(
        self, timeframe: str, pairs: Collection[str] | None = None, start: int = ALWAYS[0], end: int = ALWAYS[1]
    ) -> dict[Series, Times]:
        """Runs [first open, last open + step) of each stored series of a timeframe; of some pairs only if named.

        Only files that may hold bars in [start, end) are looked at; what they hold beyond it is included. Raises
        StorageError, DamagedTable if a file cannot be read.
        """
        with self._lock:
            table = self._newest(timeframe)
            if table is None:
                return {}
            files = table.files.between(start, end)
            if pairs is not None:
                wanted = set(pairs)
                files = files.where(np.array([pair in wanted for pair in files.pairs.tolist()], dtype=bool))
            self._read(table, files, timeframe)
            return _joined(table, files, timeframe)

    def unread(self) -> Counter[tuple[str, str]]:
        """How many files of each pair and timeframe neither this nor another process has read. StorageError."""
        found: Counter[tuple[str, str]] = Counter()
        with self._lock:
            for timeframe in TIMEFRAMES:
                table = self._newest(timeframe)
                if table is not None:
                    fresh = self._fresh(table, table.files)
                    found.update((pair, timeframe) for pair in fresh.pairs.tolist())
        return found

    def _newest(self, timeframe: str) -> _Table | None:
        snapshot = self._lake.snapshot(table_name(timeframe))
        if snapshot is None:
            return None
        known = self._tables.get(timeframe)
        if known is None or known.snapshot is not snapshot:
            files = snapshot.all_files()
            runs, joined = (known.runs, known.joined) if known else (self._known_before(snapshot, files), {})
            known = _Table(snapshot, files, {path: runs[path] for path in files.paths if path in runs}, joined)
            self._tables[timeframe] = known
        return known

    def _known_before(self, snapshot: Snapshot, files: Files) -> dict[str, ByProvider]:
        """What an earlier process has read of files that are still whole."""
        if self._remembered is None:
            return {}
        whole = files.where(snapshot.are_whole(files))
        try:
            return self._remembered.load(snapshot.uri, _sizes(whole))
        except StorageError as error:
            log.warning("what is remembered of the lake's files cannot be read, so they are read again: %s", error)
            return {}

    def _fresh(self, table: _Table, files: Files) -> Files:
        """Those of the files that nobody has read; what others have read since is taken over."""
        fresh = _unknown(table, files)
        if len(fresh):
            table.runs.update(self._known_since(table.snapshot, fresh))
            fresh = _unknown(table, fresh)
        return fresh

    def _known_since(self, snapshot: Snapshot, files: Files) -> dict[str, ByProvider]:
        """What other processes have read of some files since this one looked."""
        if self._remembered is None:
            return {}
        try:
            return self._remembered.find(snapshot.uri, _sizes(files.where(snapshot.are_whole(files))))
        except StorageError as error:
            log.warning("what is remembered of the lake's files cannot be read, so they are read: %s", error)
            return {}

    def _remember(self, snapshot: Snapshot, files: Files, found: dict[str, ByProvider]) -> None:
        if self._remembered is not None:
            try:
                self._remembered.save(snapshot.uri, _sizes(files), found)
            except StorageError as error:
                log.warning("what the lake's files hold could not be remembered: %s", error)

    def _read(self, table: _Table, files: Files, timeframe: str) -> None:
        fresh = self._fresh(table, files)
        if len(fresh) == 0:
            return

        def some(places: range) -> list[ByProvider]:
            return ranges_in(table.snapshot, fresh, places, timeframe)

        # Two threads read a folder no faster than one, for half as much cpu again: they wait for the interpreter.
        is_local = local_folder(table.snapshot.uri) is not None
        size = _AT_A_TIME if is_local else max(1, min(_AT_A_TIME, len(fresh) // (4 * _REMOTE_READERS)))
        tasks = [range(first, min(first + size, len(fresh))) for first in range(0, len(fresh), size)]
        if is_local:
            read = [some(places) for places in tasks]
        else:
            with ThreadPoolExecutor(_REMOTE_READERS) as readers:
                read = list(readers.map(copied(some), tasks))
        found = dict(zip(fresh.paths.tolist(), chain.from_iterable(read), strict=True))
        table.runs.update(found)
        self._remember(table.snapshot, fresh, found)


def _unknown(table: _Table, files: Files) -> Files:
    return files.where(np.array([path not in table.runs for path in files.paths], dtype=bool))


def _sizes(files: Files) -> dict[str, int]:
    return dict(zip(files.paths.tolist(), files.sizes.tolist(), strict=True))


def _joined(table: _Table, files: Files, timeframe: str) -> dict[Series, Times]:
    """Every series' runs over the files; the very same array as last time where its files are the same."""
    parts: dict[Series, list[str]] = {}
    for path, pair in zip(files.paths.tolist(), files.pairs.tolist(), strict=True):
        for provider in table.runs[path]:
            parts.setdefault(Series(pair, timeframe, provider), []).append(path)
    step = seconds(timeframe)
    found = {}
    for series, paths in parts.items():
        known = table.joined.get(series)
        if known is None or known[0] != paths:
            runs = join_ranges([table.runs[path][series.provider] for path in paths], step)
            known = table.joined[series] = paths, runs
        found[series] = known[1]
    return found
