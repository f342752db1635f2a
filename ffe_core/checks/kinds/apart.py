"""Far apart: bars that two sources give much farther apart than they usually are."""

from __future__ import annotations

import numpy as np

from ffe_core.checks.bars import Floats, Ints, Mask
from ffe_core.checks.kinds.aligned import Pairing

_USUAL = 12.0
"""So many times the usual difference of the two."""
_SPANS = 3.0
"""And so many usual spans of a bar, where it spans more: sources of one book differ by hairs, of which many times is a
hair."""
_OWN_SPANS = 1.0
"""And so many of the bar itself: in a crash venues are as far apart as they are quiet otherwise."""
_OWN_MOVES = 0.25
"""What counts as usual at most, as a share of what prices move within a block: two that are farther apart than that do
not show one market."""


def far_apart(pairing: Pairing) -> tuple[Mask, Floats]:
    """(n,) Which rows are, and (4, n) how far each price is from the usual ratio, in logarithms."""
    apart = _from_usual(pairing)
    size = apart.max(axis=0)
    usual = min(float(np.median(size)), _OWN_MOVES * _moves(pairing))
    least = max(_USUAL * usual, _SPANS * float(np.median(pairing.spans, axis=1).max()), 1e-6)
    return size > np.maximum(least, _OWN_SPANS * pairing.spans.min(axis=0)), apart


def _from_usual(pairing: Pairing) -> Floats:
    """How far off what is usual in its block or one beside it: a level that changes is none of it."""
    levels, block = pairing.levels, pairing.block
    best = np.full(pairing.ratios.shape, np.inf)
    for step in (-1, 0, 1):
        beside: Ints = np.clip(block + step, 0, len(levels) - 1)
        np.minimum(best, np.abs(pairing.ratios - levels[beside]), out=best)
    return best


def _moves(pairing: Pairing) -> float:
    """How far closes usually are from the middle of their block, in logarithms."""
    close = np.log(pairing.other.values["close"][pairing.there])
    blocks = [close[a:b] for a, b in zip(pairing.edges[:-1], pairing.edges[1:], strict=True)]
    return float(np.median([np.median(np.abs(one - np.median(one))) for one in blocks]))
