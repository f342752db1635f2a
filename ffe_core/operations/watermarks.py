"""Watermark moves by hand: rewound, forgotten, and put back, each seen beforehand and explained.

A move is a commit without rows that carries the new marks, who moved them and why, so the lake alone tells the story.
Rows are never touched: after a rewind the next resume reads again and finds repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ffe_core import times
from ffe_core.candles import SCHEMA
from ffe_core.errors import FFEError, InputError, sentence
from ffe_core.insight.coverage import calendar_of
from ffe_core.intervals import Times, join_ranges
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.runs.service import RunService
from ffe_core.providers import provider_class
from ffe_core.series import Series, Watermarks
from ffe_core.storage.leases import SeriesLease
from ffe_core.storage.state.audit import Audit, required_reason

REWIND, FORGET, UNDO = "rewind", "forget", "undo"
_HISTORY_AT_ONCE = 256
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Rewind:
    """What a rewind would do; times in epoch seconds."""

    series: Series
    before: Watermarks
    after: Watermarks
    bars: int
    """Expected bars that the next resume reads again, up to the watermark of now."""
    stored: int
    """How many of them are stored, and so come back as repeats or restatements."""
    requests: int
    seconds: float
    """Least time at the provider's rate; 0 where it has no limit."""
    trouble: str | None = None
    """Why the cost is not known, if it is not: the provider's credentials are missing, for example."""


@dataclass(frozen=True, slots=True)
class Move:
    """The last commit of a series, if it moved the marks by hand."""

    verb: str
    actor: str
    reason: str
    before: Watermarks
    after: Watermarks
    version: int
    at: float


