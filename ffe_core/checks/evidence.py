"""Evidence of a finding: the bars around it, on both its sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ffe_core.calendars import AlwaysOpen
from ffe_core.candles import TIMESTAMP, VALUES
from ffe_core.checks.bars import Bars
from ffe_core.checks.kinds.timeframes import parts_of
from ffe_core.errors import InputError
from ffe_core.insight.bars import bars
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import MICROS, epochs
from ffe_core.times import DAY

_AROUND = 40
"""Bars before and after."""
_MOST = 300
"""Bars of a finding that are shown; of a longer one those around the worst."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One side: timestamp and the five values, by time. `of_parts` if they are what finer bars come to."""

    series: Series
    bars: pa.Table
    of_parts: bool = False


def shown_range(series: Series, start: int, end: int, at: int) -> tuple[int, int]:
    """What is shown of a finding [start, end) whose worst bar opens at `at`, epoch seconds."""
    step = series.step
    if end - start > _MOST * step:
        start, end = max(start, at - _MOST // 2 * step), min(end, at + _MOST // 2 * step)
    pad = _AROUND * step if step < DAY // 96 else max(_AROUND * step, 3 * DAY)
    return start - pad, end + pad


def sides(
    lake: DeltaLakeManager, series: Series, other: Series | None, start: int, end: int, at: int
) -> tuple[Side, ...]:
    """The bars of a finding and those it was found against. InputError if a series is not stored any more."""
    first, last = shown_range(series, start, end, at)
    own = Side(series, bars(lake, series, first, last))
    if other is None:
        return (own,)
    try:
        found = bars(lake, other, first, last)
    except InputError:
        return (own,)  # it is gone since; what is left is shown
    if other.timeframe == series.timeframe:
        return own, Side(other, found)
    return own, Side(other, _together(own, found, other), of_parts=True)


def _together(own: Side, finer: pa.Table, other: Series) -> pa.Table:
    """What the finer bars come to, at the opens of the coarser ones."""
    fine = _as_bars(other, finer)
    here = _as_bars(own.series, own.bars, {other: fine})
    parts = parts_of(here)
    if parts is None:
        return finer.slice(0, 0)
    times = pa.array(here.open_times[parts.places] * MICROS).cast(TIMESTAMP)
    return pa.table({"timestamp": times, **{name: parts.values[name] for name in VALUES}})


def _as_bars(series: Series, table: pa.Table, others: Mapping[Series, Bars] | None = None) -> Bars:
    values = {name: np.asarray(table[name].to_numpy(), np.float64) for name in VALUES}
    return Bars(series, epochs(table["timestamp"]), values, AlwaysOpen(), others or {})
