"""Stuck price: bars without any movement, one after another, for longer than the series is otherwise quiet."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ffe_core.checks.bars import Bars
from ffe_core.checks.chance import surprising_runs
from ffe_core.checks.model import ERROR, Check, Evidence, Found, grouped
from ffe_core.counts import many
from ffe_core.insight.units import NumberFormat

_LEAST = 4


def find(bars: Bars) -> Iterator[Found]:
    """Runs of bars whose four prices are all the close of the bar before."""
    close = bars.values["close"]
    flat = bars.spans == 0
    flat[1:] &= close[1:] == close[:-1]
    for first, last in surprising_runs(flat, _LEAST).tolist():
        places = np.arange(first, last)
        sizes = np.full(len(places), float(last - first))
        evidence = _evidence(last - first, float(close[first]))
        yield from grouped("stuck_price", bars, places, sizes, evidence)


def _evidence(bars: int, price: float) -> Callable[[int], Evidence]:
    return lambda at: {"bars": bars, "price": price}


def _says(evidence: Evidence, prices: NumberFormat) -> str:
    bars, price = many(evidence["bars"], "bar"), prices.text(evidence["price"])
    return f"{bars} in a row stand at {price}, longer than this series is quiet"


CHECK = Check(
    "stuck_price",
    "The price does not move for more bars than the series' own quiet hours explain: a feed that stood still.",
    ERROR,
    find,
    _says,
)
