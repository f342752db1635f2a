"""Is what a click starts what stands on the page, whatever is still being typed when it comes?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Route, WebSocketRoute

from ffe_core.operations.console import ConsoleService
from ffe_core.operations.schedules.service import Draft
from tests.browser.conftest import Serve, Visit
from tests.browser.driver import poll, settled
from tests.fake_exchanges import CoinbaseExchange, Fault, Market

FIELDS = ("Selectbox", "Multiselect", "TextInput")
"""Parts of Streamlit that draw fields of a form."""
RANGE = "pairs=BTCUSD&timeframes=1h&start=2024-01-01&end=2024-01-31"
JANUARY = f"provider=simulated&{RANGE}"
FORMS = {
    f"backfill?provider=coinbase&{RANGE}": {"backfill_provider": "coinbase", "backfill_from": "2024-01-01"},
    "schedules?edit=1": {"sched_provider": "coinbase", "sched_name": "mine", "sched_minutes": "30"},
}
"""What fields of a form hold, by its address."""
WATCH = """field => {
    window.shown = [];
    const look = () => {
        if (window.shown.at(-1) !== field.value) window.shown.push(field.value);
        requestAnimationFrame(look);
    };
    look();
}"""
"""Note in `window.shown` each value that a field shows from now on."""


def test_a_start_right_after_typing_shows_what_it_would_fetch_and_asks_again(serve: Serve, visit: Visit) -> None:
    visitor = visit(serve(), f"/backfill?{JANUARY}")
    visitor.sees("744 candles")
    visitor.at("backfill_from").get_by_role("textbox").fill("2016-01-01")
    visitor.click("backfill_start")
    visitor.sees("nothing was started: what you ask for has changed")
    visitor.sees("70,872 candles")
    visitor.at("backfill_to").get_by_role("textbox").fill("2016-01-32")
    visitor.click("backfill_start")
    visitor.sees("'2016-01-32' is not a time")
    assert visitor.at("backfill_start").get_by_role("button").is_disabled()
    assert visitor.at("backfill_to").get_by_role("textbox").input_value() == "2016-01-32"
    visitor.open("/runs")
    visitor.sees("Nothing has run yet")


def test_what_is_typed_stays_while_an_earlier_drawing_comes(serve: Serve, visit: Visit) -> None:
    visitor = visit(serve())
    late: list[tuple[WebSocketRoute, str | bytes]] = []
    is_slow = False

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda said: late.append((socket, said)) if is_slow else socket.send(said))

    visitor.page.route_web_socket("**/_stcore/stream", between)
    visitor.open(f"/backfill?{JANUARY}")
    visitor.sees("744 candles")
    is_slow = True
    visitor.page.get_by_role("radiogroup").get_by_text("Fill gaps").click()
    poll(lambda: visitor.page.evaluate("1") and len(late) > 20, "a drawing that is on its way")
    field = visitor.at("backfill_from").get_by_role("textbox")
    field.fill("2024-01-15")
    field.press("Tab")
    field.evaluate(WATCH)
    is_slow = False
    for socket, said in late:
        socket.send(said)
    visitor.sees("408 candles")
    assert visitor.page.evaluate("window.shown") == ["2024-01-15"]


def test_a_calendar_fills_in_what_may_be_typed(serve: Serve, visit: Visit) -> None:
    visitor = visit(serve(), f"/backfill?{JANUARY}")
    visitor.page.get_by_role("button", name="Choose days in a calendar").click()
    visitor.page.get_by_test_id("stDateInputField").get_by_role("button").first.click()
    for day in (5, 6):
        visitor.page.get_by_role("button", name=re.compile(f"January {day}, 2024")).click()
    settled(visitor.page)
    visitor.sees("48 candles")
    assert visitor.at("backfill_from").get_by_role("textbox").input_value() == "2024-01-05"


@pytest.mark.parametrize("address", FORMS)
def test_a_form_whose_list_comes_before_the_browser_shows_it_keeps_what_fills_it_in(
    serve: Serve, visit: Visit, tmp_path: Path, address: str
) -> None:
    console = ConsoleService({"data_dir": str(tmp_path / "data")}).open()
    console.schedules.create(Draft("mine", "coinbase", ("BTCUSD",), ("4h",), trigger="every 30"), "ann")
    console.drain()
    with CoinbaseExchange(Market({}), rate=None) as exchange:
        visitor = visit(serve(tmp_path / "data", env={"FFE_COINBASE__BASE_URL": exchange.url}))
        held, asked = list[Route](), list[object]()
        for field in FIELDS:  # as on a busy machine: they come after the list, and after the page has asked for it
            visitor.page.route(f"**/{field}.*.js", lambda route: held.append(route))
        visitor.page.on("websocket", lambda socket: socket.on("framesent", lambda frame: asked.append(frame)))
        visitor.page.goto(f"{visitor.base}/{address}")
        poll(lambda: visitor.page.evaluate("1") and len(held) == len(FIELDS), "fields that are waited for")
        exchange.wait_for_requests(1)
        before = len(asked)
        poll(lambda: visitor.page.evaluate("1") and len(asked) > before + 2, "the page to look for the list")
        for route in held:
            route.continue_()
        visitor.sees("instruments, read")
        settled(visitor.page)
        assert {key: visitor.at(key).locator("input").first.input_value() for key in FORMS[address]} == FORMS[address]
        assert visitor.page.locator("[class*=_pairs]").get_by_text("BTCUSD").first.is_visible()


def test_what_is_being_typed_stays_when_the_list_comes(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    """Text that was not left yet is known to the browser alone."""
    with CoinbaseExchange(Market({}), rate=None) as exchange:
        exchange.fault(Fault.slow(6.0))
        visitor = visit(serve(tmp_path / "data", env={"FFE_COINBASE__BASE_URL": exchange.url}))
        visitor.page.goto(f"{visitor.base}/schedules?new=1&provider=coinbase&pairs=BTCUSD")
        visitor.sees("Asking coinbase for its instruments")
        visitor.at("sched_name").get_by_role("textbox").fill("mine")
        visitor.sees("instruments, read")
        settled(visitor.page)
        assert visitor.at("sched_name").get_by_role("textbox").input_value() == "mine"
