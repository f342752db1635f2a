"""Do a page and its address stay together: what a link says is shown, what a person chooses then stays chosen?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ffe_core.operations.console import ConsoleService
from ffe_core.operations.runs.backfill import BackfillRequest
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


def test_the_backfill_form_of_a_link_can_be_changed(filled: ConsoleService, open_page: Open) -> None:
    at = open_page("backfill", pairs="BTCUSD", timeframes="1h", mode="gaps", start="2024-01-01", end="2024-01-31")
    at.radio(key="backfill_mode").set_value("refetch").run()
    at.multiselect(key="backfill_pairs").set_value(["BTCUSD", "EURUSD"]).run()
    assert (at.radio(key="backfill_mode").value, at.multiselect(key="backfill_pairs").value) == (
        "refetch",
        ["BTCUSD", "EURUSD"],
    )
    assert len(at.dataframe[0].value) == 2


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
    "schedules": ("schedule", "edit", "new", "provider", "pairs", "timeframes"),
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
