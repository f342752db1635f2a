"""Does the page show, narrow, edit, preview, replay, discard and restore dead letters, and survive hostile ones?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from ffe_core.errors import StorageError
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.dead_letters.service import DeadLetters, Edit
from ffe_core.storage.dead_letters.search import Wanted
from tests.ingestion.fakes import stored
from tests.lake_files import dead_letter_path
from tests.pages.conftest import Open, words
from tests.storage.dead_letters.harness import BTC, SWAPPED, dead_lettered, good, upside_down

WAIT = 60


def dead_letter(console: ConsoleService, *hours: int, **context: Any) -> str:
    return dead_lettered(console.queue.storage_path, *hours, context={**BTC, **context})


def press(at: AppTest, key: str) -> AppTest:
    return at.button(key=key).click().run()


def table(at: AppTest, start: str) -> str:
    """The key of the table whose key begins so."""
    return next(str(element.key) for element in at.dataframe if (element.key or "").startswith(start))


def frame(at: AppTest, start: str) -> Any:
    """What stands in the table whose key begins so."""
    return next(element.value for element in at.dataframe if (element.key or "").startswith(start))


def holding(at: AppTest, column: str) -> Any:
    """What stands in the table with this column."""
    return next(element.value for element in at.dataframe if column in element.value)


def checks(at: AppTest) -> list[str]:
    return list(holding(at, "Outcome")["Outcome"])


def ran(console: ConsoleService) -> str:
    """The state of the newest run, at its end."""
    run_id = console.runs.find()[0][0].id
    console.run_service.wait(run_id, WAIT)
    run = console.runs.get(run_id)
    assert run
    return str(run.state)


class TestPairs:
    @pytest.mark.parametrize("typed", ["brk.b", "BRK-B", "BRKB"])
    def test_a_typed_pair_finds_what_is_stored_under_another_spelling(
        self, console: ConsoleService, open_page: Open, typed: str
    ):
        dead_letter(console, 0)
        dead_letter(console, 0, asset_pair="BRKB", provider="alpha_vantage")
        at = open_page("dead_letters", pair=typed)
        assert list(frame(at, "dl_records")["Pair"]) == ["BRKB"]
        assert at.selectbox(key="dl_asset_pair").value == "BRKB"

    def test_several_that_fit_alike_are_shown_and_what_cannot_be_a_pair_is_said(
        self, console: ConsoleService, open_page: Open
    ):
        dead_letter(console, 0, asset_pair="A-BC")
        dead_letter(console, 0, asset_pair="AB-C")
        assert sorted(frame(open_page("dead_letters", pair="abc"), "dl_records")["Pair"]) == ["A-BC", "AB-C"]
        assert "cannot be a pair" in words(open_page("dead_letters", pair="???"))


class TestTheList:
    def test_nothing_kept_says_what_the_page_is_for(self, open_page: Open):
        assert "whole as received, instead of being lost" in words(open_page("dead_letters"))

    def test_groups_with_counts_and_records_with_reasons(self, console: ConsoleService, open_page: Open):
        dead_letter(console, 0, 1)
        dead_letter(console, 0, asset_pair="ETHUSD")
        at = open_page("dead_letters")
        groups = frame(at, "dl_groups_reason")
        assert dict(zip(groups["Reason"], groups["Records"], strict=True)) == {
            "high is below low": 3,
            "open is not between low and high": 3,
            "close is not between low and high": 3,
        }
        records = frame(at, "dl_records")
        assert list(records["Pair"]) == ["ETHUSD", "BTCUSD", "BTCUSD"]
        assert records["Because"][0].startswith("high is below low; ")

    @pytest.mark.parametrize(
        ("address", "count"),
        [
            ({"pair": "ETHUSD"}, 1),
            ({"reason": "high_below_low", "pair": "BTCUSD"}, 2),
            ({"q": "T01:00"}, 1),
            ({"status": "any"}, 3),
            ({"by": "day", "status": "new"}, 3),
        ],
    )
    def test_the_address_holds_the_filters(
        self, console: ConsoleService, open_page: Open, address: dict[str, str], count: int
    ):
        dead_letter(console, 0, 1)
        dead_letter(console, 0, asset_pair="ETHUSD")
        assert len(frame(open_page("dead_letters", **address), "dl_records")) == count

    def test_a_filter_goes_to_the_address_and_can_be_cleared(self, console: ConsoleService, open_page: Open):
        dead_letter(console, 0)
        at = open_page("dead_letters")
        at.selectbox(key="dl_status").select("replayed").run()
        assert at.query_params["status"] == "replayed"
        assert "Nothing matches" in words(at)
        press(at, "dl_clear")
        assert len(frame(at, "dl_records")) == 1

    def test_pages_of_fifty(self, console: ConsoleService, open_page: Open):
        dead_letter(console, *range(120))
        assert len(frame(open_page("dead_letters", page="3"), "dl_records")) == 20
        assert "not so many pages" in words(open_page("dead_letters", page="9"))

    def test_files_set_aside_are_named_with_the_reason(self, console: ConsoleService, open_page: Open):
        dead_letter(console, 0)
        dead_letter_path(console.queue, "torn.json").write_text("{")
        at = open_page("dead_letters")
        assert at.expander[0].label == "1 file quarantined"
        files = holding(at, "File")
        assert list(files["File"]) == ["torn.json"]
        assert "not whole JSON" in files["Why"][0]
        assert len(frame(at, "dl_records")) == 1


class TestOneRecord:
    def test_raw_record_reasons_lake_and_history(self, console: ConsoleService, open_page: Open):
        batch_id = dead_letter(console, 0, 1, run_id="7")
        at = open_page("dead_letters", entry=batch_id, record="1")
        said = words(at)
        assert "Record 1\n" in f"{said}\n"
        assert json.dumps(upside_down(1), indent=2) in said
        assert "Nothing is stored around this bar" in said
        assert "Nothing was done about it yet" in said
        rules = holding(at, "Rule")
        assert list(rules["Rule"]) == SWAPPED
        assert any("Run 7" in link.label for link in at.get("page_link"))

    @pytest.mark.parametrize("batch_id", ["nope", "../../etc/passwd", "", "\x00", "x" * 3000])
    def test_an_entry_that_there_is_not(self, open_page: Open, batch_id: str):
        assert "There is no such dead letter" in words(open_page("dead_letters", entry=batch_id))

    @pytest.mark.parametrize(("record", "shown"), [("99", "Record 1"), ("-1", "Record 0"), ("x", "Record 0")])
    def test_a_record_that_there_is_not_is_the_nearest(
        self, console: ConsoleService, open_page: Open, record: str, shown: str
    ):
        assert shown in words(open_page("dead_letters", entry=dead_letter(console, 0, 1), record=record))


class TestMending:
    def test_mend_in_the_grid_preview_and_replay(self, console: ConsoleService, open_page: Open, data_dir: Path):
        batch_id = dead_letter(console, 0)
        at = open_page("dead_letters", entry=batch_id)
        assert checks(at) == ["would still fail"]
        grid = f"dl_grid_{at.session_state.dl_round}"
        edited = {0: {"high": "102.00", "low": "98.00"}}
        at.session_state[grid] = {"edited_rows": edited, "added_rows": [], "deleted_rows": []}
        at.run()
        assert checks(at) == ["would be stored"]
        press(at, "dl_save_replay")
        assert "1 record of BTCUSD 1h from coinbase" in words(at)
        press(at, "dl_replay_yes")
        assert ran(console) == "complete"
        assert stored(data_dir)["_dead_letter_id"].to_pylist() == [f"{batch_id}#0"]
        record = console.queue.read(batch_id).records[0]
        assert (record.status, record.value, record.raw) == ("replayed", good(0), upside_down(0))
        history = holding(open_page("dead_letters", entry=batch_id), "Outcome")
        assert list(history["What"]) == ["replay", "edit"]

    def test_what_another_window_has_discarded_is_not_replayed(self, console: ConsoleService, open_page: Open):
        batch_id = dead_letter(console, 0)
        at = press(open_page("dead_letters", entry=batch_id), "dl_swap")
        DeadLetters(console.run_service).discard({batch_id: (0,)}, "ben", "test data")
        press(at, "dl_save_replay")
        assert "none is pending any more" in words(at)
        assert "dl_replay_yes" not in [button.key for button in at.button]

    def test_one_fix_for_fifty(self, console: ConsoleService, open_page: Open, data_dir: Path):
        dead_letter(console, *range(50))
        at = press(open_page("dead_letters"), "dl_mend")
        assert set(checks(at)) == {"would still fail"}
        press(at, "dl_swap")
        assert set(checks(at)) == {"would be stored"}
        press(at, "dl_save")
        assert "50 saved as new revisions" in words(at)
        press(at, "dl_save_replay")
        press(at, "dl_replay_yes")
        assert ran(console) == "complete"
        assert stored(data_dir).num_rows == 50

    def test_as_json(self, console: ConsoleService, open_page: Open):
        batch_id = dead_letter(console, 0)
        at = open_page("dead_letters", entry=batch_id)
        key = f"dl_json_{at.session_state.dl_round}_0"
        at.text_area(key=key).set_value("{").run()
        press(at, "dl_json_take")
        assert "this is not JSON" in words(at)
        at.text_area(key=key).set_value(json.dumps(good(0))).run()
        press(at, "dl_json_take")
        assert checks(at) == ["would be stored"]
        press(at, "dl_save")
        assert console.queue.read(batch_id).records[0].value == good(0)

    @pytest.mark.parametrize(
        ("cells", "why"),
        [
            ({"open": "abc"}, "open: 'abc': a field does not read as a number"),
            ({"date": "2024-01-01T00:30:00Z"}, "not on the timeframe's grid"),
            ({"close": ""}, "close: None: a required field"),
        ],
    )
    def test_what_cannot_be_read_is_said_at_its_field_and_nothing_saved(
        self, console: ConsoleService, open_page: Open, cells: dict[str, str], why: str
    ):
        batch_id = dead_letter(console, 0)
        at = open_page("dead_letters", entry=batch_id)
        at.session_state[f"dl_grid_{at.session_state.dl_round}"] = {"edited_rows": {0: cells}}
        at.run()
        press(at, "dl_save")
        assert why in words(at)
        assert console.queue.read(batch_id).history == []

    def test_a_fix_that_does_not_fit_is_said_and_changes_nothing(self, console: ConsoleService, open_page: Open):
        batch_id = console.queue.save([{"open": 1}], "e", BTC).batch_id
        at = open_page("dead_letters", entry=str(batch_id))
        press(at, "dl_swap")
        assert "the record has no high, so high and low cannot be swapped" in words(at)
        assert "high: " not in words(at)

    @pytest.mark.parametrize(("button", "high"), [("dl_take_theirs", "555"), ("dl_take_mine", "102.00")])
    def test_two_windows_the_second_is_refused_with_both_versions(
        self, console: ConsoleService, open_page: Open, button: str, high: str
    ):
        batch_id = dead_letter(console, 0)
        at = press(open_page("dead_letters", entry=batch_id), "dl_swap")
        other = DeadLetters(console.run_service)
        other.edit([Edit(batch_id, 0, 0, good(0, high="555"))], "bob")
        press(at, "dl_save")
        assert "somebody else has edited it meanwhile" in words(at)
        assert {'"high": "555"', '"high": "102.00"'} <= {
            line.strip().rstrip(",") for code in at.code for line in code.value.splitlines()
        }
        assert console.queue.read(batch_id).records[0].revision == 1
        press(at, button)
        assert console.queue.read(batch_id).records[0].revision == 1, "choosing saves nothing"
        if button == "dl_take_mine":
            press(at, "dl_save")
        assert console.queue.read(batch_id).records[0].value["high"] == high

    def test_a_collision_shows_both_and_offers_the_choice(
        self, console: ConsoleService, open_page: Open, data_dir: Path
    ):
        first = console.queue.save([good(0)], "e", BTC).batch_id
        verbs = DeadLetters(console.run_service)
        console.run_service.wait(verbs.replay({str(first): (0,)}, "ann"), WAIT)
        second = console.queue.save([good(0, 7.0)], "e", BTC).batch_id
        at = open_page("dead_letters", entry=str(second))
        row = holding(at, "Outcome").iloc[0]
        assert row["Outcome"] == "would collide with a stored candle"
        assert (row["Edited"][:3], row["Stored"][:5]) == ("O 7", "O 100")
        press(at, "dl_save_replay")
        at.radio(key="dl_collision").set_value("Append the edited one as a restatement")
        press(at, "dl_replay_yes")
        assert ran(console) == "complete"
        assert stored(data_dir).num_rows == 2


class TestVerbs:
    def test_discard_needs_a_reason_and_restore_takes_it_back(self, console: ConsoleService, open_page: Open):
        batch_id = dead_letter(console, 0, 1)
        at = press(open_page("dead_letters"), "dl_discard")
        assert "2 records of BTCUSD 1h from coinbase" in words(at)
        press(at, "dl_discard_yes")
        assert "That was refused: say why in 1 to 500 characters" in words(at)
        press(at, "dl_discard")
        at.text_input(key="dl_discard_reason").set_value("noise")
        press(at, "dl_discard_yes")
        assert "2 discarded" in words(at)
        assert console.queue.read(batch_id).history[-1]["why"] == "noise"
        at = open_page("dead_letters", status="discarded")
        press(at, "dl_restore")
        assert "2 pending again" in words(at)
        assert console.queue.count(Wanted(status="pending")) == 2

    def test_only_ticked_rows_are_meant(self, console: ConsoleService, open_page: Open):
        dead_letter(console, 0, 1, 2)
        at = open_page("dead_letters")
        at.session_state[table(at, "dl_records")] = {"selection": {"rows": [2], "columns": [], "cells": []}}
        at.run()
        assert "1 ticked" in words(at)
        press(at, "dl_discard")
        at.text_input(key="dl_discard_reason").set_value("noise")
        press(at, "dl_discard_yes")
        (row,) = console.queue.find(Wanted(status="discarded")).rows
        assert row.number == 2

    @pytest.mark.parametrize("button", ["dl_discard", "dl_refetch", "dl_replay"])
    def test_what_another_window_has_discarded_is_not_counted(
        self, console: ConsoleService, open_page: Open, button: str
    ):
        batch_id = dead_letter(console, 0, 1, 2)
        at = open_page("dead_letters")
        at.session_state[table(at, "dl_records")] = {"selection": {"rows": [0, 1, 2], "columns": [], "cells": []}}
        at.run()
        other = DeadLetters(console.run_service)
        other.discard({batch_id: (1,)}, "ben", "test data")
        press(at, button)
        assert "2 records of BTCUSD 1h from coinbase" in words(at)
        assert "1 record left out: replayed or discarded meanwhile" in words(at)
        assert any(" 2 " in one.label for one in at.button if str(one.key).endswith("_yes"))
        other.discard({batch_id: (0, 2)}, "ben", "test data")
        at = press(open_page("dead_letters", entry=batch_id), "dl_back")
        assert not at.exception

    def test_a_bar_is_counted_once_and_a_record_without_a_time_is_none(self, console: ConsoleService, open_page: Open):
        console.queue.save([good(0), {**good(0), "open": "x"}, {**good(1), "date": "soon"}], "e", BTC)
        at = press(open_page("dead_letters"), "dl_refetch")
        assert "1 record left out: without a time that can be read, which bar is unknown." in words(at)
        assert at.button(key="dl_refetch_yes").label == "Fetch 1 bar again"

    def test_the_list_is_frozen_when_the_button_is_pressed(
        self, console: ConsoleService, open_page: Open, data_dir: Path
    ):
        first = console.queue.save([good(0)], "e", BTC).batch_id
        at = press(open_page("dead_letters"), "dl_replay")
        assert "1 record of BTCUSD" in words(at)
        console.queue.save([good(5)], "e", BTC)
        press(at, "dl_replay_yes")
        ran(console)
        assert stored(data_dir)["_dead_letter_id"].to_pylist() == [f"{first}#0"]

    def test_records_of_no_series_are_left_out_and_counted(
        self, console: ConsoleService, open_page: Open, data_dir: Path
    ):
        batch_id = console.queue.save([good(0)], "e", BTC).batch_id
        console.queue.save([{"a": 1}, {"a": 2}], "e", {"note": "by a script"})
        at = press(open_page("dead_letters"), "dl_replay")
        assert "2 records left out: their context names no series" in words(at)
        press(at, "dl_replay_yes")
        ran(console)
        assert stored(data_dir)["_dead_letter_id"].to_pylist() == [f"{batch_id}#0"]

    def test_a_failure_inside_a_dialog_is_told_there(
        self, console: ConsoleService, open_page: Open, monkeypatch: pytest.MonkeyPatch
    ):
        console.queue.save([good(0)], "e", BTC)

        def fails(*_: object) -> None:
            raise StorageError("the lake is out of reach")

        monkeypatch.setattr(DeadLetters, "preview", fails)
        at = press(open_page("dead_letters"), "dl_replay")
        assert not at.exception
        assert "the lake is out of reach" in words(at)

    def test_a_held_series_names_the_run_and_offers_to_queue(self, console: ConsoleService, open_page: Open):
        batch_id = str(console.queue.save([good(0)], "e", BTC).batch_id)
        series = console.queue.read(batch_id).series
        assert series
        with console.run_service.ingester.stores.lease(series, "99").acquire():
            at = press(open_page("dead_letters"), "dl_replay")
            assert "held by run 99" in words(at)
            press(at, "dl_replay_yes")
            assert "held by run 99" in words(at), "without the tick nothing starts"
            assert console.runs.find()[1] == 0
            press(at, "dl_replay")
            at.checkbox(key="dl_queue").check()
            press(at, "dl_replay_yes")
            assert console.runs.find()[1] == 1
        assert ran(console) == "complete"

    def test_purge_restates_what_and_how_many(self, console: ConsoleService, open_page: Open):
        long_ago = "2020-01-01T00:00:00+00:00"
        step = {"verb": "discard", "at": long_ago, "by": "ann", "why": "noise", "records": [0, 1]}
        content = {"timestamp": long_ago, "error": "e", "context": BTC, "records": [1, 2], "history": [step]}
        dead_letter_path(console.queue, "old.json").write_text(json.dumps(content))
        dead_letter(console, 0)
        at = press(open_page("dead_letters"), "dl_purge")
        assert "1 batch with 2 records" in words(at)
        at.text_input(key="dl_purge_reason").set_value("old")
        at.text_input(key="dl_purge_days").set_value("9000")
        press(at, "dl_purge_yes")
        assert console.queue.count() == 3, "what was not shown is not purged"
        at = press(open_page("dead_letters"), "dl_purge")
        at.text_input(key="dl_purge_reason").set_value("old")
        press(at, "dl_purge_yes")
        assert "1 deleted for good" in words(at)
        assert console.queue.count() == 1
        assert console.audit.find(verb="purge dead letters")[0].reason == "old"


class TestSteps:
    def test_previous_and_next_walk_the_filtered_list(self, console: ConsoleService, open_page: Open):
        old, middle, new = (dead_letter(console, *numbers) for numbers in ((0, 1), (2,), (3, 4)))
        DeadLetters(console.run_service).discard({middle: (0,)}, "ann", "noise")
        at = open_page("dead_letters", entry=new, record="1", place="2")
        assert "2 of 4" in words(at)
        press(at, "dl_following")
        assert (at.query_params["entry"], at.query_params["record"], at.query_params["place"]) == (old, "0", "3")
        press(at, "dl_following")
        assert "4 of 4" in words(at)
        assert at.button(key="dl_following").disabled
        press(at, "dl_previous")
        press(at, "dl_previous")
        assert (at.query_params["entry"], at.query_params["record"]) == (new, "1")

    def test_what_left_the_list_is_followed_by_what_took_its_place(self, console: ConsoleService, open_page: Open):
        batch_id = dead_letter(console, 0, 1, 2)
        DeadLetters(console.run_service).discard({batch_id: (1,)}, "ann", "noise")
        at = open_page("dead_letters", entry=batch_id, record="1", place="2")
        assert "Was number 2; the list has changed" in words(at)
        press(at, "dl_following")
        assert (at.query_params["record"], at.query_params["place"]) == ("2", "2")
        press(at, "dl_previous")
        assert at.query_params["record"] == "0"

    def test_what_is_typed_waits_at_its_record_and_goes_with_no_other(self, console: ConsoleService, open_page: Open):
        batch_id = dead_letter(console, 0, 1)
        at = open_page("dead_letters", entry=batch_id, record="0", place="1")
        press(at, "dl_drop")
        at.text_input(key="dl_why").set_value("for record 0").run()
        assert at.button(key="dl_save").label == "Save 1 edited record"
        press(at, "dl_following")
        assert (at.text_input(key="dl_why").value, at.button(key="dl_save").disabled) == ("", True)
        assert "1 record left with edits that are not saved" in words(at)
        press(at, "dl_back")
        at.query_params["entry"], at.query_params["record"], at.query_params["place"] = batch_id, "0", "1"
        at.run()
        assert at.text_input(key="dl_why").value == "for record 0"
        assert "not saved" not in words(at)
        press(at, "dl_save")
        assert "1 saved as new revisions" in words(at)
        assert at.text_input(key="dl_why").value == ""

    def test_what_is_typed_of_a_record_that_has_ended_is_let_go(self, console: ConsoleService, open_page: Open):
        batch_id = dead_letter(console, 0, 1)
        at = open_page("dead_letters", entry=batch_id, record="0", place="1")
        press(at, "dl_drop")
        press(at, "dl_following")
        assert "1 record left with edits that are not saved" in words(at)
        DeadLetters(console.run_service).discard({batch_id: (0,)}, "ben", "noise")
        at.query_params["record"] = "0"
        at.run()
        assert "not saved" not in words(at)

    def test_a_link_to_a_record_walks_its_batch(self, console: ConsoleService, open_page: Open):
        batch_id = dead_letter(console, 0, 1)
        dead_letter(console, 2)
        at = open_page("dead_letters", entry=batch_id, record="0")
        assert "1 of 2" in words(at)
        press(at, "dl_following")
        assert at.button(key="dl_following").disabled


HOSTILE = {
    "html": {"date": "<img src=x onerror=alert(1)>", "open": "<script>alert(1)</script>"},
    "markdown": {"date": "![x](http://evil.example/x.png)", "open": "[x](javascript:alert(1))", "high": ":red[x] $x$"},
    "long": {"date": "x" * 1_000_000},
    "deep": {"date": json.loads("[" * 95 + "]" * 95)},
    "numbers": {"open": float("nan"), "high": float("inf"), "low": 10**400},
    "text": {"date": "\ud800", "open": "\x00\x1b[31m", "high": "\u202e"},
    "not a record": None,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_content_is_text_on_every_view(console: ConsoleService, open_page: Open, kind: str):
    nasty = "../../<script>![x](http://evil.example)\ud800"
    for context in (BTC, {"asset_pair": nasty, "timeframe": nasty, "provider": nasty, "run_id": nasty}):
        saved = console.queue.save([HOSTILE[kind], good(0)], nasty, context, [[nasty], ["x"]])
        at = open_page("dead_letters", by="asset_pair")
        assert len(frame(at, "dl_records")) >= 2
        at = open_page("dead_letters", entry=str(saved.batch_id))
        assert not at.exception
        kinds = ("markdown", "caption", "error", "info", "warning", "title", "subheader")
        marked = "\n".join(str(element.value) for kind_ in kinds for element in getattr(at, kind_))
        assert "evil.example" not in marked
        assert "<script>" not in marked


@pytest.mark.parametrize("key", ["dl_q", "dl_day"])
def test_a_long_text_filters_and_stays_as_it_was_typed(console: ConsoleService, open_page: Open, key: str) -> None:
    dead_letter(console, 0)
    at = open_page("dead_letters")
    at.text_input(key=key).set_value("x" * 5000).run()
    assert "Nothing matches." in words(at)
    assert "Not understood" not in words(at)
    assert at.text_input(key=key).value == "x" * 5000


@pytest.mark.parametrize(("key", "said"), [("dl_q", "These are 9,000 characters"), ("dl_day", "is not a day")])
def test_what_no_address_has_room_for_stays_in_its_field_which_says_so(
    console: ConsoleService, open_page: Open, key: str, said: str
) -> None:
    dead_letter(console, 0)
    at = open_page("dead_letters")
    at.text_input(key=key).set_value("x" * 9000).run()
    assert at.text_input(key=key).value == "x" * 9000
    assert said in words(at)
    assert "1 record." in words(at)
    at.text_input(key=key).set_value("y").run()
    assert at.text_input(key=key).value == "y"
    assert "9,000 characters" not in words(at)
