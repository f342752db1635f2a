"""How does a tick become a run? With the real run service: refused credentials, a provider that hangs, turns of one's
own, and hundreds at once."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ffe_core.operations.console import ConsoleService
from ffe_core.operations.dead_letters.service import DeadLetters
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.schedules.service import Draft
from ffe_core.series import Series
from ffe_core.storage.dead_letters.search import Wanted
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state import schedules as schedule_states
from ffe_core.storage.state.runs import NewRun
from ffe_core.storage.state.schedules import Schedule
from tests.fake_exchanges import CoinbaseExchange, Exchange, Fault, Market, OandaExchange, generated
from tests.operations.schedules.harness import Clock

_STEP = 3600
_PAIRS = ("BTC-USD", "ETH-USD", "SOL-USD", "ADA-USD", "XRP-USD", "LTC-USD")


class Console:
    """A console whose scheduler is pulsed by the test, with its clock put forward from now."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.service = ConsoleService(
            {"data_dir": str(folder), "retry": {"attempts": 1}, "close_grace_seconds": 0, **config}
        )
        self.clock = Clock(time.time())
        # Both go by it: a minute that ends between two readings would leave the schedule for the tick after.
        self.service.scheduler._clock = self.service.schedules._clock = self.clock

    def add(self, name: str, provider: str, *pairs: str, **more: Any) -> Schedule:
        draft = Draft(name, provider, pairs, ("1h",), **{"trigger": "every 1", "since": "2d", **more})
        return self.service.schedules.create(draft, "ann")

    def tick(self) -> None:
        """Put the clock to the next whole minute and let everything due start."""
        self.clock.at += 60 - self.clock.at % 60
        self.service.scheduler.poll()

    def last(self, schedule: Schedule) -> Any:
        """The newest tick of a schedule."""
        return self.service.schedules.store.last_ticks([schedule.id], 1)[schedule.id][0]

    def wait(self, schedule: Schedule) -> str:
        """The state in which the last run of a schedule ended."""
        run_id = self.last(schedule).run_id
        self.service.run_service.wait(run_id, 60)
        run = self.service.runs.get(run_id)
        assert run is not None
        return str(run.state)


@pytest.fixture
def market() -> Market:
    end = int(time.time()) // _STEP * _STEP
    names = [*_PAIRS, "EUR_USD"]
    return Market({(name, _STEP): generated(end - 3 * 86_400, end, _STEP) for name in names})


@pytest.fixture
def coinbase(market: Market) -> Iterator[CoinbaseExchange]:
    with CoinbaseExchange(market, rate=None) as exchange:
        yield exchange


def _at(exchange: Exchange, **more: Any) -> dict[str, Any]:
    return {"base_url": exchange.url, "requests_per_second": 200, **more}


@pytest.fixture
def console(tmp_path: Path, coinbase: CoinbaseExchange) -> Iterator[Console]:
    opened = Console(tmp_path, coinbase=_at(coinbase), simulated={"broken_records": 0})
    yield opened
    opened.service.drain()


def _hangs(coinbase: CoinbaseExchange, *symbols: str) -> None:
    coinbase.fault(Fault.hang(), times=None, when=lambda seen: any(f"/{symbol}/" in seen.path for symbol in symbols))


def test_a_fire_is_a_run_that_names_its_schedule(console: Console) -> None:
    one = console.add("one", "coinbase", "BTCUSD")
    console.tick()
    assert console.wait(one) in (run_states.COMPLETE, run_states.GAPS)
    console.service.scheduler.poll()
    tick = console.last(one)
    run = console.service.runs.get(tick.run_id)
    assert run is not None
    assert (run.source, run.actor) == (f"schedule:{one.id}", "the scheduler")
    assert run.parameters == {"schedule": "one", "kind": "due", "due": tick.due}
    assert tick.run_state == run.state


def test_credentials_that_are_refused_pause_the_schedule(tmp_path: Path, market: Market) -> None:
    with OandaExchange(market, token="the-right-token") as exchange:
        console = Console(tmp_path, oanda=_at(exchange, api_token="the-wrong-token-1234"))
        try:
            one = console.add("one", "oanda", "EURUSD", pause_after=0, since="5d")  # longer than a weekend is closed
            console.tick()
            assert console.wait(one) == run_states.FAILED
            console.service.scheduler.poll()
            paused = console.service.schedules.get(one.id)
            assert paused.paused_by == "the scheduler"
            assert (paused.paused_reason or "").startswith("the provider refuses the credentials: ")
            assert [item.kind for item in console.service.schedules.attention()] == ["paused", "failed"]
            events = {row.event for row in console.service.schedules.store.notices()}
            assert events == {"run failed", "schedule paused"}
        finally:
            console.service.drain()


def test_credentials_that_are_gone_pause_the_schedule(tmp_path: Path, market: Market) -> None:
    with OandaExchange(market) as exchange:
        console = Console(tmp_path, oanda=_at(exchange, api_token="practice-token"))
        one = console.add("one", "oanda", "EURUSD")
        console.service.drain()
    console = Console(tmp_path)
    try:
        console.tick()
        assert "FFE_OANDA__API_TOKEN: missing" in (console.service.schedules.get(one.id).paused_reason or "")
        assert console.last(one).outcome == schedule_states.PAUSED
    finally:
        console.service.drain()


def test_a_failure_of_another_kind_is_not_about_credentials(console: Console, coinbase: CoinbaseExchange) -> None:
    coinbase.fault(Fault.http(500), times=None)
    one = console.add("one", "coinbase", "BTCUSD", "ETHUSD", pause_after=0)
    console.tick()
    assert console.wait(one) == run_states.FAILED
    console.service.scheduler.poll()
    assert not console.service.schedules.get(one.id).paused
    [row] = console.service.schedules.store.notices()
    assert "answered HTTP 500" in row.text
    assert row.text.endswith("(and 1 more series)")


