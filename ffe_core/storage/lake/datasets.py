"""Datasets for engines that scan by themselves: a table's files, each with what the log promises of its rows.

An engine that is asked for a pair and a range opens only the files that may hold them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ffe_core.storage.lake.snapshot import MICROS, STORED, Files, Snapshot, instant

_BOUNDS = 2**40
"""Seconds beyond which a time of the log means that it knows none."""


def dataset(snapshot: Snapshot, files: Files) -> Any:
    """A pyarrow.dataset.Dataset of some files of a table: every stored row, columns as in `STORED`."""
    import pyarrow.dataset as ds

    return ds.FileSystemDataset.from_paths(
        files.paths.tolist(),
        schema=STORED,
        format=ds.ParquetFileFormat(),
        filesystem=snapshot.filesystem,
        partitions=[_promise(files, place) for place in range(len(files))],
    )


def hold_each_bar_once(files: Files) -> npt.NDArray[np.bool_]:
    """Which files hold no bar twice and none that another file holds, as far as the log tells."""
    return files.of_one_commit & ~_overlapping(files)


def _overlapping(files: Files) -> npt.NDArray[np.bool_]:
    """Which files share time with another of their pair."""
    found = np.zeros(len(files), dtype=bool)
    order = np.lexsort((files.first, files.pairs.astype(str)))
    pairs = files.pairs[order]
    for places in np.split(order, np.flatnonzero(pairs[1:] != pairs[:-1]) + 1):
        first, last = files.first[places], files.last[places]
        into_next = np.maximum.accumulate(last)[:-1] >= first[1:]
        found[places[1:]] |= into_next
        # Whoever reaches beyond the begin of a later file shares time with that one.
        found[places] |= np.searchsorted(first, last, side="right") - 1 > np.arange(len(places))
    return found


def _promise(files: Files, place: int) -> Any:
    import pyarrow.compute as pc

    promise = pc.field("asset_pair") == str(files.pairs[place])
    first, last = int(files.first[place]), int(files.last[place])
    low, high = files.providers[place]
    if abs(first) < _BOUNDS and abs(last) < _BOUNDS:
        # A time of the log is cut to the millisecond.
        ends = instant(first * MICROS), instant((last + 1) * MICROS)
        promise &= (pc.field("timestamp") >= ends[0]) & (pc.field("timestamp") < ends[1])
    if low == high:
        promise &= pc.field("source_provider") == str(low)
    return promise
