"""How sorted half-open intervals are merged, cut and counted, whole columns at a time.

Every array of intervals here is int64 of shape (n, 2): start and end in epoch seconds, sorted and not overlapping.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]

NONE: Times = np.empty((0, 2), dtype=np.int64)
NONE.flags.writeable = False


def grid_ceil(times: Times, step: int) -> Times:
    """The multiples of `step` at or after `times`."""
    return times + -times % step


def overlapping(intervals: Times, start: int, end: int) -> Times:
    """The intervals that share at least one second with [start, end), whole."""
    first = np.searchsorted(intervals[:, 1], start, side="right")
    return intervals[first : np.searchsorted(intervals[:, 0], end, side="left")]


def merge(intervals: Times) -> Times:
    """The same time in as few intervals as possible: those that overlap or touch become one."""
    if len(intervals) == 0:
        return intervals
    breaks = np.flatnonzero(intervals[1:, 0] > intervals[:-1, 1])
    starts = intervals[np.concatenate(([0], breaks + 1)), 0]
    ends = intervals[np.concatenate((breaks, [len(intervals) - 1])), 1]
    return np.column_stack((starts, ends))


def intersect(left: Times, right: Times) -> Times:
    """The time that lies in both."""
    first = np.searchsorted(right[:, 1], left[:, 0], side="right")
    shared = np.searchsorted(right[:, 0], left[:, 1], side="left") - first
    rows = np.repeat(np.arange(len(left)), shared)
    others = np.arange(len(rows)) + np.repeat(first - (np.cumsum(shared) - shared), shared)
    starts = np.maximum(left[rows, 0], right[others, 0])
    return np.column_stack((starts, np.minimum(left[rows, 1], right[others, 1])))


def clip_opens(runs: Times, step: int, start: int, end: int) -> Times:
    """Of runs of bars `step` long, the bars that open in [start, end); each run keeps its own grid."""
    origin = runs[:, 0]
    first = origin + grid_ceil(np.maximum(start - origin, 0), step)
    last = np.minimum(runs[:, 1], origin + grid_ceil(end - origin, step))
    return np.column_stack((first, last))[first < last]


def opens_in(runs: Times, step: int) -> Times:
    """The open of every bar of the runs, one-dimensional and ascending."""
    bars = (runs[:, 1] - runs[:, 0]) // step
    before = np.cumsum(bars) - bars
    return np.repeat(runs[:, 0] - before * step, bars) + np.arange(bars.sum(), dtype=np.int64) * step
