"""Disagreement of providers: single bars that two sources give far more apart than they usually are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffe_core.candles import PRICES
from ffe_core.checks.bars import Bars
from ffe_core.checks.kinds.aligned import later_sources, level, shared
from ffe_core.checks.model import WARNING, Check, Evidence, Found, grouped
from ffe_core.insight.units import NumberFormat, value_text

_BLOCK = 100
_USUAL = 12.0
"""So many times the usual difference of the two."""
_SPANS = 3.0
"""And so many usual spans of a bar: sources of one book differ by hairs, of which many times is a hair."""
_HABIT = 0.02
"""Bars of a stretch that differ from which on it is a shift or a scale, which other checks name."""


def find(bars: Bars) -> Iterator[Found]:
    """Bars of which one price differs far more than usual, and by far more than a bar usually spans."""
    for series, other in later_sources(bars):
        here, there = shared(bars, other)
        if len(here) < _BLOCK:
            continue
        usual = level(bars, other, here, there, _BLOCK)
        apart = [np.log(bars.values[name][here] / other.values[name][there]) - usual for name in PRICES]
        worst = np.argmax(np.abs(apart), axis=0)
        size = np.abs(apart).max(axis=0)
        spans = np.median(bars.spans[here] / bars.values["close"][here])
        odd = size > max(_USUAL * float(np.median(size)), _SPANS * float(spans), 1e-6)
        density = np.convolve(odd, np.ones(_BLOCK) / _BLOCK, "same")
        odd &= density <= 2 * _HABIT
        names = dict(zip(here[odd].tolist(), worst[odd].tolist(), strict=True))
        place = dict(zip(here[odd].tolist(), there[odd].tolist(), strict=True))
        beside = np.zeros(len(bars))
        beside[here] = other.values["close"][there]

        def evidence(
            at: int, names: dict[int, int] = names, place: dict[int, int] = place, other: Bars = other
        ) -> Evidence:
            name = PRICES[names[at]]
            return {
                "column": name,
                "here": float(bars.values[name][at]),
                "there": float(other.values[name][place[at]]),
            }

        yield from grouped("provider_differs", bars, here[odd], size[odd], evidence, other=series, beside=[beside])


def _says(evidence: Evidence, prices: NumberFormat) -> str:
    name = evidence["column"]
    here, there = value_text(prices, name, evidence["here"]), value_text(prices, name, evidence["there"])
    return f"{name} {here} here and {there} there, far more apart than usual"


CHECK = Check(
    "provider_differs",
    "Two sources of one pair give a bar far more apart than they usually are: one of them is wrong there.",
    WARNING,
    find,
    _says,
)
