"""Does a run end alike whether its answers are read straight into columns or as JSON, dead letters to the letter?"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffe_core import times
from ffe_core.providers import coinbase, oanda
from ffe_core.providers.plain import NotPlain, RawRecords
from tests.integration.harness import COINBASE, NOW, OANDA, World, held
from tests.lake_files import dead_letters

PLAIN = [(OANDA, oanda), (COINBASE, coinbase)]
every_plain = pytest.mark.parametrize(("world", "module"), PLAIN, ids=[world.provider for world, _ in PLAIN])
PLAINLY_BROKEN = ("high_below_low", "negative", "repeat_different")
ODDLY_BROKEN = ("missing", "null", "bad_time", "not_a_record", "text")

OF_THE_MACHINE = {"requests", "retries", "clock_skew_seconds", "notices"}
"""What a result says of how it went: these depend on how long things took."""


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "now", lambda: NOW)


def refused(body: bytes) -> Any:
    raise NotPlain


def outcome(world: World, folder: Path, broken: tuple[str, ...]) -> dict[str, Any]:
    """What a backfill says, stores and dead-letters, of a market that sends one broken record of each kind."""
    end = world.at(50)  # so long ago that it matters not how long a busy machine takes
    open_times = sorted(at for at in world.candles() if world.start <= at < end)
    with world.exchange(world.market()) as exchange:
        for number, kind in enumerate(broken):
            exchange.break_record(world.symbol, world.step, open_times[40 * number + 7], kind)
        asked = (times.iso(world.start), times.iso(end), world.provider)
        single = world.ingester(exchange, folder)
        result = asyncio.run(single.ingest_historical_data(world.pair, world.timeframe, *asked))
    kept = dead_letters(folder / "dlq").values()
    letters = [pair for one in kept for pair in zip(one["records"], one["reasons"], strict=True)]
    said = {key: value for key, value in result.items() if key not in OF_THE_MACHINE}
    return {"result": said, "held": held(folder, world.series), "letters": sorted(map(repr, letters))}


@every_plain
@pytest.mark.parametrize("broken", [PLAINLY_BROKEN, PLAINLY_BROKEN + ODDLY_BROKEN], ids=["plain", "odd"])
def test_a_run_ends_alike_both_ways(
    world: World, module: Any, broken: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = outcome(world, tmp_path / "fast", broken)
    monkeypatch.setattr(module, "columns", refused)
    assert fast == outcome(world, tmp_path / "slow", broken)
    assert len(fast["letters"]) >= len(broken)


@every_plain
def test_a_run_without_dead_letters_makes_no_record(
    world: World, module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwanted(self: RawRecords, place: int) -> Any:
        raise AssertionError("a record was made")

    monkeypatch.setattr(RawRecords, "__call__", unwanted)
    found = outcome(world, tmp_path, ())
    assert (found["result"]["status"], found["letters"]) == ("success", [])


@every_plain
async def test_whoever_asks_for_dicts_gets_them_off_the_event_loop(
    world: World, module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[threading.Thread] = set()
    made: Callable[..., Any] = RawRecords.__call__
    monkeypatch.setattr(
        RawRecords, "__call__", lambda self, place: (threads.add(threading.current_thread()), made(self, place))[1]
    )
    with world.exchange(world.market()) as exchange:
        async with await world.ingester(exchange, tmp_path)._get_data_provider(world.provider) as provider:
            got = await provider.get_historical_data(
                world.pair, times.iso(world.at(200)), times.iso(world.at(100)), world.timeframe
            )
    assert {type(record) for record in got} == {dict}
    assert {"date", "open", "high", "low", "close", "volume"} <= got[0].keys()
    assert threads
    assert threading.main_thread() not in threads
