"""Coverage of series: exact counts and gaps of any series, from the lake, as ranges.

The lake's files are read once (see `StoredRuns`); everything else is arithmetic on ranges, so a look at a hundred
pairs over years costs little, and no candle is ever an object. What counts as what is said in `ingestion.completeness`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from ffe_core import times
from ffe_core.calendars import MarketCalendar
from ffe_core.calendars.expected import ExpectedBars
from ffe_core.calendars.hour_grid import in_words
from ffe_core.completeness import COUNTS, KINDS, Account, Completeness, Kind, account
from ffe_core.errors import InputError, sentence
from ffe_core.ingestion import plan
from ffe_core.ingestion.listing import notes
from ffe_core.insight.answers import Answers, same
from ffe_core.insight.former_grid import FormerGrid, former_grid
from ffe_core.insight.known import KnownSeries
from ffe_core.intervals import NONE, Times, intersect, minus, union
from ffe_core.providers import flags_completion
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings
from ffe_core.storage.lake.range_cache import RangeCache
from ffe_core.storage.lake.snapshot import Snapshot
from ffe_core.storage.lake.stored_ranges import ALWAYS, StoredRanges
from ffe_core.storage.stores import Stores
from ffe_core.timeframes import TIMEFRAMES, floor

_UNEXPLAINED: tuple[Kind, ...] = ("unexplained",)


class Gap(NamedTuple):
    """Missing bars that follow one another in market time: opens in [start, end), epoch seconds."""

    series: Series
    start: int
    end: int
    candles: int
    kind: Kind
    in_outage: bool = False
    """Whether every pair of the provider lacks all of it."""


class Outage(NamedTuple):
    """A time [start, end) that every stored pair of a provider lacks at a timeframe, of two or more pairs."""

    provider: str
    timeframe: str
    start: int
    end: int
    pairs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class SeriesCoverage:
    """One series over opens in [start, end), epoch seconds; `account` is None where the calendar cannot say."""

    series: Series
    start: int
    end: int
    account: Account | None = None
    trouble: str | None = None
    """Why there are no counts: the calendar was asked beyond what it knows."""
    hour_grid: str | None = None
    """Where in the hour the bars are expected to open, in words; None where there is no choice."""
    notes: tuple[str, ...] = ()
    """What to say of a range of which a part lies outside the listing."""
    former_grid: FormerGrid | None = None
    """Stored bars on another hour grid than is expected now."""
    asked_from: int | None = None
    """The earliest instant asked to completion or stored, epoch seconds; before it nobody ever asked."""

    @cached_property
    def counts(self) -> Completeness:
        """The six counts, not to be changed; all 0 where there is no account."""
        return self.account.completeness() if self.account else Completeness()

    def gaps(self, kinds: Iterable[Kind] = KINDS) -> list[Gap]:
        """Ranges of missing bars, by time, each of one kind."""
        found: list[Gap] = []
        for kind in kinds if self.account else ():
            ranges, candles = self.account.gaps(kind)  # type: ignore[union-attr]
            rows = zip(ranges.tolist(), candles.tolist(), strict=True)
            found += [Gap(self.series, start, end, count, kind) for (start, end), count in rows]
        return sorted(found, key=lambda gap: gap.start)


class SeriesCoverages(tuple[SeriesCoverage, ...]):
    """The coverage of several series, and what follows from all of it, worked out once and when it is asked for."""

    @cached_property
    def counted(self) -> list[SeriesCoverage]:
        """Those that have an account."""
        return [one for one in self if one.account is not None]

    @cached_property
    def uncounted(self) -> list[SeriesCoverage]:
        """Those whose calendar cannot say."""
        return [one for one in self if one.trouble]

    @cached_property
    def noted(self) -> list[SeriesCoverage]:
        """Those of which something is to be said."""
        return [one for one in self if one.notes]

    @cached_property
    def former_grids(self) -> list[FormerGrid]:
        """Stored bars on another hour grid than is expected now."""
        return [one.former_grid for one in self if one.former_grid]

    @cached_property
    def by_series(self) -> dict[Series, SeriesCoverage]:
        """Each by its series."""
        return {one.series: one for one in self}

    @cached_property
    def counts(self) -> dict[str, int]:
        """The six counts over all of them, by name."""
        return {name: sum(getattr(one.counts, name) for one in self) for name in COUNTS}

    @cached_property
    def outages(self) -> list[Outage]:
        """What `outages` says of them."""
        return outages(self)

    @cached_property
    def largest_gaps(self) -> list[Gap]:
        """The largest unexplained gaps, as `largest_gaps` lists them."""
        return _largest(self, self.outages, _MOST_GAPS, _UNEXPLAINED)


class Coverage:
    """Answers for every series of one lake; keep one a process, it remembers the files it has read."""

    def __init__(self, stores: Stores, remembered: RangeCache | None = None) -> None:
        self._settings, self._queue, self._watermarks = stores.settings, stores.queue, stores.watermarks
        self._acknowledged, self._stores = stores.acknowledged, stores
        self._stored = StoredRanges(stores.lake, remembered)
        self._expected = lru_cache(maxsize=256)(ExpectedBars.of)
        self._accounts: dict[tuple[Series, int, int], tuple[tuple[ExpectedBars, Times, bytes, bytes], Account]] = {}
        self._answers = Answers[_Given, SeriesCoverages](_ANSWERS)
        self._known: tuple[tuple[object, ...], KnownSeries] = (), KnownSeries()

    def series(self) -> KnownSeries:
        """Every series with rows in the lake or with marks, sorted; the very same ones as long as nothing has changed.
        StorageError if the lake cannot be read."""
        marks = self._watermarks.marks()
        given, (before, known) = (*self._stored.versions(), marks), self._known
        if not same(given, before):
            stored = {series for timeframe in TIMEFRAMES for series in self._stored.read(timeframe)}
            known = KnownSeries(sorted(stored | set(marks)))
            self._known = given, known
        return known

    def unread(self) -> Counter[tuple[str, str]]:
        """How many data files of each pair and timeframe nobody has read yet. StorageError."""
        return self._stored.unread()

    def of(
        self, series: Sequence[Series], start: int | None = None, end: int | None = None, now: int | None = None
    ) -> SeriesCoverages:
        """Each series over opens in [start, end), epoch seconds, cut at the last closed bar.

        Without a start, from the earliest instant asked for or stored; without an end, to the last bar stored. Raises
        StorageError; a calendar asked beyond its horizon is told in the series' `trouble`. The same question gets the
        very same answer as long as nothing has changed.
        """
        looked = _Look(start, end, times.now() if now is None else now)
        given, asked = self._given(looked), series if isinstance(series, KnownSeries) else KnownSeries(series)
        return self._answers.get((asked, start, end), given, lambda: self._answer(asked, looked, given))

    def _given(self, looked: _Look) -> _Given:
        grace = self._settings.close_grace_seconds
        return _Given(
            self._stored.versions(),
            self._watermarks.marks(),
            self._queue.open_times_by_series(looked.first, looked.last),
            self._acknowledged.ranges_by_series(looked.first, looked.last),
            (self._stores.known_version, looked.now // times.MINUTE, (looked.now - grace) // times.MINUTE),
        )

    def _answer(self, series: Sequence[Series], looked: _Look, given: _Given) -> SeriesCoverages:
        held, marks = self._held(series, looked), given.marks
        if len(self._accounts) > max(_REMEMBERED, 2 * len(series)):
            self._accounts.clear()

        def one(item: Series) -> SeriesCoverage:
            runs, own = held.get(item, NONE), marks.get(item, Watermarks())
            start, end = self._range(item, runs, own, looked)
            dead = _between(given.dead.get(item.key, _NO_OPEN_TIMES), start, end)
            return self._one(item, start, end, runs, dead, given.marked.get(item, NONE), _first(runs, own))

        return SeriesCoverages(map(one, series))

    def _one(
        self, series: Series, start: int, end: int, held: Times, dead: Times, marked: Times, asked_from: int | None
    ) -> SeriesCoverage:
        try:
            calendar = calendar_of(series, self._settings)
            bars = self._expected(calendar, series.timeframe, start, end)
        except InputError as error:
            return SeriesCoverage(series, start, end, trouble=sentence(error))
        key = (series, start, end)
        known = self._accounts.get(key)
        given = (bars, held, dead.tobytes(), marked.tobytes())
        if known is None or known[0][0] is not bars or known[0][1] is not held or known[0][2:] != given[2:]:
            known = self._accounts[key] = given, account(bars, start, end, held, dead, marked)
        return SeriesCoverage(
            series,
            start,
            end,
            known[1],
            hour_grid=hour_grid(series, calendar),
            notes=tuple(notes(series, calendar, start, end)),
            former_grid=former_grid(series, calendar, known[1]),
            asked_from=asked_from,
        )

    def _held(self, series: Sequence[Series], looked: _Look) -> dict[Series, Times]:
        found: dict[Series, Times] = {}
        for timeframe in {item.timeframe for item in series}:
            pairs = {item.asset_pair for item in series if item.timeframe == timeframe}
            found |= self._stored.read(timeframe, pairs, looked.first, looked.last)
        return found

    def _range(self, series: Series, held: Times, marks: Watermarks, looked: _Look) -> tuple[int, int]:
        """What is looked at of a series, on its grid and closed."""
        ends = [mark + series.step for mark in (marks.watermark,) if mark is not None]
        ends += [int(held[:, 1].max())] if len(held) else []
        start = looked.start if looked.start is not None else _first(held, marks) or 0
        end = looked.end if looked.end is not None else max(ends, default=start)
        first, last = plan.on_grid(series, start, min(end, closed_before(series, self._settings, looked.now)))
        return first, max(first, last)


def _first(held: Times, marks: Watermarks) -> int | None:
    """The earliest instant asked to completion or stored."""
    return min((mark for mark in (marks.low, *held[:1, 0].tolist()) if mark is not None), default=None)


class _Look(NamedTuple):
    """What was asked for: a range that may be open at either end, and the present."""

    start: int | None
    end: int | None
    now: int

    @property
    def first(self) -> int:
        return ALWAYS[0] if self.start is None else self.start

    @property
    def last(self) -> int:
        return ALWAYS[1] if self.end is None else self.end


class _Given(NamedTuple):
    """What an answer hangs on besides the question."""

    tables: tuple[Snapshot | None, ...]
    marks: Mapping[Series, Watermarks]
    dead: Mapping[str, Times]
    marked: Mapping[Series, Times]
    calendars_and_minutes: tuple[int, int, int]
    """Bars of every timeframe close on a minute, the grace after it and the present counted apart."""

    def is_as(self, before: _Given) -> bool:
        """Whether nothing has changed."""
        return (
            self.marks is before.marks
            and self.calendars_and_minutes == before.calendars_and_minutes
            and same(self.tables, before.tables)
            and _equal(self.dead, before.dead)
            and _equal(self.marked, before.marked)
        )


def _equal(one: Mapping[Any, Times], other: Mapping[Any, Times]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(times, other[key]) for key, times in one.items())


_ANSWERS = 16
_MOST_GAPS = 25
_REMEMBERED = 5_000
"""Accounts kept for the next look: one a series and range, and more where more are looked at at once."""
_NO_OPEN_TIMES: Times = np.empty(0, dtype=np.int64)


def calendar_of(series: Series, settings: Settings) -> MarketCalendar:
    """The calendar that a series follows by the settings. InputError for an override that cannot be."""
    return settings.calendars.of(series.provider, series.asset_pair)


def hour_grid(series: Series, calendar: MarketCalendar) -> str | None:
    """Where in the hour the bars of an hourly share open, in words; None for any other series."""
    return in_words(calendar.hour_offset) if series.has_hour_grid else None


def closed_before(series: Series, settings: Settings, now: int) -> int:
    """Bars of the series that open before this instant are closed at `now`, as its provider judges."""
    grace = 0 if flags_completion(series.provider) else settings.close_grace_seconds
    return floor(now - grace, series.grid) - series.step + series.grid


def by_period(found: Sequence[SeriesCoverage], edges: Times) -> dict[str, Times]:
    """The six counts, each (series, periods) int64, of the periods between neighbouring ascending instants.

    Zeros where a series has no account.
    """
    ranks: dict[int, Times] = {}
    matrix = {name: np.zeros((len(found), len(edges) - 1), dtype=np.int64) for name in COUNTS}
    for row, one in enumerate(found):
        if one.account is not None:
            bars = one.account.bars
            known = ranks.get(id(bars))
            if known is None:
                known = ranks.setdefault(id(bars), bars.rank(edges))
            for name, counts in one.account.by_period_where_any(edges, known).items():
                matrix[name][row] = counts
    return matrix


def never_asked(found: Sequence[SeriesCoverage], edges: Times) -> np.ndarray:
    """(series, periods) bool: whether a period lies whole before what was ever asked for of a series, or after what
    is looked at of it. Its market may have been open or not; nobody has asked."""
    before = np.array([[one.start if one.asked_from is None else one.asked_from] for one in found]).reshape(-1, 1)
    after = np.array([[one.end] for one in found]).reshape(-1, 1)
    return np.asarray((edges[None, 1:] <= before) | (edges[None, :-1] >= after))


def outages(found: Sequence[SeriesCoverage]) -> list[Outage]:
    """When every looked-at pair of a provider lacks all bars of a timeframe at once, of two or more pairs; by time."""
    groups: dict[tuple[str, str], list[SeriesCoverage]] = {}
    for one in found:
        if one.account is not None and one.account.bars.count:
            groups.setdefault((one.series.provider, one.series.timeframe), []).append(one)
    found_outages = [outage for key, group in groups.items() for outage in _outages(*key, group)]
    return sorted(found_outages, key=lambda outage: (outage.start, outage.provider, outage.timeframe))


def largest_gaps(found: Sequence[SeriesCoverage], most: int = 50, kinds: Collection[Kind] = _UNEXPLAINED) -> list[Gap]:
    """The gaps with the most bars across all series, largest first; those inside an outage say so."""
    return _largest(found, outages(found), most, kinds)


def _largest(
    found: Iterable[SeriesCoverage], outages_: Iterable[Outage], most: int, kinds: Collection[Kind]
) -> list[Gap]:
    dark: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for outage in outages_:
        dark.setdefault((outage.provider, outage.timeframe), []).append((outage.start, outage.end))
    gaps = [gap for one in found if any(getattr(one.counts, kind) for kind in kinds) for gap in one.gaps(kinds)]
    gaps.sort(key=lambda gap: (-gap.candles, gap.start, gap.series))
    return [
        gap._replace(in_outage=_is_inside(gap, dark.get((gap.series.provider, gap.series.timeframe), ())))
        for gap in gaps[:most]
    ]


def _outages(provider: str, timeframe: str, group: Sequence[SeriesCoverage]) -> Iterable[Outage]:
    """A pair whose market is closed at the time has no say."""
    missing = {one.series.asset_pair: _missing(one.account) for one in group if one.account}
    there = [minus(union(one.account.bars.runs), _missing(one.account)) for one in group if one.account]
    for start, end in minus(_shared(list(missing.values())), union(*there)).tolist():
        at = np.array([[start, end]], dtype=np.int64)
        pairs = tuple(pair for pair, ranges in missing.items() if len(intersect(ranges, at)))
        yield Outage(provider, timeframe, start, end, pairs)


def _missing(found: Account) -> Times:
    return found.bars.spans(union(found.unexplained, found.marked))


def _shared(sets: Sequence[Times]) -> Times:
    """The time that lies in two or more of the sets."""
    starts = np.sort(np.concatenate([ranges[:, 0] for ranges in sets]))
    ends = np.sort(np.concatenate([ranges[:, 1] for ranges in sets]))
    edges = np.unique(np.concatenate((starts, ends)))
    depth = np.searchsorted(starts, edges, side="right") - np.searchsorted(ends, edges, side="right")
    deep = np.flatnonzero(depth[:-1] >= 2)
    return union(np.column_stack((edges[deep], edges[deep + 1])))


def _is_inside(gap: Gap, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(start <= gap.start and gap.end <= end for start, end in ranges)


def _between(open_times: Times, start: int, end: int) -> Times:
    return open_times[np.searchsorted(open_times, start) : np.searchsorted(open_times, end)]
