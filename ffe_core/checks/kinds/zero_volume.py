"""Zero volume: bars without volume where the series has some, above all where the price moved."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffe_core.checks.bars import Bars
from ffe_core.checks.chance import surprising_runs
from ffe_core.checks.model import WARNING, Check, Evidence, Found, grouped
from ffe_core.counts import many
from ffe_core.insight.units import NumberFormat

_LEAST = 3
_HABIT = 0.002
"""Share of bars that move without volume from which on it is how the source counts."""


def find(bars: Bars) -> Iterator[Found]:
    """Runs of zeros longer than the series has otherwise, and single zeros in bars that moved."""
    if not bars.has_volume:
        return
    zero = bars.values["volume"] == 0
    moved = zero & (bars.spans > 0)
    runs = surprising_runs(zero, _LEAST)
    odd = moved if np.count_nonzero(moved) <= max(3, _HABIT * len(bars)) else np.zeros(len(bars), dtype=bool)
    length = np.where(odd, 1.0, 0.0)
    for first, last in runs.tolist():
        length[first:last] = last - first
    places = np.flatnonzero(length)

    def evidence(at: int) -> Evidence:
        return {"bars": int(length[at]), "moved": bool(moved[at])}

    yield from grouped("zero_volume", bars, places, length[places], evidence)


def _says(evidence: Evidence, _: NumberFormat) -> str:
    moved = ", though the price moved" if evidence["moved"] else ""
    return f"{many(evidence['bars'], 'bar')} in a row without volume{moved}"


CHECK = Check(
    "zero_volume",
    "Bars have no volume where the series nearly always has some, or moved without any: volume was lost.",
    WARNING,
    find,
    _says,
)
