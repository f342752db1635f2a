"""Do the pages find instruments, and start nothing that was not meant?"""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from ffe_core.errors import InputError, RetriableError
from ffe_core.instruments.model import Instrument
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.schedules.service import Draft
from ffe_core.providers import PROVIDERS
from ffe_core.series import Series, Watermarks
from tests.pages.conftest import Open, words

LISTED = [
    Instrument("simulated", "BTCUSD", "BTC-USD", "crypto", "Bitcoin", same_as=("BTCUSDC",)),
    Instrument("simulated", "BTCUSDC", "BTC-USDC", "crypto", "Bitcoin", same_as=("BTCUSD",)),
    Instrument("simulated", "BRK-B", "BRK-B", "equity", "Berkshire *Hathaway* [B](x)", listed="1996-05-09"),
    Instrument("simulated", "AB-C", "AB-C", "equity", "One"),
    Instrument("simulated", "A-BC", "A-BC", "equity", "Other"),
    Instrument("simulated", "GONE", "GONE", "equity", "Went away", delisted="2020-01-02", status="delisted"),
]
RANGE = {"timeframes": "1h", "start": "2024-01-01", "end": "2024-01-02"}


@pytest.fixture
def listed(console: ConsoleService) -> ConsoleService:
    console.instruments.store.replace("simulated", LISTED)
    return console


def typed(open_page: Open, pairs: str) -> AppTest:
    return open_page("backfill", provider="simulated", pairs=pairs, **RANGE)


def offered(at: AppTest) -> dict[str, str]:
    """The names that may be chosen, and the key of each button."""
    return {str(one.label): str(one.key) for one in at.button if "_choice_" in str(one.key)}


def test_the_search_shows_what_there_is_and_whether_it_is_stored(listed: ConsoleService, open_page: Open) -> None:
    listed.watermarks.put(Series("BRK-B", "1h", "simulated"), Watermarks(1_704_067_200, 1_704_067_200))
    at = typed(open_page, "AAPL")
    at.text_input(key="backfill_find").set_value("hathaway").run()
    [row] = at.dataframe[0].value.to_dict("records")
    assert (row["Symbol"], row["Kind"], row["Listed"], row["Here"]) == ("BRK-B", "equity", "1996-05-09", "yes")
    at.text_input(key="backfill_find").set_value("nothing like it").run()
    assert "No symbol and no name in the list of simulated" in words(at)


def test_a_schedule_searches_the_same_list(listed: ConsoleService, open_page: Open) -> None:
    at = open_page("schedules", new="1", provider="simulated", timeframes="1h")
    assert "6 instruments, read" in words(at)
    at.text_input(key="sched_find").set_value("hathaway").run()
    [found] = [one.value for one in at.dataframe if "Symbol" in one.value.columns]
    assert list(found["Stored as"]) == ["BRK-B"]
    at.toggle(key="sched_from_list").set_value(True).run()
    assert not [one for one in at.text_input if one.key == "sched_find"]


def test_no_more_rows_go_to_the_browser_than_are_shown(listed: ConsoleService, open_page: Open) -> None:
    many = [Instrument("simulated", f"AA{n}", f"AA{n}", "equity", "Alike") for n in range(3_000)]
    listed.instruments.store.replace("simulated", many)
    at = typed(open_page, "AAPL")
    at.text_input(key="backfill_find").set_value("alike").run()
    assert len(at.dataframe[0].value) == 50
    assert "The first 50 are shown" in words(at)


def test_an_ambiguous_name_lists_its_candidates_to_choose_from(listed: ConsoleService, open_page: Open) -> None:
    at = typed(open_page, "ABC,AAPL")
    assert "fits 2 instruments of simulated" in words(at)
    assert at.button(key="backfill_start").disabled
    choices = offered(at)
    assert len(choices) == 2
    at.button(key=next(key for label, key in choices.items() if "Other" in label)).click().run()
    assert at.multiselect(key="backfill_pairs").value == ["A-BC", "AAPL"]
    assert not at.button(key="backfill_start").disabled


