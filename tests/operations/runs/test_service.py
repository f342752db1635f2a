"""Does a run do what was asked, say literally what became of it, and survive whoever watches or stops it?"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ffe_core import times
from ffe_core.cli.common import follow
from ffe_core.errors import (
    DatabaseError,
    InputError,
    PermanentError,
    RetriableError,
    SeriesHeld,
    StorageError,
    WorkersLost,
)
from ffe_core.ingestion import chunk, committer
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.operations.runs import loop_engine
from ffe_core.operations.runs import service as run_service
from ffe_core.operations.runs.outcome import next_step
from ffe_core.operations.runs.preview import preview
from ffe_core.operations.runs.service import RunService
from ffe_core.operations.schedules.forecast import Stored, expected_ticks
from ffe_core.operations.schedules.requests import Plans
from ffe_core.operations.schedules.service import Draft
from ffe_core.providers.base import Fetched, Page
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state import database as database_module
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.runs import NewRun, RunStore
from ffe_core.storage.state.watchlists import Watchlists
from tests.browser.driver import poll
from tests.ingestion.fakes import HOUR, START, hours, record
from tests.operations.harness import WAIT, Market, asked, done, kept, lines_of, opened, states_of

FIVE = ("BTCUSD", "ETHUSD", "NOPEUSD", "SOLUSD", "LTCUSD")


@pytest.mark.both_servers
def test_a_run_is_complete_only_when_the_lake_says_so(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        run_id = done(service, asked("BTCUSD", "ETHUSD"))
        assert states_of(service, run_id) == ("complete", {"BTCUSD": "complete", "ETHUSD": "complete"})
        row = service.runs.series(run_id)[0]
        assert (row.expected, row.stored, row.dead_lettered, row.unexplained) == (72, 72, 0, 0)
        assert (row.records, row.pages_done, row.pages_planned) == (72, 8, 8)
        run = service.runs.get(run_id)
        assert run is not None
        assert (run.actor, run.source, run.mode, run.kind) == ("ann", "console", "resume", "backfill")
        assert run.created_at <= run.started_at <= run.ended_at
        assert kept(tmp_path) == list(hours(0, 72))


def test_bars_the_provider_does_not_have_are_gaps_and_never_complete(tmp_path: Path, market: Market) -> None:
    del market.held[START + 5 * HOUR], market.held[START + 6 * HOUR]
    with opened(tmp_path) as service:
        run_id = done(service, asked())
        assert states_of(service, run_id) == ("finished with gaps", {"BTCUSD": "finished with gaps"})
        row = service.runs.series(run_id)[0]
        assert (row.expected, row.stored, row.unexplained) == (72, 70, 2)
        assert row.next_step_code == "look_at_gaps"
        assert any("2 unexplained" in line for line in lines_of(service, run_id))


def test_dead_letters_explain_a_bar(tmp_path: Path, market: Market) -> None:
    market.held[START] = record(START, high="1.0")
    with opened(tmp_path) as service:
        run_id = done(service, asked())
        row = service.runs.series(run_id)[0]
        assert row.state == "complete"
        assert (row.expected, row.stored, row.dead_lettered, row.unexplained) == (72, 71, 1, 0)


def test_one_series_fails_alone_and_retry_failed_runs_only_that_one(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        run_id = done(service, asked(*FIVE))
        state, series = states_of(service, run_id)
        assert state == "failed"
        assert series == {pair: "failed" if pair == "NOPEUSD" else "complete" for pair in FIVE}
        failed = service.runs.series(run_id)[2]
        assert "NOPEUSD" in failed.error
        assert "choose one that it lists" in failed.error
        assert (failed.error_code, failed.next_step_code) == ("provider_refused", "change_request")
        market.asked_by_pair.clear()
        again = service.retry_failed(run_id, "ben")
        service.wait(again, WAIT)
        assert states_of(service, again) == ("failed", {"NOPEUSD": "failed"})
        assert market.pairs_asked() == set()
        run = service.runs.get(again)
        assert run is not None
        assert (run.parent_id, run.actor) == (run_id, "ben")


def test_a_retriable_failure_is_complete_after_the_retry_with_no_row_twice(tmp_path: Path, market: Market) -> None:
    market.errors["ETHUSD"] = RetriableError("coinbase answered HTTP 503: busy")
    with opened(tmp_path) as service:
        run_id = done(service, asked("BTCUSD", "ETHUSD"))
        assert states_of(service, run_id) == ("failed", {"BTCUSD": "complete", "ETHUSD": "failed"})
        market.errors.clear()
        again = service.retry_failed(run_id, "ann")
        service.wait(again, WAIT)
        assert states_of(service, again) == ("complete", {"ETHUSD": "complete"})
        assert kept(tmp_path, "ETHUSD") == list(hours(0, 72))


def test_there_is_nothing_to_retry_or_continue_in_a_complete_run(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        run_id = done(service, asked())
        with pytest.raises(InputError, match="no series that is failed"):
            service.retry_failed(run_id, "ann")
        with pytest.raises(InputError, match="no series that is interrupted or cancelled"):
            service.resume(run_id, "ann")
        with pytest.raises(InputError, match="complete, there is nothing to cancel"):
            service.cancel(run_id, "ann")
        with pytest.raises(InputError, match="there is no run 99"):
            service.cancel(99, "ann")


# --- Cancel, close, continue


def held_up(service: RunService, market: Market, at_hour: int = 60) -> int:
    """A run that stands before the page with this hour, everything before it committed."""
    market.stops_at = START + at_hour * HOUR
    run_id = service.start(asked(), "ann")
    assert market.reached.wait(WAIT)
    return run_id


def test_cancel_stops_within_one_page_and_keeps_what_was_committed(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        run_id = held_up(service, market)
        poll(lambda: len(kept(tmp_path)) >= 20, "commits before the page")
        pages_before = len(market.asked_by_pair)
        service.cancel(run_id, "ben")
        service.wait(run_id, WAIT)
        assert states_of(service, run_id) == ("cancelled", {"BTCUSD": "cancelled"})
        # The next page may have been on its way when the count was taken.
        assert len(market.asked_by_pair) <= pages_before + 1
        there = kept(tmp_path)
        assert there == list(hours(0, len(there)))
        assert service.runs.series(run_id)[0].records == len(there)
        assert "cancelled by ben" in lines_of(service, run_id)


def test_a_cancelled_run_ends_when_the_last_of_its_series_has_seen_its_commit_through(
    tmp_path: Path, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BTCUSD waits for a page and stops at once; ETHUSD is in the middle of a commit and must be waited for."""
    committing, goes_on = threading.Event(), threading.Event()
    commit, fetch = DeltaLakeManager.commit_all, Market.fetch

    def held_commit(self: DeltaLakeManager, batches: Any) -> Any:
        committing.set()
        assert goes_on.wait(WAIT)
        return commit(self, batches)

    async def held_fetch(self: Market, pair: str, timeframe: str, page: Page) -> Fetched:
        if pair == "BTCUSD":
            await asyncio.sleep(WAIT)
        return await fetch(self, pair, timeframe, page)

    monkeypatch.setattr(DeltaLakeManager, "commit_all", held_commit)
    monkeypatch.setattr(Market, "fetch", held_fetch)
    with opened(tmp_path) as service:
        run_id = service.start(asked("BTCUSD", "ETHUSD"), "ann")
        assert committing.wait(WAIT)
        service.cancel(run_id, "ann")
        with pytest.raises(TimeoutError):
            service._jobs[run_id].result(0.3)
        assert states_of(service, run_id)[0] == "cancelling"
        goes_on.set()
        service.wait(run_id, WAIT)
        assert states_of(service, run_id) == ("cancelled", {"BTCUSD": "cancelled", "ETHUSD": "cancelled"})
        assert service.runs.series(run_id)[1].records == len(kept(tmp_path, "ETHUSD")) > 0


