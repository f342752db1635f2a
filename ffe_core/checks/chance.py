"""Chance of runs: which runs of like bars are longer than the habit of their series explains."""

from __future__ import annotations

import numpy as np

from ffe_core.checks.bars import Ints, Mask

_TOO_RARE = 1e-4
"""A run is reported if a series of this length has one so long with less than this probability."""
_FEW_RUNS = 20
_LEAST_SHARE = 0.1
"""What a like bar is followed by another with, where the series shows too few of them to tell."""


def runs_of(mask: Mask) -> Ints:
    """(n, 2) places [first, last) of the runs of true."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return edges.reshape(-1, 2).astype(np.int64)


def surprising_runs(mask: Mask, least: int) -> Ints:
    """The runs of true, `least` long or more, that are too long for the rest of the mask.

    How often a run begins and how often it goes on is counted without the run itself: a two-state Markov chain, as
    quiet bars follow quiet bars.
    """
    found = runs_of(mask)
    lengths = found[:, 1] - found[:, 0]
    long = found[lengths >= least]
    if len(long) == 0:
        return long
    begins, like = len(found), int(lengths.sum())
    own = long[:, 1] - long[:, 0]
    # All other runs, but the longest of them too: several faults in one series must not excuse each other.
    rest_like, rest_begins = _rest(lengths, own, like, begins, least)
    goes_on = (rest_like - rest_begins + _LEAST_SHARE * 5) / (rest_like + 5)
    expected = (rest_begins + 0.5) * goes_on ** (own - 1.0)
    return long[expected < _TOO_RARE]


def _rest(lengths: Ints, own: Ints, like: int, begins: int, least: int) -> tuple[Ints, Ints]:
    """Like bars and runs without each long run and without the few longest ones; where runs are few, without any."""
    longest = np.sort(lengths)[-3:] if len(lengths) > _FEW_RUNS else lengths[lengths >= least]
    cut_like, cut_begins = like - int(longest.sum()), begins - len(longest)
    is_cut = own >= (longest.min() if len(longest) else np.inf)
    return np.where(is_cut, cut_like, cut_like - own), np.where(is_cut, cut_begins, cut_begins - 1)
