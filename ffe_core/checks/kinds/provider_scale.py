"""Scale between providers: one source's prices are a fixed multiple of another's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffe_core.checks.bars import Bars
from ffe_core.checks.kinds.aligned import later_sources, level, shared
from ffe_core.checks.model import ERROR, Check, Evidence, Found, grouped
from ffe_core.insight.units import NumberFormat, in_digits, written

_BLOCK = 50
_OFF = 0.05
"""Two books of one thing differ by less than this, in logarithms."""


def find(bars: Bars) -> Iterator[Found]:
    """Stretches over which the usual ratio of two sources is not one."""
    for series, other in later_sources(bars):
        here, there = shared(bars, other)
        if len(here) < _BLOCK // 2:
            continue
        usual = level(bars, other, here, there, _BLOCK)
        # A block in which the scale begins is half of it: there each bar speaks for itself.
        ratio = np.log(bars.values["close"][here] / other.values["close"][there])
        near = np.convolve(np.abs(usual) > _OFF, np.ones(2 * _BLOCK + 1), "same") > 0
        odd = (np.abs(ratio) > _OFF) & near
        values, beside = dict(zip(here[odd].tolist(), ratio[odd].tolist(), strict=True)), np.zeros(len(bars))
        beside[here] = other.values["close"][there]

        def evidence(at: int, values: dict[int, float] = values) -> Evidence:
            return {"factor": float(np.exp(values[at]))}

        found = grouped(
            "provider_scale", bars, here[odd], ratio[odd], evidence, join=_BLOCK, other=series, beside=[beside]
        )
        yield from (one for one in found if one.bars >= _BLOCK // 2)


def _says(evidence: Evidence, _: NumberFormat) -> str:
    return f"prices are {written(in_digits(evidence['factor'], 4))} times those of the other source, bar after bar"


CHECK = Check(
    "provider_scale",
    "Two sources of one pair differ by a fixed factor: one has another unit, or the two are not the same instrument.",
    ERROR,
    find,
    _says,
    join=50,
)
