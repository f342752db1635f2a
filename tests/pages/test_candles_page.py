"""Candles page: what an address asks for is shown, and what cannot be shown says what is left and what is next."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import PropertyMock

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from ffe_core import times
from ffe_core.candles import VALUES
from ffe_core.insight.versions import versions
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.corrections import correct
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import micros
from pages.candles.live import KEY, shown_by_hand
from tests.insight.lakes import DAY, HOUR, JANUARY, flat, put
from tests.lake_files import StoredPath, lake_path
from tests.pages.conftest import Open, words

BTC = Series("BTCUSD", "1h", "simulated")
ETH = Series("ETHUSD", "1h", "simulated")
CHECKED = JANUARY + 30 * HOUR


@pytest.fixture
def stored(console: ConsoleService) -> ConsoleService:
    """Three days of two simulated pairs, brought by run 1."""
    asked = BackfillRequest.of("simulated", ["BTCUSD", "ETHUSD"], ["1h"], "2024-01-01", "2024-01-03")
    console.run_service.wait(console.run_service.start(asked, "ann"), 60)
    return console


def calm(at: AppTest) -> AppTest:
    assert not at.exception, at.exception
    assert "cannot be shown" not in words(at)
    return at


def corrected(console: ConsoleService, open_: int = CHECKED, close: float = 1.0) -> int:
    """Correct a bar by hand; the last moment (epoch microseconds) at which the old values were known."""
    values = {**dict.fromkeys(VALUES, close), "high": close + 1}
    before = latest(console, open_)
    correct(console.run_service.stores, console.audit, BTC, open_, values, "ann", "typo", before)
    return latest(console, open_) - 1


def latest(console: ConsoleService, open_: int) -> int:
    """The moment (epoch microseconds) at which the latest version of a bar was extracted."""
    return int(micros(versions(console.lake, BTC, open_)["_extracted_at"])[-1])


def selected(at: AppTest, open_: int) -> AppTest:
    """The page with a bar's row ticked."""
    frame = at.dataframe[0].value
    row = int((frame["timestamp"] == times.utc(open_)).to_numpy().argmax())
    proto = at.dataframe[0].proto
    at.session_state[key_of(proto.id)] = {"selection": {"rows": [row], "columns": [], "cells": []}}
    return calm(at.run())


def key_of(element_id: str) -> str:
    return "candles_table" + element_id.split("candles_table", 1)[1]


def charts(at: AppTest) -> list[Any]:
    """The chart's component, if it is there; the frame of every page has one of its own."""
    return [one for one in at.get("bidi_component") if one.key == KEY]


def live(at: AppTest) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Head and columns of what the chart's component is given."""
    (component,) = charts(at)
    data = component.proto.bytes
    (length,) = struct.unpack_from("<I", data)
    head = json.loads(data[4 : 4 + length])
    body = np.frombuffer(data, "<f8", offset=4 + length).reshape(len(head["columns"]), head["rows"])
    return head, dict(zip(head["columns"], body, strict=True))


def test_nothing_stored_says_what_to_do_next(open_page: Open) -> None:
    at = open_page("candles")
    assert "Nothing is stored yet" in words(at)
    assert "New backfill" in [button.label for button in at.button]


@pytest.mark.usefixtures("stored")
def test_the_bars_say_which_run_brought_them(open_page: Open) -> None:
    at = calm(open_page("candles", pair="BTCUSD"))
    assert "72 bars of 1h" in words(at)
    assert set(at.dataframe[0].value["run"]) == {1}


