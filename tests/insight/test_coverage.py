"""Is every expected bar counted once, exactly, whatever is deleted, dead lettered, marked or closed?"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ffe_core import times
from ffe_core.calendars import AlwaysOpen, ExchangeHours, FxWeek, MarketCalendar
from ffe_core.calendars.expected import ExpectedBars
from ffe_core.completeness import COUNTS, KINDS, account, completeness
from ffe_core.errors import StorageError
from ffe_core.ingestion.enrich import enrich
from ffe_core.insight.coverage import Coverage, SeriesCoverage, by_period, calendar_of, largest_gaps, outages
from ffe_core.intervals import join_ranges, open_times_in, ranges_of
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings
from ffe_core.storage.lake.range_cache import RangeCache
from ffe_core.storage.lake.snapshot import DamagedTable, Snapshot
from ffe_core.storage.lake.stored_ranges import StoredRanges
from ffe_core.storage.state.acknowledged_gaps import NO_TRADES
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.timeframes import seconds
from ffe_core.validation import validate
from tests.ingestion.fakes import BTC, HOUR, START, FakeProvider, hours, ingester, open_times, record, records, run
from tests.lake_files import lake_path
from tests.pace import examples

pytestmark = pytest.mark.both_states
ETH = Series("ETHUSD", "1h", "coinbase")
DAY = 24 * HOUR
CALENDARS: tuple[MarketCalendar, ...] = (
    AlwaysOpen(),
    FxWeek(),
    FxWeek(holidays=()),
    FxWeek("fx-daily-pause", daily_pause=True),
    ExchangeHours(),
)
# Around both daylight-saving changes of New York, a leap day, and a turn of the year.
MOMENTS = (1_615_593_600, 1_636_070_400, 1_582_848_000, 1_640_736_000)


def looked(folder: Path, **config: Any) -> Coverage:
    """Coverage over the lake that `fakes.run` fills in a folder."""
    single = ingester(folder, **config)
    return Coverage(single.stores)


def one(folder: Path, series: Series = BTC, start: int | None = None, end: int | None = None) -> SeriesCoverage:
    return looked(folder).of([series], start, end)[0]


def put(folder: Path, series: Series, at: list[int]) -> None:
    """Commit candles as a run of an older release would, without moving marks backwards: nobody remembers the file."""
    lake = ingester(folder).delta_mgr
    lake.after_commit = lambda: None
    before = lake.marks(series)
    rows = enrich(validate([record(epoch) for epoch in at], series.grid).candles, series, "test", is_mock=False)
    marks = Watermarks(max([*at, before.watermark or 0]), min([*at, before.low or 2**40]))
    lake.commit(series, rows, before, marks)
    ingester(folder).watermark_store.put(series, marks)


@given(
    calendar=st.sampled_from(CALENDARS),
    timeframe=st.sampled_from(["1m", "5m", "15m", "1h", "4h", "1d"]),
    moment=st.sampled_from(MOMENTS),
    length=st.integers(0, 7 * DAY),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=examples(150))
def test_expected_is_stored_dead_lettered_marked_and_unexplained_bar_by_bar(
    calendar: MarketCalendar, timeframe: str, moment: int, length: int, seed: int
) -> None:
    """The same as counting sets of opens one by one, in sum and day by day."""
    chance, step = np.random.default_rng(seed), seconds(timeframe)
    start, end = moment, moment + length
    expected = calendar.expected_open_times(timeframe, start, end)
    grid = np.arange(start, max(end, start + step), step // 2)
    held = np.unique(np.concatenate((expected[chance.random(len(expected)) < 0.6], chance.choice(grid, 3))))
    dead = np.unique(np.concatenate((expected[chance.random(len(expected)) < 0.2], chance.choice(grid, 2))))
    edges = np.sort(chance.integers(start - DAY, end + DAY, 4)).reshape(2, 2)
    bars = ExpectedBars.of(calendar, timeframe, start, end)
    found = account(bars, start, end, join_ranges([ranges_of(held, step)], step), dead, edges)

    want, there, dead_lettered = (
        set(expected.tolist()),
        set(held[(held >= start) & (held < end)].tolist()),
        set(dead.tolist()),
    )
    inside = {at for at in want if any(first <= at < last for first, last in edges.tolist())}
    sets = {"expected": want, "stored": want & there, "extra": there - want}
    sets["dead_lettered"] = (want - there) & dead_lettered
    sets["marked"] = (want - there - dead_lettered) & inside
    sets["unexplained"] = want - there - dead_lettered - inside
    counts = found.completeness()
    assert counts.counts() == {name: len(sets[name]) for name in COUNTS}
    assert counts.expected == counts.stored + counts.dead_lettered + counts.marked + counts.unexplained
    for kind in KINDS:
        ranges, candles = found.gaps(kind)
        named = {at for first, last in ranges.tolist() for at in want if first <= at < last}
        assert named == sets[kind]
        assert candles.sum() == len(sets[kind])
    days = np.arange(start - start % DAY, end + DAY, DAY)
    by_day = found.by_period(days)
    for name in COUNTS:
        opened = np.array(sorted(sets[name]), dtype=np.int64)
        assert by_day[name].tolist() == np.diff(np.searchsorted(opened, days)).tolist()


@given(deleted=st.sets(st.integers(0, 24 * 6 - 1), max_size=40), broken=st.sets(st.integers(0, 24 * 6 - 1), max_size=3))
@settings(max_examples=examples(12))
@example(deleted={3, 7, 141}, broken={0, 142, 143})
def test_deleted_rows_are_found_exactly_and_gaps_mode_restores_exactly_them(
    deleted: set[int], broken: set[int]
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        everything = list(hours(0, 24 * 6))
        held = records(everything) | {START + at * HOUR: record(START + at * HOUR, high="-1") for at in broken}
        run(folder, FakeProvider(held), START, START + 6 * DAY)
        gone = {START + at * HOUR for at in deleted - broken}
        if gone:
            listed = ", ".join(f"'{times.iso(at)}'" for at in sorted(gone))
            ingester(folder).delta_mgr.open(BTC.table).delete(f"timestamp IN ({listed})")
        found = one(folder, end=START + 6 * DAY)  # by itself it ends at the last bar stored, which may lie before
        missing = {at for gap in found.gaps(["unexplained"]) for at in range(gap.start, gap.end, HOUR)}
        assert missing == gone
        assert found.counts.dead_lettered == len(broken)
        provider = FakeProvider(held)
        report = run(folder, provider, START, START + 6 * DAY, mode="gaps")
        assert {at for page in provider.asked for at in range(page.start, page.end, HOUR)} == gone
        assert report.counts.stored == len(gone)
        assert open_times(folder) == [at for at in everything if (at - START) // HOUR not in broken]
        assert one(folder, end=START + 6 * DAY).counts.unexplained == 0


def test_adjacent_missing_bars_are_one_request_also_across_a_closed_weekend(tmp_path: Path) -> None:
    friday, sunday = times.parse_instant("2024-01-12T20:00Z"), times.parse_instant("2024-01-14T22:00Z")
    euro = Series("EURUSD", "1h", "oanda")
    calendar = FxWeek()
    all_open_times = calendar.expected_open_times("1h", friday - 10 * HOUR, sunday + 10 * HOUR).tolist()
    missing = {friday, friday + HOUR, sunday, sunday + HOUR}
    run(
        tmp_path,
        FakeProvider(records(set(all_open_times) - missing), 100),
        all_open_times[0],
        all_open_times[-1] + HOUR,
        euro,
    )
    gaps = one(tmp_path, euro).gaps()
    assert [(gap.start, gap.end, gap.candles) for gap in gaps] == [(friday, sunday + 2 * HOUR, 4)]
    provider = FakeProvider(records(all_open_times), 100)
    report = run(tmp_path, provider, all_open_times[0], all_open_times[-1] + HOUR, euro, mode="gaps")
    assert len(provider.asked) == 1
    assert report.completeness is not None
    assert (report.counts.stored, report.completeness.unexplained) == (4, 0)


def test_a_result_and_the_coverage_agree_also_on_what_is_marked(tmp_path: Path) -> None:
    held = records(hours(0, 72))
    for at in (5, 6, 30):
        del held[START + at * HOUR]
    held[START + 40 * HOUR] = record(START + 40 * HOUR, high="-1")
    single = ingester(tmp_path)
    single.stores.acknowledged.add(BTC, [(START + 5 * HOUR, START + 7 * HOUR, 2)], NO_TRADES, "", "ann")
    report = run(single, FakeProvider(held), START, START + 3 * DAY)
    assert report.as_dict()["marked"] == 2
    assert report.completeness == one(tmp_path).counts
    counts = report.completeness.counts() if report.completeness else {}
    assert counts == {"expected": 72, "stored": 68, "dead_lettered": 1, "marked": 2, "unexplained": 1, "extra": 0}


@given(st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=20), min_size=1, max_size=5))
@settings(max_examples=examples(10))
def test_files_read_once_give_the_same_runs_as_a_look_at_every_row(batches: list[list[int]]) -> None:
    """Several commits, restatements, two providers in one file after compaction: always what the lake holds."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        other = Series("BTCUSD", "1h", "simulated")
        kept = StoredRanges(ingester(folder).delta_mgr)
        wanted: dict[Series, set[int]] = {BTC: set(), other: set()}
        for place, batch in enumerate(batches):
            series = BTC if place % 2 else other
            put(folder, series, sorted({START + at * HOUR for at in batch}))
            wanted[series] |= {START + at * HOUR for at in batch}
            assert {s: set(open_times_in(r, HOUR).tolist()) for s, r in kept.read("1h").items()} == {
                s: o for s, o in wanted.items() if o
            }
        ingester(folder).delta_mgr.open(BTC.table).optimize.compact()
        after = StoredRanges(ingester(folder).delta_mgr)
        for reader in (kept, after):
            assert {s: sorted(open_times_in(r, HOUR).tolist()) for s, r in reader.read("1h").items()} == {
                s: sorted(o) for s, o in wanted.items() if o
            }


