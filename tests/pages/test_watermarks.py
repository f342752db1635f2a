"""Watermarks page: a row a series, and marks moved only with a reason and after a look."""

from __future__ import annotations

from datetime import timedelta

import pytest
from streamlit.testing.v1 import AppTest

from ffe_core.instruments.model import Instrument
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.series import Series
from tests.ingestion.fakes import HOUR, START
from tests.pages.conftest import Open, words

BTC = Series("BTCUSD", "1h", "simulated")
KEY = "BTCUSD/1h/simulated"
LAST = START + 71 * HOUR


@pytest.fixture
def filled(console: ConsoleService, monkeypatch: pytest.MonkeyPatch) -> ConsoleService:
    """Three days of two simulated pairs."""
    run = console.run_service.start(
        BackfillRequest.of("simulated", ["BTCUSD", "EURUSD"], ["1h"], "2024-01-01", "2024-01-03"), "ann"
    )
    console.run_service.wait(run, 60)
    return console


def button(at: AppTest, key: str):  # type: ignore[no-untyped-def]
    return at.button(key=key)


def test_nothing_stored_says_what_to_do_next(open_page: Open) -> None:
    at = open_page("watermarks")
    assert "Nothing has been read yet" in words(at)
    assert button(at, "watermarks_new").label == "New backfill"


def test_a_row_for_each_series_with_its_health(filled: ConsoleService, open_page: Open) -> None:
    frame = open_page("watermarks").dataframe[0].value
    row = dict(zip(frame.columns, frame.iloc[0], strict=True))
    assert list(frame["Pair"]) == ["BTCUSD", "EURUSD"]
    assert (row["Stored"], row["Watermark"], list(row["Health"])) == (72, "2024-01-03 23:00", ["behind"])
    assert row["Explained"] == 100


def test_a_delisted_series_is_not_late(filled: ConsoleService, open_page: Open) -> None:
    gone = Instrument("simulated", "BTCUSD", "BTC-USD", "crypto", delisted="2024-01-03", status="delisted")
    filled.instruments.store.replace("simulated", [gone])
    frame = open_page("watermarks").dataframe[0].value
    assert list(frame["Lag"])[:1] == [timedelta(0)]
    assert list(frame["Health"][0]) == ["healthy"]
    assert list(frame["Health"][1]) == ["behind"]


def test_filters_come_from_the_address_and_nonsense_in_it_is_left_out(filled: ConsoleService, open_page: Open) -> None:
    assert list(open_page("watermarks", pair="EUR-USD").dataframe[0].value["Pair"]) == ["EURUSD"]
    assert "No series matches" in words(open_page("watermarks", health="healthy"))
    at = open_page("watermarks", provider="nobody", series="x/y/z")
    assert len(at.dataframe[0].value) == 2
    assert "Not understood in the address" in words(at)


def test_rewind_shows_the_difference_and_needs_a_reason_then_undo(filled: ConsoleService, open_page: Open) -> None:
    at = open_page("watermarks", series=KEY)
    button(at, "watermarks_rewind").click().run()
    at.text_input(key="watermarks_to").set_value("2024-01-02 12:00").run()
    assert "- watermark 2024-01-03 23:00" in words(at)
    assert "+ watermark 2024-01-02 12:00" in words(at)
    assert [metric.value for metric in at.metric] == ["35", "35", "1", "under 1 s"]
    assert button(at, "watermarks_rewind_yes").disabled
    at.text_input(key="watermarks_reason").input("the provider corrected its data").run()
    at.text_input(key="watermarks_to").set_value("2024-01-01")
    button(at, "watermarks_rewind_yes").click().run()
    assert filled.lake.marks(BTC).watermark == LAST, "another bar than was shown"
    at.text_input(key="watermarks_to").set_value("2024-01-02 12:00").run()
    button(at, "watermarks_rewind_yes").click().run()
    assert filled.lake.marks(BTC).watermark == START + 36 * HOUR
    at = open_page("watermarks", series=KEY)
    button(at, "watermarks_undo").click().run()
    assert "The rewind is undone" in words(at)
    assert filled.lake.marks(BTC).watermark == LAST


def test_undo_undoes_what_its_button_names(filled: ConsoleService, open_page: Open) -> None:
    filled.watermark_verbs.rewind(BTC, "2024-01-02", "ann", "look again")
    at = open_page("watermarks", series=KEY)
    assert button(at, "watermarks_undo").label == "Undo rewind"
    filled.watermark_verbs.forget(BTC, "ben", "start over")
    button(at, "watermarks_undo").click().run()
    assert "has a forget by ben since" in words(at)
    assert filled.lake.marks(BTC).watermark is None
    assert button(at, "watermarks_undo").label == "Undo forget"
    button(at, "watermarks_undo").click().run()
    assert "The forget is undone" in words(at)
    assert filled.lake.marks(BTC).watermark == START + 24 * HOUR


