"""How missing bars are explained by hand: marked one or many at a time, and taken back.

Only what is missing and unexplained now is marked, never a whole range: what goes missing later is a new gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ffe_core.calendars.intervals import intersect, total_before
from ffe_core.errors import InputError
from ffe_core.insight.coverage import Coverage, SeriesCoverage
from ffe_core.series import Series
from ffe_core.storage.audit import Audit
from ffe_core.storage.marked_holes import OTHER, MarkedHole, MarkedHoles, check_reason

MARK, UNMARK = "mark", "unmark"
_LONGEST_NOTE = 500


@dataclass(frozen=True, slots=True)
class Marked:
    """What was marked: how many holes, and how many bars in them."""

    holes: int
    candles: int
    ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class HoleState:
    """A marked hole as it stands now: bars that arrived since have opened it again, as far as they go."""

    hole: MarkedHole
    arrived: int
    """How many of its bars are there now, as candles or dead letters."""

    @property
    def state(self) -> str:
        """marked, partly reopened or reopened."""
        if not self.arrived:
            return "marked"
        return "reopened" if self.arrived >= self.hole.candles else "partly reopened"


class HoleVerbs:
    """Marks what `coverage` finds unexplained."""

    def __init__(self, coverage: Coverage, holes: MarkedHoles, audit: Audit) -> None:
        self._coverage, self._holes, self._audit = coverage, holes, audit

    def mark(
        self,
        series: Series,
        reason: str,
        actor: str,
        note: str = "",
        start: int | None = None,
        end: int | None = None,
    ) -> Marked:
        """Explain what is missing of a series in [start, end), epoch seconds; the whole of it without them.

        InputError for an unknown reason, for "other" without a note, and if nothing there is unexplained.
        """
        check_reason(reason)
        found = self._coverage.of([series], start, end)[0]
        if found.trouble:
            raise InputError(found.trouble)
        gaps = [(gap.start, gap.end, gap.candles) for gap in found.gaps(["unexplained"])]
        if not gaps:
            raise InputError(f"range: nothing is missing without a reason in {series}; see the coverage for its gaps")
        return self._mark(series, gaps, reason, actor, note)

    def mark_asked_twice(
        self, series: Sequence[Series], reason: str, actor: str, note: str = "asked twice, the provider has nothing"
    ) -> Marked:
        """Explain what the provider was asked for twice in vain, of several series at once.

        InputError if there is nothing of the kind: the mode gaps asks again.
        """
        check_reason(reason)
        done = [
            self._mark(found.series, gaps, reason, actor, note)
            for found in self._coverage.of(series)
            if (gaps := self._asked_twice(found))
        ]
        if not done:
            raise InputError("range: nothing was asked for twice in vain; fill the gaps first, then mark what is left")
        return Marked(sum(one.holes for one in done), sum(one.candles for one in done), _ids(done))

    def offered(self, found: SeriesCoverage) -> int:
        """How many unexplained bars of a series were asked for twice in vain, and so can be marked at once."""
        return sum(candles for _, _, candles in self._asked_twice(found))

    def unmark(self, ids: Sequence[int], actor: str, reason: str = "") -> int:
        """Take marks back: bars that have not come are unexplained again. InputError if no such mark is known."""
        known = self._holes.get(ids)
        if not known:
            raise InputError(f"hole: there is none of id {', '.join(map(str, ids))}; the coverage page lists them")
        self._holes.remove([hole.id for hole in known])
        for series in sorted({hole.series for hole in known}):
            own = [hole for hole in known if hole.series == series]
            self._audit.add(actor, UNMARK, series.key, reason, holes=len(own), candles=_candles(own))
        return len(known)

    def states(self, series: Sequence[Series]) -> list[HoleState]:
        """Every marked hole of some series, with what has arrived in it since."""
        return [state for one in series if (holes := self._holes.of(one)) for state in self._states(one, holes)]

    # -- inside

    def _states(self, series: Series, holes: Sequence[MarkedHole]) -> list[HoleState]:
        found = self._coverage.of([series], min(hole.start for hole in holes), max(hole.end for hole in holes))[0]
        if found.account is None:
            return [HoleState(hole, 0) for hole in holes]
        bars = found.account.bars
        edges = bars.rank(np.array([edge for hole in holes for edge in (hole.start, hole.end)], dtype=np.int64))
        still = np.diff(total_before(found.account.marked, edges).reshape(-1, 2)).ravel().tolist()
        return [HoleState(hole, hole.candles - left) for hole, left in zip(holes, still, strict=True)]

    def _asked_twice(self, found: SeriesCoverage) -> list[tuple[int, int, int]]:
        """The unexplained parts of a series that were asked for twice, as (start, end, candles)."""
        if found.account is None:
            return []
        bars = found.account.bars
        twice = bars.ranks_within(self._holes.asked_twice(found.series))
        ranks = intersect(found.account.unexplained, twice)
        candles = (ranks[:, 1] - ranks[:, 0]).tolist()
        return [(start, end, count) for (start, end), count in zip(bars.ranges(ranks).tolist(), candles, strict=True)]

    def _mark(self, series: Series, gaps: Sequence[tuple[int, int, int]], reason: str, actor: str, note: str) -> Marked:
        said = _checked_note(reason, note)
        ids = self._holes.add(series, gaps, reason, said, actor)
        candles = sum(count for _, _, count in gaps)
        details = {"holes": len(ids), "candles": candles, "start": gaps[0][0], "end": gaps[-1][1], "note": said}
        self._audit.add(actor, MARK, series.key, reason, **details)
        return Marked(len(ids), candles, tuple(ids))


def _checked_note(reason: str, note: str) -> str:
    clean = note.strip()
    if len(clean) > _LONGEST_NOTE or (reason == OTHER and not clean):
        raise InputError(f"note: say in 1 to {_LONGEST_NOTE} characters what explains the hole, for example 'delisted'")
    return clean


def _candles(holes: Sequence[MarkedHole]) -> int:
    return sum(hole.candles for hole in holes)


def _ids(done: Sequence[Marked]) -> tuple[int, ...]:
    return tuple(id_ for one in done for id_ in one.ids)
