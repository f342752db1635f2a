"""What an analyst wants at nine in the morning: a row a series, sums, and what needs attention.

Only small things are read: watermarks.json, the tables' logs and the ledger; never a data file.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from ffe_core.insight.freshness import is_behind, lag
from ffe_core.insight.stored import stored_series
from ffe_core.series import Marks, Series
from ffe_core.settings import Settings
from ffe_core.storage.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.run_ledger import RunLedger
from ffe_core.storage.watermark_store import WatermarkStore


@dataclass(frozen=True, slots=True)
class SeriesOverview:
    """One series; times in epoch seconds, `lag` in market-open seconds."""

    series: Series
    stored: int
    oldest: int | None
    watermark: int | None
    lag: int | None
    unexplained: int | None
    """As the last run of the series counted it, for the range that was asked; None if it never ended one."""
    last_run: int | None
    last_state: str | None

    @property
    def is_stale(self) -> bool:
        """Behind by more than a few bars of market time."""
        return is_behind(self.series, self.lag)


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything on one page."""

    rows: tuple[SeriesOverview, ...]

    @property
    def stored(self) -> int:
        """Rows stored over all series."""
        return sum(row.stored for row in self.rows)

    @property
    def worst(self) -> SeriesOverview | None:
        """The series furthest behind; None if none has a watermark."""
        return max((row for row in self.rows if row.lag is not None), key=lambda row: row.lag or 0, default=None)

    @property
    def unexplained(self) -> int:
        """Bars missing without a reason, as the last runs counted them."""
        return sum(row.unexplained or 0 for row in self.rows)


def overview(lake: DeltaLakeManager, watermarks: WatermarkStore, runs: RunLedger, settings: Settings) -> Overview:
    """A row for every series that is stored or was run. StorageError if the lake or the ledger cannot be read."""
    stored = {summary.series: summary.rows for summary in stored_series(lake)}
    marks = {entry.series: entry.marks for entry in watermarks.entries() if entry.series.provider}
    last = runs.last_of_series()
    known = sorted({*stored, *marks, *last})
    rows = (
        _row(series, stored.get(series, 0), marks.get(series, Marks()), last.get(series), settings) for series in known
    )
    return Overview(tuple(rows))


def _row(series: Series, stored: int, marks: Marks, last: sa.RowMapping | None, settings: Settings) -> SeriesOverview:
    return SeriesOverview(
        series,
        stored,
        marks.low,
        marks.watermark,
        lag(series, marks, settings),
        last["unexplained"] if last else None,
        last["run_id"] if last else None,
        last["state"] if last else None,
    )