def test_a_new_process_remembers_what_the_files_hold_and_forgets_those_that_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = files_read(monkeypatch)
    put(tmp_path, BTC, list(hours(0, 10)))
    put(tmp_path, ETH, list(hours(3, 9)))

    def counts() -> dict[str, int]:
        single = ingester(tmp_path)
        remembered = RangeCache(Database(tmp_path / DATABASE_FILE))
        coverage = Coverage(single.stores, remembered)
        return {one.series.asset_pair: one.counts.stored for one in coverage.of(coverage.series())}

    assert (counts(), len(read)) == ({"BTCUSD": 10, "ETHUSD": 6}, 2)
    assert (counts(), len(read)) == ({"BTCUSD": 10, "ETHUSD": 6}, 2)
    put(tmp_path, BTC, list(hours(10, 12)))
    assert (counts(), len(read)) == ({"BTCUSD": 12, "ETHUSD": 6}, 3)
    ingester(tmp_path).delta_mgr.open(BTC.table).optimize.compact()
    assert counts() == {"BTCUSD": 12, "ETHUSD": 6}
    with Database(tmp_path / DATABASE_FILE).read() as connection:
        kept = {path for (path,) in connection.exec_driver_sql("select path from file_runs")}
    assert len(kept) == 2, "of files that compaction replaced nothing is kept"


