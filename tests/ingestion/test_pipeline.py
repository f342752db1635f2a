"""Tests that one series comes in whole and once, whatever was asked before and whatever goes wrong."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deltalake.exceptions import DeltaError
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core import times
from ffe_core.errors import CommitConflict, PermanentError, QuotaError, RetriableError, SeriesHeld, StorageError
from ffe_core.ingestion import chunk as chunk_module
from ffe_core.ingestion.chunk import Chunk
from ffe_core.providers.base import Fetched, Page
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state.acknowledged_gaps import AcknowledgedGaps
from tests import lake_files
from tests.ingestion.fakes import (
    BTC,
    HOUR,
    START,
    FakeProvider,
    adds_up,
    hours,
    ingester,
    open_times,
    record,
    records,
    run,
    stored,
)
from tests.ingestion.strategies import records as any_records


def hour(number: int) -> int:
    return START + number * HOUR


def dead_letters(folder: Path) -> list[tuple[Any, list[str]]]:
    """Each kept record with its reasons."""
    kept = lake_files.dead_letters(folder / "dlq").values()
    return [one for content in kept for one in zip(content["records"], content["reasons"], strict=True)]


class TestResume:
    def test_the_first_run_stores_every_bar_once_with_its_values(self, tmp_path: Path):
        provider = FakeProvider(records(hours(-5, 40)))
        report = run(tmp_path, provider, hour(0), hour(30))
        assert open_times(tmp_path) == list(hours(0, 30))
        for row in stored(tmp_path).to_pylist():
            sent = provider.held[int(row["timestamp"].timestamp())]
            assert {name: row[name] for name in ("open", "high", "low", "close", "volume")} == {
                name: float(sent[name]) for name in ("open", "high", "low", "close", "volume")
            }
        assert (report.status, report.counts.stored, report.marks) == ("success", 30, Watermarks(hour(29), hour(0)))
        assert (report.completeness.expected, report.completeness.stored) == (30, 30)

    def test_a_second_run_asks_nothing_and_adds_nothing(self, tmp_path: Path):
        run(tmp_path, FakeProvider(records(hours(0, 30))), hour(0), hour(30))
        again = FakeProvider(records(hours(0, 30)))
        report = run(tmp_path, again, hour(0), hour(30))
        assert (again.asked, report.status, report.reason) == ([], "no_data", "up_to_date")
        assert open_times(tmp_path) == list(hours(0, 30))

    def test_a_later_end_asks_only_for_what_is_new(self, tmp_path: Path):
        run(tmp_path, FakeProvider(records(hours(0, 30))), hour(0), hour(30))
        later = FakeProvider(records(hours(0, 45)))
        run(tmp_path, later, hour(0), hour(45))
        assert later.asked == [Page(hour(30), hour(40)), Page(hour(40), hour(45))]
        assert open_times(tmp_path) == list(hours(0, 45))

    def test_a_later_start_leaves_no_hole(self, tmp_path: Path):
        provider = FakeProvider(records(hours(0, 60)))
        run(tmp_path, provider, hour(0), hour(20))
        run(tmp_path, provider, hour(50), hour(60))
        assert open_times(tmp_path) == list(hours(0, 60))

    def test_an_earlier_start_prepends_newest_first(self, tmp_path: Path):
        run(tmp_path, FakeProvider(records(hours(40, 60))), hour(40), hour(60))
        earlier = FakeProvider(records(hours(0, 60)))
        earlier.max_in_flight = 1
        report = run(tmp_path, earlier, hour(15), hour(20))
        assert [page.start for page in earlier.asked] == [hour(35), hour(25), hour(15)]
        assert open_times(tmp_path) == list(hours(15, 60))
        assert report.marks == Watermarks(hour(59), hour(15))

    def test_a_failed_prepend_leaves_no_hole_and_a_later_run_completes_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(chunk_module, "_VALIDATE_RECORDS", 1)
        monkeypatch.setattr(chunk_module, "_COMMIT_ROWS", 1)
        run(tmp_path, FakeProvider(records(hours(40, 60))), hour(40), hour(60))
        provider = FakeProvider(records(hours(0, 60)))
        provider.fail(RetriableError("down"), at=hour(15))
        report = run(tmp_path, provider, hour(0), hour(60))
        assert (report.status, report.marks) == ("error", Watermarks(hour(59), hour(20)))
        assert open_times(tmp_path) == list(hours(20, 60))
        provider.faults.clear()
        assert run(tmp_path, provider, hour(0), hour(60)).marks.low == hour(0)
        assert open_times(tmp_path) == list(hours(0, 60))

    def test_what_lies_before_a_listing_is_asked_once(self, tmp_path: Path):
        provider = FakeProvider(records(hours(25, 40)))
        run(tmp_path, provider, hour(0), hour(40))
        provider.asked.clear()
        report = run(tmp_path, provider, hour(0), hour(40))
        assert (provider.asked, report.marks.low, report.completeness.unexplained) == ([], hour(0), 25)

    def test_the_end_of_a_quiet_range_is_asked_again_next_time(self, tmp_path: Path):
        provider = FakeProvider(records(hours(0, 12)))
        run(tmp_path, provider, hour(0), hour(20))
        provider.asked.clear()
        report = run(tmp_path, provider, hour(0), hour(20))
        assert provider.asked == [Page(hour(12), hour(20))]
        assert (report.status, report.reason) == ("no_data", "provider_empty")

    def test_a_range_without_any_bar_is_provider_empty_and_moves_nothing(self, tmp_path: Path):
        report = run(tmp_path, FakeProvider({}), hour(0), hour(20))
        assert (report.status, report.reason, report.marks) == ("no_data", "provider_empty", Watermarks())
        assert (report.completeness.expected, report.completeness.unexplained) == (20, 20)

    def test_what_the_provider_cannot_reach_back_to_is_reported_whole(self, tmp_path: Path):
        provider = FakeProvider(records(hours(27, 40)))
        provider.reaches_from = hour(27)
        first = run(tmp_path, provider, hour(0), hour(40))
        assert (first.not_covered, first.marks) == ((hour(0), hour(27)), Watermarks(hour(39), hour(27)))
        earlier = run(tmp_path, provider, hour(-50), hour(40))
        assert (earlier.status, earlier.reason) == ("no_data", "not_covered")
        assert (earlier.not_covered, earlier.marks.low) == ((hour(-50), hour(27)), hour(27))


@pytest.mark.of_a_lake_folder
@pytest.mark.of_a_state_file
def test_steps_of_a_series_on_this_machine_are_taken_in_few_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each thread more takes the interpreter from the others; where a server answers, more of them wait for it."""
    seen: list[str] = []

    def noting(method: Callable[..., Any]) -> Callable[..., Any]:
        def noted(self: object, *args: Any, **kwargs: Any) -> Any:
            seen.append(threading.current_thread().name.rpartition("_")[0])
            return method(self, *args, **kwargs)

        return noted

    for owner, name in ((DeltaLakeManager, "marks"), (Chunk, "candles"), (AcknowledgedGaps, "note_asked")):
        monkeypatch.setattr(owner, name, noting(getattr(owner, name)))
    run(tmp_path, FakeProvider(records(hours(0, 5))), hour(0), hour(5))
    assert seen == ["few"] * 3


