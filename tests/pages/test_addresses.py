"""Do a page and its address stay together: what a link says is shown, what a person chooses then stays chosen?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ffe_core.operations.console import ConsoleService
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.schedules.service import Draft
from tests.pages.conftest import Fill, Open, words

pytestmark = pytest.mark.slow


def thirty_runs(folder: Path) -> None:
    """Two days of two pairs at two timeframes, brought by 30 runs."""
    console = ConsoleService({"data_dir": str(folder)})
    for _ in range(30):
        request = BackfillRequest.of("simulated", ["BTCUSD", "EURUSD"], ["1h", "4h"], "2024-01-01", "2024-01-02")
        console.run_service.wait(console.run_service.start(request, "ann"), 60)
    console.drain()


@pytest.fixture
def filled(filled_by: Callable[[Fill], ConsoleService]) -> ConsoleService:
    """The console after those."""
    return filled_by(thirty_runs)


def address(at: AppTest) -> dict[str, str]:
    values = {name: at.query_params[name] for name in at.query_params}
    return {name: value if isinstance(value, str) else value[0] for name, value in values.items()}


def test_one_choice_after_another_holds_and_the_address_follows(filled: ConsoleService, open_page: Open) -> None:
    at = open_page("watermarks")
    at.selectbox(key="watermarks_provider").select("simulated").run()
    at.selectbox(key="watermarks_health").select("behind").run()
    at.selectbox(key="watermarks_provider").select("coinbase").run()
    assert (at.selectbox(key="watermarks_provider").value, at.selectbox(key="watermarks_health").value) == (
        "coinbase",
        "behind",
    )
    assert address(at) == {"provider": "coinbase", "health": "behind"}
    at.button(key="watermarks_clear").click().run()
    assert len(at.dataframe[0].value) == 4
    assert address(at) == {}


def test_a_click_that_comes_before_the_browser_has_the_new_address_takes_nothing_back(
    filled: ConsoleService, open_page: Open
) -> None:
    at = open_page("watermarks", provider="coinbase")
    at.selectbox(key="watermarks_provider").select("simulated").run()
    at.query_params["provider"] = "coinbase"
    at.selectbox(key="watermarks_health").select("behind").run()
    assert address(at) == {"provider": "simulated", "health": "behind"}
    assert at.selectbox(key="watermarks_provider").value == "simulated"


def test_an_earlier_address_come_back_to_is_an_arrival(
    filled: ConsoleService, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = open_page("watermarks", provider="coinbase")
    at.selectbox(key="watermarks_provider").select("simulated").run()
    monkeypatch.setattr("pages.widgets.url._LATE_SECONDS", 0.0)
    at.query_params["provider"] = "coinbase"
    at.run()
    assert at.selectbox(key="watermarks_provider").value == "coinbase"


def test_after_a_link_the_filters_of_the_runs_can_be_changed(filled: ConsoleService, open_page: Open) -> None:
    at = open_page("runs", provider="simulated", page="2")
    assert len(at.dataframe[0].value) == 5
    at.selectbox(key="runs_since").select("Last 7 days").run()
    assert len(at.dataframe[0].value) == 25
    at.selectbox(key="runs_provider").select("coinbase").run()
    assert "No run matches" in words(at)


def test_after_a_link_the_filters_of_the_restatements_can_be_changed(filled: ConsoleService, open_page: Open) -> None:
    at = open_page("restatements", provider="simulated", since="7")
    at.selectbox(key="restated_since").select("all").run()
    at.selectbox(key="restated_provider").set_value(None).run()
    assert (at.selectbox(key="restated_since").value, at.selectbox(key="restated_provider").value) == ("all", None)


@pytest.mark.parametrize(
    ("page", "asked"),
    [
        ("backfill", {"pairs": "BTCUSD", "start": "2024-01-01", "end": "2024-01-31"}),
        ("runs", {"provider": "simulated"}),
        ("watermarks", {"series": "BTCUSD/1h/simulated"}),
        ("coverage", {"provider": "simulated", "timeframe": "1h"}),
        ("candles", {"provider": "simulated", "pair": "BTCUSD", "timeframe": "1h"}),
        ("restatements", {"provider": "simulated"}),
        ("dead_letters", {"status": "any"}),
        ("schedules", {"new": "1"}),
    ],
)
def test_coming_back_to_the_same_address_shows_the_same(
    filled: ConsoleService, open_page: Open, page: str, asked: dict[str, str]
) -> None:
    at = open_page(page, **asked)
    first, there = words(at), address(at)
    at.switch_page("overview/page.py").run()
    at.switch_page(f"{page}/page.py")
    for name, value in there.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    assert "cannot be shown" not in words(at)
    assert words(at).splitlines()[0] == first.splitlines()[0]
    assert address(at) == there


def test_a_search_for_a_word_of_the_address_is_as_one_left_it(filled: ConsoleService, open_page: Open) -> None:
    at = open_page("dead_letters", q="mend")
    at.switch_page("overview/page.py").run()
    at.query_params.clear()
    at.switch_page("dead_letters/page.py").run()
    assert address(at) == {"q": "mend"}


def test_the_backfill_form_of_a_link_can_be_changed(filled: ConsoleService, open_page: Open) -> None:
    at = open_page("backfill", pairs="BTCUSD", timeframes="1h", mode="gaps", start="2024-01-01", end="2024-01-31")
    at.radio(key="backfill_mode").set_value("refetch").run()
    at.multiselect(key="backfill_pairs").set_value(["BTCUSD", "EURUSD"]).run()
    assert (at.radio(key="backfill_mode").value, at.multiselect(key="backfill_pairs").value) == (
        "refetch",
        ["BTCUSD", "EURUSD"],
    )
    assert len(at.dataframe[0].value) == 2


def test_the_form_of_a_schedule_opens_from_its_address_as_it_was_left(filled: ConsoleService, open_page: Open) -> None:
    filled.watchlists.save("Majors", "simulated", ["BTCUSD"], ["1h"], "ann")
    at = open_page("schedules", new="1")
    assert address(at) == {"new": "1"}
    at.multiselect(key="sched_pairs").set_value(["BTCUSD", "EURUSD"]).run()
    at.text_input(key="sched_name").set_value("Majors, every day").run()
    at.segmented_control(key="sched_when").set_value("time").run()
    at.text_input(key="sched_time").set_value("5 o'clock").run()
    at.session_state.sched_days = ["mon", "tue"]
    at.radio(key="sched_mode").set_value("gaps").run()
    at.toggle(key="sched_from_beginning").set_value(True).run()
    at.toggle(key="sched_priority").set_value(False).run()
    at.text_input(key="sched_pause_after").set_value("0").run()
    kept = address(at)
    assert kept == {
        "new": "1",
        "name": "Majors, every day",
        "pairs": "BTCUSD,EURUSD",
        "when": "time",
        "time": "5 o'clock",
        "days": "mon,tue",
        "mode": "gaps",
        "from_beginning": "1",
        "priority": "0",
        "pause_after": "0",
    }
    again = open_page("schedules", **kept)
    assert again.text_input(key="sched_name").value == "Majors, every day"
    assert again.multiselect(key="sched_pairs").value == ["BTCUSD", "EURUSD"]
    assert "'5 o'clock' is not a time of day" in words(again).replace('"', "'")
    assert (again.radio(key="sched_mode").value, again.session_state.sched_days) == ("gaps", ["mon", "tue"])
    assert again.toggle(key="sched_from_beginning").value
    assert not again.toggle(key="sched_priority").value
    assert address(again) == kept
    again.toggle(key="sched_from_list").set_value(True).run()
    again.selectbox(key="sched_watchlist").set_value("Majors").run()
    listed = open_page("schedules", **address(again))
    assert listed.selectbox(key="sched_watchlist").value == "Majors"
    listed.button(key="sched_discard").click().run()
    assert address(listed) == {}


def test_what_is_changed_of_a_schedule_opens_from_its_address_and_writes_over_nobody(
    filled: ConsoleService, open_page: Open
) -> None:
    made = filled.schedules.create(Draft("mine", "simulated", ("BTCUSD",), ("1h",), trigger="every 30"), "ann")
    at = open_page("schedules", edit=str(made.id))
    assert address(at) == {"edit": str(made.id)}
    at.text_input(key="sched_minutes").set_value("45").run()
    kept = address(at)
    assert kept == {"edit": str(made.id), "minutes": "45", "version": str(made.version)}
    filled.schedules.edit(made.id, replace(Draft.of(made), name="ours"), "ben")
    again = open_page("schedules", **kept)
    assert again.text_input(key="sched_minutes").value == "45"
    again.button(key="sched_save").click().run()
    assert "ours was changed by somebody else meanwhile" in words(again)
    assert filled.schedules.get(made.id).trigger == "every 30 minutes"


ABSURD = ["x" * 9_000, "9" * 5_000, "-1", "1e300", "nan", "٣", "0x10", "9999999999", " ", "\u202e", "%00", "../../x"]
"""No page has a parameter that this could be; each is harmless."""
NAMED = {
    "backfill": ("provider", "pairs", "timeframes", "mode", "start", "end"),
    "runs": ("state", "provider", "pair", "since", "page"),
    "run": ("id",),
    "watermarks": ("provider", "pair", "health", "watchlist", "series"),
    "coverage": ("provider", "timeframe", "pair", "at", "watchlist", "range", "from", "to"),
    "candles": ("pair", "timeframe", "provider", "start", "end", "log", "known", "now", "tab", "over"),
    "restatements": ("series", "provider", "since"),
    "dead_letters": ("status", "q", "by", "page", "record", "entry", "view", "pair", "reason", "day", "run"),
    "schedules": (
        *("schedule", "edit", "new", "version", "name", "from_list", "watchlist", "provider", "pairs", "timeframes"),
        *("when", "minutes", "time", "days", "cron", "zone", "mode", "from_beginning", "since", "overlap", "catch_up"),
        *("pause_after", "priority"),
    ),
}


@pytest.mark.parametrize("page", NAMED)
def test_an_absurd_address_breaks_no_page(filled: ConsoleService, open_page: Open, page: str) -> None:
    for text in ABSURD:
        at = open_page(page, **dict.fromkeys(NAMED[page], text))
        assert not at.exception, text
        assert "cannot be shown" not in words(at), text
        assert max(map(len, words(at).splitlines()), default=0) < 1_000


def test_an_address_with_very_many_parameters_is_cut(filled: ConsoleService, open_page: Open) -> None:
    at = open_page("runs", **{f"x{number}": "1" for number in range(500)})
    assert len(address(at)) <= 40
    assert "too many of them" in words(at)
    assert len(words(at)) < 5_000
