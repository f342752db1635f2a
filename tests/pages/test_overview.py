"""Does the Overview count as Coverage does, and say in few lines what needs a person, however many series there are?"""

from __future__ import annotations

import re

import pytest

from ffe_core.insight.overview import Overview, SeriesOverview
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state import runs as run_states
from pages.overview.content import Item, of_series
from tests.insight.lakes import DAY, HOUR, JANUARY, flat, put
from tests.lake_files import lake_path
from tests.pages.conftest import Open, words


def one(
    pair: str,
    *,
    lag: int | None = 0,
    unexplained: int = 0,
    state: str = run_states.COMPLETE,
    run: int = 1,
    timeframe: str = "1h",
) -> SeriesOverview:
    is_stale = lag is not None and lag > 3 * 3600
    return SeriesOverview(Series(pair, timeframe, "coinbase"), 10, 0, 36_000, lag, unexplained, run, state, is_stale)


def said(rows: list[SeriesOverview]) -> list[Item]:
    return list(of_series(Overview(tuple(rows))))


def test_nothing_is_said_about_series_that_are_well() -> None:
    assert said([one("BTCUSD"), one("ETHUSD", lag=HOUR)]) == []


def test_series_with_the_same_trouble_and_remedy_are_one_line() -> None:
    rows = [one(f"C{number:03}USD", lag=(5 + number) * HOUR) for number in range(200)]
    [(_, text, label, page, form)] = said(rows)
    assert text == "200 pairs 1h from coinbase: up to 8 d 12 h behind"
    assert (label, page, form["provider"], form["timeframes"]) == (
        "Bring up to date",
        "backfill/page.py",
        "coinbase",
        "1h",
    )
    assert form["pairs"].split(",") == [row.series.asset_pair for row in rows]


def test_more_pairs_than_an_address_bears_lead_to_the_list_of_them() -> None:
    rows = [one(f"C{number:03}USD", lag=5 * HOUR) for number in range(201)]
    [(_, text, _, page, form)] = said(rows)
    assert text == "201 pairs 1h from coinbase: up to 5 h behind"
    assert (page, form) == ("watermarks/page.py", {"provider": "coinbase", "health": "behind"})


def test_a_single_series_is_named() -> None:
    found = said([one("BTCUSD", lag=8 * HOUR, unexplained=1), one("ETHUSD")])
    assert [text for _, text, *_ in found] == [
        "BTCUSD 1h from coinbase: 1 bar unexplained",
        "BTCUSD 1h from coinbase: 8 h behind",
    ]
    assert found[0][3:] == ("coverage/page.py", {"provider": "coinbase", "timeframe": "1h"})


def test_what_did_not_end_well_is_told_by_run() -> None:
    rows = [
        one("BTCUSD", state=run_states.FAILED, run=7, unexplained=24),
        one("BTCUSD", state=run_states.FAILED, run=7, timeframe="1d"),
        one("ETHUSD", state=run_states.INTERRUPTED, run=8),
        one("SOLUSD", state=run_states.CANCELLED, run=9),
    ]
    assert [(text, where) for _, text, _, _, where in said(rows)] == [
        ("Run 7 failed: 2 series", {"id": "7"}),
        ("ETHUSD 1h from coinbase: its last run was interrupted", {"id": "8"}),
        ("SOLUSD 1h from coinbase: its last run was cancelled", {"id": "9"}),
    ]


def test_the_series_that_need_somebody_come_first() -> None:
    rows = [
        one("AUSD"),
        one("BUSD", lag=8 * HOUR),
        one("CUSD", lag=HOUR),
        one("DUSD", state=run_states.FAILED),
        one("EUSD", unexplained=1),
    ]
    assert "".join(row.series.asset_pair[0] for row in Overview(tuple(rows)).by_need) == "BDEAC"


def fetched(console: ConsoleService, start: str, end: str, mode: str = "resume") -> None:
    request = BackfillRequest.of("simulated", ["BTCUSD"], ["1h"], start, end, mode)
    console.run_service.wait(console.run_service.start(request, "ann"), 60)


def figures(open_page: Open) -> dict[str, str]:
    return {metric.label: metric.value for metric in open_page().metric}