@pytest.mark.of_a_lake_folder("in a store the size of a file is taken for granted")
def test_what_is_remembered_of_a_file_that_was_cut_off_or_is_gone_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, BTC, list(hours(0, 10)))
    lake, remembered = ingester(tmp_path).delta_mgr, RangeCache(Database(tmp_path / DATABASE_FILE))
    assert len(StoredRanges(lake, remembered).read("1h")) == 1
    [file] = lake_path(lake, BTC.table).rglob("*.parquet")
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    with pytest.raises(DamagedTable):
        StoredRanges(lake, remembered).read("1h")
    file.unlink()
    with pytest.raises(DamagedTable):
        StoredRanges(lake, remembered).read("1h")
    file.write_bytes(whole)
    assert len(StoredRanges(lake, remembered).read("1h")) == 1


def test_what_another_process_has_read_meanwhile_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, remembered = ingester(tmp_path).delta_mgr, RangeCache(Database(tmp_path / DATABASE_FILE))
    put(tmp_path, BTC, list(hours(0, 10)))
    mine, other = StoredRanges(lake, remembered), StoredRanges(ingester(tmp_path).delta_mgr, remembered)
    assert mine.unread() == {("BTCUSD", "1h"): 1}
    before = mine.read("1h")[BTC]
    put(tmp_path, BTC, list(hours(10, 12)))
    put(tmp_path, ETH, list(hours(0, 5)))
    assert mine.unread() == {("BTCUSD", "1h"): 1, ("ETHUSD", "1h"): 1}
    other.read("1h", ["ETHUSD"])
    assert mine.unread() == {("BTCUSD", "1h"): 1}
    other.read("1h")
    read = files_read(monkeypatch)
    assert not mine.unread()
    assert mine.read("1h").keys() == {BTC, ETH}
    assert mine.read("1h")[BTC][-1, 1] > before[-1, 1]
    assert read == []


def test_without_a_ledger_to_remember_in_the_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, BTC, list(hours(0, 10)))

    def fails(*_: object) -> None:
        raise StorageError("the database cannot be used")

    monkeypatch.setattr(RangeCache, "load", fails)
    monkeypatch.setattr(RangeCache, "find", fails)
    monkeypatch.setattr(RangeCache, "save", fails)
    remembered = RangeCache(Database(tmp_path / DATABASE_FILE))
    assert len(StoredRanges(ingester(tmp_path).delta_mgr, remembered).read("1h")) == 1


