"""Tests that a series of hourly shares keeps to one place in the hour, and that another is never mixed in silently."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from ffe_core import DeltaLakeManager
from ffe_core.calendars import ExchangeHours
from ffe_core.calendars.hour_grid import on_hour_grid
from ffe_core.errors import GridChanged
from ffe_core.ingestion.enrich import enrich
from ffe_core.ingestion.hour_grid import hour_grid_of, learn_from_stored
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.operations.runs.outcome import next_step
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings
from ffe_core.times import DAY, parse_instant
from ffe_core.validation import validate
from tests.ingestion.fakes import FakeProvider, ingester, open_times, record, records, run
from tests.lake_files import dead_letters

SHARE = Series("AAPL", "1h", "alpha_vantage")
NEW_YORK = ExchangeHours("XNYS")
GRIDS = {1800: NEW_YORK, 0: on_hour_grid(NEW_YORK, 0)}
MONDAY = parse_instant("2024-01-22")
"""A week on which nothing is special."""


def bars(offset: int, first: int = MONDAY, days: int = 5) -> list[int]:
    return GRIDS[offset].expected_open_times("1h", first, first + days * DAY).tolist()


def fetched(
    folder: Path, opens: Iterable[int], first: int = MONDAY, days: int = 5, page_bars: int = 24
) -> SeriesResult:
    return run(folder, FakeProvider(records(opens), page_bars), first, first + days * DAY, SHARE)


def grid(folder: Path) -> int | None:
    known = ingester(folder).stores.instruments.facts_of(SHARE.provider, SHARE.asset_pair).get("1h")
    return known.hour_offset if known else None


@pytest.mark.parametrize("offset", [1800, 0])
def test_the_first_answer_shows_the_grid_and_expected_bars_follow_it(tmp_path: Path, offset: int) -> None:
    report = fetched(tmp_path, bars(offset))
    counts = report.completeness
    assert (counts.expected, counts.stored, counts.unexplained, counts.extra) == (35, 35, 0, 0)
    assert grid(tmp_path) == offset
    calendar = ingester(tmp_path).settings.calendars.of(SHARE.provider, SHARE.asset_pair)
    assert calendar == GRIDS[offset]


@pytest.mark.parametrize(("first", "then"), [(1800, 0), (0, 1800)])
def test_nothing_of_an_answer_on_the_other_grid_is_stored(tmp_path: Path, first: int, then: int) -> None:
    fetched(tmp_path, bars(first))
    before = open_times(tmp_path, SHARE)
    report = fetched(tmp_path, bars(then, MONDAY + 7 * DAY), days=12)
    assert (report.error.code, next_step(report)) == ("grid_changed", "accept_grid")
    assert "on the half hour" in report.error_text
    assert "on the full hour" in report.error_text
    assert f"ffe instruments --provider alpha_vantage --grid {'hour' if then == 0 else 'half-hour'} AAPL" in (
        report.error_text
    )
    assert (open_times(tmp_path, SHARE), grid(tmp_path)) == (before, first)
    assert dead_letters(tmp_path / "dlq") == {}
    assert report.marks.watermark == before[-1]


def test_what_came_before_the_change_is_stored(tmp_path: Path) -> None:
    """Two pages: a day on the half hour, one on the full hour."""
    report = fetched(tmp_path, [*bars(1800, days=1), *bars(0, MONDAY + DAY, 1)], days=2)
    assert report.error.code == "grid_changed"
    assert (open_times(tmp_path, SHARE), grid(tmp_path)) == (bars(1800, days=1), 1800)
    assert report.counts.received == report.counts.stored == 7


@pytest.mark.parametrize("known", [None, 1800, 0])
def test_an_answer_with_bars_of_both_is_refused(tmp_path: Path, known: int | None) -> None:
    if known is not None:
        fetched(tmp_path, bars(known))
    before = open_times(tmp_path, SHARE) if known is not None else []
    mixed = [*bars(1800, MONDAY + 7 * DAY, 1), *bars(0, MONDAY + 7 * DAY, 1)[:1]]
    report = fetched(tmp_path, mixed, MONDAY + 7 * DAY, 1)
    assert report.error.code == "grid_changed"
    assert "one answer holds bars" in report.error_text
    assert DeltaLakeManager(tmp_path / "lake").stored_open_times(SHARE, 0, 2**40).tolist() == before
    assert grid(tmp_path) == known


def test_bars_that_two_grids_share_teach_nothing(tmp_path: Path) -> None:
    """New York opened at 10:00 until 1985: its bars of then lie on full hours in any case."""
    old = parse_instant("1984-01-16")
    fetched(tmp_path, bars(1800, old), old)
    assert grid(tmp_path) is None
    assert fetched(tmp_path, bars(0)).error is None
    assert grid(tmp_path) == 0


def test_a_person_may_accept_the_other_grid(tmp_path: Path) -> None:
    fetched(tmp_path, bars(1800))
    ingester(tmp_path).stores.instruments.learn(SHARE, hour_offset=0)
    report = fetched(tmp_path, [*bars(1800), *bars(0, MONDAY + 7 * DAY)], MONDAY + 7 * DAY)
    assert report.error is None
    assert (report.completeness.expected, report.completeness.stored) == (35, 35)


def _by_an_earlier_release(folder: Path, opens: Iterable[int]) -> None:
    candles = validate([record(at) for at in opens], SHARE.grid).candles
    held = list(opens)
    DeltaLakeManager(folder / "lake").commit(
        SHARE, enrich(candles, SHARE, "old", is_mock=False), Watermarks(), Watermarks(max(held), min(held))
    )


@pytest.mark.parametrize("offset", [1800, 0])
def test_what_an_earlier_release_stored_shows_the_grid(tmp_path: Path, offset: int) -> None:
    _by_an_earlier_release(tmp_path, bars(offset))
    report = fetched(tmp_path, bars(1800 - offset, MONDAY + 7 * DAY), MONDAY + 7 * DAY)
    assert (report.error.code, grid(tmp_path)) == ("grid_changed", offset)


def test_most_bars_decide_where_an_earlier_release_mixed_grids(tmp_path: Path) -> None:
    _by_an_earlier_release(tmp_path, sorted([*bars(0), *bars(1800, days=1)]))
    one = ingester(tmp_path)
    learn_from_stored(
        [SHARE, Series("BTCUSD", "1h", "coinbase")], one.settings.calendars.of, one.stores.instruments, one.delta_mgr
    )
    assert grid(tmp_path) == 0


def test_a_frame_on_the_other_grid_is_refused_too(tmp_path: Path) -> None:
    single = ingester(tmp_path)

    def write(opens: Iterable[int]) -> None:
        frame, _ = single.validate_and_clean([record(at) for at in opens], "1h", "AAPL")
        framed = single._add_metadata(frame, SHARE.provider)
        asyncio.run(single._write_to_delta(framed, SHARE.table, "AAPL", "1h"))

    write(bars(0))
    with pytest.raises(GridChanged, match="on the half hour"):
        write(bars(1800, MONDAY + 7 * DAY))
    assert (open_times(tmp_path, SHARE), grid(tmp_path)) == (bars(0), 0)


def test_bars_of_bombay_are_stored_where_they_open(tmp_path: Path) -> None:
    """09:15 there is 03:45 UTC."""
    bombay = Series("RELIANCE.BSE", "1h", "alpha_vantage")
    opens = ExchangeHours("XBOM").expected_open_times("1h", MONDAY + DAY, MONDAY + 2 * DAY).tolist()
    report = run(tmp_path, FakeProvider(records(opens), 1000, 900), MONDAY + DAY, MONDAY + 2 * DAY, bombay)
    assert (report.counts.stored, report.counts.dead_lettered, report.completeness.unexplained) == (7, 0, 0)
    assert opens[0] % DAY == 3 * 3600 + 45 * 60


def test_settings_of_one_data_directory_do_not_teach_another() -> None:
    one, other = Settings.load({}), Settings.load({})
    assert one.calendars is not other.calendars


def test_a_known_first_bar_changes_nothing_of_the_grid(tmp_path: Path) -> None:
    """A calendar within a listing wraps the market, whose own grid it would hide."""
    fetched(tmp_path, bars(0))
    single = ingester(tmp_path)
    single.stores.instruments.learn(SHARE, first_bar=bars(0)[0])
    assert single.settings.calendars.of(SHARE.provider, SHARE.asset_pair).hour_offset == 0
    hours = hour_grid_of(SHARE, single.stores)
    assert hours.calendar == GRIDS[0]
    assert hours.elsewhere(np.array([bars(0)[0], bars(1800)[0]])).tolist() == [False, True]
