"""Does the Storage page say how the lake is stored, and start upkeep that can be watched?"""

from __future__ import annotations

import json
import time

import pytest
from streamlit.testing.v1 import AppTest

from ffe_core.errors import StorageError
from ffe_core.insight import storage as insight
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.storage.leases import UpkeepLease
from ffe_core.storage.state.runs import UPKEEP
from pages.widgets.tables import size_column
from tests.ingestion.fakes import locks_of
from tests.pages.conftest import Open, words


@pytest.fixture
def grown(console: ConsoleService) -> ConsoleService:
    """Two series, each in three files."""
    for day in (4, 5, 6):
        request = BackfillRequest.of("simulated", ["BTCUSD", "ETHUSD"], ["1h"], "2024-01-01", f"2024-01-{day:02}")
        console.run_service.wait(console.run_service.start(request, "ann"), 60)
    return console


def figures(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


def ended(console: ConsoleService) -> int:
    [run] = console.runs.find(kinds=[UPKEEP])[0]
    console.run_service.wait(run.id, 60)
    return run.id


def test_it_shows_tables_series_and_what_upkeep_would_win(grown: ConsoleService, open_page: Open) -> None:
    at = open_page("storage")
    shown = figures(at)
    assert (shown["Files"], shown["To spare"]) == ("6", "4")
    table, series = (frame.value for frame in at.dataframe)
    assert table[["Table", "Files", "Small", "Last upkeep", "Next merges", "Into"]].values.tolist() == [
        ["raw_market_data_1h", 6, 6, "never", 6, 2]
    ]
    assert series[["Pair", "Provider", "Files"]].values.tolist() == [
        ["BTCUSD", "simulated", 3],
        ["ETHUSD", "simulated", 3],
    ]
    assert table["Rows"][0] == series["Rows"].sum()
    assert "Replaced files stay 3 hours, log entries 1 hour" in words(at)


def test_upkeep_is_started_watched_and_told_of(grown: ConsoleService, open_page: Open) -> None:
    at = open_page("storage")
    at.button(key="storage_run_now").click().run()
    run_id = ended(grown)
    at.run()
    assert figures(at)["To spare"] == "0"
    assert at.dataframe[0].value["Files"][0] == 2
    assert at.dataframe[0].value["Last upkeep"][0] in ("now", *(f"{n} s ago" for n in range(60)))
    assert [link.proto.label for link in at.get("page_link")] == [f"Run {run_id}: complete"]


@pytest.mark.of_a_state_file("it is named")
def test_its_run_names_tables_and_what_became_of_them(grown: ConsoleService, open_page: Open) -> None:
    run_id = grown.upkeep.start("ann")
    grown.run_service.wait(run_id, 60)
    at = open_page("run", id=str(run_id))
    assert not at.exception
    assert figures(at)["Files"] == "6 → 2"
    table = at.dataframe[0].value
    assert table["Table"].tolist() == ["raw_market_data_1h", "console.db"]
    assert table["Came to"][0].startswith("6 files are 2 now")
    assert "Machine" not in table
    grown.runs.update_series(run_id, {0: {"machine": "north"}})
    assert open_page("run", id=str(run_id)).dataframe[0].value["Machine"].tolist() == ["north", ""]
    at = open_page("runs", kind=UPKEEP)
    assert at.dataframe[0].value["What"].tolist() == ["upkeep"]
    at = open_page("runs")
    assert len(at.dataframe[0].value) == 4


def test_while_it_runs_there_is_progress_and_no_second_start(grown: ConsoleService, open_page: Open) -> None:
    run_id = grown.upkeep.start("ann")
    grown.run_service.wait(run_id, 60)
    grown.runs.update(run_id, state="running", ended_at=None)
    grown.runs.update_series(run_id, {0: {"state": "running", "phase": "compacting", "pages_done": 1}})
    at = open_page("storage")
    assert at.button(key="storage_run_now").disabled
    assert at.button(key="storage_open")
    grown.runs.update(run_id, state="complete", ended_at=time.time())


def test_one_that_another_process_does_is_said(grown: ConsoleService, open_page: Open) -> None:
    at = open_page("storage")
    with UpkeepLease(locks_of(grown.settings.data_dir), "raw_market_data_1h", "run 9 elsewhere").acquire():
        at.button(key="storage_run_now").click().run()
    assert "run 9 elsewhere" in words(at)
    assert grown.runs.find(kinds=[UPKEEP])[1] == 0


def test_an_empty_lake_offers_a_backfill_and_one_thing_first(console: ConsoleService, open_page: Open) -> None:
    at = open_page("storage")
    assert "Nothing is stored yet." in words(at)
    assert [button.label for button in at.button if button.proto.type == "primary"] == ["New backfill"]


def test_sizes_are_written_as_beside_the_tables(grown: ConsoleService, open_page: Open) -> None:
    at = open_page("storage")
    tables, series = (json.loads(frame.proto.columns) for frame in at.dataframe)
    formats = {one["type_config"]["format"] for one in (tables["Size"], tables["To delete"], series["Size"])}
    assert formats == {"%,.1f KB"}
    sizes = at.dataframe[1].value["Size"]
    assert f"{sizes.sum():,.1f} KB" == figures(at)["Data"] == f"{at.dataframe[0].value['Size'].sum():,.1f} KB"
    assert at.button(key="storage_run_now").proto.type == "primary"


def test_a_small_size_beside_a_large_one_is_not_nothing() -> None:
    cells, column = size_column([2_000, 12_345_678])
    assert [column["type_config"]["format"].replace("%,.3f", f"{cell:,.3f}") for cell in cells] == [
        "0.002 MB",
        "12.346 MB",
    ]


def test_a_table_that_cannot_be_read_is_told_in_its_place(grown, open_page: Open, monkeypatch) -> None:
    def broken(*_: object) -> None:
        raise StorageError("the log of raw_market_data_1h cannot be read")

    monkeypatch.setattr(insight, "log_state", broken)
    at = open_page("storage")
    assert "The storage cannot be shown" in words(at).replace("\\", "")
    assert "the log of raw_market_data_1h cannot be read" in words(at)
    assert at.button(key="storage_run_now")