class WatermarkVerbs:
    """Moves marks under the series' lease, through the guard of every commit."""

    def __init__(self, service: RunService, audit: Audit) -> None:
        self._service, self._lake = service, service.lake
        self._store, self._audit = service.stores.watermarks, audit

    def pairs(self, provider: str) -> set[str]:
        """Stored names of a provider's pairs that have marks."""
        return {one.series.asset_pair for one in self._store.entries() if one.series.provider == provider}

    def preview(self, series: Series, to: times.Instant) -> Rewind:
        """What rewinding to the bar that opens at `to` would do.

        InputError with the nearest valid values for a bar that cannot be the watermark.
        """
        before = self._lake.marks(series)
        target = self._valid(series, before, times.parse_instant(to, "to"))
        assert before.watermark is not None
        start, end = target + series.step, before.watermark + series.step
        calendar = calendar_of(series, self._service.settings)
        bars = calendar.expected_count(series.timeframe, start, end)
        stored = len(self._lake.stored_open_times(series, start, end))
        requests, seconds, trouble = self._cost(series, start, end)
        return Rewind(series, before, Watermarks(target, before.low), bars, stored, requests, seconds, trouble)

    def suggestion(self, series: Series) -> int | None:
        """A bar to rewind to: the last that can be, a day or more before the watermark; None if there is none."""
        marks = self._lake.marks(series)
        if marks.watermark is None or marks.low is None:
            return None
        bars = self._candidates(series, marks.low, marks.watermark)
        found, first = _around(bars, series.step, marks.watermark - times.DAY + 1)
        return next((at for at in (found, first) if _LIMITS[0] <= at < marks.watermark), None)

    def rewind(self, series: Series, to: times.Instant, actor: str, reason: str) -> Watermarks:
        """Move the watermark back to the bar that opens at `to`; the low mark stays. Returns the new marks.

        InputError as `preview`, and without a reason; SeriesHeld while a run works on the series; CommitConflict if
        another writer was faster.
        """
        why, wanted = required_reason(reason), times.parse_instant(to, "to")

        def after(before: Watermarks) -> Watermarks:
            return Watermarks(self._valid(series, before, wanted), before.low)

        return self._move(series, REWIND, after, actor, why)

    def forget(self, series: Series, actor: str, reason: str) -> Watermarks:
        """Forget how far a series was read; its rows stay, and the next backfill reads everything it is asked for."""
        why = required_reason(reason)

        def after(before: Watermarks) -> Watermarks:
            if before == Watermarks():
                raise InputError(f"{series} has no watermark; there is nothing to forget", field="watermark")
            return Watermarks()

        return self._move(series, FORGET, after, actor, why)

    def undo(self, series: Series, actor: str, reason: str = "undone", shown: Move | None = None) -> Watermarks:
        """Put the marks back as they were before the last move, which is `shown` if that is given.

        InputError if anything was committed since.
        """

        def after(before: Watermarks) -> Watermarks:
            move = self.last_move(series)
            if move is not None and shown is not None and move.version != shown.version:
                what = f"{series} has a {move.verb} by {move.actor} since"
                raise InputError(f"{what}; look at it again, then undo that one", field="undo")
            if move is None or move.after != before:
                raise InputError(
                    f"the last commit of {series} is no rewind and no forget; rewind it to where you want it",
                    field="undo",
                )
            return move.before

        return self._move(series, UNDO, after, actor, required_reason(reason))

    def last_move(self, series: Series) -> Move | None:
        """The rewind or forget that can be undone: the last commit of the series, if it is one."""
        table = self._lake.open(series.table)
        if table is None:
            return None
        newest, looked = table.version(), 0
        while looked <= newest:
            commits = table.history(looked + _HISTORY_AT_ONCE)
            for commit in commits[looked:]:
                if commit.get("operation") == "WRITE" and commit.get("series", series.key) == series.key:
                    return _move_of(commit)
            if len(commits) < looked + _HISTORY_AT_ONCE:
                return None
            looked = len(commits)
        return None

    def bring_up_to_date(self, series: Sequence[Series], actor: str, source: str = "console") -> list[int]:
        """Start a backfill from each watermark to now, one run for each provider; returns their numbers.

        InputError for a series without a watermark or credentials, SeriesHeld for one that is worked on: nothing is
        started then.
        """
        requests = [self._to_now(list(some)) for some in _by_provider(series)]
        for request in requests:
            provider_class(request.provider)(config=self._service.settings)
        self._service.check_free(series)
        return [self._service.start(request, actor, source) for request in requests]

    def _to_now(self, series: Sequence[Series]) -> BackfillRequest:
        """A request that continues each of some series of one provider: each from its own mark, as resuming does, and
        from none further back, as none reaches beyond the newest mark."""
        marks = {one: self._lake.marks(one).watermark for one in series}
        if missing := [str(one) for one, mark in marks.items() if mark is None]:
            told = ", ".join(missing[:_MOST_NAMED])
            raise InputError(f"{told} has no watermark; start a backfill and choose from when", field="watermark")
        start = max(mark for mark in marks.values() if mark is not None)
        return BackfillRequest(series[0].provider, tuple(series), start, times.now())

    # -- inside

    def _move(
        self, series: Series, verb: str, after: Callable[[Watermarks], Watermarks], actor: str, reason: str
    ) -> Watermarks:
        self._service.check_free([series])
        with SeriesLease(self._service.locks, series, f"{verb} by {actor}").acquire():
            before = self._lake.marks(series)
            self._store.put(series, before)  # the copy of a move that was killed before it, even if this one is refused
            marks = after(before)
            moved = {**_spelled("before", before), **_spelled("after", marks)}
            note = {"verb": verb, "actor": actor, "reason": reason, **moved}
            with self._audit.act(actor, verb, series.key, reason, **moved) as act:
                done = self._lake.commit(series, SCHEMA.empty_table(), before, marks, note)
                act.note(version=done.version)
                self._store.put(series, marks)
        return marks

    def _valid(self, series: Series, marks: Watermarks, to: int) -> int:
        """`to`, if a bar that opens then is expected or stored, at or after the first and before the watermark."""
        if marks.watermark is None or marks.low is None:
            raise InputError(f"{series} has no watermark; there is nothing to rewind", field="watermark")
        bars = self._candidates(series, marks.low, marks.watermark)
        earlier, later = _around(bars, series.step, to)
        if earlier < to < later and _holds(bars, series.step, to):
            return to
        why = _why_not(series, marks.watermark, bars, to)
        near = [times.iso(at) for at in (earlier, later) if at in range(*_LIMITS)]
        are = "is" if len(near) == 1 else "are"
        nearest = f"the nearest that can {are} {' and '.join(near)}" if near else "no other bar can"
        raise InputError(f"{_told(to)} cannot be the watermark of {series}: {why}; {nearest}", field="to")

    def _candidates(self, series: Series, low: int, watermark: int) -> Times:
        """Runs of the bars that are expected or stored, from the first candle to the one before the watermark."""
        held = self._lake.stored_ranges(series, low, watermark)
        first = int(held[:, 0].min()) if len(held) else low
        calendar = calendar_of(series, self._service.settings)
        return join_ranges([calendar.expected_ranges(series.timeframe, first, watermark), held], series.step)

    def _cost(self, series: Series, start: int, end: int) -> tuple[int, float, str | None]:
        """Requests and least seconds of reading [start, end) again; 0 and why where the provider cannot say."""
        try:
            provider = provider_class(series.provider)(config=self._service.settings)
            provider.check(series.asset_pair, series.timeframe)
            requests = len(provider.pages(series.asset_pair, series.timeframe, start, end))
        except (FFEError, InputError) as error:
            return 0, 0.0, sentence(error)
        rate = provider.requests_per_second
        return requests, requests / rate if rate else 0.0, None


