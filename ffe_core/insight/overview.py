"""Overview of all series: a row a series, sums, and what needs attention.

What is stored and what is missing is what the Coverage page says, so a data file is read once at most.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ffe_core import times
from ffe_core.insight.answers import Answers, same
from ffe_core.insight.coverage import Coverage, SeriesCoverage, SeriesCoverages
from ffe_core.insight.lag import Lags
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings
from ffe_core.storage.lake.snapshot import DamagedTable
from ffe_core.storage.state.runs import CANCELLED, FAILED, INTERRUPTED, LastRun, RunStore
from ffe_core.storage.watermark_store import WatermarkStore


@dataclass(frozen=True, slots=True)
class SeriesOverview:
    """One series; times in epoch seconds, `lag` in market-open seconds."""

    series: Series
    stored: int | None
    """Bars; None where nothing can be counted."""
    oldest: int | None
    watermark: int | None
    lag: int | None
    unexplained: int | None
    """Between the first bar asked for or stored and the last; None where nothing can be counted."""
    last_run: int | None
    last_state: str | None
    is_stale: bool = False
    """Behind by more than a few bars."""
    is_stored: bool = True
    """False for one that was only asked for."""


@dataclass(frozen=True)
class Alike:
    """Series with the same trouble and the same remedy: of one run that stopped, or of a provider and a timeframe."""

    rows: tuple[SeriesOverview, ...]

    @cached_property
    def unexplained(self) -> int:
        """Bars missing without a reason."""
        return sum(row.unexplained or 0 for row in self.rows)

    @cached_property
    def lag(self) -> int:
        """That of the series furthest behind, market-open seconds."""
        return max(row.lag or 0 for row in self.rows)


@dataclass(frozen=True)
class Overview:
    """Everything on one page."""

    rows: tuple[SeriesOverview, ...]
    trouble: str | None = None
    """Why nothing could be counted: a data file cannot be read, say."""

    @cached_property
    def there(self) -> tuple[SeriesOverview, ...]:
        """The series that are stored, or were read: what a run asked for in vain is none."""
        return tuple(row for row in self.rows if row.is_stored)

    @cached_property
    def stored(self) -> int:
        """Bars stored over all series."""
        return sum(row.stored or 0 for row in self.rows)

    @cached_property
    def worst(self) -> SeriesOverview | None:
        """The series furthest behind; None if none has a watermark."""
        return max((row for row in self.rows if row.lag is not None), key=lambda row: row.lag or 0, default=None)

    @cached_property
    def unexplained(self) -> int:
        """Bars missing without a reason."""
        return sum(row.unexplained or 0 for row in self.rows)

    @cached_property
    def stopped(self) -> list[Alike]:
        """Series whose last run did not come to its end, by that run."""
        return _alike((row for row in self.rows if row.last_state in STOPPED), lambda row: row.last_run)

    @cached_property
    def holed(self) -> list[Alike]:
        """Series with bars missing without a reason, other than by a run that failed."""
        return _alike((row for row in self.rows if row.unexplained and row.last_state != FAILED), _kind)

    @cached_property
    def stale(self) -> list[Alike]:
        """Series that are behind."""
        return _alike((row for row in self.rows if row.is_stale), _kind)

    @cached_property
    def by_need(self) -> list[SeriesOverview]:
        """What is `there`, first the series whose last run stopped, that lack bars or that are behind."""
        return sorted(self.there, key=lambda row: not (row.last_state in STOPPED or row.unexplained or row.is_stale))


class Overviews:
    """The overview of one lake; keep one a process, it draws up a new one only where something has changed."""

    def __init__(self, coverage: Coverage, watermarks: WatermarkStore, runs: RunStore, settings: Settings) -> None:
        self._coverage, self._watermarks, self._runs, self._settings = coverage, watermarks, runs, settings
        self._kept = Answers[_Given, Overview](1)

    def now(self) -> Overview:
        """A row for every series that is stored or was run; lags are at most ten seconds old.

        StorageError if the database or a table's log cannot be read; a data file that cannot is told as `trouble`.
        """
        try:
            counted, trouble = self._coverage.of(self._coverage.series()), None
        except DamagedTable as error:
            counted, trouble = None, str(error)
        at = times.now()
        given = _Given((counted, self._watermarks.marks(), self._runs.last_of_series()), at // _SECONDS, trouble)
        return self._kept.get("all", given, lambda: self._drawn(*given.found, Lags(self._settings, at), trouble))

    def _drawn(
        self,
        counted: SeriesCoverages | None,
        marks: Mapping[Series, Watermarks],
        last: Mapping[Series, LastRun],
        lags: Lags,
        trouble: str | None,
    ) -> Overview:
        found = {one.series: one for one in counted or ()}
        known = sorted({*found, *marks, *last})
        rows = (_row(one, found.get(one), marks.get(one, Watermarks()), last.get(one), lags) for one in known)
        return Overview(tuple(rows), trouble)


class _Given(NamedTuple):
    """What an overview hangs on."""

    found: tuple[SeriesCoverages | None, Mapping[Series, Watermarks], Mapping[Series, LastRun]]
    moment: int
    trouble: str | None

    def is_as(self, before: _Given) -> bool:
        """Whether nothing has changed."""
        return same(self.found, before.found) and self[1:] == before[1:]


_SECONDS = 10
STOPPED = (FAILED, INTERRUPTED, CANCELLED)
"""States of runs that did not come to their end."""


def _alike(rows: Iterable[SeriesOverview], key: Callable[[SeriesOverview], Hashable]) -> list[Alike]:
    groups: dict[Hashable, list[SeriesOverview]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return [Alike(tuple(some)) for some in groups.values()]


def _kind(row: SeriesOverview) -> Hashable:
    return row.series.provider, row.series.timeframe


def _row(
    series: Series, found: SeriesCoverage | None, marks: Watermarks, last: LastRun | None, lags: Lags
) -> SeriesOverview:
    counts = found.counts if found and found.account else None
    return SeriesOverview(
        series,
        counts.stored + counts.extra if counts else None if marks.watermark is not None else 0,
        marks.low if marks.low is not None or not counts else found.start,  # type: ignore[union-attr]
        marks.watermark,
        lags.of(series, marks),
        counts.unexplained if counts else None,
        last.run_id if last else None,
        last.state if last else None,
        lags.behind(series, marks),
        found is not None or marks != Watermarks(),
    )
