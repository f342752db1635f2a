"""Is a count of what is stored a run like others, in nobody's way, and begun by itself where workers spare reading?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ffe_core.errors import InputError
from ffe_core.insight.coverage import Coverage
from ffe_core.operations.coverage import service as coverage_service
from ffe_core.operations.coverage.keeper import CoverageKeeper
from ffe_core.operations.coverage.service import ITSELF, CoverageRuns
from ffe_core.operations.runs.service import RunService
from ffe_core.series import Series
from ffe_core.storage.lake.range_cache import RangeCache
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.pruning import prune
from tests.operations.harness import WAIT, Market, asked, done, lines_of, opened, states_of
from tests.operations.harness import market as market

PAIRS = ("BTCUSD", "ETHUSD")
BTC = Series("BTCUSD", "1h", "coinbase")


@pytest.fixture
def service(tmp_path: Path, market: Market) -> Iterator[RunService]:
    with opened(tmp_path) as made:
        done(made, asked(*PAIRS, days=2))
        yield made


def coverage_of(service: RunService) -> Coverage:
    return Coverage(service.stores, RangeCache(service.database))


@pytest.mark.both_servers
def test_every_series_is_counted_and_the_log_says_what_it_comes_to(service: RunService) -> None:
    run_id = CoverageRuns(service).start("ann")
    service.wait(run_id, WAIT)
    run, rows = service.runs.get(run_id), service.runs.series(run_id)
    assert run is not None
    assert (run.kind, run.provider, run.state, run.has_range) == ("coverage", "coinbase", "complete", False)
    assert [(row.asset_pair, row.stored, row.expected, row.unexplained) for row in rows] == [
        ("BTCUSD", 48, 48, 0), ("ETHUSD", 48, 48, 0)
    ]  # fmt: skip
    assert lines_of(service, run_id)[-1] == "96 bars of 2 series stored"
    assert not coverage_of(service).unread()


def test_it_holds_up_no_backfill_and_says_nothing_of_the_health_of_a_series(
    service: RunService, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, goes_on, inner = threading.Event(), threading.Event(), Coverage.of

    def held(self: Coverage, *asked_for: Any) -> Any:
        reached.set()
        goes_on.wait(WAIT)
        return inner(self, *asked_for)

    monkeypatch.setattr(Coverage, "of", held)
    run_id = CoverageRuns(service).start("ann", series=[BTC])
    assert reached.wait(WAIT)
    later = done(service, asked("BTCUSD", days=3))
    goes_on.set()
    service.wait(run_id, WAIT)
    assert states_of(service, later) == ("complete", {"BTCUSD": "complete"})
    assert service.runs.last_of_series()[BTC].run_id == later


def test_the_newest_run_that_fetched_a_series_is_kept_whatever_was_counted_since(service: RunService) -> None:
    counted = CoverageRuns(service).start("ann")
    service.wait(counted, WAIT)
    for run_id in (1, counted):
        service.runs.update(run_id, ended_at=0.0)
    assert prune(service.database, "runs", 1.0) == 1
    assert service.runs.get(1) is not None
    assert service.runs.get(counted) is None


def test_nothing_stored_is_nothing_to_count(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service, pytest.raises(InputError, match="nothing is stored yet"):
        CoverageRuns(service).start("ann")


def test_by_itself_it_counts_where_workers_spare_reading_once_a_run(
    service: RunService, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service.database.write() as connection:
        connection.exec_driver_sql("delete from file_runs")  # as if another tool had written the files
    keeper = CoverageKeeper(CoverageRuns(service), coverage_of(service))
    assert keeper.look() is None, "there are no workers: a page reads as fast"
    service.settings = service.settings.model_copy(update={"ray_address": "head.example:6379"})
    keeper.note_end(1)
    assert keeper.look() is None, "a few files are read in no time"
    monkeypatch.setattr(coverage_service, "_WORTH_FILES", 2)
    assert keeper.look() is None, "no run has ended since"
    keeper.note_end(1)
    run_id = keeper.look()
    assert run_id is not None
    service.wait(run_id, WAIT)
    run = service.runs.get(run_id)
    assert run is not None
    assert (run.source, states_of(service, run_id)[0]) == (ITSELF, run_states.COMPLETE)
    keeper.note_end(run_id)
    assert keeper.look() is None, "all of it was read"
