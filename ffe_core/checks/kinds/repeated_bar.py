"""Repeated bar: the values of the bar before once more, as a record that came twice a bar apart leaves it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffe_core.candles import VALUES
from ffe_core.checks.bars import Bars, Mask
from ffe_core.checks.chance import runs_of, surprising_runs
from ffe_core.checks.model import WARNING, Check, Evidence, Found, grouped
from ffe_core.counts import many
from ffe_core.insight.units import NumberFormat

_DISTINCT_TICKS = 5
"""A bar that spans so many ticks is not had twice by chance: open, high, low and close would have to agree."""
_LEAST_RUN = 3


def same_as_before(bars: Bars) -> Mask:
    """Which bars have all the values of the bar before them."""
    same = np.zeros(len(bars), dtype=bool)
    if len(bars) > 1:
        columns = [bars.values[name] for name in VALUES]
        same[1:] = np.logical_and.reduce(
            [(column[1:] == column[:-1]) | np.isnan(column[1:] + column[:-1]) for column in columns]
        )
    return same


def find(bars: Bars) -> Iterator[Found]:
    """Repeats of bars with a span, and runs of repeats longer than the series has otherwise."""
    same = same_as_before(bars)
    if not same.any():
        return
    odd = same & (bars.spans >= max(_DISTINCT_TICKS * bars.tick, np.finfo(float).tiny))
    for first, last in surprising_runs(same & (bars.spans > 0), _LEAST_RUN).tolist():
        odd[first:last] = True
    lengths = np.zeros(len(bars))
    for first, last in runs_of(odd).tolist():
        lengths[first:last] = last - first
    places = np.flatnonzero(odd)
    yield from grouped("repeated_bar", bars, places, lengths[places], lambda at: {"repeats": int(lengths[at])}, join=1)


def _says(evidence: Evidence, _: NumberFormat) -> str:
    return f"the values of the bar before stand {many(evidence['repeats'], 'more time')}, volume and all"


CHECK = Check(
    "repeated_bar",
    "A bar has exactly the open, high, low, close and volume of the bar before it: a record was stored again a bar on.",
    WARNING,
    find,
    _says,
    join=1,
)
