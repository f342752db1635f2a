"""Tests that nothing wrong is stored over the real wire formats: answers for something else, and missing volumes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ffe_core import times
from tests import lake_files
from tests.fake_exchanges import Exchange, Fault
from tests.integration.harness import ALPHA_VANTAGE, NOW, OANDA, WORLDS, World, expected, held


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "now", lambda: NOW)


@pytest.fixture(params=WORLDS, ids=lambda world: world.provider)
def world(request: pytest.FixtureRequest) -> World:
    return request.param


@pytest.fixture
def exchange(world: World) -> Iterator[Exchange]:
    with world.exchange(world.market()) as running:
        yield running


def backfill(world: World, exchange: Exchange, folder: Path, bars: int = 30, **more: Any) -> dict[str, Any]:
    single = world.ingester(exchange, folder)
    asked = (times.iso(world.at(bars)), times.iso(world.at(0)), world.provider)
    return asyncio.run(single.ingest_historical_data(world.pair, world.timeframe, *asked, **more))


def dead_letters(folder: Path) -> list[tuple[Any, list[str]]]:
    kept = lake_files.dead_letters(folder / "dlq").values()
    return [pair for content in kept for pair in zip(content["records"], content["reasons"], strict=True)]


WRONG = [
    pytest.param(OANDA, Fault.answer_for(path="EUR_USD->GBP_USD"), id="oanda-instrument"),
    pytest.param(OANDA, Fault.rewritten('"granularity":"M5"', '"granularity":"H4"'), id="oanda-granularity"),
    pytest.param(ALPHA_VANTAGE, Fault.answer_for(from_symbol="GBP"), id="alpha_vantage-symbol"),
    pytest.param(ALPHA_VANTAGE, Fault.rewritten("FX (Daily)", "FX (60min)"), id="alpha_vantage-interval"),
]


@pytest.mark.parametrize(("world", "fault"), WRONG)
def test_an_answer_for_something_else_is_never_stored(
    world: World, fault: Fault, exchange: Exchange, tmp_path: Path
) -> None:
    script = exchange.fault(fault, times=None)
    result = backfill(world, exchange, tmp_path)
    assert (result["status"], result["error_code"], result["records"]) == ("error", "wrong_answer", 0)
    assert (held(tmp_path, world.series), dead_letters(tmp_path), script.hits) == ({}, [], 2)
    script.cancel()
    exchange.fault(fault, times=1)
    assert backfill(world, exchange, tmp_path)["status"] == "success"
    assert held(tmp_path, world.series) == expected(world, world.candles(), world.at(30), world.at(0))


@pytest.mark.parametrize("world", [world for world in WORLDS if world.has_volume], ids=lambda world: world.provider)
@pytest.mark.parametrize("kind", ["missing", "null"])
def test_a_candle_without_the_volume_that_its_provider_has_is_a_dead_letter(
    world: World, kind: str, exchange: Exchange, tmp_path: Path
) -> None:
    wanted = expected(world, world.candles(), world.at(30), world.at(0))
    bad = sorted(wanted)[3]
    exchange.break_record(world.symbol, world.step, bad, kind, field="volume")
    result = backfill(world, exchange, tmp_path)
    assert (result["failed_records"], result["dead_lettered"], result["unexplained"]) == (1, 1, 0)
    assert [reasons for _, reasons in dead_letters(tmp_path)] == [["missing_field:volume"]]
    assert held(tmp_path, world.series) == {at: row for at, row in wanted.items() if at != bad}


@pytest.mark.parametrize("world", [world for world in WORLDS if not world.has_volume], ids=lambda world: world.provider)
def test_a_market_without_volumes_has_volumes_of_0(world: World, exchange: Exchange, tmp_path: Path) -> None:
    assert backfill(world, exchange, tmp_path)["failed_records"] == 0
    assert {row[-1] for row in held(tmp_path, world.series).values()} == {0.0}