class TestEmptyPages:
    def test_one_in_the_middle_is_asked_exactly_once_more(self, tmp_path: Path):
        provider = FakeProvider(records(hours(0, 40)))
        provider.empty_once = {hour(15)}
        run(tmp_path, provider, hour(0), hour(40))
        assert open_times(tmp_path) == list(hours(0, 40))
        assert provider.asked.count(Page(hour(10), hour(20))) == 2
        assert len(provider.asked) == 5

    def test_one_that_stays_empty_is_believed(self, tmp_path: Path):
        provider = FakeProvider(records([*hours(0, 10), *hours(20, 40)]))
        report = run(tmp_path, provider, hour(0), hour(40))
        assert provider.asked.count(Page(hour(10), hour(20))) == 2
        assert (report.status, report.completeness.unexplained) == ("success", 10)
        provider.asked.clear()
        run(tmp_path, provider, hour(0), hour(40))
        assert provider.asked == []

    def test_the_quiet_end_is_not_asked_again(self, tmp_path: Path):
        provider = FakeProvider(records(hours(0, 10)))
        run(tmp_path, provider, hour(0), hour(40))
        assert len(provider.asked) == 4

    def test_prepending_asks_for_an_empty_one_once_more(self, tmp_path: Path):
        run(tmp_path, FakeProvider(records(hours(40, 50))), hour(40), hour(50))
        provider = FakeProvider(records(hours(0, 50)))
        provider.empty_once = {hour(25)}
        run(tmp_path, provider, hour(0), hour(50))
        assert open_times(tmp_path) == list(hours(0, 50))
        assert len(provider.asked) == 5