def test_a_listed_name_that_was_probably_meant_is_offered(
    listed: ConsoleService, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The simulated market has every name, so nothing is said of one there: see the test after this.
    monkeypatch.setattr(PROVIDERS["simulated"], "serves_any_name", False)
    at = typed(open_page, "GON")
    assert "does not list 'GON'" in words(at)
    [key] = [key for label, key in offered(at).items() if "Went away" in label]
    at.button(key=key).click().run()
    assert at.multiselect(key="backfill_pairs").value == ["GONE"]
    assert "was delisted on 2020-01-02" in words(at)


def test_a_provider_that_serves_any_name_is_asked_for_one_without_a_word(
    listed: ConsoleService, open_page: Open
) -> None:
    at = typed(open_page, "GON")
    assert "does not list" not in words(at)
    assert offered(at) == {}
    assert not at.button(key="backfill_start").disabled


def test_one_book_under_two_names_is_stored_twice_only_on_purpose(listed: ConsoleService, open_page: Open) -> None:
    at = typed(open_page, "BTCUSD,BTCUSDC")
    assert "one order book" in words(at)
    assert at.button(key="backfill_start").disabled
    at.checkbox(key="backfill_pairs_same_book").check().run()
    assert not at.button(key="backfill_start").disabled


def test_a_run_starts_under_the_stored_names_and_remembers_the_listing(listed: ConsoleService, open_page: Open) -> None:
    at = typed(open_page, "brk.b,BRKB")
    assert list(at.dataframe[0].value["Pair"]) == ["BRK-B"]
    at.button(key="backfill_start").click().run()
    [run], _ = listed.runs.find()
    listed.run_service.wait(run.id, 30)
    assert [row.asset_pair for row in listed.runs.series(run.id)] == ["BRK-B"]
    assert listed.instruments.store.facts_of("simulated", "BRK-B")[""].listed == "1996-05-09"


def test_a_watchlist_and_a_schedule_keep_the_stored_names(listed: ConsoleService, open_page: Open) -> None:
    at = typed(open_page, "brk.b")
    at.text_input(key="backfill_save_name").set_value("Mine").run()
    at.button(key="backfill_save").click().run()
    saved = listed.watchlists.get("Mine")
    assert saved is not None
    assert saved.pairs == ("BRK-B",)
    at = open_page("schedules", new="1", provider="simulated", pairs="brk.b", timeframes="1h")
    at.text_input(key="sched_name").set_value("Hourly").run()
    at.button(key="sched_save").click().run()
    assert [one.pairs for one in listed.schedules.store.all()] == [("BRK-B",)]


def test_a_schedule_has_both_names_of_a_book_only_on_purpose(listed: ConsoleService, open_page: Open) -> None:
    at = open_page("schedules", new="1", provider="simulated", pairs="BTCUSD,BTCUSDC", timeframes="1h")
    at.text_input(key="sched_name").set_value("Both").run()
    assert "one order book" in words(at)
    assert at.button(key="sched_save").disabled
    at.checkbox(key="sched_pairs_same_book").check().run()
    assert not at.button(key="sched_save").disabled
    at.button(key="sched_save").click().run()
    assert [one.pairs for one in listed.schedules.store.all()] == [("BTCUSD", "BTCUSDC")]


def test_a_schedule_of_an_ambiguous_name_says_it_once_and_offers_both(listed: ConsoleService, open_page: Open) -> None:
    at = open_page("schedules", new="1", provider="simulated", pairs="ABC", timeframes="1h")
    assert words(at).count("fits 2 instruments") == 1
    assert len(offered(at)) == 2
    assert at.button(key="sched_save").disabled


def test_reading_the_list_again_is_an_act_and_its_failure_is_said(
    console: ConsoleService, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    console.instruments.store.replace("simulated", LISTED)

    class Silent(PROVIDERS["simulated"]):  # type: ignore[misc]
        async def catalogue(self) -> list[Instrument]:
            raise RetriableError("nobody answers")

    monkeypatch.setitem(PROVIDERS, "simulated", Silent)
    at = typed(open_page, "BTCUSD")
    assert "6 instruments, read" in words(at)
    at.button(key="backfill_read_again").click().run()
    for thread in threading.enumerate():
        if thread.name == "catalogue of simulated":
            thread.join(10)
    at.run()
    assert "nobody answers" in words(at)
    assert "6 instruments, read" in words(at)
    assert [(row.target, row.outcome) for row in console.audit.find(verb="read catalogue")] == [("simulated", "failed")]


def searched() -> None:
    for thread in threading.enumerate():
        if thread.name == "catalogue of simulated":
            thread.join(10)


def test_a_provider_that_can_be_searched_is_asked_on_purpose(
    listed: ConsoleService, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    tesco = Instrument("simulated", "TSCO.LON", "TSCO.LON", "equity", "Tesco *PLC*", quote="GBX", region="Britain")

    async def search(self: object, text: str) -> list[Instrument]:
        if text == "down":
            raise RetriableError("nobody answers")
        return [tesco] if text == "grocer" else []

    monkeypatch.setattr(PROVIDERS["simulated"], "can_be_searched", True)
    monkeypatch.setattr(PROVIDERS["simulated"], "search", search)
    at = typed(open_page, "AAPL")
    at.text_input(key="backfill_find").set_value("grocer").run()
    assert "No symbol and no name" in words(at)
    at.button(key="backfill_ask").click().run()
    searched()
    at.run()
    [row] = next(one.value for one in at.dataframe if "Symbol" in one.value.columns).to_dict("records")
    assert (row["Stored as"], row["Region"], row["Currency"]) == ("TSCO.LON", "Britain", "GBX")
    assert "It was asked for this, and found 1." in words(at)
    at.text_input(key="backfill_find").set_value("down").run()
    assert "It was asked" not in words(at)
    at.button(key="backfill_ask").click().run()
    searched()
    at.run()
    assert "It could not be asked: nobody answers" in words(at)
    assert [row.outcome for row in listed.audit.find(verb="search instruments")] == ["failed", "done"]


def test_a_provider_that_cannot_be_searched_offers_no_button(listed: ConsoleService, open_page: Open) -> None:
    at = typed(open_page, "AAPL")
    at.text_input(key="backfill_find").set_value("grocer").run()
    assert not [one for one in at.button if one.key == "backfill_ask"]


@pytest.mark.of_a_state_file("at a server every console acts: test_consoles_on_a_server")
def test_a_standby_reads_no_list(listed: ConsoleService, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConsoleService, "leads", False)
    assert typed(open_page, "BTCUSD").button(key="backfill_read_again").disabled


NAMES = {
    "T-USD": "T_USD",
    "XAU_XAG": "XAU_XAG",
    "BRK-B": "BRK-B",
    "BC/PB": "BC~2FPB",
    "BC~2FPB": "BC~2FPB",
    "FB@2025-06-26": "FB@2025-06-26",
}
"""Typed names and how the simulated provider's candles of them are stored."""


def test_a_name_with_signs_in_it_is_found_by_every_filter(console: ConsoleService, open_page: Open) -> None:
    request = BackfillRequest.of("simulated", list(NAMES.values()), ["1h"], "2024-01-02", "2024-01-03")
    console.run_service.wait(console.run_service.start(request, "ann"), 60)
    for typed_name, name in NAMES.items():
        for page in ("watermarks", "runs", "coverage", "candles", "restatements", "dead_letters"):
            at = open_page(page, pair=typed_name, provider="simulated", timeframe="1h")
            assert not at.exception
            assert "Not understood" not in words(at), (page, typed_name)
            if page == "watermarks":
                assert list(at.dataframe[0].value["Pair"]) == [name]
            if page == "runs":
                assert len(at.dataframe[0].value) == 1
            if page == "candles":
                assert at.session_state.candles_series.asset_pair == name
            if page == "coverage":
                assert f"{name} 1h, 2024-01-02" in words(at)


def test_a_schedule_that_has_both_names_of_a_book_is_edited_without_asking_again(listed: ConsoleService) -> None:
    both = Draft("both", "simulated", ("BTCUSD", "BTCUSDC"), ("1h",), same_book=True)
    with pytest.raises(InputError, match="one order book"):
        listed.schedules.create(replace(both, same_book=False), "ann")
    made = listed.schedules.create(both, "ann")
    edited = listed.schedules.edit(made.id, replace(Draft.of(made), name="renamed"), "ann")
    assert (edited.name, edited.pairs) == ("renamed", ("BTCUSD", "BTCUSDC"))


def test_names_of_an_earlier_release_are_found_by_what_is_typed_now(console: ConsoleService, open_page: Open) -> None:
    """`BRKB` is how 0.1.0 stored BRK-B."""
    request = BackfillRequest.of("simulated", ["BRKB", "BTCUSD"], ["1h"], "2024-01-02", "2024-01-03")
    console.run_service.wait(console.run_service.start(request, "ann"), 60)
    for typed_name in ("BRK-B", "brk.b", "BRKB"):
        address = {"pair": typed_name, "provider": "simulated", "timeframe": "1h"}
        assert list(open_page("watermarks", **address).dataframe[0].value["Pair"]) == ["BRKB"]
        assert len(open_page("runs", **address).dataframe[0].value) == 1
        assert open_page("candles", **address).session_state.candles_series.asset_pair == "BRKB"
        assert "BRKB 1h, 2024-01-02" in words(open_page("coverage", **address))
        at = open_page("restatements", series=f"{typed_name}/1h/simulated")
        assert at.session_state.restated_series == Series("BRKB", "1h", "simulated")
    assert "No run matches" in words(open_page("runs", pair="BRK-C"))


def test_a_pasted_list_becomes_its_names_on_every_form(listed: ConsoleService, open_page: Open) -> None:
    for page, key in (("backfill", "backfill_pairs"), ("schedules", "sched_pairs")):
        at = open_page(page, new="1", provider="simulated", timeframes="1h")
        at.session_state[key] = []
        at.multiselect(key=key).set_value(["btc-usd; BRK-B\nGONE", "BTCUSD"]).run()
        assert at.session_state[key] == ["btc-usd", "BRK-B", "GONE", "BTCUSD"]


def test_many_unknown_names_are_summed_up_and_done_with_at_once(
    listed: ConsoleService, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PROVIDERS["simulated"], "serves_any_name", False)
    monkeypatch.setattr(PROVIDERS["simulated"], "lists_everything", True)
    unknown = [f"ZZZ{letter}QQQ" for letter in "ABCDEFG"]
    at = typed(open_page, ",".join(["BTC-USD", *unknown, "GON"]))
    assert "8 of 9 names cannot be asked for at simulated" in words(at)
    [table] = [one.value for one in at.dataframe if "Typed" in one.value.columns]
    assert (list(table["Typed"]), table["May be meant"].iloc[-1]) == ([*unknown, "GON"], "GONE")
    at.button(key="backfill_pairs_nearest").click().run()
    assert at.session_state.backfill_pairs == ["BTCUSD", *unknown, "GONE"]
    at.button(key="backfill_pairs_leave_out").click().run()
    assert at.session_state.backfill_pairs == ["BTCUSD", "GONE"]
    assert not at.button(key="backfill_start").disabled


def test_a_search_that_is_too_long_is_told_and_stays_as_it_was_typed(listed: ConsoleService, open_page: Open) -> None:
    at = typed(open_page, "AAPL")
    at.text_input(key="backfill_find").set_value("x" * 5000).run()
    assert "These are 5,000 characters, and 80 have room; for example" in words(at)
    assert at.text_input(key="backfill_find").value == "x" * 5000
    assert not at.text_input(key="backfill_find").proto.max_chars
