"""Can an analyst do what the console is for, with a real server and a real browser, also when something goes wrong?"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from ffe_core import DeltaLakeManager
from ffe_core.candles import SCHEMA
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.runs import RunStore
from tests.browser.conftest import Serve, Visit
from tests.browser.driver import ROOT, Server, Visitor, poll, settled
from tests.fake_exchanges import CoinbaseExchange, Fault, Market, Script, generated

PAGES = sorted(path.parent.name for path in (ROOT / "pages").glob("*/page.py") if path.parent.name != "overview")
SLOW = {"FFE_SIMULATED__LATENCY_SECONDS": "5"}
MONTH = "start=2024-01-01&end=2024-01-31"
TWO_MONTHS = "start=2024-01-01&end=2024-02-29"


@dataclass(frozen=True)
class HeldMarket:
    """An exchange that does not answer for BTC-USD until it is let go, and what points a server at it.

    Every second the server gives up on an answer and asks again, which its run log tells.
    """

    exchange: CoinbaseExchange
    script: Script

    @property
    def env(self) -> dict[str, str]:
        return {
            "FFE_COINBASE__BASE_URL": self.exchange.url,
            "FFE_COINBASE__REQUESTS_PER_SECOND": "1000",
            "FFE_HTTP__READ_TIMEOUT_SECONDS": "1",
            "FFE_RETRY__ATTEMPTS": "100",
            "FFE_RETRY__BASE_DELAY_SECONDS": "0",
        }

    def let_go(self) -> None:
        self.script.cancel()


@pytest.fixture
def held() -> Iterator[HeldMarket]:
    hours = generated(1_704_067_200, 1_706_745_600, 3600)
    market = Market({("BTC-USD", 3600): hours, ("ETH-USD", 3600): hours})
    with CoinbaseExchange(market, rate=None) as exchange:
        script = exchange.fault(Fault.hang(), times=None, when=lambda seen: "BTC-USD/candles" in seen.path)
        yield HeldMarket(exchange, script)


def ranges_of(server: Server) -> RunStore:
    """What the server has written down."""
    return RunStore(Database(server.data_dir / DATABASE_FILE))


def run_state(server: Server, run_id: int) -> str:
    found = ranges_of(server).get(run_id)
    return found.state if found else "not there"


def series_states(server: Server, run_id: int) -> dict[str, str]:
    return {row.asset_pair: row.state for row in ranges_of(server).series(run_id)}


def start_backfill(
    visitor: Visitor, pairs: str, timeframes: str = "1h", period: str = MONTH, provider: str = "simulated"
) -> int:
    """Start a backfill from a deep link; the number of the run that the browser is taken to."""
    visitor.open(f"/backfill?provider={provider}&pairs={pairs}&timeframes={timeframes}&{period}")
    visitor.click("backfill_start")
    visitor.page.wait_for_url(re.compile(r"/run\?id=\d+"))
    settled(visitor.page)
    return int(visitor.page.url.rpartition("=")[2])


def ends(visitor: Visitor, state: str) -> None:
    """Watch the run page until it shows this state."""
    badge = visitor.page.locator(".stMarkdownBadge").filter(has_text=re.compile(rf"\b{state}$"))
    badge.first.wait_for(timeout=60_000)
    settled(visitor.page)


def rows(server: Server, table: str) -> pa.Table:
    """Every stored row of a table in order, without what differs from one run to the next."""
    opened = DeltaLakeManager(server.data_dir / "lake").open(table)
    assert opened is not None
    kept = ["asset_pair", "timestamp", "open", "high", "low", "close", "volume", "source_provider"]
    found = pa.RecordBatchReader.from_stream(opened.scan()).read_all().select(SCHEMA.names).cast(SCHEMA).select(kept)
    return found.sort_by([("asset_pair", "ascending"), ("timestamp", "ascending")])


def test_from_the_first_visit_to_the_first_chart_in_four_clicks(serve: Serve, visit: Visit) -> None:
    visitor = visit(serve())
    visitor.sees("Nothing is stored yet")
    visitor.click("overview_try")
    visitor.page.wait_for_url(re.compile("/candles"), timeout=60_000)
    visitor.page.locator(".chart[data-drawn]").wait_for(timeout=60_000)
    assert visitor.clicks <= 4


def test_close_the_tab_and_watch_the_run_end_from_another_browser(serve: Serve, visit: Visit, held: HeldMarket) -> None:
    server = serve(env=held.env)
    first = visit(server)
    run_id = start_backfill(first, "BTCUSD", provider="coinbase")
    ends(first, "running")
    first.close()
    second = visit(server)
    second.follow("Runs")
    second.sees("1 run.")
    second.open(f"/run?id={run_id}")
    ends(second, "running")
    second.sees("did not answer in time")
    held.let_go()
    ends(second, "complete")
    second.sees("744 of 744")
    assert run_state(server, run_id) == "complete"


def test_one_series_of_five_fails_and_only_it_is_retried(serve: Serve, visit: Visit) -> None:
    server = serve()
    visitor = visit(server)
    run_id = start_backfill(visitor, "BTCUSD,ETHUSD,NOPEUSD,EURUSD,AAPL")
    ends(visitor, "failed")
    states = series_states(server, run_id)
    assert {pair: state for pair, state in states.items() if state != "complete"} == {"NOPEUSD": "failed"}
    visitor.sees("simulated has no pair NOPEUSD")
    visitor.click("run_retry")
    visitor.page.wait_for_url(re.compile(rf"id={run_id + 1}$"))
    ends(visitor, "failed")
    visitor.sees(f"again from run {run_id}")
    assert series_states(server, run_id + 1) == {"NOPEUSD": "failed"}


def test_cancel_keeps_what_was_committed_and_continue_completes_it(
    serve: Serve, visit: Visit, held: HeldMarket
) -> None:
    server = serve(env=held.env)
    visitor = visit(server)
    run_id = start_backfill(visitor, "BTCUSD,ETHUSD", provider="coinbase")
    poll(lambda: series_states(server, run_id)["ETHUSD"] == "complete", "the other series")
    visitor.click("run_cancel")
    visitor.sees_dialog("1 of 2 series have not ended")
    visitor.click("run_cancel_yes")
    ends(visitor, "cancelled")
    assert series_states(server, run_id) == {"BTCUSD": "cancelled", "ETHUSD": "complete"}
    assert len(rows(server, "raw_market_data_1h")) == 744
    held.let_go()
    visitor.click("run_continue")
    visitor.page.wait_for_url(re.compile(rf"id={run_id + 1}$"))
    ends(visitor, "complete")
    assert series_states(server, run_id + 1) == {"BTCUSD": "complete"}
    assert len(rows(server, "raw_market_data_1h")) == 2 * 744


def test_a_question_stays_open_while_the_page_around_it_is_redrawn(
    serve: Serve, visit: Visit, held: HeldMarket
) -> None:
    server = serve(env=held.env)
    visitor = visit(server)
    run_id = start_backfill(visitor, "BTCUSD,ETHUSD", provider="coinbase")
    visitor.click("run_cancel")
    visitor.sees_dialog("have not ended")
    # The page is drawn as a whole when the run is three seconds old, and its body three seconds after.
    time.sleep(max(0.0, ranges_of(server).get(run_id).created_at + 8 - time.time()))
    visitor.sees_dialog("1 of 2 series have not ended")
    visitor.click("run_cancel_no")
    visitor.page.get_by_role("dialog").wait_for(state="detached")
    held.let_go()
    ends(visitor, "complete")


def test_a_server_killed_in_mid_run_continues_to_the_same_rows(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    server = serve(env=SLOW)
    visitor = visit(server)
    run_id = start_backfill(visitor, "BTCUSD", "1h,1m", TWO_MONTHS)
    poll(lambda: "complete" in [row.state for row in ranges_of(server).series(run_id)], "the first series")
    visitor.server_may_vanish = True
    server.kill()
    server.restart(FFE_SIMULATED__LATENCY_SECONDS="0")
    visitor.open(f"/run?id={run_id}")
    visitor.server_may_vanish = False
    ends(visitor, "interrupted")
    visitor.click("run_continue")
    visitor.page.wait_for_url(re.compile(rf"id={run_id + 1}$"))
    ends(visitor, "complete")
    assert len(ranges_of(server).series(run_id + 1)) == 1

    undisturbed = serve(tmp_path / "undisturbed")
    other = visit(undisturbed)
    start_backfill(other, "BTCUSD", "1h,1m", TWO_MONTHS)
    ends(other, "complete")
    for table in ("raw_market_data_1h", "raw_market_data_1m"):
        assert rows(server, table).equals(rows(undisturbed, table))


def test_stopping_the_server_interrupts_its_runs_in_order(serve: Serve, visit: Visit, held: HeldMarket) -> None:
    server = serve(env=held.env)
    visitor = visit(server)
    run_id = start_backfill(visitor, "BTCUSD", provider="coinbase")
    visitor.server_may_vanish = True
    server.stop()
    assert run_state(server, run_id) == "interrupted"
    assert series_states(server, run_id) == {"BTCUSD": "interrupted"}


@pytest.mark.parametrize("page", PAGES)
def test_a_deep_link_is_the_first_request_to_a_fresh_server(serve: Serve, visit: Visit, page: str) -> None:
    visitor = visit(serve(), f"/{page}")
    title = visitor.page.get_by_test_id("stHeading").first.inner_text()
    assert "not found" not in visitor.page.locator("body").inner_text().lower()
    assert title.lower().startswith(page.replace("_", " "))


def test_two_servers_on_one_data_directory(serve: Serve, visit: Visit) -> None:
    leader, standby = serve(), serve()
    assert (leader.health()["role"], standby.health()["role"]) == ("leader", "standby")
    reader = visit(standby)
    for page in ("", *PAGES):
        reader.open(f"/{page}")
        reader.sees("This console is a standby")
        reader.sees(f"process {leader.pid}")
    reader.open(f"/backfill?provider=simulated&pairs=BTCUSD&timeframes=1h&{MONTH}")
    assert reader.at("backfill_start").get_by_role("button").is_disabled()
    worker = visit(leader)
    run_id = start_backfill(worker, "BTCUSD")
    ends(worker, "complete")
    reader.open(f"/run?id={run_id}")
    ends(reader, "complete")
    worker.close()
    leader.stop()
    poll(lambda: standby.health()["role"] == "leader", "the standby to take over")
    reader.open(f"/backfill?provider=simulated&pairs=ETHUSD&timeframes=1h&{MONTH}")
    assert "standby" not in reader.text()
    assert reader.at("backfill_start").get_by_role("button").is_enabled()
