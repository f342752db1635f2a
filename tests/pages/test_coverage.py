"""Coverage page: what is missing is shown, filled or explained, and nothing is cut in silence."""

from __future__ import annotations

import numpy as np
import pytest

from ffe_core import times
from ffe_core.operations.run_service import BackfillRequest
from ffe_core.operations.service import ConsoleService
from ffe_core.series import Series
from pages.ui.heatmap import LEVELS, levels
from tests.ingestion.fakes import HOUR, START
from tests.pages.conftest import Open, words

BTC = Series("BTCUSD", "1h", "simulated")
GONE = (START + 30 * HOUR, START + 31 * HOUR)


@pytest.fixture
def holed(console: ConsoleService) -> ConsoleService:
    """Three days of a simulated pair without two hours of its second day."""
    run = console.run_service.start(
        BackfillRequest.of("simulated", ["BTCUSD"], ["1h"], "2024-01-01", "2024-01-03"), "ann"
    )
    console.run_service.wait(run, 60)
    table = console.lake.open(BTC.table)
    assert table is not None
    for at in GONE:
        table.delete(f"timestamp = '{times.iso(at)}'")
    return console


def test_nothing_stored_says_what_to_do_next(open_page: Open) -> None:
    assert "nothing can be missing" in words(open_page("coverage"))


def test_counts_and_the_largest_gaps_are_shown(holed: ConsoleService, open_page: Open) -> None:
    at = open_page("coverage")
    assert [metric.value for metric in at.metric] == ["72", "70", "0", "0", "2", "0"]
    frame = at.dataframe[0].value
    assert (frame["Pair"][0], frame["First missing"][0], frame["Bars"][0]) == ("BTCUSD", "2024-01-02 06:00 UTC", 2)


def test_a_click_on_a_cell_opens_its_gaps_and_they_lead_to_exactly_that_backfill(
    holed: ConsoleService, open_page: Open
) -> None:
    at = open_page("coverage")
    day = START + 24 * HOUR
    at.session_state["coverage_pair"], at.session_state["coverage_at"] = "BTCUSD", day
    at.run()
    assert "BTCUSD 1h, 2024-01-02" in words(at)
    at.button(key="coverage_cell_fill").click().run()
    assert at.title[0].value == "Backfill"
    asked = {name: values if isinstance(values, str) else values[0] for name, values in at.query_params.items()}
    assert (asked["start"], asked["end"], asked["mode"]) == ("2024-01-02T06:00:00Z", "2024-01-02T08:00:00Z", "gaps")
    assert "2 candles" in words(at)


def test_a_gap_is_marked_with_a_reason_and_taken_back(holed: ConsoleService, open_page: Open) -> None:
    at = open_page("coverage", pair="BTCUSD")
    at.button(key="coverage_cell_mark").click().run()
    assert "2 bars in 1 gap of BTCUSD" in words(at)
    at.radio(key="coverage_reason").set_value("venue outage")
    at.button(key="coverage_mark_yes").click().run()
    assert [state.hole.reason for state in holed.hole_verbs.states([BTC])] == ["venue outage"]
    at = open_page("coverage")
    assert [metric.value for metric in at.metric] == ["72", "70", "0", "2", "0", "0"]
    assert "Nothing is missing without a reason" in words(at)


def test_what_was_asked_twice_is_offered_for_marking(holed: ConsoleService, open_page: Open) -> None:
    gone = np.array([[GONE[0], GONE[1] + HOUR]])
    holed.holes.note_asked(BTC, gone[:0], gone)
    at = open_page("coverage")
    assert "asked for twice" in words(at)
    at.button(key="coverage_asked_twice").click().run()
    assert "Marked 2 bars in 1 hole" in words(at)


def test_a_calendar_asked_beyond_what_it_knows_is_said(console: ConsoleService, open_page: Open) -> None:
    run = console.run_service.start(
        BackfillRequest.of("simulated", ["AAPL"], ["1h"], "2024-01-02", "2024-01-03"), "ann"
    )
    console.run_service.wait(run, 60)
    at = open_page("coverage", **{"from": "1960-01-01", "to": "1960-02-01"})
    assert "does not know the whole range" in words(at)
    assert "1960-01-01 lies outside what the XNYS calendar knows" in words(at)


def test_a_mended_address_never_breaks_the_page(holed: ConsoleService, open_page: Open) -> None:
    at = open_page("coverage", provider="nobody", timeframe="2h", at="soon", pair="///", **{"from": "x", "to": "y"})
    assert "Not understood in the address" in words(at)
    assert len(at.metric) == 6


def test_every_cell_has_one_of_five_levels_and_a_closed_market_none() -> None:
    counts = {
        "expected": np.array([[24, 24, 24, 24, 24, 0]]),
        "unexplained": np.array([[0, 0, 1, 13, 24, 0]]),
        "dead_lettered": np.array([[0, 1, 0, 0, 0, 0]]),
        "marked": np.array([[0, 0, 3, 0, 0, 0]]),
    }
    found = levels(counts)[0]
    assert [LEVELS[int(level)] for level in found[:5]] == list(LEVELS)
    assert np.isnan(found[5])
