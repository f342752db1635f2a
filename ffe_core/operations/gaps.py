"""Acknowledgement of gaps by hand: missing bars are marked one or many at a time, and taken back.

Only what is missing and unexplained now is marked, never a whole range: what goes missing later is a new gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ffe_core import times
from ffe_core.errors import InputError
from ffe_core.insight.coverage import Coverage, SeriesCoverage, SeriesCoverages
from ffe_core.intervals import Times, intersect, total_before
from ffe_core.series import Series
from ffe_core.storage.state.acknowledged_gaps import OTHER, AcknowledgedGap, AcknowledgedGaps, check_reason
from ffe_core.storage.state.audit import Audit

MARK, UNMARK = "mark", "unmark"
_LONGEST_NOTE = 500

Asked = tuple[Series, int | None, int | None]
"""A series and a range [start, end) of it, epoch seconds; as far as it reaches without them."""
_Gaps = list[tuple[int, int, int]]
"""Each start, end and number of candles."""


@dataclass(frozen=True, slots=True)
class Marked:
    """What was marked: how many gaps, and how many bars in them."""

    gaps: int
    candles: int
    ids: tuple[int, ...] = ()
    left_out: tuple[str, ...] = ()
    """Why nothing was marked of what else was asked for."""


@dataclass(frozen=True, slots=True)
class GapState:
    """A marked gap as it stands now: bars that arrived since have opened it again, as far as they go."""

    gap: AcknowledgedGap
    arrived: int
    """How many of its bars are there now, as candles or dead letters."""

    @property
    def state(self) -> str:
        """marked, partly reopened or reopened."""
        if not self.arrived:
            return "marked"
        return "reopened" if self.arrived >= self.gap.candles else "partly reopened"


class GapVerbs:
    """Marks what `coverage` finds unexplained."""

    def __init__(self, coverage: Coverage, acknowledged: AcknowledgedGaps, audit: Audit) -> None:
        self._coverage, self._acknowledged, self._audit = coverage, acknowledged, audit

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
        return self.mark_each([(series, start, end)], reason, actor, note)

    def mark_each(self, asked: Iterable[Asked], reason: str, actor: str, note: str = "") -> Marked:
        """Explain what is missing in several ranges; one where nothing is left to explain stops no other.

        InputError as for `mark`: here only if nothing is unexplained in any of them.
        """
        check_reason(reason)
        ranges: dict[Series, list[tuple[int | None, int | None]]] = {}
        for series, start, end in asked:
            ranges.setdefault(series, []).append((start, end))
        if not ranges:
            raise InputError("no series is given; name at least one", field="series")
        # All are looked at first, so that what cannot be read is known before anything is marked.
        found = {series: self._unexplained(series, of_it) for series, of_it in ranges.items()}
        left_out = tuple(why for _, whys in found.values() for why in whys)
        if not any(gaps for gaps, _ in found.values()):
            raise InputError("\n".join(left_out), field="range")
        done = [self._mark(one, gaps, reason, actor, note) for one, (gaps, _) in found.items() if gaps]
        return _together(done, left_out)

    def mark_asked_twice(
        self, series: Sequence[Series], reason: str, actor: str, note: str = "asked twice, the provider has nothing"
    ) -> Marked:
        """Explain what the provider was asked for twice in vain, of several series at once.

        InputError if there is nothing of the kind: the mode gaps asks again.
        """
        check_reason(reason)
        twice = self._acknowledged.asked_twice_by_series()
        done = [
            self._mark(found.series, gaps, reason, actor, note)
            for found in self._coverage.of([one for one in series if one in twice])
            if (gaps := _within(found, twice[found.series]))
        ]
        if not done:
            raise InputError(
                "nothing was asked for twice in vain; fill the gaps first, then mark what is left", field="range"
            )
        return _together(done)

    def offered(self, found: SeriesCoverages) -> list[tuple[Series, int]]:
        """The series of which unexplained bars were asked for twice in vain, and so can be marked at once: how many."""
        twice = self._acknowledged.asked_twice_by_series()
        if not twice:
            return []
        gaps = [(series, _within(one, twice[series])) for series, one in found.by_series.items() if series in twice]
        return [(series, sum(candles for _, _, candles in own)) for series, own in gaps if own]

    def unmark(self, ids: Sequence[int], actor: str, reason: str = "") -> int:
        """Take marks back: bars that have not come are unexplained again. InputError if no such mark is known."""
        known = self._acknowledged.get(ids)
        if not known:
            raise InputError(
                f"there is no marked gap of id {', '.join(map(str, ids))}; the coverage page lists them", field="gap"
            )
        for series in sorted({gap.series for gap in known}):
            own = [gap for gap in known if gap.series == series]
            with self._audit.act(actor, UNMARK, series.key, reason, gaps=len(own), candles=_candles(own)):
                self._acknowledged.remove([gap.id for gap in own])
        return len(known)

    def states(self, series: Sequence[Series]) -> list[GapState]:
        """Every marked gap of some series, with what has arrived in it since."""
        marked: dict[Series, list[AcknowledgedGap]] = {}
        for gap in self._acknowledged.all():
            marked.setdefault(gap.series, []).append(gap)
        if not marked:
            return []
        return [state for one in series if one in marked for state in self._states(one, marked[one])]

    # -- inside

    def _states(self, series: Series, acknowledged: Sequence[AcknowledgedGap]) -> list[GapState]:
        found = self._coverage.of(
            [series], min(gap.start for gap in acknowledged), max(gap.end for gap in acknowledged)
        )[0]
        if found.account is None:
            return [GapState(gap, 0) for gap in acknowledged]
        bars = found.account.bars
        edges = bars.rank(np.array([edge for gap in acknowledged for edge in (gap.start, gap.end)], dtype=np.int64))
        still = np.diff(total_before(found.account.marked, edges).reshape(-1, 2)).ravel().tolist()
        return [GapState(gap, gap.candles - left) for gap, left in zip(acknowledged, still, strict=True)]

    def _unexplained(self, series: Series, ranges: Sequence[tuple[int | None, int | None]]) -> tuple[_Gaps, list[str]]:
        """The unexplained parts of some ranges of a series, and what is to be said of ranges that have none."""
        starts, ends = zip(*ranges, strict=True)
        found = self._coverage.of([series], _outermost(starts, min), _outermost(ends, max))[0]
        if found.account is None:
            return [], [f"{series}: {found.trouble}"]
        whole = [(found.start if start is None else start, found.end if end is None else end) for start, end in ranges]
        edges = np.array(whole, dtype=np.int64)
        left = np.diff(total_before(found.account.unexplained, found.account.bars.rank(edges.ravel())).reshape(-1, 2))
        nothing = [_nothing_left(series, *ranges[at]) for at in np.flatnonzero(left.ravel() == 0).tolist()]
        return _within(found, edges), nothing

    def _mark(self, series: Series, gaps: _Gaps, reason: str, actor: str, note: str) -> Marked:
        said = _checked_note(reason, note)
        candles = sum(count for _, _, count in gaps)
        details = {"gaps": len(gaps), "candles": candles, "start": gaps[0][0], "end": gaps[-1][1], "note": said}
        with self._audit.act(actor, MARK, series.key, reason, **details):
            ids = self._acknowledged.add(series, gaps, reason, said, actor)
        return Marked(len(gaps), candles, tuple(ids))


def _within(found: SeriesCoverage, ranges: Times) -> _Gaps:
    """The unexplained parts of a series that lie in some ranges."""
    if found.account is None:
        return []
    bars = found.account.bars
    ranks = intersect(found.account.unexplained, bars.ranks_within(ranges))
    candles = (ranks[:, 1] - ranks[:, 0]).tolist()
    return [(start, end, count) for (start, end), count in zip(bars.ranges(ranks).tolist(), candles, strict=True)]


def _outermost(edges: Sequence[int | None], pick: Callable[[list[int]], int]) -> int | None:
    """The first or the last of some edges; None if one of them is open."""
    known = [edge for edge in edges if edge is not None]
    return pick(known) if len(known) == len(edges) else None


def _nothing_left(series: Series, start: int | None, end: int | None) -> str:
    edges = ["its beginning" if start is None else times.iso(start), "its end" if end is None else times.iso(end)]
    where = "" if start is None and end is None else f", {edges[0]} to {edges[1]}"
    return f"nothing is missing without a reason in {series}{where}; see the coverage for its gaps"


def _checked_note(reason: str, note: str) -> str:
    clean = note.strip()
    if len(clean) > _LONGEST_NOTE or (reason == OTHER and not clean):
        raise InputError(
            f"say in 1 to {_LONGEST_NOTE} characters what explains the gap, for example 'delisted'", field="note"
        )
    return clean


def _candles(acknowledged: Sequence[AcknowledgedGap]) -> int:
    return sum(gap.candles for gap in acknowledged)


def _together(done: Sequence[Marked], left_out: tuple[str, ...] = ()) -> Marked:
    ids = tuple(id_ for one in done for id_ in one.ids)
    return Marked(len(ids), sum(one.candles for one in done), ids, left_out)
