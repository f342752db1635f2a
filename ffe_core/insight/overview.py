"""Overview of all series: a row a series, sums, and what needs attention.

What is stored and what is missing is what the Coverage page says, so a data file is read once at most.
"""

from __future__ import annotations

from dataclasses import dataclass

from ffe_core.insight.coverage import Coverage, SeriesCoverage
from ffe_core.insight.freshness import is_behind
from ffe_core.insight.lag import lag
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings
from ffe_core.storage.lake.snapshot import DamagedTable
from ffe_core.storage.state.runs import LastRun, RunStore
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
    is_stored: bool = True
    """False for one that was only asked for."""

    @property
    def is_stale(self) -> bool:
        """Behind by more than a few bars of market time."""
        return is_behind(self.series, self.lag)


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything on one page."""

    rows: tuple[SeriesOverview, ...]
    trouble: str | None = None
    """Why nothing could be counted: a data file cannot be read, say."""

    @property
    def there(self) -> tuple[SeriesOverview, ...]:
        """The series that are stored, or were read: what a run asked for in vain is none."""
        return tuple(row for row in self.rows if row.is_stored)

    @property
    def stored(self) -> int:
        """Bars stored over all series."""
        return sum(row.stored or 0 for row in self.rows)

    @property
    def worst(self) -> SeriesOverview | None:
        """The series furthest behind; None if none has a watermark."""
        return max((row for row in self.rows if row.lag is not None), key=lambda row: row.lag or 0, default=None)

    @property
    def unexplained(self) -> int:
        """Bars missing without a reason."""
        return sum(row.unexplained or 0 for row in self.rows)


def overview(coverage: Coverage, watermarks: WatermarkStore, runs: RunStore, settings: Settings) -> Overview:
    """A row for every series that is stored or was run. StorageError if the database or a table's log cannot be read;
    a data file that cannot is told as `trouble`."""
    trouble = None
    try:
        counted = {one.series: one for one in coverage.of(coverage.series())}
    except DamagedTable as error:
        counted, trouble = {}, str(error)
    marks = {entry.series: entry.marks for entry in watermarks.entries() if entry.series.provider}
    last = runs.last_of_series()
    known = sorted({*counted, *marks, *last})
    rows = (
        _row(series, counted.get(series), marks.get(series, Watermarks()), last.get(series), settings)
        for series in known
    )
    return Overview(tuple(rows), trouble)


def _row(
    series: Series, found: SeriesCoverage | None, marks: Watermarks, last: LastRun | None, settings: Settings
) -> SeriesOverview:
    counts = found.counts if found and found.account else None
    return SeriesOverview(
        series,
        counts.stored + counts.extra if counts else None if marks.watermark is not None else 0,
        marks.low if marks.low is not None or not counts else found.start,  # type: ignore[union-attr]
        marks.watermark,
        lag(series, marks, settings),
        counts.unexplained if counts else None,
        last.run_id if last else None,
        last.state if last else None,
        found is not None or marks != Watermarks(),
    )
