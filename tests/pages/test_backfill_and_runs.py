"""Do the backfill form and the runs say what is so, when more is fetched than asked and when less was counted?"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from streamlit.testing.v1 import AppTest

from ffe_core.operations.run_service import BackfillRequest
from ffe_core.operations.service import ConsoleService
from tests.pages.conftest import Open


def ran(console: ConsoleService, start: str, end: str) -> int:
    request = BackfillRequest.of("simulated", ["BTCUSD"], ["1h"], start, end)
    run_id = console.run_service.start(request, "ann")
    console.run_service.wait(run_id, 30)
    return run_id


def left_in_the_middle(data_dir: Path, run_id: int) -> None:
    """As a run is after its process was killed: a third of its pages, and nothing counted."""
    with sqlite3.connect(data_dir / "console.db") as ledger:
        ledger.execute("update runs set state = 'interrupted' where id = ?", (run_id,))
        ledger.execute(
            "update run_series set state = 'interrupted', pages_done = 1, pages_planned = 3, expected = null,"
            " stored = null, dead_lettered = null, marked = null, unexplained = null where run_id = ?",
            (run_id,),
        )


def links(at: AppTest) -> list[str]:
    return [link.proto.label for link in at.get("page_link")]


def test_more_to_fetch_than_the_range_has_is_explained(console: ConsoleService, open_page: Open) -> None:
    ran(console, "2024-02-01", "2024-02-02")
    asked = {"provider": "simulated", "pairs": "BTCUSD", "timeframes": "1h", "start": "2024-01-01"}
    apart = open_page("backfill", **asked, end="2024-01-02").dataframe[0].value
    assert list(apart["Note"]) == ["up to what is stored already, so that no hole is left"]
    adjacent = open_page("backfill", **asked, end="2024-02-02").dataframe[0].value
    assert list(adjacent["Note"]) == [""]


def test_what_was_not_counted_reads_as_a_dash_and_not_as_done(
    console: ConsoleService, data_dir: Path, open_page: Open
) -> None:
    run_id = ran(console, "2024-01-01", "2024-01-02")
    left_in_the_middle(data_dir, run_id)
    shown = {metric.label: metric.value for metric in open_page("run", id=str(run_id)).metric}
    assert shown["Unexplained"] == shown["Accounted for"] == "–"
    listed = open_page("runs").dataframe[0].value
    assert list(listed["Progress"]) == [1 / 3]


def test_a_run_with_gaps_leads_to_them(console: ConsoleService, data_dir: Path, open_page: Open) -> None:
    run_id = ran(console, "2024-01-01", "2024-01-02")
    assert "Look at the gaps" not in links(open_page("run", id=str(run_id)))
    with sqlite3.connect(data_dir / "console.db") as ledger:
        ledger.execute("update run_series set state = 'finished with gaps', unexplained = 3")
    assert "Look at the gaps" in links(open_page("run", id=str(run_id)))