def test_a_provider_that_hangs_holds_up_only_its_own_series(console: Console, coinbase: CoinbaseExchange) -> None:
    _hangs(coinbase, "BTC-USD")
    stuck, other = console.add("stuck", "coinbase", "BTCUSD"), console.add("other", "coinbase", "ETHUSD")
    elsewhere = console.add("elsewhere", "simulated", "BTCUSD")
    for _ in range(2):
        console.tick()
        assert console.wait(other) in (run_states.COMPLETE, run_states.GAPS)
        assert console.wait(elsewhere) == run_states.COMPLETE
    console.tick()
    assert console.last(stuck).outcome == schedule_states.SKIPPED
    assert "the former one, still ran" in console.last(stuck).note


def test_a_long_backfill_does_not_keep_schedules_from_their_turn(console: Console, coinbase: CoinbaseExchange) -> None:
    _hangs(coinbase, *_PAIRS[:5])
    names = [name.replace("-", "") for name in _PAIRS[:5]]
    now = int(time.time())
    long = BackfillRequest.of("coinbase", names, ["1h"], now - 86_400, now)
    console.service.run_service.start(long, "ann")
    one = console.add("one", "coinbase", "LTCUSD")
    taken = console.add("taken", "coinbase", "BTCUSD")
    console.tick()
    assert console.wait(one) in (run_states.COMPLETE, run_states.GAPS)
    assert (console.last(taken).outcome, console.last(taken).note) == (
        schedule_states.SKIPPED,
        "run 1 works on its series",
    )


def test_a_run_is_found_by_its_fire(console: Console) -> None:
    one, other = console.add("one", "simulated", "BTCUSD"), console.add("other", "simulated", "ETHUSD")
    console.tick()
    tick, runs = console.last(one), console.service.schedules._runs
    assert runs.find(one, schedule_states.DUE, tick.due) == tick.run_id
    assert runs.find(one, schedule_states.MANUAL, tick.due) is None
    assert runs.find(one, schedule_states.DUE, tick.due + 60) is None
    assert runs.find(other, schedule_states.DUE, tick.due) != tick.run_id


def test_a_run_whose_process_died_does_not_hold_up_a_fire(console: Console) -> None:
    one = console.add("one", "simulated", "BTCUSD")
    series = [Series("BTCUSD", "1h", "simulated")]
    orphan = console.service.runs.add(
        NewRun("backfill", "simulated", "resume", 0, 1, series, "ann", "command line", "4711-gone")
    )
    console.service.scheduler._adopts_at = math.inf
    console.tick()
    assert console.wait(one) == run_states.COMPLETE
    run = console.service.runs.get(orphan)
    assert run is not None
    assert run.state == run_states.INTERRUPTED


def test_new_dead_letters_are_counted(tmp_path: Path) -> None:
    console = Console(tmp_path, simulated={"broken_records": 0.5}, webhook={"dead_letter_limit": 5})
    try:
        before, one = time.time(), console.add("one", "simulated", "BTCUSD")
        console.tick()
        console.wait(one)
        counted = console.service.schedules._runs.new_dead_letters(before)
        assert counted > 5
        console.service.scheduler.poll()
        [row] = console.service.schedules.store.notices()
        assert (row.event, row.details) == ("dead letters", {"count": counted})
    finally:
        console.service.drain()


def test_a_replay_that_fails_again_makes_no_new_dead_letters(tmp_path: Path) -> None:
    console = Console(tmp_path, simulated={"broken_records": 0.5})
    try:
        before, one = time.time(), console.add("one", "simulated", "BTCUSD")
        console.tick()
        console.wait(one)
        counted = console.service.schedules._runs.new_dead_letters(before)
        dead_letters = DeadLetters(console.service.run_service)
        run_id = dead_letters.replay(console.service.queue.select(Wanted(status="pending")), "ann")
        console.service.run_service.wait(run_id, 60)
        assert console.service.runs.series(run_id)[0].failed_records > 0
        assert console.service.schedules._runs.new_dead_letters(before) == counted
    finally:
        console.service.drain()


def test_everything_due_in_one_minute_runs_within_the_rate(tmp_path: Path, market: Market) -> None:
    names = [f"P{number:02d}" for number in range(30)]
    same = market.candles("BTC-USD", _STEP)
    with CoinbaseExchange(Market({(f"{name}-USD", _STEP): same for name in names}), rate=50, burst=5) as exchange:
        console = Console(tmp_path, coinbase=_at(exchange, requests_per_second=50))
        try:
            made = [console.add(name, "coinbase", f"{name}USD") for name in names]
            console.tick()
            assert {console.wait(one) for one in made} <= {run_states.COMPLETE, run_states.GAPS}
            assert exchange.count("/candles") >= len(names)
            assert exchange.rate_limited == 0
        finally:
            console.service.drain()


def test_the_service_fires_by_itself_when_it_leads(tmp_path: Path) -> None:
    service = ConsoleService({"data_dir": str(tmp_path), "simulated": {"broken_records": 0}})
    one = service.schedules.create(Draft("one", "simulated", ("BTCUSD",), ("1d",), trigger="every 1"), "ann")
    due, real = service.schedules.store.next_due(), time.monotonic()
    assert due is not None
    service.scheduler._clock = lambda: due + 1 + (time.monotonic() - real)  # the next one is a minute away
    service.open()
    try:
        deadline = time.monotonic() + 60
        while not service.schedules.store.ticks(one.id)[1] and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        service.drain()
    rows, _ = service.schedules.store.ticks(one.id)
    assert [row.outcome for row in rows] in ([schedule_states.RAN], [schedule_states.LATE])
    assert service.health()["last_error"] is None