class TestOtherModes:
    def test_gaps_restores_what_is_missing_and_asks_nothing_else(self, tmp_path: Path):
        held = records(hours(0, 60))
        lost = {hour(n) for n in (3, 17, 18, 40)}
        run(tmp_path, FakeProvider({at: row for at, row in held.items() if at not in lost}), hour(0), hour(60))
        provider = FakeProvider(held)
        before = ingester(tmp_path).delta_mgr.marks(BTC)
        report = run(tmp_path, provider, hour(0), hour(60), mode="gaps")
        assert open_times(tmp_path) == list(hours(0, 60))
        assert {at for page in provider.asked for at in range(page.start, page.end, HOUR)} == lost
        assert (report.counts.stored, report.marks, report.completeness.unexplained) == (4, before, 0)

    def test_refetch_appends_only_changed_rows_and_the_past_can_be_read(self, tmp_path: Path):
        held = records(hours(0, 30))
        run(tmp_path, FakeProvider(held), hour(0), hour(30))
        before = stored(tmp_path)
        known_then = max(before["_extracted_at"].to_pylist())
        restated = {**held, hour(7): record(hour(7), 500), hour(8): record(hour(8), 600)}
        report = run(tmp_path, FakeProvider(restated), hour(0), hour(30), mode="refetch")
        assert (report.counts.stored, report.counts.restated, report.counts.duplicates) == (2, 2, 28)
        rows = stored(tmp_path)
        assert rows.num_rows == 32
        old = [row for row in rows.to_pylist() if row["_extracted_at"] <= known_then]
        assert old == before.to_pylist()
        current = ingester(tmp_path).delta_mgr.current(BTC, hour(0), hour(30))
        assert current.num_rows == 30
        assert current["open"].to_pylist()[7:9] == [500.0, 600.0]
        assert run(tmp_path, FakeProvider(restated), hour(0), hour(30), mode="refetch").counts.stored == 0

    def test_a_clock_set_back_cannot_hide_a_restatement(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        run(tmp_path, FakeProvider(records(hours(0, 3))), hour(0), hour(3))
        monkeypatch.setattr("ffe_core.ingestion.enrich.time.time_ns", lambda: START * 10**9)
        restated = records(hours(0, 3)) | {hour(1): record(hour(1), 500)}
        run(tmp_path, FakeProvider(restated), hour(0), hour(3), mode="refetch")
        assert ingester(tmp_path).delta_mgr.current(BTC, hour(0), hour(3))["open"].to_pylist()[1] == 500.0

    def test_neither_moves_a_mark_of_a_series_never_read(self, tmp_path: Path):
        provider = FakeProvider(records(hours(0, 30)))
        assert run(tmp_path, provider, hour(10), hour(20), mode="gaps").marks == Watermarks()
        assert run(tmp_path, provider, hour(10), hour(20), mode="refetch").marks == Watermarks()
        report = run(tmp_path, provider, hour(0), hour(30))
        assert (report.counts.stored, report.counts.duplicates) == (20, 10)
        assert open_times(tmp_path) == list(hours(0, 30))


class TestClosedCandles:
    def test_the_running_bar_waits_until_it_is_closed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        provider = FakeProvider(records(hours(0, 20)))
        provider.fetch = _sends_everything(provider)  # type: ignore[method-assign]
        monkeypatch.setattr(times, "now", lambda: hour(11) + 59)
        report = run(tmp_path, provider, hour(0), hour(24))
        assert open_times(tmp_path) == list(hours(0, 10)), "the grace of 60 s has not passed"
        assert report.completeness.unexplained == 0
        assert (report.counts.unfinished, report.counts.outside) == (10, 0)
        monkeypatch.setattr(times, "now", lambda: hour(11) + 60)
        assert run(tmp_path, provider, hour(0), hour(24)).marks.watermark == hour(10)
        assert open_times(tmp_path) == list(hours(0, 11))

    def test_a_bar_the_provider_calls_unfinished_waits(self, tmp_path: Path):
        provider = FakeProvider(records(hours(0, 10)) | {hour(10): record(hour(10), complete=False)})
        provider.flags_completion = True
        report = run(tmp_path, provider, hour(0), hour(11))
        assert (open_times(tmp_path), report.counts.unfinished) == (list(hours(0, 10)), 1)
        assert (report.completeness.expected, report.completeness.unexplained) == (10, 0)
        provider.held[hour(10)] = record(hour(10), complete=True)
        run(tmp_path, provider, hour(0), hour(11))
        assert open_times(tmp_path) == list(hours(0, 11))

    def test_a_bar_still_unfinished_before_finished_ones_is_missing_and_so_are_later_gaps(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        """However the pages are cut into commits; the bar at the very end is not expected yet."""
        monkeypatch.setattr(chunk_module, "_VALIDATE_RECORDS", 10)
        monkeypatch.setattr(chunk_module, "_COMMIT_ROWS", 9)
        late = {hour(at): record(hour(at), complete=False) for at in (9, 25, 39)}
        provider = FakeProvider(records(at for at in hours(0, 40) if at not in hours(15, 17)) | late)
        provider.flags_completion = True
        report = run(tmp_path, provider, hour(0), hour(40))
        assert (report.end, report.counts.unfinished) == (hour(39), 3)
        assert report.completeness.missing == [(hour(n), hour(m)) for n, m in ((9, 10), (15, 17), (25, 26))]

    def test_a_share_bar_half_an_hour_after_the_last_one_is_not_skipped(self, tmp_path: Path):
        """Hourly bars of shares open on the half hour or on the full hour; a person may accept the other grid."""
        share, half_past = Series("AAPL", "1h", "alpha_vantage"), START + 38 * HOUR + 1800
        held = records([half_past, *range(half_past + 1800, half_past + 6 * HOUR, HOUR)])
        for end in (half_past + 1800, half_past + 8 * HOUR):
            run(tmp_path, FakeProvider(held, 1000, 1800), half_past, end, share)
            ingester(tmp_path).stores.instruments.learn(share, hour_offset=0)
        assert open_times(tmp_path, share) == sorted(held)


def _sends_everything(provider: FakeProvider) -> Any:
    async def fetch(pair: str, timeframe: str, page: Page) -> Fetched:
        return Fetched(list(provider.held.values()))

    return fetch


class TestFailures:
    @pytest.mark.parametrize("error", [RetriableError("down"), PermanentError("gone"), QuotaError("25 a day")])
    def test_what_came_before_is_kept_and_a_later_run_completes_it(self, tmp_path: Path, error: Exception):
        provider = FakeProvider(records(hours(0, 50)))
        provider.fail(error, at=hour(25))
        report = run(tmp_path, provider, hour(0), hour(50))
        assert (report.status, report.marks, open_times(tmp_path)) == (
            "error",
            Watermarks(hour(19), hour(0)),
            list(hours(0, 20)),
        )
        text = report.as_dict()["error"]
        assert all(part in text for part in ("BTCUSD", "1h", "2024-01-01", "2024-01-03", str(error)))
        assert report.completeness.unexplained == 30
        provider.faults.clear()
        assert run(tmp_path, provider, hour(0), hour(50)).status == "success"
        assert open_times(tmp_path) == list(hours(0, 50))

    def test_no_mark_moves_past_an_empty_page_before_a_failure(self, tmp_path: Path):
        provider = FakeProvider(records([*hours(0, 10), *hours(20, 50)]))
        provider.max_in_flight = 1
        provider.fail(RetriableError("down"), at=hour(25))
        assert run(tmp_path, provider, hour(0), hour(50)).marks == Watermarks(hour(9), hour(0))

    @pytest.mark.parametrize("error", [KeyError("candles"), RuntimeError("closed"), OSError("socket"), TypeError("x")])
    def test_an_error_of_another_kind_is_the_providers_failure_too(self, tmp_path: Path, error: Exception):
        provider = FakeProvider(records(hours(0, 50)))
        provider.fail(error, at=hour(25))
        report = run(tmp_path, provider, hour(0), hour(50))
        assert (report.status, open_times(tmp_path)) == ("error", list(hours(0, 20)))
        assert type(error).__name__ in report.as_dict()["error"]

    def test_dead_letters_that_cannot_be_kept_stop_the_commit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        provider = FakeProvider(records(hours(0, 10)))
        provider.extra = [{"open": "broken"}]
        single = ingester(tmp_path)

        def full(*_: Any, **__: Any) -> None:
            raise StorageError("No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(single.dlq, "save", full)
            report = run(single, provider, hour(0), hour(10))
        assert (report.status, open_times(tmp_path), report.counts.received) == ("error", [], 0)
        assert "No space left" in report.as_dict()["error"]
        report = run(single, provider, hour(0), hour(10))
        assert (report.counts.stored, report.counts.dead_lettered, adds_up(report)) == (10, 1, True)

    def test_a_commit_that_fails_after_its_dead_letters_doubles_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        provider = FakeProvider(records(hours(0, 10)))
        provider.extra = [{"open": "broken"}]

        def full(*_: Any, **__: Any) -> None:
            raise DeltaError("No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("ffe_core.storage.lake.data_files.commit", full)
            failed = run(tmp_path, provider, hour(0), hour(10))
        assert (failed.status, failed.counts.stored, failed.counts.dead_lettered) == ("error", 0, 1)
        assert adds_up(failed)
        report = run(tmp_path, provider, hour(0), hour(10))
        assert (report.counts.stored, report.counts.dead_lettered, report.counts.duplicates) == (10, 0, 1)
        assert (len(dead_letters(tmp_path)), adds_up(report)) == (1, True)

    def test_a_commit_counts_even_if_the_readable_copy_cannot_be_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        single = ingester(tmp_path)
        run(single, FakeProvider(records(hours(0, 5))), hour(0), hour(5))
        puts = iter([None, StorageError("No space left on device")])

        def full(*_: Any) -> None:
            if error := next(puts, None):
                raise error

        with monkeypatch.context() as patch:
            patch.setattr(single.watermark_store, "put_all", full)
            report = run(single, FakeProvider(records(hours(0, 10))), hour(0), hour(10))
        assert (report.status, report.counts.stored, report.marks.watermark) == ("error", 5, hour(9))
        assert adds_up(report)
        run(single, FakeProvider({}), hour(0), hour(10))
        assert single.watermark_store.get("BTCUSD", "1h", "coinbase") == times.iso(hour(9))

    def test_a_failure_of_another_kind_keeps_the_counts_of_what_is_committed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(chunk_module, "_VALIDATE_RECORDS", 1)
        monkeypatch.setattr(chunk_module, "_COMMIT_ROWS", 1)
        validated, validate = iter(range(100)), chunk_module.validate

        def broken(*arguments: Any) -> Any:
            if next(validated) == 2:
                raise RuntimeError("broken")
            return validate(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(chunk_module, "validate", broken)
            report = run(tmp_path, FakeProvider(records(hours(0, 50))), hour(0), hour(50))
        assert (report.status, report.counts.stored, report.counts.received) == ("error", 20, 20)
        assert (report.marks, report.completeness.stored) == (Watermarks(hour(19), hour(0)), 20)
        assert "RuntimeError: broken" in report.as_dict()["error"]
        assert run(tmp_path, FakeProvider(records(hours(0, 50))), hour(0), hour(50)).counts.stored == 30

    def test_counting_that_fails_keeps_the_counts_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        def broken(*_: Any) -> Any:
            raise RuntimeError("broken")

        monkeypatch.setattr("ffe_core.ingestion.pipeline.completeness", broken)
        report = run(tmp_path, FakeProvider(records(hours(0, 50))), hour(0), hour(50))
        assert (report.status, report.counts.stored, report.marks) == ("error", 50, Watermarks(hour(49), hour(0)))
        assert report.completeness is None

    @pytest.mark.parametrize("mode", ["resume", "gaps", "refetch"])
    def test_a_range_the_calendar_does_not_know_is_refused_before_any_request(self, tmp_path: Path, mode: Any):
        series = Series("EURUSD", "1d", "oanda")
        provider = FakeProvider(records(range(START, START + 40 * 24 * HOUR, 24 * HOUR)), step=24 * HOUR)
        run(tmp_path, provider, hour(24 * 30), hour(24 * 35), series)
        provider.asked.clear()
        before = ingester(tmp_path).delta_mgr.marks(series)
        with pytest.raises(ValueError, match=r"^start: 1960-01-01 .*fx calendar"):
            run(tmp_path, provider, times.parse_instant("1960-01-01"), hour(24 * 40), series, mode=mode)
        assert provider.asked == []
        assert ingester(tmp_path).delta_mgr.marks(series) == before

    def test_a_faster_writer_makes_it_plan_again(self, tmp_path: Path):
        single, provider = ingester(tmp_path), FakeProvider(records(hours(0, 30)))
        faster = ingester(tmp_path)
        commit, conflicts = single.delta_mgr.commit_all, list[Any]()

        def late(batches: Any) -> Any:
            if not conflicts:
                rows = batches[0].rows.slice(0, 12)
                faster.delta_mgr.commit(BTC, rows, Watermarks(), Watermarks(hour(11), hour(0)))
            outcomes = commit(batches)
            conflicts.extend(one for one in outcomes if isinstance(one, CommitConflict))
            return outcomes

        single.delta_mgr.commit_all = late  # type: ignore[method-assign]
        report = run(single, provider, hour(0), hour(30))
        assert len(conflicts) == 1
        assert (open_times(tmp_path), report.counts.stored, report.status) == (list(hours(0, 30)), 18, "success")
        assert adds_up(report)

    def test_what_it_had_dead_lettered_before_is_its_own_still(self, tmp_path: Path):
        """It was kept by this run and by none before: no repeat."""
        held = records(hours(0, 30))
        held[hour(20)]["high"] = "1.00"
        single, provider = ingester(tmp_path), FakeProvider(held)
        provider.extra = [{"date": "never"}, {"date": "never"}]
        faster, commit, tries = ingester(tmp_path), single.delta_mgr.commit_all, list[int]()

        def late(batches: Any) -> Any:
            tries.append(1)
            if len(tries) < 3:
                before = faster.delta_mgr.marks(BTC)
                moved = Watermarks(hour(len(tries)), before.low or hour(0))
                faster.delta_mgr.commit(BTC, batches[0].rows.slice(0, len(tries)), before, moved)
            return commit(batches)

        single.delta_mgr.commit_all = late  # type: ignore[method-assign]
        report = run(single, provider, hour(0), hour(30), mode="refetch")
        assert (len(tries), report.counts.dead_lettered, report.status) == (3, 2, "success")
        assert adds_up(report)
        again = run(ingester(tmp_path), provider, hour(0), hour(30), mode="refetch")
        assert (again.counts.dead_lettered, again.counts.stored) == (0, 0)

    def test_what_it_had_dead_lettered_counts_though_the_other_writer_leaves_it_nothing_to_do(self, tmp_path: Path):
        single, provider = ingester(tmp_path), FakeProvider(records(hours(0, 10)))
        provider.extra = [{"date": "never"}]
        faster, commit = ingester(tmp_path), single.delta_mgr.commit_all

        def late(batches: Any) -> Any:
            faster.delta_mgr.commit(BTC, batches[0].rows, Watermarks(), batches[0].after)
            return commit(batches)

        single.delta_mgr.commit_all = late  # type: ignore[method-assign]
        report = run(single, provider, hour(0), hour(10))
        assert (report.counts.dead_lettered, report.counts.received, report.error) == (1, 1, None)
        assert len(dead_letters(tmp_path)) == 1

    async def test_a_cancelled_run_keeps_what_was_committed_and_stops_asking(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(chunk_module, "_VALIDATE_RECORDS", 1)
        monkeypatch.setattr(chunk_module, "_COMMIT_ROWS", 1)
        provider = FakeProvider(records(hours(0, 100)))
        provider.max_in_flight = 1
        single = ingester(tmp_path)
        task: asyncio.Task[Any]

        def stop(report: Any) -> None:
            if report.pages_done == 3:
                task.cancel()

        task = asyncio.create_task(single.run_series(BTC, provider, hour(0), hour(100), progress=stop))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert open_times(tmp_path) == list(hours(0, 30))
        assert len(provider.asked) <= 4
        assert single.delta_mgr.marks(BTC) == Watermarks(hour(29), hour(0))
        single.stores.lease(BTC).acquire().release()
        report = await single.run_series(BTC, provider, hour(0), hour(100))
        assert (report.counts.stored, open_times(tmp_path)) == (70, list(hours(0, 100)))

    async def test_a_commit_under_way_is_seen_through_before_a_cancelled_run_ends(self, tmp_path: Path):
        single = ingester(tmp_path)
        commit, loop = single.delta_mgr.commit_all, asyncio.get_running_loop()
        task: asyncio.Task[Any]

        def cancelled_meanwhile(*arguments: Any) -> Any:
            loop.call_soon_threadsafe(task.cancel)
            return commit(*arguments)

        single.delta_mgr.commit_all = cancelled_meanwhile  # type: ignore[method-assign]
        task = asyncio.create_task(single.run_series(BTC, FakeProvider(records(hours(0, 10))), hour(0), hour(10)))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert open_times(tmp_path) == list(hours(0, 10))
        assert single.watermark_store.get("BTCUSD", "1h") == times.iso(hour(9))

    @pytest.mark.parametrize(
        "place",
        [
            "watermarks.put",
            "watermarks.put_all",
            "lake.marks",
            "lake.commit_all",
            "queue.open_times",
            "acknowledged.note_asked",
        ],
    )
    async def test_the_lease_is_kept_until_every_thread_is_done_however_often_it_is_cancelled(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
    ):
        single = ingester(tmp_path, lease_wait_seconds=0)
        await single.run_series(BTC, FakeProvider(records(hours(0, 5))), hour(0), hour(5))
        owner, name = place.split(".")
        work, entered, go_on = getattr(getattr(single.stores, owner), name), threading.Event(), threading.Event()

        def slow(*arguments: Any) -> Any:
            entered.set()
            go_on.wait(60)
            return work(*arguments)

        monkeypatch.setattr(getattr(single.stores, owner), name, slow)
        task = asyncio.create_task(single.run_series(BTC, FakeProvider(records(hours(0, 10))), hour(0), hour(10)))
        assert await asyncio.to_thread(entered.wait, 20)
        try:
            for _ in range(3):
                for other in asyncio.all_tasks() - {asyncio.current_task()}:  # as a loop does that is closed
                    other.cancel()
                for _ in range(20):
                    await asyncio.sleep(0)
                assert not task.done()
                with pytest.raises(SeriesHeld):
                    single.stores.lease(BTC).check_free()
        finally:
            go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        single.stores.lease(BTC).check_free()
        marks = single.delta_mgr.marks(BTC)
        assert marks.watermark is not None
        assert single.watermark_store.get("BTCUSD", "1h") == times.iso(marks.watermark)


def test_failures_alone_make_a_chunk_due(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chunk_module, "_COMMIT_ROWS", 10)
    chunk = chunk_module.Chunk(BTC, hour(1000), flags_completion=False)
    chunk.take(Page(hour(0), hour(20)), [{"date": times.iso(at)} for at in hours(0, 20)])
    chunk.validate()
    assert chunk.is_due


class TestDeadLetters:
    BROKEN = [
        ({"high": "1"}, ["high_below_low", "open_outside_range", "close_outside_range"]),
        ({"open": "9999"}, ["open_outside_range"]),
        ({"close": "1"}, ["close_outside_range"]),
        ({"low": "-1"}, ["price_not_positive:low"]),
        ({"close": None}, ["missing_field:close"]),
        ({"close": float("nan")}, ["not_finite:close"]),
        ({"high": "Infinity"}, ["not_finite:high"]),
        ({"volume": "n/a"}, ["not_a_number:volume"]),
        ({"date": "not-a-time"}, ["time_unreadable"]),
    ]

    @pytest.mark.parametrize(("changes", "reasons"), BROKEN)
    def test_a_bad_record_is_kept_once_raw_with_its_reasons_and_its_neighbours_are_stored(
        self, tmp_path: Path, changes: dict[str, Any], reasons: list[str]
    ):
        provider = FakeProvider(records(hours(0, 10)))
        provider.held[hour(4)] = broken = record(hour(4), **changes)
        for turn in (1, 2):
            report = run(tmp_path, provider, hour(0), hour(10), mode="refetch" if turn == 2 else "resume")
            assert open_times(tmp_path) == [at for at in hours(0, 10) if at != hour(4)]
            kept = {name: "NaN" if value != value else value for name, value in broken.items()}
            assert dead_letters(tmp_path) == [(kept, reasons)]
            assert adds_up(report)
            assert report.as_dict()["failed_records"] == (1 if turn == 1 else 0)
        if "date" not in changes:
            assert (report.completeness.dead_lettered, report.completeness.unexplained) == (1, 0)

    def test_a_batch_of_nothing_but_bad_ones_is_validation_failed(self, tmp_path: Path):
        provider = FakeProvider({at: record(at, close=None) for at in hours(0, 10)})
        report = run(tmp_path, provider, hour(0), hour(10))
        assert (report.status, report.as_dict()["failed_records"], report.marks) == (
            "validation_failed",
            10,
            Watermarks(),
        )
        assert run(tmp_path, provider, hour(0), hour(10)).status == "no_data"

    def test_a_superseded_record_is_kept_but_no_failure(self, tmp_path: Path):
        provider = FakeProvider(records(hours(0, 3)))
        provider.extra = [record(hour(0), 700), record(hour(0), 700)]
        report = run(tmp_path, provider, hour(0), hour(3))
        result = report.as_dict()
        assert (result["failed_records"], result["superseded"], result["repeats"]) == (0, 1, 1)
        assert [reasons for _, reasons in dead_letters(tmp_path)] == [["superseded"]]
        assert stored(tmp_path)["open"].to_pylist()[0] == 700.0

    def test_what_lies_outside_the_range_is_counted_and_no_dead_letter(self, tmp_path: Path):
        provider = FakeProvider(records(hours(0, 3)))
        provider.extra = [record(hour(-5)), record(hour(50), close=None)]
        report = run(tmp_path, provider, hour(0), hour(3))
        assert (report.counts.received, report.counts.outside, dead_letters(tmp_path)) == (3, 2, [])

    @settings(max_examples=settings.default.max_examples // 4)
    @given(st.data())
    def test_received_is_always_stored_or_dead_lettered_or_a_repeat(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ):
        folder = tmp_path_factory.mktemp("lake")
        provider = FakeProvider({}, page_bars=50)
        provider.extra = data.draw(st.lists(any_records(START, HOUR, 8), max_size=15))
        first = run(folder, provider, hour(0), hour(8))
        assert adds_up(first)
        assert first.counts.received + first.counts.outside == len(provider.extra)
        assert first.counts.stored == stored(folder).num_rows
        assert first.counts.dead_lettered == len(dead_letters(folder))
        for mode in ("resume", "refetch"):
            again = run(folder, provider, hour(0), hour(8), mode=mode)
            assert adds_up(again)
            assert (again.counts.stored, again.counts.dead_lettered, again.status) == (0, 0, "no_data")
        assert (first.counts.stored, first.counts.dead_lettered) == (stored(folder).num_rows, len(dead_letters(folder)))


@settings(max_examples=settings.default.max_examples // 5)
@given(st.data())
def test_any_sequence_of_ranges_ends_with_the_union_and_no_hole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
):
    """From the lowest start to the highest end asked, whatever gaps the market has and whatever fails meanwhile."""
    folder = tmp_path_factory.mktemp("lake")
    missing = data.draw(st.sets(st.integers(0, 59), max_size=40))
    provider = FakeProvider(records(hour(n) for n in range(60) if n not in missing), page_bars=7)
    asked: list[tuple[int, int]] = []
    for _ in range(data.draw(st.integers(1, 5))):
        first, last = sorted(
            data.draw(st.tuples(st.integers(0, 60), st.integers(0, 60)).filter(lambda r: r[0] != r[1]))
        )
        provider.faults.clear()
        if data.draw(st.booleans()):
            provider.fail(RetriableError("down"), at=hour(data.draw(st.integers(0, 59))))
        report = run(folder, provider, hour(first), hour(last))
        assert adds_up(report)
        assert_no_hole(folder, provider)
        asked.append((first, last))
    provider.faults.clear()
    if not open_times(folder):
        return
    low, high = min(first for first, _ in asked), max(last for _, last in asked)
    run(folder, provider, hour(low), hour(high))
    assert open_times(folder) == [at for at in hours(low, high) if at in provider.held]


def assert_no_hole(folder: Path, provider: FakeProvider) -> None:
    """Between its two marks the series holds everything the provider has, each bar once."""
    marks, found = ingester(folder).delta_mgr.marks(BTC), open_times(folder)
    assert (marks.watermark is None) == (not found)
    if marks.watermark is not None and marks.low is not None:
        assert found == [at for at in sorted(provider.held) if marks.low <= at <= marks.watermark]
        assert found[-1] == marks.watermark


@settings(max_examples=settings.default.max_examples // 8)
@given(lost=st.sets(st.integers(0, 39)), step=st.integers(1, 15))
def test_gaps_restores_any_missing_rows(tmp_path_factory: pytest.TempPathFactory, lost: set[int], step: int):
    folder = tmp_path_factory.mktemp("lake")
    held = records(hours(0, 40))
    thinned = {at: row for at, row in held.items() if (at - START) // HOUR not in lost}
    run(folder, FakeProvider(thinned, page_bars=step), hour(0), hour(40))
    run(folder, FakeProvider(held, page_bars=step), hour(0), hour(40), mode="gaps")
    assert open_times(folder) == list(hours(0, 40))
