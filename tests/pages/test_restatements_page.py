"""Restatements page: what was restated, by how much and by whom, and the way to the bar."""

from __future__ import annotations

import re

from ffe_core.candles import VALUES
from ffe_core.insight.versions import versions
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.corrections import correct
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import micros
from tests.insight.lakes import HOUR, JANUARY
from tests.pages.conftest import Open, words

BTC = Series("BTCUSD", "1h", "simulated")


def revised(console: ConsoleService) -> None:
    """A day brought by run 1, a bar of it corrected by hand, and brought back to what it was by run 2."""
    asked = BackfillRequest.of("simulated", ["BTCUSD", "ETHUSD"], ["1h"], "2024-01-01", "2024-01-01")
    console.run_service.wait(console.run_service.start(asked, "ann"), 60)
    corrected(console, {**dict.fromkeys(VALUES, 10.0), "high": 11.0})
    again = BackfillRequest.of("simulated", ["BTCUSD"], ["1h"], "2024-01-01", "2024-01-01", "refetch")
    console.run_service.wait(console.run_service.start(again, "ann"), 60)


def corrected(console: ConsoleService, values: dict[str, float]) -> None:
    """Correct the second bar by hand."""
    before = int(micros(versions(console.lake, BTC, JANUARY + HOUR)["_extracted_at"])[-1])
    correct(console.run_service.stores, console.audit, BTC, JANUARY + HOUR, values, "ann", "typo", before)


def test_each_restatement_says_which_run_or_hand_brought_it(console: ConsoleService, open_page: Open) -> None:
    revised(console)
    at = open_page("restatements")
    assert not at.exception
    assert "**simulated** gave other values for **1 bar** (last 30 days)" in words(at)
    frame = at.dataframe[0].value
    assert frame["By"].tolist() == ["run 2", "by hand"]
    assert re.fullmatch(
        r"open \S+ → 10.00, high \S+ → 11.00, low \S+ → 10.00, close \S+ → 10.00, volume \S+ → 10", frame["Changed"][1]
    )
    assert frame["Close, bps"][0] > 0 > frame["Close, bps"][1]


def test_a_change_of_the_volume_alone_is_named(console: ConsoleService, open_page: Open) -> None:
    asked = BackfillRequest.of("simulated", ["BTCUSD"], ["1h"], "2024-01-01", "2024-01-01")
    console.run_service.wait(console.run_service.start(asked, "ann"), 60)
    stored = console.lake.current(BTC, JANUARY + HOUR, JANUARY + 2 * HOUR).to_pylist()[0]
    corrected(console, {name: stored[name] for name in VALUES} | {"volume": 7.0})
    frame = open_page("restatements").dataframe[0].value
    assert re.fullmatch(r"volume \S+ → 7", frame["Changed"][0])
    assert frame["Close, bps"][0] == 0.0


def test_the_filters_live_in_the_address(console: ConsoleService, open_page: Open) -> None:
    revised(console)
    at = open_page("restatements", provider="simulated", since="7", series="ETHUSD/1h/simulated")
    assert "No bar was restated" in words(at)
    assert at.selectbox(key="restated_series").value == Series("ETHUSD", "1h", "simulated")
    at.selectbox(key="restated_series").set_value(None).run()
    assert len(at.dataframe[0].value) == 2
    assert (at.query_params["provider"], at.query_params["since"]) == ("simulated", "7")