def files_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The data files that are read from now on."""
    read: list[str] = []
    inner = Snapshot.read_file

    def counted(self: Snapshot, path: str, columns: Any) -> Any:
        read.append(path)
        return inner(self, path, columns)

    monkeypatch.setattr(Snapshot, "read_file", counted)
    return read


def test_a_second_look_reads_only_the_files_that_are_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = files_read(monkeypatch)
    coverage = looked(tmp_path)
    put(tmp_path, BTC, list(hours(0, 10)))
    assert coverage.of([BTC])[0].counts.stored == 10
    assert (coverage.of([BTC])[0].counts.stored, len(read)) == (10, 1)
    put(tmp_path, BTC, list(hours(10, 15)))
    assert (coverage.of([BTC])[0].counts.stored, len(read)) == (15, 2)


def test_a_matrix_of_days_holds_each_series_row(tmp_path: Path) -> None:
    put(tmp_path, BTC, list(hours(0, 48)))
    put(tmp_path, ETH, [*hours(0, 10), *hours(20, 48)])
    coverage = looked(tmp_path)
    found = coverage.of([BTC, ETH])
    counts = by_period(found, np.array([START, START + DAY, START + 2 * DAY]))
    assert counts["stored"].tolist() == [[24, 24], [14, 24]]
    assert counts["unexplained"].tolist() == [[0, 0], [10, 0]]


def test_what_every_pair_lacks_at_once_is_a_venue_outage_and_one_pair_alone_is_not(tmp_path: Path) -> None:
    put(tmp_path, BTC, [*hours(0, 10), *hours(13, 48)])
    found = looked(tmp_path).of([BTC])
    assert outages(found) == []
    put(tmp_path, ETH, [*hours(0, 11), *hours(12, 30), *hours(31, 48)])
    found = looked(tmp_path).of([BTC, ETH])
    dark = outages(found)
    assert [(o.start, o.end, o.pairs) for o in dark] == [(START + 11 * HOUR, START + 12 * HOUR, ("BTCUSD", "ETHUSD"))]
    largest = largest_gaps(found)
    assert [(g.series.asset_pair, g.candles, g.in_outage) for g in largest] == [
        ("BTCUSD", 3, False),
        ("ETHUSD", 1, True),
        ("ETHUSD", 1, False),
    ]


def test_a_pair_whose_market_is_closed_has_no_say_in_an_outage(tmp_path: Path) -> None:
    """Shares and FX at one provider: at night only FX can be missing, and two FX pairs that are make an outage."""
    night = times.parse_instant("2024-01-10T05:00Z")
    fx = [Series(pair, "1h", "alpha_vantage") for pair in ("EURUSD", "GBPUSD")]
    for series in fx:
        put(tmp_path, series, [at for at in range(night - 5 * HOUR, night + 5 * HOUR, HOUR) if at != night])
    share = Series("AAPL", "1h", "alpha_vantage")
    put(
        tmp_path,
        share,
        calendar_of(share, Settings.load({})).expected_open_times("1h", night - DAY, night + DAY).tolist(),
    )
    found = outages(looked(tmp_path).of([*fx, share]))
    assert [(outage.start, outage.pairs) for outage in found] == [(night, ("EURUSD", "GBPUSD"))]


def test_a_calendar_asked_beyond_what_it_knows_says_so_and_the_others_go_on(tmp_path: Path) -> None:
    share = Series("AAPL", "1d", "alpha_vantage")
    put(tmp_path, BTC, list(hours(0, 5)))
    first, second = looked(tmp_path).of([share, BTC], times.parse_instant("1960-01-01"), START + 5 * HOUR)
    assert first.account is None
    assert "XNYS calendar knows" in (first.trouble or "")
    assert first.gaps() == []
    assert second.counts.stored == 5


def test_a_range_is_cut_at_the_last_closed_bar_and_runs_from_the_first_instant_asked_for(tmp_path: Path) -> None:
    run(tmp_path, FakeProvider(records(hours(10, 20))), START, START + 20 * HOUR)
    found = one(tmp_path)
    assert (found.start, found.end) == (START, START + 20 * HOUR)
    now = START + 25 * HOUR + 10
    assert looked(tmp_path).of([BTC], START, START + DAY * 9, now)[0].end == START + 24 * HOUR


def test_the_count_is_the_same_for_a_run_and_for_files(tmp_path: Path) -> None:
    put(tmp_path, BTC, [*hours(0, 10), *hours(12, 30)])
    single = ingester(tmp_path)
    counted = completeness(
        BTC, START, START + 30 * HOUR, AlwaysOpen(), single.delta_mgr, single.dlq, single.stores.acknowledged
    )
    assert counted == one(tmp_path).counts