def test_the_series_of_a_run_are_one_commit_and_so_are_those_of_runs_due_together(
    tmp_path: Path, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "QUIET_SECONDS", 900.0)
    monkeypatch.setattr(committer, "LONGEST_SECONDS", 900.0)
    monkeypatch.setattr(loop_engine, "_LINGER_SECONDS", 2.0)
    pairs = [f"{coin}USD" for coin in "BTC ETH SOL ADA LTC XRP".split()]
    with opened(tmp_path) as service:
        run_id = done(service, asked(*pairs, days=1))
        assert states_of(service, run_id) == ("complete", dict.fromkeys(pairs, "complete"))
        assert _version(service) == 1
        due = [service.start(asked(pair, days=2), "the scheduler", priority=True) for pair in pairs]
        for run_id in due:
            service.wait(run_id, WAIT)
        assert {states_of(service, run_id)[0] for run_id in due} == {"complete"}
        assert _version(service) < 1 + len(pairs)
    assert all(len(kept(tmp_path, pair)) == 48 for pair in pairs)


def _version(service: RunService) -> int:
    table = service.lake.open("raw_market_data_1h")
    assert table is not None
    return table.version()


@pytest.mark.both_servers
def test_continue_goes_on_where_the_marks_stand(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        run_id = held_up(service, market)
        poll(lambda: len(kept(tmp_path)) >= 20, "commits before the page")
        service.cancel(run_id, "ann")
        service.wait(run_id, WAIT)
        there = len(kept(tmp_path))
        market.goes_on.set()
        market.asked_by_pair.clear()
        again = service.resume(run_id, "ann")
        service.wait(again, WAIT)
        assert states_of(service, again) == ("complete", {"BTCUSD": "complete"})
        assert min(page.start for _, page in market.asked_by_pair) == START + there * HOUR
        assert kept(tmp_path) == list(hours(0, 72))
        assert set(service.runs.taken_up(run_id).values()) == {again}
        with pytest.raises(InputError, match=f"run {again} went on with what was left of {run_id}"):
            service.resume(run_id, "ann")
        assert service.runs.find()[1] == 2


def test_what_lost_its_workers_is_continued_once_though_it_is_asked_twice(tmp_path: Path, market: Market) -> None:
    """It waits for leases of machines that were lost, and never for a run: the first that goes on has the series."""
    with opened(tmp_path) as service:
        run_id = orphaned(service)
        service.adopt_dead_runs()
        service.runs.update(run_id, error_code=WorkersLost.code)
        market.stops_at = START
        again = service.resume(run_id, "ann")
        with pytest.raises(InputError, match=f"run {again} went on"):
            service.resume(run_id, "ann")
        with pytest.raises(SeriesHeld, match=f"by run {again}"):  # as who asked at the same moment would be told
            service.start(asked("ETHUSD"), "ann", parent_id=run_id, lease_wait=60)
        market.goes_on.set()
        service.wait(again, WAIT)
        assert states_of(service, again)[0] == "complete"


def test_a_run_cancelled_before_it_began_is_cancelled(tmp_path: Path, market: Market) -> None:
    """The event loop is busy with something else when both the run and its cancellation reach it."""
    with opened(tmp_path) as service:
        busy = threading.Event()
        service._loop.call_soon_threadsafe(busy.wait, WAIT)
        run_id = service.start(asked(), "ann")
        service.cancel(run_id, "ann")
        busy.set()
        service.wait(run_id, WAIT)
        assert states_of(service, run_id) == ("cancelled", {"BTCUSD": "cancelled"})
        assert not market.asked_by_pair


def test_a_cancellation_that_comes_too_late_leaves_the_run_what_it_is(tmp_path: Path, market: Market) -> None:
    """However the end of a run and its cancellation meet, it never stays "cancelling"."""
    with opened(tmp_path) as service:
        for pair in ("BTCUSD", "ETHUSD", "SOLUSD", "LTCUSD"):
            run_id = service.start(asked(pair), "ann")
            poll(lambda run=run_id: service.runs.series(run)[0].state not in run_states.ACTIVE, "the series to end")
            try:
                service.cancel(run_id, "ann")
            except InputError as error:
                assert "complete" in str(error)  # noqa: PT017
            service.wait(run_id, WAIT)
            assert states_of(service, run_id) == ("complete", {pair: "complete"})


def test_closing_interrupts_and_another_process_continues(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        run_id = held_up(service, market)
    market.goes_on.set()
    with opened(tmp_path) as service:
        assert states_of(service, run_id) == ("interrupted", {"BTCUSD": "interrupted"})
        assert service.adopt_dead_runs() == []
        again = service.resume(run_id, "ann")
        service.wait(again, WAIT)
        assert states_of(service, again) == ("complete", {"BTCUSD": "complete"})
    assert kept(tmp_path) == list(hours(0, 72))


def test_a_closed_service_starts_nothing(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        pass
    with pytest.raises(StorageError, match="shutting down"):
        service.start(asked(), "ann")


@pytest.mark.of_a_state_file("a lock of a file; a row of a server: test_lock_rows")
def test_runs_of_a_dead_process_read_interrupted_and_those_of_a_living_one_do_not(
    tmp_path: Path, market: Market
) -> None:
    with opened(tmp_path) as service, opened(tmp_path) as other:
        run_id = held_up(other, market)
        series = [Series("ETHUSD", "1h", "coinbase")]
        orphan = service.runs.add(
            NewRun("backfill", "coinbase", "resume", START, START + HOUR, series, "ann", "console", "4711-gone")
        )
        assert service.adopt_dead_runs() == [orphan]
        assert states_of(service, orphan) == ("interrupted", {"ETHUSD": "interrupted"})
        assert states_of(service, run_id)[0] == "running"
        with pytest.raises(InputError, match="belongs to process"):
            service.cancel(run_id, "ann")
        market.goes_on.set()
        other.wait(run_id, WAIT)


def orphaned(service: RunService, owner: str = "4711-gone", kind: str = "backfill") -> int:
    """A run of ETHUSD whose process is gone without a word."""
    series = [Series("ETHUSD", "1h", "coinbase")]
    return service.runs.add(NewRun(kind, "coinbase", "resume", START, START + HOUR, series, "ann", "console", owner))


@pytest.mark.parametrize(
    ("kind", "next_step"),
    [
        ("backfill", "continue picks up where the marks stand"),
        ("import", "continue picks up where the marks stand"),
        ("check", "start it again"),
        ("upkeep", "start it again"),
        ("replay", "start it again"),
    ],
)
def test_a_run_whose_process_died_names_a_step_that_its_kind_has(
    tmp_path: Path, market: Market, kind: str, next_step: str
) -> None:
    with opened(tmp_path) as service:
        run_id = orphaned(service, kind=kind)
        assert service.adopt_dead_runs() == [run_id]
        run = service.runs.get(run_id)
        assert run is not None
        assert f"the process that ran it ended; {next_step}" in run.error


def test_cancelling_a_run_whose_process_died_ends_it_and_it_can_be_continued(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        run_id = orphaned(service)
        service.cancel(run_id, "ben")
        assert states_of(service, run_id) == ("interrupted", {"ETHUSD": "interrupted"})
        run = service.runs.get(run_id)
        assert run is not None
        assert "the process that ran it ended" in run.error
        assert "ben cancelled it, but its process had ended before" in lines_of(service, run_id)
        with pytest.raises(InputError, match="interrupted, there is nothing to cancel"):
            service.cancel(run_id, "ben")
        again = service.resume(run_id, "ann")
        service.wait(again, WAIT)
        assert states_of(service, again)[0] == "complete"


@pytest.mark.parametrize("verb", ["adopt", "cancel"])
def test_a_process_that_ends_after_its_run_did_not_interrupt_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """The run is still active when it is found, and has ended well when its process is found gone."""
    with opened(tmp_path) as service:
        run_id = orphaned(service)

        def ends_now(folder: Path, owner: str) -> bool:
            service.runs.update_series(run_id, {0: {"state": run_states.COMPLETE}})
            service.runs.update(run_id, state=run_states.COMPLETE)
            return False

        monkeypatch.setattr(run_service, "is_alive", ends_now)
        if verb == "adopt":
            assert service.adopt_dead_runs() == []
        else:
            with pytest.raises(InputError, match="complete, there is nothing to cancel"):
                service.cancel(run_id, "ben")
        assert states_of(service, run_id) == ("complete", {"ETHUSD": "complete"})
        assert lines_of(service, run_id) == []


def test_a_dead_run_does_not_hold_its_series(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        series = [Series("BTCUSD", "1h", "coinbase")]
        orphan = service.runs.add(
            NewRun("backfill", "coinbase", "resume", START, START + HOUR, series, "ann", "console", "4711-gone")
        )
        assert states_of(service, done(service, asked()))[0] == "complete"
        assert states_of(service, orphan)[0] == "interrupted"


# --- Two at once


def test_a_second_start_on_a_series_is_told_which_run_holds_it(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        run_id = held_up(service, market)
        with pytest.raises(SeriesHeld, match=f"BTCUSD 1h .*run {run_id}"):
            service.start(asked("ETHUSD", "BTCUSD"), "ben")
        _, runs = service.runs.find()
        assert runs == 1
        market.goes_on.set()
        service.wait(run_id, WAIT)
        assert states_of(service, done(service, asked("ETHUSD", "BTCUSD")))[0] == "complete"


def test_a_second_start_is_told_which_process_holds_a_series(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        lease = service.ingester.stores.lease(Series("BTCUSD", "1h", "coinbase"))
        with lease.acquire(), pytest.raises(SeriesHeld, match="process"):
            service.start(asked(), "ann")


def test_of_many_starts_at_the_same_time_one_gets_the_series(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        market.stops_at = START
        told: list[str] = []

        def start() -> None:
            try:
                told.append(f"run {service.start(asked(), 'ann')}")
            except SeriesHeld as error:
                told.append(error.holder)

        threads = [threading.Thread(target=start) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        market.goes_on.set()
        assert told == ["run 1"] * 6
        service.wait(1, WAIT)
        assert states_of(service, 1)[0] == "complete"


# --- Newer before history


def test_newer_bars_of_every_series_come_before_any_history(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        done(service, asked("BTCUSD", "ETHUSD", start="2024-01-05", days=2))
        market.asked_by_pair.clear()
        run_id = done(service, asked("BTCUSD", "ETHUSD", days=10))
        assert states_of(service, run_id)[0] == "complete"
        low = START + 4 * 24 * HOUR
        is_newer = [page.start >= low for _, page in market.asked_by_pair]
        assert is_newer == sorted(is_newer, reverse=True)
        assert {True, False} == set(is_newer)
        row = service.runs.series(run_id)[0]
        assert row.records == 8 * 24
        assert row.pages_done == row.pages_planned > 0
        assert row.expected == row.stored == 10 * 24
    assert kept(tmp_path) == list(hours(0, 240))


def test_a_series_that_fails_on_its_newer_bars_is_told_once(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        done(service, asked("BTCUSD", "ETHUSD", start="2024-01-05", days=2))
        market.errors["ETHUSD"] = PermanentError("coinbase has delisted ETHUSD")
        run_id = done(service, asked("BTCUSD", "ETHUSD", days=10))
        assert states_of(service, run_id) == ("failed", {"BTCUSD": "complete", "ETHUSD": "failed"})
        assert sum("delisted" in line for line in lines_of(service, run_id)) == 1


def test_marks_that_cannot_be_read_fail_their_own_series_only(
    tmp_path: Path, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = DeltaLakeManager.marks

    def broken(self: DeltaLakeManager, series: Series) -> Watermarks:
        if series.asset_pair == "ETHUSD":
            raise StorageError("the log of ETHUSD cannot be read")
        return marks(self, series)

    with opened(tmp_path) as service:
        done(service, asked("BTCUSD", "ETHUSD", start="2024-01-05", days=2))
        monkeypatch.setattr(DeltaLakeManager, "marks", broken)
        run_id = done(service, asked("BTCUSD", "ETHUSD", days=10))
        assert states_of(service, run_id) == ("failed", {"BTCUSD": "complete", "ETHUSD": "failed"})
        assert "the log of ETHUSD" in service.runs.series(run_id)[1].error


# --- The preview says what the run then does


@pytest.mark.parametrize("mode", ["resume", "gaps", "refetch"])
@pytest.mark.parametrize("before", [None, ("2024-01-04", 3)], ids=["nothing stored", "the middle stored"])
def test_the_preview_is_what_the_run_then_does(
    tmp_path: Path, market: Market, mode: str, before: tuple[str, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk, "_COMMIT_ROWS", 100)  # with thirty, most of the time goes into the log of the table
    with opened(tmp_path) as service:
        if before:
            done(service, asked(start=before[0], days=before[1]))
        request = asked("BTCUSD", "ETHUSD", days=9, mode=mode)
        shown = preview(request, service)
        market.asked_by_pair.clear()
        run_id = done(service, request)
        rows = service.runs.series(run_id)
        assert shown.requests == len(market.asked_by_pair)
        assert [item.expected for item in shown.series] == [row.expected for row in rows]
        assert [item.to_fetch for item in shown.series] == [row.received for row in rows]
        assert [item.stored + row.records for item, row in zip(shown.series, rows, strict=True)] == [216, 216]
        after = preview(request, service)
        if mode != "refetch":
            assert (after.to_fetch, after.requests) == (0, 0)
            assert {item.skipped for item in after.series} == {"up to date"}


def test_the_preview_counts_young_bars_that_are_read_again(
    tmp_path: Path, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(market), "settle_seconds", 10**9)  # every bar was read soon after its close
    with opened(tmp_path) as service:
        done(service, asked())
        shown = preview(asked(days=4), service)
        market.asked_by_pair.clear()
        run_id = done(service, asked(days=4))
        assert shown.to_fetch == sum(row.received for row in service.runs.series(run_id)) == 96
        assert shown.requests == len(market.asked_by_pair)


def test_a_forecast_counts_what_its_tick_then_fetches_young_bars_included(
    tmp_path: Path, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(market), "settle_seconds", 10**9)
    with opened(tmp_path) as service:
        done(service, asked())
        plans = Plans(service.settings, Watchlists(service.database))
        draft = Draft("one", "coinbase", ("BTCUSD",), ("1h",), since="2024-01-01")
        due = times.parse_instant("2024-01-05T00:02:00Z")
        [shown] = expected_ticks(draft, [due], plans, Stored(service))
        market.asked_by_pair.clear()
        monkeypatch.setattr(times, "now", lambda: due)
        run_id = done(service, plans.request(draft, due, due))
        assert shown.bars == sum(row.received for row in service.runs.series(run_id)) == 96
        assert shown.requests == len(market.asked_by_pair)


def test_the_preview_says_why_a_series_is_skipped(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        shown = preview(asked("NOPEUSD", "BTCUSD"), service)
        assert "no pair NOPEUSD" in (shown.series[0].skipped or "")
        assert shown.series[0].requests == 0
        assert shown.series[1].skipped is None
        assert shown.requests == 8


# --- Log lines, and a database that cannot be written for a while


def test_what_is_logged_during_a_run_stands_in_its_log_lines(
    tmp_path: Path, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logging.getLogger("ffe_core.providers.http")
    plain = Market.fetch

    async def fetch(self: Market, pair: str, timeframe: str, page: object) -> object:
        log.warning("try 1 of 3: %s is busy", pair)
        await asyncio.to_thread(log.error, "said in a thread")
        log.info("not worth a line")
        return await plain(self, pair, timeframe, page)  # type: ignore[arg-type]

    monkeypatch.setattr(Market, "fetch", fetch)
    with opened(tmp_path) as service:
        first, second = service.start(asked("BTCUSD"), "ann"), service.start(asked("ETHUSD"), "ann")
        service.wait(first, WAIT)
        service.wait(second, WAIT)
        lines = lines_of(service, first)
        assert "try 1 of 3: BTCUSD is busy" in lines
        assert "said in a thread" in lines
        assert not any("ETHUSD" in line or "not worth" in line for line in lines)
        levels = {line.text: line.level for line in service.runs.lines(first)}
        assert levels["try 1 of 3: BTCUSD is busy"] == "warning"
        assert levels["said in a thread"] == "error"
        log.warning("outside any run")
        assert lines_of(service, first) == lines


def test_progress_is_in_the_ledger_while_the_run_goes_on(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        run_id = held_up(service, market)
        row = poll(lambda: next((r for r in service.runs.series(run_id) if r.pages_done), None), "progress")
        assert row.state == "running"
        assert 0 < row.pages_done < row.pages_planned == 8
        market.goes_on.set()
        service.wait(run_id, WAIT)


@pytest.mark.of_a_state_file("a server has no lock of the whole state")
def test_a_ledger_locked_for_a_while_loses_nothing(
    tmp_path: Path, market: Market, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.05)
    with opened(tmp_path) as service:
        run_id = held_up(service, market)
        poll(lambda: service.runs.series(run_id)[0].state == "running", "the run to be written down")
        other = sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        market.goes_on.set()
        poll(lambda: "could not be written" in caplog.text, "the database to be missed")
        other.execute("ROLLBACK")
        other.close()
        service.wait(run_id, WAIT)
        assert states_of(service, run_id) == ("complete", {"BTCUSD": "complete"})
        row = service.runs.series(run_id)[0]
        assert (row.records, row.pages_done, row.stored) == (72, 8, 72)
        assert any("72 candles stored" in line for line in lines_of(service, run_id))


def unwritable(monkeypatch: pytest.MonkeyPatch, fault: str, until: threading.Event) -> None:
    """Every change of the database fails as on a full disk, until somebody makes room."""
    plain = Database.write

    @contextmanager
    def write(self: Database) -> Iterator[Any]:
        if not until.is_set():
            raise DatabaseError(f"the database cannot be written: {fault}", f"database_{fault}")
        with plain(self) as connection:
            yield connection

    monkeypatch.setattr(Database, "write", write)


def test_what_cannot_be_written_is_given_up_while_other_writes_succeed_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_service, "_PATIENCE_SECONDS", 1)
    ended = asyncio.Event()

    def fails() -> None:
        raise StorageError("the database cannot be written")

    async def both(service: RunService) -> None:
        beside = asyncio.create_task(service.keep_writing(lambda: None, ended))
        try:
            async with asyncio.timeout(10):
                await service.persist(fails)
        finally:
            ended.set()
            await beside

    with opened(tmp_path) as service, pytest.raises(StorageError):
        asyncio.run(both(service))


def test_what_is_written_later_shares_the_patience_though_other_writes_succeed_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk, where a change that needs no more room goes through."""
    monkeypatch.setattr(run_service, "_PATIENCE_SECONDS", 3)

    def fails() -> None:
        raise StorageError("the database cannot be written")

    async def seconds(service: RunService) -> float:
        began = time.monotonic()
        for _ in range(3):
            with pytest.raises(StorageError):
                await service.persist(fails)
            await service.persist(lambda: None)
        return time.monotonic() - began

    with opened(tmp_path) as service:
        assert 3 < asyncio.run(seconds(service)) < 2 * 3


def test_a_change_that_got_through_after_all_ends_the_patience_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_service, "_PATIENCE_SECONDS", 2)
    began, outages = time.monotonic(), [(0.0, 1.2), (1.8, 3.2)]

    def change() -> None:
        if any(first <= time.monotonic() - began < end for first, end in outages):
            raise StorageError("the database cannot be written")

    async def both(service: RunService) -> None:
        await service.persist(change)
        await asyncio.sleep(max(0.0, began + 2.0 - time.monotonic()))
        await service.persist(change)

    with opened(tmp_path) as service:
        began = time.monotonic()
        asyncio.run(both(service))


def test_who_follows_a_run_whose_end_cannot_be_written_is_told_within_one_patience(
    tmp_path: Path, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_service, "_PATIENCE_SECONDS", 2)
    room = threading.Event()
    with opened(tmp_path) as service:
        run_id = held_up(service, market)
        poll(lambda: service.runs.series(run_id)[0].state == "running", "the run to be written down")
        unwritable(monkeypatch, "disk_full", room)
        market.goes_on.set()
        began = time.monotonic()
        with pytest.raises(StorageError, match=r"cannot be written down: .*disk_full"):
            follow(service, run_id, lambda rows: None)
        assert time.monotonic() - began < 2 * 2  # not a patience for each thing that it writes at its end
        room.set()


def test_a_database_that_cannot_be_written_ends_the_run_with_the_reason_and_it_is_written_later(
    tmp_path: Path, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_service, "_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(run_service, "_LATER_SECONDS", 0.1)
    room = threading.Event()
    with opened(tmp_path) as service:
        run_id = held_up(service, market)
        poll(lambda: service.runs.series(run_id)[0].state == "running", "the run to be written down")
        unwritable(monkeypatch, "disk_full", room)
        market.goes_on.set()
        service.wait(run_id, WAIT)
        assert service.has_ended(run_id)
        assert "disk_full" in str(service.unwritten(run_id))
        assert service.runs.get(run_id).state == "running"
        room.set()
        poll(lambda: service.unwritten(run_id) is None, "the end to be written down")
        state, series = states_of(service, run_id)
        assert (state, series) == ("failed", {"BTCUSD": "failed"})
        assert "disk_full" in service.runs.get(run_id).error


def test_a_service_closes_though_its_database_cannot_be_written(
    tmp_path: Path, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as service:
        run_id = held_up(service, market)
        poll(lambda: service.runs.series(run_id)[0].state == "running", "the run to be written down")
        unwritable(monkeypatch, "read_only", threading.Event())
        began = time.monotonic()
    assert time.monotonic() - began < run_service._PATIENCE_SECONDS


@pytest.mark.of_a_state_file("a server has no folder of locks")
def test_a_folder_of_locks_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("not a folder")
    with pytest.raises(StorageError, match=r"the folder of locks .*locks cannot be made: there is a file where"):
        RunService(Settings.load({"data_dir": str(tmp_path)}), Database(tmp_path / DATABASE_FILE))


@pytest.mark.of_a_lake_folder("a killed writer leaves files in folders")
def test_temporary_files_of_killed_writers_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    log = tmp_path / "lake" / "raw_market_data_1h" / "_delta_log"
    old = [
        tmp_path / "watermarks" / ".watermarks.json.0123abcd.tmp",
        tmp_path / "dlq" / ".a.json.0123abcd.tmp",
        tmp_path / "locks" / ".leader.json.0123abcd.tmp",
        log / "_commit_6f1c.json.tmp",
    ]
    written, others = tmp_path / "dlq" / ".b.json.0123abcd.tmp", tmp_path / "dlq" / "mine.tmp"
    for file in (*old, written, others):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("half of so")
        os.utime(file, (time.time() - 7200,) * 2)
    with written.open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        with opened(tmp_path):
            assert not any(file.exists() for file in old)
            assert written.exists()
            assert others.exists()


def test_an_end_that_comes_while_progress_is_being_written_is_written_too(
    tmp_path: Path, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, first = RunStore.update_series, []

    def slow(self: RunStore, run_id: int, changes: dict[int, dict[str, object]]) -> None:
        if not first:
            first.append(run_id)
            market.goes_on.set()
            poll(lambda: any("stored" in line.text for line in self.lines(run_id)), "the series to end")
        plain(self, run_id, changes)

    monkeypatch.setattr(RunStore, "update_series", slow)
    with opened(tmp_path) as service:
        run_id = held_up(service, market)
        service.wait(run_id, WAIT)
        assert states_of(service, run_id) == ("complete", {"BTCUSD": "complete"})
        assert service.runs.series(run_id)[0].stored == 72


def test_a_series_that_nobody_spoke_for_is_never_complete(tmp_path: Path) -> None:
    async def silent(run_id: int) -> None:
        """Does nothing and says nothing."""

    with opened(tmp_path) as service:
        series = [Series("BTCUSD", "1h", "coinbase")]
        run = NewRun("replay", "coinbase", "replay", START, START + HOUR, series, "ann", "console", "")
        run_id = service.submit(run, silent)
        service.wait(run_id, WAIT)
        assert states_of(service, run_id) == ("failed", {"BTCUSD": "failed"})


def test_a_job_that_breaks_is_a_failed_run_with_its_reason(tmp_path: Path) -> None:
    async def breaks(run_id: int) -> None:
        raise ZeroDivisionError("by nought")

    with opened(tmp_path) as service:
        series = [Series("BTCUSD", "1h", "coinbase")]
        run = NewRun("replay", "coinbase", "replay", START, START + HOUR, series, "ann", "console", "")
        run_id = service.submit(run, breaks)
        service.wait(run_id, WAIT)
        assert states_of(service, run_id) == ("failed", {"BTCUSD": "failed"})
        written = service.runs.get(run_id)
        assert written is not None
        assert written.error == "ZeroDivisionError: by nought"
        with pytest.raises(InputError, match="a replay"):
            service.retry_failed(run_id, "ann")


# --- The database


def test_runs_are_found_by_state_provider_pair_and_time(tmp_path: Path) -> None:
    runs = RunStore(Database(tmp_path / DATABASE_FILE))
    for number in range(4):
        pair = "BTCUSD" if number % 2 else "ETHUSD"
        provider = "coinbase" if number < 2 else "oanda"
        series = [Series(pair, "1h", provider), Series("SOLUSD", "1h", provider)]
        runs.add(NewRun("backfill", provider, "resume", START, START + HOUR, series, "ann", "console", "1"))
    runs.update(3, state=run_states.COMPLETE)
    found = lambda **wanted: [run.id for run in runs.find(**wanted)[0]]  # noqa: E731
    assert found() == [4, 3, 2, 1]
    assert found(states=["complete"]) == [3]
    assert runs.count_active() == 3
    assert [run.series_total for run in runs.find(offset=1, limit=2)[0]] == [2, 2]
    assert runs.find(offset=1, limit=2)[1] == 4
    assert found(provider="oanda", asset_pairs=["BTCUSD"]) == [4]
    assert found(asset_pairs=["SOLUSD"], limit=2, offset=1) == [3, 2]
    assert found(since=time.time() + 60) == []
    assert found(until=time.time() + 60) == [4, 3, 2, 1]
    newest = runs.last_of_series()
    assert newest[Series("SOLUSD", "1h", "oanda")].run_id == 4
    assert newest[Series("ETHUSD", "1h", "coinbase")].run_id == 1


def test_a_failure_without_a_special_step_sends_to_the_log() -> None:
    report = SeriesResult(Series("BTCUSD", "1h", "coinbase"), 0, 1, error=StorageError("disk full"))
    assert next_step(report) == "see_log"


def test_a_rule_that_cannot_be_fails_the_series_in_words_and_not_as_unforeseen(
    tmp_path: Path, market: Market, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path) as service:
        (service.settings.data_dir / "rules.toml").write_text("[rules.wrong\n")
        run_id = service.start(asked(), "ann")
        service.wait(run_id, WAIT)
        [row] = service.runs.series(run_id)
    assert (row.state, row.error_code) == ("failed", "bad_input")
    assert "rules.toml" in str(row.error)
    assert not [record for record in caplog.records if record.exc_info]