def test_a_bar_that_cannot_be_is_told_with_the_nearest(filled: ConsoleService, open_page: Open) -> None:
    at = open_page("watermarks", series=KEY)
    button(at, "watermarks_rewind").click().run()
    at.text_input(key="watermarks_to").set_value("yesterday").run()
    assert "'yesterday' is not a time; use" in words(at)
    assert "to: " not in words(at)
    at.text_input(key="watermarks_to").set_value("2023-12-01").run()
    assert "the nearest that can is 2024-01-01 00:00 UTC" in words(at)
    assert button(at, "watermarks_rewind_yes").disabled


def test_forget_restates_the_target_and_the_rows_stay(filled: ConsoleService, open_page: Open) -> None:
    at = open_page("watermarks", series=KEY)
    button(at, "watermarks_forget").click().run()
    assert "its 72 candles stay" in words(at)
    at.text_input(key="watermarks_reason").input("start over").run()
    button(at, "watermarks_forget_yes").click().run()
    assert filled.lake.marks(BTC).watermark is None
    frame = open_page("watermarks").dataframe[0].value
    assert (frame["Stored"][0], list(frame["Health"][0])) == (72, ["no watermark"])
    at = open_page("watermarks", series=KEY)
    assert button(at, "watermarks_update").disabled
    assert "Backfill a range" in [link.proto.label for link in at.get("page_link")]


def test_a_refused_answer_keeps_its_dialog_and_what_was_typed(filled: ConsoleService, open_page: Open) -> None:
    at = open_page("watermarks", series=KEY)
    button(at, "watermarks_forget").click().run()
    at.text_input(key="watermarks_reason").input("x" * 501).run()
    assert "These are 501 characters, and 500 have room" in words(at)
    assert button(at, "watermarks_forget_yes").disabled
    at.text_input(key="watermarks_reason").input("start over").run()
    with filled.run_service.stores.lease(BTC).acquire():
        button(at, "watermarks_forget_yes").click().run()
    assert "That was refused" in words(at)
    assert at.text_input(key="watermarks_reason").value == "start over"
    assert filled.lake.marks(BTC).watermark is not None
    button(at, "watermarks_forget_yes").click().run()
    assert filled.lake.marks(BTC).watermark is None


def test_several_ticked_series_are_brought_up_to_date_together(filled: ConsoleService, open_page: Open) -> None:
    at = open_page("watermarks")
    table = at.dataframe[0].proto.id.rsplit("-", 1)[-1]
    assert table.startswith("watermarks_table_")
    at.session_state[table] = {"selection": {"rows": [0, 1], "columns": [], "cells": []}}
    at.run()
    assert "2 series ticked" in words(at)
    button(at, "watermarks_update_all").click().run()
    [run, _], _ = filled.runs.find()
    filled.run_service.wait(run.id, 60)
    assert {row.asset_pair for row in filled.runs.series(run.id)} == {"BTCUSD", "EURUSD"}


@pytest.mark.parametrize("page", ["runs", "watermarks", "findings"])
@pytest.mark.parametrize("typed", ["* * *", "some words", "x" * 5000, "x" * 9000])
def test_a_filter_that_fits_no_pair_is_told_at_its_field_and_stays(
    backfilled: ConsoleService, open_page: Open, page: str, typed: str
) -> None:
    at = open_page(page)
    at.text_input(key=f"{page}_pair").set_value(typed).run()
    said = words(at)
    assert "use a pair or a part of one, for example BTC" in said
    assert len(said) < 2_000
    assert "x" * 50 not in said
    at.run()
    assert at.text_input(key=f"{page}_pair").value == typed


@pytest.mark.parametrize("page", ["runs", "watermarks", "findings"])
def test_a_list_of_pairs_filters_and_comes_back_from_the_address(
    backfilled: ConsoleService, open_page: Open, page: str
) -> None:
    at = open_page(page)
    at.text_input(key=f"{page}_pair").set_value("btc-usd; ETHUSD").run()
    assert "use a pair" not in words(at)
    again = open_page(page, pair=at.query_params["pair"])
    assert again.text_input(key=f"{page}_pair").value == "btc-usd; ETHUSD"
    assert "Not understood" not in words(again)
    if page != "findings":  # nothing was checked
        assert len(again.dataframe[0].value) == 1
