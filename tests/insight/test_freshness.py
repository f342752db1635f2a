"""Is lag counted in market time, and health as its definition says?"""

from __future__ import annotations

from pathlib import Path

import pytest

from ffe_core import times
from ffe_core.completeness import Completeness
from ffe_core.insight.coverage import Coverage
from ffe_core.insight.freshness import Health, freshness, health
from ffe_core.insight.lag import Lags, lag
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.runs import NewRun, RunStore
from tests.ingestion.fakes import BTC, HOUR, START, FakeProvider, hours, ingester, records, run

pytestmark = pytest.mark.both_states
EURO = Series("EURUSD", "1h", "oanda")
SHARE = Series("AAPL", "1d", "alpha_vantage")


def at(text: str) -> int:
    return times.parse_instant(text)


@pytest.mark.parametrize(
    ("series", "watermark", "now", "seconds"),
    [
        (BTC, "2024-01-10T10:00Z", "2024-01-10T11:30Z", 0),
        (BTC, "2024-01-10T10:00Z", "2024-01-10T12:00:30Z", 0),
        (BTC, "2024-01-10T10:00Z", "2024-01-10T12:02Z", HOUR + 120),
        # OANDA's week ends on Friday 2024-01-12 at 21:58 UTC and begins again on Sunday at 22:03.
        (EURO, "2024-01-12T21:00Z", "2024-01-14T22:30Z", 0),
        (EURO, "2024-01-12T20:00Z", "2024-01-14T20:00Z", HOUR - 120),
        (EURO, "2024-01-12T21:00Z", "2024-01-14T23:30Z", 5_400 - 180),
        (SHARE, "2024-01-12T00:00Z", "2024-01-16T10:00Z", 0),
    ],
)
def test_lag_is_market_time_and_none_of_it_before_the_next_bar_is_due(
    series: Series, watermark: str, now: str, seconds: int
) -> None:
    """Monday 2024-01-15 was a holiday of the New York exchange."""
    assert lag(series, Watermarks(at(watermark), 0), Settings.load({}), at(now)) == seconds


def test_without_a_watermark_or_a_calendar_that_knows_there_is_no_lag() -> None:
    assert lag(BTC, Watermarks(), Settings.load({})) is None
    assert lag(SHARE, Watermarks(at("1960-01-01"), 0), Settings.load({})) is None


@pytest.mark.parametrize(
    ("marks", "is_behind", "unexplained", "state", "expected"),
    [
        (Watermarks(), False, 5, run_states.FAILED, Health.NO_WATERMARK),
        (Watermarks(1, 0), True, 5, run_states.FAILED, Health.FAILING),
        (Watermarks(1, 0), True, 5, run_states.INTERRUPTED, Health.FAILING),
        (Watermarks(1, 0), True, 5, run_states.COMPLETE, Health.GAPS),
        (Watermarks(1, 0), True, 0, run_states.GAPS, Health.BEHIND),
        (Watermarks(1, 0), False, 0, run_states.CANCELLED, Health.HEALTHY),
        (Watermarks(1, 0), False, 0, None, Health.HEALTHY),
    ],
)
def test_health_is_the_first_that_holds(
    marks: Watermarks, is_behind: bool, unexplained: int, state: str | None, expected: Health
) -> None:
    assert health(marks, is_behind, Completeness(stored=1, unexplained=unexplained), state) is expected


def test_only_what_has_no_row_was_never_read() -> None:
    assert health(Watermarks(), False, Completeness(unexplained=5), run_states.FAILED) is Health.NEVER_READ
    assert health(Watermarks(), False, Completeness(extra=1), None) is Health.NO_WATERMARK


@pytest.mark.parametrize(
    ("series", "watermark", "now", "behind"),
    [
        (Series("BTCUSD", "1m", "coinbase"), "2024-01-10T10:00Z", "2024-01-10T11:00Z", False),
        (Series("BTCUSD", "1m", "coinbase"), "2024-01-10T10:00Z", "2024-01-10T11:03Z", True),
        (BTC, "2024-01-10T10:00Z", "2024-01-10T14:30Z", False),
        (BTC, "2024-01-10T10:00Z", "2024-01-10T15:02Z", True),
        # A share's day is six and a half hours of its market: four of its bars are due, and a day and two hours of it.
        (SHARE, "2024-01-19", "2024-01-26T10:00Z", True),
        (SHARE, "2024-01-19", "2024-01-25T10:00Z", False),
        (SHARE, "2024-01-12", "2024-01-19T10:00Z", False),
        (EURO, "2024-01-12T21:00Z", "2024-01-14T22:30Z", False),
        (EURO, "2024-01-12T18:00Z", "2024-01-14T22:30Z", False),
        (EURO, "2024-01-12T17:00Z", "2024-01-14T22:30Z", True),
        (Series("BTCUSD", "1d", "files:mine"), "2024-01-01", "2024-03-01", False),
    ],
)
def test_behind_is_what_lacks_more_bars_than_the_next_two_or_three(
    series: Series, watermark: str, now: str, behind: bool
) -> None:
    """Monday 2024-01-15 was a holiday of the New York exchange."""
    assert Lags(Settings.load({}), at(now)).behind(series, Watermarks(at(watermark), 0)) is behind


def test_a_row_holds_marks_counts_and_the_last_run(tmp_path: Path) -> None:
    held = records(set(hours(0, 48)) - {START + 5 * HOUR})
    single = ingester(tmp_path)
    run(single, FakeProvider(held), START, START + 48 * HOUR)
    database = Database(tmp_path / DATABASE_FILE)
    runs = RunStore(database)
    number = runs.add(NewRun("backfill", "coinbase", "resume", START, START + 1, [BTC], "ann", "console", "nobody"))
    coverage = Coverage(single.stores)
    now = START + 48 * HOUR + 600
    [row] = freshness(coverage, single.watermark_store, runs, single.settings, now=now)
    assert (row.series, row.marks, row.lag) == (BTC, Watermarks(START + 47 * HOUR, START), 0)
    assert (row.counts.expected, row.counts.unexplained, row.health) == (48, 1, Health.GAPS)
    assert row.completeness == 47 / 48
    assert (row.last_run, row.last_state) == (number, "queued")
