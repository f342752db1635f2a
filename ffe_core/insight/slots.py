"""Slots of a chart view: one place on the time axis for every bar that is there or is missing, none while closed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ffe_core.insight.aggregate import BarSize
from ffe_core.insight.chart import ChartView
from ffe_core.insight.gaps import KINDS
from ffe_core.intervals import Times, open_times_in
from ffe_core.storage.lake.snapshot import Ints, epochs


@dataclass(frozen=True, slots=True, eq=False)
class Slots:
    """Columns over the slots, by time."""

    open_times: Ints
    """Epoch seconds, distinct."""
    missing: Ints
    """Why there is no bar: 1 + the place of the kind in `gaps.KINDS`; 0 where there is one, or none is due."""

    def __len__(self) -> int:
        return len(self.open_times)

    def column(self, table: pa.Table, name: str) -> np.ndarray:
        """(n,) float64: a column of bars by `timestamp` at their slots, NaN elsewhere; bars without a slot are left."""
        own = epochs(table["timestamp"])
        found = np.full(len(self), np.nan)
        if len(self) == 0 or len(own) == 0:
            return found
        place = np.minimum(np.searchsorted(self.open_times, own), len(self) - 1)
        has_slot = self.open_times[place] == own
        values = table[name].cast(pa.float64()).to_numpy()
        found[place[has_slot]] = values[has_slot]
        return found


def slots(view: ChartView, *others: pa.Table) -> Slots:
    """The slots of a view; bars of the `others` get one of their own where the view's market is not closed."""
    shown = epochs(view.bars["timestamp"])
    found, kinds = [shown], [np.zeros(len(shown), np.int64)]
    for place, kind in enumerate(KINDS, start=1):
        opens = _open_times(view, view.missing.bars.spans(view.missing.missing[kind]))
        found.append(opens)
        kinds.append(np.full(len(opens), place, np.int64))
    for table in others:
        opens = _outside(epochs(table["timestamp"]), view.closures)
        found.append(opens)
        kinds.append(np.zeros(len(opens), np.int64))
    open_times, first = np.unique(np.concatenate(found), return_index=True)
    return Slots(open_times, np.concatenate(kinds)[first])


def _open_times(view: ChartView, spans: Times) -> Ints:
    """Where the missing bars of these ranges lie on the axis: at their own opens, or at those of the larger bars."""
    if view.size.name == view.series.timeframe:
        return open_times_in(spans, view.series.step)
    if len(spans) == 0:
        return np.empty(0, np.int64)
    return np.unique(np.concatenate([_buckets(view.size, start, end) for start, end in spans.tolist()]))


def _buckets(size: BarSize, start: int, end: int) -> Ints:
    """Every bar of the size that lies in a range, or is cut by it."""
    first, last = size.widened(start, end)
    if not size.months:
        return np.arange(first, last, size.seconds)
    # No month is shorter than 28 days: each is met at least once.
    return np.unique(size.buckets(np.arange(first, last, 28 * 86_400)))


def _outside(open_times: Ints, ranges: list[tuple[int, int]]) -> Ints:
    if not ranges:
        return open_times
    edges = np.array(ranges)
    last = np.searchsorted(edges[:, 0], open_times, side="right") - 1
    kept: Ints = open_times[(last < 0) | (open_times >= edges[np.maximum(last, 0), 1])]
    return kept
