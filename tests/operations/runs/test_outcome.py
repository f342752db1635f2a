"""Does the database say what was fetched before it is committed, and nothing missing of what does not exist?"""

from __future__ import annotations

from pathlib import Path

from ffe_core.completeness import Completeness
from ffe_core.errors import PermanentError, RetriableError
from ffe_core.ingestion.series_result import Counts, SeriesResult
from ffe_core.operations.runs.outcome import progressed
from ffe_core.series import Watermarks
from tests.ingestion.fakes import BTC, HOUR, START, FakeProvider, hours, ingester, records, run


def test_until_it_is_done_what_was_fetched_is_what_was_received() -> None:
    report = SeriesResult(BTC, 0, 36_000, counts=Counts(received=10), phase="fetching", fetched=500)
    assert progressed(report)["received"] == 500
    report.phase = "done"
    assert progressed(report)["received"] == 10


def test_every_answer_counts_as_fetched(tmp_path: Path) -> None:
    report = run(ingester(tmp_path), FakeProvider(records(hours(0, 24))), START, START + 24 * HOUR)
    assert report.fetched == report.counts.received + report.counts.outside == 24


def test_bars_of_a_series_that_does_not_exist_are_not_missing() -> None:
    report = SeriesResult(BTC, 0, 36_000, completeness=Completeness(expected=10, unexplained=10))
    report.error = RetriableError("busy")
    assert progressed(report)["unexplained"] == 10
    report.error = PermanentError("coinbase has no pair NOPEUSD")
    assert progressed(report)["unexplained"] is None
    report.marks = Watermarks(3_600, 0)
    assert progressed(report)["unexplained"] == 10
