"""Does the grid show every series of the newest runs, failures first, and what has no room?"""

from __future__ import annotations

import json

import pytest

from ffe_core.operations.console import ConsoleService
from ffe_core.series import Series
from ffe_core.storage.state.runs import COMPLETE, FAILED, NewRun
from pages.runs.grid import MOST_SERIES, SIGNS, table_of
from tests.pages.conftest import Open, words

PAIRS = ("AAAUSD", "BBBUSD", "CCCUSD")


@pytest.fixture
def runs(console: ConsoleService) -> ConsoleService:
    """Three runs: of A and B, of B and C, of A; B failed in the second, A in the first."""
    for pairs, failed in ((PAIRS[:2], "AAAUSD"), (PAIRS[1:], "BBBUSD"), (PAIRS[:1], "")):
        series = [Series(pair, "1h", "simulated") for pair in pairs]
        run_id = console.runs.add(NewRun("backfill", "simulated", "resume", 0, 3600, series, "ann", "console", "1"))
        states = {place: {"state": FAILED if pair == failed else COMPLETE} for place, pair in enumerate(pairs)}
        console.runs.update_series(run_id, states)
        console.runs.update(run_id, state=COMPLETE)
    return console


def test_each_series_has_a_cell_a_run_and_the_newest_failure_stands_first(runs: ConsoleService) -> None:
    found, _ = runs.runs.find()
    table, _ = table_of(found, runs.runs.series_states([run.id for run in found]))
    assert [one.key for one in table.columns] == [1, 2, 3]
    kinds = {place: table.kinds[fact.kind].sign for place, fact in enumerate(table.facts)}
    signs = {
        name[:3]: [None if cell is None else kinds[cell] for cell in cells]
        for name, cells in zip(table.rows, table.cells, strict=True)
    }
    assert list(signs) == ["BBB", "AAA", "CCC"]
    assert signs == {"AAA": ["×", None, "✓"], "BBB": ["✓", "×", None], "CCC": [None, "✓", None]}


def test_every_state_has_a_sign_of_its_own() -> None:
    told = {state: sign for state, sign in SIGNS.items() if state != "cancelling"}
    assert len(set(told.values())) == len(told)


def test_the_page_says_what_has_no_room_and_keeps_the_view(console: ConsoleService, open_page: Open) -> None:
    series = [Series(f"A{number:03}USD", "1h", "simulated") for number in range(MOST_SERIES + 2)]
    console.runs.add(NewRun("backfill", "simulated", "resume", 0, 3600, series, "ann", "console", "1"))
    at = open_page("runs", view="grid")
    assert "2 series more have no room; filter by pair." in words(at)
    assert "grid" in at.query_params["view"]


def test_a_long_name_of_who_started_a_run_has_the_room_it_needs(console: ConsoleService, open_page: Open) -> None:
    who, series = "katharina.hohenstein", [Series("BTCUSD", "1h", "simulated")]
    console.runs.add(NewRun("backfill", "simulated", "resume", 0, 3600, series, who, "console", "1"))
    columns = json.loads(open_page("runs").dataframe[0].proto.columns)
    assert columns["By"]["width"] >= 7 * len(who)
