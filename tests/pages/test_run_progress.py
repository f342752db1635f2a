"""Are rate and time left told by what was fetched, and does a run say what is new, restated and settled?"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from ffe_core.operations.console import ConsoleService
from ffe_core.series import Series
from ffe_core.storage.state.runs import CANCELLED, COMPLETE, INTERRUPTED, QUEUED, RUNNING, NewRun, RunSeries
from pages.run.progress import rate, time_left
from tests.pages.conftest import Open, words

BTC = Series("BTCUSD", "1h", "simulated")


def row(state: str = RUNNING, **values: Any) -> RunSeries:
    given = {"state": state, "pages_done": 0, "pages_planned": 0, "received": 0, "records": 0, **values}
    return RunSeries(**{field.name: given.get(field.name) for field in fields(RunSeries)})


def test_the_rate_counts_what_is_not_committed_yet() -> None:
    assert rate([row(received=5_000, records=0)], 10) == "500 /s"
    assert rate([row(received=5_000)], 0.1) == "–"


def test_time_left_goes_by_pages_and_counts_series_that_wait() -> None:
    half = row(pages_done=5, pages_planned=10)
    assert time_left([half], 60) == 60
    assert time_left([half, row(QUEUED)], 60) == 180
    assert time_left([row()], 60) is None
    assert time_left([row(COMPLETE, pages_done=4, pages_planned=4)], 60) is None


def told(console: ConsoleService, kind: str, **values: Any) -> int:
    run_id = console.runs.add(NewRun(kind, "simulated", "refetch", 0, 36_000, [BTC], "ann", "console", "1"))
    console.runs.update_series(run_id, {0: {"state": COMPLETE, "started_at": 1.0, "ended_at": 3.0, **values}})
    console.runs.update(run_id, state=COMPLETE, started_at=1.0, ended_at=3.0)
    return run_id


def test_what_was_restated_is_not_called_new(console: ConsoleService, open_page: Open) -> None:
    run_id = told(console, "backfill", records=10, restated=6)
    shown = {metric.label: metric.value for metric in open_page("run", id=str(run_id)).metric}
    assert (shown["New candles"], shown["Restated"]) == ("4", "6")
    for page in ("runs", "overview"):
        [listed] = [table.value for table in open_page(page).dataframe if "New" in table.value]
        assert listed["New"].tolist() == [4], page


@pytest.mark.parametrize(
    ("asked", "settled", "said"),
    [
        (1, 1, "The provider has sent good bars for 1 record"),
        (6, 4, "Of 6 records asked for again, 4 found a good bar and ended; 2 wait on"),
    ],
)
def test_asking_again_says_what_came_of_it(
    console: ConsoleService, open_page: Open, asked: int, settled: int, said: str
) -> None:
    run_id = told(console, "refetch", result={"asked_again": asked, "settled": settled})
    assert said in words(open_page("run", id=str(run_id)))


@pytest.mark.parametrize("stopped", [INTERRUPTED, CANCELLED])
def test_an_import_that_was_stopped_has_no_range_yet_and_its_series_has_not_ended(
    open_page: Open, console: ConsoleService, stopped: str
) -> None:
    files = Series("BTCUSDT", "1m", "files:mine")
    run_id = console.runs.add(NewRun("import", "files:mine", "files", 0, 36_000, [files], "ann", "console", "1"))
    console.runs.update_series(run_id, {0: {"state": stopped, "started_at": 1.0, "ended_at": 3.0}})
    console.runs.update(run_id, state=stopped, started_at=1.0, ended_at=3.0)
    page = open_page("run", id=str(run_id))
    assert not page.exception
    assert {metric.label: metric.value for metric in page.metric}["Series ended"] == "0 of 1"
    assert "1970" not in words(page)
    [listed] = [table.value for table in open_page("runs").dataframe if "Range" in table.value]
    assert listed["Range"].tolist() == [""]
