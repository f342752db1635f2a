"""Interval arithmetic: sorted half-open intervals merged, cut and counted, whole columns at a time.

Every array of intervals here is int64 of shape (n, 2): start and end in epoch seconds, sorted and not overlapping.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]

NONE: Times = np.empty((0, 2), dtype=np.int64)
NONE.flags.writeable = False


def ranges(pairs: Sequence[tuple[int, int]]) -> Times:
    """Pairs of start and end as an array of intervals, in the order given."""
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


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
    if len(left) == 1 or len(right) == 1:
        (only, others) = (left, right) if len(left) == 1 else (right, left)
        start, end = only[0].tolist()
        return overlapping(others, start, end).clip(start, end)
    first = np.searchsorted(right[:, 1], left[:, 0], side="right")
    shared = np.searchsorted(right[:, 0], left[:, 1], side="left") - first
    rows = np.repeat(np.arange(len(left)), shared)
    others = np.arange(len(rows)) + np.repeat(first - (np.cumsum(shared) - shared), shared)
    starts = np.maximum(left[rows, 0], right[others, 0])
    return np.column_stack((starts, np.minimum(left[rows, 1], right[others, 1])))


def clip_open_times(runs: Times, step: int, start: int, end: int) -> Times:
    """Of ranges of bars `step` long, the bars that open in [start, end); each run keeps its own grid."""
    origin = runs[:, 0]
    first = origin + grid_ceil(np.maximum(start - origin, 0), step)
    last = np.minimum(runs[:, 1], origin + grid_ceil(end - origin, step))
    kept: Times = np.column_stack((first, last))[first < last]
    return kept


def open_times_in(runs: Times, step: int) -> Times:
    """The open of every bar of the runs, one-dimensional and ascending."""
    bars = (runs[:, 1] - runs[:, 0]) // step
    before = np.cumsum(bars) - bars
    open_times: Times = np.repeat(runs[:, 0] - before * step, bars) + np.arange(bars.sum(), dtype=np.int64) * step
    return open_times


def union(*sets: Times) -> Times:
    """The time that lies in any of the sets; each may be in any order and overlap itself."""
    intervals = sets[0] if len(sets) == 1 else np.concatenate((NONE, *sets))
    if (intervals[1:, 0] > intervals[:-1, 1]).all():
        return intervals  # in order and apart, as most are
    intervals = intervals[np.argsort(intervals[:, 0], kind="stable")]
    reach = np.maximum.accumulate(intervals[:, 1])
    breaks = np.flatnonzero(intervals[1:, 0] > reach[:-1])
    starts = intervals[np.concatenate(([0], breaks + 1)), 0]
    return np.column_stack((starts, reach[np.concatenate((breaks, [len(intervals) - 1]))]))


def minus(left: Times, right: Times) -> Times:
    """The time of `left` that does not lie in `right`."""
    if len(left) == 0 or len(right) == 0:
        return left
    edges = np.concatenate(([min(left[0, 0], right[0, 0])], right.ravel(), [max(left[-1, 1], right[-1, 1])]))
    outside = edges.reshape(-1, 2)
    return intersect(left, outside[outside[:, 0] < outside[:, 1]])


def total(intervals: Times) -> int:
    """How long the intervals are together."""
    return int((intervals[:, 1] - intervals[:, 0]).sum())


def total_before(intervals: Times, points: Times) -> Times:
    """How much of the intervals lies before each of the ascending points."""
    if len(intervals) == 0:
        return np.zeros(len(points), dtype=np.int64)
    lengths = np.concatenate(([0], np.cumsum(intervals[:, 1] - intervals[:, 0])))
    begun = np.searchsorted(intervals[:, 0], points)
    last = np.maximum(begun - 1, 0)
    beyond = np.where(begun > 0, np.maximum(intervals[last, 1] - points, 0), 0)
    return lengths[begun] - beyond


def ranges_of(open_times: Times, step: int) -> Times:
    """Bars given by their ascending, distinct opens as runs [first open, last open + step)."""
    if len(open_times) == 0:
        return NONE
    breaks = np.flatnonzero(np.diff(open_times) != step)
    starts = open_times[np.concatenate(([0], breaks + 1))]
    return np.column_stack((starts, open_times[np.concatenate((breaks, [len(open_times) - 1]))] + step))


def join_ranges(runs: Sequence[Times], step: int) -> Times:
    """Several sets of ranges of bars `step` long as one, each bar once; runs on different grids stay apart.

    Sorted by grid, then by time.
    """
    together = runs[0] if len(runs) == 1 else np.concatenate((NONE, *runs))
    return np.concatenate((NONE, *(union(part) for part in by_grid(together, step).values())))


def by_grid(runs: Times, step: int) -> dict[int, Times]:
    """Runs of bars `step` long by the grid they lie on: their opens modulo `step`."""
    offsets = runs[:, 0] % step
    if len(runs) == 0 or (offsets == offsets[0]).all():
        return {int(offset): runs for offset in offsets[:1]}
    return {int(offset): runs[offsets == offset] for offset in np.unique(offsets)}


def without(runs: Times, others: Times, step: int) -> Times:
    """The bars of the runs that are not among the others, grid by grid; sorted as `join_ranges` leaves them."""
    if len(runs) == 0 or len(others) == 0:
        return runs
    own = by_grid(others, step)
    return join_ranges([minus(part, own.get(at, NONE)) for at, part in by_grid(runs, step).items()], step)
