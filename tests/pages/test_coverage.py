"""Coverage page: what is missing is shown, filled or explained, and nothing is cut in silence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from ffe_core import times
from ffe_core.calendars import ExchangeHours
from ffe_core.calendars.hour_grid import on_hour_grid
from ffe_core.insight.coverage import COUNTS, by_period, never_asked
from ffe_core.instruments.model import Instrument
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.series import Series
from ffe_core.storage.state.acknowledged_gaps import NO_TRADES, VENUE_OUTAGE
from pages.coverage.heatmap import LEVELS, dates, levels, table_of
from pages.widgets.squares import sent
from pages.widgets.tables import digest
from tests.ingestion.fakes import HOUR, START, FakeProvider, hours, ingester, records
from tests.ingestion.fakes import run as ingest
from tests.pages.conftest import Open, words

BTC = Series("BTCUSD", "1h", "simulated")
GONE = (START + 30 * HOUR, START + 31 * HOUR)
LATER = START + 40 * HOUR


@pytest.fixture
def holed(console: ConsoleService) -> ConsoleService:
    """Three days of a simulated pair without two hours of its second day."""
    run = console.run_service.start(
        BackfillRequest.of("simulated", ["BTCUSD"], ["1h"], "2024-01-01", "2024-01-03"), "ann"
    )
    console.run_service.wait(run, 60)
    lose(console, GONE)
    return console


def lose(console: ConsoleService, open_times: Sequence[int]) -> None:
    table = console.lake.open(BTC.table)
    assert table is not None
    for at in open_times:
        table.delete(f"timestamp = '{times.iso(at)}'")


def address(at: AppTest) -> dict[str, str]:
    return {name: values if isinstance(values, str) else values[0] for name, values in at.query_params.items()}


def follow(at: AppTest, page: str, **to: str) -> AppTest:
    """Go by a link: another page, then an address of it."""
    at.switch_page(f"{page}/page.py")
    at.query_params.clear()
    for name, value in to.items():
        at.query_params[name] = value
    return at.run()


def tick(at: AppTest, table: str, *rows: int) -> AppTest:
    """Tick rows of a table by its key."""
    at.session_state[table] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    return at.run()


def gaps_table(console: ConsoleService) -> str:
    """The key of the table with the gaps of the chosen pair."""
    return f"coverage_cell_gaps_{digest(console.coverage.of([BTC])[0].gaps())}"


def marks_table(console: ConsoleService) -> str:
    newest_first = sorted(console.gap_verbs.states([BTC]), key=lambda state: -state.gap.at)
    return f"coverage_marks_{digest([state.gap.id for state in newest_first])}"


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
    asked = address(at)
    assert (asked["start"], asked["end"], asked["mode"]) == ("2024-01-02 06:00Z", "2024-01-02 08:00Z", "gaps")
    assert "2 candles" in words(at)


def test_a_gap_is_marked_with_a_reason_and_taken_back(holed: ConsoleService, open_page: Open) -> None:
    at = open_page("coverage", pair="BTCUSD")
    at.button(key="coverage_cell_mark").click().run()
    assert "2 bars in 1 gap of BTCUSD" in words(at)
    at.radio(key="coverage_reason").set_value("venue outage")
    at.button(key="coverage_mark_yes").click().run()
    assert [state.gap.reason for state in holed.gap_verbs.states([BTC])] == ["venue outage"]
    at = open_page("coverage")
    assert [metric.value for metric in at.metric] == ["72", "70", "0", "2", "0", "0"]
    assert "Nothing is missing without a reason" in words(at)


def test_what_was_asked_twice_is_offered_for_marking(holed: ConsoleService, open_page: Open) -> None:
    gone = np.array([[GONE[0], GONE[1] + HOUR]])
    holed.acknowledged.note_asked(BTC, gone[:0], gone)
    at = open_page("coverage")
    assert "asked for twice" in words(at)
    at.button(key="coverage_asked_twice").click().run()
    assert "Marked 2 bars in 1 gap" in words(at)


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


@pytest.mark.parametrize(
    ("nonsense", "because"),
    [
        ({"from": "1900-01-01", "to": "1900-02-01"}, "from=1900-01-01 (give a day from 1950-01-01 to "),
        ({"from": "2024-02-01", "to": "2024-01-01"}, "to=2024-01-01 (give a day from 2024-02-01 on)"),
        ({"to": "2024-01-01"}, "to=2024-01-01 (give from as well)"),
        ({"pair": "BTCUSD", "at": "9" * 20}, f"at={'9' * 20} (give epoch seconds from 1950-01-01 to "),
        ({"pair": "BTCUSD", "at": f"-{'9' * 20}"}, "(give epoch seconds from 1950-01-01 to "),
        ({"watchlist": "none of that name"}, "watchlist=none of that name (there is none yet)"),
        ({"range": "ever"}, "range=ever (use 30 days, 90 days, 1 year, All, Own range)"),
    ],
)
def test_what_an_address_asks_for_beyond_all_bounds_is_left_out_with_the_reason(
    holed: ConsoleService, open_page: Open, nonsense: dict[str, str], because: str
) -> None:
    at = open_page("coverage", **nonsense)
    assert because in words(at)
    assert [metric.value for metric in at.metric] == ["72", "70", "0", "0", "2", "0"]
    assert "cannot be shown" not in words(at)


def test_a_range_without_an_end_or_with_an_impossible_one_reaches_to_today(
    holed: ConsoleService, open_page: Open
) -> None:
    for asked in ({"from": "2024-01-03"}, {"from": "2024-01-03", "to": "9999-12-31"}):
        at = open_page("coverage", **asked)
        assert ("to=9999-12-31 (give a day from 1950-01-01 to " in words(at)) is ("to" in asked)
        assert (at.metric[1].value, address(at)["from"]) == ("24", "2024-01-03")


def test_a_cell_that_lies_outside_of_what_is_shown_opens_the_whole_of_its_pair(
    holed: ConsoleService, open_page: Open
) -> None:
    for at in ("0", str(START - HOUR), str(START + 1000 * 24 * HOUR)):
        said = words(open_page("coverage", pair="BTCUSD", at=at))
        assert "BTCUSD 1h, 2024-01-01 to 2024-01-03" in said
        assert "Every expected bar" not in said


def test_coming_back_to_the_same_address_shows_the_same(holed: ConsoleService, open_page: Open) -> None:
    link = {"provider": "simulated", "timeframe": "1h", "pair": "BTCUSD", "from": "2024-01-01", "to": "2024-01-02"}
    at = open_page("coverage", **link)
    for _ in range(2):
        follow(at, "overview")
        follow(at, "coverage", **link)
        assert "cannot be shown" not in words(at)
        assert [metric.value for metric in at.metric][:2] == ["48", "46"]
        assert "BTCUSD 1h, 2024-01-01 to 2024-01-02" in words(at)
        assert address(at) == link


def test_what_is_chosen_after_a_link_stays_and_the_address_follows(
    holed: ConsoleService, data_dir: Path, open_page: Open
) -> None:
    ingest(ingester(data_dir), FakeProvider(records(hours(0, 48))), START, START + 48 * HOUR)
    days = BackfillRequest.of("simulated", ["BTCUSD"], ["1d"], "2024-01-01", "2024-01-03")
    holed.run_service.wait(holed.run_service.start(days, "ann"), 60)
    at = open_page("coverage", provider="coinbase", timeframe="1h", pair="BTCUSD")
    at.selectbox(key="coverage_provider").set_value("simulated").run()
    assert address(at) == {"provider": "simulated", "timeframe": "1h"}
    at.segmented_control(key="coverage_timeframe").set_value("1d").run()
    assert address(at) == {"provider": "simulated", "timeframe": "1d"}
    assert at.metric[0].value == "3"
    at.segmented_control(key="coverage_preset").set_value("1 year").run()
    assert address(at) == {"provider": "simulated", "timeframe": "1d", "range": "1 year"}


def test_a_tick_never_means_another_row_than_was_ticked(holed: ConsoleService, open_page: Open) -> None:
    lose(holed, [LATER])
    for start, reason in ((GONE[0], NO_TRADES), (LATER, VENUE_OUTAGE)):
        holed.gap_verbs.mark(BTC, reason, "ann", "", start, start + 2 * HOUR)
    at = tick(open_page("coverage"), marks_table(holed), 0)
    at.button(key="coverage_unmark").click().run()
    at.button(key="coverage_unmark_yes").click().run()
    assert [state.gap.reason for state in holed.gap_verbs.states([BTC])] == [NO_TRADES]
    assert at.button(key="coverage_unmark").disabled
    at = open_page("coverage", pair="BTCUSD")
    table = gaps_table(holed)
    tick(at, table, 1)
    assert "1 bar in 1 gap" in words(at)
    holed.gap_verbs.mark(BTC, NO_TRADES, "ben", "", LATER, LATER + HOUR)
    at.run()
    assert gaps_table(holed) != table
    assert "Tick gaps that are not explained" in words(at)


def test_marks_are_taken_back_only_after_the_dialog_said_which(holed: ConsoleService, open_page: Open) -> None:
    holed.gap_verbs.mark(BTC, NO_TRADES, "ann")
    at = tick(open_page("coverage"), marks_table(holed), 0)
    at.button(key="coverage_unmark").click().run()
    assert "2 bars in 1 mark of BTCUSD 1h from simulated" in words(at)
    at.button(key="coverage_unmark_no").click().run()
    assert len(holed.gap_verbs.states([BTC])) == 1
    at.button(key="coverage_unmark").click().run()
    at.text_input(key="coverage_unmark_reason").set_value("they are there after all")
    at.button(key="coverage_unmark_yes").click().run()
    assert "Took 1 mark back" in words(at)
    assert holed.gap_verbs.states([BTC]) == []
    assert holed.audit.find(verb="unmark")[0].reason == "they are there after all"


def test_of_several_gaps_those_left_are_marked_and_the_others_told(holed: ConsoleService, open_page: Open) -> None:
    lose(holed, [LATER])
    at = open_page("coverage", pair="BTCUSD")
    at.button(key="coverage_cell_mark").click().run()
    assert "3 bars in 2 gaps of BTCUSD 1h from simulated" in words(at)
    holed.gap_verbs.mark(BTC, VENUE_OUTAGE, "ben", "", *(LATER, LATER + HOUR))
    at.button(key="coverage_mark_yes").click().run()
    said = words(at)
    assert "Marked 2 bars in 1 gap" in said
    assert "nothing is missing without a reason in BTCUSD 1h from simulated, 2024-01-02 16:00" in said
    assert "That was refused" not in said
    assert sorted(state.gap.reason for state in holed.gap_verbs.states([BTC])) == [NO_TRADES, VENUE_OUTAGE]


def test_every_cell_has_one_of_five_levels_and_a_closed_market_none() -> None:
    counts = {
        "expected": np.array([[24, 24, 24, 24, 24, 0]]),
        "unexplained": np.array([[0, 0, 1, 13, 24, 0]]),
        "dead_lettered": np.array([[0, 1, 0, 0, 0, 0]]),
        "marked": np.array([[0, 0, 3, 0, 0, 0]]),
    }
    found = levels(counts, np.zeros((1, 6), dtype=bool))[0]
    assert [LEVELS[int(level)] for level in found[:5]] == list(LEVELS[:5])
    assert np.isnan(found[5])


def test_what_nobody_asked_for_is_no_closed_market(console: ConsoleService) -> None:
    """Two days of a share asked for on a Monday, of another from the Thursday before on: its weekend is closed."""
    for pair, start in (("AAPL", "2024-01-08"), ("MSFT", "2024-01-04")):
        request = BackfillRequest.of("simulated", [pair], ["1h"], start, "2024-01-09")
        console.run_service.wait(console.run_service.start(request, "ann"), 60)
    found = console.coverage.of([Series(pair, "1h", "simulated") for pair in ("AAPL", "MSFT")])
    edges = times.parse_instant("2024-01-04") + times.DAY * np.arange(7)
    shown = levels(by_period(found, edges), never_asked(found, edges))
    named = [["closed" if np.isnan(cell) else LEVELS[int(cell)] for cell in row] for row in shown.tolist()]
    assert named[0][:4] == ["never asked"] * 4
    assert named[1][2:4] == ["closed"] * 2
    assert "never asked" not in named[1] + named[0][4:]


def test_dates_are_named_by_month_and_year() -> None:
    days = times.parse_instant("2023-12-20") + times.DAY * np.arange(31)
    named = dates(days, "day")
    assert [text for text, _ in named][:5] == ["20 Dec\n2023", "23 Dec", "26 Dec", "29 Dec", "1 Jan\n2024"]
    assert sum(span for _, span in named) == 30
    months = np.array([times.parse_instant(f"2024-{month:02}-01") for month in (1, 2, 3)])
    assert dates(months, "month") == [("Jan\n2024", 1), ("Feb", 1)]


def test_a_last_date_without_room_is_left_out() -> None:
    days = times.parse_instant("2024-01-01") + times.DAY * np.arange(14)
    assert dates(days, "day")[-1] == ("", 1)


def test_equal_facts_are_told_once_and_every_cell_has_its_own() -> None:
    """Of 120 pairs over 100 months most cells say the same."""
    months = np.arange("2016-01", "2024-06", dtype="datetime64[M]").astype("datetime64[s]").astype(np.int64)
    shape = 120, len(months) - 1
    counts = {name: np.zeros(shape, dtype=np.int64) for name in COUNTS}
    counts["expected"][:], counts["stored"][:] = 744, 744
    counts["stored"][7, 50], counts["unexplained"][7, 50] = 740, 4
    counts["expected"][:, 99] = counts["stored"][:, 99] = 0
    table = table_of([f"C{number}USD" for number in range(120)], months, counts, np.zeros(shape, dtype=bool), "month")
    assert [len(row) for row in table.cells] == [100] * 120
    assert {row[99] for row in table.cells} == {None}
    gap = table.cells[7][50]
    told = zip(
        ("expected", "stored", "dead lettered", "marked", "unexplained", "extra"), (744, 740, 0, 0, 4, 0), strict=True
    )
    assert gap is not None
    assert (table.columns[50].key, table.columns[50].name) == (months[50], "March 2020")
    assert table.facts[gap] == (2, [f"{name} {count}" for name, count in told])
    assert len(table.facts) == 2
    assert len(json.dumps(sent(table))) < 60_000


def test_a_delisted_series_is_cut_at_its_end_and_that_is_said(holed: ConsoleService, open_page: Open) -> None:
    asked = {"from": "2024-01-01", "to": "2024-01-10", "pair": "BTCUSD"}
    at = open_page("coverage", **asked)
    assert [metric.value for metric in at.metric][:5:4] == ["240", "170"]
    gone = Instrument("simulated", "BTCUSD", "BTC-USD", "crypto", delisted="2024-01-03", status="delisted")
    holed.instruments.store.replace("simulated", [gone])
    at = open_page("coverage", **asked)
    assert [metric.value for metric in at.metric] == ["72", "70", "0", "0", "2", "0"]
    assert "It was delisted: nothing after 2024-01-03T23:59:59+00:00 is expected or asked for." in words(at)
    [outside] = [frame.value for frame in at.dataframe if "What" in frame.value and "Pair" in frame.value]
    assert list(outside["Pair"]) == ["BTCUSD"]
    assert at.expander[0].label == "Outside the listing of 1 series"


def test_bars_on_the_grid_of_before_are_said_with_the_way_to_fetch_them_again(
    console: ConsoleService, data_dir: Path, open_page: Open
) -> None:
    share, monday = Series("AAPL", "1h", "alpha_vantage"), times.parse_instant("2024-01-22")
    opens = on_hour_grid(ExchangeHours("XNYS"), 0).expected_open_times("1h", monday, monday + 5 * times.DAY)
    ingest(ingester(data_dir), FakeProvider(records(opens.tolist())), monday, monday + 5 * times.DAY, share)
    console.instruments.accept_grid("alpha_vantage", "AAPL", "half-hour")
    at = open_page("coverage", provider="alpha_vantage")
    assert [metric.value for metric in at.metric] == ["35", "0", "0", "0", "35", "35"]
    assert "AAPL: 35 stored bars from 2024-01-22T14:00:00+00:00" in words(at)
    assert "35 bars of the grid of now are missing there until it is fetched again" in words(at)
    [again] = [button for button in at.button if button.label == "Fetch it again"]
    at = again.click().run()
    wanted = {"provider": "alpha_vantage", "pairs": "AAPL", "timeframes": "1h", "mode": "refetch"}
    assert address(at) == wanted | {"start": "2024-01-22", "end": "2024-01-26"}


def test_a_range_that_cannot_be_read_shows_nothing_and_says_so(holed: ConsoleService, open_page: Open) -> None:
    at = open_page("coverage", **{"from": "2024-01-02", "to": "2024-01-03"})
    assert at.metric[0].value == "48"
    at.text_input(key="coverage_from").set_value("2024-01-32").run()
    said = words(at)
    assert "'2024-01-32' is not a time; use a date like 2024-01-31" in said
    assert "Nothing is shown until the range can be read" in said
    assert not at.metric
    at.text_input(key="coverage_from").set_value("2024-01-03 12:00").run()
    assert at.metric[0].value == "12"