@pytest.mark.usefixtures("stored")
def test_bars_of_a_derived_timeframe_can_be_chosen(open_page: Open) -> None:
    at = calm(open_page("candles", pair="BTCUSD"))
    [choice] = [box for box in at.selectbox if box.label == "Bars"]
    assert choice.options == ["as fits", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w", "1mo"]
    at = calm(choice.set_value("2h").run())
    assert "36 bars of 2h" in words(at)
    head, columns = live(at)
    assert head["size"] == {"name": "2h", "seconds": 2 * HOUR}
    assert set(columns["sources"]) == {2}
    assert [size["name"] for size in head["facts"]["ladder"]] == ["2h", "4h", "1d", "1w", "1M", "3M", "1y"]
    assert "least=2h" in head["facts"]["query"]
    assert at.query_params["size"] == "2h"
    again = calm(open_page("candles", pair="BTCUSD", size="2h"))
    assert "36 bars of 2h" in words(again)
    assert "72 bars of 1h" in words(calm(open_page("candles", pair="BTCUSD", size="10m")))


@pytest.mark.parametrize(
    "address", [{"pair": "XAUUSD"}, {"pair": "<script>"}, {"pair": "BTCUSD", "provider": "oanda"}, {"timeframe": "1d"}]
)
@pytest.mark.usefixtures("stored")
def test_an_unknown_series_lists_what_there_is(open_page: Open, address: dict[str, str]) -> None:
    at = calm(open_page("candles", **address))
    assert "not stored" in words(at)
    assert at.dataframe[0].value["Pair"].tolist() == ["BTCUSD", "ETHUSD"]
    at.session_state["candles_known_series"] = {"selection": {"rows": [1], "columns": [], "cells": []}}
    assert calm(at.run()).query_params["pair"] == "ETHUSD"
    assert "72 bars of 1h" in words(at)


@pytest.mark.parametrize(
    "address",
    [
        {"start": "-1", "end": "-1"},
        {"start": "-9999"},
        {"end": "99999999999"},
        {"start": "0001-01-01", "end": "9999-12-31"},
        {"known": "0001-01-01"},
        {"known": "9999-12-31T00:00:00Z"},
        {"known": "2024-01-01T00:00:00.123456"},
        {"over": "NOPE"},
        {"over": "BTCUSD/1h/simulated"},
        {"log": "yes", "tab": "<b>", "now": "?"},
    ],
)
@pytest.mark.usefixtures("stored")
def test_an_address_that_makes_no_sense_falls_back_and_shows_the_series(
    open_page: Open, address: dict[str, str]
) -> None:
    at = calm(open_page("candles", pair="BTCUSD", **address))
    assert "bars of 1h" in words(at)


@pytest.mark.usefixtures("stored")
def test_a_bare_end_date_is_a_whole_day(open_page: Open) -> None:
    assert "48 bars of 1h" in words(calm(open_page("candles", pair="BTCUSD", start="2024-01-01", end="2024-01-02")))


@pytest.mark.usefixtures("stored")
def test_days_picked_in_the_options_become_the_range(open_page: Open) -> None:
    at = calm(open_page("candles", pair="BTCUSD"))
    chosen = [field for field in at.date_input if field.key.startswith("candles_days_calendar")]
    chosen[0].set_value((datetime(2024, 1, 2, tzinfo=UTC).date(), datetime(2024, 1, 2, tzinfo=UTC).date())).run()
    at.button(key="candles_days_show").click()
    assert "24 bars of 1h" in words(calm(at.run()))
    assert at.query_params["start"] == "2024-01-02T00:00:00Z"


@pytest.mark.usefixtures("stored")
def test_a_range_is_typed_in_the_options_and_a_wrong_one_is_told_and_not_shown(open_page: Open) -> None:
    at = calm(open_page("candles", pair="BTCUSD"))
    at.text_input(key="candles_days_from").set_value("2024-01-02 06:00").run()
    at.text_input(key="candles_days_to").set_value("2024-01-02 12:00").run()
    at.button(key="candles_days_show").click().run()
    assert "6 bars of 1h" in words(calm(at))
    at.text_input(key="candles_days_to").set_value("soon").run()
    assert "'soon' is not" in words(at)
    assert at.button(key="candles_days_show").disabled
    assert "6 bars of 1h" in words(at)


@pytest.mark.usefixtures("stored")
def test_the_preset_that_is_shown_is_lit(open_page: Open) -> None:
    at = calm(open_page("candles", pair="BTCUSD", start="2024-01-02", end="2024-01-02"))
    assert at.session_state["candles_preset"] == "1D"
    at.button(key="candles_all").click().run()
    assert at.session_state["candles_preset"] is None


@pytest.mark.usefixtures("stored")
def test_a_moment_of_knowledge_is_typed_and_a_wrong_one_is_told_at_its_field(open_page: Open) -> None:
    at = calm(open_page("candles", pair="BTCUSD"))
    at.text_input(key="candles_known").set_value("2024-01-31 12:00").run()
    assert at.query_params["known"] == "2024-01-31T12:00:00Z"
    for wrong, said in (
        ("yesterday", "'yesterday' is not"),
        ("1890-01-01", "1890-01-01 lies outside"),
        ("2090-01-01", "lies in the future"),
    ):
        at.text_input(key="candles_known").set_value(wrong).run()
        assert said in words(at)
        assert at.query_params["known"] == "2024-01-31T12:00:00Z"
    at.text_input(key="candles_known").set_value("").run()
    assert "known" not in at.query_params


@pytest.mark.usefixtures("stored")
def test_back_and_all_return(open_page: Open) -> None:
    at = calm(open_page("candles", pair="BTCUSD", start="2024-01-02", end="2024-01-02"))
    at.button(key="candles_all").click().run()
    assert "72 bars of 1h" in words(calm(at))
    at.button(key="candles_undo").click().run()
    assert "24 bars of 1h" in words(calm(at))
    at.button(key="candles_prev").click().run()
    assert at.query_params["start"] == "2024-01-01T00:00:00Z"


def test_a_range_with_nothing_names_what_is_nearest(stored: ConsoleService, open_page: Open) -> None:
    at = calm(open_page("candles", pair="BTCUSD", start="2023-01-01", end="2023-01-02"))
    assert "Nothing is stored in this range" in words(at)
    at.button(key="candles_after").click().run()
    assert "48 bars of 1h" in words(calm(at))


def test_a_single_candle_is_drawn(console: ConsoleService, open_page: Open) -> None:
    put(console.lake, BTC, flat([JANUARY]), is_mock=True)
    at = calm(open_page("candles"))
    assert "1 bar of 1h" in words(at)
    assert "simulated" in words(at)


def test_what_came_later_than_a_moment_is_not_told_as_nothing_stored(stored: ConsoleService, open_page: Open) -> None:
    at = calm(open_page("candles", pair="BTCUSD", known="2024-01-01T00:00:42.5Z"))
    said = words(at)
    assert "Nothing of this range was known at 2024-01-01 00:00:42.500000 UTC: it was stored later." in said
    assert "Nothing is stored" not in said
    at.button(key="candles_now").click().run()
    assert "known" not in at.query_params
    assert "Nothing of this range" not in words(at)


def test_as_known_at_a_moment_counts_what_was_restated_since(stored: ConsoleService, open_page: Open) -> None:
    moment = corrected(stored)
    at = calm(open_page("candles", pair="BTCUSD", known=datetime.fromtimestamp(moment / 1e6, UTC).isoformat(), now="1"))
    said = words(at)
    assert "1 restated since" in said
    assert "1 of 72 bars differ: 2024-01-02 06:00" in said
    frame = at.dataframe[0].value
    assert frame[frame["since"]]["timestamp"].tolist() == [times.utc(CHECKED)]
    assert at.query_params["now"] == "1"


def test_a_bar_shows_its_versions_with_hand_and_reason(stored: ConsoleService, open_page: Open) -> None:
    moment = corrected(stored)
    at = selected(open_page("candles", pair="BTCUSD"), CHECKED)
    shown = at.dataframe[1].value
    assert shown["version"].tolist() == [1, 2]
    assert shown["run"].tolist()[0] == 1
    assert (shown["by"][1], shown["reason"][1]) == ("ann", "typo")
    at.button(key="candles_before_change").click().run()
    assert "1 restated since" in words(calm(at))
    assert at.session_state["candles_moment"] == moment


def test_a_bar_is_fetched_again_as_a_run(stored: ConsoleService, open_page: Open) -> None:
    at = selected(open_page("candles", pair="BTCUSD"), CHECKED)
    at.button(key="candles_refetch").click().run()
    stored.run_service.wait(2, 60)
    run = stored.runs.get(2)
    assert run is not None
    assert (run.mode, run.start, run.end) == ("refetch", CHECKED, CHECKED + HOUR)
    assert "Run 2" in [title.value for title in at.title]


def test_a_correction_that_breaks_a_rule_is_refused_in_its_dialog(stored: ConsoleService, open_page: Open) -> None:
    at = selected(open_page("candles", pair="BTCUSD"), CHECKED)
    at.button(key="candles_correct").click().run()
    at.text_input(key="correct_high").set_value("0.5")
    at.text_input(key="correct_reason").set_value("typo")
    at.button(key="correct_save").click().run()
    assert "That was refused" in words(at)
    assert "correct them and save again" in words(at)
    assert versions(stored.lake, BTC, CHECKED).num_rows == 1
    assert [one.label for one in at.text_input if str(one.key).startswith("correct_")][:5] == [
        *("Open", "High", "Low", "Close", "Volume")
    ]
    for value, said in (
        ("-1", "A price is zero or negative (high)."),
        ("0.5", "High is below low."),
        ("0,09", "a point"),
    ):
        assert said in words(at.text_input(key="correct_high").set_value(value).run())
    at.text_input(key="correct_high").set_value("a lot").run()
    assert "High: 'a lot' is not a number; for example 64250.5" in words(at)
    assert (at.text_input(key="correct_high").value, at.text_input(key="correct_reason").value) == ("a lot", "typo")
    at.button(key="correct_save").click().run()
    assert versions(stored.lake, BTC, CHECKED).num_rows == 1
    at.text_input(key="correct_high").set_value("1,000,000,000.00")
    at.button(key="correct_save").click().run()
    assert versions(stored.lake, BTC, CHECKED).num_rows == 2


def test_a_correction_does_not_undo_one_that_came_while_its_dialog_was_open(
    stored: ConsoleService, open_page: Open
) -> None:
    at = selected(open_page("candles", pair="BTCUSD"), CHECKED)
    at.button(key="candles_correct").click().run()
    corrected(stored)
    at.text_input(key="correct_high").set_value("1,000,000,000.00")
    at.text_input(key="correct_reason").set_value("typo")
    at.button(key="correct_save").click().run()
    assert "was changed meanwhile (open from " in words(at)
    assert versions(stored.lake, BTC, CHECKED).num_rows == 2


@pytest.mark.of_a_state_file("at a server every console acts: test_consoles_on_a_server")
def test_a_standby_fetches_and_corrects_nothing(
    stored: ConsoleService, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ConsoleService, "leads", PropertyMock(return_value=False))
    at = selected(open_page("candles", pair="BTCUSD"), CHECKED)
    assert at.button(key="candles_refetch").disabled
    assert at.button(key="candles_correct").disabled


def lose(console: ConsoleService, series: Series, day: int) -> Path | StoredPath:
    """Delete the data file that holds the partition of a day; its path."""
    snapshot = console.lake.snapshot(series.table)
    assert snapshot is not None
    files = snapshot.files(series)
    path = lake_path(console.lake, series.table) / str(files.paths[int((files.first >= day).argmax())])
    path.unlink()
    return path


def test_a_lost_data_file_is_named_and_the_rest_can_be_shown(console: ConsoleService, open_page: Open) -> None:
    for month in range(2):
        start = JANUARY + month * 31 * DAY
        put(console.lake, BTC, flat(range(start, start + 3 * DAY, HOUR)))
    path = lose(console, BTC, JANUARY + 31 * DAY)
    at = open_page("candles", pair="BTCUSD")
    said = words(at)
    assert path.name in said
    assert "Still readable: 2024-01-01 00:00 UTC" in said
    next(button for button in at.button if button.label.startswith("Show 2024-01-01")).click().run()
    assert "72 bars of 1h" in words(calm(at))


def test_a_second_series_that_fails_leaves_the_chart(console: ConsoleService, open_page: Open) -> None:
    put(console.lake, BTC, flat(range(JANUARY, JANUARY + DAY, HOUR)))
    put(console.lake, ETH, flat(range(JANUARY, JANUARY + DAY, HOUR)))
    lose(console, ETH, JANUARY)
    at = open_page("candles", pair="BTCUSD", over="ETHUSD/1h/simulated", chart="plotly")
    said = words(at)
    assert "The series laid over it cannot be shown" in said
    assert "24 bars of 1h" in said
    assert len(at.get("plotly_chart")) == 1
    at = open_page("candles", pair="BTCUSD", over="ETHUSD/1h/simulated")
    assert "The series laid over it cannot be shown" in words(at)
    head, columns = live(at)
    assert head["rows"] == 24
    assert "over:0" not in columns


@pytest.mark.usefixtures("stored")
def test_several_series_go_into_one_download(open_page: Open) -> None:
    at = calm(open_page("candles", pair="BTCUSD", tab="download"))
    at.multiselect(key=f"candles_together_{BTC.key}").set_value([BTC, ETH])
    calm(at.run())
    links = [link.proto.url for link in at.get("link_button")]
    assert len([link for link in links if "&format=" in link]) == 3
    assert len([link for link in links if "&form=" in link]) == 1
    assert all("series=BTCUSD/1h/simulated&series=ETHUSD/1h/simulated&start=" in link for link in links)


@pytest.mark.usefixtures("stored")
def test_the_files_of_another_tool_are_chosen_with_their_bars(open_page: Open) -> None:
    at = calm(open_page("candles", pair="BTCUSD", tab="download"))
    at.selectbox(key="candles_form").select("lean").run()
    assert export_link(at).url.endswith("&form=lean&size=1h")
    at.selectbox(key="candles_form_size_1h").select("2h").run()
    assert export_link(at).disabled
    assert "It has no room for 2h, but for 1m, 1h, 1d." in words(at)
    assert at.selectbox(key="candles_form_size_1h").options == ["1h", "2h", "6h", "8h", "12h", "1w", "1mo"]


def export_link(at: AppTest) -> Any:
    return next(link.proto for link in at.get("link_button") if "&form=" in link.proto.url)


def test_where_a_provider_sends_no_volume_the_page_says_so(console: ConsoleService, open_page: Open) -> None:
    put(console.lake, Series("EURUSD", "1h", "alpha_vantage"), flat(range(JANUARY, JANUARY + DAY, HOUR)))
    at = calm(open_page("candles", chart="plotly"))
    assert "no volume from this provider" in at.get("plotly_chart")[0].proto.spec
    assert "no volume from this provider" in str(at.dataframe[0].proto.columns)
    facts = live(calm(open_page("candles")))[0]["facts"]
    assert facts["unit"] is None
    assert "no volume from this provider" in facts["notes"]


def dead(console: ConsoleService, open_: int) -> None:
    """A record of the series that was not stored."""
    record = {"date": times.iso(open_), **dict.fromkeys(VALUES, -1.0)}
    context = {"asset_pair": "BTCUSD", "timeframe": "1h", "provider": "simulated"}
    console.queue.save([record], "validation_failed", context, [["not_positive:open"]])


def test_a_hole_with_a_dead_letter_leads_to_it(console: ConsoleService, open_page: Open) -> None:
    open_times = [at for at in range(JANUARY, JANUARY + DAY, HOUR) if at != JANUARY + 5 * HOUR]
    put(console.lake, BTC, flat(open_times))
    dead(console, JANUARY + 5 * HOUR)
    at = calm(open_page("candles", pair="BTCUSD", tab="gaps"))
    assert "1 dead lettered" in words(at)
    (link,) = [link for link in at.get("page_link") if "dead_letters" in link.proto.page]
    assert "pair=BTCUSD" in link.proto.query_string


@pytest.mark.usefixtures("stored")
def test_the_chart_is_given_the_range_its_bars_and_what_to_ask_for_more(open_page: Open) -> None:
    head, columns = live(calm(open_page("candles", pair="BTCUSD", start="2024-01-02", end="2024-01-02")))
    assert columns["time"].tolist() == list(range(JANUARY + DAY, JANUARY + 2 * DAY, HOUR))
    facts = head["facts"]
    assert facts["query"] == "series=BTCUSD/1h/simulated"
    assert facts["shown"] == [JANUARY + DAY, JANUARY + 2 * DAY]
    assert facts["extent"] == [JANUARY, JANUARY + 3 * DAY]
    assert facts["mock"]
    assert facts["ladder"][0] == {"name": "1h", "seconds": HOUR}


@pytest.mark.usefixtures("stored")
def test_the_address_names_what_is_drawn_over_the_chart(open_page: Open) -> None:
    address = {"over": "ETHUSD/1h/simulated", "with": "sma3,bb20,rsi14,vma20,nonsense", "log": "1"}
    at = calm(open_page("candles", pair="BTCUSD", **address))
    head, columns = live(at)
    assert {"over:0", "sma3:line", "bb20:upper", "rsi14:line", "vma20:line"} <= set(columns)
    facts = head["facts"]
    assert facts["query"] == "series=BTCUSD/1h/simulated&over=ETHUSD/1h/simulated&with=sma3,bb20,rsi14,vma20"
    assert [line["pane"] for line in facts["lines"] if line["column"] == "difference"] == ["difference"]
    assert (facts["log"], facts["percent"]) == (True, False)
    assert "nonsense" in words(at)
    assert at.query_params["with"] == "sma3,bb20,rsi14,vma20"


@pytest.mark.usefixtures("stored")
def test_an_indicator_typed_wrongly_is_told_at_its_field_and_the_rest_drawn(open_page: Open) -> None:
    at = calm(open_page("candles", pair="BTCUSD"))
    at.session_state["candles_indicators"] = ["SMA 20", "macd"]
    at = calm(at.run())
    assert "for example SMA 50" in words(at).replace("\\", "")
    assert "sma20:line" in live(at)[1]
    # The chart has the page drawn again when it is at rest; what is told stays until something else is chosen.
    assert "for example SMA 50" in words(calm(at.run())).replace("\\", "")
    at.session_state["candles_indicators"] = ["SMA 20", "SMA 0", "EMA -3"]
    at = calm(at.run())
    assert "'SMA 0' cannot be" in words(at).replace("\\", "")
    assert "'EMA -3' cannot be" in words(at).replace("\\", "")
    at.session_state["candles_indicators"] = ["RSI 14"]
    assert "cannot be" not in words(calm(at.run()))


def test_several_series_are_drawn_in_percent(stored: ConsoleService, open_page: Open) -> None:
    put(stored.lake, Series("EURUSD", "1h", "simulated"), flat(range(JANUARY, JANUARY + DAY, HOUR), 1.1))
    both = "ETHUSD/1h/simulated,EURUSD/1h/simulated"
    head, columns = live(calm(open_page("candles", pair="BTCUSD", over=both)))
    assert {"over:0", "over:1"} <= set(columns)
    assert head["facts"]["percent"]
    assert "difference" not in [line["column"] for line in head["facts"]["lines"]]


def test_the_present_is_laid_over_a_past_moment(stored: ConsoleService, open_page: Open) -> None:
    moment = corrected(stored)
    at = calm(open_page("candles", pair="BTCUSD", known=datetime.fromtimestamp(moment / 1e6, UTC).isoformat(), now="1"))
    head, columns = live(at)
    assert head["facts"]["query"] == f"series=BTCUSD/1h/simulated&known={moment}&now=1"
    changed = columns["time"] == CHECKED
    assert columns["over:0"][changed] != columns["close"][changed]


def test_a_dead_letter_is_marked_at_its_place(console: ConsoleService, open_page: Open) -> None:
    put(console.lake, BTC, flat([at for at in range(JANUARY, JANUARY + DAY, HOUR) if at != JANUARY + 5 * HOUR]))
    dead(console, JANUARY + 5 * HOUR)
    head, columns = live(calm(open_page("candles", pair="BTCUSD")))
    assert head["dead"] == [JANUARY + 5 * HOUR]
    assert columns["missing"][5] > 0


@pytest.mark.usefixtures("stored")
def test_a_browser_that_cannot_draw_it_gets_plotly(open_page: Open) -> None:
    at = calm(open_page("candles", pair="BTCUSD"))
    at.session_state["candles_cannot"] = True
    at = calm(at.run())
    assert not charts(at)
    assert len(at.get("plotly_chart")) == 1
    assert "did not run the chart's own script" in words(at)


@pytest.mark.usefixtures("stored")
def test_the_picture_to_download_is_by_plotly(open_page: Open) -> None:
    at = calm(open_page("candles", pair="BTCUSD", tab="download"))
    at.toggle(key="candles_picture").set_value(True)
    at = calm(at.run())
    assert len(charts(at)) == len(at.get("plotly_chart")) == 1


@pytest.mark.parametrize("shown", [None, "x", [1], [1, "2"], [2, 1], [float("nan"), 2], [True, 5], {"a": 1}])
def test_what_comes_back_from_the_chart_is_checked(shown: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.candles.live.st.session_state", {"candles_live": {"shown": shown}})
    assert shown_by_hand() is None
    monkeypatch.setattr("pages.candles.live.st.session_state", {"candles_live": {"shown": [1, 5.0]}})
    assert shown_by_hand() == (1, 5)
