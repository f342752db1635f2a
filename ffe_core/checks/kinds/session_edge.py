"""Session edge: bars missing where a session begins or ends, though its inside is whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffe_core.checks.bars import Bars, Ints, Mask
from ffe_core.checks.model import NOTICE, Check, Evidence, Found, missing
from ffe_core.counts import many
from ffe_core.insight.units import NumberFormat
from ffe_core.intervals import minus, total
from ffe_core.times import iso

_LEAST_SECONDS = 900
"""Quiet minutes at an edge are no fault: so much has to be missing."""
_THIN = 0.02
"""Share of bars missing inside of sessions from which on a series is thin, and an edge says nothing."""
_NEAR = 40
"""Sessions between two edges of one finding."""


def find(bars: Bars) -> Iterator[Found]:
    """Edges of sessions without bars, neighbouring sessions together."""
    expected = bars.expected
    if expected is None or len(expected.runs) < 3:
        return
    step = bars.series.step
    gone = minus(minus(expected.runs, bars.ranges), bars.marked)
    if len(gone) == 0:
        return
    begins = np.isin(gone[:, 0], expected.runs[:, 0])
    ends = np.isin(gone[:, 1], expected.runs[:, 1])
    edge = begins ^ ends  # a session that is missing as a whole is a gap, which coverage shows
    long = (gone[:, 1] - gone[:, 0]) >= max(step, _LEAST_SECONDS)
    inside = total(gone[~(begins | ends)]) / max(1, total(expected.runs))
    if inside > _THIN:
        return
    chosen = np.flatnonzero(edge & long)
    yield from _together(bars, expected.runs, gone[chosen], begins[chosen])


def _together(bars: Bars, sessions: Ints, gone: Ints, begins: Mask) -> Iterator[Found]:
    if len(gone) == 0:
        return
    number = np.searchsorted(sessions[:, 0], gone[:, 0], side="right")
    cuts = np.flatnonzero(np.diff(number) > _NEAR) + 1
    for own in np.split(np.arange(len(gone)), cuts):
        count = total(gone[own]) // bars.series.step
        evidence = {
            "sessions": len(own),
            "side": "beginning" if begins[own].sum() * 2 >= len(own) else "end",
            "bars": int(count),
        }
        yield missing("session_edge", bars, int(gone[own[0], 0]), int(gone[own[-1], 1]), int(count), evidence)


def _says(evidence: Evidence, _: NumberFormat) -> str:
    sessions = many(evidence["sessions"], "session")
    where = f"the {evidence['side']} of {sessions}, the first at {iso(evidence['at'])}"
    return f"{many(evidence['bars'], 'bar')} missing at {where}"


CHECK = Check(
    "session_edge",
    "Bars are missing at the edge of a session whose inside is whole: a wrong zone, wrong hours, or a page cut short.",
    NOTICE,
    find,
    _says,
)
