"""Result of one series: holds counts that always add up, marks, completeness, and the error that ended it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from ffe_core import times
from ffe_core.completeness import Completeness
from ffe_core.errors import FFEError, InputError
from ffe_core.providers.clock import NOTICEABLE
from ffe_core.providers.http import RequestStats
from ffe_core.redaction import redact
from ffe_core.results import SeriesResultDict, Status, result_of
from ffe_core.series import Series, Watermarks


@dataclass(slots=True)
class Counts:
    """What became of the records received: `received = stored + dead_lettered + duplicates`, always."""

    received: int = 0
    stored: int = 0
    """Rows appended: new bars and restatements."""
    restated: int = 0
    dead_lettered: int = 0
    """Newly kept as dead letters, superseded ones among them."""
    superseded: int = 0
    duplicates: int = 0
    """Identical to what the lake, the dead letters or the same batch already hold."""
    outside: int = 0
    """Not asked for: out of the range, or stored bars between gaps; neither stored again nor a dead letter."""
    unfinished: int = 0
    """Bars that were not closed yet; they come back with a later run."""

    def add(self, other: Counts) -> None:
        """Take over another's counts."""
        for name, count in asdict(other).items():
            setattr(self, name, getattr(self, name) + count)


@dataclass(slots=True)
class SeriesResult:
    """One series of one run, filled while it runs, so that a snapshot is always at hand."""

    series: Series
    start: int
    end: int
    """The range asked for, narrowed to closed bars: opens in [start, end), epoch seconds."""
    counts: Counts = field(default_factory=Counts)
    request_stats: RequestStats = field(default_factory=RequestStats)
    marks: Watermarks = field(default_factory=Watermarks)
    completeness: Completeness | None = None
    not_covered: tuple[int, int] | None = None
    """What the provider cannot reach back to, if any of the range."""
    fills_gaps: bool = False
    """Only missing bars were asked for."""
    error: FFEError | InputError | None = None
    clock_skew: float = 0.0
    """Seconds by which this computer's clock is ahead of the provider's."""
    notes: list[str] = field(default_factory=list)
    """What of the range lies before the first bar or after the end of the listing."""
    phase: str = "queued"
    pages_done: int = 0
    pages_planned: int = 0
    fetched: int = 0
    """Records of the answers so far, whether they have been committed or not."""

    @property
    def status(self) -> Status:
        """success, no_data, validation_failed or error."""
        if self.error is not None:
            return "error"
        if self.counts.stored:
            return "success"
        failed = self.counts.dead_lettered - self.counts.superseded
        if failed and failed == self.counts.received:
            return "validation_failed"
        return "success" if failed else "no_data"

    @property
    def reason(self) -> str | None:
        """Why there was no data: up_to_date, provider_empty or not_covered; None otherwise."""
        if self.status != "no_data":
            return None
        if self.not_covered:
            return "not_covered"
        empty = self.pages_done and (self.fills_gaps or not self.counts.received)
        return "provider_empty" if empty else "up_to_date"

    def as_dict(self) -> SeriesResultDict:
        """The result as the public API returns it: plain values, times as ISO 8601 text."""
        whole = self.completeness
        result: SeriesResultDict = {
            **result_of(self.series, self.status),
            "records": self.counts.stored,
            "failed_records": self.counts.dead_lettered - self.counts.superseded,
            "watermark": None if self.marks.watermark is None else times.iso(self.marks.watermark),
            "start": times.iso(self.start),
            "end": times.iso(self.end),
            "expected": whole.expected if whole else None,
            "stored": whole.stored if whole else None,
            "dead_lettered": whole.dead_lettered if whole else None,
            "marked": whole.marked if whole else None,
            "unexplained": whole.unexplained if whole else None,
            "extra": whole.extra if whole else None,
            "received": self.counts.received,
            "restated": self.counts.restated,
            "superseded": self.counts.superseded,
            "repeats": self.counts.duplicates,
            "outside": self.counts.outside,
            "unfinished": self.counts.unfinished,
            "requests": self.request_stats.requests,
            "retries": self.request_stats.retries,
        }
        if self.reason:
            result["reason"] = self.reason
        if self.not_covered:
            result["not_covered"] = [times.iso(self.not_covered[0]), times.iso(self.not_covered[1])]
        if self.notice:
            result["clock_skew_seconds"] = round(self.clock_skew)
        if said := [*self.notes, *([self.notice] if self.notice else [])]:
            result["notices"] = said
        if self.error is not None:
            result["error"] = self.error_text
            result["error_code"] = self.error.code
        return result

    @property
    def notice(self) -> str | None:
        """What a person should know about this computer's clock; None where it agrees with the provider's."""
        if abs(self.clock_skew) < NOTICEABLE:
            return None
        how = "ahead of" if self.clock_skew > 0 else "behind"
        return (
            f"this computer's clock is {abs(self.clock_skew):,.0f} s {how} that of {self.series.provider};"
            " the provider's was used: set this one right"
        )

    @property
    def error_text(self) -> str | None:
        """The failure, with pair, timeframe and range, free of secrets; None if there was none."""
        if self.error is None:
            return None
        where = f"{self.series}, {times.iso(self.start)} to {times.iso(self.end)}"
        return redact(f"{where}: {self.error}")


Progress = Callable[[SeriesResult], None]
"""Called, possibly from a worker thread, whenever a report has changed."""