def test_what_the_last_run_did_not_look_at_counts_too(console: ConsoleService, open_page: Open) -> None:
    """Ten days apart: what lies between is missing, though every run was complete."""
    fetched(console, "2024-01-01", "2024-01-02", "refetch")
    fetched(console, "2024-01-12", "2024-01-13", "refetch")
    [found] = console.coverage.of(console.coverage.series())
    assert found.counts.unexplained > 0
    shown = figures(open_page)
    assert shown["Unexplained"] == f"{found.counts.unexplained:,}"
    assert shown["Candles stored"] == f"{found.counts.stored:,}"
    assert "fresh and explained" not in words(open_page())


def test_a_data_file_that_cannot_be_read_is_told_and_the_rest_of_the_page_goes_on(
    console: ConsoleService, open_page: Open
) -> None:
    fetched(console, "2024-01-01", "2024-01-02")
    files = lake_path(console.lake, "raw_market_data_1h")
    known = set(files.rglob("part-*.parquet"))
    # By somebody else: what a run wrote is not read again, and a store is believed to have it.
    other = DeltaLakeManager.of(console.settings)
    put(other, Series("BTCUSD", "1h", "simulated"), flat(range(JANUARY + 5 * DAY, JANUARY + 6 * DAY, HOUR)))
    [file] = set(files.rglob("part-*.parquet")) - known
    file.unlink()
    at = open_page()
    assert "Part of the lake cannot be read, so nothing is counted" in words(at)
    shown = figures(open_page)
    assert (shown["Series"], shown["Candles stored"], shown["Unexplained"]) == ("1", "–", "–")
    assert len(at.dataframe[0].value) == 1


def test_a_series_that_does_not_exist_is_not_counted_but_its_failure_is_told(
    backfilled: ConsoleService, open_page: Open
) -> None:
    at = open_page()
    assert figures(open_page)["Series"] == "1"
    assert "NOPEUSD 1h from simulated: its last run failed" in words(at)
    assert [table.value["Pair"].tolist() for table in at.dataframe if "Pair" in table.value] == [["BTCUSD"]]
    [run] = backfilled.runs.find()[0]
    [stored] = [row for row in backfilled.runs.series(run.id) if row.asset_pair == "BTCUSD"]
    assert run.unexplained_total == stored.unexplained


def test_a_series_filled_gap_by_gap_is_as_old_as_its_first_bar(console: ConsoleService, open_page: Open) -> None:
    fetched(console, "2024-01-05", "2024-01-06", "gaps")
    for page, column in (("overview", "Oldest (UTC)"), ("watermarks", "Oldest")):
        [table] = [table.value for table in open_page(page).dataframe if column in table.value]
        assert table[column].tolist() == ["2024-01-05 00:00"], page


def test_cards_show_how_it_went_over_days(console: ConsoleService, open_page: Open) -> None:
    fetched(console, "2024-01-01", "2024-01-02")
    drawn = " ".join(str(one.proto.body) for one in open_page().get("html"))
    assert re.search(r"4\d new candles in 14 days, 4\d today", drawn)


def test_of_many_series_those_that_need_somebody_are_listed(
    console: ConsoleService, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = BackfillRequest.of("simulated", ["BTCUSD", "ETHUSD", "EURUSD"], ["1h"], "2024-01-01", "2024-01-02")
    console.run_service.wait(console.run_service.start(request, "ann"))
    monkeypatch.setattr("pages.overview.content.MOST_SERIES", 2)
    page = open_page("overview")
    [table] = [table.value for table in page.dataframe if "Watermark (UTC)" in table.value]
    assert table["Pair"].tolist() == ["BTCUSD", "ETHUSD"]
    assert "The 2 that need attention most, of 3." in words(page)


def test_what_has_no_room_among_what_needs_attention_is_one_click_away(
    console: ConsoleService, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched(console, "2024-01-01", "2024-01-02")
    rows = [one(f"C{number:03}USD", state=run_states.FAILED, run=number) for number in range(60)]
    monkeypatch.setattr("pages.overview.content.of_series", lambda _: of_series(Overview(tuple(rows[:8]))))
    at = open_page()
    [more] = [box for box in at.expander if "more" in box.label]
    assert more.label == "2 more things"
    assert [link.proto.query_string for link in more.get("page_link")] == ["id=6", "id=7"]
    monkeypatch.setattr("pages.overview.content.of_series", lambda _: of_series(Overview(tuple(rows))))
    links = open_page().expander[0].get("page_link")
    assert (len(links), links[-1].proto.label) == (45, "The rest is told of each series")
