"""Disagreement of providers: bars that two sources give far more apart than they usually are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffe_core.candles import PRICES
from ffe_core.checks.bars import Bars
from ffe_core.checks.kinds.aligned import pairings
from ffe_core.checks.kinds.apart import far_apart
from ffe_core.checks.kinds.provider_scale import scales
from ffe_core.checks.kinds.provider_shift import shifts
from ffe_core.checks.model import WARNING, Check, Evidence, Found, grouped
from ffe_core.insight.units import NumberFormat, value_text

_FEWEST = 20


def find(bars: Bars) -> Iterator[Found]:
    """Bars of which one price differs far more than usual; those of a scale or a shift are named as that."""
    named = np.zeros(len(bars), dtype=bool)
    for pairing in pairings(bars, _FEWEST):
        odd, apart = far_apart(pairing)
        odd &= pairing.is_blamed & ~named[pairing.here]
        if not odd.any():
            continue
        odd &= (scales(pairing) == 0) & (shifts(pairing) == 0)
        places, other = pairing.here[odd], pairing.other
        named[places] = True
        names = dict(zip(places.tolist(), np.argmax(apart[:, odd], axis=0).tolist(), strict=True))
        there = dict(zip(places.tolist(), pairing.there[odd].tolist(), strict=True))

        def evidence(
            at: int, names: dict[int, int] = names, there: dict[int, int] = there, other: Bars = other
        ) -> Evidence:
            name = PRICES[names[at]]
            return {
                "column": name,
                "here": float(bars.values[name][at]),
                "there": float(other.values[name][there[at]]),
                "source": other.series.provider,
            }

        sizes = apart[:, odd].max(axis=0, initial=0)
        yield from grouped(
            "provider_differs", bars, places, sizes, evidence, other=other.series, beside=[pairing.beside]
        )


def _says(evidence: Evidence, prices: NumberFormat) -> str:
    name, source = evidence["column"], evidence.get("source")
    here, there = value_text(prices, name, evidence["here"]), value_text(prices, name, evidence["there"])
    where = f"at {source}" if source else "there"
    return f"{name} {here} here and {there} {where}, far more apart than usual"


CHECK = Check(
    "provider_differs",
    "Two sources of one pair give bars far more apart than they usually are: one of them is wrong there.",
    WARNING,
    find,
    _says,
)
