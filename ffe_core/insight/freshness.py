"""Freshness and health of a series: how far behind it is, in its market's own time.

Health has one definition, the first of these that holds:

    never read    nothing has been committed for it
    no watermark  bars are stored and nothing says how far it was read: its marks were forgotten, or only gaps filled
    failing       its last run failed or was interrupted
    gaps          bars are missing that nothing explains, between the first asked for or stored and the last
    behind        more than three bars are due after its watermark, for more than an hour of open market
    healthy       none of these
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ffe_core.completeness import Completeness
from ffe_core.insight.coverage import Coverage, SeriesCoverage
from ffe_core.insight.lag import Lags
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.runs import LastRun, RunStore
from ffe_core.storage.watermark_store import WatermarkStore


class Health(StrEnum):
    """How a series is, worst first but for those without a mark of how far they were read."""

    NEVER_READ = "never read"
    NO_WATERMARK = "no watermark"
    FAILING = "failing"
    GAPS = "gaps"
    BEHIND = "behind"
    HEALTHY = "healthy"


@dataclass(frozen=True, slots=True)
class Freshness:
    """One series; times in epoch seconds, `lag` in market-open seconds."""

    series: Series
    marks: Watermarks
    lag: int | None
    counts: Completeness
    start: int
    end: int
    """What the counts are of: opens in [start, end)."""
    trouble: str | None
    """Why there are no counts, if the calendar cannot say."""
    last_run: int | None
    last_state: str | None
    last_run_at: float | None
    health: Health

    @property
    def oldest(self) -> int | None:
        """The earliest instant asked to completion, else the first bar stored: gaps filled one by one set no mark."""
        return self.marks.low if self.marks.low is not None or not self.counts.stored else self.start

    @property
    def completeness(self) -> float | None:
        """The share of the expected bars that are there or explained: 1.0 only if none is unexplained."""
        counts = self.counts
        return (counts.expected - counts.unexplained) / counts.expected if counts.expected else None


def health(marks: Watermarks, is_behind: bool, counts: Completeness, last_state: str | None) -> Health:
    """The one definition of health, as this file's first lines say it."""
    if marks.watermark is None:
        return Health.NO_WATERMARK if counts.stored or counts.extra else Health.NEVER_READ
    if last_state in (run_states.FAILED, run_states.INTERRUPTED):
        return Health.FAILING
    if counts.unexplained:
        return Health.GAPS
    return Health.BEHIND if is_behind else Health.HEALTHY


def freshness(
    coverage: Coverage,
    watermarks: WatermarkStore,
    runs: RunStore,
    settings: Settings,
    series: Sequence[Series] | None = None,
    now: int | None = None,
) -> list[Freshness]:
    """A row for each series, or for every one that is stored or has marks. StorageError if something is unreadable."""
    marks, last, lags = watermarks.marks(), runs.last_of_series(), Lags(settings, now)
    chosen = coverage.series() if series is None else series
    return [
        _row(found, marks.get(found.series, Watermarks()), last.get(found.series), lags)
        for found in coverage.of(chosen, now=now)
    ]


def _row(found: SeriesCoverage, marks: Watermarks, last: LastRun | None, lags: Lags) -> Freshness:
    behind, counts, state = lags.of(found.series, marks), found.counts, last.state if last else None
    return Freshness(
        series=found.series,
        marks=marks,
        lag=behind,
        counts=counts,
        start=found.start,
        end=found.end,
        trouble=found.trouble,
        last_run=last.run_id if last else None,
        last_state=state,
        last_run_at=last.created_at if last else None,
        health=health(marks, lags.behind(found.series, marks), counts, state),
    )