_LIMITS = (-(2**62), 2**62)


def _around(runs: Times, step: int, at: int) -> tuple[int, int]:
    """The last open before `at` and the first after it; beyond `_LIMITS` where there is none."""
    starts, ends = runs[:, 0], runs[:, 1]
    before = starts + (np.minimum(at, ends) - starts - 1) // step * step
    after = starts + np.maximum((at - starts) // step + 1, 0) * step
    earlier, later = before[starts < at], after[after < ends]
    return int(earlier.max(initial=_LIMITS[0] - 1)), int(later.min(initial=_LIMITS[1]))


def _holds(runs: Times, step: int, at: int) -> bool:
    return bool(((runs[:, 0] <= at) & (at < runs[:, 1]) & ((at - runs[:, 0]) % step == 0)).any())


def _why_not(series: Series, watermark: int, runs: Times, at: int) -> str:
    if at > times.now():
        return "it lies in the future"
    if at >= watermark:
        return f"a rewind goes back, and the watermark is at {times.iso(watermark)}"
    if len(runs) == 0 or at < runs[:, 0].min():
        return "it lies before the first candle"
    if at % series.grid:
        return f"it is off the grid of {series.timeframe} bars"
    return "its market is closed then"


def _told(epoch: int) -> str:
    try:
        return times.iso(epoch)
    except (ValueError, OverflowError, OSError):
        return f"{epoch} s"


def _spelled(when: str, marks: Watermarks) -> dict[str, str]:
    """Marks as text for a commit's metadata."""
    named = {f"{when}_watermark": marks.watermark, f"{when}_low": marks.low}
    return {name: "" if mark is None else times.iso(mark) for name, mark in named.items()}


def _read(when: str, commit: Mapping[str, Any]) -> Watermarks:
    watermark, low = (commit.get(f"{when}_{name}") for name in ("watermark", "low"))
    return Watermarks(*(times.parse_instant(text) if text else None for text in (watermark, low)))


def _move_of(commit: Mapping[str, Any]) -> Move | None:
    """A commit as a move, if it is a rewind or a forget."""
    if commit.get("verb") not in (REWIND, FORGET):
        return None
    return Move(
        verb=commit["verb"],
        actor=commit.get("actor", ""),
        reason=commit.get("reason", ""),
        before=_read("before", commit),
        after=_read("after", commit),
        version=int(commit.get("version", 0)),
        at=commit.get("timestamp", 0) / 1000,
    )


def _by_provider(series: Iterable[Series]) -> Iterable[Sequence[Series]]:
    """The series of each provider together, each once."""
    found: dict[str, dict[Series, None]] = {}
    for one in series:
        found.setdefault(one.provider, {})[one] = None
    return [list(some) for some in found.values()]
