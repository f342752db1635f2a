"""Off the tick: prices with more decimals than nearly all others of their series."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffe_core.candles import PRICES
from ffe_core.checks.bars import Bars, is_on
from ffe_core.checks.model import WARNING, Check, Evidence, Found, grouped
from ffe_core.insight.units import NumberFormat


def find(bars: Bars) -> Iterator[Found]:
    """Bars with a price between two ticks, where nearly all prices are whole ticks."""
    if bars.decimals is None:
        return
    decimals = bars.decimals
    off = np.logical_or.reduce([~is_on(bars.values[name], decimals) for name in PRICES])
    places = np.flatnonzero(off)

    def evidence(at: int) -> Evidence:
        name = next(name for name in PRICES if not is_on(bars.values[name][at : at + 1], decimals)[0])
        return {"price": float(bars.values[name][at]), "column": name, "decimals": decimals}

    yield from grouped("off_tick", bars, places, np.ones(len(places)), evidence, join=CHECK.join)


def _says(evidence: Evidence, prices: NumberFormat) -> str:
    usual = f"{evidence['decimals']} decimals" if evidence["decimals"] else "whole numbers"
    return f"{evidence['column']} {prices.text(evidence['price'])}, where the prices of this series have {usual}"


CHECK = Check(
    "off_tick",
    "A price lies between two ticks of its series: it was averaged, converted or typed, not traded.",
    WARNING,
    find,
    _says,
    join=50,
)
