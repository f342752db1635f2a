"""Scale between providers: one source's prices are a fixed multiple of another's."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ffe_core.checks.bars import Bars, Floats, Ints, Mask
from ffe_core.checks.chance import runs_of
from ffe_core.checks.kinds.aligned import Pairing, pairings
from ffe_core.checks.kinds.apart import far_apart
from ffe_core.checks.model import ERROR, Check, Evidence, Found, grouped
from ffe_core.insight.units import NumberFormat, in_digits, written

_FEWEST = 25
"""Bars of a scale at least."""
_LEAST, _LEAST_TICKS = 0.005, 3.0
"""Books of one thing differ by less, in logarithms: bid and mid, one venue and another, USD and a coin that is worth
about one. Ticks are steps of the coarser source."""
_PLAIN = 0.05
"""A smaller scale has to hold for so many bars, as what venues differ by stands still for hours too."""
_FEWEST_SMALL = 200
_FIXED = 1 / 16
"""The middle half of the ratios lies within so much of the scale each way: a factor is fixed, a premium wanders."""
_SAME, _STEP = 1 / 8, 1 / 3
"""Blocks whose ratios differ by a smaller share are one stretch; it begins and ends with a larger one: at once."""


def find(bars: Bars) -> Iterator[Found]:
    """Stretches over which the ratio of two sources is fixed, and not one."""
    named = np.zeros(len(bars), dtype=bool)
    for pairing in pairings(bars, _FEWEST):
        scale = scales(pairing)
        odd = np.zeros(len(scale), dtype=bool)
        for one in np.unique(scale[scale != 0]).tolist():
            stretch = scale == one
            odd |= stretch & (np.mean(pairing.is_blamed[stretch]) > 0.5)
        odd &= ~named[pairing.here]
        places = pairing.here[odd]
        named[places] = True
        values = dict(zip(places.tolist(), scale[odd].tolist(), strict=True))
        other = pairing.other.series

        def evidence(at: int, values: dict[int, float] = values, source: str = other.provider) -> Evidence:
            return {"factor": float(np.exp(values[at])), "source": source}

        found = grouped(
            "provider_scale", bars, places, scale[odd], evidence, join=CHECK.join, other=other,
            beside=[pairing.beside],
        )  # fmt: skip
        yield from (one for one in found if one.bars >= _FEWEST)


def scales(pairing: Pairing) -> Floats:
    """(n,) The fixed ratio that each row is part of, in logarithms; 0.0 where there is none."""
    found = np.zeros(len(pairing.ratio))
    least = max(_LEAST, _LEAST_TICKS * _tick(pairing))
    for first, last, level in _stretches(pairing, least):
        _note(found, pairing, np.arange(first, last), level, least)
    # What is gone again before it is usual.
    odd, _ = far_apart(pairing)
    for first, last in runs_of(_joined(odd)).tolist():
        rows = np.arange(first, last)[odd[first:last]]
        if len(rows) >= _FEWEST and not found[rows].any() and _moves_along(pairing, rows):
            _note(found, pairing, rows, float(np.median(pairing.ratio[rows])), _PLAIN)
    return found


def _note(found: Floats, pairing: Pairing, rows: Ints, level: float, least: float) -> None:
    """Note the rows of a stretch at its scale if that is fixed. Where a block begins or ends it, each row speaks for
    itself."""
    own = rows[np.abs(pairing.ratio[rows] - level) < abs(level) / 2]
    if len(own) < (_FEWEST if abs(level) >= _PLAIN else _FEWEST_SMALL):
        return
    low, scale, high = np.percentile(pairing.ratio[own], [25, 50, 75])
    if abs(scale) > least and (high - low) / 2 <= _FIXED * abs(scale):
        found[own] = scale


def _moves_along(pairing: Pairing, rows: Ints) -> bool:
    """Whether the prices move as the other's: those of a shift may stand at about one ratio for some bars by chance."""
    moves = np.diff(np.log(pairing.other.values["close"][pairing.there[rows]]))
    apart, scale = np.diff(pairing.ratio[rows]), np.median(pairing.ratio[rows])
    return bool(np.median(np.abs(apart)) <= max(np.median(np.abs(moves)) / 2, abs(scale) / 100))


def _stretches(pairing: Pairing, least: float) -> Iterator[tuple[int, int, float]]:
    """First row, end and level of neighbouring blocks at one level that is not about one, a block more each way."""
    levels, edges = pairing.levels, pairing.edges
    same = np.abs(np.diff(levels)) <= _SAME * np.abs(levels[:-1])
    cuts = [0, *(np.flatnonzero(~same) + 1).tolist(), len(levels)]
    for first, end in pairwise(cuts):
        level = float(np.median(levels[first:end]))
        beside = [levels[at] for at in (first - 1, end) if 0 <= at < len(levels)]
        if abs(level) > least and all(abs(one - level) >= _STEP * abs(level) for one in beside):
            yield int(edges[max(0, first - 1)]), int(edges[min(len(levels), end + 1)]), level


def _tick(pairing: Pairing) -> float:
    """A tick of the coarser source as a share of its price."""
    sides = (pairing.bars, pairing.other)
    return max(one.tick / float(np.median(one.values["close"])) for one in sides)


def _joined(odd: Mask, gap: int = 2) -> Mask:
    """The rows with those between two of them that are so near each other."""
    around = np.convolve(odd, np.ones(2 * gap + 1), "full")
    return np.asarray(around[gap:-gap] > 0)


def _says(evidence: Evidence, _: NumberFormat) -> str:
    factor, source = written(in_digits(evidence["factor"], 4)), evidence.get("source", "the other source")
    return f"prices are {factor} times those of {source}, bar after bar"


CHECK = Check(
    "provider_scale",
    "Two sources of one pair differ by a fixed factor: one has another unit, or the two are not the same instrument.",
    ERROR,
    find,
    _says,
    join=50,
)
